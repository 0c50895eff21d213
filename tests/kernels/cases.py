"""The recurrences under test, and both roads of a call side by side."""

from typing import NamedTuple

import torch

import recurra as rc
from recurra import _nest
from recurra.kernels import StateDropout, Zoneout, dispatch

CELLS = {
    "rnn": lambda I, H: rc.RNNCell(I, H),
    "rnn_relu": lambda I, H: rc.RNNCell(I, H, activation="relu"),
    "rnn_sigmoid": lambda I, H: rc.RNNCell(I, H, activation="sigmoid"),
    "lstm": lambda I, H: rc.LSTMCell(I, H),
    "lstm_peepholes": lambda I, H: rc.LSTMCell(I, H, peepholes=True),
    "lstm_clip": lambda I, H: rc.LSTMCell(I, H, cell_clip=0.3),
    "lstm_all": lambda I, H: rc.LSTMCell(I, H, peepholes=True, cell_clip=0.4, forget_bias=0.3),
    "gru": lambda I, H: rc.GRUCell(I, H),
    "gru_after": lambda I, H: rc.GRUCell(I, H, reset="after"),
}

SMOOTH = [name for name in CELLS if name not in ("rnn_relu", "lstm_clip", "lstm_all")]
"""Without kinks: at a kink, the last bit of a sum decides about a whole gradient."""


class Case(NamedTuple):
    cell: rc.BaseCell
    inputs: torch.Tensor
    state: object
    lengths: torch.Tensor | None
    reverse: bool
    after: tuple = ()


def wrap(case, kinds, seed=0):
    """The case with zoneout and state dropout in its recurrence: `kinds` names them in order."""
    generator = torch.Generator().manual_seed(seed)
    T, B = case.inputs.shape[:2]

    def masks(kind, leaf):
        full = (T if "step" in kind else 1, B if "row" in kind else 1, leaf.shape[-1])
        noise = torch.rand(full, generator=generator, dtype=leaf.dtype)
        return noise if "rate" in kind else (noise < 0.5).to(leaf.dtype)

    after = []
    for kind in kinds:
        parts = _nest.map_leaves(lambda leaf, kind=kind: masks(kind, leaf), case.state)
        if "only" in kind and not isinstance(parts, torch.Tensor):
            parts = type(parts)(None, parts.h)
        after.append(Zoneout(parts, emit="silent" not in kind) if "zoneout" in kind else StateDropout(parts))
    return case._replace(after=tuple(after))


def make(name, T, B, I, H, *, lengths=None, reverse=False, layout="time", dtype=torch.float32, seed=0):
    """A call with random parameters, biases and states; NaN in the padding; `layout`: how the inputs lie in memory."""
    torch.manual_seed(seed)
    cell = CELLS[name](I, H).to(dtype)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    shape = {"time": (T, B, I), "batch": (B, T, I), "wide": (T, B, I + 3), "strided": (T, B, I, 2)}[layout]
    inputs = torch.randn(shape, dtype=dtype)
    inputs = {
        "time": lambda: inputs,
        "batch": lambda: inputs.transpose(0, 1),
        "wide": lambda: inputs[..., 2 : I + 2],
        "strided": lambda: inputs[..., 1],
    }[layout]()
    if lengths is not None:
        for row, length in enumerate(lengths.tolist()):
            inputs[length:, row] = float("nan")
    state = _nest.map_leaves(torch.randn_like, cell.initial_state(B))
    return Case(cell, inputs, state, lengths, reverse)


def results(case, road):
    """Outputs, final states and all gradients of one road, as a dict."""
    inputs = case.inputs.detach().requires_grad_()
    state = _nest.map_leaves(lambda leaf: leaf.clone().requires_grad_(), case.state)
    parameters = dict(case.cell.named_parameters())
    outputs, final = road(
        case.cell.recurrence,
        case.cell.params(),
        inputs,
        state,
        case.lengths,
        options=case.cell.options,
        reverse=case.reverse,
        after=case.after,
    )
    finals = _nest.flatten(final)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (value * torch.randn(value.shape, generator=generator, dtype=value.dtype)).sum() for value in (outputs, *finals)
    )
    leaves = [inputs, *_nest.flatten(state), *parameters.values()]
    grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    names = ["inputs", *(f"state{i}" for i in range(len(finals))), *parameters]
    found = {"outputs": outputs, **{f"final{i}": leaf for i, leaf in enumerate(finals)}}
    return {**found, **{f"d {name}": grad for name, grad in zip(names, grads, strict=True)}}


def kernel(case):
    return results(case, dispatch.run_kernel)


def plain(case):
    return results(case, dispatch._plain)


def assert_same(found, expected, tolerance=1e-5):
    """Within tolerance * max(1, |expected|), NaN and inf included; `found` must have all that `expected` has."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = value[value.isfinite()].abs().max().clamp(min=1).item() if value.isfinite().any() else 1.0
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=tolerance * scale, equal_nan=True, msg=lambda text, n=name: f"{n}: {text}"
        )
