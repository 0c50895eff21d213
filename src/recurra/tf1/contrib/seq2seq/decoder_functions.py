"""The decoder functions of TensorFlow 1.0: simple and attention ones for dynamic_rnn_decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes, names
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.contrib.seq2seq.attention import _bahdanau_score, _luong_score
from recurra.tf1.contrib.seq2seq.helpers import transpose_batch_time
from recurra.tf1.control_flow import cond
from recurra.tf1.names import tf_export
from recurra.tf1.ops.array_create import zeros
from recurra.tf1.ops.array_gather import gather
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_shape import expand_dims, shape, squeeze
from recurra.tf1.ops.math_reduce import argmax, reduce_all
from recurra.tf1.ops.math_unary import cast, softmax
from recurra.tf1.ops.matmul import matmul
from recurra.tf1.scopes import get_variable, variable_scope
from recurra.tf1.tensor_array import TensorArray

__all__ = ["dynamic_rnn_decoder", "prepare_attention"]


@tf_export("contrib.seq2seq.simple_decoder_fn_train")
def simple_decoder_fn_train(encoder_state: Any, name: str | None = None) -> Callable[..., Any]:
    """Training: the decoder starts from the encoder's state and reads its inputs."""

    def decoder_fn(time: Any, cell_state: Any, cell_input: Any, cell_output: Any, context_state: Any) -> Any:
        with name_scope(name, "simple_decoder_fn_train"):
            return None, (encoder_state if cell_state is None else cell_state), cell_input, cell_output, context_state

    return decoder_fn


def _greedy_fn(
    output_fn: Any,
    encoder_state: Any,
    embeddings: Any,
    start_id: int,
    end_id: int,
    maximum_length: int,
    num_symbols: int,
    dtype: Any,
    attend: Callable[[Any, Any], tuple[Any, Any]] | None,
    first_attention: Callable[[], Any] | None,
) -> Callable[..., Any]:
    """Greedy inference, with attention joined to the inputs if given."""
    output_fn = output_fn or (lambda x: x)
    batch = shape(names.lookup("contrib.framework.nest").flatten(encoder_state)[0])[0]

    def decoder_fn(time: Any, cell_state: Any, cell_input: Any, cell_output: Any, context_state: Any) -> Any:
        if cell_input is not None:
            raise ValueError(f"Expected cell_input to be None, but saw: {cell_input}")
        if cell_output is None:
            ids = names.lookup("ones")(apply_op("Pack", [batch], axis=0), dtype=dtype) * start_id
            done = zeros(apply_op("Pack", [batch], axis=0), dtypes.bool_)
            cell_state, cell_output = encoder_state, zeros([num_symbols], dtypes.float32)
            following = gather(embeddings, ids)
            if first_attention is not None:
                attention = first_attention()
                following = concat([following, attention], 1)
        else:
            if attend is not None:
                cell_output, attention = attend(cell_output, cell_state)
            cell_output = output_fn(cell_output)
            ids = cast(argmax(cell_output, 1), dtype)
            done = apply_op("Equal", ids, end_id)
            following = gather(embeddings, ids)
            if attend is not None:
                following = concat([following, attention], 1)

        def stop():
            return names.lookup("ones")(apply_op("Pack", [batch], axis=0), dtype=dtypes.bool_)

        done = cond(apply_op("Greater", time, maximum_length), stop, lambda: done)
        return done, cell_state, following, cell_output, context_state

    return decoder_fn


@tf_export("contrib.seq2seq.simple_decoder_fn_inference")
def simple_decoder_fn_inference(
    output_fn: Any,
    encoder_state: Any,
    embeddings: Any,
    start_of_sequence_id: int,
    end_of_sequence_id: int,
    maximum_length: int,
    num_decoder_symbols: int,
    dtype: Any = dtypes.int32,
    name: str | None = None,
) -> Callable[..., Any]:
    with name_scope(name, "simple_decoder_fn_inference"):
        return _greedy_fn(
            output_fn,
            encoder_state,
            embeddings,
            start_of_sequence_id,
            end_of_sequence_id,
            maximum_length,
            num_decoder_symbols,
            dtype,
            None,
            None,
        )


@tf_export("contrib.seq2seq.prepare_attention")
def prepare_attention(
    attention_states: Any, attention_option: str, num_units: int, reuse: Any = None
) -> tuple[Any, Any, Any, Any]:
    """(keys, values, score function, construct function) for the attention decoder functions."""
    with variable_scope("attention_keys", reuse=reuse) as scope:
        keys = names.lookup("contrib.layers.linear")(attention_states, num_units, biases_initializer=None, scope=scope)
    score = _score_fn("attention_score", num_units, attention_option, reuse)
    return keys, attention_states, score, _construct_fn("attention_construct", num_units, score, reuse)


