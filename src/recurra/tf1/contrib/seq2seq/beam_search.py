"""Beam search decoding, tile_batch and gather_tree."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes, names, nest
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.contrib.seq2seq.decoder import Decoder, _as_size, dynamic_decode
from recurra.tf1.contrib.seq2seq.helpers import _embedding_fn
from recurra.tf1.contrib.seq2seq.wrapper import AttentionWrapperState
from recurra.tf1.control_flow import cond
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_create import zeros, zeros_like
from recurra.tf1.ops.array_gather import one_hot, where
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_move import tile
from recurra.tf1.ops.array_shape import expand_dims, reshape, shape, size
from recurra.tf1.ops.math_reduce import reduce_all, reduce_max, reduce_sum
from recurra.tf1.ops.math_unary import cast, log_softmax
from recurra.tf1.registry import op
from recurra.tf1.rnn.base import assert_like_rnncell
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor_array import TensorArray

__all__ = ["BeamSearchDecoder", "tile_batch"]


def _gather_tree(
    step_ids: TorchTensor, parent_ids: TorchTensor, max_sequence_lengths: TorchTensor, end_token: TorchTensor
) -> TorchTensor:
    """Follow the parents back from each row's last step; everything after the first end token is end tokens."""
    steps, _, width = step_ids.shape
    end = int(end_token)
    out = torch.full_like(step_ids, end)
    lengths = max_sequence_lengths.clamp(max=steps).tolist()
    for row, length in enumerate(lengths):
        if length <= 0:
            continue
        beam = torch.arange(width)
        for t in range(length - 1, -1, -1):
            out[t, row] = step_ids[t, row, beam]
            beam = parent_ids[t, row, beam].long()
            wrong = ((beam < 0) | (beam >= width)).nonzero()
            if t and len(wrong):
                which = int(wrong[0])
                raise ValueError(
                    f"Saw invalid parent id {int(beam[which])} at (batch, time, beam) == ({row}, {t - 1}, {which})"
                )
    ended = (out == end).cumsum(0) > 0
    return torch.where(ended, torch.full_like(out, end), out)


op(
    "GatherTree",
    "step_ids:T, parent_ids:T, max_sequence_lengths:int32, end_token:T -> T",
    _gather_tree,
    diff=False,
    shape=lambda o: o.inputs[0].shape,
)


@tf_export("contrib.seq2seq.gather_tree")
def gather_tree(
    step_ids: Any, parent_ids: Any, max_sequence_lengths: Any, end_token: Any, name: str | None = None
) -> Any:
    return apply_op("GatherTree", step_ids, parent_ids, max_sequence_lengths, end_token, name=name)


@tf_export("contrib.seq2seq.gather_tree_from_array")
def gather_tree_from_array(t: Any, parent_ids: Any, sequence_length: Any) -> Any:
    """`[T, B, W, …]` reordered along the beams that survived."""
    dims = parent_ids.get_shape().values or (None,) * 3
    dynamic = shape(parent_ids)
    steps, rows, width = (dynamic[n] if d is None else d for n, d in enumerate(dims))

    def pack(*parts):
        return apply_op("Pack", list(parts), axis=0)

    beams = tile(reshape(apply_op("Range", 0, width, 1), [1, 1, -1]), pack(steps, rows, 1))
    longest = cast(reduce_max(sequence_length, axis=1), dtypes.int32)
    order = gather_tree(step_ids=beams, parent_ids=parent_ids, max_sequence_lengths=longest, end_token=width + 1)
    mask = apply_op("Transpose", apply_op("SequenceMaskTWB", cast(sequence_length, dtypes.int32), steps), [2, 0, 1])
    order = where(mask, order, beams)
    flat = reshape(t, apply_op("ConcatV2", [pack(steps, rows, width), [-1]], 0))
    picked = apply_op("GatherV2", flat, order, 2, batch_dims=2)
    ordered = reshape(picked, shape(t))
    ordered.set_shape(t.get_shape())
    return ordered


