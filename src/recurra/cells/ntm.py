"""The neural Turing machine (Graves, Wayne and Danihelka, 2014, https://arxiv.org/abs/1410.5401): a controller with a
memory that its heads read and write by content and by position.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recurra._typing import Masks, State
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.checks import check_step, positive
from recurra.cells.init import Initializer


class NTMState(NamedTuple):
    controller: State
    reads: tuple[Tensor, ...]
    """What each read head found, `[B, D]`."""
    weights: tuple[Tensor, ...]
    """Where each head (reads, then writes) looked, `[B, N]`."""
    memory: Tensor
    """`[B, N, D]`."""


class NTMParams(NamedTuple):
    parameters_kernel: Tensor
    """`[C, heads * (D + 2 S + 4) + writers * 2 D]`: a head's key, strength, gate, shifts, sharpening; erase, add."""
    parameters_bias: Tensor
    output_kernel: Tensor
    """`[C + readers * D, O]`."""
    output_bias: Tensor


class NTMOptions(NamedTuple):
    vector_size: int
    readers: int
    writers: int
    shift_range: int = 1
    clip_value: float = 20.0


class HeadParams(NamedTuple):
    """How heads address the memory, each `[B, heads, n]`."""

    key: Tensor
    strength: Tensor
    gate: Tensor
    shift: Tensor
    sharpen: Tensor


def head_size(options: NTMOptions) -> int:
    """Numbers that one head takes from the controller."""
    return options.vector_size + 2 * options.shift_range + 4


def head_params(raw: Tensor, options: NTMOptions) -> HeadParams:
    """`[B, heads, head_size]` brought to the range of each part."""
    sizes = [options.vector_size, 1, 1, 2 * options.shift_range + 1, 1]
    key, strength, gate, shift, sharpen = raw.split(sizes, -1)
    return HeadParams(
        torch.tanh(key),
        functional.softplus(strength),
        torch.sigmoid(gate),
        torch.softmax(shift, -1),
        functional.softplus(sharpen) + 1,
    )


def address(head: HeadParams, memory: Tensor, previous: Tensor) -> Tensor:
    """By content, mixed with the previous weights, shifted around, sharpened: `[B, heads, N]`."""
    product = torch.bmm(head.key, memory.transpose(1, 2))
    lengths = memory.norm(dim=-1).unsqueeze(1) * head.key.norm(dim=-1, keepdim=True)
    content = torch.softmax(head.strength * product / (lengths + 1e-8), -1)
    shifted = rotate(torch.lerp(previous, content, head.gate), head.shift)
    powered = shifted**head.sharpen
    return powered / powered.sum(-1, keepdim=True)


