"""What TensorFlow's recurrent files keep to themselves, and copies of them that programs carry import all the same.

A pointer network or an attention of a program's own usually began as a copy of `attention_wrapper.py`, `rnn.py` or a cell's
file: its imports of `_compute_attention`, `_infer_state_dtype` or `_checked_scope` stayed.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recurra.tf1 import nest
from recurra.tf1.contrib import legacy_seq2seq
from recurra.tf1.contrib.seq2seq import attention, beam_search, helpers, wrapper
from recurra.tf1.layers.base import Layer
from recurra.tf1.names import export
from recurra.tf1.rnn import base, dynamic
from recurra.tf1.scopes import get_variable, variable_scope

__all__: list[str] = []

_ATTENTION = "contrib.seq2seq.python.ops.attention_wrapper"
_SEQ2SEQ = ("contrib.legacy_seq2seq.python.ops.seq2seq", "python.ops.seq2seq", "nn.seq2seq")
_CELLS = ("python.ops.rnn_cell_impl", "contrib.rnn.python.ops.core_rnn_cell_impl", "python.ops.rnn_cell")

export(attention.BaseAttentionMechanism, f"{_ATTENTION}._BaseAttentionMechanism")
export(attention._luong_score, f"{_ATTENTION}._luong_score")
export(attention._bahdanau_score, f"{_ATTENTION}._bahdanau_score")
export(attention.prepare_memory, f"{_ATTENTION}._prepare_memory")
export(attention.mask_score, f"{_ATTENTION}._maybe_mask_score")
export(attention.zero_state_tensors, f"{_ATTENTION}._zero_state_tensors")
export(wrapper.compute_attention, f"{_ATTENTION}._compute_attention")
export(beam_search._tile_batch, "contrib.seq2seq.python.ops.beam_search_decoder._tile_batch")
export(helpers._unstack_ta, "contrib.seq2seq.python.ops.helper._unstack_ta")
export(
    helpers.transpose_batch_time,
    "contrib.seq2seq.python.ops.helper._transpose_batch_time",
    "contrib.seq2seq.python.ops.decoder._transpose_batch_time",
)
export(nest._rebuild, "python.util.nest._sequence_like")
export(dynamic.swap_batch_and_time, "python.ops.rnn._transpose_batch_time")
export(dynamic.best_batch_size, "python.ops.rnn._best_effort_input_batch_size")
export(dynamic.infer_state_dtype, "python.ops.rnn._infer_state_dtype")
export(dynamic.masked_step, "python.ops.rnn._rnn_step")
export(legacy_seq2seq._extract_argmax_and_embed, *(f"{file}._extract_argmax_and_embed" for file in _SEQ2SEQ))
export(base.RNNCell, *(f"{file}._RNNCell" for file in _CELLS))
export(base.like_rnncell, *(f"{file}._like_rnncell" for file in _CELLS), "python.ops.rnn._like_rnncell")
export(Layer, "python.layers.base._Layer")


@contextmanager
def checked_scope(cell: Any, scope: Any, reuse: bool | None = None, **kwargs: Any) -> Iterator[Any]:
    """The variable scope of a cell of releases 1.0 and 1.1, entered under the same name at every call.

    Raises ValueError where the cell was called in another scope before, or another cell has its weights in this one.
    """
    if reuse is not None:
        kwargs["reuse"] = reuse
    with variable_scope(scope, **kwargs) as entered:
        first = getattr(cell, "_scope", None)
        if first is not None and first.name != entered.name:
            raise ValueError(
                f"Attempt to reuse RNNCell {cell} with a different variable scope than its first use. First use of "
                f"cell was with scope '{first.name}', this attempt is with scope '{entered.name}'."
            )
        if first is None and reuse is None and _holds_weights(entered):
            raise ValueError(
                f"Attempt to have a second RNNCell use the weights of a variable scope that already has weights: "
                f"'{entered.name}'; and the cell was not constructed as {type(cell).__name__}(..., reuse=True)."
            )
        cell._scope = entered
        yield entered


def _holds_weights(scope: Any) -> bool:
    try:
        with variable_scope(scope, reuse=True):
            get_variable("weights")
    except ValueError:
        return False
    return True


export(checked_scope, *(f"{file}._checked_scope" for file in _CELLS))
