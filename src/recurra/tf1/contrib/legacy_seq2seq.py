"""tf.contrib.legacy_seq2seq (tf.nn.seq2seq before 1.0): sequence models over Python lists of time steps."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes, eras, names, nest
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.control_flow import cond
from recurra.tf1.names import export
from recurra.tf1.ops import embedding, nn_loss
from recurra.tf1.ops.array_create import zeros
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_shape import reshape, shape
from recurra.tf1.ops.math_binary import add_n
from recurra.tf1.ops.math_reduce import argmax, reduce_sum
from recurra.tf1.ops.math_unary import cast, softmax
from recurra.tf1.ops.nn import xw_plus_b
from recurra.tf1.scopes import get_variable, get_variable_scope, variable_scope

__all__ = ["attention_decoder", "embedding_attention_seq2seq", "model_with_buckets", "rnn_decoder"]


def _register(function: Callable[..., Any]) -> Callable[..., Any]:
    name = function.__name__
    return export(
        function,
        f"contrib.legacy_seq2seq.{name}",
        f"nn.seq2seq.{name}",
        f"models.rnn.seq2seq.{name}",
        f"python.ops.seq2seq.{name}",
    )


def _linear(args: Any, output_size: int) -> Any:
    """`concat(args) @ kernel + bias` under the variables of the current scope."""
    return names.lookup("nn.rnn_cell._linear")(args, output_size, True)


def _static_rnn(cell: Any, inputs: Any, dtype: Any, scope: Any = None) -> Any:
    return names.lookup("nn.static_rnn")(cell, inputs, dtype=dtype, scope=scope)


def _output_projection_wrapper(cell: Any, size: int) -> Any:
    return names.lookup("contrib.rnn.OutputProjectionWrapper")(cell, size)


def _embedding_wrapper(cell: Any, classes: int, size: int) -> Any:
    return names.lookup("contrib.rnn.EmbeddingWrapper")(cell, embedding_classes=classes, embedding_size=size)


def _extract_argmax_and_embed(table: Any, output_projection: Any, update_embedding: bool) -> Callable[[Any, int], Any]:
    """The loop function of greedy decoding: embed the most likely symbol of the previous output."""

    def loop_function(prev: Any, _: int) -> Any:
        if output_projection is not None:
            prev = xw_plus_b(prev, output_projection[0], output_projection[1])
        embedded = embedding.embedding_lookup(table, argmax(prev, 1))
        return embedded if update_embedding else apply_op("StopGradient", embedded)

    return loop_function


@_register
def rnn_decoder(
    decoder_inputs: Any, initial_state: Any, cell: Any, loop_function: Any = None, scope: Any = None
) -> Any:
    """Run `cell` over the inputs; with a loop function inputs after the first come from the previous output."""
    with variable_scope(scope or "rnn_decoder"):
        state, outputs, prev = initial_state, [], None
        for n, given in enumerate(decoder_inputs):
            if loop_function is not None and prev is not None:
                with variable_scope("loop_function", reuse=True):
                    given = loop_function(prev, n)
            if n > 0:
                get_variable_scope().reuse_variables()
            output, state = cell(given, state)
            outputs.append(output)
            if loop_function is not None:
                prev = output
    return outputs, state


@_register
def basic_rnn_seq2seq(
    encoder_inputs: Any, decoder_inputs: Any, cell: Any, dtype: Any = dtypes.float32, scope: Any = None
) -> Any:
    with variable_scope(scope or "basic_rnn_seq2seq"):
        _, state = _static_rnn(copy.deepcopy(cell), encoder_inputs, dtype)
        return rnn_decoder(decoder_inputs, state, cell)


@_register
def tied_rnn_seq2seq(
    encoder_inputs: Any,
    decoder_inputs: Any,
    cell: Any,
    loop_function: Any = None,
    dtype: Any = dtypes.float32,
    scope: Any = None,
) -> Any:
    """Encoder and decoder share their weights."""
    with variable_scope("combined_tied_rnn_seq2seq"):
        scope = scope or "tied_rnn_seq2seq"
        _, state = _static_rnn(cell, encoder_inputs, dtype, scope)
        get_variable_scope().reuse_variables()
        return rnn_decoder(decoder_inputs, state, cell, loop_function, scope)


@_register
def embedding_rnn_decoder(
    decoder_inputs: Any,
    initial_state: Any,
    cell: Any,
    num_symbols: int,
    embedding_size: int,
    output_projection: Any = None,
    feed_previous: bool = False,
    update_embedding_for_previous: bool = True,
    scope: Any = None,
) -> Any:
    with variable_scope(scope or "embedding_rnn_decoder") as sc:
        if output_projection is not None:
            _check_projection(output_projection, num_symbols, sc.dtype)
        table = get_variable("embedding", [num_symbols, embedding_size])
        loop = (
            _extract_argmax_and_embed(table, output_projection, update_embedding_for_previous)
            if feed_previous
            else None
        )
        embedded = [embedding.embedding_lookup(table, i) for i in decoder_inputs]
        return rnn_decoder(embedded, initial_state, cell, loop_function=loop)


def _check_projection(output_projection: Any, num_symbols: int, dtype: Any) -> None:
    biases = convert_to_tensor(output_projection[1])
    biases.get_shape().assert_is_compatible_with([num_symbols])


def _both_ways(feed_previous: Any, decode: Callable[[bool, Any], Any], state_like: Any) -> Any:
    """A decoder under a Python boolean, or both versions under a boolean tensor."""
    if isinstance(feed_previous, bool):
        return decode(feed_previous, None)

    def branch(flag: bool) -> list[Any]:
        with variable_scope(get_variable_scope(), reuse=None if flag else True):
            outputs, state = decode(flag, False)
            return list(outputs) + nest.flatten(state)

    flat = cond(feed_previous, lambda: branch(True), lambda: branch(False))
    count = len(nest.flatten(state_like))
    outputs, state_list = flat[: len(flat) - count], flat[len(flat) - count :]
    state = nest.pack_sequence_as(state_like, state_list) if nest.is_nested(state_like) else state_list[0]
    return outputs, state


@_register
def embedding_rnn_seq2seq(
    encoder_inputs: Any,
    decoder_inputs: Any,
    cell: Any,
    num_encoder_symbols: int,
    num_decoder_symbols: int,
    embedding_size: int,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
) -> Any:
    with variable_scope(scope or "embedding_rnn_seq2seq") as sc:
        if dtype is not None:
            sc.set_dtype(dtype)
        else:
            dtype = sc.dtype
        encoder = _embedding_wrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        _, state = _static_rnn(encoder, encoder_inputs, dtype)
        if output_projection is None:
            cell = _output_projection_wrapper(cell, num_decoder_symbols)

        def decode(feed: bool, update: Any) -> Any:
            options = {} if update is None else {"update_embedding_for_previous": update}
            return embedding_rnn_decoder(
                decoder_inputs,
                state,
                cell,
                num_decoder_symbols,
                embedding_size,
                output_projection=output_projection,
                feed_previous=feed,
                **options,
            )

        return _both_ways(feed_previous, decode, state)


@_register
def embedding_tied_rnn_seq2seq(
    encoder_inputs: Any,
    decoder_inputs: Any,
    cell: Any,
    num_symbols: int,
    embedding_size: int,
    num_decoder_symbols: int | None = None,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
) -> Any:
    """One embedding for both sides, and one cell."""
    with variable_scope(scope or "embedding_tied_rnn_seq2seq", dtype=dtype) as sc:
        dtype = sc.dtype
        if output_projection is not None:
            _check_projection(output_projection, num_symbols, dtype)
        table = get_variable("embedding", [num_symbols, embedding_size], dtype=dtype)
        encoded, decoded = (
            [embedding.embedding_lookup(table, x) for x in side] for side in (encoder_inputs, decoder_inputs)
        )
        if output_projection is None:
            cell = _output_projection_wrapper(cell, num_symbols if num_decoder_symbols is None else num_decoder_symbols)
        if isinstance(feed_previous, bool):
            loop = _extract_argmax_and_embed(table, output_projection, True) if feed_previous else None
            return tied_rnn_seq2seq(encoded, decoded, cell, loop_function=loop, dtype=dtype)
        state_like = cell.zero_state(1, dtype)

        def decode(feed: bool, _: Any) -> Any:
            loop = _extract_argmax_and_embed(table, output_projection, False) if feed else None
            return tied_rnn_seq2seq(encoded, decoded, cell, loop_function=loop, dtype=dtype)

        return _both_ways(feed_previous, decode, state_like)


@_register
def attention_decoder(
    decoder_inputs: Any,
    initial_state: Any,
    attention_states: Any,
    cell: Any,
    output_size: int | None = None,
    num_heads: int = 1,
    loop_function: Any = None,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Any:
    """A decoder that looks at `attention_states [B, L, A]` at every step."""
    if not decoder_inputs:
        raise ValueError("Must provide at least 1 input to attention decoder.")
    if num_heads < 1:
        raise ValueError("With less than 1 heads, use a non-attention decoder.")
    if attention_states.get_shape().values[2] is None:
        raise ValueError(f"Shape[2] of attention_states must be known: {attention_states.get_shape()}")
    output_size = cell.output_size if output_size is None else output_size
    with variable_scope(scope or "attention_decoder", dtype=dtype) as sc:
        dtype = sc.dtype
        attend = _attention(attention_states, num_heads)
        batch = shape(decoder_inputs[0])[0]
        size = attention_states.get_shape().values[2]
        attns = []
        for _ in range(num_heads):
            start = zeros(apply_op("Pack", [batch, size], axis=0), dtype=dtype)
            start.set_shape([None, size])
            attns.append(start)
        if initial_state_attention:
            attns = attend(initial_state)
        state, outputs, prev = initial_state, [], None
        for n, given in enumerate(decoder_inputs):
            if n > 0:
                get_variable_scope().reuse_variables()
            if loop_function is not None and prev is not None:
                with variable_scope("loop_function", reuse=True):
                    given = loop_function(prev, n)
            width = given.get_shape().with_rank(2).values[1]
            if width is None:
                raise ValueError(f"Could not infer input size from input: {given.name}")
            cell_output, state = cell(_linear([cast(given, dtype), *attns], width), state)
            if n == 0 and initial_state_attention:
                with variable_scope(get_variable_scope(), reuse=True):
                    attns = attend(state)
            else:
                attns = attend(state)
            with variable_scope("AttnOutputProjection"):
                output = _linear([cast(cell_output, dtype), *attns], output_size)
            if loop_function is not None:
                prev = output
            outputs.append(output)
    return outputs, state


def _attention(states: Any, num_heads: int) -> Callable[[Any], list[Any]]:
    """What maps a query (a whole state) to one context per head."""
    length, size = states.get_shape().values[1:]
    length = shape(states)[1] if length is None else length
    hidden = reshape(
        states, [-1, length, 1, size] if isinstance(length, int) else apply_op("Pack", [-1, length, 1, size], axis=0)
    )
    keys, scores = [], []
    for head in range(num_heads):
        kernel = get_variable("AttnW_%d" % head, [1, 1, size, size], dtype=states.dtype.base_dtype)  # noqa: UP031
        keys.append(names.lookup("nn.conv2d")(hidden, kernel, [1, 1, 1, 1], "SAME"))
        scores.append(get_variable("AttnV_%d" % head, [size], dtype=states.dtype.base_dtype))  # noqa: UP031

    def attend(query: Any) -> list[Any]:
        found = []
        if nest.is_nested(query):
            flat = nest.flatten(query)
            query = concat(flat, 1)
        for head in range(num_heads):
            with variable_scope("Attention_%d" % head):  # noqa: UP031
                y = reshape(_linear(query, size), [-1, 1, 1, size])
                s = reduce_sum(scores[head] * apply_op("Tanh", keys[head] + y), [2, 3])
                weights = softmax(s)
                target = [-1, length, 1, 1] if isinstance(length, int) else apply_op("Pack", [-1, length, 1, 1], axis=0)
                context = reduce_sum(reshape(weights, target) * hidden, [1, 2])
                found.append(reshape(context, [-1, size]))
        return found

    return attend


@_register
def embedding_attention_decoder(
    decoder_inputs: Any,
    initial_state: Any,
    attention_states: Any,
    cell: Any,
    num_symbols: int,
    embedding_size: int,
    num_heads: int = 1,
    output_size: int | None = None,
    output_projection: Any = None,
    feed_previous: bool = False,
    update_embedding_for_previous: bool = True,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Any:
    output_size = cell.output_size if output_size is None else output_size
    if output_projection is not None:
        _check_projection(output_projection, num_symbols, dtype)
    with variable_scope(scope or "embedding_attention_decoder", dtype=dtype):
        table = get_variable("embedding", [num_symbols, embedding_size])
        loop = (
            _extract_argmax_and_embed(table, output_projection, update_embedding_for_previous)
            if feed_previous
            else None
        )
        embedded = [embedding.embedding_lookup(table, i) for i in decoder_inputs]
        return attention_decoder(
            embedded,
            initial_state,
            attention_states,
            cell,
            output_size=output_size,
            num_heads=num_heads,
            loop_function=loop,
            initial_state_attention=initial_state_attention,
        )


@_register
def embedding_attention_seq2seq(
    encoder_inputs: Any,
    decoder_inputs: Any,
    cell: Any,
    num_encoder_symbols: int,
    num_decoder_symbols: int,
    embedding_size: int,
    num_heads: int = 1,
    output_projection: Any = None,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
    initial_state_attention: bool = False,
) -> Any:
    with variable_scope(scope or "embedding_attention_seq2seq", dtype=dtype) as sc:
        dtype = sc.dtype
        encoder = _embedding_wrapper(copy.deepcopy(cell), num_encoder_symbols, embedding_size)
        encoder_outputs, state = _static_rnn(encoder, encoder_inputs, dtype)
        attention_states = concat([reshape(o, [-1, 1, encoder.output_size]) for o in encoder_outputs], 1)
        output_size = None
        if output_projection is None:
            cell = _output_projection_wrapper(cell, num_decoder_symbols)
            output_size = num_decoder_symbols

        def decode(feed: bool, update: Any) -> Any:
            options = {} if update is None else {"update_embedding_for_previous": update}
            return embedding_attention_decoder(
                decoder_inputs,
                state,
                attention_states,
                cell,
                num_decoder_symbols,
                embedding_size,
                num_heads=num_heads,
                output_size=output_size,
                output_projection=output_projection,
                feed_previous=feed,
                initial_state_attention=initial_state_attention,
                **options,
            )

        return _both_ways(feed_previous, decode, state)


@_register
def one2many_rnn_seq2seq(
    encoder_inputs: Any,
    decoder_inputs_dict: Any,
    enc_cell: Any,
    dec_cells_dict: Any,
    num_encoder_symbols: int,
    num_decoder_symbols_dict: Any,
    embedding_size: int,
    feed_previous: Any = False,
    dtype: Any = None,
    scope: Any = None,
) -> Any:
    """One encoder, a decoder per name: two dicts."""
    outputs_dict, state_dict = {}, {}
    with variable_scope(scope or "one2many_rnn_seq2seq", dtype=dtype) as sc:
        dtype = sc.dtype
        _, state = _static_rnn(_embedding_wrapper(enc_cell, num_encoder_symbols, embedding_size), encoder_inputs, dtype)
        for name, decoder_inputs in decoder_inputs_dict.items():
            symbols = num_decoder_symbols_dict[name]
            with variable_scope("one2many_decoder_" + str(name)):
                cell = _output_projection_wrapper(dec_cells_dict[name], symbols)

                def decode(
                    feed: bool, update: Any, cell: Any = cell, inputs: Any = decoder_inputs, symbols: int = symbols
                ) -> Any:
                    options = {} if update is None else {"update_embedding_for_previous": update}
                    return embedding_rnn_decoder(
                        inputs, state, cell, symbols, embedding_size, feed_previous=feed, **options
                    )

                outputs_dict[name], state_dict[name] = _both_ways(feed_previous, decode, state)
    return outputs_dict, state_dict


def _per_step_loss(function: Any, target: Any, logit: Any) -> Any:
    """A program's own loss, called as its era calls it: (logits, targets) before 1.0, (labels, logits) in 1.0 and 1.1, by name after."""  # noqa: E501
    now = tuple(eras.current()[:2])
    if now < (1, 0):
        return function(logit, target)
    if now < (1, 2):
        return function(target, logit)
    return function(labels=target, logits=logit)


