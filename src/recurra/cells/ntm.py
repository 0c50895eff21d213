"""The neural Turing machine (Graves, Wayne and Danihelka, 2014, https://arxiv.org/abs/1410.5401): a controller with a
memory that its heads read and write by content and by position.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from recurra import _nest
from recurra._typing import Masks, State
from recurra.cells.base import BaseCell, LeafCell
from recurra.cells.checks import check_step, positive
from recurra.cells.family import affine
from recurra.cells.init import Initializer
from recurra.kernels import scan
from recurra.kernels.scan import mask_inputs, valid_steps


class NTMState(NamedTuple):
    """The state of an `NTMCell`."""

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


class Joined(NamedTuple):
    """The state with all heads in one tensor."""

    reads: Tensor
    """`[B, readers, D]`."""
    weights: Tensor
    """`[B, heads, N]`, the readers first."""
    memory: Tensor


def join(state: NTMState) -> Joined:
    """All but the controller's state."""
    return Joined(torch.stack(state.reads, 1), torch.stack(state.weights, 1), state.memory)


def split(controller: State, joined: Joined) -> NTMState:
    """The opposite of `join`."""
    return NTMState(controller, joined.reads.unbind(1), joined.weights.unbind(1), joined.memory)


class HeadParams(NamedTuple):
    """What heads take from the controller, their columns by what is done to them: tanh, sigmoid, softplus, softmax."""

    kernel: Tensor
    bias: Tensor
    sizes: list[int]


def head_size(options: NTMOptions) -> int:
    """Numbers that one head takes from the controller."""
    return options.vector_size + 2 * options.shift_range + 4


def by_function(params: NTMParams, options: NTMOptions) -> HeadParams:
    """The heads' parameters in the order: keys, additions; gates, erasures; strengths, sharpenings; shifts.

    TensorFlow has them head by head (key, strength, gate, shift, sharpening), then erasure and addition of each
    writer. Shifts come as 0, 1 to S, -S to -1 and leave as S to -S: in the order of the rows that they take from.
    """
    depth, reach, writers = options.vector_size, options.shift_range, options.writers
    size, heads = head_size(options), options.readers + writers
    columns = torch.arange(params.parameters_bias.shape[0])
    head = columns[: heads * size].reshape(heads, size)
    change = columns[heads * size :].reshape(writers, 2, depth)
    shifts = head[:, depth + 2 : depth + 3 + 2 * reach].roll(reach, 1).flip(1)
    groups = (
        (head[:, :depth], change[:, 1]),
        (head[:, depth + 1], change[:, 0]),
        (head[:, depth], head[:, -1]),
        (shifts,),
    )
    order = torch.cat([part.flatten() for group in groups for part in group]).to(params.parameters_bias.device)
    sizes = [sum(part.numel() for part in group) for group in groups]
    return HeadParams(params.parameters_kernel.index_select(1, order), params.parameters_bias[order], sizes)


def address(key: Tensor, strength: Tensor, gate: Tensor, shift: Tensor, sharpen: Tensor, before: Joined) -> Tensor:
    """By content, mixed with the previous weights, shifted around, sharpened: `[B, heads, N]`.

    `w^s / Σ w^s` is the softmax of `s log w`; a weight of zero stays one.
    """
    heads = key.shape[1]
    lengths = torch.cat([key, before.memory], 1).norm(dim=-1)
    product = torch.bmm(key, before.memory.transpose(1, 2))
    scale = lengths[:, :heads].unsqueeze(-1) * lengths[:, heads:].unsqueeze(1) + 1e-8
    content = torch.softmax(strength * product / scale, -1)
    shifted = rotate(torch.lerp(before.weights, content, gate), shift)
    return torch.softmax(sharpen * shifted.clamp(min=torch.finfo(shifted.dtype).tiny).log(), -1)


