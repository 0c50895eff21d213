"""tf.keras.optimizers: their updates as operations, with hyper-parameters in variables that callbacks may set."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import tracking
from recurra.tf1.keras import state
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import get as definition_of

tf = space("")
_STORED = {"lr": "learning_rate", "iterations": "iter"}  # names in checkpoints
_CONSTANTS = {"epsilon", "initial_accumulator_value", "schedule_decay"}  # TensorFlow keeps them as numbers


class Optimizer:
    """`get_updates(loss, params)` gives the operations of one step."""

    hyper: dict[str, float] = {"lr": 0.01}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        options = dict(kwargs)
        if "learning_rate" in options:
            options["lr"] = options.pop("learning_rate")
        self.name = options.pop("name", type(self).__name__)
        self.clipnorm, self.clipvalue = options.pop("clipnorm", None), options.pop("clipvalue", None)
        self.decay_rate = options.pop("decay", 0.0)
        named = {**self.hyper, **dict(zip(self.hyper, args, strict=False))}
        unknown = sorted(set(options) - set(named))
        if unknown:
            raise TypeError(f"Unexpected keyword argument passed to optimizer: {unknown[0]}")
        named.update(options)
        self.values = {k: state.setting("epsilon") if k == "epsilon" and v is None else v for k, v in named.items()}
        self._variables: dict[Any, dict[str, Any]] = {}
        self._slots: dict[str, dict[Any, Any]] = {}

    def _made(self) -> dict[str, Any]:
        """This graph's variables of the hyper-parameters, made on first use."""
        graph = tf.get_default_graph()
        if graph not in self._variables:
            with tf.control_dependencies(None), tf.name_scope(self.name):
                made = {k: tf.Variable(float(v), trainable=False, name=k, use_resource=True)
                        for k, v in {**self.values, "decay": self.decay_rate}.items()
                        if type(v) in (int, float)}  # fmt: skip
                made["iterations"] = tf.Variable(
                    0, trainable=False, name="iterations", use_resource=True, dtype=tf.int64
                )
            self._variables[graph] = made
        return self._variables[graph]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in ("iterations", "learning_rate", *type(self).hyper):
            raise AttributeError(name)
        return self._made().get("lr" if name == "learning_rate" else name, self.values.get(name))

    def get_gradients(self, loss: Any, params: list[Any]) -> list[Any]:
        """Gradients, dense, clipped as asked; ValueError for a parameter that the loss does not depend on."""
        grads = tf.gradients(loss, params)
        if params and all(g is None for g in grads):
            raise ValueError("No gradients provided for any variable: the loss does not depend on the weights.")
        self._rows = [_touched(g) if isinstance(g, tf.IndexedSlices) else None for g in grads]
        grads = [None if g is None else tf.convert_to_tensor(g) for g in grads]
        if self.clipnorm:
            grads = [None if g is None else tf.clip_by_norm(g, self.clipnorm) for g in grads]
        if self.clipvalue:
            grads = [None if g is None else tf.clip_by_value(g, -self.clipvalue, self.clipvalue) for g in grads]
        return grads

    def get_updates(self, loss: Any, params: list[Any]) -> list[Any]:
        """The operations of one step."""
        return self._updates(self.get_gradients(loss, params), params)

    def minimize(self, loss: Any, var_list: Any, grad_loss: Any = None, name: str | None = None) -> Any:
        """One step for a function that gives the loss, under eager execution."""
        if not callable(loss):
            raise NotImplementedError("keras.optimizers.Optimizer.minimize of a tensor is not implemented in recurra; "
                                      "give a function, or gradients to apply_gradients")  # fmt: skip
        with tf.GradientTape() as tape:
            value = loss()
        params = list(var_list() if callable(var_list) else var_list)
        return self.apply_gradients(zip(tape.gradient(value, params, grad_loss), params, strict=True), name)

    def apply_gradients(self, grads_and_vars: Any, name: str | None = None) -> Any:
        """One step with given gradients. ValueError where there is none."""
        pairs = [(g, v) for g, v in grads_and_vars if g is not None]
        if not pairs:
            raise ValueError("No gradients provided for any variable.")
        self._rows = [_touched(g) if isinstance(g, tf.IndexedSlices) else None for g, _ in pairs]
        updates = self._updates([tf.convert_to_tensor(g) for g, _ in pairs], [v for _, v in pairs])
        return tf.group(*updates, name=name)

    def _updates(self, grads: list[Any], params: list[Any]) -> list[Any]:
        made = self._made()
        step = made["iterations"].read_value()
        rate = made["lr"].read_value()
        if self.decay_rate:
            rate = rate / (1.0 + made["decay"].read_value() * tf.cast(step, tf.float32))
        updates = []
        with tf.name_scope("training/" + self.name):
            shared = self.prepare(tf.cast(step, tf.float32) + 1.0, rate)
            for param, grad, rows in zip(params, grads, self._rows, strict=True):
                self._touched = rows
                if grad is not None:
                    updates += self._constrained(param, self.update(param, grad, rate, shared))
            with tf.control_dependencies([u.op if hasattr(u, "op") else u for u in updates]):
                updates.append(tf.assign_add(made["iterations"], 1).op)
        tracking.settle(self)
        return updates

    def _constrained(self, param: Any, updates: list[Any]) -> list[Any]:
        ops = [u.op if hasattr(u, "op") else u for u in updates]
        if param.constraint is None:
            return ops
        with tf.control_dependencies(ops):
            return [*ops, tf.assign(param, param.constraint(param.read_value())).op]

    def slot(self, param: Any, name: str, value: float = 0.0) -> Any:
        """A variable shaped like `param`, made on first use."""
        made = self._slots.setdefault(name, {})
        if param.op not in made:
            with tf.control_dependencies(None), tf.name_scope(self.name):
                made[param.op] = tf.Variable(
                    tf.fill(param.shape.as_list(), value),
                    trainable=False,
                    name=f"{param.op.name}/{name}",
                    use_resource=True,
                )
            tracking.settle(self)
        return made[param.op]

    def get_slot(self, var: Any, slot_name: str) -> Any:
        """The slot `slot_name` of a variable, None where there is none."""
        return self._slots.get(slot_name, {}).get(var.op)

    def get_slot_names(self) -> list[str]:
        return list(self._slots)

    @property
    def weights(self) -> list[Any]:
        """The count of steps, then the slots: all of one name, then those of the next."""
        counts = [made["iterations"] for made in self._variables.values()]
        return [*counts, *[v for by_param in self._slots.values() for v in by_param.values()]]

    def variables(self) -> list[Any]:
        return self.weights

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        made = self._variables.get(tf.get_default_graph(), {})
        return [tracking.Dependency(_STORED.get(k, k), v) for k, v in made.items() if k not in _CONSTANTS]

    def where_touched(self, new: Any, old: Any) -> Any:
        """`new` in the rows that a sparse gradient has, `old` in the others; `new` for a dense gradient."""
        return new if self._touched is None else self._touched * new + (1.0 - self._touched) * old

    def prepare(self, step: Any, rate: Any) -> Any:
        """What the updates of all parameters share."""
        return None

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        """The operations that update one parameter."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**{k: float(v) if isinstance(v, int | float) else v for k, v in self.values.items()},
                "decay": self.decay_rate, "name": self.name}  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(**config)


def _touched(slices: Any) -> Any:
    """Ones in the rows that a sparse gradient has, zeros in the others."""
    shape = [slices.dense_shape[0], *[1] * (slices.values.shape.ndims - 1)]
    ones = tf.ones_like(slices.indices, dtype=slices.values.dtype)
    count = tf.unsorted_segment_sum(ones, slices.indices, slices.dense_shape[0])
    return tf.reshape(tf.minimum(count, 1.0), shape)


def _apply(op_type: str, *inputs: Any, **attrs: Any) -> Any:
    """One of TensorFlow's update operations, which a plan joins with its neighbours."""
    from recurra.tf1.build import apply_op

    return apply_op(definition_of(op_type).type, *inputs, **attrs)


