"""tf.keras.metrics' classes that count beside thresholds: precision, recall, the areas under curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.tf1.keras.metric_objects import Metric
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")


def _counts(y_true: Any, y_pred: Any, thresholds: list[float], weight: Any) -> dict[str, Any]:
    """{tp, fp, tn, fn}: weights of the predictions above and below each threshold, [thresholds]."""
    y_pred = tf.reshape(tf.cast(y_pred, tf.float32), [-1])
    y_true = tf.reshape(tf.cast(y_true, tf.bool), [-1])
    if weight is None:
        weights = tf.ones_like(y_pred)
    else:
        weights = tf.reshape(tf.cast(weight, tf.float32), [-1])
        sizes = weights.shape.num_elements(), y_pred.shape.num_elements()
        if None in sizes or sizes[0] != sizes[1]:
            weights = tf.reshape(tf.tile(weights[:, None], [1, tf.size(y_pred) // tf.size(weights)]), [-1])
    above = y_pred[None, :] > tf.constant(thresholds, tf.float32)[:, None]
    sides = {"tp": (True, True), "fp": (False, True), "tn": (False, False), "fn": (True, False)}
    found = {}
    for key, (label, over) in sides.items():
        right = y_true if label else tf.logical_not(y_true)
        chosen = tf.logical_and(above if over else tf.logical_not(above), right[None, :])
        found[key] = tf.reduce_sum(tf.cast(chosen, tf.float32) * weights, axis=1)
    return found


class _Counting(Metric):
    """Sums of counts at thresholds; `kept` are the variables' names in order of making."""

    kept: tuple[tuple[str, str], ...] = ()

    def __init__(self, thresholds: Any = None, name: Any = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(name=name, dtype=dtype, **kwargs)
        given = 0.5 if thresholds is None else thresholds
        self.thresholds = list(given) if isinstance(given, list | tuple | np.ndarray) else [given]
        if any(t is None or not 0.0 <= t <= 1.0 for t in self.thresholds):
            raise ValueError(f"Threshold values must be in [0, 1]. Invalid values: {self.thresholds}")
        self._sums = {key: self.add_weight(label, (len(self.thresholds),)) for key, label in self.kept}
        for key, label in self.kept:
            setattr(self, label, self._sums[key])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        y_pred = tf.convert_to_tensor(y_pred)
        within = [
            tf.assert_greater_equal(y_pred, tf.cast(0.0, y_pred.dtype), message="predictions must be >= 0"),
            tf.assert_less_equal(y_pred, tf.cast(1.0, y_pred.dtype), message="predictions must be <= 1"),
        ]
        with tf.control_dependencies(within):
            found = _counts(y_true, tf.identity(y_pred), self.thresholds, sample_weight)
        return tf.group(*(tf.assign_add(v, found[key]) for key, v in self._sums.items()))

    def _ended(self, value: Any) -> Any:
        return value[0] if len(self.thresholds) == 1 else value


def _counter(name: str, label: str, key: str) -> None:
    def result(self: Any) -> Any:
        return self._ended(self._sums[key].read_value())

    def start(self: Any, thresholds: Any = None, name: str = label, dtype: Any = None) -> None:
        _Counting.__init__(self, thresholds, name, dtype)

    methods = {"kept": ((key, "accumulator"),), "result": result, "__init__": start, "__doc__": f"How many {label}."}
    export(type(name, (_Counting,), methods), f"keras.metrics.{name}")


_counter("TruePositives", "true_positives", "tp")
_counter("FalsePositives", "false_positives", "fp")
_counter("TrueNegatives", "true_negatives", "tn")
_counter("FalseNegatives", "false_negatives", "fn")


class _Share(_Counting):
    """True positives over themselves and something else."""

    def __init__(self, thresholds: Any = None, top_k: Any = None, class_id: Any = None, name: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        if top_k is not None:
            raise NotImplementedError(f"keras.metrics.{type(self).__name__} with top_k is not implemented in recurra")
        super().__init__(thresholds, name, dtype)
        self.class_id = class_id

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if self.class_id is not None:
            y_true, y_pred = (tf.convert_to_tensor(y)[..., self.class_id] for y in (y_true, y_pred))
        return _Counting.update_state(self, y_true, y_pred, sample_weight)

    def result(self) -> Any:
        hits, other = (v.read_value() for v in self._sums.values())
        return self._ended(tf.div_no_nan(hits, hits + other))


@tf_export("keras.metrics.Precision")
class Precision(_Share):
    """Of what was said to be positive, how much is."""

    kept = (("tp", "true_positives"), ("fp", "false_positives"))


@tf_export("keras.metrics.Recall")
class Recall(_Share):
    """Of what is positive, how much was said to be."""

    kept = (("tp", "true_positives"), ("fn", "false_negatives"))


_ALL = (("tp", "true_positives"), ("tn", "true_negatives"), ("fp", "false_positives"), ("fn", "false_negatives"))


def _spread_thresholds(count: int) -> list[float]:
    inner = [(i + 1) / (count - 1) for i in range(count - 2)]
    return [-1e-7, *inner, 1 + 1e-7]


class _Curve(_Counting):
    """Counts at evenly spread thresholds."""

    kept = _ALL

    def __init__(self, count: int, name: Any, dtype: Any, ends: bool = True) -> None:
        inner = [i / (count - 1) for i in range(1, count - 1)]
        super().__init__([0.0, *inner, 1.0] if count > 1 else [0.5], name, dtype)
        if count > 1 and ends:
            self.thresholds = _spread_thresholds(count)

    def _values(self) -> tuple[Any, ...]:
        return tuple(self._sums[key].read_value() for key in ("tp", "fp", "tn", "fn"))


@tf_export("keras.metrics.AUC")
class AUC(_Curve):
    """The area under the ROC or the precision-recall curve, by sums over thresholds."""

    def __init__(self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
                 name: Any = None, dtype: Any = None, thresholds: Any = None) -> None:  # fmt: skip
        if curve not in ("ROC", "PR") or summation_method not in ("interpolation", "minoring", "majoring"):
            raise ValueError(f"Invalid AUC curve or summation method: {curve!r}, {summation_method!r}")
        if thresholds is None and num_thresholds <= 1:
            raise ValueError("`num_thresholds` must be > 1.")
        count = num_thresholds if thresholds is None else len(thresholds) + 2
        super().__init__(count, name, dtype)
        if thresholds is not None:
            self.thresholds = [-1e-7, *sorted(thresholds), 1 + 1e-7]
        self.num_thresholds, self.curve, self.summation_method = count, curve, summation_method

    def result(self) -> Any:
        tp, fp, tn, fn = self._values()
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self._pr(tp, fp, fn)
        recall = tf.div_no_nan(tp, tp + fn)
        x, y = (tf.div_no_nan(fp, fp + tn), recall) if self.curve == "ROC" else (recall, tf.div_no_nan(tp, tp + fp))
        a, b = y[:-1], y[1:]
        heights = {
            "interpolation": lambda: (a + b) / 2.0,
            "minoring": lambda: tf.minimum(a, b),
            "majoring": lambda: tf.maximum(a, b),
        }[self.summation_method]()
        return tf.reduce_sum((x[:-1] - x[1:]) * heights)

    def _pr(self, tp: Any, fp: Any, fn: Any) -> Any:
        """Interpolated in counts, not in rates (Davis and Goadrich, 2006)."""
        dtp = tp[:-1] - tp[1:]
        p = tp + fp
        dp = p[:-1] - p[1:]
        slope = tf.div_no_nan(dtp, tf.maximum(dp, 0))
        intercept = tp[1:] - slope * p[1:]
        safe = tf.logical_and(p[:-1] > 0, p[1:] > 0)
        ratio = tf.where(safe, tf.div_no_nan(p[:-1], tf.maximum(p[1:], 0)), tf.ones_like(p[1:]))
        return tf.reduce_sum(tf.div_no_nan(slope * (dtp + intercept * tf.log(ratio)), tf.maximum(tp[1:] + fn[1:], 0)))


class _AtSide(_Curve):
    """One rate where another one is nearest to a wanted value."""

    def __init__(self, value: float, num_thresholds: int = 200, name: Any = None, dtype: Any = None) -> None:
        if not 0 <= value <= 1 or num_thresholds <= 0:
            raise ValueError("the wanted rate must be in the range [0, 1] and `num_thresholds` above 0.")
        super().__init__(num_thresholds, name, dtype, ends=False)
        self.value = value

    def result(self) -> Any:
        tp, fp, tn, fn = self._values()
        sensitivity, specificity = tf.div_no_nan(tp, tp + fn), tf.div_no_nan(tn, tn + fp)
        near, wanted = self._sides(sensitivity, specificity)
        return tf.gather(wanted, tf.argmin(tf.abs(near - self.value), axis=0))

    def _sides(self, sensitivity: Any, specificity: Any) -> tuple[Any, Any]:
        raise NotImplementedError


@tf_export("keras.metrics.SensitivityAtSpecificity")
class SensitivityAtSpecificity(_AtSide):
    """Sensitivity where the specificity is nearest to the one given."""

    def __init__(self, specificity: float, num_thresholds: int = 200, name: Any = None, dtype: Any = None) -> None:
        super().__init__(specificity, num_thresholds, name, dtype)

    def _sides(self, sensitivity: Any, specificity: Any) -> tuple[Any, Any]:
        return specificity, sensitivity


@tf_export("keras.metrics.SpecificityAtSensitivity")
class SpecificityAtSensitivity(_AtSide):
    """Specificity where the sensitivity is nearest to the one given."""

    def __init__(self, sensitivity: float, num_thresholds: int = 200, name: Any = None, dtype: Any = None) -> None:
        super().__init__(sensitivity, num_thresholds, name, dtype)

    def _sides(self, sensitivity: Any, specificity: Any) -> tuple[Any, Any]:
        return sensitivity, specificity
