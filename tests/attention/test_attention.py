"""Attention mechanisms and the wrapper against TensorFlow 1.15."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra import attention
from recurra._typing import LSTMState
from recurra.attention import (
    AttentionMechanism,
    AttentionWrapper,
    BahdanauAttention,
    BahdanauMonotonicAttention,
    LuongAttention,
    LuongMonotonicAttention,
    Memory,
    functional,
    read_memory,
)
from recurra.cells import GRUCell, LSTMCell
from tests.goldens_io import Arrays

MECHANISMS: dict[str, tuple[str, Callable[[], AttentionMechanism]]] = {
    "bahdanau": ("bahdanau_attention", lambda: BahdanauAttention(6, 3, 4)),
    "bahdanau_norm": ("bahdanau_attention", lambda: BahdanauAttention(6, 3, 4, normalize=True)),
    "bahdanau_nolen": ("bahdanau_attention", lambda: BahdanauAttention(6, 3, 4)),
    "luong": ("luong_attention", lambda: LuongAttention(3, 6)),
    "luong_scale": ("luong_attention", lambda: LuongAttention(3, 6, scale=True)),
    "luong_hardmax": ("luong_attention", lambda: LuongAttention(3, 6, probability_fn=attention.hardmax)),
    "luong_mask_value": ("luong_attention", lambda: LuongAttention(3, 6, score_mask_value=-1.5)),
    "bahdanau_mono_parallel": ("bahdanau_monotonic_attention", lambda: BahdanauMonotonicAttention(6, 3, 4)),
    "bahdanau_mono_recursive": (
        "bahdanau_monotonic_attention",
        lambda: BahdanauMonotonicAttention(6, 3, 4, mode="recursive"),
    ),
    "bahdanau_mono_hard": ("bahdanau_monotonic_attention", lambda: BahdanauMonotonicAttention(6, 3, 4, mode="hard")),
    "bahdanau_mono_norm": ("bahdanau_monotonic_attention", lambda: BahdanauMonotonicAttention(6, 3, 4, normalize=True)),
    "luong_mono": ("luong_monotonic_attention", lambda: LuongMonotonicAttention(3, 6, scale=True)),
    "luong_mono_hard": ("luong_monotonic_attention", lambda: LuongMonotonicAttention(3, 6, mode="hard")),
}


def fill(module: nn.Module, golden: Arrays, names: dict[str, str]) -> None:
    """Parameters from `var/…`; every variable of the file must be used."""
    left = {key for key in golden.arrays if key.startswith("var/")}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(golden[names[name]])
            left.discard(names[name])
    assert not left, left


def mechanism_names(part: AttentionMechanism, own: str, memory: str = "var/att/memory_layer/kernel") -> dict[str, str]:
    return {
        name: memory if name.startswith("memory_layer") else f"{own}/{name.replace('.', '/')}"
        for name, _ in part.named_parameters()
    }


@pytest.mark.parametrize("name", MECHANISMS)
def test_mechanism(name: str) -> None:
    scope, make = MECHANISMS[name]
    part, golden = make(), Arrays(f"seq2seq/att_{name}")
    names = mechanism_names(part, f"var/att/{scope}")
    fill(part, golden, names)
    tensors = {key: golden[key].requires_grad_() for key in ("memory", "query", "prev")}
    memory = part.memorize(tensors["memory"], None if "nolen" in name else golden["memory_len"])
    golden.check("keys", memory.keys)
    golden.check("values", memory.values)
    if name == "bahdanau_mono_norm":
        golden.check("prev", part.initial_alignments(memory))
    alignments = part(tensors["query"], tensors["prev"], memory)
    context = functional.read(alignments, memory.values)
    golden.check("outputs/0", alignments)
    golden.check("outputs/1", context)
    parts = {"outputs/0": alignments, "outputs/1": context, "state": alignments}
    sum((value * golden[f"loss_w/{key}"]).sum() for key, value in parts.items()).backward()
    for key in ("memory", "query", "prev"):
        if f"grad/{key}" in golden:
            golden.check(f"grad/{key}", tensors[key].grad)
    for parameter, key in names.items():
        if f"grad/{key}" in golden:
            golden.check(f"grad/{key}", part.get_parameter(parameter).grad)


def test_monotonic_functions() -> None:
    golden = Arrays("seq2seq/att_monotonic_fn")
    p, previous = golden["p_choose"], golden["prev"]
    golden.check("recursive", functional.monotonic_attention(p, previous, "recursive"))
    golden.check("parallel", functional.monotonic_attention(p, previous, "parallel"))
    golden.check("hard", functional.monotonic_attention((p > 0.5).float(), previous, "hard"))
    golden.check("safe_cumprod", functional.safe_cumprod(p))
    golden.check("safe_cumprod_excl", functional.safe_cumprod(p, exclusive=True))
    golden.check("hardmax", functional.hardmax(p))
    with pytest.raises(ValueError, match="`mode` must be"):
        functional.monotonic_attention(p, previous, "soft")  # type: ignore[arg-type]


def _add(x: Tensor, read: Tensor) -> Tensor:
    return x + read


BAHDANAU, LUONG = "bahdanau_attention", "luong_attention"
WRAPPERS: dict[str, tuple[list[str], Callable[[], AttentionWrapper]]] = {
    "bahdanau": (
        [BAHDANAU],
        lambda: AttentionWrapper(LSTMCell(8, 6), BahdanauAttention(6, 3, 4), attention_layer_size=5),
    ),
    "luong_noattlayer": ([LUONG], lambda: AttentionWrapper(LSTMCell(6, 6), LuongAttention(3, 6))),
    "output_cell": (
        [LUONG],
        lambda: AttentionWrapper(LSTMCell(8, 6), LuongAttention(3, 6), attention_layer_size=5, output_attention=False),
    ),
    "multi": (
        [BAHDANAU, LUONG],
        lambda: AttentionWrapper(
            LSTMCell(10, 6), [BahdanauAttention(6, 3, 4), LuongAttention(3, 6)], attention_layer_size=[5, 2]
        ),
    ),
    "cell_input_fn": (
        [BAHDANAU],
        lambda: AttentionWrapper(LSTMCell(3, 6), BahdanauAttention(6, 3, 4), cell_input_fn=_add),
    ),
    "monotonic": (
        ["bahdanau_monotonic_attention"],
        lambda: AttentionWrapper(LSTMCell(8, 6), BahdanauMonotonicAttention(6, 3, 4), attention_layer_size=5),
    ),
}


def wrapper_names(wrapper: AttentionWrapper, kinds: list[str], outer: str, own: str, cell: str) -> dict[str, str]:
    names = {}
    for name, _ in wrapper.named_parameters():
        head, *rest = name.split(".")
        if head == "cell":
            names[name] = "/".join([own, cell, *rest])
        elif head == "attention_layers":
            names[name] = f"{own}/attention_layer{'' if rest[0] == '0' else '_' + rest[0]}/kernel"
        elif rest[1] == "memory_layer":
            names[name] = f"{outer}memory_layer{'' if rest[0] == '0' else '_' + rest[0]}/kernel"
        else:
            names[name] = "/".join([own, kinds[int(rest[0])], *rest[1:]])
    return names


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapper(name: str) -> None:
    kinds, make = WRAPPERS[name]
    wrapper, golden = make(), Arrays(f"seq2seq/attwrap_{name}")
    names = wrapper_names(wrapper, kinds, "var/dec/", "var/dec/attention_wrapper", "lstm_cell")
    fill(wrapper, golden, names)
    memory, inputs = golden["memory"].requires_grad_(), golden["inputs"].requires_grad_()
    bound = wrapper.attend(memory, golden["memory_len"])
    outputs, state, states = recurra.unroll(bound, inputs, return_states=True)
    golden.check("outputs", outputs)
    finals = (state.cell_state.c, state.cell_state.h, state.attention)
    for index, leaf in enumerate(finals):
        golden.check(f"final_state/{index}", leaf)
    for t in range(3):
        golden.check(f"attention_t{t}", states.attention[:, t])
    for index, leaf in enumerate(state.alignments if wrapper.several else (state.alignments,)):
        golden.check(f"last/alignments/{index}", leaf)
    assert int(state.time) == int(golden["last/time"]) == 3
    for index, leaf in enumerate(states.alignments if wrapper.several else (states.alignments,)):
        if f"last/alignment_history/{index}" in golden:
            golden.check(f"last/alignment_history/{index}", leaf.transpose(0, 1))
    loss = (outputs * golden["loss_w/outputs"]).sum()
    loss = loss + sum((leaf * golden[f"loss_w/state/{index}"]).sum() for index, leaf in enumerate(finals))
    loss.backward()
    golden.check("grad/memory", memory.grad)
    golden.check("grad/inputs", inputs.grad)
    for parameter, key in names.items():
        if f"grad/{key}" in golden:
            golden.check(f"grad/{key}", wrapper.get_parameter(parameter).grad)


def test_ragged_loop() -> None:
    wrapper = AttentionWrapper(GRUCell(8, 6), LuongAttention(3, 6), attention_layer_size=5)
    golden = Arrays("seq2seq/attwrap_dynamic_rnn")
    names = wrapper_names(wrapper, [LUONG], "var/", "var/rnn/attention_wrapper", "gru_cell")
    fill(wrapper, golden, names)
    memory, inputs = golden["memory"].requires_grad_(), golden["inputs"].requires_grad_()
    outputs, state = recurra.unroll(wrapper.attend(memory, golden["memory_len"]), inputs, lengths=golden["seq_len"])
    golden.check("outputs", outputs)
    finals: Any = (state.cell_state, state.attention, state.alignments, state.time)
    for index, leaf in enumerate(finals):
        golden.check(f"final_state/{index}", leaf)
    loss = (outputs * golden["loss_w/outputs"]).sum()
    loss = loss + sum((leaf * golden[f"loss_w/state/{index}"]).sum() for index, leaf in enumerate(finals[:3]))
    loss.backward()
    golden.check("grad/memory", memory.grad)
    golden.check("grad/inputs", inputs.grad)


def test_padding_of_the_memory_may_hold_anything() -> None:
    part = BahdanauAttention(6, 3, 4)
    memory, lengths = torch.randn(2, 5, 3), torch.tensor([3, 5])
    dirty = memory.clone()
    dirty[0, 3:] = float("nan")
    query, before = torch.randn(2, 6), torch.zeros(2, 5)
    clean = part(query, before, part.memorize(memory, lengths))
    part.zero_grad()
    noisy = part(query, before, part.memorize(dirty.requires_grad_(), lengths))
    assert torch.equal(clean, noisy)
    functional.read(noisy, part.memorize(dirty, lengths).values).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in part.parameters() if p.grad is not None)


def test_a_layer_of_ones_own_and_a_start_of_ones_own() -> None:
    """`attention_layer` does what `attention_layer_size` does (frozen above), biases and activations besides."""
    mechanisms = [BahdanauAttention(6, 3, 4), LuongAttention(3, 6)]
    by_size = AttentionWrapper(LSTMCell(10, 6), mechanisms, attention_layer_size=[5, 2])
    layers = [torch.nn.Linear(9, size, bias=False) for size in (5, 2)]
    for layer, kernel in zip(layers, by_size.attention_layers, strict=True):
        layer.weight.data = kernel.detach().t()
    start = LSTMState(torch.randn(2, 6), torch.randn(2, 6))
    by_layer = AttentionWrapper(by_size.cell, mechanisms, attention_layer=layers, initial_cell_state=start)
    assert by_layer.attention_size == 7
    memory, inputs = torch.randn(2, 5, 3), torch.randn(2, 4, 3)
    bound = by_size.attend(memory)
    expected, _ = recurra.unroll(bound, inputs, bound.initial_state(2)._replace(cell_state=start))
    outputs, _ = recurra.unroll(by_layer.attend(memory), inputs)
    torch.testing.assert_close(outputs, expected)
    assert dict(by_layer.named_parameters()).keys() >= {"attention_modules.0.weight", "attention_modules.1.weight"}


def test_a_function_of_ones_own() -> None:
    """`attention_fn` decides what is read and what a mechanism's state is."""

    def twice(mechanism: Any, output: Tensor, state: Any, memory: Memory, layer: Any) -> Any:
        attention, alignments, _ = read_memory(mechanism, output, state, memory, layer)
        return 2 * attention, alignments, state + 1

    plain = AttentionWrapper(LSTMCell(6, 6), LuongAttention(3, 6))
    changed = AttentionWrapper(plain.cell, plain.mechanisms[0], attention_fn=twice)
    memory, x = torch.randn(2, 5, 3), torch.randn(2, 3)
    one, two = (wrapper.attend(memory) for wrapper in (plain, changed))
    expected, _ = one(x, one.initial_state(2))
    output, state = two(x, two.initial_state(2))
    torch.testing.assert_close(output, 2 * expected)
    assert torch.equal(state.attention_state, torch.ones(2, 5))


