"""What holds for every cell, whatever its equation: one test a law, over the whole table."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from recurra import _nest, masks_at, unroll
from tests.laws import calls
from tests.laws.calls import Call, Unrolled, assert_same, each, make_call
from tests.laws.table import Row, over_rows


def step_by_step(call: Call) -> tuple[Any, Any]:
    """The loop, written out: one `cell(x, state)` a step, with the old state kept past a row's end."""
    state, outputs = call.state, []
    for t in range(call.steps):
        masks = masks_at(call.masks, t)
        x = each(lambda leaf, t=t: leaf[t], call.inputs)
        output, new = call.cell(x, state) if masks is None else call.cell(x, state, masks)
        running = t < call.ends()

        def select(fresh: Tensor, past: Tensor, running: Tensor = running) -> Tensor:
            return fresh if fresh.dim() == 0 else torch.where(running.view(-1, *[1] * (fresh.dim() - 1)), fresh, past)

        outputs.append(each(lambda leaf, select=select: select(leaf, torch.zeros_like(leaf)), output))
        state = each(select, new, state)
    return each(lambda *leaves: torch.stack(leaves), *outputs), state


@over_rows("steps")
@given(data=st.data())
def test_step_by_step_is_unrolled(row: Row, data: st.DataObject) -> None:
    call = data.draw(calls.calls(row))
    outputs, final = call.run()
    if call.steps == 0:
        assert_same(final, call.state, call.dtype)
        return
    expected, state = step_by_step(call)
    assert_same(outputs, expected, call.dtype, "outputs")
    assert_same(final, state, call.dtype, "final state")


@over_rows("alone")
@given(data=st.data())
def test_each_row_as_if_alone(row: Row, data: st.DataObject) -> None:
    call = data.draw(calls.calls(row))
    outputs, final = call.run()
    for b, end in enumerate(call.ends().tolist()):
        alone, state = call.run(
            inputs=each(lambda leaf, b=b, end=end: leaf[:end, b : b + 1], call.inputs),
            state=calls.state_rows(call.state, slice(b, b + 1)),
            lengths=None,
            masks=calls.times_of(calls.rows_of(call.masks, [b]), slice(0, end)) if end else None,
        )
        found = each(lambda leaf, b=b: leaf[:, b : b + 1], outputs)
        assert_same(each(lambda leaf, end=end: leaf[:end], found), alone, call.dtype, "outputs")
        assert all(not leaf[end:].any() for leaf in _nest.flatten(found)), "outputs past the end are not zero"
        assert_same(calls.state_rows(final, slice(b, b + 1)), state, call.dtype, "final state")
        if end == 0:
            assert_same(state, calls.state_rows(call.state, slice(b, b + 1)), call.dtype, "state of an empty row")


@over_rows("reverse")
@given(data=st.data())
def test_reverse_is_forward_on_turned_rows(row: Row, data: st.DataObject) -> None:
    call = data.draw(calls.calls(row))
    outputs, final = call.run(reverse=True)
    ends = call.ends()
    turned, state = call.run(inputs=calls.flip(call.inputs, ends), masks=calls.flip(call.masks, ends))
    assert_same(outputs, calls.flip(turned, ends), call.dtype, "outputs")
    assert_same(final, state, call.dtype, "final state")


@over_rows("permutation")
@given(data=st.data())
def test_permuted_batch_and_batch_major(row: Row, data: st.DataObject) -> None:
    call = data.draw(calls.calls(row))
    order = data.draw(st.permutations(range(call.batch)))
    outputs, final = call.run()
    permuted, state = unroll_batch_major(call, order) if order else (outputs, final)
    assert_same(permuted, each(lambda leaf: leaf[:, order], outputs), call.dtype, "outputs")
    assert_same(state, calls.state_rows(final, order), call.dtype, "final state")


def unroll_batch_major(call: Call, order: list[int]) -> tuple[Any, Any]:
    """The rows in another order, through the batch-major layout; outputs time-major."""
    outputs, state = unroll(
        call.cell,
        each(lambda leaf: leaf[:, order].transpose(0, 1).contiguous(), call.inputs),
        calls.state_rows(call.state, order),
        lengths=None if call.lengths is None else call.lengths[order],
        masks=calls.rows_of(call.masks, order) if len(order) > 1 else call.masks,
    )
    return each(lambda leaf: leaf.transpose(0, 1), outputs), state


@over_rows("halves")
@given(data=st.data())
def test_state_carried_over_two_halves(row: Row, data: st.DataObject) -> None:
    call = data.draw(calls.calls(row))
    cut = data.draw(st.integers(0, call.steps))
    outputs, final = call.run()
    ends, state, pieces = call.ends(), call.state, []
    for part, lengths in ((slice(0, cut), ends.clamp(max=cut)), (slice(cut, None), (ends - cut).clamp(min=0))):
        masks = calls.times_of(call.masks, part) if call.steps > 1 else call.masks
        piece, state = call.run(
            inputs=each(lambda leaf, part=part: leaf[part], call.inputs), state=state, lengths=lengths, masks=masks
        )
        pieces.append(piece)
    assert_same(each(lambda *leaves: torch.cat(leaves), *pieces), outputs, call.dtype, "outputs")
    assert_same(state, final, call.dtype, "final state")


@over_rows("padding")
@given(data=st.data())
def test_nan_in_the_padding_changes_nothing(row: Row, data: st.DataObject) -> None:
    call = data.draw(calls.calls(row))
    results = []
    for filler in (0.0, torch.nan):
        inputs = each(lambda leaf: leaf.requires_grad_(leaf.is_floating_point()), calls.fill_padding(call, filler))
        outputs, final = call.run(inputs=inputs)
        parameters = [parameter for parameter in call.cell.parameters() if parameter.requires_grad]
        leaves = [leaf for leaf in _nest.flatten(inputs) if leaf.requires_grad]
        loss = sum((leaf * (1 + leaf)).sum() for leaf in (*_nest.flatten(outputs), *_nest.flatten(final)))
        grads: tuple[Any, ...] = ()
        if loss.requires_grad:
            grads = torch.autograd.grad(loss, [*parameters, *leaves], allow_unused=True)
        results.append((outputs, final, tuple(torch.zeros(()) if grad is None else grad for grad in grads)))
    (outputs, final, grads), (spoiled, spoiled_final, spoiled_grads) = results
    assert_same(spoiled, outputs, call.dtype, "outputs")
    assert_same(spoiled_final, final, call.dtype, "final state")
    assert_same(spoiled_grads, grads, call.dtype, "gradients")


@over_rows("gradcheck")
def test_gradcheck(row: Row, thorough: bool) -> None:
    call = make_call(row, 3, 2, [3, 2])
    names, parameters = zip(*call.cell.named_parameters(), strict=True)
    inputs, state = _nest.flatten(call.inputs), _nest.flatten(call.state)

    def loss(*leaves: Tensor) -> tuple[Tensor, ...]:
        given = leaves[len(names) :]
        x = _nest.pack_as(call.inputs, list(given[: len(inputs)]))
        start = _nest.pack_as(call.state, list(given[len(inputs) :]))
        outputs, final = torch.func.functional_call(
            Unrolled(call), dict(zip(("cell." + name for name in names), leaves, strict=False)), (x, start)
        )
        return tuple(leaf for leaf in (*_nest.flatten(outputs), *_nest.flatten(final)) if leaf.requires_grad)

    leaves = [leaf.detach().requires_grad_(leaf.is_floating_point()) for leaf in (*parameters, *inputs, *state)]
    assert torch.autograd.gradcheck(loss, leaves, fast_mode=not thorough)
