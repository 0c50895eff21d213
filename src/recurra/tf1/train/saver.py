"""tf.train.Saver on TensorFlow's own checkpoint files (`recurra.tf1.checkpoint`)."""

from __future__ import annotations

import itertools
import os
import time
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from recurra.tf1 import checkpoint, eras, errors
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.protos import message
from recurra.tf1.train import object_graph
from recurra.tf1.train.saveables import C_NAMES, Saveable, saveables_of

tf = space("")

_MISMATCH = (
    "Restoring from checkpoint failed. This is most likely due to a mismatch between the current graph and the graph "
    "from the checkpoint. Please ensure that you have not altered the graph expected based on the checkpoint. "
    "Original error:\n\n"
)
_MISSING = (
    "Restoring from checkpoint failed. This is most likely due to a Variable name or other graph key that is missing "
    "from the checkpoint. Please ensure that you have not altered the graph expected based on the checkpoint. "
    "Original error:\n\n"
)


def raw_session(sess: Any) -> Any:
    """The tf.Session below a monitored session's wrappers; under eager execution the graph's own."""
    if sess is None and tf.executing_eagerly():
        return tf.get_default_graph().session
    while not hasattr(sess, "cells"):
        inner = getattr(sess, "_tf_sess", None)
        sess = inner() if callable(inner) else sess._sess
    return sess


