"""tf.nn.raw_rnn: a loop whose inputs, outputs and end are decided by a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes, names, nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.control_flow import while_loop
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import assert_like_rnncell, loop_scope, state_shape
from recurra.tf1.scopes import variable_scope
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Tensor, TensorLike
from recurra.tf1.tensor_array import TensorArray


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


def _shape_and_dtype(emit: Any, cell: Any, dtype: Any, state: Any) -> tuple[list[Any], list[Any], Any]:
    """Per flat component of the emitted structure: its shape without the batch, and its dtype."""
    if emit is not None:
        flat = nest.flatten(emit)
        shapes = [t.shape if t.shape.is_fully_defined() else tf("shape")(t) for t in flat]
        return shapes, [t.dtype for t in flat], emit
    structure = cell.output_size
    flat = nest.flatten(structure)
    return (
        [TensorShape(s if isinstance(s, list | tuple | TensorShape) else [s]) for s in flat],
        [dtype] * len(flat),
        structure,
    )


@tf_export("nn.raw_rnn")
def raw_rnn(
    cell: Any,
    loop_fn: Callable[..., Any],
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    scope: Any = None,
) -> tuple[Any, Any, Any]:
    """Loop with `loop_fn(time, output, state, loop_state) -> (finished, next_input, next_state, emit, next_loop_state)`;
    returns (TensorArrays of what was emitted, final state, final loop state)."""  # noqa: E501
    assert_like_rnncell("cell", cell)
    if not callable(loop_fn):
        raise TypeError("loop_fn must be a callable")
    with variable_scope(scope or loop_scope("rnn")) as opened:
        if opened.caching_device is None:
            opened.set_caching_device(lambda op: op.device)
        time = tf("constant")(0, dtype=dtypes.int32)
        finished, next_input, initial_state, emit_structure, loop_state = loop_fn(time, None, None, None)
        flat_input = [convert_to_tensor(t) for t in nest.flatten(next_input)]
        has_state = loop_state is not None
        loop_state = loop_state if has_state else tf("constant")(0, dtype=dtypes.int32)
        shapes = [t.shape for t in flat_input]
        static_batch = shapes[0].values[0] if shapes[0].values else None
        for each in shapes:
            if each.values and static_batch is not None and each.values[0] is not None:
                TensorShape([static_batch]).assert_is_compatible_with(TensorShape([each.values[0]]))
        batch_size = static_batch if static_batch is not None else tf("shape")(flat_input[0])[0]
        nest.assert_same_structure(initial_state, cell.state_size) if _comparable(
            initial_state, cell.state_size
        ) else None
        state = nest.map_structure(convert_to_tensor_or_array, initial_state)
        if emit_structure is not None:
            emit_structure = nest.map_structure(_as_structure, emit_structure)
        emit_shapes, emit_dtypes, structure = _shape_and_dtype(emit_structure, cell, _state_dtype(state), state)
        arrays = nest.pack_sequence_as(
            structure,
            [
                TensorArray(
                    dtype=d,
                    dynamic_size=True,
                    element_shape=(TensorShape([static_batch]).concatenate(s) if isinstance(s, TensorShape) else None),
                    size=0,
                    name=f"rnn_output_{i}",
                )
                for i, (s, d) in enumerate(zip(emit_shapes, emit_dtypes, strict=True))
            ],
        )
        zero_emit = nest.pack_sequence_as(
            structure, [_zero(batch_size, s, d) for s, d in zip(emit_shapes, emit_dtypes, strict=True)]
        )

        def body(time: Tensor, finished: Tensor, current: Any, arrays: Any, state: Any, loop_state: Any) -> Any:
            output, cell_state = cell(current, state)
            nest.assert_same_structure(cell.output_size, output, check_types=False) if nest.is_nested(output) else None
            next_time = time + 1
            next_finished, following, next_state, emit, next_loop_state = loop_fn(
                next_time, output, cell_state, loop_state if has_state else None
            )
            nest.assert_same_structure(state, next_state)
            nest.assert_same_structure(current, following)
            nest.assert_same_structure(arrays, emit)
            if next_loop_state is None:
                next_loop_state = loop_state

            def through(old: Any, new: Any) -> Any:
                if isinstance(old, TensorArray) or (isinstance(new, Tensor) and new.shape.rank == 0):
                    return new
                made = tf("where")(finished, old, new)
                return made

            emit = nest.map_structure(through, zero_emit, emit)
            next_state = nest.map_structure(through, state, nest.map_structure(convert_to_tensor_or_array, next_state))
            written = nest.map_structure(lambda a, e: a.write(time, e), arrays, emit)
            return next_time, tf("logical_or")(finished, next_finished), following, written, next_state, next_loop_state

        result = while_loop(
            lambda _time, finished, *_rest: tf("logical_not")(tf("reduce_all")(finished)),
            body,
            loop_vars=[time, finished, next_input, arrays, state, loop_state],
            parallel_iterations=parallel_iterations or 32,
            swap_memory=swap_memory,
        )
        _, _, _, arrays, final_state, final_loop_state = result
        return arrays, final_state, final_loop_state if has_state else None


def _comparable(state: Any, size: Any) -> bool:
    return len(nest.flatten(state)) == len(nest.flatten(size)) and nest.is_nested(state) == nest.is_nested(size)


def convert_to_tensor_or_array(value: Any) -> Any:
    return value if isinstance(value, TensorArray) else convert_to_tensor(value)


def _as_structure(value: Any) -> Any:
    return value if isinstance(value, TensorLike | TensorArray) else convert_to_tensor(value)


def _state_dtype(state: Any) -> Any:
    flat = [t for t in nest.flatten(state) if isinstance(t, Tensor)]
    return flat[0].dtype if flat else dtypes.float32


def _zero(batch_size: Any, shape: Any, dtype: Any) -> Tensor:
    if isinstance(shape, TensorShape):
        return tf("zeros")(state_shape(batch_size, shape), dtype)
    batch = tf("expand_dims")(convert_to_tensor(batch_size), 0)
    return tf("zeros")(tf("concat")([batch, shape], 0), dtype)
