"""Loading by structure and by name, in every era's names."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import recurra as rc
import recurra.tf1.checkpoint as ckpt
from recurra.cells.layouts import split_opaque
from tests.tf1.checkpoint.goldens import GOLDENS, RELEASES


class TwoModels(nn.Module):
    """The models that the golden checkpoints of old releases hold."""

    def __init__(self) -> None:
        super().__init__()
        self.multi = rc.StackedCells(
            [rc.LSTMCell(4, 5), rc.LSTMCell(5, 4, peepholes=True, projection_size=3), rc.GRUCell(3, 3)]
        )
        self.fw, self.bw = rc.GRUCell(4, 2), rc.LSTMCell(4, 2)


def shapes_of(release: str) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in ckpt.list_variables(GOLDENS / f"ckpt_from_tf{release}" / "v2.ckpt")}


def old_names(variables: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """1.0's names as 0.6 to 0.12 had them."""
    out = {}
    for name, values in variables.items():
        for new, old in [
            ("bidirectional_rnn/fw", "BiRNN/FW"), ("bidirectional_rnn/bw", "BiRNN/BW"), ("rnn/", "RNN/"),
            ("multi_rnn_cell/cell_", "MultiRNNCell/Cell"), ("basic_lstm_cell/", "BasicLSTMCell/Linear/"),
            ("lstm_cell/w_f_diag", "LSTMCell/W_F_diag"), ("lstm_cell/w_i_diag", "LSTMCell/W_I_diag"),
            ("lstm_cell/w_o_diag", "LSTMCell/W_O_diag"), ("lstm_cell/projection/weights", "LSTMCell/W_P_0"),
            ("/lstm_cell/weights", "/LSTMCell/W_0"), ("/lstm_cell/biases", "/LSTMCell/B"),
            ("gru_cell/gates/", "GRUCell/Gates/Linear/"), ("gru_cell/candidate/", "GRUCell/Candidate/Linear/"),
            ("Linear/weights", "Linear/Matrix"), ("Linear/biases", "Linear/Bias"),
        ]:  # fmt: skip
            name = name.replace(new, old)
        out[name] = values
    return out


@pytest.mark.parametrize("release", [*RELEASES, "0.12"])
@pytest.mark.parametrize("file", ["v1.ckpt", "v2.ckpt"])
def test_old_releases_outputs(release, file):
    """Values and outputs are what the release itself computed."""
    folder = GOLDENS / f"ckpt_from_tf{'1.0.1' if release == '0.12' else release}"
    tensors = ckpt.open(folder / file)
    module = TwoModels()
    report = ckpt.load_into(module, old_names(tensors) if release == "0.12" else tensors)
    assert report.era == {"0.12": "0.11–0.12", "1.0.1": "1.0–1.1"}.get(release, "1.2–1.15")
    assert not report.unused and not report.missing
    with np.load(folder / "values.npz") as want, torch.no_grad():
        inputs, lengths = torch.from_numpy(want["inputs"]), torch.from_numpy(want["seq_len"])
        outputs, _ = rc.unroll(module.multi, inputs, lengths=lengths)
        (fw, bw), _ = rc.bidirectional(module.fw, module.bw, inputs, lengths=lengths)
        np.testing.assert_allclose(outputs, want["outputs"], atol=1e-5)
        np.testing.assert_allclose(fw, want["bi_fw"], atol=1e-5)
        np.testing.assert_allclose(bw, want["bi_bw"], atol=1e-5)


def test_partitioned_and_block_names():
    rng = np.random.default_rng(0)
    gru = {"w_ru": (9, 10), "b_ru": (10,), "w_c": (9, 5), "b_c": (5,)}
    tensors = {f"rnn/gru_cell/{n}": rng.normal(size=s).astype("f") for n, s in gru.items()}
    cell = rc.GRUCell(4, 5)
    ckpt.load_into(cell, tensors)
    np.testing.assert_array_equal(cell.candidate.kernel.detach(), tensors["rnn/gru_cell/w_c"])
    parts = {"kernel/part_0": (4, 20), "kernel/part_1": (3, 20), "bias": (20,), "projection/kernel/part_0": (3, 3),
             "projection/kernel/part_1": (2, 3)}  # fmt: skip
    tensors = {f"rnn/lstm_cell/{n}": rng.normal(size=s).astype("f") for n, s in parts.items()}
    cell = rc.LSTMCell(4, 5, projection_size=3)
    report = ckpt.load_into(cell, tensors)
    joined = np.concatenate([tensors["rnn/lstm_cell/kernel/part_0"], tensors["rnn/lstm_cell/kernel/part_1"]])
    np.testing.assert_array_equal(cell.kernel.detach(), joined)
    assert dict(report.matched)["kernel"] == "rnn/lstm_cell/kernel/part_0 + rnn/lstm_cell/kernel/part_1"


