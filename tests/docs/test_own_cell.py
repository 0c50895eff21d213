"""The code on docs/own-cell.md runs as written, and its cells keep the laws."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import recurra as rc
from recurra.kernels import step_program

PAGE = Path(__file__).parents[2] / "docs" / "own-cell.md"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The names that the page's code defines, after all of it ran."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    names: dict[str, Any] = {"__name__": "own_cell"}
    with pytest.MonkeyPatch.context() as patch:  # compiling C++ takes its time, and has tests of its own
        patch.setattr(step_program.shutil, "which", lambda name: None)
        exec(compile("\n".join(blocks), str(PAGE), "exec"), names)
    return names


@pytest.mark.parametrize("name", ["StarCell", "FastStarCell", "AveragingStarCell"])
def test_own_cells_keep_the_laws(page: dict[str, Any], name: str) -> None:
    cell = page[name](4, 5).double().eval()
    inputs, lengths = torch.randn(3, 6, 4, dtype=torch.float64), torch.tensor([6, 2, 0])
    spoiled = inputs.clone()
    spoiled[1, 2:] = spoiled[2] = torch.nan
    outputs, _ = rc.unroll(cell, spoiled, lengths=lengths)
    for row, end in enumerate(lengths.tolist()):
        alone, _ = rc.unroll(cell, inputs[row : row + 1, :end])
        torch.testing.assert_close(outputs[row : row + 1, :end], alone)
        assert not outputs[row, end:].any()
    outputs.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in cell.parameters())
    parameters = tuple(cell.parameters())

    def run(*values: torch.Tensor) -> torch.Tensor:
        named = dict(zip((name for name, _ in cell.named_parameters()), values, strict=True))
        x, state = inputs[:2, 0], cell.initial_state(2)
        for _ in range(2):
            output, state = torch.func.functional_call(cell, named, (x, state))
        return output

    assert torch.autograd.gradcheck(run, parameters, fast_mode=True)
