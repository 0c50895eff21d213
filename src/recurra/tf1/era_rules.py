"""The table of what dates a program: names that came or went, and calls in an order only one era had.

Facts from TensorFlow's release notes and the history of its RNN modules. A name not listed says nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from recurra.tf1.sourcescan import Scan, Use

Version = tuple[int, int]


class Bound(NamedTuple):
    """A first or last release that fits, and why."""

    version: Version
    reason: str


# name (a regular expression over the whole dotted name) → last release that had it
_GONE_AFTER: list[tuple[str, Version]] = [
    (r"models\.rnn\.(rnn_cell|seq2seq|rnn|linear)(\..*)?", (0, 8)),
    (r"pack|unpack|mul|sub|neg|select|inv|batch_matmul|complex_abs|op_scope|variable_op_scope|list_diff", (0, 12)),
    (r"(scalar|histogram|image|audio|merge|merge_all)_(summary|summaries)|train\.SummaryWriter", (0, 12)),
    (r"nn\.(rnn|bidirectional_rnn|state_saving_rnn)", (0, 12)),
    (r"nn\.seq2seq(\..*)?", (0, 12)),
    (r"batch_(cholesky|fft|ifft|self_adjoint_eig|matrix_\w+)", (0, 12)),
    (
        r"contrib\.rnn\.(core_rnn_cell|core_rnn)(\..*)?|contrib\.rnn\.python\.ops\.(core_rnn_cell|core_rnn)(_impl)?(\..*)?",
        (1, 1),
    ),
    (
        r"contrib\.seq2seq\.(simple_decoder_fn_\w+|attention_decoder_fn_\w+|prepare_attention|dynamic_rnn_decoder)",
        (1, 1),
    ),
    (r"contrib\.seq2seq\.(DynamicAttentionWrapper\w*)", (1, 1)),
    (r"concat_v2", (1, 0)),
]
# name → first release that had it
_CAME_WITH: list[tuple[str, Version]] = [
    (r"nn\.rnn_cell(\..*)?", (0, 8)),
    (r"nn\.(bidirectional_dynamic_rnn|raw_rnn)", (0, 10)),
    (r"(global|local)_variables_initializer|global_variables|variables_initializer", (0, 12)),
    (r"summary\.(scalar|merge_all|FileWriter|merge|histogram)|stack|unstack|multiply|subtract|negative", (0, 12)),
    (r"contrib\.rnn\.(BasicLSTMCell|LSTMCell|GRUCell|BasicRNNCell|MultiRNNCell|DropoutWrapper|RNNCell)", (1, 0)),
    (r"contrib\.rnn\.(static_rnn|static_bidirectional_rnn|LSTMStateTuple)|contrib\.legacy_seq2seq(\..*)?", (1, 0)),
    (r"layers\..*|contrib\.seq2seq\..*|contrib\.crf\..*|where|concat_v2", (1, 0)),
    (r"contrib\.seq2seq\.(BasicDecoder|dynamic_decode|\w*Helper)", (1, 1)),
    (r"contrib\.seq2seq\.(AttentionWrapper|BeamSearchDecoder|tile_batch)", (1, 2)),
    (r"nn\.(static_rnn|static_bidirectional_rnn|static_state_saving_rnn)|contrib\.data\..*", (1, 2)),
    (r"keras\..*|data\..*|AUTO_REUSE|losses\.Reduction\..*|contrib\.crf\.crf_decode", (1, 4)),
    (
        r"nn\.softmax_cross_entropy_with_logits_v2|math\..*|manip\..*|contrib\.rnn\.(IndRNNCell|IndyGRUCell|IndyLSTMCell)",
        (1, 5),
    ),
    (r"random\.(?!Random|seed|shuffle).*|strings\.(?!join).*|io\.(?!gfile).*|debugging\..*", (1, 10)),
    (
        r"nn\.ctc_loss_v2|compat\.v2\..*|sparse\..*|python\.(framework\.test_util|platform\.test|platform\.googletest)(\..*)?",
        (1, 13),
    ),
]


def bounds(found: Scan) -> tuple[Bound | None, Bound | None]:
    """(first release that fits, last release that fits), each None where nothing in the source tells."""
    since: Bound | None = None
    until: Bound | None = None
    for use in found.uses:
        came = _lookup(_CAME_WITH, use.name)
        if came and (since is None or came > since.version):
            since = Bound(came, f"tf.{use.name} on line {use.line}")
        gone = _lookup(_GONE_AFTER, use.name)
        if gone and (until is None or gone < until.version):
            until = Bound(gone, f"tf.{use.name} on line {use.line}")
        old, new = _by_call(use)
        if old and (until is None or old.version < until.version):
            until = old
        if new and (since is None or new.version > since.version):
            since = new
    asked = None if found.compares_version_text else _asked_for(found)
    if asked and (since is None or asked.version > since.version):
        since = asked
    if any(name.startswith("tensorflow.compat.v1") for name in found.imports):
        since = Bound((1, 15), "import tensorflow.compat.v1")
    if since and since.version < (1, 2) and since.version >= (1, 0) and _uses(found, r"nn\.rnn_cell\..*"):
        since = Bound((1, 2), f"tf.nn.rnn_cell beside {since.reason}")
    pair = next(filter(None, map(_decodes_to_a_pair, found.trees)), None)
    if pair and until is None and (since is None or since.version <= (1, 1)):
        until = Bound((1, 1), pair)
    old_flags = next(filter(None, map(_old_flags, found.trees)), None)
    if old_flags and until is None and (since is None or since.version <= (1, 4)):
        until = Bound((1, 4), old_flags)
    return since, until


def _old_flags(tree: ast.AST) -> str | None:
    """FLAGS._parse_flags() and FLAGS.__flags as a dict of values: gone with 1.5, where its values have a `.value`."""
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Attribute) and node.attr == "value" for node in nodes):
        return None
    for node in nodes:
        name = node.attr if isinstance(node, ast.Attribute) else node.value if isinstance(node, ast.Constant) else None
        if isinstance(name, str) and name in ("_parse_flags", "__flags"):
            return f"FLAGS.{name} on line {node.lineno}"  # type: ignore[attr-defined]
    return None


def _decodes_to_a_pair(tree: ast.AST) -> str | None:
    """outputs, state = dynamic_decode(…): release 1.2 answered with the lengths, too."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.targets) == 1):
            continue
        function, target = node.value.func, node.targets[0]
        called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
        parts = target.elts if isinstance(target, ast.Tuple) else []
        if called == "dynamic_decode" and len(parts) == 2 and not any(isinstance(p, ast.Starred) for p in parts):
            return f"dynamic_decode gives two values on line {node.lineno}"
    return None


