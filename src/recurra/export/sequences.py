"""A cell over a sequence as ONNX: its own operator for plain LSTM, GRU and RNN, else a Scan over the traced step.

Everything is time-major. Past a row's length outputs are zero and states stay, by selection, as in `recurra.unroll`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from recurra import _nest
from recurra._typing import SCALAR
from recurra.cells import BaseCell, DropoutWrapper, GRUCell, LSTMCell, RNNCell, StackedCells
from recurra.cells.wrapper import Wrapper
from recurra.export.graph import Graph, element_type, trace

__all__ = ["Run", "emit", "example_inputs", "example_state", "leaf_names", "native_reason"]

_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "softsign": "Softsign", "softplus": "Softplus"}
_BATCH = torch.export.Dim("batch", min=1)
_TIME = torch.export.Dim("time", min=1)


@dataclass
class Run:
    """The surroundings of one sequence call: lengths `[B]` int64 and which steps run, `[T, B]` bool."""

    graph: Graph
    lengths: str
    valid: str
    operators: list[str]
    """What each cell became, for the report."""
    steps: dict[int, onnx.ModelProto] = field(default_factory=dict)
    """Traced steps by the cell's id: tracing takes seconds, and the step model wants the same."""

    @classmethod
    def start(cls, graph: Graph, inputs: str, lengths: str) -> Self:
        """Derive `valid` from a time-major input's first axis."""
        steps = graph.add("Squeeze", [graph.add("Shape", [inputs], start=0, end=1), graph.constant(np.array([0]))])
        count = graph.add("Range", [graph.constant(np.int64(0)), steps, graph.constant(np.int64(1))])
        column = graph.add("Unsqueeze", [count, graph.constant(np.array([1]))])
        row = graph.add("Unsqueeze", [lengths, graph.constant(np.array([0]))])
        return cls(graph, lengths, graph.add("Less", [column, row]), [])

    def masked(self, value: str, rank: int) -> str:
        """A time-major value with zeros past each row's end."""
        valid = self.valid
        if rank > 2:
            valid = self.graph.add("Unsqueeze", [valid, self.graph.constant(np.arange(2, rank))])
        zero = self.graph.add("CastLike", [self.graph.constant(np.float32(0)), value])
        return self.graph.add("Where", [valid, value, zero])


def emit(run: Run, cell: Any, inputs: list[str], state: list[str], reverse: bool) -> tuple[list[str], list[str]]:
    """Append a cell's run over a sequence; returns (outputs, final state), leaf by leaf."""
    if isinstance(cell, StackedCells):
        return _emit_stack(run, cell, inputs, state, reverse)
    if isinstance(cell, DropoutWrapper):
        return emit(run, cell.cell, inputs, state, reverse)
    if native_reason(cell) is None:
        run.operators.append(f"{type(cell).__name__}: {_OPERATORS[type(cell)]}")
        return _emit_native(run, cell, inputs[0], state, reverse)
    if isinstance(cell, Wrapper) and _around_only(cell) and _has_native(cell.cell):
        return _emit_around(run, cell, inputs, state, reverse)
    run.operators.append(f"{_label(cell)}: Scan ({native_reason(cell)})")
    return _emit_scan(run, cell, inputs, state, reverse)


def _label(cell: BaseCell) -> str:
    return type(cell).__name__ + (f"({_label(cell.cell)})" if isinstance(cell, Wrapper) else "")


def _emit_stack(
    run: Run, stack: StackedCells, inputs: list[str], state: list[str], reverse: bool
) -> tuple[list[str], list[str]]:
    finals: list[str] = []
    for cell in stack.cells:
        count = len(_nest.flatten(cell.state_size))
        inputs, final = emit(run, cell, inputs, state[:count], reverse)
        state, finals = state[count:], finals + final
    return inputs, finals


# -- ONNX's own operators ----------------------------------------------------------------------------------------------

_OPERATORS: dict[type, str] = {LSTMCell: "LSTM", GRUCell: "GRU", RNNCell: "RNN"}


def native_reason(cell: Any) -> str | None:
    """Why a cell is no operator of ONNX's own; None where it is one."""
    if type(cell) not in _OPERATORS:
        return "no operator of ONNX's own"
    options = cell.options
    if _dtype(cell) is not torch.float32:
        return f"ONNX Runtime's operators are not {str(_dtype(cell)).removeprefix('torch.')}"
    if options.activation not in _ACTIVATIONS:
        return f"ONNX has no activation {options.activation!r}"
    if isinstance(cell, LSTMCell):
        if options.cell_clip is not None:
            return "ONNX's clip acts on the gates, cell_clip on the memory"
        if cell.output_size != cell.hidden_size:
            return "ONNX's LSTM has no projection"
    return None


