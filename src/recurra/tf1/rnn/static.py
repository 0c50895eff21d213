"""Loops over Python lists: static_rnn, its bidirectional and state-saving forms, stacks of bidirectional layers."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import names, nest
from recurra.tf1.build import convert_to_tensor
from recurra.tf1.core_ops import identity
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import export, tf_export
from recurra.tf1.rnn.base import assert_like_rnncell, loop_scope, state_shape
from recurra.tf1.rnn.dynamic import bidirectional_dynamic_rnn, infer_state_dtype, initial_state_for, masked_step
from recurra.tf1.scopes import get_variable_scope, variable_scope
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Tensor


def tf(dotted: str) -> Any:
    """A public function by its name, looked up when it is used."""
    return names.lookup(dotted)


@tf_export("nn.static_rnn", "contrib.rnn.static_rnn", "nn.rnn")
def static_rnn(
    cell: Any, inputs: Any, initial_state: Any = None, dtype: Any = None, sequence_length: Any = None, scope: Any = None
) -> tuple[list[Any], Any]:
    """Call `cell` once per element of the list `inputs` -> (list of outputs, final state)."""
    assert_like_rnncell("cell", cell)
    if not nest.is_nested(inputs):
        raise TypeError("inputs must be a sequence")
    if not inputs:
        raise ValueError("inputs must not be empty")
    outputs: list[Any] = []
    with variable_scope(scope or loop_scope("rnn")) as opened:
        if opened.caching_device is None:
            opened.set_caching_device(lambda op: op.device)
        first: Any = inputs
        while nest.is_nested(first):
            first = nest.flatten(first)[0]
        batch_size = _batch_size(inputs, first)
        state = initial_state_for(
            cell, initial_state, dtype, batch_size, "If no initial_state is provided, dtype must be specified"
        )
        if sequence_length is not None:
            sequence_length = tf("to_int32")(tf("identity")(convert_to_tensor(sequence_length), name="sequence_length"))
            if sequence_length.shape.rank not in (None, 1):
                raise ValueError(
                    f"sequence_length must be a vector of length batch_size, but saw shape: {sequence_length.shape}"
                )
            zero_output = _zero_outputs(cell, batch_size, infer_state_dtype(dtype, state))
            shortest, longest = tf("reduce_min")(sequence_length), tf("reduce_max")(sequence_length)
        for time, x in enumerate(inputs):
            if time > 0:
                opened.reuse_variables()
            if sequence_length is None:
                output, state = cell(x, state)
            else:
                output, state = masked_step(
                    time,
                    sequence_length,
                    shortest,
                    longest,
                    zero_output,
                    state,
                    lambda x=x, state=state: cell(x, state),
                    cell.state_size,
                )
            outputs.append(output)
        return outputs, state


def _batch_size(inputs: Any, first: Any) -> Any:
    first = convert_to_tensor(first)
    if first.shape.rank == 1:
        fixed = first.shape
    else:
        fixed = first.shape.with_rank_at_least(2)[:1] if first.shape.rank is not None else TensorShape([None])
    known = fixed.values[0] if fixed.values else None
    for step in inputs:
        for tensor in nest.flatten(step):
            tensor = convert_to_tensor(tensor)
            if tensor.shape.rank is None:
                continue
            dims = tensor.shape.as_list()
            for i, size in enumerate(dims[1:]):
                if size is None and len(dims) > 1:
                    raise ValueError(
                        f"Input size (dimension {i + 1} of inputs) must be accessible via shape inference, but saw value None."  # noqa: E501
                    )
            if dims and dims[0] is not None:
                if known is not None and known != dims[0]:
                    raise ValueError("Batch_size is not the same for all the elements in the input.")
                known = dims[0]
    return known if known is not None else tf("shape")(first)[0]


def _zero_outputs(cell: Any, batch_size: Any, dtype: Any) -> Any:
    sizes = nest.flatten(cell.output_size)
    made = []
    for size in sizes:
        zero = tf("zeros")(
            tf("stack")(state_shape(batch_size, size))
            if isinstance(batch_size, int)
            else state_shape(batch_size, size),
            dtype,
        )
        zero.set_shape(state_shape(batch_size, size, static=True))
        made.append(zero)
    return nest.pack_sequence_as(cell.output_size, made)


@tf_export("nn.static_state_saving_rnn", "contrib.rnn.static_state_saving_rnn", "nn.state_saving_rnn")
def static_state_saving_rnn(
    cell: Any, inputs: Any, state_saver: Any, state_name: Any, sequence_length: Any = None, scope: Any = None
) -> tuple[list[Any], Any]:
    """static_rnn from a saved state, saving the final one; the last output and the state depend on the saving."""
    size = cell.state_size
    if nest.is_nested(size) != nest.is_nested(state_name):
        raise ValueError(
            f"state_name should be the same type as cell.state_size. state_name: {state_name}, cell.state_size: {size}"
        )
    keys = nest.flatten(state_name) if nest.is_nested(state_name) else [state_name]
    if len(keys) != len(nest.flatten(size)):
        raise ValueError(f"#elems(state_name) != #elems(state_size): {len(keys)} vs. {len(nest.flatten(size))}")
    initial = (
        nest.pack_sequence_as(size, [state_saver.state(k) for k in keys])
        if nest.is_nested(size)
        else state_saver.state(keys[0])
    )
    outputs, state = static_rnn(cell, inputs, initial_state=initial, sequence_length=sequence_length, scope=scope)
    flat = nest.flatten(state)
    saving = [state_saver.save_state(key, value) for key, value in zip(keys, flat, strict=True)]
    with get_default_graph().control_dependencies(saving):
        last = nest.map_structure(identity, outputs[-1])
        final = nest.map_structure(identity, state)
    outputs[-1] = last
    return outputs, final


def reverse_list(inputs: list[Any], lengths: Any) -> list[Any]:
    """A list over time reversed, within each row's length where lengths are given."""
    if lengths is None:
        return list(reversed(inputs))
    columns = [nest.flatten(x) for x in inputs]
    reversed_columns: list[list[Tensor]] = [[] for _ in inputs]
    for position in range(len(columns[0])):
        tensors = [convert_to_tensor(c[position]) for c in columns]
        shape = tensors[0].shape
        for tensor in tensors:
            shape = shape.merge_with(tensor.shape)
        joined = tf("stack")(tensors)
        turned = tf("reverse_sequence")(joined, lengths, 0, 1)
        for column, part in zip(reversed_columns, tf("unstack")(turned, num=len(inputs)), strict=True):
            part.set_shape(shape)
            column.append(part)
    return [nest.pack_sequence_as(inputs[0], flat) for flat in reversed_columns]


