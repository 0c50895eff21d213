"""AttentionWrapper: a cell that attends to a memory at every step."""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

from recurra.tf1 import dtypes, names, nest
from recurra.tf1.build import apply_op, name_scope
from recurra.tf1.contrib.seq2seq.attention import AttentionMechanism, zero_state_tensors
from recurra.tf1.layers.core import Dense
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_create import zeros
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_shape import expand_dims, shape, squeeze
from recurra.tf1.ops.matmul import matmul
from recurra.tf1.rnn.base import RNNCell, assert_like_rnncell
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Tensor
from recurra.tf1.tensor_array import TensorArray

__all__ = ["AttentionWrapper", "AttentionWrapperState"]

_State = collections.namedtuple(
    "_State", ("cell_state", "attention", "time", "alignments", "alignment_history", "attention_state")
)


@tf_export("contrib.seq2seq.AttentionWrapperState")
class AttentionWrapperState(_State):
    """What an AttentionWrapper carries."""

    __slots__ = ()

    def clone(self, **kwargs: Any) -> AttentionWrapperState:
        """A copy with fields replaced; new tensors keep the static shapes of the old ones."""

        def like(old: Any, new: Any) -> Any:
            if isinstance(old, Tensor) and isinstance(new, Tensor):
                new = apply_op("Identity", new)
                new.set_shape(old.get_shape())
            return new

        return nest.map_structure(like, self, self._replace(**kwargs))


def compute_attention(
    mechanism: Any, cell_output: Any, attention_state: Any, attention_layer: Any
) -> tuple[Any, Any, Any]:
    alignments, next_state = mechanism(cell_output, state=attention_state)
    context = squeeze(matmul(expand_dims(alignments, 1), mechanism.values), [1])
    attention = attention_layer(concat([cell_output, context], 1)) if attention_layer is not None else context
    return attention, alignments, next_state


