"""Exported models compute what torch computes; the export itself checks that, and its check can fail."""

import numpy as np
import onnx
import pytest
import torch

import recurra as rc
from recurra.export import onnx as export
from recurra.export.sequences import native_reason
from tests.laws.table import ROWS, build

pytest.importorskip("onnxruntime")


def run_all(name, tmp_path):
    cell = build(ROWS[name])
    cell.train()
    report = export.export_onnx(cell, tmp_path / "model.onnx")
    assert report.difference <= 1e-5 and report.checks == 6
    assert cell.training, "the cell's mode is as before"
    for file in report.files:
        onnx.checker.check_model(file)
    return cell.eval(), report


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_every_cell_and_wrapper(name, tmp_path):
    run_all(name, tmp_path)


def test_a_stream_carried_on_equals_the_whole(tmp_path):
    cell, report = run_all("lstm_peep_clip", tmp_path)
    assert report.operators == ("LSTMCell: Scan (ONNX's clip acts on the gates, cell_clip on the memory)",)
    sequence, step = (rc.load(file) for file in report.files)
    x = torch.randn(2, 9, 4)
    whole = sequence(inputs=x)
    first = sequence(inputs=x[:, :4])
    rest = sequence(inputs=x[:, 4:], **sequence.state_of(first))
    np.testing.assert_allclose(np.concatenate([first["outputs"], rest["outputs"]], 1), whole["outputs"], atol=1e-6)
    state = {}
    for t in range(9):
        result = step(inputs=x[:, t], **state)
        state = step.state_of(result)
        np.testing.assert_allclose(result["outputs"], whole["outputs"][:, t], atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(whole["outputs"], rc.unroll(cell, x)[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"there is no input \['nope'\]"):
        sequence(inputs=x, nope=1)


def test_lengths_mask_and_nan_in_the_padding_stays_there(tmp_path):
    _, report = run_all("stack", tmp_path)
    assert report.operators == ("LSTMCell: LSTM", "GRUCell: GRU")
    x = torch.randn(3, 5, 4)
    lengths = torch.tensor([5, 2, 0])
    poisoned = x.clone()
    poisoned[1, 2:] = poisoned[2, :] = float("nan")
    model = rc.load(report.files[0])
    clean, dirty = model(inputs=x, lengths=lengths), model(inputs=poisoned, lengths=lengths)
    for name in clean:
        np.testing.assert_array_equal(clean[name], dirty[name], err_msg=name)
    assert not dirty["outputs"][1, 2:].any() and not dirty["outputs"][2].any()


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (lambda: rc.LSTMCell(3, 4), None),
        (lambda: rc.LSTMCell(3, 4, peepholes=True), None),
        (lambda: rc.GRUCell(3, 4, activation="relu"), None),
        (lambda: rc.LSTMCell(3, 4, cell_clip=1.0), "clip acts on the gates"),
        (lambda: rc.LSTMCell(3, 4, projection_size=2), "no projection"),
        (lambda: rc.GRUCell(3, 4, activation="elu"), "no activation 'elu'"),
        (lambda: rc.UGRNNCell(3, 4), "no operator"),
        (lambda: rc.GRUCell(3, 4, dtype=torch.float64), "are not float64"),
    ],
)
def test_which_cells_are_onnxs_own(cell, reason):
    got = native_reason(cell())
    assert (got is None) if reason is None else reason in got


def test_a_wrong_model_is_noticed_and_not_written(tmp_path, monkeypatch):
    cell = build(ROWS["rnn"])
    sequence, step = export.sequence_model(cell.eval()), export.step_model(cell)
    with torch.no_grad():
        cell.bias.add_(0.1)
    with pytest.raises(export.OnnxCheckError, match="sequence model of RNNCell: ONNX Runtime differs by"):
        export.check_cell(cell, sequence, step)
    monkeypatch.setattr(export, "sequence_model", lambda *_: sequence)
    with pytest.raises(export.OnnxCheckError):
        export.export_onnx(cell, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


class Own(rc.BaseCell):
    """A cell of one's own: tanh of a linear layer."""

    def __init__(self):
        super().__init__()
        self.input_size, self.state_size, self.output_size = 3, 4, 4
        self.linear = torch.nn.Linear(7, 4)

    def forward(self, x, state, masks=None):
        h = torch.tanh(self.linear(torch.cat([x, state], -1)))
        return h, h


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        Own,
        lambda: rc.LSTMCell(3, 4, dtype=torch.float64),
        lambda: rc.NTMCell(rc.LSTMCell(7, 5), 3, memory_size=6, memory_vector_dim=4),
    ],
)
def test_own_cells_float64_and_a_memory(tmp_path, make):
    torch.manual_seed(0)
    assert export.export_onnx(make(), tmp_path / "model.onnx").difference < 1e-5


def test_attention_wrappers_are_refused(tmp_path):
    from recurra.attention import AttentionWrapper, LuongAttention

    with pytest.raises(TypeError, match="AttentionWrapper reads a memory that comes with the batch"):
        export.export_onnx(AttentionWrapper(rc.LSTMCell(6, 6), LuongAttention(3, 6)), tmp_path / "model.onnx")


def test_the_check_does_not_pass_on_nan():
    with pytest.raises(export.OnnxCheckError, match="not finite"):
        export.greatest_difference("model", [np.array([np.nan, 1.0])], [torch.tensor([0.0, 1.0])])
