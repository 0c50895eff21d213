"""Which model lies in a checkpoint: cells, sizes, layers, directions, embeddings, dense layers, transitions.

Names and shapes tell the structure; the graph beside it (`.meta`), where there is one, tells what no variable holds:
forget bias, activation, clips, whether time comes first. What neither tells is listed, not guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .containers import read_any
from .errors import CheckpointError
from .files import Checkpoint
from .match import partner
from .meta import CellFacts, Meta, read_meta
from .view import CELL_SCOPES, View, called_embedding, in_cell, natural_key, scope_class

__all__ = ["Architecture", "CellPart", "DensePart", "EmbeddingPart", "infer"]

_LSTM = ("basic_lstm_cell", "lstm_cell", "lstm_fused_cell", "cudnn_compatible_lstm_cell")
_GATHERS = {"Gather", "GatherV2", "ResourceGather"}
_FW_BW = re.compile(r"(^|/)(fw|bw)(?=/|$)")


@dataclass(frozen=True)
class CellPart:
    """One cell: what it is, where, how large, and with which options."""

    scope: str
    kind: str
    """The scope class of 1.15 ("lstm_cell"), whatever the program called it."""
    input_size: int | None
    hidden_size: int | None
    options: Mapping[str, Any]
    """Arguments of recurra's cell: from the variables, and from the graph where there is one."""
    layer: int
    direction: str | None
    loop: str
    """The scope of the loop around it: "rnn", "encoder/bidirectional_rnn/fw"."""
    facts: CellFacts

    def __str__(self) -> str:
        options = "".join(f", {key}={value!r}" for key, value in self.options.items())
        return f"{self.kind}({self.input_size}, {self.hidden_size}{options})"


@dataclass(frozen=True)
class EmbeddingPart:
    """A table of rows."""

    name: str
    classes: int
    size: int


