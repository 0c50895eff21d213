# mypy: ignore-errors
"""TensorFlow 2's Keras layers inside a tf.function; time-major loops, batch-major arguments as Keras has them."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from protocol import serve

threads = int(os.environ["BENCH_THREADS"])
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(threads)


def layer(cell, hidden, **options):
    keras = tf.keras.layers
    if cell == "lstm":
        return keras.LSTM(hidden, **options)
    if cell == "rnn":
        return keras.SimpleRNN(hidden, **options)
    return keras.GRU(hidden, reset_after=cell == "gru_after", **options)


def prepare(job):
    w, cell = job["workload"], job["cell"]
    if job["mode"] == "stream":
        return stream(w, cell)
    layers = [layer(cell, w["hidden"], return_sequences=True) for _ in range(w["layers"])]
    inputs = tf.random.normal([w["batch"], w["steps"], w["features"]])
    grad = tf.random.normal([w["batch"], w["steps"], w["hidden"]])

    def outputs():
        values = inputs
        for one in layers:
            values = one(values)
        return values

    def gradients():
        with tf.GradientTape() as tape:
            values = outputs()
        return tape.gradient(values, [v for one in layers for v in one.trainable_variables], output_gradients=grad)

    compiled = tf.function(outputs if job["mode"] == "forward" else gradients)

    def run():
        result = compiled()
        (result[-1] if isinstance(result, list) else result).numpy()

    return run


def stream(w, cell):
    one = layer(cell, w["hidden"]).cell
    x = tf.random.normal([1, w["features"]])
    box = [[tf.zeros([1, w["hidden"]])] * (2 if cell == "lstm" else 1)]
    step = tf.function(lambda x, state: one(x, state))

    def run():
        _, box[0] = step(x, box[0])
        box[0][0].numpy()

    return run


serve("tensorflow", tf.__version__, prepare)
