"""Distributions made of others: mixtures, independent parts, transformed ones."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import dtypes
from recurra.tf1.distributions.base import FULLY_REPARAMETERIZED, NOT_REPARAMETERIZED, Distribution, new_seed, served
from recurra.tf1.distributions.discrete import Categorical
from recurra.tf1.distributions.divergence import RegisterKL, kl_divergence
from recurra.tf1.namespace import space
from recurra.tf1.shapes import TensorShape

tf = space("")


class Independent(Distribution):
    """The last axes of another distribution's batch belong to the event."""

    def __init__(self, distribution: Any, reinterpreted_batch_ndims: Any = None, validate_args: bool = False,
                 name: Any = None) -> None:  # fmt: skip
        self.distribution = distribution
        rank = distribution.batch_shape.ndims
        if rank is None:
            raise NotImplementedError("contrib.distributions.Independent over a batch of unknown rank")
        count = max(0, rank - 1) if reinterpreted_batch_ndims is None else int(reinterpreted_batch_ndims)
        if count > rank:
            raise ValueError(f"reinterpreted_batch_ndims({count}) cannot exceed distribution.batch_ndims({rank})")
        self.reinterpreted_batch_ndims = count
        super().__init__(
            distribution.dtype, distribution.reparameterization_type, validate_args, distribution.allow_nan_stats,
            name=name or "Independent" + distribution.name,
        )  # fmt: skip

    def _batch_shape(self) -> TensorShape:
        shape = self.distribution.batch_shape
        return shape[: shape.ndims - self.reinterpreted_batch_ndims]

    def _batch_shape_tensor(self) -> Any:
        shape = self.distribution.batch_shape_tensor()
        return shape[: self.distribution.batch_shape.ndims - self.reinterpreted_batch_ndims]

    def _event_shape(self) -> TensorShape:
        shape = self.distribution.batch_shape
        return shape[shape.ndims - self.reinterpreted_batch_ndims :].concatenate(self.distribution.event_shape)

    def _event_shape_tensor(self) -> Any:
        shape = self.distribution.batch_shape_tensor()
        inner = shape[self.distribution.batch_shape.ndims - self.reinterpreted_batch_ndims :]
        return tf.concat([inner, self.distribution.event_shape_tensor()], 0)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return self.distribution.sample(n, seed)

    def _summed(self, value: Any, more: int = 0) -> Any:
        axes = list(range(-self.reinterpreted_batch_ndims, 0))
        return tf.reduce_sum(value, axis=axes) if axes else value

    def _log_prob(self, x: Any) -> Any:
        return self._summed(self.distribution.log_prob(x))

    def _entropy(self) -> Any:
        return self._summed(self.distribution.entropy())

    def _mean(self) -> Any:
        return self.distribution.mean()

    def _mode(self) -> Any:
        return self.distribution.mode()

    def _variance(self) -> Any:
        return self.distribution.variance()

    def _stddev(self) -> Any:
        return self.distribution.stddev()


served(Independent, "Independent")


@RegisterKL(Independent, Independent)
def _kl_independent(a: Independent, b: Independent, name: Any = None) -> Any:
    if a.event_shape != b.event_shape or a.reinterpreted_batch_ndims != b.reinterpreted_batch_ndims:
        raise ValueError("Event shapes do not match.")
    return a._summed(kl_divergence(a.distribution, b.distribution, name=name))


