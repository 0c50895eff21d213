"""Variable names against lists that TensorFlow 1.0, 1.1, 1.2, 1.4 and 1.15 wrote themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

import recurra as rc
from recurra.cells.names import bidirectional_variable_names, variable_names
from recurra.cells.nas import NASCell
from recurra.cells.phased import PhasedLSTMCell
from recurra.cells.ugrnn import UGRNNCell
from tests.goldens_io import ROOT

RELEASES = ("1.0.1", "1.1.0", "1.2.1", "1.4.0", "1.15.0")


def basic_lstm(input_size: int, hidden_size: int) -> rc.LSTMCell:
    cell = rc.LSTMCell(input_size, hidden_size)
    cell.tf_scope = "basic_lstm_cell"
    return cell


CASES: dict[str, Callable[[], Any]] = {
    "basic_rnn": lambda: rc.RNNCell(4, 5),
    "basic_lstm": lambda: basic_lstm(4, 5),
    "gru": lambda: rc.GRUCell(4, 5),
    "lstm_peep_proj": lambda: rc.LSTMCell(4, 5, peepholes=True, projection_size=3),
    "coupled": lambda: rc.CoupledInputForgetGateLSTMCell(4, 5, peepholes=True, projection_size=3),
    "layer_norm": lambda: rc.LayerNormBasicLSTMCell(4, 5),
    "embedding": lambda: rc.EmbeddingWrapper(rc.GRUCell(2, 3), 7),
    "in_out_proj": lambda: rc.OutputProjectionWrapper(rc.InputProjectionWrapper(rc.GRUCell(5, 3), 4), 2),
    "dropout_residual": lambda: rc.ResidualWrapper(rc.DropoutWrapper(rc.GRUCell(4, 4), input_keep_prob=0.5)),
    "nas": lambda: NASCell(4, 5, projection_size=3, use_bias=True),
    "phased": lambda: PhasedLSTMCell(4, 5),
    "ugrnn": lambda: UGRNNCell(4, 5),
}


def released(release: str) -> dict[str, Any]:
    return json.loads((ROOT / "checkpoints" / "names_by_release" / f"{release}.json").read_text())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("case", CASES)
def test_names_are_tensorflows(case: str, release: str) -> None:
    theirs = released(release)[case]
    if isinstance(theirs, str):
        pytest.skip(f"TensorFlow {release} could not build it: {theirs}")
    cell = CASES[case]()
    ours = variable_names(cell, era=release)
    assert set(ours.values()) == {name for name, _ in theirs}
    assert set(ours) == {name for name, _ in cell.named_parameters()}


@pytest.mark.parametrize("release", RELEASES)
def test_stacks_and_directions(release: str) -> None:
    theirs = released(release)
    cells: list[rc.BaseCell] = [basic_lstm(4, 5), rc.GRUCell(5, 3)]
    stack = variable_names(rc.StackedCells(cells), era=release)
    named = {name for name, _ in theirs["multi"]}
    assert set(stack.values()) == named, set(stack.values()) ^ named
    if not isinstance(theirs["bidir"], str):
        fw, bw = bidirectional_variable_names(basic_lstm(4, 5), basic_lstm(4, 5), era=release)
        assert {*fw.values(), *bw.values()} == {name for name, _ in theirs["bidir"]}


@pytest.mark.parametrize(
    ("era", "expected"),
    [("0.8", "BiRNN_FW/MultiRNNCell/Cell0/GRUCell/Gates/Linear/Matrix"),
     ("0.12", "BiRNN/FW/MultiRNNCell/Cell0/GRUCell/Gates/Linear/Matrix")],
)  # fmt: skip
def test_before_1(era: str, expected: str) -> None:
    stack = rc.StackedCells([rc.GRUCell(2, 3)])
    assert bidirectional_variable_names(stack, stack, era=era)[0]["cells.0.gates.kernel"] == expected
    assert variable_names(rc.LSTMCell(2, 3), era=era)["kernel"] == "RNN/LSTMCell/W_0"
    wrapped = rc.OutputProjectionWrapper(rc.RNNCell(2, 3), 4)
    assert variable_names(wrapped, era=era) == {
        "kernel": "RNN/OutputProjectionWrapper/Linear/Matrix",
        "bias": "RNN/OutputProjectionWrapper/Linear/Bias",
        "cell.kernel": "RNN/BasicRNNCell/Linear/Matrix",
        "cell.bias": "RNN/BasicRNNCell/Linear/Bias",
    }


def test_shared_cell_has_the_names_of_its_first_place() -> None:
    cell = rc.LSTMCell(4, 4)
    assert set(variable_names(rc.StackedCells([cell, cell])).values()) == {
        "rnn/multi_rnn_cell/cell_0/lstm_cell/kernel",
        "rnn/multi_rnn_cell/cell_0/lstm_cell/bias",
    }


def test_bad_input() -> None:
    with pytest.raises(ValueError, match=r"`era` must be a TensorFlow release from 0.6 to 1.15, got '2.3'"):
        variable_names(rc.GRUCell(2, 3), era="2.3")
    with pytest.raises(ValueError, match=r"TensorFlow 0.12 had no cell of the scope 'ugrnn_cell'"):
        variable_names(UGRNNCell(2, 3), era="0.12")
    with pytest.raises(TypeError, match="`module` must be a recurra cell, got Linear"):
        variable_names(torch.nn.Linear(2, 3))
