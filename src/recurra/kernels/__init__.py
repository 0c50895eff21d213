"""The recurrences, executed: one step after another in torch (`scan`), or by a compiled kernel where one fits.

Imports nothing of recurra but the contract (`_typing`, `_nest`, `errors`). Read `scan.py` first: it says what a
sequence call means; a kernel computes the same numbers, faster. `dispatch.py` decides which of the two runs, and why.
"""

from recurra.kernels.dispatch import Recurrence, plain, refusal, run_sequence, runs
from recurra.kernels.layers import run_layers
from recurra.kernels.prepared import freeze, run_both, run_unroll, thaw, wants_halves
from recurra.kernels.random import draw_later, draw_mask, drawn_now
from recurra.kernels.scan import StateDropout, Zoneout, scan
from recurra.kernels.step import compiled_step, know_leaves, make_stepper, run_step
from recurra.kernels.stepwise import Compiled, run_compiled

__all__ = [
    "Compiled",
    "Recurrence",
    "StateDropout",
    "Zoneout",
    "compiled_step",
    "draw_later",
    "draw_mask",
    "drawn_now",
    "freeze",
    "know_leaves",
    "make_stepper",
    "plain",
    "refusal",
    "run_both",
    "run_compiled",
    "run_layers",
    "run_sequence",
    "run_step",
    "run_unroll",
    "runs",
    "scan",
    "thaw",
    "wants_halves",
]
