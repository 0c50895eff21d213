"""tf.linalg.LinearOperator…: matrices by their structure. A transformer's look-ahead mask is the lower triangle's `to_dense()`."""  # noqa: E501

from __future__ import annotations

from typing import Any

from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


@tf_export("linalg.LinearOperator", "contrib.linalg.LinearOperator")
class LinearOperator:
    """A matrix `[..., M, N]`; children say what `to_dense` is, and what their structure makes cheaper."""

    def __init__(
        self,
        dtype: Any,
        graph_parents: Any = None,
        is_non_singular: bool | None = None,
        is_self_adjoint: bool | None = None,
        is_positive_definite: bool | None = None,
        is_square: bool | None = None,
        name: str | None = None,
    ) -> None:
        self._dtype, self._graph_parents = dtype, list(graph_parents or ())
        self.is_non_singular, self.is_self_adjoint = is_non_singular, is_self_adjoint
        self.is_positive_definite, self._is_square = is_positive_definite, is_square
        self._name = name or type(self).__name__

    dtype = property(lambda self: self._dtype)
    name = property(lambda self: self._name)
    graph_parents = property(lambda self: self._graph_parents)
    shape = property(lambda self: self._shape())
    batch_shape = property(lambda self: self._shape()[:-2])
    tensor_rank = property(lambda self: self._shape().ndims)
    domain_dimension = property(lambda self: self._shape()[-1])
    range_dimension = property(lambda self: self._shape()[-2])

    @property
    def is_square(self) -> bool | None:
        """Whether rows and columns are as many: as was said, else as the shape says."""
        rows, columns = self._shape().as_list()[-2:] if self._is_square is None else (None, None)
        return self._is_square if None in (rows, columns) else rows == columns

    def _shape(self) -> TensorShape:
        return self._dense().get_shape()

    def _dense(self) -> Any:
        raise NotImplementedError

    def to_dense(self, name: str = "to_dense") -> Any:
        """The matrix itself."""
        with name_scope(f"{self._name}/{name}"):
            return self._dense()

    def shape_tensor(self, name: str = "shape_tensor") -> Any:
        """The shape, known while the graph runs."""
        return tf.shape(self._dense(), name=name)

    def matmul(self, x: Any, adjoint: bool = False, adjoint_arg: bool = False, name: str = "matmul") -> Any:
        """operator @ x."""
        return tf.matmul(self._dense(), x, adjoint_a=adjoint, adjoint_b=adjoint_arg, name=name)

    def matvec(self, x: Any, adjoint: bool = False, name: str = "matvec") -> Any:
        """operator @ x, x a vector."""
        column = tf.expand_dims(convert_to_tensor(x, dtype=self._dtype), -1)
        return tf.squeeze(self.matmul(column, adjoint), [-1], name=name)

    def solve(self, rhs: Any, adjoint: bool = False, adjoint_arg: bool = False, name: str = "solve") -> Any:
        """The x of operator @ x = rhs."""
        rhs = convert_to_tensor(rhs, dtype=self._dtype)
        return self._solve(tf.linalg.adjoint(rhs) if adjoint_arg else rhs, adjoint, name)

    def solvevec(self, rhs: Any, adjoint: bool = False, name: str = "solve") -> Any:
        """The x of operator @ x = rhs, both vectors."""
        column = tf.expand_dims(convert_to_tensor(rhs, dtype=self._dtype), -1)
        return tf.squeeze(self.solve(column, adjoint), [-1], name=name)

    def _solve(self, rhs: Any, adjoint: bool, name: str) -> Any:
        return tf.matrix_solve(self._dense(), rhs, adjoint=adjoint, name=name)

    def diag_part(self, name: str = "diag_part") -> Any:
        """The diagonal."""
        return tf.matrix_diag_part(self._dense(), name=name)

    def trace(self, name: str = "trace") -> Any:
        """The sum of the diagonal."""
        return tf.reduce_sum(self.diag_part(), axis=-1, name=name)

    def determinant(self, name: str = "det") -> Any:
        """The determinant."""
        return tf.matrix_determinant(self._dense(), name=name)

    def log_abs_determinant(self, name: str = "log_abs_det") -> Any:
        """log |determinant|."""
        return tf.log(tf.abs(self.determinant()), name=name)

    def add_to_tensor(self, x: Any, name: str = "add_to_tensor") -> Any:
        """operator + x."""
        return tf.add(self._dense(), x, name=name)


class _OnDiagonal(LinearOperator):
    """Determinants are products of the diagonal."""

    def determinant(self, name: str = "det") -> Any:
        return tf.reduce_prod(self.diag_part(), axis=-1, name=name)

    def log_abs_determinant(self, name: str = "log_abs_det") -> Any:
        return tf.reduce_sum(tf.log(tf.abs(self.diag_part())), axis=-1, name=name)


@tf_export("linalg.LinearOperatorFullMatrix", "contrib.linalg.LinearOperatorFullMatrix")
class LinearOperatorFullMatrix(LinearOperator):
    """A matrix without structure."""

    def __init__(self, matrix: Any, *properties: Any, name: str = "LinearOperatorFullMatrix", **named: Any) -> None:
        self._matrix = convert_to_tensor(matrix, name="matrix")
        super().__init__(self._matrix.dtype, [self._matrix], *properties, name=name, **named)

    def _dense(self) -> Any:
        return self._matrix


@tf_export(
    "linalg.LinearOperatorLowerTriangular",
    "contrib.linalg.LinearOperatorLowerTriangular",
    "contrib.linalg.LinearOperatorTriL",
)
class LinearOperatorLowerTriangular(_OnDiagonal):
    """The lower triangle of `tril`; what lies above is not read."""

    def __init__(self, tril: Any, *properties: Any, name: str = "LinearOperatorLowerTriangular", **named: Any) -> None:
        self._tril = convert_to_tensor(tril, name="tril")
        super().__init__(self._tril.dtype, [self._tril], *properties, name=name, **named)

    def _dense(self) -> Any:
        return tf.matrix_band_part(self._tril, -1, 0)

    def _solve(self, rhs: Any, adjoint: bool, name: str) -> Any:
        return tf.matrix_triangular_solve(self._tril, rhs, lower=True, adjoint=adjoint, name=name)


@tf_export("linalg.LinearOperatorDiag", "contrib.linalg.LinearOperatorDiag")
class LinearOperatorDiag(_OnDiagonal):
    """A diagonal matrix."""

    def __init__(self, diag: Any, *properties: Any, name: str = "LinearOperatorDiag", **named: Any) -> None:
        self._diag = convert_to_tensor(diag, name="diag")
        super().__init__(self._diag.dtype, [self._diag], *properties, name=name, **named)

    diag = property(lambda self: self._diag)

    def _dense(self) -> Any:
        return tf.matrix_diag(self._diag)

    def diag_part(self, name: str = "diag_part") -> Any:
        return self._diag

    def _solve(self, rhs: Any, adjoint: bool, name: str) -> Any:
        return tf.divide(rhs, tf.expand_dims(self._diag, -1), name=name)
