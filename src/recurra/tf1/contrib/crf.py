"""tf.contrib.crf on the library's chain CRF: one primitive per quantity, TensorFlow's argument orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor as TorchTensor

from recurra import crf
from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.names import tf_export
from recurra.tf1.registry import op
from recurra.tf1.scopes import get_variable
from recurra.tf1.shapes import TensorShape

__all__ = ["crf_decode", "crf_log_likelihood"]


def _lengths(sequence_lengths: TorchTensor, inputs: TorchTensor) -> TorchTensor:
    return sequence_lengths.long().clamp(0, inputs.shape[1])


def _score(
    inputs: TorchTensor, tag_indices: TorchTensor, sequence_lengths: TorchTensor, transition_params: TorchTensor
) -> TorchTensor:
    return crf.sequence_score(inputs, tag_indices.long(), transition_params, _lengths(sequence_lengths, inputs))


def _log_norm(inputs: TorchTensor, sequence_lengths: TorchTensor, transition_params: TorchTensor) -> TorchTensor:
    return crf.log_norm(inputs, transition_params, _lengths(sequence_lengths, inputs))


def _multitag(
    inputs: TorchTensor, tag_bitmap: TorchTensor, sequence_lengths: TorchTensor, transition_params: TorchTensor
) -> TorchTensor:
    return crf.multitag_score(inputs, tag_bitmap.bool(), transition_params, _lengths(sequence_lengths, inputs))


def _decode(
    potentials: TorchTensor, transition_params: TorchTensor, sequence_length: TorchTensor
) -> tuple[TorchTensor, TorchTensor]:
    """A row of length 0 is decoded as if it had one step, as TensorFlow does."""
    lengths = _lengths(sequence_length, potentials).clamp(min=1)
    tags, score = crf.viterbi(potentials, transition_params, lengths)
    return tags.int(), score


def _rows(operation: Any) -> TensorShape:
    return operation.inputs[0].shape.with_rank(3)[:1]


op(
    "CrfSequenceScore",
    "inputs:T, tag_indices:int32, sequence_lengths:int32, transition_params:T -> T",
    _score,
    shape=_rows,
)
op("CrfLogNorm", "inputs:T, sequence_lengths:int32, transition_params:T -> T", _log_norm, shape=_rows)
op(
    "CrfMultitagScore",
    "inputs:T, tag_bitmap:bool, sequence_lengths:int32, transition_params:T -> T",
    _multitag,
    shape=_rows,
)
op(
    "CrfDecode",
    "potentials:T, transition_params:T, sequence_length:int32 -> int32, T",
    _decode,
    diff=False,
    shape=lambda o: [o.inputs[0].shape.with_rank(3)[:2], _rows(o)],
)


def _int32(value: Any) -> Any:
    from recurra.tf1.ops.math_unary import cast

    return cast(convert_to_tensor(value), dtypes.int32)


@tf_export("contrib.crf.crf_sequence_score")
def crf_sequence_score(inputs: Any, tag_indices: Any, sequence_lengths: Any, transition_params: Any) -> Any:
    return apply_op("CrfSequenceScore", inputs, _int32(tag_indices), _int32(sequence_lengths), transition_params)


@tf_export("contrib.crf.crf_log_norm")
def crf_log_norm(inputs: Any, sequence_lengths: Any, transition_params: Any) -> Any:
    return apply_op("CrfLogNorm", inputs, _int32(sequence_lengths), transition_params)


@tf_export("contrib.crf.crf_multitag_sequence_score")
def crf_multitag_sequence_score(inputs: Any, tag_bitmap: Any, sequence_lengths: Any, transition_params: Any) -> Any:
    return apply_op("CrfMultitagScore", inputs, tag_bitmap, _int32(sequence_lengths), transition_params)


@tf_export("contrib.crf.crf_log_likelihood")
def crf_log_likelihood(
    inputs: Any, tag_indices: Any, sequence_lengths: Any, transition_params: Any = None
) -> tuple[Any, Any]:
    """(log-likelihood `[B]`, transitions); without transitions a variable `transitions` is made."""
    inputs = convert_to_tensor(inputs)
    if transition_params is None:
        tags = inputs.get_shape().as_list()[2]
        transition_params = get_variable("transitions", [tags, tags])
    score = crf_sequence_score(inputs, tag_indices, sequence_lengths, transition_params)
    return score - crf_log_norm(inputs, sequence_lengths, transition_params), transition_params


@tf_export("contrib.crf.crf_unary_score")
def crf_unary_score(tag_indices: Any, sequence_lengths: Any, inputs: Any) -> Any:
    tags = convert_to_tensor(inputs).get_shape().as_list()[2]
    return crf_sequence_score(inputs, tag_indices, sequence_lengths, np.zeros((tags, tags), np.float32))


@tf_export("contrib.crf.crf_binary_score")
def crf_binary_score(tag_indices: Any, sequence_lengths: Any, transition_params: Any) -> Any:
    transition_params = convert_to_tensor(transition_params)
    tags = transition_params.get_shape().as_list()[0]
    tag_indices = convert_to_tensor(tag_indices)
    shape = apply_op("ConcatV2", [apply_op("Shape", tag_indices, out_type=dtypes.int32), [tags]], 0)
    nothing = apply_op("Fill", shape, convert_to_tensor(0, dtype=transition_params.dtype.base_dtype))
    return crf_sequence_score(nothing, tag_indices, sequence_lengths, transition_params)


@tf_export("contrib.crf.crf_decode")
def crf_decode(potentials: Any, transition_params: Any, sequence_length: Any) -> tuple[Any, Any]:
    """(tags `[B, T]` int32, score of the best path `[B]`)."""
    tags, score = apply_op("CrfDecode", potentials, transition_params, _int32(sequence_length))
    return tags, score


@tf_export("contrib.crf.viterbi_decode")
def viterbi_decode(score: Any, transition_params: Any) -> tuple[list[int], Any]:
    """The best path of one sequence `[T, K]` of NumPy scores, and its score."""
    score, transitions = np.asarray(score), np.asarray(transition_params)
    best = np.zeros_like(score)
    back = np.zeros(score.shape, np.int32)
    best[0] = score[0]
    for t in range(1, score.shape[0]):
        paths = best[t - 1][:, None] + transitions
        best[t] = score[t] + paths.max(0)
        back[t] = paths.argmax(0)
    tags = [int(best[-1].argmax())]
    for pointers in back[:0:-1]:
        tags.append(int(pointers[tags[-1]]))
    return tags[::-1], best[-1].max()
