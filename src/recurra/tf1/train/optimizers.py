"""tf.train's optimizers: which slots and hyper-parameters feed which update (`updates.py`)."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.optimizer import Optimizer, update

tf = space("")


class Scheduled(Optimizer):
    """An optimizer whose hyper-parameters are values, tensors or callables: `_hyper` gives them as tensors."""

    def __init__(self, use_locking: bool, name: str, **hyper: Any) -> None:
        super().__init__(use_locking, name)
        self._given = hyper
        self._tensors: dict[str, Any] = {}
        for key, value in hyper.items():  # where TensorFlow's own classes keep them: _lr, _beta1, …
            setattr(self, f"_{key}", value)

    def _prepare(self) -> None:
        for key in self._given:
            value = self._call_if_callable(getattr(self, f"_{key}"))
            name = {"lr": "learning_rate"}.get(key, key)
            self._tensors[key] = tf.convert_to_tensor(value, name=name)
            setattr(self, f"_{key}_t", self._tensors[key])

    def _hyper(self, var: Any, *keys: str) -> list[Any]:
        """The named hyper-parameters in the variable's dtype."""
        return [tf.cast(self._tensors[key], var.dtype.base_dtype) for key in keys]


@tf_export("train.GradientDescentOptimizer")
class GradientDescentOptimizer(Scheduled):
    """w ← w − lr·g; rows of sparse gradients are subtracted one by one."""

    def __init__(self, learning_rate: Any, use_locking: bool = False, name: str = "GradientDescent") -> None:
        super().__init__(use_locking, name, lr=learning_rate)
        self._learning_rate = learning_rate

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update("ApplyGradientDescent", var, *self._hyper(var, "lr"), grad)

    def _apply_sparse_duplicate_indices(self, grad: Any, var: Any) -> Any:
        delta = tf.IndexedSlices(grad.values * self._hyper(var, "lr")[0], grad.indices, grad.dense_shape)
        done = var.scatter_sub(delta, use_locking=self._use_locking)
        return done.op if hasattr(done, "op") else done


@tf_export("train.MomentumOptimizer")
class MomentumOptimizer(Scheduled):
    """a ← μa + g; w ← w − lr·a."""

    def __init__(
        self,
        learning_rate: Any,
        momentum: Any,
        use_locking: bool = False,
        name: str = "Momentum",
        use_nesterov: bool = False,
    ) -> None:
        super().__init__(use_locking, name, learning_rate=learning_rate, momentum=momentum)
        self._use_nesterov = use_nesterov

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            self._zeros_slot(var, "momentum", self._name)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        rate, momentum = self._hyper(var, "learning_rate", "momentum")
        slot = self.get_slot(var, "momentum")
        return update("ApplyMomentum", var, slot, rate, grad, momentum, use_nesterov=self._use_nesterov)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        rate, momentum = self._hyper(var, "learning_rate", "momentum")
        slot, nesterov = self.get_slot(var, "momentum"), self._use_nesterov
        rows = (grad.values, grad.indices)
        return update("SparseApplyMomentum", var, slot, rate, *rows, momentum, use_nesterov=nesterov)


def _positive(name: str, value: float) -> None:
    if value <= 0.0:
        raise ValueError(f"{name} must be positive: {value}")


