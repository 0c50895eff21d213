"""Loops: functions over cells. May import `cells` and `kernels`; offers the unrollings. Read `unroll.py` first."""

from recurra.kernels.scan import masks_at
from recurra.loops.bidirectional import bidirectional, stack_bidirectional
from recurra.loops.lengths import last_output
from recurra.loops.state import LearnedInitialState, detach
from recurra.loops.unroll import unroll

__all__ = [
    "LearnedInitialState",
    "bidirectional",
    "detach",
    "last_output",
    "masks_at",
    "stack_bidirectional",
    "unroll",
]
