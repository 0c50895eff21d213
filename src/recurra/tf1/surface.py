"""The names an `import tensorflow` sees: the wing's own table, and TensorFlow's inner modules as views of it.

`lookup("nn.relu")` asks the table (`names.py`). Programs also import from where TensorFlow keeps its sources
(`tensorflow.python.ops.array_ops.concat`, `tensorflow.contrib.rnn.python.ops.core_rnn_cell_impl.GRUCell`): such a name
is looked up in the public modules that export it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from recurra.tf1 import eras
from recurra.tf1 import names as table
from recurra.tf1.sourcescan import canonical

_KERAS_VERSION = "2.2.4"
DUNDERS = {"__version__", "__git_version__", "__compiler_version__"}

# inner module → public modules in which its members are exported, most specific first; "" is tf itself
_INNER: dict[str, tuple[str, ...]] = {
    "ops.rnn": ("nn", "contrib.rnn"),
    "ops.rnn_cell": ("nn.rnn_cell", "contrib.rnn"),
    "ops.rnn_cell_impl": ("nn.rnn_cell", "contrib.rnn"),
    "ops.seq2seq": ("nn.seq2seq", "contrib.legacy_seq2seq"),
    "ops.nn_ops": ("nn", "raw_ops", ""),
    "ops.nn": ("nn",),
    "ops.nn_impl": ("nn", "linalg"),
    "ops.ctc_ops": ("nn",),
    "ops.embedding_ops": ("nn",),
    "ops.candidate_sampling_ops": ("nn",),
    "ops.init_ops": ("", "initializers", "keras.initializers"),
    "ops.string_ops": ("strings", ""),
    "ops.sparse_ops": ("sparse", ""),
    "ops.linalg_ops": ("linalg", ""),
    "ops.linalg.linalg": ("linalg", ""),
    "ops.linalg.linalg_impl": ("linalg", ""),
    "ops.sets": ("sets",),
    "ops.sets_impl": ("sets",),
    "ops.confusion_matrix": ("math", "contrib.framework"),
    "ops.random_ops": ("random", ""),
    "ops.image_ops": ("image",),
    "ops.metrics": ("metrics",),
    "ops.losses.losses": ("losses",),
    "ops.losses.util": ("losses", "contrib.losses"),
    "ops.losses.losses_impl": ("losses",),
    "ops.data_flow_ops": ("", "queue"),
    "ops.parsing_ops": ("", "io"),
    "ops.io_ops": ("", "io"),
    "ops.lookup_ops": ("lookup", "contrib.lookup", ""),
    "util.compat": ("compat",),
    "compat.compat": ("compat",),
    "ops.check_ops": ("", "debugging"),
    "ops.logging_ops": ("", "summary"),
    "ops.math_ops": ("", "math"),
    "platform.gfile": ("gfile",),
    "platform.tf_logging": ("logging",),
    "platform.flags": ("flags", "app.flags"),
    "platform.app": ("app",),
    "platform.test": ("test",),
    "platform.googletest": ("test",),
    "eager.test": ("test",),
    "feature_column.feature_column_lib": ("feature_column",),
    "training.checkpoint_utils": ("train", "contrib.training"),
    "module.module": ("",),
    "platform.resource_loader": ("resource_loader",),
    "framework.errors": ("errors",),
    "framework.errors_impl": ("errors",),
    "framework.dtypes": ("", "dtypes"),
    "framework.ops": ("", "contrib.framework"),
    "framework.tensor_util": ("", "contrib.util", "contrib.framework"),
    "framework.random_seed": ("",),
    "framework.graph_util": ("graph_util",),
    "framework.graph_util_impl": ("graph_util",),
    "client.session": ("",),
    "client.timeline": ("",),
    "summary.summary": ("summary",),
    "lib.io.tf_record": ("python_io",),
    "lib.io.file_io": ("gfile",),
    "saved_model.builder": ("saved_model.builder", "saved_model"),
    "layers.core": ("layers",),
    "layers.base": ("layers", "python.layers.base"),
    "layers.layers": ("layers",),
}
_INNER_PACKAGES = set(
    [
        "ops",
        "framework",
        "training",
        "client",
        "util",
        "platform",
        "layers",
        "summary",
        "lib",
        "lib.io",
        "saved_model",
        "estimator",
        "data",
        "data.ops",
        "data.util",
        "data.kernel_tests",
        "training.tracking",
        "ops.ragged",
        "eager",
        "ops.losses",
        "ops.linalg",
        "ops.distributions",
        "tools",
        "debug",
        "grappler",
        "feature_column",
        "user_ops",
    ]
)
_ANYWHERE = (
    "",
    "nn",
    "train",
    "math",
    "contrib.rnn",
    "contrib.seq2seq",
    "contrib.legacy_seq2seq",
    "layers",
    "contrib.layers",
    "errors",
    "losses",
)
_KERAS_FILES = {f"keras.{name}" for name in (
    "layers.core", "layers.recurrent", "layers.embeddings", "layers.convolutional", "layers.pooling", "layers.merge",
    "layers.normalization", "layers.wrappers", "layers.noise", "layers.advanced_activations",
    "layers.convolutional_recurrent", "layers.cudnn_recurrent", "utils.np_utils", "utils.data_utils",
    "utils.generic_utils", "utils.vis_utils", "engine",
    "engine.topology", "engine.base_layer", "engine.training", "engine.network", "engine.sequential",
    "engine.input_layer", "engine.input_spec", "legacy", "wrappers", "applications", "layers.local",
    "layers.dense_attention", "layers.recurrent_v2", "optimizer_v2", "optimizer_v2.gradient_descent",
    "optimizer_v2.adam", "optimizer_v2.rmsprop", "optimizer_v2.adagrad", "optimizer_v2.adadelta",
    "optimizer_v2.adamax", "optimizer_v2.nadam", "optimizer_v2.optimizer_v2",
)}  # fmt: skip
_OPEN_PACKAGES = ("contrib", "python", "core", "models", "examples", "tools", "compiler")


def lookup(dotted: str) -> Any:
    """The object of a dotted name below tensorflow ('nn.relu', 'python.ops.math_ops.matmul'); KeyError: not here."""
    if dotted == "keras.__version__":
        return _KERAS_VERSION
    if dotted in DUNDERS or dotted == "VERSION":
        return eras.current().text if "version" in dotted.lower() else "unknown"
    dotted = _straight(canonical(dotted))
    try:
        return table.lookup(dotted)
    except KeyError:
        pass
    if is_module(dotted) and dotted.startswith(("python.", "contrib.")):  # python.ops.variable_scope is the file
        return _member_of_contrib(dotted)
    for candidate in _candidates(dotted):
        try:
            return table.lookup(candidate)
        except KeyError:
            continue
    if dotted.startswith("core."):
        return _message(dotted)
    raise KeyError(dotted)


def _straight(dotted: str) -> str:
    """python.ops.rnn.rnn_cell_impl → python.ops.rnn_cell_impl: TensorFlow's files hold the files that they import."""
    parts = dotted.split(".")
    if parts[0] == "python":
        if len(parts) > 1 and parts[1].endswith("_ops"):
            parts.insert(1, "ops")
        in_file = len(parts) > 3 and ".".join(parts[1:3]) not in _INNER_PACKAGES  # data.ops is a folder
        if in_file and (f"ops.{parts[3]}" in _INNER or parts[3].endswith("_ops")):
            parts[1:3] = ["ops"]
    return ".".join(parts)


