"""tf.contrib.learn.ops: skflow's pieces of models: embeddings of categories, heads, and sequence to sequence over lists of steps."""  # noqa: E501

from __future__ import annotations

from typing import Any

from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.scopes import variable_scope

__all__ = ["rnn_decoder", "rnn_seq2seq", "sequence_classifier"]

tf = space("")
_HOME = "contrib.learn.python.learn.ops"


def _serve(name: str) -> Any:
    return tf_export(f"contrib.learn.ops.{name}", f"{_HOME}.{name}")


@_serve("mean_squared_error_regressor")
def mean_squared_error_regressor(
    tensor_in: Any, labels: Any, weights: Any, biases: Any, name: str | None = None
) -> Any:
    """(tensor_in · weights + biases, its mean squared error)."""
    with name_scope(name, "mean_squared_error_regressor", [tensor_in, labels]):
        predictions = tf.nn.xw_plus_b(tensor_in, weights, biases)
        if labels.shape.rank == 1 and predictions.shape.rank == 2:
            predictions = tf.squeeze(predictions, axis=[1])
        return predictions, tf.losses.mean_squared_error(labels, predictions)


@_serve("softmax_classifier")
def softmax_classifier(
    tensor_in: Any, labels: Any, weights: Any, biases: Any, class_weight: Any = None, name: str | None = None
) -> Any:
    """(probabilities, cross-entropy with one-hot labels); `class_weight` scales the logits."""
    with name_scope(name, "softmax_classifier", [tensor_in, labels]):
        logits = tf.nn.xw_plus_b(tensor_in, weights, biases)
        if class_weight is not None:
            logits = tf.multiply(logits, class_weight)
        return tf.nn.softmax(logits), tf.losses.softmax_cross_entropy(labels, logits)


@_serve("embedding_lookup")
def embedding_lookup(params: Any, ids: Any, name: str = "embedding_lookup") -> Any:
    """Rows of `params` for ids of any shape: [ids' shape, row]."""
    with name_scope(name, "embedding_lookup", [params, ids]):
        params, ids = convert_to_tensor(params), convert_to_tensor(ids)
        rows = tf.nn.embedding_lookup(params, tf.reshape(ids, [-1]))
        found = tf.reshape(rows, tf.concat([tf.shape(ids), [-1]], 0))
        found.set_shape(ids.shape.concatenate(params.shape[1:]))
        return found


@_serve("categorical_variable")
def categorical_variable(tensor_in: Any, n_classes: int, embedding_size: int, name: str) -> Any:
    """An embedding of its own for class numbers: [tensor_in's shape, embedding_size]."""
    with variable_scope(name):
        return embedding_lookup(tf.get_variable(f"{name}_embeddings", [n_classes, embedding_size]), tensor_in)


@_serve("sequence_classifier")
def sequence_classifier(decoding: Any, labels: Any, sampling_decoding: Any = None, name: str | None = None) -> Any:
    """(probabilities [B, T, classes] of the sampled logits, summed cross-entropy) of lists of [B, classes]."""
    with name_scope(name, "sequence_classifier", [decoding, labels]):
        terms = [
            tf.nn.softmax_cross_entropy_with_logits(labels=label, logits=logits, name=f"sequence_loss/xent_raw{i}")
            for i, (label, logits) in enumerate(zip(labels, decoding, strict=False))
        ]
        predictions = [tf.nn.softmax(logits) for logits in sampling_decoding or decoding]
        loss = tf.reduce_sum(tf.add_n(terms, name="sequence_loss/xent"), name="sequence_loss")
        return tf.stack(predictions, axis=1), loss


@_serve("seq2seq_inputs")
def seq2seq_inputs(
    x: Any, y: Any, input_length: int, output_length: int, sentinel: Any = None, name: str | None = None
) -> Any:
    """(encoder's inputs, decoder's inputs, decoder's outputs) as lists of steps; the sentinel (zeros) frames y."""
    with name_scope(name, "seq2seq_inputs", [x, y]):
        sources, targets = tf.unstack(x, axis=1), tf.unstack(y, axis=1)
        if sentinel is None:
            sentinel = tf.zeros(tf.stack([tf.shape(x)[0], targets[0].shape.as_list()[1]]))
            sentinel.set_shape(targets[0].shape)
        return sources, [sentinel, *targets], [*targets, sentinel]


@_serve("rnn_decoder")
def rnn_decoder(decoder_inputs: Any, initial_state: Any, cell: Any, scope: Any = None) -> Any:
    """(outputs, states, sampled outputs, sampled states): over the inputs, and over its own outputs.

    The first sampled step is the first output with the initial state, as TensorFlow has it.
    """
    with variable_scope(scope or "dnn_decoder"):
        outputs, states = [], [initial_state]
        with name_scope("training", values=[*decoder_inputs]):
            for step, inputs in enumerate(decoder_inputs):
                if step:
                    tf.get_variable_scope().reuse_variables()
                output, state = cell(inputs, states[-1])
                outputs.append(output)
                states.append(state)
        sampled, sampled_states = outputs[:1], [initial_state, initial_state]
        with name_scope("sampling"):
            for _ in decoder_inputs[1:]:
                output, state = cell(sampled[-1], sampled_states[-1])
                sampled.append(output)
                sampled_states.append(state)
    return outputs, states, sampled, sampled_states


@_serve("rnn_seq2seq")
def rnn_seq2seq(
    encoder_inputs: Any,
    decoder_inputs: Any,
    encoder_cell: Any,
    decoder_cell: Any = None,
    dtype: Any = None,
    scope: Any = None,
) -> Any:
    """`rnn_decoder` from the state in which the encoder ends."""
    with variable_scope(scope or "rnn_seq2seq"):
        _, state = tf.nn.static_rnn(encoder_cell, encoder_inputs, dtype=dtype or tf.float32)
        return rnn_decoder(decoder_inputs, state, decoder_cell or encoder_cell)
