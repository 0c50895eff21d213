"""Keras models in files: weights and whole models as Keras' own HDF5, architectures as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recurra._files import write_bytes
from recurra.tf1.keras import state, update_rules
from recurra.tf1.keras.layer import Layer
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train import object_checkpoint, object_restore

tf = space("")
_HDF5 = (".h5", ".hdf5", ".keras", ".hdf")
_custom: dict[str, Any] = {}
_VERSION = "2.2.4-tf"


def plain(value: Any) -> Any:
    """A constructor's argument as JSON has it: layers and initializers as their configurations, functions by name."""
    if isinstance(value, Layer):
        return layer_config(value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if hasattr(value, "get_config") and not isinstance(value, type):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if hasattr(value, "as_numpy_dtype"):
        return value.name
    return value.__name__ if callable(value) else value


def layer_config(layer: Any) -> dict[str, Any]:
    """A layer's class and configuration."""
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


def functional_config(model: Any) -> dict[str, Any]:
    """A model of layers between tensors, as Keras writes it."""
    if model._inputs is None:
        raise NotImplementedError("A model that is a subclass of Model has no configuration.")
    nodes = [t._keras_history[0] for t in model.inputs] + [n for n in model._calls if n.inputs != []]
    nodes = list(dict.fromkeys(nodes))
    by_layer: dict[Any, list[Any]] = {}
    for node in nodes:
        by_layer.setdefault(node.layer, []).append(node)

    def place(tensor: Any) -> list[Any]:
        node, index = tensor._keras_history
        return [node.layer.name, by_layer[node.layer].index(node), index]

    rows = []
    for layer, called in by_layer.items():
        inbound = [
            [[*place(t), {k: v for k, v in node.kwargs.items() if isinstance(v, bool | int | float | str)}]
             for t in _flat(node.inputs)]
            for node in called if _flat(node.inputs)
        ]  # fmt: skip
        rows.append({**layer_config(layer), "name": layer.name, "inbound_nodes": inbound})
    ends = {"input_layers": [place(t) for t in model.inputs], "output_layers": [place(t) for t in model.outputs]}
    return {"name": model.name, "layers": rows, **ends}


def _flat(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


# -- from configurations -----------------------------------------------------------------------------------------------
@tf_export("keras.utils.CustomObjectScope", "keras.utils.custom_object_scope")
class CustomObjectScope:
    """Names that configurations may use, known inside `with`."""

    def __init__(self, *given: dict[str, Any]) -> None:
        self.given = {k: v for d in given for k, v in d.items()}

    def __enter__(self) -> CustomObjectScope:
        self.before = dict(_custom)
        _custom.update(self.given)
        return self

    def __exit__(self, *exc: Any) -> None:
        _custom.clear()
        _custom.update(self.before)


export(lambda: _custom, "keras.utils.get_custom_objects")


@tf_export("keras.layers.deserialize")
def layer_from(row: dict[str, Any], custom_objects: Any = None) -> Any:
    """A layer (or a model) from its class and configuration."""
    with CustomObjectScope(custom_objects or {}):
        name, config = (
            row["class_name"],
            dict(row["config"] if isinstance(row["config"], dict) else {"layers": row["config"]}),
        )
        if name in ("Sequential", "Model"):
            return model_from(row)
        cls = _custom.get(name) or getattr(tf.keras.layers, name)
        if isinstance(config.get("layer"), dict):
            config["layer"] = layer_from(config["layer"])
        if isinstance(config.get("cell"), dict):
            config["cell"] = layer_from(config["cell"])
        for key, value in config.items():
            if isinstance(value, str) and value in _custom:
                config[key] = _custom[value]
        for key in ("batch_input_shape",):
            if config.get(key) is not None:
                config[key] = tuple(config[key])
        own = cls.from_config
        made = own(config) if getattr(own, "__func__", None) is not Layer.from_config.__func__ else cls(**config)
        return made


def model_from(row: dict[str, Any], custom_objects: Any = None) -> Any:
    """A model from its class and configuration."""
    with CustomObjectScope(custom_objects or {}):
        config = row["config"]
        if row["class_name"] == "Sequential":
            rows = config["layers"] if isinstance(config, dict) else config
            name = config.get("name") if isinstance(config, dict) else None
            return tf.keras.Sequential([layer_from(item) for item in rows], name=name)
        return _functional(config)


def _functional(config: dict[str, Any]) -> Any:
    layers = {row["name"]: layer_from(row) for row in config["layers"]}
    made: dict[tuple[str, int, int], Any] = {}
    waiting = []
    for row in config["layers"]:
        if row["class_name"] == "InputLayer":
            made[row["name"], 0, 0] = layers[row["name"]].output
        waiting += [(row["name"], i, node) for i, node in enumerate(row.get("inbound_nodes", []))]
    while waiting:
        ready = [w for w in waiting if all(tuple(e[:3]) in made for e in w[2])]
        if not ready:
            raise ValueError("The configuration's layers wait for each other.")
        for name, i, node in ready:
            inputs = [made[tuple(e[:3])] for e in node]
            kwargs = node[0][3] if len(node[0]) > 3 else {}
            outputs = _flat(layers[name](inputs[0] if len(inputs) == 1 else inputs, **kwargs))
            made.update({(name, i, k): t for k, t in enumerate(outputs)})
        waiting = [w for w in waiting if w not in ready]
    ends = [[made[tuple(e[:3])] for e in _places(config[side])] for side in ("input_layers", "output_layers")]
    inputs, outputs = (e[0] if len(e) == 1 else e for e in ends)
    return tf.keras.Model(inputs, outputs, name=config.get("name"))


def _places(given: Any) -> list[Any]:
    return [given] if given and isinstance(given[0], str) else given


def to_json(model: Any, **kwargs: Any) -> str:
    """The architecture as text."""
    row = {"class_name": type(model).__name__, "config": model.get_config(), "keras_version": _VERSION,
           "backend": "tensorflow"}  # fmt: skip
    return json.dumps(row, **kwargs)


@tf_export("keras.models.model_from_json")
def model_from_json(json_string: str, custom_objects: Any = None) -> Any:
    """A model, with fresh weights, from `to_json`'s text."""
    return model_from(json.loads(json_string), custom_objects)


@tf_export("keras.models.model_from_config")
def model_from_config(config: dict[str, Any], custom_objects: Any = None) -> Any:
    return model_from(config, custom_objects)


@tf_export("keras.models.clone_model")
def clone_model(model: Any, input_tensors: Any = None) -> Any:
    """The same architecture with fresh weights."""
    if input_tensors is not None:
        raise NotImplementedError("keras.models.clone_model with input_tensors is not implemented in recurra")
    return model_from({"class_name": "Sequential" if hasattr(model, "_row") else "Model", "config": model.get_config()})


# -- HDF5 --------------------------------------------------------------------------------------------------------------
def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("Keras' .h5 files need the h5py package: pip install 'recurra[tf1]'") from error
    return h5py


def may_overwrite(path: str) -> bool:
    """Whether a file may be written: it is not there, or whoever sits at the keyboard says so."""
    if not Path(path).is_file():
        return True
    answer = input(f"[WARNING] {path} already exists - overwrite? [y/n]").strip().lower()
    while answer not in ("y", "n"):
        answer = input('Enter "y" (overwrite) or "n" (cancel).').strip().lower()
    return answer == "y"


def _is_hdf5(path: str, save_format: Any = None) -> bool:
    return save_format == "h5" or (save_format is None and path.endswith(_HDF5))


def _write_hdf5(path: str, fill: Callable[[Any], None]) -> None:
    """Let `fill` make a file, and write it whole or not at all."""
    buffer = io.BytesIO()
    with _h5py().File(buffer, "w") as file:
        fill(file)
    write_bytes(path, buffer.getbuffer())


def _write_weights(group: Any, model: Any) -> None:
    layers = model.layers
    group.attrs["layer_names"] = [layer.name.encode() for layer in layers]
    group.attrs["backend"], group.attrs["keras_version"] = b"tensorflow", _VERSION.encode()
    for layer in layers:
        _write_values(group.create_group(layer.name), layer.weights)


def _write_values(part: Any, weights: list[Any]) -> None:
    names = [w.name for w in weights]
    part.attrs["weight_names"] = [n.encode() for n in names]
    for name, value in zip(names, state.get_session().run(weights) if weights else [], strict=True):
        part.create_dataset(name, data=value)


def _read_values(part: Any) -> list[Any]:
    return [np.asarray(part[n]) for n in _texts(part.attrs["weight_names"])]


def _texts(values: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


def _read_weights(group: Any, model: Any, by_name: bool) -> None:
    names = [n for n in _texts(group.attrs["layer_names"]) if len(group[n].attrs["weight_names"])]
    layers = [layer for layer in model.layers if layer.weights]
    if by_name:
        own = {layer.name: layer for layer in layers}
        pairs = [(own[name], name) for name in names if name in own]
    elif len(names) != len(layers):
        raise ValueError(
            f"You are trying to load a weight file containing {len(names)} layers into a model with {len(layers)} "
            "layers."
        )
    else:
        pairs = list(zip(layers, names, strict=True))
    for layer, name in pairs:
        layer.set_weights(_read_values(group[name]))


def save_weights(model: Any, path: str, save_format: Any) -> None:
    """HDF5 by the path's ending, otherwise TensorFlow's object-based checkpoint."""
    if _is_hdf5(path, save_format):
        _write_hdf5(path, lambda file: _write_weights(file, model))
        return
    object_checkpoint.write_objects(model, path, state.get_session())
    object_checkpoint.note_latest(path)


def _named(model: Any) -> dict[str, Any]:
    return {w.op.name: w for w in model.weights}


def load_weights(model: Any, path: str, by_name: bool) -> Any:
    """What `save_weights` or `save` wrote."""
    if _is_hdf5(path):
        with _h5py().File(path, "r") as file:
            _read_weights(file.get("model_weights", file), model, by_name)
        return None
    if by_name:
        raise NotImplementedError(
            "Weights may only be loaded based on topology into Models when loading TensorFlow-formatted weights (got "
            "by_name=True to load_weights)."
        )
    session = state.get_session()
    restoration = object_restore.Restoration(model, path)
    if restoration.graph is None:  # a Saver's
        return tf.train.Saver(_named(model)).restore(session, path)
    status = object_restore.Status(model, restoration)
    status.keep_on(session)
    return status.assert_nontrivial_match()


@tf_export("keras.models.save_model")
def save_model(model: Any, filepath: Any, include_optimizer: bool = True, overwrite: bool = True) -> None:
    """Architecture, weights, how it was compiled and the optimizer's state, in one HDF5 file."""
    _write_hdf5(str(filepath), lambda file: _write_model(file, model, include_optimizer))


def _write_model(file: Any, model: Any, include_optimizer: bool) -> None:
    file.attrs["keras_version"], file.attrs["backend"] = _VERSION.encode(), b"tensorflow"
    kind = "Sequential" if hasattr(model, "_row") else "Model"
    file.attrs["model_config"] = json.dumps({"class_name": kind, "config": model.get_config()}).encode()
    _write_weights(file.create_group("model_weights"), model)
    if include_optimizer and model.optimizer is not None and not isinstance(model.optimizer, update_rules.TFOptimizer):
        file.attrs["training_config"] = json.dumps(_training_config(model)).encode()
        if weights := model.optimizer.weights:
            _write_values(file.create_group("optimizer_weights"), weights)


def _training_config(model: Any) -> dict[str, Any]:
    return {
        "optimizer_config": {"class_name": type(model.optimizer).__name__, "config": model.optimizer.get_config()},
        "loss": plain(model.loss),
        "metrics": plain(model.metrics),
        "sample_weight_mode": model.sample_weight_mode,
        "loss_weights": model.loss_weights,
    }


@tf_export("keras.models.load_model")
def load_model(filepath: Any, custom_objects: Any = None, compile: bool = True) -> Any:
    """A model from Keras' HDF5 file, compiled as it was, its optimizer where it stood."""
    with _h5py().File(str(filepath), "r") as file, CustomObjectScope(custom_objects or {}):
        if "model_config" not in file.attrs:
            raise ValueError("No model found in config file.")
        model = model_from(json.loads(_texts([file.attrs["model_config"]])[0]))
        _read_weights(file["model_weights"], model, False)
        if compile and "training_config" in file.attrs:
            config = json.loads(_texts([file.attrs["training_config"]])[0])
            optimizer = update_rules.get(_known_options(config["optimizer_config"]))
            chosen = lambda v: _custom.get(v, v) if isinstance(v, str) else v  # noqa: E731
            metrics = [chosen(m) for m in config.get("metrics") or [] if isinstance(m, str)]
            model.compile(optimizer, chosen(config["loss"]), metrics, config.get("loss_weights"))
            if "optimizer_weights" in file:
                _continue(model, _read_values(file["optimizer_weights"]))
    return model


def _continue(model: Any, values: list[Any]) -> None:
    """Give the optimizer its state; where it does not fit, the optimizer starts anew, as Keras has it."""
    with state.building():
        model._step("train")
    weights = model.optimizer.weights
    if [w.shape.as_list() for w in weights] != [list(v.shape) for v in values]:
        tf.logging.warning(
            "Error in loading the saved optimizer state. As a result, your model is starting with a freshly "
            "initialized optimizer."
        )
        return
    session = state.get_session()
    for variable, value in zip(weights, values, strict=True):
        variable.load(value, session)


def _known_options(row: dict[str, Any]) -> dict[str, Any]:
    """An optimizer's configuration without what only Keras' own class takes."""
    cls = type(update_rules.get(row["class_name"]))
    kept = {*cls.hyper, "learning_rate", "decay", "clipnorm", "clipvalue"}
    return {"class_name": row["class_name"], "config": {k: v for k, v in row["config"].items() if k in kept}}