@tf_export("train.AdagradOptimizer")
class AdagradOptimizer(Scheduled):
    """Duchi, Hazan and Singer, 2011."""

    def __init__(
        self,
        learning_rate: Any,
        initial_accumulator_value: float = 0.1,
        use_locking: bool = False,
        name: str = "Adagrad",
    ) -> None:
        _positive("initial_accumulator_value", initial_accumulator_value)
        super().__init__(use_locking, name, learning_rate=learning_rate)
        self._initial_accumulator_value = initial_accumulator_value

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            _constant_slot(self, var, self._initial_accumulator_value, "accumulator", self._name)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        slot = self.get_slot(var, "accumulator")
        return update("ApplyAdagrad", var, slot, *self._hyper(var, "learning_rate"), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        slot = self.get_slot(var, "accumulator")
        rate = self._hyper(var, "learning_rate")
        return update("SparseApplyAdagrad", var, slot, *rate, grad.values, grad.indices)


def _constant_slot(optimizer: Optimizer, var: Any, value: float, slot: str, op_name: str) -> None:
    dtype = var.dtype.base_dtype
    shape = var.get_shape()
    if shape.is_fully_defined():
        init = tf.constant_initializer(value, dtype=dtype)
        optimizer._get_or_make_slot_with_initializer(var, init, shape, dtype, slot, op_name)
    else:
        optimizer._get_or_make_slot(var, tf.fill(tf.shape(var), tf.cast(value, dtype)), slot, op_name)


@tf_export("train.AdadeltaOptimizer")
class AdadeltaOptimizer(Scheduled):
    """Zeiler, 2012."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: Any = 0.95,
        epsilon: Any = 1e-8,
        use_locking: bool = False,
        name: str = "Adadelta",
    ) -> None:
        super().__init__(use_locking, name, lr=learning_rate, rho=rho, epsilon=epsilon)

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            self._zeros_slot(var, "accum", self._name)
            self._zeros_slot(var, "accum_update", self._name)

    def _inputs(self, var: Any) -> list[Any]:
        slots = [self.get_slot(var, "accum"), self.get_slot(var, "accum_update")]
        return slots + self._hyper(var, "lr", "rho", "epsilon")

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update("ApplyAdadelta", var, *self._inputs(var), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return update("SparseApplyAdadelta", var, *self._inputs(var), grad.values, grad.indices)


@tf_export("train.RMSPropOptimizer")
class RMSPropOptimizer(Scheduled):
    """Tieleman and Hinton, 2012, with the mean square started at one; centred as Graves, 2013."""

    def __init__(
        self,
        learning_rate: Any,
        decay: Any = 0.9,
        momentum: Any = 0.0,
        epsilon: Any = 1e-10,
        use_locking: bool = False,
        centered: bool = False,
        name: str = "RMSProp",
    ) -> None:
        super().__init__(
            use_locking, name, learning_rate=learning_rate, decay=decay, momentum=momentum, epsilon=epsilon
        )
        self._centered = centered

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            if var.get_shape().is_fully_defined():
                ones, dtype = tf.ones_initializer(dtype=var.dtype.base_dtype), var.dtype.base_dtype
                self._get_or_make_slot_with_initializer(var, ones, var.get_shape(), dtype, "rms", self._name)
            else:
                self._get_or_make_slot(var, tf.ones_like(var), "rms", self._name)
            if self._centered:
                self._zeros_slot(var, "mg", self._name)
            self._zeros_slot(var, "momentum", self._name)

    def _inputs(self, var: Any) -> list[Any]:
        names = ("mg", "rms", "momentum") if self._centered else ("rms", "momentum")
        slots = [self.get_slot(var, name) for name in names]
        return slots + self._hyper(var, "learning_rate", "decay", "momentum", "epsilon")

    @property
    def _kind(self) -> str:
        return "CenteredRMSProp" if self._centered else "RMSProp"

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update(f"Apply{self._kind}", var, *self._inputs(var), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return update(f"SparseApply{self._kind}", var, *self._inputs(var), grad.values, grad.indices)


@tf_export("train.AdamOptimizer")
class AdamOptimizer(Scheduled):
    """Kingma and Ba, 2014. A sparse gradient decays the means, and moves the weights, of every row."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta1: Any = 0.9,
        beta2: Any = 0.999,
        epsilon: Any = 1e-8,
        use_locking: bool = False,
        name: str = "Adam",
    ) -> None:
        super().__init__(use_locking, name, lr=learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon)

    def _get_beta_accumulators(self) -> tuple[Any, Any]:
        graph = tf.get_default_graph()
        first = self._get_non_slot_variable("beta1_power", graph=graph)
        return first, self._get_non_slot_variable("beta2_power", graph=graph)

    def _create_slots(self, var_list: Any) -> None:
        first = min(var_list, key=lambda v: v.name)
        self._create_non_slot_variable(self._call_if_callable(self._beta1), "beta1_power", first)
        self._create_non_slot_variable(self._call_if_callable(self._beta2), "beta2_power", first)
        for var in var_list:
            self._zeros_slot(var, "m", self._name)
            self._zeros_slot(var, "v", self._name)

    def _inputs(self, var: Any) -> list[Any]:
        powers = [tf.cast(power, var.dtype.base_dtype) for power in self._get_beta_accumulators()]
        slots = [self.get_slot(var, "m"), self.get_slot(var, "v")]
        return slots + powers + self._hyper(var, "lr", "beta1", "beta2", "epsilon")

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update("ApplyAdam", var, *self._inputs(var), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return update("AllRowsApplyAdam", var, *self._inputs(var), grad.values, grad.indices)

    def _finish(self, update_ops: list[Any], name_scope: str) -> Any:
        with tf.control_dependencies(update_ops):
            first, second = self._get_beta_accumulators()
            with tf.colocate_with(first.op):
                later = [tf.assign(first, first * self._beta1_t, use_locking=self._use_locking)]
                later.append(tf.assign(second, second * self._beta2_t, use_locking=self._use_locking))
        return tf.group(*update_ops, *later, name=name_scope)


@tf_export("train.FtrlOptimizer")
class FtrlOptimizer(Scheduled):
    """McMahan et al., 2013, with the shrinkage of its later versions."""

    def __init__(
        self,
        learning_rate: Any,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "Ftrl",
        accum_name: str | None = None,
        linear_name: str | None = None,
        l2_shrinkage_regularization_strength: float = 0.0,
    ) -> None:
        if initial_accumulator_value < 0.0:
            raise ValueError(f"initial_accumulator_value {initial_accumulator_value} needs to be positive or zero")
        if learning_rate_power > 0.0:
            raise ValueError(f"learning_rate_power {learning_rate_power} needs to be negative or zero")
        for key, value in {
            "l1_regularization_strength": l1_regularization_strength,
            "l2_regularization_strength": l2_regularization_strength,
            "l2_shrinkage_regularization_strength": l2_shrinkage_regularization_strength,
        }.items():
            if value < 0.0:
                raise ValueError(f"{key} {value} needs to be positive or zero")
        super().__init__(
            use_locking,
            name,
            learning_rate=learning_rate,
            l1_regularization_strength=l1_regularization_strength,
            l2_regularization_strength=l2_regularization_strength,
            l2_shrinkage_regularization_strength=l2_shrinkage_regularization_strength,
            learning_rate_power=learning_rate_power,
        )
        self._initial_accumulator_value = initial_accumulator_value
        self._accum_name, self._linear_name = accum_name, linear_name

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            _constant_slot(self, var, self._initial_accumulator_value, "accum", self._accum_name or self._name)
            self._zeros_slot(var, "linear", self._linear_name or self._name)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return self._updated("ApplyFtrl", var, [grad])

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return self._updated("SparseApplyFtrl", var, [grad.values, grad.indices])

    def _updated(self, kind: str, var: Any, grad: list[Any]) -> Any:
        keys = ["learning_rate", "l1_regularization_strength", "l2_regularization_strength"]
        if self._l2_shrinkage_regularization_strength > 0.0:
            keys.append("l2_shrinkage_regularization_strength")
            kind += "V2"
        slots = [self.get_slot(var, "accum"), self.get_slot(var, "linear")]
        return update(kind, var, *slots, *grad, *self._hyper(var, *keys, "learning_rate_power"))


@tf_export("train.ProximalGradientDescentOptimizer")
class ProximalGradientDescentOptimizer(Scheduled):
    """Duchi and Singer, 2009."""

    def __init__(
        self,
        learning_rate: Any,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "ProximalGradientDescent",
    ) -> None:
        l1, l2 = l1_regularization_strength, l2_regularization_strength
        super().__init__(use_locking, name, learning_rate=learning_rate, l1=l1, l2=l2)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return update("ApplyProximalGradientDescent", var, *self._hyper(var, "learning_rate", "l1", "l2"), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        inputs = self._hyper(var, "learning_rate", "l1", "l2")
        return update("SparseApplyProximalGradientDescent", var, *inputs, grad.values, grad.indices)


@tf_export("train.ProximalAdagradOptimizer")
class ProximalAdagradOptimizer(AdagradOptimizer):
    """Adagrad's rates with the proximal step of l1 and l2."""

    def __init__(
        self,
        learning_rate: Any,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "ProximalAdagrad",
    ) -> None:
        _positive("initial_accumulator_value", initial_accumulator_value)
        l1, l2 = l1_regularization_strength, l2_regularization_strength
        Scheduled.__init__(self, use_locking, name, learning_rate=learning_rate, l1=l1, l2=l2)
        self._initial_accumulator_value = initial_accumulator_value

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        slot = self.get_slot(var, "accumulator")
        return update("ApplyProximalAdagrad", var, slot, *self._hyper(var, "learning_rate", "l1", "l2"), grad)

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        inputs = [self.get_slot(var, "accumulator"), *self._hyper(var, "learning_rate", "l1", "l2")]
        return update("SparseApplyProximalAdagrad", var, *inputs, grad.values, grad.indices)


@tf_export("train.AdagradDAOptimizer")
class AdagradDAOptimizer(Scheduled):
    """Dual averaging with Adagrad's rates (Duchi et al., 2011)."""

    def __init__(
        self,
        learning_rate: Any,
        global_step: Any,
        initial_gradient_squared_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        use_locking: bool = False,
        name: str = "AdagradDA",
    ) -> None:
        _positive("initial_gradient_squared_accumulator_value", initial_gradient_squared_accumulator_value)
        l1, l2 = l1_regularization_strength, l2_regularization_strength
        super().__init__(use_locking, name, learning_rate=learning_rate, l1=l1, l2=l2)
        self._initial_value = initial_gradient_squared_accumulator_value
        self._global_step = global_step

    def _create_slots(self, var_list: Any) -> None:
        for var in var_list:
            self._zeros_slot(var, "gradient_accumulator", self._name)
            _constant_slot(self, var, self._initial_value, "gradient_squared_accumulator", self._name)

    def _prepare(self) -> None:
        super()._prepare()
        self._step = tf.cast(tf.identity(self._global_step), tf.int64) + 1

    def _updated(self, kind: str, var: Any, grad: list[Any]) -> Any:
        slots = [self.get_slot(var, "gradient_accumulator"), self.get_slot(var, "gradient_squared_accumulator")]
        return update(kind, var, *slots, *grad, *self._hyper(var, "learning_rate", "l1", "l2"), self._step)

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        return self._updated("ApplyAdagradDA", var, [grad])

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        return self._updated("SparseApplyAdagradDA", var, [grad.values, grad.indices])
