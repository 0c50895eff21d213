"""tf.distributions.Distribution: what every distribution offers, from the few things that a family defines.

A family defines `_log_prob` (or `_prob`), `_sample_n`, `_mean` and the like, and `_parts`: its parameters with the
number of their axes that belong to one event. Samples have the shape sample + batch + event.
"""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

from recurra.tf1 import dtypes, eras
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.constants import constant_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import TensorLike

tf = space("")


class ReparameterizationType:
    """Whether samples can be differentiated with respect to the parameters."""

    def __init__(self, rep_type: str) -> None:
        self._rep_type = rep_type

    def __repr__(self) -> str:
        return f"<Reparameteriation Type: {self._rep_type}>"  # TensorFlow's own spelling


FULLY_REPARAMETERIZED = ReparameterizationType("FULLY_REPARAMETERIZED")
NOT_REPARAMETERIZED = ReparameterizationType("NOT_REPARAMETERIZED")


def served(value: Any, name: str, core: bool = False) -> Any:
    """Serve a name below contrib.distributions, and below tf.distributions where `core`."""
    homes = [f"contrib.distributions.{name}", *([f"distributions.{name}"] if core else [])]
    return export(value, *homes)


for _name in ("ReparameterizationType", "FULLY_REPARAMETERIZED", "NOT_REPARAMETERIZED"):
    served(globals()[_name], _name, core=True)


