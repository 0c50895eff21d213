"""`torch.nn.LSTM`, `GRU` and `RNN` with the computation replaced, and nothing else.

Constructor, parameters, state_dict, initialisation, checks and isinstance are torch's. Where a compiled kernel fits,
the layers run through it, each with torch's own weights in place; everywhere else (another dtype or device, tracing)
torch's own computation runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra._typing import LSTMState, State
from recurra.cells.activations import resolve
from recurra.cells.checks import autocast_enabled
from recurra.cells.lstm import LSTMOptions
from recurra.cells.rnn import RNNOptions
from recurra.kernels import Recurrence, freeze, run_both, run_sequence, run_unroll, thaw, wants_halves
from recurra.kernels.decisions import TORCH, note
from recurra.kernels.dispatch import refusal
from recurra.kernels.layers import compiled_layers, run_layers

__all__ = ["GRU", "LSTM", "RNN"]


class TorchParams(NamedTuple):
    """One layer and direction of torch.nn's weights: G gates of H units, R recurrent outputs."""

    weight_ih: Tensor
    """`[G*H, I]`."""
    weight_hh: Tensor
    """`[G*H, R]`."""
    bias_ih: Tensor | None = None
    """`[G*H]`, as its sister."""
    bias_hh: Tensor | None = None
    weight_hr: Tensor | None = None
    """`[R, H]`, with a projection."""


def torch_project(params: TorchParams, inputs: Tensor, options: Any) -> Tensor:
    """`x @ W_ih^T + b_ih`, for `[..., I]`."""
    return nn.functional.linear(inputs, params.weight_ih, params.bias_ih)


def torch_rnn_recur(
    params: TorchParams, projected: Tensor, state: Tensor, options: RNNOptions, masks: Any = None
) -> tuple[Tensor, Tensor]:
    """`h' = activation(x W_ih^T + b_ih + h W_hh^T + b_hh)`."""
    h = resolve(options.activation)(projected + nn.functional.linear(state, params.weight_hh, params.bias_hh))
    return h, h


def torch_lstm_recur(
    params: TorchParams, projected: Tensor, state: LSTMState, options: LSTMOptions, masks: Any = None
) -> tuple[Tensor, LSTMState]:
    """Gates in torch's order i, f, g, o."""
    gates = projected + nn.functional.linear(state.h, params.weight_hh, params.bias_hh)
    i, f, g, o = gates.chunk(4, -1)
    c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    if params.weight_hr is not None:
        h = h @ params.weight_hr.t()
    return h, LSTMState(c, h)


def torch_gru_recur(
    params: TorchParams, projected: Tensor, state: Tensor, options: Any, masks: Any = None
) -> tuple[Tensor, Tensor]:
    """Gates in torch's order r, z, n; the reset gate acts after the product."""
    x_r, x_z, x_n = projected.chunk(3, -1)
    h_r, h_z, h_n = nn.functional.linear(state, params.weight_hh, params.bias_hh).chunk(3, -1)
    z = torch.sigmoid(x_z + h_z)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    h = (1 - z) * n + z * state
    return h, h


class _Direction:
    """One layer and direction, as prepared calls and `freeze` see a cell; it holds no parameter of its own."""

    def __init__(self, layers: _Layers, index: int) -> None:
        directions = 2 if layers.bidirectional else 1
        below = (layers.proj_size or layers.hidden_size) * directions
        self.layers, self.index = layers, index
        self.recurrence = layers.recurrence
        self.options = layers._options
        self.reverse = index % directions == 1
        self.input_size = layers.input_size if index < directions else below

    @property
    def halves(self) -> bool:
        return self.layers.halves

    def params(self) -> TorchParams:
        return self.layers._layer_params(self.index)

    def parameters(self) -> Iterator[nn.Parameter]:
        return self.layers.parameters()

    def modules(self) -> Iterator[nn.Module]:
        return self.layers.modules()

    def initial_state(self, batch_size: int) -> State:
        """Zeros."""
        first = next(self.parameters())
        return self.layers._layer_state([first.new_zeros(batch_size, size) for size in self.layers._widths()])


