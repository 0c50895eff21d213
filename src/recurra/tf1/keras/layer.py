"""tf.keras.layers.Layer and Input: layers of Keras remember what they were called on, and carry masks along."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from recurra.tf1 import nest, tracking
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.keras import state
from recurra.tf1.layers import base
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.ops import init
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import TensorLike

tf = space("")
_INPUT_OPTIONS = ("input_shape", "batch_input_shape", "input_dim", "input_length", "batch_size", "weights", "sparse",
                  "dynamic", "input_dtype")  # fmt: skip

# What layers and models keep of themselves: no parts of theirs to a checkpoint.
_BOOKS = frozenset({
    "_trainable_weights", "_non_trainable_weights", "_named_weights", "_updates", "_losses", "_nodes", "_inbound_nodes",
    "_made_with", "_initial_weights", "_calls", "_ordered", "_row", "_inputs", "_outputs", "_placeholders", "_steps",
    "_targets", "_kept", "_sample_weights", "_given", "_restorations", "loss", "metrics", "weighted_metrics", "options",
    "states",
})  # fmt: skip


class Node:
    """One call of a layer."""

    def __init__(self, layer: Layer, inputs: Any, outputs: Any, kwargs: dict[str, Any]):
        self.layer, self.inputs, self.outputs, self.kwargs = layer, inputs, outputs, kwargs
        self.input_tensors, self.output_tensors = inputs, outputs


def regularizer_of(given: Any) -> Any:
    """A regularizer from its name, its {"class_name", "config"} dict, or itself."""
    if given is None or callable(given):
        return given
    name, config = (given, {}) if isinstance(given, str) else (given["class_name"], given.get("config", {}))
    return getattr(tf.keras.regularizers, name)(**config)


class Layer(base.Layer):
    """A layer with Keras' names and variables; subclasses define `build`, `call` and, for masks, `compute_mask`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__new__(cls)
        made._made_with = (args, dict(kwargs))
        return made

    def __init__(self, trainable: bool = True, name: Any = None, dtype: Any = None, **kwargs: Any) -> None:
        options = {key: kwargs.pop(key) for key in _INPUT_OPTIONS if key in kwargs}
        super().__init__(trainable=trainable, name=name, dtype=dtype, **kwargs)
        self.batch_input_shape = self._batch_input_shape = _batch_shape(options)
        self._initial_weights = options.get("weights")
        self._nodes: list[Node] = []
        self._inbound_nodes = self._nodes

    def _make_unique_name(self, *_: Any, **__: Any) -> tuple[str, str]:
        name = state.unique_name(base.to_snake_case(type(self).__name__))
        return name, name

    def __setattr__(self, name: str, value: Any) -> None:
        """Variables that are attributes, or in lists among these, are weights."""
        super().__setattr__(name, value)
        if name in _BOOKS or not isinstance(value, tf.Variable | list | tuple | dict):
            return
        for variable in nest.flatten(value):
            if isinstance(variable, tf.Variable) and "_trainable_weights" in self.__dict__:
                known = self._trainable_weights if variable.trainable else self._non_trainable_weights
                if not any(variable is other for other in known):
                    known.append(variable)

    # -- variables ---------------------------------------------------------------------------------------------------
    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        named = dict(super()._checkpoint_dependencies)
        named.update(tracking.in_attributes(self, _BOOKS))
        return [tracking.Dependency(*pair) for pair in named.items()]

    def add_weight(  # type: ignore[override]
        self,
        name: Any = None,
        shape: Any = None,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool | None = None,
        constraint: Any = None,
        **_: Any,
    ) -> Any:
        """A variable in the layer's name scope; Keras' weights are not shared through variable scopes."""
        if isinstance(name, list | tuple | TensorShape):  # add_weight(shape, …, name=…)
            name, shape = shape if isinstance(shape, str) else None, name
        kind = as_dtype(dtype or self._dtype or state.setting("floatx"))
        chosen = init.get("glorot_uniform" if initializer is None else initializer)
        dims = [int(d) for d in (() if shape is None else shape)]
        trainable = trainable is not False
        variable = tf.Variable(
            lambda: chosen(dims, dtype=kind), name=name or "weight", trainable=trainable, constraint=constraint,
            use_resource=True,
        )  # fmt: skip
        (self._trainable_weights if trainable else self._non_trainable_weights).append(variable)
        if regularizer is not None:
            self._add_regularization(name or "weight", variable, regularizer_of(regularizer))
        self._named_weights[name or "weight"] = variable
        return variable

    add_variable = add_weight

    # -- calls -------------------------------------------------------------------------------------------------------
    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Build on the first call, then `call`, with the masks of the inputs and the learning phase where wanted."""
        inputs = nest.map_structure(_as_tensor, inputs)
        named = dict(zip(self._later_parameters(), args, strict=False))
        args, kwargs = args[len(named) :], {**named, **kwargs}
        given = dict(kwargs)
        mask = kwargs.get("mask")
        if mask is None:
            mask = nest.map_structure(mask_of, inputs)
        with state.building(nest.flatten(inputs)), name_scope(self._name):
            if not self.built:
                self._build_for(inputs)
            if self._call_takes("mask") and kwargs.get("mask") is None:
                kwargs["mask"] = mask
            if self._call_takes("training") and kwargs.get("training") is None:
                kwargs["training"] = state.learning_phase()
            outputs = self.call(inputs, *args, **kwargs)
            outputs = nest.map_structure(lambda t: _own(t, nest.flatten(inputs)), outputs)
            if self._activity_regularizer is not None:
                for output in nest.flatten(outputs):
                    self.add_loss(regularizer_of(self._activity_regularizer)(output))
            self._set_masks(inputs, outputs, mask)
        self._remember(inputs, outputs, given, args)
        return outputs

    def _later_parameters(self) -> list[str]:
        """The names of what `call` takes after the inputs, by position."""
        parameters = list(inspect.signature(self.call).parameters.values())[1:]
        return [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]

    def _build_for(self, inputs: Any) -> None:
        flat = [t for t in nest.flatten(inputs) if isinstance(t, TensorLike)]
        if self._dtype is None and flat and flat[0].dtype.is_floating:
            self._dtype = flat[0].dtype.base_dtype.name
        self._check_inputs(inputs)
        with tf.control_dependencies(None):
            self.build(nest.map_structure(lambda t: t.shape, inputs))
        self.built = True
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)
        tracking.settle(self)

    def _set_masks(self, inputs: Any, outputs: Any, mask: Any) -> None:
        own = type(self).compute_mask is not Layer.compute_mask
        if not (own or self.supports_masking):
            return
        result = self.compute_mask(inputs, mask)
        flat = nest.flatten(outputs)
        masks = result if isinstance(result, list | tuple) else [result] * min(1, len(flat))
        for tensor, part in zip(flat, masks, strict=False):
            if part is not None:
                tensor._keras_mask = part

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the outputs: that of the inputs, where the layer supports masks."""
        return mask

    def _remember(self, inputs: Any, outputs: Any, kwargs: dict[str, Any], args: Any) -> None:
        node = Node(self, inputs, outputs, {**kwargs, **({"__args__": args} if args else {})})
        self._nodes.append(node)
        for i, tensor in enumerate(nest.flatten(outputs)):
            tensor._keras_history = (node, i)

    # -- shapes ------------------------------------------------------------------------------------------------------
    def compute_output_shape(self, input_shape: Any) -> Any:
        """The static shape, or shapes, that the layer gives for inputs of such shapes; it is called on placeholders."""
        kind = as_dtype(self._dtype or state.setting("floatx"))
        with state.building(), tf.name_scope("output_shape"):
            given = map_shapes(lambda shape: tf.placeholder(kind, shape), input_shape)
            if not self.built:
                self._build_for(given)
            more = {"training": False} if self._call_takes("training") else {}
            return nest.map_structure(lambda t: t.shape, self.call(given, **more))

    def compute_output_signature(self, input_signature: Any) -> Any:
        """TensorSpecs of the outputs for TensorSpecs of the inputs."""
        kinds = [s.dtype for s in nest.flatten(input_signature)]
        kind = as_dtype(self._dtype or kinds[0])
        shapes = self.compute_output_shape(nest.map_structure(lambda s: s.shape, input_signature))
        if isinstance(shapes, list):
            return [tf.TensorSpec(shape=shape, dtype=kind) for shape in shapes]
        return tf.TensorSpec(shape=shapes, dtype=kind)

    # -- what programs ask -------------------------------------------------------------------------------------------
    @property
    def input(self) -> Any:
        return self._only("inputs")

    @property
    def output(self) -> Any:
        return self._only("outputs")

    def _only(self, side: str) -> Any:
        if not self._nodes:
            raise AttributeError(f"Layer {self._name} has never been called and thus has no defined {side[:-1]}.")
        return getattr(self._nodes[0], side)

    def get_output_at(self, node_index: int) -> Any:
        return self._nodes[node_index].outputs

    def get_input_at(self, node_index: int) -> Any:
        return self._nodes[node_index].inputs

    @property
    def input_shape(self) -> Any:
        return shape_tuple(self.input)

    @property
    def output_shape(self) -> Any:
        return shape_tuple(self.output)

    @property
    def input_mask(self) -> Any:
        return mask_of(self.input)

    @property
    def output_mask(self) -> Any:
        return mask_of(self.output)

    def get_weights(self) -> list[Any]:
        """The weights' values in Keras' session."""
        weights = self.weights
        return list(state.get_session().run(weights)) if weights else []

    def set_weights(self, weights: Any) -> None:
        """Set all weights, in the order of `weights`."""
        own = self.weights
        if len(weights) != len(own):
            raise ValueError(
                f'You called `set_weights(weights)` on layer "{self._name}" with a weight list of length '
                f"{len(weights)}, but the layer was expecting {len(own)} weights."
            )
        session = state.get_session() if own else None
        for variable, value in zip(own, weights, strict=True):
            if tuple(variable.shape.as_list()) != np.shape(value):
                raise ValueError(
                    f"Layer weight shape {tuple(variable.shape.as_list())} not compatible with provided weight shape "
                    f"{np.shape(value)}"
                )
            variable.load(value, session)

    def get_config(self) -> dict[str, Any]:
        """What the layer was made with, by names, so that `from_config` makes its like."""
        from recurra.tf1.keras.saving import plain

        config = constructor_arguments(self)
        parameters = inspect.signature(type(self).__init__).parameters
        if self.batch_input_shape is not None:
            config = {k: v for k, v in config.items() if k not in _INPUT_OPTIONS or k in parameters}
            config["batch_input_shape"] = list(self.batch_input_shape)
        config.pop("weights", None)
        return {key: plain(value) for key, value in config.items()}


