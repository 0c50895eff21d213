"""Every kernel against the plain loop: values and all gradients, any size, layout, raggedness and direction."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurra import _nest
from recurra.kernels.native import library
from tests.kernels.cases import CELLS, FEW, SMOOTH, assert_kernel_equals_plain, assert_same, kernel, make, plain

LAYOUTS = ["time", "batch", "wide", "strided"]


@st.composite
def calls(draw):
    T, B = draw(st.integers(0, 9)), draw(st.integers(1, 31))
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor))
    return {
        "name": draw(st.sampled_from(SMOOTH)),
        "T": T,
        "B": B,
        "I": draw(st.sampled_from([1, 2, 7, 16, 33])),
        "H": draw(st.sampled_from([1, 2, 3, 4, 5, 8, 9, 12, 16, 17, 31, 33, 50])),
        "lengths": lengths,
        "reverse": draw(st.booleans()),
        "layout": draw(st.sampled_from(LAYOUTS)),
        "seed": draw(st.integers(0, 99)),
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(call=calls(), threads=st.integers(1, 3))
def test_kernel_equals_plain_loop(isa, monkeypatch, call, threads):
    monkeypatch.setattr(library, "threads", lambda: threads)
    case = make(**call)
    assert_kernel_equals_plain(case)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize(("T", "B", "I", "H", "threads"), [(3, 2, 5, 650, 2), (40, 1, 128, 128, 2), (5, 70, 9, 100, 3)])
def test_sizes_of_the_world(isa, monkeypatch, name, T, B, I, H, threads):
    monkeypatch.setattr(library, "threads", lambda: threads)
    case = make(name, T, B, I, H, layout="batch")
    with torch.no_grad():
        for parameter in case.cell.parameters():
            parameter.mul_(2 / (I + H) ** 0.5)
    assert_kernel_equals_plain(case)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("ragged", [False, True])
def test_all_cells(isa, name, ragged):
    case = make(name, 6, 7, 3, 21, lengths=torch.tensor([6, 0, 3, 1, 6, 2, 5]) if ragged else None, reverse=ragged)
    assert_kernel_equals_plain(case)


@pytest.mark.parametrize("name", FEW)
def test_more_steps_than_one_pass_of_the_weight_gradient(name):
    case = make(name, T=24, B=110, I=800, H=200)
    with torch.no_grad():
        for parameter in case.cell.parameters():
            parameter.mul_(0.05)
    assert_same(kernel(case), plain(case), tolerance=3e-5)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_nan_and_inf_travel_as_in_the_plain_loop(isa, name, bad):
    case = make(name, T=4, B=3, I=2, H=5)
    case.inputs[1, 1, 0] = bad
    found, expected = kernel(case), plain(case)
    for key in ("outputs", "final0"):
        assert torch.equal(found[key].isnan(), expected[key].isnan())
        assert torch.equal(found[key].isinf(), expected[key].isinf())


@pytest.mark.parametrize("name", CELLS)
def test_zeros_to_start_from(isa, name):
    case = make(name, T=3, B=9, I=4, H=21)
    assert_kernel_equals_plain(case._replace(state=_nest.map_leaves(torch.zeros_like, case.state)))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("row", [-1, -4])
def test_zeros_meet_weights_that_are_not_finite(isa, name, bad, row):
    case = make(name, T=3, B=9, I=4, H=21)
    case = case._replace(state=_nest.map_leaves(torch.zeros_like, case.state))
    with torch.no_grad():
        for weights in (parameter for parameter in case.cell.parameters() if parameter.ndim == 2):
            weights[row, 1] = bad
    found, expected = kernel(case), plain(case)
    for key in ("outputs", "final0"):
        assert torch.equal(found[key].isnan(), expected[key].isnan())


@pytest.mark.parametrize("name", CELLS)
def test_only_what_is_wanted_gets_a_gradient(isa, name):
    case = make(name, T=3, B=4, I=5, H=6)
    frozen = [parameter for key, parameter in case.cell.named_parameters() if "kernel" in key]
    for parameter in frozen:
        parameter.requires_grad_(False)
    outputs, _ = case.cell.unroll(case.inputs, case.state)
    outputs.sum().backward()
    assert all(parameter.grad is None for parameter in frozen)
    biases = [parameter for parameter in case.cell.parameters() if parameter.requires_grad]
    assert biases
    assert all(parameter.grad is not None for parameter in biases)


@pytest.mark.parametrize("name", CELLS)
def test_padding_costs_no_step(isa, name):
    case = make(name, T=6, B=3, I=2, H=3, lengths=torch.tensor([0, 0, 0]))
    found = kernel(case)
    assert torch.equal(found["outputs"], torch.zeros_like(found["outputs"]))
    assert all(not found[f"d {key}"].any() for key, _ in case.cell.named_parameters())
    assert_same(found, plain(case))