def _member_of_contrib(dotted: str) -> Any:
    """contrib.layers.python.layers.layer_norm: contrib's inner packages also hold what their files export."""
    base, inner, rest = dotted.partition(".python.")
    package, _, member = rest.partition(".")  # in contrib.X.python.ops the names are those of files
    if base.startswith("contrib.") and inner and package != "ops" and member and "." not in member:
        return table.lookup(f"{base}.{rest.rpartition('.')[2]}")
    raise KeyError(dotted)


def has(dotted: str) -> bool:
    """Whether `lookup` finds the name or it is a module."""
    return _found(dotted) or is_module(dotted)


def names() -> set[str]:
    """All dotted names of the table."""
    return set(table.known())


def members(base: str) -> set[str]:
    """The names directly below a module."""
    prefix = f"{canonical(base)}." if canonical(base) else ""
    return {n[len(prefix) :].partition(".")[0] for n in table.known() if n.startswith(prefix)}


def exported(base: str) -> set[str]:
    """What `from tensorflow.<base> import *` gives: members of the module, or of the public ones that it stands for."""
    parts = base.split(".")
    inner = _INNER.get(".".join(parts[1:]), ()) if parts[0] == "python" else ()
    if parts[0] == "contrib" and "python" in parts:  # contrib.legacy_seq2seq.python.ops.seq2seq
        inner = (".".join(parts[: parts.index("python")]),)
    names_below = {name for module in (base, *inner) for name in members(module) if not name.startswith("_")}
    return {name for name in names_below if _found(f"{base}.{name}" if base else name)}


