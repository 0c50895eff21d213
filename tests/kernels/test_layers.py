"""Whole stacks in one compiled call: the bits of layer after layer, and every other call on its usual road."""

import copy

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import recurra as rc
from recurra import _nest
from recurra.errors import InputError
from recurra.kernels import layers
from tests.kernels.cases import make

CELLS = {
    "lstm": lambda inputs, hidden: rc.LSTMCell(inputs, hidden),
    "lstm_projection": lambda inputs, hidden: rc.LSTMCell(inputs, hidden + 3, projection_size=hidden),
    "peepholes": lambda inputs, hidden: rc.LSTMCell(inputs, hidden, peepholes=True),
    "gru": lambda inputs, hidden: rc.GRUCell(inputs, hidden),
    "gru_after": lambda inputs, hidden: rc.GRUCell(inputs, hidden, reset="after"),
    "rnn": lambda inputs, hidden: rc.RNNCell(inputs, hidden),
}


@pytest.fixture(params=["extension", "ctypes"])
def taken(request, monkeypatch):
    """How many compiled calls of layers there were; by the extension module (but the first), or all through ctypes."""
    calls = []
    run, compiled = layers.Layers.run, layers.compiled_layers
    monkeypatch.setattr(layers.Layers, "run", lambda self, *call: calls.append(len(self.calls)) or run(self, *call))

    def count(cells, *call):
        done = compiled(cells, *call)
        if done is not None:
            calls.append(len(cells))
        return done

    if request.param == "extension" and compiled is None:
        pytest.skip("this installation has no compiled calls")
    monkeypatch.setattr(layers, "compiled_layers", count if request.param == "extension" else None)
    return calls


