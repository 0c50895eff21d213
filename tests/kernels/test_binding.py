"""Steps and streams through the compiled calls (csrc/python) and through ctypes: the same numbers, whatever is done to
a cell between two of them."""

import copy
import gc
import os
import pickle
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrize, prune

import recurra as rc
import recurra.nn
from recurra import _nest
from recurra.cells import base
from recurra.kernels import layers, plain, prepared
from recurra.kernels.binding import extension
from tests.kernels.cases import make

needs_extension = pytest.mark.skipif(extension is None, reason="this installation has no compiled calls")


@pytest.fixture(params=["extension", "ctypes"])
def road(request, monkeypatch):
    """Both roads; cells made inside are bound to the one that is on."""
    if request.param == "ctypes":
        monkeypatch.setattr(prepared, "extension", None)
        monkeypatch.setattr(prepared, "compiled_sequence", None)
        monkeypatch.setattr(base, "compiled_step", None)
        monkeypatch.setattr(layers, "compiled_layers", None)
        monkeypatch.setattr(recurra.nn, "compiled_layers", None)
    elif extension is None:
        pytest.skip("this installation has no compiled calls")
    return request.param


def plain_step(cell, x, state):
    with torch.no_grad(), plain():
        output, final = cell.unroll(x.unsqueeze(0), state)
    return output[0], final


