"""Linear-recurrence cells against the papers' equations, written out in NumPy, float64, one row and step at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from recurra import _nest
from recurra.cells.mlstm import MLSTMCell, mlstm_sequence
from recurra.kernels import run_sequence
from recurra.kernels.linear import doubling, linear_scan
from tests.cells.linear_cases import LINEAR

Parameters = dict[str, np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def min_gru(p: Parameters, xs: np.ndarray, units: int) -> np.ndarray:
    """Feng et al., section 3.1."""
    h, out = np.zeros(units), []
    for x in xs:
        z = sigmoid(x @ p["kernel"][:, :units] + p["bias"][:units])
        h = (1 - z) * h + z * (x @ p["kernel"][:, units:] + p["bias"][units:])
        out.append(h)
    return np.array(out)


def min_lstm(p: Parameters, xs: np.ndarray, units: int) -> np.ndarray:
    """Feng et al., section 3.2, with the gates normalised."""
    h, out = np.zeros(units), []
    for x in xs:
        f, i, g = np.split(x @ p["kernel"] + p["bias"], 3)
        f, i = sigmoid(f), sigmoid(i)
        h = f / (f + i) * h + i / (f + i) * g
        out.append(h)
    return np.array(out)


def lru(p: Parameters, xs: np.ndarray, units: int) -> np.ndarray:
    """Orvieto et al., equation 1 with the exponential parametrisation of section 3.3 and the gain of section 3.4."""
    size = p["nu_log"].shape[0]
    eigenvalues = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    b = (p["input_kernel"][:, :size] + 1j * p["input_kernel"][:, size:]).T
    c = (p["output_kernel"][:size] + 1j * p["output_kernel"][size:]).T
    s, out = np.zeros(size, complex), []
    for x in xs:
        s = eigenvalues * s + np.exp(p["gamma_log"]) * (b @ x)
        out.append((c @ s).real + p["skip_kernel"].T @ x)
    return np.array(out)


def rglru(p: Parameters, xs: np.ndarray, units: int) -> np.ndarray:
    """De et al., equations 1 to 4 of section 2.4."""
    h, out = np.zeros(units), []
    for x in xs:
        if "in_projection.kernel" in p:
            x = x @ p["in_projection.kernel"] + p["in_projection.bias"]
        r = sigmoid(x @ p["gates.kernel"][:, :units] + p["gates.bias"][:units])
        i = sigmoid(x @ p["gates.kernel"][:, units:] + p["gates.bias"][units:])
        a = sigmoid(p["decay"]) ** (8 * r)
        h = a * h + np.sqrt(1 - a**2) * (i * x)
        out.append(h)
    return np.array(out)


def slstm(gate: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Beck et al., equations 8 to 14: without the stabiliser, which does not change h."""

    def run(p: Parameters, xs: np.ndarray, units: int) -> np.ndarray:
        heads, width = p["recurrent_kernel"].shape[:2]
        c, n, h, out = np.zeros(units), np.zeros(units), np.zeros(units), []
        for x in xs:
            pre = (x @ p["kernel"] + p["bias"]).reshape(4, units).copy()
            for head in range(heads):
                own = slice(head * width, (head + 1) * width)
                pre[:, own] += (h[own] @ p["recurrent_kernel"][head]).reshape(4, width)
            z, i, f, o = pre
            c = gate(f) * c + np.exp(i) * np.tanh(z)
            n = gate(f) * n + np.exp(i)
            h = sigmoid(o) * c / n
            out.append(h)
        return np.array(out)

    return run


