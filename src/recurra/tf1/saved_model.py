"""tf.saved_model: graphs written with their variables, and loaded in another process; those of TensorFlow 1 too.

The folder has SavedModel's layout (saved_model.pb, variables/variables.*); inside are meta graphs (`meta_graph.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import DecodeError

from recurra._files import write_bytes
from recurra.tf1.constants import constant_value
from recurra.tf1.meta_graph import export_meta_graph, import_meta_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.protos import message, saved_model

tf = space("")
_FILE, _TEXT_FILE = "saved_model.pb", "saved_model.pbtxt"
_LEGACY_INIT, _MAIN, _ASSETS = "legacy_init_op", "saved_model_main_op", "saved_model_assets"
_INIT_SIGNATURE = "__saved_model_init_op"
_CONSTANTS = {
    "tag_constants": {"SERVING": "serve", "TRAINING": "train", "EVAL": "eval", "GPU": "gpu", "TPU": "tpu"},
    "signature_constants": {
        "DEFAULT_SERVING_SIGNATURE_DEF_KEY": "serving_default",
        "CLASSIFY_INPUTS": "inputs",
        "CLASSIFY_METHOD_NAME": "tensorflow/serving/classify",
        "CLASSIFY_OUTPUT_CLASSES": "classes",
        "CLASSIFY_OUTPUT_SCORES": "scores",
        "PREDICT_INPUTS": "inputs",
        "PREDICT_METHOD_NAME": "tensorflow/serving/predict",
        "PREDICT_OUTPUTS": "outputs",
        "REGRESS_INPUTS": "inputs",
        "REGRESS_METHOD_NAME": "tensorflow/serving/regress",
        "REGRESS_OUTPUTS": "outputs",
    },
    "constants": {
        "ASSETS_DIRECTORY": "assets",
        "ASSETS_KEY": _ASSETS,
        "LEGACY_INIT_OP_KEY": _LEGACY_INIT,
        "MAIN_OP_KEY": _MAIN,
        "SAVED_MODEL_FILENAME_PB": _FILE,
        "SAVED_MODEL_FILENAME_PBTXT": _TEXT_FILE,
        "SAVED_MODEL_SCHEMA_VERSION": 1,
        "VARIABLES_DIRECTORY": "variables",
        "VARIABLES_FILENAME": "variables",
    },
}
for _space, _values in _CONSTANTS.items():
    for _name, _value in _values.items():
        export(_value, f"saved_model.{_space}.{_name}", f"saved_model.{_name}", f"python.saved_model.{_space}.{_name}")
_SIGNATURE, _UTILS = "signature_def_utils", "utils"


def _home(part: str, name: str) -> list[str]:
    return [f"saved_model.{part}.{name}", f"saved_model.{name}", f"python.saved_model.{part}.{name}"]


@tf_export(*_home(_UTILS, "build_tensor_info"), "python.saved_model.utils_impl.build_tensor_info")
def build_tensor_info(tensor: Any) -> Any:
    """A tensor's name, dtype and shape as a message."""
    from recurra.tf1.graph_def import shape_proto

    info = message("meta_graph_pb2", "TensorInfo")(name=tensor.name, dtype=tensor.dtype.base_dtype.as_datatype_enum)
    info.tensor_shape.CopyFrom(shape_proto(tensor.get_shape()))
    return info


@tf_export(*_home(_UTILS, "get_tensor_from_tensor_info"))
def get_tensor_from_tensor_info(tensor_info: Any, graph: Any = None, import_scope: str | None = None) -> Any:
    """The tensor that a message names."""
    name = f"{import_scope}/{tensor_info.name}" if import_scope else tensor_info.name
    return (graph or tf.get_default_graph()).get_tensor_by_name(name)


