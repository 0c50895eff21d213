"""tf.contrib.checkpoint: a program's own objects, containers and NumPy arrays in object-based checkpoints."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np

from recurra.tf1 import checkpoint, tracking
from recurra.tf1.checkpoint.messages import ObjectGraph
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train.object_checkpoint import object_metadata

tf = space("")

export(tracking.Trackable, "contrib.checkpoint.CheckpointableBase", "python.training.tracking.base.Trackable",
       "python.training.checkpointable.base.CheckpointableBase")  # fmt: skip
export(ObjectGraph, "contrib.checkpoint.CheckpointableObjectGraph")


@tf_export("contrib.checkpoint.Checkpointable", "contrib.eager.Checkpointable",
           "python.training.tracking.tracking.AutoTrackable",
           "python.training.checkpointable.tracking.Checkpointable")  # fmt: skip
class Checkpointable(tracking.Tracked):
    """An object whose attributes are saved and restored where they are variables, layers or other such objects."""


@tf_export("contrib.checkpoint.List", "python.training.tracking.data_structures.List")
class List(list):  # type: ignore[type-arg]
    """A list whose items are saved under their places; what is not a variable, layer or the like is refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(map(_followed, list(*args, **kwargs)))

    def append(self, value: Any) -> None:
        super().append(_followed(value))

    def extend(self, values: Iterable[Any]) -> None:
        super().extend(map(_followed, values))

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        return [tracking.Dependency(str(i), item) for i, item in enumerate(self)]

    @property
    def layers(self) -> list[Any]:
        return [item for item in self if hasattr(item, "trainable_weights")]

    @property
    def trainable_weights(self) -> list[Any]:
        return [w for item in self for w in getattr(item, "trainable_weights", [item] if _trained(item) else [])]

    trainable_variables = trainable_weights


def _trained(item: Any) -> bool:
    return isinstance(item, tf.Variable) and item.trainable


@tf_export("contrib.checkpoint.Mapping", "python.training.tracking.data_structures.Mapping")
class Mapping(dict):  # type: ignore[type-arg]
    """A dict of texts to variables, layers and the like, which are saved under their keys and cannot be replaced."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"Mapping accepts only string keys, but got a key {key!r}.")
        if key in self and self[key] is not value:
            raise ValueError(
                f"Mappings are an append-only data structure. Tried to overwrite the key '{key}' with value {value}, "
                f"but it already contains {self[key]}"
            )
        super().__setitem__(key, _followed(value))

    def update(self, *args: Any, **kwargs: Any) -> None:
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        return [tracking.Dependency(*pair) for pair in self.items()]


def _followed(value: Any) -> Any:
    if not isinstance(value, list | dict) and not tracking.is_trackable(value):
        raise ValueError(
            f"Only trackable objects (such as Layers or Optimizers) may be stored in a List object. Got {value}, "
            "which does not inherit from Trackable."
        )
    return value


@tf_export("contrib.checkpoint.UniqueNameTracker")
class UniqueNameTracker(tracking.Trackable):
    """Follows objects under names that it makes unique: x, x_1, x_2 …"""

    def track(self, trackable: Any, base_name: str) -> Any:
        """Follow an object; returns it. ValueError for what cannot be followed."""
        if not tracking.is_part(trackable):
            raise ValueError(
                f"Expected a trackable value, got {trackable} which does not inherit from tf.track.Trackable."
            )
        taken = {name for name, _ in self._checkpoint_dependencies}
        name, count = base_name, 0
        while name in taken:
            count += 1
            name = f"{base_name}_{count}"
        return self._track_trackable(trackable, name)


@tf_export("train.experimental.PythonState", "python.training.tracking.python_state.PythonState")
class PythonState:
    """Python's own state in a checkpoint: subclasses give `serialize() -> bytes` and `deserialize(bytes)`."""

    def serialize(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.serialize")

    def deserialize(self, string_value: bytes) -> None:
        raise NotImplementedError(f"{type(self).__name__}.deserialize")


class _Array(PythonState):
    def __init__(self, array: Any) -> None:
        self.array = array

    def serialize(self) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, self.array, allow_pickle=False)
        return buffer.getvalue()

    def deserialize(self, string_value: bytes) -> None:
        self.array = np.load(io.BytesIO(string_value), allow_pickle=False)


@tf_export("contrib.checkpoint.NumpyState")
class NumpyState(tracking.Tracked):
    """NumPy arrays as attributes, saved with a checkpoint and made anew when it is restored."""

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        return value.array if isinstance(value, _Array) else value

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(value, np.ndarray | np.generic):
            raise NotImplementedError(
                f"Assigned {value} to the {name} property of {self}, which is not a NumPy array. Currently mixing "
                "NumPy arrays and other trackable objects is not supported. File a feature request if this limitation "
                "bothers you."
            )
        held = self.__dict__.get(name)
        if isinstance(held, _Array):
            held.array = value
        else:
            super().__setattr__(name, _Array(value))

    def _lookup_dependency(self, name: str) -> Any:
        """The array of this name, made for a checkpoint that has one."""
        return self.__dict__.setdefault(name, _Array(np.array([])))


@tf_export("contrib.checkpoint.PythonStateWrapper")
class PythonStateWrapper(PythonState):
    """State that two functions give and take."""

    def __init__(self, state_callback: Any, restore_callback: Any) -> None:
        self.serialize, self.deserialize = state_callback, restore_callback  # type: ignore[method-assign]


@tf_export("contrib.checkpoint.dot_graph_from_checkpoint")
def dot_graph_from_checkpoint(save_path: str) -> str:
    """The objects of a checkpoint as a graph in the dot language."""
    graph = object_metadata(save_path)
    with checkpoint.open(save_path) as stored:
        shapes = {name: info.shape for name, info in stored.variables.items()}
    lines = ["digraph {"]
    for number, node in enumerate(graph.nodes):
        sizes = [f"({a.name}: {list(shapes[a.checkpoint_key])})" for a in node.attributes]
        lines.append(f'  N_{number} [shape={"box" if sizes else "oval"} label="{"".join(sizes) or "object"}"];')
        lines += [f'  N_{number} -> N_{c.node_id} [label="{c.local_name}"];' for c in node.children]
        for slot in node.slot_variables:
            lines.append(f'  N_{number} -> N_{slot.slot_variable_node_id} [label="{slot.slot_name}" style=dashed];')
    return "\n".join([*lines, "}"])
