"""Cells of any equation through a compiled step: the plain loop's numbers and gradients; and when the loop runs.

Most tests leave the last stage of the compiler out (a compiler of C++ takes its time): the programs are then run as
they were traced.
"""

import copy
import pickle

import pytest
import torch
from functorch.compile import make_boxed_func
from torch import nn
from torch._inductor import compile_fx

import recurra as rc
from recurra.kernels import plain, step_program, stepwise
from recurra.kernels.decisions import COMPILED, PLAIN
from recurra.kernels.native import library


class PeepholeLSTM(rc.BaseCell):
    """As a user writes it; state (c, h)."""

    def __init__(self, I, H):
        super().__init__()
        self.input_size, self.output_size, self.state_size = I, H, (H, H)
        self.x, self.h = nn.Linear(I, 4 * H), nn.Linear(H, 4 * H, bias=False)
        self.to_i, self.to_f, self.to_o = (nn.Parameter(torch.randn(H) * 0.3) for _ in range(3))

    def project(self, inputs):
        return self.x(inputs)

    def recur(self, projected, state, masks=None):
        c, h = state
        i, j, f, o = (projected + self.h(h)).chunk(4, -1)
        i, f = torch.sigmoid(i + self.to_i * c), torch.sigmoid(f + 1 + self.to_f * c)
        c = f * c + i * torch.tanh(j)
        h = torch.sigmoid(o + self.to_o * c) * torch.tanh(c)
        return h, (c, h)


class Counting(rc.BaseCell):
    """No function of its arguments."""

    input_size = state_size = output_size = 3
    calls = 0

    def forward(self, x, state):
        self.calls += 1
        return x + state, self.calls * x


class Turned(rc.BaseCell):
    """Its new state lies transposed in memory."""

    def __init__(self, I, H):
        super().__init__()
        self.input_size, self.output_size, self.state_size = I, H, H
        self.w = nn.Parameter(torch.randn(H, H) / H)

    def recur(self, x, state, masks=None):
        state = (self.w @ (state + x[:, :1]).t()).t()
        return 2 * state, state


class Delay(rc.BaseCell):
    """Hands its state on, part by part; gives out the oldest input, a weighted mean, and what it was given."""

    def __init__(self, I, H):
        super().__init__()
        self.input_size, self.output_size, self.state_size = I, (I, I), (I, I, I)
        self.w = nn.Parameter(torch.randn(3))

    def recur(self, x, state, masks=None):
        first, second, third = state
        mean = (self.w[0] * first + self.w[1] * second + self.w[2] * third).relu_()
        return (third, mean), (x, first, second)


class Widening(rc.BaseCell):
    """Its state is of another dtype after the first step."""

    input_size = state_size = output_size = 3

    def forward(self, x, state):
        return x, state.double() + x


@pytest.fixture
def traced(monkeypatch):
    monkeypatch.setattr(compile_fx, "compile_fx_inner", lambda graph, examples: make_boxed_func(graph.forward))


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setattr(step_program.shutil, "which", lambda name: None)


def results(cell, inputs, state, lengths, reverse):
    inputs = inputs.clone().requires_grad_()
    state = tuple(leaf.clone().requires_grad_() for leaf in state)
    outputs, final = rc.unroll(cell, inputs, state, lengths=lengths, reverse=reverse)
    loss = sum((value * torch.linspace(-1, 1, value.numel()).view_as(value)).sum() for value in (outputs, *final))
    return outputs, *final, *torch.autograd.grad(loss, (inputs, *state, *cell.parameters()))


def test_numbers_gradients_and_second_gradients_are_the_loops(traced):
    """One compilation serves all of it: sequences of any length share a program."""
    torch.manual_seed(0)
    cell = rc.compile_cell(PeepholeLSTM(3, 5))
    state = (torch.randn(4, 5), torch.randn(4, 5))
    for T, lengths, reverse in [(6, [6, 0, 3, 1], False), (9, [2, 9, 0, 4], True)]:
        inputs, lengths = torch.randn(4, T, 3), torch.tensor(lengths)
        for row, length in enumerate(lengths.tolist()):
            inputs[row, length:] = torch.nan
        found = results(cell, inputs, state, lengths, reverse)
        with plain():
            expected = results(cell, inputs, state, lengths, reverse)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert len(cell.__dict__["_compiled"].steps) == 1

    inputs, lengths = torch.randn(4, 3, 3, requires_grad=True), torch.tensor([3, 1, 2, 3])
    start = tuple(leaf.clone().requires_grad_() for leaf in state)

    def curvature():
        total = rc.unroll(cell, inputs, start, lengths=lengths)[0].square().sum()
        (grad,) = torch.autograd.grad(total, inputs, create_graph=True)
        return torch.autograd.grad(grad.square().sum(), inputs)[0]

    found = curvature()
    with plain():
        torch.testing.assert_close(found, curvature(), rtol=1e-4, atol=1e-5)