@tf_export(*_home(_SIGNATURE, "build_signature_def"))
def build_signature_def(inputs: Any = None, outputs: Any = None, method_name: str | None = None) -> Any:
    """Named inputs and outputs (messages of `build_tensor_info`) of one way to call the model."""
    signature = message("meta_graph_pb2", "SignatureDef")(method_name=method_name or "")
    for target, given in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for key, info in (given or {}).items():
            target[key].CopyFrom(info)
    return signature


def _signature(method: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    def infos(tensors: dict[str, Any]) -> dict[str, Any]:
        return {key: build_tensor_info(tf.convert_to_tensor(tensor)) for key, tensor in tensors.items()}

    return build_signature_def(infos(inputs), infos(outputs), f"tensorflow/serving/{method}")


@tf_export(*_home(_SIGNATURE, "predict_signature_def"))
def predict_signature_def(inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    """The signature of a prediction, from tensors."""
    if not inputs:
        raise ValueError("Prediction inputs cannot be None or empty.")
    if not outputs:
        raise ValueError("Prediction outputs cannot be None or empty.")
    return _signature("predict", inputs, outputs)


@tf_export(*_home(_SIGNATURE, "classification_signature_def"))
def classification_signature_def(examples: Any, classes: Any, scores: Any) -> Any:
    """The signature of a classification, from tensors."""
    if examples is None or (classes is None and scores is None):
        raise ValueError("Classification examples, and classes or scores, cannot be None.")
    found = {key: tensor for key, tensor in (("classes", classes), ("scores", scores)) if tensor is not None}
    return _signature("classify", {"inputs": examples}, found)


@tf_export(*_home(_SIGNATURE, "regression_signature_def"))
def regression_signature_def(examples: Any, predictions: Any) -> Any:
    """The signature of a regression, from tensors."""
    if examples is None or predictions is None:
        raise ValueError("Regression examples and predictions cannot be None.")
    return _signature("regress", {"inputs": examples}, {"outputs": predictions})


@tf_export(
    "saved_model.builder.SavedModelBuilder", "saved_model.Builder", "python.saved_model.builder.SavedModelBuilder"
)
class SavedModelBuilder:
    """Collects meta graphs with their tags and signatures; `save` writes them. The folder must not be there yet."""

    def __init__(self, export_dir: Any) -> None:
        self._folder = os.fspath(export_dir) if not isinstance(export_dir, bytes) else export_dir.decode()
        if os.path.isdir(self._folder) and os.listdir(self._folder):
            raise AssertionError(
                f"Export directory already exists, and isn't empty. Please choose a different one: {self._folder}"
            )
        os.makedirs(self._folder, exist_ok=True)
        self._graphs: list[Any] = []

    def add_meta_graph_and_variables(
        self,
        sess: Any,
        tags: Iterable[str],
        signature_def_map: Any = None,
        assets_collection: Any = None,
        legacy_init_op: Any = None,
        clear_devices: bool = False,
        main_op: Any = None,
        strip_default_attrs: bool = False,
        saver: Any = None,
    ) -> None:
        """The session's graph, and the values of its variables. Default attributes stay in whatever is asked."""
        if self._graphs:
            raise AssertionError(
                "Graph state including variables has already been saved. Please invoke `add_meta_graph()` instead."
            )
        with sess.graph.as_default():
            saver = saver or tf.train.Saver(allow_empty=True)
            path = os.path.join(self._folder, "variables", "variables")
            os.makedirs(os.path.dirname(path), exist_ok=True)
            saver.save(sess, path, write_meta_graph=False, write_state=False)
            self.add_meta_graph(
                tags, signature_def_map, assets_collection, legacy_init_op, clear_devices, main_op, saver=saver
            )

    def add_meta_graph(
        self,
        tags: Iterable[str],
        signature_def_map: Any = None,
        assets_collection: Any = None,
        legacy_init_op: Any = None,
        clear_devices: bool = False,
        main_op: Any = None,
        strip_default_attrs: bool = False,
        saver: Any = None,
    ) -> None:
        """The default graph, for the variables saved before."""
        if main_op is not None and legacy_init_op is not None:
            raise ValueError("Cannot specify both main_op and legacy_init_op.")
        for key, op in ((_MAIN, main_op), (_LEGACY_INIT, legacy_init_op)):
            if op is not None:
                tf.add_to_collection(key, op)
        definition = (saver or tf.train.Saver(allow_empty=True)).as_saver_def()
        meta = export_meta_graph(saver_def=definition, clear_devices=clear_devices)
        meta.meta_info_def.tags.extend(tags)
        for key, signature in (signature_def_map or {}).items():
            meta.signature_def[key].CopyFrom(signature)
        for tensor in assets_collection or ():
            self._add_asset(meta, tensor)
        self._graphs.append(meta)

    def _add_asset(self, meta: Any, tensor: Any) -> None:
        """Copy the file that a constant names into the model's assets."""
        source = constant_value(tensor)
        if source is None:
            raise TypeError(f"Asset path tensor {tensor!r} must be a constant.")
        source_path = source.reshape(-1)[0].decode()
        folder = os.path.join(self._folder, "assets")
        os.makedirs(folder, exist_ok=True)
        shutil.copyfile(source_path, os.path.join(folder, os.path.basename(source_path)))
        asset = meta.asset_file_def.add(filename=os.path.basename(source_path))
        asset.tensor_info.name = tensor.name

    def save(self, as_text: bool = False) -> bytes:
        """Write saved_model.pb, or saved_model.pbtxt; returns its path."""
        model = saved_model()(saved_model_schema_version=1, meta_graphs=self._graphs)
        path = os.path.join(self._folder, _TEXT_FILE if as_text else _FILE)
        write_bytes(path, str(model).encode() if as_text else model.SerializeToString())
        return path.encode()


def _read(folder: str) -> list[Any]:
    """The MetaGraphDefs of a SavedModel file, binary or text."""
    for name in (_FILE, _TEXT_FILE):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                data = file.read()
            try:
                text = name == _TEXT_FILE
                model = text_format.Parse(data, saved_model()()) if text else saved_model().FromString(data)
            except (text_format.ParseError, DecodeError):
                raise OSError(f"Cannot parse file {path}.") from None
            return list(model.meta_graphs)
    raise OSError(f"SavedModel file does not exist at: {folder}/{{{_TEXT_FILE}|{_FILE}}}")


@tf_export("saved_model.simple_save")
def simple_save(
    session: Any, export_dir: Any, inputs: dict[str, Any], outputs: dict[str, Any], legacy_init_op: Any = None
) -> None:
    """Write the session's graph for serving, with one signature of the named tensors."""
    with session.graph.as_default():
        builder = SavedModelBuilder(export_dir)
        signatures = {"serving_default": predict_signature_def(inputs, outputs)}
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, main_op=legacy_init_op)
        builder.save()


@tf_export("saved_model.loader.load", "saved_model.load", "python.saved_model.loader.load")
def load(sess: Any, tags: Iterable[str], export_dir: Any, import_scope: str | None = None, **saver_kwargs: Any) -> Any:
    """Rebuild a saved graph in the session's, restore its variables, run its initial op; returns the MetaGraphDef."""
    folder = export_dir.decode() if isinstance(export_dir, bytes) else os.fspath(export_dir)
    graphs = _read(folder)
    wanted = {tags} if isinstance(tags, str) else set(tags)
    meta = next((g for g in graphs if set(g.meta_info_def.tags) == wanted), None)
    if meta is None:
        raise RuntimeError(
            f"MetaGraphDef associated with tags {sorted(wanted)} could not be found in SavedModel. "
            f"Tags that are there: {[sorted(g.meta_info_def.tags) for g in graphs]}"
        )
    with sess.graph.as_default():
        saver = import_meta_graph(meta, import_scope=import_scope, **saver_kwargs)
        if saver is not None:
            saver.restore(sess, os.path.join(folder, "variables", "variables"))
        _initialise(sess, meta, folder, f"{import_scope}/" if import_scope else "")
    return meta


def _initialise(sess: Any, meta: Any, folder: str, prefix: str) -> None:
    """Run what a model wants run first, its files' places filled in."""
    assets = {
        prefix + asset.tensor_info.name: os.path.join(folder, "assets", asset.filename) for asset in _assets(meta)
    }
    ops = [op for key in (_MAIN, _LEGACY_INIT) for op in tf.get_collection(key)]
    if _INIT_SIGNATURE in meta.signature_def:
        ops.append(prefix + meta.signature_def[_INIT_SIGNATURE].outputs[_INIT_SIGNATURE].name)
    for op in ops:
        sess.run(op, feed_dict=assets)


def _assets(meta: Any) -> list[Any]:
    """A model's files and the constants that name them; TensorFlow 1's builder keeps them in a collection."""
    listed = list(meta.asset_file_def)
    if listed or _ASSETS not in meta.collection_def:
        return listed
    asset = message("meta_graph_pb2", "AssetFileDef")
    return [asset.FromString(packed.value) for packed in meta.collection_def[_ASSETS].any_list.value]


@tf_export(
    "saved_model.loader.maybe_saved_model_directory",
    "saved_model.maybe_saved_model_directory",
    "saved_model.contains_saved_model",
)
def maybe_saved_model_directory(export_dir: str) -> bool:
    """Whether a SavedModel file lies there."""
    return any(os.path.isfile(os.path.join(export_dir, name)) for name in (_FILE, _TEXT_FILE))


@tf_export("saved_model.main_op.main_op")
def main_op() -> Any:
    """Initialises what a serving graph needs: variables, local variables, tables."""
    return tf.group(tf.global_variables_initializer(), tf.local_variables_initializer(), tf.tables_initializer())


class Predictor:
    """Calls a loaded model with a dict of arrays."""

    def __init__(
        self,
        export_dir: Any,
        signature_def_key: str | None = None,
        signature_def: Any = None,
        tags: str | None = None,
        graph: Any = None,
    ) -> None:
        self.graph = graph or tf.Graph()
        self.session = tf.Session(graph=self.graph)
        meta = load(self.session, (tags or "serve").split(","), export_dir)
        signature = signature_def or _signature_of(meta, signature_def_key or "serving_default")
        self.feed_tensors = self._tensors(signature.inputs)
        self.fetch_tensors = self._tensors(signature.outputs)

    def _tensors(self, infos: Any) -> dict[str, Any]:
        return {key: get_tensor_from_tensor_info(info, self.graph) for key, info in infos.items()}

    def __call__(self, input_dict: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(input_dict) - set(self.feed_tensors))
        if unknown:
            raise ValueError(f"Got unexpected keys in input_dict: {unknown} expected: {sorted(self.feed_tensors)}")
        feeds = {self.feed_tensors[key]: value for key, value in input_dict.items()}
        found: dict[str, Any] = self.session.run(self.fetch_tensors, feed_dict=feeds)
        return found


def _signature_of(meta: Any, key: str) -> Any:
    if key not in meta.signature_def:
        raise ValueError(f"Got signature_def_key {key!r}. Available signatures are {sorted(meta.signature_def)}.")
    return meta.signature_def[key]


@tf_export("contrib.predictor.from_saved_model")
def from_saved_model(
    export_dir: Any,
    signature_def_key: str | None = None,
    signature_def: Any = None,
    tags: str | None = None,
    graph: Any = None,
    config: Any = None,
) -> Predictor:
    """A function from inputs to outputs of a SavedModel, by one of its signatures or one of the caller's."""
    if signature_def_key is not None and signature_def is not None:
        raise ValueError("Only one of signature_def_key and signature_def may be specified.")
    return Predictor(export_dir, signature_def_key, signature_def, tags, graph)
