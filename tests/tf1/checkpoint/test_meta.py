"""What graphs tell about their cells."""

import pytest

import recurra.tf1.checkpoint as ckpt
from tests.tf1.checkpoint.goldens import GOLDENS, needs_shared
from tests.tf1.checkpoint.published import prefix

META = GOLDENS / "ckpt_v2_files" / "model.ckpt-4.meta"


def test_variables_collections_and_version():
    meta = ckpt.read_meta(META)
    assert meta.tensorflow_version == "1.15.0"
    checkpoint = ckpt.open(GOLDENS / "ckpt_v2_files" / "model.ckpt-4")
    for name, variable in meta.variables.items():
        if name in checkpoint.variables and checkpoint.variables[name].dtype != "string":
            assert variable.shape == checkpoint.variables[name].shape, name
            assert variable.dtype == checkpoint.variables[name].dtype, name
    assert any(variable.trainable for variable in meta.variables.values())
    assert meta.collection("no such collection") == []
    assert meta.collection("train_op"), "a list of node names"


def test_the_prefix_finds_its_meta_file():
    assert ckpt.read_meta(GOLDENS / "ckpt_v2_files" / "model.ckpt-4").path == str(META)
    with pytest.raises(ckpt.CheckpointNotFoundError):
        ckpt.read_meta(GOLDENS / "ckpt_v1_files" / "model.ckpt-4")


@needs_shared
def test_facts_of_published_graphs():
    dynamic = ckpt.read_meta(prefix("01")).cell_facts("bidirectional_rnn/bw/lstm_cell/kernel")
    assert (dynamic.forget_bias, dynamic.activation, dynamic.loop) == (1.0, "tanh", "dynamic")
    assert dynamic.time_major is False and dynamic.reversed_by == "ReverseV2"
    static = ckpt.read_meta(prefix("05a")).cell_facts("rnnlm/MultiRNNCell/Cell1/BasicLSTMCell/Linear/Matrix")
    assert (static.forget_bias, static.loop, static.steps) == (1.0, "static", 50)
    assert ckpt.read_meta(prefix("01")).uses("Variable") == {"GatherV2"}


def test_clips_projection_and_activation(tmp_path):
    """A graph of TensorFlow 1.15 with every option (golden, made by tests/goldens/checkpoints/make_options_meta.py)."""
    meta = ckpt.read_meta(GOLDENS / "options.meta")
    full = meta.cell_facts("a/rnn/lstm_cell/kernel")
    assert (full.forget_bias, full.activation, full.clips) == (0.5, "relu", (3.0, 2.0))
    assert full.time_major is True
    assert meta.cell_facts("b/rnn/lstm_cell/kernel").clips == (4.0,)
    block = meta.cell_facts("c/rnn/lstm_cell/kernel")
    assert (block.op, block.forget_bias, block.clips) == ("LSTMBlockCell", 0.25, (5.0,))
    gru = meta.cell_facts("d/rnn/gru_cell/candidate/kernel")
    assert gru.activation == "sigmoid" and gru.time_major is False
    assert meta.cell_facts("e/rnn/basic_rnn_cell/kernel").activation == "relu"
    assert meta.cell_facts("f/rnn/lstm_cell/kernel/part_0").forget_bias == 1.0


def test_damaged_files(tmp_path):
    data = META.read_bytes()
    (tmp_path / "a.meta").write_bytes(data[: len(data) // 2])
    with pytest.raises(ckpt.CheckpointError, match="is not a MetaGraphDef, or is damaged"):
        ckpt.read_meta(tmp_path / "a.meta")
    copy = ckpt.write_meta(tmp_path / "b.meta", ckpt.read_meta(META).proto)
    assert ckpt.read_meta(copy).proto == ckpt.read_meta(META).proto


def test_the_graphs_of_our_own(tmp_path):
    """A cell here is one operation, which keeps its options."""
    import recurra.tf1 as tf

    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 7, 3])
        cell = tf.nn.rnn_cell.LSTMCell(4, forget_bias=0.3, use_peepholes=True, activation=tf.nn.relu)
        tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
        tf.train.export_meta_graph(str(tmp_path / "own.meta"))
    facts = ckpt.read_meta(tmp_path / "own.meta").cell_facts("rnn/lstm_cell/kernel")
    assert (facts.forget_bias, facts.activation, facts.loop, facts.time_major) == (0.3, "relu", "dynamic", False)
