"""Packed rows, read and written where they lie: the plain loop's numbers, and the bits of the same rows padded."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

from recurra.kernels import dispatch
from recurra.kernels.native import library
from tests.kernels.cases import (
    CELLS,
    FEW,
    SMOOTH,
    assert_kernel_equals_plain,
    assert_same,
    give_states,
    kernel,
    make,
    plain,
)
from tests.kernels.test_gradients import as_function


def pack(case):
    """The case with its rows packed; they are longest first, and none is empty."""
    data, batch_sizes, *_ = pack_padded_sequence(case.inputs.contiguous(), case.lengths)
    return case._replace(inputs=data, lengths=batch_sizes)


def make_packed(name, lengths, I, H, **options):
    lengths = torch.tensor(sorted(lengths, reverse=True))
    return pack(make(name, int(lengths[0]), len(lengths), I, H, lengths=lengths, **options))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(SMOOTH),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=31),
    I=st.sampled_from([1, 2, 7, 16, 33]),
    H=st.sampled_from([1, 2, 3, 4, 5, 8, 9, 16, 17, 31, 33, 50]),
    reverse=st.booleans(),
    all_states=st.booleans(),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_packed_rows_as_in_the_plain_loop(isa, monkeypatch, name, lengths, I, H, reverse, all_states, threads, seed):
    assume("norm" not in name or H > 5)  # the variance of a few units can be next to nothing
    monkeypatch.setattr(library, "threads", lambda: threads)
    case = make_packed(name, lengths, I, H, reverse=reverse, seed=seed)
    assert_kernel_equals_plain(give_states(case) if all_states else case)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("B", "H", "reverse"), [(1, 150, False), (1, 40, True), (9, 30, True), (40, 17, False)])
def test_the_bits_of_padded_rows_for_any_number_of_threads(isa, monkeypatch, name, B, H, reverse):
    lengths = torch.randint(1, 8, (B,)).sort(descending=True).values
    padded = make(name, int(lengths[0]), B, 5, H, lengths=lengths, reverse=reverse)
    packed = pack(padded)
    expected = dispatch.run_kernel(*_arguments(padded), reverse=reverse, options=padded.cell.options)
    outputs = pack_padded_sequence(expected[0], lengths).data
    for threads in (1, 2, 3):
        monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
        found = dispatch.run_kernel(*_arguments(packed), reverse=reverse, options=packed.cell.options)
        assert torch.equal(found[0], outputs)
        torch.testing.assert_close(found[1], expected[1], rtol=0, atol=0)


def _arguments(case):
    return case.cell.recurrence, case.cell.params(), case.inputs, case.state, case.lengths


@pytest.mark.parametrize("name", FEW)
def test_gradients_have_the_same_bits_for_any_number_of_threads(isa, monkeypatch, name):
    case = make_packed(name, torch.randint(1, 30, (20,)).tolist(), 5, 33)
    monkeypatch.setattr(library, "threads", lambda: 1)
    expected = kernel(case)
    monkeypatch.setattr(library, "threads", lambda: 3)
    for key, value in kernel(case).items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_double_kernel_to_the_last_digits(name, reverse):
    case = make_packed(name, [6, 6, 4, 1, 1], 3, 7, dtype=torch.float64, reverse=reverse)
    assert_same(kernel(case), plain(case), tolerance=1e-11)


@pytest.mark.parametrize("name", ["rnn", "lstm_projection", "gru", "gru_after"])
def test_gradients_of_gradients(name):
    case = make_packed(name, [3, 2], 2, 2, dtype=torch.float64)
    run, leaves = as_function(case, dispatch.run_kernel)
    assert torch.autograd.gradcheck(run, leaves)
    assert torch.autograd.gradgradcheck(run, leaves)


@pytest.mark.parametrize("name", FEW)
def test_rows_that_do_not_lie_densely(isa, name):
    case = make_packed(name, [5, 3, 3], 4, 9)
    wide = torch.full((len(case.inputs), 7), float("nan"))
    wide[:, 2:6] = case.inputs
    assert_same(kernel(case._replace(inputs=wide[:, 2:6])), plain(case))


@pytest.mark.parametrize("sizes", [[2, 1], [3, 1, 1], [1, 3], [3, 0, 1], [2, 2]])
def test_batch_sizes_that_do_not_fit_are_refused(sizes):
    case = make("gru", 4, 3, 2, 5)
    wrong = case._replace(inputs=case.inputs.flatten(0, 1)[:4], lengths=torch.tensor(sizes))
    with pytest.raises(ValueError, match="batch_sizes"):
        dispatch.run_kernel(*_arguments(wrong))
