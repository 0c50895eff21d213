"""The `.meta` file beside a checkpoint: a MetaGraphDef, read for names, shapes, collections and hyper-parameters.

A checkpoint holds no forget bias, activation or clip; the graph does. `cell_facts` follows a kernel's variable to the
product that uses it and reads them off the operations behind it. The messages are those that the tensorboard package
carries (`pip install "recurra[tf1]"`).
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from recurra._files import write_bytes

from .dtypes import STRING, dtype_name, numpy_dtype
from .errors import CheckpointError
from .source import FileSource

__all__ = ["CellFacts", "Meta", "MetaVariable", "parse_meta", "read_meta", "write_meta"]

_PASSING = {"Identity", "Enter", "RefEnter", "ReadVariableOp", "Cast", "ConcatV2", "Concat", "Switch", "Merge"}
_KEEPING = ("Assign", "Save", "Apply", "SparseApply", "ResourceApply", "Scatter", "IsVariableInitialized")
_ADDING = {"BiasAdd", "Add", "AddV2"}
_ACTIVATIONS = {
    "Tanh": "tanh", "Relu": "relu", "Sigmoid": "sigmoid", "Elu": "elu", "Relu6": "relu6", "Selu": "selu",
    "Softplus": "softplus", "Softsign": "softsign",
}  # fmt: skip
_BLOCK_OPS = {"LSTMBlockCell", "BlockLSTM", "LSTMBlock"}
_OUR_STEP, _OURS = "CellStep", "_recurra"  # a whole step as one operation, and where our graphs keep its options


@dataclass(frozen=True)
class MetaVariable:
    """A variable of the graph."""

    name: str
    shape: tuple[int, ...] | None
    dtype: str
    trainable: bool


@dataclass(frozen=True)
class CellFacts:
    """What the graph tells about the cell that a kernel belongs to; None where it does not say."""

    forget_bias: float | None = None
    activation: str | None = None
    clips: tuple[float, ...] = ()
    loop: str | None = None
    """ "dynamic" (a while loop) or "static" (unrolled)."""
    steps: int | None = None
    """Steps of an unrolled loop."""
    time_major: bool | None = None
    reversed_by: str | None = None
    """How a backward loop turns its input: "ReverseV2" (no lengths) or "ReverseSequence" (within lengths)."""
    op: str | None = None
    """The operation that takes the kernel: MatMul, or a fused cell."""


@dataclass
class Meta:
    """A parsed MetaGraphDef; `proto` is the message itself."""

    path: str
    proto: Any = field(repr=False)

    @property
    def tensorflow_version(self) -> str:
        """The release that wrote it, as far as it says."""
        return self.proto.meta_info_def.tensorflow_version

    @cached_property
    def nodes(self) -> dict[str, Any]:
        """The graph's operations by name."""
        return {node.name: node for node in self.proto.graph_def.node}

    @cached_property
    def variables(self) -> dict[str, MetaVariable]:
        """The variables that the collections name (all variables of the graph where they name none)."""
        listed = self._listed("variables") or [
            name for name, node in self.nodes.items() if node.op in ("VariableV2", "Variable", "VarHandleOp")
        ]
        trainable = set(self._listed("trainable_variables"))
        return {name: self._variable(name, name in trainable) for name in listed}

    def collection(self, name: str) -> list[Any]:
        """The raw content of one collection: node names, bytes or numbers."""
        if name not in self.proto.collection_def:
            return []
        definition = self.proto.collection_def[name]
        kind = definition.WhichOneof("kind")
        return [] if kind is None else list(getattr(definition, kind).value)

    def cell_facts(self, kernel: str) -> CellFacts:
        """Hyper-parameters of the cell whose fused kernel is the variable `kernel`."""
        product = next(self._products(kernel), None)
        if product is None:
            return CellFacts()
        scope = product.name.rpartition("/")[0]
        if product.op == _OUR_STEP:
            options = dict(ast.literal_eval(product.attr[_OURS].s.decode()).get("options", ()))
            clips = (options.get("cell_clip"), options.get("projection_clip"))
            facts: dict[str, Any] = {
                "forget_bias": options.get("forget_bias"),
                "clips": tuple(c for c in clips if c is not None),
                "activation": options.get("activation"),
            }
        elif product.op in _BLOCK_OPS:
            attributes = {key: product.attr[key].f for key in ("forget_bias", "cell_clip") if key in product.attr}
            clip = attributes.get("cell_clip", -1.0)
            facts = {
                "forget_bias": attributes.get("forget_bias"),
                "clips": (clip,) if clip > 0 else (),
                "activation": "tanh",
            }
        else:
            forget_bias, activation = self._behind(product)
            facts = {"forget_bias": forget_bias, "activation": activation, "clips": self._clips(scope)}
        return CellFacts(op=product.op, **facts, **self._loop(kernel, scope))

    def uses(self, variable: str) -> set[str]:
        """Types of the operations that compute with a variable, through reads and loop entries; updates apart."""
        return {node.op for node, _ in self._following(variable) if not node.op.startswith(_KEEPING)}

    # -- the graph -----------------------------------------------------------------------------------------------------

    @cached_property
    def _consumers(self) -> dict[str, list[tuple[Any, int]]]:
        """Output "node" or "node:k" -> (consumer, position of the input)."""
        found: dict[str, list[tuple[Any, int]]] = {}
        for node in self.proto.graph_def.node:
            for place, name in enumerate(node.input):
                if not name.startswith("^"):
                    found.setdefault(name.removesuffix(":0"), []).append((node, place))
        return found

    def _listed(self, collection: str) -> list[str]:
        from tensorboard.compat.proto import variable_pb2

        names = []
        for item in self.collection(collection):
            if isinstance(item, bytes):
                try:
                    names.append(variable_pb2.VariableDef.FromString(item).variable_name.removesuffix(":0"))
                except DecodeError:
                    raise CheckpointError(self.path, f"an entry of the collection {collection!r} is damaged") from None
        return names

    def _variable(self, name: str, trainable: bool) -> MetaVariable:
        node = self.nodes.get(name)
        if node is None:
            return MetaVariable(name, None, "", trainable)
        shape = None if node.attr["shape"].shape.unknown_rank else node.attr["shape"].shape
        dims = None if shape is None else tuple(dim.size for dim in shape.dim)
        return MetaVariable(name, dims, dtype_name(node.attr["dtype"].type), trainable)

    def _products(self, variable: str) -> Iterator[Any]:
        """The forward operations that multiply by a variable."""
        for node, place in self._following(variable):
            if (node.op == "MatMul" and place == 1) or node.op in _BLOCK_OPS or node.op == _OUR_STEP:
                yield node

    def _following(self, variable: str) -> Iterator[tuple[Any, int]]:
        """Consumers of a variable, with the input's place, through reads, loop entries and joins of partitions."""
        open_names, seen = [variable], {variable}
        while open_names:
            for node, place in self._consumers.get(open_names.pop(0), []):
                if node.name in seen or "gradients" in node.name:
                    continue
                seen.add(node.name)
                if node.op in _PASSING and not (node.op in ("ConcatV2", "Concat") and "/part_" not in variable):
                    open_names.append(node.name)
                else:
                    yield node, place

    def _after(self, name: str) -> list[Any]:
        return [node for node, _ in self._consumers.get(name, []) if "gradients" not in node.name]

    def _behind(self, product: Any) -> tuple[float | None, str | None]:
        """Forget bias and activation of the cell around a product."""
        node = product
        for _ in range(2):
            following = [n for n in self._after(node.name) if n.op in _ADDING]
            node = following[0] if following else node
        split = next((n for n in self._after(node.name) if n.op == "Split"), None)
        if split is None:
            return None, self._activation(node.name)
        if split.attr["num_split"].i != 4:
            return None, None
        forget = None
        for after in self._after(f"{split.name}:2"):
            if after.op in _ADDING:
                constants = [self._constant(name) for name in after.input]
                forget = next((value for value in constants if value is not None), forget)
        return 0.0 if forget is None else forget, self._activation(f"{split.name}:1")

    def _activation(self, output: str) -> str | None:
        return next((_ACTIVATIONS[n.op] for n in self._after(output) if n.op in _ACTIVATIONS), None)

    def _constant(self, name: str) -> float | None:
        """The number that an operation holds, where it is a scalar constant."""
        node = self.nodes.get(name.removesuffix(":0"))
        for _ in range(3):
            if node is None or node.op not in ("Enter", "Identity") or not node.input:
                break
            node = self.nodes.get(node.input[0])
        if node is None or node.op != "Const":
            return None
        tensor = node.attr["value"].tensor
        if tensor.tensor_shape.dim or tensor.tensor_shape.unknown_rank:
            return None
        dtype = numpy_dtype(tensor.dtype)
        if tensor.float_val:
            return float(tensor.float_val[0])
        if dtype is None or tensor.dtype == STRING or len(tensor.tensor_content) != dtype.itemsize:
            return None
        return float(np.frombuffer(tensor.tensor_content, dtype)[0].real)

    def _clips(self, scope: str) -> tuple[float, ...]:
        """Bounds of clip_by_value in a cell's scope, in the order they were made: of the cell, then of the output."""
        found = []
        for suffix in ("", "_1"):
            value = self._constant(f"{scope}/clip_by_value{suffix}/Minimum/y")
            if value is not None:
                found.append(value)
        return tuple(found)

    def _loop(self, kernel: str, scope: str) -> dict[str, Any]:
        inside = re.match(r"(.*?)/while/", scope + "/")
        if inside is None:
            return {"loop": "static", "steps": sum(1 for _ in self._products(kernel))}
        base = inside[1]
        scatters = [node for name, node in self.nodes.items() if node.op.startswith("TensorArrayScatter") and
                    name.startswith(base + "/")]  # fmt: skip
        read = [self.nodes.get(name.partition(":")[0]) for node in scatters for name in node.input]
        turned = any(node is not None and node.op == "Transpose" for node in read)
        outer = base.rpartition("/")[0]
        reversing = [n.op for name, n in self.nodes.items() if n.op in ("ReverseV2", "ReverseSequence") and
                     name.startswith(outer + "/")]  # fmt: skip
        backward = "/bw/" in f"/{base}/" and reversing
        return {
            "loop": "dynamic",
            "time_major": not turned if scatters else None,
            "reversed_by": reversing[0] if backward else None,
        }


def parse_meta(data: bytes, path: str) -> Meta:
    """A MetaGraphDef from its bytes; CheckpointError where they are none."""
    try:
        from tensorboard.compat.proto import meta_graph_pb2
    except ImportError as error:
        raise ImportError("reading .meta files needs the tensorboard package: pip install 'recurra[tf1]'") from error
    try:
        return Meta(path, meta_graph_pb2.MetaGraphDef.FromString(data))
    except DecodeError:
        raise CheckpointError(path, "is not a MetaGraphDef, or is damaged") from None


def read_meta(path: str | os.PathLike[str]) -> Meta:
    """Read a `.meta` file, or the one beside a checkpoint's prefix."""
    name = os.fspath(path)
    source = FileSource(name if name.endswith(".meta") else re.sub(r"-\?+-of-\d+$", "", name) + ".meta")
    try:
        return parse_meta(source.read(0, source.size), source.name)
    finally:
        source.close()


def write_meta(path: str | os.PathLike[str], proto: Any) -> str:
    """Write a MetaGraphDef atomically."""
    name = os.fspath(path)
    write_bytes(name, proto.SerializeToString())
    return name
