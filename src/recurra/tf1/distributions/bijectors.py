"""tf.contrib.distributions.bijectors: functions with an inverse and the logarithm of their Jacobian's determinant.

A class gives `_forward`, `_inverse` and `_slope(x)`, the log-determinant at x for events of its least number of axes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.layers.base import to_snake_case
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")
_HOME = "contrib.distributions.bijectors"


@tf_export(f"{_HOME}.Bijector", f"{_HOME}.ConditionalBijector")
class Bijector:
    """The base; a program's own class may define TensorFlow's `_inverse_log_det_jacobian` or `_forward_…`."""

    def __init__(self, graph_parents: Any = None, is_constant_jacobian: bool = False, validate_args: bool = False,
                 dtype: Any = None, forward_min_event_ndims: Any = None, inverse_min_event_ndims: Any = None,
                 name: Any = None) -> None:  # fmt: skip
        least = (forward_min_event_ndims, inverse_min_event_ndims)
        if least == (None, None):
            raise ValueError("Must specify at least one of `forward_min_event_ndims` and `inverse_min_event_ndims`.")
        self.forward_min_event_ndims = least[1] if least[0] is None else least[0]
        self.inverse_min_event_ndims = least[0] if least[1] is None else least[1]
        self.graph_parents, self.is_constant_jacobian = graph_parents or [], is_constant_jacobian
        self.validate_args, self.dtype = validate_args, dtype
        self.name = name or to_snake_case(type(self).__name__)
        self._known: dict[Any, Any] = {}  # y → the x that it was made of

    # -- shapes --------------------------------------------------------------------------------------------------------
    def forward_event_shape(self, input_shape: Any) -> TensorShape:
        return self._forward_event_shape(TensorShape(input_shape))

    def inverse_event_shape(self, output_shape: Any) -> TensorShape:
        return self._inverse_event_shape(TensorShape(output_shape))

    def forward_event_shape_tensor(self, input_shape: Any, name: str = "forward_event_shape_tensor") -> Any:
        return self._forward_event_shape_tensor(tf.convert_to_tensor(input_shape, dtype=dtypes.int32))

    def inverse_event_shape_tensor(self, output_shape: Any, name: str = "inverse_event_shape_tensor") -> Any:
        return self._inverse_event_shape_tensor(tf.convert_to_tensor(output_shape, dtype=dtypes.int32))

    def _forward_event_shape(self, shape: Any) -> Any:
        return shape

    _inverse_event_shape = _forward_event_shape_tensor = _inverse_event_shape_tensor = _forward_event_shape

    # -- values --------------------------------------------------------------------------------------------------------
    def _forward(self, x: Any) -> Any:
        raise NotImplementedError("forward not implemented.")

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError("inverse not implemented")

    def _slope(self, x: Any) -> Any:
        if hasattr(self, "_forward_log_det_jacobian"):
            return self._forward_log_det_jacobian(x)
        if hasattr(self, "_inverse_log_det_jacobian"):
            return -self._inverse_log_det_jacobian(self._forward(x))
        raise NotImplementedError("forward_log_det_jacobian not implemented.")

    def forward(self, x: Any, name: str = "forward") -> Any:
        with tf.name_scope(self.name), tf.name_scope(name):
            x = self._as_tensor(x)
            y = self._forward(x)
            self._known[y] = x
            return y

    def inverse(self, y: Any, name: str = "inverse") -> Any:
        with tf.name_scope(self.name), tf.name_scope(name):
            y = self._as_tensor(y)
            return self._known[y] if y in self._known else self._inverse(y)

    def forward_log_det_jacobian(self, x: Any, event_ndims: int, name: str = "forward_log_det_jacobian") -> Any:
        with tf.name_scope(self.name), tf.name_scope(name):
            x = self._as_tensor(x)
            return self._summed(x, self._slope(x), self.forward_min_event_ndims, event_ndims)

    def inverse_log_det_jacobian(self, y: Any, event_ndims: int, name: str = "inverse_log_det_jacobian") -> Any:
        with tf.name_scope(self.name), tf.name_scope(name):
            y = self._as_tensor(y)
            if hasattr(self, "_inverse_log_det_jacobian"):
                return self._summed(y, self._inverse_log_det_jacobian(y), self.inverse_min_event_ndims, event_ndims)
            x = self._known[y] if y in self._known else self._inverse(y)
            extra = self.forward_min_event_ndims - self.inverse_min_event_ndims
            return self._summed(x, -self._slope(x), self.forward_min_event_ndims, event_ndims + extra)

    def _as_tensor(self, value: Any) -> Any:
        value = tf.convert_to_tensor(value)
        if self.dtype is not None and dtypes.as_dtype(self.dtype).base_dtype != value.dtype.base_dtype:
            raise TypeError(f"Input had dtype {value.dtype} but expected {self.dtype}.")
        return value

    @staticmethod
    def _summed(value: Any, slope: Any, least: int, event_ndims: int) -> Any:
        """The slopes of all parts of an event together."""
        event_ndims = int(event_ndims)
        if least > event_ndims:
            raise ValueError(f"event_ndims ({event_ndims}) must be larger than min_event_ndims ({least})")
        if least == event_ndims:
            return slope
        rank = value.shape.ndims
        inner = tf.shape(value)[rank - event_ndims : rank - least]
        return tf.reduce_sum(slope * tf.ones(inner, slope.dtype), axis=list(range(least - event_ndims, 0)))


def _simple(name: str, forward: Any, inverse: Any, slope: Any, what: str) -> None:
    """A class without parameters that acts on every number."""

    def start(self: Any, validate_args: bool = False, name: Any = None) -> None:
        Bijector.__init__(self, forward_min_event_ndims=0, validate_args=validate_args, name=name)

    methods = {
        "__init__": start, "_forward": lambda self, x: forward(x), "_inverse": lambda self, y: inverse(y),
        "_slope": lambda self, x: slope(x), "__doc__": what,
    }  # fmt: skip
    export(type(name, (Bijector,), methods), f"{_HOME}.{name}")


_simple("Sigmoid", lambda x: tf.sigmoid(x), lambda y: tf.log(y) - tf.log1p(-y),
        lambda x: -tf.nn.softplus(-x) - tf.nn.softplus(x), "1 / (1 + exp(−x))")  # fmt: skip
_simple("Square", lambda x: tf.square(x), lambda y: tf.sqrt(y), lambda x: tf.log(2.0 * tf.abs(x)), "x²")
_simple("Softsign", lambda x: x / (1.0 + tf.abs(x)), lambda y: y / (1.0 - tf.abs(y)),
        lambda x: -2.0 * tf.log1p(tf.abs(x)), "x / (1 + |x|)")  # fmt: skip


@tf_export(f"{_HOME}.Identity")
class Identity(Bijector):
    """x"""

    def __init__(self, validate_args: bool = False, name: str = "identity") -> None:
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True, validate_args=validate_args, name=name)

    def _forward(self, x: Any) -> Any:
        return x

    _inverse = _forward

    def _slope(self, x: Any) -> Any:
        return tf.constant(0.0, dtype=x.dtype)


@tf_export(f"{_HOME}.PowerTransform")
class PowerTransform(Bijector):
    """(1 + c x)^(1/c), exp(x) for c = 0."""

    def __init__(self, power: float = 0.0, validate_args: bool = False, name: str = "power_transform") -> None:
        if power is None or power < 0:
            raise ValueError("`power` must be a non-negative TF constant.")
        self.power = power
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, name=name)

    def _forward(self, x: Any) -> Any:
        return tf.exp(x) if self.power == 0.0 else tf.exp(tf.log1p(x * self.power) / self.power)

    def _inverse(self, y: Any) -> Any:
        return tf.log(y) if self.power == 0.0 else tf.expm1(tf.log(y) * self.power) / self.power

    def _slope(self, x: Any) -> Any:
        return x if self.power == 0.0 else (1.0 / self.power - 1.0) * tf.log1p(x * self.power)


@tf_export(f"{_HOME}.Exp")
class Exp(PowerTransform):
    """exp(x)"""

    def __init__(self, validate_args: bool = False, name: str = "exp") -> None:
        super().__init__(0.0, validate_args, name)


@tf_export(f"{_HOME}.Softplus")
class Softplus(Bijector):
    """log(1 + exp(x)), softer or harder at zero by `hinge_softness`."""

    def __init__(self, hinge_softness: Any = None, validate_args: bool = False, name: str = "softplus") -> None:
        self.hinge_softness = 1.0 if hinge_softness is None else hinge_softness
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args, name=name)

    def _forward(self, x: Any) -> Any:
        return self.hinge_softness * tf.nn.softplus(x / self.hinge_softness)

    def _inverse(self, y: Any) -> Any:
        return self.hinge_softness * tf.contrib.distributions.softplus_inverse(y / self.hinge_softness)

    def _slope(self, x: Any) -> Any:
        return -tf.nn.softplus(-x / self.hinge_softness)


@tf_export(f"{_HOME}.AffineScalar")
class AffineScalar(Bijector):
    """scale · x + shift, number by number."""

    def __init__(self, shift: Any = None, scale: Any = None, validate_args: bool = False,
                 name: str = "affine_scalar") -> None:  # fmt: skip
        self.shift = None if shift is None else tf.convert_to_tensor(shift)
        self.scale = None if scale is None else tf.convert_to_tensor(scale)
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True, validate_args=validate_args, name=name)

    def _forward(self, x: Any) -> Any:
        y = x if self.scale is None else x * self.scale
        return tf.identity(y) if self.shift is None else y + self.shift

    def _inverse(self, y: Any) -> Any:
        x = y if self.shift is None else y - self.shift
        return tf.identity(x) if self.scale is None else x / self.scale

    def _slope(self, x: Any) -> Any:
        return tf.constant(0.0, dtype=x.dtype) if self.scale is None else tf.log(tf.abs(self.scale))


@tf_export(f"{_HOME}.Affine")
class Affine(Bijector):
    """scale · x + shift of vectors; the scale is a multiple of the identity, a diagonal or a lower triangle."""

    def __init__(self, shift: Any = None, scale_identity_multiplier: Any = None, scale_diag: Any = None,
                 scale_tril: Any = None, scale_perturb_factor: Any = None, scale_perturb_diag: Any = None,
                 validate_args: bool = False, name: str = "affine") -> None:  # fmt: skip
        if scale_perturb_factor is not None or scale_perturb_diag is not None:
            raise NotImplementedError("bijectors.Affine with scale_perturb_factor or scale_perturb_diag")
        self.shift = None if shift is None else tf.convert_to_tensor(shift)
        diag = None if scale_diag is None else tf.convert_to_tensor(scale_diag)
        if scale_identity_multiplier is not None:
            times = tf.convert_to_tensor(scale_identity_multiplier)
            diag = times if diag is None else diag + times
        self._diag, self._lower = diag, None
        if scale_tril is not None:
            lower = tf.matrix_band_part(tf.convert_to_tensor(scale_tril), -1, 0)
            self._lower = lower if diag is None else tf.matrix_set_diag(lower, tf.matrix_diag_part(lower) + diag)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True, validate_args=validate_args, name=name)

    def _forward(self, x: Any) -> Any:
        if self._lower is not None:
            x = tf.linalg.matvec(self._lower + 0.0 * x[..., None], x)
        elif self._diag is not None:
            x = x * self._diag
        return tf.identity(x) if self.shift is None else x + self.shift

    def _inverse(self, y: Any) -> Any:
        x = y if self.shift is None else y - self.shift
        if self._lower is not None:
            return tf.linalg.triangular_solve(self._lower + 0.0 * x[..., None], x[..., None])[..., 0]
        return tf.identity(x) if self._diag is None else x / self._diag

    def _slope(self, x: Any) -> Any:
        if self._lower is None and self._diag is None:
            return tf.constant(0.0, dtype=x.dtype)
        diagonal = tf.matrix_diag_part(self._lower) if self._lower is not None else self._diag
        if diagonal.shape.ndims == 0:
            return tf.cast(tf.shape(x)[-1], x.dtype) * tf.log(tf.abs(diagonal))
        return tf.reduce_sum(tf.log(tf.abs(diagonal)), axis=-1)


@tf_export(f"{_HOME}.Chain")
class Chain(Bijector):
    """The last one first, as functions are written."""

    def __init__(self, bijectors: Any = None, validate_args: bool = False, name: Any = None) -> None:
        self.bijectors = list(bijectors or ())
        least = max((b.forward_min_event_ndims for b in self.bijectors), default=0)
        super().__init__(
            forward_min_event_ndims=least, validate_args=validate_args,
            is_constant_jacobian=all(b.is_constant_jacobian for b in self.bijectors),
            name=name or "_of_".join(["chain", *(b.name for b in self.bijectors)] if self.bijectors else ["identity"]),
        )  # fmt: skip

    def _forward_event_shape(self, shape: Any) -> Any:
        for part in reversed(self.bijectors):
            shape = part.forward_event_shape(shape)
        return shape

    def _inverse_event_shape(self, shape: Any) -> Any:
        for part in self.bijectors:
            shape = part.inverse_event_shape(shape)
        return shape

    def _forward(self, x: Any) -> Any:
        for part in reversed(self.bijectors):
            x = part.forward(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in self.bijectors:
            y = part.inverse(y)
        return y

    def _slope(self, x: Any) -> Any:
        total: Any = tf.constant(0.0, dtype=x.dtype)
        for part in reversed(self.bijectors):
            total = total + part.forward_log_det_jacobian(x, event_ndims=self.forward_min_event_ndims)
            x = part.forward(x)
        return total


@tf_export(f"{_HOME}.Invert")
class Invert(Bijector):
    """The inverse of another one."""

    def __init__(self, bijector: Any, validate_args: bool = False, name: Any = None) -> None:
        self.bijector = bijector
        super().__init__(
            forward_min_event_ndims=bijector.inverse_min_event_ndims,
            inverse_min_event_ndims=bijector.forward_min_event_ndims, validate_args=validate_args,
            is_constant_jacobian=bijector.is_constant_jacobian, name=name or f"invert_{bijector.name}",
        )  # fmt: skip

    def _forward_event_shape(self, shape: Any) -> Any:
        return self.bijector.inverse_event_shape(shape)

    def _inverse_event_shape(self, shape: Any) -> Any:
        return self.bijector.forward_event_shape(shape)

    def _forward(self, x: Any) -> Any:
        return self.bijector.inverse(x)

    def _inverse(self, y: Any) -> Any:
        return self.bijector.forward(y)

    def _slope(self, x: Any) -> Any:
        return self.bijector.inverse_log_det_jacobian(x, event_ndims=self.forward_min_event_ndims)


@tf_export(f"{_HOME}.Permute")
class Permute(Bijector):
    """The last axis in another order."""

    def __init__(self, permutation: Any, validate_args: bool = False, name: Any = None) -> None:
        self.permutation = tf.convert_to_tensor(permutation)
        super().__init__(
            forward_min_event_ndims=1, is_constant_jacobian=True, validate_args=validate_args, name=name or "permute"
        )

    def _forward(self, x: Any) -> Any:
        return tf.gather(x, self.permutation, axis=-1)

    def _inverse(self, y: Any) -> Any:
        return tf.gather(y, tf.invert_permutation(self.permutation), axis=-1)

    def _slope(self, x: Any) -> Any:
        return tf.constant(0.0, dtype=x.dtype)


@tf_export(f"{_HOME}.Reshape")
class Reshape(Bijector):
    """Events in another shape."""

    def __init__(self, event_shape_out: Any, event_shape_in: Any = (-1,), validate_args: bool = False,
                 name: Any = None) -> None:  # fmt: skip
        self._out, self._in = list(event_shape_out), list(event_shape_in)
        super().__init__(
            forward_min_event_ndims=len(self._in), inverse_min_event_ndims=len(self._out), is_constant_jacobian=True,
            validate_args=validate_args, name=name or "reshape",
        )  # fmt: skip

    def _forward_event_shape(self, shape: Any) -> Any:
        return TensorShape([None if d == -1 else d for d in self._out])

    def _inverse_event_shape(self, shape: Any) -> Any:
        return TensorShape([None if d == -1 else d for d in self._in])

    def _forward_event_shape_tensor(self, shape: Any) -> Any:
        return tf.constant(self._out)

    def _inverse_event_shape_tensor(self, shape: Any) -> Any:
        return tf.constant(self._in)

    def _forward(self, x: Any) -> Any:
        return self._turned(x, len(self._in), self._out)

    def _inverse(self, y: Any) -> Any:
        return self._turned(y, len(self._out), self._in)

    @staticmethod
    def _turned(value: Any, axes: int, shape: list[int]) -> Any:
        outer = tf.shape(value)[: value.shape.ndims - axes]
        made = tf.reshape(value, tf.concat([outer, shape], 0))
        made.set_shape(value.shape[: value.shape.ndims - axes].concatenate([None if d == -1 else d for d in shape]))
        return made

    def _slope(self, x: Any) -> Any:
        return tf.constant(0.0, dtype=x.dtype)


@tf_export(f"{_HOME}.SoftmaxCentered")
class SoftmaxCentered(Bijector):
    """softmax([x, 0]): one number more than it was given."""

    def __init__(self, validate_args: bool = False, name: str = "softmax_centered") -> None:
        super().__init__(forward_min_event_ndims=1, validate_args=validate_args, name=name)

    def _forward_event_shape(self, shape: Any) -> Any:
        return TensorShape([shape[0] + 1])

    def _inverse_event_shape(self, shape: Any) -> Any:
        return TensorShape([shape[0] - 1])

    def _forward_event_shape_tensor(self, shape: Any) -> Any:
        return shape + 1

    def _inverse_event_shape_tensor(self, shape: Any) -> Any:
        return shape - 1

    def _forward(self, x: Any) -> Any:
        return tf.nn.softmax(tf.pad(x, [*[[0, 0]] * (x.shape.ndims - 1), [0, 1]]))

    def _inverse(self, y: Any) -> Any:
        logged = tf.log(y)
        return logged[..., :-1] - logged[..., -1:]

    def _slope(self, x: Any) -> Any:
        n = tf.cast(tf.shape(x)[-1] + 1, x.dtype)
        whole = tf.reduce_logsumexp(tf.pad(x, [*[[0, 0]] * (x.shape.ndims - 1), [0, 1]]), axis=-1)
        return 0.5 * tf.log(n) + tf.reduce_sum(x, axis=-1) - n * whole - 0.5 * tf.log(n)


@tf_export(f"{_HOME}.Inline")
class Inline(Bijector):
    """Functions that are given."""

    def __init__(self, forward_fn: Any = None, inverse_fn: Any = None, inverse_log_det_jacobian_fn: Any = None,
                 forward_log_det_jacobian_fn: Any = None, forward_event_shape_fn: Any = None,
                 forward_event_shape_tensor_fn: Any = None, inverse_event_shape_fn: Any = None,
                 inverse_event_shape_tensor_fn: Any = None, is_constant_jacobian: bool = False,
                 validate_args: bool = False, forward_min_event_ndims: Any = None,
                 inverse_min_event_ndims: Any = None, name: str = "inline") -> None:  # fmt: skip
        super().__init__(
            is_constant_jacobian=is_constant_jacobian, validate_args=validate_args, name=name,
            forward_min_event_ndims=forward_min_event_ndims, inverse_min_event_ndims=inverse_min_event_ndims,
        )  # fmt: skip
        given: dict[str, Callable[..., Any] | None] = {
            "_forward": forward_fn, "_inverse": inverse_fn, "_forward_log_det_jacobian": forward_log_det_jacobian_fn,
            "_inverse_log_det_jacobian": inverse_log_det_jacobian_fn, "_forward_event_shape": forward_event_shape_fn,
            "_forward_event_shape_tensor": forward_event_shape_tensor_fn,
            "_inverse_event_shape": inverse_event_shape_fn,
            "_inverse_event_shape_tensor": inverse_event_shape_tensor_fn,
        }  # fmt: skip
        for label, function in given.items():
            if function is not None:
                setattr(self, label, function)
