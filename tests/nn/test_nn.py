"""recurra.nn against torch.nn: the same arguments, the same numbers, the same gradients."""

import copy
import pickle
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import prune
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import recurra.nn
from recurra.kernels.native import library
from recurra.kernels.prepared import frozen_of

KINDS = ["LSTM", "GRU", "RNN"]
OPTIONS = [
    {},
    {"num_layers": 2, "bidirectional": True},
    {"bias": False},
    {"batch_first": True, "num_layers": 2},
]


def pair(kind, *args, **options):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, kind)(*args, **options)
    ours = getattr(recurra.nn, kind)(*args, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def leaves(result):
    output, state = result
    data = output.data if isinstance(output, PackedSequence) else output
    return [data, *(state if isinstance(state, tuple) else (state,))]


def state_of(model, batch, kind):
    count = model.num_layers * (2 if model.bidirectional else 1)
    h = torch.randn(count, batch, model.proj_size or model.hidden_size, requires_grad=True)
    return (h, torch.randn(count, batch, model.hidden_size, requires_grad=True)) if kind == "LSTM" else h


def same(ours, theirs, x, hx=None):
    """Both models on the same input: values, and gradients of input, state and parameters."""
    results = []
    for model in (ours, theirs):
        model.zero_grad()
        data = x.data if isinstance(x, PackedSequence) else x
        data = data.detach().requires_grad_()
        given = PackedSequence(data, *x[1:]) if isinstance(x, PackedSequence) else data
        parts = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
        for part in parts:
            part.grad = None
        found = leaves(model(given, hx) if hx is not None else model(given))
        torch.manual_seed(1)
        sum((leaf * torch.randn_like(leaf.contiguous())).sum() for leaf in found).backward()
        results.append([*found, data.grad, *(part.grad for part in parts), *(p.grad for p in model.parameters())])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_same_numbers(kind, options):
    ours, theirs = pair(kind, 5, 7, **options)
    x = torch.randn(4, 3, 5)
    same(ours, theirs, x)
    same(ours, theirs, x, state_of(theirs, 4 if options.get("batch_first") else 3, kind))


def test_relu_and_projection():
    same(*pair("RNN", 5, 7, nonlinearity="relu"), torch.randn(4, 3, 5))
    ours, theirs = pair("LSTM", 5, 7, proj_size=3, num_layers=2)
    same(ours, theirs, torch.randn(4, 3, 5), state_of(theirs, 3, "LSTM"))


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("enforce_sorted", [True, False])
def test_packed(kind, options, enforce_sorted):
    ours, theirs = pair(kind, 5, 7, **options)
    lengths = [4, 2, 1] if enforce_sorted else [1, 4, 2]
    x = pack_padded_sequence(torch.randn(4, 3, 5), lengths, enforce_sorted=enforce_sorted)
    same(ours, theirs, x)
    same(ours, theirs, x, state_of(theirs, 3, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_unbatched(kind):
    ours, theirs = pair(kind, 5, 7, num_layers=2)
    x = torch.randn(4, 5)
    for mine, other in zip(leaves(ours(x)), leaves(theirs(x)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_only_in_training(kind):
    ours, theirs = pair(kind, 5, 64, num_layers=2, dropout=0.5)
    x = torch.randn(4, 3, 5)
    first, second = ours(x)[0], ours(x)[0]
    assert not torch.equal(first, second)
    ours.eval(), theirs.eval()
    same(ours, theirs, x)


@pytest.mark.parametrize("kind", KINDS)
def test_is_torchs_module(kind):
    ours, theirs = pair(kind, 5, 7, num_layers=2)
    assert isinstance(ours, getattr(torch.nn, kind))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert repr(ours) == repr(theirs)
    x = torch.randn(4, 3, 5)
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        torch.testing.assert_close(copied(x)[0], theirs(x)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_float64_and_bfloat16_are_torchs_own(kind):
    ours, theirs = pair(kind, 5, 7)
    for dtype in (torch.float64, torch.bfloat16):
        mine, other = (
            ours.to(dtype)(torch.ones(4, 3, 5, dtype=dtype)),
            theirs.to(dtype)(torch.ones(4, 3, 5, dtype=dtype)),
        )
        torch.testing.assert_close(mine[0], other[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("shape", "state"),
    [
        ((4, 3, 6), None),
        ((4, 3, 5), (1, 2, 7)),
        ((4, 3, 5), (1, 3, 8)),
        ((4,), None),
        ((4, 5), (2, 7)),
        ((4, 3, 5), (3, 7)),
        ((4, 5), (1, 1, 7)),
    ],
)
def test_wrong_calls_raise_what_torch_raises(kind, shape, state):
    ours, theirs = pair(kind, 5, 7)
    hx = None if state is None else torch.zeros(state)
    hx = (hx, hx) if kind == "LSTM" and hx is not None else hx
    with pytest.raises((RuntimeError, ValueError)) as expected:
        theirs(torch.zeros(shape), hx)
    with pytest.raises(type(expected.value)) as found:
        ours(torch.zeros(shape), hx)
    assert str(found.value) == str(expected.value)


def test_gradient_of_gradient():
    ours, theirs = pair("LSTM", 3, 4)
    x = torch.randn(3, 2, 3, requires_grad=True)
    seconds = []
    for model in (ours, theirs):
        (grad,) = torch.autograd.grad(model(x)[0].square().sum(), x, create_graph=True)
        seconds.append(torch.autograd.grad(grad.square().sum(), x)[0])
    torch.testing.assert_close(*seconds, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_input_with_a_state_of_too_many_layers_raises_what_torch_raises(kind):
    ours, theirs = pair(kind, 5, 7)
    x = pack_padded_sequence(torch.randn(4, 3, 5), [4, 2, 1])
    state = torch.zeros(2, 3, 7)
    hx = (state, state) if kind == "LSTM" else state
    with pytest.raises(RuntimeError, match="hidden"):
        theirs(x, hx)
    with pytest.raises(RuntimeError, match="hidden"):
        ours(x, hx)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_the_other_kind_raises_what_torch_raises(kind):
    ours, theirs = pair(kind, 5, 7)
    state = torch.zeros(1, 3, 7)
    hx = state if kind == "LSTM" else (state, state)
    with pytest.raises((IndexError, AttributeError, RuntimeError)) as expected:
        theirs(torch.zeros(4, 3, 5), hx)
    with pytest.raises(type(expected.value)) as found:
        ours(torch.zeros(4, 3, 5), hx)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_on_the_meta_device(kind):
    model = getattr(recurra.nn, kind)(5, 7, device="meta")
    assert model(torch.zeros(4, 3, 5, device="meta"))[0].shape == (4, 3, 7)


@pytest.mark.parametrize("options", [{"num_layers": 2, "bidirectional": True}, {"batch_first": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_frozen_layers_give_the_same_numbers_until_they_change(kind, options):
    ours, theirs = pair(kind, 5, 20, **options)
    x = torch.randn(4, 3, 5)
    hx = state_of(theirs, 4 if options.get("batch_first") else 3, kind)
    with torch.no_grad():
        expected = leaves(theirs(x, hx))
        assert ours.freeze() is ours and not ours.training
        assert all(frozen_of(direction) is not None for direction in ours._directions())
        torch.testing.assert_close(leaves(ours(x, hx)), expected, rtol=1e-5, atol=1e-5)
        for model in (ours, theirs):
            model.weight_hh_l0.mul_(0.5)
        torch.testing.assert_close(leaves(ours(x, hx)), leaves(theirs(x, hx)), rtol=1e-5, atol=1e-5)
    ours.train().requires_grad_(True)
    assert all(frozen_of(direction) is None for direction in ours._directions())
    same(ours, theirs, x)


@pytest.mark.skipif(not library.halves(), reason="no bfloat16 products on this machine or build")
def test_frozen_to_bfloat16():
    ours, theirs = pair("LSTM", 16, 32, num_layers=2)
    x = torch.randn(6, 4, 16)
    with torch.no_grad():
        found, expected = ours.freeze(dtype=torch.bfloat16)(x)[0], theirs(x)[0]
        assert torch.equal(pickle.loads(pickle.dumps(ours))(x)[0], found)
    assert 0 < (found - expected).abs().max() < 5e-3
    ours.train().requires_grad_(True)
    same(ours, theirs, x)


def test_freezing_to_another_dtype_is_refused():
    with pytest.raises(ValueError, match=r"`dtype` must be torch.bfloat16 or torch.float32, got torch.float16"):
        recurra.nn.LSTM(2, 3).freeze(dtype=torch.float16)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_are_replaced_or_pruned_are_seen(kind):
    ours, theirs = pair(kind, 5, 7)
    x = torch.randn(4, 3, 5)
    same(ours, theirs, x)
    for model in (ours, theirs):
        model.weight_ih_l0 = torch.nn.Parameter(torch.full_like(model.weight_ih_l0, 0.1))
    same(ours, theirs, x)
    for model in (ours, theirs):
        prune.l1_unstructured(model, "weight_hh_l0", amount=0.5)
    torch.testing.assert_close(leaves(ours(x)), leaves(theirs(x)), rtol=1e-5, atol=1e-5)


def test_copies_read_their_own_weights():
    ours, _ = pair("GRU", 5, 7)
    x = torch.randn(4, 3, 5)
    before = ours.freeze()(x)[0]
    for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        with torch.no_grad():
            twin.weight_hh_l0.zero_()
        assert not torch.equal(twin(x)[0], before)
        assert torch.equal(ours(x)[0], before)


def test_a_traced_layer_reads_its_input():
    ours, _ = pair("LSTM", 5, 7)
    x, others = torch.randn(4, 3, 5), torch.randn(4, 3, 5)
    with torch.no_grad():
        ours(x)
        torch.testing.assert_close(torch.jit.trace(ours, (x,), check_trace=False)(others)[0], ours(others)[0])


def test_dropout_draws_once_where_only_some_layers_can_be_prepared():
    ours, theirs = pair("LSTM", 5, 7, num_layers=3, dropout=0.5)
    found = []
    for model in (ours, theirs):
        prune.l1_unstructured(model, "weight_hh_l2", amount=0.5)
        torch.manual_seed(1)
        found.append(model(torch.ones(4, 3, 5))[0])
    torch.testing.assert_close(*found)


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20),
    kind=st.sampled_from(KINDS),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    batch_first=st.booleans(),
    with_state=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_packed_rows(lengths, kind, layers, bidirectional, batch_first, with_state, seed):
    ours, theirs = pair(kind, 5, 9, num_layers=layers, bidirectional=bidirectional, batch_first=batch_first)
    torch.manual_seed(seed)
    x = pack_padded_sequence(torch.randn(max(lengths), len(lengths), 5), lengths, enforce_sorted=False)
    same(ours, theirs, x, state_of(theirs, len(lengths), kind) if with_state else None)
    found, expected = ours(x)[0], theirs(x)[0]
    for mine, other in zip(found[1:], expected[1:], strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_rows_of_frozen_layers(kind):
    ours, theirs = pair(kind, 5, 20, num_layers=2, bidirectional=True)
    x = pack_padded_sequence(torch.randn(7, 4, 5), [2, 7, 7, 1], enforce_sorted=False)
    with torch.no_grad():
        torch.testing.assert_close(leaves(ours.freeze()(x)), leaves(theirs(x)), rtol=1e-5, atol=1e-5)


def test_packed_rows_are_not_padded(monkeypatch):
    ours, _ = pair("GRU", 5, 7, bidirectional=True)
    x = pack_padded_sequence(torch.randn(4, 3, 5), [4, 2, 1])

    def refuse(*arguments, **options):
        raise AssertionError("padded")

    monkeypatch.setattr("recurra.kernels.packed.pad_packed_sequence", refuse)
    ours(x)[0].data.sum().backward()


def test_packed_rows_that_hold_another_number_of_steps_are_refused():
    ours, _ = pair("GRU", 5, 7)
    with pytest.raises(ValueError, match="`batch_sizes` do not say how the 4 packed rows"):
        ours(PackedSequence(torch.randn(4, 5), torch.tensor([2, 1])))


def test_unfreeze_is_the_opposite_of_freeze():
    layer, cell = recurra.nn.LSTM(3, 4), recurra.StackedCells([recurra.LSTMCell(3, 4), recurra.GRUCell(4, 4)])
    for module in (layer, cell):
        module.freeze()
        assert not module.training and not any(p.requires_grad for p in module.parameters())
        assert module.unfreeze() is module and module.training
        assert all(p.requires_grad for p in module.parameters())
    inputs = torch.randn(5, 2, 3)
    layer(inputs)[0].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_explain_takes_a_layer_and_names_its_place_for_torchs_own():
    inputs = torch.randn(5, 2, 3)
    said = str(recurra.explain(recurra.nn.LSTM(3, 4, num_layers=2), inputs))
    # a line for each layer: by kernel, of torch's layout of weights, or torch.nn's
    assert re.match(r"((torch_)?lstm: (kernel|torch.nn's own) .*\n)+threads: ", said)
    with pytest.raises(recurra.errors.StructureError, match=r"torch.nn's own GRU.*recurra.nn.GRU stands in its place"):
        recurra.explain(torch.nn.GRU(3, 4), inputs)
