"""TensorFlow 1.15's loops: dynamic, static, both directions, stacks, state saving, raw; and its dropout masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recurra as rc
from recurra import _nest
from recurra.cells.names import bidirectional_variable_names, variable_names
from recurra.loops import Next, raw_loop, state_saving_unroll
from tests.goldens_io import Arrays
from tests.laws.golden import compare, fill, leaves_of
from tests.laws.table import basic_lstm


def load(name: str) -> Arrays:
    return Arrays(f"loops/{name}")


def sequence(g: Arrays) -> Tensor:
    """The inputs; of the static loops, which take lists, as `[B, T, I]`."""
    inputs = g["inputs"] if "inputs" in g else torch.stack(list(g.under("inputs").values()), 1)
    return inputs.requires_grad_()


def stacked(g: Arrays, key: str) -> Tensor:
    return g[key] if key in g else torch.stack([g[f"{key}/{t}"] for t in range(len(g.under(key)))], 1)


def check_outputs(g: Arrays, outputs: Tensor) -> None:
    if "outputs" in g:
        g.check("outputs", outputs)
    else:
        for t, step in enumerate(outputs.unbind(1)):
            g.check(f"outputs/{t}", step)


def check_gradients(g: Arrays, loss: Tensor, inputs: Tensor, cells: dict[int, tuple[Any, dict[str, str]]]) -> None:
    loss.backward()
    assert inputs.grad is not None
    if "grad/inputs" in g:
        g.check("grad/inputs", inputs.grad)
    for key in g.under("grad/inputs"):
        g.check(f"grad/inputs/{key}", inputs.grad[:, int(key)])
    for cell, names in cells.values():
        for path, name in names.items():
            g.check(f"grad/var/{name}", cell.get_parameter(path).grad)


def states_loss(g: Arrays, leaves: list[Tensor]) -> Tensor:
    if "loss_w/state" in g:
        return (leaves[0] * g["loss_w/state"]).sum()
    return sum(((leaf * g[f"loss_w/state/{i}"]).sum() for i, leaf in enumerate(leaves)), torch.zeros(()))


SINGLE: dict[str, tuple[Any, bool]] = {
    "loop_dynamic_nolen": (lambda: rc.GRUCell(3, 4), False),
    "loop_dynamic_short": (lambda: rc.GRUCell(3, 4), False),
    "loop_dynamic_time_major": (lambda: basic_lstm(3, 4), True),
    "loop_static": (lambda: basic_lstm(3, 4), False),
    "loop_static_nolen": (lambda: basic_lstm(3, 4), False),
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_cell(name: str) -> None:
    g = load(name)
    make, time_major = SINGLE[name]
    cell, inputs = make(), sequence(g)
    names = variable_names(cell)
    fill(cell, g, names)
    outputs, final = rc.unroll(cell, inputs, lengths=g.get("seq_len"), time_major=time_major)
    check_outputs(g, outputs)
    compare(g, "final_state", final)
    loss = (outputs * stacked(g, "loss_w/outputs")).sum() + states_loss(g, _nest.flatten(final))
    check_gradients(g, loss, inputs, {0: (cell, names)})


BOTH: dict[str, tuple[Any, Any, bool]] = {
    "loop_bidir": (lambda: rc.LSTMCell(3, 4), lambda: rc.GRUCell(3, 3), False),
    "loop_bidir_nolen": (lambda: rc.LSTMCell(3, 4), lambda: rc.GRUCell(3, 3), False),
    "loop_bidir_time_major": (lambda: rc.LSTMCell(3, 4), lambda: rc.GRUCell(3, 3), True),
    "loop_static_bidir": (lambda: rc.GRUCell(3, 4), lambda: basic_lstm(3, 3), False),
    "loop_static_bidir_nolen": (lambda: rc.GRUCell(3, 4), lambda: basic_lstm(3, 3), False),
}


@pytest.mark.parametrize("name", BOTH)
def test_both_directions(name: str) -> None:
    g = load(name)
    make_fw, make_bw, time_major = BOTH[name]
    fw, bw, inputs = make_fw(), make_bw(), sequence(g)
    names_fw, names_bw = bidirectional_variable_names(fw, bw)
    load_all(g, {0: (fw, names_fw), 1: (bw, names_bw)})
    starts = (None, None)
    if "init_bw" in g:
        starts = leaves_of(g, "init_fw", fw.state_size), g["init_bw"]
    for leaf in _nest.flatten(starts):
        leaf.requires_grad_()
    outputs, states = rc.bidirectional(fw, bw, inputs, *starts, lengths=g.get("seq_len"), time_major=time_major)
    compare(g, "final_state", states)
    if "outputs/5" in g:
        joined = torch.cat(outputs, -1)
        check_outputs(g, joined)
        loss = (joined * stacked(g, "loss_w/outputs")).sum()
    else:
        compare(g, "outputs", outputs)
        loss = sum((out * g[f"loss_w/outputs/{k}"]).sum() for k, out in enumerate(outputs))  # type: ignore[assignment]
    loss = loss + states_loss(g, _nest.flatten(states))
    check_gradients(g, loss, inputs, {0: (fw, names_fw), 1: (bw, names_bw)})
    if starts[0] is not None:
        compare(g, "grad/init_fw", _nest.map_leaves(lambda leaf: leaf.grad, starts[0]))
        g.check("grad/init_bw", starts[1].grad)


def load_all(g: Arrays, cells: dict[int, tuple[nn.Module, dict[str, str]]]) -> None:
    """Fill several cells; every variable of the file must belong to one of them."""
    names = [name for _, each in cells.values() for name in each.values()]
    assert set(names) == set(g.under("var"))
    with torch.no_grad():
        for cell, each in cells.values():
            for path, name in each.items():
                cell.get_parameter(path).copy_(g[f"var/{name}"])


STACKS: dict[str, tuple[Any, Any, bool, str]] = {
    "loop_stack_bidir_dynamic": (
        lambda: [rc.GRUCell(3, 4), rc.LSTMCell(6, 3)],
        lambda: [rc.GRUCell(3, 2), rc.LSTMCell(6, 3)],
        False,
        "stack_bidirectional_rnn/cell_{}/bidirectional_rnn",
    ),
    "loop_stack_bidir_static": (
        lambda: [rc.GRUCell(3, 4), basic_lstm(6, 3)],
        lambda: [rc.GRUCell(3, 2), basic_lstm(6, 3)],
        False,
        "stack_bidirectional_rnn/cell_{}",
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_stacks_of_both_directions(name: str) -> None:
    g = load(name)
    make_fw, make_bw, time_major, scope = STACKS[name]
    fw, bw, inputs = make_fw(), make_bw(), sequence(g)
    if name.endswith("dynamic") and any("basic_lstm" in key for key in g.arrays):
        fw[1].tf_scope = bw[1].tf_scope = "basic_lstm_cell"
    cells: dict[int, tuple[Any, dict[str, str]]] = {}
    for k, pair in enumerate(zip(fw, bw, strict=True)):
        for cell, names in zip(pair, bidirectional_variable_names(*pair, scope.format(k)), strict=True):
            cells[len(cells)] = (cell, names)
    load_all(g, cells)
    outputs, states_fw, states_bw = rc.stack_bidirectional(
        fw, bw, inputs, lengths=g.get("seq_len"), time_major=time_major
    )
    check_outputs(g, outputs)
    compare(g, "final_state", (states_fw, states_bw))
    leaves = _nest.flatten((states_fw, states_bw))
    loss = (outputs * stacked(g, "loss_w/outputs")).sum() + states_loss(g, leaves)
    check_gradients(g, loss, inputs, cells)


def test_nested_inputs_and_outputs() -> None:
    """A user's cell with two inputs, two outputs, two states."""
    g = load("loop_dynamic_nested")

    class Two(rc.BaseCell):
        input_size, state_size, output_size = (2, 3), (2, 3), (3, 2)

        def __init__(self) -> None:
            super().__init__()
            self.u, self.w = nn.Parameter(g["var/rnn/two/u"]), nn.Parameter(g["var/rnn/two/w"])

        def forward(self, x: Any, state: Any) -> Any:  # type: ignore[override]
            (a, b), (s0, s1) = x, state
            n1 = torch.tanh(s0 @ self.w + s1 + b)
            n0 = torch.sigmoid((n1 @ self.u) * a)
            return (n1, n0), (n0, n1)

    cell = Two()
    inputs = (g["inputs/0"].requires_grad_(), g["inputs/1"].requires_grad_())
    outputs, final = rc.unroll(cell, inputs, lengths=g["seq_len"])
    compare(g, "outputs", outputs)
    compare(g, "final_state", final)
    loss = sum((out * g[f"loss_w/outputs/{k}"]).sum() for k, out in enumerate(outputs))
    (loss + states_loss(g, list(final))).backward()
    for k in range(2):
        g.check(f"grad/inputs/{k}", inputs[k].grad)
    g.check("grad/var/rnn/two/u", cell.u.grad)
    g.check("grad/var/rnn/two/w", cell.w.grad)