def rotate(weights: Tensor, amounts: Tensor) -> Tensor:
    """Around in a circle: `[..., N]` by the shares `[..., 2 S + 1]` of S to 1 up, staying, 1 to S down."""
    reach, rows = amounts.shape[-1] // 2, weights.shape[-1]
    turns = -(-reach // rows)
    circle = torch.cat([weights] * (2 * turns + 1), -1)[..., turns * rows - reach :]
    seen = circle.unfold(-1, 2 * reach + 1, 1)[..., :rows, :]  # row n sees n - S … n + S
    return (seen @ amounts.unsqueeze(-1)).squeeze(-1)


def turn(head: HeadParams, controller_output: Tensor, before: Joined, options: NTMOptions) -> Joined:
    """What follows the controller in a step: address, read the old memory, write."""
    depth, heads, readers = options.vector_size, options.readers + options.writers, options.readers
    raw = torch.addmm(head.bias, controller_output, head.kernel).clamp(-options.clip_value, options.clip_value)
    vectors, gates, powers, shifts = raw.split(head.sizes, -1)
    rows, writers = raw.shape[0], options.writers
    vectors, gates = torch.tanh(vectors).view(rows, heads + writers, depth), torch.sigmoid(gates)
    strength, sharpen = functional.softplus(powers).view(rows, 2, heads, 1).unbind(1)
    shift = torch.softmax(shifts.reshape(rows, heads, 2 * options.shift_range + 1), -1)
    gate, erase = gates[:, :heads].unsqueeze(-1), gates[:, heads:].view(rows, writers, depth)
    weights = address(vectors[:, :heads], strength, gate, shift, sharpen + 1, before)
    memory = before.memory
    for index in range(writers):
        where = weights[:, readers + index].unsqueeze(-1)
        memory = torch.addcmul(memory, memory, where * erase[:, index].unsqueeze(1), value=-1)
        memory = torch.addcmul(memory, where, vectors[:, heads + index].unsqueeze(1))
    return Joined(torch.bmm(weights[:, :readers], before.memory), weights, memory)


def ntm_output(params: NTMParams, controller_output: Tensor, reads: Tensor, options: NTMOptions) -> Tensor:
    """`[..., O]` of what the controller says `[..., C]` and what the heads read `[..., readers, D]`."""
    joined = torch.cat([controller_output, reads.flatten(-2)], -1)
    return affine(joined, params.output_kernel, params.output_bias).clamp(-options.clip_value, options.clip_value)


def ntm_heads(
    params: NTMParams, controller_output: Tensor, state: NTMState, controller_state: State, options: NTMOptions
) -> tuple[Tensor, NTMState]:
    """What follows the controller in a step, the output too."""
    after = turn(by_function(params, options), controller_output, join(state), options)
    output = ntm_output(params, controller_output, after.reads, options)
    return output, split(controller_state, after)


Controller = Callable[[Tensor, Tensor, State, Masks], tuple[Tensor, State]]
"""(projected input, `reads [B, readers * D]`, state, masks) -> (output, new state)."""


def hoisted(controller: BaseCell, input_size: int) -> tuple[Callable[[Tensor], Tensor], Controller]:
    """The controller with its input's share taken out of the loop where its kernel is known to be `[input; state]`."""
    if not isinstance(controller, LeafCell) or controller.recurrence.family not in ("rnn", "lstm"):

        def whole(x: Tensor, reads: Tensor, state: State, masks: Masks) -> tuple[Tensor, State]:
            joined = torch.cat([x, reads], -1)
            return controller(joined, state) if masks is None else controller(joined, state, masks)

        return lambda inputs: inputs, whole
    recurrence, params, options = controller.recurrence, controller.params(), controller.options
    sizes = [input_size, controller.input_size - input_size, params.kernel.shape[0] - controller.input_size]
    of_input, of_reads, of_state = params.kernel.split(sizes)

    def step(x: Tensor, reads: Tensor, state: State, masks: Masks) -> tuple[Tensor, State]:
        return recurrence.recur(
            params._replace(kernel=of_state), torch.addmm(x, reads, of_reads), state, options, masks
        )

    return partial(recurrence.project, params._replace(kernel=of_input), options=options), step


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

    def unroll(
        self,
        inputs: Any,
        state: State,
        lengths: Tensor | None = None,
        *,
        masks: Masks = None,
        **call: Any,
    ) -> Any:
        """As `BaseCell.unroll`; what needs no state, and the output, which no step needs, for all steps at once."""
        special = call.get("after") or call.get("return_states") or call.get("resets") is not None
        if special or "_compiled" in self.__dict__ or _nest.is_nested(inputs) or inputs.shape[0] == 0:
            return BaseCell.unroll(self, inputs, state, lengths, masks=masks, **call)
        masks = masks if masks is not None else self._draw_for(inputs)
        params, options = self.params(), self.options
        head = by_function(params, options)
        project, controller = hoisted(self.cell, self.input_size)

        def step(x: Tensor, state: Any, masks: Masks) -> Any:
            before, inner = state
            output, inner = controller(x, before.reads.flatten(1), inner, masks)
            after = turn(head, output, before, options)
            return (output, after.reads), (after, inner)

        start = join(state), state.controller
        (said, read), (final, inner) = scan(
            step, inputs, start, lengths, project=project, masks=masks, reverse=call.get("reverse", False)
        )
        outputs = ntm_output(params, said, read, options)
        valid = None if lengths is None else valid_steps(lengths, inputs.shape[0])
        return mask_inputs(outputs, valid), split(inner, final)
