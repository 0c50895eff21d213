"""Matrices of a checkpoint in the order of another vocabulary (`tf.contrib.framework.load_and_remap_matrix` and its like).

A row (or column) of the new matrix is the old one of the same word; words that are new, and buckets for those out of the vocabulary,
come from an initializer.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from recurra.tf1 import checkpoint, dtypes
from recurra.tf1.build import apply_op
from recurra.tf1.errors import UnimplementedError, invalid_argument
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

tf = space("")


# -- the operations ----------------------------------------------------------------------------------------------------
def _text(value: Any) -> str:
    return np.asarray(value).item().decode()


def _words(file: Any) -> list[bytes]:
    with open(_text(file), "rb") as stream:
        return stream.read().splitlines()


def _vocab_remapping(
    new_vocab_file: Any, old_vocab_file: Any, *, new_vocab_offset: int, num_new_vocab: int, old_vocab_size: int = -1
) -> Any:
    new, old = _words(new_vocab_file), _words(old_vocab_file)
    if new_vocab_offset + num_new_vocab > len(new):
        raise invalid_argument("lookup table size must be larger than last new vocab entry's line")
    places = {word: i for i, word in enumerate(old[:old_vocab_size] if old_vocab_size >= 0 else old)}
    found = [places.get(word, -1) for word in new[new_vocab_offset : new_vocab_offset + num_new_vocab]]
    count = sum(place >= 0 for place in found)
    return [torch.tensor(found, dtype=torch.int64), torch.tensor(count, dtype=torch.int32)]


def _remapped(
    ckpt_path: Any, old_tensor_name: Any, row_remapping: Any, col_remapping: Any, initializing_values: Any,
    *, num_rows: int, num_cols: int, max_rows_in_memory: int = -1,
) -> Any:  # fmt: skip
    rows, cols = (np.asarray(m).reshape(-1) for m in (row_remapping, col_remapping))
    name = _text(old_tensor_name)
    if len(rows) != num_rows:
        raise invalid_argument(f"Size of row_remapping is {len(rows)} instead of being equal to num_rows={num_rows}")
    if len(cols) not in (0, num_cols):
        raise invalid_argument(
            f"Provided col_remapping, but its size is {len(cols)} instead of being equal to num_cols={num_cols}"
        )
    for remapping in (rows, cols):
        present = remapping[remapping >= 0]
        if len(set(present.tolist())) < len(present):
            raise UnimplementedError(None, None, "Duplicate old IDs are not supported.")
    with checkpoint.open(_text(ckpt_path)) as stored:
        old = stored[name]
    if old.dtype != np.float32 or old.ndim != 2:
        shape = list(old.shape)
        raise invalid_argument(f"Tensor {name} is of {old.dtype} and shape {shape} instead of a matrix of floats")
    if not len(cols):
        if old.shape[1] != num_cols:
            raise invalid_argument(
                f"Tensor {name} has shape {list(old.shape)}, where the size of its 2nd dimension is {old.shape[1]} "
                f"instead of being equal to num_cols={num_cols}"
            )
        cols = np.arange(num_cols)
    return torch.from_numpy(_filled(old, rows, cols, np.asarray(initializing_values).reshape(-1)))


def _filled(old: np.ndarray, rows: np.ndarray, cols: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The old values where rows and columns have a place, `fill` in order elsewhere."""
    present = (rows >= 0)[:, None] & (cols >= 0)[None, :]
    missing = int(present.size - present.sum())
    if missing != len(fill):
        much = f"initializing_values contained {len(fill)} elements, but "
        used = f"only {missing} elements were used to fill in missing values."
        raise invalid_argument(much + ("more missing values remain." if missing > len(fill) else used))
    made = np.empty(present.shape, np.float32)
    made[~present] = fill
    made[present] = old[np.ix_(rows[rows >= 0], cols[cols >= 0])].reshape(-1)
    return made


op("GenerateVocabRemapping", "new_vocab_file:string, old_vocab_file:string -> int64, int32", _vocab_remapping,
   shape=lambda o: [TensorShape([o.attrs["num_new_vocab"]]), TensorShape([])], diff=False)  # fmt: skip
op("LoadAndRemapMatrix", "ckpt_path:string, old_tensor_name:string, row_remapping:int64, col_remapping:int64, "
   "initializing_values:float32 -> float32", _remapped,
   shape=lambda o: TensorShape([o.attrs["num_rows"], o.attrs["num_cols"]]), diff=False)  # fmt: skip


