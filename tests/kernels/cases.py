"""The recurrences under test, and both roads of a call side by side."""

import copy
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
    "lstm_projection": lambda I, H: rc.LSTMCell(I, H, projection_size=H // 2 + 1),
    "lstm_wider": lambda I, H: rc.LSTMCell(I, H, peepholes=True, projection_size=H + 3, activation="softsign"),
    "lstm_projection_all": lambda I, H: rc.LSTMCell(
        I, H, peepholes=True, cell_clip=0.5, projection_size=H, projection_clip=0.3
    ),
    "coupled": lambda I, H: rc.CoupledInputForgetGateLSTMCell(I, H),
    "coupled_all": lambda I, H: rc.CoupledInputForgetGateLSTMCell(I, H, peepholes=True, projection_size=H // 2 + 1),
    "coupled_norm": lambda I, H: rc.CoupledInputForgetGateLSTMCell(I, H, peepholes=True, layer_norm=True),
    "layer_norm": lambda I, H: rc.LayerNormLSTMCell(I, H),
    "layer_norm_peepholes": lambda I, H: rc.LayerNormLSTMCell(I, H, peepholes=True, projection_size=H // 2 + 1),
    "layer_norm_all": lambda I, H: rc.LayerNormLSTMCell(
        I, H, peepholes=True, cell_clip=0.5, projection_size=H // 2 + 1, projection_clip=0.3, activation="relu"
    ),
    "layer_norm_off": lambda I, H: rc.LayerNormLSTMCell(I, H, peepholes=True, layer_norm=False),
    "layer_norm_basic": lambda I, H: rc.LayerNormBasicLSTMCell(I, H, activation="sigmoid"),
    "gru": lambda I, H: rc.GRUCell(I, H),
    "gru_softsign": lambda I, H: rc.GRUCell(I, H, activation="softsign"),
    "gru_after_sigmoid": lambda I, H: rc.GRUCell(I, H, reset="after", activation="sigmoid"),
    "gru_after": lambda I, H: rc.GRUCell(I, H, reset="after"),
}

SMOOTH = [name for name in CELLS if not name.endswith(("relu", "clip", "_all"))] + ["coupled_all"]
"""Without kinks: at a kink, the last bit of a sum decides about a whole gradient."""

FEW = ["rnn", "lstm", "lstm_all", "lstm_projection", "coupled", "layer_norm", "gru", "gru_after"]
"""One of each kernel, for what all cells have from the engine they share."""


class Case(NamedTuple):
    cell: rc.BaseCell
    inputs: torch.Tensor
    state: object
    lengths: torch.Tensor | None
    reverse: bool
    call: dict = {}
    """Further arguments of a sequence call."""


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
    return case._replace(call={**case.call, "after": tuple(after)})


def drop_candidates(case, kind, seed=0):
    """The case with recurrent dropout: `kind` says whether masks differ by step and by row."""
    generator = torch.Generator().manual_seed(seed)
    T, B = case.inputs.shape[:2]
    full = (T if "step" in kind else 1, B if "row" in kind else 1, case.cell.hidden_size)
    noise = torch.rand(full, generator=generator, dtype=case.inputs.dtype)
    return case._replace(call={**case.call, "masks": (noise < 0.7).to(noise.dtype) / 0.7})


def restart(case, seed=0):
    """The case with rows that start anew here and there, from a state of their own."""
    generator = torch.Generator().manual_seed(seed)
    resets = torch.rand(case.inputs.shape[:2], generator=generator) < 0.3
    anew = _nest.map_leaves(lambda leaf: torch.rand(leaf.shape, generator=generator, dtype=leaf.dtype), case.state)
    return case._replace(call={**case.call, "resets": resets, "reset_state": anew})


def give_states(case):
    """The case with all states among its results."""
    return case._replace(call={**case.call, "return_states": True})


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
    call, anew = dict(case.call), []
    if "resets" in call:
        call["reset_state"] = _nest.map_leaves(lambda leaf: leaf.clone().requires_grad_(), call["reset_state"])
        anew = _nest.flatten(call["reset_state"])
    outputs, final, *every = road(
        case.cell.recurrence,
        case.cell.params(),
        inputs,
        state,
        case.lengths,
        options=case.cell.options,
        reverse=case.reverse,
        **call,
    )
    finals = [leaf for part in (final, *every) for leaf in _nest.flatten(part)]
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (value * torch.randn(value.shape, generator=generator, dtype=value.dtype)).sum() for value in (outputs, *finals)
    )
    leaves = [inputs, *_nest.flatten(state), *anew, *parameters.values()]
    grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    starts = len(leaves) - len(parameters) - 1
    names = ["inputs", *(f"state{i}" for i in range(starts)), *parameters]
    found = {"outputs": outputs, **{f"final{i}": leaf for i, leaf in enumerate(finals)}}
    return {**found, **{f"d {name}": grad for name, grad in zip(names, grads, strict=True)}}


def kernel(case):
    return results(case, dispatch.run_kernel)


def plain(case):
    return results(case, dispatch._plain)


def assert_same(found, expected, tolerance=1e-5, conditioning=None):
    """Within tolerance * max(1, |expected|), NaN and inf included; `found` must have all that `expected` has.

    `conditioning` allows for more, by result.
    """
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = value[value.isfinite()].abs().max().clamp(min=1).item() if value.isfinite().any() else 1.0
        allowed = tolerance * scale + (0 if conditioning is None else conditioning[name])
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=allowed, equal_nan=True, msg=lambda text, n=name: f"{n}: {text}"
        )


def assert_kernel_equals_plain(case):
    """The kernel's results are the plain loop's.

    A norm over a few units that happen to be close to each other magnifies the last bits of a sum without bound. There
    both are held against the loop in float64: the kernel may be further from it than the loop in float32 is by what it
    may differ from the loop elsewhere.
    """
    expected = plain(case)
    if "norm" not in type(case.cell).__name__.lower():
        assert_same(kernel(case), expected)
        return
    exact = plain(to_double(case))
    errors = {name: (exact[name] - value).abs().nan_to_num() for name, value in expected.items()}
    conditioning = {name: error.max().item() if error.numel() else 0.0 for name, error in errors.items()}
    assert_same({name: value.double() for name, value in kernel(case).items()}, exact, conditioning=conditioning)


def to_double(case):
    """The same call in float64."""

    def double(value):
        if isinstance(value, torch.Tensor):
            return value.double() if value.is_floating_point() else value
        if hasattr(value, "_fields"):
            return type(value)(*map(double, value))
        return tuple(map(double, value)) if isinstance(value, tuple) else value

    call = {name: double(value) for name, value in case.call.items()}
    return case._replace(
        cell=copy.deepcopy(case.cell).double(), inputs=case.inputs.double(), state=double(case.state), call=call
    )
