"""Gradients that autograd can differentiate again: those of a twin, which computes in torch what a kernel does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

MaybeTensors = Sequence[Tensor | None]


def differentiate(
    twin: Callable[[list[Any]], Iterable[Tensor]],
    tensors: MaybeTensors,
    grads: Iterable[Tensor | None],
    wanted: Iterable[bool],
) -> list[Tensor | None]:
    """The gradients of `tensors`, where `wanted`, from those of the results of `twin(tensors)`."""
    given = _apart(tensors)
    pairs = [
        (result, grad)
        for result, grad in zip(twin(given), grads, strict=True)
        if grad is not None and result.requires_grad
    ]
    targets = [tensor for tensor, want in zip(given, wanted, strict=True) if want]
    if not pairs:
        return [None] * len(given)
    results, incoming = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(results, targets, incoming, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]


def _apart(tensors: MaybeTensors) -> list[Any]:
    """Views, each a node of its own in autograd's graph: where one was made of another, as a layer's inputs are of
    weights that it shares with the layer below, the gradient of one holds nothing of the way to the other.
    """
    return [tensor.view_as(tensor) if tensor is not None and tensor.requires_grad else tensor for tensor in tensors]