@dataclass(frozen=True)
class DensePart:
    """A matrix, and its bias where there is one."""

    kernel: str
    bias: str | None
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Architecture:
    """What `infer` found; `str()` shows it."""

    era: str | None
    tensorflow_version: str | None
    cells: tuple[CellPart, ...]
    embeddings: tuple[EmbeddingPart, ...]
    dense: tuple[DensePart, ...]
    transitions: Mapping[str, int]
    """Variable -> number of tags, of linear-chain CRFs."""
    others: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Variables with no part in the above, by modern name."""
    unknown: tuple[str, ...] = ()
    """What neither names nor graph tell."""

    @property
    def names(self) -> dict[str, str]:
        """Module path -> scope, for `load_into(architecture.build(), prefix, names=architecture.names)`."""
        from .build import module_names

        return module_names(self)

    def build(self) -> Any:
        """The parts as modules, in a ModuleDict; ValueError for a cell that sizes do not determine."""
        from .build import build

        return build(self)

    def __str__(self) -> str:
        version = f"TensorFlow {self.tensorflow_version}, " if self.tensorflow_version else ""
        lines = [f"{version}names of {self.era or 'no known era'}"]
        lines += [f"embedding   {p.name}: {p.classes} rows of {p.size}" for p in self.embeddings]
        for loop in dict.fromkeys(cell.loop for cell in self.cells):
            inside = [cell for cell in self.cells if cell.loop == loop]
            about = inside[0].facts
            how = [about.loop and f"{about.loop} loop", about.steps and f"{about.steps} steps",
                   {True: "time first", False: "batch first"}.get(about.time_major),  # type: ignore[arg-type]
                   about.reversed_by and f"reversed by {about.reversed_by}"]  # fmt: skip
            shown = ", ".join(str(item) for item in how if item)
            lines.append(f"recurrent   {loop or '(no scope)'}" + (f" ({shown})" if shown else ""))
            lines += [f"  layer {cell.layer}   {cell}" for cell in inside]
        lines += [
            f"dense       {p.kernel}: {p.inputs} -> {p.outputs}" + ("" if p.bias else ", no bias") for p in self.dense
        ]
        lines += [f"transitions {name}: {tags} tags (a linear-chain CRF)" for name, tags in self.transitions.items()]
        lines += [f"other       {name} {list(shape)}" for name, shape in self.others.items()]
        lines += [f"unknown     {line}" for line in self.unknown]
        return "\n".join(lines)


def infer(prefix: str | os.PathLike[str] | Mapping[str, np.ndarray], meta: Meta | None = None) -> Architecture:
    """Propose the architecture of a checkpoint (of any era) from names, shapes and, where it is there, its graph.

    `meta` is the graph to ask; by default the `.meta` file beside the checkpoint.
    """
    tensors = prefix if isinstance(prefix, Mapping) else read_any(prefix)
    try:
        if meta is None and isinstance(tensors, Checkpoint):
            meta = _meta_beside(tensors.prefix)
        return _Inference(View(tensors), meta).result()
    finally:
        if isinstance(tensors, Checkpoint) and tensors is not prefix:
            tensors.close()


def _meta_beside(prefix: str) -> Meta | None:
    try:
        return read_meta(prefix)
    except (CheckpointError, ImportError):
        return None


class _Inference:
    """Takes variables out of a view, part by part."""

    def __init__(self, view: View, meta: Meta | None) -> None:
        self.view, self.meta = view, meta
        self.rest = dict(view.shapes)
        self.unknown: list[str] = []

    def result(self) -> Architecture:
        cells = self._cells()
        square = {n: s[0] for n, s in self.rest.items() if len(s) == 2 and s[0] == s[1]}
        transitions = {name: tags for name, tags in square.items() if name.rpartition("/")[2] == "transitions"}
        self._take(transitions)
        embeddings = self._embeddings(cells)
        dense = self._dense()
        untold = [cell.scope for cell in cells if cell.facts.op is None]
        if untold:
            what = "of any cell" if len(untold) == len(cells) else f"of {', '.join(untold)}"
            self.unknown.append(f"no graph (.meta) tells forget bias, activation, clips and layout in time {what}")
        self.unknown.append("how the parts are joined (which outputs are used, dropout) is the program's")
        version = self.meta.tensorflow_version if self.meta else None
        return Architecture(
            self.view.era, version or None, cells, embeddings, dense, transitions, self.rest, tuple(self.unknown)
        )

    def _take(self, names: Any) -> None:
        for name in names:
            self.rest.pop(name, None)

    def _facts(self, name: str) -> CellFacts:
        return CellFacts() if self.meta is None else self.meta.cell_facts(self.view.stored[name][0])

    # -- cells ---------------------------------------------------------------------------------------------------------

    def _cells(self) -> tuple[CellPart, ...]:
        found = []
        for scope in self._cell_scopes():
            inside = self.view.under(scope)
            kind = scope_class(scope) or self._kind_by_structure(scope, inside)
            if kind is None or kind.endswith("_wrapper"):
                continue
            found.append(self._cell(scope, kind, inside))
            self._take(f"{scope}/{name}".lstrip("/") for name in inside)
        return tuple(sorted(found, key=lambda cell: (natural_key(cell.loop), cell.layer)))

    def _cell_scopes(self) -> list[str]:
        """Scopes of cells, by TensorFlow's names for them or, for a name of the program's own, by structure."""
        scopes: dict[str, None] = {}
        for name in self.view.shapes:
            pieces = name.split("/")[:-1]
            for place in range(len(pieces), 0, -1):
                if re.sub(r"_\d+$", "", pieces[place - 1]) in CELL_SCOPES:
                    scopes["/".join(pieces[:place])] = None
                    break
            else:
                own = "/".join(pieces)
                outer = own.removesuffix("/gates").removesuffix("/candidate")
                if outer != own or (self._facts_of_kernel(own).forget_bias is not None):
                    scopes[outer] = None
        return list(scopes)

    def _facts_of_kernel(self, scope: str) -> CellFacts:
        kernel = f"{scope}/kernel".lstrip("/")
        return self._facts(kernel) if kernel in self.view.shapes else CellFacts()

    def _kind_by_structure(self, scope: str, inside: Mapping[str, tuple[int, ...]]) -> str | None:
        if {"gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"} == set(inside):
            return "gru_cell"
        kernel, bias = inside.get("kernel"), inside.get("bias")
        if (
            kernel
            and bias
            and len(kernel) == 2
            and kernel[1] % 4 == 0
            and self._facts_of_kernel(scope).forget_bias is not None
        ):
            return "lstm_cell"
        return None

    def _cell(self, scope: str, kind: str, inside: Mapping[str, tuple[int, ...]]) -> CellPart:
        units, width, options = _sizes(kind, inside)
        kernel = next((n for n in ("kernel", "candidate/kernel", "gates/kernel") if n in inside), None)
        facts = self._facts(f"{scope}/{kernel}".lstrip("/")) if kernel else CellFacts()
        options = {**options, **_graph_options(kind, facts, "projection_size" in options)}
        before = scope.rpartition("/")[0]
        layers = re.findall(r"(?:^|/)cell_(\d+)(?=/|$)", before)
        loop = re.sub(r"(/|^)multi_rnn_cell/cell_\d+$", "", before)
        direction = _FW_BW.findall(before)
        return CellPart(
            scope, kind, width, units, options, int(layers[-1]) if layers else 0,
            direction[-1][1] if direction else None, loop, facts,
        )  # fmt: skip

    # -- what is not a cell --------------------------------------------------------------------------------------------

    def _uses(self, name: str) -> set[str]:
        return set() if self.meta is None else self.meta.uses(self.view.stored[name][0])

    def _embeddings(self, cells: tuple[CellPart, ...]) -> tuple[EmbeddingPart, ...]:
        """Matrices that rows are gathered from; with no graph, those called so, or as wide as a cell's input."""
        widths, found = {cell.input_size for cell in cells}, []
        vectors = [n for n, s in self.rest.items() if len(s) == 1]
        for name, shape in self.rest.items():
            if len(shape) != 2 or name not in self.view.floating:
                continue
            gathered, named = bool(self._uses(name) & _GATHERS), called_embedding(name)
            other = self._uses(name) or partner(name, [v for v in vectors if self.rest[v] == shape[1:]])
            if not gathered and (other or not (named or shape[1] in widths)):
                continue
            found.append(EmbeddingPart(name, *shape))
            if not gathered and not named:
                self.unknown.append(
                    f"{name} {list(shape)} is taken for an embedding because a cell reads {shape[1]} features"
                )
        self._take(part.name for part in found)
        return tuple(found)

    def _dense(self) -> tuple[DensePart, ...]:
        found = []
        for name, shape in sorted(self.rest.items(), key=lambda item: natural_key(item[0])):
            if len(shape) != 2 or name not in self.rest or name not in self.view.floating:
                continue
            vectors = [n for n, s in self.rest.items() if s == shape[1:] and in_cell(n) == in_cell(name)]
            bias = partner(name, vectors) or (vectors[0] if len(vectors) == 1 and "/" not in name else None)
            found.append(DensePart(name, bias, *shape))
            self._take([name, *([bias] if bias else [])])
        return tuple(found)