class Mixture(Distribution):
    """One of several distributions, chosen by a Categorical."""

    def __init__(self, cat: Any, components: Any, validate_args: bool = False, allow_nan_stats: bool = True,
                 use_static_graph: bool = False, name: str = "Mixture") -> None:  # fmt: skip
        if not isinstance(cat, Categorical):
            raise TypeError(f"cat must be a Categorical distribution, but saw: {cat}")
        if not components:
            raise ValueError("components must be a non-empty list or tuple")
        for part in components:
            if not isinstance(part, Distribution):
                raise TypeError(f"all entries in components must be Distribution instances but saw: {components}")
            if part.dtype != components[0].dtype:
                raise TypeError("All components must have the same dtype")
        size = cat.logits.shape[-1].value if cat.logits.shape.ndims else None
        if size is None:
            raise ValueError(
                "Could not infer number of classes from cat and unable to compare this value to the number of "
                "components passed in."
            )
        if size != len(components):
            raise ValueError(f"cat.num_classes != len(components): {size} vs. {len(components)}")
        self.cat, self.components, self.num_components = cat, list(components), size
        self._static = use_static_graph
        with tf.name_scope(name) as scope:
            pass
        super().__init__(components[0].dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, name=scope)

    def _batch_shape(self) -> TensorShape:
        return self.cat.batch_shape

    def _batch_shape_tensor(self) -> Any:
        return self.cat.batch_shape_tensor()

    def _event_shape(self) -> TensorShape:
        return self.components[0].event_shape

    def _event_shape_tensor(self) -> Any:
        return self.components[0].event_shape_tensor()

    def _chosen(self, classes: Any, values: Any) -> Any:
        """values [..., K, event] of the chosen class."""
        hot = tf.one_hot(classes, self.num_components, on_value=True, off_value=False, dtype=dtypes.bool_)
        for _ in range(self.event_shape.ndims or 0):
            hot = hot[..., None]
        hot = tf.logical_and(hot, tf.ones_like(values, dtypes.bool_))
        return tf.reduce_sum(tf.where(hot, values, tf.zeros_like(values)), axis=-1 - (self.event_shape.ndims or 0))

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        classes = self.cat.sample(n, seed=seed)
        draws = []
        if self._static:
            for part in self.components:
                seed = new_seed(seed, "mixture")
                draws.append(part.sample(n, seed=seed))
            return self._chosen(classes, tf.stack(draws, axis=-1 - (self.event_shape.ndims or 0)))
        rows = tf.reduce_prod(self.batch_shape_tensor())
        flat = tf.reshape(classes, [-1])
        places = tf.dynamic_partition(tf.range(tf.size(flat)), flat, self.num_components)
        for part, own in zip(self.components, places, strict=True):  # a part draws what is taken from it alone
            seed = new_seed(seed, "mixture")
            count = tf.size(own)
            drawn = part.sample(count, seed=seed)
            drawn = tf.reshape(drawn, tf.concat([[count * rows], self.event_shape_tensor()], 0))
            draws.append(tf.gather(drawn, rows * tf.range(count) + own % rows))
        whole = tf.concat([tf.shape(classes), self.event_shape_tensor()], 0)
        made = tf.reshape(tf.dynamic_stitch(places, draws), whole)
        made.set_shape(classes.shape.concatenate(self.event_shape))
        return made

    def _log_weights(self) -> list[Any]:
        return tf.unstack(tf.nn.log_softmax(self.cat.logits), num=self.num_components, axis=-1)

    def _log_prob(self, x: Any) -> Any:
        parts = [w + part.log_prob(x) for w, part in zip(self._log_weights(), self.components, strict=True)]
        return tf.reduce_logsumexp(tf.stack(parts), axis=0)

    def _log_cdf(self, x: Any) -> Any:
        parts = [w + part.log_cdf(x) for w, part in zip(self._log_weights(), self.components, strict=True)]
        return tf.reduce_logsumexp(tf.stack(parts), axis=0)

    def _weighted(self, values: list[Any]) -> Any:
        weights = tf.unstack(self.cat.probs, num=self.num_components, axis=-1)
        for _ in range(self.event_shape.ndims or 0):
            weights = [w[..., None] for w in weights]
        return tf.add_n([w * v for w, v in zip(weights, values, strict=True)])

    def _mean(self) -> Any:
        return self._weighted([part.mean() for part in self.components])

    def _stddev(self) -> Any:
        means = [part.mean() for part in self.components]
        second = self._weighted(
            [tf.square(p.stddev()) + tf.square(m) for p, m in zip(self.components, means, strict=True)]
        )
        return tf.sqrt(second - tf.square(self._weighted(means)))

    def entropy_lower_bound(self, name: str = "entropy_lower_bound") -> Any:
        """The weighted mean of the parts' entropies."""
        with self._scope(name):
            weights = tf.unstack(self.cat.probs, num=self.num_components, axis=-1)
            return tf.add_n([w * part.entropy() for w, part in zip(weights, self.components, strict=True)])


served(Mixture, "Mixture")


class MixtureSameFamily(Distribution):
    """A mixture whose parts are the last axis of one distribution's batch."""

    def __init__(self, mixture_distribution: Any, components_distribution: Any, validate_args: bool = False,
                 allow_nan_stats: bool = True, name: str = "MixtureSameFamily") -> None:  # fmt: skip
        self.mixture_distribution, self.components_distribution = mixture_distribution, components_distribution
        with tf.name_scope(name) as scope:
            pass
        self._event_ndims = components_distribution.event_shape.ndims or 0
        super().__init__(components_distribution.dtype, NOT_REPARAMETERIZED, validate_args, allow_nan_stats, name=scope)

    def _batch_shape(self) -> TensorShape:
        return self.components_distribution.batch_shape[:-1]

    def _batch_shape_tensor(self) -> Any:
        return self.components_distribution.batch_shape_tensor()[:-1]

    def _event_shape(self) -> TensorShape:
        return self.components_distribution.event_shape

    def _event_shape_tensor(self) -> Any:
        return self.components_distribution.event_shape_tensor()

    def _spread(self, x: Any) -> Any:
        return tf.expand_dims(x, -1 - self._event_ndims)

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        drawn = self.components_distribution.sample(n, seed=seed)
        classes = self.mixture_distribution.sample(n, seed=new_seed(seed, "MixtureSameFamily"))
        count = self.components_distribution.batch_shape[-1].value
        hot = tf.one_hot(classes, count, dtype=self.dtype)
        for _ in range(self._event_ndims):
            hot = hot[..., None]
        return tf.reduce_sum(drawn * hot, axis=-1 - self._event_ndims)

    def _log_prob(self, x: Any) -> Any:
        weights = tf.nn.log_softmax(self.mixture_distribution.logits)
        return tf.reduce_logsumexp(
            self.components_distribution.log_prob(self._spread(x)) + weights,
            axis=-1,
        )  # fmt: skip

    def _cdf(self, x: Any) -> Any:
        parts = self.components_distribution.cdf(self._spread(x))
        return tf.reduce_sum(parts * self.mixture_distribution.probs, axis=-1)

    def _weighted(self, value: Any) -> Any:
        probs = self.mixture_distribution.probs
        for _ in range(self._event_ndims):
            probs = probs[..., None]
        return tf.reduce_sum(probs * value, axis=-1 - self._event_ndims)

    def _mean(self) -> Any:
        return self._weighted(self.components_distribution.mean())

    def _variance(self) -> Any:
        parts = self.components_distribution
        spread = self._weighted(tf.square(parts.mean() - self._spread(self._mean())))
        return self._weighted(parts.variance()) + spread


