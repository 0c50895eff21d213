"""Inference with bfloat16 products, asked for by `freeze`: the operands are rounded, nothing else is."""

import copy
import pickle

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import recurra as rc
from recurra import _nest
from recurra.kernels import argument, dispatch
from recurra.kernels.native import library
from recurra.kernels.prepared import frozen_of
from tests.kernels.cases import CELLS, make

needs_halves = pytest.mark.skipif(not library.halves(), reason="no bfloat16 products on this machine")


def rounded(tensor):
    return tensor.bfloat16().to(tensor.dtype)


def run(case, halves):
    cell = case.cell
    with torch.no_grad():
        return dispatch.run_kernel(
            cell.recurrence,
            cell.params(),
            case.inputs,
            case.state,
            case.lengths,
            options=cell.options,
            reverse=case.reverse,
            halves=halves,
        )


@st.composite
def calls(draw):
    T, B = draw(st.integers(0, 6)), draw(st.integers(1, 31))
    return {
        "name": draw(st.sampled_from(list(CELLS))),
        "T": T,
        "B": B,
        "I": draw(st.sampled_from([1, 2, 7, 16, 31, 33])),
        "H": draw(st.sampled_from([1, 2, 3, 4, 9, 15, 16, 17, 31, 33, 50])),
        "lengths": draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor)),
        "reverse": draw(st.booleans()),
        "layout": draw(st.sampled_from(["time", "batch", "wide", "strided"])),
        "seed": draw(st.integers(0, 99)),
    }


@needs_halves
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls(), threads=st.integers(1, 3))
def test_as_the_kernel_on_rounded_operands(monkeypatch, call, threads):
    """Rounded weights and inputs are the float kernel's, too; what is left is the state's rounding, step after step."""
    monkeypatch.setattr(library, "threads", lambda: threads)
    case = make(**call)
    with torch.no_grad():
        for name, parameter in case.cell.named_parameters():
            if "kernel" in name:
                parameter.mul_(3 / (call["I"] + call["H"]) ** 0.5)
                parameter.copy_(rounded(parameter))
    case = case._replace(inputs=rounded(case.inputs))
    (found, finals), (expected, expected_finals) = run(case, True), run(case, False)
    for one, other in zip([found, *_nest.flatten(finals)], [expected, *_nest.flatten(expected_finals)], strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.05)


@needs_halves
@pytest.mark.parametrize("name", ["rnn", "lstm", "lstm_peepholes", "gru_after"])
@pytest.mark.parametrize(("B", "I", "H"), [(1, 5, 7), (20, 200, 200), (37, 33, 130)])
def test_one_step_rounds_nothing_but_the_operands(name, B, I, H):
    case = make(name, 1, B, I, H)
    state = case.state  # a GRU's is also mixed, as it is, into the new one: rounded beforehand
    state = state._replace(h=rounded(state.h)) if isinstance(state, tuple) else rounded(state)
    case = case._replace(state=state)
    with torch.no_grad():
        for parameter in case.cell.parameters():
            parameter.mul_(1 / (I + H) ** 0.5)
    found, _ = run(case, True)
    with torch.no_grad():
        for key, parameter in case.cell.named_parameters():
            if "kernel" in key:
                parameter.copy_(rounded(parameter))
    expected, _ = run(case._replace(inputs=rounded(case.inputs)), False)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@needs_halves
@pytest.mark.parametrize(("make_cell", "bound"), [(rc.LSTMCell, 5e-3), (rc.GRUCell, 5e-3), (rc.RNNCell, 2e-2)])
def test_outputs_stay_within_the_documented_error(make_cell, bound):
    """docs/performance.md, with weights as they are drawn, here over 50 steps."""
    torch.manual_seed(0)
    cell, inputs = make_cell(200, 300), torch.randn(10, 50, 200)
    expected, _ = rc.unroll(cell.freeze(), inputs)
    found, _ = rc.unroll(cell.freeze(dtype=torch.bfloat16), inputs)
    assert 1e-5 < (found - expected).abs().max() < bound


@needs_halves
def test_it_is_asked_for_said_and_ended():
    cell, inputs = rc.StackedCells([rc.LSTMCell(3, 4), rc.GRUCell(4, 4)]), torch.randn(2, 5, 3)
    said = f"kernel ({library.isa()}, bfloat16 products)"
    assert cell.freeze(dtype=torch.bfloat16) is cell and not cell.training
    assert [str(line).endswith(said) for line in rc.explain(cell, inputs).decisions] == [True, True]
    assert "bfloat16" not in str(rc.explain(cell.freeze(), inputs))
    cell.freeze(dtype=torch.bfloat16)
    assert "bfloat16" not in str(rc.explain(cell.train(), inputs))


@needs_halves
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "gru_after"])
def test_steps_and_streams_read_the_packed_weights(monkeypatch, name):
    case = make(name, 4, 2, 5, 33)
    outputs, _ = rc.unroll(case.cell.freeze(dtype=torch.bfloat16), case.inputs, case.state, time_major=True)
    ran = []
    step = library.step
    monkeypatch.setattr(library, "step", lambda words: ran.append(words[:]) or step(words))
    state, stepper = case.state, case.cell.stepper(2)
    stepper.state = state
    for t in range(4):
        output, state = case.cell(case.inputs[t], state)
        assert torch.equal(output, outputs[t]) and torch.equal(stepper(case.inputs[t]), outputs[t])
    assert len(ran) == 8 and all(words[argument.PACKED] for words in ran)
    with torch.no_grad():
        next(case.cell.parameters()).add_(0.5)
    again = case.cell(case.inputs[0], case.state)[0]
    stepper.state = case.state
    assert not torch.allclose(again, outputs[0]) and torch.equal(stepper(case.inputs[0]), again)
    assert not ran[-1][argument.PACKED] and not ran[-2][argument.PACKED]


@needs_halves
def test_copies_keep_the_products_but_not_the_packed_weights():
    cell, inputs = rc.LSTMCell(5, 33).freeze(dtype=torch.bfloat16), torch.randn(2, 4, 5)
    expected = rc.unroll(cell, inputs)[0]
    for twin in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert twin.halves and frozen_of(twin) is None
        assert torch.equal(rc.unroll(twin, inputs)[0], expected)
        assert torch.equal(rc.unroll(twin.freeze(dtype=torch.bfloat16), inputs)[0], expected)


@needs_halves
def test_gradients_take_the_float_kernel():
    cell = rc.LSTMCell(3, 4).freeze(dtype=torch.bfloat16)
    inputs = torch.randn(2, 5, 3, requires_grad=True)
    outputs, _ = rc.unroll(cell, inputs)
    assert torch.equal(outputs, rc.unroll(cell.train(), inputs)[0])
    outputs.sum().backward()
    assert inputs.grad.isfinite().all()


def test_where_there_are_none_it_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(library, "halves", lambda: False)
    with pytest.raises(ValueError, match="no bfloat16 products"):
        rc.LSTMCell(3, 4).freeze(dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="`dtype` must be"):
        rc.LSTMCell(3, 4).freeze(dtype=torch.float16)
