"""The recurrent surface against TensorFlow 1.15's own numbers: outputs, states, gradients, names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import recurra.tf1 as tf
from recurra.tf1 import eras, nest
from recurra.tf1.graph import Graph
from tests.goldens_io import Arrays

CELLS: dict[str, Callable[[], Any]] = {
    "cells/cell_basic_rnn": lambda: tf.nn.rnn_cell.BasicRNNCell(5),
    "cells/cell_basic_rnn_relu": lambda: tf.nn.rnn_cell.BasicRNNCell(5, activation=tf.nn.relu),
    "cells/cell_gru_f64": lambda: tf.nn.rnn_cell.GRUCell(5),
    "cells/cell_gru_relu": lambda: tf.nn.rnn_cell.GRUCell(5, activation="relu"),
    "cells/cell_basic_lstm": lambda: tf.nn.rnn_cell.BasicLSTMCell(5),
    "cells/cell_basic_lstm_fb0_relu": lambda: tf.nn.rnn_cell.BasicLSTMCell(5, forget_bias=0.0, activation=tf.nn.relu),
    "cells/cell_lstm": lambda: tf.nn.rnn_cell.LSTMCell(5),
    "cells/cell_lstm_all_f64": lambda: tf.nn.rnn_cell.LSTMCell(
        5, use_peepholes=True, cell_clip=0.4, num_proj=3, proj_clip=0.15, forget_bias=0.5
    ),
    "cells/cell_lstm_shards": lambda: tf.nn.rnn_cell.LSTMCell(5, num_proj=3, num_unit_shards=2, num_proj_shards=2),
    "cells/cell_multi_tuple": lambda: tf.nn.rnn_cell.MultiRNNCell(
        [tf.nn.rnn_cell.BasicLSTMCell(5), tf.nn.rnn_cell.GRUCell(3)]
    ),
    "cells/cell_multi_shared": lambda: tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(4)] * 2),
    "cells/cell_residual": lambda: tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.GRUCell(4)),
    "cells/cell_residual_fn": lambda: tf.nn.rnn_cell.ResidualWrapper(
        tf.nn.rnn_cell.GRUCell(3), residual_fn=lambda i, o: i[:, :3] * 0.5 + o
    ),
    "cells/cell_input_proj": lambda: tf.contrib.rnn.InputProjectionWrapper(
        tf.nn.rnn_cell.GRUCell(3), 5, activation=tf.tanh
    ),
    "cells/cell_output_proj": lambda: tf.contrib.rnn.OutputProjectionWrapper(
        tf.nn.rnn_cell.BasicLSTMCell(3), 5, activation=tf.sigmoid
    ),
    "cells/cell_layer_norm_basic_lstm": lambda: tf.contrib.rnn.LayerNormBasicLSTMCell(5),
    "cells/cell_coupled_ln": lambda: tf.contrib.rnn.CoupledInputForgetGateLSTMCell(
        5, use_peepholes=True, layer_norm=True
    ),
    "cells/cell_lstm_block": lambda: tf.contrib.rnn.LSTMBlockCell(5),
    "cells/cell_gru_block_v2": lambda: tf.contrib.rnn.GRUBlockCellV2(5),
    "cells/cell_cudnn_compatible_gru": lambda: tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell(5),
    "family/cell_ugrnn": lambda: tf.contrib.rnn.UGRNNCell(5),
    "family/cell_intersection_proj": lambda: tf.contrib.rnn.IntersectionRNNCell(5, num_in_proj=5, y_activation=tf.tanh),
    "family/cell_nas_bias_proj": lambda: tf.contrib.rnn.NASCell(5, num_proj=3, use_bias=True),
    "family/cell_glstm_proj": lambda: tf.contrib.rnn.GLSTMCell(6, num_proj=4, number_of_groups=2, forget_bias=0.5),
    "family/cell_sru_f64": lambda: tf.contrib.rnn.SRUCell(5),
    "family/cell_indy_lstm": lambda: tf.contrib.rnn.IndyLSTMCell(5, forget_bias=0.7),
    "family/cell_indy_gru": lambda: tf.contrib.rnn.IndyGRUCell(5),
    "family/cell_highway": lambda: tf.contrib.rnn.HighwayWrapper(tf.nn.rnn_cell.GRUCell(4)),
    "family/cell_attn_wrap": lambda: tf.contrib.rnn.AttentionCellWrapper(tf.nn.rnn_cell.BasicLSTMCell(4), 3),
    "family/cell_attn_wrap_sizes": lambda: tf.contrib.rnn.AttentionCellWrapper(
        tf.nn.rnn_cell.GRUCell(4), 3, attn_size=5, attn_vec_size=2, input_size=6
    ),
    "family/cell_weight_norm_lstm_all": lambda: tf.contrib.rnn.WeightNormLSTMCell(
        5, use_peepholes=True, cell_clip=0.4, num_proj=3, proj_clip=0.3
    ),
    "family/cell_phased_peep": lambda: tf.contrib.rnn.PhasedLSTMCell(5, use_peepholes=True, leak=0.05),
    "family/cell_grid_lstm_peep": lambda: tf.contrib.rnn.GridLSTMCell(
        3, use_peepholes=True, cell_clip=0.5, feature_size=2, frequency_skip=1, num_frequency_blocks=[3]
    ),
    "family/cell_conv2d_lstm": lambda: tf.contrib.rnn.Conv2DLSTMCell(
        input_shape=[4, 5, 2], output_channels=3, kernel_shape=[3, 2], forget_bias=0.5
    ),
    "family/cell_grid2_lstm_peep": lambda: tf.contrib.grid_rnn.Grid2LSTMCell(3, use_peepholes=True),
}


@pytest.fixture(autouse=True)
def _fresh():
    with Graph().as_default():
        yield


def _leaves(arrays: Arrays, key: str) -> list[np.ndarray]:
    if key in arrays:
        return [arrays[key].numpy()]
    parts = arrays.under(key)
    return [parts[str(i)].numpy() for i in range(len(parts))]


def _load(session: Any, arrays: Arrays) -> None:
    values = arrays.under("var")
    assert {v.op.name for v in tf.global_variables()} == set(values)
    for variable in tf.global_variables():
        variable.load(values[variable.op.name].numpy(), session)


def _check(arrays: Arrays, key: str, values: list[Any]) -> None:
    import torch

    keys = [key] if key in arrays else [f"{key}/{i}" for i in range(len(values))]
    for name, value in zip(keys, values, strict=True):
        arrays.check(name, torch.from_numpy(np.array(value)))


@pytest.mark.parametrize("name", CELLS)
def test_cells_under_dynamic_rnn(name):
    """Outputs, final state and every gradient over ragged rows, with TensorFlow's variable names."""
    arrays = Arrays(name)
    cell = CELLS[name]()
    dtype = tf.as_dtype(arrays.meta["dtype"])
    x = [tf.constant(a) for a in _leaves(arrays, "inputs")]
    inputs = x[0] if len(x) == 1 else tuple(x)
    initial = [tf.constant(a) for a in _leaves(arrays, "init_state")]
    state = nest.pack_sequence_as(cell.zero_state(4, dtype), initial)
    outputs, final = tf.nn.dynamic_rnn(cell, inputs, sequence_length=arrays["seq_len"].numpy(), initial_state=state)
    flat, finals = nest.flatten(outputs), nest.flatten(final)
    weights = [tf.constant(a) for a in [*_leaves(arrays, "loss_w/outputs"), *_leaves(arrays, "loss_w/state")]]
    loss = tf.add_n([tf.reduce_sum(a * b) for a, b in zip([*flat, *finals], weights, strict=True)])
    variables = tf.global_variables()
    grads = tf.gradients(loss, [*x, *initial, *variables])
    keys = [*_keys("inputs", x), *_keys("init_state", initial), *[f"var/{v.op.name}" for v in variables]]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        _load(session, arrays)
        got, last, slopes = session.run([flat, finals, [tf.convert_to_tensor(g) for g in grads if g is not None]])
    _check(arrays, "outputs", got)
    _check(arrays, "final_state", last)
    for key, value in zip([k for k, g in zip(keys, grads, strict=True) if g is not None], slopes, strict=True):
        _check(arrays, f"grad/{key}", [value])


