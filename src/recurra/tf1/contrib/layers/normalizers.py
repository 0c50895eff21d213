"""contrib.layers' batch and layer normalisation."""

from __future__ import annotations

from typing import Any

from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.contrib.arg_scope import add_arg_scope
from recurra.tf1.contrib.framework import model_variable
from recurra.tf1.contrib.layers.common import collect, collect_variable, renaming_scope
from recurra.tf1.core_ops import with_dependencies
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.layers.normalization import BatchNormalization
from recurra.tf1.names import export
from recurra.tf1.ops import init, nn
from recurra.tf1.scopes import variable_scope

__all__ = ["batch_norm", "layer_norm"]


@add_arg_scope
def batch_norm(
    inputs: Any,
    decay: float = 0.999,
    center: bool = True,
    scale: bool = False,
    epsilon: float = 0.001,
    activation_fn: Any = None,
    param_initializers: Any = None,
    param_regularizers: Any = None,
    updates_collections: Any = GraphKeys.UPDATE_OPS,
    is_training: Any = True,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    batch_weights: Any = None,
    fused: bool | None = None,
    data_format: str = "NHWC",
    zero_debias_moving_mean: bool = False,
    scope: Any = None,
    renorm: bool = False,
    renorm_clipping: Any = None,
    renorm_decay: float = 0.99,
    adjustment: Any = None,
) -> Any:
    """Batch normalisation; with `updates_collections=None` the moving averages are updated in place."""
    if batch_weights is not None or zero_debias_moving_mean:
        raise NotImplementedError("tf.contrib.layers.batch_norm with batch_weights or zero_debias_moving_mean")
    with renaming_scope(scope, "BatchNorm", inputs, reuse, rename={}) as sc:
        inputs = convert_to_tensor(inputs)
        initial, penalties = param_initializers or {}, param_regularizers or {}
        layer = BatchNormalization(
            axis=1 if data_format == "NCHW" else -1,
            momentum=decay,
            epsilon=epsilon,
            center=center,
            scale=scale,
            beta_initializer=initial.get("beta", init.Zeros()),
            gamma_initializer=initial.get("gamma", init.Ones()),
            moving_mean_initializer=initial.get("moving_mean", init.Zeros()),
            moving_variance_initializer=initial.get("moving_variance", init.Ones()),
            beta_regularizer=penalties.get("beta"),
            gamma_regularizer=penalties.get("gamma"),
            trainable=trainable,
            renorm=renorm,
            adjustment=adjustment,
            fused=fused,
            name=sc.name,
            dtype=inputs.dtype.base_dtype,
            _scope=sc,
            _reuse=reuse,
        )
        outputs = _with_updates(layer, inputs, is_training, updates_collections)
        for name in ("beta", "gamma", "moving_mean", "moving_variance"):
            collect_variable(getattr(layer, name), variables_collections, name)
        return collect(outputs_collections, sc.name, outputs if activation_fn is None else activation_fn(outputs))


def _with_updates(layer: Any, inputs: Any, is_training: Any, collections: Any) -> Any:
    graph = get_default_graph()
    before = len(graph.get_collection(GraphKeys.UPDATE_OPS))
    outputs = layer(inputs, training=is_training)
    if collections == GraphKeys.UPDATE_OPS:
        return outputs
    del graph.get_collection_ref(GraphKeys.UPDATE_OPS)[before:]
    if collections is None:
        return with_dependencies(list(layer.updates), outputs) if layer.updates else outputs
    for update in layer.updates:
        graph.add_to_collections(collections, update)
    return outputs


export(batch_norm, "contrib.layers.batch_norm", "contrib.slim.batch_norm")


@add_arg_scope
def layer_norm(
    inputs: Any,
    center: bool = True,
    scale: bool = True,
    activation_fn: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    begin_norm_axis: int = 1,
    begin_params_axis: int = -1,
    scope: Any = None,
) -> Any:
    """Normalise every row over its axes from `begin_norm_axis` on."""
    with variable_scope(scope, "LayerNorm", [inputs], reuse=reuse) as sc:
        inputs = convert_to_tensor(inputs)
        rank = inputs.get_shape().ndims
        if rank is None:
            raise ValueError(f"Inputs {inputs.name} has undefined rank.")
        begin_norm_axis += rank if begin_norm_axis < 0 else 0
        if begin_params_axis >= rank or begin_norm_axis >= rank:
            raise ValueError(
                "begin_params_axis (%d) and begin_norm_axis (%d) must be < rank(inputs) (%d)"  # noqa: UP031
                % (begin_params_axis, begin_norm_axis, rank)
            )
        size = inputs.get_shape()[begin_params_axis if begin_params_axis >= 0 else begin_params_axis + rank :]
        if not size.is_fully_defined():
            raise ValueError(
                f"Inputs {inputs.name}: shape(inputs)[{begin_params_axis}:] is not fully defined: {inputs.get_shape()}"
            )
        kind = inputs.dtype.base_dtype
        beta = gamma = None
        if center:
            beta = model_variable(
                "beta", shape=size.as_list(), dtype=kind, initializer=init.Zeros(), trainable=trainable
            )
            collect_variable(beta, variables_collections, "beta")
        if scale:
            gamma = model_variable(
                "gamma", shape=size.as_list(), dtype=kind, initializer=init.Ones(), trainable=trainable
            )
            collect_variable(gamma, variables_collections, "gamma")
        mean, variance = nn.moments(inputs, list(range(begin_norm_axis, rank)), keep_dims=True)
        outputs = nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-3 if kind.name == "float16" else 1e-12)
        outputs.set_shape(inputs.get_shape())
        return collect(outputs_collections, sc.name, outputs if activation_fn is None else activation_fn(outputs))


export(layer_norm, "contrib.layers.layer_norm", "contrib.slim.layer_norm")


@add_arg_scope
def instance_norm(
    inputs: Any,
    center: bool = True,
    scale: bool = True,
    epsilon: float = 1e-6,
    activation_fn: Any = None,
    param_initializers: Any = None,
    reuse: Any = None,
    variables_collections: Any = None,
    outputs_collections: Any = None,
    trainable: bool = True,
    data_format: str = "NHWC",
    scope: Any = None,
) -> Any:
    """Normalise every channel of every image over its spatial axes."""
    with variable_scope(scope, "InstanceNorm", [inputs], reuse=reuse) as sc:
        inputs = convert_to_tensor(inputs)
        rank = inputs.get_shape().ndims
        axis = 1 if data_format == "NCHW" else rank - 1
        channels = inputs.get_shape().as_list()[axis]
        view = [channels if a == axis else 1 for a in range(rank)]
        initial, kind = param_initializers or {}, inputs.dtype.base_dtype
        made: dict[str, Any] = {}
        for name, wanted, default in (("beta", center, init.Zeros()), ("gamma", scale, init.Ones())):
            made[name] = None
            if wanted:
                value = model_variable(
                    name, shape=[channels], dtype=kind, initializer=initial.get(name, default), trainable=trainable
                )
                collect_variable(value, variables_collections, name)
                made[name] = apply_op("Reshape", value, view)
        mean, variance = nn.moments(inputs, [a for a in range(1, rank) if a != axis], keep_dims=True)
        outputs = nn.batch_normalization(inputs, mean, variance, made["beta"], made["gamma"], epsilon)
        return collect(outputs_collections, sc.name, outputs if activation_fn is None else activation_fn(outputs))


export(instance_norm, "contrib.layers.instance_norm")
