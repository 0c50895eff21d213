"""Graphs as TensorFlow 1.15 writes them: a meta graph with its training half, a frozen graph, a SavedModel.

PYTHON_OF_TF115 make_graphs.py        (writes beside itself)
"""

import os

import numpy as np
import tensorflow as tf

HERE = os.path.dirname(os.path.abspath(__file__))
FEEDS = {"x:0": np.array([[1, 4, 2, 0], [3, 3, 0, 0], [5, 1, 2, 6]]), "n:0": [3, 2, 4], "y:0": [0, 2, 1]}


def build():
    """A tagger's shape in small: embedding, LSTM over lengths, a branch, a dense layer, a training step."""
    tf.set_random_seed(5)
    x, n = tf.placeholder(tf.int32, [None, None], name="x"), tf.placeholder(tf.int32, [None], name="n")
    y, keep = tf.placeholder(tf.int32, [None], name="y"), tf.placeholder_with_default(1.0, [], name="keep")
    embedding = tf.get_variable("embedding", [7, 3], initializer=tf.random_normal_initializer(seed=1))
    cell = tf.nn.rnn_cell.BasicLSTMCell(2)
    _, state = tf.nn.dynamic_rnn(cell, tf.nn.embedding_lookup(embedding, x), n, dtype=tf.float32)
    top = tf.cond(keep < 0.5, lambda: tf.nn.relu(state.h), lambda: state.h * 2, name="choose")
    logits = tf.layers.dense(top, 3, name="out")
    tf.add_to_collection("probs", tf.nn.softmax(logits, name="probs"))
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits), name="loss")
    optimizer = tf.train.GradientDescentOptimizer(0.5)
    pairs = optimizer.compute_gradients(loss)
    clipped, _ = tf.clip_by_global_norm([g for g, _ in pairs], 1.0)
    step = tf.train.get_or_create_global_step()
    optimizer.apply_gradients(zip(clipped, [v for _, v in pairs]), step, name="train")  # noqa: B905 (Python 3.7)


def main():
    with tf.Graph().as_default() as graph, tf.Session() as session:
        build()
        saver = tf.train.Saver()
        session.run(tf.global_variables_initializer())
        saver.save(session, os.path.join(HERE, "lstm"), write_meta_graph=False, write_state=False)
        saver.export_meta_graph(os.path.join(HERE, "lstm.meta"), strip_default_attrs=True)
        frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["probs"])
        with open(os.path.join(HERE, "lstm_frozen.pb"), "wb") as file:
            file.write(frozen.SerializeToString())
        values = {"probs": session.run("probs:0", FEEDS), "probs_low": session.run("probs:0", {**FEEDS, "keep:0": 0.1})}
        values["losses"] = [session.run(["loss:0", "train"], FEEDS)[0] for _ in range(4)]
    np.savez(os.path.join(HERE, "lstm.npz"), **values)
    os.chdir(HERE)  # the saved model names the file of its words: a relative path, of no machine
    with tf.Graph().as_default(), tf.Session() as session:
        words = tf.placeholder(tf.string, [None], name="words")
        table = tf.contrib.lookup.index_table_from_file("words.txt")
        weights = tf.get_variable(
            "weights", [3], initializer=tf.constant_initializer([0.5, 1.5, 2.5]), use_resource=True
        )
        scores = tf.gather(weights, tf.maximum(table.lookup(words), 0))
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        inputs, outputs = {"words": words}, {"scores": scores}
        builder = tf.saved_model.builder.SavedModelBuilder("lookup_saved")
        signature = tf.saved_model.predict_signature_def(inputs, outputs)
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=tf.tables_initializer(),
            assets_collection=tf.get_collection(tf.GraphKeys.ASSET_FILEPATHS), strip_default_attrs=True,
        )  # fmt: skip
        builder.save()


if __name__ == "__main__":
    main()
