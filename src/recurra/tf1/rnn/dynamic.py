"""tf.nn.dynamic_rnn and its bidirectional form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from recurra.tf1 import dtypes, eras, names, nest
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.control_flow import while_loop
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.base import assert_like_rnncell, loop_scope, state_shape
from recurra.tf1.scopes import variable_scope
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Tensor
from recurra.tf1.tensor_array import TensorArray


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


def swap_batch_and_time(x: Any) -> Tensor:
    """[B, T, …] <-> [T, B, …], for ranks that may be unknown; low ranks stay."""
    x = convert_to_tensor(x)
    if x.shape.rank is not None and x.shape.rank < 2:
        return x
    rank: Any = x.shape.rank
    if rank is not None:
        made = tf("transpose")(x, [1, 0, *range(2, rank)])
    else:
        made = tf("transpose")(x, tf("concat")(([1, 0], tf("range")(2, tf("rank")(x))), 0))
    if rank is not None:
        dims = x.shape.as_list()
        made.set_shape([dims[1], dims[0], *dims[2:]])
    return made


def best_batch_size(flat: Sequence[Tensor]) -> Any:
    """The batch size of time-major inputs: static if any input knows it."""
    for tensor in flat:
        if tensor.shape.rank is not None and tensor.shape.rank >= 2 and tensor.shape.values[1] is not None:
            return tensor.shape.values[1]
    return tf("shape")(flat[0])[1]


def infer_state_dtype(explicit: Any, state: Any) -> Any:
    """The dtype of outputs: given, or the one that all state tensors share."""
    if explicit is not None:
        return dtypes.as_dtype(explicit)
    flat = nest.flatten(state)
    if not flat:
        raise ValueError("Unable to infer dtype from empty state.")
    kinds = [t.dtype for t in flat]
    if any(k != kinds[0] for k in kinds):
        raise ValueError(
            "State has tensors of different inferred_dtypes. Unable to infer a single representative dtype."
        )
    return kinds[0]


def initial_state_for(cell: Any, initial_state: Any, dtype: Any, batch_size: Any, message: str) -> Any:
    """The given initial state, or zeros."""
    if initial_state is not None:
        return initial_state
    if not dtype:
        raise ValueError(message)
    if getattr(cell, "get_initial_state", None) is not None:
        return cell.get_initial_state(inputs=None, batch_size=batch_size, dtype=dtype)
    return cell.zero_state(batch_size, dtype)


def checked_lengths(sequence_length: Any) -> Any:
    """Lengths as an int32 vector."""
    if sequence_length is None:
        return None
    lengths = convert_to_tensor(sequence_length)
    if lengths.dtype.base_dtype != dtypes.int32:
        lengths = tf("to_int32")(lengths)
    if lengths.shape.rank not in (None, 1):
        raise ValueError(f"sequence_length must be a vector of length batch_size, but saw shape: {lengths.shape}")
    return tf("identity")(lengths, name="sequence_length" if eras.current() < (1, 0) else "CheckSeqLen")


def _assert_has_shape(x: Tensor, expected: Any) -> Any:
    shape = tf("shape")(x)
    packed = tf("stack")(expected)
    return tf("Assert")(
        tf("reduce_all")(tf("equal")(shape, packed)),
        [f"Expected shape for Tensor {x.name} is ", packed, " but saw shape: ", shape],
    )


@tf_export("nn.dynamic_rnn")
def dynamic_rnn(
    cell: Any,
    inputs: Any,
    sequence_length: Any = None,
    initial_state: Any = None,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[Any, Any]:
    """Run `cell` over the time axis of `inputs` -> (outputs, final state). Past a row's length: zeros, and the state stays."""  # noqa: E501
    assert_like_rnncell("cell", cell)
    with variable_scope(scope or loop_scope("rnn")) as opened:
        _cache_on_device(opened)
        flat = [convert_to_tensor(t) for t in nest.flatten(inputs)]
        if not time_major:
            flat = [swap_batch_and_time(t) for t in flat]
        parallel = parallel_iterations or 32
        lengths = checked_lengths(sequence_length)
        batch_size = best_batch_size(flat)
        state = initial_state_for(
            cell, initial_state, dtype, batch_size, "If there is no initial_state, you must give a dtype."
        )
        if lengths is not None and not isinstance(batch_size, int):
            with get_default_graph().control_dependencies([_assert_has_shape(lengths, [batch_size])]):
                lengths = tf("identity")(lengths, name="CheckSeqLen")
        elif lengths is not None:
            lengths.shape.assert_is_compatible_with([batch_size]) if lengths.shape.rank == 1 else None
        packed = nest.pack_sequence_as(inputs, flat)
        outputs, final = _loop(cell, packed, state, parallel, swap_memory, lengths, dtype)
        if not time_major:
            outputs = nest.map_structure(swap_batch_and_time, outputs)
        return outputs, final


