"""Initial values: TensorFlow's defaults over the whole fused shape, and what `init` replaces."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import recurra as rc
from recurra.attention import AttentionWrapper, BahdanauMonotonicAttention
from tests.laws.table import ROWS


def limit(tensor: Tensor) -> float:
    return tensor.abs().max().item()


def close_below(tensor: Tensor, bound: float) -> bool:
    """Uniform in ±bound: nothing beyond, and something near (thousands of draws)."""
    return 0.97 * bound < limit(tensor) <= bound and abs(tensor.mean().item()) < 0.1 * bound


def test_lstm() -> None:
    cell = rc.LSTMCell(30, 100, peepholes=True, projection_size=50)
    assert close_below(cell.kernel, math.sqrt(6 / (80 + 400)))
    assert close_below(cell.projection.kernel, math.sqrt(6 / 150))
    for diagonal in (cell.w_i_diag, cell.w_f_diag, cell.w_o_diag):
        assert 0.8 * math.sqrt(3 / 100) < limit(diagonal) <= math.sqrt(3 / 100)
    assert not cell.bias.any()


def test_gru() -> None:
    for reset in ("before", "after"):
        cell = rc.GRUCell(30, 100, reset=reset)  # type: ignore[arg-type]
        assert close_below(cell.gates.kernel, math.sqrt(6 / 330))
        assert torch.equal(cell.gates.bias, torch.ones(200))
    assert not cell.candidate.input_projection.bias.any() and not cell.candidate.hidden_projection.bias.any()
    before = rc.GRUCell(30, 100)
    assert close_below(before.candidate.kernel, math.sqrt(6 / 230)) and not before.candidate.bias.any()


def test_layer_norm() -> None:
    cell = rc.LayerNormBasicLSTMCell(4, 5, norm_gain=0.1, norm_shift=0.2)
    assert torch.equal(cell.state.gamma, torch.full((5,), 0.1)) and torch.equal(cell.forget.beta, torch.full((5,), 0.2))
    plain = rc.LayerNormBasicLSTMCell(30, 100, layer_norm=False)
    assert close_below(plain.bias, math.sqrt(3 / 400))  # TensorFlow draws this bias like a weight


def test_embedding_and_projections() -> None:
    wrapped = rc.EmbeddingWrapper(rc.GRUCell(20, 3), 100)
    assert close_below(wrapped.embedding, math.sqrt(3))
    projected = rc.OutputProjectionWrapper(rc.GRUCell(4, 60), 40)
    assert close_below(projected.kernel, math.sqrt(6 / 100)) and not projected.bias.any()


@pytest.mark.parametrize("make", [rc.RNNCell, rc.LSTMCell, rc.GRUCell, rc.CoupledInputForgetGateLSTMCell])
def test_init_replaces_the_default_but_not_the_constants(make: type) -> None:
    cell = make(4, 5, init=torch.nn.init.ones_, dtype=torch.float64)
    for name, parameter in cell.named_parameters():
        assert parameter.dtype == torch.float64
        if name.endswith("kernel"):
            assert torch.equal(parameter, torch.ones_like(parameter))
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.fill_(9)
    cell.reset_parameters()
    assert not any((parameter == 9).any() for parameter in cell.parameters())


@pytest.mark.parametrize("ragged", [False, True])
def test_meta_device(ragged: bool) -> None:
    cell = rc.LSTMCell(4, 5, device="meta")
    assert cell.kernel.is_meta
    lengths = torch.zeros(2, dtype=torch.int64, device="meta") if ragged else None
    outputs, _ = rc.unroll(cell, torch.zeros(2, 3, 4, device="meta"), lengths=lengths)
    assert outputs.is_meta and outputs.shape == (2, 3, 5)


OTHERS = {
    "highway": lambda: rc.HighwayWrapper(rc.GRUCell(4, 4), couple_carry_transform_gates=False),
    "attention": lambda: AttentionWrapper(
        rc.LSTMCell(7, 5), BahdanauMonotonicAttention(5, 6, 4, normalize=True), attention_layer_size=3
    ),
}


@pytest.mark.parametrize("make", [*(row.make for row in ROWS.values()), *OTHERS.values()], ids=[*ROWS, *OTHERS])
def test_made_on_meta_and_drawn_later(make: Callable[[], nn.Module]) -> None:
    """As large models are loaded: built without memory, then every module that has parameters draws its own."""
    with torch.device("meta"):
        cell = make()
    cell.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*cell.parameters(), *cell.buffers()):
            tensor.fill_(torch.nan)
    for module in cell.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert [name for name, value in cell.named_parameters() if not value.isfinite().all()] == []
    plain = dict(make().named_parameters())
    for name, value in cell.named_parameters():  # a constant is the same one
        if plain[name].numel() and (plain[name] == plain[name].flatten()[0]).all():
            assert torch.equal(value, plain[name]) or value.numel() == 1, name
