"""scikit-learn as programs of 2015 to 2019 knew it: modules that moved, keywords that were renamed, folds of a number of rows."""  # noqa: E501

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from recurra.tf1.compat.patches import Patches

# where a module's members live now
_MOVED = {
    "sklearn.grid_search": "sklearn.model_selection",
    "sklearn.learning_curve": "sklearn.model_selection",
    "sklearn.externals.joblib": "joblib",
    "sklearn.externals.six": "six",
    "sklearn.metrics.classification": "sklearn.metrics",
    "sklearn.metrics.ranking": "sklearn.metrics",
    "sklearn.metrics.regression": "sklearn.metrics",
    "sklearn.preprocessing.data": "sklearn.preprocessing",
    "sklearn.preprocessing.label": "sklearn.preprocessing",
    "sklearn.preprocessing.imputation": "sklearn.impute",
    "sklearn.decomposition.pca": "sklearn.decomposition",
    "sklearn.datasets.base": "sklearn.datasets",
    "sklearn.datasets.samples_generator": "sklearn.datasets",
    "sklearn.linear_model.logistic": "sklearn.linear_model",
    "sklearn.ensemble.forest": "sklearn.ensemble",
    "sklearn.svm.classes": "sklearn.svm",
    "sklearn.manifold.t_sne": "sklearn.manifold",
    "sklearn.cluster.k_means_": "sklearn.cluster",
    "sklearn.utils.testing": "sklearn.utils._testing",
    "sklearn.feature_extraction.stop_words": "sklearn.feature_extraction._stop_words",
}


def _alias(*names: str) -> Callable[[ModuleType], None]:
    def fill(module: ModuleType) -> None:
        for name in names:
            real = import_module(name)
            vars(module).update({key: value for key, value in vars(real).items() if not key.startswith("__")})

    return fill


def _cross_validation(module: ModuleType) -> None:
    _alias("sklearn.model_selection")(module)
    selection = import_module("sklearn.model_selection")

    class _Folds:
        """Folds of so many rows, or of rows with these labels: pairs of indices."""

        kind: Any

        def __init__(self, rows: Any, n_folds: int = 3, shuffle: bool = False, random_state: Any = None) -> None:
            self.n_folds = n_folds
            self._labels = np.zeros(rows) if np.isscalar(rows) else np.asarray(rows)
            self._folds = self.kind(n_folds, shuffle=shuffle, random_state=random_state if shuffle else None)

        def __iter__(self) -> Iterator[Any]:
            return iter(self._folds.split(self._labels, self._labels))

        def __len__(self) -> int:
            return self.n_folds

    for name in ("KFold", "StratifiedKFold"):
        vars(module)[name] = type(name, (_Folds,), {"kind": getattr(selection, name)})


STAND_INS: dict[str, Callable[[ModuleType], None]] = {
    "sklearn.externals": lambda module: None,
    "sklearn.cross_validation": _cross_validation,
    **{old: _alias(new) for old, new in _MOVED.items()},
}


def _with_names(kind: Any, dropped: tuple[str, ...] = (), **renamed: str) -> Any:
    """A class that takes its keywords under their old names, and no notice of some that are gone."""

    class Renamed(kind):
        @functools.wraps(kind.__init__)
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kept = {renamed.get(key, key): value for key, value in kwargs.items() if key not in dropped}
            super().__init__(*args, **kept)

    Renamed.__name__, Renamed.__qualname__, Renamed.__doc__ = kind.__name__, kind.__qualname__, kind.__doc__
    return Renamed


def _preprocessing(module: Any, patches: Patches) -> None:
    # imported when called: sklearn.impute imports this module
    patches.add(
        module, "Imputer", lambda *args, **kwargs: import_module("sklearn.impute").SimpleImputer(*args, **kwargs)
    )
    patches.set(module, "OneHotEncoder", _with_names(module.OneHotEncoder, ("n_values",), sparse="sparse_output"))


def _manifold(module: Any, patches: Patches) -> None:
    patches.set(module, "TSNE", _with_names(module.TSNE, n_iter="max_iter"))


def _metrics(module: Any, patches: Patches) -> None:
    real = module.mean_squared_error

    @functools.wraps(real)
    def mean_squared_error(*args: Any, squared: bool = True, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if squared else module.root_mean_squared_error(*args, **kwargs)

    patches.set(module, "mean_squared_error", mean_squared_error)


def _text(module: Any, patches: Patches) -> None:
    for kind in (module.CountVectorizer, module.TfidfVectorizer):
        patches.add(kind, "get_feature_names", lambda self: self.get_feature_names_out().tolist())


AFTER_IMPORT: dict[str, Callable[[Any, Patches], None]] = {
    "sklearn.preprocessing": _preprocessing,
    "sklearn.manifold": _manifold,
    "sklearn.metrics": _metrics,
    "sklearn.feature_extraction.text": _text,
}