def _cache_on_device(scope: Any) -> None:
    if scope.caching_device is None:
        scope.set_caching_device(lambda op: op.device)


def _loop(
    cell: Any, inputs: Any, initial_state: Any, parallel: int, swap_memory: bool, lengths: Any, dtype: Any
) -> tuple[Any, Any]:
    state = initial_state
    flat_input = nest.flatten(inputs)
    shape = tf("shape")(flat_input[0])
    time_steps, batch_size = shape[0], best_batch_size(flat_input)
    shapes = [t.shape.with_rank_at_least(3) for t in flat_input]
    const_time, const_batch = shapes[0].values[0], shapes[0].values[1]
    for each in shapes:
        if not each[2:].is_fully_defined():
            raise ValueError("Input size (depth of inputs) must be accessible via shape inference, but saw value None.")
        if each.values[0] is not None and const_time is not None and each.values[0] != const_time:
            raise ValueError("Time steps is not the same for all the elements in the input in a batch.")
        if each.values[1] is not None and const_batch is not None and each.values[1] != const_batch:
            raise ValueError("Batch_size is not the same for all the elements in the input.")
    flat_sizes = nest.flatten(cell.output_size)

    zero_output = nest.pack_sequence_as(
        cell.output_size,
        [tf("zeros")(state_shape(batch_size, size), infer_state_dtype(dtype, state)) for size in flat_sizes],
    )
    if lengths is not None:
        shortest, longest = tf("reduce_min")(lengths), tf("reduce_max")(lengths)
    else:
        longest = time_steps
    time = tf("constant")(0, dtype=dtypes.int32, name="time")
    with name_scope("dynamic_rnn") as base:
        pass

    def array(name: str, element: TensorShape, kind: Any) -> TensorArray:
        return TensorArray(dtype=kind, size=time_steps, element_shape=element, tensor_array_name=base + name)

    kind = infer_state_dtype(dtype, state)
    output_arrays = tuple(
        array(
            f"output_{i}",
            TensorShape([const_batch]).concatenate(TensorShape(state_shape(const_batch, size, static=True)[1:])),
            kind,
        )
        for i, size in enumerate(flat_sizes)
    )
    input_arrays = tuple(
        array(f"input_{i}", TensorShape(t.shape.as_list()[1:]), t.dtype).unstack(t) for i, t in enumerate(flat_input)
    )

    def step(time: Tensor, arrays: Any, state: Any) -> Any:
        rows = [a.read(time) for a in input_arrays]
        for row, each in zip(rows, shapes, strict=True):
            row.set_shape(each[1:])
        now = nest.pack_sequence_as(inputs, rows)
        if lengths is not None:
            output, new = masked_step(
                time,
                lengths,
                shortest,
                longest,
                zero_output,
                state,
                lambda: cell(now, state),
                cell.state_size,
                skip=True,
            )
        else:
            output, new = cell(now, state)
        flat_output = nest.flatten(output)
        arrays = tuple(a.write(time, convert_to_tensor(o)) for a, o in zip(arrays, flat_output, strict=True))
        return time + 1, arrays, new

    bound = tf("minimum")(time_steps, tf("maximum")(1, longest))
    _, final_arrays, final = while_loop(
        cond=lambda time, *_: time < bound,
        body=step,
        loop_vars=(time, output_arrays, state),
        parallel_iterations=parallel,
        maximum_iterations=time_steps,
        swap_memory=swap_memory,
    )
    stacked = [a.stack() for a in final_arrays]
    for tensor, size in zip(stacked, flat_sizes, strict=True):
        tensor.set_shape([const_time, const_batch, *state_shape(const_batch, size, static=True)[1:]])
    outputs = nest.pack_sequence_as(cell.output_size, stacked)
    _remember_sequence(cell, lengths, flat_input, state)
    return outputs, final