@tf_export("keras.optimizers.SGD")
class SGD(Optimizer):
    """Gradient descent, with (Nesterov's) momentum."""

    hyper = {"lr": 0.01, "momentum": 0.0, "nesterov": False}  # type: ignore[dict-item]

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        if not self.values["momentum"]:
            return [_apply("ResourceApplyGradientDescent", param.handle, rate, grad)]
        velocity, momentum = self.slot(param, "momentum"), self._made()["momentum"].read_value()
        before = velocity.read_value()
        new = tf.assign(velocity, self.where_touched(momentum * before - rate * grad, before)).read_value()
        step = momentum * new - rate * grad if self.values["nesterov"] else new
        return [tf.assign_add(param, self.where_touched(step, 0.0))]


@tf_export("keras.optimizers.RMSprop")
class RMSprop(Optimizer):
    """Steps divided by a running mean of squared gradients."""

    hyper = {"lr": 0.001, "rho": 0.9, "epsilon": None}  # type: ignore[dict-item]

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        mean, rho = self.slot(param, "rms"), self._made()["rho"].read_value()
        new = tf.assign(mean, rho * mean.read_value() + (1.0 - rho) * tf.square(grad)).read_value()
        return [tf.assign_sub(param, rate * grad / (tf.sqrt(new) + self.values["epsilon"]))]


