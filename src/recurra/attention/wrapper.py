"""A cell that attends to a memory at every step, and feeds what it read back into the next one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from recurra._typing import SCALAR, Masks, State
from recurra.attention import functional
from recurra.attention.mechanisms import AttentionMechanism, Memory
from recurra.cells.base import BaseCell
from recurra.cells.checks import check_state, check_step, positive
from recurra.cells.init import glorot_uniform
from recurra.errors import InputError, StructureError


class AttentionWrapperState(NamedTuple):
    """TensorFlow's state. `alignments` and `attention_state` are tuples where there are several mechanisms."""

    cell_state: State
    attention: Tensor
    """`[B, A]`: what was read, fed back at the next step."""
    time: Tensor
    """Scalar int32: steps so far."""
    alignments: Any
    """`[B, L]`."""
    alignment_history: tuple[()]
    """Empty: `unroll(…, return_states=True)` and `dynamic_decode(…, record=…)` keep every step's alignments."""
    attention_state: Any
    """`[B, L]`."""


def concat_inputs(x: Tensor, attention: Tensor) -> Tensor:
    """The default `cell_input_fn`."""
    return torch.cat([x, attention], -1)


Layer = Callable[[Tensor], Tensor]
AttentionFunction = Callable[[AttentionMechanism, Tensor, Any, Memory, "Layer | None"], "tuple[Tensor, Tensor, Any]"]
"""(mechanism, the cell's output, its own state, memory, attention layer) -> (attention, alignments, new state)."""


def read_memory(
    mechanism: AttentionMechanism, output: Tensor, state: Any, memory: Memory, layer: Layer | None
) -> tuple[Tensor, Tensor, Any]:
    """The default `attention_fn`: what is read, with the cell's output through the layer, or as it is."""
    alignments = mechanism(output, state, memory)
    context = functional.read(alignments, memory.values)
    attention = context if layer is None else layer(torch.cat([output, context], -1))
    return attention, alignments, alignments


