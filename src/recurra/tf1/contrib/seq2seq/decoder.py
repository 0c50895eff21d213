"""dynamic_decode and the basic decoder."""

from __future__ import annotations

import collections
import contextlib
from typing import Any

from recurra.tf1 import dtypes, nest
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.constants import constant_value
from recurra.tf1.contrib.seq2seq.helpers import Helper, transpose_batch_time
from recurra.tf1.control_flow import while_loop
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_create import fill, zeros, zeros_like
from recurra.tf1.ops.array_gather import where
from recurra.tf1.ops.array_shape import shape
from recurra.tf1.ops.math_reduce import reduce_all
from recurra.tf1.rnn.base import assert_like_rnncell
from recurra.tf1.scopes import variable_scope
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor_array import TensorArray

__all__ = ["BasicDecoder", "Decoder", "dynamic_decode"]


@tf_export("contrib.seq2seq.Decoder")
class Decoder:
    """`initialize()` gives (finished, inputs, state), `step(time, inputs, state)` gives (outputs, state, inputs, finished)."""  # noqa: E501

    batch_size: Any
    output_size: Any
    output_dtype: Any

    def initialize(self, name: str | None = None) -> Any:
        raise NotImplementedError

    def step(self, time: Any, inputs: Any, state: Any, name: str | None = None) -> Any:
        raise NotImplementedError

    def finalize(self, outputs: Any, final_state: Any, sequence_lengths: Any) -> Any:
        raise NotImplementedError

    @property
    def tracks_own_finished(self) -> bool:
        return False


def _as_size(size: Any) -> TensorShape:
    return (
        size if isinstance(size, TensorShape) else TensorShape([size] if not isinstance(size, (list, tuple)) else size)
    )


def _zero_output(size: Any, dtype: Any, batch_size: Any) -> Any:
    dims = _as_size(size).as_list()
    if isinstance(batch_size, int):
        return zeros([batch_size, *dims], dtype)
    return zeros(apply_op("Pack", [batch_size, *dims], axis=0), dtype)


def _element_shape(batch_size: Any, size: Any) -> TensorShape | None:
    size = _as_size(size) if not isinstance(size, TensorShape) else size
    known = batch_size if isinstance(batch_size, int) else constant_value(convert_to_tensor(batch_size))
    return TensorShape([None if known is None else int(known)]).concatenate(size)


@tf_export("contrib.seq2seq.dynamic_decode")
def dynamic_decode(
    decoder: Any,
    output_time_major: bool = False,
    impute_finished: bool = False,
    maximum_iterations: Any = None,
    parallel_iterations: int = 32,
    swap_memory: bool = False,
    scope: Any = None,
    **kwargs: Any,
) -> tuple[Any, Any, Any]:
    """Step the decoder until every row is finished: (outputs, final state, lengths)."""
    if not isinstance(decoder, Decoder):
        raise TypeError(f"Expected decoder to be type Decoder, but saw: {type(decoder)}")
    with variable_scope(scope, "decoder"):
        if maximum_iterations is not None:
            maximum_iterations = convert_to_tensor(maximum_iterations, dtype=dtypes.int32, name="maximum_iterations")
            if maximum_iterations.get_shape().ndims != 0:
                raise ValueError("maximum_iterations must be a scalar")
        finished, inputs, state = decoder.initialize()
        blank = (
            nest.map_structure(
                lambda s, d: _zero_output(s, d, decoder.batch_size), decoder.output_size, decoder.output_dtype
            )
            if impute_finished
            else None
        )
        if maximum_iterations is not None:
            finished = apply_op("LogicalOr", finished, apply_op("GreaterEqual", 0, maximum_iterations))
        lengths = zeros_like(finished, dtype=dtypes.int32)
        arrays = nest.map_structure(
            lambda s, d: TensorArray(
                dtype=d, size=0, dynamic_size=True, element_shape=_element_shape(decoder.batch_size, s)
            ),
            decoder.output_size,
            decoder.output_dtype,
        )
        body = _body(decoder, impute_finished, blank)

        def running(time, arrays, state, inputs, finished, lengths):
            return apply_op("LogicalNot", reduce_all(finished))

        result = while_loop(
            running,
            body,
            loop_vars=(convert_to_tensor(0, name="time"), arrays, state, inputs, finished, lengths),
            parallel_iterations=parallel_iterations,
            maximum_iterations=maximum_iterations,
            swap_memory=swap_memory,
        )
        final_state, final_lengths = result[2], result[5]
        outputs = nest.map_structure(lambda ta: ta.stack(), result[1])
        with contextlib.suppress(NotImplementedError):  # finalize is optional
            outputs, final_state = decoder.finalize(outputs, final_state, final_lengths)
        if not output_time_major:
            outputs = nest.map_structure(
                lambda o: transpose_batch_time(o) if not isinstance(o, TensorArray) else o, outputs
            )
    return outputs, final_state, final_lengths