@tf_export("keras.optimizers.Adagrad")
class Adagrad(Optimizer):
    """Steps divided by the root of the sum of squared gradients."""

    hyper = {"lr": 0.001, "initial_accumulator_value": 0.1, "epsilon": None}  # type: ignore[dict-item]

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        total = self.slot(param, "accumulator", self.values["initial_accumulator_value"])
        new = tf.assign_add(total, tf.square(grad)).read_value()
        return [tf.assign_sub(param, rate * grad / (tf.sqrt(new) + self.values["epsilon"]))]


@tf_export("keras.optimizers.Adadelta")
class Adadelta(Optimizer):
    """Steps in the units of earlier steps."""

    hyper = {"lr": 0.001, "rho": 0.95, "epsilon": None}  # type: ignore[dict-item]

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        rho, epsilon = self._made()["rho"].read_value(), self.values["epsilon"]
        squares, steps = self.slot(param, "accum_grad"), self.slot(param, "accum_var")
        new = tf.assign(squares, rho * squares.read_value() + (1.0 - rho) * tf.square(grad)).read_value()
        before = steps.read_value()
        step = grad * tf.sqrt(before + epsilon) / tf.sqrt(new + epsilon)
        after = tf.assign(steps, rho * before + (1.0 - rho) * tf.square(step))
        return [after, tf.assign_sub(param, rate * step)]


