"""tf.train.warm_start: variables that start from a checkpoint's, by their names, in the order of a new vocabulary where there is one."""  # noqa: E501

from __future__ import annotations

from typing import Any, NamedTuple

from recurra.tf1 import checkpoint
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train import object_graph
from recurra.tf1.train.remapping import load_and_remap_matrix_initializer
from recurra.tf1.train.saver import latest_checkpoint
from recurra.tf1.variable_store import PartitionInfo

tf = space("")


class _VocabInfo(NamedTuple):
    new_vocab: str
    new_vocab_size: int
    num_oov_buckets: int
    old_vocab: str
    old_vocab_size: int = -1
    backup_initializer: Any = None
    axis: int = 0


@tf_export("train.VocabInfo", "estimator.VocabInfo")
class VocabInfo(_VocabInfo):
    """A variable's vocabulary, old and new, along `axis` (0 or 1, else ValueError)."""

    def __new__(cls, *args: Any, **kwargs: Any) -> VocabInfo:
        made = super().__new__(cls, *args, **kwargs)
        if made.axis not in (0, 1):
            raise ValueError(
                f"The only supported values for the axis argument are 0 and 1.  Provided axis: {made.axis}"
            )
        return made


def _is_variable(value: Any) -> bool:
    return isinstance(value, tf.Variable)


def _parts(var: Any) -> list[Any]:
    """A variable, its parts, or the list of them."""
    if _is_variable(var):
        return [var]
    if isinstance(var, list) and all(map(_is_variable, var)):
        return var
    if hasattr(var, "_get_variable_list"):
        return list(var._get_variable_list())
    raise TypeError(
        f"var MUST be one of the following: a Variable, list of Variable or PartitionedVariable, but is {type(var)}"
    )


def _name(parts: list[Any]) -> str:
    names = {info.full_name if (info := v._get_save_slice_info()) else v.op.name for v in parts}
    if len(names) > 1:
        raise TypeError(f"`var` = {parts} passed as arg violates the constraints. Its names: {sorted(names)}")
    return names.pop()


@tf_export("python.training.warm_starting_util._get_var_info")
def _get_var_info(var: Any, prev_tensor_name: str | None = None) -> tuple[str, Any]:
    parts = _parts(var)
    return prev_tensor_name or _name(parts), var if _is_variable(var) else parts


@tf_export("python.training.warm_starting_util._warm_start_var_with_vocab")
def warm_start_var_with_vocab(
    var: Any,
    current_vocab_path: str,
    current_vocab_size: int,
    prev_ckpt: str,
    prev_vocab_path: str,
    previous_vocab_size: int = -1,
    current_oov_buckets: int = 0,
    prev_tensor_name: str | None = None,
    initializer: Any = None,
    axis: int = 0,
) -> None:
    """Let a matrix (or its parts) start from a checkpoint's, its rows or columns in the order of the new vocabulary."""
    if not (current_vocab_path and current_vocab_size and prev_ckpt and prev_vocab_path):
        raise ValueError("Invalid args: Must provide all of [current_vocab_path, current_vocab_size, prev_ckpt, "
                         "prev_vocab_path}.")  # fmt: skip
    if axis not in (0, 1):
        raise ValueError(f"The only supported values for the axis argument are 0 and 1.  Provided axis: {axis}")
    parts = _parts(var)
    rows = sum(v.get_shape().as_list()[0] for v in parts)
    for v in parts:
        shape, info = v.get_shape().as_list(), v._get_save_slice_info()
        files = {"old": prev_vocab_path, "new": current_vocab_path}
        named = {f"{age}_{('row', 'col')[axis]}_vocab_file": path for age, path in files.items()}
        initial = load_and_remap_matrix_initializer(
            _prefix(prev_ckpt),
            prev_tensor_name or _name(parts),
            current_vocab_size if axis == 0 else rows,
            shape[1] if axis == 0 else current_vocab_size,
            old_row_vocab_size=previous_vocab_size if axis == 0 else -1,
            num_row_oov_buckets=current_oov_buckets if axis == 0 else 0,
            num_col_oov_buckets=current_oov_buckets if axis == 1 else 0,
            initializer=initializer,
            **named,
        )
        part = None if info is None else PartitionInfo(info.full_shape, info.var_offset)
        v._initializer_op = v.assign(initial(shape, partition_info=part)).op


