"""Weights and outputs of Keras layers: run with TensorFlow 2.15 (python make_keras.py OUT)."""

import sys

import numpy as np
import tensorflow as tf

K = tf.keras.layers
r = np.random.RandomState(0)
out = {}
x = r.randn(3, 6, 4).astype("f")
out["inputs"] = x
layers = {
    "lstm": K.LSTM(5, return_sequences=True),
    "lstm_relu_nobias": K.LSTM(5, return_sequences=True, activation="relu", use_bias=False),
    "gru_after": K.GRU(5, return_sequences=True),
    "gru_before": K.GRU(5, return_sequences=True, reset_after=False),
    "gru_after_nobias": K.GRU(5, return_sequences=True, use_bias=False),
    "rnn": K.SimpleRNN(5, return_sequences=True),
    "rnn_relu": K.SimpleRNN(5, return_sequences=True, activation="relu"),
}
for n, l in layers.items():
    l(x)
    l.set_weights([r.randn(*w.shape).astype("f") * 0.5 for w in l.get_weights()])
    out[f"{n}/outputs"] = l(x).numpy()
    for i, w in enumerate(l.get_weights()):
        out[f"{n}/weights/{i}"] = w
np.savez_compressed(sys.argv[1], **out)
