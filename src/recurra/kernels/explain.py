"""`recurra.explain`: which road a call takes, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra import _nest
from recurra._typing import Cell, State
from recurra.kernels.decisions import Decision, recording
from recurra.kernels.native import library


class Explanation(NamedTuple):
    """The decisions of a call, one for each recurrence that ran, in order."""

    decisions: tuple[Decision, ...]
    threads: int

    def __str__(self) -> str:
        return "\n".join([*map(str, self.decisions), f"threads: {self.threads}"])


def explain(
    cell: Cell, inputs: Any, initial_state: State = None, *, lengths: Tensor | None = None, time_major: bool = False
) -> Explanation:
    """Say which road `recurra.unroll(cell, inputs, …)` takes, and why.

        print(rc.explain(rc.LSTMCell(16, 32), torch.randn(8, 20, 16)))
        # lstm: kernel (avx512)
        # threads: 2

    The call is run once, without gradients; each recurrence inside wrappers and stacks says its own line.

    Args:
        cell, inputs, initial_state, lengths, time_major: as for `recurra.unroll`.
    """
    if not time_major:
        inputs = _nest.map_leaves(lambda leaf: leaf.transpose(0, 1), inputs)
    if initial_state is None:
        initial_state = cell.initial_state(_nest.flatten(inputs)[0].shape[1])
    with recording() as decisions, torch.no_grad():
        cell.unroll(inputs, initial_state, lengths)
    return Explanation(tuple(decisions), library.threads())
