"""Clusters and devices as distributed programs name them; the texts are TensorFlow 1.15's."""

from __future__ import annotations

import pytest

import recurra.tf1 as tf

CLUSTER = {"ps": ["a:1", "b:1"], "worker": ["c:1"]}


@pytest.mark.parametrize(
    ("options", "variables", "other"),
    [
        ({"cluster": CLUSTER}, ["/job:ps/task:0", "/job:ps/task:1", "/job:ps/task:0"], "/job:worker"),
        (
            {"cluster": CLUSTER, "worker_device": "/job:worker/task:3/cpu:0"},
            ["/job:ps/task:0", "/job:ps/task:1", "/job:ps/task:0"],
            "/job:worker/task:3/device:CPU:0",
        ),
        (
            {"ps_tasks": 2, "ps_device": "/job:ps/cpu:0", "ps_strategy": lambda op: 1},
            ["/job:ps/task:1/device:CPU:0"] * 3,
            "/job:worker",
        ),
    ],
)
def test_variables_on_servers_in_turn(options, variables, other):
    with tf.Graph().as_default(), tf.device(tf.train.replica_device_setter(**options)):
        made = [tf.Variable(1.0) for _ in range(3)]
        assert [v.device for v in made] == variables
        assert (made[0] + made[1]).device == other
        with tf.device("/gpu:1"):
            assert (made[0] + 1.0).device == other.partition("/device")[0] + "/device:GPU:1"


def test_no_servers_no_function():
    assert tf.train.replica_device_setter() is None
    assert tf.train.replica_device_setter(cluster={"worker": ["a:1"]}) is None
    with pytest.raises(TypeError, match="ps_strategy must be callable"):
        tf.train.replica_device_setter(ps_tasks=1, ps_strategy=3)


def test_cluster_spec():
    cluster = tf.train.ClusterSpec(CLUSTER)
    assert (cluster.as_dict(), cluster.jobs, cluster.num_tasks("ps")) == (CLUSTER, ["ps", "worker"], 2)
    assert (cluster.task_address("ps", 1), cluster.task_indices("ps")) == ("b:1", [0, 1])
    assert cluster == tf.train.ClusterSpec(cluster) and str(cluster) == f"ClusterSpec({CLUSTER})"
    sparse = tf.train.ClusterSpec({"w": {3: "x:1"}})
    assert (sparse.as_dict(), sparse.job_tasks("w")) == ({"w": {3: "x:1"}}, [None, None, None, "x:1"])
    for wrong, error, text in (
        (lambda: tf.train.ClusterSpec(3), TypeError, "must be a dictionary"),
        (lambda: cluster.num_tasks("z"), ValueError, "No such job in cluster: 'z'"),
        (lambda: cluster.task_address("ps", 9), ValueError, "No task with index 9 in job 'ps'"),
    ):
        with pytest.raises(error, match=text):
            wrong()


def test_device_spec():
    made = tf.DeviceSpec(job="ps", task=2, device_type="CPU", device_index=0)
    assert made == tf.DeviceSpec.from_string("/job:ps/task:2/cpu:0")
    assert made.to_string() == "/job:ps/task:2/device:CPU:0"
    assert tf.DeviceSpec.from_string("/job:w/replica:1/gpu:3").to_string() == "/job:w/replica:1/device:GPU:3"
    made = tf.DeviceSpec.from_string("/job:w")
    made.merge_from(tf.DeviceSpec.from_string("/task:5/device:GPU:1"))
    assert made.to_string() == "/job:w/task:5/device:GPU:1"
    with pytest.raises(ValueError, match="Unknown attribute: 'foo' in '/foo:1'"):
        tf.DeviceSpec.from_string("/foo:1")
