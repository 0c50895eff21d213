"""tensorflow.models.rnn.seq2seq as of 0.6 to 0.8: no embedding_size, and num_decoder_symbols in model_with_buckets.

Later calls under these names are understood too: the types of the arguments tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.contrib import legacy_seq2seq
from recurra.tf1.names import export

_EARLY = ((0, 0), (0, 9))


def _export(function: Callable[..., Any], name: str) -> None:
    homes = ("models.rnn.seq2seq", "nn.seq2seq", "python.ops.seq2seq")
    export(function, *(f"{home}.{name}" for home in homes), era=_EARLY)


def model_with_buckets(
    encoder_inputs: Any,
    decoder_inputs: Any,
    targets: Any,
    weights: Any,
    buckets: Any,
    *rest: Any,
    **options: Any,
) -> Any:
    """With or without the number of decoder symbols before the function."""
    options.pop("num_decoder_symbols", None)
    if rest and not callable(rest[0]):
        rest = rest[1:]
    return legacy_seq2seq.model_with_buckets(
        encoder_inputs, decoder_inputs, targets, weights, buckets, *rest, **options
    )


def _embedding(function: Callable[..., Any], symbols: int) -> Callable[..., Any]:
    """`function` whose embedding_size, after the `symbols` numbers of symbols, may be absent: the cell's size."""

    def call(encoder_inputs: Any, decoder_inputs: Any, cell: Any, *rest: Any, **options: Any) -> Any:
        given = len(rest) > symbols and isinstance(rest[symbols], int) and not isinstance(rest[symbols], bool)
        if given or "embedding_size" in options:
            return function(encoder_inputs, decoder_inputs, cell, *rest, **options)
        numbers = (*rest[:symbols], cell.output_size, *rest[symbols:])
        return function(encoder_inputs, decoder_inputs, cell, *numbers, **options)

    return call


_export(model_with_buckets, "model_with_buckets")
_export(_embedding(legacy_seq2seq.embedding_rnn_seq2seq, 2), "embedding_rnn_seq2seq")
_export(_embedding(legacy_seq2seq.embedding_attention_seq2seq, 2), "embedding_attention_seq2seq")
_export(_embedding(legacy_seq2seq.embedding_tied_rnn_seq2seq, 1), "embedding_tied_rnn_seq2seq")
