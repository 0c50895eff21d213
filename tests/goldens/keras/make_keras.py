"""Write keras.npz: PYTHON_OF_TF115 make_keras.py"""

import os

import numpy as np
import tensorflow as tf
from keras_models import MODELS, losses, metrics, run


def main():
    found = {}
    for make in MODELS:
        tf.keras.backend.clear_session()
        found.update(run(tf.keras, make))

    def evaluate(loss, target, output):
        return tf.keras.backend.eval(loss(tf.constant(target), tf.constant(output)))

    found.update(losses(tf.keras, evaluate))
    found.update(metrics(tf))
    np.savez(os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras.npz"), **found)


if __name__ == "__main__":
    main()
