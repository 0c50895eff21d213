"""Kullback-Leibler divergences between two distributions, by the classes of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.distributions.base import Distribution, served
from recurra.tf1.namespace import space

tf = space("")
_KNOWN: dict[tuple[type, type], Callable[..., Any]] = {}


class RegisterKL:
    """Decorator: the function (a, b, name) is the divergence from a's class to b's."""

    def __init__(self, dist_cls_a: type, dist_cls_b: type) -> None:
        self._key = (dist_cls_a, dist_cls_b)

    def __call__(self, kl_fn: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(kl_fn):
            raise TypeError(f"kl_fn must be callable, received: {kl_fn}")
        if self._key in _KNOWN:
            names = (cls.__name__ for cls in self._key)
            raise ValueError("KL({} || {}) has already been registered to: {}".format(*names, _KNOWN[self._key]))
        _KNOWN[self._key] = kl_fn
        return kl_fn


def _nearest(a: type, b: type) -> Callable[..., Any] | None:
    best: Any = None
    for i, above_a in enumerate(a.__mro__):
        for j, above_b in enumerate(b.__mro__):
            found = _KNOWN.get((above_a, above_b))
            if found is not None and (best is None or i + j < best[0]):
                best = (i + j, found)
    return None if best is None else best[1]


def kl_divergence(
    distribution_a: Distribution, distribution_b: Distribution, allow_nan_stats: bool = True, name: str | None = None
) -> Any:
    """KL(a || b); NotImplementedError where no formula is registered."""
    function = _nearest(type(distribution_a), type(distribution_b))
    if function is None:
        raise NotImplementedError(
            "No KL(distribution_a || distribution_b) registered for distribution_a type "
            f"{type(distribution_a).__name__} and distribution_b type {type(distribution_b).__name__}"
        )
    with tf.name_scope("KullbackLeibler"):
        value = function(distribution_a, distribution_b, name=name)
        if allow_nan_stats:
            return value
        sound = tf.reduce_all(tf.logical_not(tf.is_nan(value)))
        with tf.control_dependencies([tf.Assert(sound, ["KL calculation returned NaN values", value])]):
            return tf.identity(value, name="checked_kl")


def cross_entropy(ref: Distribution, other: Distribution, allow_nan_stats: bool = True, name: Any = None) -> Any:
    """The entropy of `ref` and its divergence to `other`."""
    with tf.name_scope(name, "cross_entropy"):
        return ref.entropy() + kl_divergence(ref, other, allow_nan_stats=allow_nan_stats)


served(RegisterKL, "RegisterKL", core=True)
served(kl_divergence, "kl_divergence", core=True)
served(kl_divergence, "kl")  # 0.x's name
