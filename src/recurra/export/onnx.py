"""Cells as ONNX: a model for sequences and one for single steps, checked with ONNX Runtime when they are made.

    report = export_onnx(cell, "model.onnx")         # writes model.onnx and model.step.onnx
    print(report)

The sequence model takes `inputs [batch, time, …]`, `lengths [batch]` int64 and the state's parts, and gives `outputs`
and the final state's parts, so that a stream can be carried on; batch and time are free. The step model is one step of
the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

import recurra
from recurra import _nest, errors
from recurra._files import write_bytes
from recurra.attention.wrapper import AttentionWrapper
from recurra.cells import BaseCell
from recurra.errors import StructureError
from recurra.export.graph import Graph
from recurra.export.sequences import Run, emit, example_inputs, example_state, leaf_names, traced_step, value_info
from recurra.loops import unroll

__all__ = [
    "ExportReport",
    "OnnxCheckError",
    "check_cell",
    "export_onnx",
    "greatest_difference",
    "save_model",
    "sequence_model",
    "session",
    "step_model",
]

TOLERANCE = 1e-5
# (batch, time, lengths): ragged rows with an empty one, a single long row, a single step
CHECKS: tuple[tuple[int, int, tuple[int, ...]], ...] = ((4, 7, (7, 3, 0, 5)), (1, 33, (33,)), (3, 1, (1, 0, 1)))


class OnnxCheckError(errors.RecurraError):
    """The exported model does not compute what the module computes."""


@dataclass(frozen=True)
class ExportReport:
    """What was written and how far ONNX Runtime's results are from torch's."""

    files: tuple[str, ...]
    operators: tuple[str, ...]
    difference: float
    """Greatest |onnx - torch| / max(1, |torch|) over all checks, outputs and states."""
    checks: int

    def __str__(self) -> str:
        lines = [f"wrote {file}" for file in self.files] + [f"  {operator}" for operator in self.operators]
        return "\n".join(
            [*lines, f"ONNX Runtime agrees on {self.checks} random runs: greatest difference {self.difference:.2g}"]
        )


def export_onnx(cell: BaseCell, path: str | os.PathLike[str], *, tolerance: float = TOLERANCE) -> ExportReport:
    """Write `<path>` (sequences) and `<stem>.step.onnx` (one step), and check both with ONNX Runtime.

    The cell is exported in evaluation mode. Raises OnnxCheckError where a check fails (nothing is written then),
    ValueError where a cell has no example input to be traced with, StructureError for an AttentionWrapper.
    """
    if any(isinstance(module, AttentionWrapper) for module in cell.modules()):
        raise StructureError("AttentionWrapper reads a memory that comes with the batch; it is not exported to ONNX")
    training = cell.training
    cell.eval()
    try:
        traced = traced_step(cell)
        operators: list[str] = []
        sequence, step = sequence_model(cell, operators, traced), step_model(cell, traced)
        difference, checks = check_cell(cell, sequence, step, tolerance)
    finally:
        cell.train(training)
    target = Path(path)
    files = save_model(sequence, target), save_model(step, target.with_suffix(".step.onnx"))
    return ExportReport(files, tuple(operators), difference, checks)


def sequence_model(
    cell: Any, operators: list[str] | None = None, traced: onnx.ModelProto | None = None
) -> onnx.ModelProto:
    """The model for sequences, batch first; `operators` is told what cells become, `traced` is the step."""
    graph = Graph()
    x = _nest.flatten(example_inputs(cell, (2, 3)))
    state = _nest.flatten(example_state(cell, 2))
    input_names, state_names = _names("inputs", len(x)), leaf_names(cell.state_size, "state")
    time_major = [
        graph.add("Transpose", [n], perm=_swapped(leaf.dim())) for n, leaf in zip(input_names, x, strict=True)
    ]
    run = Run.start(graph, time_major[0], "lengths")
    if traced is not None:
        run.steps[id(cell)] = traced
    outputs, finals = emit(run, cell, time_major, state_names, reverse=False)
    if operators is not None:
        operators += run.operators
    with torch.no_grad():
        like = _nest.flatten(unroll(cell, example_inputs(cell, (2, 3)))[0])
    out_names, final_names = _names("outputs", len(outputs)), [f"final_{name}" for name in state_names]
    for name, value, leaf in zip(out_names, outputs, like, strict=True):
        _rename(graph, graph.add("Transpose", [value], perm=_swapped(leaf.dim())), name)
    for name, value in zip(final_names, finals, strict=True):
        _rename(graph, graph.add("Identity", [value]), name)
    ins = [value_info(n, leaf, ("batch", "time")) for n, leaf in zip(input_names, x, strict=True)]
    ins.append(value_info("lengths", torch.empty(2, dtype=torch.int64), ("batch",)))
    ins += [value_info(n, leaf, _batch_axis(leaf)) for n, leaf in zip(state_names, state, strict=True)]
    outs = [value_info(n, leaf, ("batch", "time")) for n, leaf in zip(out_names, like, strict=True)]
    outs += [value_info(n, leaf, _batch_axis(leaf)) for n, leaf in zip(final_names, state, strict=True)]
    return graph.model(ins, outs, "sequence", **_about(cell))


def step_model(cell: BaseCell, traced: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """The model for single steps."""
    graph, traced = Graph(), traced or traced_step(cell)
    state_names = leaf_names(cell.state_size, "state")
    x, state = _nest.flatten(example_inputs(cell, (2,))), _nest.flatten(example_state(cell, 2))
    input_names = _names("inputs", len(x))
    results = graph.inline(traced, [*input_names, *state_names])
    out_names = _names("outputs", len(results) - len(state))
    for name, value in zip([*out_names, *(f"final_{n}" for n in state_names)], results, strict=True):
        _rename(graph, graph.add("Identity", [value]), name)
    with torch.no_grad():
        like = _nest.flatten(cell(example_inputs(cell, (2,)), cell.initial_state(2))[0])
    ins = [value_info(n, leaf, ("batch",)) for n, leaf in zip(input_names, x, strict=True)]
    ins += [value_info(n, leaf, _batch_axis(leaf)) for n, leaf in zip(state_names, state, strict=True)]
    outs = [value_info(n, leaf, ("batch",)) for n, leaf in zip(out_names, like, strict=True)]
    outs += [value_info(f"final_{n}", leaf, _batch_axis(leaf)) for n, leaf in zip(state_names, state, strict=True)]
    return graph.model(ins, outs, "step", **_about(cell))


def _names(stem: str, count: int) -> list[str]:
    return [stem] if count == 1 else [f"{stem}_{k}" for k in range(count)]


def _swapped(rank: int) -> list[int]:
    return [1, 0, *range(2, rank)]


def _batch_axis(leaf: Tensor) -> tuple[str, ...]:
    return () if leaf.dim() == 0 else ("batch",)


def _rename(graph: Graph, value: str, name: str) -> None:
    """Give the last node's output its public name."""
    assert graph.nodes[-1].output[0] == value
    graph.nodes[-1].output[0] = name