def rotate(weights: Tensor, amounts: Tensor) -> Tensor:
    """Around in a circle: `[..., N]` by shares `[..., 2 S + 1]` of staying, then of 1 to S up, then of S to 1 down."""
    reach, rows = amounts.shape[-1] // 2, weights.shape[-1]
    turns = -(-reach // rows)
    circle = torch.cat([weights] * (2 * turns + 1), -1)[..., turns * rows - reach :]
    seen = circle.unfold(-1, 2 * reach + 1, 1)[..., :rows, :]  # row n sees n - S … n + S
    in_order = amounts.roll(reach, -1).flip(-1)  # S to 1 up, staying, 1 to S down
    return (seen @ in_order.unsqueeze(-1)).squeeze(-1)


def write(memory: Tensor, weights: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """Erase and add at the weighted rows."""
    where = weights.unsqueeze(-1)
    kept = torch.addcmul(memory, memory, where * torch.sigmoid(erase).unsqueeze(1), value=-1)
    return torch.addcmul(kept, where, torch.tanh(add).unsqueeze(1))


def ntm_heads(
    params: NTMParams, controller_output: Tensor, state: NTMState, controller_state: State, options: NTMOptions
) -> tuple[Tensor, NTMState]:
    """What follows the controller in a step: address, read the old memory, write, form the output."""
    raw = torch.addmm(params.parameters_bias, controller_output, params.parameters_kernel)
    raw = raw.clamp(-options.clip_value, options.clip_value)
    heads = options.readers + options.writers
    per_head, per_write = raw.tensor_split([heads * head_size(options)], -1)
    head = head_params(per_head.unflatten(-1, (heads, -1)), options)
    joined = address(head, state.memory, torch.stack(state.weights, 1))
    weights = joined.unbind(1)
    reads = torch.bmm(joined[:, : options.readers], state.memory).unbind(1)
    memory = state.memory
    changes = per_write.chunk(2 * options.writers, -1)
    for index, where in enumerate(weights[options.readers :]):
        memory = write(memory, where, changes[2 * index], changes[2 * index + 1])
    output = torch.addmm(params.output_bias, torch.cat([controller_output, *reads], -1), params.output_kernel)
    output = output.clamp(-options.clip_value, options.clip_value)
    return output, NTMState(controller_state, reads, weights, memory)


class NTMCell(LeafCell):
    """Neural Turing machine around a controller cell.

        y, controller' = controller([x; reads], controller)
        per head: w = sharpen(shift(g * softmax(β cos(key, memory)) + (1 - g) * w))
        reads = Σ w * memory                                               # of the memory before this step's writing
        memory' = memory * (1 - w ⊗ σ(erase)) + w ⊗ tanh(add)               # each write head in turn
        output = clip([y; reads'] @ output_kernel + output_bias)

    Output `[B, O]`, state `NTMState(controller, reads, weights, memory)`. The initial state is learned:
    `initial_state` gives `tanh(initial_read_vector_i)`, `softmax(initial_address_weights_i)` and `memory`, for every
    row. (TensorFlow has a zero state with a time counter, and puts these in when the counter is 0.)

    Parameters: the controller's, `parameters_kernel`, `parameters_bias`, `output_kernel`, `output_bias`,
    `initial_read_vector_i [1, D]`, `initial_address_weights_i [1, N]`, `memory [N, D]`.

    Args:
        controller: a cell that takes `input_size + read_head_num * memory_vector_dim` features.
        input_size: features of the input.
        memory_size: rows N of the memory.
        memory_vector_dim: width D of a row.
        read_head_num, write_head_num: heads.
        shift_range: how far a head may move in a step.
        output_size: features of the output; default: as the controller's.
        clip_value: bound of what the controller says and of the output.
        init: fills the weights in place instead of TensorFlow's default.
    """

    tf_scope: ClassVar[str] = "ntm_cell"
    output_is_state = False

    def __init__(
        self,
        controller: BaseCell,
        input_size: int,
        *,
        memory_size: int,
        memory_vector_dim: int,
        read_head_num: int = 1,
        write_head_num: int = 1,
        shift_range: int = 1,
        output_size: int | None = None,
        clip_value: float = 20.0,
        init: Initializer | None = None,
    ) -> None:
        super().__init__(init=init)
        depth = positive("memory_vector_dim", memory_vector_dim)
        rows = positive("memory_size", memory_size)
        readers, writers = positive("read_head_num", read_head_num), positive("write_head_num", write_head_num)
        self.cell = controller
        self.input_size = positive("input_size", input_size)
        self.options = NTMOptions(depth, readers, writers, positive("shift_range", shift_range), clip_value)
        self.output_size = positive("output_size", controller.output_size if output_size is None else output_size)
        heads = readers + writers
        sizes: Any = ((depth,) * readers, (rows,) * heads, torch.Size((rows, depth)))
        self.state_size = NTMState(controller.state_size, *sizes)
        like = next(controller.parameters())
        factory: dict[str, Any] = {"device": like.device, "dtype": like.dtype}
        wanted = heads * head_size(self.options) + writers * 2 * depth
        self.add_variable("parameters_kernel", controller.output_size, wanted, **factory)
        self.add_variable("parameters_bias", wanted, **factory)
        self.add_variable("output_kernel", controller.output_size + readers * depth, self.output_size, **factory)
        self.add_variable("output_bias", self.output_size, **factory)
        for index in range(readers):
            self.add_variable(f"initial_read_vector_{index}", 1, depth, **factory)
        for index in range(heads):
            self.add_variable(f"initial_address_weights_{index}", 1, rows, **factory)
        self.add_variable("memory", rows, depth, constant=1e-6, **factory)

    def initial_state(self, batch_size: int, **factory: Any) -> NTMState:
        def learned(value: Tensor) -> Tensor:
            value = value.to(dtype=factory.get("dtype"), device=factory.get("device"))
            return value.expand(batch_size, *value.shape[-1:])

        heads = self.options.readers + self.options.writers
        reads = [getattr(self, f"initial_read_vector_{index}") for index in range(self.options.readers)]
        weights = [getattr(self, f"initial_address_weights_{index}") for index in range(heads)]
        memory = self.memory.to(dtype=factory.get("dtype"), device=factory.get("device"))
        return NTMState(
            self.cell.initial_state(batch_size, **factory),
            tuple(learned(torch.tanh(value)) for value in reads),
            tuple(learned(torch.softmax(value, -1)) for value in weights),
            memory.expand(batch_size, *memory.shape),
        )

    def params(self) -> NTMParams:
        return NTMParams(self.parameters_kernel, self.parameters_bias, self.output_kernel, self.output_bias)

    def project(self, inputs: Tensor) -> Tensor:
        return inputs

    def recur(self, projected: Tensor, state: NTMState, masks: Masks = None) -> tuple[Tensor, NTMState]:
        x = torch.cat([projected, *state.reads], -1)
        output, controller = self.cell(x, state.controller) if masks is None else self.cell(x, state.controller, masks)
        return ntm_heads(self.params(), output, state, controller, self.options)

    def draw_masks(self, steps: int, batch_size: int, *, like: Tensor, input_size: Any = None) -> Masks:
        return self.cell.draw_masks(steps, batch_size, like=like, input_size=self.cell.input_size)

    def forward(self, x: Tensor, state: NTMState, masks: Masks = None) -> tuple[Tensor, NTMState]:
        check_step(self, x, state)
        return self.recur(x, state, masks)

    def unroll(self, *arguments: Any, **call: Any) -> Any:
        return BaseCell.unroll(self, *arguments, **call)