def _score_fn(name: str, num_units: int, option: str, reuse: Any) -> Callable[..., Any]:
    if option not in ("bahdanau", "luong"):
        raise ValueError(f"Unknown attention option {option}!")
    with variable_scope(name, reuse=reuse):
        query_w = score_v = None
        if option == "bahdanau":
            query_w = get_variable("attnW", [num_units, num_units], dtype=dtypes.float32)
            score_v = get_variable("attnV", [num_units], dtype=dtypes.float32)

    def score(query: Any, keys: Any, values: Any) -> Any:
        scores = (
            _bahdanau_score(matmul(query, query_w), keys, score_v)
            if option == "bahdanau"
            else _luong_score(query, keys, None)
        )
        return squeeze(matmul(expand_dims(softmax(scores), 1), values), [1])

    return score


def _construct_fn(name: str, num_units: int, score: Any, reuse: Any) -> Callable[..., Any]:
    def construct(query: Any, keys: Any, values: Any) -> Any:
        with variable_scope(name, reuse=reuse) as scope:
            context = score(query, keys, values)
            return names.lookup("contrib.layers.linear")(
                concat([query, context], 1), num_units, biases_initializer=None, scope=scope
            )

    return construct


def _initial_attention(keys: Any) -> Any:
    return zeros(apply_op("Pack", [shape(keys)[0], keys.get_shape().values[-1]], axis=0), keys.dtype.base_dtype)


@tf_export("contrib.seq2seq.attention_decoder_fn_train")
def attention_decoder_fn_train(
    encoder_state: Any,
    attention_keys: Any,
    attention_values: Any,
    attention_score_fn: Any,
    attention_construct_fn: Any,
    name: str | None = None,
) -> Callable[..., Any]:
    """Training with attention: every input is joined by the previous attention."""

    def decoder_fn(time: Any, cell_state: Any, cell_input: Any, cell_output: Any, context_state: Any) -> Any:
        with name_scope(name, "attention_decoder_fn_train"):
            if cell_state is None:
                cell_state = encoder_state
                attention = _initial_attention(attention_keys)
                attention.set_shape([None, attention_keys.get_shape().values[-1]])
            else:
                attention = attention_construct_fn(cell_output, attention_keys, attention_values)
                cell_output = attention
            return None, cell_state, concat([cell_input, attention], 1), cell_output, context_state

    return decoder_fn


@tf_export("contrib.seq2seq.attention_decoder_fn_inference")
def attention_decoder_fn_inference(
    output_fn: Any,
    encoder_state: Any,
    attention_keys: Any,
    attention_values: Any,
    attention_score_fn: Any,
    attention_construct_fn: Any,
    embeddings: Any,
    start_of_sequence_id: int,
    end_of_sequence_id: int,
    maximum_length: int,
    num_decoder_symbols: int,
    dtype: Any = dtypes.int32,
    name: str | None = None,
) -> Callable[..., Any]:
    def attend(output: Any, _: Any) -> tuple[Any, Any]:
        attention = attention_construct_fn(output, attention_keys, attention_values)
        return attention, attention

    with name_scope(name, "attention_decoder_fn_inference"):
        return _greedy_fn(
            output_fn,
            encoder_state,
            embeddings,
            start_of_sequence_id,
            end_of_sequence_id,
            maximum_length,
            num_decoder_symbols,
            dtype,
            attend,
            lambda: _initial_attention(attention_keys),
        )


@tf_export("contrib.seq2seq.dynamic_rnn_decoder")
def dynamic_rnn_decoder(
    cell: Any,
    decoder_fn: Any,
    inputs: Any = None,
    sequence_length: Any = None,
    parallel_iterations: int | None = None,
    swap_memory: bool = False,
    time_major: bool = False,
    scope: Any = None,
    name: str | None = None,
) -> tuple[Any, Any, Any]:
    """raw_rnn under a decoder function: (outputs, final state, final context state)."""
    with variable_scope(scope or "dynamic_rnn_decoder") as sc:
        array = None
        if inputs is not None:
            inputs = convert_to_tensor(inputs)
            if not time_major:
                inputs = transpose_batch_time(inputs)
            kind, depth = inputs.dtype, inputs.get_shape().values[2]
            steps, batch = shape(inputs)[0], shape(inputs)[1]
            if sequence_length is None:
                sequence_length = names.lookup("ones")(apply_op("Pack", [batch], axis=0), dtype=dtypes.int32) * steps
            array = TensorArray(kind, size=steps, clear_after_read=False).unstack(inputs)

        def loop_fn(time: Any, cell_output: Any, cell_state: Any, loop_state: Any) -> Any:
            given, finished = None, None
            if array is not None:
                finished = apply_op("GreaterEqual", time, sequence_length)

                def blank():
                    return zeros(apply_op("Pack", [batch, depth], axis=0), kind)

                given = cond(reduce_all(finished), blank, lambda: array.read(time))
                given.set_shape([None, depth])
            done, state, following, emit, context = decoder_fn(time, cell_state, given, cell_output, loop_state)
            if done is None:
                done = finished
            return done, following, state, emit, context

        outputs_ta, final_state, final_context = names.lookup("nn.raw_rnn")(
            cell, loop_fn, parallel_iterations=parallel_iterations, swap_memory=swap_memory, scope=sc
        )
        outputs = outputs_ta.stack()
        if not time_major:
            outputs = transpose_batch_time(outputs)
    return outputs, final_state, final_context