@_register
def sequence_loss_by_example(
    logits: Any,
    targets: Any,
    weights: Any,
    average_across_timesteps: bool = True,
    softmax_loss_function: Any = None,
    name: str | None = None,
) -> Any:
    """Weighted cross entropy per row of lists over time."""
    if len(targets) != len(logits) or len(weights) != len(logits):
        raise ValueError(
            "Lengths of logits, weights, and targets must be the same %d, %d, %d."  # noqa: UP031
            % (len(logits), len(weights), len(targets))
        )
    with name_scope(name, "sequence_loss_by_example", [*logits, *targets, *weights]):
        losses = []
        for logit, target, weight in zip(logits, targets, weights, strict=True):
            if softmax_loss_function is None:
                entropy = nn_loss.sparse_softmax_cross_entropy_with_logits(labels=reshape(target, [-1]), logits=logit)
            else:
                entropy = _per_step_loss(softmax_loss_function, target, logit)
            losses.append(entropy * weight)
        total = add_n(losses)
        if average_across_timesteps:
            total = total / (add_n(weights) + 1e-12)
    return total


@_register
def sequence_loss(
    logits: Any,
    targets: Any,
    weights: Any,
    average_across_timesteps: bool = True,
    average_across_batch: bool = True,
    softmax_loss_function: Any = None,
    name: str | None = None,
) -> Any:
    with name_scope(name, "sequence_loss", [*logits, *targets, *weights]):
        cost = reduce_sum(
            sequence_loss_by_example(
                logits,
                targets,
                weights,
                average_across_timesteps=average_across_timesteps,
                softmax_loss_function=softmax_loss_function,
            )
        )
        if not average_across_batch:
            return cost
        batch = shape(convert_to_tensor(targets[0]))[0]
        return cost / cast(batch, cost.dtype.base_dtype)


