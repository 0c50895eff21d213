"""Whole models as ONNX: what a run trained, with its embeddings and output layers, batch and time free.

torch's exporter takes the model apart; where the model runs a cell over a sequence it finds one symbolic operator,
which is then replaced by what `sequences.emit` makes of that cell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

import recurra
from recurra import _nest
from recurra.cells import BaseCell
from recurra.errors import StructureError
from recurra.export.graph import Graph, trace
from recurra.export.onnx import TOLERANCE, ExportReport, OnnxCheckError, greatest_difference, save_model, session
from recurra.export.sequences import Run, emit, leaf_names, value_info
from recurra.models.classifier import Balanced, Committee, SequenceClassifier
from recurra.models.forecaster import Forecaster
from recurra.models.language import LanguageModel
from recurra.models.steps import StepClassifier
from recurra.models.tagger import Tagger, Tokens

__all__ = ["Signature", "export_model", "export_run", "signature_of"]

DOMAIN = "recurra"
CHECKS = ((3, 6), (1, 17), (5, 2))


@dataclass
class Signature:
    """How a model is called with named tensors."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    call: Callable[..., Any]
    """(*tensors) -> the outputs, flat."""
    example: Callable[[int, int, int], tuple[Tensor, ...]]
    """(batch, time, seed) -> random tensors."""
    axes: tuple[tuple[str, ...], ...] = ()
    """Names of each input's first axes, which are free."""
    out_axes: tuple[tuple[str, ...], ...] = field(default=())


def export_run(
    run: str | os.PathLike[str], path: str | os.PathLike[str], *, tolerance: float = TOLERANCE
) -> ExportReport:
    """Export the model of a trained run (its folder, a checkpoint in it, or its .safetensors)."""
    return export_model(recurra.load(run).model, path, tolerance=tolerance)


def export_model(
    model: nn.Module, path: str | os.PathLike[str], *, signature: Signature | None = None, tolerance: float = TOLERANCE
) -> ExportReport:
    """Write a model as ONNX and check it with ONNX Runtime on random input.

    signature: how it is called; known for the models of `recurra.models`.
    Raises StructureError for a model with no known signature, OnnxCheckError where the check fails (nothing is written
    then).
    """
    signature = signature or signature_of(model)
    training = model.training
    model.eval()
    try:
        operators: list[str] = []
        exported = _exported(model, signature, operators)
        worst = _check(model, signature, exported, tolerance)
    finally:
        model.train(training)
    return ExportReport((save_model(exported, path),), tuple(operators), worst, len(CHECKS))


def _exported(model: nn.Module, signature: Signature, operators: list[str]) -> onnx.ModelProto:
    free = {name: torch.export.Dim(name, min=1) for axes in signature.axes for name in axes}
    dynamic = tuple({k: free[name] for k, name in enumerate(axes)} for axes in signature.axes)
    example = signature.example(2, 3, 0)
    with torch.no_grad():
        like = signature.call(*example)
    with _symbolic_cells(model) as cells:
        traced = trace(_Caller(model, signature.call), (example,), (dynamic,))
    graph = Graph()

    def replace(node: onnx.NodeProto, inputs: list[str]) -> list[str] | None:
        if node.domain != DOMAIN:
            return None
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        count, leaves = int(attributes["inputs"]), int(attributes["leaves"])
        run = Run.start(graph, inputs[1], inputs[0])
        outputs, finals = emit(
            run, cells[int(attributes["cell"])], inputs[1 : 1 + count], inputs[1 + count : 1 + count + leaves],
            bool(attributes["reverse"]),
        )  # fmt: skip
        operators.extend(run.operators)
        return [*outputs, *finals]

    results = graph.inline(traced, list(signature.inputs), replace)
    for name, value in zip(signature.outputs, results, strict=True):
        graph.nodes.append(helper.make_node("Identity", [value], [name]))
    ins = [value_info(n, t, a) for n, t, a in zip(signature.inputs, example, signature.axes, strict=True)]
    outs = [value_info(n, t, a) for n, t, a in zip(signature.outputs, like, signature.out_axes, strict=True)]
    return graph.model(ins, outs, type(model).__name__, recurra=recurra.__version__)


