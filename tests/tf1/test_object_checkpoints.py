"""Object-based checkpoints: TensorFlow 1.15's are read and trained on, and what is written has its keys."""

import json
from pathlib import Path

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1.eager import eager_mode, graph_mode
from tests.goldens.objects import make_objects as objects

HERE = Path(objects.__file__).parent
LOSSES = json.loads((HERE / "losses.json").read_text())


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


@pytest.fixture
def eager():
    with eager_mode():
        tf.get_default_graph().extra.clear()
        yield


def test_training_goes_on_from_tensorflows_checkpoint(eager, tmp_path):
    checkpoint, run = objects.training(tf)
    status = checkpoint.restore(str(HERE / "training-1"))  # before most variables are made
    with pytest.raises(AssertionError, match="Unresolved object in checkpoint"):
        status.assert_consumed()
    losses = [run()]
    status.assert_consumed()
    ours = checkpoint.save(str(tmp_path / "again"))
    np.testing.assert_allclose([*losses, run()], LOSSES["training"], rtol=2e-6)
    assert int(checkpoint.save_counter) == 2 and ours.endswith("again-2")
    assert tf.train.latest_checkpoint(str(tmp_path)) == ours
    assert tf.train.list_variables(ours) == tf.train.list_variables(str(HERE / "training-1"))

    other, more = objects.training(tf)
    status = other.restore(ours)
    np.testing.assert_allclose(more(), LOSSES["training"][1], rtol=2e-6)
    status.assert_consumed().assert_existing_objects_matched().assert_nontrivial_match()


def test_parts_of_parts_have_tensorflows_names(eager, tmp_path):
    x = tf.constant(objects.NESTED)
    for late in (False, True):
        model = objects.nested(tf)
        if not late:
            model(x)
        status = tf.train.Checkpoint(model=model).restore(str(HERE / "nested-1"))
        assert float(tf.reduce_sum(model(x))) == pytest.approx(LOSSES["nested"][0], rel=2e-6)
        status.assert_consumed()
    ours = tf.train.Checkpoint(model=model).save(str(tmp_path / "ours"))

    def parts(path):
        """The names of all parts that lead to a value."""
        graph = tf.contrib.checkpoint.object_metadata(path)
        found, waiting = set(), [(0, ())]
        for number, names in waiting:
            waiting += [(child.node_id, (*names, child.local_name)) for child in graph.nodes[number].children]
            found |= {names} if graph.nodes[number].attributes else set()
        return found

    assert parts(ours) >= parts(str(HERE / "nested-1")), "so TensorFlow finds all that it looks for"


def test_models_go_on_from_keras_weights_and_files(tmp_path):
    pytest.importorskip("h5py")
    for source in ("weights", "model.h5"):
        with tf.Graph().as_default():
            if source == "weights":
                model = objects.fitted(tf)
                model.load_weights(str(HERE / source))
            else:
                model = tf.keras.models.load_model(str(HERE / source))
            np.testing.assert_allclose([objects.fit(model), objects.fit(model)], LOSSES["weights"], rtol=2e-6)
            model.save(tmp_path / "ours.h5")
            expected = objects.fit(model)
        with tf.Graph().as_default():
            again = tf.keras.models.load_model(tmp_path / "ours.h5")
            np.testing.assert_allclose(objects.fit(again), expected, rtol=1e-6)


def test_a_graph_restores_in_its_session(tmp_path):
    v, w = tf.Variable([1.0, 2.0], name="v"), tf.get_variable("w", [], use_resource=True)
    checkpoint = tf.train.Checkpoint(v=v, w=w)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(w, 5.0))
        path = checkpoint.save(str(tmp_path / "c"))
        session.run([tf.assign(v, [0.0, 0.0]), tf.assign(w, 0.0)])
        checkpoint.restore(path).assert_consumed().run_restore_ops()
        assert session.run([v, w])[0].tolist() == [1, 2] and session.run(w) == 5
        with pytest.raises(tf.errors.InvalidArgumentError, match="both tensors to match"):
            tf.train.Checkpoint(v=tf.Variable([1.0])).restore(path).run_restore_ops()
    new = tf.Variable(7.0)
    wider = tf.train.Checkpoint(v=v, w=w, new=new)
    with tf.Session() as session:
        wider.restore(path).initialize_or_restore(session)
        assert session.run([w, new]) == [5, 7] and session.run(wider.save_counter) == 1
    with tf.Session() as session:
        wider.restore(None).initialize_or_restore(session)
        assert session.run(new) == 7
    with pytest.raises(AssertionError, match="not bound to checkpointed values"):
        wider.restore(path).assert_existing_objects_matched()


