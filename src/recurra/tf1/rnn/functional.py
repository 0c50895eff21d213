"""tf.contrib.recurrent's functional loops: the same results as the dynamic ones, by the same loop."""

from __future__ import annotations

from typing import Any

from recurra.tf1 import names
from recurra.tf1.names import tf_export
from recurra.tf1.rnn.dynamic import bidirectional_dynamic_rnn, dynamic_rnn


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
