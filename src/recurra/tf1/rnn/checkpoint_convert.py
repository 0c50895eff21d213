"""tf.contrib.rnn's checkpoint converter: a checkpoint rewritten with 1.2's names for the variables of 1.0 and 1.1.

`recurra checkpoint convert` knows every era's names; this is the tool that programs of 1.2 and later import.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from recurra.tf1 import names
from recurra.tf1.graph import Graph
from recurra.tf1.names import export, tf_export

_HOME = "contrib.rnn.python.tools.checkpoint_convert"
# scopes whose weights and biases are kernel and bias since 1.2
_SCOPES = (
    "basic_rnn_cell", "gru_cell", "gru_cell/gates", "gru_cell/candidate", "basic_lstm_cell", "lstm_cell",
    "lstm_cell/projection", "output_projection_wrapper", "input_projection_wrapper", "lstm_block_wrapper",
    "layer_norm_basic_lstm_cell", "ugrnn_cell", "intersection_rnn_cell", "intersection_rnn_cell/in_projection",
    "phased_lstm_cell/mask_gates", "phased_lstm_cell/new_input", "phased_lstm_cell/output_gate",
    "attention_cell_wrapper", "attention_cell_wrapper/attn_output_projection", "attention_cell_wrapper/attention",
    "attention_decoder", "attention_decoder/Attention_0", "attention_decoder/AttnOutputProjection",
)  # fmt: skip
_NAS = [
    ("nas_rnn/weights", "nas_rnn/kernel"),
    ("nas_rnn/recurrent_weights", "nas_rnn/recurrent_kernel"),
]
# the attention decoder of 0.x
_DECODER = [
    *(
        (f"attention_decoder/{part}Linear/{old}", f"attention_decoder/{part}{new}")
        for part in ("Attention_0/", "AttnOutputProjection/", "")
        for old, new in (("Bias", "bias"), ("Matrix", "kernel"))
    ),
    ("attention_decoder/LSTMCell/B", "attention_decoder/lstm_cell/bias"),
    ("attention_decoder/LSTMCell/W_0", "attention_decoder/lstm_cell/kernel"),
]
RNN_NAME_REPLACEMENTS = OrderedDict(
    [
        *((f"{s}/{old}", f"{s}/{new}") for s in _SCOPES for old, new in (("weights", "kernel"), ("biases", "bias"))),
        *_NAS,
        *_DECODER,
    ]
)
# of sharded cells; the converter of 1.15 takes no variable for sharded, so that these are there to be read only
_RNN_SHARDED_NAME_REPLACEMENTS = OrderedDict(
    [
        ("LSTMCell/W_", "lstm_cell/weights/part_"),
        ("BasicLSTMCell/Linear/Matrix_", "basic_lstm_cell/weights/part_"),
        ("GRUCell/W_", "gru_cell/weights/part_"),
        ("MultiRNNCell/Cell", "multi_rnn_cell/cell_"),
    ]
)
export(RNN_NAME_REPLACEMENTS, f"{_HOME}.RNN_NAME_REPLACEMENTS")
export(_RNN_SHARDED_NAME_REPLACEMENTS, f"{_HOME}._RNN_SHARDED_NAME_REPLACEMENTS")


def _renamed(name: str) -> str:
    """The name with the first old part that it contains replaced."""
    old = next((part for part in RNN_NAME_REPLACEMENTS if part in name), None)
    return name if old is None else name.replace(old, RNN_NAME_REPLACEMENTS[old])


@tf_export(f"{_HOME}.convert_names")
def convert_names(
    checkpoint_from_path: str, checkpoint_to_path: str, write_v1_checkpoint: bool = False
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write a checkpoint under the new names; returns (new name → variable, old name → new name where they differ)."""
    tf = names.lookup
    with Graph().as_default():
        reader = tf("train.NewCheckpointReader")(checkpoint_from_path)
        renamed = {name: _renamed(name) for name in reader.get_variable_to_shape_map()}
        variables = {new: tf("Variable")(reader.get_tensor(old), name=old) for old, new in renamed.items()}
        saver = tf("train.Saver")(variables, write_version=1 if write_v1_checkpoint else 2)
        with tf("Session")() as session:
            session.run(tf("global_variables_initializer")())
            saver.save(session, checkpoint_to_path)
    return variables, {old: new for old, new in renamed.items() if old != new}
