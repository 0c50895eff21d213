"""Own cells compiled to the end and replayed: the numbers and gradients of a loop, for what users write."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

import recurra as rc
from recurra.kernels import plain
from recurra.kernels.stepwise import Compiled

pytestmark = pytest.mark.slow


class ResetAfterGRU(rc.BaseCell):
    """Linear layers, the input's part hoisted."""

    def __init__(self, I, H):
        super().__init__()
        self.input_size, self.state_size, self.output_size = I, H, H
        self.x, self.h = nn.Linear(I, 3 * H), nn.Linear(H, 3 * H)

    def project(self, inputs):
        return self.x(inputs)

    def recur(self, projected, state, masks=None):
        (xr, xz, xn), (hr, hz, hn) = projected.chunk(3, -1), self.h(state).chunk(3, -1)
        z, n = torch.sigmoid(xz + hz), torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        state = (1 - z) * n + z * state
        return state, state


class ResetBeforeGRU(rc.BaseCell):
    """TensorFlow's matrices, nothing hoisted, the second product after the first."""

    def __init__(self, I, H):
        super().__init__()
        self.input_size, self.state_size, self.output_size = I, H, H
        self.gates, self.candidate = (nn.Parameter(torch.randn(I + H, n * H) / (I + H) ** 0.5) for n in (2, 1))
        self.bias = nn.Parameter(torch.ones(2 * H))
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x, state):
        r, u = torch.sigmoid(torch.cat([x, state], -1) @ self.gates + self.bias).chunk(2, -1)
        c = self.gain * torch.tanh(torch.matmul(torch.cat([x, r * state], -1), self.candidate))
        state = u * state + (1 - u) * c
        return state, state


class MadeOfModules(rc.BaseCell):
    """A step out of torch.nn, a Python branch on a constant, weights made in the step, a bias in addmm."""

    def __init__(self, I, H):
        super().__init__()
        self.input_size, self.state_size, self.output_size = I, (H, H), H
        self.net = nn.Sequential(nn.Linear(I + H, H), nn.LayerNorm(H), nn.GELU(), nn.Linear(H, H))
        self.w, self.b = nn.Parameter(torch.randn(H, H) / H**0.5), nn.Parameter(torch.randn(H))
        self.register_buffer("kept", (torch.rand(H, H) < 0.8).float())

    def forward(self, x, state):
        h, mean = state
        if self.training:
            h = h * 0.9
        new = torch.tanh(self.net(torch.cat([x, h], -1)) + torch.addmm(self.b, h, self.w * self.kept))
        return new, (new, 0.9 * mean + 0.1 * new)


CELLS = [ResetAfterGRU, ResetBeforeGRU, MadeOfModules]


def results(cell, inputs, lengths=None, *, reverse=False):
    inputs = inputs.clone().requires_grad_()
    outputs, final = rc.unroll(cell, inputs, lengths=lengths, reverse=reverse)
    leaves = [outputs, *(final if isinstance(final, tuple) else [final])]
    loss = sum((leaf * torch.linspace(-1, 1, leaf.numel(), dtype=leaf.dtype).view_as(leaf)).sum() for leaf in leaves)
    return [*leaves, *torch.autograd.grad(loss, (inputs, *cell.parameters()))]


def is_replayed(cell):
    compiled = cell.__dict__["_compiled"]
    assert isinstance(compiled, Compiled) and compiled.steps
    return all(step.program.forward.replay and step.program.gradient.replay for step in compiled.steps.values())


@pytest.mark.parametrize("make", CELLS)
@pytest.mark.parametrize(("B", "I", "H"), [(1, 3, 17), (5, 1, 1), (20, 33, 40)])
def test_numbers_and_gradients_are_the_loops(make, B, I, H):
    torch.manual_seed(1)
    cell = rc.compile_cell(make(I, H))
    for T, lengths, reverse in [(1, None, False), (6, None, True)]:
        inputs = torch.randn(B, T, I)
        found = results(cell, inputs, lengths, reverse=reverse)
        with plain():
            cell.double()
            expected = results(cell, inputs.double(), lengths, reverse=reverse)
            cell.float()
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=2e-5)
    assert is_replayed(cell)
    again = results(cell, inputs, lengths, reverse=reverse)
    assert all(map(torch.equal, found, again))


def test_ragged_rows():
    cell, inputs = rc.compile_cell(ResetAfterGRU(4, 9)), torch.randn(5, 7, 4)
    lengths = torch.tensor([7, 0, 3, 1, 6])
    for row, length in enumerate(lengths.tolist()):
        inputs[row, length:] = torch.nan
    found = results(cell, inputs, lengths)
    with plain():
        expected = results(cell, inputs, lengths)
    assert is_replayed(cell)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_several_threads_at_once():
    cell, batches = rc.compile_cell(ResetBeforeGRU(4, 30)), torch.randn(8, 6, 9, 4)
    expected = [results(cell, inputs) for inputs in batches]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            for one, other in zip(pool.map(lambda inputs: results(cell, inputs), batches), expected, strict=True):
                assert all(map(torch.equal, one, other))
