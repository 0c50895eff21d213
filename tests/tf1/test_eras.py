"""The era of a program, read from its source."""

from __future__ import annotations

import ast

import pytest

import recurra.tf1 as tf
from recurra.tf1 import eras, sourcescan

TF = "import tensorflow as tf\n"
CASES = {  # source after the import -> (version answered, a word of the reason)
    "tf.constant(1)": ("1.8.0", "nothing"),
    "x = tf.split(0, 3, y)": ("0.12.1", "tf.split(axis"),
    "x = tf.split(y, 3, 0)": ("1.8.0", "tf.split(value"),
    "x = tf.concat(1, [a, b])": ("0.12.1", "tf.concat(axis"),
    "x = tf.concat([a, b], 1)": ("1.8.0", "tf.concat(values"),
    "c = tf.nn.rnn_cell.BasicLSTMCell(5, state_is_tuple=True)\ntf.nn.rnn(c, x)": ("0.10.0", "state_is_tuple"),
    "c = tf.nn.rnn_cell.BasicLSTMCell(5)\ns = tf.placeholder('float', [None, 2 * n])\ntf.nn.rnn(c, x)": (
        "0.10.0",
        "side by side",
    ),
    "c = tf.nn.rnn_cell.BasicLSTMCell(5)\ntf.nn.rnn(c, x)\ntf.global_variables_initializer()": ("0.12.1", "tf.nn.rnn"),
    "o, s = tf.contrib.seq2seq.dynamic_decode(d)\ntf.contrib.seq2seq.TrainingHelper(x, n)": ("1.1.0", "two values"),
    "o, s, n = tf.contrib.seq2seq.dynamic_decode(d)\ntf.contrib.seq2seq.TrainingHelper(x, n)": (
        "1.8.0",
        "dynamic_decode on line 2",
    ),
    "c = tf.nn.rnn_cell.BasicLSTMCell(4)\ntf.nn.rnn(c, x)\nc.zero_state(2, tf.float32).eval()": (
        "0.10.0",
        "side by side",
    ),
    "c = tf.nn.rnn_cell.BasicLSTMCell(4)\ntf.nn.rnn(c, x)\ns.run(c.zero_state(2, tf.float32))": ("0.12.1", "no mark"),
    "from tensorflow.models.rnn import rnn_cell\nrnn_cell.GRUCell(3)": ("0.8.0", "models.rnn"),
    "tf.contrib.rnn.core_rnn_cell.GRUCell(3)": ("1.1.0", "core_rnn_cell"),
    "tf.contrib.seq2seq.simple_decoder_fn_train(s)": ("1.1.0", "simple_decoder"),
    "tf.nn.dropout(x, rate=0.5)": ("1.15.0", "rate="),
    "m = '1.12.0'\nassert LooseVersion(tf.__version__) >= LooseVersion(m)": ("1.15.0", "asks for 1.12"),
    "assert LooseVersion(tf.__version__) >= LooseVersion('1.3')": ("1.8.0", "asks for 1.3"),
    "for k, v in tf.flags.FLAGS.__flags.items(): print(k, v)": ("1.4.0", "__flags"),
    "for k, v in tf.flags.FLAGS.__flags.items(): print(k, v.value)": ("1.8.0", "nothing"),
    "import tensorflow.compat.v1 as tf": ("1.15.0", "compat.v1"),
    "if tf.__version__ < '1.3': pass\ntf.nn.dropout(x, rate=0.5)": ("1.9.0", "compared as text"),
    # both generations, chosen by version: the newer is meant
    "try:\n  tf.nn.rnn(c, x)\nexcept AttributeError:\n  tf.contrib.rnn.static_rnn(c, x)": ("1.8.0", "contrib.rnn"),
    "tf.nn.softmax_cross_entropy_with_logits(a, b)": ("0.12.1", "without names"),
    "tf.nn.softmax_cross_entropy_with_logits(logits=a, labels=b)": ("1.8.0", "nothing"),
}


@pytest.mark.parametrize("source", CASES)
def test_detected(source: str) -> None:
    version, reason = CASES[source]
    guess = eras.detect(sourcescan.scan(ast.parse(TF + source)))
    assert guess.era.text == version
    assert reason in guess.reason
    assert version in guess.line and "--tf-version" in guess.line


def test_parse() -> None:
    assert eras.parse("0.10") == (0, 10, 0)
    assert eras.parse("v1.15.2").text == "1.15.2"
    assert eras.parse("0.12").text == "0.12.1"
    assert eras.parse("1.2") < (1, 10)
    for wrong in ("2.0", "1.16", "0.5", "one"):
        with pytest.raises(ValueError, match=r"expected 0.6 to 0.12 or 1.0 to 1.15"):
            eras.parse(wrong)


def test_using_restores() -> None:
    before = eras.current()
    with eras.using(eras.parse("0.8")):
        assert eras.current() < (0, 9)
    assert eras.current() == before


def test_aliases_are_followed() -> None:
    source = (
        "from tensorflow.python.ops import rnn_cell as rc\nimport tensorflow.contrib.layers as "
        "L\ncell = rc.GRUCell\ncell(3)\nL.linear(x)"
    )
    names = {use.name for use in sourcescan.scan(ast.parse(source)).uses}
    assert {"python.ops.rnn_cell.GRUCell", "contrib.layers.linear"} <= names
    calls = [u for u in sourcescan.scan(ast.parse(source)).uses if u.call is not None]
    assert {u.name for u in calls} == {"python.ops.rnn_cell.GRUCell", "contrib.layers.linear"}


def test_decoding_in_release_1_1() -> None:
    """The wrapper's state had two parts and dynamic_decode two results."""
    with eras.using(eras.parse("1.1")), tf.Graph().as_default(), tf.Session() as session:
        seq2seq = tf.contrib.seq2seq
        mechanism = seq2seq.BahdanauAttention(4, tf.ones([2, 3, 5]), [2, 3], normalize=False)
        cell = seq2seq.DynamicAttentionWrapper(tf.contrib.rnn.BasicLSTMCell(4), mechanism, 6)
        start = seq2seq.DynamicAttentionWrapperState(cell.zero_state(2, tf.float32).cell_state, tf.zeros([2, 6]))
        helper = seq2seq.TrainingHelper(tf.ones([2, 4, 3]), [4, 3])
        decoder = seq2seq.BasicDecoder(cell, helper, start, tf.layers.Dense(7))
        outputs, state = seq2seq.dynamic_decode(decoder, impute_finished=True)
        session.run(tf.global_variables_initializer())
        rows, attention = session.run([outputs.rnn_output, state.attention])
        assert rows.shape == (2, 4, 7) and attention.shape == (2, 6)
        assert not rows[1, 3].any() and rows[1, 2].any()
