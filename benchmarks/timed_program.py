"""One program under one engine, with the time of every Session.run; started by programs_beside_tensorflow.py.

    timed_program.py recurra|tensorflow RUNS SECONDS PROGRAM [its arguments]       # writes timing.json

Runs under any Python that the engine does (3.7 for TensorFlow 1.15).
"""

import copy
import json
import os
import runpy
import sys
import time
import types


class _Clock:
    """Notes when every Session.run ended, and stops the program when it has seen enough."""

    def __init__(self, runs, seconds):
        self.runs, self.seconds, self.start, self.ends = runs, seconds, time.perf_counter(), []

    def watch(self, session):
        """Time `session`'s class' run."""
        run = session.run

        def timed(*args, **kwargs):
            result = run(*args, **kwargs)
            self.ends.append(time.perf_counter() - self.start)
            if len(self.ends) >= self.runs or self.ends[-1] > self.seconds:
                raise SystemExit(0)
            return result

        session.run = timed


def main():
    engine, runs, seconds, program = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    clock = _Clock(runs, seconds)
    arguments = sys.argv[5:]
    try:
        if engine == "recurra":
            from recurra._threads import let_waiting_threads_sleep

            let_waiting_threads_sleep()  # as `recurra run` does
            from recurra.tf1 import names, runner, session

            names.load_all()
            clock.watch(session.BaseSession)
            clock.start = time.perf_counter()
            runner.run(program, arguments, runner.Options())
        else:
            clock.watch(_tensorflow())
            sys.argv[:] = [program, *arguments]
            sys.path.insert(0, os.path.dirname(program))
            clock.start = time.perf_counter()
            runpy.run_path(program, run_name="__main__")
    finally:
        with open("timing.json", "w") as file:
            json.dump(clock.ends, file)


def _tensorflow():
    """The class behind tf.Session, after `import tensorflow` was made to give what old programs expect by name."""
    import tensorflow as tf

    v1 = tf if tf.__version__.startswith("1.") else tf.compat.v1
    if v1 is not tf:
        v1.disable_v2_behavior()
        contrib = types.ModuleType("tensorflow.contrib")
        contrib.rnn = types.ModuleType("tensorflow.contrib.rnn")
        for name in ("BasicRNNCell", "BasicLSTMCell", "LSTMCell", "GRUCell", "MultiRNNCell", "DropoutWrapper"):
            setattr(contrib.rnn, name, getattr(v1.nn.rnn_cell, name))
        contrib.rnn.static_rnn = v1.nn.static_rnn
        v1.contrib = contrib
        sys.modules.update({"tensorflow": v1, "tensorflow.contrib": contrib, "tensorflow.contrib.rnn": contrib.rnn})
    _read_data_sets(v1)
    _old_names(v1)
    return sys.modules["tensorflow.python.client.session"].BaseSession


def _old_names(tf):
    """The argument orders and names of 0.10, told apart by the arguments, on top of later ones."""
    split, concat, multi = tf.split, tf.concat, tf.nn.rnn_cell.MultiRNNCell

    def old_split(value, num_or_size_splits, axis=0, **kwargs):
        if isinstance(value, int):
            value, axis = axis, value
        return split(value, num_or_size_splits, axis, **kwargs)

    def old_concat(values, axis, **kwargs):
        return concat(axis, values, **kwargs) if isinstance(values, int) else concat(values, axis, **kwargs)

    def own_cells(cells, state_is_tuple=True):
        seen = []
        for cell in cells:
            seen.append(copy.deepcopy(cell) if any(cell is c for c in seen) else cell)
        return multi(seen, state_is_tuple=state_is_tuple)

    def sequence_loss_by_example(logits, targets, weights):
        terms = [
            tf.nn.sparse_softmax_cross_entropy_with_logits(logits=l, labels=t) * w
            for l, t, w in zip(logits, targets, weights)  # noqa: B905
        ]
        return tf.add_n(terms) / (tf.add_n(weights) + 1e-12)

    tf.split, tf.concat, tf.nn.rnn_cell.MultiRNNCell = old_split, old_concat, own_cells
    tf.initialize_all_variables, tf.nn.rnn = tf.global_variables_initializer, tf.nn.static_rnn
    tf.nn.seq2seq = types.SimpleNamespace(sequence_loss_by_example=sequence_loss_by_example)


def _read_data_sets(tf):
    """tensorflow.examples.tutorials.mnist and keras.datasets.mnist from files that lie in ./data."""
    import gzip

    import numpy as np

    def read(name, offset):
        path = os.path.join("data", name)
        with open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=offset)

    def load_data(path="mnist.npz"):
        parts = []
        for part in ("train", "t10k"):
            parts.append(
                (read(part + "-images-idx3-ubyte", 16).reshape(-1, 28, 28), read(part + "-labels-idx1-ubyte", 8))
            )
        return tuple(parts)

    class Batches:
        def __init__(self, images, labels):
            self.images, self.labels, self.at = images.reshape(-1, 784).astype(np.float32) / 255, np.eye(10)[labels], 0
            self.num_examples = len(images)

        def next_batch(self, size):
            if self.at + size > len(self.images):
                order, self.at = np.random.permutation(len(self.images)), 0
                self.images, self.labels = self.images[order], self.labels[order]
            self.at += size
            return self.images[self.at - size : self.at], self.labels[self.at - size : self.at]

    def read_data_sets(folder, one_hot=False):
        (x, y), (x_test, y_test) = load_data()
        return types.SimpleNamespace(train=Batches(x[5000:], y[5000:]), test=Batches(x_test, y_test))

    tf.keras.datasets.mnist.load_data = load_data
    input_data = types.SimpleNamespace(read_data_sets=read_data_sets)
    for name in ("examples", "examples.tutorials", "examples.tutorials.mnist"):
        module = sys.modules["tensorflow." + name] = types.ModuleType("tensorflow." + name)
        module.__path__ = []
    sys.modules["tensorflow.examples.tutorials.mnist"].input_data = input_data


if __name__ == "__main__":
    main()
