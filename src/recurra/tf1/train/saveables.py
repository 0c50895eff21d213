"""What a Saver stores: variables, parts of partitioned variables, and objects with their own way of saving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from recurra.tf1.checkpoint import Partitioned
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.values import to_torch

tf = space("")


class SaveSpec(NamedTuple):
    """One tensor of a SaveableObject and the name it is stored under."""

    tensor: Any
    slice_spec: str
    name: str
    dtype: Any = None


@tf_export(
    "python.training.saver.BaseSaverBuilder.SaveableObject",
    "python.training.saveable_object.SaveableObject",
)
class SaveableObject:
    """Something that names its tensors and restores itself from their values; subclasses give `restore`."""

    def __init__(self, op: Any, specs: Any, name: str) -> None:
        self.op, self.name = op, name
        self.specs = specs() if callable(specs) else list(specs)

    def restore(self, restored_tensors: Any, restored_shapes: Any) -> Any:
        """The operation that takes over restored values."""
        raise NotImplementedError(f"{type(self).__name__}.restore")


tf_export("python.training.saver.BaseSaverBuilder.SaveSpec", "python.training.saveable_object.SaveSpec")(SaveSpec)


class Saveable:
    """A variable, stored under one name."""

    def __init__(self, key: str, variable: Any) -> None:
        self.key, self.variable = key, variable

    @property
    def keys(self) -> list[str]:
        """The names it is stored under."""
        return [self.key]

    @property
    def tensors(self) -> list[Any]:
        """What to fetch for saving."""
        return [self.variable.value() if hasattr(self.variable, "value") else self.variable]

    def stored(self, values: list[Any]) -> dict[str, Any]:
        """{name: array or Partitioned} for the file."""
        return {self.key: values[0]}

    def restore(self, session: Any, values: Mapping[str, np.ndarray], reshape: bool) -> None:
        """Put the file's value into the session's variable."""
        write(session, self.variable, values[self.key], self.key, reshape)


class PartitionedSaveable(Saveable):
    """The parts of one variable, stored as slices of the whole."""

    def __init__(self, key: str, parts: list[Any]) -> None:
        super().__init__(key, None)
        self.parts = parts

    @property
    def tensors(self) -> list[Any]:
        return [part.value() for part in self.parts]

    def stored(self, values: list[Any]) -> dict[str, Any]:
        infos = [part._save_slice_info for part in self.parts]
        slices = [(list(info.var_offset), value) for info, value in zip(infos, values, strict=True)]
        return {self.key: Partitioned(list(infos[0].full_shape), slices)}

    def restore(self, session: Any, values: Mapping[str, np.ndarray], reshape: bool) -> None:
        whole = values[self.key]
        for part in self.parts:
            info = part._save_slice_info
            window = tuple(slice(o, o + n) for o, n in zip(info.var_offset, info.var_shape, strict=True))
            write(session, part, whole[window], self.key, reshape)


class ObjectSaveable(Saveable):
    """A SaveableObject: its restore operation is built once, fed at each restore."""

    def __init__(self, saveable: Any) -> None:
        super().__init__(saveable.name, None)
        self.object = saveable
        self.feeds = [tf.placeholder(tf.as_dtype(s.dtype or s.tensor.dtype).base_dtype) for s in saveable.specs]
        for feed, spec in zip(self.feeds, saveable.specs, strict=True):
            if hasattr(spec.tensor, "get_shape"):
                feed.set_shape(spec.tensor.get_shape())
        self.done = saveable.restore(self.feeds, None)

    @property
    def keys(self) -> list[str]:
        return [spec.name for spec in self.object.specs]

    @property
    def tensors(self) -> list[Any]:
        return [spec.tensor() if callable(spec.tensor) else spec.tensor for spec in self.object.specs]

    def stored(self, values: list[Any]) -> dict[str, Any]:
        return dict(zip(self.keys, values, strict=True))

    def restore(self, session: Any, values: Mapping[str, np.ndarray], reshape: bool) -> None:
        session.run(self.done, dict(zip(self.feeds, (values[k] for k in self.keys), strict=True)))


def write(session: Any, variable: Any, value: np.ndarray, key: str, reshape: bool) -> None:
    """Put `value` into a variable of a session after checking dtype and shape as TensorFlow does."""
    from recurra.tf1.train.saver import mismatch

    expected = variable.dtype.base_dtype
    if expected != tf.string and np.dtype(expected.as_numpy_dtype) != value.dtype:
        got = tf.as_dtype(value.dtype).name
        text = (
            f"tensor_name = {key}; expected dtype {_c_name(expected.name)} does not equal original dtype {_c_name(got)}"
        )
        raise mismatch(text)
    shape = variable.get_shape()
    if shape.is_fully_defined() and list(shape.as_list()) != list(value.shape):
        wanted = shape.as_list()
        if not (reshape and int(np.prod(wanted)) == value.size):
            lhs, rhs = (f"[{','.join(map(str, s))}]" for s in (wanted, value.shape))
            raise mismatch(f"Assign requires shapes of both tensors to match. lhs shape= {lhs} rhs shape= {rhs}")
        value = value.reshape(wanted)
    cell = session.cell(variable.handle.op if hasattr(variable, "_handle") else variable.op)
    cell.write(value if expected == tf.string else to_torch(value))


C_NAMES = {"float32": "float", "float64": "double", "float16": "half"}


def _c_name(name: str) -> str:
    return C_NAMES.get(name, name)


def saveables_of(var_list: Any) -> list[Saveable]:
    """What to store, sorted by name, for a list of variables or a dict from stored names to them."""
    named: dict[str, Saveable] = {}
    parts: dict[str, list[Any]] = {}
    for key, item in _named(var_list):
        if isinstance(item, SaveableObject):
            named[item.name] = ObjectSaveable(item)
        elif getattr(item, "_save_slice_info", None) is not None:
            full = key if isinstance(var_list, dict) else item._save_slice_info.full_name
            parts.setdefault(full, []).append(item)
        elif not hasattr(item, "dtype") or not hasattr(item, "op"):
            raise TypeError(f"Variable to save is not a Variable: {item}")
        elif key in named:
            raise ValueError(f"At least two variables have the same name: {key}")
        else:
            named[key] = Saveable(key, item)
    named.update({key: PartitionedSaveable(key, items) for key, items in parts.items()})
    return [named[key] for key in sorted(named)]


def _named(var_list: Any) -> Iterable[tuple[str, Any]]:
    pairs = var_list.items() if isinstance(var_list, dict) else ((None, v) for v in dict.fromkeys(var_list))
    for key, item in pairs:
        if hasattr(item, "_get_variable_list") or isinstance(item, list | tuple):  # a whole partitioned variable
            yield from ((key or item.name, part) for part in getattr(item, "_get_variable_list", lambda i=item: i)())
        else:
            yield (key or (item.name if isinstance(item, SaveableObject) else item.op.name)), item