@tf_export("nn.static_bidirectional_rnn", "contrib.rnn.static_bidirectional_rnn", "nn.bidirectional_rnn")
def static_bidirectional_rnn(
    cell_fw: Any,
    cell_bw: Any,
    inputs: Any,
    initial_state_fw: Any = None,
    initial_state_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Any], Any, Any]:
    """Forward and backward over a list -> (list of concatenated outputs, forward state, backward state)."""
    assert_like_rnncell("cell_fw", cell_fw)
    assert_like_rnncell("cell_bw", cell_bw)
    if not nest.is_nested(inputs):
        raise TypeError("inputs must be a sequence")
    if not inputs:
        raise ValueError("inputs must not be empty")
    with variable_scope(scope or loop_scope("bidirectional_rnn")):
        with variable_scope(loop_scope("fw")) as forward:
            out_fw, state_fw = static_rnn(cell_fw, inputs, initial_state_fw, dtype, sequence_length, scope=forward)
        with variable_scope(loop_scope("bw")) as backward:
            turned = reverse_list(list(inputs), sequence_length)
            out_bw, state_bw = static_rnn(cell_bw, turned, initial_state_bw, dtype, sequence_length, scope=backward)
    out_bw = reverse_list(out_bw, sequence_length)
    flat = [
        tf("concat")([f, b], 1)
        for f, b in zip(
            (t for o in out_fw for t in nest.flatten(o)), (t for o in out_bw for t in nest.flatten(o)), strict=True
        )
    ]
    width = len(nest.flatten(out_fw[0]))
    packed = [nest.pack_sequence_as(out_fw[0], flat[i * width : (i + 1) * width]) for i in range(len(out_fw))]
    return packed, state_fw, state_bw