def new_seed(seed: int | None, salt: str) -> int | None:
    """A second seed from a first one, as TensorFlow derives it."""
    if seed is None:
        return None
    return int(hashlib.md5(f"{seed}{salt}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def tensor(value: Any, name: str, dtype: Any = None) -> Any:
    """A parameter as a tensor (a copy, as TensorFlow keeps them)."""
    return tf.identity(convert_to_tensor(value, dtype=dtype, name=name), name=name)


def checked(value: Any, validate: bool, *checks: Any) -> Any:
    """`value` after the assertions, where arguments are to be validated."""
    if not validate:
        return value
    with tf.control_dependencies([check(value) for check in checks]):
        return tf.identity(value)


class _Recorded(type):
    """Calls to a class keep their arguments as `parameters`; the names of 0.x's arguments are taken in its time."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if eras.current()[:2] < (1, 2):
            old = getattr(cls, "_old_names", {})
            kwargs = {old.get(k, k): v for k, v in kwargs.items()}
        made = super().__call__(*args, **kwargs)
        if made._parameters is None:
            bound = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
            bound.apply_defaults()
            made._parameters = dict(bound.arguments)
        return made


class Distribution(metaclass=_Recorded):
    """The base of all distributions."""

    def __init__(self, dtype: Any, reparameterization_type: Any, validate_args: bool, allow_nan_stats: bool,
                 parameters: Any = None, graph_parents: Any = None, name: str | None = None) -> None:  # fmt: skip
        for i, parent in enumerate(graph_parents or ()):
            if not isinstance(parent, TensorLike):
                raise ValueError(f"Graph parent item {i} is not a Tensor; {parent}.")
        if not name or name[-1] != "/":
            with tf.name_scope(name or type(self).__name__) as name:
                pass
        self._dtype = dtypes.as_dtype(dtype)
        self._reparameterization_type = reparameterization_type
        self._validate_args, self._allow_nan_stats = validate_args, allow_nan_stats
        self._parameters: dict[str, Any] | None = parameters
        self._graph_parents, self._name = graph_parents or [], name

    # -- what it is ----------------------------------------------------------------------------------------------------
    @property
    def name(self) -> Any:
        return self._name

    @property
    def dtype(self) -> Any:
        return self._dtype

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments."""
        left_out = ("self", "__class__")
        return {k: v for k, v in (self._parameters or {}).items() if k not in left_out}

    @property
    def reparameterization_type(self) -> Any:
        return self._reparameterization_type

    @property
    def allow_nan_stats(self) -> bool:
        return self._allow_nan_stats

    @property
    def validate_args(self) -> bool:
        return self._validate_args

    def copy(self, **override_parameters_kwargs: Any) -> Any:
        """The same distribution with some arguments changed."""
        return type(self)(**{**self.parameters, **override_parameters_kwargs})

    def __repr__(self) -> str:
        return (f"<tfp.distributions.{type(self).__name__} '{self.name}' batch_shape={self.batch_shape} "
                f"event_shape={self.event_shape} dtype={self.dtype.name}>")  # fmt: skip

    def __str__(self) -> str:
        return (f'tfp.distributions.{type(self).__name__}("{self.name}", batch_shape={self.batch_shape}, '
                f"event_shape={self.event_shape}, dtype={self.dtype.name})")  # fmt: skip

    @classmethod
    def param_shapes(cls, sample_shape: Any, name: str = "DistributionParamShapes") -> dict[str, Any]:
        """The parameters' shapes for samples of a shape."""
        with tf.name_scope(name, values=[sample_shape]):
            return cls._param_shapes(sample_shape)

    @classmethod
    def param_static_shapes(cls, sample_shape: Any) -> dict[str, Any]:
        shape = sample_shape.as_list() if isinstance(sample_shape, TensorShape) else sample_shape
        found = {k: constant_value(v) for k, v in cls.param_shapes(shape).items()}
        if any(v is None for v in found.values()):
            raise ValueError("sample_shape must be a fully-defined TensorShape or list/tuple")
        return {k: TensorShape(v) for k, v in found.items()}

    _of_scalars: tuple[str, ...] = ()

    @classmethod
    def _param_shapes(cls, sample_shape: Any) -> dict[str, Any]:
        if not cls._of_scalars:
            raise NotImplementedError("_param_shapes not implemented")
        return {name: convert_to_tensor(sample_shape, dtype=dtypes.int32) for name in cls._of_scalars}

    # -- shapes --------------------------------------------------------------------------------------------------------
    def _parts(self) -> list[tuple[Any, int]]:
        """Parameters, each with how many of its last axes belong to one event."""
        raise NotImplementedError(f"batch_shape_tensor is not implemented: {type(self).__name__}")

    def _batch_shape(self) -> TensorShape:
        joined = TensorShape([])
        for part, axes in self._parts():
            if part.shape.ndims is None:
                return TensorShape(None)
            own = part.shape[: part.shape.ndims - axes]
            joined = tf.broadcast_static_shape(joined, own)
        return joined

    def _batch_shape_tensor(self) -> Any:
        joined: Any = None
        for part, axes in self._parts():
            shape = tf.shape(part)
            shape = shape[: tf.size(shape) - axes] if axes else shape
            joined = shape if joined is None else tf.broadcast_dynamic_shape(joined, shape)
        return joined

    def _event_shape(self) -> TensorShape:
        return TensorShape([])

    def _event_shape_tensor(self) -> Any:
        return tf.constant([], dtype=dtypes.int32)

    @property
    def batch_shape(self) -> TensorShape:
        return TensorShape(self._batch_shape())

    @property
    def event_shape(self) -> TensorShape:
        return TensorShape(self._event_shape())

    def get_batch_shape(self) -> TensorShape:
        return self.batch_shape

    def get_event_shape(self) -> TensorShape:
        return self.event_shape

    def batch_shape_tensor(self, name: str = "batch_shape_tensor") -> Any:
        with self._scope(name):
            known = self.batch_shape
            if known.is_fully_defined():
                return tf.constant(known.as_list(), dtype=dtypes.int32, name="batch_shape")
            return self._batch_shape_tensor()

    def event_shape_tensor(self, name: str = "event_shape_tensor") -> Any:
        with self._scope(name):
            known = self.event_shape
            if known.is_fully_defined():
                return tf.constant(known.as_list(), dtype=dtypes.int32, name="event_shape")
            return self._event_shape_tensor()

    def is_scalar_event(self, name: str = "is_scalar_event") -> Any:
        with self._scope(name):
            return self._is_scalar(self.event_shape, self.event_shape_tensor)

    def is_scalar_batch(self, name: str = "is_scalar_batch") -> Any:
        with self._scope(name):
            return self._is_scalar(self.batch_shape, self.batch_shape_tensor)

    @staticmethod
    def _is_scalar(known: TensorShape, shape: Any) -> Any:
        if known.ndims is not None:
            return tf.constant(known.ndims == 0)
        return tf.equal(tf.size(shape()), 0)

    def _scope(self, name: str | None, values: Any = None) -> Any:
        return _InScopes(self._name, name, values)

    # -- samples -------------------------------------------------------------------------------------------------------
    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        raise NotImplementedError(f"sample_n is not implemented: {type(self).__name__}")

    def sample(self, sample_shape: Any = (), seed: int | None = None, name: str = "sample", **condition: Any) -> Any:
        """Draws of shape sample_shape + batch + event."""
        with self._scope(name, [sample_shape]):
            shape = convert_to_tensor(sample_shape, dtype=dtypes.int32, name="sample_shape")
            known = constant_value(shape)
            n = tf.reduce_prod(shape)
            shape = tf.reshape(shape, [-1]) if shape.shape.ndims != 1 else shape
            drawn = self._sample_n(n, seed, **condition)
            made = tf.reshape(drawn, tf.concat([shape, tf.shape(drawn)[1:]], 0))
            inner = drawn.shape[1:] if drawn.shape.ndims is not None else TensorShape(None)
            if inner.ndims is None or not inner.is_fully_defined():
                inner = self.batch_shape.concatenate(self.event_shape)
            if known is not None:
                made.set_shape(TensorShape(known.reshape(-1).tolist()).concatenate(inner))
            return made

    def sample_n(self, n: Any, seed: int | None = None, name: str = "sample_n") -> Any:
        """n draws (0.x)."""
        return self.sample([n] if not isinstance(n, TensorLike) else tf.reshape(n, [1]), seed, name)

    # -- of a value ----------------------------------------------------------------------------------------------------
    def _value(self, value: Any) -> Any:
        preferred = None if isinstance(value, TensorLike) else self.dtype
        return convert_to_tensor(value, name="value", preferred_dtype=preferred)

    def _of(self, what: str, other: str, turn: Any, value: Any, name: str, condition: dict[str, Any]) -> Any:
        """`_what(value)`, or from `_other`."""
        with self._scope(name, [value]):
            value = self._value(value)
            own, instead = getattr(type(self), f"_{what}"), getattr(type(self), f"_{other}", None)
            if own is getattr(Distribution, f"_{what}") and instead is not getattr(Distribution, f"_{other}"):
                return turn(getattr(self, f"_{other}")(value, **condition))
            return getattr(self, f"_{what}")(value, **condition)

    def _log_prob(self, value: Any) -> Any:
        raise NotImplementedError(f"log_prob is not implemented: {type(self).__name__}")

    def _prob(self, value: Any) -> Any:
        raise NotImplementedError(f"prob is not implemented: {type(self).__name__}")

    def _log_cdf(self, value: Any) -> Any:
        raise NotImplementedError(f"log_cdf is not implemented: {type(self).__name__}")

    def _cdf(self, value: Any) -> Any:
        raise NotImplementedError(f"cdf is not implemented: {type(self).__name__}")

    def _log_survival_function(self, value: Any) -> Any:
        return tf.log1p(-self.cdf(value))

    def _survival_function(self, value: Any) -> Any:
        return 1.0 - self.cdf(value)

    def _quantile(self, value: Any) -> Any:
        raise NotImplementedError(f"quantile is not implemented: {type(self).__name__}")

    def log_prob(self, value: Any, name: str = "log_prob", **condition: Any) -> Any:
        return self._of("log_prob", "prob", tf.log, value, name, condition)

    def prob(self, value: Any, name: str = "prob", **condition: Any) -> Any:
        return self._of("prob", "log_prob", tf.exp, value, name, condition)

    def log_cdf(self, value: Any, name: str = "log_cdf", **condition: Any) -> Any:
        return self._of("log_cdf", "cdf", tf.log, value, name, condition)

    def cdf(self, value: Any, name: str = "cdf", **condition: Any) -> Any:
        return self._of("cdf", "log_cdf", tf.exp, value, name, condition)

    def survival_function(self, value: Any, name: str = "survival_function") -> Any:
        with self._scope(name, [value]):
            return self._survival_function(self._value(value))

    def log_survival_function(self, value: Any, name: str = "log_survival_function") -> Any:
        with self._scope(name, [value]):
            return self._log_survival_function(self._value(value))

    def quantile(self, value: Any, name: str = "quantile") -> Any:
        with self._scope(name, [value]):
            return self._quantile(self._value(value))

    def log_pdf(self, value: Any, name: str = "log_pdf") -> Any:
        return self.log_prob(value, name)

    def pdf(self, value: Any, name: str = "pdf") -> Any:
        return self.prob(value, name)

    log_pmf, pmf = log_pdf, pdf  # 0.x's names

    # -- statistics ----------------------------------------------------------------------------------------------------
    def _stddev(self) -> Any:
        return tf.sqrt(self._variance())

    def _variance(self) -> Any:
        if type(self)._stddev is Distribution._stddev:
            raise NotImplementedError(f"variance is not implemented: {type(self).__name__}")
        return tf.square(self._stddev())

    # -- two distributions ---------------------------------------------------------------------------------------------
    def cross_entropy(self, other: Any, name: str = "cross_entropy") -> Any:
        """The entropy and the divergence to `other`."""
        with self._scope(name):
            return self._entropy() + self._divergence(other)

    def kl_divergence(self, other: Any, name: str = "kl_divergence") -> Any:
        with self._scope(name):
            return self._divergence(other)

    def _divergence(self, other: Any) -> Any:
        from recurra.tf1.distributions.divergence import kl_divergence

        return kl_divergence(self, other, allow_nan_stats=self.allow_nan_stats)


def _statistic(what: str) -> None:
    def missing(self: Any) -> Any:
        raise NotImplementedError(f"{what} is not implemented: {type(self).__name__}")

    def method(self: Any, name: str = what) -> Any:
        with self._scope(name):
            return getattr(self, f"_{what}")()

    if not hasattr(Distribution, f"_{what}"):
        setattr(Distribution, f"_{what}", missing)
    method.__name__ = what
    setattr(Distribution, what, method)


for _what in ("mean", "mode", "entropy", "stddev", "variance", "covariance"):
    _statistic(_what)

served(Distribution, "Distribution", core=True)


@tf_export("contrib.distributions.ConditionalDistribution")
class ConditionalDistribution(Distribution):
    """A distribution whose methods take further arguments."""


class _InScopes:
    """The distribution's own name scope, entered again, and a method's inside it."""

    def __init__(self, own: str, name: str | None, values: Any) -> None:
        self.scopes = [tf.name_scope(own), tf.name_scope(name, values=values)]

    def __enter__(self) -> Any:
        return [scope.__enter__() for scope in self.scopes][1]

    def __exit__(self, *exc: Any) -> None:
        for scope in reversed(self.scopes):
            scope.__exit__(*exc)
