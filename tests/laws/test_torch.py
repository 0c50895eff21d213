"""Every cell as a citizen of torch: dtypes, autocast, strides, copies, inference, streaming, functorch, compilers."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import recurra as rc
from recurra import _nest, kernels
from tests.laws.calls import Call, Unrolled, assert_same, each, make_call
from tests.laws.table import ROWS, Row, over_rows


def gradients(call: Call, **change: Any) -> tuple[Tensor, ...]:
    """Of the parameters that count, for the sum of all results."""
    outputs, final = call.run(**change)
    loss = sum((leaf * (1 + leaf)).sum() for leaf in (*_nest.flatten(outputs), *_nest.flatten(final)))
    parameters = [parameter for parameter in call.cell.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return tuple(torch.zeros(()) if grad is None else grad for grad in found)


@over_rows("bfloat16")
def test_bfloat16(row: Row) -> None:
    exact, rough = make_call(row, 4, 3, [4, 2, 0], torch.float32), make_call(row, 4, 3, [4, 2, 0], torch.float32)
    rough.cell.to(torch.bfloat16)

    def half(value: Any) -> Any:
        return each(lambda leaf: leaf.bfloat16() if leaf.is_floating_point() else leaf, value)

    outputs, final = rough.run(inputs=half(rough.inputs), state=half(rough.state), masks=half(rough.masks))
    expected, state = exact.run()
    for actual, wanted in zip(_nest.flatten((outputs, final)), _nest.flatten((expected, state)), strict=True):
        assert actual.dtype == torch.bfloat16 or not wanted.is_floating_point()
        torch.testing.assert_close(actual.float(), wanted.float(), rtol=0.1, atol=0.1)


@over_rows("autocast")
def test_autocast(row: Row) -> None:
    call = make_call(row, 4, 3, [4, 2, 0], torch.float32)
    expected, state = call.run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, final = call.run()
        grads = gradients(call)
    assert all(grad.isfinite().all() for grad in grads)
    for actual, wanted in zip(_nest.flatten((outputs, final)), _nest.flatten((expected, state)), strict=True):
        torch.testing.assert_close(actual.float(), wanted.float(), rtol=0.1, atol=0.1)


@over_rows("strides")
def test_strided_input(row: Row) -> None:
    call = make_call(row, 4, 3, [4, 2, 0], torch.float32)
    spread = each(lambda leaf: torch.stack([leaf, leaf.flip(0)], -1)[..., 0], call.inputs)
    assert all(not leaf.is_contiguous() for leaf in _nest.flatten(spread))
    assert_same(call.run(inputs=spread), call.run(), torch.float32)


@over_rows("copies")
@pytest.mark.parametrize("how", ["deepcopy", "pickle", "state_dict", "torch.save"])
def test_copies_compute_the_same(row: Row, how: str) -> None:
    call = make_call(row, 3, 2, [3, 1], torch.float32)
    expected = call.run()
    if how == "deepcopy":
        twin = copy.deepcopy(call.cell)
    elif how == "pickle":
        twin = pickle.loads(pickle.dumps(call.cell))
    elif how == "torch.save":
        file = io.BytesIO()
        torch.save(call.cell, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    else:
        twin = row.make()
        twin.load_state_dict(call.cell.state_dict())
    assert type(twin) is type(call.cell)
    original, call.cell = call.cell, twin
    assert_same(call.run(), expected, torch.float32)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    call.cell = original
    assert_same(call.run(), expected, torch.float32, "the original after its twin was zeroed")


@over_rows("inference")
def test_inference_mode_freeze_and_stepper(row: Row) -> None:
    call = make_call(row, 4, 2, None, torch.float32)
    call.cell.eval()
    call.masks, call.state = None, call.cell.initial_state(2)
    expected, _ = call.run()
    with torch.inference_mode():
        assert_same(call.run()[0], expected, torch.float32, "inference_mode")
    frozen = copy.deepcopy(call.cell).freeze()
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    stepper = frozen.stepper(2)
    streamed = [each(torch.clone, stepper(each(lambda leaf, t=t: leaf[t], call.inputs))) for t in range(4)]
    assert_same(each(lambda *leaves: torch.stack(leaves), *streamed), expected, torch.float32, "streamed")
    stepper.reset()
    again = stepper(each(lambda leaf: leaf[0], call.inputs))
    assert_same(again, streamed[0], torch.float32, "after reset")


@over_rows("resets")
def test_resets_and_states(row: Row) -> None:
    """A reset before step 2 is a fresh start there, and the states of all steps are those between the calls."""
    call = make_call(row, 4, 2, None)
    resets = torch.zeros(4, 2, dtype=torch.bool)
    resets[2, 1] = True
    outputs, final, states = call.run(resets=resets, return_states=True)
    expected, carried, before = call.run(return_states=True)
    assert_same(final, each(lambda leaf: leaf[-1], states), call.dtype, "last of all states")
    assert_same(carried, each(lambda leaf: leaf[-1], before), call.dtype, "last of all states")
    late = {"inputs": each(lambda leaf: leaf[2:], call.inputs), "lengths": None}
    masks = each(lambda mask: mask if mask.shape[0] == 1 else mask[2:], call.masks)
    fresh, restarted = call.run(**late, state=call.cell.initial_state(2), masks=masks)
    assert_same(
        each(lambda leaf: leaf[:, 0], outputs), each(lambda leaf: leaf[:, 0], expected), call.dtype, "other row"
    )
    assert_same(each(lambda leaf: leaf[2:, 1], outputs), each(lambda leaf: leaf[:, 1], fresh), call.dtype, "reset row")
    assert_same(each(lambda leaf: leaf[1], final), each(lambda leaf: leaf[1], restarted), call.dtype, "reset state")


@over_rows("vmap")
def test_per_sample_gradients(row: Row) -> None:
    """One gradient per row through vmap(grad), against each row alone."""
    call = make_call(row, 3, 2, None)
    model = Unrolled(call)
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}

    def loss(values: dict[str, Tensor], inputs: Any, state: Any) -> Tensor:
        outputs, _ = torch.func.functional_call(
            model, values, (each(lambda x: x.unsqueeze(1), inputs), each(lambda s: s.unsqueeze(0), state))
        )
        return sum((leaf * (1 + leaf)).sum() for leaf in _nest.flatten(outputs))

    if call.masks is not None:
        model.masks = each(lambda mask: mask[:, :1], call.masks)
    with kernels.plain():
        found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1, 0))(parameters, call.inputs, call.state)
    for b in range(2):
        alone = call.run(
            inputs=each(lambda leaf, b=b: leaf[:, b : b + 1], call.inputs),
            state=each(lambda leaf, b=b: leaf[b : b + 1], call.state),
            masks=model.masks,
        )[0]
        value = sum((leaf * (1 + leaf)).sum() for leaf in _nest.flatten(alone))
        expected = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
        for name, grad in zip(parameters, expected, strict=True):
            wanted = torch.zeros_like(parameters[name]) if grad is None else grad
            torch.testing.assert_close(found[name][b], wanted, msg=lambda text, name=name: f"{name}: {text}")


COMPILED_IN_TEST = {"lstm", "gru", "stack_mixed"}


def compiled_rows(law: str) -> pytest.MarkDecorator:
    rows = [row for row in ROWS.values() if law not in row.unlike]
    return pytest.mark.parametrize(
        "row",
        [pytest.param(r, id=r.name, marks=[] if r.name in COMPILED_IN_TEST else [pytest.mark.slow]) for r in rows],
    )


@compiled_rows("compile")
def test_compile_without_codegen(row: Row) -> None:
    """torch.compile with the eager autograd backend: one graph, the same numbers and gradients."""
    call = make_call(row, 3, 2, [3, 1])
    expected, grads = call.run(), gradients(call)
    torch._dynamo.reset()
    model = torch.compile(Unrolled(call), backend="aot_eager", fullgraph=True)
    outputs, final = model(call.inputs, call.state)
    assert_same((outputs, final), expected, call.dtype)
    loss = sum((leaf * (1 + leaf)).sum() for leaf in (*_nest.flatten(outputs), *_nest.flatten(final)))
    parameters = [parameter for parameter in call.cell.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    assert_same(tuple(torch.zeros(()) if grad is None else grad for grad in found), grads, call.dtype, "gradients")


@compiled_rows("export")
def test_export(row: Row) -> None:
    call = make_call(row, 3, 2, [3, 1], torch.float32)
    expected = call.run()
    program = torch.export.export(Unrolled(call), (call.inputs, call.state))
    assert_same(program.module()(call.inputs, call.state), expected, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm_all", "gru", "layer_norm_basic_lstm"])
def test_inductor(name: str) -> None:
    call = make_call(ROWS[name], 3, 2, [3, 1], torch.float32)
    torch._dynamo.reset()
    model = torch.compile(Unrolled(call), fullgraph=True)
    assert_same(model(call.inputs, call.state), call.run(), torch.float32)


def test_random_cells_are_random_only_in_training() -> None:
    """Without given masks a fresh draw each call; in evaluation none."""
    cell = rc.DropoutWrapper(rc.LayerNormBasicLSTMCell(4, 5, recurrent_keep_prob=0.5), input_keep_prob=0.5)
    x = torch.randn(2, 3, 4)
    assert not torch.equal(rc.unroll(cell, x)[0], rc.unroll(cell, x)[0])
    step = x[:, 0], cell.initial_state(2)
    assert not torch.equal(cell(*step)[0], cell(*step)[0])
    inner = cell.cell
    assert not torch.equal(inner(*step)[0], inner(*step)[0])
    cell.eval()
    assert torch.equal(rc.unroll(cell, x)[0], rc.unroll(cell, x)[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@over_rows("cuda")
def test_cuda_gives_the_numbers_of_the_cpu(row: Row) -> None:
    call = make_call(row, 4, 3, [4, 2, 0])
    expected, grads = call.run(), gradients(call)

    def moved(value: Any) -> Any:
        return each(lambda leaf: leaf.cuda(), value)

    call.cell.cuda()
    change = {"inputs": moved(call.inputs), "state": moved(call.state), "masks": moved(call.masks)}
    assert call.lengths is not None
    change["lengths"] = call.lengths.cuda()
    assert_same(each(lambda leaf: leaf.cpu(), call.run(**change)), expected, call.dtype)
    found = tuple(grad.cpu() for grad in gradients(call, **change))
    assert_same(found, grads, call.dtype, "gradients")
