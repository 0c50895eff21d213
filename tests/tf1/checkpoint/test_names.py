"""Names of every era against what the releases themselves gave (recorded by running them)."""

import json

import pytest

from recurra.tf1.checkpoint.names import era, modern_name, modern_names, split_slot
from tests.tf1.checkpoint.goldens import GOLDENS


def release(version: str) -> dict[str, dict[str, tuple[int, ...]]]:
    models = json.loads((GOLDENS / "names_by_release" / f"{version}.json").read_text())
    return {k: {n: tuple(s) for n, s in v} for k, v in models.items() if not isinstance(v, str)}


NOW = release("1.15.0")
UNCHANGED_BUG = {"glstm"}  # 1.4 shared one kernel among all groups


@pytest.mark.parametrize("version", ["1.0.1", "1.1.0", "1.2.1", "1.4.0", "1.15.0"])
def test_every_models_names_become_those_of_1_15(version):
    for model, variables in release(version).items():
        if model in UNCHANGED_BUG:
            continue
        got = {parts.full: variables[name] for name, parts in modern_names(variables).items()}
        assert got == NOW[model], model


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RNN/BasicRNNCell/Linear/Matrix", "rnn/basic_rnn_cell/kernel"),
        ("RNN/MultiRNNCell/Cell0/BasicLSTMCell/Linear/Bias", "rnn/multi_rnn_cell/cell_0/basic_lstm_cell/bias"),
        ("rnnlm/MultiRNNCell/Cell11/GRUCell/Gates/Linear/Matrix", "rnnlm/multi_rnn_cell/cell_11/gru_cell/gates/kernel"),
        ("RNN/GRUCell/Candidate/Linear/Bias", "rnn/gru_cell/candidate/bias"),
        ("BiRNN/FW/LSTMCell/W_F_diag", "bidirectional_rnn/fw/lstm_cell/w_f_diag"),
        ("BiRNN_BW/BasicLSTMCell/Linear/Matrix", "bidirectional_rnn/bw/basic_lstm_cell/kernel"),
        ("enc_FW/MultiRNNCell/Cell1/GRUCell/Gates/Linear/Bias", "enc/fw/multi_rnn_cell/cell_1/gru_cell/gates/bias"),
        ("RNN/LSTMCell/B", "rnn/lstm_cell/bias"),
        ("RNN/LSTMBlockCell/wci", "rnn/lstm_cell/w_i_diag"),
        ("RNN/LSTMBlockCell/b", "rnn/lstm_cell/bias"),
        ("LSTMBlockFusedCell/W_I_diag", "lstm_fused_cell/w_i_diag"),
        ("RNN/GRUBlockCell/w_ru", "rnn/gru_cell/w_ru"),
        ("RNN/LayerNormBasicLSTMCell/weights", "rnn/layer_norm_basic_lstm_cell/kernel"),
        ("RNN/LayerNormBasicLSTMCell/input/gamma", "rnn/layer_norm_basic_lstm_cell/input/gamma"),
        ("RNN/CoupledInputForgetGateLSTMCell/W_0", "rnn/coupled_input_forget_gate_lstm_cell/W_0"),
        ("rnn/nas_rnn/recurrent_weights", "rnn/nas_cell/recurrent_kernel"),
        ("s/attention_decoder/Attention_0/Linear/Matrix", "s/attention_decoder/Attention_0/kernel"),
        ("s/attention_decoder/AttnV_0", "s/attention_decoder/AttnV_0"),
        ("RNN/MyCell/Linear/Matrix", "rnn/MyCell/kernel"),
        # what is no cell's keeps its name
        ("conv1/weights", "conv1/weights"),
        ("fully_connected/biases", "fully_connected/biases"),
        ("Variable_3", "Variable_3"),
        ("Dense/kernel_1", "Dense/kernel_1"),
        ("RNN_layer/dense/kernel", "RNN_layer/dense/kernel"),
    ],
)
def test_single_names(old, new):
    assert modern_name(old) == new
    assert modern_name(new) == new, "a modern name stays"


def test_shards_of_0_x():
    lone = modern_names(["RNN/LSTMCell/W_0", "RNN/LSTMCell/B", "RNN/LSTMCell/W_P_0"])
    assert [p.full for p in lone.values()] == [
        "rnn/lstm_cell/kernel",
        "rnn/lstm_cell/bias",
        "rnn/lstm_cell/projection/kernel",
    ]
    pair = modern_names(["RNN/LSTMCell/W_0", "RNN/LSTMCell/W_1"])
    assert [p.full for p in pair.values()] == ["rnn/lstm_cell/kernel/part_0", "rnn/lstm_cell/kernel/part_1"]


def test_wrappers_move_around_their_cell():
    names = [
        "e/RNN/EmbeddingWrapper/embedding",
        "e/RNN/GRUCell/Gates/Linear/Matrix",
        "e/RNN/GRUCell/Gates/Linear/Matrix/Adam",
    ]
    assert [p.full for p in modern_names(names).values()] == [
        "e/rnn/embedding_wrapper/embedding",
        "e/rnn/embedding_wrapper/gru_cell/gates/kernel",
        "e/rnn/embedding_wrapper/gru_cell/gates/kernel/Adam",
    ]


def test_slots():
    names = ["a/kernel", "a/kernel/Adam_1", "Adam", "b/Momentum"]
    assert [split_slot(name, names) for name in names] == [
        ("a/kernel", None), ("a/kernel", "Adam_1"), ("Adam", None), ("b/Momentum", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["BiRNN_FW/BasicLSTMCell/Linear/Matrix"], "0.6–0.10"),
        (["BiRNN/BW/LSTMCell/W_0"], "0.11–0.12"),
        (["rnnlm/MultiRNNCell/Cell0/BasicLSTMCell/Linear/Matrix"], "0.6–0.12"),
        (["RNN/LSTMCell/W_0"], "0.6–0.12"),
        (["x/cell_0/basic_lstm_cell/weights"], "1.0–1.1"),
        (["rnn/gru_cell/gates/biases"], "1.0–1.1"),
        (["rnn/gru_cell/gates/kernel"], "1.2–1.15"),
        (["rnn/gru_cell_1/candidate/bias/Adam"], "1.2–1.15"),
        (["dense/kernel", "Variable"], None),
    ],
)
def test_eras(names, expected):
    assert era(names) == expected
