"""Named views of fused kernels: they write through, and cover every weight once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import recurra as rc
from recurra.cells.views import kernel_views

CELLS: dict[str, Any] = {
    "rnn": rc.RNNCell(4, 5),
    "lstm": rc.LSTMCell(4, 5, projection_size=3),
    "gru": rc.GRUCell(4, 5),
    "gru_after": rc.GRUCell(4, 5, reset="after"),
    "coupled": rc.CoupledInputForgetGateLSTMCell(4, 5),
    "layer_norm": rc.LayerNormBasicLSTMCell(4, 5),
}


@pytest.mark.parametrize("name", CELLS)
def test_views_cover_the_kernels_once(name: str) -> None:
    cell = CELLS[name]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
    for (rows, _), view in kernel_views(cell).items():
        assert view.shape[0] == (4 if rows == "input" else cell.output_size) and view.shape[1] == 5
        view.add_(1)
    kernels = [parameter for name, parameter in cell.named_parameters() if name.endswith("kernel")]
    for kernel in kernels[: len(cell.kernel_gates)]:
        assert torch.equal(kernel, torch.ones_like(kernel))


def test_the_forget_gate_is_the_third_block() -> None:
    cell = rc.LSTMCell(4, 5)
    with torch.no_grad():
        kernel_views(cell)["hidden", "f"].fill_(7)
        assert torch.equal(cell.kernel[4:, 10:15], torch.full((5, 5), 7.0))
        assert not (cell.kernel[:4] == 7).any()


def test_bad_input() -> None:
    with pytest.raises(TypeError, match="`cell` must have fused kernels with named gates, got StackedCells"):
        kernel_views(rc.StackedCells([rc.GRUCell(2, 3)]))
