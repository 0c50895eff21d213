"""Write dropout_plain_noise.npz: the uniform numbers behind dropout_plain.npz, from TensorFlow 1.15 itself.

Run under Python 3.7 with TensorFlow 1.15.0: `python tests/goldens/loops/make_dropout_noise.py`. A loop draws
from an op once an iteration, as consecutive runs of a session do.
"""

import json
import os

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS = json.loads(str(np.load(os.path.join(HERE, "dropout_plain.npz"))["meta"]))["seeds"]
noise = {}
for kind, size in (("input_0", 3), ("output_0", 4), ("state_1", 4)):
    with tf.Graph().as_default():
        tf.compat.v1.set_random_seed(1)
        draw = tf.random.uniform([4, size], seed=SEEDS[kind])
        with tf.compat.v1.Session() as session:
            noise[kind] = np.stack([session.run(draw) for _ in range(5)])
np.savez_compressed(os.path.join(HERE, "dropout_plain_noise.npz"), **noise)