@tf_export("keras.optimizers.Adam")
class Adam(Optimizer):
    """Adam, or AMSGrad."""

    hyper = {"lr": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": None, "amsgrad": False}  # type: ignore[dict-item]

    def where_touched(self, new: Any, old: Any) -> Any:
        """`new` in the rows that a sparse gradient has, `old` in the others; `new` for a dense gradient."""
        return new if self._touched is None else self._touched * new + (1.0 - self._touched) * old

    def prepare(self, step: Any, rate: Any) -> Any:
        made = self._made()
        beta1, beta2 = made["beta_1"].read_value(), made["beta_2"].read_value()
        return beta1, beta2, tf.pow(beta1, step), tf.pow(beta2, step)

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        beta1, beta2, power1, power2 = shared
        m, v, epsilon = self.slot(param, "m"), self.slot(param, "v"), self.values["epsilon"]
        if not self.values["amsgrad"]:
            inputs = (param.handle, m.handle, v.handle, power1, power2, rate, beta1, beta2, epsilon, grad)
            return [_apply("ResourceApplyAdam", *inputs)]
        most = self.slot(param, "vhat")
        m_new = tf.assign(m, beta1 * m.read_value() + (1.0 - beta1) * grad).read_value()
        v_new = tf.assign(v, beta2 * v.read_value() + (1.0 - beta2) * tf.square(grad)).read_value()
        most_new = tf.assign(most, tf.maximum(most.read_value(), v_new)).read_value()
        scaled = rate * tf.sqrt(1.0 - power2) / (1.0 - power1)
        return [tf.assign_sub(param, scaled * m_new / (tf.sqrt(most_new) + epsilon))]


@tf_export("keras.optimizers.Adamax")
class Adamax(Optimizer):
    """Adam with the infinity norm."""

    hyper = {"lr": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": None}  # type: ignore[dict-item]
    prepare = Adam.prepare

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        beta1, beta2, power1, _ = shared
        m, u = self.slot(param, "m"), self.slot(param, "v")
        m_old, u_old = m.read_value(), u.read_value()
        m_new = tf.assign(m, self.where_touched(beta1 * m_old + (1.0 - beta1) * grad, m_old)).read_value()
        u_new = tf.assign(u, self.where_touched(tf.maximum(beta2 * u_old, tf.abs(grad)), u_old)).read_value()
        step = rate / (1.0 - power1) * m_new / (u_new + self.values["epsilon"])
        return [tf.assign_sub(param, self.where_touched(step, 0.0))]


@tf_export("keras.optimizers.Nadam")
class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, 2015)."""

    hyper = {"lr": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": None, "schedule_decay": 0.004}  # type: ignore[dict-item]

    def where_touched(self, new: Any, old: Any) -> Any:
        """`new` in the rows that a sparse gradient has, `old` in the others; `new` for a dense gradient."""
        return new if self._touched is None else self._touched * new + (1.0 - self._touched) * old

    def prepare(self, step: Any, rate: Any) -> Any:
        made = self._made()
        beta1, beta2 = made["beta_1"].read_value(), made["beta_2"].read_value()
        if "momentum_cache" not in made:
            with tf.control_dependencies(None):
                made["momentum_cache"] = tf.Variable(1.0, trainable=False, name="momentum_cache", use_resource=True)
        cache = made["momentum_cache"]
        decay = self.values["schedule_decay"]
        now = beta1 * (1.0 - 0.5 * tf.pow(0.96, decay * step))
        after = beta1 * (1.0 - 0.5 * tf.pow(0.96, decay * (step + 1.0)))
        product = tf.assign(cache, cache.read_value() * now).read_value()
        return beta1, beta2, now, after, product, product * after, 1.0 - tf.pow(beta2, step)

    def update(self, param: Any, grad: Any, rate: Any, shared: Any) -> list[Any]:
        beta1, beta2, now, after, product, following, share = shared
        m, v = self.slot(param, "m"), self.slot(param, "v")
        m_new = tf.assign(m, beta1 * m.read_value() + (1.0 - beta1) * grad).read_value()
        v_new = tf.assign(v, beta2 * v.read_value() + (1.0 - beta2) * tf.square(grad)).read_value()
        mean = (1.0 - now) * grad / (1.0 - product) + after * m_new / (1.0 - following)
        step = rate * mean / (tf.sqrt(v_new / share) + self.values["epsilon"])
        return [tf.assign_sub(param, self.where_touched(step, 0.0))]


class TFOptimizer(Optimizer):
    """One of tf.train's optimizers in Keras' place."""

    hyper = {}

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self.optimizer = optimizer

    def get_updates(self, loss: Any, params: list[Any]) -> list[Any]:
        step = self._made()["iterations"]
        return [self.optimizer.apply_gradients(self.optimizer.compute_gradients(loss, params), global_step=step)]

    @property
    def _checkpoint_dependencies(self) -> list[Any]:
        counted = self._variables.get(tf.get_default_graph(), {})
        return [
            tracking.Dependency("optimizer", self.optimizer),
            *[tracking.Dependency("global_step", v) for k, v in counted.items() if k == "iterations"],
        ]


export(Optimizer, "keras.optimizers.Optimizer")
_BY_NAME = {c.__name__.lower(): c for c in (SGD, RMSprop, Adagrad, Adadelta, Adam, Adamax, Nadam)}


@tf_export("keras.optimizers.get", "keras.optimizers.deserialize")
def get(identifier: Any) -> Any:
    """An optimizer from its name, its {"class_name", "config"} dict, one of tf.train's, or itself."""
    if isinstance(identifier, Optimizer):
        return identifier
    if hasattr(identifier, "compute_gradients"):
        return TFOptimizer(identifier)
    name, config = (identifier, {}) if isinstance(identifier, str) else (identifier["class_name"], identifier["config"])
    if name.lower() not in _BY_NAME:
        raise ValueError(f"Unknown optimizer: {name}")
    return _BY_NAME[name.lower()](**config)