def constructor_arguments(layer: Any) -> dict[str, Any]:
    """What a layer was made with, by names."""
    args, kwargs = layer._made_with
    parameters = [p for p in inspect.signature(type(layer).__init__).parameters if p not in ("self", "kwargs")]
    return {**dict(zip(parameters, args, strict=False)), **kwargs, "name": layer._name}


# tf.keras.layers' own base class for programs; the wing's layers below it stay as they are
tf_export("keras.layers.Layer", "keras.engine.Layer", "keras.engine.topology.Layer", "keras.engine.base_layer.Layer")(
    Layer
)


def _batch_shape(options: dict[str, Any]) -> Any:
    if options.get("batch_input_shape") is not None:
        return tuple(options["batch_input_shape"])
    shape = options.get("input_shape")
    if shape is None and options.get("input_dim") is not None:
        inner = (options["input_dim"],)
        shape = (options["input_length"], *inner) if "input_length" in options else inner
    return None if shape is None else (options.get("batch_size"), *shape)


def map_shapes(function: Any, shapes: Any) -> Any:
    """`function` of every shape in a nest of shapes."""
    if isinstance(shapes, dict):
        return {key: map_shapes(function, shape) for key, shape in shapes.items()}
    nested = isinstance(shapes, list | tuple) and not isinstance(shapes, TensorShape)
    if nested and not all(isinstance(d, int | np.integer | None) or hasattr(d, "value") for d in shapes):
        return type(shapes)(map_shapes(function, shape) for shape in shapes)
    return function(TensorShape(shapes))


