"""Weights between recurra, torch.nn and Keras give the same numbers, or a refusal that says why."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import recurra as rc
from recurra.export.weights import from_keras, from_torch, to_torch

KERAS = Path(__file__).parents[1] / "goldens" / "export" / "keras.npz"


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def stack(*cells: rc.BaseCell) -> rc.StackedCells:
    return rc.StackedCells(list(cells))


@pytest.mark.parametrize(
    "make",
    [
        lambda: rc.LSTMCell(3, 4, forget_bias=0.7),
        lambda: rc.LSTMCell(3, 4, projection_size=2),
        lambda: rc.GRUCell(3, 4, reset="after"),
        lambda: rc.RNNCell(3, 4, activation="relu"),
        lambda: stack(rc.LSTMCell(3, 4), rc.DropoutWrapper(rc.LSTMCell(4, 4), output_keep_prob=0.5)),
    ],
)
def test_to_torch_and_back(make):
    cell, inputs = randomised(make()), torch.randn(2, 6, 3)
    module = to_torch(cell)
    want = rc.unroll(cell, inputs)[0]
    torch.testing.assert_close(module(inputs)[0], want, atol=1e-6, rtol=0)
    torch.testing.assert_close(rc.unroll(from_torch(module), inputs)[0], want, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bias", [True, False])
def test_bidirectional_layers(kind, bias):
    module, inputs = randomised(kind(3, 4, 2, bidirectional=True, batch_first=True, bias=bias)), torch.randn(2, 6, 3)
    forward, backward = from_torch(module)
    outputs, _, _ = rc.stack_bidirectional(forward, backward, inputs)
    torch.testing.assert_close(outputs, module(inputs)[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(to_torch(forward, backward)(inputs)[0], outputs, atol=1e-6, rtol=0)


def test_two_directions_to_torch():
    fw, bw, inputs = randomised(rc.LSTMCell(3, 4)), randomised(rc.LSTMCell(3, 4)), torch.randn(2, 6, 3)
    (out_fw, out_bw), _ = rc.bidirectional(fw, bw, inputs)
    torch.testing.assert_close(to_torch(fw, bw)(inputs)[0], torch.cat([out_fw, out_bw], -1), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (lambda: rc.LSTMCell(3, 4, peepholes=True), "torch.nn.LSTM has no peepholes"),
        (lambda: rc.LSTMCell(3, 4, cell_clip=1.0), "torch.nn.LSTM has no cell clip"),
        (lambda: rc.LSTMCell(3, 4, projection_size=4), "projects to fewer than its 4 units, not to 4"),
        (lambda: rc.LSTMCell(3, 4, activation="relu"), "torch.nn.LSTM has no activation 'relu'"),
        (lambda: rc.GRUCell(3, 4), 'resets after the product; this GRUCell has reset="before"'),
        (lambda: rc.RNNCell(3, 4, activation="sigmoid"), "no activation 'sigmoid'"),
        (lambda: rc.UGRNNCell(3, 4), "torch.nn has no UGRNNCell"),
        (lambda: stack(rc.LSTMCell(3, 4), rc.LSTMCell(4, 5)), "these differ in kind, size or options"),
        (lambda: stack(rc.LSTMCell(3, 4), rc.GRUCell(4, 4, reset="after")), "these differ in kind, size or options"),
    ],
)
def test_what_torch_has_not_is_refused(cell, reason):
    with pytest.raises(TypeError, match=reason):
        to_torch(cell())


def keras_weights(golden, name):
    return [golden[f"{name}/weights/{k}"] for k in range(3) if f"{name}/weights/{k}" in golden]


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        ("lstm", "LSTM", {}),
        ("lstm_relu_nobias", "LSTM", {"activation": "relu", "use_bias": False}),
        ("gru_after", "GRU", {}),
        ("gru_before", "GRU", {"reset_after": False}),
        ("gru_after_nobias", "GRU", {"use_bias": False}),
        ("rnn", "SimpleRNN", {}),
        ("rnn_relu", "SimpleRNN", {"activation": "relu"}),
    ],
)
def test_keras_layers(name, kind, config):
    """Outputs of Keras 2.15 itself (tests/goldens/export/make_keras.py)."""
    with np.load(KERAS) as golden:
        cell = from_keras(kind=kind, weights=keras_weights(golden, name), **config)
        inputs, want = torch.from_numpy(golden["inputs"]), golden[f"{name}/outputs"]
    with torch.no_grad():
        np.testing.assert_allclose(rc.unroll(cell, inputs)[0], want, atol=1e-5)


def test_a_layer_object_is_taken_as_it_is():
    class GRU:
        def __init__(self, weights):
            self.weights = weights

        def get_weights(self):
            return self.weights

        def get_config(self):
            return {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "reset_after": True}

    class Bidirectional:
        def __init__(self, layer):
            self.forward_layer = self.backward_layer = layer

    with np.load(KERAS) as golden:
        layer = GRU(keras_weights(golden, "gru_after"))
    forward, backward = from_keras(Bidirectional(layer))
    assert forward.reset == backward.reset == "after"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kind": "ConvLSTM2D", "weights": []}, "a Keras layer of kind 'ConvLSTM2D' is none of LSTM, GRU, SimpleRNN"),
        ({"kind": "LSTM", "weights": [np.zeros((2, 8))]}, "has 3 weights, got 1"),
        ({"kind": "LSTM", "weights": [np.zeros((2, 8)), np.zeros((3, 8)), np.zeros(8)]}, "are no LSTM's"),
        (
            {"kind": "GRU", "weights": [np.zeros((2, 6)), np.zeros((2, 6)), np.zeros(6)], "reset_after": True},
            r"has a bias of shape \[2, 6\], got \[6\]",
        ),
        (
            {"kind": "LSTM", "weights": [np.zeros(1)] * 3, "recurrent_activation": "hard_sigmoid"},
            "recurrent_activation 'hard_sigmoid': the gates of recurra's cells are sigmoid",
        ),
    ],
)
def test_what_keras_has_otherwise_is_refused(arguments, reason):
    with pytest.raises((TypeError, ValueError), match=reason):
        from_keras(**arguments)
