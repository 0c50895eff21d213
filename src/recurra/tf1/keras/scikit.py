"""tf.keras.wrappers.scikit_learn: models with scikit-learn's fit, predict and score."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.keras.saving import plain
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


class BaseWrapper:
    """`build_fn` makes a compiled model; further arguments go to it, or to fit, predict and score."""

    _estimator_type = ""

    def __init__(self, build_fn: Callable[..., Any] | None = None, **sk_params: Any) -> None:
        self.build_fn, self.sk_params = build_fn, sk_params
        self.check_params(sk_params)

    def _builder(self) -> Callable[..., Any]:
        if self.build_fn is None:
            return type(self).__call__  # type: ignore[attr-defined, no-any-return]
        is_plain = inspect.isfunction(self.build_fn) or inspect.ismethod(self.build_fn)
        return self.build_fn if is_plain else type(self.build_fn).__call__  # type: ignore[operator]

    def check_params(self, params: dict[str, Any]) -> None:
        """ValueError for an argument that nobody takes."""
        model = tf.keras.Sequential
        takers = [model.fit, model.predict, model.evaluate, self._builder()]
        known = {name for taker in takers for name in inspect.signature(taker).parameters} | {"nb_epoch"}
        for name in params:
            if name not in known:
                raise ValueError(f"{name} is not a legal parameter")

    def get_params(self, deep: bool = True, **params: Any) -> dict[str, Any]:
        return {**copy.deepcopy(self.sk_params), "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> Any:
        self.check_params(params)
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.sk_params.update(params)
        return self

    def filter_sk_params(self, fn: Callable[..., Any], override: Any = None) -> dict[str, Any]:
        """The arguments that `fn` takes."""
        names = inspect.signature(fn).parameters
        return {**{k: v for k, v in self.sk_params.items() if k in names}, **(override or {})}

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Build the model and let it learn; gives the History."""
        if self.build_fn is None:
            self.model = self(**self.filter_sk_params(type(self).__call__))  # type: ignore[operator, attr-defined]
        else:
            self.model = self.build_fn(**self.filter_sk_params(self._builder()))
        loss = plain(self.model.loss)
        if loss == "categorical_crossentropy" and np.ndim(y) != 2:
            y = tf.keras.utils.to_categorical(y)
        return self.model.fit(x, y, **{**self.filter_sk_params(type(self.model).fit), **kwargs})


@tf_export("keras.wrappers.scikit_learn.KerasClassifier")
class KerasClassifier(BaseWrapper):
    """Classes from a model's outputs; `score` is the accuracy."""

    _estimator_type = "classifier"

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Learn from labels of any kind, or from one-hot rows."""
        y = np.array(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_ = np.unique(y)
            y = np.searchsorted(self.classes_, y)
        self.n_classes_ = len(self.classes_)
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """The likeliest class of every row."""
        found = self.model.predict(x, **self.filter_sk_params(type(self.model).predict, kwargs))
        classes = found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")
        return self.classes_[classes]

    def predict_proba(self, x: Any, **kwargs: Any) -> Any:
        """The classes' probabilities."""
        found = self.model.predict(x, **self.filter_sk_params(type(self.model).predict, kwargs))
        return np.hstack([1 - found, found]) if found.shape[1] == 1 else found

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The accuracy; the model must have been compiled with it."""
        y = np.searchsorted(self.classes_, y) if np.ndim(y) == 1 else np.asarray(y)
        if plain(self.model.loss) == "categorical_crossentropy" and y.ndim != 2:
            y = tf.keras.utils.to_categorical(y)
        found = self.model.evaluate(x, y, **{"verbose": 0, **self.filter_sk_params(type(self.model).evaluate, kwargs)})
        found = found if isinstance(found, list) else [found]
        for name, value in zip(self.model.metrics_names, found, strict=False):
            if name in ("accuracy", "acc"):
                return float(value)
        raise ValueError('The model is not configured to compute accuracy. You should pass `metrics=["accuracy"]` to '
                         "the `model.compile()` method.")  # fmt: skip


@tf_export("keras.wrappers.scikit_learn.KerasRegressor")
class KerasRegressor(BaseWrapper):
    """A model's outputs; `score` is the negative loss."""

    _estimator_type = "regressor"

    def predict(self, x: Any, **kwargs: Any) -> Any:
        """The outputs, without axes of length one."""
        return np.squeeze(self.model.predict(x, **self.filter_sk_params(type(self.model).predict, kwargs)))

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """The negative loss."""
        loss = self.model.evaluate(x, y, **{"verbose": 0, **self.filter_sk_params(type(self.model).evaluate, kwargs)})
        return -float(loss[0] if isinstance(loss, list) else loss)
