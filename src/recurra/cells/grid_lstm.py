"""The grid LSTM of speech recognition (Li et al., 2016, https://arxiv.org/abs/1602.06662): one LSTM along time and one
along frequency, in one or two directions of frequency.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor

from recurra._typing import Masks
from recurra.cells.checks import positive, positive_or_none
from recurra.cells.family import Common, FamilyCell, affine
from recurra.cells.lstm import clip
from recurra.cells.time_freq import window_count, windows
from recurra.errors import InputError
from recurra.kernels import Recurrence

GATES = "ifo"
"""The order of the peepholes' gates."""


class GridBlock(NamedTuple):
    """One block of frequencies; where time and frequency share weights, only the first half of the columns exists."""

    kernel: Tensor
    """`[F + 2H, G * H]` for the frequency LSTM, then as many columns for the time LSTM; rows of the window, the output
    one time step ago, the output one frequency below; columns i, j, f, o, or i, j, o where f is 1 - i."""
    bias: Tensor
    peepholes: Tensor | None = None
    """`[L, 2, 3, H]`: to the gates i, f, o of each LSTM (L of them), from the memory of frequency, then of time."""


class GridLSTMOptions(NamedTuple):
    slices: tuple[tuple[int, int], ...]
    """Each block's first and last (exclusive) feature."""
    feature_size: int
    frequency_skip: int
    forget_bias: float = 1.0
    cell_clip: float | None = None
    coupled: bool = False


def grid_project(params: tuple[GridBlock, ...], inputs: Tensor, options: GridLSTMOptions) -> tuple[Tensor, ...]:
    """Each block's windows' share of the gates, `[..., K, columns]`."""
    size = options.feature_size
    return tuple(
        affine(windows(inputs[..., first:last], size, options.frequency_skip), block.kernel[:size], block.bias)
        for block, (first, last) in zip(params, options.slices, strict=True)
    )


def _peek(peepholes: Tensor | None, gate: int, cells: Tensor) -> Tensor | float:
    """What both memories `[B, 2, H]` (frequency, time) say to one gate of each LSTM, `[B, L, H]`."""
    return 0.0 if peepholes is None else (peepholes[:, :, gate] * cells.unsqueeze(1)).sum(2)


def grid_block_step(
    block: GridBlock, projected: Tensor, c_time: list[Tensor], m_time: list[Tensor], options: GridLSTMOptions
) -> tuple[list[Tensor], list[Tensor]]:
    """One block, frequency by frequency, both LSTMs side by side: (outputs m_time, m_freq, …; states c_time, m_time,
    …). Where they share weights, L is 1 below, else 2.
    """
    units = m_time[0].shape[-1]
    in_time, in_frequency = block.kernel[options.feature_size :].split(units)
    count = 3 if options.coupled else 4
    gates = torch.addmm(projected.flatten(0, 1), torch.stack(m_time, -2).flatten(0, 1), in_time)
    gates = gates.unflatten(0, projected.shape[:2])
    c_freq, m_freq = torch.zeros_like(c_time[0]), torch.zeros_like(m_time[0])
    outputs, state = [], []
    for k, c_before in enumerate(c_time):
        columns = torch.addmm(gates[:, k], m_freq, in_frequency).unflatten(-1, (-1, count, units))
        i, j, *f, o = columns.unbind(-2)  # [B, L, H]
        cells = torch.stack([c_freq, c_before], 1)
        enter = torch.sigmoid(i + _peek(block.peepholes, 0, cells))
        keep = torch.sigmoid(f[0] + _peek(block.peepholes, 1, cells) + options.forget_bias) if f else 1 - enter
        cells = clip(torch.addcmul(keep * cells, enter, torch.tanh(j)), options.cell_clip)
        m = torch.sigmoid(o + _peek(block.peepholes, 2, cells)) * torch.tanh(cells)
        c_freq, c_new = cells.unbind(1)
        m_freq, m_new = m.unbind(1)
        outputs += [m_new, m_freq]
        state += [c_new, m_new]
    return outputs, state