def _keys(prefix: str, values: list[Any]) -> list[str]:
    return [prefix] if len(values) == 1 else [f"{prefix}/{i}" for i in range(len(values))]


def _model(kind: str, lengths: Any = None) -> tuple[Any, Any, Any, list[Any]]:
    x = tf.placeholder(tf.float32, [None, 6, 3], name="x")
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.LSTMCell(4, name="a"), tf.nn.rnn_cell.GRUCell(3, name="b")])
    if kind == "dynamic":
        outputs, state = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32, sequence_length=lengths)
    elif kind == "static":
        rows, state = tf.nn.static_rnn(cell, tf.unstack(x, axis=1), dtype=tf.float32, sequence_length=lengths)
        outputs = tf.stack(rows, 1)
    else:
        state, rows = cell.zero_state(tf.shape(x)[0], tf.float32), []
        with tf.variable_scope("rnn"):
            for t in range(6):
                if t:
                    tf.get_variable_scope().reuse_variables()
                row, state = cell(x[:, t, :], state)
                rows.append(row)
        outputs = tf.stack(rows, 1)
    loss = tf.reduce_sum(outputs * outputs) + tf.reduce_sum(state[0].c)
    return x, outputs, state, tf.gradients(loss, [*tf.trainable_variables(), x])


def _values(kind: str, lengths: Any = None) -> tuple[list[Any], list[str]]:
    with Graph().as_default(), tf.Session() as session:
        x, outputs, state, grads = _model(kind, lengths)
        rng = np.random.RandomState(3)
        for variable in tf.trainable_variables():
            variable.load(rng.uniform(-0.6, 0.6, variable.shape.as_list()).astype(np.float32), session)
        got = session.run([outputs, *nest.flatten(state), *grads], {x: rng.rand(4, 6, 3)})
        ops = next(reversed(session._plans.values()))[0].ops
    return got, [op.type for op in ops]


