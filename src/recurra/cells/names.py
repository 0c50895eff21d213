"""The names that TensorFlow gives a module's variables, in any of its releases.

release        0.6 – 0.12                            1.0 – 1.1                    1.2 – 1.15
stack          MultiRNNCell/Cell0                    multi_rnn_cell/cell_0        multi_rnn_cell/cell_0
cell           GRUCell/Gates/Linear/Matrix           gru_cell/gates/weights       gru_cell/gates/kernel
in a wrapper   beside the wrapper's own scope        beside it                    inside it
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from recurra.cells.base import BaseCell
from recurra.cells.gru import GRUCell
from recurra.cells.lstm import LSTMCell
from recurra.cells.projection import EmbeddingWrapper, InputProjectionWrapper, OutputProjectionWrapper
from recurra.cells.rnn import RNNCell
from recurra.cells.stack import StackedCells
from recurra.cells.wrapper import Wrapper
from recurra.errors import InputError, StructureError

Era = tuple[int, int]

_CORE_SCOPES: dict[type[nn.Module], str] = {
    RNNCell: "basic_rnn_cell",
    LSTMCell: "lstm_cell",
    InputProjectionWrapper: "input_projection_wrapper",
    OutputProjectionWrapper: "output_projection_wrapper",
    EmbeddingWrapper: "embedding_wrapper",
}
_LINEAR = re.compile(
    "basic_rnn_cell|gru_cell|basic_lstm_cell|lstm_cell|layer_norm_basic_lstm_cell|ugrnn_cell|intersection_rnn_cell|"
    "phased_lstm_cell|nas_cell|attention_cell_wrapper|input_projection_wrapper|output_projection_wrapper"
)
"""Scopes whose kernel and bias were called weights and biases before 1.2."""
_MATRICES = {"kernel": "weights", "bias": "biases", "recurrent_kernel": "recurrent_weights"}
_PLAIN_LSTM = {
    "kernel": "W_0",
    "bias": "B",
    "w_f_diag": "W_F_diag",
    "w_i_diag": "W_I_diag",
    "w_o_diag": "W_O_diag",
    "projection/kernel": "W_P_0",
}
_BEFORE_1: dict[str, tuple[str, dict[str, str]]] = {
    "basic_rnn_cell": ("BasicRNNCell", {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
    "basic_lstm_cell": ("BasicLSTMCell", {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
    "gru_cell": (
        "GRUCell",
        {
            f"{part.lower()}/{new}": f"{part}/Linear/{old}"
            for part in ("Gates", "Candidate")
            for new, old in (("kernel", "Matrix"), ("bias", "Bias"))
        },
    ),
    "lstm_cell": ("LSTMCell", _PLAIN_LSTM),
    "layer_norm_basic_lstm_cell": ("LayerNormBasicLSTMCell", {"kernel": "weights", "bias": "b"}),
    "coupled_input_forget_gate_lstm_cell": ("CoupledInputForgetGateLSTMCell", {}),
    "time_freq_lstm_cell": ("TimeFreqLSTMCell", {}),
    "grid_lstm_cell": ("GridLSTMCell", {}),
    "input_projection_wrapper": ("InputProjectionWrapper", {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
    "output_projection_wrapper": ("OutputProjectionWrapper", {"kernel": "Linear/Matrix", "bias": "Linear/Bias"}),
    "embedding_wrapper": ("EmbeddingWrapper", {}),
}
"""1.15's scope -> the scope and the variables before 1.0, where the cell existed."""


def variable_names(module: nn.Module, scope: str | None = None, era: str = "1.15") -> dict[str, str]:
    """TensorFlow's name of each parameter of a cell, a wrapper or a stack.

        variable_names(StackedCells([LSTMCell(4, 8)]))
        # {"cells.0.kernel": "rnn/multi_rnn_cell/cell_0/lstm_cell/kernel", "cells.0.bias": …}

    Args:
        module: a recurra cell. An attribute `tf_scope` on it replaces its part of the scope: `"basic_lstm_cell"`
            for an LSTMCell that was TensorFlow's BasicLSTMCell, or the `name=` that a program gave.
        scope: of the loop; default that of dynamic_rnn and static_rnn (`rnn`, before 1.0 `RNN`).
        era: a TensorFlow release, "0.6" to "1.15".

    Raises:
        StructureError: not a recurra cell. InputError: no such release, or it had no such cell.
    """
    release = _release(era)
    names: dict[str, str] = {}
    seen: set[int] = set()
    if not isinstance(module, BaseCell):
        raise StructureError(f"`module` must be a recurra cell, got {type(module).__name__}")
    if scope is None:
        scope = "rnn" if release >= (1, 0) else "RNN"
    for path, name, parameter in _walk(module, "", scope, release):
        if id(parameter) not in seen:  # a cell listed twice has the variables of its first place
            seen.add(id(parameter))
            names[path] = name
    return names