@tf_export("train.Saver")
class Saver:
    """Saves and restores variables. Arguments and file names as TensorFlow's."""

    V1, V2 = 1, 2

    def __init__(
        self,
        var_list: Any = None,
        reshape: bool = False,
        sharded: bool = False,
        max_to_keep: int | None = 5,
        keep_checkpoint_every_n_hours: float = 10000.0,
        name: str | None = None,
        restore_sequentially: bool = False,
        saver_def: Any = None,
        builder: Any = None,
        defer_build: bool = False,
        allow_empty: bool = False,
        write_version: int | None = None,
        pad_step_number: bool = False,
        save_relative_paths: bool = False,
        filename: str | None = None,
    ) -> None:
        if defer_build and var_list:
            raise ValueError(
                "If `var_list` is provided then build cannot be deferred. Either set defer_build=False "
                "or var_list=None."
            )
        self._var_list, self._reshape, self._sharded = var_list, reshape, sharded
        self._max_to_keep = max_to_keep
        self._keep_every = keep_checkpoint_every_n_hours
        self._name, self._allow_empty = name, allow_empty
        self._write_version = write_version or (self.V1 if eras.current() < (0, 12) else self.V2)
        self._pad_step_number, self._save_relative_paths = pad_step_number, save_relative_paths
        self._filename = filename
        self._last_checkpoints: list[tuple[str, float]] = []
        self._checkpoints_to_be_deleted: list[tuple[str, float]] = []
        self._saveables: list[Saveable] | None = None
        self._scope = name or "save"
        self._given_def = saver_def
        if saver_def is not None:
            self._sharded, self._max_to_keep = saver_def.sharded, saver_def.max_to_keep
            self._keep_every, self._write_version = saver_def.keep_checkpoint_every_n_hours, saver_def.version
        if not defer_build:
            self.build()
        self._next_keep_time = time.time() + self._keep_every * 3600

    # -- what is saved -----------------------------------------------------------------------------------------------
    def build(self) -> None:
        """Settle which variables are saved; ValueError "No variables to save" where there are none."""
        if self._saveables is not None:
            return
        var_list = self._var_list
        if var_list is None and tf.executing_eagerly():
            raise RuntimeError(
                "When eager execution is enabled, `var_list` must specify a list or dict of variables to save"
            )
        if var_list is None:
            var_list = tf.global_variables() + tf.get_collection(tf.GraphKeys.SAVEABLE_OBJECTS)
        if not var_list and not self._allow_empty:
            raise ValueError("No variables to save")
        self._saveables = saveables_of(var_list)
        self._var_list = var_list
        if self._given_def is None:
            self._scope = _enter(self, self._scope)

    def _check_built(self) -> list[Saveable]:
        if self._saveables is None:
            raise RuntimeError("`build()` should be called before save if defer_build==True")
        return self._saveables

    @property
    def _is_empty(self) -> bool:
        return not self._saveables

    @property
    def saver_def(self) -> Any:
        return self.as_saver_def()

    def as_saver_def(self) -> Any:
        """A SaverDef with the names TensorFlow's builder gives."""
        scope = self._scope
        return message("saver_pb2", "SaverDef")(
            filename_tensor_name=f"{scope}/Const:0",
            save_tensor_name=f"{scope}/control_dependency:0",
            restore_op_name=f"{scope}/restore_all",
            max_to_keep=self._max_to_keep or 0,
            sharded=self._sharded,
            keep_checkpoint_every_n_hours=self._keep_every,
            version=self._write_version,
        )

    def to_proto(self, export_scope: str | None = None) -> Any:
        return self.as_saver_def()

    def graph_state(self) -> tuple[str, dict[str, Any]]:
        """What an exported graph keeps of a saver."""
        plain = {s.key: s.variable for s in self._saveables or [] if s.variable is not None}
        options = {"max_to_keep": self._max_to_keep, "sharded": self._sharded, "write_version": self._write_version}
        return "train.Saver", {"var_list": plain, **options}

    @classmethod
    def from_graph_state(cls, state: dict[str, Any]) -> Saver:
        """The saver of an imported graph."""
        return cls(allow_empty=True, **state)

    def saved_names(self) -> dict[str, Any] | None:
        """{name in a checkpoint: variable}, None where a part of a variable or something else is saved, too."""
        named = {s.key: s.variable for s in self._saveables or []}
        return named if named and all(v is not None for v in named.values()) else None

    @staticmethod
    def from_proto(saver_def: Any, import_scope: str | None = None) -> Saver:
        """A saver of the current graph's variables with the options of a SaverDef."""
        return Saver(saver_def=saver_def, name=import_scope)

    # -- which checkpoints there are -----------------------------------------------------------------------------------
    @property
    def last_checkpoints(self) -> list[str]:
        return [path for path, _ in self._last_checkpoints]

    def set_last_checkpoints(self, last_checkpoints: list[str]) -> None:
        self._last_checkpoints = [(path, np.inf) for path in last_checkpoints]

    def set_last_checkpoints_with_time(self, last_checkpoints_with_time: list[tuple[str, float]]) -> None:
        self._last_checkpoints = list(last_checkpoints_with_time)

    def recover_last_checkpoints(self, checkpoint_paths: list[str]) -> None:
        """Take over checkpoints of an earlier run: those that exist, with their times."""
        found = [(path, mtime) for path in checkpoint_paths if (mtime := _mtime(path)) is not None]
        self.set_last_checkpoints_with_time(found)

    def _record(self, path: str) -> None:
        self._last_checkpoints = [(p, t) for p, t in self._last_checkpoints if p != path]
        self._last_checkpoints.append((path, time.time()))
        if self._max_to_keep and len(self._last_checkpoints) > self._max_to_keep:
            self._checkpoints_to_be_deleted.append(self._last_checkpoints.pop(0))

    def _delete_old(self, meta_suffix: str) -> None:
        for path, written in self._checkpoints_to_be_deleted:
            if written > self._next_keep_time:
                self._next_keep_time += self._keep_every * 3600
                continue
            for file in [*checkpoint.checkpoint_files(path), meta_name(path, meta_suffix)]:
                if os.path.exists(file):
                    os.remove(file)
        self._checkpoints_to_be_deleted.clear()

    # -- saving --------------------------------------------------------------------------------------------------------
    def save(
        self,
        sess: Any,
        save_path: str,
        global_step: Any = None,
        latest_filename: str | None = None,
        meta_graph_suffix: str = "meta",
        write_meta_graph: bool = True,
        write_state: bool = True,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> str | None:
        """Write the variables' values; returns the checkpoint's prefix (None: an empty saver)."""
        saveables = self._check_built()
        latest_filename = latest_filename or "checkpoint"
        if os.path.split(latest_filename)[0]:
            raise ValueError("'latest_filename' must not contain path components")
        save_path = os.fspath(save_path)
        sess = raw_session(sess) if sess is None else sess
        path = self._checkpoint_name(sess, save_path, global_step, latest_filename)
        if self._is_empty:
            return None
        folder = os.path.dirname(save_path)
        _check_session(sess)
        self._check_folder(folder, save_path)
        shown = self._write(sess, saveables, path)
        if write_state:
            self._record(shown)
            self._write_state(folder, shown, latest_filename)
            self._delete_old(meta_graph_suffix)
        if write_meta_graph and not tf.executing_eagerly():
            with raw_session(sess).graph.as_default():
                self.export_meta_graph(meta_name(shown, meta_graph_suffix))
        return shown

    def _checkpoint_name(self, sess: Any, save_path: str, global_step: Any, latest_filename: str) -> str:
        if global_step is None:
            if os.path.basename(save_path) == latest_filename and not self._sharded:
                raise ValueError(f"'latest_filename' collides with 'save_path': '{latest_filename}' and '{save_path}'")
            return save_path
        if not isinstance(global_step, int | np.integer):
            global_step = tf.train.global_step(sess, global_step)
        return f"{save_path}-{global_step:08d}" if self._pad_step_number else f"{save_path}-{global_step}"

    def _check_folder(self, folder: str, save_path: str) -> None:
        if folder and not os.path.isdir(folder):
            if self._write_version == self.V2 and os.path.isdir(os.path.dirname(folder) or "."):
                os.mkdir(folder)  # TensorFlow's V2 writer makes one level
            else:
                raise ValueError(f"Parent directory of {save_path} doesn't exist, can't save.")

    def _write(self, sess: Any, saveables: list[Saveable], path: str) -> str:
        values = sess.run([list(s.tensors) for s in saveables])
        stored: dict[str, Any] = {}
        for saveable, parts in zip(saveables, values, strict=True):
            stored.update(saveable.stored(parts))
        version = "V1" if self._write_version == self.V1 else "V2"
        shards = dict.fromkeys(stored, 0) if self._sharded else None
        return checkpoint.write(path, stored, version=version, shards=shards)

    def _write_state(self, folder: str, path: str, latest_filename: str) -> None:
        paths = self.last_checkpoints if self._max_to_keep else [path]
        checkpoint.write_state(
            folder or ".", path, paths, latest_filename=latest_filename, save_relative_paths=self._save_relative_paths
        )

    def export_meta_graph(
        self,
        filename: str | None = None,
        collection_list: Any = None,
        as_text: bool = False,
        export_scope: str | None = None,
        clear_devices: bool = False,
        clear_extraneous_savers: bool = False,
        strip_default_attrs: bool = False,
        save_debug_info: bool = False,
    ) -> Any:
        """tf.train.export_meta_graph with this saver's definition."""
        return tf.train.export_meta_graph(
            filename=filename,
            saver_def=self.as_saver_def(),
            collection_list=collection_list,
            as_text=as_text,
            export_scope=export_scope,
            clear_devices=clear_devices,
        )

    # -- restoring -----------------------------------------------------------------------------------------------------
    def restore(self, sess: Any, save_path: str) -> None:
        """Read the variables' values from a checkpoint; tf.errors.NotFoundError, InvalidArgumentError on mismatches."""
        if self._is_empty:
            return
        if save_path is None:
            raise ValueError("Can't load save_path when it is None.")
        save_path = os.fspath(save_path)
        folder = os.path.dirname(save_path)
        if folder and not os.path.isdir(folder):
            raise errors.NotFoundError(None, None, f"{folder}; No such file or directory")
        if not checkpoint.checkpoint_exists(save_path):
            raise ValueError(f"The passed save_path is not a valid checkpoint: {save_path}")
        tf.logging.info("Restoring parameters from %s", save_path)
        session = raw_session(sess)
        with checkpoint.open(save_path) as stored:
            renamed = object_graph.keys_by_name(stored)  # an object-based checkpoint's names
            for saveable in self._check_built():
                values = {key: self._read(stored, renamed.get(key, key)) for key in saveable.keys}
                saveable.restore(session, values, self._reshape)

    def _read(self, stored: Mapping[str, Any], key: str) -> Any:
        try:
            return stored[key]
        except KeyError:
            text = f"{_MISSING}Key {key} not found in checkpoint"
            raise errors.NotFoundError(None, None, text) from None


def _enter(saver: Saver, name: str) -> str:
    """The scope of a saver's operations in TensorFlow's graph: an imported graph's saver is found by it."""
    savers = tf.get_default_graph().extra.setdefault("savers", {})
    scopes = itertools.chain([name], (f"{name}_{k}" for k in itertools.count(1)))
    scope = next(scope for scope in scopes if scope not in savers)
    savers[scope] = saver
    return scope


def mismatch(text: str) -> errors.OpError:
    """The error for a value that does not fit its variable."""
    return errors.invalid_argument(_MISMATCH + text)


def _check_session(sess: Any) -> None:
    if not hasattr(sess, "run"):
        raise TypeError(f"'sess' must be a Session; {sess}")


def meta_name(path: str, suffix: str = "meta") -> str:
    """The name of a checkpoint's meta graph: without the shard pattern."""
    head, dash, tail = path.rpartition("-?????-of-")
    return f"{head if dash and tail.isdigit() else path}.{suffix}"


def _mtime(path: str) -> float | None:
    files = checkpoint.checkpoint_files(path) if checkpoint.checkpoint_exists(path) else []
    return max((os.path.getmtime(f) for f in files), default=None)


@tf_export("train.latest_checkpoint")
def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The newest checkpoint of a folder by its state file, None where that or the files are missing."""
    return checkpoint.latest_checkpoint(checkpoint_dir, latest_filename)


@tf_export("train.get_checkpoint_state")
def get_checkpoint_state(checkpoint_dir: str, latest_filename: str | None = None) -> Any:
    """The folder's CheckpointState, None where there is none."""
    return checkpoint.read_state(checkpoint_dir, latest_filename)


@tf_export("train.update_checkpoint_state", "python.training.checkpoint_management.update_checkpoint_state")
def update_checkpoint_state(
    save_dir: str,
    model_checkpoint_path: str,
    all_model_checkpoint_paths: Any = None,
    latest_filename: str | None = None,
    all_model_checkpoint_timestamps: Any = None,
    last_preserved_timestamp: float | None = None,
) -> None:
    """Write a folder's checkpoint state."""
    paths = list(all_model_checkpoint_paths or [])
    if not paths or paths[-1] != model_checkpoint_path:
        paths.append(model_checkpoint_path)
    checkpoint.write_state(
        save_dir,
        model_checkpoint_path,
        paths,
        latest_filename=latest_filename,
        all_model_checkpoint_timestamps=all_model_checkpoint_timestamps or (),
        last_preserved_timestamp=last_preserved_timestamp,
    )


@tf_export("train.checkpoint_exists")
def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether files of a checkpoint with this prefix exist."""
    return checkpoint.checkpoint_exists(checkpoint_prefix)


@tf_export("train.get_checkpoint_mtimes")
def get_checkpoint_mtimes(checkpoint_prefixes: list[str]) -> list[float]:
    """The modification times of those that exist."""
    return [t for p in checkpoint_prefixes if (t := _mtime(p)) is not None]


@tf_export("train.remove_checkpoint")
def remove_checkpoint(
    checkpoint_prefix: str, checkpoint_format_version: int = 2, meta_graph_suffix: str = "meta"
) -> None:
    """Delete a checkpoint's files and its meta graph."""
    for file in [*checkpoint.checkpoint_files(checkpoint_prefix), meta_name(checkpoint_prefix, meta_graph_suffix)]:
        if os.path.exists(file):
            os.remove(file)


@tf_export("train.list_variables", "contrib.framework.list_variables")
def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int]]]:
    """[(name, shape)] of a checkpoint or of a folder's newest."""
    with opened(ckpt_dir_or_file) as stored:
        return [(name, list(info.shape)) for name, info in stored.variables.items()]