def _blocks(values: Tensor, count: int, order: Sequence[int]) -> Tensor:
    """Column blocks in another order."""
    parts = values.chunk(count, -1)
    return torch.cat([parts[k] for k in order], -1)


def _native_weights(cell: Any) -> tuple[Tensor, Tensor, Tensor, dict[str, Any], Tensor | None]:
    """W `[G*H, I]`, R `[G*H, H]`, B `[2*G*H]`, attributes, peepholes `[3*H]`, in ONNX's order of gates."""
    params, activation = cell.params(), _ACTIVATIONS[cell.options.activation]
    width = cell.input_size
    if isinstance(cell, LSTMCell):
        order = (0, 3, 2, 1)  # i, j, f, o -> i, o, f, c
        kernel, bias = _blocks(params.kernel, 4, order), params.bias.clone()
        bias[2 * cell.hidden_size : 3 * cell.hidden_size] += cell.options.forget_bias
        bias = _blocks(bias, 4, order)
        peepholes = torch.cat([params.w_i_diag, params.w_o_diag, params.w_f_diag]) if cell.peepholes else None
        return kernel[:width].T, kernel[width:].T, torch.cat([bias, torch.zeros_like(bias)]), {
            "activations": ["Sigmoid", activation, activation]
        }, peepholes  # fmt: skip
    if isinstance(cell, RNNCell):
        bias = torch.cat([params.bias, torch.zeros_like(params.bias)])
        return params.kernel[:width].T, params.kernel[width:].T, bias, {"activations": [activation]}, None
    gates, gates_bias = _blocks(params.gates_kernel, 2, (1, 0)), _blocks(params.gates_bias, 2, (1, 0))  # r, u -> z, r
    after = isinstance(cell, GRUCell) and cell.reset == "after"
    inner, hidden, inner_bias, hidden_bias = (
        (params.input_kernel, params.hidden_kernel, params.input_bias, params.hidden_bias)
        if after
        else (params.candidate_kernel[:width], params.candidate_kernel[width:], params.candidate_bias, None)
    )
    hidden_bias = torch.zeros_like(inner_bias) if hidden_bias is None else hidden_bias
    W, R = torch.cat([gates[:width], inner], 1).T, torch.cat([gates[width:], hidden], 1).T
    B = torch.cat([gates_bias, inner_bias, torch.zeros_like(gates_bias), hidden_bias])
    return W, R, B, {"activations": ["Sigmoid", activation], "linear_before_reset": int(after)}, None


def _emit_native(run: Run, cell: BaseCell, inputs: str, state: list[str], reverse: bool) -> tuple[list[str], list[str]]:
    graph, first = run.graph, run.graph.constant(np.array([0]))
    with torch.no_grad():
        W, R, B, attributes, peepholes = _native_weights(cell)
    weights = [graph.constant(value.unsqueeze(0).contiguous(), stem) for value, stem in ((W, "W"), (R, "R"), (B, "B"))]
    lengths = graph.add("Cast", [run.lengths], to=onnx.TensorProto.INT32)
    c, h = (state[0], state[1]) if isinstance(cell, LSTMCell) else (None, state[0])
    operands = [inputs, *weights, lengths, graph.add("Unsqueeze", [h, first])]
    if c is not None:
        operands.append(graph.add("Unsqueeze", [c, first]))
        if peepholes is not None:
            operands.append(graph.constant(peepholes.unsqueeze(0), "P"))
    results = graph.add(
        _OPERATORS[type(cell)], operands, 3 if c is not None else 2, hidden_size=int(_nest.flatten(cell.state_size)[0]),
        direction="reverse" if reverse else "forward", **attributes,
    )  # fmt: skip
    outputs = run.masked(graph.add("Squeeze", [results[0], graph.constant(np.array([1]))]), 3)
    finals = [graph.add("Squeeze", [value, first]) for value in results[1:]]
    # A row of length 0 keeps its state; runtimes differ on it, so it is said.
    empty = graph.add(
        "Unsqueeze", [graph.add("Equal", [run.lengths, graph.constant(np.int64(0))]), graph.constant(np.array([1]))]
    )
    finals = [
        graph.add("Where", [empty, old, new]) for old, new in zip([h] if c is None else [h, c], finals, strict=True)
    ]
    return [outputs], finals if c is None else [finals[1], finals[0]]


