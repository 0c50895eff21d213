"""Loops: functions over cells. May import `cells` and `kernels`; offers the unrollings. Read `unroll.py` first."""

from recurra.kernels.scan import masks_at
from recurra.loops.bidirectional import bidirectional, stack_bidirectional
from recurra.loops.explain import Explanation, explain
from recurra.loops.fused import FusedRNNCellAdaptor, TimeReversedFusedRNN
from recurra.loops.lengths import last_output
from recurra.loops.raw import Next, raw_loop
from recurra.loops.state import LearnedInitialState, StateSaver, detach, state_saving_unroll
from recurra.loops.unroll import unroll

__all__ = [
    "Explanation",
    "FusedRNNCellAdaptor",
    "LearnedInitialState",
    "Next",
    "StateSaver",
    "TimeReversedFusedRNN",
    "bidirectional",
    "detach",
    "explain",
    "last_output",
    "masks_at",
    "raw_loop",
    "stack_bidirectional",
    "state_saving_unroll",
    "unroll",
]
