"""Reading labels out of frames: greedy, and TensorFlow's prefix beam search."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.cells.checks import check_lengths, positive
from recurra.errors import InputError, StructureError
from recurra.losses.ctc import blank_class

NEVER = -math.inf


class Decoded(NamedTuple):
    """What a CTC decoder reads out of a batch."""

    labels: list[list[int]]
    """One list of classes a row."""
    score: Tensor
    """`[B]`; what it is, the function says."""


def ctc_greedy(
    logits: Tensor,
    lengths: Tensor | None = None,
    *,
    blank: int = -1,
    merge_repeated: bool = True,
    time_major: bool = False,
) -> Decoded:
    """The best class of each frame, without blanks and (with `merge_repeated`) without the frames that repeat it.

    Arguments as in `ctc_loss`. The score is the sum of the best raw logits (TensorFlow returns its negative).
    """
    frames, ends, blank = _frames(logits, lengths, blank, time_major)
    best, classes = frames.max(2)
    labels = []
    for row, end in enumerate(ends):
        path = classes[:end, row].tolist()
        fresh = [c for t, c in enumerate(path) if not (merge_repeated and t and path[t - 1] == c)]
        labels.append([c for c in fresh if c != blank])
    score = torch.stack([best[:end, row].sum() for row, end in enumerate(ends)]) if ends else best.sum(0)
    return Decoded(labels, score)


def ctc_beam_search(
    logits: Tensor,
    lengths: Tensor | None = None,
    *,
    beam_width: int = 100,
    top_paths: int = 1,
    blank: int = -1,
    merge_repeated: bool = False,
    time_major: bool = False,
) -> list[Decoded]:
    """Prefix beam search (Graves and Jaitly, 2014): the `top_paths` most probable labellings, best first.

    Arguments as in `ctc_loss`. The score is the log-probability of the labelling, over the alignments in the beam.
    `merge_repeated` collapses equal neighbours of the result, so that a true "A A" comes out as "A": TensorFlow's
    default and a known trap.
    """
    if positive("top_paths", top_paths) > positive("beam_width", beam_width):
        raise InputError(f"`top_paths` ({top_paths}) must not exceed `beam_width` ({beam_width})")
    frames, ends, blank = _frames(logits, lengths, blank, time_major)
    log_probs = torch.log_softmax(frames.detach().double(), -1)
    rows = [_search(log_probs[:end, row].cpu().numpy(), beam_width, blank)[:top_paths] for row, end in enumerate(ends)]
    paths = []
    for k in range(top_paths):
        found = [row[k] if k < len(row) else _Prefix(None, -1) for row in rows]
        score = torch.tensor([prefix.total for prefix in found], dtype=logits.dtype, device=logits.device)
        paths.append(Decoded([prefix.labels(merge_repeated) for prefix in found], score))
    return paths


def _frames(logits: Tensor, lengths: Tensor | None, blank: int, time_major: bool) -> tuple[Tensor, list[int], int]:
    if not isinstance(logits, Tensor):
        raise StructureError(f"`logits` must be a tensor, got {type(logits).__name__}")
    if logits.dim() != 3:
        raise InputError(f"`logits` must be [B, T, C], got shape {list(logits.shape)}")
    frames = logits if time_major else logits.transpose(0, 1)
    T, B, C = frames.shape
    if lengths is not None:
        check_lengths(lengths, B, T, logits.device)
    return frames, [T] * B if lengths is None else lengths.tolist(), blank_class(blank, C)


class _Prefix:
    """A node of the tree of labellings: the log-weights of its alignments that end in a blank, or in its label."""

    def __init__(self, parent: _Prefix | None, label: int) -> None:
        self.parent = parent
        self.label = label
        self.children: dict[int, _Prefix] = {}
        self.blank = self.lasting = self.total = NEVER
        self.old = (NEVER, NEVER, NEVER)

    def child(self, label: int) -> _Prefix:
        if label not in self.children:
            self.children[label] = _Prefix(self, label)
        return self.children[label]

    def leave(self) -> None:
        """Out of the beam."""
        self.blank = self.lasting = self.total = NEVER

    def labels(self, merge_repeated: bool) -> list[int]:
        path: list[int] = []
        node: _Prefix | None = self
        while node is not None and node.parent is not None:
            if not (merge_repeated and path and path[-1] == node.label):
                path.append(node.label)
            node = node.parent
        return path[::-1]


def _search(frames: np.ndarray, beam_width: int, blank: int) -> list[_Prefix]:
    root = _Prefix(None, -1)
    root.blank = root.total = 0.0
    beam = [root]
    starts = frames.copy()
    starts[:, blank] = NEVER  # no label begins with a blank
    for frame, start in zip(frames.tolist(), starts, strict=True):
        branches = sorted(beam, key=lambda prefix: -prefix.total)
        for prefix in branches:
            prefix.old = (prefix.blank, prefix.lasting, prefix.total)
        for prefix in branches:
            _carry_on(prefix, frame, blank)
        beam = _grow(branches, start, beam_width)
    return sorted(beam, key=lambda prefix: -prefix.total)


def _arriving(parent: _Prefix, label: int) -> float:
    """The weight from which a parent's child of this label begins: after itself only a blank lets it begin anew."""
    old_blank, _, old_total = parent.old
    return old_blank if parent.label == label else old_total


def _carry_on(prefix: _Prefix, frame: list[float], blank: int) -> None:
    """The frame repeats the prefix's label, completes it from its parent, or is blank."""
    if prefix.parent is not None:
        if prefix.parent.total > NEVER:
            prefix.lasting = _log_add(prefix.lasting, _arriving(prefix.parent, prefix.label))
        prefix.lasting += frame[prefix.label]
    prefix.blank = prefix.old[2] + frame[blank]
    prefix.total = _log_add(prefix.blank, prefix.lasting)


def _grow(branches: list[_Prefix], start: np.ndarray, beam_width: int) -> list[_Prefix]:
    """The beam after this frame: the branches, and the labels that begin in it where they beat the weakest.

    `start` is the frame with no weight for the blank. The weakest weight only rises once the beam is full, and the
    branches come in falling order: where the best label of one does not enter, none of the later ones does.
    """
    order = itertools.count()  # settles ties: of the equally weak, the one that came first leaves
    heap = [(prefix.total, next(order), prefix) for prefix in branches]
    heapq.heapify(heap)
    best = float(start.max())
    for prefix in branches:
        weakest = heap[0][0] if len(heap) == beam_width else NEVER
        if prefix.old[2] + best <= weakest or prefix.old[2] <= weakest:
            break
        totals = start + prefix.old[2]
        if prefix.parent is not None:
            totals[prefix.label] = start[prefix.label] + _arriving(prefix, prefix.label)
        for label in np.flatnonzero(totals > weakest).tolist():
            total = float(totals[label])
            if len(heap) == beam_width and total <= heap[0][0]:
                continue
            child = prefix.child(label)
            if child.total > NEVER:
                continue
            child.lasting = child.total = total
            entry = (total, next(order), child)
            if len(heap) == beam_width:
                heapq.heapreplace(heap, entry)[2].leave()
            else:
                heapq.heappush(heap, entry)
    return [prefix for _, _, prefix in heap]


def _log_add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))
