"""tf.keras.Model and Sequential: layers put together, from tensors, in a row, or by a subclass's `call`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recurra.tf1 import nest, tracking
from recurra.tf1.keras import layer as layers
from recurra.tf1.keras.layer import Layer, Node, shape_tuple
from recurra.tf1.keras.training import Trainable
from recurra.tf1.layers.base import _unique
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _sources(tensor: Any) -> list[Node]:
    """The call that made a tensor; through operations outside of layers, the calls behind them."""
    history = getattr(tensor, "_keras_history", None)
    if history is not None:
        return [history[0]]
    return [node for t in getattr(getattr(tensor, "op", None), "inputs", []) for node in _sources(t)]


def _behind(node: Node) -> list[Node]:
    return [source for t in nest.flatten(node.inputs) for source in _sources(t)]


def _network(outputs: list[Any], entries: list[Node]) -> tuple[list[Node], list[Any]]:
    """The calls that made `outputs`, inputs first, and the layers as Keras orders them: by their distance from the
    outputs, the farthest first, then as they are met from there."""  # fmt: skip
    calls: list[Node] = []
    met: dict[Any, int] = {}
    seen: set[Node] = set()
    stack = [(node, False) for t in reversed(outputs) for node in reversed(_sources(t))]
    while stack:
        node, done = stack.pop()
        if done:
            calls.append(node)
        elif node not in seen:
            seen.add(node)
            met.setdefault(node.layer, len(met))
            stack.append((node, True))
            if node not in entries:
                stack += [(source, False) for source in reversed(_behind(node))]
    depths: dict[Node, int] = {}
    layer_depths: dict[Any, int] = {}
    for node in reversed(calls):
        depth = max(depths.get(node, 0), layer_depths.get(node.layer, 0))
        depths[node] = layer_depths[node.layer] = depth
        for source in _behind(node) if node not in entries else ():
            depths[source] = max(depth + 1, depths.get(source, 0))
    for node in entries:
        layer_depths.setdefault(node.layer, 0)
        met.setdefault(node.layer, -1)
    return [c for c in calls if c not in entries], sorted(
        layer_depths, key=lambda item: (-layer_depths[item], met[item])
    )


@tf_export("keras.Model", "keras.models.Model", "keras.engine.training.Model", "keras.engine.Model")
class Model(Trainable, Layer):
    """`Model(inputs, outputs)`, or a subclass with `call`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        inputs = kwargs.pop("inputs", kwargs.pop("input", args[0] if args else None))
        outputs = kwargs.pop("outputs", kwargs.pop("output", args[1] if len(args) > 1 else None))
        Layer.__init__(self, name=kwargs.pop("name", args[2] if len(args) > 2 else None), **kwargs)
        self._start_training_state()
        self.supports_masking = True
        self._inputs: Any = None
        self._outputs: Any = None
        self._calls: list[Node] = []
        if inputs is not None:
            self._connect(inputs, outputs)

    def _connect(self, inputs: Any, outputs: Any) -> None:
        """Take over the layers between tensors."""
        self._inputs, self._outputs = inputs, outputs
        flat = nest.flatten(inputs)
        for tensor in flat:
            if not hasattr(tensor, "_keras_history"):
                raise ValueError(f"Input tensors to a Model must come from `tf.keras.Input`. Received: {tensor}")
        entries = [t._keras_history[0] for t in flat]
        self._calls, self._ordered = _network(nest.flatten(outputs), entries)
        self.built = True

    # -- layers --------------------------------------------------------------------------------------------------------
    @property
    def layers(self) -> list[Any]:
        """The model's layers in Keras' order."""
        if self._inputs is None:
            return [sub for sub in super()._sublayers() if isinstance(sub, Layer)]
        return list(self._ordered)

    def _sublayers(self) -> list[Any]:
        own = self.layers
        return own if self._inputs is None else _unique([*own, *super()._sublayers()])

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        """TensorFlow numbers the layers of a model that is not a subclass, and those with weights among them anew."""
        numbered: list[tuple[str, Any]] = []
        count = 0
        for i, item in enumerate(self._numbered_layers):
            if item.weights:
                numbered.append((f"layer_with_weights-{count}", item))
                count += 1
            numbered.append((f"layer-{i}", item))
        named = {**dict(numbered), **dict(super()._checkpoint_dependencies)}
        return [tracking.Dependency(*pair) for pair in named.items()]

    @property
    def _numbered_layers(self) -> list[Any]:
        return [] if self._inputs is None else self.layers

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """A layer by its name or place."""
        if index is not None:
            if len(self.layers) <= index:
                raise ValueError(
                    f"Was asked to retrieve layer at index {index} but model only has {len(self.layers)} layers."
                )
            return self.layers[index]
        for item in self.layers:
            if item.name == name:
                return item
        raise ValueError(f"No such layer: {name}")

    @property
    def inputs(self) -> list[Any]:
        return nest.flatten(self._inputs)

    @property
    def outputs(self) -> list[Any]:
        return nest.flatten(self._outputs)

    @property
    def input(self) -> Any:
        return self._inputs

    @property
    def output(self) -> Any:
        return self._outputs

    @property
    def input_names(self) -> list[str]:
        return [t.op.name.rpartition("/")[2] if not hasattr(t, "_keras_history") else t._keras_history[0].layer.name
                for t in self.inputs]  # fmt: skip

    @property
    def output_names(self) -> list[str]:
        names = [t._keras_history[0].layer.name if hasattr(t, "_keras_history") else f"output_{i + 1}"
                 for i, t in enumerate(self.outputs)]  # fmt: skip
        return [n if names.index(n) == i else f"{n}_{names[:i].count(n)}" for i, n in enumerate(names)]

    @property
    def weights(self) -> list[Any]:
        """All weights, layer by layer."""
        own = [*self._trainable_weights, *self._non_trainable_weights]
        return _unique([*[w for sub in self._sublayers() for w in sub.weights], *own])

    @property
    def losses(self) -> list[Any]:
        return _unique([*self._losses, *[loss for sub in self._sublayers() for loss in sub.losses]])

    @property
    def updates(self) -> list[Any]:
        return _unique([*self._updates, *[update for sub in self._sublayers() for update in sub.updates]])

    @property
    def stateful_layers(self) -> list[Any]:
        return [sub for sub in self.layers if getattr(sub, "stateful", False) and hasattr(sub, "reset_states")]

    def reset_states(self) -> None:
        """Set the states that recurrent layers keep to zeros."""
        for sub in self.layers:
            if hasattr(sub, "reset_states") and (getattr(sub, "stateful", False) or isinstance(sub, Model)):
                sub.reset_states()

    # -- calls ---------------------------------------------------------------------------------------------------------
    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """The model's layers on other tensors."""
        if self._inputs is None:
            raise NotImplementedError("When subclassing the `Model` class, you should implement a `call` method.")
        known = dict(zip((id(t) for t in self.inputs), nest.flatten(inputs), strict=True))

        def other(tensor: Any) -> Any:
            if id(tensor) not in known:
                raise NotImplementedError(
                    f"Calling {self._name} anew: {tensor.name} was made by an operation outside of layers; put it in "
                    "a keras.layers.Lambda"
                )
            return known[id(tensor)]

        for node in self._calls:
            if not nest.flatten(node.inputs):
                continue
            kwargs = dict(node.kwargs)
            args = kwargs.pop("__args__", ())
            if training is not None and "training" not in kwargs and node.layer._call_takes("training"):
                kwargs["training"] = training
            made = node.layer(nest.map_structure(other, node.inputs), *args, **kwargs)
            known.update(zip((id(t) for t in nest.flatten(node.outputs)), nest.flatten(made), strict=True))
        return nest.map_structure(other, self._outputs)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return None

    def build(self, input_shape: Any) -> None:
        self.built = True

    def _call_subclass(self, arrays: list[Any]) -> None:
        """Entries shaped like the first data that a subclass sees."""
        tensors = [
            tf.placeholder(a.dtype if a.dtype.kind in "iub" else "float32", [None, *a.shape[1:]]) for a in arrays
        ]
        self._inputs = None
        outputs = self(tensors if len(tensors) > 1 else tensors[0])
        self._placeholders, self._outputs = tensors, outputs

    @property
    def _entry_tensors(self) -> list[Any]:
        return self._placeholders if self._inputs is None else self.inputs

    # -- looking at it -------------------------------------------------------------------------------------------------
    def summary(self, line_length: int | None = None, positions: Any = None, print_fn: Any = None) -> None:
        """Print the layers with their shapes and numbers of weights."""
        width = line_length or 65
        show = print_fn or print
        show(f'Model: "{self._name}"')
        show("_" * width)
        show(f"{'Layer (type)':<29}{'Output Shape':<26}{'Param #':<10}")
        show("=" * width)
        for sub in self.layers:
            shape = str(sub.output_shape if sub._nodes else "multiple")
            label = f"{sub.name} ({type(sub).__name__})"
            show(f"{label[:28]:<29}{shape[:25]:<26}{sub.count_params():<10}")
            show("_" * width)
        trained = sum(int(w.shape.num_elements()) for w in self.trainable_weights)
        total = self.count_params()
        show(f"Total params: {total:,}\nTrainable params: {trained:,}\nNon-trainable params: {total - trained:,}")
        show("_" * width)

    def get_config(self) -> dict[str, Any]:
        """The model as data: its layers and what they were called on."""
        from recurra.tf1.keras.saving import functional_config

        return functional_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model from what get_config gave."""
        from recurra.tf1.keras.saving import model_from

        return model_from({"class_name": cls.__name__, "config": config}, custom_objects)


@tf_export("keras.Sequential", "keras.models.Sequential", "keras.engine.sequential.Sequential")
class Sequential(Model):
    """Layers in a row."""

    def __init__(self, layers: Iterable[Any] | None = None, name: str | None = None) -> None:
        super().__init__(name=name)
        self._row: list[Any] = []
        self._begun = False
        for item in layers or ():
            self.add(item)

    def add(self, layer: Any) -> None:
        """Put a layer at the end; the first one brings the shape of the input, or waits for data."""
        if hasattr(layer, "_keras_history"):
            layer = layer._keras_history[0].layer
        if not isinstance(layer, Layer):
            raise TypeError(f"The added layer must be an instance of class Layer. Found: {layer}")
        if not self._row:
            self._begin(layer)
            return
        self._row.append(layer)
        if self._inputs is not None:
            output = layer(self._outputs)
            if isinstance(output, list | tuple):
                raise TypeError("All layers in a Sequential model should have a single output tensor.")
            self._connect(self._inputs, output)

    def _begin(self, layer: Any) -> None:
        if isinstance(layer, layers.InputLayer):
            self._connect(layer.output, layer.output)
            self._begun = True
            self._row = [layer]
            return
        self._row = [layer]
        if isinstance(layer, Model) and layer._inputs is not None:
            shape, kind = shape_tuple(layer.inputs[0]), layer.inputs[0].dtype
        else:
            shape, kind = layer.batch_input_shape, "float32"
        if shape is not None:
            entry = layers.Input(batch_shape=shape, dtype=kind, name=f"{layer.name}_input")
            self._connect(entry, layer(entry))
            self._begun = True

    def pop(self) -> None:
        """Take the last layer away."""
        if not self._row:
            raise TypeError("There are no layers in the model.")
        self._row.pop()
        if self._inputs is not None:
            self._connect(self._inputs, self._row[-1].output if self._row else self._inputs)

    @property
    def layers(self) -> list[Any]:
        return [item for item in self._row if not isinstance(item, layers.InputLayer)]

    @property
    def _numbered_layers(self) -> list[Any]:
        # a row that learned its shape from data, or by `build`, has none in TensorFlow
        entry = [self.inputs[0]._keras_history[0].layer] if self._begun else []
        return [*[e for e in entry if isinstance(e, layers.InputLayer)], *self.layers]

    def build(self, input_shape: Any = None) -> None:
        """Give a model without an entry its shape."""
        if self._inputs is None and input_shape is not None and self._row:
            dims = input_shape.as_list() if hasattr(input_shape, "as_list") else list(input_shape)
            entry = layers.Input(batch_shape=tuple(dims))
            self._chain(entry)
        self.built = True

    def _chain(self, tensor: Any) -> None:
        entry = tensor
        for item in self._row:
            tensor = item(tensor)
        self._connect(entry, tensor)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if self._inputs is not None:
            return super().call(inputs, training, mask)
        for item in self._row:
            inputs = item(inputs)
        return inputs

    def _call_subclass(self, arrays: list[Any]) -> None:
        self._chain(layers.Input(batch_shape=(None, *arrays[0].shape[1:])))

    def predict_classes(self, x: Any, batch_size: int = 32, verbose: int = 0) -> Any:
        """The most probable class of every row."""
        found = self.predict(x, batch_size=batch_size, verbose=verbose)
        return found.argmax(axis=-1) if found.shape[-1] > 1 else (found > 0.5).astype("int32")

    def predict_proba(self, x: Any, batch_size: int = 32, verbose: int = 0) -> Any:
        return self.predict(x, batch_size=batch_size, verbose=verbose)

    def get_config(self) -> dict[str, Any]:
        from recurra.tf1.keras.saving import layer_config

        return {"name": self._name, "layers": [layer_config(item) for item in self.layers]}