def test_keys_and_values_of_ones_own() -> None:
    """`custom_key_value_fn` acts once a memory, after the projection."""
    part = BahdanauAttention(6, 3, 4, custom_key_value_fn=lambda keys, values: (keys.flip(1), 2 * values))
    bare = BahdanauAttention(6, 3, 4)
    bare.load_state_dict(part.state_dict())
    memory = torch.randn(2, 5, 3)
    expected, found = bare.memorize(memory), part.memorize(memory)
    torch.testing.assert_close(found.keys, expected.keys.flip(1))
    torch.testing.assert_close(found.values, 2 * memory)


def test_noise_is_of_the_generator_given() -> None:
    def alignments(seed: int) -> Tensor:
        torch.manual_seed(0)
        generator = torch.Generator().manual_seed(seed)
        part = BahdanauMonotonicAttention(6, 3, 4, sigmoid_noise=1.0, generator=generator)
        memory = part.memorize(torch.randn(2, 5, 3))
        return part(torch.randn(2, 6), part.initial_alignments(memory), memory)

    assert torch.equal(alignments(1), alignments(1))
    assert not torch.equal(alignments(1), alignments(2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: AttentionWrapper(
                LSTMCell(9, 6), LuongAttention(3, 6), attention_layer_size=2, attention_layer=torch.nn.Linear(9, 2)
            ),
            "`attention_layer_size` and `attention_layer`",
        ),
        (
            lambda: (
                AttentionWrapper(
                    LSTMCell(9, 6), LuongAttention(3, 6), initial_cell_state=LSTMCell(9, 6).initial_state(3)
                )
                .attend(torch.zeros(2, 5, 3))
                .initial_state(2)
            ),
            "`initial_cell_state` holds a tensor of shape",
        ),
        (
            lambda: LuongAttention(3, 4, custom_key_value_fn=lambda k, v: (k, v[..., :2])).memorize(
                torch.zeros(2, 5, 3)
            ),
            "`custom_key_value_fn` gave values of 2 features",
        ),
        (lambda: BahdanauAttention(6, 3, 4).memorize(torch.zeros(2, 5, 4)), r"`memory` has shape \[2, 5, 4\]"),
        (
            lambda: LuongAttention(3, 4).memorize(torch.zeros(2, 5, 3), torch.tensor([5, 0])),
            "must all be at least 1, got 0",
        ),
        (
            lambda: LuongAttention(3, 4)(
                torch.zeros(2, 6), torch.zeros(2, 5), LuongAttention(3, 4).memorize(torch.zeros(2, 5, 3))
            ),
            "`query` has 6 features and the keys 4",
        ),
        (lambda: BahdanauMonotonicAttention(6, 3, 4, mode="soft"), "`mode` must be"),
        (lambda: AttentionWrapper(LSTMCell(9, 6), LuongAttention(3, 6)).initial_state(2), "call `attend"),
        (
            lambda: (
                AttentionWrapper(LSTMCell(9, 6), LuongAttention(3, 6)).attend(torch.zeros(4, 5, 3)).initial_state(2)
            ),
            "`memory` has batch size 4, the call has 2",
        ),
        (
            lambda: AttentionWrapper(LSTMCell(9, 6), LuongAttention(3, 6), attention_layer_size=[2, 3]),
            "has 2 sizes for 1",
        ),
    ],
)
def test_errors(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_several_memories_each_of_its_own_lengths() -> None:
    """Two mechanisms read two memories; what lies past either one's rows has no influence."""
    parts = [LuongAttention(5, 4), LuongAttention(6, 4)]
    cell = AttentionWrapper(LSTMCell(3 + 11, 4), parts)
    first, second, x = torch.randn(2, 7, 5), torch.randn(2, 3, 6), torch.randn(2, 4, 3)
    lengths = torch.tensor([7, 2]), torch.tensor([1, 3])
    expected, state = recurra.unroll(cell.attend([first, second], lengths), x)
    assert not state.alignments[0][1, 2:].any() and not state.alignments[1][0, 1:].any()
    first[1, 2:], second[0, 1:] = torch.nan, torch.nan
    torch.testing.assert_close(recurra.unroll(cell.attend([first, second], lengths), x)[0], expected)
    alone = cell.attend([first[1:, :2], second[1:]])
    torch.testing.assert_close(recurra.unroll(alone, x[1:])[0], expected[1:])


def test_as_many_memories_as_mechanisms() -> None:
    cell = AttentionWrapper(LSTMCell(3 + 11, 4), [LuongAttention(5, 4), LuongAttention(6, 4)])
    with pytest.raises(ValueError, match="`memory` has 1 parts for 2 attention mechanisms"):
        cell.attend([torch.randn(2, 7, 5)])
    with pytest.raises(ValueError, match="`lengths` has 1 parts for 2 attention mechanisms"):
        cell.attend([torch.randn(2, 7, 5), torch.randn(2, 7, 6)], [torch.tensor([1, 1])])