def bidirectional_variable_names(
    cell_fw: nn.Module, cell_bw: nn.Module, scope: str | None = None, era: str = "1.15"
) -> tuple[dict[str, str], dict[str, str]]:
    """The names under bidirectional_dynamic_rnn, of both cells; arguments as in `variable_names`.

    Layer k of a stack_bidirectional has the scope `stack_bidirectional_rnn/cell_k/bidirectional_rnn`.
    """
    release = _release(era)
    if release < (0, 11):
        scopes = [f"{scope or 'BiRNN'}_{turn}" for turn in ("FW", "BW")]
    elif release < (1, 0):
        scopes = [f"{scope or 'BiRNN'}/{turn}" for turn in ("FW", "BW")]
    else:
        scopes = [f"{scope or 'bidirectional_rnn'}/{turn}" for turn in ("fw", "bw")]
    return variable_names(cell_fw, scopes[0], era), variable_names(cell_bw, scopes[1], era)


def scope_of(module: nn.Module) -> str:
    """The scope that TensorFlow 1.15 gives a cell or wrapper; "" where it adds none."""
    own = getattr(module, "tf_scope", None)
    if own is not None:
        return str(own)
    if isinstance(module, GRUCell):
        return "gru_cell" if module.reset == "before" else "cudnn_compatible_gru_cell"
    for kind, scope in _CORE_SCOPES.items():
        if isinstance(module, kind):
            return scope
    if isinstance(module, Wrapper):
        return ""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(module).__name__).lower()


def _release(era: str) -> Era:
    match = re.fullmatch(r"(0|1)\.(\d+)(\.\d+)?", era)
    if match is None or not (0, 6) <= (release := (int(match[1]), int(match[2]))) <= (1, 15):
        raise InputError(f"`era` must be a TensorFlow release from 0.6 to 1.15, got {era!r}")
    return release


def _walk(module: nn.Module, path: str, scope: str, release: Era) -> Iterator[tuple[str, str, nn.Parameter]]:
    """(path of a parameter, its variable's name, itself)."""
    if isinstance(module, StackedCells):
        layer = "multi_rnn_cell/cell_{}" if release >= (1, 0) else "MultiRNNCell/Cell{}"
        for k, cell in enumerate(module.cells):
            yield from _walk(cell, f"{path}cells.{k}.", f"{scope}/{layer.format(k)}", release)
        return
    own = scope_of(module)
    names: dict[str, str] = getattr(module, "tf_names", {})
    wraps = isinstance(module, Wrapper)
    inside = scope
    for inner, parameter in module.named_parameters(recurse=not wraps, remove_duplicate=False):
        modern = names.get(inner, inner.replace(".", "/"))
        here, name = _renamed(own, modern, release)
        inside = f"{scope}/{here}".rstrip("/")
        yield f"{path}{inner}", f"{inside}/{name}", parameter
    if wraps:
        nested = release >= (1, 2) or own == "attention_cell_wrapper"
        yield from _walk(module.get_submodule("cell"), f"{path}cell.", inside if nested else scope, release)


def _renamed(scope: str, name: str, release: Era) -> tuple[str, str]:
    """A cell's scope and a variable's name below it, as a release had them."""
    if release >= (1, 2) or not scope:
        return scope, name
    if release >= (1, 0):
        if not _LINEAR.fullmatch(scope):
            return scope, name
        head, slash, leaf = name.rpartition("/")
        return scope.replace("nas_cell", "nas_rnn"), head + slash + _MATRICES.get(leaf, leaf)
    if scope not in _BEFORE_1:
        raise InputError(f"TensorFlow {release[0]}.{release[1]} had no cell of the scope {scope!r}")
    old, names = _BEFORE_1[scope]
    return old, names.get(name, name)
