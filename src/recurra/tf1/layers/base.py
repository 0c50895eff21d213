"""tf.layers.Layer: something with variables that is called on tensors; its scope is the one of its first call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes, nest, tracking
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import tf_export
from recurra.tf1.scopes import VariableScope, get_variable, variable_scope
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import TensorLike


def to_snake_case(name: str) -> str:
    """ClassName -> class_name, as TensorFlow names scopes of layers."""
    intermediate = re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    insecure = re.sub("([a-z])([A-Z])", r"\1_\2", intermediate).lower()
    return insecure if insecure[0] != "_" else f"private{insecure}"


@tf_export("layers.InputSpec", "keras.layers.InputSpec")
class InputSpec:
    """What a layer accepts: rank, shape, dtype, sizes of axes."""

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
    ):
        self.dtype, self.shape, self.max_ndim, self.min_ndim = dtype, shape, max_ndim, min_ndim
        self.ndim = len(shape) if shape is not None else ndim
        self.axes = {int(k): v for k, v in (axes or {}).items()}

    def check(self, index: int, tensor: Any, name: str) -> None:
        """ValueError when `tensor` is not what is accepted."""
        shape = tensor.shape
        head = f"Input {index} of layer {name} is incompatible with the layer: "
        if (self.ndim, self.max_ndim, self.min_ndim) != (None, None, None) and shape.rank is None:
            raise ValueError(f"{head}its rank is undefined, but the layer requires a defined rank.")
        tail = f" Full shape received: {shape.as_list() if shape.rank is not None else None}"
        if self.ndim is not None and shape.rank != self.ndim:
            raise ValueError(f"{head}expected ndim={self.ndim}, found ndim={shape.rank}.{tail}")
        if self.max_ndim is not None and (shape.rank or 0) > self.max_ndim:
            raise ValueError(f"{head}expected max_ndim={self.max_ndim}, found ndim={shape.rank}")
        if self.min_ndim is not None and (shape.rank or 0) < self.min_ndim:
            raise ValueError(f"{head}: expected min_ndim={self.min_ndim}, found ndim={shape.rank}.{tail}")
        if self.dtype is not None and tensor.dtype.base_dtype != as_dtype(self.dtype):
            raise ValueError(f"{head}expected dtype={self.dtype}, found dtype={tensor.dtype}")
        for axis, size in self.axes.items():
            found = shape.as_list()[axis]
            if size is not None and found not in (size, None):
                raise ValueError(
                    f"{head}expected axis {axis} of input shape to have value {size} but received input with "
                    f"shape {shape.as_list()}"
                )
        for wanted, got in zip(self.shape or (), shape.as_list() if self.shape is not None else (), strict=False):
            if wanted is not None and got is not None and wanted != got:
                raise ValueError(f"{head}expected shape={self.shape}, found shape={shape.as_list()}")


@tf_export("layers.Layer")
class Layer:
    """Base of layers and cells. A subclass defines `build(input_shape)` (variables) and `call(inputs, …)`."""

    def __init__(self, trainable: bool = True, name: Any = None, dtype: Any = None, **kwargs: Any):
        allowed = {
            "_scope",
            "_reuse",
            "activity_regularizer",
            "input_shape",
            "batch_input_shape",
            "batch_size",
            "dynamic",
            "weights",
            "autocast",
            "experimental_autocast",
        }
        for key in kwargs:
            if key not in allowed:
                raise TypeError("Keyword argument not understood:", key)
        self._trainable = trainable
        self.stateful = False
        self.built = False
        self.input_spec: Any = None
        self.supports_masking = False
        self._reuse = kwargs.get("_reuse")
        self._trainable_weights: list[Any] = []
        self._non_trainable_weights: list[Any] = []
        self._named_weights: dict[str, Any] = {}
        self._updates: list[Any] = []
        self._losses: list[Any] = []
        self._activity_regularizer = kwargs.get("activity_regularizer")
        self._dtype = None if dtype is None else as_dtype(dtype).name
        self._graph = get_default_graph()
        self._scope: VariableScope | None = None
        self._current_scope: VariableScope | None = None
        self._init_set_name(name)
        scope = kwargs.get("_scope")
        if scope:
            with variable_scope(scope) as captured:
                self._scope = captured

    def _init_set_name(self, name: Any) -> None:
        if isinstance(name, VariableScope):
            base: str | None = name.name
            self._name = self._make_unique_name()[0]
        else:
            base = self._name = name
        if not name:
            self._name, base = self._make_unique_name()
        self._base_name = base

    def _make_unique_name(self, *_: Any, **__: Any) -> tuple[str, str]:
        base = to_snake_case(type(self).__name__)
        counts = get_default_graph().extra.setdefault("layer_names", {})
        counts[base] = counts.get(base, 0) + 1
        return f"{base}_{counts[base]}", base

    # -- what programs ask -------------------------------------------------------------------------------------------
    @property
    def name(self) -> str:
        return self._name

    @property
    def dtype(self) -> Any:
        return self._dtype

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = value

    @property
    def graph(self) -> Any:
        return self._graph

    @property
    def scope_name(self) -> str:
        if self._scope is None:
            raise ValueError(
                f'No name available for layer scope because the layer "{self._name}" has not been used yet. The scope'
                " name is determined the first time the layer instance is called. You must therefore call the layer"
                " before querying `scope_name`."
            )
        return self._scope.name

    _apart: frozenset[str] = frozenset()
    """Attributes whose layers (a compiled model's metrics) are no part of this one."""

    def _sublayers(self) -> list[Layer]:
        found: list[Layer] = []
        for name, value in list(vars(self).items()):
            if name in self._apart:
                continue
            value = list(value.values()) if isinstance(value, dict) else value
            for item in nest.flatten(value) if isinstance(value, list | tuple) else [value]:
                if isinstance(item, Layer) and item is not self and item not in found:
                    found.append(item)
        return found

    @property
    def trainable_weights(self) -> list[Any]:
        if not self.trainable:
            return []
        return _unique([*self._trainable_weights, *[w for sub in self._sublayers() for w in sub.trainable_weights]])

    @property
    def non_trainable_weights(self) -> list[Any]:
        own = self._non_trainable_weights
        nested = [w for sub in self._sublayers() for w in sub.non_trainable_weights]
        if not self.trainable:
            nested = [w for sub in self._sublayers() for w in sub.weights]
            return _unique([*self._trainable_weights, *own, *nested])
        return _unique([*own, *nested])

    @property
    def weights(self) -> list[Any]:
        return _unique([*self.trainable_weights, *self.non_trainable_weights])

    @property
    def variables(self) -> list[Any]:
        return self.weights

    @property
    def trainable_variables(self) -> list[Any]:
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Any]:
        return self.non_trainable_weights

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        named = vars(self).get("_named_weights", {})  # a layer that never called its base's constructor has none
        return [tracking.Dependency(name, weight) for name, weight in named.items() if tracking.is_part(weight)]

    @property
    def updates(self) -> list[Any]:
        return self._updates if self.trainable or self.stateful else []

    @property
    def losses(self) -> list[Any]:
        return self._losses

    def get_updates_for(self, inputs: Any) -> list[Any]:
        return self.updates

    def get_losses_for(self, inputs: Any = None) -> list[Any]:
        return self.losses

    def count_params(self) -> int:
        return sum(int(w.shape.num_elements()) for w in self.weights)

    def get_weights(self) -> list[Any]:
        """The values of the weights: in the default session, or in one of the graph's own, initialised as needed."""
        from recurra.tf1.session import get_default_session

        session = get_default_session()
        return (_own_session(self.weights) if session is None and self.weights else session).run(self.weights)

    def set_weights(self, weights: Any) -> None:
        if len(weights) != len(self.weights):
            raise ValueError(
                f"You called `set_weights(weights)` with a list of {len(weights)} weights, but the layer has"
                f" {len(self.weights)}"
            )
        for variable, value in zip(self.weights, weights, strict=True):
            variable.load(value)

    def get_config(self) -> dict[str, Any]:
        return {"name": self._name, "trainable": self.trainable, "dtype": self._dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """A new layer from what get_config gave."""
        return cls(**config)

    # -- variables ---------------------------------------------------------------------------------------------------
    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.compute_output_shape")

    def add_loss(self, losses: Any, inputs: Any = None) -> None:
        losses = losses if isinstance(losses, list | tuple) else [losses]
        losses = [loss() if callable(loss) else loss for loss in losses]
        fresh = [loss for loss in losses if loss is not None]
        self._losses += fresh
        for loss in fresh:
            get_default_graph().add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        updates = updates if isinstance(updates, list | tuple) else [updates]
        updates = [u() if callable(u) else u for u in updates]
        self._updates += updates
        for update in updates:
            get_default_graph().add_to_collection(GraphKeys.UPDATE_OPS, update)

    def add_variable(
        self,
        name: str,
        shape: Any = None,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool | None = None,
        constraint: Any = None,
        use_resource: bool | None = None,
        synchronization: Any = None,
        aggregation: Any = None,
        partitioner: Any = None,
        **_: Any,
    ) -> Any:
        return self.add_weight(
            name,
            shape,
            dtype,
            initializer,
            regularizer,
            trainable,
            constraint,
            use_resource=use_resource,
            partitioner=partitioner,
        )

    def add_weight(
        self,
        name: str,
        shape: Any = None,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool | None = None,
        constraint: Any = None,
        use_resource: bool | None = None,
        synchronization: Any = None,
        aggregation: Any = None,
        partitioner: Any = None,
        **_: Any,
    ) -> Any:
        """A variable of this layer, made by get_variable in the layer's scope."""
        trainable = True if trainable is None else trainable
        kind = as_dtype(dtype or self._dtype or dtypes.float32)
        self._set_scope(None)
        reuse = self.built or self._reuse
        graph = get_default_graph()
        known = set(graph.get_collection(GraphKeys.GLOBAL_VARIABLES))
        with variable_scope(self._scope, reuse=reuse, auxiliary_name_scope=False) as scope:
            self._current_scope = scope
            with name_scope(self._name_scope()):
                variable = get_variable(
                    name,
                    shape=shape,
                    initializer=initializer,
                    dtype=kind,
                    constraint=constraint,
                    trainable=trainable and self.trainable,
                    partitioner=partitioner,
                    use_resource=use_resource,
                )
                if regularizer and not any(v in known for v in _parts(variable)):
                    self._add_regularization(name, variable, regularizer)
        for part in _parts(variable):  # a custom getter may have decided otherwise
            target = self._trainable_weights if trainable and part.trainable else self._non_trainable_weights
            if part not in target:
                target.append(part)
        self._named_weights[name] = variable
        return variable

    def _add_regularization(self, name: str, variable: Any, regularizer: Callable[[Any], Any]) -> None:
        with name_scope(f"{name}/Regularizer"):
            losses = [regularizer(part) for part in _parts(variable)]
        for loss in losses:
            if loss is not None:
                self.add_loss(loss)

    # -- calls -------------------------------------------------------------------------------------------------------
    def _set_scope(self, scope: Any = None) -> None:
        if self._scope is None:
            if self._reuse:
                with variable_scope(scope if scope is not None else self._base_name) as captured:
                    self._scope = captured
            else:
                with variable_scope(scope, default_name=self._base_name) as captured:
                    self._scope = captured

    def _name_scope(self) -> str:
        assert self._current_scope is not None
        return self._current_scope.original_name_scope

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Build on the first call, then `call`."""
        self._set_scope(kwargs.pop("scope", None))
        reuse = True if self.built else self._reuse
        with variable_scope(self._scope, reuse=reuse, auxiliary_name_scope=False) as scope:
            self._current_scope = scope
            if self._call_takes("scope"):
                kwargs["scope"] = scope
            with name_scope(self._name_scope()):
                inputs = nest.map_structure(_as_tensor, inputs)
                if not self.built:
                    self._maybe_build(inputs)
                self._check_inputs(inputs)
                outputs = self.call(inputs, *args, **kwargs)
                if self._activity_regularizer is not None:
                    for output in nest.flatten(outputs):
                        self.add_loss(self._activity_regularizer(output))
        return outputs

    apply = __call__

    def _call_takes(self, name: str) -> bool:
        try:
            return name in inspect.signature(self.call).parameters
        except (TypeError, ValueError):
            return False

    def _maybe_build(self, inputs: Any) -> None:
        flat = [t for t in nest.flatten(inputs) if isinstance(t, TensorLike)]
        self._check_inputs(inputs)
        if self._dtype is None and flat:
            self._dtype = flat[0].dtype.base_dtype.name
        shapes: Any = None
        if flat and all(hasattr(t, "shape") for t in flat):
            shapes = nest.map_structure(lambda t: t.shape if hasattr(t, "shape") else TensorShape(None), inputs)
        self.build(shapes)
        self.built = True
        tracking.settle(self)

    def _check_inputs(self, inputs: Any) -> None:
        if not self.input_spec:
            return
        flat = nest.flatten(inputs)
        specs = self.input_spec if isinstance(self.input_spec, list | tuple) else [self.input_spec]
        if len(specs) != len(flat):
            raise ValueError(
                f"Layer {self._name} expects {len(specs)} inputs, but it received {len(flat)} input tensors. Inputs"
                f" received: {inputs}"
            )
        for i, (tensor, spec) in enumerate(zip(flat, specs, strict=True)):
            if spec is not None:
                spec.check(i, tensor, self._name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        import copy

        shared = {"_graph"}
        result = type(self).__new__(type(self))
        memo[id(self)] = result
        for key, value in vars(self).items():
            if key in shared:
                setattr(result, key, value)
            elif key == "_scope" and value is not None:
                setattr(result, key, copy.copy(value))
            else:
                setattr(result, key, copy.deepcopy(value, memo))
        return result


def _own_session(variables: list[Any]) -> Any:
    """The session of layers that are asked for their weights outside of any, with `variables` initialised."""
    from recurra.tf1.session import Session

    graph = variables[0].graph
    if "layers_session" not in graph.extra:
        graph.extra["layers_session"] = Session(graph=graph)
    session = graph.extra["layers_session"]
    fresh = [v for v in variables if v.op not in session.cells]
    session.run([v.initializer for v in fresh])
    return session


def _as_tensor(value: Any) -> Any:
    import numpy as np

    if isinstance(value, np.ndarray | float | int) and not isinstance(value, bool):
        return convert_to_tensor(value)
    return value


def _parts(variable: Any) -> list[Any]:
    return list(variable) if hasattr(variable, "_get_variable_list") else [variable]


def _unique(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not any(item is other for other in found):
            found.append(item)
    return found
