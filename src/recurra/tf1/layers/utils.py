"""tensorflow.python.layers.utils: arguments and lengths of convolutions, and small predicates on graphs."""

from __future__ import annotations

from typing import Any

from recurra.tf1.cases import smart_cond
from recurra.tf1.constants import constant_value as static_value
from recurra.tf1.names import export, tf_export
from recurra.tf1.tensor import Tensor

__all__ = ["conv_output_length", "convert_data_format"]

_HOME = "python.layers.utils"
_FORMATS = {3: ("NWC", "NCW"), 4: ("NHWC", "NCHW"), 5: ("NDHWC", "NCDHW")}

export(smart_cond, f"{_HOME}.smart_cond")


@tf_export(f"{_HOME}.convert_data_format")
def convert_data_format(data_format: str, ndim: int) -> str:
    """('channels_first', 4) → 'NCHW'."""
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"Invalid data_format: {data_format}")
    if ndim not in _FORMATS:
        raise ValueError(f"Input rank not supported: {ndim}")
    return _FORMATS[ndim][data_format == "channels_first"]


@tf_export(f"{_HOME}.normalize_tuple")
def normalize_tuple(value: Any, n: int, name: str) -> tuple[int, ...]:
    """An integer or n of them as a tuple of n."""
    if isinstance(value, int):
        return (value,) * n
    try:
        found = tuple(int(v) for v in value)
    except (TypeError, ValueError):
        found = ()
    if len(found) != n:
        raise ValueError(f"The `{name}` argument must be a tuple of {n} integers. Received: {value}")
    return found


@tf_export(f"{_HOME}.normalize_data_format")
def normalize_data_format(value: str) -> str:
    text = value.lower()
    if text not in ("channels_first", "channels_last"):
        raise ValueError(
            f'The `data_format` argument must be one of "channels_first", "channels_last". Received: {value}'
        )
    return text


@tf_export(f"{_HOME}.normalize_padding")
def normalize_padding(value: str) -> str:
    text = value.lower()
    if text not in ("valid", "same"):
        raise ValueError(f'The `padding` argument must be one of "valid", "same". Received: {value}')
    return text


@tf_export(f"{_HOME}.conv_output_length")
def conv_output_length(
    input_length: int | None, filter_size: int, padding: str, stride: int, dilation: int = 1
) -> int | None:
    """How many outputs a convolution has along one dimension."""
    if input_length is None:
        return None
    span = filter_size + (filter_size - 1) * (dilation - 1)
    extra = {"same": 0, "valid": 1 - span, "full": span - 1}[padding]
    return (input_length + extra + stride - 1) // stride


@tf_export(f"{_HOME}.conv_input_length")
def conv_input_length(output_length: int | None, filter_size: int, padding: str, stride: int) -> int | None:
    """The least input that gives so many outputs."""
    if output_length is None:
        return None
    pad = {"same": filter_size // 2, "valid": 0, "full": filter_size - 1}[padding]
    return (output_length - 1) * stride - 2 * pad + filter_size


@tf_export(f"{_HOME}.deconv_output_length")
def deconv_output_length(input_length: int | None, filter_size: int, padding: str, stride: int) -> int | None:
    """How many outputs a transposed convolution has along one dimension."""
    if input_length is None:
        return None
    extra = {"same": 0, "valid": max(filter_size - stride, 0), "full": -(stride + filter_size - 2)}[padding]
    return input_length * stride + extra


@tf_export(f"{_HOME}.constant_value")
def constant_value(pred: Any) -> Any:
    """The value of a predicate (bool, 0, 1, tensor or variable), None when it is not known."""
    if isinstance(pred, bool) or (isinstance(pred, int) and pred in (0, 1)):
        return bool(pred)
    if isinstance(pred, Tensor):
        return static_value(pred)
    if hasattr(pred, "_dense_var_to_tensor"):
        return None
    raise TypeError("`pred` must be a Tensor, a Variable, or a Python bool.")


@tf_export(f"{_HOME}.get_reachable_from_inputs")
def get_reachable_from_inputs(inputs: Any, targets: Any = None) -> set[Any]:
    """The tensors that depend on `inputs`, with them; stops once all `targets` are found."""
    reached = set(inputs)
    wanted = None if targets is None else set(targets)
    waiting = list(inputs)
    while waiting and not (wanted is not None and wanted <= reached):
        for operation in waiting.pop(0).consumers():
            for tensor in operation.outputs:
                if tensor not in reached:
                    reached.add(tensor)
                    waiting.append(tensor)
    return reached