def _asked_for(found: Scan) -> Bound | None:
    """The newest release that a file which reads tf.__version__ writes down: LooseVersion("1.12.0")."""
    versions = []
    for tree in found.trees:
        nodes = list(ast.walk(tree))
        if not any(isinstance(node, ast.Attribute) and node.attr in ("__version__", "VERSION") for node in nodes):
            continue
        texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
        versions += [
            (1, int(match[1])) for match in (re.fullmatch(r"1\.(\d|1[0-5])(\.\d+)?", t) for t in texts) if match
        ]
    return Bound(max(versions), f"it asks for {'.'.join(map(str, max(versions)))}") if versions else None


def tuple_states(found: Scan) -> Bound:
    """Between 0.9 and 0.12: the last release of either default of `state_is_tuple` that the source fits."""
    lstms = [use for use in found.uses if re.search(r"(LSTMCell|MultiRNNCell)$", use.name) and use.call]
    explicit = any(k.arg == "state_is_tuple" for use in lstms for k in (use.call.keywords if use.call else ()))
    if explicit:
        return Bound((0, 10), "state_is_tuple is given")
    if lstms and not _uses(found, r".*LSTMStateTuple") and any(map(_joined_state, found.trees)):
        return Bound((0, 10), "states of c and h side by side")
    return Bound((0, 12), "no mark of an older release")


