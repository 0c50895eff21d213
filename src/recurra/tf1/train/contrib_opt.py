"""tf.contrib.opt: the optimizers beyond tf.train's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.optimizer import Optimizer, update
from recurra.tf1.train.optimizers import AdamOptimizer, MomentumOptimizer, Scheduled

tf = space("")


def _operation(done: Any) -> Any:
    return done.op if hasattr(done, "op") else done


@tf_export("contrib.opt.LazyAdamOptimizer")
class LazyAdamOptimizer(AdamOptimizer):
    """Adam that leaves rows without a gradient alone."""

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return update("SparseApplyAdam", var, *self._inputs(var), grad.values, grad.indices)


@tf_export("contrib.opt.NadamOptimizer")
class NadamOptimizer(AdamOptimizer):
    """Adam with Nesterov's momentum (Dozat, 2015)."""

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update("ApplyAdam", var, *self._inputs(var), grad, use_nesterov=True)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        first, second, rate, beta1, beta2, epsilon = self._inputs(var)[2:]
        m, v = self.get_slot(var, "m"), self.get_slot(var, "v")
        scaled = grad.values * (1 - beta1)
        decayed = [tf.assign(m, m * beta1), tf.assign(v, v * beta2)]
        with tf.control_dependencies(decayed):
            added = [
                tf.scatter_add(m, grad.indices, scaled),
                tf.scatter_add(v, grad.indices, grad.values * grad.values * (1 - beta2)),
            ]
        m_bar = scaled + beta1 * tf.gather(added[0], grad.indices)
        step = rate * tf.sqrt(1 - second) / (1 - first)
        delta = step * m_bar / (tf.sqrt(tf.gather(added[1], grad.indices)) + epsilon)
        return tf.group(tf.scatter_sub(var, grad.indices, delta), *added)


@tf_export("contrib.opt.AdaMaxOptimizer")
class AdaMaxOptimizer(AdamOptimizer):
    """Adam with the largest gradient in place of the second moment (Kingma and Ba, 2014)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: Any = 0.9,
        beta2: Any = 0.999,
        epsilon: Any = 1e-8,
        use_locking: bool = False,
        name: str = "AdaMax",
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, use_locking, name)

    def _get_beta_accumulators(self) -> Any:
        return self._get_non_slot_variable("beta1_power", graph=tf.get_default_graph())

    def _create_slots(self, var_list: Any) -> None:
        first = min(var_list, key=lambda v: v.name)
        self._create_non_slot_variable(self._beta1, "beta1_power", first)
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _inputs(self, var: Any) -> list[Any]:
        power = tf.cast(self._get_beta_accumulators(), var.dtype.base_dtype)
        slots = [self.get_slot(var, "m"), self.get_slot(var, "v")]
        return [*slots, power, *self._hyper(var, "lr", "beta1", "beta2", "epsilon")]

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update("ApplyAdaMax", var, *self._inputs(var), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return update("SparseApplyAdaMax", var, *self._inputs(var), grad.values, grad.indices)

    def _finish(self, update_ops: list[Any], name_scope: str) -> Any:
        with tf.control_dependencies(update_ops):
            power = self._get_beta_accumulators()
            with tf.colocate_with(power.op):
                later = tf.assign(power, power * self._beta1_t, use_locking=self._use_locking)
        return tf.group(*update_ops, later, name=name_scope)


class _Signed(Scheduled):
    """What AddSign and PowerSign share: a moving mean m of the gradient and a decay of the signs' weight."""

    def __init__(self, use_locking: bool, name: str, decay: Callable[..., Any] | None, **hyper: Any) -> None:
        super().__init__(use_locking, name, **hyper)
        self._sign_decay_fn = decay

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            self._zeros_slot(var, "m", self._name)

    def _prepare(self) -> None:
        super()._prepare()
        self._sign_decay_t = tf.convert_to_tensor(1.0)
        if self._sign_decay_fn is not None:
            self._sign_decay_t = self._sign_decay_fn(tf.train.get_or_create_global_step())

    def _decay(self, var: Any) -> Any:
        return tf.cast(self._sign_decay_t, var.dtype.base_dtype)

    def _mean(self, grad: Any, var: Any) -> Any:
        """The new mean of a sparse gradient: every row decays."""
        beta = self._hyper(var, "beta")[0]
        m = self.get_slot(var, "m")
        decayed = tf.assign(m, m * beta)
        with tf.control_dependencies([decayed]):
            return tf.scatter_add(m, grad.indices, grad.values * (1 - beta))