def test_without_gradients_and_with_an_untouched_state(traced):
    cell, inputs = rc.compile_cell(PeepholeLSTM(3, 5)), torch.randn(2, 4, 3)
    assert rc.explain(cell, inputs).decisions[0].road == COMPILED
    outputs, _ = rc.unroll(cell, inputs)
    outputs.sum().backward()
    found = [parameter.grad.clone() for parameter in cell.parameters()]
    cell.zero_grad()
    with plain():
        rc.unroll(cell, inputs)[0].sum().backward()
    for grad, parameter in zip(found, cell.parameters(), strict=True):
        torch.testing.assert_close(grad, parameter.grad, rtol=1e-5, atol=1e-5)


CELLS = {
    "peepholes": PeepholeLSTM,
    "nas": rc.NASCell,
    "indy_lstm": rc.IndyLSTMCell,
    "ugrnn": rc.UGRNNCell,
    "turned": Turned,
}


@pytest.mark.parametrize("name", CELLS)
def test_cells_that_no_kernel_knows(name, traced):
    check(CELLS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_cells_that_no_kernel_knows_compiled_to_the_end(name):
    check(CELLS[name])


@pytest.mark.parametrize("lengths", [None, [4, 2, 0]])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_state_that_is_only_handed_on(traced, lengths, reverse):
    cell, inputs = rc.compile_cell(Delay(3, 3)), torch.randn(3, 6, 3, requires_grad=True)
    lengths = None if lengths is None else torch.tensor(lengths)

    def run():
        start = tuple(torch.full((3, 3), float(n), requires_grad=True) for n in range(3))
        (oldest, mean), final = rc.unroll(cell, inputs, start, lengths=lengths, reverse=reverse)
        results = [oldest, mean, *final]
        loss = sum((result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum() for result in results)
        return [*results, *torch.autograd.grad(loss, [inputs, *start, cell.w])]

    found = run()
    with plain():
        expected = run()
    assert rc.explain(cell, inputs).decisions[0].road == COMPILED
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_outputs_may_be_written_to_before_backward(traced):
    """What backward reads is not what is given out."""
    cell, inputs = rc.compile_cell(PeepholeLSTM(3, 5)), torch.randn(2, 4, 3)
    rc.unroll(cell, inputs)[0].mul_(2).sum().backward()
    found = cell.h.weight.grad.clone()
    cell.zero_grad()
    with plain():
        rc.unroll(cell, inputs)[0].mul_(2).sum().backward()
    torch.testing.assert_close(found, cell.h.weight.grad)


def check(make):
    cell, inputs = rc.compile_cell(make(3, 4)), torch.randn(2, 5, 3)
    outputs, _ = rc.unroll(cell, inputs)
    outputs.square().sum().backward()
    found = [parameter.grad.clone() for parameter in cell.parameters()]
    assert rc.explain(cell, inputs).decisions[0].road == COMPILED
    cell.zero_grad()
    with plain():
        expected, _ = rc.unroll(cell, inputs)
        expected.square().sum().backward()
    torch.testing.assert_close(outputs, expected, rtol=1e-5, atol=1e-5)
    for grad, parameter in zip(found, cell.parameters(), strict=True):
        torch.testing.assert_close(grad, parameter.grad, rtol=1e-5, atol=1e-5)


def test_without_a_compiler_the_loop_runs_and_says_so(no_compiler):
    cell = rc.compile_cell(PeepholeLSTM(3, 5))
    assert str(rc.explain(cell, torch.randn(2, 4, 3))).startswith(
        "PeepholeLSTM: plain loop (no C++ compiler was found)"
    )


def test_a_step_that_is_no_function_of_its_arguments_is_refused(traced):
    decision = rc.explain(rc.compile_cell(Counting()), torch.randn(2, 4, 3)).decisions[0]
    assert decision.road == PLAIN and "other numbers" in decision.reason


def test_a_step_that_changes_its_states_form_is_refused(traced):
    decision = rc.explain(rc.compile_cell(Widening()), torch.randn(2, 4, 3)).decisions[0]
    assert decision.road == PLAIN and "torch.float64 from one [2, 3] of torch.float32" in decision.reason


def test_what_torchs_compiler_refuses_runs_in_the_loop(monkeypatch):
    def refuse(*_):
        raise NotImplementedError("an operator\nof nowhere")

    monkeypatch.setattr(step_program, "_compile", refuse)
    decision = rc.explain(rc.compile_cell(PeepholeLSTM(3, 5)), torch.randn(2, 4, 3)).decisions[0]
    assert decision.reason == "torch's compiler refused it: NotImplementedError: an operator"


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"return_states": True}, "no states of all steps"),
        ({"resets": torch.zeros(2, 4, dtype=torch.bool)}, "no resets"),
        ({"lengths": torch.tensor([0, 0])}, "no step to run"),
    ],
)
def test_calls_that_a_compiled_step_does_not_know(caplog, call, reason):
    cell, inputs = rc.compile_cell(PeepholeLSTM(3, 5)), torch.randn(2, 4, 3)
    with caplog.at_level("INFO", logger="recurra.kernels"):
        found = rc.unroll(cell, inputs, **call)
    with plain():
        assert torch.equal(found[0], rc.unroll(cell, inputs, **call)[0])
    assert cell.__dict__["_compiled"].steps == {}