@pytest.mark.parametrize("kind", ["static", "loop"])
def test_lists_and_hand_written_loops_run_as_sequences(kind):
    expected, _ = _values("dynamic")
    got, types = _values(kind)
    assert types.count("CellSequence") == 2
    assert "CellStep" not in types
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_static_and_dynamic_loops_agree_on_ragged_rows():
    lengths = np.array([6, 3, 1, 0], np.int32)
    for a, b in zip(_values("dynamic", lengths)[0], _values("static", lengths)[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_lifted_loop_and_its_steps_agree(monkeypatch):
    lifted, _ = _values("dynamic", np.array([2, 6, 0, 5], np.int32))
    monkeypatch.setattr("recurra.tf1.rnn.sequence.attach", lambda *_: None)
    steps, _ = _values("dynamic", np.array([2, 6, 0, 5], np.int32))
    for a, b in zip(lifted, steps, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_inner_states_of_a_static_loop_are_states():
    """An inner output can be differentiated by and fed: it is the state that the next step starts from."""
    x = tf.constant(np.random.RandomState(0).rand(2, 4, 3).astype(np.float32))
    rows, _ = tf.nn.static_rnn(tf.nn.rnn_cell.GRUCell(3), tf.unstack(x, axis=1), dtype=tf.float32)
    inner, last = rows[1], rows[3]
    slope = tf.gradients(tf.reduce_sum(last), inner)[0]
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        plain, moved = session.run(last), session.run(last, {inner: np.ones([2, 3])})
        assert np.abs(session.run(slope)).min() > 0
    assert np.abs(plain - moved).max() > 1e-3


def test_loop_outputs_have_tensorflows_names():
    x = tf.placeholder(tf.float32, [None, 5, 3])
    outputs, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(2), x, dtype=tf.float32)
    assert outputs.name == "rnn/transpose_1:0"
    assert (state.c.name, state.h.name) == ("rnn/while/Exit_3:0", "rnn/while/Exit_4:0")
    assert outputs.shape.as_list() == [None, 5, 2]


def test_two_loops_in_one_scope_collide():
    x = tf.zeros([2, 3, 4])
    tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(2), x, dtype=tf.float32)
    with pytest.raises(ValueError, match="Variable rnn/gru_cell/gates/kernel already exists, disallowed"):
        tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(2), x, dtype=tf.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda x: tf.nn.dynamic_rnn(3, x, dtype=tf.float32),
            TypeError,
            "The argument 'cell' \\(3\\) is not an RNNCell: 'output_size' property is missing, 'state_size' property is missing, "  # noqa: E501
            "either 'zero_state' or 'get_initial_state' method is required, is not callable",
        ),
        (
            lambda x: tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(2), x),
            ValueError,
            "If there is no initial_state, you must give a dtype",
        ),
        (
            lambda x: tf.nn.static_rnn(tf.nn.rnn_cell.GRUCell(2), x, dtype=tf.float32),
            TypeError,
            "inputs must be a sequence",
        ),
        (
            lambda x: tf.nn.static_rnn(tf.nn.rnn_cell.GRUCell(2), [], dtype=tf.float32),
            ValueError,
            "inputs must not be empty",
        ),
        (lambda x: tf.nn.rnn_cell.MultiRNNCell([]), ValueError, "Must specify at least one cell for MultiRNNCell"),
        (lambda x: tf.nn.rnn_cell.GRUCell(2)(x, tf.zeros([2, 2])), ValueError, "expected ndim=2, found ndim=3"),
        (
            lambda x: tf.nn.rnn_cell.DropoutWrapper(tf.nn.rnn_cell.GRUCell(2), input_keep_prob=-1.0),
            ValueError,
            "Parameter input_keep_prob must be between 0 and 1",
        ),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=text):
        call(tf.zeros([2, 3, 4]))


