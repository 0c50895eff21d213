"""Summaries and event files; the numbers of the histogram are TensorFlow 1.15's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf

Summary = tf.Summary


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as g:
        yield g


def value_of(op) -> object:
    with tf.Session() as session:
        return Summary.FromString(session.run(op)).value[0]


def test_histogram() -> None:
    histo = value_of(tf.summary.histogram("h", np.array([0.0, 1.0, 2.5, -3.0, 1e-13, 1.0], np.float32))).histo
    assert (histo.min, histo.max, histo.num, histo.sum_squares) == (-3.0, 2.5, 6.0, 17.25)
    limits = [-3.1665833053880363, -2.8787120958073054, 0.0, 1e-12, 0.917246389039776, 1.0089710279437536]
    limits += [2.379100905625872, 2.6170109961884593, 1.7976931348623157e308]
    np.testing.assert_allclose(histo.bucket_limit, limits, rtol=1e-12)
    assert list(histo.bucket) == [0, 1, 0, 2, 0, 2, 0, 1, 0]


def test_tags_and_merging() -> None:
    op = tf.summary.scalar("a b", 2.0, family="fam")
    value = value_of(op)
    assert value.tag == "fam/fam/a_b" and value.simple_value == 2.0
    with tf.name_scope("layer"):
        assert value_of(tf.summary.scalar("x", 1.0)).tag == "layer/x"
    tf.summary.scalar("x", 3.0)
    with tf.Session() as session:
        merged = Summary.FromString(session.run(tf.summary.merge_all()))
        assert [v.tag for v in merged.value] == ["fam/fam/a_b", "layer/x", "x"]
        with pytest.raises(tf.errors.InvalidArgumentError, match="Duplicate tag old"):
            session.run(tf.merge_summary([tf.scalar_summary("old", 1.0), tf.scalar_summary("old", 2.0)]))
        with pytest.raises(tf.errors.InvalidArgumentError, match="Nan in summary histogram for: n"):
            session.run(tf.summary.histogram("n", [np.nan]))


def test_image() -> None:
    from io import BytesIO

    from PIL import Image

    x = np.linspace(-1, 1, 12).reshape(1, 2, 3, 2)[..., :1].astype(np.float32)
    value = value_of(tf.summary.image("im", x))
    pixels = np.asarray(Image.open(BytesIO(value.image.encoded_image_string)))
    assert value.tag == "im/image/0" and value.image.colorspace == 1
    np.testing.assert_allclose(pixels, x[0, ..., 0] * 127 + 128, atol=1)


def test_event_files_are_tensorboards(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    loss = tf.summary.scalar("loss", 0.5)
    with tf.Session() as session, tf.summary.FileWriter(str(tmp_path), session.graph) as writer:
        writer.add_summary(session.run(loss), global_step=3)
        writer.flush()
        file = next(tmp_path.iterdir())
        assert file.name.startswith("events.out.tfevents.")
        events = list(EventFileLoader(str(file)).Load())
    assert events[0].file_version == "brain.Event:2"
    assert events[1].graph_def
    assert [(e.step, v.tag) for e in events for v in e.summary.value if e.step] == [(3, "loss")]
    assert [e.step for e in tf.train.summary_iterator(str(file))] == [0, 0, 3]
