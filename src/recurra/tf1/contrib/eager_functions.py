"""tf.contrib.eager: gradients of functions, iterators, savers and networks of the years before TensorFlow 2."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from recurra.tf1 import checkpoint, errors, nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.keras.model import Model
from recurra.tf1.layers import base
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.variable_store import VariableStore, get_variable_store

tf = space("")

for _number, _name in enumerate(("DEVICE_PLACEMENT_EXPLICIT", "DEVICE_PLACEMENT_WARN", "DEVICE_PLACEMENT_SILENT")):
    export(_number, f"contrib.eager.{_name}")
SYNC, ASYNC = 0, 1
export(SYNC, "contrib.eager.SYNC")
export(ASYNC, "contrib.eager.ASYNC")


@tf_export("contrib.eager.num_gpus", "python.eager.context.num_gpus")
def num_gpus() -> int:
    """There is one device, the processor."""
    return 0


@tf_export("contrib.eager.list_devices", "python.eager.context.list_devices")
def list_devices() -> list[str]:
    return ["/job:localhost/replica:0/task:0/device:CPU:0"]


@tf_export("contrib.eager.execution_mode")
@contextlib.contextmanager
def execution_mode(mode: int) -> Iterator[None]:
    """Operations run one after the other in either mode."""
    _checked(mode)
    yield


@tf_export("contrib.eager.set_execution_mode")
def set_execution_mode(mode: int) -> None:
    _checked(mode)


def _checked(mode: Any) -> None:
    if mode not in (None, SYNC, ASYNC):
        raise ValueError(f"Execution mode should be None/SYNC/ASYNC. Got {mode}")


@tf_export("contrib.eager.async_wait")
def async_wait() -> None:
    """Nothing runs behind one's back."""