def test_raw_rnn_stops_when_all_rows_are_done():
    x = tf.constant(np.arange(12.0).reshape(3, 2, 2).astype(np.float32))
    array = tf.TensorArray(tf.float32, size=3).unstack(x)
    cell = tf.nn.rnn_cell.BasicRNNCell(2)
    lengths = tf.constant([2, 1])

    def step(time, output, state, _):
        finished = time >= lengths
        following = tf.cond(tf.reduce_all(finished), lambda: tf.zeros([2, 2]), lambda: array.read(time))
        return finished, following, cell.zero_state(2, tf.float32) if output is None else state, output, None

    emitted, _, _ = tf.nn.raw_rnn(cell, step)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        got = session.run(emitted.stack())
    assert got.shape == (2, 2, 2)
    assert not got[1, 1].any()


def test_the_batch_size_may_be_a_variable():
    """Programs of 0.x keep it in one (TensorFlow 1.15 refuses it)."""
    with Graph().as_default(), tf.Session() as session:
        size = tf.Variable(3, trainable=False)
        state = tf.nn.rnn_cell.BasicLSTMCell(4).zero_state(size, tf.float32)
        session.run(tf.global_variables_initializer())
        assert state.c.shape.as_list() == [None, 4]
        assert session.run(state.h).shape == (3, 4)
        session.run(size.assign(2))
        assert session.run(state.h).shape == (2, 4)


@pytest.mark.parametrize("leading", [[3], (3,), tf.TensorShape([3]), np.array([3])], ids=str)
def test_the_batch_size_may_be_a_list_of_sizes(leading):
    """As TensorFlow 1.15's zero_state takes it: the sizes before those of the state."""
    with Graph().as_default(), tf.Session() as session:
        cell = tf.nn.rnn_cell.GRUCell(4)
        sizes = tf.constant(leading) if isinstance(leading, np.ndarray) else leading
        assert cell.zero_state(sizes, tf.float32).shape.as_list() == [3, 4]
        fed = tf.placeholder(tf.int32, [1])
        assert session.run(cell.zero_state(fed, tf.float32), {fed: [5]}).shape == (5, 4)


@pytest.mark.parametrize("wrapped", [False, True])
def test_one_cell_repeated_over_inputs_of_another_depth_has_variables_for_every_layer(wrapped):
    """`[cell] * n` of release 1.0; 1.2 and later share one kernel, where that can be built at all."""
    cell = tf.nn.rnn_cell.BasicLSTMCell(4)
    cell = tf.nn.rnn_cell.DropoutWrapper(cell, output_keep_prob=1.0) if wrapped else cell
    with eras.using(eras.Era(1, 8, 0)):
        tf.nn.dynamic_rnn(tf.nn.rnn_cell.MultiRNNCell([cell] * 2), tf.zeros([2, 3, 7]), dtype=tf.float32)
    shapes = {v.op.name: v.shape.as_list() for v in tf.trainable_variables() if "kernel" in v.op.name}
    name = "rnn/multi_rnn_cell/cell_{}/basic_lstm_cell/kernel"
    assert shapes == {name.format(0): [11, 16], name.format(1): [8, 16]}


def test_one_cell_repeated_over_inputs_of_its_own_depth_is_shared():
    cell = tf.nn.rnn_cell.BasicLSTMCell(4)
    tf.nn.dynamic_rnn(tf.nn.rnn_cell.MultiRNNCell([cell] * 2), tf.zeros([2, 3, 4]), dtype=tf.float32)
    assert [v.op.name for v in tf.trainable_variables() if "kernel" in v.op.name] == [
        "rnn/multi_rnn_cell/cell_0/basic_lstm_cell/kernel"
    ]
