"""Restoring objects from a checkpoint: what is there at once, what is made later when it is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from recurra.tf1 import checkpoint, errors, tracking
from recurra.tf1.namespace import space
from recurra.tf1.train import object_graph
from recurra.tf1.train.saveables import write
from recurra.tf1.variables import Variable

tf = space("")


class Restoration:
    """One checkpoint on its way into the objects below a root.

    Under eager execution values are written as objects are matched; in a graph they wait for `run`, and after it, where
    `keep_on`, what is matched later is written into the same session.
    """

    def __init__(self, root: Any, path: str) -> None:
        if not checkpoint.checkpoint_exists(path):
            raise errors.NotFoundError(
                None, None, f"Unsuccessful TensorSliceReader constructor: Failed to find any matching files for {path}"
            )
        self.root, self.path = root, path
        self.objects: dict[int, Any] = {}  # by node, or by identity where a Saver wrote the checkpoint
        self._waiting: list[tuple[Any, str]] = []
        self._session = root_session()
        with checkpoint.open(path) as stored:
            self.graph = object_graph.parse(stored)
            self._names = set() if self.graph is not None else set(stored)
        self.settle()

    def settle(self) -> None:
        """Match what has been made since, and write what may be written."""
        before = -1
        while before != len(self.objects):  # a slot may bring its optimizer's other variables
            before = len(self.objects)
            if self.graph is None:
                self._match_names()
            else:
                self._match_nodes()
                self._match_slots()
        if self._session is not None:
            self.run(self._session)

    def run(self, session: Any, keep_on: bool = False) -> None:
        """Write what is matched into a session."""
        if keep_on:
            self._session = session
        if self._waiting:
            with checkpoint.open(self.path) as stored:
                for variable, key in self._waiting:
                    write(session, variable, stored[key], key, False)
        if self._session is not None:
            self._waiting = []

    # -- matching ------------------------------------------------------------------------------------------------------
    def _match_nodes(self) -> None:
        queue: list[tuple[int, Any]] = [(0, self.root)]
        seen = {0}
        for number, item in queue:
            if number not in self.objects:
                self._take(number, item)
            parts = dict(tracking.dependencies(item))
            for child in self.graph.nodes[number].children:
                part = tracking.part_of(item, child.local_name, parts)
                part = self.objects.get(child.node_id, part)
                if part is not None and child.node_id not in seen:
                    seen.add(child.node_id)
                    queue.append((child.node_id, part))

    def _match_slots(self) -> None:
        for owner, slot in object_graph.slots(self.graph):
            variable = self.objects.get(slot.original_variable_node_id)
            if owner in self.objects and variable is not None and slot.slot_variable_node_id not in self.objects:
                found = _slot(self.objects[owner], variable, slot.slot_name)
                if found is not None:
                    self._take(slot.slot_variable_node_id, found)

    def _match_names(self) -> None:
        for item, _ in tracking.walk(self.root).values():
            self._stay_with(item)
        for item in object_graph.Serialized(self.root).values.values():
            name = object_graph.stored_name(item) if isinstance(item, Variable) else None
            if name in self._names and id(item) not in self.objects:
                self.objects[id(item)] = item
                self._waiting.append((item, name))

    def _take(self, number: int, item: Any) -> None:
        self.objects[number] = item
        self._stay_with(item)
        for attribute in self.graph.nodes[number].attributes:
            if attribute.name == object_graph.VALUE and isinstance(item, Variable):
                self._waiting.append((item, attribute.checkpoint_key))
            elif attribute.name == object_graph.STATE and tracking.is_state(item):
                with checkpoint.open(self.path) as stored:
                    item.deserialize(stored[attribute.checkpoint_key].item())

    def _stay_with(self, item: Any) -> None:
        """Let an object ask again when it has made more."""
        if isinstance(item, Variable) or not hasattr(item, "__dict__"):
            return
        others = [r for r in vars(item).get("_restorations", ()) if r is not self]
        vars(item)["_restorations"] = [*others, self]

    # -- what is said of it --------------------------------------------------------------------------------------------
    def unmatched_nodes(self) -> list[int]:
        """Nodes without an object that hold a value or lead to one without an object; TensorFlow's layers keep lists of
        their own, which hold nothing else."""
        free = {n: node for n, node in enumerate(self.graph.nodes) if n not in self.objects}
        found = {n for n, node in free.items() if node.attributes}
        before = -1
        while before != len(found):
            before = len(found)
            found |= {n for n, node in free.items() if any(child.node_id in found for child in node.children)}
        return sorted(found)

    def unmatched_objects(self) -> list[Any]:
        """Variables (slots, too) and states below the root that have no value in the checkpoint."""
        matched = {id(item) for item in self.objects.values()}
        return [item for item in object_graph.Serialized(self.root).values.values() if id(item) not in matched]


def root_session() -> Any:
    """The session of eager execution; None where a graph is built."""
    graph = tf.get_default_graph()
    return graph.session if graph.eager else None


def _slot(optimizer: Any, variable: Any, name: str) -> Any:
    """An optimizer's slot, made where operations run at once."""
    found = optimizer.get_slot(variable, name)
    if found is None and root_session() is not None and hasattr(optimizer, "_create_slots"):
        optimizer._create_slots([variable])
        found = optimizer.get_slot(variable, name)
    return found