def _remember_sequence(cell: Any, lengths: Any, flat_input: list[Tensor], state: Any) -> None:
    """Tell the loop that it is this cell over these inputs, so that a plan may run it as a sequence."""
    from recurra.tf1.rnn import sequence

    loops = get_default_graph().extra.get("loops")
    if loops:
        sequence.attach(loops[-1], cell, lengths)


def masked_step(
    time: Any,
    lengths: Tensor,
    shortest: Any,
    longest: Any,
    zero_output: Any,
    state: Any,
    call_cell: Callable[[], Any],
    state_size: Any,
    skip: bool = False,
) -> tuple[Any, Any]:
    """One step where rows past their length give zeros and keep their state (scalars and TensorArrays take the new value)."""  # noqa: E501
    flat_state, flat_zero = nest.flatten(state), nest.flatten(zero_output)
    done = time >= lengths

    def pick(old: Any, new: Any) -> Any:
        if isinstance(old, TensorArray) or (new.shape.rank == 0):
            return new
        with get_default_graph().colocate_with(new):
            return tf("where")(done, old, new)

    output, new_state = call_cell()
    nest.assert_same_structure(zero_output, output)
    nest.assert_same_structure(state, new_state)
    outputs = [pick(z, o) for z, o in zip(flat_zero, nest.flatten(output), strict=True)]
    states = [pick(s, n) for s, n in zip(flat_state, nest.flatten(new_state), strict=True)]
    for made, given in zip(outputs, nest.flatten(output), strict=True):
        made.set_shape(given.shape)
    for made, given in zip(states, flat_state, strict=True):
        if not isinstance(made, TensorArray):
            made.set_shape(given.shape)
    return nest.pack_sequence_as(zero_output, outputs), nest.pack_sequence_as(state, states)


@tf_export("nn.bidirectional_dynamic_rnn")
def bidirectional_dynamic_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Any,
    sequence_length: Any = None,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """One cell forward, one backward in time (within each row's length) -> ((out_fw, out_bw), (state_fw, state_bw))."""
    assert_like_rnncell("cell_fw", cell_fw)
    assert_like_rnncell("cell_bw", cell_bw)
    common = {
        "dtype": dtype,
        "parallel_iterations": parallel_iterations,
        "swap_memory": swap_memory,
        "time_major": time_major,
    }
    with variable_scope(scope or loop_scope("bidirectional_rnn")):
        with variable_scope(loop_scope("fw")) as forward:
            output_fw, state_fw = dynamic_rnn(
                cell_fw,
                inputs,
                sequence_length=sequence_length,
                initial_state=initial_state_fw,
                scope=forward,
                **common,
            )
        time_axis, batch_axis = (0, 1) if time_major else (1, 0)

        def reverse(tensor: Any) -> Tensor:
            if sequence_length is not None:
                return tf("reverse_sequence")(
                    input=tensor, seq_lengths=sequence_length, seq_axis=time_axis, batch_axis=batch_axis
                )
            return tf("reverse")(tensor, axis=[time_axis])

        with variable_scope(loop_scope("bw")) as backward:
            reversed_inputs = nest.map_structure(reverse, inputs)
            out, state_bw = dynamic_rnn(
                cell_bw,
                reversed_inputs,
                sequence_length=sequence_length,
                initial_state=initial_state_bw,
                scope=backward,
                **common,
            )
        output_bw = nest.map_structure(reverse, out)
    return (output_fw, output_bw), (state_fw, state_bw)
