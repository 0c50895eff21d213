"""What Session.run does with a feed_dict: keys to tensors, values to torch, cast and checked as TensorFlow does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from recurra.tf1 import nest
from recurra.tf1.fetches import conversion
from recurra.tf1.graph import Graph
from recurra.tf1.tensor import Tensor
from recurra.tf1.values import feed_value

_from_numpy = torch.from_numpy


class Feed:
    """How values are fed to one tensor of a graph; TypeError when `key` is none of its tensors."""

    __slots__ = ("array_type", "graph", "limits", "tensor")

    def __init__(self, graph: Graph, key: Any):
        try:
            tensor = graph.as_graph_element(key, allow_tensor=True, allow_operation=False)
        except Exception as error:
            raise TypeError(
                f"Cannot interpret feed_dict key as Tensor: {error.args[0] if error.args else error}"
            ) from None
        self.graph, self.tensor = graph, tensor
        base = tensor.dtype.base_dtype
        plain = base.torch is not None and base.name != "bfloat16"
        self.array_type = np.dtype(base.as_numpy_dtype) if plain else None
        self.limits = (base.min, base.max) if base.is_integer else None

    def value(self, value: Any) -> Any:
        """The run-time value for what a program feeds; TypeError, ValueError as TensorFlow's."""
        tensor = self.tensor
        if tensor in self.graph._unfeedable:
            raise ValueError(f"Tensor {tensor} may not be fed.")
        if type(value) is np.ndarray and value.dtype is self.array_type:
            flags = value.flags
            fed = _from_numpy(value) if flags.writeable and flags.c_contiguous else feed_value(value, tensor.dtype)
        else:
            fed = self._converted(value)
        dims = tensor._shape._dims
        if dims is not None and hasattr(fed, "shape"):
            shape = fed.shape
            if len(dims) != len(shape) or any(d is not None and d != n for d, n in zip(dims, shape, strict=True)):
                raise ValueError(
                    f"Cannot feed value of shape {tuple(shape)} for Tensor {tensor.name!r}, "
                    f"which has shape {str(tensor.shape)!r}"
                )
        return fed

    def _converted(self, value: Any) -> Any:
        tensor = self.tensor
        if isinstance(value, Tensor):
            raise TypeError(
                "The value of a feed cannot be a tf.Tensor object. Acceptable feed values include Python scalars, "
                f"strings, lists, numpy ndarrays, or TensorHandles. For reference, the tensor object was {value} "
                f"which was passed to the feed with key {tensor}."
            )
        if self.limits is not None and isinstance(value, int) and not isinstance(value, bool):
            least, most = self.limits
            if not least <= value <= most:
                raise TypeError(
                    f"Type of feed value {value} with type {type(value)} is not compatible with Tensor type "
                    f"{tensor.dtype.base_dtype.as_numpy_dtype}. Try explicitly setting the type of the feed tensor to "
                    "a larger type (e.g. int64)."
                )
        if hasattr(value, "fed_value"):  # a TensorHandle
            return value.fed_value(tensor)
        return feed_value(value, tensor.dtype) if tensor.dtype.is_numpy_compatible else value


def flat_feed(key: Any, value: Any) -> Iterator[tuple[Any, Any]]:
    """(key, value) pairs of a feed whose key may be a nest or a composite."""
    found = conversion(key)
    if found is not None and found[1] is not None:
        yield from found[1](key, value)
    elif nest.is_nested(key):
        keys, values = nest.flatten(key), nest.flatten(value)
        if len(keys) != len(values):
            raise ValueError(
                f"Could not flatten dictionary. Key had {len(keys)} elements, but value had {len(values)} elements. "
                f"Key: {keys}, value: {values}."
            )
        for k, v in zip(keys, values, strict=True):
            yield from flat_feed(k, v)
    else:
        yield key, value
