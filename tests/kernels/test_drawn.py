"""Masks that the kernels draw where they need them are those that `draw_masks` gives for the same seed."""

import contextlib

import pytest
import torch

import recurra as rc
from recurra.kernels import plain
from recurra.kernels.native import library

WRAPPERS = {
    "zoneout": lambda I, H: rc.ZoneoutWrapper(rc.LSTMCell(I, H), rc.LSTMState(0.5, 0.2)),
    "zoneout of a GRU": lambda I, H: rc.ZoneoutWrapper(rc.GRUCell(I, H), 0.3),
    "zoneout of a projection": lambda I, H: rc.ZoneoutWrapper(rc.LSTMCell(I, H, projection_size=H // 2 + 1), 0.3),
    "zoneout of peepholes": lambda I, H: rc.ZoneoutWrapper(rc.LSTMCell(I, H, peepholes=True), 0.3),
    "state dropout": lambda I, H: rc.DropoutWrapper(
        rc.LSTMCell(I, H), input_keep_prob=0.8, output_keep_prob=0.7, state_keep_prob=0.6
    ),
    "memory dropout": lambda I, H: rc.DropoutWrapper(
        rc.LSTMCell(I, H), state_keep_prob=0.6, state_filter=lambda size: rc.LSTMState(True, True)
    ),
    "variational": lambda I, H: rc.DropoutWrapper(rc.RNNCell(I, H), state_keep_prob=0.6, variational="row"),
    "both": lambda I, H: rc.ZoneoutWrapper(rc.DropoutWrapper(rc.GRUCell(I, H), state_keep_prob=0.6), 0.3),
}


def results(wrapper, x, *, given, grad=True, **call):
    """Outputs, final state and gradients under seed 4, with masks given or not."""
    leaf = x.clone().requires_grad_(grad)
    torch.manual_seed(4)
    masks = wrapper.draw_masks(*x.shape[:2], like=x, input_size=x.shape[2]) if given else None
    outputs, state = rc.unroll(wrapper, leaf, masks=masks, time_major=True, **call)
    found = [outputs, *(state if isinstance(state, tuple) else (state,))]
    if grad:
        found += torch.autograd.grad(sum(value.square().sum() for value in found), [leaf, *wrapper.parameters()])
    return found


@pytest.mark.parametrize("name", WRAPPERS)
@pytest.mark.parametrize(("T", "B", "H"), [(6, 5, 20), (3, 1, 70), (4, 33, 16)])
@pytest.mark.parametrize("grad", [False, True])
def test_the_bits_of_masks_that_were_given(isa, monkeypatch, name, T, B, H, grad):
    wrapper, x = WRAPPERS[name](4, H), torch.randn(T, B, 4)
    for call in ({}, {"lengths": torch.randint(0, T + 1, (B,)), "reverse": True}):
        expected = results(wrapper, x, given=True, grad=grad, **call)
        for threads in (1, 2, 3):
            monkeypatch.setattr(library, "threads", lambda threads=threads: threads)
            found = results(wrapper, x, given=False, grad=grad, **call)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True)), threads


@pytest.mark.parametrize("name", WRAPPERS)
def test_where_no_kernel_draws_them(name):
    wrapper, x = WRAPPERS[name](4, 6), torch.randn(5, 3, 4)
    expected = results(wrapper, x, given=False)
    with plain():
        found = results(wrapper, x, given=False)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    stacked = rc.StackedCells([wrapper])
    assert rc.explain(stacked, x.transpose(0, 1)).decisions[0].road == "kernel"
    torch.manual_seed(4)
    assert torch.equal(rc.unroll(stacked, x, time_major=True)[0], expected[0])


def test_second_derivatives():
    wrapper, x, found = WRAPPERS["zoneout"](3, 4), torch.randn(4, 2, 3), []
    for road in (contextlib.nullcontext(), plain()):
        leaf = x.clone().requires_grad_()
        torch.manual_seed(1)
        with road:
            first = torch.autograd.grad(rc.unroll(wrapper, leaf)[0].square().sum(), leaf, create_graph=True)[0]
            found.append(torch.autograd.grad(first.square().sum(), [leaf, *wrapper.parameters()]))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_no_mask_is_written_to_memory(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("drawn before")

    monkeypatch.setattr(library, "draw", refuse)
    wrapper = WRAPPERS["zoneout"](4, 6)
    rc.unroll(wrapper, torch.randn(5, 3, 4))[0].sum().backward()


def test_a_subclass_that_looks_at_its_masks_gets_tensors():
    class Loud(rc.ZoneoutWrapper):
        def within(self, masks):
            assert all(isinstance(mask, torch.Tensor) for mask in masks.keep)
            return super().within(masks)

    rc.unroll(Loud(rc.LSTMCell(4, 6), 0.3), torch.randn(5, 3, 4))
