"""Losses and what belongs to them, as functions. May import `loops`, `cells`, `kernels`. Read `sequence.py` first."""

from recurra.losses.clip import clip_by_global_norm, clip_gradients, global_norm
from recurra.losses.ctc import ctc_loss
from recurra.losses.ctc_decoding import Decoded, ctc_beam_search, ctc_greedy
from recurra.losses.sequence import perplexity, sequence_loss, sequence_loss_by_example

__all__ = [
    "Decoded",
    "clip_by_global_norm",
    "clip_gradients",
    "ctc_beam_search",
    "ctc_greedy",
    "ctc_loss",
    "global_norm",
    "perplexity",
    "sequence_loss",
    "sequence_loss_by_example",
]
