"""tf.train.Checkpoint: objects in TensorFlow's own object-based checkpoints, by the names their owners give them."""

from __future__ import annotations

import os
from typing import Any

from recurra.tf1 import checkpoint, tracking
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train import object_graph
from recurra.tf1.train.object_restore import Status, restore, root_session, working_session
from recurra.tf1.variables import Variable

tf = space("")


def write_objects(root: Any, prefix: str, session: Any = None) -> str:
    """Write what lies below `root` under a prefix; returns the prefix."""
    serialized = object_graph.Serialized(root)
    variables = [v for v in serialized.values.values() if isinstance(v, Variable)]
    used = root_session() or working_session(session)
    arrays = dict(zip(map(id, variables), used.run(variables) if variables else [], strict=True))
    stored = {
        key: arrays[id(item)] if id(item) in arrays else object_graph.boxed(_bytes(item.serialize()))
        for key, item in serialized.values.items()
    }
    stored[object_graph.GRAPH_KEY] = object_graph.boxed(serialized.message.SerializeToString())
    os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
    return checkpoint.write(prefix, stored, version="V2")


def _bytes(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else text


def note_latest(path: str) -> None:
    """Let tf.train.latest_checkpoint find a checkpoint that was just written."""
    checkpoint.write_state(os.path.dirname(path) or ".", path, [path], save_relative_paths=True)


@tf_export("train.Checkpoint", "contrib.eager.Checkpoint", "python.training.tracking.util.Checkpoint",
           "python.training.tracking.util.CheckpointV1", "python.training.checkpointable.util.Checkpoint")  # fmt: skip
class Checkpoint(tracking.Tracked):
    """`Checkpoint(model=model, optimizer=optimizer)`: saves and restores its attributes and what lies below them.

    ValueError for an argument that is neither variable, layer, model, optimizer nor another object with parts.
    """

    _apart = frozenset({"_restorations", "_parts", "_save_counter", "_count"})

    def __init__(self, **kwargs: Any) -> None:
        self._save_counter: Any = None
        self._count: Any = None
        for name, value in sorted(kwargs.items()):
            if not tracking.is_part(value):
                raise ValueError(
                    "`Checkpoint` was expecting a trackable object (an object derived from `TrackableBase`), got "
                    f"{value}. If you believe this object should be trackable (i.e. it is part of the TensorFlow "
                    "Python API and manages state), please open an issue."
                )
            setattr(self, name, value)

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        counter = self._save_counter
        more = [] if counter is None else [tracking.Dependency("save_counter", counter)]
        return super()._checkpoint_dependencies + more

    @property
    def save_counter(self) -> Any:
        """How often it was saved: a variable, made when it is first needed."""
        if self._save_counter is None:
            with tf.control_dependencies(None):
                self._save_counter = tf.Variable(
                    0, name="save_counter", dtype=tf.int64, trainable=False, use_resource=True
                )
            tracking.settle(self)
        return self._save_counter

    def _counted(self, session: Any) -> int:
        """The number of the checkpoint that is about to be written."""
        fresh = self._save_counter is None
        counter = self.save_counter
        if root_session() is not None:
            return int(counter.assign_add(1).numpy())
        used = working_session(session)
        if fresh:
            used.run(counter.initializer)
        if self._count is None:
            self._count = counter.assign_add(1)
        return int(used.run(self._count))

    def write(self, file_prefix: str, session: Any = None) -> str:
        """Write one checkpoint of exactly this name; returns the name."""
        return write_objects(self, os.fspath(file_prefix), session)

    def save(self, file_prefix: str, session: Any = None) -> str:
        """Write `file_prefix-1`, `file_prefix-2` … and let tf.train.latest_checkpoint find it; returns the name."""
        path = self.write(f"{os.fspath(file_prefix)}-{self._counted(session)}", session)
        note_latest(path)
        return path

    def restore(self, save_path: str | None) -> Status:
        """Read a checkpoint of this class or of a Saver; None restores nothing, and its status can only initialise.

        Under eager execution values are there at once, and those of variables made later when these are made; in a graph
        the status's `run_restore_ops` or `initialize_or_restore` writes them. tf.errors.NotFoundError without a checkpoint.
        """  # noqa: E501
        status = restore(self, save_path)
        self.save_counter  # noqa: B018 (made here, so that it is restored as well)
        return status


@tf_export("contrib.checkpoint.object_metadata", "python.training.tracking.util.object_metadata")
def object_metadata(save_path: str) -> Any:
    """The object graph of a checkpoint; ValueError where it has none."""
    with checkpoint.open(save_path) as stored:
        found = object_graph.parse(stored)
    if found is None:
        raise ValueError(
            f'The specified checkpoint "{save_path}" does not appear to be object-based (it is missing the key '
            f'"{object_graph.GRAPH_KEY}"). Likely it was created with a name-based saver and does not contain an '
            "object dependency graph."
        )
    return found


@tf_export("contrib.checkpoint.list_objects", "python.training.tracking.util.list_objects")
def list_objects(root_trackable: Any) -> list[Any]:
    """Every object below a root, and the slots of the optimizers among them."""
    objects = [item for item, _ in tracking.walk(root_trackable).values()]
    known = set(map(id, objects))
    return objects + [v for v in object_graph.Serialized(root_trackable).values.values() if id(v) not in known]


@tf_export("python.training.tracking.util.gather_initializers")
def gather_initializers(root_trackable: Any) -> list[Any]:
    """The initialisers of all variables below a root, in a graph."""
    return [item.initializer for item in list_objects(root_trackable) if hasattr(item, "initializer")]


@tf_export("python.training.tracking.util.add_variable")
def add_variable(
    trackable: Any, name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, trainable: bool = True
) -> Any:
    """A variable that an object follows under `name`."""
    kind = tf.as_dtype(dtype or tf.float32)
    if initializer is None:
        initializer = tf.glorot_uniform_initializer() if kind.is_floating else tf.zeros_initializer()
    value = (lambda: initializer(shape, dtype=kind)) if callable(initializer) else initializer
    variable = tf.Variable(value, name=name, dtype=kind, trainable=trainable, use_resource=True)
    return trackable._track_trackable(variable, name)