class _Layers(nn.RNNBase):
    """The shared forward: layer by layer, direction by direction, over time-major rows."""

    recurrence: Recurrence
    halves: bool = False
    """Whether products may round their operands to bfloat16, see `freeze`; copies keep it."""
    _state_parts = 1

    def freeze(self, *, dtype: torch.dtype | None = None) -> Self:
        """Switch to inference, with weights packed once, as `recurra.BaseCell.freeze`; `unfreeze` ends it.

        Args:
            dtype: `torch.bfloat16` lets the kernels round the operands of their products to bfloat16.

        Raises:
            InputError: this machine, or this build, has no such products.
        """
        halves = wants_halves(dtype)
        self.eval().requires_grad_(False)
        self.halves = halves
        for direction in self._directions():
            freeze(direction)
        return self

    def unfreeze(self) -> Self:
        """The opposite of `freeze`, as `recurra.BaseCell.unfreeze`."""
        return self.requires_grad_().train()

    def train(self, mode: bool = True) -> Self:
        if mode:
            self.halves = False
            for direction in self.__dict__.get("_views", ()):
                thaw(direction)
        return super().train(mode)

    def _directions(self) -> tuple[_Direction, ...]:
        views = self.__dict__.get("_views")
        if views is None:
            count = self.num_layers * (2 if self.bidirectional else 1)
            views = self.__dict__["_views"] = tuple(_Direction(self, index) for index in range(count))
        return views

    def __getstate__(self) -> dict[str, Any]:
        """Without the views and the packed weights they hold: a copy makes its own."""
        return {name: value for name, value in super().__getstate__().items() if name != "_views"}  # type: ignore[no-untyped-call]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch's: `input [T, B, I]`, `[B, T, I]` (batch_first), `[T, I]` or packed -> (output, final state)."""
        prepared = self._forward_prepared(input, hx)
        if prepared is not None:
            return prepared
        refused = self._refused(input, hx)
        if refused is not None:
            note(type(self).__name__.lower(), TORCH, refused)
            return super().forward(input, hx)
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        batched = input.dim() == 3
        rows = self._time_major(input) if batched else input.unsqueeze(1)
        self._check(input, hx, None if batched else 1)
        parts = self._parts(rows, rows.shape[1], hx if batched else _each(hx, lambda part: part.unsqueeze(1)))
        output, finals = self._run(rows, parts, None)
        if not batched:
            return output.squeeze(1), self._joined([part.squeeze(1) for part in finals])
        return self._time_major(output), self._joined(finals)

    def _forward_prepared(self, input: Any, hx: Any) -> Any:
        """A plain batch through calls prepared before; None where the call must be looked at."""
        if torch.compiler.is_compiling():
            return None
        done = self._forward_layers(input, hx)
        if done is not None:
            return done
        if type(input) is not Tensor or input.dim() != 3:
            return None
        if input.dtype is not torch.float32 or not input.is_cpu or autocast_enabled(input.device):
            return None
        if self.dropout and self.training:  # a call that has to begin anew behind some layers would draw twice
            return None
        rows = input.transpose(0, 1) if self.batch_first else input
        shapes = [(len(self._all_weights), rows.shape[1], size) for size in self._widths()]
        parts = self._parts(rows, rows.shape[1], None) if hx is None else list(hx) if isinstance(hx, tuple) else [hx]
        for part, shape in zip(parts, shapes, strict=False):
            if type(part) is not Tensor or part.shape != shape or not part.is_contiguous():
                return None
        if len(parts) != len(shapes) or isinstance(hx, tuple) != (hx is not None and len(shapes) > 1):
            return None
        found = self._run(rows, parts, None, prepared=True)
        return None if found is None else (self._time_major(found[0]), self._joined(found[1]))

    def _forward_layers(self, input: Any, hx: Any) -> Any:
        """Layers of one direction, nothing between them, as a stack of cells; None where others must run the call."""
        if self.bidirectional or (self.dropout and self.training) or torch.is_autocast_enabled("cpu"):
            return None
        directions, time_major = self._directions(), not self.batch_first
        done = None if compiled_layers is None else compiled_layers(directions, input, time_major, None, hx)
        if done is not None:
            return done[0], self._joined(list(done[1 : 1 + self._state_parts]))
        if hx is not None:
            return None
        done = run_layers(directions[0], directions, input, time_major=time_major, reverse=False)
        if done is None:
            return None
        columns = zip(*map(self._layer_parts, done[1]), strict=True)
        return done[0], self._joined(
            [column[0].unsqueeze(0) if len(column) == 1 else torch.stack(column) for column in columns]
        )

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> Any:
        data, batch_sizes, order, back = packed
        hx = _each(hx, lambda part: part if order is None else part.index_select(1, order))
        if hx is None:
            self.check_input(data, batch_sizes)
        else:
            self.check_forward_args(data, hx, batch_sizes)
        output, finals = self._run(data, self._parts(data, int(batch_sizes[0]), hx), batch_sizes)
        result = PackedSequence(output, batch_sizes, order, back)
        if back is not None:
            finals = [part.index_select(1, back) for part in finals]
        return result, self._joined(finals)

    def _run(self, rows: Tensor, parts: list[Tensor], lengths: Tensor | None, *, prepared: bool = False) -> Any:
        """The layers one by one; with `prepared`, None where one of them has no prepared call.

        Of packed rows `[N, I]`, `lengths` are the batch sizes.
        """
        columns = [part.unbind(0) for part in parts]
        directions, count = self._directions(), 2 if self.bidirectional else 1
        finals = []
        for first in range(0, len(directions), count):
            layer = directions[first : first + count]
            states = [self._layer_state([column[direction.index] for column in columns]) for direction in layer]
            found = self._run_layer(layer, rows, states, lengths, prepared)
            if found is None:
                return None
            rows, ends = found
            finals += [self._layer_parts(end) for end in ends]
            if self.dropout and self.training and first + count < len(directions):
                rows = nn.functional.dropout(rows, self.dropout)
        return rows, [torch.stack(column) for column in zip(*finals, strict=True)]

    def _run_layer(
        self, layer: tuple[_Direction, ...], rows: Tensor, states: list[State], lengths: Tensor | None, prepared: bool
    ) -> tuple[Tensor, Any] | None:
        """Outputs, of both directions side by side, and each direction's final state."""
        if len(layer) == 2:
            done = run_both((layer[0], layer[1]), rows, (states[0], states[1]), lengths, joined=True)
            if done is not None:
                return done[0][0], done[1]
        found = []
        for direction, state in zip(layer, states, strict=True):
            run = self._run_direction(direction, rows, state, lengths, prepared)
            if run is None:
                return None
            found.append(run)
        outputs, ends = zip(*found, strict=True)
        return outputs[0] if len(layer) == 1 else torch.cat(outputs, -1), ends

    def _run_direction(
        self, direction: _Direction, rows: Tensor, state: State, lengths: Tensor | None, prepared: bool
    ) -> Any:
        found = run_unroll(direction, rows, state, lengths, direction.reverse)
        if found is not None or prepared:
            return found
        return run_sequence(
            self.recurrence,
            direction.params(),
            rows,
            state,
            lengths,
            options=direction.options,
            reverse=direction.reverse,
            halves=direction.halves,
        )

    def _layer_params(self, index: int) -> TorchParams:
        weights = [getattr(self, name) for name in self._all_weights[index]]
        bias_ih, bias_hh = (weights[2], weights[3]) if self.bias else (None, None)
        return TorchParams(weights[0], weights[1], bias_ih, bias_hh, weights[-1] if self.proj_size else None)

    @property
    def _options(self) -> Any:
        return None

    def _refused(self, input: Any, hx: Any) -> str | None:
        """Why torch's own computation runs this call; None when the kernels do."""
        data = input.data if isinstance(input, PackedSequence) else input
        if not isinstance(data, Tensor) or data.dim() not in (2, 3) or data.numel() == 0:
            return "an input that torch itself refuses or that holds nothing"
        rank = 3 if isinstance(input, PackedSequence) else input.dim()
        if hx is not None and not self._fits(hx, rank):
            return "a state that torch itself refuses"
        if autocast_enabled(data.device):
            return "autocast is on"
        state = hx if isinstance(hx, tuple) else () if hx is None else (hx,)
        weights = [weight for layer in self.all_weights for weight in layer]
        placeholder = self._layer_state([weights[1]] * self._state_parts)
        return refusal(self.recurrence, [*weights, *state], data, placeholder, options=self._options)

    def _fits(self, hx: Any, rank: int) -> bool:
        """Whether `hx` has the parts and the rank that torch asks for."""
        parts = hx if self._state_parts > 1 else (hx,)
        if not isinstance(parts, tuple) or len(parts) != self._state_parts:
            return False
        return all(isinstance(part, Tensor) and part.dim() == rank for part in parts)

    def _time_major(self, tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1) if self.batch_first else tensor

    def _check(self, input: Tensor, hx: Any, unbatched: int | None) -> None:
        """torch's own argument checks, with torch's own messages."""
        if hx is not None:
            hx = _each(hx, lambda part: part.unsqueeze(1)) if unbatched else hx
            batch = input.unsqueeze(0 if self.batch_first else 1) if unbatched else input
            self.check_forward_args(batch, hx, None)
        else:
            self.check_input(input if unbatched is None else input.unsqueeze(1), None)

    def _parts(self, rows: Tensor, batch: int, hx: Any) -> list[Tensor]:
        """The initial state's parts, h first, each `[layers * directions, B, n]`."""
        if hx is not None:
            return list(hx) if isinstance(hx, tuple) else [hx]
        return [rows.new_zeros(len(self._all_weights), batch, size) for size in self._widths()]

    def _widths(self) -> list[int]:
        """Of the state's parts, h first."""
        return [self.proj_size or self.hidden_size, self.hidden_size][: self._state_parts]

    def _layer_state(self, parts: list[Tensor]) -> State:
        return parts[0]

    def _layer_parts(self, state: State) -> tuple[Tensor, ...]:
        return (state,)

    def _joined(self, finals: list[Tensor]) -> Any:
        return finals[0]


