"""tf.contrib.recurrent's functional loops: the same results as the dynamic ones, by the same loop."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import names, nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.control_flow import while_loop
from recurra.tf1.names import tf_export
from recurra.tf1.python_functions import custom_gradient
from recurra.tf1.rnn.dynamic import bidirectional_dynamic_rnn, dynamic_rnn
from recurra.tf1.tensor_array import TensorArray


@tf_export("contrib.recurrent.functional_rnn", "contrib.recurrent.python.ops.functional_rnn.functional_rnn")
def functional_rnn(
    cell: Any,
    inputs: Any,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    time_major: bool = False,
    scope: Any = None,
    use_tpu: bool = False,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """dynamic_rnn; with `reverse` from each row's last step to its first."""
    if not reverse:
        return dynamic_rnn(cell, inputs, sequence_length, initial_state, dtype, time_major=time_major, scope=scope)
    axis = 0 if time_major else 1

    def turn(tensor: Any) -> Any:
        if sequence_length is None:
            return names.lookup("reverse")(tensor, [axis])
        return names.lookup("reverse_sequence")(tensor, sequence_length, seq_axis=axis, batch_axis=1 - axis)

    outputs, state = dynamic_rnn(
        cell, turn(inputs), sequence_length, initial_state, dtype, time_major=time_major, scope=scope
    )
    return turn(outputs), state


@tf_export(
    "contrib.recurrent.bidirectional_functional_rnn",
    "contrib.recurrent.python.ops.functional_rnn.bidirectional_functional_rnn",
)
def bidirectional_functional_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Any,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    time_major: bool = False,
    use_tpu: bool = False,
    fast_reverse: bool = False,
    scope: Any = None,
) -> Any:
    """bidirectional_dynamic_rnn with this module's order of arguments."""
    return bidirectional_dynamic_rnn(
        cell_fw,
        cell_bw,
        inputs,
        sequence_length=sequence_length,
        initial_state_fw=initial_state_fw,
        initial_state_bw=initial_state_bw,
        dtype=dtype,
        time_major=time_major,
        scope=scope,
    )


@tf_export("contrib.recurrent.Recurrent", "contrib.recurrent.python.ops.recurrent.Recurrent")
def recurrent(
    theta: Any,
    state0: Any,
    inputs: Any,
    cell_fn: Any,
    cell_grad: Any = None,
    extras: Any = None,
    max_input_length: Any = None,
    use_tpu: bool = False,
    aligned_end: bool = False,
) -> tuple[Any, Any]:
    """(states of all steps, last state) of state, extras = cell_fn(theta, state, inputs[t]), all of them structures.

    `cell_grad(theta, state0, inputs[t], extras, dstate1) -> (dtheta, dstate0, dinputs)` takes the place of the step's
    own gradient. Steps past `max_input_length` (before the last ones, with `aligned_end`) are left out: rows of 0.
    """
    tf = names.lookup
    step = cell_fn if cell_grad is None else _with_gradient(cell_fn, cell_grad)
    inputs, state0 = (nest.map_structure(convert_to_tensor, part) for part in (inputs, state0))
    steps = tf("shape")(nest.flatten(inputs)[0])[0]
    length = steps if max_input_length is None else convert_to_tensor(max_input_length, "int32")
    start, end = (steps - length, steps) if aligned_end else (0, length)
    arrays = [
        TensorArray(leaf.dtype, size=steps, element_shape=leaf.shape, infer_shape=False)
        for leaf in nest.flatten(state0)
    ]

    def body(t: Any, state: Any, written: Any) -> Any:
        new, _ = step(theta, state, nest.map_structure(lambda x: tf("gather")(x, t), inputs))
        nest.assert_same_structure(state, new)
        return t + 1, new, [array.write(t, leaf) for array, leaf in zip(written, nest.flatten(new), strict=True)]

    _, final, written = while_loop(lambda t, *_: t < end, body, [convert_to_tensor(start), state0, arrays])
    return nest.pack_sequence_as(state0, [array.stack() for array in written]), final


def _with_gradient(cell_fn: Any, cell_grad: Any) -> Any:
    """`cell_fn` whose gradient is `cell_grad`."""

    def step(*arguments: Any) -> Any:
        extra: list[Any] = []

        @custom_gradient
        def flat_step(*flat: Any) -> Any:
            theta, state, row = nest.pack_sequence_as(list(arguments), flat)
            new, extras = cell_fn(theta, state, row)
            extra.append(extras)

            def grad(*upstream: Any) -> list[Any]:
                return nest.flatten(list(cell_grad(theta, state, row, extras, nest.pack_sequence_as(new, upstream))))

            return new, grad

        return flat_step(*nest.flatten(list(arguments))), extra[0]

    return step


@tf_export("contrib.rnn.transpose_batch_time")
def transpose_batch_time(x: Any) -> Any:
    """The first two axes changed places; what is known to have fewer stays."""
    x = convert_to_tensor(x)
    rank = x.shape.ndims
    if rank is not None and rank < 2:
        raise ValueError(f"Expected input tensor {x} to have rank at least 2, but saw shape: {x.shape}")
    if rank is None:
        order = names.lookup("concat")(([1, 0], names.lookup("range")(2, names.lookup("rank")(x))), axis=0)
        return names.lookup("transpose")(x, order)
    return names.lookup("transpose")(x, [1, 0, *range(2, rank)])


@tf_export("contrib.rnn.best_effort_input_batch_size")
def best_effort_input_batch_size(flat_input: Any) -> Any:
    """The batch size of time-major inputs: a number where one of them knows it, else a tensor."""
    for item in flat_input:
        if item.shape.ndims is None:
            continue
        if item.shape.ndims < 2:
            raise ValueError(f"Expected input tensor {item.name} to have rank at least 2")
        if item.shape.as_list()[1] is not None:
            return item.shape.as_list()[1]
    return names.lookup("shape")(flat_input[0])[1]