def test_savers_and_checkpoints_read_each_other(tmp_path):
    v = tf.Variable([1.0, 2.0], name="v")
    with tf.Session() as session:
        session.run(v.initializer)
        objects_path = tf.train.Checkpoint(deep=tf.train.Checkpoint(v=v)).save(str(tmp_path / "o"))
        saver = tf.train.Saver([v])
        names_path = saver.save(session, str(tmp_path / "n"))
        session.run(tf.assign(v, [0.0, 0.0]))
        saver.restore(session, objects_path)
        assert session.run(v).tolist() == [1, 2]
        session.run(tf.assign(v, [0.0, 0.0]))
        status = tf.train.Checkpoint(other=v).restore(names_path)
        status.run_restore_ops()
        assert session.run(v).tolist() == [1, 2]
    with pytest.raises(ValueError, match="not appear to be object-based"):
        tf.contrib.checkpoint.object_metadata(names_path)
    assert len(tf.contrib.checkpoint.object_metadata(objects_path).nodes) == 4


def test_the_manager_keeps_the_newest(eager, tmp_path):
    checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=2)
    assert manager.latest_checkpoint is None
    paths = [manager.save() for _ in range(3)]
    assert manager.checkpoints == paths[1:] and manager.latest_checkpoint == paths[2]
    assert not (tmp_path / "ckpt-1.index").exists() and (tmp_path / "ckpt-2.index").exists()
    again = tf.contrib.checkpoint.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=1)
    assert again.checkpoints == paths[1:]
    again.save(checkpoint_number=np.int64(9))  # as `session.run(global_step)` gives it
    assert [p.rpartition("/")[2] for p in again.checkpoints] == ["ckpt-9"]
    with pytest.raises(ValueError, match="positive integer"):
        tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=0)


def test_own_objects_lists_and_arrays(eager, tmp_path):
    class Mine(tf.contrib.checkpoint.Checkpointable):
        pass

    mine, arrays = Mine(), tf.contrib.checkpoint.NumpyState()
    mine.a, mine.rows, mine.number = tf.Variable(1.0), [tf.Variable(2.0)], 3
    mine.named = tf.contrib.checkpoint.Mapping(k=tf.Variable(4.0))
    arrays.x = np.arange(3)
    path = tf.train.Checkpoint(mine=mine, arrays=arrays).save(str(tmp_path / "c"))
    other, empty = Mine(), tf.contrib.checkpoint.NumpyState()
    status = tf.train.Checkpoint(mine=other, arrays=empty).restore(path)
    assert empty.x.tolist() == [0, 1, 2]
    other.a = tf.Variable(0.0)
    assert float(other.a) == 1
    other.rows = [tf.Variable(0.0)]
    other.named = tf.contrib.checkpoint.Mapping(k=tf.Variable(0.0))
    assert (float(other.rows[0]), float(other.named["k"])) == (2, 4)
    status.assert_consumed()
    for wrong in (3, [1], tf.constant(1.0)):
        with pytest.raises(ValueError, match="expecting a trackable object"):
            tf.train.Checkpoint(wrong=wrong)
    with pytest.raises(tf.errors.NotFoundError):
        tf.train.Checkpoint(mine=mine).restore(str(tmp_path / "nothing"))


