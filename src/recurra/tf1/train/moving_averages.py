"""tf.train.ExponentialMovingAverage and assign_moving_average."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train import slots

tf = space("")


@tf_export("python.training.moving_averages.assign_moving_average")
def assign_moving_average(
    variable: Any, value: Any, decay: Any, zero_debias: bool = True, name: str | None = None
) -> Any:
    """variable ← variable − (1 − decay)(variable − value); with zero_debias corrected for a start at zero."""
    with tf.name_scope(name, "AssignMovingAvg", [variable, value, decay]) as scope, tf.colocate_with(variable.op):
        rest = tf.convert_to_tensor(1.0 - decay, name="decay")
        if rest.dtype.base_dtype != variable.dtype.base_dtype:
            rest = tf.cast(rest, variable.dtype.base_dtype)
        if zero_debias:
            return tf.assign_sub(variable, _debiased_delta(variable, value, rest), name=scope)
        return tf.assign_sub(variable, (variable - value) * rest, name=scope)


def _debiased_delta(unbiased: Any, value: Any, rest: Any) -> Any:
    with tf.variable_scope(unbiased.op.name, values=[unbiased, value, rest]), tf.colocate_with(unbiased.op):
        shape = unbiased.get_shape()
        biased = tf.get_variable(
            "biased", shape=shape, dtype=unbiased.dtype.base_dtype, initializer=tf.zeros_initializer(), trainable=False
        )
        steps = tf.get_variable(
            "local_step", shape=[], dtype=unbiased.dtype.base_dtype, initializer=tf.zeros_initializer(), trainable=False
        )
        biased_now = tf.assign_sub(biased, (biased - value) * rest, name=tf.get_variable_scope().name)
        steps_now = tf.assign_add(steps, 1)
        with tf.control_dependencies([biased_now, steps_now]):
            # 1 − (1 − rest)^steps is the weight that the values seen so far have
            return unbiased - biased.read_value() / (1 - tf.pow(1.0 - rest, steps.read_value()))


@tf_export("contrib.framework.assign_moving_average", "contrib.opt.assign_moving_average")
def _assign_moving_average(*args: Any, **kwargs: Any) -> Any:
    return assign_moving_average(*args, **kwargs)


@tf_export("python.training.moving_averages.weighted_moving_average")
def weighted_moving_average(
    value: Any, decay: Any, weight: Any, truediv: bool = True, collections: Any = None, name: str | None = None
) -> Any:
    """The moving mean of value·weight over that of weight."""
    collections = [tf.GraphKeys.GLOBAL_VARIABLES] if collections is None else collections
    with tf.variable_scope(name, "WeightedMovingAvg", [value, weight, decay]) as scope:
        zeros = tf.zeros_initializer()
        sums = [
            tf.get_variable(
                title, shape=t.get_shape(), initializer=zeros, dtype=t.dtype, trainable=False, collections=collections
            )
            for title, t in (("value_x_weight_avg", value), ("weight_avg", weight))
        ]
        numerator = assign_moving_average(sums[0], value * weight, decay, zero_debias=False)
        denominator = assign_moving_average(sums[1], weight, decay, zero_debias=False)
        return (tf.truediv if truediv else tf.div)(numerator, denominator, name=scope.name)


@tf_export("train.ExponentialMovingAverage")
class ExponentialMovingAverage:
    """Shadow variables s ← s − (1−d)(s − v), d = min(decay, (1+n)/(10+n)) where `num_updates` n is given."""

    def __init__(
        self, decay: Any, num_updates: Any = None, zero_debias: bool = False, name: str = "ExponentialMovingAverage"
    ) -> None:
        self._decay, self._num_updates, self._zero_debias, self._name = decay, num_updates, zero_debias, name
        self._averages: dict[Any, Any] = {}

    @property
    def name(self) -> str:
        return self._name

    def apply(self, var_list: Any = None) -> Any:
        """Make the shadows of the variables or tensors, and give the operation that updates them."""
        var_list = tf.trainable_variables() if var_list is None else list(var_list)
        debiased = set()
        for var in var_list:
            if var.dtype.base_dtype not in (tf.bfloat16, tf.float16, tf.float32, tf.float64):
                raise TypeError(f"The variables must be half, float, or double: {var.name}")
            if var in self._averages:
                continue
            with tf.control_dependencies(None):
                if isinstance(var, tf.Variable):
                    shadow = slots.create_slot(var, var.initialized_value(), self.name)
                    tf.add_to_collection(tf.GraphKeys.MOVING_AVERAGE_VARIABLES, var)
                else:
                    shadow = slots.create_zeros_slot(var, self.name)
                    if self._zero_debias:
                        debiased.add(shadow)
            self._averages[var] = shadow
        with tf.name_scope(self.name) as scope:
            decay = tf.convert_to_tensor(self._decay, name="decay")
            if self._num_updates is not None:
                updates = tf.cast(self._num_updates, tf.float32, name="num_updates")
                decay = tf.minimum(decay, (1.0 + updates) / (10.0 + updates))
            done = []
            for var in var_list:
                shadow = self._averages[var]
                done.append(assign_moving_average(shadow, var, decay, zero_debias=shadow in debiased))
            return tf.group(*done, name=scope)

    def average(self, var: Any) -> Any:
        """The shadow of `var`, None where it has none."""
        return self._averages.get(var)

    def average_name(self, var: Any) -> str:
        """The name under which `var`'s shadow is saved."""
        if var in self._averages:
            return self._averages[var].op.name
        return tf.get_default_graph().unique_name(f"{var.op.name}/{self.name}", mark_as_used=False)

    def variables_to_restore(self, moving_avg_variables: Any = None) -> dict[str, Any]:
        """{name in the checkpoint: variable} that restores the averages into the variables themselves."""
        if moving_avg_variables is None:
            moving_avg_variables = tf.trainable_variables() + tf.moving_average_variables()
        found = {self.average_name(v): v for v in dict.fromkeys(moving_avg_variables)}
        taken = {v.op.name for v in moving_avg_variables}
        others = (v for v in tf.global_variables() if v.op.name not in taken and v.op.name not in found)
        found.update({v.op.name: v for v in list(others)})
        return found
