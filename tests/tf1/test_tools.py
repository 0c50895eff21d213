"""What programs import to look at checkpoints, parameters and timelines."""

import json

import pytest

import recurra.tf1 as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    with tf.Graph().as_default():
        yield


def test_inspect_checkpoint_prints_what_tensorflow_prints(tmp_path, capsys):
    show = tf.python.tools.inspect_checkpoint.print_tensors_in_checkpoint_file
    w, b = tf.get_variable("a/w", initializer=[[1.0, 2.0], [3.0, 4.0]]), tf.get_variable("b", initializer=[1, 2])
    with tf.Session() as session:
        session.run([w.initializer, b.initializer])
        path = tf.train.Saver().save(session, str(tmp_path / "m"))
    show(path, "", True)
    total = "# Total number of params: 6\n"
    assert capsys.readouterr().out == f"tensor_name:  a/w\n[[1. 2.]\n [3. 4.]]\ntensor_name:  b\n[1 2]\n{total}"
    show(path, None, False)
    assert capsys.readouterr().out == f"a/w (DT_FLOAT) [2,2]\nb (DT_INT32) [2]\n\n{total}"
    show(path, "b", False, count_exclude_pattern="^a/")
    assert capsys.readouterr().out.splitlines()[1:] == [
        "[1 2]", "# Excluding 1 tensors (4 params) that match ^a/ when counting.", "# Total number of params: 2",
    ]  # fmt: skip
    show(str(tmp_path / "nothing"), None, True)
    assert "nothing" in capsys.readouterr().out


def test_parameters_are_counted_by_scope(capsys, tmp_path):
    tf.get_variable("a/w", [3, 4])
    tf.get_variable("b", [4])
    tf.get_variable("n", [2], trainable=False)
    analyzer = tf.contrib.tfprof.model_analyzer
    options = analyzer.TRAINABLE_VARS_PARAMS_STAT_OPTIONS
    assert analyzer.print_model_analysis(tf.get_default_graph(), tfprof_options=options).total_parameters == 16
    assert "  a (--/12 params)\n    a/w (3x4, 12/12 params)\n  b (4, 4/4 params)\n" in capsys.readouterr().out
    builder = tf.profiler.ProfileOptionBuilder(options).with_file_output(str(tmp_path / "report"))
    assert tf.profiler.profile(options=builder.build()).children[0].name == "a"
    assert "_TFProfRoot (--/16 params)" in (tmp_path / "report").read_text() and not capsys.readouterr().out
    with pytest.raises(NotImplementedError, match="float_ops"):
        tf.profiler.profile(options=tf.profiler.ProfileOptionBuilder.float_operation())


def test_a_timeline_is_json():
    metadata = tf.RunMetadata()
    device = metadata.step_stats.dev_stats.add(device="/cpu:0")
    device.node_stats.add(node_name="MatMul", all_start_micros=5, op_end_rel_micros=7)
    trace = tf.python.client.timeline.Timeline(metadata.step_stats).generate_chrome_trace_format()
    assert json.loads(trace)["traceEvents"][1]["dur"] == 7
    variable = tf.python.ops.state_ops.variable_op([2], tf.float32)
    with tf.Session() as session:
        assert session.run(tf.assign(variable, [1.0, 2.0])).tolist() == [1, 2]