def mlstm(gate: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """Beck et al., equations 19 to 27, without the stabiliser."""

    def run(p: Parameters, xs: np.ndarray, units: int) -> np.ndarray:
        heads = (p["kernel"].shape[1] - 4 * units) // 2
        width = units // heads
        c, n, out = np.zeros((heads, width, width)), np.zeros((heads, width)), []
        for x in xs:
            pre = x @ p["kernel"] + p["bias"]
            q, k, v, o = pre[: 4 * units].reshape(4, heads, width)
            i, f = pre[4 * units :].reshape(2, heads)
            h = np.zeros((heads, width))
            for head in range(heads):
                key = k[head] / math.sqrt(width)
                c[head] = gate(f[head]) * c[head] + np.exp(i[head]) * np.outer(v[head], key)
                n[head] = gate(f[head]) * n[head] + np.exp(i[head]) * key
                h[head] = sigmoid(o[head]) * (c[head] @ q[head]) / max(abs(n[head] @ q[head]), 1)
            out.append(h.reshape(units))
        return np.array(out)

    return run


PAPERS: dict[str, Callable[..., np.ndarray]] = {
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "lru": lru,
    "rglru": rglru,
    "rglru_square": rglru,
    "slstm": slstm(sigmoid),
    "slstm_exp": slstm(np.exp),
    "mlstm": mlstm(sigmoid),
    "mlstm_exp": mlstm(np.exp),
}


def make(name: str, dtype: torch.dtype) -> Any:
    """The cell with no parameter at a plain value."""
    cell = LINEAR[name]().to(torch.float64)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        if name.endswith("_exp"):
            cell.bias.clamp_(max=0.5)
    return cell.to(dtype)


def paper_error(name: str, dtype: torch.dtype) -> float:
    """The worst error of a sequence's outputs relative to max(1, |paper's equations|)."""
    cell = make(name, dtype)
    inputs = torch.randn(3, 11, cell.input_size, dtype=dtype)
    parameters = {key: value.detach().double().numpy() for key, value in cell.named_parameters()}
    expected = np.stack([PAPERS[name](parameters, row.double().numpy(), cell.output_size) for row in inputs])
    outputs, _ = recurra.unroll(cell, inputs)
    return float((np.abs(outputs.detach().numpy() - expected) / np.maximum(1, np.abs(expected))).max())


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", LINEAR)
def test_paper(name: str, dtype: torch.dtype, bound: float) -> None:
    assert paper_error(name, dtype) < bound


@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("reverse", [False, True])
def test_steps_and_sequence_agree(name: str, reverse: bool) -> None:
    """Over more steps than one chunk holds, ragged; values and gradients. Exponential forget gates grow without bound
    and make the outputs ill-conditioned: those in float64."""
    dtype = torch.float64 if name.endswith("_exp") else torch.float32
    cell = make(name, dtype)
    inputs = torch.randn(150, 4, cell.input_size, dtype=dtype, requires_grad=True)
    lengths = torch.tensor([150, 64, 1, 0])
    start = cell.initial_state(4)
    results = []
    for run in (cell.unroll, _stepwise(cell)):
        outputs, state = run(inputs, start, lengths, reverse=reverse)
        loss = (outputs * torch.linspace(-1, 1, outputs.numel(), dtype=dtype).reshape(outputs.shape)).sum()
        loss = loss + sum(leaf.sum() for leaf in _nest.flatten(state))
        grads = torch.autograd.grad(loss, [inputs, *cell.parameters()])
        results.append([outputs, *_nest.flatten(state), *grads])
    for fast, slow in zip(*results, strict=True):
        scale = max(1.0, slow.abs().max().item())
        assert (fast - slow).abs().max().item() <= 1e-5 * scale


def _stepwise(cell: Any) -> Callable[..., Any]:
    """The plain loop over the same equations."""

    def run(*arguments: Any, **call: Any) -> Any:
        return run_sequence(cell.recurrence, cell.params(), *arguments, options=cell.options, **call)

    return run


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_and_its_gradients(dtype: torch.dtype, reverse: bool) -> None:
    a, b = torch.randn(2, 6, 3, dtype=dtype).unbind(0)
    h = torch.randn(3, dtype=dtype)
    arguments = [value.clone().requires_grad_() for value in (a, b, h)]
    expected, state = torch.zeros_like(b), h
    for t in reversed(range(6)) if reverse else range(6):
        state = a[t] * state + b[t]
        expected[t] = state
    torch.testing.assert_close(linear_scan(a, b, h, reverse=reverse), expected)
    flipped = (a.flip(0), b.flip(0)) if reverse else (a, b)
    doubled = doubling(*flipped, h)
    torch.testing.assert_close(doubled.flip(0) if reverse else doubled, expected)
    scan = lambda *args: linear_scan(*args, reverse=reverse)  # noqa: E731
    assert torch.autograd.gradcheck(scan, arguments)
    assert torch.autograd.gradgradcheck(scan, arguments)


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_any_chunk(chunk: int) -> None:
    cell: MLSTMCell = make("mlstm", torch.float64)
    inputs = torch.randn(20, 2, 4, dtype=torch.float64)
    state = cell.initial_state(2)
    expected, final = mlstm_sequence(cell.params(), inputs, state, options=cell.options, chunk=20)
    outputs, after = mlstm_sequence(cell.params(), inputs, state, options=cell.options, chunk=chunk)
    torch.testing.assert_close(outputs, expected)
    for ours, theirs in zip(after, final, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["slstm", "mlstm"])
def test_large_gates_stay_finite(name: str) -> None:
    cell = make(name, torch.float32)
    outputs, state = recurra.unroll(cell, 1000 * torch.randn(2, 50, 4))
    assert bool(outputs.isfinite().all())
    assert all(bool(leaf.isfinite().all()) for leaf in _nest.flatten(state))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LINEAR["slstm"]().__class__(4, 6, heads=4), "`hidden_size` must be divisible by heads=4, got 6"),
        (lambda: MLSTMCell(4, 6, forget_gate="tanh"), "`forget_gate` must be"),  # type: ignore[arg-type]
        (lambda: LINEAR["lru"]().__class__(4, 5, r_min=0.9, r_max=0.5), "`r_min` and `r_max`"),
        (lambda: LINEAR["min_gru"]().__class__(0, 5), "`input_size` must be a positive integer, got 0"),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