op(
    "SequenceMaskTWB",
    "lengths:int32, steps:int32 -> bool",
    lambda lengths, steps: torch.arange(int(steps)) < lengths.unsqueeze(-1),
    diff=False,
    shape=lambda o: o.inputs[0].shape.concatenate([None]),
)


def _tile_batch(t: Any, multiplier: int) -> Any:
    t = convert_to_tensor(t, name="t")
    dynamic, static = shape(t), t.get_shape()
    if static.ndims is None:
        raise ValueError("t must have statically known rank")
    tiling = [1] * (static.ndims + 1)
    tiling[1] = multiplier
    known = static.values[0] * multiplier if static.values[0] is not None else None  # type: ignore[index]
    wide = tile(expand_dims(t, 1), tiling)
    flat = reshape(wide, concat([apply_op("Pack", [dynamic[0] * multiplier], axis=0), dynamic[1:]], 0))
    flat.set_shape(TensorShape([known]).concatenate(static[1:]))
    return flat


@tf_export("contrib.seq2seq.tile_batch")
def tile_batch(t: Any, multiplier: int, name: str | None = None) -> Any:
    """Every row repeated `multiplier` times, one after the other."""
    with name_scope(name, "tile_batch", [*nest.flatten(t), multiplier]):
        return nest.map_structure(lambda x: _tile_batch(x, multiplier), t)


_INNER = "contrib.seq2seq.python.ops.beam_search_decoder."
_STATE = ("cell_state", "log_probs", "finished", "lengths", "accumulated_attention_probs")


@tf_export("contrib.seq2seq.BeamSearchDecoderState")
class BeamSearchDecoderState(collections.namedtuple("BeamSearchDecoderState", _STATE)):
    pass


@tf_export("contrib.seq2seq.BeamSearchDecoderOutput")
class BeamSearchDecoderOutput(
    collections.namedtuple("BeamSearchDecoderOutput", ("scores", "predicted_ids", "parent_ids"))
):
    pass


@tf_export("contrib.seq2seq.FinalBeamSearchDecoderOutput")
class FinalBeamSearchDecoderOutput(
    collections.namedtuple("FinalBeamDecoderOutput", ["predicted_ids", "beam_search_decoder_output"])
):
    pass


def _attention_states(state: Any) -> list[AttentionWrapperState]:
    if isinstance(state, AttentionWrapperState):
        return [state]
    return [s for s in state if isinstance(s, AttentionWrapperState)] if isinstance(state, (list, tuple)) else []


def attention_probs(cell_state: Any, coverage_penalty_weight: float) -> Any:
    """The alignments of every attentional part of a state, side by side; None where coverage does not count."""
    if coverage_penalty_weight == 0.0:
        return None
    states = _attention_states(cell_state)
    if not states:
        raise ValueError("coverage_penalty_weight must be 0.0 if no cell is attentional.")
    parts = [a for s in states for a in (s.alignments if isinstance(s.alignments, tuple) else (s.alignments,))]
    return parts[0] if len(parts) == 1 else concat(parts, -1)


