"""Write options.meta: run by TensorFlow 1.15 (python3.7 make_options_meta.py OUT)."""

import sys

import tensorflow as tf

rnn = tf.nn.rnn_cell
with tf.Graph().as_default():
    x = tf.placeholder(tf.float32, [None, 6, 4])

    def run(scope, cell, time_major=False):
        with tf.variable_scope(scope):
            tf.nn.dynamic_rnn(cell, x, dtype=tf.float32, time_major=time_major)

    run(
        "a",
        rnn.LSTMCell(
            5, use_peepholes=True, cell_clip=3.0, num_proj=3, proj_clip=2.0, forget_bias=0.5, activation=tf.nn.relu
        ),
        True,
    )
    run("b", rnn.LSTMCell(5, cell_clip=4.0))
    run("c", tf.contrib.rnn.LSTMBlockCell(5, forget_bias=0.25, cell_clip=5.0))
    run("d", rnn.GRUCell(5, activation=tf.sigmoid))
    run("e", rnn.BasicRNNCell(5, activation=tf.nn.relu))
    run("f", rnn.LSTMCell(5, num_unit_shards=2))
    tf.train.export_meta_graph(sys.argv[1], clear_extraneous_savers=True)
