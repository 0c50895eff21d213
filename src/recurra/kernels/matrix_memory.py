"""The mLSTM's memory step by step in compiled code (csrc/mlstm.cpp), for inference.

A small matrix stays in the cache for the whole sequence, so that writing and reading it costs less than the products of
the chunkwise form; gradients take the chunks, which need no state of every step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.kernels.dispatch import plain_only
from recurra.kernels.native import MLSTMCall, library
from recurra.kernels.ops import dense_rows, rows_of
from recurra.kernels.scan import traced

LARGEST = 128
"""Features of a head up to which its matrix stays in the second-level cache."""


def fits(tensors: tuple[Tensor, ...], features: int) -> bool:
    """Whether the compiled loop runs a call with these tensors (the kernel's parts, the state, the parameters)."""
    if library.core is None or features > LARGEST or traced(*tensors) or plain_only():
        return False
    if torch._C._functorch.peek_interpreter_stack() is not None or torch.autograd.forward_ad._current_level >= 0:
        return False
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return False
    return all(tensor.device.type == "cpu" and tensor.dtype is torch.float32 for tensor in tensors)


def run(parts: tuple[Tensor, ...], state: tuple[Tensor, ...], out: Tensor, *, reverse: bool) -> None:
    """Write h to `out [T, B, H]` and move `state` on, in place.

    Args:
        parts: q, k, v, o `[T, B, H]` (the output gate before its sigmoid), i and log f `[T, B, N]`.
        state: c `[B, N, D, D]`, n `[B, N, D]`, m `[B, N]`, contiguous.
        out: `[T, B, H]`.
        reverse: run from the last step to the first.
    """
    T, B, H = out.shape
    heads = state[2].shape[1]
    rows: Any = [dense_rows(part) for part in parts]
    call = MLSTMCall(library.threads(), reverse, T, B, heads, H // heads, *map(rows_of, rows), rows_of(out))
    call.c, call.n, call.m = (leaf.data_ptr() for leaf in state)
    library.mlstm(call)
