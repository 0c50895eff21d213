"""What a cell's `project` multiplies, by the library's own product: torch's numbers, gradients and second gradients."""

import pytest
import torch
from torch import nn

from recurra.kernels import hoisted
from recurra.kernels.hoisted import OwnProducts


@pytest.fixture(autouse=True)
def taken(monkeypatch):
    """The products that were taken over, however small."""
    calls = []
    apply = hoisted._Product.apply
    monkeypatch.setattr(hoisted, "LEAST", 1)
    monkeypatch.setattr(hoisted._Product, "apply", lambda *given: calls.append(given) or apply(*given))
    return calls


LINEAR, BARE, W = nn.Linear(5, 17), nn.Linear(5, 3, bias=False), nn.Parameter(torch.randn(5, 33))
PRODUCTS = {
    "a layer": (LINEAR, LINEAR.parameters),
    "a layer without bias": (BARE, BARE.parameters),
    "at": (lambda x: x @ W, lambda: [W]),
    "matmul": (lambda x: torch.matmul(x, W), lambda: [W]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_torchs(name, taken):
    function, parameters = PRODUCTS[name]
    x = torch.randn(4, 3, 5, requires_grad=True)
    given = [x, *parameters()]

    def results():
        found = function(x)
        first = torch.autograd.grad(found.square().sum(), given, create_graph=True)
        second = torch.autograd.grad(sum(grad.square().sum() for grad in first), given)
        return [found, *torch.autograd.grad(function(x).square().sum(), given), *first, *second]

    expected = results()
    assert not taken
    with OwnProducts():
        found = results()
    assert len(taken) == 2
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_gradients_of_an_expanded_sum():
    """What comes back is no dense matrix."""
    x = torch.randn(4, 3, 5)
    with OwnProducts():
        LINEAR(x).sum().backward()
    torch.testing.assert_close(LINEAR.weight.grad, x.flatten(0, 1).sum(0).expand(17, 5))
    LINEAR.zero_grad()


@pytest.mark.parametrize(
    ("rows", "matrix"),
    [
        (torch.ones(2, 3).double(), torch.ones(3, 2).double()),
        (torch.ones(3), torch.ones(3, 2)),
        (torch.ones(2, 3, 4), torch.ones(2, 4, 2)),
        (torch.ones(3, 2).t(), torch.ones(3, 2)),
        (torch.ones(2, 3).to(torch.bfloat16), torch.ones(3, 2).to(torch.bfloat16)),
        (torch.ones(0, 3), torch.ones(3, 2)),
        (torch.ones(2, 3)._neg_view(), torch.ones(3, 2)),
        (torch.ones(2, 3), torch.ones(3, 2)._neg_view()),
    ],
)
def test_other_products_stay_torchs(rows, matrix, taken):
    with OwnProducts():
        found = rows @ matrix
    assert not taken and torch.equal(found, rows @ matrix)


def test_a_bias_of_another_length_stays_torchs(taken):
    x, weight, bias = torch.randn(4, 3, 5), torch.randn(6, 5), torch.randn(1, requires_grad=True)
    with OwnProducts():
        found = nn.functional.linear(x, weight, bias)
        with pytest.raises(RuntimeError):
            nn.functional.linear(x, weight, torch.randn(7))
    assert not taken
    torch.testing.assert_close(found, x @ weight.t() + bias)
    assert torch.autograd.grad(found.sum(), bias)[0].item() == found.numel()