def lstm_variables(scope: str, rng, inputs=3, units=4) -> dict[str, np.ndarray]:
    shapes = {"kernel": (inputs + units, 4 * units), "bias": (4 * units,)}
    return {f"{scope}/{n}": rng.normal(size=s).astype("f") for n, s in shapes.items()}


def pair(**cells: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict(cells)


@pytest.mark.parametrize(
    ("scopes", "modules", "expected"),
    [
        (["rnn/lstm_cell"], ["cell"], [0]),
        (["encoder/rnn/lstm_cell", "decoder/rnn/lstm_cell"], ["dec", "enc"], [1, 0]),
        (
            ["bidirectional_rnn/bw/lstm_cell", "bidirectional_rnn/fw/lstm_cell"],
            ["forward_cell", "backward_cell"],
            [1, 0],
        ),
        (["layer_10/lstm_cell", "layer_9/lstm_cell"], ["first", "second"], [1, 0]),
        (["a/lstm_cell", "a/lstm_cell_1"], ["x0", "x1"], [0, 1]),
        (["my_rnn/abc"], ["cell"], [0]),
    ],
)
def test_which_cell_goes_where(scopes, modules, expected):
    rng = np.random.default_rng(0)
    tensors = {k: v for scope in scopes for k, v in lstm_variables(scope, rng).items()}
    module = nn.ModuleDict({name: rc.LSTMCell(3, 4) for name in modules})
    ckpt.load_into(module, tensors)
    for name, place in zip(modules, expected, strict=True):
        np.testing.assert_array_equal(module[name].kernel.detach(), tensors[f"{scopes[place]}/kernel"], err_msg=name)


def test_what_stays_open_is_refused_and_can_be_said():
    rng = np.random.default_rng(0)
    tensors = {**lstm_variables("a/lstm_cell", rng), **lstm_variables("b/lstm_cell", rng)}
    cell = rc.LSTMCell(3, 4)
    before = cell.kernel.clone()
    with pytest.raises(ckpt.CheckpointError, match=r"several variables fit \(a/lstm_cell, b/lstm_cell\)"):
        ckpt.load_into(cell, tensors)
    assert torch.equal(cell.kernel, before), "nothing is changed"
    for choice in ({"scope": "b"}, {"names": {"": "b"}}, {"names": {"": "b/lstm_cell"}}):
        ckpt.load_into(cell, tensors, **choice)
        np.testing.assert_array_equal(cell.kernel.detach(), tensors["b/lstm_cell/kernel"])
    with pytest.raises(ValueError, match="names has the path 'nope'"):
        ckpt.load_into(cell, tensors, names={"nope": "b"})


def test_a_partial_match_is_refused_unless_allowed():
    rng = np.random.default_rng(0)
    tensors = {
        **lstm_variables("rnn/lstm_cell", rng),
        "other": np.zeros(7, "f"),
        "rnn/lstm_cell/kernel/Adam": np.zeros((7, 16), "f"),
    }
    module = nn.ModuleDict({"cell": rc.LSTMCell(3, 4), "dense": nn.Linear(4, 9)})
    with pytest.raises(ckpt.CheckpointError) as caught:
        ckpt.load_into(module, tensors)
    assert "dense: no scope holds kernel [4, 9], bias [9]" in str(caught.value) and "left: other" in str(caught.value)
    report = ckpt.load_into(module, tensors, allow_partial=True)
    assert len(report.missing) == 1 and report.unused == ("other",) and report.slots == ("rnn/lstm_cell/kernel/Adam",)
    assert "cell.kernel <- rnn/lstm_cell/kernel" in str(report)


@pytest.mark.parametrize(
    ("cell", "variables"),
    [
        (lambda: rc.LSTMCell(3, 4, peepholes=True), {"kernel": (7, 16), "bias": (16,)}),
        (lambda: rc.LSTMCell(3, 4), {"kernel": (7, 16), "bias": (16,), "w_f_diag": (4,)}),
        (lambda: rc.LSTMCell(3, 4), {"kernel": (8, 16), "bias": (16,)}),
        (lambda: rc.GRUCell(3, 4), {"kernel": (7, 16), "bias": (16,)}),
    ],
)
def test_another_structure_is_refused(cell, variables):
    tensors = {f"rnn/lstm_cell/{name}": np.zeros(shape, "f") for name, shape in variables.items()}
    with pytest.raises(ckpt.CheckpointError, match="no scope holds"):
        ckpt.load_into(cell(), tensors)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_torch_modules_go_out_and_come_back(kind, bidirectional):
    torch.manual_seed(0)
    options = {"bidirectional": bidirectional, "batch_first": True}
    if kind is nn.LSTM:
        options["proj_size"] = 3
    source, target = kind(5, 4, 2, **options), kind(5, 4, 2, **options)
    tensors = ckpt.variables_of(source, "model")
    if bidirectional:
        assert "model/cell_1/bidirectional_rnn/bw" in {n[: len("model/cell_1/bidirectional_rnn/bw")] for n in tensors}
    ckpt.load_into(target, tensors)
    inputs = torch.randn(2, 6, 5)
    torch.testing.assert_close(target(inputs)[0], source(inputs)[0], atol=1e-6, rtol=0)


def test_torch_gru_and_tensorflows_gru_are_different_cells():
    tensors = ckpt.variables_of(rc.GRUCell(3, 4), "rnn")
    with pytest.raises(ckpt.CheckpointError, match="no scope holds gates/kernel"):
        ckpt.load_into(nn.GRU(3, 4), tensors)
    cell, module = rc.GRUCell(3, 4, reset="after"), nn.GRU(3, 4, batch_first=True)
    ckpt.load_into(module, ckpt.variables_of(cell, "rnn"))
    inputs = torch.randn(2, 5, 3)
    torch.testing.assert_close(module(inputs)[0], rc.unroll(cell, inputs)[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_cudnns_opaque_buffer(kind, bidirectional):
    """The buffer's layout is torch's list of flat weights: all weights, then all biases."""
    torch.manual_seed(0)
    source = kind(5, 4, 2, bidirectional=bidirectional)
    weights = [p.detach().flatten() for n, p in source.named_parameters() if n.startswith("weight")]
    biases = [p.detach().flatten() for n, p in source.named_parameters() if n.startswith("bias")]
    buffer = torch.cat(weights + biases).numpy()
    target = kind(5, 4, 2, bidirectional=bidirectional)
    ckpt.load_into(target, {"cudnn_lstm/opaque_kernel": buffer})
    inputs = torch.randn(6, 2, 5)
    torch.testing.assert_close(target(inputs)[0], source(inputs)[0], atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match="an opaque buffer of 2 layers"):
        list(split_opaque(buffer[:-1], 4, 5, 4, 2, 1))


def test_variables_of_a_stack_have_the_names_of_1_15():
    recorded = json.loads((GOLDENS / "names_by_release" / "1.15.0.json").read_text())
    cells = {
        "multi": rc.StackedCells([rc.LSTMCell(4, 5), rc.GRUCell(5, 3)]),
        "gru": rc.GRUCell(4, 5),
        "basic_rnn": rc.RNNCell(4, 5),
        "lstm_peep_proj": rc.LSTMCell(4, 5, peepholes=True, projection_size=3),
        "embedding": rc.EmbeddingWrapper(rc.GRUCell(2, 3), 7),
        "in_out_proj": rc.OutputProjectionWrapper(rc.InputProjectionWrapper(rc.GRUCell(5, 3), 4), 2),
        "dropout_residual": rc.ResidualWrapper(rc.DropoutWrapper(rc.GRUCell(4, 4))),
    }
    for model, cell in cells.items():
        got = {name: list(values.shape) for name, values in ckpt.variables_of(cell, "rnn").items()}
        want = {name.replace("basic_lstm_cell", "lstm_cell"): shape for name, shape in recorded[model]}
        assert got == want, model
        ckpt.load_into(cell, {name: np.zeros(shape, "f") for name, shape in recorded[model]})
        assert all(not parameter.any() for parameter in cell.parameters())


def test_saved_by_us_loaded_by_us(tmp_path):
    source, target = TwoModels(), TwoModels()
    ckpt.write(tmp_path / "model", ckpt.variables_of(source))
    report = ckpt.load_into(target, tmp_path / "model")
    assert not report.unused
    for a, b in zip(source.parameters(), target.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("name", "scope", "make"),
    [
        ("lstm", "model/lstm", lambda: rc.LSTMCell(4, 5, forget_bias=0.0)),
        ("lstm", "lstm", lambda: nn.LSTM(4, 5, batch_first=True)),
        ("gru_after", "gru/cell/.x", lambda: rc.GRUCell(4, 5, reset="after")),
        ("gru_before", "gru_1", lambda: rc.GRUCell(4, 5)),
        ("rnn", "simple_rnn", lambda: rc.RNNCell(4, 5)),
    ],
)
@pytest.mark.parametrize("suffix", ["", "/.ATTRIBUTES/VARIABLE_VALUE"])
def test_keras_layers_in_a_checkpoint(name, scope, make, suffix):
    """Weights and outputs of Keras itself, as a Saver or a tf.train.Checkpoint names them."""
    with np.load(GOLDENS.parent / "export" / "keras.npz") as golden:
        weights = [golden[f"{name}/weights/{k}"] for k in range(3)]
        inputs, want = torch.from_numpy(golden["inputs"]), golden[f"{name}/outputs"]
    names = ("kernel", "recurrent_kernel", "bias")
    tensors = {f"{scope}/{n}{suffix}": w for n, w in zip(names, weights, strict=True)}
    cell = make()
    report = ckpt.load_into(cell, tensors)
    assert not report.unused and any("Keras" in note for note in report.notes)
    with torch.no_grad():
        got = rc.unroll(cell, inputs)[0] if isinstance(cell, rc.BaseCell) else cell(inputs)[0]
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_a_checkpoint_of_moving_averages_alone():
    rng = np.random.default_rng(0)
    tensors = {f"{n}/ExponentialMovingAverage": v for n, v in lstm_variables("rnn/lstm_cell", rng).items()}
    cell = rc.LSTMCell(3, 4)
    ckpt.load_into(cell, tensors)
    both = {**tensors, **lstm_variables("rnn/lstm_cell", rng)}
    report = ckpt.load_into(cell, both)
    assert len(report.slots) == 2, "beside the variables they are slots"
    np.testing.assert_array_equal(cell.kernel.detach(), both["rnn/lstm_cell/kernel"])


@pytest.mark.parametrize(
    ("kernel", "bias"),
    [
        ("dense/kernel", "dense/bias"), ("full/weights", "full/biases"), ("softmax_w", "softmax_b"),
        ("W", "b"), ("w1", "b1"), ("Variable", "Variable_1"), ("Variable_4", "Variable_5"), ("out/Weight", "out/Bias"),
        ("weights/out", "biases/out"), ("W_fc1", "b_fc1"), ("project/weight", "project/bias"), ("strange", "names"),
    ],
)  # fmt: skip
def test_dense_layers_of_many_names(kernel, bias):
    rng = np.random.default_rng(0)
    tensors = {kernel: rng.normal(size=(4, 3)).astype("f"), bias: rng.normal(size=3).astype("f")}
    others = {"rnn/lstm_cell/kernel": np.zeros((7, 16), "f"), "rnn/lstm_cell/bias": np.zeros(16, "f")}
    layer = nn.Linear(4, 3)
    ckpt.load_into(layer, {**others, **tensors})
    np.testing.assert_array_equal(layer.weight.detach().T, tensors[kernel])
    np.testing.assert_array_equal(layer.bias.detach(), tensors[bias])


def test_bfloat16_out_of_modules_and_into_them(tmp_path):
    """What a bfloat16 module writes is bfloat16; a module of another type takes its values."""
    cell, other = rc.LSTMCell(3, 4).bfloat16(), rc.LSTMCell(3, 4)
    prefix = ckpt.write(tmp_path / "model", ckpt.variables_of(cell))
    assert {str(values.dtype) for values in ckpt.read(prefix).values()} == {"bfloat16"}
    for target in (rc.LSTMCell(3, 4).bfloat16(), other):
        ckpt.load_into(target, prefix)
        assert torch.equal(target.kernel.float(), cell.kernel.float())