def _prefix(path: str) -> str:
    return latest_checkpoint(path) or path


@tf_export("python.training.warm_starting_util._warm_start_var")
def warm_start_var(var: Any, prev_ckpt: str, prev_tensor_name: str | None = None) -> None:
    """Let a variable (or its parts) start from a checkpoint's."""
    name, parts = _get_var_info(var, prev_tensor_name)
    tf.train.init_from_checkpoint(prev_ckpt, {name: parts})


def _grouped(chosen: Any) -> dict[str, list[Any]]:
    """The variables to start, by the names of the whole ones."""
    keys = tf.GraphKeys
    if isinstance(chosen, str) or chosen is None:
        found = tf.get_collection(keys.TRAINABLE_VARIABLES, scope=chosen)
    elif not isinstance(chosen, list):
        raise ValueError(f"`vars_to_warm_start must be a `list` or `str`.  Given type is {type(chosen)}")
    elif all(isinstance(v, str) for v in chosen):
        found = [v for pattern in chosen for v in tf.get_collection(keys.GLOBAL_VARIABLES, scope=pattern)]
    elif all(map(_is_variable, chosen)):
        found = chosen
    else:
        raise ValueError(
            "If `vars_to_warm_start` is a list, it must be all `Variable` or all `str`.  Given types are "
            f"{[type(v) for v in chosen]}"
        )
    grouped: dict[str, list[Any]] = {}
    for variable in found:
        grouped.setdefault(_name([variable]), []).append(variable)
    return grouped


def _renamed(path: str, names: Any) -> dict[str, str]:
    """Keys of an object-based checkpoint by variables' names."""
    with checkpoint.open(_prefix(path)) as stored:
        if object_graph.GRAPH_KEY not in stored:
            return {}
        keys = object_graph.keys_by_name(stored)
    if missing := set(names) - set(keys):
        raise ValueError(
            "Attempting to warm-start from an object-based checkpoint, but found that the checkpoint did not contain "
            f"values for all variables. The following variables were missing: {missing}"
        )
    return {name: keys[name] for name in names}


@tf_export("train.warm_start", "python.training.warm_starting_util.warm_start")
def warm_start(
    ckpt_to_initialize_from: str,
    vars_to_warm_start: Any = ".*",
    var_name_to_vocab_info: dict[str, Any] | None = None,
    var_name_to_prev_var_name: dict[str, str] | None = None,
) -> None:
    """Let variables start from a checkpoint: those that are trained and match a pattern, or a list of patterns or variables.

    `var_name_to_vocab_info` names matrices whose vocabulary has changed, `var_name_to_prev_var_name` what others were called. ValueError
    for names in either that no chosen variable has.
    """  # noqa: E501
    grouped = _grouped(vars_to_warm_start)
    vocabularies = var_name_to_vocab_info or {}
    before = var_name_to_prev_var_name or _renamed(ckpt_to_initialize_from, grouped)
    plain: dict[str, Any] = {}
    for name, parts in grouped.items():
        info = vocabularies.get(name)
        if info is not None:
            warm_start_var_with_vocab(
                parts, info.new_vocab, info.new_vocab_size, ckpt_to_initialize_from, info.old_vocab,
                info.old_vocab_size, info.num_oov_buckets, before.get(name), info.backup_initializer, info.axis,
            )  # fmt: skip
        elif vars_to_warm_start:
            plain[before.get(name, name)] = parts[0] if len(parts) == 1 else parts
    tf.train.init_from_checkpoint(ckpt_to_initialize_from, plain)
    for option, given in (("var_name_to_prev_var_name", before), ("var_name_to_vocab_info", vocabularies)):
        if unused := set(given) - set(grouped):
            raise ValueError(
                f"You provided the following variables in {option} that were not used: {unused}.  Perhaps you "
                f"misspelled them?  Here is the list of viable variable names: {list(grouped)}"
            )


export(VocabInfo, "python.training.warm_starting_util.VocabInfo")
