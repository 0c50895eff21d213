"""tf.IndexedSlices and tf.SparseTensor: composites of tensors, fetched and fed as one."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope, register_tensor_conversion_function
from recurra.tf1.constants import constant_value_as_shape
from recurra.tf1.fetches import IndexedSlicesValue, SparseTensorValue, register
from recurra.tf1.names import tf_export
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import TensorLike

__all__ = ["IndexedSlices", "SparseTensor"]


@tf_export("IndexedSlices")
class IndexedSlices(TensorLike):
    """Rows of a tensor: `values[i]` belongs at row `indices[i]`; rows named twice are to be added."""

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None) -> None:
        self._values, self._indices, self._dense_shape = values, indices, dense_shape

    values = property(lambda self: self._values)
    indices = property(lambda self: self._indices)
    dense_shape = property(lambda self: self._dense_shape)
    dtype = property(lambda self: self._values.dtype)
    op = property(lambda self: self._values.op)
    name = property(lambda self: self._values.name)
    graph = property(lambda self: self._values.graph)
    device = property(lambda self: self._values.device)

    @property
    def shape(self) -> TensorShape:
        return TensorShape(None) if self._dense_shape is None else constant_value_as_shape(self._dense_shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    def __str__(self) -> str:
        shape = f", dense_shape={self._dense_shape}" if self._dense_shape is not None else ""
        return f"IndexedSlices(indices={self._indices}, values={self._values}{shape})"

    def __neg__(self) -> IndexedSlices:
        return IndexedSlices(-self._values, self._indices, self._dense_shape)

    def consumers(self) -> list[Any]:
        return self._values.consumers()


def _dense_of_slices(value: IndexedSlices, dtype: Any = None, name: str | None = None, as_ref: bool = False) -> Any:
    """The dense tensor: rows added up by index."""
    if dtype is not None and not dtypes.as_dtype(dtype).is_compatible_with(value.dtype):
        raise ValueError(
            f"Tensor conversion requested dtype {dtypes.as_dtype(dtype).name} for IndexedSlices with dtype"
            f" {value.dtype.name}"
        )
    if value.dense_shape is None:
        raise ValueError(f"Tensor conversion requested for IndexedSlices without dense_shape: {value}")
    rows = convert_to_tensor(value.dense_shape)[0]
    return apply_op("UnsortedSegmentSum", value.values, value.indices, rows, name=name)


register_tensor_conversion_function(IndexedSlices, _dense_of_slices)


def _fetch_slices(value: IndexedSlices) -> tuple[list[Any], Any]:
    parts = [value.values, value.indices]
    if value.dense_shape is None:
        return parts, lambda got: IndexedSlicesValue(got[0], got[1], None)
    return [*parts, value.dense_shape], lambda got: IndexedSlicesValue(*got)


def _feed_slices(feed: IndexedSlices, value: Any) -> list[tuple[Any, Any]]:
    pairs = [(feed.values, value[0]), (feed.indices, value[1])]
    return pairs if feed.dense_shape is None else [*pairs, (feed.dense_shape, value[2])]


register(IndexedSlices, _fetch_slices, _feed_slices)


@tf_export("convert_to_tensor_or_indexed_slices")
def convert_to_tensor_or_indexed_slices(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    if isinstance(value, IndexedSlices):
        if dtype and not dtypes.as_dtype(dtype).is_compatible_with(value.dtype):
            raise ValueError(
                f"Tensor conversion requested dtype {dtypes.as_dtype(dtype).name} for Tensor with dtype"
                f" {value.dtype.name}: {str(value)!r}"
            )
        return value
    return convert_to_tensor(value, dtype=dtype, name=name)


@tf_export("SparseTensor", "sparse.SparseTensor")
class SparseTensor(TensorLike):
    """`indices [N, rank]` int64, `values [N]`, `dense_shape [rank]` int64; entries not named are zero."""

    @classmethod
    def from_value(cls, value: Any) -> SparseTensor:
        if not isinstance(value, (SparseTensor, SparseTensorValue)):
            raise TypeError(f"Neither a SparseTensor nor SparseTensorValue: {value}.")
        return cls(value.indices, value.values, value.dense_shape)

    def __init__(self, indices: Any, values: Any, dense_shape: Any) -> None:
        with name_scope(None, "SparseTensor", [indices, values, dense_shape]):
            self._indices = convert_to_tensor(indices, name="indices", dtype=dtypes.int64)
            self._values = convert_to_tensor(values, name="values")
            self._dense_shape = convert_to_tensor(dense_shape, name="dense_shape", dtype=dtypes.int64)
        indices_shape = self._indices.get_shape().with_rank(2)
        values_shape = self._values.get_shape().with_rank(1)
        dense = self._dense_shape.get_shape().with_rank(1)
        indices_shape[:1].merge_with(values_shape)
        indices_shape[1:].merge_with(dense)

    indices = property(lambda self: self._indices)
    values = property(lambda self: self._values)
    dense_shape = property(lambda self: self._dense_shape)
    dtype = property(lambda self: self._values.dtype)
    op = property(lambda self: self._values.op)
    graph = property(lambda self: self._values.graph)
    name = property(lambda self: self._values.name)

    @property
    def shape(self) -> TensorShape:
        return constant_value_as_shape(self._dense_shape)

    def get_shape(self) -> TensorShape:
        return self.shape

    def consumers(self) -> list[Any]:
        return self._values.consumers()

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        from recurra.tf1.session import get_default_session

        chosen = session or get_default_session()
        if chosen is None:
            raise ValueError("Cannot evaluate tensor using `eval()`: No default session is registered.")
        return chosen.run(self, feed_dict)

    def with_values(self, values: Any) -> SparseTensor:
        return SparseTensor(self._indices, values, self._dense_shape)

    def __str__(self) -> str:
        return f"SparseTensor(indices={self._indices}, values={self._values}, dense_shape={self._dense_shape})"

    def __mul__(self, other: Any) -> SparseTensor:
        return self._with_dense("SparseDenseCwiseMul", other, "mul")

    def __truediv__(self, other: Any) -> SparseTensor:
        return self._with_dense("SparseDenseCwiseDiv", other, "truediv")

    __div__ = __truediv__

    def _with_dense(self, kind: str, other: Any, label: str) -> SparseTensor:
        with name_scope(None, label, [self, other]) as scope:
            other = convert_to_tensor(other, dtype=self.dtype.base_dtype, name="y")
            return self.with_values(apply_op(kind, self._indices, self._values, self._dense_shape, other, name=scope))


def _fetch_sparse(value: SparseTensor) -> tuple[list[Any], Any]:
    return [value.indices, value.values, value.dense_shape], lambda got: SparseTensorValue(*got)


def _feed_sparse(feed: SparseTensor, value: Any) -> list[tuple[Any, Any]]:
    return list(zip([feed.indices, feed.values, feed.dense_shape], value, strict=True))


register(SparseTensor, _fetch_sparse, _feed_sparse)


@tf_export("convert_to_tensor_or_sparse_tensor")
def convert_to_tensor_or_sparse_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    if isinstance(value, SparseTensorValue):
        value = SparseTensor.from_value(value)
    if isinstance(value, SparseTensor):
        if dtype and not dtypes.as_dtype(dtype).is_compatible_with(value.dtype):
            raise RuntimeError(f"Sparse dtype: requested = {dtypes.as_dtype(dtype).name}, actual = {value.dtype.name}")
        return value
    return convert_to_tensor(value, dtype=dtype, name=name)


@tf_export("sparse_placeholder", "sparse.placeholder")
def sparse_placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> SparseTensor:
    """A SparseTensor to be fed with (indices, values, shape)."""
    from recurra.tf1.core_ops import placeholder

    shape_name = f"{name}/shape" if name is not None else None
    if (
        shape is None
        or (isinstance(shape, TensorShape) and not shape.is_fully_defined())
        or (isinstance(shape, (list, tuple)) and None in shape)
    ):
        rank = None if shape is None else len(shape)
        dense: Any = placeholder(dtypes.int64, shape=[rank], name=shape_name)
    else:
        rank = len(shape)
        dense = convert_to_tensor(np.asarray(list(shape), np.int64), name=shape_name)
    values = placeholder(dtype, shape=[None], name=f"{name}/values" if name is not None else None)
    indices = placeholder(dtypes.int64, shape=[None, rank], name=f"{name}/indices" if name is not None else None)
    return SparseTensor(indices, values, dense)