def _each(hx: Any, change: Any) -> Any:
    if hx is None:
        return None
    return tuple(map(change, hx)) if isinstance(hx, tuple) else change(hx)


class LSTM(_Layers, nn.LSTM):
    """`torch.nn.LSTM` through recurra's kernels: same arguments, parameters and numbers."""

    recurrence = Recurrence("torch_lstm", torch_project, torch_lstm_recur)
    _state_parts = 2

    @property
    def _options(self) -> LSTMOptions:
        return LSTMOptions(forget_bias=0.0)

    def _layer_state(self, parts: list[Tensor]) -> LSTMState:
        return LSTMState(parts[1], parts[0])

    def _layer_parts(self, state: LSTMState) -> tuple[Tensor, ...]:
        return state.h, state.c

    def _joined(self, finals: list[Tensor]) -> tuple[Tensor, ...]:
        return tuple(finals)


class GRU(_Layers, nn.GRU):
    """`torch.nn.GRU` through recurra's kernels: same arguments, parameters and numbers."""

    recurrence = Recurrence("torch_gru", torch_project, torch_gru_recur)


class RNN(_Layers, nn.RNN):
    """`torch.nn.RNN` through recurra's kernels: same arguments, parameters and numbers."""

    recurrence = Recurrence("torch_rnn", torch_project, torch_rnn_recur)

    @property
    def _options(self) -> RNNOptions:
        return RNNOptions("tanh" if self.mode == "RNN_TANH" else "relu")