class Store(dict[str, Tensor]):
    """A state saver that remembers what was saved."""

    def state(self, name: str) -> Tensor:
        return self[name]

    def save_state(self, name: str, value: Tensor) -> None:
        self[f"saved {name}"] = value


def test_state_saving() -> None:
    g = load("loop_state_saving")
    cell, store = basic_lstm(3, 4), Store(c=g["saver_c"].requires_grad_(), h=g["saver_h"].requires_grad_())
    fill(cell, g, variable_names(cell))
    inputs = sequence(g)
    names = rc.LSTMState("c", "h")  # type: ignore[arg-type]
    outputs, final = state_saving_unroll(cell, inputs, store, names, lengths=g["seq_len"])
    check_outputs(g, outputs)
    compare(g, "final_state", final)
    loss = (outputs * stacked(g, "loss_w/outputs")).sum() + states_loss(g, list(final))
    loss.backward()
    for part in "ch":
        g.check(f"saved_{part}", store[f"saved {part}"])
        g.check(f"grad/saver_{part}", store[part].grad)
    with pytest.raises(TypeError, match="`state_name` has another structure than expected"):
        state_saving_unroll(cell, inputs, store, "c")


def test_raw_loop_reproduces_a_ragged_unroll() -> None:
    g = load("loop_raw")
    cell, inputs, lengths = rc.LSTMCell(3, 4), sequence(g), g["seq_len"]
    names = variable_names(cell)
    fill(cell, g, names)

    def read(steps: int, output: Any, state: Any, _: Any) -> Next:
        state = cell.initial_state(4) if output is None else state
        return Next(steps >= lengths, inputs[min(steps, 5)], state)

    outputs, final, loop_state = raw_loop(cell, read)
    assert loop_state is None
    g.check("outputs", outputs)
    compare(g, "final_state", final)
    loss = (outputs * g["loss_w/outputs"]).sum() + states_loss(g, list(final))
    check_gradients(g, loss, inputs, {0: (cell, names)})


