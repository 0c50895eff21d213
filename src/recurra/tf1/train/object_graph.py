"""The object graph of a checkpoint (`_CHECKPOINTABLE_OBJECT_GRAPH`): which objects there are, and under which keys their values lie.

A value's key is its way from the root, `model/dense/kernel/.ATTRIBUTES/VARIABLE_VALUE`; a slot's is its variable's with the optimizer's
behind it, `model/dense/kernel/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE`.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from recurra.tf1 import tracking
from recurra.tf1.checkpoint.messages import ObjectGraph
from recurra.tf1.variables import Variable

GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE, STATE = "VARIABLE_VALUE", "py_state"


def _escaped(name: str) -> str:
    return name.replace(".", "..").replace("/", ".S")


def _key(path: str, attribute: str) -> str:
    return f"{path}/.ATTRIBUTES/{attribute}"


def boxed(text: bytes) -> np.ndarray:
    """A string as a checkpoint takes it."""
    made = np.empty((), dtype=object)
    made[()] = text
    return made


class Serialized:
    """The objects below a root as a checkpoint stores them: `message`, and the objects that hold a value by key."""

    def __init__(self, root: Any) -> None:
        self.message = ObjectGraph()
        self.values: dict[str, Any] = {}
        found = tracking.walk(root)
        self._ids = {identity: number for number, identity in enumerate(found)}
        self._paths = {identity: "/".join(map(_escaped, path)) for identity, (_, path) in found.items()}
        objects = [item for item, _ in found.values()]
        for item in objects:
            node = self.message.nodes.add()
            for name, part in tracking.dependencies(item):
                node.children.add(node_id=self._ids[id(part)], local_name=name)
            self._add_value(node, item, self._paths[id(item)])
        for item in objects:
            if hasattr(item, "get_slot_names"):
                self._add_slots(item, [v for v in objects if isinstance(v, Variable)])

    def _add_value(self, node: Any, item: Any, path: str) -> None:
        if not isinstance(item, Variable) and not tracking.is_state(item):
            return
        name = VALUE if isinstance(item, Variable) else STATE
        full = stored_name(item) if name == VALUE else ""
        node.attributes.add(name=name, full_name=full, checkpoint_key=_key(path, name))
        self.values[_key(path, name)] = item

    def _add_slots(self, optimizer: Any, variables: list[Any]) -> None:
        owner = self.message.nodes[self._ids[id(optimizer)]]
        for slot_name in optimizer.get_slot_names():
            for variable in variables:
                slot = optimizer.get_slot(variable, slot_name)
                if slot is None:
                    continue
                if id(slot) in self._ids:
                    raise NotImplementedError("A slot variable was re-used as a dependency of a Trackable object. This "
                                              "is not currently allowed.")  # fmt: skip
                number = self._ids[id(slot)] = len(self.message.nodes)
                owner.slot_variables.add(
                    original_variable_node_id=self._ids[id(variable)],
                    slot_name=slot_name,
                    slot_variable_node_id=number,
                )
                ways = self._paths[id(variable)], self._paths[id(optimizer)], _escaped(slot_name)
                self._add_value(self.message.nodes.add(), slot, "{}/.OPTIMIZER_SLOT/{}/{}".format(*ways))


def stored_name(variable: Any) -> str:
    """The name a Saver stores a variable under."""
    return variable.op.name


def parse(stored: Any) -> Any:
    """The object graph of an opened checkpoint; None where a Saver wrote it."""
    if GRAPH_KEY not in stored:
        return None
    return ObjectGraph.FromString(stored[GRAPH_KEY].item())


def keys_by_name(stored: Any) -> dict[str, str]:
    """{the name that a Saver would use: the key} of an object-based checkpoint's variables; empty for a Saver's."""
    graph = parse(stored)
    nodes = [] if graph is None else graph.nodes
    return {a.full_name: a.checkpoint_key for node in nodes for a in node.attributes if a.full_name}


def node_names(graph: Any) -> dict[int, str]:
    """Every node as a reader knows it: `(root).model.dense`, or "(root).optimizer's state 'm' for (root).v"."""
    names, waiting = {0: "(root)"}, [0]
    for number in waiting:
        for child in graph.nodes[number].children:
            if child.node_id not in names:
                names[child.node_id] = f"{names[number]}.{child.local_name}"
                waiting.append(child.node_id)
    for owner, slot in slots(graph):
        variable = names.get(slot.original_variable_node_id)
        names[slot.slot_variable_node_id] = f"{names.get(owner)}'s state '{slot.slot_name}' for {variable}"
    return names


def slots(graph: Any) -> Iterator[tuple[int, Any]]:
    """(the optimizer's node, the reference) of every slot."""
    for number, node in enumerate(graph.nodes):
        for slot in node.slot_variables:
            yield number, slot