# -- gradients of functions --------------------------------------------------------------------------------------------
@tf_export("contrib.eager.implicit_value_and_gradients", "python.eager.backprop.implicit_val_and_grad")
def implicit_value_and_gradients(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives (f's value, [(gradient, variable)] of all trainable variables that f read).

    ValueError where f returns None or reads no variable.
    """

    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, list[tuple[Any, Any]]]:
        with tf.GradientTape() as tape:
            value = _given(f, f(*args, **kwargs))
        variables = list(tape.watched_variables())
        if not variables:
            raise ValueError("No trainable variables were accessed while the function was being computed.")
        return value, list(zip(tape.gradient(value, variables), variables, strict=True))

    return differentiated


@tf_export("contrib.eager.implicit_gradients", "python.eager.backprop.implicit_grad")
def implicit_gradients(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives [(gradient, variable)] of all trainable variables that f read."""
    both = implicit_value_and_gradients(f)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


@tf_export("contrib.eager.value_and_gradients_function", "python.eager.backprop.val_and_grad_function")
def value_and_gradients_function(f: Callable[..., Any], params: Any = None) -> Callable[..., Any]:
    """A function that gives (f's value, its gradients by the arguments that `params` names or numbers; by all)."""

    def differentiated(*args: Any, dy: Any = None) -> tuple[Any, list[Any]]:
        places = _places(f, params, len(args))
        inputs = [tf.identity(convert_to_tensor(a)) if i in places else a for i, a in enumerate(args)]
        with tf.GradientTape() as tape:
            tape.watch([inputs[i] for i in places])
            value = _given(f, f(*inputs))
            value = nest.map_structure(tf.identity, value)
        return value, tape.gradient(value, [inputs[i] for i in places], dy)

    return differentiated


@tf_export("contrib.eager.gradients_function", "python.eager.backprop.gradients_function")
def gradients_function(f: Callable[..., Any], params: Any = None) -> Callable[..., Any]:
    """A function that gives f's gradients by the arguments that `params` names or numbers; by all."""
    both = value_and_gradients_function(f, params)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


def _given(f: Any, value: Any) -> Any:
    if value is None:
        raise ValueError(
            "Cannot differentiate a function that returns None; did you forget to return a value from "
            f"{getattr(f, '__name__', f)}?"
        )
    return value


def _places(f: Any, params: Any, count: int) -> list[int]:
    try:
        names = inspect.getfullargspec(f).args
    except TypeError:
        names = []
    if params is None:
        return list(range(len(names) or count))
    if all(isinstance(p, str) for p in params):
        return [names.index(p) for p in params]
    if all(isinstance(p, int) for p in params):
        return list(params)
    raise ValueError(f"params must be all strings or all integers; got {params}.")


# -- data, variables and files -----------------------------------------------------------------------------------------
@tf_export("contrib.eager.Iterator")
def iterator(dataset: Any) -> Any:
    """The elements of a dataset: to be looped over, or `next()` and `get_next()`."""
    if not tf.executing_eagerly():
        raise RuntimeError("tf.contrib.eager.Iterator objects can only be used when eager execution is enabled, use "
                           "tf.data.Dataset.make_initializable_iterator or "
                           "tf.data.Dataset.make_one_shot_iterator for graph construction")  # fmt: skip
    return dataset.make_one_shot_iterator()


@tf_export("contrib.eager.Saver")
class Saver:
    """A tf.train.Saver of these variables, without a session. RuntimeError where a graph is built."""

    def __init__(self, var_list: Any) -> None:
        if not tf.executing_eagerly():
            raise RuntimeError("tfe.Saver can only be used when eager execution is enabled. Use tf.train.Saver when "
                               "building graphs.")  # fmt: skip
        self._saver = tf.train.Saver(var_list=var_list)

    def save(self, file_prefix: str, global_step: Any = None) -> str:
        """Write the variables; returns the checkpoint's prefix."""
        return self._saver.save(None, file_prefix, write_meta_graph=False, global_step=global_step)

    def restore(self, file_prefix: str) -> None:
        """Read the variables."""
        self._saver.restore(None, file_prefix)


@tf_export("contrib.eager.restore_variables_on_create")
@contextlib.contextmanager
def restore_variables_on_create(save_path: str | None, map_func: Any = None) -> Iterator[None]:
    """Variables made inside start from a checkpoint, by their names as `map_func` turns them; from their initialisers without a path.

    tf.errors.NotFoundError for a name that the checkpoint does not have.
    """  # noqa: E501
    if not tf.executing_eagerly():
        raise ValueError("Currently, restore_variables_on_create can only be used with eager execution enabled.")
    if map_func is not None and not callable(map_func):
        raise ValueError("map_func must be callable.")
    if not save_path:
        yield
        return
    stored = checkpoint.read(save_path)

    def start(variable: Any) -> None:
        name = variable.op.name if map_func is None else map_func(variable.op.name)
        if name not in stored:
            raise errors.NotFoundError(None, None, f"{name} not found in checkpoint")
        variable.assign(stored[name])

    starts = tf.get_default_graph().extra.setdefault("starting_values", [])
    starts.append(start)
    try:
        yield
    finally:
        starts.remove(start)


@tf_export("contrib.eager.EagerVariableStore", "python.ops.variable_scope.EagerVariableStore")
class EagerVariableStore:
    """`with store.as_default(): …`: tf.get_variable shares variables by name under eager execution, too."""

    def __init__(self, store: Any = None) -> None:
        self._store = store or VariableStore()
        self._store._store_eager_variables = True

    @contextlib.contextmanager
    def as_default(self) -> Iterator[None]:
        """Variables of the block are those of this store."""
        extra = tf.get_default_graph().extra
        before = get_variable_store()
        extra["variable_store"] = self._store
        try:
            yield
        finally:
            extra["variable_store"] = before

    def variables(self) -> list[Any]:
        """All variables, by name."""
        return [self._store._vars[name] for name in sorted(self._store._vars)]

    def trainable_variables(self) -> list[Any]:
        return [v for v in self.variables() if v.trainable]

    def non_trainable_variables(self) -> list[Any]:
        return [v for v in self.variables() if not v.trainable]


@tf_export("contrib.eager.get_optimizer_variables")
def get_optimizer_variables(optimizer: Any) -> list[Any]:
    """What an optimizer has made: slots and the like."""
    return optimizer.variables()


# -- networks ----------------------------------------------------------------------------------------------------------
@tf_export("contrib.eager.Network")
class Network(Model):
    """A model whose layers are told to `track_layer`."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name=name)
        self._tracked_layers: list[Any] = []

    def track_layer(self, layer: Any) -> Any:
        """Take a layer in; returns it. TypeError for what is no layer."""
        if not isinstance(layer, base.Layer):
            raise TypeError(f"Network.track_layer() passed type {type(layer)}, not a tf.compat.v1.layers.Layer")
        self._tracked_layers.append(layer)
        return layer

    @property
    def layers(self) -> list[Any]:
        return list(self._tracked_layers)


@tf_export("contrib.eager.Sequential")
class Sequential(Network):
    """Layers, or functions, in a row."""

    def __init__(self, layers_funcs: Any = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self._layers_funcs: list[Any] = []
        for item in layers_funcs or ():
            self.add(item)

    def add(self, layer_func: Any) -> None:
        """Put a layer or function at the end."""
        if isinstance(layer_func, base.Layer):
            self.track_layer(layer_func)
        self._layers_funcs.append(layer_func)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        for item in self._layers_funcs:
            takes = isinstance(item, base.Layer) and item._call_takes("training")
            inputs = item(inputs, training=training) if takes and training is not None else item(inputs)
        return inputs