def _found(dotted: str) -> bool:
    try:
        lookup(dotted)
    except KeyError:
        return False
    return True


def is_module(dotted: str) -> bool:
    """Whether `import tensorflow.<dotted>` gives a module that holds, or may hold, something."""
    if _leaked(dotted.split(".")):
        return True
    dotted = _straight(dotted)
    if dotted in ("compat", "compat.v1", "_api", "_api.v1") or table.has_prefix(canonical(dotted)):
        return True
    parts = dotted.split(".")
    if dotted in _OPEN_PACKAGES or dotted in _KERAS_FILES:
        return True
    if parts[:2] == ["contrib", "keras"]:
        return len(parts) == 2 or parts[-1] in ("api", "keras") or table.has_prefix(".".join(["keras", *parts[2:]]))
    if parts[0] == "python" and len(parts) > 2:
        return _inner_depth(parts[1:])
    if parts[0] == "core":
        return (
            len(parts) < 3
            or (len(parts) == 3 and find_spec(_PROTOS + parts[2]) is not None)
            or parts[-1].endswith("_pb2")
        )
    if parts[0] == "contrib" and "python" in parts[1:]:
        return _contrib_depth(parts)
    return parts[0] in ("models", "examples") and len(parts) < 4


def _leaked(parts: list[str]) -> bool:
    """contrib.rnn.array_ops: a file of python.ops that another module imports, and shows where it hides nothing."""
    if len(parts) < 3 or parts[0] != "contrib" or "python" in parts:
        return False
    return f"ops.{parts[-1]}" in _INNER or (parts[-1].endswith("_ops") and not _is_generated(parts[-1]))


def _inner_depth(parts: list[str]) -> bool:
    """python.<package>, python.<package>.<file> are modules; what is below a file is a member."""
    if not parts or ".".join(parts) in _INNER_PACKAGES or ".".join(parts) in _INNER:
        return True
    if len(parts) == 1 and parts[0].endswith("_ops"):  # tensorflow.python shows the files of its package ops
        return True
    if parts[0] == "keras":
        return table.has_prefix(".".join(parts)) or ".".join(parts) in _KERAS_FILES
    package, dotted = ".".join(parts[:-1]), ".".join(parts)
    return package in _INNER_PACKAGES and dotted not in _PUBLIC_MEMBERS and not parts[-1][:1].isupper()


# members of inner packages that are not files
_PUBLIC_MEMBERS = {"client.Session"}


def _contrib_depth(parts: list[str]) -> bool:
    """contrib.rnn.python, .python.ops and .python.ops.rnn_cell are modules."""
    return len(parts) - parts.index("python") <= 3 if parts[1] != "python" else True


