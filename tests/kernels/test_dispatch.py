"""Which road a call takes, that it is said, and that wrong sizes never reach the kernels."""

import logging
import os
import subprocess
import sys

import pytest
import torch

import recurra as rc
from recurra import explain
from recurra.errors import InputError
from recurra.kernels import Zoneout, decisions, dispatch, native, plain
from recurra.kernels.native import library
from tests.kernels.cases import make


def reason(cell, inputs=None, state=None, **call):
    inputs = torch.zeros(3, 2, 4) if inputs is None else inputs
    state = cell.initial_state(2) if state is None else state
    return dispatch.refusal(cell.recurrence, cell.params(), inputs, state, options=cell.options, **call)


@pytest.mark.parametrize(
    "cell", [rc.RNNCell(4, 5), rc.LSTMCell(4, 5), rc.GRUCell(4, 5), rc.GRUCell(4, 5, reset="after")]
)
def test_plain_calls_take_the_kernel(cell):
    assert reason(cell) is None
    assert str(explain(cell, torch.zeros(2, 3, 4))).startswith(f"{cell.recurrence.family}: kernel ({library.isa()})")


@pytest.mark.parametrize(
    ("cell", "call", "expected"),
    [
        (rc.LSTMCell(4, 5, activation="gelu"), {}, "activation 'gelu'"),
        (rc.GRUCell(4, 5, activation=torch.sin), {}, "activation"),
        (rc.LSTMCell(4, 5).double(), {}, "tensors of torch.float64; the kernels are for torch.float32"),
        (rc.RNNCell(4, 5), {"inputs": torch.zeros(3, 2, 4, device="meta")}, "tensors on meta"),
        (rc.GRUCell(4, 5), {"after": (Zoneout(torch.ones(2, 1, 5)),)}, "masks of shape"),
        (rc.GRUCell(4, 5), {"masks": torch.ones(1, 2, 5)}, "random masks"),
    ],
)
def test_other_calls_say_why_not(cell, call, expected):
    assert expected in reason(cell, **call)


def test_explain_has_a_line_for_each_recurrence_inside():
    class Own(rc.BaseCell):
        state_size = output_size = 4

        def forward(self, x, state):
            return x, state

    stack = rc.StackedCells([rc.LSTMCell(4, 4), rc.GRUCell(4, 4, activation="swish"), Own()])
    found = explain(stack, torch.zeros(2, 3, 4)).decisions
    assert [(line.family, line.road) for line in found] == [
        ("lstm", "kernel"),
        ("gru", "plain loop"),
        ("Own", "plain loop"),
    ]


def test_a_fallback_is_logged_once(caplog, monkeypatch):
    monkeypatch.setattr(decisions, "_logged", set())
    cell = rc.LSTMCell(4, 5, activation="gelu")
    with caplog.at_level(logging.INFO, logger="recurra.kernels"):
        for _ in range(3):
            cell.unroll(torch.zeros(3, 2, 4), cell.initial_state(2))
    assert [record.message for record in caplog.records] == ["lstm: plain loop (no kernel with the activation 'gelu')"]


def test_plain_forces_the_loop_and_ends():
    case = make("lstm", 3, 2, 4, 5)
    with plain():
        assert "plain()" in reason(case.cell)
    assert reason(case.cell) is None


def test_functorch_and_forward_mode_take_the_loop():
    cell = rc.RNNCell(3, 4)
    state = cell.initial_state(2)

    def total(inputs):
        return cell.unroll(inputs, state)[0].sum()

    inputs = torch.randn(5, 2, 3)
    reverse = torch.func.grad(total)(inputs)
    _, forward = torch.func.jvp(total, (inputs,), (torch.ones_like(inputs),))
    torch.testing.assert_close(reverse.sum(), forward)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (lambda p: p._replace(kernel=torch.zeros(8, 20)), r"`kernel` has shape \[8, 20\], expected \[9, 20\]"),
        (lambda p: p._replace(bias=torch.zeros(19)), r"`bias` has shape \[19\], expected \[20\]"),
    ],
)
def test_wrong_parameter_shapes_are_refused_by_name(params, expected):
    cell = rc.LSTMCell(4, 5)
    call = (torch.zeros(3, 2, 4), cell.initial_state(2))
    with pytest.raises(InputError, match=expected):
        dispatch.run_kernel(cell.recurrence, params(cell.params()), *call, options=cell.options)


@pytest.mark.parametrize("lengths", [[4, 1], [-1, 2]])
def test_lengths_outside_the_sequence_are_refused(lengths):
    cell = rc.LSTMCell(4, 5)
    call = (torch.zeros(3, 2, 4), cell.initial_state(2), torch.tensor(lengths))
    with pytest.raises(InputError, match=r"`lengths`"):
        dispatch.run_kernel(cell.recurrence, cell.params(), *call, options=cell.options)


@pytest.mark.parametrize(
    ("state", "lengths", "expected"),
    [
        (rc.LSTMState(torch.zeros(3, 5), torch.zeros(2, 5)), None, "state"),
        (rc.LSTMState(torch.zeros(2, 5), torch.zeros(3, 5)), None, "state"),
        (None, torch.tensor([1]), "lengths"),
    ],
)
def test_wrong_batch_sizes_are_refused(state, lengths, expected):
    cell = rc.LSTMCell(4, 5)
    state = state or cell.initial_state(2)
    with pytest.raises(InputError, match=expected):
        dispatch.run_kernel(cell.recurrence, cell.params(), torch.zeros(3, 2, 4), state, lengths, options=cell.options)


@pytest.mark.parametrize(("variable", "value"), [("RECURRA_KERNELS", "off"), ("RECURRA_CORE", "/nowhere/core.so")])
def test_without_the_library_everything_runs_and_says_so(variable, value):
    program = (
        "import torch, recurra as rc; cell = rc.LSTMCell(2, 3); o, s = rc.unroll(cell, torch.ones(1, 2, 2));"
        "print(o.shape); gru = rc.GRUCell(2, 3); gru(torch.ones(1, 2), gru.initial_state(1));"
        "rc.unroll(rc.MinGRUCell(2, 3), torch.ones(1, 2, 2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "torch.Size([1, 2, 3])" in done.stdout
    for family in ("lstm", "gru", "linear scan"):
        assert f"{family}: plain loop" in done.stderr


def test_a_library_of_another_version_is_refused_aloud(monkeypatch, caplog):
    monkeypatch.setattr(native, "ABI", -1)
    refused = native.Library()
    assert refused.core is None and "another version" in refused.missing
    assert "another version" in caplog.text


@pytest.mark.parametrize("isa", ["portable", "avx2"])
def test_the_environment_chooses_the_instruction_set(isa):
    program = "from recurra.kernels.native import library; print(library.isa())"
    environment = {**os.environ, "RECURRA_ISA": isa}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    supported = library.use_isa(isa)
    library.use_isa("avx512") or library.use_isa("avx2")
    assert (done.stdout.strip() == isa) == supported
