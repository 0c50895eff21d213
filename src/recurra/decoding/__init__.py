"""Decoding: helpers, the loop, beam search; every step is a function of plain tensors.

May import cells, loops and below. Read `loop.py` first, then `basic.py` and `beam.py`.
"""

from recurra.decoding.basic import BasicDecoder, BasicDecoderOutput
from recurra.decoding.beam import (
    Beams,
    BeamSearchDecoder,
    BeamSearchDecoderOutput,
    BeamSearchDecoderState,
    FinalBeamSearchDecoderOutput,
    beam_step,
    coverage_penalty,
    length_penalty,
    start_beams,
)
from recurra.decoding.helpers import (
    CustomHelper,
    GreedyEmbeddingHelper,
    InferenceHelper,
    SampleEmbeddingHelper,
    ScheduledEmbeddingTrainingHelper,
    ScheduledOutputTrainingHelper,
    TrainingHelper,
)
from recurra.decoding.loop import Decoded, Decoder, dynamic_decode
from recurra.decoding.trees import gather_tree, gather_tree_from_array, tile_batch

__all__ = [
    "BasicDecoder",
    "BasicDecoderOutput",
    "BeamSearchDecoder",
    "BeamSearchDecoderOutput",
    "BeamSearchDecoderState",
    "Beams",
    "CustomHelper",
    "Decoded",
    "Decoder",
    "FinalBeamSearchDecoderOutput",
    "GreedyEmbeddingHelper",
    "InferenceHelper",
    "SampleEmbeddingHelper",
    "ScheduledEmbeddingTrainingHelper",
    "ScheduledOutputTrainingHelper",
    "TrainingHelper",
    "beam_step",
    "coverage_penalty",
    "dynamic_decode",
    "gather_tree",
    "gather_tree_from_array",
    "length_penalty",
    "start_beams",
    "tile_batch",
]