@tf_export("contrib.seq2seq.AttentionWrapper", "contrib.seq2seq.python.ops.attention_wrapper.AttentionWrapper")
class AttentionWrapper(RNNCell):
    """Wraps `cell` so that its input is joined by the previous attention, and attention follows from its output."""

    def __init__(
        self,
        cell: Any,
        attention_mechanism: Any,
        attention_layer_size: Any = None,
        alignment_history: bool = False,
        cell_input_fn: Any = None,
        output_attention: bool = True,
        initial_cell_state: Any = None,
        name: str | None = None,
        attention_layer: Any = None,
        attention_fn: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        assert_like_rnncell("cell", cell)
        self._is_multi = isinstance(attention_mechanism, (list, tuple))
        mechanisms = tuple(attention_mechanism) if self._is_multi else (attention_mechanism,)
        for mechanism in mechanisms:
            if not isinstance(mechanism, AttentionMechanism):
                raise TypeError(
                    "attention_mechanism must be an AttentionMechanism or list of multiple AttentionMechanism"
                    f" instances, saw type: {type(mechanism).__name__}"
                )
        if cell_input_fn is None:

            def cell_input_fn(inputs, attention):
                return concat([inputs, attention], -1)

        elif not callable(cell_input_fn):
            raise TypeError(f"cell_input_fn must be callable, saw type: {type(cell_input_fn).__name__}")
        if attention_layer_size is not None and attention_layer is not None:
            raise ValueError("Only one of attention_layer_size and attention_layer should be set")
        self._cell, self._attention_mechanisms, self._cell_input_fn = cell, mechanisms, cell_input_fn
        self._attention_layers = self._layers(mechanisms, attention_layer_size, attention_layer, dtype)
        self._attention_layer_size = self._attention_size(mechanisms)
        self._attention_fn = attention_fn or compute_attention
        self._output_attention, self._alignment_history = output_attention, alignment_history
        with name_scope(name, "AttentionWrapperInit"):
            self._initial_cell_state = None
            if initial_cell_state is not None:
                self._initial_cell_state = nest.map_structure(
                    lambda s: apply_op("Identity", s, name="check_initial_cell_state"), initial_cell_state
                )

    def _layers(self, mechanisms: Any, size: Any, layer: Any, dtype: Any) -> Any:
        if size is not None:
            sizes = tuple(size) if isinstance(size, (list, tuple)) else (size,)
            if len(sizes) != len(mechanisms):
                raise ValueError(
                    "If provided, attention_layer_size must contain exactly one integer per attention_mechanism, saw:"  # noqa: UP031
                    " %d vs %d" % (len(sizes), len(mechanisms))
                )
            return tuple(Dense(s, name="attention_layer", use_bias=False, dtype=dtype) for s in sizes)
        if layer is None:
            return None
        layers = tuple(layer) if isinstance(layer, (list, tuple)) else (layer,)
        if len(layers) != len(mechanisms):
            raise ValueError(
                "If provided, attention_layer must contain exactly one layer per attention_mechanism, saw: %d vs %d"  # noqa: UP031
                % (len(layers), len(mechanisms))
            )
        return layers

    def _attention_size(self, mechanisms: Any) -> int:
        total = 0
        for n, mechanism in enumerate(mechanisms):
            if self._attention_layers is None:
                total += mechanism.values.get_shape().values[-1]
            else:
                layer = self._attention_layers[n]
                depth = self._cell.output_size + mechanism.values.get_shape().values[-1]
                total += (
                    layer.units
                    if isinstance(layer, Dense)
                    else TensorShape(layer.compute_output_shape([None, depth])).values[-1]
                )  # type: ignore[index]
        return total

    def _item_or_tuple(self, items: Any) -> Any:
        items = tuple(items)
        return items if self._is_multi else items[0]

    @property
    def output_size(self) -> Any:
        return self._attention_layer_size if self._output_attention else self._cell.output_size

    @property
    def state_size(self) -> Any:
        mechanisms = self._attention_mechanisms
        return AttentionWrapperState(
            cell_state=self._cell.state_size,
            time=TensorShape([]),
            attention=self._attention_layer_size,
            alignments=self._item_or_tuple(m.alignments_size for m in mechanisms),
            attention_state=self._item_or_tuple(m.state_size for m in mechanisms),
            alignment_history=self._item_or_tuple(
                m.alignments_size if self._alignment_history else () for m in mechanisms
            ),
        )

    def get_initial_state(self, inputs: Any = None, batch_size: Any = None, dtype: Any = None) -> Any:
        if inputs is not None:
            inputs = nest.flatten(inputs)[0]
            batch_size = shape(inputs)[0] if batch_size is None else batch_size
            dtype = inputs.dtype.base_dtype if dtype is None else dtype
        return self.zero_state(batch_size, dtype)

    def zero_state(self, batch_size: Any, dtype: Any) -> AttentionWrapperState:
        with name_scope(
            type(self).__name__ + "ZeroState", values=[batch_size] if isinstance(batch_size, Tensor) else None
        ):
            cell_state = (
                self._initial_cell_state
                if self._initial_cell_state is not None
                else self._cell.zero_state(batch_size, dtype)
            )
            checks = self._batch_checks(batch_size)
            with names.lookup("control_dependencies")(checks):
                cell_state = nest.map_structure(
                    lambda s: apply_op("Identity", s, name="checked_cell_state"), cell_state
                )
            first = [m.initial_alignments(batch_size, dtype) for m in self._attention_mechanisms]
            history = (self._history(dtype, a) if self._alignment_history else () for a in first)
            return AttentionWrapperState(
                cell_state=cell_state,
                time=zeros([], dtypes.int32),
                attention=zero_state_tensors(self._attention_layer_size, batch_size, dtype),
                alignments=self._item_or_tuple(first),
                attention_state=self._item_or_tuple(
                    m.initial_state(batch_size, dtype) for m in self._attention_mechanisms
                ),
                alignment_history=self._item_or_tuple(history),
            )

    @staticmethod
    def _history(dtype: Any, alignments: Any) -> TensorArray:
        return TensorArray(dtype, size=0, dynamic_size=True, element_shape=alignments.get_shape())

    def _batch_checks(self, batch_size: Any) -> list[Any]:
        message = (
            f"When calling zero_state of AttentionWrapper {self._base_name}: Non-matching batch sizes between the memory (encoder"  # noqa: E501
            " output) and the requested batch size.  Are you using the BeamSearchDecoder?  If so, make sure your"
            " encoder output has been tiled to beam_width via tf.contrib.seq2seq.tile_batch, and the batch_size="
            " argument passed to zero_state is multiplied by beam_width."
        )
        check = names.lookup("assert_equal")
        return [check(batch_size, m.batch_size, message=message) for m in self._attention_mechanisms]

    def call(self, inputs: Any, state: Any) -> tuple[Any, AttentionWrapperState]:
        if not isinstance(state, AttentionWrapperState):
            raise TypeError(
                f"Expected state to be instance of AttentionWrapperState. Received type {type(state)} instead."
            )
        cell_output, next_cell_state = self._cell(self._cell_input_fn(inputs, state.attention), state.cell_state)
        cell_output = apply_op("Identity", cell_output, name="checked_cell_output")
        previous = state.attention_state if self._is_multi else [state.attention_state]
        histories = state.alignment_history if self._is_multi else [state.alignment_history]
        alignments, attentions, states, written = [], [], [], []
        for n, mechanism in enumerate(self._attention_mechanisms):
            layer = self._attention_layers[n] if self._attention_layers else None
            attention, alignment, next_state = self._attention_fn(mechanism, cell_output, previous[n], layer)
            written.append(histories[n].write(state.time, alignment) if self._alignment_history else ())
            states.append(next_state)
            alignments.append(alignment)
            attentions.append(attention)
        attention = concat(attentions, 1)
        next_ = AttentionWrapperState(
            time=state.time + 1,
            cell_state=next_cell_state,
            attention=attention,
            attention_state=self._item_or_tuple(states),
            alignments=self._item_or_tuple(alignments),
            alignment_history=self._item_or_tuple(written),
        )
        return (attention if self._output_attention else cell_output), next_


@tf_export("contrib.seq2seq.DynamicAttentionWrapperState")
class DynamicAttentionWrapperState(NamedTuple):
    """State of release 1.1's wrapper."""

    cell_state: Any
    attention: Any


@tf_export("contrib.seq2seq.DynamicAttentionWrapper")
class DynamicAttentionWrapper(AttentionWrapper):
    """The wrapper of release 1.1: always an attention layer, and a state of two parts."""

    def __init__(
        self,
        cell: Any,
        attention_mechanism: Any,
        attention_size: int,
        cell_input_fn: Any = None,
        probability_fn: Any = None,
        output_attention: bool = True,
        name: str | None = None,
    ) -> None:
        if probability_fn is not None:
            attention_mechanism._probability_fn = lambda score, _: probability_fn(score)
        super().__init__(
            cell,
            attention_mechanism,
            attention_size,
            cell_input_fn=cell_input_fn,
            output_attention=output_attention,
            name=name,
        )

    @property
    def state_size(self) -> Any:
        whole = super().state_size
        return DynamicAttentionWrapperState(whole.cell_state, whole.attention)

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        whole = super().zero_state(batch_size, dtype)
        return DynamicAttentionWrapperState(whole.cell_state, whole.attention)

    def call(self, inputs: Any, state: Any) -> Any:
        """One step."""
        whole = super().zero_state(self._attention_mechanisms[0].batch_size, inputs.dtype)
        output, new = super().call(inputs, whole._replace(cell_state=state.cell_state, attention=state.attention))
        return output, DynamicAttentionWrapperState(new.cell_state, new.attention)
