"""Initial values of variables that lean on other variables."""

from __future__ import annotations

from typing import Any

from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.tensor import Operation, Tensor


def uncycled(value: Tensor) -> Tensor:
    """An initial value that reads other variables reads their initial values instead, so that initialisers need no order."""  # noqa: E501
    replaced: dict[Tensor, Tensor] = {}

    def safe(tensor: Tensor) -> Tensor:
        if tensor in replaced:
            return replaced[tensor]
        source = tensor.op
        owner = _variable_of(source)
        if owner is not None and source.type in ("VariableV2", "ReadVariableOp", "Identity", "VarHandleOp"):
            replaced[tensor] = owner.initialized_value()
        else:
            replaced[tensor] = tensor
        return replaced[tensor]

    return safe(value)


def _variable_of(source: Operation) -> Any:
    if (
        source.type == "Identity" and source.inputs[0].op.type in ("VariableV2", "Variable")
    ) or source.type == "ReadVariableOp":
        source = source.inputs[0].op
    if source.type not in ("VariableV2", "Variable", "VarHandleOp"):
        return None
    graph = source.graph
    for key in (GraphKeys.GLOBAL_VARIABLES, GraphKeys.LOCAL_VARIABLES):
        for variable in graph.get_collection(key):
            if getattr(getattr(variable, "_variable", None), "op", None) is source:
                return variable
    return None
