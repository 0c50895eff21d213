"""Wrong calls, next to what their messages must say: the argument, what came, what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import recurra as rc
from recurra.cells.registry import make_cell
from recurra.errors import RecurraError
from recurra.loops import Next
from recurra.models.classifier import SequenceClassifier
from recurra.models.encoder import Encoder

RUNNING = torch.zeros(2, dtype=torch.bool)
X = torch.zeros(2, 3, 4)
GRU, LSTM = rc.GRUCell(4, 5), rc.LSTMCell(4, 5)
DROPPED = rc.DropoutWrapper(GRU, input_keep_prob=0.5)
DECODER = rc.decoding.BasicDecoder(GRU, rc.decoding.TrainingHelper(X, torch.tensor([3, 1])), GRU.initial_state(2))
PAIR = rc.StackedCells([rc.GRUCell(4, 5), rc.LSTMCell(5, 6)])

CASES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    # inputs
    "rank of the input": (
        lambda: rc.unroll(GRU, X[0]),
        ValueError,
        r"`inputs` has rank 2 \(shape \[3, 4\]\), expected shape \[B, T, 4\]",
    ),
    "features": (
        lambda: rc.unroll(GRU, X[..., :3]),
        ValueError,
        r"`inputs` has shape \[2, 3, 3\], expected \[B, T, 4\]",
    ),
    "features, time-major": (lambda: rc.unroll(GRU, X[..., :3], time_major=True), ValueError, r"expected \[T, B, 4\]"),
    "no tensor": (lambda: rc.unroll(GRU, [[1.0]]), TypeError, "`inputs`"),
    "a step's rank": (lambda: GRU(X, GRU.initial_state(2)), ValueError, r"`x` has rank 3 .*expected shape \[B, 4\]"),
    "a step's features": (
        lambda: GRU(X[:, 0, :2], GRU.initial_state(2)),
        ValueError,
        r"`x` has shape \[2, 2\], expected",
    ),
    "nested input for a flat cell": (lambda: rc.unroll(GRU, (X, X)), TypeError, "`inputs` has another structure"),
    "float ids": (
        lambda: rc.unroll(rc.EmbeddingWrapper(rc.GRUCell(4, 5), 7), torch.zeros(2, 3)),
        ValueError,
        "`inputs` must be integer ids, got dtype torch.float32",
    ),
    "no cell": (lambda: rc.unroll(torch.nn.Linear(4, 5), X), TypeError, "`cell` must be a recurra cell .*got Linear"),
    # states
    "batch of the state": (
        lambda: rc.unroll(GRU, X, torch.zeros(3, 5)),
        ValueError,
        r"`initial_state` holds a tensor of shape \[3, 5\], expected \[2, 5\] \(batch size 2 from the input\)",
    ),
    "size of the state": (lambda: rc.unroll(GRU, X, torch.zeros(2, 4)), ValueError, r"\[2, 4\], expected \[2, 5\]"),
    "structure of the state": (
        lambda: rc.unroll(LSTM, X, torch.zeros(2, 5)),
        TypeError,
        r"`initial_state` has another structure than the cell's: got Tensor\[2, 5\], expected LSTMState\(c=5, h=5\)",
    ),
    "state of a stack": (
        lambda: rc.unroll(PAIR, X, (torch.zeros(2, 5),)),
        TypeError,
        r"`initial_state` .*got \(Tensor\[2, 5\]\), expected \(5, LSTMState\(c=6, h=6\)\)",
    ),
    "state of numbers": (lambda: rc.unroll(GRU, X, 0.0), TypeError, "`initial_state` must hold tensors, got float"),
    "a step's state": (lambda: LSTM(X[:, 0], torch.zeros(2, 5)), TypeError, "`state` has another structure"),
    "state of the backward cell": (
        lambda: rc.bidirectional(GRU, GRU, X, None, torch.zeros(2, 9)),
        ValueError,
        r"`initial_state_bw` holds a tensor of shape \[2, 9\], expected \[2, 5\]",
    ),
    # dtypes
    "double input for a float cell": (
        lambda: rc.unroll(LSTM, X.double()),
        ValueError,
        "`inputs` has dtype torch.float64, but the parameters of LSTMCell have torch.float32",
    ),
    "integers for a float cell": (lambda: rc.unroll(GRU, X.long()), ValueError, "`inputs` has dtype torch.int64"),
    "a double state": (
        lambda: rc.unroll(GRU, X, torch.zeros(2, 5, dtype=torch.float64)),
        ValueError,
        "`state` has dtype torch.float64, but the parameters of GRUCell have torch.float32",
    ),
    "a step in double": (
        lambda: GRU(X[:, 0].double(), GRU.initial_state(2)),
        ValueError,
        "`x` has dtype torch.float64, but",
    ),
    # masks
    "masks for a cell that draws none": (
        lambda: rc.unroll(GRU, X, masks=torch.ones(3, 2, 5)),
        ValueError,
        "`masks` are given, but GRUCell draws none",
    ),
    "masks of another length": (
        lambda: rc.unroll(DROPPED, X, masks=DROPPED.draw_masks(4, 2, like=X)),
        ValueError,
        r"`masks` holds a tensor of shape \[4, 2, 4\], expected \[3 or 1, 2 or 1, ...\]",
    ),
    "masks of another kind": (
        lambda: rc.unroll(DROPPED, X, masks=torch.ones(3, 2, 4)),
        TypeError,
        "`masks` must be DropoutMasks, .*got Tensor",
    ),
    "masks of one layer": (
        lambda: rc.unroll(rc.StackedCells([DROPPED]), X, masks=DROPPED.draw_masks(3, 2, like=X)),
        TypeError,
        "`masks` must be a tuple with those of each of 1 cells",
    ),
    # lengths
    "lengths past T": (
        lambda: rc.unroll(GRU, X, lengths=torch.tensor([1, 4])),
        ValueError,
        "`lengths` holds 4, but the inputs have only T=3 steps",
    ),
    "negative lengths": (
        lambda: rc.unroll(GRU, X, lengths=torch.tensor([1, -2])),
        ValueError,
        "`lengths` must not be negative, got -2",
    ),
    "float lengths": (lambda: rc.unroll(GRU, X, lengths=torch.ones(2)), TypeError, "`lengths` .*integer.*float32"),
    "a list of lengths": (lambda: rc.unroll(GRU, X, lengths=[1, 2]), TypeError, "`lengths` .*tensor.*list"),
    "shape of the lengths": (
        lambda: rc.unroll(GRU, X, lengths=torch.tensor([1, 2, 3])),
        ValueError,
        r"`lengths` has shape \[3\], expected \[2\]",
    ),
    "lengths on another device": (
        lambda: rc.unroll(GRU, X, lengths=torch.ones(2, dtype=torch.int64, device="meta")),
        ValueError,
        "`lengths` .*meta.*cpu",
    ),
    "last_output's lengths": (lambda: rc.last_output(X, torch.tensor([4, 1])), ValueError, "`lengths` holds 4"),
    "last_output's rank": (lambda: rc.last_output(torch.zeros(3)), ValueError, r"`outputs` .*got shape \[3\]"),
    # loops
    "padding": (
        lambda: rc.unroll(GRU, X, padding="both"),
        ValueError,
        "`padding` must be 'right' or 'left', got 'both'",
    ),  # type: ignore[arg-type]
    "resets' type": (lambda: rc.unroll(GRU, X, resets=torch.zeros(2, 3)), TypeError, "`resets` must be a bool tensor"),
    "resets' shape": (
        lambda: rc.unroll(GRU, X, resets=torch.zeros(3, 2, dtype=torch.bool)),
        ValueError,
        r"`resets` has shape \[3, 2\], expected \[2, 3\]",
    ),
    "a state to reset to, and no resets": (
        lambda: rc.unroll(GRU, X, reset_state=GRU.initial_state(2)),
        ValueError,
        "`reset_state` is given without `resets`",
    ),
    "steps of a raw loop": (
        lambda: rc.raw_loop(GRU, lambda *_: None, max_steps=-1),  # type: ignore[arg-type, return-value]
        ValueError,
        "`max_steps` must be an integer of at least 0, got -1",
    ),
    "a raw loop's later state": (
        lambda: rc.raw_loop(GRU, lambda t, *_: Next(RUNNING, X[:, 0], GRU.initial_state(2) if t == 0 else 1)),
        TypeError,
        "`state` must hold tensors, got int",
    ),
    "lengths of a reversed fused cell": (
        lambda: rc.TimeReversedFusedRNN(rc.FusedRNNCellAdaptor(GRU))(X, None, torch.tensor([1, 2, 4])),
        ValueError,
        "`lengths` holds 4, but the inputs have only T=2 steps",
    ),
    "inputs of a reversed fused cell": (
        lambda: rc.TimeReversedFusedRNN(rc.FusedRNNCellAdaptor(GRU))([1.0]),
        TypeError,
        "`inputs` must be a tensor",
    ),
    "an end token that is no id": (
        lambda: rc.decoding.BeamSearchDecoder(GRU, torch.zeros(7, 4), torch.zeros(2).long(), 7, torch.zeros(6, 5), 3),
        ValueError,
        "`end_token` must be an id of `embedding`, in 0..6, got 7",
    ),
    "steps of a decoder": (
        lambda: rc.decoding.dynamic_decode(DECODER, maximum_iterations=-1),
        ValueError,
        "`maximum_iterations` must be an integer of at least 0, got -1",
    ),
    "a classifier's embedding": (
        lambda: SequenceClassifier(3, Encoder("gru", 4, 5), vocabulary=9),
        ValueError,
        "`embedding` must be a positive integer, got 0",
    ),
    "nothing to explain": (
        lambda: rc.explain(rc.GRUCell(2, 3)),
        TypeError,
        r"wants the inputs of the call: rc.explain\(cell, inputs\).*; of 2 features here",
    ),
    "what is explained": (lambda: rc.explain(3, X), TypeError, "`cell` must be a recurra cell"),  # type: ignore[arg-type]
    "a state to learn, of no cell": (
        lambda: rc.LearnedInitialState(3),  # type: ignore[arg-type]
        TypeError,
        "`cell` must be a recurra cell, got int",
    ),
    "last_output of numbers": (lambda: rc.last_output([1]), TypeError, "`outputs` must be a tensor, got int"),
    "one cell where a list is due": (
        lambda: rc.stack_bidirectional(GRU, [GRU], X),  # type: ignore[arg-type]
        TypeError,
        "`cells_fw` must be a list of cells, one per layer, got GRUCell",
    ),
    "different depths": (
        lambda: rc.stack_bidirectional([GRU], [GRU, GRU], X),
        ValueError,
        "`cells_fw` has 1 layers and `cells_bw` 2",
    ),
    "states a layer": (
        lambda: rc.stack_bidirectional([GRU], [GRU], X, [None, None]),
        TypeError,
        "`initial_states_fw` must be a list of 1 states, one per layer",
    ),
    # constructors
    "activation's name": (
        lambda: rc.LSTMCell(4, 5, activation="tahn"),
        ValueError,
        "`activation` is unknown: 'tahn'; known names: .*tanh",
    ),
    "activation's type": (
        lambda: rc.GRUCell(4, 5, activation=3),
        TypeError,
        "`activation` must be a name or a callable, got int",
    ),  # type: ignore[arg-type]
    "no units": (lambda: rc.GRUCell(4, 0), ValueError, "`hidden_size` must be a positive integer, got 0"),
    "float units": (lambda: rc.RNNCell(4, 5.0), ValueError, "`hidden_size` must be a positive integer, got 5.0"),  # type: ignore[arg-type]
    "reset": (lambda: rc.GRUCell(4, 5, reset="both"), ValueError, "`reset` must be 'before' or 'after', got 'both'"),  # type: ignore[arg-type]
    "clip": (
        lambda: rc.LSTMCell(4, 5, cell_clip=-1.0),
        ValueError,
        "`cell_clip` must be None or a positive number, got -1.0",
    ),
    "projection clip without projection": (
        lambda: rc.LayerNormLSTMCell(4, 5, projection_clip=1.0),
        ValueError,
        r"`projection_clip` \(1.0\) needs a `projection_size`",
    ),
    "projection clip without projection, under weight norm": (
        lambda: rc.WeightNormLSTMCell(4, 5, projection_clip=1.0),
        ValueError,
        r"`projection_clip` \(1.0\) needs a `projection_size`",
    ),
    "a clip of text": (
        lambda: rc.LSTMCell(4, 5, cell_clip="1"),  # type: ignore[arg-type]
        TypeError,
        "`cell_clip` must be a number, got '1'",
    ),
    "an initialiser's name": (
        lambda: rc.GRUCell(4, 5, init="glorot"),  # type: ignore[arg-type]
        TypeError,
        "`init` must be a function that fills a tensor in place, got 'glorot'",
    ),
    "ids that are no classes": (
        lambda: rc.unroll(rc.EmbeddingWrapper(rc.GRUCell(4, 5), 7), torch.tensor([[1, 7]])),
        ValueError,
        r"`inputs` must lie in 0..6, got 7",
    ),
    "what a state filter answers": (
        lambda: rc.unroll(rc.DropoutWrapper(LSTM, state_keep_prob=0.5, state_filter=lambda part: (True,)), X),
        TypeError,
        r"`state_filter` must answer True, False or a structure .*, got \(True,\)",
    ),
    "a zoneout rate of text": (
        lambda: rc.ZoneoutWrapper(LSTM, ("a", 0.1)),
        TypeError,
        "`rates` must be a number, got 'a'",
    ),
    "sizes that do not chain": (
        lambda: rc.StackedCells([rc.GRUCell(4, 5), rc.GRUCell(6, 5)]),
        ValueError,
        "`cells` do not chain: cell 0 gives 5 features, cell 1 expects 6",
    ),
    "an empty stack": (lambda: rc.StackedCells([]), ValueError, "`cells` must hold at least one cell"),
    "a stack of one thing": (
        lambda: rc.StackedCells(GRU),
        TypeError,
        "`cells` must be a list or tuple of cells, got GRUCell",
    ),  # type: ignore[arg-type]
    "a stack of a class": (lambda: rc.StackedCells([rc.GRUCell]), TypeError, "`cells` .*cell 0 is a type"),  # type: ignore[list-item]
    "a wrapper around no cell": (
        lambda: rc.ResidualWrapper(torch.nn.Linear(4, 4)),  # type: ignore[arg-type]
        TypeError,
        "`cell` must be a recurra cell, got Linear",
    ),
    "residual sizes": (
        lambda: rc.ResidualWrapper(rc.GRUCell(4, 5)),
        ValueError,
        "`cell` must give as many features as it takes: input 4, output 5",
    ),
    "keep probability": (
        lambda: rc.DropoutWrapper(GRU, input_keep_prob=1.5),
        ValueError,
        r"`input_keep_prob` must be a probability in \(0, 1\], got 1.5",
    ),
    "variational": (
        lambda: rc.DropoutWrapper(GRU, variational=True),
        ValueError,
        "`variational` must be None, 'row' or 'batch', got True",
    ),  # type: ignore[arg-type]
    "state filter": (
        lambda: rc.DropoutWrapper(GRU, state_filter=True),
        TypeError,
        "`state_filter` must be callable, got bool",
    ),  # type: ignore[arg-type]
    "zoneout rate": (lambda: rc.ZoneoutWrapper(GRU, 1.0), ValueError, r"`rates` must lie in \[0, 1\), got 1.0"),
    "zoneout structure": (
        lambda: rc.ZoneoutWrapper(LSTM, (0.1,)),
        TypeError,
        "`rates` must be a number or nest like the state",
    ),
    "classes": (
        lambda: rc.EmbeddingWrapper(rc.GRUCell(2, 3), 0),
        ValueError,
        "`classes` must be a positive integer, got 0",
    ),
    "projection around an embedding": (
        lambda: rc.InputProjectionWrapper(rc.EmbeddingWrapper(rc.GRUCell(2, 3), 4), 5),
        ValueError,
        "`cell` must have a fixed number of input features, got input_size None",
    ),
    "a cell's name": (lambda: make_cell("ltsm", 4, 5), ValueError, "`cell` is unknown: 'ltsm'; known cells: .*lstm"),
}


@pytest.mark.parametrize("name", CASES)
def test_message(name: str) -> None:
    call, error, says = CASES[name]
    with pytest.raises(error, match=says) as caught:
        call()
    assert isinstance(caught.value, RecurraError)


def test_an_own_cell_without_a_step() -> None:
    class Empty(rc.BaseCell):
        input_size, state_size, output_size = 4, 5, 5

    with pytest.raises(NotImplementedError, match=r"Empty must define `forward\(x, state\)`"):
        Empty()(X[:, 0], torch.zeros(2, 5))