served(MixtureSameFamily, "MixtureSameFamily")


class TransformedDistribution(Distribution):
    """Another distribution's samples through a bijector."""

    def __init__(self, distribution: Any, bijector: Any = None, batch_shape: Any = None, event_shape: Any = None,
                 validate_args: bool = False, name: Any = None) -> None:  # fmt: skip
        if batch_shape is not None or event_shape is not None:
            raise NotImplementedError("TransformedDistribution with batch_shape or event_shape")
        self.distribution = distribution
        self.bijector = tf.contrib.distributions.bijectors.Identity() if bijector is None else bijector
        label = name or (
            ("" if bijector is None else self.bijector.name) + distribution.name.rstrip("/").split("/")[-1]
        )
        super().__init__(
            distribution.dtype, distribution.reparameterization_type or FULLY_REPARAMETERIZED, validate_args,
            distribution.allow_nan_stats, name=label,
        )  # fmt: skip

    def _batch_shape(self) -> TensorShape:
        shape, axes = self.distribution.batch_shape, self.bijector.forward_min_event_ndims
        extra = max(0, axes - (self.distribution.event_shape.ndims or 0))
        return shape[: shape.ndims - extra] if extra else shape

    def _batch_shape_tensor(self) -> Any:
        shape = self.distribution.batch_shape_tensor()
        extra = max(0, self.bijector.forward_min_event_ndims - (self.distribution.event_shape.ndims or 0))
        return shape[: tf.size(shape) - extra] if extra else shape

    def _base_event(self) -> TensorShape:
        whole = self.distribution.batch_shape.concatenate(self.distribution.event_shape)
        return whole[self._batch_shape().ndims :]

    def _event_shape(self) -> TensorShape:
        return self.bijector.forward_event_shape(self._base_event())

    def _event_shape_tensor(self) -> Any:
        return self.bijector.forward_event_shape_tensor(tf.constant(self._base_event().as_list(), dtypes.int32))

    def _sample_n(self, n: Any, seed: int | None = None) -> Any:
        return self.bijector.forward(self.distribution.sample(n, seed=seed))

    def _log_prob(self, y: Any) -> Any:
        x = self.bijector.inverse(y)
        event_axes = self._event_shape().ndims or 0
        value = self.distribution.log_prob(x)
        extra = max(0, self.bijector.forward_min_event_ndims - (self.distribution.event_shape.ndims or 0))
        if extra:
            value = tf.reduce_sum(value, axis=list(range(-extra, 0)))
        return value + self.bijector.inverse_log_det_jacobian(y, event_ndims=event_axes)

    def _cdf(self, y: Any) -> Any:
        self._known_slope("cdf")
        return self.distribution.cdf(self.bijector.inverse(y))

    def _quantile(self, p: Any) -> Any:
        self._known_slope("quantile")
        return self.bijector.forward(self.distribution.quantile(p))

    def _known_slope(self, what: str) -> None:
        if self._event_shape().ndims:
            raise NotImplementedError(f"{what} is not implemented when event_shape has axes")

    def _mean(self) -> Any:
        if not self.bijector.is_constant_jacobian:
            raise NotImplementedError("mean is not implemented for non-affine bijectors")
        return self.bijector.forward(self.distribution.mean())

    def _entropy(self) -> Any:
        if not self.bijector.is_constant_jacobian:
            raise NotImplementedError("entropy is not implemented")
        zero = tf.zeros(self._event_shape_tensor(), self.dtype)
        return self.distribution.entropy() - self.bijector.inverse_log_det_jacobian(
            zero, event_ndims=self._event_shape().ndims
        )


served(TransformedDistribution, "TransformedDistribution")
served(TransformedDistribution, "ConditionalTransformedDistribution")


def _log_normal(name: str) -> None:
    """exp of a normal number."""

    def start(self: Any, loc: Any, scale: Any, validate_args: bool = False, allow_nan_stats: bool = True,
              name: str = name) -> None:  # fmt: skip
        normal = tf.distributions.Normal(loc, scale, validate_args, allow_nan_stats)
        TransformedDistribution.__init__(self, normal, tf.contrib.distributions.bijectors.Exp(), name=name)

    served(type(name, (TransformedDistribution,), {"__init__": start, "__doc__": _log_normal.__doc__}), name)


_log_normal("LogNormal")