# -- wrappers that act before and behind a cell only -------------------------------------------------------------------


def _around_only(cell: Wrapper) -> bool:
    """Whether a wrapper does nothing inside the recurrence (and so can act on whole sequences)."""
    own = type(cell)
    return own.within is Wrapper.within and own.forward is Wrapper.forward and own.unroll is Wrapper.unroll


def _has_native(cell: Any) -> bool:
    if isinstance(cell, StackedCells):
        return any(_has_native(inner) for inner in cell.cells)
    return native_reason(cell) is None or (isinstance(cell, Wrapper) and _has_native(cell.cell))


class _Before(nn.Module):
    def __init__(self, cell: Wrapper) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Any) -> Any:
        return self.cell.before(inputs, None)


class _Behind(_Before):
    def forward(self, inputs: Any, outputs: Any) -> Any:  # type: ignore[override]
        return self.cell.behind(inputs, outputs, None)


def _emit_around(
    run: Run, cell: Wrapper, inputs: list[str], state: list[str], reverse: bool
) -> tuple[list[str], list[str]]:
    outer, inner = inputs, inputs
    free = {0: _TIME, 1: _BATCH}
    example = example_inputs(cell, (3, 2))
    if type(cell).before is not Wrapper.before:
        model = trace(_Before(cell), (example,), (_nest.map_leaves(lambda _: free, example),))
        inner = run.graph.inline(model, inputs)
        run.operators.append(f"{type(cell).__name__}: in front of")
    outputs, finals = emit(run, cell.cell, inner, state, reverse)
    if type(cell).behind is not Wrapper.behind:
        like = torch.zeros(3, 2, cell.cell.output_size, dtype=_dtype(cell))
        model = trace(_Behind(cell), (example, like), (_nest.map_leaves(lambda _: free, example), free))
        kept = _used_inputs(model, [*outer, *outputs])
        outputs = run.graph.inline(model, kept)
        run.operators.append(f"{type(cell).__name__}: behind")
        if cell.fills_padding:
            outputs = [run.masked(value, 3) for value in outputs]
    return outputs, finals


def _used_inputs(model: onnx.ModelProto, inputs: list[str]) -> list[str]:
    """The exporter keeps unused inputs, in order."""
    if len(model.graph.input) != len(inputs):
        raise ValueError(f"the traced graph has {len(model.graph.input)} inputs, expected {len(inputs)}")
    return inputs


# -- everything else: a Scan over the traced step ----------------------------------------------------------------------


class Step(nn.Module):
    """One step of a cell on flat leaves."""

    def __init__(self, cell: BaseCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: list[Tensor], state: list[Tensor]) -> tuple[Tensor, ...]:
        x = _nest.pack_as(self.cell.input_size, inputs) if len(inputs) > 1 else inputs[0]
        output, new = self.cell(x, _nest.pack_as(self.cell.state_size, state))
        # An identity apart: a value that is output and state at once must have two names.
        return (*_nest.flatten(output), *(leaf + torch.zeros((), dtype=leaf.dtype) for leaf in _nest.flatten(new)))


def traced_step(cell: BaseCell) -> onnx.ModelProto:
    """The step with a free batch axis: input leaves, state leaves -> output leaves, state leaves."""
    inputs = _nest.flatten(example_inputs(cell, (2,)))
    state = _nest.flatten(example_state(cell, 2))
    free = [{0: _BATCH} for _ in inputs], [None if leaf.dim() == 0 else {0: _BATCH} for leaf in state]
    return trace(Step(cell), (inputs, state), free)


