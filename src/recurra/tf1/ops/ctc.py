"""tf.nn's connectionist temporal classification, on the library's loss and decoders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor as TorchTensor

from recurra.errors import RecurraError
from recurra.losses import ctc as losses
from recurra.losses import ctc_decoding
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import tf_export
from recurra.tf1.ops.slices import SparseTensor
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["ctc_loss"]


def _dense_labels(indices: TorchTensor, values: TorchTensor, rows: int) -> tuple[TorchTensor, TorchTensor]:
    """Sparse labels as `[B, longest]` and their lengths."""
    lengths = torch.bincount(indices[:, 0], minlength=rows) if len(indices) else torch.zeros(rows, dtype=torch.long)
    longest = int(lengths.max()) if rows else 0
    dense = torch.zeros(rows, max(longest, 1), dtype=torch.long)
    starts = torch.cumsum(lengths, 0) - lengths
    position = torch.arange(len(values)) - starts[indices[:, 0]] if len(values) else torch.zeros(0, dtype=torch.long)
    dense[indices[:, 0], position] = values.long()
    return dense, lengths


def _loss(
    inputs: TorchTensor,
    labels_indices: TorchTensor,
    labels_values: TorchTensor,
    sequence_length: TorchTensor,
    preprocess_collapse_repeated: bool = False,
    ctc_merge_repeated: bool = True,
    ignore_longer_outputs_than_inputs: bool = False,
) -> TorchTensor:
    rows = inputs.shape[1]
    labels, lengths = _dense_labels(labels_indices, labels_values, rows)
    _check(
        labels,
        lengths,
        sequence_length,
        inputs,
        preprocess_collapse_repeated,
        ctc_merge_repeated,
        ignore_longer_outputs_than_inputs,
    )
    try:
        return losses.ctc_loss(
            inputs,
            labels,
            lengths,
            sequence_length.long(),
            blank=-1,
            merge_repeated=ctc_merge_repeated,
            collapse_labels=preprocess_collapse_repeated,
            ignore_impossible=ignore_longer_outputs_than_inputs,
            time_major=True,
        )
    except RecurraError as error:
        raise InvalidArgumentError(None, None, str(error)) from error


def _check(
    labels: TorchTensor,
    lengths: TorchTensor,
    sequence_length: TorchTensor,
    inputs: TorchTensor,
    collapse: bool,
    merge: bool,
    ignore: bool,
) -> None:
    """TensorFlow's own words for what cannot be."""
    steps, rows, classes = inputs.shape
    if len(sequence_length) != rows:
        raise InvalidArgumentError(None, None, "len(sequence_length) != batch_size")
    if bool((sequence_length > steps).any()):
        raise InvalidArgumentError(None, None, f"sequence_length(0) <= {steps}")
    for row in range(rows):
        label = labels[row, : int(lengths[row])]
        if len(label) and (int(label.max()) >= classes - 1 or int(label.min()) < 0):
            shown = ",".join(str(v) for v in label.tolist())
            raise InvalidArgumentError(
                None,
                None,
                f"Saw a non-null label (index >= num_classes - 1) following a null label, batch: {row} num_classes:"
                f" {classes} labels: {shown} labels seen so far: ",
            )
        if collapse and len(label):
            label = torch.unique_consecutive(label)
        needed = len(label) + (int((label[1:] == label[:-1]).sum()) if merge else 0)
        if needed > int(sequence_length[row]) and not ignore:
            raise InvalidArgumentError(
                None,
                None,
                f"Not enough time for target transition sequence (required: {needed}, available: {int(sequence_length[row])}){row}"  # noqa: E501
                "You can turn this error into a warning by using the flag ignore_longer_outputs_than_inputs",
            )


op(
    "CTCLoss",
    "inputs:float32, labels_indices:int64, labels_values:int32, sequence_length:int32 -> float32",
    _loss,
    shape=lambda o: o.inputs[0].shape.with_rank(3)[1:2],
)