def _sizes(kind: str, inside: Mapping[str, tuple[int, ...]]) -> tuple[int | None, int | None, dict[str, Any]]:
    """Units, features and options that the shapes tell."""
    kernel, options = inside.get("kernel"), {}
    if kind in _LSTM and kernel and len(kernel) == 2:
        units = kernel[1] // 4
        out = units
        if "projection/kernel" in inside:
            out = options["projection_size"] = inside["projection/kernel"][1]
        if "w_f_diag" in inside:
            options["peepholes"] = True
        return units, kernel[0] - out, options
    if kind == "gru_cell" and "candidate/kernel" in inside:
        rows, units = inside["candidate/kernel"]
        return units, rows - units, options
    if kind == "cudnn_compatible_gru_cell" and "candidate/input_projection/kernel" in inside:
        width, units = inside["candidate/input_projection/kernel"]
        return units, width, {"reset": "after"}
    columns = {"basic_rnn_cell": 1, "ugrnn_cell": 2, "intersection_rnn_cell": 4, "layer_norm_basic_lstm_cell": 4}
    if kind in columns and kernel and len(kernel) == 2:
        units = kernel[1] // columns[kind]
        return units, kernel[0] - units, options
    return None, None, options


def _graph_options(kind: str, facts: CellFacts, projected: bool) -> dict[str, Any]:
    """Options that the graph tells, where they are not the cell's defaults."""
    options: dict[str, Any] = {}
    if kind in _LSTM:
        forget_bias = 0.0 if kind == "cudnn_compatible_lstm_cell" else facts.forget_bias
        if forget_bias is not None:
            options["forget_bias"] = forget_bias
        if facts.clips and not (projected and len(facts.clips) == 1):
            options["cell_clip"] = facts.clips[0]
        if len(facts.clips) > 1:
            options["projection_clip"] = facts.clips[1]
    if facts.activation not in (None, "tanh"):
        options["activation"] = facts.activation
    return options
