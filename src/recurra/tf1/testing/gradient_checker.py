"""tf.test.compute_gradient: Jacobians by tf.gradients and by finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _feeds(x: Any, values: np.ndarray, extra: Any) -> dict[Any, Any]:
    return {x: values, **(extra or {})}


def _theoretical(x: Any, x_shape: Any, x_data: np.ndarray, dy: Any, dy_shape: Any, dx: Any, extra: Any) -> np.ndarray:
    """[inputs, outputs] by tf.gradients, one output at a time."""
    rows, columns = int(np.prod(x_shape)), int(np.prod(dy_shape))
    factor = 2 if x.dtype.is_complex else 1
    jacobian = np.zeros((rows * factor, columns * (2 if dy.dtype.is_complex else 1)), dtype=_real(x))
    seed = np.zeros(dy_shape, dtype=dy.dtype.as_numpy_dtype)
    flat = seed.reshape(-1).view(_real(dy))
    for column in range(flat.size):
        flat[column] = 1
        value = tf.get_default_session().run(dx, _feeds(x, x_data, {dy: seed, **(extra or {})}))
        if isinstance(value, tf.IndexedSlicesValue):
            for row, i in zip(value.values, value.indices, strict=True):
                width = row.size
                jacobian[i * width : (i + 1) * width, column] += row.reshape(-1)
        else:
            jacobian[:, column] = np.asarray(value).reshape(-1).view(_real(x))
        flat[column] = 0
    return jacobian


def _real(tensor: Any) -> Any:
    kind = tensor.dtype.base_dtype
    return kind.real_dtype.as_numpy_dtype if kind.is_complex else kind.as_numpy_dtype


def _numeric(x: Any, x_shape: Any, x_data: np.ndarray, y: Any, y_shape: Any, delta: float, extra: Any) -> np.ndarray:
    """[inputs, outputs] by central differences."""
    data = np.array(x_data, dtype=x.dtype.as_numpy_dtype).reshape(x_shape)
    flat = data.reshape(-1).view(_real(x))
    run = tf.get_default_session().run
    columns = int(np.prod(y_shape)) * (2 if y.dtype.is_complex else 1)
    jacobian = np.zeros((flat.size, columns), dtype=_real(x))
    for row in range(flat.size):
        at = flat[row]
        values = []
        for step in (delta, -delta):
            flat[row] = at + step
            values.append(np.asarray(run(y, _feeds(x, data, extra))).reshape(-1).view(_real(y)).astype(np.float64))
        flat[row] = at
        jacobian[row] = (values[0] - values[1]) / (2 * delta)
    return jacobian


def _one(x: Any, x_shape: Any, y: Any, y_shape: Any, initial: Any, delta: float, init: Any, extra: Any) -> Any:
    allowed = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128)
    for name, tensor in (("x", x), ("y", y)):
        if tensor.dtype.base_dtype not in allowed:
            raise AssertionError(f"Don't support dtype {tensor.dtype} for {name}")
    sliced = tf.gradients(y, x, grad_ys=(dy := tf.placeholder(y.dtype.base_dtype, y_shape)))[0]
    if init is not None:
        for one in init if isinstance(init, list | tuple) else [init]:
            tf.get_default_session().run(one)
    data = np.random.random_sample(x_shape).astype(x.dtype.as_numpy_dtype) if initial is None else np.array(initial)
    if x.dtype.is_complex and initial is None:
        data = data + 1j * np.random.random_sample(x_shape)
    theory = np.zeros((int(np.prod(x_shape)), int(np.prod(y_shape))))
    if sliced is not None:
        theory = _theoretical(x, x_shape, data, dy, y_shape, sliced, extra)
    return theory, _numeric(x, x_shape, data, y, y_shape, delta, extra)


@tf_export("test.compute_gradient", "python.ops.gradient_checker.compute_gradient")
def compute_gradient(
    x: Any,
    x_shape: Any,
    y: Any,
    y_shape: Any,
    x_init_value: Any = None,
    delta: float = 1e-3,
    init_targets: Any = None,
    extra_feed_dict: Any = None,
) -> Any:
    """(by tf.gradients, by differences) [inputs, outputs], or a list of such pairs for a list of x."""
    if isinstance(x, list):
        initial = x_init_value if x_init_value is not None else [None] * len(x)
        # every other x keeps its initial value while one is varied
        values = {
            one: np.random.random_sample(shape).astype(one.dtype.as_numpy_dtype) if v is None else v
            for one, shape, v in zip(x, x_shape, initial, strict=True)
        }
        return [
            _one(one, shape, y, y_shape, values[one], delta, init_targets, extra_feed_dict)
            for one, shape in zip(x, x_shape, strict=True)
        ]
    return _one(x, x_shape, y, y_shape, x_init_value, delta, init_targets, extra_feed_dict)


@tf_export("test.compute_gradient_error", "python.ops.gradient_checker.compute_gradient_error")
def compute_gradient_error(
    x: Any,
    x_shape: Any,
    y: Any,
    y_shape: Any,
    x_init_value: Any = None,
    delta: float = 1e-3,
    init_targets: Any = None,
    extra_feed_dict: Any = None,
) -> float:
    """The largest difference between both Jacobians."""
    found = compute_gradient(x, x_shape, y, y_shape, x_init_value, delta, init_targets, extra_feed_dict)
    pairs = found if isinstance(found, list) else [found]
    return max((float(np.abs(a - b).max()) for a, b in pairs if a.size or b.size), default=0.0)
