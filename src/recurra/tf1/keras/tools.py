"""tf.keras.utils and its neighbours: files, progress, pictures of models, configurations of small objects."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from recurra.tf1.data.keras_datasets import find
from recurra.tf1.keras.feeding import Sequence
from recurra.tf1.keras.saving import _custom, model_from
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space

tf = space("")


@tf_export("keras.utils.get_file")
def get_file(
    fname: str, origin: str, untar: bool = False, md5_hash: Any = None, file_hash: Any = None,
    cache_subdir: str = "datasets", hash_algorithm: str = "auto", extract: bool = False, archive_format: str = "auto",
    cache_dir: Any = None,
) -> str:  # fmt: skip
    """The path of a file: from the data folder or Keras' cache, and otherwise from its address into the cache."""
    name = f"{fname}.tar.gz" if untar else fname
    known = find(name, required=False) or (find(fname, required=False) if untar else None)
    target = Path(cache_dir or Path.home() / ".keras") / cache_subdir / name
    if known is None and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"Downloading data from {origin}")
        try:
            urllib.request.urlretrieve(origin, target)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise Exception(f"URL fetch failure on {origin}: {error}") from error
    path = Path(known or target)
    _check_hash(path, md5_hash or file_hash)
    if (untar or extract) and path.is_file():
        _unpack(path)
    return str(path).removesuffix(".tar.gz") if untar else str(path)


def _check_hash(path: Path, wanted: str | None) -> None:
    if wanted is None or not path.is_file():
        return
    kind = hashlib.sha256() if len(wanted) == 64 else hashlib.md5()
    kind.update(path.read_bytes())
    if kind.hexdigest() != wanted:
        raise ValueError(f"{path} is not the file that was asked for: its hash is {kind.hexdigest()}, not {wanted}")


def _unpack(path: Path) -> None:
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            archive.extractall(path.parent, filter="data")
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)


@tf_export("keras.utils.Progbar")
class Progbar:
    """A line of progress: `update(current, [(name, value), …])`."""

    def __init__(self, target: Any, width: int = 30, verbose: int = 1, interval: float = 0.05,
                 stateful_metrics: Any = None, unit_name: str = "step") -> None:  # fmt: skip
        self.target, self.width, self.verbose, self.interval = target, width, verbose, interval
        self.stateful_metrics = set(stateful_metrics or ())
        self._values: dict[str, list[float]] = {}
        self._seen, self._begun, self._last = 0, time.time(), 0.0

    def update(self, current: int, values: Any = None) -> None:
        """Show that `current` of the steps are done; values are averaged over steps."""
        for name, value in values or ():
            if name in self.stateful_metrics:
                self._values[name] = [float(value), 1]
            else:
                total = self._values.setdefault(name, [0.0, 0])
                total[0] += float(value) * (current - self._seen)
                total[1] += current - self._seen
        self._seen = current
        done = self.target is not None and current >= self.target
        if self.verbose == 1 and (done or time.time() - self._last >= self.interval):
            self._last = time.time()
            self._show(current, "\r", "\n" if done else "")
        elif self.verbose == 2 and done:
            self._show(current, "", "\n")

    def add(self, n: int, values: Any = None) -> None:
        """n steps more."""
        self.update(self._seen + n, values)

    def _show(self, current: int, before: str, after: str) -> None:
        bar = f"{current}/Unknown"
        if self.target is not None:
            filled = int(self.width * current / self.target)
            bar = f"{current}/{self.target} [{'=' * max(0, filled - 1)}>{'.' * (self.width - filled)}]"
        means = " ".join(f"- {k}: {t / max(1, n):.4f}" for k, (t, n) in self._values.items())
        sys.stdout.write(f"{before}{bar} - {time.time() - self._begun:.0f}s {means}{after}")
        sys.stdout.flush()


# -- pictures ----------------------------------------------------------------------------------------------------------
@tf_export("keras.utils.model_to_dot")
def model_to_dot(
    model: Any, show_shapes: bool = False, show_layer_names: bool = True, rankdir: str = "TB",
    expand_nested: bool = False, dpi: int = 96, subgraph: bool = False,
) -> Any:  # fmt: skip
    """The model as a graph of the pydot package; ImportError without it."""
    try:
        import pydot
    except ImportError as error:
        raise ImportError("Failed to import pydot. You must `pip install pydot` and install graphviz.") from error
    dot = pydot.Dot(rankdir=rankdir, dpi=dpi, concentrate=True)
    dot.set_node_defaults(shape="record")
    for layer in model.layers:
        label = f"{layer.name}: {type(layer).__name__}" if show_layer_names else type(layer).__name__
        if show_shapes and layer._nodes:
            label = f"{label}\n|{{input:|output:}}|{{{{{layer.input_shape}}}|{{{layer.output_shape}}}}}"
        dot.add_node(pydot.Node(layer.name, label=label))
    for layer in model.layers:
        for node in layer._nodes:
            for tensor in node.inputs if isinstance(node.inputs, list | tuple) else [node.inputs]:
                before = getattr(tensor, "_keras_history", None)
                if before is not None:
                    dot.add_edge(pydot.Edge(before[0].layer.name, layer.name))
    return dot


@tf_export("keras.utils.plot_model", "keras.utils.vis_utils.plot_model")
def plot_model(
    model: Any, to_file: str = "model.png", show_shapes: bool = False, show_layer_names: bool = True,
    rankdir: str = "TB", expand_nested: bool = False, dpi: int = 96,
) -> None:  # fmt: skip
    """Draw the model into a file (needs pydot and graphviz)."""
    dot = model_to_dot(model, show_shapes, show_layer_names, rankdir, expand_nested, dpi)
    dot.write(to_file, format=os.path.splitext(to_file)[1][1:] or "png")