def test_variables_of_a_layer_are_its_weights(eager):
    class Shifted(tf.keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.shift = tf.Variable(1.0)
            self.fixed = {"a": [tf.Variable(2.0, trainable=False)]}
            self.inner = {"d": tf.keras.layers.Dense(1)}

        def call(self, x):
            return self.inner["d"](x) + self.shift

    layer = Shifted()
    layer(tf.ones([1, 2]))
    assert [w.shape.as_list() for w in layer.trainable_weights] == [[], [2, 1], [1]]
    assert [float(w) for w in layer.non_trainable_weights] == [2]


def test_gradients_of_functions(eager):
    tfe = tf.contrib.eager
    w, b = tfe.Variable([2.0, 3.0]), tfe.Variable(1.0)
    loss = lambda x: tf.reduce_sum(w * x + b)  # noqa: E731
    value, pairs = tfe.implicit_value_and_gradients(loss)(3.0)
    assert float(value) == 17 and [v for _, v in pairs] == [w, b]
    assert [g.numpy().tolist() for g, _ in tfe.implicit_gradients(loss)(3.0)] == [[3, 3], 2]
    first = tfe.gradients_function(lambda x, y: x * x * x * y - x * y * y)
    assert [float(g) for g in first(2.0, 3.0)] == [27, -4]
    assert [float(g) for g in tfe.gradients_function(lambda x, y: first(x, y)[0])(2.0, 3.0)] == [36, 6]
    value, (slope,) = tfe.value_and_gradients_function(lambda x, y: x * y, params=["y"])(2.0, 3.0)
    assert (float(value), float(slope)) == (6, 2)
    with pytest.raises(ValueError, match="No trainable variables"):
        tfe.implicit_gradients(lambda: tf.constant(1.0))()
    with pytest.raises(ValueError, match="returns None"):
        tfe.gradients_function(lambda x: None)(1.0)


def test_iterators_savers_and_stores(eager, tmp_path):
    tfe = tf.contrib.eager
    elements = tfe.Iterator(tf.data.Dataset.range(3))
    assert int(elements.next()) == 0 and [int(x) for x in elements] == [1, 2]
    v = tfe.Variable([1.0, 2.0], name="kept")
    saver = tfe.Saver([v])
    path = saver.save(str(tmp_path / "s"), global_step=3)
    v.assign([0.0, 0.0])
    saver.restore(path)
    assert path.endswith("s-3") and v.numpy().tolist() == [1, 2]
    with tfe.restore_variables_on_create(path, lambda name: "kept"):
        assert tfe.Variable([0.0, 0.0], name="other").numpy().tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="must specify a list or dict"):
        tf.train.Saver()
    store = tfe.EagerVariableStore()
    with store.as_default():
        assert tf.get_variable("q", [2]) is tf.get_variable("q", [2])
    assert [x.op.name for x in store.trainable_variables()] == ["q"]
    with graph_mode(), pytest.raises(RuntimeError, match="eager"):
        tfe.Saver([])


@pytest.mark.parametrize("mode", [eager_mode, graph_mode])
def test_metrics_of_contrib_eager(mode):
    metrics = tf.contrib.eager.metrics
    calls = [
        (metrics.Mean(), [(np.float32([1, 3]),), (np.float32(5),)], 3.0),
        (metrics.Mean(), [(np.float32([1, 3]), np.float32([1, 3]))], 2.5),
        (metrics.Accuracy(), [(np.int32([1, 2, 3]), np.int32([1, 2, 4]))], 2 / 3),
        (metrics.BinaryAccuracy(0.5), [(np.int32([1, 0]), np.float32([0.6, 0.7]))], 0.5),
        (metrics.CategoricalAccuracy(), [(np.float32([[0, 1]]), np.float32([[0.2, 0.8]]))], 1.0),
        (metrics.SparseAccuracy(), [(np.int32([1, 0]), np.float32([[0.1, 0.9], [0.2, 0.8]]))], 0.5),
    ]
    with mode():
        for metric, batches, expected in calls:
            updates = [metric(*map(tf.constant, batch)) for batch in batches]
            result = metric.result()
            if tf.executing_eagerly():
                assert result.numpy() == pytest.approx(expected, abs=1e-12)
                metric.init_variables()
                assert metric.variables[1].numpy() == 0
                continue
            with tf.Session() as session:
                session.run(metric.init_variables())
                for update in updates:
                    session.run(update)
                assert session.run(result) == pytest.approx(expected, abs=1e-12)
