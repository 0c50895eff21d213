"""One training step of an LSTM, written as dynamic_rnn, as a Python loop over a cell, and in products and sigmoids.

    python benchmarks/loops_beside_tensorflow.py                        # under recurra
    TF_PYTHON benchmarks/loops_beside_tensorflow.py --tensorflow        # under TensorFlow (1.15, or compat.v1 of 2.x)

Prints a row per loop: milliseconds of a Session.run that trains (median), and that over dynamic_rnn's.
"""

import argparse
import time

import numpy as np


def by_cell(tf, x, steps, units):
    """for t: cell(x[:, t], state)."""
    cell, outputs = tf.nn.rnn_cell.BasicLSTMCell(units), []
    state = cell.zero_state(x.shape[0], tf.float32)
    for t in range(steps):
        output, state = cell(x[:, t], state)
        outputs.append(output)
    return tf.stack(outputs, 1)


def dynamic(tf, x, steps, units):
    """dynamic_rnn."""
    return tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(units), x, dtype=tf.float32)[0]


def written_out(tf, x, steps, units):
    """The equations of the cell, step by step."""
    features = int(x.shape[2])
    gates = [
        (
            tf.get_variable("w" + g, [features, units]),
            tf.get_variable("u" + g, [units, units]),
            tf.get_variable("b" + g, [units]),
        )
        for g in "ifoc"
    ]
    h = c = tf.zeros([int(x.shape[0]), units])
    outputs = []
    for t in range(steps):
        i, f, o, new = (tf.matmul(x[:, t], w) + tf.matmul(h, u) + b for w, u, b in gates)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(new)
        h = tf.sigmoid(o) * tf.tanh(c)
        outputs.append(h)
    return tf.stack(outputs, 1)


def milliseconds(tf, loop, batch, steps, features, units, seconds):
    """Of one training step."""
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [batch, steps, features])
    loss = tf.reduce_mean(tf.square(loop(tf, x, steps, units) - 0.1))
    step = tf.train.AdamOptimizer().minimize(loss)
    fed = {x: np.random.RandomState(0).normal(size=(batch, steps, features)).astype(np.float32)}
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(step, fed)
        taken, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            start = time.perf_counter()
            session.run(step, fed)
            taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2] * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensorflow", action="store_true")
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    if given.tensorflow:
        import tensorflow as tf

        if not tf.__version__.startswith("1."):
            tf = tf.compat.v1
            tf.disable_v2_behavior()
    else:
        import recurra.tf1 as tf
    print("| batch, steps, features, units | dynamic_rnn, ms | loop over a cell | ratio | written out | ratio |")
    print("|---|---:|---:|---:|---:|---:|")
    for sizes in ((10, 20, 10, 20), (20, 35, 64, 64), (32, 120, 10, 32)):
        row = [milliseconds(tf, loop, *sizes, given.seconds) for loop in (dynamic, by_cell, written_out)]
        ratios = [row[0], row[1], row[1] / row[0], row[2], row[2] / row[0]]
        print("| " + ", ".join(map(str, sizes)) + " | " + " | ".join(f"{number:.2f}" for number in ratios) + " |")


if __name__ == "__main__":
    main()