@tf_export("contrib.seq2seq.BeamSearchDecoder", "contrib.seq2seq.python.ops.beam_search_decoder.BeamSearchDecoder")
class BeamSearchDecoder(Decoder):
    """Keeps the `beam_width` best hypotheses of every row; states are given tiled (`tile_batch`)."""

    def __init__(
        self,
        cell: Any,
        embedding: Any,
        start_tokens: Any,
        end_token: Any,
        initial_state: Any,
        beam_width: int,
        output_layer: Any = None,
        length_penalty_weight: float = 0.0,
        coverage_penalty_weight: float = 0.0,
        reorder_tensor_arrays: bool = True,
    ) -> None:
        assert_like_rnncell("cell", cell)
        if output_layer is not None and not hasattr(output_layer, "_maybe_build"):
            raise TypeError(f"output_layer must be a Layer, received: {type(output_layer)}")
        self._cell, self._output_layer, self._reorder_tensor_arrays = cell, output_layer, reorder_tensor_arrays
        self._embedding_fn = _embedding_fn(embedding)
        self._start_tokens = convert_to_tensor(start_tokens, dtype=dtypes.int32, name="start_tokens")
        if self._start_tokens.get_shape().ndims != 1:
            raise ValueError("start_tokens must be a vector")
        self._end_token = convert_to_tensor(end_token, dtype=dtypes.int32, name="end_token")
        if self._end_token.get_shape().ndims != 0:
            raise ValueError("end_token must be a scalar")
        self._batch_size, self._beam_width = size(start_tokens), beam_width
        known = constant_value(self._batch_size)
        self._static_batch = None if known is None else int(known)
        self._length_penalty_weight, self._coverage_penalty_weight = length_penalty_weight, coverage_penalty_weight
        self._initial_cell_state = nest.map_structure(self._maybe_split, initial_state, cell.state_size)
        tokens = tile(expand_dims(self._start_tokens, 1), [1, beam_width])
        self._start_inputs = self._embedding_fn(tokens)
        row = np.array([[i == 0 for i in range(beam_width)]])
        self._first_alive = row
        self._finished = tile(convert_to_tensor(~row), apply_op("Pack", [self._batch_size, 1], axis=0))

    batch_size = property(lambda self: self._batch_size)  # type: ignore[assignment]
    tracks_own_finished = property(lambda self: True)  # type: ignore[assignment]

    def _rnn_output_size(self) -> Any:
        width = self._cell.output_size
        if self._output_layer is None:
            return width
        return nest.map_structure(
            lambda s: self._output_layer.compute_output_shape(TensorShape([None]).concatenate(_as_size(s)))[1:], width
        )

    @property
    def output_size(self) -> Any:  # type: ignore[override]
        wide = TensorShape([self._beam_width])
        return BeamSearchDecoderOutput(scores=wide, predicted_ids=wide, parent_ids=wide)

    @property
    def output_dtype(self) -> Any:  # type: ignore[override]
        kind = nest.flatten(self._initial_cell_state)[0].dtype
        return BeamSearchDecoderOutput(
            scores=nest.map_structure(lambda _: kind, self._rnn_output_size()),
            predicted_ids=dtypes.int32,
            parent_ids=dtypes.int32,
        )

    def initialize(self, name: str | None = None) -> Any:
        kind = nest.flatten(self._initial_cell_state)[0].dtype.base_dtype
        start = np.where(self._first_alive, 0.0, -np.inf).astype(kind.as_numpy_dtype)
        log_probs = tile(convert_to_tensor(start), apply_op("Pack", [self._batch_size, 1], axis=0))
        accumulated: Any = ()
        probabilities = attention_probs(self._initial_cell_state, self._coverage_penalty_weight)
        if probabilities is not None:
            accumulated = zeros_like(probabilities)
        lengths = zeros(apply_op("Pack", [self._batch_size, self._beam_width], axis=0), dtypes.int64)
        log_probs.set_shape([self._static_batch, self._beam_width])
        lengths.set_shape([self._static_batch, self._beam_width])
        state = BeamSearchDecoderState(
            cell_state=self._initial_cell_state,
            log_probs=log_probs,
            finished=self._finished,
            lengths=lengths,
            accumulated_attention_probs=accumulated,
        )
        return self._finished, self._start_inputs, state

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Any) -> Any:
        longest = cast(reduce_max(final_state.lengths, axis=1), dtypes.int32)
        predicted = gather_tree(
            outputs.predicted_ids, outputs.parent_ids, max_sequence_lengths=longest, end_token=self._end_token
        )
        if self._reorder_tensor_arrays:

            def sort(t):
                return self._maybe_sort(t, outputs.parent_ids, final_state.lengths)

            final_state = final_state._replace(cell_state=nest.map_structure(sort, final_state.cell_state))
        return FinalBeamSearchDecoderOutput(beam_search_decoder_output=outputs, predicted_ids=predicted), final_state

    # -- shapes: [B, W, …] <-> [B * W, …] -----------------------------------------------------------------------------------  # noqa: E501
    def _merge(self, t: Any) -> Any:
        t = convert_to_tensor(t)
        inner = shape(t)[2:]
        out = reshape(t, concat([apply_op("Pack", [self._batch_size * self._beam_width], axis=0), inner], 0))
        rows = None if self._static_batch is None else self._static_batch * self._beam_width
        out.set_shape(TensorShape([rows]).concatenate(t.get_shape()[2:]))
        return out

    def _split(self, t: Any) -> Any:
        t = convert_to_tensor(t)
        target = concat([apply_op("Pack", [self._batch_size, self._beam_width], axis=0), shape(t)[1:]], 0)
        out = reshape(t, target)
        out.set_shape(TensorShape([self._static_batch, self._beam_width]).concatenate(t.get_shape()[1:]))
        return out

    def _maybe_split(self, t: Any, _: Any = None) -> Any:
        if isinstance(t, TensorArray):
            return t
        if t.get_shape().ndims is None:
            raise ValueError(f"Expected tensor ({t}) to have known rank, but ndims == None.")
        return self._split(t) if t.get_shape().ndims >= 1 else t

    def _maybe_merge(self, t: Any, _: Any = None) -> Any:
        if isinstance(t, TensorArray):
            return t
        return self._merge(t) if (t.get_shape().ndims or 0) >= 2 else t

    def _maybe_sort(self, t: Any, parent_ids: Any, lengths: Any) -> Any:
        """A history re-ordered along the surviving beams; TensorFlow's own test of the shape is kept, wrong for a static memory time."""  # noqa: E501
        if not isinstance(t, TensorArray):
            return t
        element = getattr(t, "element_shape", TensorShape(None))
        element = TensorShape(element() if callable(element) else element)
        if element.ndims is None or element.ndims < 1:
            return t
        if element.values[0] is not None and self._static_batch is not None:  # type: ignore[index]
            wanted = TensorShape([self._static_batch * self._beam_width]).concatenate([None] * (element.ndims - 1))
            if not wanted.is_compatible_with(element) or element.values[1] is not None:  # type: ignore[index]
                return t
        stacked = t.stack()
        dynamic = shape(stacked)
        split = reshape(
            stacked,
            concat([apply_op("Pack", [dynamic[0], self._batch_size, self._beam_width], axis=0), dynamic[2:]], 0),
        )
        ordered = gather_tree_from_array(split, parent_ids, lengths)
        return reshape(ordered, dynamic)

    # -- one step -------------------------------------------------------------------------------------------------------------  # noqa: E501
    def step(self, time: Any, inputs: Any, state: Any, name: str | None = None) -> Any:
        with name_scope(name, "BeamSearchDecoderStep", (time, inputs, state)):
            cell_state = nest.map_structure(self._maybe_merge, state.cell_state)
            outputs, next_cell_state = self._cell(nest.map_structure(self._merge, inputs), cell_state)
            outputs = nest.map_structure(self._split, outputs)
            next_cell_state = nest.map_structure(self._maybe_split, next_cell_state, self._cell.state_size)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            found, next_state = self._search(outputs, next_cell_state, state)
            done = next_state.finished
            next_inputs = cond(
                reduce_all(done), lambda: self._start_inputs, lambda: self._embedding_fn(found.predicted_ids)
            )
        return found, next_state, next_inputs, done

    def _search(self, logits: Any, next_cell_state: Any, state: Any) -> tuple[Any, Any]:
        return beam_search_step(
            time=None,
            logits=logits,
            next_cell_state=next_cell_state,
            beam_state=state,
            batch_size=self._batch_size,
            beam_width=self._beam_width,
            end_token=self._end_token,
            length_penalty_weight=self._length_penalty_weight,
            coverage_penalty_weight=self._coverage_penalty_weight,
        )