def _joined_state(tree: ast.AST) -> bool:
    """Whether a shape says `2 * n` or `cell.state_size`, or a state is asked for its value: the one-tensor state of
    releases up to 0.10."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "eval" and _is_first_state(node.value):
            return True
        if not isinstance(node, ast.List | ast.Tuple):
            continue
        for item in node.elts:
            if isinstance(item, ast.Attribute) and item.attr == "state_size":
                return True
            if isinstance(item, ast.BinOp) and isinstance(item.op, ast.Mult):
                sides = (item.left, item.right)
                if any(isinstance(side, ast.Constant) and side.value == 2 for side in sides):
                    return True
    return False


def _is_first_state(node: ast.AST) -> bool:
    """`cell.zero_state(…)`, `model.initial_state`: what `.eval()` cannot be asked of where states are tuples."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "zero_state"
    return isinstance(node, ast.Attribute) and node.attr.lstrip("_") in ("initial_state", "zero_state")


def _uses(found: Scan, pattern: str) -> bool:
    return any(re.fullmatch(pattern, use.name) for use in found.uses)


def _lookup(table: Iterable[tuple[str, Version]], name: str) -> Version | None:
    return next((version for pattern, version in reversed(list(table)) if re.fullmatch(pattern, name)), None)


def _by_call(use: Use) -> tuple[Bound | None, Bound | None]:
    rule = _CALLS.get(use.name.rpartition(".")[2])
    return rule(use, use.call) if rule and use.call else (None, None)


def _is_number(node: ast.AST) -> bool:
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, int)


def _concat(use: Use, call: ast.Call) -> tuple[Bound | None, Bound | None]:
    args = call.args
    if (args and _is_number(args[0])) or any(k.arg == "concat_dim" for k in call.keywords):
        return Bound((0, 12), f"tf.concat(axis, values) on line {use.line}"), None
    if (len(args) > 1 and _is_number(args[1])) or any(k.arg == "axis" for k in call.keywords):
        return None, Bound((1, 0), f"tf.concat(values, axis) on line {use.line}")
    return None, None


def _split(use: Use, call: ast.Call) -> tuple[Bound | None, Bound | None]:
    args = call.args
    if (len(args) == 3 and _is_number(args[0])) or any(k.arg in ("split_dim", "num_split") for k in call.keywords):
        return Bound((0, 12), f"tf.split(axis, number, value) on line {use.line}"), None
    if (len(args) == 3 and _is_number(args[2])) or any(k.arg == "num_or_size_splits" for k in call.keywords):
        return None, Bound((1, 0), f"tf.split(value, number, axis) on line {use.line}")
    return None, None


def _cross_entropy(use: Use, call: ast.Call) -> tuple[Bound | None, Bound | None]:
    if use.name.startswith("nn.") and len(call.args) >= 2:
        return Bound((0, 12), f"logits and labels without names on line {use.line}"), None
    return None, None


def _dropout(use: Use, call: ast.Call) -> tuple[Bound | None, Bound | None]:
    if use.name == "nn.dropout" and any(k.arg == "rate" for k in call.keywords):
        return None, Bound((1, 13), f"tf.nn.dropout(rate=) on line {use.line}")
    return None, None


_CALLS: dict[str, Callable[[Use, ast.Call], tuple[Bound | None, Bound | None]]] = {
    "concat": _concat,
    "split": _split,
    "softmax_cross_entropy_with_logits": _cross_entropy,
    "sparse_softmax_cross_entropy_with_logits": _cross_entropy,
    "sigmoid_cross_entropy_with_logits": _cross_entropy,
    "dropout": _dropout,
}