def _body(decoder: Any, impute: bool, blank: Any) -> Any:
    def body(time: Any, arrays: Any, state: Any, inputs: Any, finished: Any, lengths: Any) -> Any:
        outputs, new_state, next_inputs, decoder_finished = decoder.step(time, inputs, state)
        if decoder.tracks_own_finished:
            next_finished = decoder_finished
        else:
            next_finished = apply_op("LogicalOr", decoder_finished, finished)
        next_lengths = where(apply_op("LogicalNot", finished), fill(shape(lengths), time + 1), lengths)
        nest.assert_same_structure(state, new_state)
        nest.assert_same_structure(arrays, outputs)
        nest.assert_same_structure(inputs, next_inputs)
        if impute:
            outputs = nest.map_structure(lambda out, zero: where(finished, zero, out), outputs, blank)
            new_state = nest.map_structure(lambda new, old: _kept(finished, new, old), new_state, state)
        arrays = nest.map_structure(lambda ta, out: ta.write(time, out), arrays, outputs)
        return time + 1, arrays, new_state, next_inputs, next_finished, next_lengths

    return body


def _kept(finished: Any, new: Any, old: Any) -> Any:
    """The old state of finished rows; scalars and TensorArrays pass through."""
    if isinstance(old, TensorArray):
        return new
    new.set_shape(old.get_shape())
    return new if new.get_shape().ndims == 0 else where(finished, old, new)


@tf_export("contrib.seq2seq.dynamic_decode", era=((1, 0), (1, 2)))
def _decode_of_release_1_1(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """(outputs, final state): lengths came with 1.2."""
    return dynamic_decode(*args, **kwargs)[:2]


@tf_export("contrib.seq2seq.BasicDecoderOutput")
class BasicDecoderOutput(collections.namedtuple("BasicDecoderOutput", ("rnn_output", "sample_id"))):
    __slots__ = ()


@tf_export("contrib.seq2seq.BasicDecoder")
class BasicDecoder(Decoder):
    """A cell, a helper that samples and feeds, and an optional layer on the outputs."""

    def __init__(self, cell: Any, helper: Any, initial_state: Any, output_layer: Any = None) -> None:
        assert_like_rnncell("cell", cell)
        if not isinstance(helper, Helper):
            raise TypeError(f"helper must be a Helper, received: {type(helper)}")
        if output_layer is not None and not hasattr(output_layer, "_maybe_build"):
            raise TypeError(f"output_layer must be a Layer, received: {type(output_layer)}")
        self._cell, self._helper, self._initial_state, self._output_layer = cell, helper, initial_state, output_layer

    @property
    def batch_size(self) -> Any:  # type: ignore[override]
        return self._helper.batch_size

    def _rnn_output_size(self) -> Any:
        size = self._cell.output_size
        if self._output_layer is None:
            return size
        with_batch = nest.map_structure(lambda s: TensorShape([None]).concatenate(_as_size(s)), size)
        return nest.map_structure(lambda s: self._output_layer.compute_output_shape(s)[1:], with_batch)

    @property
    def output_size(self) -> Any:  # type: ignore[override]
        return BasicDecoderOutput(rnn_output=self._rnn_output_size(), sample_id=self._helper.sample_ids_shape)

    @property
    def output_dtype(self) -> Any:  # type: ignore[override]
        dtype = nest.flatten(self._initial_state)[0].dtype
        return BasicDecoderOutput(
            nest.map_structure(lambda _: dtype, self._rnn_output_size()), self._helper.sample_ids_dtype
        )

    def initialize(self, name: str | None = None) -> Any:
        return (*self._helper.initialize(), self._initial_state)

    def step(self, time: Any, inputs: Any, state: Any, name: str | None = None) -> Any:
        with name_scope(name, "BasicDecoderStep", (time, inputs, state)):
            outputs, cell_state = self._cell(inputs, state)
            if self._output_layer is not None:
                outputs = self._output_layer(outputs)
            sample_ids = self._helper.sample(time=time, outputs=outputs, state=cell_state)
            finished, next_inputs, next_state = self._helper.next_inputs(
                time=time, outputs=outputs, state=cell_state, sample_ids=sample_ids
            )
        return BasicDecoderOutput(outputs, sample_ids), next_state, next_inputs, finished
