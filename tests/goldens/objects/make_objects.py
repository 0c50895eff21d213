"""Writes, under TensorFlow 1.15, object-based checkpoints of small models and the losses that follow.

    python make_objects.py            # with TensorFlow 1.15, into this folder

The same program (`program`) runs under recurra in tests/tf1/test_object_checkpoints.py.
"""

import json
import os

import numpy as np


def networks(tf):
    """A subclassed model, a row of layers, and a model between tensors."""

    class Encoder(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = tf.keras.layers.Embedding(7, 3)
            self.gru = tf.keras.layers.GRU(4, return_sequences=True, return_state=True)
            self.rows = [tf.keras.layers.Dense(2), tf.keras.layers.Dense(3)]
            self.named = {"a": tf.keras.layers.Dense(2)}
            self.norm = tf.keras.layers.BatchNormalization()
            self.shift = tf.contrib.eager.Variable([1.0, 2.0])
            self.both = tf.keras.layers.Bidirectional(tf.keras.layers.LSTM(2, return_sequences=True))

        def call(self, x):
            y, _ = self.gru(self.embedding(x))
            y = self.both(y)
            extra = tf.reduce_sum(self.shift) + tf.reduce_sum(self.named["a"](y))
            return self.norm(self.rows[1](self.rows[0](y))) + extra

    dense, act = tf.keras.layers.Dense, tf.keras.layers.Activation
    row = tf.keras.Sequential([dense(2, input_shape=(3,)), act("tanh"), dense(1)])
    entry = tf.keras.layers.Input((3,))
    between = tf.keras.Model(entry, dense(1)(tf.keras.layers.Dropout(0.1)(entry)))
    return Encoder(), row, between


def training(tf):
    """(checkpoint, a function that trains one step and gives the loss before it)."""
    encoder, row, between = networks(tf)
    cell, top = tf.nn.rnn_cell.BasicLSTMCell(3), tf.layers.Dense(2)
    optimizer, step = tf.train.AdamOptimizer(0.01), tf.train.get_or_create_global_step()
    checkpoint = tf.train.Checkpoint(
        optimizer=optimizer, encoder=encoder, row=row, between=between, step=step, cell=cell, top=top
    )
    x = tf.constant([[1, 2, 3], [3, 2, 1]])

    def run():
        with tf.GradientTape() as tape:
            codes = encoder(x)
            y = between(codes[:, 0, :]) + row(codes[:, 1, :])
            h, _ = cell(y, cell.zero_state(2, tf.float32))
            loss = tf.reduce_sum(top(h) ** 2) + tf.reduce_sum(y)
        owners = (encoder, row, between, cell, top)
        variables = [v for owner in owners for v in owner.trainable_variables]
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients([(g, v) for g, v in zip(gradients, variables)], global_step=step)  # noqa: B905
        return float(loss)

    return checkpoint, run


def nested(tf):
    """A model whose parts hold others: cells in layers, a layer in a layer, a row that learns its shape when called."""
    layers = tf.keras.layers

    class Nested(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.rnn = layers.RNN(layers.LSTMCell(3), return_sequences=True)
            self.stack = layers.RNN(layers.StackedRNNCells([layers.GRUCell(2), layers.SimpleRNNCell(2)]), True)
            self.each = layers.TimeDistributed(layers.Dense(2))
            self.row = tf.keras.Sequential([layers.Dense(2, activation="tanh"), layers.Dropout(0.1), layers.Dense(1)])

        def call(self, x):
            return self.row(self.each(self.stack(self.rnn(x))))

    return Nested()


NESTED = np.arange(12, dtype="float32").reshape(2, 3, 2) / 10
WORDS = np.arange(24).reshape(6, 4) % 5
VALUES = np.arange(6).reshape(6, 1) / 6.0


def fitted(tf):
    """A compiled model of Keras' layers."""
    layers = tf.keras.layers
    model = tf.keras.Sequential([layers.Embedding(5, 3, input_length=4), layers.GRU(4), layers.Dense(1)])
    model.compile(tf.keras.optimizers.Adam(0.01), "mse")
    return model


def fit(model):
    """The loss of one epoch of one batch."""
    history = model.fit(WORDS, VALUES, epochs=1, shuffle=False, verbose=0, batch_size=6).history
    return float(history["loss"][0])


if __name__ == "__main__":
    import tensorflow as tf

    tf.enable_eager_execution()
    tf.set_random_seed(3)
    here = os.path.dirname(os.path.abspath(__file__))
    checkpoint, run = training(tf)
    for _ in range(3):
        run()
    checkpoint.save(os.path.join(here, "training"))
    losses = {"training": [run(), run()]}
    model = fitted(tf)
    for _ in range(3):
        fit(model)
    model.save_weights(os.path.join(here, "weights"))
    model.save(os.path.join(here, "model.h5"))
    losses["weights"] = [fit(model), fit(model)]
    model = nested(tf)
    losses["nested"] = [float(tf.reduce_sum(model(tf.constant(NESTED))))]
    tf.train.Checkpoint(model=model).save(os.path.join(here, "nested"))
    with open(os.path.join(here, "losses.json"), "w") as file:
        json.dump(losses, file)
    os.remove(os.path.join(here, "checkpoint"))
