"""The compiled chain against its twin in torch: sums, marginals, gradients and best paths, any size and raggedness."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurra import crf
from recurra.kernels import chain, plain
from recurra.kernels.decisions import recording
from recurra.kernels.native import library

FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@st.composite
def calls(draw):
    T, B, K = draw(st.integers(0, 8)), draw(st.integers(0, 19)), draw(st.sampled_from([1, 2, 3, 9, 16, 17, 33, 50]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    scale = draw(st.sampled_from([0.1, 2.0, 30.0]))
    scores = torch.randn(T, B, K, generator=generator).mul_(scale).transpose(0, 1)
    if draw(st.booleans()):
        scores = scores.contiguous()
    transitions = torch.randn(K, K, generator=generator).mul_(draw(st.sampled_from([1.0, 60.0])))
    if draw(st.booleans()):  # some neighbours are forbidden
        transitions[torch.rand(K, K, generator=generator) < 0.4] = -torch.inf
    lengths = draw(st.none() | st.lists(st.integers(0, T), min_size=B, max_size=B).map(torch.tensor))
    if lengths is not None:
        for row, length in enumerate(lengths.tolist()):
            scores[row, length:] = torch.nan
    return scores, transitions, None if lengths is None else lengths.long()


def close(found, expected, scale=1.0):
    """To 1e-5 of the largest score that went into the sums."""
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * max(1.0, scale), equal_nan=True)


def largest(scores, transitions):
    finite = torch.cat([scores.flatten(), transitions.flatten()])
    return float(finite[finite.isfinite()].abs().max()) if finite.isfinite().any() else 1.0


def gradients(scores, transitions, lengths, dtype):
    """Of the log-norm, weighted by row; of a chain without any path zeros, whichever road."""
    scores, transitions = (tensor.to(dtype, copy=True).requires_grad_() for tensor in (scores, transitions))
    total = crf.log_norm(scores, transitions, lengths)
    if not total.requires_grad:  # no step at all
        return total, (torch.zeros_like(scores), torch.zeros_like(transitions))
    weights = torch.linspace(-1, 1, len(total), dtype=dtype)
    finite = total.isfinite()
    return total, torch.autograd.grad(total[finite], (scores, transitions), weights[finite], materialize_grads=True)


@FIXTURES
@given(call=calls(), threads=st.integers(1, 3))
def test_sums_and_gradients_are_those_of_the_twin(isa, monkeypatch, call, threads):
    monkeypatch.setattr(library, "threads", lambda: threads)
    scores, transitions, _ = call
    found, grads = gradients(*call, torch.float32)
    expected, expected_grads = gradients(*call, torch.float64)  # the twin: float64 takes it
    close(found.double(), expected, largest(scores, transitions) * max(1, scores.shape[1]))
    for grad, right in zip(grads, expected_grads, strict=True):
        assert grad.isfinite().all()
        known = ~right.isnan()  # the twin's derivative of a sum over nothing but forbidden neighbours
        tolerance = 3e-6 * largest(scores, transitions) * len(scores)
        torch.testing.assert_close(grad.double()[known], right[known], rtol=1e-4, atol=tolerance)


@FIXTURES
@given(call=calls())
def test_marginals_are_those_of_the_twin(isa, call):
    scores, transitions, lengths = call
    transitions = transitions.clamp(min=-50)
    found = crf.marginals(scores, transitions, lengths)
    expected = crf.marginals(scores.double(), transitions.double(), lengths)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-6 * max(1, largest(scores, transitions)))


@FIXTURES
@given(call=calls(), whole=st.booleans())
def test_best_paths_are_the_twins_to_the_bit(isa, call, whole):
    scores, transitions, lengths = call
    if whole:  # many ties
        scores, transitions = scores.round(), transitions.round()
    found = crf.viterbi(scores, transitions, lengths)
    with plain():
        expected = crf.viterbi(scores, transitions, lengths)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_nan_and_inf_come_out_as_in_the_twin(isa, bad):
    scores = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    scores[1, 2, 3] = bad
    scores[2, 1] = bad
    transitions = torch.zeros(4, 4)
    found = crf.log_norm(scores, transitions), *crf.viterbi(scores, transitions)
    with plain():
        expected = crf.log_norm(scores, transitions), *crf.viterbi(scores, transitions)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


def test_a_tag_that_only_a_hopeless_one_leads_to(isa):
    """Its share underflows beside the best path's; the sum must find it all the same."""
    scores = torch.tensor([[[0.0, -200.0], [-torch.inf, 0.0]]], requires_grad=True)
    transitions = torch.tensor([[0.0, -torch.inf], [0.0, 3.0]], requires_grad=True)
    total = crf.log_norm(scores, transitions)
    total.sum().backward()
    assert total.item() == -197
    assert torch.equal(scores.grad, torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]))
    assert torch.equal(transitions.grad, torch.tensor([[0.0, 0.0], [0.0, 1.0]]))


def test_the_kernels_own_gradient_and_the_second():
    torch.manual_seed(0)
    scores = torch.randn(3, 3, 3, dtype=torch.float64, requires_grad=True)
    transitions = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([3, 0, 2])

    def twin(scores, transitions):
        with plain():
            return crf.log_norm(scores, transitions, lengths)

    def total(scores, transitions):
        return chain.log_norm(scores, transitions, lengths, twin)

    assert torch.autograd.gradcheck(total, (scores, transitions))
    assert torch.autograd.gradgradcheck(total, (scores, transitions))


def test_the_road_is_said():
    scores, transitions = torch.randn(2, 3, 4), torch.randn(4, 4, requires_grad=True)
    with recording() as decisions:
        crf.log_norm(scores, transitions)
        crf.log_norm(scores.double(), transitions.double())
        crf.viterbi(scores, transitions)
    assert [str(decision) for decision in decisions] == [
        f"crf: kernel ({library.isa()})",
        "crf: plain loop (tensors of torch.float64; the kernels are for torch.float32)",
        "crf: plain loop (no kernel for this gradient)",
    ]


def test_same_bits_again():
    scores, transitions = torch.randn(40, 20, 17), torch.randn(17, 17)
    first, again = (gradients(scores, transitions, None, torch.float32) for _ in range(2))
    assert torch.equal(first[0], again[0]) and all(map(torch.equal, first[1], again[1]))