# -- configurations ----------------------------------------------------------------------------------------------------
@tf_export("keras.utils.serialize_keras_object")
def serialize_keras_object(instance: Any) -> Any:
    """The class and configuration of an object, the name of a function."""
    if instance is None:
        return None
    if hasattr(instance, "get_config"):
        return {"class_name": type(instance).__name__, "config": instance.get_config()}
    if hasattr(instance, "__name__"):
        return instance.__name__
    raise ValueError("Cannot serialize", instance)


@tf_export("keras.utils.deserialize_keras_object")
def deserialize_keras_object(
    identifier: Any, module_objects: Any = None, custom_objects: Any = None,
    printable_module_name: str = "object",
) -> Any:  # fmt: skip
    """An object from its class and configuration, or from its name."""
    known = {**(module_objects or {}), **_custom, **(custom_objects or {})}
    if identifier is None:
        return None
    name = identifier if isinstance(identifier, str) else identifier["class_name"]
    if name not in known:
        raise ValueError(f"Unknown {printable_module_name}: {name}")
    found = known[name]
    if isinstance(identifier, str):
        return found() if isinstance(found, type) else found
    config = dict(identifier.get("config") or {})
    return found.from_config(config) if hasattr(found, "from_config") else found(**config)


for _module in ("initializers", "constraints", "regularizers", "layers", "optimizers"):
    export(serialize_keras_object, f"keras.{_module}.serialize")


def _deserializer(module: str) -> Any:
    def deserialize(config: Any, custom_objects: Any = None) -> Any:
        """An object from its class and configuration."""
        if custom_objects:
            with tf.keras.utils.custom_object_scope(custom_objects):
                return deserialize(config)
        if isinstance(config, dict) and config["class_name"] in _custom:
            return deserialize_keras_object(config)
        return getattr(getattr(tf.keras, module), "get")(config)  # noqa: B009

    return deserialize


for _module in ("initializers", "constraints", "regularizers"):
    export(_deserializer(_module), f"keras.{_module}.deserialize")


@tf_export("keras.models.model_from_yaml")
def model_from_yaml(yaml_string: str, custom_objects: Any = None) -> Any:
    """A model, with fresh weights, from its architecture in YAML (needs the yaml package)."""
    try:
        import yaml
    except ImportError as error:
        raise ImportError("Requires yaml module installed.") from error
    return model_from(yaml.safe_load(yaml_string), custom_objects)


@tf_export("keras.utils.get_source_inputs")
def get_source_inputs(tensor: Any, layer: Any = None, node_index: Any = None) -> list[Any]:
    """The inputs that a tensor was computed from."""
    waiting, found = [tensor], []
    while waiting:
        node, _ = waiting.pop(0)._keras_history
        given = node.inputs if isinstance(node.inputs, list | tuple) else [node.inputs]
        if not given:
            found += [node.outputs] if node.outputs not in found else []
        waiting += list(given)
    return found


# -- data --------------------------------------------------------------------------------------------------------------
@tf_export("keras.utils.HDF5Matrix")
class HDF5Matrix:
    """A part of a data set in an HDF5 file, read when it is asked for."""

    def __init__(self, datapath: str, dataset: str, start: int = 0, end: Any = None, normalizer: Any = None) -> None:
        import h5py

        self.data = h5py.File(datapath, "r")[dataset]
        self.start, self.end = start, self.data.shape[0] if end is None else end
        self.normalizer = normalizer

    def __len__(self) -> int:
        return int(self.end - self.start)

    def __getitem__(self, key: Any) -> Any:
        rows = np.arange(self.start, self.end)[key]
        found = (
            self.data[int(rows)] if np.ndim(rows) == 0 else self.data[rows.min() : rows.max() + 1][rows - rows.min()]
        )
        return found if self.normalizer is None else self.normalizer(found)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.data.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return int(self.data.ndim)


@tf_export("keras.preprocessing.sequence.TimeseriesGenerator")
class TimeseriesGenerator(Sequence):
    """Batches of windows of a series with the value that follows each."""

    def __init__(self, data: Any, targets: Any, length: int, sampling_rate: int = 1, stride: int = 1,
                 start_index: int = 0, end_index: Any = None, shuffle: bool = False, reverse: bool = False,
                 batch_size: int = 128) -> None:  # fmt: skip
        if len(data) != len(targets):
            raise ValueError(
                f"Data and targets have to be of same length. Data length is {len(data)} while target length is "
                f"{len(targets)}"
            )
        self.data, self.targets, self.length = data, targets, length
        self.sampling_rate, self.stride, self.batch_size = sampling_rate, stride, batch_size
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle, self.reverse = shuffle, reverse
        if self.start_index > self.end_index:
            raise ValueError(
                f"`start_index+length={self.start_index} > end_index={self.end_index}` is disallowed, as no part of "
                "the sequence would be left to be used as current step."
            )

    def __len__(self) -> int:
        return (self.end_index - self.start_index + self.batch_size * self.stride) // (self.batch_size * self.stride)

    def __getitem__(self, index: int) -> Any:
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        samples = np.array([self.data[row - self.length : row : self.sampling_rate] for row in rows])
        targets = np.array([self.targets[row] for row in rows])
        return (samples[:, ::-1, ...] if self.reverse else samples), targets

    def get_config(self) -> dict[str, Any]:
        """What it was made with, the data as lists."""
        plain = {k: v for k, v in vars(self).items() if k not in ("data", "targets")}
        return {**plain, **{k: np.asarray(getattr(self, k)).tolist() for k in ("data", "targets")}}


def _absent(name: str, why: str) -> None:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"tf.keras.utils.{name}: {why}")

    export(refuse, f"keras.utils.{name}")


_absent("multi_gpu_model", "there is one device here")