@tf_export("nn.ctc_loss")
def ctc_loss(
    labels: Any,
    inputs: Any = None,
    sequence_length: Any = None,
    preprocess_collapse_repeated: bool = False,
    ctc_merge_repeated: bool = True,
    ignore_longer_outputs_than_inputs: bool = False,
    time_major: bool = True,
    logits: Any = None,
) -> Any:
    """Minus the log-probability of the labels, per row; the last class is the blank."""
    if not isinstance(labels, SparseTensor):
        raise TypeError("Expected labels (first argument) to be a SparseTensor")
    inputs = convert_to_tensor(inputs if logits is None else logits)
    if not time_major:
        inputs = apply_op("Transpose", inputs, [1, 0, 2])
    return apply_op(
        "CTCLoss",
        inputs,
        labels.indices,
        labels.values,
        sequence_length,
        preprocess_collapse_repeated=preprocess_collapse_repeated,
        ctc_merge_repeated=ctc_merge_repeated,
        ignore_longer_outputs_than_inputs=ignore_longer_outputs_than_inputs,
    )


@tf_export("nn.ctc_loss", era=((0, 0), (1, 0)))
def ctc_loss_old(
    inputs: Any,
    labels: Any,
    sequence_length: Any,
    preprocess_collapse_repeated: bool = False,
    ctc_merge_repeated: bool = True,
    time_major: bool = True,
) -> Any:
    """Before 1.0 the inputs came first."""
    if isinstance(inputs, SparseTensor):
        inputs, labels = labels, inputs
    return ctc_loss(
        labels, inputs, sequence_length, preprocess_collapse_repeated, ctc_merge_repeated, time_major=time_major
    )


def _loss_v2(
    logits: TorchTensor, labels: TorchTensor, label_length: TorchTensor, logit_length: TorchTensor, blank_index: int = 0
) -> TorchTensor:
    loss = losses.ctc_loss(
        logits,
        labels.long(),
        label_length.long(),
        logit_length.long(),
        blank=blank_index,
        time_major=True,
        ignore_impossible=True,
    )
    past = torch.arange(logits.shape[0]).unsqueeze(1) >= logit_length
    beyond = (torch.logsumexp(logits, -1) * past).sum(0)  # TensorFlow's gradient there is the softmax, not zero
    return loss + (beyond - beyond.detach())


op(
    "CTCLossDense",
    "logits:T, labels:Tl, label_length:Tn, logit_length:Tm -> T",
    _loss_v2,
    shape=lambda o: o.inputs[0].shape.with_rank(3)[1:2],
)


@tf_export("nn.ctc_loss_v2")
def ctc_loss_v2(
    labels: Any,
    logits: Any,
    label_length: Any,
    logit_length: Any,
    logits_time_major: bool = True,
    unique: Any = None,
    blank_index: int | None = None,
    name: str | None = None,
) -> Any:
    """Dense labels with any blank class, or sparse ones."""
    logits = convert_to_tensor(logits)
    if isinstance(labels, SparseTensor):
        if blank_index is None:
            raise ValueError("blank_index must be given when using SparseTensor labels.")
        classes = logits.get_shape().as_list()[2]
        blank_index = blank_index + classes if blank_index < 0 else blank_index
        if blank_index != classes - 1:
            order = [*range(blank_index), *range(blank_index + 1, classes), blank_index]
            logits = apply_op("GatherV2", logits, order, 2)
            moved = apply_op("Select", labels.values < blank_index, labels.values, labels.values - 1)
            labels = SparseTensor(labels.indices, moved, labels.dense_shape)
        return ctc_loss(labels, logits, logit_length, time_major=logits_time_major)
    with name_scope(name, "ctc_loss_dense", [logits, labels, label_length, logit_length]):
        if not logits_time_major:
            logits = apply_op("Transpose", logits, [1, 0, 2])
        return apply_op("CTCLossDense", logits, labels, label_length, logit_length, blank_index=blank_index or 0)


def _sparse_rows(rows: list[list[int]]) -> tuple[TorchTensor, TorchTensor, TorchTensor]:
    index = [[r, c] for r, row in enumerate(rows) for c in range(len(row))]
    longest = max((len(row) for row in rows), default=0)
    values = torch.tensor([v for row in rows for v in row], dtype=torch.int64)
    return torch.tensor(index, dtype=torch.int64).reshape(-1, 2), values, torch.tensor([len(rows), longest])


def _greedy(inputs: TorchTensor, sequence_length: TorchTensor, merge_repeated: bool = False) -> tuple[TorchTensor, ...]:
    decoded = ctc_decoding.ctc_greedy(
        inputs.detach(), sequence_length.long(), merge_repeated=merge_repeated, time_major=True
    )
    return (*_sparse_rows(decoded.labels), -decoded.score.reshape(-1, 1))


