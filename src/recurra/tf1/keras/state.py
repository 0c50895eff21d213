"""What tf.keras keeps per graph: the session, the learning phase, the counters of names."""

from __future__ import annotations

import contextlib
from typing import Any

from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.tensor import Tensor

tf = space("")
_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


def setting(name: str) -> Any:
    """floatx, epsilon or image_data_format."""
    return _settings[name]


def _setter(name: str) -> Any:
    def set_value(value: Any) -> None:
        _settings[name] = value

    return set_value


for _name in _settings:
    tf_export(f"keras.backend.{_name}")(lambda _name=_name: _settings[_name])
    tf_export(f"keras.backend.set_{_name}")(_setter(_name))


@tf_export("keras.backend.learning_phase")
def learning_phase() -> Any:
    """Whether the graph runs for training: a placeholder that is False where nothing is fed, or what was set."""
    graph = get_default_graph()
    extra = graph.extra
    if graph.eager and not graph.symbolic and not isinstance(extra.get("keras_phase"), bool):
        return False
    if "keras_phase" not in extra:
        with get_default_graph().control_dependencies(None), tf.name_scope(""):
            extra["keras_phase"] = tf.placeholder_with_default(False, [], name="keras_learning_phase")
    return extra["keras_phase"]


@tf_export("keras.backend.set_learning_phase")
def set_learning_phase(value: Any) -> None:
    """Build what follows for training (1) or for testing (0)."""
    if value not in (0, 1):
        raise ValueError("Expected learning phase to be 0 or 1.")
    get_default_graph().extra["keras_phase"] = bool(value)


def phase_feed(training: bool) -> dict[Any, Any]:
    """The feed that sets the learning phase, where it was not fixed."""
    phase = learning_phase()
    return {} if isinstance(phase, bool) else {phase: training}


def building(tensors: Any = None) -> Any:
    """A block in which a model's graph grows, under eager execution too (where any of `tensors` is symbolic)."""
    graph = get_default_graph()
    if not graph.eager or (tensors is not None and not any(type(t) is Tensor for t in tensors)):
        return contextlib.nullcontext()
    return graph.only_building()


@tf_export("keras.backend.get_session", "compat.v1.keras.backend.get_session")
def get_session(op_input_list: Any = ()) -> Any:
    """The default session, the one that was set, or the graph's own; variables without a value are initialised."""
    graph = get_default_graph()
    if graph.eager:
        return graph.session
    session = tf.get_default_session() or graph.extra.get("keras_session")
    if session is None:
        session = graph.extra["keras_session"] = tf.Session(graph=graph)
    initialize(session)
    return session


def initialize(session: Any) -> None:
    """Give the graph's variables that have none their initial values."""
    from recurra.tf1.train.saver import raw_session

    raw = raw_session(session)
    fresh = [v for v in _variables(raw.graph) if raw.cell(v.op).value is None]
    if fresh:
        raw.run([v.initializer for v in fresh])


def _variables(graph: Any) -> list[Any]:
    keys = (tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.LOCAL_VARIABLES)
    return [v for key in keys for v in graph.get_collection(key) if hasattr(v, "initializer")]


@tf_export("keras.backend.set_session", "compat.v1.keras.backend.set_session")
def set_session(session: Any) -> None:
    """Let Keras use `session`."""
    session.graph.extra["keras_session"] = session


@tf_export("keras.backend.clear_session")
def clear_session() -> None:
    """Forget the graph, its session and all names."""
    if get_default_graph().eager:
        get_default_graph().extra.clear()
        return
    tf.reset_default_graph()


@tf_export("keras.backend.get_uid")
def get_uid(prefix: str = "") -> int:
    """1, 2, 3 … per prefix and graph."""
    counts = get_default_graph().extra.setdefault("keras_uids", {})
    counts[prefix] = counts.get(prefix, 0) + 1
    return int(counts[prefix])


@tf_export("keras.backend.reset_uids")
def reset_uids() -> None:
    get_default_graph().extra["keras_uids"] = {}


def unique_name(base: str) -> str:
    """dense, dense_1, dense_2 …"""
    number = get_uid(base)
    return base if number == 1 else f"{base}_{number - 1}"