def _emit_scan(
    run: Run, cell: BaseCell, inputs: list[str], state: list[str], reverse: bool
) -> tuple[list[str], list[str]]:
    if id(cell) not in run.steps:
        run.steps[id(cell)] = traced_step(cell)
    model, body = run.steps[id(cell)], Graph()
    body._count = run.graph._count + 1_000_000  # names inside differ from those outside
    types = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    ranks = [len(_shape(types[value.name])) for value in model.graph.input]
    count, leaves = len(inputs), len(state)
    olds = [body.fresh("old") for _ in state]
    xs = [body.fresh("x") for _ in inputs]
    valid = body.fresh("valid")
    results = body.inline(model, [*xs, *olds])
    outs, news = results[: len(results) - leaves], results[len(results) - leaves :]
    selected = [
        new if rank == 0 else body.add("Where", [_rows(body, valid, rank), new, old])
        for new, old, rank in zip(news, olds, ranks[count:], strict=True)
    ]
    out_values = list(model.graph.output)[: len(outs)]
    masked = []
    for out, value in zip(outs, out_values, strict=True):
        zero = body.add("CastLike", [body.constant(np.float32(0)), out])
        masked.append(body.add("Where", [_rows(body, valid, len(_shape(value))), out, zero]))
    run.graph.initializers.update(body.initializers)  # the body sees them from outside
    typed_in = [_named(types[v.name], n) for v, n in zip(model.graph.input, [*xs, *olds], strict=True)]
    flags = helper.make_tensor_value_info(valid, onnx.TensorProto.BOOL, ["batch"])
    body_graph = helper.make_graph(
        body.nodes,
        f"{type(cell).__name__}_step",
        [*typed_in[count:], *typed_in[:count], flags],
        [_named(v, n) for v, n in zip(list(model.graph.output)[len(outs) :], selected, strict=True)]
        + [_named(v, n) for v, n in zip(out_values, masked, strict=True)],
    )
    direction = int(reverse)
    run.graph._count = body._count
    results = run.graph.add(
        "Scan",
        [*state, *inputs, run.valid],
        leaves + len(outs),
        body=body_graph,
        num_scan_inputs=count + 1,
        scan_input_directions=[direction] * (count + 1),
        scan_output_directions=[direction] * len(outs),
    )
    return results[leaves:], results[:leaves]


def _rows(graph: Graph, valid: str, rank: int) -> str:
    return valid if rank == 1 else graph.add("Unsqueeze", [valid, graph.constant(np.arange(1, rank))])


def _shape(value: onnx.ValueInfoProto) -> list[Any]:
    return list(value.type.tensor_type.shape.dim)


def _named(value: onnx.ValueInfoProto, name: str) -> onnx.ValueInfoProto:
    copy = onnx.ValueInfoProto()
    copy.CopyFrom(value)
    copy.name = name
    return copy


# -- example values ----------------------------------------------------------------------------------------------------


def _dtype(cell: BaseCell) -> torch.dtype:
    return next((p.dtype for p in cell.parameters() if p.is_floating_point()), torch.get_default_dtype())


def example_inputs(cell: BaseCell, leading: tuple[int, ...], seed: int = 0) -> Any:
    """Random inputs `[*leading, …]` that a cell takes; ids where it begins with an embedding."""
    generator = torch.Generator().manual_seed(seed)
    classes = _classes(cell)
    if classes is not None:
        return torch.randint(0, classes, leading, generator=generator)
    if cell.input_size is None:
        raise ValueError(f"{_label(cell)} takes any input, so that there is none to export it with")

    def leaf(size: Any) -> Tensor:
        shape = (*leading, *([size] if isinstance(size, int) else size))
        return torch.randn(shape, generator=generator, dtype=_dtype(cell))

    return _nest.map_leaves(leaf, cell.input_size)


def _classes(cell: Any) -> int | None:
    if isinstance(cell, StackedCells):
        return _classes(cell.cells[0])
    if isinstance(cell, Wrapper):
        own = getattr(cell, "embedding", None)
        return own.shape[0] if own is not None else _classes(cell.cell)
    return None


def example_state(cell: BaseCell, batch: int, seed: int = 1) -> Any:
    """A random state, small as states are."""
    generator = torch.Generator().manual_seed(seed)

    def leaf(size: Any, zero: Tensor) -> Tensor:
        zero = zero.detach()
        if size is SCALAR or not zero.is_floating_point():
            return zero
        return zero + 0.5 * torch.randn(zero.shape, generator=generator, dtype=zero.dtype)

    return _nest.map_leaves(leaf, cell.state_size, cell.initial_state(batch))


def leaf_names(structure: Any, stem: str) -> list[str]:
    """Names for the leaves of a nest: `state`, or `state_c`, `state_0_h`, by fields and places."""
    if structure is None:
        return []
    if not _nest.is_nested(structure):
        return [stem]
    keys: Sequence[Any] = getattr(structure, "_fields", range(len(structure)))
    if isinstance(structure, dict):
        keys = sorted(structure)
        return [name for key in keys for name in leaf_names(structure[key], f"{stem}_{key}")]
    return [name for key, child in zip(keys, structure, strict=True) for name in leaf_names(child, f"{stem}_{key}")]


def value_info(name: str, tensor: Tensor, axes: Sequence[str]) -> onnx.ValueInfoProto:
    """A typed value whose first axes are free, under these names."""
    shape: list[Any] = [*axes, *tensor.shape[len(axes) :]]
    return helper.make_tensor_value_info(name, element_type(tensor.dtype), shape)