def test_raw_loop_with_its_own_emits_states_and_loop_state() -> None:
    g = load("loop_raw_loop_state")
    cell, inputs, lengths = rc.GRUCell(3, 4), g["inputs"], g["seq_len"]
    fill(cell, g, variable_names(cell))

    def choose(steps: int, output: Any, state: Any, seen: Any) -> Next:
        finished = steps >= lengths
        if output is None:
            return Next(finished, inputs[0], cell.initial_state(4), None, torch.tensor([5.0, 0.0]))
        seen = torch.stack([seen[0] + 1, seen[1] + output.sum()])
        return Next(finished, inputs[min(steps, 5)], state * 0.5, output[:, :2] * 2, seen)

    outputs, final, seen = raw_loop(cell, choose)
    g.check("outputs", outputs)
    g.check("final_state", final)
    g.check("loop_state", seen)


def test_raw_loop_limits_and_errors() -> None:
    cell = rc.GRUCell(3, 4)

    def forever(steps: int, output: Any, state: Any, _: Any) -> Next:
        state = cell.initial_state(2) if state is None else state
        return Next(torch.zeros(2, dtype=torch.bool), torch.zeros(2, 3), state)

    assert raw_loop(cell, forever, max_steps=3)[0].shape == (3, 2, 4)
    emitted, final, _ = raw_loop(cell, lambda *call: forever(*call)._replace(finished=torch.ones(2).bool()))
    assert emitted is None and torch.equal(final, cell.initial_state(2))
    with pytest.raises(TypeError, match=r"`loop_fn` must return a recurra\.loops\.Next, got tuple"):
        raw_loop(cell, lambda *call: tuple(forever(*call)))  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"`finished` must be a bool tensor \[B\]"):
        raw_loop(cell, lambda *call: forever(*call)._replace(finished=False))  # type: ignore[arg-type]