def assert_as_plain(cell, x, state):
    """A step, and a sequence from zeros; the second of two calls is that of a cell that is prepared."""
    zeros = cell.initial_state(len(x))
    with torch.no_grad():
        for _ in range(2):
            output, found = cell(x, state)
            outputs, _ = rc.unroll(cell, x.unsqueeze(1))
            carried, last = rc.unroll(cell, x.unsqueeze(1), state)
    torch.testing.assert_close(outputs[:, 0], plain_step(cell, x, zeros)[0], rtol=1e-5, atol=1e-6)
    expected, final = plain_step(cell, x, state)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(carried[:, 0], expected, rtol=1e-5, atol=1e-6)
    for new in (found, last):
        for a, b in zip(_nest.flatten(new), _nest.flatten(final), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
        assert type(new) is type(state)


class Doubled(torch.nn.Module):
    def forward(self, kernel):
        return 2 * kernel


CHANGES = {
    "in place": lambda cell: cell.kernel.mul_(2),
    "through data": lambda cell: cell.kernel.data.mul_(2),
    "another data": lambda cell: setattr(cell.kernel, "data", torch.randn_like(cell.kernel)),
    "data of other strides": lambda cell: setattr(cell.kernel, "data", cell.kernel.data.t().contiguous().t()),
    "another parameter": lambda cell: setattr(cell, "kernel", torch.nn.Parameter(torch.randn_like(cell.kernel))),
    "state_dict": lambda cell: cell.load_state_dict({k: v + 1 for k, v in cell.state_dict().items()}),
    "assigned": lambda cell: cell.load_state_dict({k: v + 1 for k, v in cell.state_dict().items()}, assign=True),
    "there and back": lambda cell: cell.double().float(),
    "options": lambda cell: setattr(cell, "options", cell.options._replace(forget_bias=3.0)),
    "a parametrization": lambda cell: parametrize.register_parametrization(cell, "kernel", Doubled()),
    "pruning": lambda cell: prune.random_unstructured(cell, "kernel", amount=0.5),
    "frozen": lambda cell: cell.freeze(),
    "a vector that is not dense": lambda cell: setattr(cell, "bias", torch.nn.Parameter(torch.randn(32)[::2])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_steps_and_streams_see_what_is_done_to_a_cell(road, change):
    case = make("lstm", 1, 1, 3, 4)
    cell, x, state = case.cell, case.inputs[0], case.state
    stepper = cell.stepper(1)
    stepper(x)
    assert_as_plain(cell, x, state)
    with torch.no_grad():
        CHANGES[change](cell)
    assert_as_plain(cell, x, state)
    stepper.state = state
    torch.testing.assert_close(stepper(x), plain_step(cell, x, state)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["rnn", "gru", "gru_after", "lstm_projection", "lstm_peepholes", "coupled", "layer_norm"]
)
@pytest.mark.parametrize("B", [1, 2, 3, 4])
def test_steps_of_other_cells(road, name, B):
    case = make(name, 1, B, 5, 17)
    assert_as_plain(case.cell, case.inputs[0], case.state)
    assert_as_plain(case.cell, case.inputs[0].repeat(1, 2)[:, ::2], case.state)


def test_a_prepared_step_leaves_hooks_and_own_methods_to_torch(road):
    case = make("gru", 1, 1, 3, 4)
    cell, x, state, seen = case.cell, case.inputs[0], case.state, []

    def hook(*call):
        seen.append(len(call))

    def count():
        with torch.no_grad():
            cell(x, state)
        return len(seen)

    assert count() == 0
    for register in (cell.register_forward_hook, cell.register_forward_pre_hook, register_module_forward_hook):
        before = len(seen)
        handle = register(hook)
        assert count() == before + 1
        handle.remove()
        assert count() == before + 1
    cell.forward = lambda x, state: ("mine", state)
    with torch.no_grad():
        assert cell(x, state)[0] == "mine"


def test_a_subclass_with_an_equation_of_its_own(road, monkeypatch):
    class Halved(rc.GRUCell):
        def forward(self, x, state):
            output, state = super().forward(x, state)
            return output / 2, state

    cell, twin, x, state = Halved(3, 4), rc.GRUCell(3, 4), torch.randn(1, 3), torch.zeros(1, 4)
    twin.load_state_dict(cell.state_dict())
    with torch.no_grad():
        for _ in range(2):
            torch.testing.assert_close(2 * cell(x, state)[0], twin(x, state)[0])
        monkeypatch.setattr(rc.GRUCell, "forward", lambda self, x, state: ("another", state))
        assert twin(x, state)[0] == "another"


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit:DeprecationWarning")
def test_steps_inside_transforms_modes_and_recorders(road):
    case = make("lstm", 1, 1, 3, 4)
    cell, x, state = case.cell.requires_grad_(False), case.inputs[0], case.state
    assert_as_plain(cell, x, state)
    expected = plain_step(cell, x, state)[0]
    with torch.no_grad():
        rows = torch.stack([x, 2 * x])
        mapped = torch.func.vmap(lambda row: cell(row, state)[0])(rows)
        torch.testing.assert_close(mapped[0], expected)
        torch.testing.assert_close(mapped[1], plain_step(cell, 2 * x, state)[0])
        graph = torch.fx.experimental.proxy_tensor.make_fx(lambda row: cell(row, state)[0])(x)
        torch.testing.assert_close(graph(2 * x), mapped[1])
        traced = torch.jit.trace(lambda row: cell(row, state)[0], (x,), check_trace=False)
        torch.testing.assert_close(traced(2 * x), mapped[1])
        with torch.autograd.forward_ad.dual_level():
            dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
            torch.testing.assert_close(cell(dual, state)[0], expected)
        with torch.device("meta"):
            assert cell(x, state)[0].is_cpu
        with torch.autocast("cpu", torch.bfloat16):
            assert cell(x, state)[0].dtype is torch.float32
    with torch.inference_mode():
        assert cell(x, state)[0].is_inference()
    assert cell.requires_grad_()(x, state)[0].requires_grad


def test_inputs_that_are_not_plain(road):
    case = make("lstm", 1, 1, 3, 4)
    cell, x, state = case.cell, case.inputs[0], case.state
    assert_as_plain(cell, x, state)
    expected = plain_step(cell, -x, state)[0]
    with torch.no_grad():
        torch.testing.assert_close(cell(torch._neg_view(x), state)[0], expected)
        torch.testing.assert_close(cell(torch.nn.Parameter(-x), state)[0], expected)
        torch.testing.assert_close(cell(-x, (state.c, state.h))[0], expected)
        with pytest.raises(ValueError, match="float64"):
            cell(x.double(), state)
        with pytest.raises(ValueError, match="expected"):
            cell(x[:, :2], state)
    stepper = cell.stepper(1)
    stepper.state = state
    torch.testing.assert_close(stepper(x=torch._neg_view(x)), expected)
    with pytest.raises(TypeError):
        stepper()


def test_streams_from_several_threads_and_in_a_forked_process(road):
    case = make("gru", 6, 1, 30, 40)
    with torch.no_grad():
        expected, _ = case.cell.unroll(case.inputs, case.cell.initial_state(1))

    def stream(_):
        stepper = case.cell.stepper(1)
        return torch.stack([stepper(x) for x in case.inputs])

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(stream, range(50)))
    assert all(torch.equal(one, expected) for one in found)
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(stream(0), expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_a_copied_stream_has_a_state_of_its_own(road):
    case = make("lstm", 3, 1, 3, 4)
    stepper = case.cell.stepper(1)
    stepper(case.inputs[0])
    for twin in (copy.deepcopy(stepper), pickle.loads(pickle.dumps(stepper))):
        assert twin.cell is not stepper.cell
        expected = copy.deepcopy(stepper).step(case.inputs[1])
        assert torch.equal(twin(case.inputs[1]), expected)
        assert torch.equal(twin.cell.stepper(1)(case.inputs[0]), case.cell.stepper(1)(case.inputs[0]))
    assert torch.equal(stepper(case.inputs[1]), expected)


def test_a_stream_made_in_inference_mode_goes_on_outside(road):
    with torch.inference_mode():
        stepper = rc.GRUCell(3, 4).stepper(1)
        stepper(torch.ones(1, 3))
    state = stepper.state
    stepper.reset()
    stepper(torch.ones(1, 3))
    torch.testing.assert_close(stepper.state, state)


def as_torch(module):
    """torch's own layers of the same weights."""
    names = ("num_layers", "bias", "batch_first", "bidirectional", "proj_size")
    options = {name: getattr(module, name) for name in names if name != "proj_size" or module.proj_size}
    twin = getattr(torch.nn, type(module).__name__)(module.input_size, module.hidden_size, **options)
    twin.load_state_dict(module.state_dict())
    return twin


LAYERS = {
    "lstm": lambda: recurra.nn.LSTM(3, 5, num_layers=2, batch_first=True),
    "projected": lambda: recurra.nn.LSTM(3, 5, num_layers=2, proj_size=2),
    "gru": lambda: recurra.nn.GRU(3, 5, batch_first=True),
    "rnn": lambda: recurra.nn.RNN(3, 5, num_layers=3, bias=False),
    "dropout": lambda: recurra.nn.GRU(3, 5, num_layers=2, dropout=0.5).eval(),
    "both ways": lambda: recurra.nn.GRU(3, 5, bidirectional=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_torchs_layers_are_as_torchs(road, name):
    """Whatever was called before, from zeros or a state, and after changes."""
    module = LAYERS[name]()
    count, width = module.num_layers * (1 + module.bidirectional), module.proj_size or module.hidden_size
    for B, T in ((2, 4), (2, 1), (1, 3), (5, 2)):
        x = torch.randn(B, T, 3) if module.batch_first else torch.randn(T, B, 3)
        h, c = torch.randn(count, B, width), torch.randn(count, B, 5)
        for change in (lambda: None, lambda: module.weight_hh_l0.mul_(2), module.freeze):
            with torch.no_grad():
                change()
                for hx in (None, None, (h, c) if isinstance(module, torch.nn.LSTM) else h):
                    found = module(x, hx)
                    expected = as_torch(module)(x, hx)
                    for one, other in zip(_nest.flatten(found), _nest.flatten(expected), strict=True):
                        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
                    again = x.transpose(0, 1).contiguous().transpose(0, 1)
                    torch.testing.assert_close(module(again, hx)[0], expected[0], rtol=1e-5, atol=1e-5)
        with pytest.raises((RuntimeError, ValueError)):
            module(x, h[:, :, 1:])


@needs_extension
def test_nothing_is_kept_by_a_call():
    case = make("lstm", 1, 1, 3, 4)
    cell, x, state = case.cell, case.inputs[0], case.state
    stepper = cell.stepper(1)

    def references(*objects):
        return [sys.getrefcount(each) for each in objects]

    objects = (cell, x, *state, cell.kernel, type(state))

    with torch.no_grad():
        cell(x, state), stepper(x)
        before = references(*objects, None)
        for _ in range(1000):
            cell(x, state), stepper(x)
        after = references(*objects, None)
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) < 100
    gone = weakref.ref(cell)
    del case, cell, stepper, objects
    gc.collect()
    assert gone() is None


@needs_extension
def test_steps_do_take_the_compiled_calls():
    case = make("gru", 1, 2, 3, 4)
    with torch.no_grad():
        assert extension.step(case.cell, case.inputs[0], case.state) is None
        expected = case.cell(case.inputs[0], case.state)[0]
        assert torch.equal(extension.step(case.cell, case.inputs[0], case.state)[0], expected)
    assert extension.step(case.cell, case.inputs[0], case.state) is None  # gradients are recorded


def test_an_installation_without_compiled_calls():
    program = (
        "import torch, recurra as rc\n"
        "from recurra.kernels.binding import extension\n"
        "assert extension is None\n"
        "cell, x = rc.GRUCell(3, 4), torch.randn(1, 3)\n"
        "state = cell.initial_state(1)\n"
        "with torch.no_grad():\n"
        "    assert torch.equal(cell(x, state)[0], cell.stepper(1)(x))\n"
    )
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "RECURRA_BINDING": "off"}, check=True)


def gradients(cell, inputs, state, **call):
    inputs = inputs.detach().requires_grad_()
    leaves = [leaf.detach().requires_grad_() for leaf in _nest.flatten(state)]
    start = None if state is None else _nest.pack_as(state, leaves)
    outputs, final = rc.unroll(cell, inputs, start, time_major=True, **call)
    loss = outputs.square().sum() + sum((leaf * leaf).sum() for leaf in _nest.flatten(final)[:1])
    return outputs, *torch.autograd.grad(loss, [inputs, *leaves, *cell.parameters()])


@pytest.mark.parametrize("name", ["gru", "lstm_projection"])
@pytest.mark.parametrize("frozen", [False, True])
def test_sequences_of_any_layout_from_a_state(road, name, frozen):
    case = make(name, 4, 3, 5, 7)
    cell = case.cell.freeze() if frozen else case.cell
    turned = case.inputs.transpose(0, 1).contiguous().transpose(0, 1)
    inputs = (case.inputs, turned, case.inputs.repeat(1, 1, 2)[..., ::2], case.inputs[:1], turned[1:, :, :])
    for rows in (*inputs, torch._neg_view(-case.inputs)):
        for reverse in (False, True):
            with torch.no_grad():
                found = rc.unroll(cell, rows, case.state, time_major=True, reverse=reverse)
                with plain():
                    expected = rc.unroll(cell, rows, case.state, time_major=True, reverse=reverse)
            for one, other in zip(_nest.flatten(found), _nest.flatten(expected), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


TRAINED = ["rnn", "gru", "gru_after", "lstm", "lstm_projection", "lstm_peepholes", "coupled", "layer_norm"]


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("zeros", [True, False])
def test_gradients_are_the_plain_ones(road, name, zeros):
    case = make(name, 4, 3, 5, 7)
    state = None if zeros else case.state
    turned = case.inputs.transpose(0, 1).contiguous().transpose(0, 1)
    for inputs in (case.inputs, turned, case.inputs.repeat(1, 1, 2)[..., ::2], case.inputs[:1]):
        for reverse in (False, True):
            found = gradients(case.cell, inputs, state, reverse=reverse)
            with plain():
                expected = gradients(case.cell, inputs, state, reverse=reverse)
            for one, other in zip(found, expected, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_only_what_wants_gradients_gets_them(road):
    case = make("lstm", 4, 3, 5, 7)
    outputs, final = rc.unroll(case.cell, case.inputs, time_major=True)
    assert outputs.requires_grad and final.c.requires_grad
    final.c.sum().backward()  # nothing of the outputs
    assert case.cell.kernel.grad is not None
    case.cell.requires_grad_(False)
    case.cell.bias.requires_grad_()
    (found,) = torch.autograd.grad(rc.unroll(case.cell, case.inputs, time_major=True)[0].sum(), [case.cell.bias])
    with plain():
        outputs = rc.unroll(case.cell, case.inputs, time_major=True)[0]
    torch.testing.assert_close(found, torch.autograd.grad(outputs.sum(), [case.cell.bias])[0])
    with torch.no_grad():
        assert not rc.unroll(case.cell, case.inputs)[0].requires_grad


def test_gradients_of_a_cell_that_was_frozen_to_bfloat16(road):
    case = make("lstm", 3, 2, 3, 4)
    try:
        case.cell.freeze(dtype=torch.bfloat16)
    except ValueError:
        pytest.skip("no bfloat16 products here")
    inputs = case.inputs.requires_grad_()
    (found,) = torch.autograd.grad(rc.unroll(case.cell, inputs, time_major=True)[0].sum(), [inputs])
    with plain():
        (expected,) = torch.autograd.grad(rc.unroll(case.cell, inputs, time_major=True)[0].sum(), [inputs])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_of_gradients_from_zeros(road):
    case = make("gru", 3, 2, 3, 4)
    inputs = case.inputs.requires_grad_()

    def second():
        outputs, _ = rc.unroll(case.cell, inputs, time_major=True)
        (first,) = torch.autograd.grad(outputs.square().sum(), [inputs], create_graph=True)
        return torch.autograd.grad(first.square().sum(), [inputs, *case.cell.parameters()])

    found = second()
    with plain():
        expected = second()
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_backward_in_a_forked_process_and_after_changes(road):
    case = make("lstm", 3, 2, 3, 4)
    parameters = list(case.cell.parameters())

    def loss():
        return rc.unroll(case.cell, case.inputs, time_major=True)[0].sum()

    expected = torch.autograd.grad(loss(), parameters)
    before = loss()
    child = os.fork()
    if child == 0:
        same = all(map(torch.equal, torch.autograd.grad(before, parameters), expected))
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0
    case.cell.kernel.data = case.cell.kernel.data.clone()  # as an optimizer may: saved tensors hold the old memory
    for one, other in zip(torch.autograd.grad(before, parameters), expected, strict=True):
        assert torch.equal(one, other)
    with torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda tensor: tensor):
        hooked = loss()
    for one, other in zip(torch.autograd.grad(hooked, parameters), expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("name", LAYERS)
def test_torchs_layers_train_as_torchs(road, name):
    module = LAYERS[name]()
    x, twin = torch.randn(4, 3, 3, requires_grad=True), as_torch(module)
    for _ in range(2):
        results = []
        for layers_ in (module, twin):
            outputs, final = layers_(x)
            loss = outputs.square().sum() + sum(part.sum() for part in _nest.flatten(final))
            results.append((outputs, *torch.autograd.grad(loss, [x, *layers_.parameters()])))
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