_PARTS = [TensorShape([None, 2]), TensorShape([None]), TensorShape([2])]
op(
    "CTCGreedyDecoder",
    "inputs:float32, sequence_length:int32 -> int64, int64, int64, float32",
    _greedy,
    diff=False,
    shape=lambda o: [
        *_PARTS,
        TensorShape([o.inputs[0].shape.with_rank(3).values[1] if o.inputs[0].shape.values else None, 1]),
    ],
)


@tf_export("nn.ctc_greedy_decoder")
def ctc_greedy_decoder(inputs: Any, sequence_length: Any, merge_repeated: bool = True) -> Any:
    indices, values, dense_shape, scores = apply_op(
        "CTCGreedyDecoder", inputs, sequence_length, merge_repeated=merge_repeated
    )
    return [SparseTensor(indices, values, dense_shape)], scores


def _beam(
    inputs: TorchTensor,
    sequence_length: TorchTensor,
    beam_width: int = 100,
    top_paths: int = 1,
    merge_repeated: bool = True,
) -> tuple[TorchTensor, ...]:
    found = ctc_decoding.ctc_beam_search(
        inputs.detach(),
        sequence_length.long(),
        beam_width=beam_width,
        top_paths=top_paths,
        merge_repeated=merge_repeated,
        time_major=True,
    )
    parts = [_sparse_rows(path.labels) for path in found]
    scores = torch.stack([path.score for path in found], 1).to(inputs.dtype)
    return (*(p[0] for p in parts), *(p[1] for p in parts), *(p[2] for p in parts), scores)


def _beam_shapes(operation: Any) -> list[TensorShape]:
    paths = operation.attrs["top_paths"]
    rows = operation.inputs[0].shape.with_rank(3).values
    return [p for p in _PARTS for _ in range(paths)] + [TensorShape([rows[1] if rows else None, paths])]


op(
    "CTCBeamSearchDecoder",
    "inputs:float32, sequence_length:int32 -> top_paths*int64, top_paths*int64, top_paths*int64, float32",
    _beam,
    diff=False,
    shape=_beam_shapes,
)


@tf_export("nn.ctc_beam_search_decoder")
def ctc_beam_search_decoder(
    inputs: Any, sequence_length: Any, beam_width: int = 100, top_paths: int = 1, merge_repeated: bool = True
) -> Any:
    if top_paths > beam_width:
        raise ValueError("requested more paths than the beam width.")
    parts = apply_op(
        "CTCBeamSearchDecoder",
        inputs,
        sequence_length,
        beam_width=beam_width,
        top_paths=top_paths,
        merge_repeated=merge_repeated,
    )
    triples = zip(
        parts[:top_paths], parts[top_paths : 2 * top_paths], parts[2 * top_paths : 3 * top_paths], strict=True
    )
    return [SparseTensor(*t) for t in triples], parts[-1]


@tf_export("nn.ctc_beam_search_decoder_v2")
def ctc_beam_search_decoder_v2(inputs: Any, sequence_length: Any, beam_width: int = 100, top_paths: int = 1) -> Any:
    return ctc_beam_search_decoder(inputs, sequence_length, beam_width, top_paths, merge_repeated=False)


def _collapse(seq: TorchTensor, seq_length: TorchTensor) -> tuple[TorchTensor, TorchTensor]:
    rows = [torch.unique_consecutive(row[: int(n)]) for row, n in zip(seq, seq_length, strict=True)]
    lengths = torch.tensor([len(r) for r in rows], dtype=seq_length.dtype)
    out = torch.zeros(len(rows), int(lengths.max()) if len(rows) else 0, dtype=seq.dtype)
    for n, row in enumerate(rows):
        out[n, : len(row)] = row
    return out, lengths


def _collapse_shapes(operation: Any) -> list[TensorShape]:
    """Known when the labels are constants, as TensorFlow's folding makes it."""
    from recurra.tf1.constants import constant_value

    seq, lengths = operation.inputs
    rows = (seq.shape.values or (None,))[0]
    values = constant_value(seq), constant_value(lengths)
    longest = None
    if values[0] is not None and values[1] is not None:
        longest = _collapse(torch.from_numpy(values[0]), torch.from_numpy(values[1]))[0].shape[1]
    return [TensorShape([rows, longest]), lengths.shape]


op("CollapseRepeated", "seq:T, seq_length:Tn -> T, Tn", _collapse, diff=False, shape=_collapse_shapes)


@tf_export("nn.collapse_repeated")
def collapse_repeated(labels: Any, seq_length: Any, name: str | None = None) -> Any:
    return tuple(apply_op("CollapseRepeated", labels, seq_length, name=name))