@tf_export("contrib.opt.AddSignOptimizer")
class AddSignOptimizer(_Signed):
    """w ← w − lr·(α + f(t)·sign(g)·sign(m))·g (Bello et al., 2017)."""

    def __init__(
        self,
        learning_rate: Any = 0.1,
        alpha: Any = 1.0,
        beta: Any = 0.9,
        sign_decay_fn: Callable[..., Any] | None = None,
        use_locking: bool = False,
        name: str = "AddSignOptimizer",
    ) -> None:
        super().__init__(use_locking, name, sign_decay_fn, lr=learning_rate, alpha=alpha, beta=beta)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        rate, alpha, beta = self._hyper(var, "lr", "alpha", "beta")
        return update("ApplyAddSign", var, self.get_slot(var, "m"), rate, alpha, self._decay(var), beta, grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        rate, alpha = self._hyper(var, "lr", "alpha")
        agree = tf.sign(tf.gather(self._mean(grad, var), grad.indices)) * tf.sign(grad.values)
        delta = rate * (alpha + self._decay(var) * agree) * grad.values
        return _operation(tf.scatter_sub(var, grad.indices, delta))


@tf_export("contrib.opt.PowerSignOptimizer")
class PowerSignOptimizer(_Signed):
    """w ← w − lr·base^(f(t)·sign(g)·sign(m))·g (Bello et al., 2017)."""

    def __init__(
        self,
        learning_rate: Any = 0.1,
        base: Any = math.e,
        beta: Any = 0.9,
        sign_decay_fn: Callable[..., Any] | None = None,
        use_locking: bool = False,
        name: str = "PowerSignOptimizer",
    ) -> None:
        super().__init__(use_locking, name, sign_decay_fn, lr=learning_rate, beta=beta, logbase=math.log(base))

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        rate, logbase, beta = self._hyper(var, "lr", "logbase", "beta")
        return update("ApplyPowerSign", var, self.get_slot(var, "m"), rate, logbase, self._decay(var), beta, grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        rate, logbase = self._hyper(var, "lr", "logbase")
        agree = tf.sign(tf.gather(self._mean(grad, var), grad.indices)) * tf.sign(grad.values)
        delta = rate * tf.exp(logbase * self._decay(var) * agree) * grad.values
        return _operation(tf.scatter_sub(var, grad.indices, delta))


@tf_export("contrib.opt.get_linear_decay_fn")
def get_linear_decay_fn(decay_steps: Any) -> Callable[..., Any]:
    """1 − step/decay_steps, not below 0."""
    if callable(decay_steps):
        decay_steps = decay_steps()

    def linear_decay_fn(global_step: Any) -> Any:
        if global_step is None:
            raise ValueError("global_step is required for linear_decay.")
        step = tf.minimum(tf.cast(global_step, tf.float32), float(decay_steps))
        return tf.maximum(1.0 - step / float(decay_steps), 0.0)

    return linear_decay_fn


@tf_export("contrib.opt.get_cosine_decay_fn")
def get_cosine_decay_fn(
    decay_steps: Any, num_periods: float = 0.5, zero_after: float | None = None
) -> Callable[..., Any]:
    """½(1 + cos 2π·periods·step/steps), zero after `zero_after` periods."""

    def cosine_decay_fn(global_step: Any) -> Any:
        if global_step is None:
            raise ValueError("global_step is required for cosine_decay.")
        done = tf.minimum(tf.cast(global_step, tf.float32), float(decay_steps)) / float(decay_steps)
        decayed = 0.5 * (1 + tf.cos(2.0 * math.pi * num_periods * done))
        if zero_after is not None:
            decayed = tf.where(2.0 * num_periods * done > 2 * zero_after, tf.zeros_like(decayed), decayed)
        return decayed

    return cosine_decay_fn


def _first(made: Any) -> list[Any]:
    """An operation that, with what it needs, runs before all else: TensorFlow's loss mostly sees decayed weights."""
    operation = _operation(made)
    waiting = [operation]
    while waiting:
        one = waiting.pop()
        if "_early" not in one.attrs:
            one.attrs["_early"] = True
            waiting += [tensor.op for tensor in one.inputs]
    return [operation]


class DecoupledWeightDecayExtension(Optimizer):
    """Mixed in before an optimizer: w ← w − decay·w before its update (Loshchilov and Hutter, 2017)."""

    def __init__(self, weight_decay: Any, **kwargs: Any) -> None:
        self._decay_var_list: Any = None
        self._weight_decay = weight_decay
        self._weight_decay_tensor: Any = None
        super().__init__(**kwargs)

    def minimize(self, loss: Any, *args: Any, decay_var_list: Any = None, **kwargs: Any) -> Any:
        """As the optimizer's; weights of `decay_var_list` alone decay where it is given."""
        self._decay_var_list = set(decay_var_list) if decay_var_list else None
        return super().minimize(loss, *args, **kwargs)

    def apply_gradients(self, grads_and_vars: Any, *args: Any, decay_var_list: Any = None, **kwargs: Any) -> Any:
        """As the optimizer's."""
        self._decay_var_list = set(decay_var_list) if decay_var_list else self._decay_var_list
        return super().apply_gradients(grads_and_vars, *args, **kwargs)

    def _prepare(self) -> None:
        self._weight_decay_tensor = tf.convert_to_tensor(
            self._call_if_callable(self._weight_decay), name="weight_decay"
        )
        super()._prepare()

    def _decays(self, var: Any) -> bool:
        return not self._decay_var_list or var in self._decay_var_list

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        before = []
        if self._decays(var):
            shrink = tf.cast(self._weight_decay_tensor, var.dtype.base_dtype) * var
            before = _first(tf.assign_sub(var, shrink))
        with tf.control_dependencies(before):
            return super()._apply_dense(grad, var)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        before = []
        if self._decays(var):
            shrink = tf.cast(self._weight_decay_tensor, var.dtype.base_dtype) * tf.gather(var, grad.indices)
            before = _first(tf.scatter_sub(var, grad.indices, shrink))
        with tf.control_dependencies(before):
            return super()._apply_sparse(grad, var)


tf_export("contrib.opt.DecoupledWeightDecayExtension")(DecoupledWeightDecayExtension)


@tf_export("contrib.opt.extend_with_decoupled_weight_decay")
def extend_with_decoupled_weight_decay(base_optimizer: type[Optimizer]) -> type[Optimizer]:
    """A class: `base_optimizer` with the argument weight_decay before its own."""

    class OptimizerWithDecoupledWeightDecay(DecoupledWeightDecayExtension, base_optimizer):  # type: ignore[misc, valid-type]
        """The optimizer, with decoupled weight decay."""

        def __init__(self, weight_decay: Any, *args: Any, **kwargs: Any) -> None:
            self._decay_var_list = None
            self._weight_decay, self._weight_decay_tensor = weight_decay, None
            base_optimizer.__init__(self, *args, **kwargs)

    return OptimizerWithDecoupledWeightDecay


@tf_export("contrib.opt.AdamWOptimizer")
class AdamWOptimizer(DecoupledWeightDecayExtension, AdamOptimizer):
    """Adam with decoupled weight decay."""

    def __init__(
        self,
        weight_decay: Any,
        learning_rate: Any = 0.001,
        beta1: Any = 0.9,
        beta2: Any = 0.999,
        epsilon: Any = 1e-8,
        use_locking: bool = False,
        name: str = "AdamW",
    ) -> None:
        super().__init__(
            weight_decay,
            learning_rate=learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            use_locking=use_locking,
            name=name,
        )


@tf_export("contrib.opt.MomentumWOptimizer")
class MomentumWOptimizer(DecoupledWeightDecayExtension, MomentumOptimizer):
    """Momentum with decoupled weight decay."""

    def __init__(
        self,
        weight_decay: Any,
        learning_rate: Any,
        momentum: Any,
        use_locking: bool = False,
        name: str = "MomentumW",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(
            weight_decay,
            learning_rate=learning_rate,
            momentum=momentum,
            use_locking=use_locking,
            name=name,
            use_nesterov=use_nesterov,
        )


@tf_export("contrib.opt.MovingAverageOptimizer")
class MovingAverageOptimizer(Optimizer):
    """Wraps an optimizer and keeps moving averages of the trained variables, which its Saver stores instead of them."""

    def __init__(
        self, opt: Optimizer, average_decay: Any = 0.9999, num_updates: Any = None, sequential_update: bool = True
    ) -> None:
        super().__init__(opt._use_locking, opt._name)
        self._optimizer = opt
        self._ema = tf.train.ExponentialMovingAverage(average_decay, num_updates=num_updates)
        self._swapped_variable_name_map: dict[str, str] | None = None
        self._sequential_update = sequential_update

    def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
        return self._optimizer.compute_gradients(*args, **kwargs)

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: str | None = None) -> Any:
        """The optimizer's update, then the averages'."""
        pairs = list(grads_and_vars)
        train_op = self._optimizer.apply_gradients(pairs, global_step=global_step, name=name)
        variables = [v for g, v in pairs if g is not None]
        with tf.control_dependencies([train_op] if self._sequential_update else []):
            averages = self._ema.apply(variables)
        self._swapped_variable_name_map = {v.op.name: self._ema.average(v).op.name for v in variables}
        return tf.group(train_op, averages, name="train_with_avg")

    def swapping_saver(self, var_list: Any = None, name: str = "swapping_saver", **kwargs: Any) -> Any:
        """A Saver that stores the averages under the variables' names, and the variables under the averages'."""
        if self._swapped_variable_name_map is None:
            raise RuntimeError("Must call apply_gradients or minimize before creating the swapping_saver")
        var_list = tf.global_variables() if var_list is None else var_list
        named = var_list if isinstance(var_list, dict) else {v.op.name: v for v in var_list}
        swap = dict(self._swapped_variable_name_map)
        swap.update({average: name for name, average in self._swapped_variable_name_map.items()})
        return tf.train.Saver({key: named[swap.get(key, key)] for key in named}, name=name, **kwargs)


@tf_export("contrib.opt.VariableClippingOptimizer")
class VariableClippingOptimizer(Optimizer):
    """Wraps an optimizer and clips the norms of chosen variables after each step."""

    def __init__(
        self,
        opt: Optimizer,
        vars_to_clip_dims: dict[Any, list[int]],
        max_norm: float,
        use_locking: bool = False,
        colocate_clip_ops_with_vars: bool = False,
        name: str = "VariableClipping",
    ) -> None:
        super().__init__(use_locking, name)
        self._opt, self._clip_dims, self._max_norm = opt, vars_to_clip_dims, max_norm

    def compute_gradients(self, *args: Any, **kwargs: Any) -> Any:
        return self._opt.compute_gradients(*args, **kwargs)

    def get_slot(self, *args: Any, **kwargs: Any) -> Any:
        return self._opt.get_slot(*args, **kwargs)

    def get_slot_names(self, *args: Any, **kwargs: Any) -> Any:
        return self._opt.get_slot_names(*args, **kwargs)

    def apply_gradients(self, grads_and_vars: Any, global_step: Any = None, name: str | None = None) -> Any:
        """The optimizer's update, then the clipping."""
        pairs = list(grads_and_vars)
        with tf.name_scope(name, self._name) as scope:
            done = self._opt.apply_gradients(pairs, global_step=global_step)
            with tf.control_dependencies([done]):
                clips = [
                    tf.assign(v, tf.clip_by_norm(v, self._max_norm, self._clip_dims[v]))
                    for _, v in pairs
                    if v in self._clip_dims
                ]
            return tf.group(*clips, done, name=scope)
