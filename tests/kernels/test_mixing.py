"""Zoneout and state dropout inside the kernels, in any order, against the plain loop."""

import pytest
import torch

import recurra as rc
from recurra.kernels import explain
from tests.kernels.cases import CELLS, assert_same, kernel, make, plain, wrap

KINDS = [
    ["zoneout step row"],
    ["zoneout rate"],
    ["zoneout step row silent"],
    ["zoneout step only"],
    ["dropout row"],
    ["dropout step row only", "zoneout step row"],
    ["zoneout step", "dropout row"],
    ["zoneout step row", "dropout", "zoneout rate silent"],
]


@pytest.mark.parametrize("kinds", KINDS, ids=" + ".join)
@pytest.mark.parametrize("name", CELLS)
def test_kernel_equals_plain_loop(isa, name, kinds):
    for ragged, reverse, H in ((None, False, 5), (torch.tensor([3, 0, 6, 1, 6]), True, 20)):
        case = wrap(make(name, 6, 5, 4, H, lengths=ragged, reverse=reverse), kinds)
        assert_same(kernel(case), plain(case))


def test_wrapped_cells_take_the_kernel():
    zoned = rc.ZoneoutWrapper(rc.LSTMCell(4, 5, peepholes=True, cell_clip=3.0), 0.1)
    dropped = rc.DropoutWrapper(rc.GRUCell(4, 5), state_keep_prob=0.5)
    for cell in (zoned, dropped, zoned.eval()):
        assert [line.road for line in explain(cell, torch.randn(2, 3, 4)).decisions] == ["kernel"]
