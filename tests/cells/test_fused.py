"""Fused adaptor and time reversal against TensorFlow 1.15."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from recurra.cells.gru import GRUCell
from recurra.cells.lstm import LSTMCell
from recurra.loops.fused import FusedRNNCellAdaptor, TimeReversedFusedRNN, reverse_rows
from tests.cells.family_goldens import Golden, load, names_of


def _run(golden: Golden, fused: nn.Module, cell: Any, scope: str) -> None:
    names = names_of(cell, scope)
    load(cell, golden, names)
    inputs = golden["inputs"].requires_grad_()
    outputs, state = fused(inputs, golden.nest("init_state", cell.state_size), golden["seq_len"])
    golden.check("outputs", outputs)
    leaves = state if isinstance(state, tuple) else (state,)
    keys = ["final_state"] if len(leaves) == 1 else [f"final_state/{index}" for index in range(len(leaves))]
    weights = [golden["loss_w/" + key.removeprefix("final_")] for key in keys]
    for key, leaf in zip(keys, leaves, strict=True):
        golden.check(key, leaf)
    loss = (outputs * golden["loss_w/outputs"]).sum()
    (loss + sum((leaf * weight).sum() for leaf, weight in zip(leaves, weights, strict=True))).backward()
    golden.check("grad/inputs", inputs.grad)
    for name, parameter in cell.named_parameters():
        golden.check(f"grad/var/{names[name]}", parameter.grad)


def test_adaptor() -> None:
    gru = GRUCell(4, 5)
    _run(Golden("fused_adaptor_dynamic"), FusedRNNCellAdaptor(gru), gru, "rnn/gru_cell")
    lstm = LSTMCell(4, 5)
    _run(Golden("fused_adaptor_static"), FusedRNNCellAdaptor(lstm), lstm, "rnn/basic_lstm_cell")


@pytest.mark.parametrize(("name", "scope"), [("adaptor", "rnn/gru_cell"), ("block", "lstm_fused_cell")])
def test_time_reversed(name: str, scope: str) -> None:
    cell = GRUCell(4, 5) if name == "adaptor" else LSTMCell(4, 5)
    fused = TimeReversedFusedRNN(FusedRNNCellAdaptor(cell))
    _run(Golden(f"fused_time_reversed_{name}"), fused, cell, scope)


def test_reversal_is_its_own_inverse() -> None:
    values, lengths = torch.arange(24).reshape(6, 4), torch.tensor([6, 3, 1, 0])
    flipped = reverse_rows(values, lengths)
    assert flipped[:, 1].tolist() == [9, 5, 1, 13, 17, 21]
    assert torch.equal(reverse_rows(flipped, lengths), values)
    assert torch.equal(reverse_rows(values), values.flip(0))
