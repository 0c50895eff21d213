"""The younger half of tf.linalg: LU, pseudo-inverse, rank, tridiagonal systems."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op

__all__ = ["lu", "pinv"]

tf = space("")

Lu = namedtuple("Lu", ["lu", "p"])


def _lu(input: TorchTensor, output_idx_type: Any = dtypes.int32) -> tuple[TorchTensor, TorchTensor]:
    factors, pivots = torch.linalg.lu_factor(input)
    permutation = torch.lu_unpack(factors, pivots, unpack_data=False)[0]
    return factors, permutation.argmax(-2).to(output_idx_type.torch)


op(
    "Lu",
    "input:T -> T, output_idx_type",
    _lu,
    shape=lambda o: [o.inputs[0].shape, o.inputs[0].shape[:-1]],
    output_idx_type=dtypes.int32,
)


@tf_export("linalg.lu")
def lu(input: Any, output_idx_type: Any = dtypes.int32, name: str | None = None) -> Any:
    """(L below and U above the diagonal in one matrix, p) with input[p] = L·U."""
    return Lu(*apply_op("Lu", input, output_idx_type=dtypes.as_dtype(output_idx_type), name=name))


def _limit(a: Any, scale: Any) -> Any:
    """The machine's smallest singular value worth counting, over the largest: eps · max(rows, columns) · scale."""
    rows, columns = a.shape.values[-2:]
    return np.finfo(a.dtype.as_numpy_dtype).eps * max(rows, columns) * scale


@tf_export("linalg.matrix_rank")
def matrix_rank(a: Any, tol: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """How many singular values are above `tol` (default: rounding of the largest)."""
    with name_scope(name, "matrix_rank", [a]):
        a = convert_to_tensor(a, name="a")
        values = tf.linalg.svd(a, compute_uv=False)
        if tol is None:
            tol = _limit(a, tf.reduce_max(values, axis=-1, keepdims=True))
        return tf.reduce_sum(tf.cast(values > tol, dtypes.int32), axis=-1)


@tf_export("linalg.pinv")
def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: str | None = None) -> Any:
    """The Moore-Penrose inverse; singular values below rcond times the largest count as zero."""
    with name_scope(name, "pinv", [a]):
        a = convert_to_tensor(a, name="a")
        rcond = convert_to_tensor(_limit(a, 10.0) if rcond is None else rcond, dtype=a.dtype)
        values, left, right = tf.linalg.svd(a, full_matrices=False)
        cutoff = rcond * tf.reduce_max(values, axis=-1)
        kept = values > cutoff[..., None]
        inverted = tf.where(kept, 1.0 / tf.where(kept, values, tf.ones_like(values)), tf.zeros_like(values))
        return tf.matmul(right * inverted[..., None, :], left, adjoint_b=True)


@tf_export("linalg.normalize")
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None) -> Any:
    """(tensor over its norm, the norm)."""
    with name_scope(name, "normalize", [tensor]):
        tensor = convert_to_tensor(tensor)
        norm = tf.norm(tensor, ord, axis, keepdims=True)
        norm = tf.cast(norm, tensor.dtype)
        return tensor / norm, norm


def _bands(diagonals: Any, form: str) -> tuple[Any, Any, Any]:
    """Super-, main and sub-diagonal of [..., n], in the compact form's padding (last of super, first of sub unused)."""
    if form == "sequence":
        upper, main, lower = (convert_to_tensor(d) for d in diagonals)
        size = main.shape.values[-1]
        pad = [[0, 0]] * (main.shape.ndims - 1)
        if upper.shape.values[-1] == size - 1:
            upper = tf.pad(upper, [*pad, [0, 1]])
        if lower.shape.values[-1] == size - 1:
            lower = tf.pad(lower, [*pad, [1, 0]])
        return upper, main, lower
    if form == "matrix":
        matrix = convert_to_tensor(diagonals)
        pad = [[0, 0]] * (matrix.shape.ndims - 2)
        upper, lower = tf.linalg.diag_part(matrix[..., :-1, 1:]), tf.linalg.diag_part(matrix[..., 1:, :-1])
        return tf.pad(upper, [*pad, [0, 1]]), tf.linalg.diag_part(matrix), tf.pad(lower, [*pad, [1, 0]])
    if form != "compact":
        raise ValueError(f"Unrecognized diagonals_format: {form}")
    packed = convert_to_tensor(diagonals)
    return packed[..., 0, :], packed[..., 1, :], packed[..., 2, :]


def _dense(bands: tuple[Any, Any, Any]) -> Any:
    upper, main, lower = bands
    pad = [[0, 0]] * (main.shape.ndims - 1)
    above = tf.pad(tf.linalg.diag(upper[..., :-1]), [*pad, [0, 1], [1, 0]])
    below = tf.pad(tf.linalg.diag(lower[..., 1:]), [*pad, [1, 0], [0, 1]])
    return tf.linalg.diag(main) + above + below


@tf_export("linalg.tridiagonal_matmul")
def tridiagonal_matmul(diagonals: Any, rhs: Any, diagonals_format: str = "compact", name: str | None = None) -> Any:
    """A tridiagonal matrix times `rhs`."""
    with name_scope(name, "tridiagonal_matmul"):
        upper, main, lower = _bands(diagonals, diagonals_format)
        rhs = convert_to_tensor(rhs)
        pad = [[0, 0]] * (rhs.shape.ndims - 2)
        following = tf.pad(rhs[..., 1:, :], [*pad, [0, 1], [0, 0]])
        before = tf.pad(rhs[..., :-1, :], [*pad, [1, 0], [0, 0]])
        return main[..., None] * rhs + upper[..., None] * following + lower[..., None] * before


@tf_export("linalg.tridiagonal_solve")
def tridiagonal_solve(
    diagonals: Any,
    rhs: Any,
    diagonals_format: str = "compact",
    transpose_rhs: bool = False,
    conjugate_rhs: bool = False,
    name: str | None = None,
    partial_pivoting: bool = True,
) -> Any:
    """x with (tridiagonal matrix)·x = rhs; rhs [..., n] or [..., n, k]."""
    with name_scope(name, "tridiagonal_solve"):
        bands, rhs = _bands(diagonals, diagonals_format), convert_to_tensor(rhs)
        rhs = tf.conj(rhs) if conjugate_rhs else rhs
        vector = rhs.shape.ndims == bands[1].shape.ndims
        rhs = rhs[..., None] if vector else tf.matrix_transpose(rhs) if transpose_rhs else rhs
        solved = tf.linalg.solve(_dense(bands), rhs)
        return solved[..., 0] if vector else solved