def grid_recur(
    params: tuple[GridBlock, ...],
    projected: tuple[Tensor, ...],
    state: tuple[Tensor, ...],
    options: GridLSTMOptions,
    masks: Masks = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All blocks, each on its own part of the state."""
    outputs: list[Tensor] = []
    new: list[Tensor] = []
    for block, columns in zip(params, projected, strict=True):
        part = state[len(new) : len(new) + 2 * columns.shape[-2]]
        emitted, after = grid_block_step(block, columns, list(part[0::2]), list(part[1::2]), options)
        outputs += emitted
        new += after
    return torch.cat(outputs, -1), type(state)(*new) if hasattr(state, "_fields") else tuple(new)


GRID_LSTM = Recurrence("grid_lstm", grid_project, grid_recur)


@cache
def state_type(name: str, fields: tuple[str, ...]) -> Any:
    """The named tuple of these fields, which follow from a cell's sizes; it pickles by name and fields."""
    made = namedtuple(name, fields)  # type: ignore[misc]

    def reduce(state: tuple[Any, ...]) -> Any:
        return _restore, (name, fields, tuple(state))

    made.__reduce__ = reduce  # type: ignore[assignment]
    return made


def _restore(name: str, fields: tuple[str, ...], leaves: tuple[Any, ...]) -> Any:
    return state_type(name, fields)(*leaves)


class GridBlocks(FamilyCell):
    """Parameters and sizes of grid LSTM blocks; `GridLSTMCell` says what the arguments are."""

    output_is_state = False
    recurrence = GRID_LSTM
    directions: tuple[str, ...] = ("",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        feature_size: int | None = None,
        frequency_skip: int = 1,
        start_freqindex_list: Sequence[int] | None = None,
        end_freqindex_list: Sequence[int] | None = None,
        peepholes: bool = False,
        share_time_frequency_weights: bool = False,
        couple_input_forget_gates: bool = False,
        cell_clip: float | None = None,
        forget_bias: float = 1.0,
        **common: Unpack[Common],
    ) -> None:
        size = positive("input_size", input_size) if feature_size is None else positive("feature_size", feature_size)
        positive("frequency_skip", frequency_skip)
        slices = _slices(input_size, size, start_freqindex_list, end_freqindex_list)
        clip_at = positive_or_none("cell_clip", cell_clip)
        options = GridLSTMOptions(slices, size, frequency_skip, forget_bias, clip_at, couple_input_forget_gates)
        super().__init__(input_size, hidden_size, options, **common)
        self.peepholes, self.shared = peepholes, share_time_frequency_weights
        self.counts = [window_count(last - first, size, frequency_skip) for first, last in slices]
        total = sum(self.counts) * len(self.directions)
        self.output_size = 2 * total * hidden_size
        self.state_size = self._state_type()(*[hidden_size] * (2 * total))
        columns = (3 if couple_input_forget_gates else 4) * hidden_size
        self.tf_names: dict[str, str] = {}  # type: ignore[misc]
        for direction in self.directions:
            for block in range(len(slices)):
                self._add_block(direction, block, size + 2 * hidden_size, columns)

    def _state_type(self) -> Any:
        """A named tuple with TensorFlow's field names."""
        fields = tuple(
            f"{direction}_state_f{k:02d}_b{b:02d}_{leaf}".lstrip("_")
            for direction in self.directions
            for b, count in enumerate(self.counts)
            for k in range(count)
            for leaf in "cm"
        )
        return state_type(f"{type(self).__name__}State", fields)

    def _add_block(self, direction: str, block: int, rows: int, columns: int) -> None:
        at = f"{direction}.block{block}" if direction else f"block{block}"
        scope = f"{direction}/" if direction else ""
        for along in ("f",) if self.shared else ("f", "t"):
            self.variable(f"{at}.{along}_kernel", rows, columns)
            self.tf_names[f"{at}.{along}_kernel"] = f"{scope}W_{along}_{block}_0"
            self.variable(f"{at}.{along}_bias", columns, fill=0.0)
            self.tf_names[f"{at}.{along}_bias"] = f"{scope}B_{along}_{block}"
        if not self.peepholes:
            return
        gates = "io" if self.options.coupled else GATES
        for along in ("freq",) if self.shared else ("freq", "time"):
            for source in "ft":
                for gate in gates:
                    self.variable(f"{at}.w_{gate}_{along}{source}", self.hidden_size)
                    old = f"W_{gate.upper()}_diag_{along}{source}_{block}"
                    self.tf_names[f"{at}.w_{gate}_{along}{source}"] = scope + old

    def blocks(self, direction: str = "") -> tuple[GridBlock, ...]:
        """One direction's parameters, side by side as the equation takes them."""
        owner = getattr(self, direction) if direction else self
        return tuple(self._block(getattr(owner, f"block{block}")) for block in range(len(self.counts)))

    def _block(self, part: Any) -> GridBlock:
        along = ("f",) if self.shared else ("f", "t")
        kernel = torch.cat([getattr(part, f"{name}_kernel") for name in along], -1)
        bias = torch.cat([getattr(part, f"{name}_bias") for name in along])
        if not self.peepholes:
            return GridBlock(kernel, bias)
        zero = kernel.new_zeros(self.hidden_size)
        rows = [
            getattr(part, f"w_{gate}_{name}{source}", zero)
            for name in (("freq",) if self.shared else ("freq", "time"))
            for source in "ft"
            for gate in GATES
        ]
        return GridBlock(kernel, bias, torch.stack(rows).unflatten(0, (-1, 2, 3)))


def _slices(
    input_size: int, feature_size: int, starts: Sequence[int] | None, ends: Sequence[int] | None
) -> tuple[tuple[int, int], ...]:
    if (starts is None) != (ends is None):
        raise InputError("`start_freqindex_list` and `end_freqindex_list` must be given together")
    if starts is None or ends is None:
        starts, ends = [0], [input_size]
    if len(starts) != len(ends) or not len(starts):
        raise InputError(f"`end_freqindex_list` has {len(ends)} blocks, `start_freqindex_list` {len(starts)}")
    for first, last in zip(starts, ends, strict=True):
        if not 0 <= first <= last - feature_size or last > input_size:
            raise InputError(
                f"`start_freqindex_list` and `end_freqindex_list` give the block [{first}, {last}), which does not "
                f"hold a window of {feature_size} within input_size={input_size}"
            )
    return tuple(zip(starts, ends, strict=True))


class GridLSTMCell(GridBlocks):
    """LSTM over time and over frequency at once; each block of features has its own weights.

        for k in windows of the block:                  # z = [x_k; m_time_k; m_freq], m_freq = c_freq = 0 at first
            i, j, f, o = split(z @ f_kernel + f_bias)   # of the frequency LSTM; another four of the time LSTM
            c_freq = σ(f + forget_bias) * c_freq + σ(i) * tanh(j);   c_time_k' likewise from c_time_k
            m_freq = σ(o) * tanh(c_freq);                            m_time_k' likewise

    Gates with peepholes see both old memories, output gates both new ones. Output `[m_time_0; m_freq_0; …]`, state a
    named tuple of `state_f00_b00_c`, `state_f00_b00_m`, … (frequency, block), each `[B, H]`.

    Parameters of block b: `block{b}.f_kernel [F + 2H, G * H]`, `.f_bias`, `.t_kernel`, `.t_bias`, with peepholes
    `.w_i_freqf` … (from the frequency's or the time's memory); TensorFlow's names are in `tf_names`.

    Args:
        input_size: features of the input.
        hidden_size: units H of each LSTM.
        feature_size: width F of a window; None is one window over all features.
        frequency_skip: distance of windows.
        start_freqindex_list, end_freqindex_list: first and last (exclusive) feature of each block; default one block.
            (TensorFlow also asks for `num_frequency_blocks`, which follows from these.)
        peepholes: let the gates see the memories.
        share_time_frequency_weights: the time LSTM uses the frequency LSTM's gates.
        couple_input_forget_gates: the forget gate is 1 minus the input gate.
        cell_clip: bound of both memories.
        forget_bias: added to both forget gates when they run.
        common: `init`, `device`, `dtype`.
    """

    tf_scope = "grid_lstm_cell"

    def params(self) -> tuple[GridBlock, ...]:
        return self.blocks()


class BidirectionalGridParams(NamedTuple):
    forward: tuple[GridBlock, ...]
    backward: tuple[GridBlock, ...]


class BidirectionalGridOptions(NamedTuple):
    grid: GridLSTMOptions
    backward_slice_offset: int = 0


def shift_features(inputs: Tensor, offset: int) -> Tensor:
    """Features moved by `offset`, zeros coming in: to the left for a positive one."""
    if offset == 0:
        return inputs
    pad = torch.nn.functional.pad(inputs, (0, offset) if offset > 0 else (-offset, 0))
    return pad[..., offset:] if offset > 0 else pad[..., :offset]


def bidirectional_grid_project(
    params: BidirectionalGridParams, inputs: Tensor, options: BidirectionalGridOptions
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Both directions' shares; the backward one runs from the highest window down."""
    shifted = shift_features(inputs, options.backward_slice_offset)
    backward = grid_project(params.backward, shifted, options.grid)
    return grid_project(params.forward, inputs, options.grid), tuple(part.flip(-2) for part in backward)


def bidirectional_grid_recur(
    params: BidirectionalGridParams,
    projected: tuple[tuple[Tensor, ...], tuple[Tensor, ...]],
    state: tuple[Tensor, ...],
    options: BidirectionalGridOptions,
    masks: Masks = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The forward direction on the first half of the state, the backward one on the second."""
    half = len(state) // 2
    forward, state_fw = grid_recur(params.forward, projected[0], tuple(state[:half]), options.grid)
    backward, state_bw = grid_recur(params.backward, projected[1], tuple(state[half:]), options.grid)
    new = (*state_fw, *state_bw)
    return torch.cat([forward, backward], -1), type(state)(*new) if hasattr(state, "_fields") else new


BIDIRECTIONAL_GRID_LSTM = Recurrence("bidirectional_grid_lstm", bidirectional_grid_project, bidirectional_grid_recur)


class BidirectionalGridLSTMCell(GridBlocks):
    """`GridLSTMCell` up and down the frequencies, with weights for each direction; outputs side by side.

    The state's fields are `fwd_state_f00_b00_c`, …, then `bwd_state_…`, where `f00` is the highest window.

    Args:
        backward_slice_offset: where the backward direction's windows start (zeros are padded in).
        others: as in `GridLSTMCell`.
    """

    recurrence = BIDIRECTIONAL_GRID_LSTM
    directions = ("fwd", "bwd")
    tf_scope = "bidirectional_grid_lstm_cell"

    def __init__(self, input_size: int, hidden_size: int, *, backward_slice_offset: int = 0, **others: Any) -> None:
        super().__init__(input_size, hidden_size, **others)
        self.grid = self.options
        self.options = BidirectionalGridOptions(self.grid, backward_slice_offset)

    def params(self) -> BidirectionalGridParams:
        return BidirectionalGridParams(self.blocks("fwd"), self.blocks("bwd"))
