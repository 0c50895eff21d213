"""A growing ONNX graph: nodes, constants, and other graphs put inside."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

from recurra.kernels.dispatch import plain

__all__ = ["OPSET", "Graph", "element_type", "trace"]

OPSET = 20


def element_type(dtype: torch.dtype) -> int:
    """ONNX's number for a torch type."""
    return helper.np_dtype_to_tensor_dtype(torch.empty(0, dtype=dtype).numpy().dtype)


class Graph:
    """Collects nodes and constants; values are strings, each made once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}
        self._count = 0

    def fresh(self, stem: str) -> str:
        """A name that nothing has yet."""
        self._count += 1
        return f"{stem}_{self._count}"

    def add(self, op: str, inputs: Sequence[str], outputs: int = 1, **attributes: Any) -> Any:
        """Append one operator; returns its output, or the list of them where there are several."""
        names = [self.fresh(op.lower()) for _ in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: Any, stem: str = "constant") -> str:
        """A constant from an array or a number."""
        array = np.asarray(values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values)
        name = self.fresh(stem)
        self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name

    def inline(
        self,
        model: onnx.ModelProto,
        inputs: Sequence[str],
        replace: Callable[[onnx.NodeProto, list[str]], list[str] | None] = lambda node, inputs: None,
    ) -> list[str]:
        """Put a traced model's graph here, fed by `inputs`; returns the names of its outputs.

        `replace` may put something of its own in place of a node: it gets the node and its inputs here, and returns the
        outputs, or None to leave the node as it is.
        """
        if model.functions:
            raise ValueError(
                f"the traced graph has functions {[f.name for f in model.functions]}, which are not inlined"
            )
        names = dict(zip((value.name for value in model.graph.input), inputs, strict=True))
        for tensor in model.graph.initializer:
            names[tensor.name] = self.fresh(tensor.name)
            copy = onnx.TensorProto()
            copy.CopyFrom(tensor)
            copy.name = names[tensor.name]
            self.initializers[copy.name] = copy
        for node in model.graph.node:
            instead = replace(node, [names.get(name, "") for name in node.input])
            if instead is None:
                self.nodes.append(self._renamed(node, names))
            else:
                names.update(zip(node.output, instead, strict=True))
        return [names[value.name] for value in model.graph.output]

    def _renamed(self, node: onnx.NodeProto, names: dict[str, str]) -> onnx.NodeProto:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = ""
        del copy.input[:], copy.output[:], copy.metadata_props[:]
        copy.input.extend(names[name] if name else "" for name in node.input)
        for name in node.output:
            names[name] = self.fresh(name) if name else ""
        copy.output.extend(names[name] for name in node.output)
        for attribute in copy.attribute:
            if attribute.HasField("g"):
                attribute.g.CopyFrom(self._renamed_body(attribute.g, names))
        return copy

    def _renamed_body(self, body: onnx.GraphProto, names: dict[str, str]) -> onnx.GraphProto:
        """A sub-graph (of If, Loop, Scan) with the names that it takes from outside replaced."""
        inside, copy = dict(names), onnx.GraphProto()
        copy.CopyFrom(body)
        for value in (*copy.input, *copy.initializer):
            inside[value.name] = self.fresh(value.name)
            value.name = inside[value.name]
        del copy.node[:]
        copy.node.extend(self._renamed(node, inside) for node in body.node)
        for value in copy.output:
            value.name = inside[value.name]
        return copy

    def model(
        self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto], name: str, **about: str
    ) -> onnx.ModelProto:
        """The finished, checked model; `about` goes into its metadata."""
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), list(self.initializers.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="recurra")
        model.ir_version = 9
        helper.set_model_props(model, about)
        onnx.checker.check_model(model, full_check=True)
        return model


def trace(module: nn.Module, arguments: tuple[Any, ...], dynamic: Any) -> onnx.ModelProto:
    """torch's own exporter on a piece without loops over time; `dynamic` names the free axes of `arguments`."""
    with _quiet(), plain(), torch.no_grad():
        program = torch.export.export(module, arguments, dynamic_shapes=dynamic, strict=False)
        exported = torch.onnx.export(program, dynamo=True, opset_version=OPSET, verbose=False)
    assert exported is not None  # None only where a file is written
    model = exported.model_proto
    used = {name for node in model.graph.node for name in node.input} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks about packages that it does not find."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
