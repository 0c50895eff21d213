"""The global step: tf.train.get_or_create_global_step, global_step, assert_global_step; write_graph."""

from __future__ import annotations

import os
from typing import Any

from recurra._files import write_bytes
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


@tf_export("train.global_step")
def global_step(sess: Any, global_step_tensor: Any) -> int:
    """The value of the step in a session."""
    return int(global_step_tensor if tf.executing_eagerly() else sess.run(global_step_tensor))


@tf_export("train.get_global_step", "contrib.framework.get_global_step")
def get_global_step(graph: Any = None) -> Any:
    """The graph's global step variable, None where it has none."""
    graph = graph or tf.get_default_graph()
    found = graph.get_collection(tf.GraphKeys.GLOBAL_STEP)
    if len(found) > 1:
        raise ValueError("Multiple entries in global_step collection.")
    if found:
        step = found[0]
    else:
        try:
            step = graph.get_tensor_by_name("global_step:0")
        except KeyError:
            return None
        variables = [v for v in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES) if v.name == "global_step:0"]
        step = variables[0] if variables else step
    assert_global_step(step)
    return step


@tf_export("train.create_global_step", "contrib.framework.create_global_step")
def create_global_step(graph: Any = None) -> Any:
    """Make the int64 variable `global_step`; ValueError where there is one."""
    graph = graph or tf.get_default_graph()
    if get_global_step(graph) is not None:
        raise ValueError('"global_step" already exists.')
    with graph.as_default() as g, g.name_scope(None):
        return tf.get_variable(
            tf.GraphKeys.GLOBAL_STEP,
            shape=[],
            dtype=tf.int64,
            initializer=tf.zeros_initializer(),
            trainable=False,
            collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.GLOBAL_STEP],
        )


@tf_export("train.get_or_create_global_step", "contrib.framework.get_or_create_global_step")
def get_or_create_global_step(graph: Any = None) -> Any:
    """The graph's global step, made where there is none."""
    graph = graph or tf.get_default_graph()
    step = get_global_step(graph)
    return create_global_step(graph) if step is None else step


_HOME = "python.training.training_util"
_READS = "global_step_read_op_cache"


@tf_export(f"{_HOME}._get_global_step_read")
def get_global_step_read(graph: Any = None) -> Any:
    """The graph's one read of the step, None where there is none yet."""
    reads = (graph or tf.get_default_graph()).get_collection(_READS)
    if len(reads) > 1:
        raise RuntimeError(f"There are multiple items in collection {_READS}. There should be only one.")
    return reads[0] if reads else None


@tf_export(f"{_HOME}._get_or_create_global_step_read")
def get_or_create_global_step_read(graph: Any = None) -> Any:
    """The graph's one read of the step (+ 0, so that an increment can wait for it), None without a step."""
    graph = graph or tf.get_default_graph()
    read, step = get_global_step_read(graph), get_global_step(graph)
    if read is not None or step is None:
        return read
    with graph.as_default() as g, g.name_scope(None), g.name_scope(f"{step.op.name}/"):
        value = step.initialized_value() if isinstance(step, tf.Variable) else step
        tf.add_to_collection(_READS, value + 0)
    return get_global_step_read(graph)


@tf_export(f"{_HOME}._increment_global_step")
def increment_global_step(increment: Any, graph: Any = None) -> Any:
    """An operation that adds to the step after it was read."""
    graph = graph or tf.get_default_graph()
    step = get_global_step(graph)
    if step is None:
        raise ValueError(
            "Global step tensor should be created by tf.train.get_or_create_global_step before calling increment."
        )
    read = get_or_create_global_step_read(graph)
    with graph.as_default() as g, g.name_scope(None), g.name_scope(f"{step.op.name}/"), tf.control_dependencies([read]):
        return tf.assign_add(step, increment)


@tf_export("train.assert_global_step", "contrib.framework.assert_global_step")
def assert_global_step(global_step_tensor: Any) -> None:
    """TypeError unless an integer scalar (variable or tensor)."""
    if not isinstance(global_step_tensor, tf.Variable | tf.Tensor):
        raise TypeError(f'Existing "global_step" must be a Variable or Tensor: {global_step_tensor}.')
    if not global_step_tensor.dtype.base_dtype.is_integer:
        raise TypeError(f'Existing "global_step" does not have integer type: {global_step_tensor.dtype}')
    shape = global_step_tensor.get_shape()
    if shape.ndims != 0 and shape.is_fully_defined():
        raise TypeError(f'Existing "global_step" is not scalar: {shape}')


@tf_export("train.write_graph", "io.write_graph")
def write_graph(graph_or_graph_def: Any, logdir: str, name: str, as_text: bool = True) -> str:
    """Write a graph's GraphDef to logdir/name; returns the path."""
    definition = graph_or_graph_def.as_graph_def() if isinstance(graph_or_graph_def, tf.Graph) else graph_or_graph_def
    os.makedirs(logdir, exist_ok=True)
    path = os.path.join(logdir, name)
    data = str(definition).encode() if as_text else definition.SerializeToString()
    write_bytes(path, data)
    return path


@tf_export("train.basic_train_loop")
def basic_train_loop(
    supervisor: Any, train_step_fn: Any, args: Any = None, kwargs: Any = None, master: str = ""
) -> None:
    """Call train_step_fn(session, *args, **kwargs) until the supervisor should stop."""
    kwargs = dict(kwargs or {})
    with supervisor.managed_session(master) as session:
        while not supervisor.should_stop():
            train_step_fn(session, *(args or []), **kwargs)
