"""tf.linalg and the Fourier transforms: torch.linalg under TensorFlow's names and conventions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.errors import InvalidArgumentError
from recurra.tf1.names import export, tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["cholesky", "matrix_inverse"]


def _square(operation: Any) -> TensorShape:
    """Shape of input 0, whose last two dimensions must agree."""
    shape = operation.inputs[0].shape.with_rank_at_least(2)
    if shape.ndims is not None:
        rows, columns = shape.values[-2:]
        if None not in (rows, columns) and rows != columns:
            raise ValueError(f"Dimensions must be equal, but are {rows} and {columns}")
    return shape


def _cholesky(input: TorchTensor) -> TorchTensor:
    factor, info = torch.linalg.cholesky_ex(input)
    if bool((info != 0).any()):
        raise InvalidArgumentError(
            None, None, "Cholesky decomposition was not successful. The input might not be valid."
        )
    return factor


def _inverse(input: TorchTensor, adjoint: bool = False) -> TorchTensor:
    result, info = torch.linalg.inv_ex(input.mH if adjoint else input)
    if bool((info != 0).any()):
        raise InvalidArgumentError(None, None, "Input is not invertible.")
    return result


def _solve(matrix: TorchTensor, rhs: TorchTensor, adjoint: bool = False) -> TorchTensor:
    result, info = torch.linalg.solve_ex(matrix.mH if adjoint else matrix, rhs)
    if bool((info != 0).any()):
        raise InvalidArgumentError(None, None, "Input matrix is not invertible.")
    return result


def _triangular_solve(matrix: TorchTensor, rhs: TorchTensor, lower: bool = True, adjoint: bool = False) -> TorchTensor:
    if bool((matrix.diagonal(dim1=-2, dim2=-1) == 0).any()):
        raise InvalidArgumentError(None, None, "Input matrix is not invertible.")
    part = torch.tril(matrix) if lower else torch.triu(matrix)
    return torch.linalg.solve_triangular(part.mH if adjoint else part, rhs, upper=lower == adjoint)


def _solve_shape(operation: Any) -> TensorShape:
    matrix, rhs = operation.inputs[0].shape.with_rank_at_least(2), operation.inputs[1].shape.with_rank_at_least(2)
    if matrix.ndims is None or rhs.ndims is None:
        return TensorShape(None)
    rows, columns = matrix.values[-2:]
    if rows is not None and rhs.values[-2] is not None and rows != rhs.values[-2]:
        raise ValueError(f"Dimensions must be equal, but are {rows} and {rhs.values[-2]}")
    return matrix[:-2].concatenate([columns, rhs.values[-1]])


def _least_squares(
    matrix: TorchTensor, rhs: TorchTensor, l2_regularizer: TorchTensor, fast: bool = True
) -> TorchTensor:
    """Normal equations of the smaller side, with an optional ridge."""
    rows, columns = matrix.shape[-2:]
    ridge = l2_regularizer.to(matrix.dtype)
    if not fast and float(l2_regularizer) == 0.0:
        return torch.linalg.lstsq(matrix, rhs).solution
    if rows >= columns:
        gram = matrix.mH @ matrix + ridge * torch.eye(columns, dtype=matrix.dtype)
        return torch.cholesky_solve(matrix.mH @ rhs, torch.linalg.cholesky(gram))
    gram = matrix @ matrix.mH + ridge * torch.eye(rows, dtype=matrix.dtype)
    return matrix.mH @ torch.cholesky_solve(rhs, torch.linalg.cholesky(gram))


def _eigh(input: TorchTensor, compute_v: bool = True) -> tuple[TorchTensor, TorchTensor]:
    lower = torch.tril(input) + torch.tril(input, -1).mH
    if not compute_v:
        return torch.linalg.eigvalsh(lower), torch.empty(0, dtype=input.dtype)
    values, vectors = torch.linalg.eigh(lower)
    return values, vectors


def _eigh_shape(operation: Any) -> list[TensorShape]:
    shape = _square(operation)
    if shape.ndims is None:
        return [shape, shape]
    return [shape[:-1], shape if operation.attrs.get("compute_v", True) else TensorShape([0])]


def _svd(input: TorchTensor, compute_uv: bool = True, full_matrices: bool = False) -> tuple[TorchTensor, ...]:
    if not compute_uv:
        empty = torch.empty(0, dtype=input.dtype)
        return torch.linalg.svdvals(input), empty, empty
    u, s, vh = torch.linalg.svd(input, full_matrices=full_matrices)
    return s, u, vh.mH


def _svd_shape(operation: Any) -> list[TensorShape]:
    shape = operation.inputs[0].shape.with_rank_at_least(2)
    if shape.ndims is None:
        return [shape] * 3
    batch, (rows, columns) = shape[:-2], shape.values[-2:]
    small = None if None in (rows, columns) else min(rows, columns)
    if not operation.attrs.get("compute_uv", True):
        return [batch.concatenate([small]), TensorShape([0]), TensorShape([0])]
    full = operation.attrs.get("full_matrices", False)
    return [
        batch.concatenate([small]),
        batch.concatenate([rows, rows if full else small]),
        batch.concatenate([columns, columns if full else small]),
    ]


def _qr(input: TorchTensor, full_matrices: bool = False) -> tuple[TorchTensor, TorchTensor]:
    return tuple(torch.linalg.qr(input, "complete" if full_matrices else "reduced"))  # type: ignore[return-value]


def _qr_shape(operation: Any) -> list[TensorShape]:
    shape = operation.inputs[0].shape.with_rank_at_least(2)
    if shape.ndims is None:
        return [shape] * 2
    batch, (rows, columns) = shape[:-2], shape.values[-2:]
    small = (
        rows if operation.attrs.get("full_matrices", False) else None if None in (rows, columns) else min(rows, columns)
    )
    return [batch.concatenate([rows, small]), batch.concatenate([small, columns])]


def _sqrtm(input: TorchTensor) -> TorchTensor:
    from scipy.linalg import sqrtm

    return _by_matrix(sqrtm, input)


def _logm(input: TorchTensor) -> TorchTensor:
    from scipy.linalg import logm

    return _by_matrix(logm, input)


def _by_matrix(function: Callable[[np.ndarray], np.ndarray], input: TorchTensor) -> TorchTensor:
    flat = input.detach().reshape(-1, *input.shape[-2:]).numpy()
    results = [function(m.astype(np.complex128 if np.iscomplexobj(m) else np.float64)) for m in flat]
    real = [r if input.is_complex() else np.real(r) for r in results]
    return torch.from_numpy(np.stack(real)).to(input.dtype).reshape(input.shape) if results else input


def _scalars(operation: Any) -> TensorShape:
    return _square(operation)[:-2]


op("Cholesky", "input:T -> T", _cholesky, shape=_square)
op("MatrixInverse", "input:T -> T", _inverse, shape=_square)
op("MatrixDeterminant", "input:T -> T", torch.linalg.det, shape=_scalars)
op(
    "LogMatrixDeterminant",
    "input:T -> T, T",
    lambda input: tuple(torch.linalg.slogdet(input)),
    shape=lambda o: [_scalars(o)] * 2,
)
op("MatrixSolve", "matrix:T, rhs:T -> T", _solve, shape=_solve_shape)
op("MatrixTriangularSolve", "matrix:T, rhs:T -> T", _triangular_solve, shape=_solve_shape)
op("MatrixSolveLs", "matrix:T, rhs:T, l2_regularizer:float64 -> T", _least_squares, shape=_solve_shape)
op("SelfAdjointEigV2", "input:T -> T, T", _eigh, shape=_eigh_shape)
op("Svd", "input:T -> T, T, T", _svd, shape=_svd_shape)
op("Qr", "input:T -> T, T", _qr, shape=_qr_shape)
op("MatrixExponential", "input:T -> T", torch.linalg.matrix_exp, shape=_square)
op("MatrixLogarithm", "input:T -> T", _logm, diff=False, shape=_square)
op("MatrixSquareRoot", "input:T -> T", _sqrtm, diff=False, shape=_square)


@tf_export("cholesky", "linalg.cholesky")
def cholesky(input: Any, name: str | None = None) -> Any:
    return apply_op("Cholesky", input, name=name)


@tf_export("matrix_inverse", "linalg.inv")
def matrix_inverse(input: Any, adjoint: bool = False, name: str | None = None) -> Any:
    return apply_op("MatrixInverse", input, adjoint=adjoint, name=name)


@tf_export("matrix_determinant", "linalg.det")
def matrix_determinant(input: Any, name: str | None = None) -> Any:
    return apply_op("MatrixDeterminant", input, name=name)


@tf_export("linalg.slogdet")
def slogdet(input: Any, name: str | None = None) -> Any:
    from collections import namedtuple

    return namedtuple("LogMatrixDeterminant", "sign log_abs_determinant")(
        *apply_op("LogMatrixDeterminant", input, name=name)
    )


@tf_export("linalg.logdet")
def logdet(matrix: Any, name: str | None = None) -> Any:
    with name_scope(name, "logdet", [matrix]):
        diagonal = (
            apply_op("Real", apply_op("MatrixDiagPart", cholesky(matrix)))
            if convert_to_tensor(matrix).dtype.is_complex
            else apply_op("MatrixDiagPart", cholesky(matrix))
        )
        return 2.0 * apply_op("Sum", apply_op("Log", diagonal), [-1], keep_dims=False)


@tf_export("matrix_solve", "linalg.solve")
def matrix_solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Any:
    return apply_op("MatrixSolve", matrix, rhs, adjoint=adjoint, name=name)


@tf_export("matrix_triangular_solve", "linalg.triangular_solve")
def matrix_triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None
) -> Any:
    return apply_op("MatrixTriangularSolve", matrix, rhs, lower=lower, adjoint=adjoint, name=name)


@tf_export("cholesky_solve", "linalg.cholesky_solve")
def cholesky_solve(chol: Any, rhs: Any, name: str | None = None) -> Any:
    with name_scope(name, "cholesky_solve", [chol, rhs]):
        return matrix_triangular_solve(chol, matrix_triangular_solve(chol, rhs), adjoint=True)


@tf_export("matrix_solve_ls", "linalg.lstsq")
def matrix_solve_ls(
    matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True, name: str | None = None
) -> Any:
    with name_scope(name, "matrix_solve_ls", [matrix, rhs]):
        ridge = convert_to_tensor(l2_regularizer, dtype=dtypes.float64)
        return apply_op("MatrixSolveLs", matrix, rhs, ridge, fast=fast)


@tf_export("self_adjoint_eig", "linalg.eigh")
def self_adjoint_eig(tensor: Any, name: str | None = None) -> Any:
    return tuple(apply_op("SelfAdjointEigV2", tensor, compute_v=True, name=name))


@tf_export("self_adjoint_eigvals", "linalg.eigvalsh")
def self_adjoint_eigvals(tensor: Any, name: str | None = None) -> Any:
    return apply_op("SelfAdjointEigV2", tensor, compute_v=False, name=name)[0]


@tf_export("svd", "linalg.svd")
def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    s, u, v = apply_op("Svd", tensor, compute_uv=compute_uv, full_matrices=full_matrices, name=name)
    return (s, u, v) if compute_uv else s


@tf_export("qr", "linalg.qr")
def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> Any:
    from collections import namedtuple

    return namedtuple("Qr", "q r")(*apply_op("Qr", input, full_matrices=full_matrices, name=name))


def _one_argument(kind: str) -> Callable[..., Any]:
    return lambda input, name=None: apply_op(kind, input, name=name)


export(_one_argument("MatrixExponential"), "linalg.expm")
export(_one_argument("MatrixLogarithm"), "linalg.logm")
export(_one_argument("MatrixSquareRoot"), "linalg.sqrtm", "matrix_square_root")


@tf_export("linalg.adjoint")
def adjoint(matrix: Any, name: str | None = None) -> Any:
    with name_scope(name, "adjoint", [matrix]):
        matrix = convert_to_tensor(matrix, name="matrix")
        rank = matrix.get_shape().ndims
        swapped = apply_op("Transpose", matrix, [*range(rank - 2), rank - 1, rank - 2])
        return apply_op("Conj", swapped) if matrix.dtype.is_complex else swapped


@tf_export("linalg.matvec")
def matvec(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    adjoint_a: bool = False,
    a_is_sparse: bool = False,
    b_is_sparse: bool = False,
    name: str | None = None,
) -> Any:
    from recurra.tf1 import names

    with name_scope(name, "MatVec", [a, b]):
        product = names.lookup("matmul")(a, apply_op("ExpandDims", b, -1), transpose_a=transpose_a, adjoint_a=adjoint_a)
        return apply_op("Squeeze", product, squeeze_dims=[-1])


def _fft_shape(operation: Any) -> TensorShape:
    return operation.inputs[0].shape.with_rank_at_least(1)


def _fft(transform: Callable[..., TorchTensor], rank: int) -> Callable[[TorchTensor], TorchTensor]:
    axes = tuple(range(-rank, 0))
    return lambda input: transform(input, dim=axes)


for _rank, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    _lower = _suffix.lower()
    op(f"FFT{_suffix}", "input:Tcomplex -> Tcomplex", _fft(torch.fft.fftn, _rank), shape=_fft_shape)
    op(f"IFFT{_suffix}", "input:Tcomplex -> Tcomplex", _fft(torch.fft.ifftn, _rank), shape=_fft_shape)
    export(_one_argument(f"FFT{_suffix}"), f"fft{_lower}", f"spectral.fft{_lower}", f"signal.fft{_lower}")
    export(_one_argument(f"IFFT{_suffix}"), f"ifft{_lower}", f"spectral.ifft{_lower}", f"signal.ifft{_lower}")


def _real_shape(rank: int, inverse: bool) -> Callable[[Any], TensorShape]:
    from recurra.tf1.constants import constant_value

    def rule(operation: Any) -> TensorShape:
        shape, length = operation.inputs[0].shape.with_rank_at_least(rank), constant_value(operation.inputs[1])
        if shape.ndims is None:
            return shape
        sizes = [None] * rank if length is None else [int(n) for n in length]
        if sizes[-1] is not None and not inverse:
            sizes[-1] = sizes[-1] // 2 + 1 if sizes[-1] else 0
        return shape[:-rank].concatenate(sizes)

    return rule


def _real_fft(rank: int, inverse: bool) -> Callable[[TorchTensor, TorchTensor], TorchTensor]:
    transform, axes = (torch.fft.irfftn if inverse else torch.fft.rfftn), tuple(range(-rank, 0))
    return lambda input, fft_length: transform(input, s=fft_length.tolist(), dim=axes)


def _real_function(kind: str, rank: int, inverse: bool) -> Callable[..., Any]:
    def transform(input_tensor: Any, fft_length: Any = None, name: str | None = None) -> Any:
        with name_scope(name, kind.lower(), [input_tensor, fft_length]) as scope:
            dtype = dtypes.complex64 if inverse else dtypes.float32
            input_tensor = convert_to_tensor(input_tensor, dtype)
            input_tensor.get_shape().with_rank_at_least(rank)
            if fft_length is None:
                fft_length = _inferred_length(input_tensor, rank, inverse)
            return apply_op(kind, input_tensor, convert_to_tensor(fft_length, dtype=dtypes.int32), name=scope)

    return transform


def _inferred_length(tensor: Any, rank: int, inverse: bool) -> Any:
    sizes = tensor.get_shape().values[-rank:]
    if None not in sizes:
        last = max(0, 2 * (sizes[-1] - 1)) if inverse else sizes[-1]
        return [*sizes[:-1], last]
    shape = apply_op("Shape", tensor, out_type=dtypes.int32)[-rank:]
    if not inverse:
        return shape
    return apply_op("ConcatV2", [shape[:-1], apply_op("Maximum", 0, 2 * (shape[-1:] - 1))], 0)


for _rank, _suffix in ((1, ""), (2, "2D"), (3, "3D")):
    _lower = _suffix.lower()
    op(
        f"RFFT{_suffix}",
        "input:float32, fft_length:int32 -> complex64",
        _real_fft(_rank, False),
        shape=_real_shape(_rank, False),
    )
    op(
        f"IRFFT{_suffix}",
        "input:complex64, fft_length:int32 -> float32",
        _real_fft(_rank, True),
        shape=_real_shape(_rank, True),
    )
    export(_real_function(f"RFFT{_suffix}", _rank, False), f"spectral.rfft{_lower}", f"signal.rfft{_lower}")
    export(_real_function(f"IRFFT{_suffix}", _rank, True), f"spectral.irfft{_lower}", f"signal.irfft{_lower}")
