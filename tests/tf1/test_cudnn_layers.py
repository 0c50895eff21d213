"""tf.contrib.cudnn_rnn's layers against torch's own LSTM, GRU and RNN, which keep cuDNN's equations and order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.tf1.graph import Graph
from recurra.tf1.namespace import space

tf = space("")
STEPS, BATCH, FEATURES, UNITS, LAYERS = 5, 3, 4, 6, 2
MADE = {
    "CudnnLSTM": torch.nn.LSTM,
    "CudnnGRU": torch.nn.GRU,
    "CudnnRNNTanh": torch.nn.RNN,
    "CudnnRNNRelu": lambda *a, **k: torch.nn.RNN(*a, nonlinearity="relu", **k),
}

SCOPES = {
    "CudnnLSTM": "cudnn_lstm",
    "CudnnGRU": "cudnn_gru",
    "CudnnRNNTanh": "cudnn_rnn_tanh",
    "CudnnRNNRelu": "cudnn_rnn_relu",
}


def _flat(module: torch.nn.RNNBase) -> np.ndarray:
    """All matrices, then all vectors, by layer and direction."""
    matrices = [p for p in module.parameters() if p.dim() == 2]
    vectors = [p for p in module.parameters() if p.dim() == 1]
    return torch.cat([p.detach().reshape(-1) for p in (*matrices, *vectors)]).numpy()


@pytest.mark.parametrize("direction", ["unidirectional", "bidirectional"])
@pytest.mark.parametrize("name", MADE)
def test_layers_are_torch_s(name, direction):
    torch.manual_seed(0)
    twice = direction == "bidirectional"
    theirs = MADE[name](FEATURES, UNITS, LAYERS, bidirectional=twice)
    x = torch.randn(STEPS, BATCH, FEATURES)
    states = [torch.randn(LAYERS * (1 + twice), BATCH, UNITS) for _ in range(2 if name == "CudnnLSTM" else 1)]
    outputs, final = theirs(x, tuple(states) if len(states) == 2 else states[0])
    outputs.square().sum().backward()
    gradient = _flat_gradient(theirs)
    with Graph().as_default(), tf.Session() as session:
        layer = getattr(tf.contrib.cudnn_rnn, name)(LAYERS, UNITS, direction=direction)
        made, ours = layer(tf.constant(x.numpy()), initial_state=tuple(tf.constant(s.numpy()) for s in states))
        session.run(tf.assign(layer.kernel, _flat(theirs)))
        slope = tf.gradients(tf.reduce_sum(tf.square(made)), layer.kernel)[0]
        got, got_final, got_slope = session.run([made, ours, slope])
        assert [v.op.name for v in tf.trainable_variables()] == [f"{SCOPES[name]}/opaque_kernel"]
        assert made.shape.as_list() == [STEPS, BATCH, UNITS * (1 + twice)]
    finals = final if isinstance(final, tuple) else (final,)
    np.testing.assert_allclose(got, outputs.detach(), atol=1e-5)
    for mine, theirs_final in zip(got_final, finals, strict=True):
        np.testing.assert_allclose(mine, theirs_final.detach(), atol=1e-5)
    np.testing.assert_allclose(got_slope, gradient, atol=1e-4)


def _flat_gradient(module: torch.nn.RNNBase) -> np.ndarray:
    parameters = list(module.parameters())
    ordered = [p for p in parameters if p.dim() == 2] + [p for p in parameters if p.dim() == 1]
    return torch.cat([p.grad.reshape(-1) for p in ordered]).numpy()


def test_a_layer_starts_from_zeros_and_learns():
    with Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        x = tf.constant(np.random.default_rng(0).standard_normal((STEPS, BATCH, FEATURES)).astype(np.float32))
        layer = tf.contrib.cudnn_rnn.CudnnLSTM(LAYERS, UNITS, dropout=0.3)
        outputs, (h, c) = layer(x, training=False)
        loss = tf.reduce_mean(tf.square(outputs - 0.5))
        step = tf.train.AdamOptimizer(0.05).minimize(loss)
        session.run(tf.global_variables_initializer())
        first = session.run(loss)
        for _ in range(30):
            session.run(step)
        assert session.run(loss) < 0.5 * first
        assert session.run([h, c])[0].shape == (LAYERS, BATCH, UNITS)


def test_bad_arguments():
    with pytest.raises(ValueError, match="direction"):
        tf.contrib.cudnn_rnn.CudnnLSTM(1, 2, direction="sideways")
    with Graph().as_default(), pytest.raises(ValueError, match="ndim"):
        tf.contrib.cudnn_rnn.CudnnGRU(1, 2)(tf.zeros([2, 3]))