class AttentionWrapper(BaseCell):
    """Attention around a cell (Luong, Pham and Manning, 2015, with the attention fed back).

        y, cell_state' = cell([x; attention], cell_state)
        alignments = mechanism(y, alignments, memory);  context = Σ alignments * memory
        attention' = [y; context] @ attention_layer.kernel         # or the context, without a layer
        output = attention'                                        # or y

    The memory is given per batch, and masked and projected once:

        cell = AttentionWrapper(LSTMCell(64 + 32, 128), BahdanauAttention(128, 256, 128), attention_layer_size=32)
        outputs, state = recurra.unroll(cell.attend(memory, memory_lengths), inputs)      # memory [B, L, 256]

    Args:
        cell: takes the input and the attention side by side (or what `cell_input_fn` makes of them).
        mechanism: one, or several that read side by side.
        attention_layer_size: features A of the attention, one number a mechanism; None: the context itself.
        attention_layer: in place of a size, the layer itself, one a mechanism: from `[y; context]` to the attention.
        attention_fn: what a mechanism does in a step, see `AttentionFunction`.
        cell_input_fn: of (x, attention).
        output_attention: give the attention; else the cell's output.
        initial_cell_state: where the inner cell starts, in place of its own initial state.

    TensorFlow's `alignment_history` is `unroll(…, return_states=True)` here, or `dynamic_decode(…, record=…)`.
    """

    def __init__(
        self,
        cell: BaseCell,
        mechanism: AttentionMechanism | Sequence[AttentionMechanism],
        *,
        attention_layer_size: int | Sequence[int] | None = None,
        attention_layer: nn.Module | Sequence[nn.Module] | None = None,
        attention_fn: AttentionFunction = read_memory,
        cell_input_fn: Callable[[Tensor, Tensor], Tensor] = concat_inputs,
        output_attention: bool = True,
        initial_cell_state: State = None,
    ) -> None:
        super().__init__()
        self.several = not isinstance(mechanism, AttentionMechanism)
        mechanisms = [mechanism] if isinstance(mechanism, AttentionMechanism) else list(mechanism)
        for part in mechanisms:
            if not isinstance(part, AttentionMechanism):
                raise StructureError(f"`mechanism` must be attention mechanisms, got {type(part).__name__}")
        self.cell = cell
        self.mechanisms = nn.ModuleList(mechanisms)
        self.cell_input_fn, self.output_attention = cell_input_fn, output_attention
        self.attention_fn, self.initial_cell_state = attention_fn, initial_cell_state
        if attention_layer_size is not None and attention_layer is not None:
            raise InputError("`attention_layer_size` and `attention_layer` are two ways to say one thing: give one")
        self.attention_layers = nn.ParameterList(self._layers(attention_layer_size))
        self.attention_modules = nn.ModuleList(self._modules_of(attention_layer))
        self.attention_size = sum(self._widths())
        self.memories: tuple[Memory, ...] = ()
        if cell_input_fn is concat_inputs and cell.input_size is not None:
            self.input_size = positive("cell.input_size - attention", cell.input_size - self.attention_size)

    def _layers(self, sizes: int | Sequence[int] | None) -> list[nn.Parameter]:
        if sizes is None:
            return []
        chosen = [sizes] if isinstance(sizes, int) else list(sizes)
        self._check_count("attention_layer_size", "sizes", len(chosen))
        like = next(self.cell.parameters())
        return [
            nn.Parameter(glorot_uniform(like.detach().new_empty(row, positive("attention_layer_size", size))))
            for row, size in zip(self._joined_widths(), chosen, strict=True)
        ]

    def _modules_of(self, layers: nn.Module | Sequence[nn.Module] | None) -> list[nn.Module]:
        if layers is None:
            return []
        chosen = list(layers) if isinstance(layers, (list, tuple, nn.ModuleList)) else [layers]
        self._check_count("attention_layer", "layers", len(chosen))
        return chosen  # type: ignore[return-value]

    def _check_count(self, name: str, what: str, count: int) -> None:
        if count != len(self.mechanisms):
            raise InputError(f"`{name}` has {count} {what} for {len(self.mechanisms)} attention mechanisms")

    def _joined_widths(self) -> list[int]:
        return [self.cell.output_size + part.memory_size for part in self.mechanisms]

    def _widths(self) -> list[int]:
        """Features of each mechanism's attention."""
        if self.attention_modules:
            like = next(self.cell.parameters()).detach()
            pairs = zip(self.attention_modules, self._joined_widths(), strict=True)
            with torch.no_grad():
                return [layer(like.new_zeros(1, row)).shape[-1] for layer, row in pairs]
        kernels = [kernel.shape[1] for kernel in self.attention_layers]
        return kernels or [part.memory_size for part in self.mechanisms]

    def _layer(self, index: int) -> Layer | None:
        if self.attention_modules:
            return self.attention_modules[index]
        kernels = self.attention_layers
        return (lambda joined: joined @ kernels[index]) if len(kernels) else None

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the attention layers anew, as the constructor did; cell and mechanisms have their own."""
        for layer in self.attention_layers:
            glorot_uniform(layer)

    def attend(
        self, memory: Tensor | Sequence[Tensor], lengths: Tensor | Sequence[Tensor | None] | None = None
    ) -> Self:
        """This cell (sharing all parameters) over a memory, which is masked and projected here.

        Args:
            memory: `[B, L, D]`, or one for each mechanism.
            lengths: `[B]` integers in `1..L`, or one such for each mechanism; None means L.

        Raises:
            InputError: shapes that do not fit, or another number of memories than of mechanisms.
        """
        parts = zip(self.mechanisms, self._each("memory", memory), self._each("lengths", lengths), strict=True)
        return self.bind([part.memorize(rows, ends) for part, rows, ends in parts])  # type: ignore[operator]

    def _each(self, name: str, given: Any) -> list[Any]:
        """One for each mechanism."""
        count = len(self.mechanisms)
        if given is None or isinstance(given, Tensor):
            return [given] * count
        if len(given) != count:
            raise InputError(f"`{name}` has {len(given)} parts for {count} attention mechanisms")
        return list(given)

    def bind(self, memories: Sequence[Memory]) -> Self:
        """As `attend`, with memories that the mechanisms have prepared."""
        bound = copy.copy(self)
        bound.memories = tuple(memories)
        return bound

    @property
    def state_size(self) -> AttentionWrapperState:
        sizes: Any = self._pack([memory.values.shape[1] for memory in self._memories()])
        attention: Any = self.attention_size
        scalar: Any = SCALAR
        return AttentionWrapperState(self.cell.state_size, attention, scalar, sizes, (), sizes)

    @property
    def output_size(self) -> int:
        return self.attention_size if self.output_attention else self.cell.output_size

    def _memories(self) -> tuple[Memory, ...]:
        if not self.memories:
            raise InputError("`memory` is missing: call `attend(memory, lengths)` and use the cell that it gives")
        return self.memories

    def _pack(self, parts: Sequence[Any]) -> Any:
        return tuple(parts) if self.several else parts[0]

    def _unpack(self, parts: Any) -> tuple[Any, ...]:
        return tuple(parts) if self.several else (parts,)

    def initial_state(self, batch_size: int, **factory: Any) -> AttentionWrapperState:
        memories = self._memories()
        values = memories[0].values
        if values.shape[0] != batch_size:
            raise InputError(
                f"`memory` has batch size {values.shape[0]}, the call has {batch_size}; "
                "for a beam search tile both (`recurra.decoding.tile_batch`)"
            )
        starts: Any = self._pack(
            [part.initial_alignments(rows) for part, rows in zip(self.mechanisms, memories, strict=True)]  # type: ignore[operator]
        )
        attention = values.new_zeros(batch_size, self.attention_size)
        time = torch.zeros((), dtype=torch.int32, device=values.device)
        zeros: Any = self._pack([values.new_zeros(values.shape[0], rows.values.shape[1]) for rows in memories])
        state = self.initial_cell_state
        if state is None:
            state = self.cell.initial_state(batch_size, **factory)
        else:
            check_state("initial_cell_state", state, self.cell.state_size, batch_size)
        return AttentionWrapperState(state, attention, time, zeros, (), starts)

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def recur(self, x: Tensor, state: AttentionWrapperState, masks: Masks = None) -> tuple[Tensor, State]:
        inner = self.cell_input_fn(x, state.attention)
        output, cell_state = (
            self.cell(inner, state.cell_state) if masks is None else self.cell(inner, state.cell_state, masks)
        )
        previous = self._unpack(state.attention_state)
        found = [
            self.attention_fn(part, output, before, memory, self._layer(index))  # type: ignore[arg-type]
            for index, (part, before, memory) in enumerate(
                zip(self.mechanisms, previous, self._memories(), strict=True)
            )
        ]
        attentions, alignments, states = zip(*found, strict=True)
        attention = torch.cat(attentions, -1)
        new = AttentionWrapperState(
            cell_state, attention, state.time + 1, self._pack(alignments), (), self._pack(states)
        )
        return attention if self.output_attention else output, new

    def forward(self, x: Tensor, state: AttentionWrapperState, masks: Masks = None) -> tuple[Tensor, State]:
        check_step(self, x, state)
        return self.recur(x, state, masks)