# -- the functions -----------------------------------------------------------------------------------------------------
@tf_export("contrib.framework.load_and_remap_matrix", "python.training.checkpoint_ops._load_and_remap_matrix")
def load_and_remap_matrix(
    ckpt_path: Any,
    old_tensor_name: Any,
    new_row_vocab_offset: int,
    num_rows_to_load: int,
    new_col_vocab_size: int,
    initializer: Callable[[Any], Any],
    old_row_vocab_size: int = -1,
    old_row_vocab_file: Any = None,
    new_row_vocab_file: Any = None,
    old_col_vocab_file: Any = None,
    new_col_vocab_file: Any = None,
    num_row_oov_buckets: int = 0,
    num_col_oov_buckets: int = 0,
    max_rows_in_memory: int = -1,
) -> Any:
    """A matrix [rows + row buckets, columns + column buckets] of floats from a checkpoint, in the order of new vocabularies.

    ValueError for negative buckets, a vocabulary without its counterpart, or none at all.
    """  # noqa: E501
    for name, count in (("num_row_oov_buckets", num_row_oov_buckets), ("num_col_oov_buckets", num_col_oov_buckets)):
        if count < 0:
            raise ValueError(f"{name} must be >= 0, but received {count}")
    for axis, old, new in (("row", old_row_vocab_file, new_row_vocab_file),
                           ("col", old_col_vocab_file, new_col_vocab_file)):  # fmt: skip
        if bool(old) != bool(new):
            raise ValueError(
                f"old_{axis}_vocab_file and new_{axis}_vocab_file must both be specified or left unspecified. "
                f"old_{axis}_vocab_file='{old}', new_{axis}_vocab_file='{new}'"
            )
    if not (new_row_vocab_file or new_col_vocab_file):
        raise ValueError(
            "Must provide either row or column vocab files. If no remapping is necessary, consider using "
            "`tf.contrib.framework.init_from_checkpoint` instead."
        )
    rows, rows_present = tf.range(new_row_vocab_offset, new_row_vocab_offset + num_rows_to_load, dtype=tf.int64), None
    if new_row_vocab_file:
        rows, rows_present = apply_op(
            "GenerateVocabRemapping", new_row_vocab_file, old_row_vocab_file, new_vocab_offset=new_row_vocab_offset,
            num_new_vocab=num_rows_to_load, old_vocab_size=old_row_vocab_size,
        )  # fmt: skip
    cols, cols_present = tf.constant([], tf.int64), None
    if new_col_vocab_file:
        cols, cols_present = apply_op(
            "GenerateVocabRemapping", new_col_vocab_file, old_col_vocab_file, new_vocab_offset=0,
            num_new_vocab=new_col_vocab_size,
        )  # fmt: skip
    present = (num_rows_to_load if rows_present is None else rows_present) * (
        new_col_vocab_size if cols_present is None else cols_present
    )
    matrix = apply_op(
        "LoadAndRemapMatrix", ckpt_path, old_tensor_name, rows, cols,
        initializer([num_rows_to_load * new_col_vocab_size - present, 1]),
        num_rows=num_rows_to_load, num_cols=new_col_vocab_size, max_rows_in_memory=max_rows_in_memory,
    )  # fmt: skip
    if num_row_oov_buckets:
        matrix = tf.concat([matrix, initializer([num_row_oov_buckets, new_col_vocab_size])], 0)
    if num_col_oov_buckets:
        matrix = tf.concat([matrix, initializer([num_rows_to_load + num_row_oov_buckets, num_col_oov_buckets])], 1)
    return matrix