def assert_same(found, expected):
    for one, other in zip(_nest.flatten(found), _nest.flatten(expected), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("B", [1, 3, 19, 40])
@pytest.mark.parametrize("name", CELLS)
def test_a_stack_has_the_bits_of_its_layers(isa, taken, name, B):
    stack = rc.StackedCells([CELLS[name](7, 17), CELLS[name](17, 5), CELLS[name](5, 32)])
    inputs = torch.randn(6, B, 7)
    for reverse in (False, True):
        with torch.no_grad():
            found = rc.unroll(stack, inputs, time_major=True, reverse=reverse)
            zeros = stack.initial_state(B)
            expected = rc.unroll(stack, inputs, zeros, time_major=True, reverse=reverse)
        assert_same(found, expected)
        assert [type(state) for state in found[1]] == [type(state) for state in zeros]
    assert taken == [3, 3]


def test_either_layout_any_length_and_frozen(taken):
    stack = rc.StackedCells([rc.LSTMCell(4, 6), rc.GRUCell(6, 6)])
    inputs = torch.randn(3, 5, 4)  # batch-major
    with torch.inference_mode():
        for rows in (inputs, inputs[:, :2], inputs.transpose(0, 1).contiguous().transpose(0, 1), inputs[:2]):
            found = rc.unroll(stack, rows)
            assert_same(found, rc.unroll(stack, rows, stack.initial_state(len(rows))))
            assert found[0].shape == (*rows.shape[:2], 6)
        before = rc.unroll(stack, inputs)
        assert_same(rc.unroll(stack.freeze(), inputs), before)
        for parameter in stack.parameters():
            parameter.mul_(2)
        assert not torch.equal(rc.unroll(stack, inputs)[0], before[0])
    assert taken == [2] * 7


@pytest.mark.parametrize("fresh", [False, True], ids=["prepared before", "prepared there"])
def test_the_results_are_float32_whatever_torchs_default_is(taken, fresh):
    cell, inputs = rc.GRUCell(3, 4), torch.randn(2, 2, 3)
    with torch.no_grad():
        expected = rc.unroll(cell, inputs)
        cell = copy.deepcopy(cell) if fresh else cell
        torch.set_default_dtype(torch.float64)
        try:
            found = rc.unroll(cell, inputs)
        finally:
            torch.set_default_dtype(torch.float32)
    assert_same(found, expected)
    assert found[0].dtype is found[1].dtype is torch.float32
    assert taken == [1, 1]


def test_results_are_on_the_cpu_whatever_torchs_default_is(taken):
    cell, inputs = rc.LSTMCell(3, 4), torch.randn(2, 2, 3)
    expected = rc.unroll(cell, inputs)
    with torch.device("meta"):
        trained = rc.unroll(cell, inputs)
        trained[0].sum().backward()
        with torch.no_grad():
            assert_same(rc.unroll(cell, inputs), expected)
    assert_same(trained, expected)
    assert taken == [1]


class Louder(rc.LSTMCell):
    def unroll(self, *sequence, **call):
        outputs, state = super().unroll(*sequence, **call)
        return 2 * outputs, state


class Warm(rc.LSTMCell):
    """Starts from ones."""

    def initial_state(self, batch_size, **factory):
        return _nest.map_leaves(torch.ones_like, super().initial_state(batch_size, **factory))


class WarmStack(rc.StackedCells):
    def initial_state(self, batch_size, **factory):
        return _nest.map_leaves(torch.ones_like, super().initial_state(batch_size, **factory))


def test_an_initial_state_of_ones_own_is_started_from(taken):
    inputs = torch.randn(2, 3, 4)
    patched = rc.LSTMCell(4, 5)
    patched.initial_state = Warm(4, 5).initial_state
    cells = [Warm(4, 5), patched, rc.StackedCells([rc.LSTMCell(4, 4), Warm(4, 5)]), WarmStack([rc.LSTMCell(4, 5)])]
    for cell in cells:
        expected = rc.unroll(cell, inputs)
        with torch.no_grad():
            assert_same(rc.unroll(cell, inputs), expected)
    assert not taken


def test_what_records_operators_sees_torchs(taken):
    cell, inputs, others = rc.LSTMCell(4, 5).requires_grad_(False), torch.randn(2, 3, 4), torch.randn(2, 3, 4)

    def outputs(inputs):
        return rc.unroll(cell, inputs)[0]

    with torch.no_grad():
        expected = outputs(others)
        traced, made = torch.jit.trace(outputs, (inputs,), check_trace=False), make_fx(outputs)(inputs)
        torch.testing.assert_close(traced(others), expected)
        torch.testing.assert_close(made(others), expected)
    assert taken == [1]


class Leaky(rc.LSTMCell):
    """Forgets half of its memory, whatever its gates say."""

    def recur(self, projected, state, masks=None):
        output, state = super().recur(projected, state, masks)
        return output, state._replace(c=0.5 * state.c)


def test_an_equation_of_ones_own_is_computed(taken):
    cell, inputs = Leaky(4, 5), torch.randn(3, 1, 4)
    state, outputs = cell.initial_state(1), []
    for x in inputs:
        output, state = cell.recur(cell.project(x), state)
        outputs.append(output)
    expected = torch.stack(outputs), state
    for training in (True, False):
        with torch.set_grad_enabled(training):
            assert_same(rc.unroll(cell, inputs, time_major=True), expected)
            assert_same(rc.unroll(rc.StackedCells([cell]), inputs, time_major=True), expected)
            stepper, state = cell.stepper(1), cell.initial_state(1)
            for x, output in zip(inputs, outputs, strict=True):
                found, state = cell(x, state)
                assert_same((found, stepper(x)), (output, output))
    assert not taken


def test_other_calls_take_the_usual_road(taken):
    inputs = torch.randn(2, 3, 4)
    cell = rc.LSTMCell(4, 5)
    louder = Louder(4, 5)
    louder.load_state_dict(cell.state_dict())
    plain, _ = rc.unroll(cell, inputs)
    assert plain.requires_grad
    assert not taken
    with torch.no_grad():
        assert torch.equal(rc.unroll(louder, inputs)[0], 2 * plain)
        assert torch.equal(rc.unroll(rc.StackedCells([louder]), inputs)[0], 2 * plain)
        rc.unroll(rc.LayerNormBasicLSTMCell(4, 5, recurrent_keep_prob=0.5), inputs)
        rc.unroll(cell, inputs, lengths=torch.tensor([3, 1]))
        rc.unroll(cell, inputs, return_states=True)
        assert not taken
        with pytest.raises(InputError, match="expected"):
            rc.unroll(cell, inputs[..., :3])


def test_a_call_of_a_cell_is_heard_by_hooks_and_runs_its_own_forward():
    case = make("lstm", 1, 2, 4, 5)
    heard = []
    with torch.no_grad():
        expected, _ = case.cell(case.inputs[0], case.state)
        handle = case.cell.register_forward_hook(lambda *call: heard.append("after"))
        before = case.cell.register_forward_pre_hook(lambda *call: heard.append("before"))
        output, _ = case.cell(case.inputs[0], case.state)
        assert torch.equal(output, expected)
        assert heard == ["before", "after"]
        handle.remove()
        before.remove()

        class Doubled(rc.LSTMCell):
            def forward(self, x, state, masks=None):
                output, state = super().forward(x, state, masks)
                return 2 * output, state

        doubled = Doubled(4, 5)
        doubled.load_state_dict(case.cell.state_dict())
        doubled.options = case.cell.options
        assert torch.equal(doubled(case.inputs[0], case.state)[0], 2 * expected)
        case.cell.forward = doubled.forward
        assert torch.equal(case.cell(case.inputs[0], case.state)[0], 2 * expected)