def variational_masks(g: Arrays, parts: tuple[bool, bool], keep: dict[str, float]) -> rc.DropoutMasks:
    """TensorFlow's masks from its uniform noise `[1, n]`: floor(keep + noise) / keep, one for all steps and rows."""

    def mask(kind: str, index: int) -> Tensor | None:
        p = keep.get(kind, 1.0)
        return None if p == 1 else (torch.floor(p + g[f"noise/{kind}/{index}"]) / p).unsqueeze(0)

    state = [mask("state", index) if wanted else None for index, wanted in enumerate(parts)]
    return rc.DropoutMasks(mask("input", 0), mask("output", 0), rc.LSTMState(*state), None)  # type: ignore[arg-type]


DROPOUT: dict[str, tuple[dict[str, float], tuple[bool, bool]]] = {
    "dropout_variational": ({"input": 0.7, "output": 0.6, "state": 0.8}, (False, True)),
    "dropout_variational_state": ({"state": 0.5}, (False, True)),
    "dropout_filter": ({"state": 0.5}, (True, False)),
}


@pytest.mark.parametrize("name", DROPOUT)
def test_tensorflows_variational_masks(name: str) -> None:
    g = load(name)
    keep, parts = DROPOUT[name]
    options = {f"{kind}_keep_prob": p for kind, p in keep.items()}
    cell = rc.DropoutWrapper(
        basic_lstm(3, 4),
        **options,
        variational="batch",
        state_filter=lambda part: rc.LSTMState(*parts),  # type: ignore[arg-type]
    )
    check_dropout(g, cell, variational_masks(g, parts, keep))


def test_tensorflows_plain_masks() -> None:
    """One mask a step, from the numbers that TensorFlow's own generator draws for the wrapper's seeds."""
    g, noise = load("dropout_plain"), load("dropout_plain_noise")
    cell = rc.DropoutWrapper(basic_lstm(3, 4), input_keep_prob=0.7, output_keep_prob=0.6, state_keep_prob=0.8)

    def masks(kind: str, keep: float) -> Tensor:
        return (noise[kind] >= torch.tensor(1 - keep)).float() / keep

    state = rc.LSTMState(None, masks("state_1", 0.8))  # type: ignore[arg-type]
    check_dropout(g, cell, rc.DropoutMasks(masks("input_0", 0.7), masks("output_0", 0.6), state, None))


def check_dropout(g: Arrays, cell: rc.DropoutWrapper, masks: rc.DropoutMasks) -> None:
    fill(cell, g, variable_names(cell))
    inputs = sequence(g)
    outputs, final = rc.unroll(cell, inputs, masks=masks)
    g.check("outputs", outputs)
    compare(g, "final_state", final)
    (outputs * g["loss_w/outputs"]).sum().backward()
    g.check("grad/inputs", inputs.grad)
    state, stepped = cell.initial_state(4), []
    for t in range(5):
        output, state = cell(inputs[:, t], state, rc.masks_at(masks, t))
        stepped.append(output)
    torch.testing.assert_close(torch.stack(stepped, 1), outputs)