@tf_export("train.load_variable", "contrib.framework.load_variable")
def load_variable(ckpt_dir_or_file: str, name: str) -> np.ndarray:
    """One variable's value. tf.errors.NotFoundError without the checkpoint or the variable."""
    name = name.removesuffix(":0")
    with opened(ckpt_dir_or_file) as stored:
        if name not in stored:
            raise errors.NotFoundError(None, None, f"Key {name} not found in checkpoint")
        return stored[name]


def opened(ckpt_dir_or_file: Any) -> checkpoint.Checkpoint:
    """A checkpoint, or a folder's newest, opened. tf.errors.NotFoundError where there is none."""
    path = _resolve(os.fspath(ckpt_dir_or_file))
    try:
        return checkpoint.open(path)
    except checkpoint.CheckpointNotFoundError as error:
        text = f"Unsuccessful TensorSliceReader constructor: Failed to find any matching files for {path}"
        raise errors.NotFoundError(None, None, text) from error


def _resolve(ckpt_dir_or_file: str) -> str:
    found = latest_checkpoint(ckpt_dir_or_file) if os.path.isdir(ckpt_dir_or_file) else ckpt_dir_or_file
    if found is None:
        raise ValueError(f"Couldn't find 'checkpoint' file or checkpoints in given directory {ckpt_dir_or_file}")
    return found