def _as_tensor(value: Any) -> Any:
    if isinstance(value, np.ndarray | float | int | list):
        return convert_to_tensor(value)
    return value


def _own(tensor: Any, inputs: list[Any]) -> Any:
    """A layer that hands on its input gives a tensor of its own."""
    return tf.identity(tensor) if any(tensor is i for i in inputs) else tensor


def mask_of(tensor: Any) -> Any:
    """The mask that a tensor carries, or None."""
    return getattr(tensor, "_keras_mask", None)


def shape_tuple(value: Any) -> Any:
    """Static shapes as tuples, in lists as the tensors are."""
    if isinstance(value, list | tuple):
        return [shape_tuple(item) for item in value]
    dims = value.shape.as_list() if value.shape.rank is not None else None
    return None if dims is None else tuple(dims)


@tf_export("keras.layers.InputLayer")
class InputLayer(Layer):
    """The entry of a model."""

    def __init__(
        self, input_shape: Any = None, batch_size: Any = None, dtype: Any = None, input_tensor: Any = None,
        sparse: bool = False, name: Any = None, batch_input_shape: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        if sparse:
            raise NotImplementedError("keras.layers.Input with sparse=True is not implemented in recurra")
        super().__init__(name=name, dtype=dtype)
        shape = batch_input_shape if batch_input_shape is not None else (batch_size, *(input_shape or ()))
        self.batch_input_shape = tuple(shape)
        self.built = True
        kind = as_dtype(dtype or state.setting("floatx"))
        self.is_placeholder = input_tensor is None
        tensor = tf.placeholder(kind, shape, name=self._name) if input_tensor is None else input_tensor
        node = Node(self, [], tensor, {})
        self._nodes.append(node)
        tensor._keras_history = (node, 0)

    def _make_unique_name(self, *_: Any, **__: Any) -> tuple[str, str]:
        name = f"input_{state.get_uid('input')}"
        return name, name


@tf_export("keras.layers.Input", "keras.Input", "keras.engine.Input", "keras.engine.topology.Input")
def Input(
    shape: Any = None,
    batch_size: Any = None,
    name: Any = None,
    dtype: Any = None,
    sparse: bool = False,
    tensor: Any = None,
    batch_shape: Any = None,
    **kwargs: Any,
) -> Any:
    """A placeholder [batch, *shape] that models begin with."""
    batch_shape = kwargs.pop("batch_input_shape", batch_shape)
    if kwargs:
        raise ValueError(f"Unrecognized keyword arguments: {sorted(kwargs)}")
    if shape is None and batch_shape is None and tensor is None:
        raise ValueError("Please provide to Input either a `shape` or a `tensor` argument.")
    whole = batch_shape if batch_shape is not None else (batch_size, *(shape or ()))
    if tensor is not None:
        tensor = tf.convert_to_tensor(tensor)
    layer = InputLayer(batch_input_shape=whole, name=name, dtype=dtype, input_tensor=tensor, sparse=sparse)
    return layer.output