class _Caller(nn.Module):
    def __init__(self, model: nn.Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.model, self.call = model, call

    def forward(self, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(self.call(*tensors))


@contextmanager
def _symbolic_cells(model: nn.Module) -> Iterator[list[BaseCell]]:
    """Inside, every cell's `unroll` is one symbolic operator; gives the list that its attribute `cell` points into."""
    cells = [module for module in model.modules() if isinstance(module, BaseCell)]
    for number, cell in enumerate(cells):
        cell.__dict__["unroll"] = _symbolic(cell, number)
    try:
        yield cells
    finally:
        for cell in cells:
            del cell.__dict__["unroll"]


def _symbolic(cell: BaseCell, number: int) -> Callable[..., Any]:
    def unroll(
        inputs: Any, state: Any, lengths: Tensor | None = None, *, reverse: bool = False, masks: Any = None, **rest: Any
    ) -> Any:
        more = [name for name, value in rest.items() if value is not None and value is not False and value != ()]
        if masks is not None or more:
            raise StructureError(f"a sequence call with {', '.join([*more, 'masks'])} is not exported")
        leaves, states = _nest.flatten(inputs), _nest.flatten(state)
        steps, batch = leaves[0].shape[:2]
        if lengths is None:
            lengths = torch.full((batch,), 1, dtype=torch.int64) * steps
        sizes = [[n] if isinstance(n, int) else list(n) for n in _nest.flatten(cell.output_size)]
        dtype = states[0].dtype
        results = torch.onnx.ops.symbolic_multi_out(
            f"{DOMAIN}::Sequence",
            [lengths.to(torch.int64), *leaves, *states],
            {"cell": number, "reverse": int(reverse), "inputs": len(leaves), "leaves": len(states)},
            dtypes=[dtype for _ in sizes] + [leaf.dtype for leaf in states],
            shapes=[[steps, batch, *size] for size in sizes] + [list(leaf.shape) for leaf in states],
            version=1,
        )
        outputs = _nest.pack_as(cell.output_size, list(results[: len(sizes)]))
        return outputs, _nest.pack_as(state, list(results[len(sizes) :]))

    return unroll


def _check(model: nn.Module, signature: Signature, exported: onnx.ModelProto, tolerance: float) -> float:
    runtime, worst = session(exported), 0.0
    for seed, (batch, time) in enumerate(CHECKS):
        tensors = signature.example(batch, time, seed)
        with torch.no_grad():
            want = signature.call(*tensors)
        names = [value.name for value in runtime.get_inputs()]
        by_name = dict(zip(signature.inputs, tensors, strict=True))
        got = runtime.run(list(signature.outputs), {name: by_name[name].numpy() for name in names})
        worst = max(worst, greatest_difference(f"the model {type(model).__name__}", got, want))
    if not worst <= tolerance:
        raise OnnxCheckError(
            f"the model {type(model).__name__}: ONNX Runtime differs by {worst:.3g}, allowed are {tolerance:g}"
        )
    return worst


# -- how the library's models are called -------------------------------------------------------------------------------


def signature_of(model: nn.Module) -> Signature:
    """The signature of one of `recurra.models`' models; StructureError for another."""
    for kind, make in _SIGNATURES.items():
        if isinstance(model, kind):
            return make(model)
    raise StructureError(
        f"{type(model).__name__} is none of recurra's models ({', '.join(k.__name__ for k in _SIGNATURES)}): "
        "give export_model its signature"
    )


def _random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _lengths(batch: int, time: int, seed: int) -> Tensor:
    lengths = torch.randint(1, time + 1, (batch,), generator=_random(seed + 100))
    lengths[0] = time
    return lengths


def _classifier(model: SequenceClassifier | Committee | Balanced) -> Signature:
    one = next(part for part in model.modules() if isinstance(part, SequenceClassifier))
    features = one.encoder.forward_stack.input_size
    classes = None if one.embedding is None else one.embedding.num_embeddings

    def example(batch: int, time: int, seed: int) -> tuple[Tensor, ...]:
        if classes is None:
            inputs = torch.randn(batch, time, features, generator=_random(seed))
        else:
            inputs = torch.randint(0, classes, (batch, time), generator=_random(seed))
        return inputs, _lengths(batch, time, seed)

    return Signature(
        ("inputs", "lengths"), ("logits",), lambda inputs, lengths: (model(inputs, lengths),), example,
        (("batch", "time"), ("batch",)), (("batch",),),
    )  # fmt: skip


def _stateful(model: LanguageModel | StepClassifier) -> Signature:
    """Models whose state goes in and comes out: a call with one step is the step model."""
    sizes = model.stack.state_size
    names = leaf_names(sizes, "state")

    def call(inputs: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        logits, final = model(inputs, _nest.pack_as(sizes, list(state)))
        return logits, *_nest.flatten(final)

    def example(batch: int, time: int, seed: int) -> tuple[Tensor, ...]:
        if isinstance(model, LanguageModel):
            inputs = torch.randint(0, model.embedding.num_embeddings, (batch, time), generator=_random(seed))
        else:
            inputs = torch.randn(batch, time, model.stack.input_size, generator=_random(seed))
        state = [0.5 * torch.randn(leaf.shape, generator=_random(seed + k)) for k, leaf in
                 enumerate(_nest.flatten(model.initial_state(batch)))]  # fmt: skip
        return inputs, *state

    states = [("batch",)] * len(names)
    return Signature(
        ("inputs", *names), ("logits", *(f"final_{name}" for name in names)), call, example,
        (("batch", "time"), *states), (("batch", "time"), *states),
    )  # fmt: skip


def _forecaster(model: Forecaster) -> Signature:
    features = model.encoder.forward_stack.input_size
    return Signature(
        ("inputs",), ("forecast",), lambda windows: (model(windows),),
        lambda batch, time, seed: (torch.randn(batch, time, features, generator=_random(seed)),),
        (("batch", "time"),), (("batch",),),
    )  # fmt: skip


def _tagger(model: Tagger) -> Signature:
    """Scores, and the transitions where there are some: the best path is found outside (`recurra.crf.viterbi`)."""
    letters = model.characters

    def call(words: Tensor, lengths: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        characters, word_lengths = rest if rest else (words.unsqueeze(-1), torch.ones_like(words))
        scores = model(Tokens(words, characters, word_lengths, lengths))
        return scores, *(() if model.transitions is None else (model.transitions * 1,))

    def example(batch: int, time: int, seed: int) -> tuple[Tensor, ...]:
        draw = _random(seed)
        words = torch.randint(1, model.words.num_embeddings, (batch, time), generator=draw)
        basic = words, _lengths(batch, time, seed)
        if letters is None:
            return basic
        longest = 4 + seed
        characters = torch.randint(1, letters.num_embeddings, (batch, time, longest), generator=draw)
        return *basic, characters, torch.randint(1, longest + 1, (batch, time), generator=draw)

    spelled = letters is not None
    inputs = ("inputs", "lengths", *(("characters", "word_lengths") if spelled else ()))
    axes = (("batch", "time"), ("batch",), *((("batch", "time", "letters"), ("batch", "time")) if spelled else ()))
    chained = model.transitions is not None
    outputs = ("scores", *(("transitions",) if chained else ()))
    return Signature(inputs, outputs, call, example, axes, (("batch", "time"), *(((),) if chained else ())))


_SIGNATURES: dict[type[nn.Module], Callable[[Any], Signature]] = {
    SequenceClassifier: _classifier,
    Committee: _classifier,
    Balanced: _classifier,
    LanguageModel: _stateful,
    StepClassifier: _stateful,
    Forecaster: _forecaster,
    Tagger: _tagger,
}