@tf_export(_INNER + "BeamSearchDecoderV2")
class BeamSearchDecoderV2:
    """The search as TensorFlow 2's layers call it: options first, `decoder(embedding, start_tokens, …)` decodes."""

    def __init__(
        self,
        cell: Any,
        beam_width: int,
        embedding_fn: Any = None,
        output_layer: Any = None,
        length_penalty_weight: float = 0.0,
        coverage_penalty_weight: float = 0.0,
        reorder_tensor_arrays: bool = True,
        output_time_major: bool = False,
        impute_finished: bool = False,
        maximum_iterations: Any = None,
        parallel_iterations: int = 32,
        swap_memory: bool = False,
        **unused: Any,
    ) -> None:
        self._cell, self._beam_width, self._embedding_fn = cell, beam_width, embedding_fn
        self._search = {
            "output_layer": output_layer,
            "length_penalty_weight": length_penalty_weight,
            "coverage_penalty_weight": coverage_penalty_weight,
            "reorder_tensor_arrays": reorder_tensor_arrays,
        }
        self._loop = {
            "output_time_major": output_time_major,
            "impute_finished": impute_finished,
            "maximum_iterations": maximum_iterations,
            "parallel_iterations": parallel_iterations,
            "swap_memory": swap_memory,
        }

    def __call__(
        self, embedding: Any, start_tokens: Any, end_token: Any, initial_state: Any, **unused: Any
    ) -> tuple[Any, Any, Any]:
        """(outputs, state, lengths), as `dynamic_decode`."""
        if (embedding is None) == (self._embedding_fn is None):
            raise ValueError("Exactly one of embedding and embedding_fn must be given")
        known = self._embedding_fn if embedding is None else embedding
        decoder = BeamSearchDecoder(
            self._cell, known, start_tokens, end_token, initial_state, self._beam_width, **self._search
        )
        return dynamic_decode(decoder, **self._loop)


