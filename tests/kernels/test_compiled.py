"""Under torch.compile a sequence is one operator, with the eager kernels' numbers."""

import pytest
import torch

import recurra as rc
from recurra.kernels import compiled, dispatch
from recurra.kernels.layouts import PARAMETERS, flatten, layout_name
from tests.kernels.cases import assert_same, make

NAMES = ["rnn", "lstm", "lstm_all", "lstm_projection_all", "coupled", "layer_norm_all", "gru", "gru_after"]


def arguments(case):
    states = [case.state] if isinstance(case.state, torch.Tensor) else [case.state.h, case.state.c]
    family = layout_name(case.cell.recurrence.family, case.cell.params())
    params = flatten(case.cell.params())[: PARAMETERS[family]]
    params = [torch.empty(0) if param is None else param for param in params]
    options = case.cell.options
    return (
        case.inputs.requires_grad_(),
        case.lengths,
        states,
        params,
        [torch.empty(0)] * 7,
        family,
        case.reverse,
        True,
        *dispatch._options(options),
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_operator_is_well_formed(name):
    case = make(name, 3, 2, 4, 5)
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.recurra.sequence.default, arguments(case), test_utils=tests)
    assert compiled.sequence.__doc__


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ragged", [False, True])
def test_a_compiled_graph_equals_eager(name, ragged):
    case = make(name, 4, 3, 4, 5, lengths=torch.tensor([4, 0, 2]) if ragged else None)
    inputs = torch.nan_to_num(case.inputs)

    def run(inputs):
        return rc.unroll(case.cell, inputs, case.state, lengths=case.lengths, time_major=True)[0]

    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    fast = torch.compile(run, backend=backend)
    results = []
    for road in (run, fast):
        leaf = inputs.clone().requires_grad_()
        outputs = road(leaf)
        grads = torch.autograd.grad(outputs.square().sum(), [leaf, *case.cell.parameters()])
        results.append({"outputs": outputs, **{str(index): grad for index, grad in enumerate(grads)}})
    assert_same(results[1], results[0], tolerance=1e-6)
    assert any("recurra.sequence" in str(node.target) for graph in graphs for node in graph.graph.nodes)


def test_an_exported_program_needs_no_recurra():
    cell = rc.LSTMCell(3, 4)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, inputs):
            return rc.unroll(self.cell, inputs)[0]

    inputs = torch.randn(2, 5, 3)
    exported = torch.export.export(Model(), (inputs,))
    assert not any("recurra" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(inputs), Model()(inputs))
