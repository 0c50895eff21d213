"""Weights to and from torch.nn and Keras: LSTM, GRU and simple RNN, where the equations are the same.

Both keep their own forget bias inside the bias, so that cells made from them have `forget_bias=0`. A GRU resets before
or after the candidate's product: torch.nn knows only "after", Keras both (`reset_after`), and one is never the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.cells import BaseCell, DropoutWrapper, GRUCell, LSTMCell, RNNCell, StackedCells
from recurra.cells.keras_layout import keras_layer, keras_values
from recurra.cells.layouts import gru_after_from_torch, gru_after_to_torch, lstm_from_torch, lstm_to_torch
from recurra.errors import InputError, StructureError

__all__ = ["from_keras", "from_torch", "to_torch"]


def to_torch(
    cell: BaseCell | Sequence[BaseCell], backward: BaseCell | Sequence[BaseCell] | None = None
) -> nn.LSTM | nn.GRU | nn.RNN:
    """A torch.nn module (batch first) with the numbers of a cell or stack; with `backward` a bidirectional one.

    Args:
        cell: a cell, a stack, or the cells of `stack_bidirectional`, one a layer.
        backward: the same for the other direction.

    Raises:
        StructureError: where torch.nn has no such module (peepholes, clips, GRU with the reset gate before the product,
            other activations, projections to as many units or more, layers of different kinds), naming what is in the
            way.
    """
    stacks = [_layers(cell)] + ([_layers(backward)] if backward is not None else [])
    first = stacks[0][0]
    kind, options = _torch_kind(first)
    for layers in stacks:
        for layer in layers:
            if _torch_kind(layer) != (kind, options) or layer.output_size != first.output_size:
                raise StructureError("torch.nn's layers are all alike; these differ in kind, size or options")
    if len({len(layers) for layers in stacks}) > 1:
        raise StructureError(f"both directions need as many layers, got {[len(layers) for layers in stacks]}")
    module = kind(
        first.input_size, first.hidden_size if isinstance(first, LSTMCell) else first.output_size, len(stacks[0]),
        batch_first=True, bidirectional=backward is not None, dtype=next(first.parameters()).dtype, **options,
    )  # fmt: skip
    for direction, layers in enumerate(stacks):
        for number, layer in enumerate(layers):
            _fill(module, f"_l{number}" + "_reverse" * direction, layer)
    return module


def _layers(cell: Any) -> list[Any]:
    """The leaf cells of a stack; dropout wrappers, which do nothing in evaluation, are left out."""
    if isinstance(cell, DropoutWrapper):
        return _layers(cell.cell)
    if isinstance(cell, StackedCells | list | tuple):
        cells = cell.cells if isinstance(cell, StackedCells) else cell
        return [leaf for inner in cells for leaf in _layers(inner)]
    return [cell]


def _torch_kind(cell: Any) -> tuple[type[Any], dict[str, Any]]:
    """The torch.nn class and its options, or the reason why there is none."""
    name = type(cell).__name__
    if type(cell) is LSTMCell:
        options = cell.options
        for what, there in {
            "peepholes": cell.peepholes,
            "cell clip": options.cell_clip is not None,
            "projection clip": options.projection_clip is not None,
            f"activation {options.activation!r}": options.activation != "tanh",
        }.items():
            if there:
                raise StructureError(f"torch.nn.LSTM has no {what}")
        if not hasattr(cell, "projection"):
            return nn.LSTM, {}
        if cell.output_size >= cell.hidden_size:
            raise StructureError(
                f"torch.nn.LSTM projects to fewer than its {cell.hidden_size} units, not to {cell.output_size}"
            )
        return nn.LSTM, {"proj_size": cell.output_size}
    if type(cell) is GRUCell:
        if cell.reset == "before":
            raise StructureError('torch.nn.GRU resets after the product; this GRUCell has reset="before"')
        if cell.options.activation != "tanh":
            raise StructureError(f"torch.nn.GRU has no activation {cell.options.activation!r}")
        return nn.GRU, {}
    if type(cell) is RNNCell:
        if cell.options.activation not in ("tanh", "relu"):
            raise StructureError(f"torch.nn.RNN has no activation {cell.options.activation!r}")
        return nn.RNN, {"nonlinearity": cell.options.activation}
    raise StructureError(f"torch.nn has no {name}")


def _arrays(cell: nn.Module) -> dict[str, np.ndarray]:
    return {name.replace(".", "/"): p.detach().cpu().numpy() for name, p in cell.named_parameters()}


def _fill(module: Any, suffix: str, cell: Any) -> None:
    own = _arrays(cell)
    if isinstance(cell, LSTMCell):
        tensors = lstm_to_torch(own["kernel"], own["bias"], cell.input_size, cell.options.forget_bias)
        if "projection/kernel" in own:
            _copy(getattr(module, f"weight_hr{suffix}"), own["projection/kernel"].T)
    elif isinstance(cell, GRUCell):
        tensors = gru_after_to_torch(own, cell.input_size)  # type: ignore[assignment]
    else:
        kernel, bias = own["kernel"], own["bias"]
        tensors = kernel[: cell.input_size].T, kernel[cell.input_size :].T, bias, np.zeros_like(bias)
    for name, values in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), tensors, strict=True):
        _copy(getattr(module, name + suffix), values)


def _copy(parameter: torch.Tensor, values: np.ndarray) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.array(values, order="C")))


def _set(cell: BaseCell, values: dict[str, np.ndarray]) -> BaseCell:
    cell = cell.to(torch.from_numpy(np.array(next(iter(values.values())))).dtype)
    for name, array in values.items():
        _copy(cell.get_parameter(name.replace("/", ".")), array)
    return cell


# -- from torch.nn -----------------------------------------------------------------------------------------------------


def from_torch(module: nn.LSTM | nn.GRU | nn.RNN) -> Any:
    """The cells of a torch.nn module, with its numbers.

    Returns:
        a cell (one layer), a StackedCells (several), or for a bidirectional module the lists (forward, backward), one
        cell a layer, for `recurra.stack_bidirectional`. Dropout between layers is not carried over.
    """
    if not isinstance(module, nn.LSTM | nn.GRU | nn.RNN):
        raise StructureError(f"`module` must be torch.nn.LSTM, GRU or RNN, got {type(module).__name__}")
    directions = [
        [_from_torch_layer(module, f"_l{k}" + suffix) for k in range(module.num_layers)]
        for suffix in (["", "_reverse"] if module.bidirectional else [""])
    ]
    if module.bidirectional:
        return directions[0], directions[1]
    return directions[0][0] if module.num_layers == 1 else StackedCells(directions[0])


def _from_torch_layer(module: Any, suffix: str) -> BaseCell:
    def own(name: str) -> np.ndarray:
        if name.startswith("bias") and not module.bias:
            return np.zeros(own("weight_ih").shape[0], own("weight_ih").dtype)
        return getattr(module, name + suffix).detach().cpu().numpy()

    weight_ih, weight_hh, bias_ih, bias_hh = map(own, ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    width, units = weight_ih.shape[1], module.hidden_size
    if isinstance(module, nn.LSTM):
        kernel, bias = lstm_from_torch(weight_ih, weight_hh, bias_ih + bias_hh, 0.0)
        values = {"kernel": kernel, "bias": bias}
        if module.proj_size:
            values["projection/kernel"] = own("weight_hr").T
        return _set(LSTMCell(width, units, forget_bias=0.0, projection_size=module.proj_size or None), values)
    if isinstance(module, nn.GRU):
        values = gru_after_from_torch(weight_ih, weight_hh, bias_ih, bias_hh)
        return _set(GRUCell(width, units, reset="after"), values)
    kernel = np.concatenate([weight_ih.T, weight_hh.T])
    return _set(RNNCell(width, units, activation=module.nonlinearity), {"kernel": kernel, "bias": bias_ih + bias_hh})


# -- from Keras --------------------------------------------------------------------------------------------------------

_KERAS = {
    "LSTM": ("cudnn_compatible_lstm_cell",),
    "GRU": ("cudnn_compatible_gru_cell", "gru_cell"),
    "SimpleRNN": ("basic_rnn_cell",),
}


def from_keras(
    layer: Any = None, *, kind: str | None = None, weights: Sequence[Any] | None = None, **config: Any
) -> Any:
    """The cell of a Keras LSTM, GRU or SimpleRNN layer (Keras 2 or 3), with its numbers.

    layer: a Keras layer (anything with `get_weights()` and `get_config()`; a Bidirectional gives both directions), or:
    kind, weights, config: "LSTM", "GRU" or "SimpleRNN", its list of arrays, and what differs from Keras' defaults
        (`activation`, `recurrent_activation`, `use_bias`, `reset_after`).

    Raises:
        StructureError: an option that no cell here has (hard_sigmoid gates, other activations), or another layer.
        InputError: weights of other shapes.
    """
    if layer is not None:
        for name in ("forward_layer", "backward_layer"):
            if not hasattr(layer, name):
                break
        else:
            return from_keras(layer.forward_layer), from_keras(layer.backward_layer)
        kind, weights = type(layer).__name__, layer.get_weights()
        config = {**layer.get_config(), **config}
    if kind not in _KERAS:
        raise StructureError(f"a Keras layer of kind {kind!r} is none of {', '.join(_KERAS)}")
    arrays = [np.asarray(value) for value in weights or ()]
    bias_used = bool(config.get("use_bias", True))
    if len(arrays) != 2 + bias_used or any(array.ndim < 1 for array in arrays):
        raise InputError(f"a Keras {kind} with use_bias={bias_used} has {2 + bias_used} weights, got {len(arrays)}")
    gate = config.get("recurrent_activation", "sigmoid")
    if kind != "SimpleRNN" and gate != "sigmoid":
        raise StructureError(f"recurrent_activation {gate!r}: the gates of recurra's cells are sigmoid")
    bias = arrays[2] if bias_used else None
    return _keras_cell(kind, arrays[0], arrays[1], bias, config)


def _keras_cell(
    kind: str, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray | None, config: dict[str, Any]
) -> BaseCell:
    width, units, columns = kernel.shape[0], recurrent.shape[0], recurrent.shape[-1]
    after = kind == "GRU" and bool(config.get("reset_after", True if bias is None else bias.ndim == 2))
    shape = (2, columns) if after else (columns,)
    bias = np.zeros(shape, kernel.dtype) if bias is None else bias
    if kind == "GRU" and bias.shape != shape:
        raise InputError(f"a GRU with reset_after={after} has a bias of shape {list(shape)}, got {list(bias.shape)}")
    layer = keras_layer({"kernel": kernel.shape, "recurrent_kernel": recurrent.shape, "bias": bias.shape})
    if layer not in _KERAS[kind]:
        raise InputError(f"kernel {list(kernel.shape)} and recurrent kernel {list(recurrent.shape)} are no {kind}'s")
    activation = config.get("activation", "tanh")
    if kind == "SimpleRNN":
        cell: BaseCell = RNNCell(width, units, activation=activation)
    elif kind == "LSTM":
        cell = LSTMCell(width, units, forget_bias=0.0, activation=activation)
    else:
        cell = GRUCell(width, units, reset="after" if after else "before", activation=activation)
    return _set(cell, keras_values(str(layer), [kernel, recurrent, bias]))
