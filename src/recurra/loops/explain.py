"""`recurra.explain`: which road a call takes, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

from recurra._typing import Cell, State
from recurra.errors import StructureError
from recurra.kernels.decisions import Decision, recording
from recurra.kernels.native import library
from recurra.loops.unroll import unroll


class Explanation(NamedTuple):
    """The decisions of a call, one for each recurrence that ran, in order."""

    decisions: tuple[Decision, ...]
    threads: int

    def __str__(self) -> str:
        return "\n".join([*map(str, self.decisions), f"threads: {self.threads}"])


def explain(cell: Cell, inputs: Any = None, initial_state: State = None, **call: Any) -> Explanation:
    """Say which road `recurra.unroll(cell, inputs, …)` takes, and why.

        print(rc.explain(rc.LSTMCell(16, 32), torch.randn(8, 20, 16)))
        # lstm: kernel (avx512)
        # threads: 2

    The call is run once, without gradients; each recurrence inside wrappers and stacks says its own line.

    Args:
        cell, inputs, initial_state, call: as for `recurra.unroll`, with its errors; or a layer of `recurra.nn`, with
            what it is called with.

    Raises:
        StructureError: without inputs, since their sizes, dtype and device are part of the decision.
    """
    if inputs is None:
        raise StructureError(
            f"`explain` wants the inputs of the call: rc.explain(cell, inputs), as rc.unroll(cell, inputs); of "
            f"{getattr(cell, 'input_size', None) or 'any'} features here"
        )
    layer = isinstance(cell, nn.RNNBase)  # of recurra.nn: it is called as torch.nn's
    if type(cell) in (nn.LSTM, nn.GRU, nn.RNN):
        name = type(cell).__name__
        raise StructureError(
            f"`cell` is torch.nn's own {name}, which no kernel of recurra runs; recurra.nn.{name} stands in its place"
        )
    with recording() as decisions, torch.no_grad():
        if layer:
            cell(inputs, initial_state, **call)
        else:
            unroll(cell, inputs, initial_state, **call)
    return Explanation(tuple(decisions), library.threads())
