"""Packed rows, as torch's PackedSequence has them: no padding, the rows of one time behind those of the time before.

The data of B rows, longest first, are `[N, I]` for N real steps, with `batch_sizes [T]`: how many rows
run at each time. The kernels read and write them where they lie; what has no kernel runs on padded rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra import _nest


def is_packed(inputs: Any, lengths: Tensor | None) -> TypeGuard[Tensor]:
    """Whether the inputs of a sequence call are packed rows, and its lengths their batch sizes."""
    return lengths is not None and isinstance(inputs, Tensor) and inputs.dim() == 2


def packed_rows(data: Tensor, batch_sizes: Tensor | None, B: int) -> bool:
    """Whether `batch_sizes` are those of B rows with as many steps as `data` has; whether they grow is not asked."""
    return (
        batch_sizes is not None
        and batch_sizes.numel() > 0
        and int(batch_sizes[0]) == B
        and int(batch_sizes.sum()) == data.shape[0]
    )


def in_padded_rows(run: Callable[..., Any], data: Tensor, batch_sizes: Tensor | None) -> Any:
    """`run(inputs=…, lengths=…)` on the same rows padded, its outputs and all its states packed again."""
    assert batch_sizes is not None
    rows, lengths = pad_packed_sequence(PackedSequence(data, batch_sizes.cpu()))
    outputs, final, *every = run(inputs=rows, lengths=lengths.to(data.device))

    def pack(values: Tensor) -> Tensor:
        return pack_padded_sequence(values, lengths).data

    return pack(outputs), final, *(_nest.map_leaves(pack, states) for states in every)