@tf_export(
    "contrib.framework.load_and_remap_matrix_initializer",
    "python.training.checkpoint_ops._load_and_remap_matrix_initializer",
)
def load_and_remap_matrix_initializer(
    ckpt_path: Any,
    old_tensor_name: Any,
    new_row_vocab_size: int,
    new_col_vocab_size: int,
    old_row_vocab_size: int = -1,
    old_row_vocab_file: Any = None,
    new_row_vocab_file: Any = None,
    old_col_vocab_file: Any = None,
    new_col_vocab_file: Any = None,
    num_row_oov_buckets: int = 0,
    num_col_oov_buckets: int = 0,
    initializer: Any = None,
    max_rows_in_memory: int = -1,
) -> Callable[..., Any]:
    """An initializer of a matrix, or of a part of its rows, by `load_and_remap_matrix`."""
    fill = tf.zeros_initializer() if initializer is None else initializer
    if not callable(fill):
        raise TypeError(f"initializer must be callable, instead of being {fill} of type {type(fill)}.")
    all_rows, width = new_row_vocab_size + num_row_oov_buckets, new_col_vocab_size + num_col_oov_buckets

    def initial(shape: Any, dtype: Any = dtypes.float32, partition_info: Any = None) -> Any:
        shape = [int(d) for d in shape]
        if dtype != dtypes.float32:
            raise TypeError(f"Currently, only float32 is supported. Received dtype: {dtype}")
        if len(shape) != 2:
            raise ValueError(f"Expected 2-dim shape, but received: {shape}")
        if shape[0] <= 0:
            raise ValueError(f"Expected 1st dim of shape to be > 0, but received shape: {shape}")
        if shape[1] != width:
            raise ValueError(
                f"Expected 2nd dim of shape to be new_col_vocab_size ({new_col_vocab_size}) + num_col_oov_buckets "
                f"({num_col_oov_buckets}) = {width}, but received shape: {shape}"
            )
        offset = 0 if partition_info is None else partition_info.single_offset(shape)
        if offset + shape[0] > all_rows:
            raise ValueError(
                f"Trying to initialize {shape[0]} additional rows after {offset} rows have already been initialized, "
                f"which would exceed expected total row count of new_row_vocab_size ({new_row_vocab_size}) + "
                f"num_row_oov_buckets ({num_row_oov_buckets}) = {all_rows}."
            )
        buckets = min(shape[0], max(0, offset + shape[0] - new_row_vocab_size))
        if offset > new_row_vocab_size:
            return fill(shape)
        return load_and_remap_matrix(
            ckpt_path, old_tensor_name, offset, shape[0] - buckets, new_col_vocab_size, fill, old_row_vocab_size,
            old_row_vocab_file, new_row_vocab_file, old_col_vocab_file, new_col_vocab_file, buckets,
            num_col_oov_buckets, max_rows_in_memory,
        )  # fmt: skip

    return initial


@tf_export("contrib.framework.load_embedding_initializer",
           "python.training.checkpoint_ops._load_embedding_initializer")  # fmt: skip
def load_embedding_initializer(
    ckpt_path: Any,
    embedding_tensor_name: str,
    new_vocab_size: int,
    embedding_dim: int,
    old_vocab_file: Any,
    new_vocab_file: Any,
    old_vocab_size: int = -1,
    num_oov_buckets: int = 0,
    initializer: Any = None,
    max_rows_in_memory: int = -1,
) -> Callable[..., Any]:
    """Embeddings [new_vocab_size + buckets, embedding_dim] of a checkpoint; new words from a truncated normal."""
    if initializer is None:
        initializer = tf.truncated_normal_initializer(stddev=1.0 / math.sqrt(embedding_dim))
    return load_and_remap_matrix_initializer(
        ckpt_path, embedding_tensor_name, new_vocab_size, embedding_dim, old_vocab_size, old_vocab_file,
        new_vocab_file, num_row_oov_buckets=num_oov_buckets, initializer=initializer,
        max_rows_in_memory=max_rows_in_memory,
    )  # fmt: skip


@tf_export("contrib.framework.load_linear_multiclass_bias_initializer")
def load_linear_multiclass_bias_initializer(
    ckpt_path: Any,
    bias_tensor_name: str,
    new_class_vocab_size: int,
    old_class_vocab_file: Any,
    new_class_vocab_file: Any,
    num_class_oov_buckets: int = 0,
    initializer: Any = None,
    max_rows_in_memory: int = -1,
) -> Callable[..., Any]:
    """A bias [classes + buckets, 1] of a checkpoint in the order of new classes."""
    return load_and_remap_matrix_initializer(
        ckpt_path, bias_tensor_name, new_class_vocab_size, 1, old_row_vocab_file=old_class_vocab_file,
        new_row_vocab_file=new_class_vocab_file, num_row_oov_buckets=num_class_oov_buckets, initializer=initializer,
        max_rows_in_memory=max_rows_in_memory,
    )  # fmt: skip


@tf_export("contrib.framework.load_variable_slot_initializer")
def load_variable_slot_initializer(
    ckpt_path: Any, old_tensor_name: str, primary_partition_info: Any, new_row_vocab_size: int,
    new_col_vocab_size: int, *args: Any, **kwargs: Any,
) -> Callable[..., Any]:  # fmt: skip
    """As load_and_remap_matrix_initializer, for a slot, which has its variable's part of the rows."""
    base = load_and_remap_matrix_initializer(
        ckpt_path, old_tensor_name, new_row_vocab_size, new_col_vocab_size, -1, *args, **kwargs
    )
    return lambda shape, dtype=dtypes.float32, partition_info=None: base(shape, dtype, primary_partition_info)
