"""tensorflow.python.ops.gradient_checker_v2: Jacobians of a Python function of tensors, at given values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.build import convert_to_tensor
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.testing.gradient_checker import compute_gradient as compute_by_tensors

tf = space("")
_HOME = "python.ops.gradient_checker_v2"


@tf_export(f"{_HOME}._to_numpy")
def to_numpy(value: Any) -> Any:
    """The value of a tensor, IndexedSlicesValue or anything else as an array."""
    if isinstance(value, tf.Tensor):
        return tf.get_default_session().run(value)
    if isinstance(value, tf.IndexedSlicesValue):
        dense = np.zeros(value.dense_shape)
        np.add.at(dense, np.asarray(value.indices), value.values)
        return dense
    return value


@tf_export(f"{_HOME}.compute_gradient")
def compute_gradient(f: Callable[..., Any], x: Any, delta: float = 1e-3) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """(by tf.gradients, by differences): for each of the values in the list `x` a [inputs, outputs] matrix of df/dx."""
    if not isinstance(x, list):
        raise ValueError(f"`x` must be a list of Tensors (arguments to `f`), not a {type(x)}")
    tensors = [convert_to_tensor(one) for one in x]
    values = [to_numpy(one) for one in tensors]
    # the differences are taken at unknown static shapes, as TensorFlow does: f may not rely on them
    args = [tf.placeholder(one.dtype) for one in tensors]
    feeds = dict(zip(args, values, strict=True))
    result = f(*args)
    shape = np.shape(tf.get_default_session().run(result, feeds))
    pairs = []
    for arg, value in zip(args, values, strict=True):
        others = {one: v for one, v in feeds.items() if one is not arg}
        kind = result.dtype.base_dtype
        checked = tf.cast(result, tf.float32) if kind == tf.bfloat16 else result
        pairs.append(compute_by_tensors(arg, value.shape, checked, shape, value, delta, extra_feed_dict=others))
    return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)


@tf_export(f"{_HOME}.max_error")
def max_error(grad1: Any, grad2: Any) -> Any:
    """The largest difference between two lists of matrices."""
    return max((np.abs(a - b).max() for a, b in zip(grad1, grad2, strict=True) if a.size or b.size), default=0)