def restore(root: Any, path: Any) -> Status:
    """Begin to restore; the status of it."""
    return Status(root, None if path is None else Restoration(root, os.fspath(path)))


_NOTHING = "No checkpoint specified (save_path=None); nothing is being restored."


class Status:
    """How far a restoration has come; in a graph it also runs it."""

    def __init__(self, root: Any, restoration: Restoration | None) -> None:
        self._root, self._restoration = root, restoration

    def _given(self) -> Restoration:
        if self._restoration is None:
            raise AssertionError(_NOTHING)
        self._restoration.settle()
        return self._restoration

    def assert_consumed(self) -> Status:
        """AssertionError unless every value of the checkpoint has an object, and every object a value."""
        restoration = self._given()
        self.assert_existing_objects_matched()
        missing = [] if restoration.graph is None else restoration.unmatched_nodes()
        if missing:
            name = object_graph.node_names(restoration.graph)[missing[0]]
            raise AssertionError(f"Unresolved object in checkpoint {name}: {restoration.graph.nodes[missing[0]]}")
        return self

    def assert_existing_objects_matched(self) -> Status:
        """AssertionError where an object that is there has no value in the checkpoint."""
        restoration = self._given()
        if unused := restoration.unmatched_objects():
            if restoration.graph is None:
                raise AssertionError(f"Object not restored: {unused[0]}")
            raise AssertionError(
                "Some Python objects were not bound to checkpointed values, likely due to changes in the Python "
                f"program: {unused}"
            )
        return self

    def assert_nontrivial_match(self) -> Status:
        """AssertionError where nothing but the root was found."""
        restoration = self._given()
        if len(restoration.objects) <= 1 and restoration.graph is not None:
            unused = restoration.unmatched_objects()
            if unused:
                raise AssertionError(
                    "Nothing except the root object matched a checkpointed value. Typically this means that the "
                    "checkpoint does not match the Python program. The following objects have no matching "
                    f"checkpointed value: {unused}"
                )
            raise AssertionError(f"Nothing to load. No dependencies have been added to {self._root} yet.")
        return self

    def expect_partial(self) -> Status:
        """The status itself: nothing is said here of values that are left over."""
        return self

    def run_restore_ops(self, session: Any = None) -> None:
        """In a graph: write the values into the session."""
        if self._restoration is None:
            raise AssertionError("No checkpoint specified, so no restore ops are available (save_path=None to "
                                 "Saver.restore).")  # fmt: skip
        self._in(session, self._given().run)

    def initialize_or_restore(self, session: Any = None) -> None:
        """In a graph: write the values into the session, and initialise the variables that have none."""
        if root_session() is not None:
            return
        if self._restoration is None:
            fresh = list(object_graph.Serialized(self._root).values.values())
        else:
            fresh = self._given().unmatched_objects()
        self._in(session, lambda found: found.run([v.initializer for v in fresh if isinstance(v, Variable)]))
        if self._restoration is not None:
            self.run_restore_ops(session)

    def keep_on(self, session: Any) -> None:
        """Write what is matched into the session, now and whenever more is made."""
        self._in(session, lambda found: self._given().run(found, keep_on=True))

    def _in(self, session: Any, act: Callable[[Any], Any]) -> None:
        if root_session() is None:
            act(working_session(session))


def working_session(session: Any = None) -> Any:
    """The given session, the default one, or Keras' own, as a tf.Session."""
    from recurra.tf1.train.saver import raw_session

    return raw_session(session or tf.get_default_session() or tf.keras.backend.get_session())