@tf_export(
    "train.NewCheckpointReader",
    "train.load_checkpoint",
    "contrib.framework.load_checkpoint",
    "pywrap_tensorflow.NewCheckpointReader",
    "python.pywrap_tensorflow.NewCheckpointReader",
    "python.pywrap_tensorflow_internal.NewCheckpointReader",
)
class CheckpointReader:
    """Looks into a checkpoint without a graph."""

    def __init__(self, filepattern: str) -> None:
        self._stored = opened(filepattern)
        weakref.finalize(self, self._stored.close)  # TensorFlow's reader has no way to be closed either

    def has_tensor(self, tensor_str: str) -> bool:
        return tensor_str in self._stored

    def get_tensor(self, tensor_str: str) -> np.ndarray:
        if tensor_str not in self._stored:
            raise errors.NotFoundError(None, None, f"Key {tensor_str} not found in checkpoint")
        return self._stored[tensor_str]

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        return {name: list(info.shape) for name, info in self._stored.variables.items()}

    def get_variable_to_dtype_map(self) -> dict[str, Any]:
        return {name: tf.as_dtype(info.dtype) for name, info in self._stored.variables.items()}

    def debug_string(self) -> bytes:
        lines = (
            f"{n} ({_enum_name(i.dtype)}) [{','.join(map(str, i.shape))}]" for n, i in self._stored.variables.items()
        )
        return "".join(f"{line}\n" for line in lines).encode()


def _enum_name(dtype: str) -> str:
    """A type as a protocol buffer spells it."""
    return f"DT_{C_NAMES.get(dtype, dtype).upper()}"


export(Saver, "python.training.saver.Saver")