@tf_export(_INNER + "_beam_search_step")
def beam_search_step(
    time: Any,
    logits: Any,
    next_cell_state: Any,
    beam_state: Any,
    batch_size: Any,
    beam_width: int,
    end_token: Any,
    length_penalty_weight: Any,
    coverage_penalty_weight: Any,
) -> tuple[Any, Any]:
    """The best continuations of every row: (what was chosen, the state after it)."""
    width, state = beam_width, beam_state
    known = constant_value(convert_to_tensor(batch_size))
    static = None if known is None else int(known)
    vocabulary = logits.get_shape().values[-1] if logits.get_shape().values[-1] is not None else shape(logits)[-1]
    step = mask_probs(log_softmax(logits), end_token, state.finished)
    total = expand_dims(state.log_probs, 2) + step
    ends = one_hot(end_token, vocabulary, on_value=0, off_value=1, dtype=dtypes.int64)
    adds = expand_dims(cast(apply_op("LogicalNot", state.finished), dtypes.int64), 2) * reshape(ends, [1, 1, -1])
    lengths = expand_dims(state.lengths, 2) + adds
    accumulated = None
    probabilities = attention_probs(next_cell_state, coverage_penalty_weight)
    if probabilities is not None:
        alive = expand_dims(apply_op("LogicalNot", state.finished), -1)
        accumulated = state.accumulated_attention_probs + probabilities * cast(alive, probabilities.dtype.base_dtype)
    scores = total / _length_penalty(lengths, length_penalty_weight)
    if accumulated is not None:
        scores = scores + coverage_penalty_weight * _coverage(state.finished, accumulated)
    flat = apply_op("Pack", [batch_size, -1], axis=0)
    best, index = apply_op("TopKV2", reshape(scores, flat), width, sorted=True)
    for t in (best, index):
        t.set_shape([static, width])

    def rows(source: Any, where_: Any) -> Any:
        return apply_op("GatherV2", source, where_, 1, batch_dims=1)

    log_probs = rows(reshape(total, flat), index)
    words = cast(index % vocabulary, dtypes.int32)
    parents = cast(apply_op("FloorDiv", index, vocabulary), dtypes.int32)
    was_finished = rows(state.finished, parents)
    finished = apply_op("LogicalOr", was_finished, apply_op("Equal", words, end_token), name="next_beam_finished")
    grown = rows(state.lengths, parents) + cast(apply_op("LogicalNot", was_finished), dtypes.int64)
    for t in (log_probs, finished, grown, words, parents):
        t.set_shape([static, width])
    attended: Any = ()
    if accumulated is not None:
        attended = rows(accumulated, parents)
        attended.set_shape(state.accumulated_attention_probs.get_shape())
    next_state = BeamSearchDecoderState(
        cell_state=nest.map_structure(lambda t: _gather_state(t, parents), next_cell_state),
        log_probs=cast(log_probs, logits.dtype.base_dtype),
        lengths=grown,
        finished=finished,
        accumulated_attention_probs=attended,
    )
    return BeamSearchDecoderOutput(scores=best, predicted_ids=words, parent_ids=parents), next_state


