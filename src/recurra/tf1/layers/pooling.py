"""tf.layers' pooling."""

from __future__ import annotations

from typing import Any

from recurra.tf1.build import apply_op
from recurra.tf1.layers.base import InputSpec, Layer
from recurra.tf1.layers.core import functional
from recurra.tf1.names import export

__all__ = ["Pooling"]


def per_axis(value: Any, rank: int, name: str) -> tuple[int, ...]:
    """A number for every spatial axis, or one per axis."""
    if isinstance(value, int):
        return (value,) * rank
    try:
        result = tuple(int(v) for v in value)
    except TypeError:
        raise ValueError(f"The `{name}` argument must be a tuple of {rank} integers. Received: {value}") from None
    if len(result) != rank:
        raise ValueError(f"The `{name}` argument must be a tuple of {rank} integers. Received: {value}")
    return result


def data_format_of(value: str, rank: int) -> str:
    """ "channels_last" as "NHWC", and so on."""
    if value not in ("channels_last", "channels_first"):
        raise ValueError(
            f'The `data_format` argument must be one of "channels_first", "channels_last". Received: {value}'
        )
    spatial = "DHW"[3 - rank :]
    return f"N{spatial}C" if value == "channels_last" else f"NC{spatial}"


class Pooling(Layer):
    """A pooling op over 1 to 3 spatial axes."""

    rank, kind = 2, "MaxPool"

    def __init__(
        self,
        pool_size: Any,
        strides: Any,
        padding: str = "valid",
        data_format: str = "channels_last",
        name: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.pool_size = per_axis(pool_size, self.rank, "pool_size")
        self.strides = per_axis(pool_size if strides is None else strides, self.rank, "strides")
        if padding.lower() not in ("valid", "same"):
            raise ValueError(
                'The `padding` argument must be a list/tuple or one of "valid", "same" (or "causal", only for'
                f" `Conv1D). Received: {padding}"
            )
        self.padding, self.data_format = padding.lower(), data_format
        self._format = data_format_of(data_format, self.rank)
        self.input_spec = InputSpec(ndim=self.rank + 2)

    def call(self, inputs: Any) -> Any:
        first = self.data_format == "channels_first"
        window, jumps, layout = self.pool_size, self.strides, self._format
        if self.rank == 1:
            axis = 2 if first else 1
            inputs = apply_op("ExpandDims", inputs, axis)
            window, jumps, layout = (1, *window), (1, *jumps), "NCHW" if first else "NHWC"

        def full(values):
            return [1, 1, *values] if first else [1, *values, 1]

        kind = self.kind + ("3D" if self.rank == 3 else "")
        outputs = apply_op(
            kind, inputs, ksize=full(window), strides=full(jumps), padding=self.padding.upper(), data_format=layout
        )
        return apply_op("Squeeze", outputs, squeeze_dims=[axis]) if self.rank == 1 else outputs


for _rank in (1, 2, 3):
    for _kind, _label, _function in (
        ("MaxPool", "MaxPooling", "max_pooling"),
        ("AvgPool", "AveragePooling", "average_pooling"),
    ):
        _class = type(
            f"{_label}{_rank}D",
            (Pooling,),
            {"rank": _rank, "kind": _kind, "__doc__": f"{_label} over {_rank} spatial axes."},
        )
        export(_class, f"layers.{_label}{_rank}D")
        functional(_class, f"{_function}{_rank}d")
