"""Fully connected layers, embeddings, dropout, flatten and the other small ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import names
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.contrib.arg_scope import add_arg_scope
from recurra.tf1.contrib.framework import model_variable
from recurra.tf1.contrib.layers.common import activate, collect, collect_variable, renaming_scope
from recurra.tf1.layers.core import Dense, Dropout, Flatten
from recurra.tf1.names import export
from recurra.tf1.ops import embedding, init
from recurra.tf1.ops.array_gather import one_hot
from recurra.tf1.ops.array_shape import reshape, shape
from recurra.tf1.ops.math_reduce import reduce_max, reduce_sum
from recurra.tf1.ops.math_unary import softmax as nn_softmax
from recurra.tf1.scopes import variable_scope

__all__ = ["fully_connected"]


def _relu(x: Any, name: str | None = None) -> Any:
    return names.lookup("nn.relu")(x, name=name)


@add_arg_scope
def fully_connected(
    inputs: Any,
    num_outputs: Any,
    activation_fn: Any = _relu,
    normalizer_fn: Any = None,
    normalizer_params: Any = None,
    weights_initializer: Any = init.XAVIER,
    weights_regularizer: Any = None,
    biases_initializer: Any = init.ZEROS,
    biases_regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    scope: Any = None,
) -> Any:
    """`activation(inputs @ weights + biases)`; with a normaliser there are no biases."""
    if not isinstance(num_outputs, (int, np.integer)):
        num_outputs = getattr(num_outputs, "value", num_outputs)
        if not isinstance(num_outputs, (int, np.integer)):
            raise ValueError(f"num_outputs type should be one of {[int]}, got {type(num_outputs)}.")
    with renaming_scope(scope, "fully_connected", inputs, reuse) as sc:
        inputs = convert_to_tensor(inputs)
        layer = Dense(
            int(num_outputs),
            activation=None,
            use_bias=not normalizer_fn and biases_initializer is not None,
            kernel_initializer=weights_initializer,
            bias_initializer=biases_initializer,
            kernel_regularizer=weights_regularizer,
            bias_regularizer=biases_regularizer,
            trainable=trainable,
            name=sc.name,
            dtype=inputs.dtype.base_dtype,
            _scope=sc,
            _reuse=reuse,
        )
        outputs = layer(inputs)
        collect_variable(layer.kernel, variables_collections, "weights")
        collect_variable(layer.bias, variables_collections, "biases")
        outputs = activate(outputs, normalizer_fn, normalizer_params, activation_fn)
        return collect(outputs_collections, sc.name, outputs)


export(fully_connected, "contrib.layers.fully_connected", "contrib.slim.fully_connected")


def _with_activation(lookup: str | None, *dotted: str) -> None:
    activation = None if lookup is None else (lambda x, name=None: names.lookup(lookup)(x, name=name))
    partial = functools.partial(fully_connected, activation_fn=activation)
    export(partial, *dotted)


_with_activation(None, "contrib.layers.linear")
_with_activation("nn.relu", "contrib.layers.relu")
_with_activation("nn.relu6", "contrib.layers.relu6")
_with_activation("nn.elu", "contrib.layers.elu")


def _legacy(default: Any) -> Callable[..., Any]:
    def layer(
        x: Any,
        num_output_units: int,
        activation_fn: Any = default,
        weight_init: Any = None,
        bias_init: Any = init.ZEROS,
        name: Any = None,
        weight_collections: Any = ("weights",),
        bias_collections: Any = ("biases",),
        output_collections: Any = ("activations",),
        trainable: bool = True,
        weight_regularizer: Any = None,
        bias_regularizer: Any = None,
    ) -> Any:
        return fully_connected(
            x,
            num_output_units,
            activation_fn,
            weights_initializer=weight_init or init.xavier_initializer(),
            biases_initializer=bias_init,
            weights_regularizer=weight_regularizer,
            biases_regularizer=bias_regularizer,
            trainable=trainable,
            scope=name,
            variables_collections={"weights": list(weight_collections), "biases": list(bias_collections)},
            outputs_collections=list(output_collections),
        )

    return layer


export(_legacy(None), "contrib.layers.legacy_fully_connected", "contrib.layers.legacy_linear")
export(_legacy(_relu), "contrib.layers.legacy_relu")


@add_arg_scope
def dropout(
    inputs: Any,
    keep_prob: Any = 0.5,
    noise_shape: Any = None,
    is_training: Any = True,
    outputs_collections: Any = None,
    scope: Any = None,
    seed: int | None = None,
) -> Any:
    with variable_scope(scope, "Dropout", [inputs]) as sc:
        inputs = convert_to_tensor(inputs)
        layer = Dropout(rate=1 - keep_prob, noise_shape=noise_shape, seed=seed, name=sc.name, _scope=sc)
        return collect(outputs_collections, sc.name, layer(inputs, training=is_training))


export(dropout, "contrib.layers.dropout", "contrib.slim.dropout")


@add_arg_scope
def flatten(inputs: Any, outputs_collections: Any = None, scope: Any = None) -> Any:
    with name_scope(scope, "Flatten", [inputs]) as sc:
        return collect(outputs_collections, sc, Flatten()(convert_to_tensor(inputs)))


export(flatten, "contrib.layers.flatten", "contrib.slim.flatten")


@add_arg_scope
def one_hot_encoding(
    labels: Any,
    num_classes: int,
    on_value: float = 1.0,
    off_value: float = 0.0,
    outputs_collections: Any = None,
    scope: Any = None,
) -> Any:
    with name_scope(scope, "OneHotEncoding", [labels, num_classes]) as sc:
        labels = convert_to_tensor(labels)
        if labels.dtype.base_dtype.name == "int32":
            labels = apply_op("Cast", labels, DstT=names.lookup("int64"))
        return collect(outputs_collections, sc, one_hot(labels, num_classes, on_value=on_value, off_value=off_value))


export(one_hot_encoding, "contrib.layers.one_hot_encoding", "contrib.slim.one_hot_encoding")


@add_arg_scope
def softmax(logits: Any, scope: Any = None) -> Any:
    with variable_scope(scope, "softmax", [logits]):
        return nn_softmax(logits)


export(softmax, "contrib.layers.softmax", "contrib.slim.softmax")


@add_arg_scope
def unit_norm(inputs: Any, dim: int, epsilon: float = 1e-7, scope: Any = None) -> Any:
    with variable_scope(scope, "UnitNorm", [inputs]):
        rank = inputs.get_shape().ndims
        if rank is None:
            raise ValueError("The input rank must be known.")
        if dim < 0 or dim >= rank:
            raise ValueError("dim must be positive but smaller than the input rank.")
        lengths = apply_op("Sqrt", epsilon + reduce_sum(apply_op("Square", inputs), dim, keepdims=True))
        return apply_op("RealDiv", inputs, lengths)


export(unit_norm, "contrib.layers.unit_norm")


def maxout(inputs: Any, num_units: int, axis: int = -1, scope: Any = None) -> Any:
    with variable_scope(scope, "MaxOut", [inputs]):
        inputs = convert_to_tensor(inputs)
        dims = inputs.get_shape().as_list()
        if dims[axis] % num_units:
            raise ValueError(f"number of features({dims[axis]}) is not a multiple of num_units({num_units})")
        sizes = [-1 if d is None else d for d in dims]
        sizes[axis] = num_units
        grouped = (
            [*sizes, dims[axis] // num_units]
            if axis in (-1, len(dims) - 1)
            else [*sizes[: axis + 1], dims[axis] // num_units, *sizes[axis + 1 :]]
        )
        return reduce_max(reshape(inputs, grouped), -1 if axis in (-1, len(dims) - 1) else axis + 1)


export(maxout, "contrib.layers.maxout")


def repeat(inputs: Any, repetitions: int, layer: Any, *args: Any, **kwargs: Any) -> Any:
    """`layer` several times over, in scopes `<scope>_1` …"""
    scope = kwargs.pop("scope", None)
    with variable_scope(scope, "Repeat", [inputs]):
        inputs = convert_to_tensor(inputs)
        label = scope or getattr(layer, "__name__", getattr(getattr(layer, "func", None), "__name__", "repeat"))
        for n in range(repetitions):
            inputs = layer(inputs, *args, **{**kwargs, "scope": f"{label}_{n + 1}"})
        return inputs


def stack(inputs: Any, layer: Any, stack_args: Any, **kwargs: Any) -> Any:
    """`layer` with one set of arguments after the other."""
    scope = kwargs.pop("scope", None)
    if not isinstance(stack_args, (list, tuple)):
        raise TypeError("stack_args need to be a list or tuple")
    with variable_scope(scope, "Stack", [inputs]):
        inputs = convert_to_tensor(inputs)
        label = scope or getattr(layer, "__name__", getattr(getattr(layer, "func", None), "__name__", "stack"))
        for n, args in enumerate(stack_args):
            args = args if isinstance(args, (list, tuple)) else [args]
            inputs = layer(inputs, *args, **{**kwargs, "scope": f"{label}_{n + 1}"})
        return inputs


export(repeat, "contrib.layers.repeat", "contrib.slim.repeat")
export(stack, "contrib.layers.stack", "contrib.slim.stack")


def embed_sequence(
    ids: Any,
    vocab_size: int | None = None,
    embed_dim: int | None = None,
    unique: bool = False,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: Any = None,
) -> Any:
    """Embeddings of ids, from a variable `embeddings` made in scope `EmbedSequence`."""
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError(
            f"Must specify vocab size and embedding dimension when not reusing. Got vocab_size={vocab_size} and embed_dim={embed_dim}"  # noqa: E501
        )
    with variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        table = model_variable(
            "embeddings",
            shape=[vocab_size, embed_dim],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
        )
        return embedding_lookup_unique(table, ids) if unique else embedding.embedding_lookup(table, ids)


def embedding_lookup_unique(params: Any, ids: Any, partition_strategy: str = "mod", name: str | None = None) -> Any:
    """Look every distinct id up once."""
    with name_scope(name, "EmbeddingLookupUnique", [params, ids]):
        ids = convert_to_tensor(ids)
        distinct, index = apply_op("Unique", reshape(ids, [-1]), out_idx=names.lookup("int32"))
        rows = embedding.embedding_lookup(params, distinct, partition_strategy)
        flat = apply_op("GatherV2", rows, index, 0)
        result = reshape(flat, apply_op("ConcatV2", [shape(ids), shape(rows)[1:]], 0))
        result.set_shape(ids.get_shape().concatenate(rows.get_shape()[1:]))
        return result


def bow_encoder(
    ids: Any,
    vocab_size: int,
    embed_dim: int,
    sparse_lookup: bool = True,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool = True,
    scope: Any = None,
    reuse: Any = None,
) -> Any:
    """The mean of each row's embeddings."""
    with variable_scope(scope, "bow_encoder", [ids], reuse=reuse):
        table = model_variable(
            "embeddings",
            shape=[vocab_size, embed_dim],
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
        )
        if sparse_lookup and hasattr(ids, "dense_shape"):
            return embedding.embedding_lookup_sparse(table, ids, sp_weights=None, combiner="mean")
        return names.lookup("reduce_mean")(embedding.embedding_lookup(table, ids), 1)


export(embed_sequence, "contrib.layers.embed_sequence")
export(embedding_lookup_unique, "contrib.layers.embedding_lookup_unique")
export(bow_encoder, "contrib.layers.bow_encoder")


@add_arg_scope
def bias_add(
    inputs: Any,
    activation_fn: Any = None,
    initializer: Any = init.ZEROS,
    regularizer: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    scope: Any = None,
) -> Any:
    with variable_scope(scope, "BiasAdd", [inputs], reuse=reuse) as sc:
        inputs = convert_to_tensor(inputs)
        channels = inputs.get_shape().as_list()[1 if data_format == "NCHW" else -1]
        biases = model_variable(
            "biases",
            shape=[channels],
            dtype=inputs.dtype.base_dtype,
            initializer=initializer,
            regularizer=regularizer,
            trainable=trainable,
        )
        collect_variable(biases, variables_collections, "biases")
        outputs = names.lookup("nn.bias_add")(inputs, biases, data_format=data_format)
        return collect(outputs_collections, sc.name, outputs if activation_fn is None else activation_fn(outputs))


export(bias_add, "contrib.layers.bias_add", "contrib.slim.bias_add")
