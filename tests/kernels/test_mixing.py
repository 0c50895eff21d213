"""Zoneout and state dropout inside the kernels, in any order, against the plain loop."""

import pytest
import torch

import recurra as rc
from recurra import explain
from recurra.kernels.native import library
from tests.kernels.cases import FEW, assert_kernel_equals_plain, drop_candidates, give_states, make, restart, wrap

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
@pytest.mark.parametrize("name", [*FEW, "lstm_projection_all", "layer_norm_all"])
def test_kernel_equals_plain_loop(isa, name, kinds):
    for ragged, reverse, H in ((None, False, 5), (torch.tensor([3, 0, 6, 1, 6]), True, 20)):
        case = wrap(make(name, 6, 5, 4, H, lengths=ragged, reverse=reverse), kinds)
        assert_kernel_equals_plain(case)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("B", "H"), [(1, 150), (5, 20)])
def test_rows_that_start_anew_and_all_states(isa, monkeypatch, name, threads, B, H):
    monkeypatch.setattr(library, "threads", lambda: threads)
    for lengths, reverse in (
        (None, False),
        (torch.tensor([3, 0, 6, 1, 5])[:B], False),
        (torch.tensor([4, 6, 0, 1, 5])[:B], True),
    ):
        case = make(name, 6, B, 4, H, lengths=lengths, reverse=reverse)
        with torch.no_grad():
            for parameter in case.cell.parameters():
                parameter.mul_(2 / H**0.5)
        for changed in (
            restart(case),
            give_states(case),
            wrap(give_states(restart(case)), ["zoneout step row silent"]),
        ):
            assert_kernel_equals_plain(changed)


@pytest.mark.parametrize("kind", ["step row", "row", ""])
def test_recurrent_dropout(isa, kind):
    for ragged, reverse, H in ((None, False, 5), (torch.tensor([3, 0, 6, 1, 6]), True, 20)):
        case = drop_candidates(make("layer_norm_basic", 6, 5, 4, H, lengths=ragged, reverse=reverse), kind)
        assert_kernel_equals_plain(case)


def test_states_of_no_steps_are_the_initial_ones():
    case = give_states(make("lstm", 4, 3, 2, 5, lengths=torch.tensor([0, 0, 0])))
    assert_kernel_equals_plain(case)
    assert_kernel_equals_plain(case._replace(inputs=case.inputs[:0]))


def test_wrapped_cells_take_the_kernel():
    zoned = rc.ZoneoutWrapper(rc.LSTMCell(4, 5, peepholes=True, cell_clip=3.0), 0.1)
    dropped = rc.DropoutWrapper(rc.GRUCell(4, 5), state_keep_prob=0.5)
    normed = rc.LayerNormBasicLSTMCell(4, 5, recurrent_keep_prob=0.9)
    coupled = rc.ZoneoutWrapper(rc.CoupledInputForgetGateLSTMCell(4, 5, projection_size=3), 0.1)
    for cell in (zoned, dropped, normed, coupled, zoned.eval()):
        assert [line.road for line in explain(cell, torch.randn(2, 3, 4)).decisions] == ["kernel"]