def _gather_state(t: Any, parents: Any) -> Any:
    if isinstance(t, TensorArray) or (t.get_shape().ndims or 0) < 2:
        return t
    out = apply_op("GatherV2", t, parents, 1, batch_dims=1)
    out.set_shape(t.get_shape())
    return out


@tf_export(_INNER + "_check_batch_beam")
def check_batch_beam(t: Any, batch_size: Any, beam_width: int) -> Any:
    """An assertion that a stacked history's elements are `[B * W, …]` or `[B, W, …]`."""
    sizes = shape(t)
    fits = apply_op("Equal", sizes[1], batch_size * beam_width)
    if t.get_shape().ndims != 2:
        apart = apply_op("Equal", sizes[1], batch_size), apply_op("Equal", sizes[2], beam_width)
        fits = apply_op("LogicalOr", fits, apply_op("LogicalAnd", *apart))
    message = (
        "TensorArray reordering expects elements to be reshapable to [batch_size, beam_size, -1] which is incompatible"
        f" with the dynamic shape of {t.name} elements. Consider setting reorder_tensor_arrays to False to disable"
        " TensorArray reordering during the beam search."
    )
    return names.lookup("Assert")(fits, [message])


def _coverage(finished: Any, accumulated: Any) -> Any:
    """Wu et al.'s coverage penalty, of finished beams only."""
    zero = apply_op("Equal", accumulated, 0.0)
    probabilities = where(zero, zeros_like(accumulated) + 1.0, accumulated)
    penalty = reduce_sum(apply_op("Log", apply_op("Minimum", probabilities, 1.0)), 2)
    return expand_dims(cast(finished, penalty.dtype.base_dtype) * penalty, 2)


def _length_penalty(lengths: Any, weight: Any) -> Any:
    weight = convert_to_tensor(weight, name="penalty_factor")
    static = constant_value(weight)
    if static is not None and static == 0:
        return 1.0
    return apply_op(
        "RealDiv", apply_op("Pow", 5.0 + cast(lengths, dtypes.float32), weight), apply_op("Pow", 5.0 + 1.0, weight)
    )


@tf_export(_INNER + "_mask_probs")
def mask_probs(probs: Any, eos_token: Any, finished: Any) -> Any:
    """Finished beams put everything on the end token."""
    kind, known = probs.dtype.base_dtype, probs.get_shape().values[-1]
    vocabulary = shape(probs)[-1] if known is None else known
    finished = convert_to_tensor(finished)
    row = one_hot(
        eos_token,
        vocabulary,
        dtype=kind,
        on_value=convert_to_tensor(0.0, dtype=kind),
        off_value=convert_to_tensor(kind.min, dtype=kind),
    )
    wide = tile(reshape(row, [1, 1, -1]), concat([shape(finished), [1]], 0))
    mask = tile(expand_dims(finished, 2), apply_op("Pack", [1, 1, vocabulary], axis=0))
    return where(mask, wide, probs)