def _check_layers(cells_fw: Any, cells_bw: Any, states_fw: Any, states_bw: Any) -> None:
    if not cells_fw:
        raise ValueError("Must specify at least one fw cell for BidirectionalRNN.")
    if not cells_bw:
        raise ValueError("Must specify at least one bw cell for BidirectionalRNN.")
    if not isinstance(cells_fw, list):
        raise ValueError("cells_fw must be a list of RNNCells (one per layer).")
    if not isinstance(cells_bw, list):
        raise ValueError("cells_bw must be a list of RNNCells (one per layer).")
    if len(cells_fw) != len(cells_bw):
        raise ValueError("Forward and Backward cells must have the same depth.")
    for states, cells, name in ((states_fw, cells_fw, "initial_states_fw"), (states_bw, cells_bw, "initial_states_bw")):
        if states is not None and (not isinstance(states, list) or len(states) != len(cells)):
            raise ValueError(f"{name} must be a list of state tensors (one per layer).")


@tf_export("contrib.rnn.stack_bidirectional_rnn")
def stack_bidirectional_rnn(
    cells_fw: Any,
    cells_bw: Any,
    inputs: Any,
    initial_states_fw: Any = None,
    initial_states_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    scope: Any = None,
) -> tuple[list[Any], tuple[Any, ...], tuple[Any, ...]]:
    """Bidirectional layers over a list, each on the joined outputs of the one below."""
    _check_layers(cells_fw, cells_bw, initial_states_fw, initial_states_bw)
    states_fw, states_bw, current = [], [], inputs
    with variable_scope(scope or "stack_bidirectional_rnn"):
        for i, (fw, bw) in enumerate(zip(cells_fw, cells_bw, strict=True)):
            with variable_scope(f"cell_{i}") as cell_scope:
                current, state_fw, state_bw = static_bidirectional_rnn(
                    fw,
                    bw,
                    current,
                    initial_states_fw and initial_states_fw[i],
                    initial_states_bw and initial_states_bw[i],
                    sequence_length=sequence_length,
                    dtype=dtype,
                    scope=cell_scope,
                )
            states_fw.append(state_fw)
            states_bw.append(state_bw)
    return current, tuple(states_fw), tuple(states_bw)


@tf_export("contrib.rnn.stack_bidirectional_dynamic_rnn")
def stack_bidirectional_dynamic_rnn(
    cells_fw: Any,
    cells_bw: Any,
    inputs: Any,
    initial_states_fw: Any = None,
    initial_states_bw: Any = None,
    dtype: Any = None,
    sequence_length: Any = None,
    parallel_iterations: Any = None,
    time_major: bool = False,
    scope: Any = None,
    swap_memory: bool = False,
) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
    """Bidirectional dynamic layers, each on the joined outputs of the one below."""
    _check_layers(cells_fw, cells_bw, initial_states_fw, initial_states_bw)
    states_fw, states_bw, current = [], [], inputs
    with variable_scope(scope or "stack_bidirectional_rnn"):
        for i, (fw, bw) in enumerate(zip(cells_fw, cells_bw, strict=True)):
            with variable_scope(f"cell_{i}"):
                outputs, (state_fw, state_bw) = bidirectional_dynamic_rnn(
                    fw,
                    bw,
                    current,
                    initial_state_fw=initial_states_fw and initial_states_fw[i],
                    initial_state_bw=initial_states_bw and initial_states_bw[i],
                    sequence_length=sequence_length,
                    parallel_iterations=parallel_iterations,
                    dtype=dtype,
                    swap_memory=swap_memory,
                    time_major=time_major,
                )
                current = tf("concat")(outputs, 2)
            states_fw.append(state_fw)
            states_bw.append(state_bw)
    return current, tuple(states_fw), tuple(states_bw)


export(reverse_list, "python.ops.rnn._reverse_seq")
export(get_variable_scope, "python.ops.rnn.get_variable_scope")
