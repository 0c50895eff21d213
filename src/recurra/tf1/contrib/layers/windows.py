"""contrib.layers' convolutions and pooling."""

from __future__ import annotations

from typing import Any

from recurra.tf1.build import convert_to_tensor
from recurra.tf1.contrib.arg_scope import add_arg_scope
from recurra.tf1.contrib.layers.common import activate, collect, collect_variable, renaming_scope
from recurra.tf1.contrib.layers.dense import _relu
from recurra.tf1.layers import convolution as conv_layers
from recurra.tf1.layers import pooling
from recurra.tf1.names import export
from recurra.tf1.ops import init
from recurra.tf1.scopes import variable_scope

__all__ = ["convolution"]

_CONV = {rank: type(f"Conv{rank}D", (conv_layers.Conv,), {"rank": rank}) for rank in (1, 2, 3)}
_TRANSPOSE = {rank: type(f"Conv{rank}DTranspose", (conv_layers.ConvTranspose,), {"rank": rank}) for rank in (2, 3)}


def _layout(data_format: str | None) -> str:
    return "channels_first" if data_format and data_format.startswith("NC") else "channels_last"


def _run(
    layer: Any,
    inputs: Any,
    sc: Any,
    normalizer_fn: Any,
    normalizer_params: Any,
    activation_fn: Any,
    variables_collections: Any,
    outputs_collections: Any,
) -> Any:
    outputs = layer(inputs)
    collect_variable(layer.kernel, variables_collections, "weights")
    collect_variable(layer.bias, variables_collections, "biases")
    return collect(outputs_collections, sc.name, activate(outputs, normalizer_fn, normalizer_params, activation_fn))


@add_arg_scope
def convolution(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str | None = None,
    rate: Any = 1,
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
    conv_dims: int | None = None,
) -> Any:
    """Convolution of as many spatial axes as the inputs have, with `weights` and `biases`."""
    with renaming_scope(scope, "Conv", inputs, reuse) as sc:
        inputs = convert_to_tensor(inputs)
        rank = (inputs.get_shape().ndims or 0) - 2
        if conv_dims is not None and conv_dims + 2 != rank + 2:
            raise ValueError("Convolution expects input with rank %d, got %d" % (conv_dims + 2, rank + 2))  # noqa: UP031
        if rank not in _CONV:
            raise ValueError("Convolution not supported for input with rank", rank + 2)
        layer = _CONV[rank](
            num_outputs,
            kernel_size,
            strides=stride,
            padding=padding,
            data_format=_layout(data_format),
            dilation_rate=rate,
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
        return _run(
            layer,
            inputs,
            sc,
            normalizer_fn,
            normalizer_params,
            activation_fn,
            variables_collections,
            outputs_collections,
        )


export(convolution, "contrib.layers.convolution", "contrib.slim.convolution")


def _of_rank(rank: int) -> Any:
    def convolution_of_rank(*args: Any, **kwargs: Any) -> Any:
        return convolution(*args, conv_dims=rank, **kwargs)

    convolution_of_rank.__name__ = f"convolution{rank}d"
    convolution_of_rank._key_op = convolution._key_op  # type: ignore[attr-defined]
    return convolution_of_rank


for _rank in (1, 2, 3):
    _function = _of_rank(_rank)
    export(
        _function,
        *(f"contrib.{part}.{name}{_rank}d" for part in ("layers", "slim") for name in ("conv", "convolution")),
    )


@add_arg_scope
def convolution2d_transpose(
    inputs: Any,
    num_outputs: int,
    kernel_size: Any,
    stride: Any = 1,
    padding: str = "SAME",
    data_format: str = "NHWC",
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
    with renaming_scope(scope, "Conv2d_transpose", inputs, reuse) as sc:
        inputs = convert_to_tensor(inputs)
        layer = _TRANSPOSE[(inputs.get_shape().ndims or 4) - 2](
            num_outputs,
            kernel_size,
            strides=stride,
            padding=padding,
            data_format=_layout(data_format),
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
        return _run(
            layer,
            inputs,
            sc,
            normalizer_fn,
            normalizer_params,
            activation_fn,
            variables_collections,
            outputs_collections,
        )


for _name in ("convolution2d_transpose", "conv2d_transpose", "convolution3d_transpose", "conv3d_transpose"):
    export(convolution2d_transpose, f"contrib.layers.{_name}", f"contrib.slim.{_name}")


def _pool(kind: str, rank: int, default: str) -> Any:
    cls = type(f"{kind}{rank}D", (pooling.Pooling,), {"rank": rank, "kind": kind})

    def pool(
        inputs: Any,
        kernel_size: Any,
        stride: Any = 2,
        padding: str = "VALID",
        data_format: str | None = None,
        outputs_collections: Any = None,
        scope: Any = None,
    ) -> Any:
        with variable_scope(scope, default, [inputs]) as sc:
            inputs = convert_to_tensor(inputs)
            layer = cls(kernel_size, stride, padding=padding, data_format=_layout(data_format), _scope=sc, name=sc.name)
            return collect(outputs_collections, sc.name, layer(inputs))

    pool.__name__ = f"{kind.lower()}{rank}d"
    return add_arg_scope(pool)


for _kind, _label in (("MaxPool", "max_pool"), ("AvgPool", "avg_pool")):
    for _rank in (2, 3):
        export(
            _pool(_kind, _rank, f"{_kind}{_rank}D"),
            f"contrib.layers.{_label}{_rank}d",
            f"contrib.slim.{_label}{_rank}d",
        )