def test_what_runs_under_autocast_is_torchs_and_compiled_only_elsewhere(traced):
    cell, inputs = rc.compile_cell(PeepholeLSTM(3, 5)), torch.randn(2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        found = rc.unroll(cell, inputs)[0]
        assert rc.explain(cell, inputs).decisions[0].reason == "under autocast"
        with plain():
            assert torch.equal(found, rc.unroll(cell, inputs)[0])
    outputs = rc.unroll(cell, inputs)[0]
    assert rc.explain(cell, inputs).decisions[0].road == COMPILED
    with plain():
        torch.testing.assert_close(outputs, rc.unroll(cell, inputs)[0])


def test_only_so_many_shapes_are_compiled(monkeypatch, no_compiler):
    monkeypatch.setattr(stepwise, "MOST_STEPS", 1)
    cell = rc.compile_cell(PeepholeLSTM(3, 5))
    rc.unroll(cell, torch.randn(2, 4, 3))
    assert "1 other shapes" in rc.explain(cell, torch.randn(3, 4, 3)).decisions[0].reason


def test_the_cell_stays_what_it_was(no_compiler):
    cell = PeepholeLSTM(3, 5)
    names = list(cell.state_dict())
    assert rc.compile_cell(cell) is cell and list(cell.state_dict()) == names
    rc.unroll(cell, torch.randn(2, 4, 3))
    assert copy.deepcopy(cell).__dict__["_compiled"].steps == {}
    assert pickle.loads(pickle.dumps(cell)).__dict__["_compiled"].steps == {}


def test_a_kernel_goes_before_a_compiled_step():
    cell = rc.compile_cell(rc.StackedCells([rc.LSTMCell(3, 4), rc.GRUCell(4, 4)]))
    lines = rc.explain(cell, torch.randn(2, 4, 3)).decisions
    assert [line.reason for line in lines] == [library.isa()] * 2


@pytest.mark.slow
def test_dropout_in_a_step_belongs_into_masks():
    class Dropped(PeepholeLSTM):
        def recur(self, projected, state, masks=None):
            return super().recur(torch.dropout(projected, 0.5, self.training), state)

    decision = rc.explain(rc.compile_cell(Dropped(3, 5)), torch.randn(2, 4, 3)).decisions[0]
    assert (decision.road, decision.reason) == (PLAIN, "the step draws random numbers, which belong into `draw_masks`")


def test_what_is_no_cell_is_refused():
    with pytest.raises(TypeError, match="`cell` must be a recurra"):
        rc.compile_cell(nn.Linear(2, 3))


class Dropping(rc.BaseCell):
    """Holds a module that acts in training alone."""

    def __init__(self):
        super().__init__()
        self.input_size = self.output_size = self.state_size = 3
        self.inner = nn.Sequential(nn.Identity())

    def forward(self, x, state):
        h = x + state * (2 if self.inner.training else 1)
        return h, h


def test_a_part_that_is_switched_to_evaluation_is_seen(traced):
    cell, inputs = rc.compile_cell(Dropping()), torch.randn(2, 4, 3)
    one = rc.unroll(cell, inputs)[0]
    cell.inner.eval()
    other = rc.unroll(cell, inputs)[0]
    assert not torch.allclose(one, other)
    torch.testing.assert_close(other, inputs.cumsum(1))


class Hoisted(rc.BaseCell):
    """One matrix for the input, hoisted, and for the state."""

    def __init__(self):
        super().__init__()
        self.input_size = self.output_size = self.state_size = 3
        self.layer = nn.Linear(3, 3)

    def project(self, inputs):
        return self.layer(inputs)

    def recur(self, projected, state, masks=None):
        h = torch.tanh(projected + state @ self.layer.weight)
        return h, h


def test_gradients_to_be_differentiated_count_what_is_hoisted_once(traced):
    cell, inputs = rc.compile_cell(Hoisted()), torch.randn(2, 4, 3)

    def gradients(**again):
        return torch.autograd.grad(rc.unroll(cell, inputs)[0].square().sum(), tuple(cell.parameters()), **again)

    torch.testing.assert_close(gradients(create_graph=True), gradients())
    assert rc.explain(cell, inputs).decisions[0].road == COMPILED