def _candidates(dotted: str) -> list[str]:
    """Public names that an inner or moved name may mean, best first."""
    parts = dotted.split(".")
    last = parts[-1]
    if _leaked(parts[:-1]):
        return _candidates(f"python.ops.{parts[-2]}.{last}")
    if parts[:2] == ["contrib", "keras"]:  # the place of tf.keras in 1.1 to 1.3
        inner = [p for p in parts[2:] if p not in ("api", "keras", "python")]
        return [f"keras.{'.'.join(inner)}"]
    if parts[0] == "keras" and len(parts) > 3:  # keras.layers.recurrent.LSTM, keras.utils.np_utils.to_categorical
        return [".".join([*parts[:-2], last])]
    if parts[0] == "python" and len(parts) == 2:  # from tensorflow.python import shape
        return [last, f"nn.{last}"]
    if parts[0] == "python" and len(parts) > 2:
        module = ".".join(parts[1:-1])
        if module.startswith("keras.optimizer_v2"):
            return [f"keras.optimizers.{last}"]
        if module.startswith("keras"):
            return [f"keras.{'.'.join(parts[2:])}", *(f"{c}.{last}" for c in ("keras.layers", "keras"))]
        public = _INNER.get(module, ())
        if _is_generated(parts[-2]):
            last = last.lstrip("_")
            public = ("python.ops.gen_ops", "raw_ops", "bitwise", "strings", "linalg", "sparse", "image", "random")
        elif module.startswith("training"):
            public = ("train",)
        elif module.startswith("summary"):
            public = ("summary",)
        elif module.startswith("data"):
            public = ("data",)
        homes = [*public, *(a for a in _ANYWHERE if a not in public)]
        return [_join(home, last) for home in (*homes, *(("python.ops.gen_ops",) if parts[1] == "ops" else ()))]
    if parts[0] == "contrib" and len(parts) > 2 and _is_generated(parts[-2]):
        return [_join("python.ops.gen_ops", last.lstrip("_"))]
    if parts[0] == "contrib" and "python" in parts[1:]:
        base = parts[: parts.index("python")]
        homes = [".".join(base), ".".join([*base, *parts[-2:-1]])]
        if base[-1] in ("rnn", "seq2seq"):
            homes += ["nn.rnn_cell", "nn", "contrib.rnn", "contrib.legacy_seq2seq"]
        return [_join(home, last) for home in homes] + [_join(a, last) for a in ("", "train")]
    if parts[0] == "models" and parts[1:2] == ["rnn"] and len(parts) == 4:
        homes_by_file = {
            "rnn_cell": ("nn.rnn_cell",),
            "seq2seq": ("nn.seq2seq", "contrib.legacy_seq2seq"),
            "rnn": ("nn",),
            "linear": ("nn.rnn_cell",),
        }
        return [_join(home, last) for home in homes_by_file.get(parts[2], ())]
    if parts[0] == "core":
        return [last, f"train.{last}", f"summary.{last}"]
    if dotted.startswith("contrib.rnn.core_rnn"):
        return [f"contrib.rnn.{last}", f"nn.rnn_cell.{last}", f"nn.{last}"]
    if parts[0] in ("array_ops", "math_ops", "nn_ops", "rnn_cell", "contrib_rnn"):
        return [last, f"nn.{last}", f"nn.rnn_cell.{last}"]
    return []


def _is_generated(module: str) -> bool:
    """gen_array_ops and its like: functions that add one operation each."""
    return module.startswith("gen_") and module.endswith("_ops")


def _join(base: str, name: str) -> str:
    return f"{base}.{name}" if base else name


_PROTOS = "tensorboard.compat.proto."


@cache
def _message(dotted: str) -> Any:
    """core.framework.graph_pb2.GraphDef: TensorFlow's protocol messages as the tensorboard package carries them."""
    file, member = dotted.split(".")[-2:]
    if not file.endswith("_pb2") or find_spec(_PROTOS + file) is None:
        raise KeyError(dotted)
    found = getattr(import_module(_PROTOS + file), member, None)
    if found is None:
        raise KeyError(dotted)
    return found