@_register
def model_with_buckets(
    encoder_inputs: Any,
    decoder_inputs: Any,
    targets: Any,
    weights: Any,
    buckets: Any,
    seq2seq: Any,
    softmax_loss_function: Any = None,
    per_example_loss: bool = False,
    name: str | None = None,
) -> Any:
    """One unrolled model per (source, target) length, all with the same variables."""
    for label, given, wanted in (
        ("encoder_inputs", encoder_inputs, buckets[-1][0]),
        ("targets", targets, buckets[-1][1]),
        ("weights", weights, buckets[-1][1]),
    ):
        if len(given) < wanted:
            raise ValueError(
                "Length of %s (%d) must be at least that of last bucket (%d)." % (label, len(given), wanted)  # noqa: UP031
            )
    losses, outputs = [], []
    with name_scope(name, "model_with_buckets", [*encoder_inputs, *decoder_inputs, *targets, *weights]):
        for n, (source, target) in enumerate(buckets):
            with variable_scope(get_variable_scope(), reuse=True if n > 0 else None):
                bucket_outputs, _ = seq2seq(encoder_inputs[:source], decoder_inputs[:target])
                outputs.append(bucket_outputs)
                loss = sequence_loss_by_example if per_example_loss else sequence_loss
                losses.append(
                    loss(outputs[-1], targets[:target], weights[:target], softmax_loss_function=softmax_loss_function)
                )
    return outputs, losses
