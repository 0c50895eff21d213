"""The convolutional LSTM (Shi et al., 2015, https://arxiv.org/abs/1506.04214), over one, two or three axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Unpack

import torch
from torch import Tensor
from torch.nn import functional

from recurra._typing import LSTMState, Masks
from recurra.cells.checks import positive
from recurra.cells.family import Common, FamilyCell
from recurra.errors import InputError
from recurra.kernels import Recurrence

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class ConvLSTMParams(NamedTuple):
    kernel: Tensor
    """`[*K, I + C, 4C]`: the window, channels of the input and of the output, columns i, j, f, o."""
    bias: Tensor | None
    """`[4C]`."""


class ConvLSTMOptions(NamedTuple):
    forget_bias: float = 1.0
    skip_connection: bool = False
    skip_in_state: bool = False
    """TensorFlow's state keeps the skipped channels too, which makes a second step impossible."""


def convolve(values: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """`[..., *S, I]` by `[*K, I, O]` -> `[..., *S, O]`, channels last, padded to the same size (TensorFlow's SAME)."""
    axes = kernel.dim() - 2
    flat = values.flatten(0, values.dim() - axes - 2).movedim(-1, 1)
    weight = kernel.movedim(-1, 0).movedim(-1, 1)
    sizes = weight.shape[2:]
    if any(size % 2 == 0 for size in sizes):  # one more at the far end
        margins = [side for size in reversed(sizes) for side in ((size - 1) // 2, size // 2)]
        result = CONVOLUTIONS[axes](functional.pad(flat, margins), weight, bias)
    else:
        result = CONVOLUTIONS[axes](flat, weight, bias, padding=[size // 2 for size in sizes])
    result = result.movedim(1, -1)
    return result.unflatten(0, values.shape[: values.dim() - axes - 1])


def conv_lstm_project(params: ConvLSTMParams, inputs: Tensor, options: ConvLSTMOptions) -> tuple[Tensor, Tensor | None]:
    """The input's share of the gates (the forget bias is in it), and the input where it is passed on."""
    channels = inputs.shape[-1]
    forget = params.kernel.new_zeros(4, params.kernel.shape[-1] // 4)
    forget[2] = options.forget_bias
    bias = forget.flatten() if params.bias is None else params.bias + forget.flatten()
    gates = convolve(inputs, params.kernel[..., :channels, :], bias)
    return gates, inputs if options.skip_connection else None


def conv_lstm_recur(
    params: ConvLSTMParams,
    projected: tuple[Tensor, Tensor | None],
    state: LSTMState,
    options: ConvLSTMOptions,
    masks: Masks = None,
) -> tuple[Tensor, LSTMState]:
    """The LSTM with a convolution in place of the product."""
    gates, x = projected
    c, h = state
    channels = params.kernel.shape[-1] // 4
    gates = gates + convolve(h, params.kernel[..., -channels:, :])
    candidate = torch.tanh(gates.narrow(-1, channels, channels).contiguous())
    i, _, f, o = torch.sigmoid(gates).chunk(4, -1)  # all at once: a gate's few channels lie far apart
    c = torch.addcmul(f * c, i, candidate)
    h = o * torch.tanh(c)
    output = h if x is None else torch.cat([h, x], -1)
    return output, LSTMState(c, output if options.skip_in_state else h)


CONV_LSTM = Recurrence("conv_lstm", conv_lstm_project, conv_lstm_recur)


class ConvLSTMCell(FamilyCell):
    """LSTM over fields `[B, *S, I]` (channels last) with S of one, two or three axes.

        i, j, f, o = split(conv([x; h], kernel) + biases)      # along channels, stride 1, same size
        c' = sigmoid(f + forget_bias) * c + sigmoid(i) * tanh(j)
        h' = sigmoid(o) * tanh(c')

    Output `h'` (with `skip_connection` `[h'; x]`), state `LSTMState(c', h')`, each `[B, *S, C]`.

    Parameters: `kernel [*K, I + C, 4C]`, `biases [4C]` (zeros).

    Args:
        input_shape: `(*S, I)`.
        output_channels: C.
        kernel_shape: the window K, one size an axis.
        use_bias: whether there are `biases`.
        skip_connection: pass the input on beside the output.
        forget_bias: added to the forget gate when it runs.
        common: `init`, `device`, `dtype`.
    """

    recurrence = CONV_LSTM
    axes: ClassVar[int | None] = None
    """How many axes the fields have; None takes any from one to three."""

    def __init__(
        self,
        input_shape: Sequence[int],
        output_channels: int,
        *,
        kernel_shape: Sequence[int],
        use_bias: bool = True,
        skip_connection: bool = False,
        forget_bias: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        shape, window = tuple(input_shape), tuple(kernel_shape)
        axes = len(shape) - 1 if self.axes is None else self.axes
        if axes not in CONVOLUTIONS or len(shape) != axes + 1:
            raise InputError(f"`input_shape` must be {self.axes or '1 to 3'} sizes and the channels, got {shape}")
        if len(window) != axes:
            raise InputError(f"`kernel_shape` must have {axes} sizes for input_shape={shape}, got {window}")
        for size in (*shape, *window):
            positive("input_shape and kernel_shape", size)
        options = ConvLSTMOptions(forget_bias, skip_connection)
        super().__init__(torch.Size(shape), output_channels, options, **common)
        field, channels = shape[:-1], shape[-1]
        part = torch.Size((*field, output_channels))
        self.state_size = LSTMState(part, part)  # type: ignore[arg-type]
        self.output_size = torch.Size((*field, output_channels + channels)) if skip_connection else part
        self.output_is_state = not skip_connection
        self.variable("kernel", *window, channels + output_channels, 4 * output_channels)
        if use_bias:
            self.variable("biases", 4 * output_channels, fill=0.0)

    @property
    def tf_scope(self) -> str:  # type: ignore[override]
        return f"conv_{len(self.input_size) - 1}d_lstm_cell"

    def params(self) -> ConvLSTMParams:
        return ConvLSTMParams(self.kernel, getattr(self, "biases", None))


class Conv1DLSTMCell(ConvLSTMCell):
    """`ConvLSTMCell` over one axis: fields `[B, S, I]`."""

    axes = 1


class Conv2DLSTMCell(ConvLSTMCell):
    """`ConvLSTMCell` over two axes: fields `[B, S1, S2, I]`."""

    axes = 2


class Conv3DLSTMCell(ConvLSTMCell):
    """`ConvLSTMCell` over three axes: fields `[B, S1, S2, S3, I]`."""

    axes = 3
