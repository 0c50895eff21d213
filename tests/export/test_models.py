"""Whole models as ONNX, with free batch and time axes."""

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import recurra as rc
from recurra.cli.export import app
from recurra.errors import StructureError
from recurra.export.models import export_model, export_run
from recurra.export.safetensors import save_run
from recurra.models.classifier import Balanced, Committee, SequenceClassifier
from recurra.models.encoder import Encoder
from recurra.models.forecaster import Forecaster
from recurra.models.language import LanguageModel
from recurra.models.steps import StepClassifier
from recurra.models.tagger import Tagger

pytest.importorskip("onnxruntime")

TAGGER = {
    "embedding": 6,
    "char_hidden": 4,
    "cell": "lstm",
    "hidden": 5,
    "layers": 1,
    "bidirectional": True,
    "dropout": 0.1,
}
MODELS = {
    "classifier": lambda: SequenceClassifier(3, Encoder("lstm", 5, 6, 2, bidirectional=True, dropout=0.2)),
    "states": lambda: SequenceClassifier(3, Encoder("gru", 4, 6), read="states", vocabulary=9, embedding=4),
    "at_end": lambda: SequenceClassifier(3, Encoder("lstm", 4, 6), read="output-at-end", vocabulary=9, embedding=4),
    "names": lambda: Balanced(
        Committee([SequenceClassifier(3, Encoder("rnn", 4, 6), vocabulary=9, embedding=4, ngrams=3) for _ in "ab"]),
        3,
        torch.tensor([5, 2, 1]),
        0.2,
    ),
    "steps": lambda: StepClassifier(2, 4),
    "forecaster": lambda: Forecaster(3, 2, 0),
    "tagger": lambda: Tagger(20, 9, 5, char_embedding=3, crf=True, **TAGGER),
    "tagger_words": lambda: Tagger(20, 9, 5, char_embedding=0, crf=False, **TAGGER),
}


def test_a_language_model_carries_its_state_on(tmp_path):
    torch.manual_seed(0)
    model = LanguageModel(11, hidden=8, layers=2, dropout=0.5)
    report = export_model(model, tmp_path / "lm.onnx")
    assert report.difference < 1e-5 and model.training
    exported = rc.load(report.files[0])
    tokens = torch.randint(0, 11, (2, 7))
    whole = exported(inputs=tokens)
    pieces, state = [], {}
    for t in range(7):
        result = exported(inputs=tokens[:, t : t + 1], **state)
        state = exported.state_of(result)
        pieces.append(result["logits"])
    np.testing.assert_allclose(np.concatenate(pieces, 1), whole["logits"], atol=1e-5)
    with torch.no_grad():
        np.testing.assert_allclose(whole["logits"], model.eval()(tokens)[0], atol=1e-5)


QUICK = "names"  # always run: it has an embedding, encoders, n-grams beside them, a vote and a shift


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else [pytest.mark.slow]) for name in MODELS]
)
def test_every_model(tmp_path, name):
    torch.manual_seed(0)
    report = export_model(MODELS[name](), tmp_path / "model.onnx")
    assert report.difference < 1e-5 and report.operators


def test_another_module_needs_a_signature(tmp_path):
    with pytest.raises(StructureError, match="Linear is none of recurra's models"):
        export_model(nn.Linear(2, 3), tmp_path / "model.onnx")


@pytest.mark.slow
def test_a_run(tmp_path):
    """Train the digits for a moment, export both ways, and get the same answers."""
    from recurra import recipes

    run = recipes.digits(out=tmp_path / "run", epochs=1, hidden=8, report=False).path
    trained = rc.load(save_run(run, tmp_path / "run.safetensors"))
    model, again = rc.load(run).model, trained.model
    inputs = torch.rand(5, 8, 8)
    with torch.no_grad():
        want = model(inputs)
        assert torch.equal(again(inputs), want)
    for source in (run, tmp_path / "run.safetensors"):
        report = export_run(source, tmp_path / "run.onnx")
        got = rc.load(report.files[0])(inputs=inputs)["logits"]
        np.testing.assert_allclose(got, want, atol=1e-5)
    for target in ("onnx", "safetensors"):
        result = CliRunner().invoke(app, [str(run), "--to", target])
        assert result.exit_code == 0, result.output
        assert (run / f"model.{target}").is_file()