def _about(cell: BaseCell) -> dict[str, str]:
    return {"recurra": recurra.__version__, "cell": repr(cell)}


# -- the check ---------------------------------------------------------------------------------------------------------


def check_cell(
    cell: Any, sequence: onnx.ModelProto, step: onnx.ModelProto, tolerance: float = TOLERANCE
) -> tuple[float, int]:
    """Run both models in ONNX Runtime on random inputs; (greatest difference, runs), or OnnxCheckError."""
    run_sequence, run_step = session(sequence), session(step)
    worst = 0.0
    for seed, (batch, time, rows) in enumerate(CHECKS):
        x, state = example_inputs(cell, (batch, time), seed), example_state(cell, batch, seed + 10)
        lengths = torch.tensor(rows)
        with torch.no_grad():
            outputs, final = unroll(cell, x, state, lengths=lengths)
            first, after = cell(_nest.map_leaves(lambda leaf: leaf[:, 0], x), state)
        flat_x, flat_state = _nest.flatten(x), _nest.flatten(state)
        got = run_sequence.run(None, _feed(run_sequence, [*flat_x, lengths, *flat_state]))
        worst = max(worst, _apart("sequence", cell, got, [*_nest.flatten(outputs), *_nest.flatten(final)], tolerance))
        got = run_step.run(None, _feed(run_step, [*(leaf[:, 0] for leaf in flat_x), *flat_state]))
        worst = max(worst, _apart("step", cell, got, [*_nest.flatten(first), *_nest.flatten(after)], tolerance))
    return worst, 2 * len(CHECKS)


def session(model: onnx.ModelProto) -> Any:
    """An ONNX Runtime session of a model in memory, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _feed(session: Any, tensors: Sequence[Tensor]) -> dict[str, np.ndarray]:
    names = [value.name for value in session.get_inputs()]
    return {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}


def _apart(what: str, cell: BaseCell, got: Sequence[np.ndarray], want: Sequence[Tensor], tolerance: float) -> float:
    name = f"{what} model of {type(cell).__name__}"
    worst = greatest_difference(name, got, want)
    if not worst <= tolerance:
        raise OnnxCheckError(f"{name}: ONNX Runtime differs by {worst:.3g}, allowed are {tolerance:g}")
    return worst


def greatest_difference(name: str, got: Sequence[np.ndarray], want: Sequence[Tensor]) -> float:
    """max |got - want| / max(1, |want|) over all outputs; OnnxCheckError where a shape differs."""
    worst = 0.0
    for place, (a, b) in enumerate(zip(got, want, strict=True)):
        if a.shape != tuple(b.shape):
            raise OnnxCheckError(f"{name}: output {place} is {a.shape}, torch's {tuple(b.shape)}")
        apart = np.abs(a - b.numpy()) / np.maximum(1, np.abs(b.numpy()))
        if not np.isfinite(apart).all():
            raise OnnxCheckError(f"{name}: output {place} is not finite where torch's is, or the other way round")
        worst = max(worst, float(apart.max(initial=0)))
    return worst


def save_model(model: onnx.ModelProto, path: str | os.PathLike[str]) -> str:
    """Write a model atomically; returns the file's name."""
    name = os.fspath(path)
    write_bytes(name, model.SerializeToString())
    return name
