"""Recipes end to end on small data, from Python."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra import recipes
from recurra.data.batching import Examples
from recurra.data.vocab import Vocabulary
from recurra.errors import ConfigError, DataError
from recurra.training import configs
from recurra.training.config import build
from recurra.training.loop import Loop
from recurra.training.runfolder import RunFolder
from recurra.training.task import Share
from recurra.training.tasks.images import Mnist
from recurra.training.tasks.language import OwnText
from recurra.training.tasks.toy import ToyBinary

SHARED = Path(__file__).parents[3] / "shared" / "data"
FAST = dict(progress=False, threads=1)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_digits_leave_a_whole_run_folder(tmp_path):
    result = recipes.digits(out=tmp_path / "run", epochs=3, **FAST)
    files = {path.name for path in result.path.iterdir()}
    assert files >= {
        "config.yaml", "environment.json", "artifacts.json", "metrics.csv", "log.txt", "events", "best.pt", "last.pt",
        "result.json", "report.html",
    }  # fmt: skip
    assert list((result.path / "events").iterdir())
    page = (result.path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3 and "http" not in page.replace("http-equiv", "")
    for heading in (
        "Learning curves",
        "Confusion matrix",
        "Worst mistakes",
        "Size and speed",
        "Test, against baselines",
    ):
        assert heading in page
    assert result.test["accuracy"] > result.baselines["always '7'"]["accuracy"]
    assert json.loads((result.path / "result.json").read_text())["steps"] == result.steps == 3 * math.ceil(1137 / 32)
    trained = recipes.load(result.path)
    assert next(trained.predict([" ".join(["0"] * 64)])).count("\t") == 5
    with pytest.raises(DataError, match=r"line 1: 3 numbers, expected 64 \(8 x 8\)"):
        next(trained.predict(["1 2 3"]))


@pytest.mark.slow
def test_digits_beat_the_logistic_regression(tmp_path):
    result = recipes.digits(out=tmp_path / "run", report=False, **FAST)
    assert result.test["accuracy"] >= result.baselines["logistic regression on the pixels"]["accuracy"]


def names_loss(tmp_path, **options):
    result = recipes.names(data="document", out=tmp_path / "run", report=False, **FAST, **options)
    rows = [row for row in RunFolder(result.path).metrics() if row["part"] == "train"]
    return float(rows[-1]["loss"]), result.test["accuracy"]


@pytest.mark.slow
def test_document_000_final_output_learns_little_and_final_state_all_there_is(tmp_path):
    """It prints 3.1015 and 0.20 for the output at the end, 0.1987 and 0.857 for the state, after 400 iterations."""
    loss, accuracy = names_loss(tmp_path / "a", read="output-at-end")
    assert loss == pytest.approx(3.10, abs=0.02) and accuracy == pytest.approx(0.20, abs=0.001)
    loss, accuracy = names_loss(tmp_path / "b", read="state-c")
    assert loss <= 0.21 and accuracy == pytest.approx(0.857, abs=0.001)


def test_document_000s_difference_shows_after_60_iterations(tmp_path):
    end, _ = names_loss(tmp_path / "a", read="output-at-end", epochs=60)
    state, _ = names_loss(tmp_path / "b", read="state-c", epochs=60)
    assert state < 2.0 < 3.0 < end


@pytest.mark.slow
def test_document_004_right_learns_and_wrong_cannot(tmp_path):
    right = recipes.toy_binary(out=tmp_path / "a", report=False, **FAST)
    assert right.test["worst_point"] >= 0.95
    wrong = recipes.toy_binary(layout="wrong", out=tmp_path / "b", report=False, **FAST)
    assert wrong.test["worst_point"] < 0.6 and wrong.test["loss"] > 0.6


def test_document_004s_layouts():
    right, wrong = (ToyBinary(build(configs.ToyConfig, {"layout": layout})) for layout in ("right", "wrong"))
    stream = np.arange(350)
    assert right.arrange(stream).shape == (7, 50) and right.arrange(stream)[0, :3].tolist() == [0, 1, 2]
    two = wrong.arrange(stream[:100])
    assert two.shape == (50, 2) and two[0].tolist() == [0, 50], "a row holds digits that were no neighbours"
    batch = right._batch(3)
    digits, targets = batch.inputs[:, :, 0].long(), batch.targets
    assert torch.equal(targets[:, 1:], digits[:, 1:] + 2 * digits[:, :-1])


def test_ptb_follows_document_002_on_a_small_text(tmp_path):
    folder = tmp_path / "data" / "ptb"
    folder.mkdir(parents=True)
    for part, lines in (("train", 120), ("valid", 30), ("test", 30)):
        (folder / f"ptb.{part}.txt").write_text(" a cat sat on a mat \n the dog ran \n" * lines)
    result = recipes.ptb(
        data_dir=tmp_path / "data", out=tmp_path / "run", size="test", hidden=16, bptt=4, batch_size=4, epochs=3, **FAST
    )
    rates = [float(row["learning_rate"]) for row in RunFolder(result.path).metrics() if row["part"] == "valid"]
    assert rates == [1.0, 0.5, 0.25]
    assert result.test["perplexity"] < result.baselines["token frequencies"]["perplexity"]
    text = recipes.load(result.path).generate("the dog", length=5)
    assert text.startswith("the dog ")


def test_test_perplexity_does_not_depend_on_the_window():
    """ptb_word_lm tests with windows of one step and a carried state; longer windows must give the same."""
    task = OwnText(build(configs.LmConfig, {"hidden": 8, "layers": 1, "bptt": 4, "batch_size": 2}))
    task.vocabulary = Vocabulary(list("abc"))
    model = task.build_model()
    tokens = np.random.default_rng(0).integers(0, 3, 83)
    assert task.nats(model, tokens, 1, 1) == pytest.approx(task.nats(model, tokens, 1, 50), abs=1e-6)


def test_more_rows_than_tokens_are_told():
    task = OwnText(build(configs.LmConfig, {"bptt": 4, "batch_size": 500}))
    task.tokens = {"train": np.zeros(100, dtype=np.int64)}
    with pytest.raises(ValueError, match="100 tokens are too few for 500 rows"):
        task.epoch(0)


def test_forecast_beats_the_naive_one(tmp_path):
    steps = np.arange(500)
    wave = 10 + 3 * np.sin(steps / 6) + np.random.default_rng(0).normal(0, 0.1, 500)
    path = tmp_path / "wave.csv"
    path.write_text("day,load\n" + "".join(f"d{i},{value:.4f}\n" for i, value in zip(steps, wave, strict=True)))
    result = recipes.forecast(path, out=tmp_path / "run", horizon=6, window=24, epochs=6, hidden=24, **FAST)
    assert result.test["mae"] < 0.5 * result.baselines["naive: the last value"]["mae"]
    assert "Forecasts" in (result.path / "report.html").read_text()
    trained = recipes.load(result.path)
    line = next(trained.predict([" ".join(f"{v:.3f}" for v in wave[:24])]))
    assert np.abs(np.array(line.split("\t"), float) - wave[24:30]).mean() < 1.5
    assert trained.evaluate(str(path))["mae"] < 1.0
    with pytest.raises(DataError, match="expected steps of 1 numbers"):
        next(trained.predict(["[[1, 2], [3, 4]]"]))


CONLL = "EU B-ORG\nrejects O\nBonn B-LOC\n\nPeter B-PER\nBlack I-PER\nsleeps O\n\nin O\nBonn B-LOC\n\n"


@pytest.mark.parametrize("crf", [True, False])
def test_tagging_learns_a_small_file(tmp_path, crf):
    path = tmp_path / "a.conll"
    path.write_text(CONLL * 20)
    result = recipes.tag(
        path, out=tmp_path / "run", crf=crf, epochs=12, hidden=16, batch_size=4, learning_rate=0.02, **FAST
    )
    assert result.test["f1"] > 0.95
    line = next(recipes.load(result.path).predict(["Peter Black sleeps"]))
    tags, sure = line.split("\t")
    assert tags == "Peter/B-PER Black/I-PER sleeps/O" and 0 < float(sure) <= 1


def test_a_model_of_values_is_stored_with_its_normalisation(tmp_path):
    path = tmp_path / "v.jsonl"
    generator = np.random.default_rng(0)
    rows = [
        {"values": (generator.normal(100 * (i % 2), 10, 8)).tolist(), "label": "hi" if i % 2 else "lo"}
        for i in range(80)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = recipes.classify(path, out=tmp_path / "run", epochs=12, hidden=8, learning_rate=0.02, **FAST)
    assert result.test["accuracy"] == 1.0
    found = list(recipes.load(result.path).predict(["101 99 100 98 104", "0, 1, 2, -3"]))
    assert [line.split("\t")[0] for line in found] == ["hi", "lo"]


def test_unknown_options_name_the_nearest():
    with pytest.raises(ConfigError, match=r"recipes.mnist_static: unknown option 'hiden'; did you mean 'hidden'\?"):
        recipes.mnist_static(hiden=3)


def test_early_stop_counts_steps_without_a_better_validation(tmp_path):
    """Document 001's rule: stop when more than `patience` steps have passed since the best validation."""
    options = {"patience": 4, "eval_every": 2, "batch_size": 4, "epochs": 50, "hidden": 3, "layers": 1, **FAST}
    task = Mnist(build(configs.MnistConfig, options))
    images = np.random.default_rng(0).random((40, 28, 28), dtype=np.float32)
    task.parts = dict.fromkeys(("train", "valid", "test"), Examples(images, np.arange(40) % 10))
    task.classes, task.features, task.shape = list("0123456789"), 28, (28, 28)
    values = iter([0.1, 0.5, 0.2, 0.4, 0.3, 0.6, 0.7])
    task.evaluate = lambda model, part: {"loss": 1.0, "accuracy": next(values)}
    progress = Loop(task, task.build_model(), RunFolder(tmp_path), "mnist", Share()).run()
    assert (progress.best, progress.best_step, progress.step) == (0.5, 4, 9)


def test_cpu_minutes_end_a_run_that_has_patience_left(tmp_path):
    options = {"patience": 1000, "cpu_minutes": 1e-9, "eval_every": 1, "batch_size": 4, "epochs": 50, **FAST}
    task = Mnist(build(configs.MnistConfig, options | {"hidden": 3, "layers": 1}))
    images = np.random.default_rng(0).random((40, 28, 28), dtype=np.float32)
    task.parts = dict.fromkeys(("train", "valid", "test"), Examples(images, np.arange(40) % 10))
    task.classes, task.features, task.shape = list("0123456789"), 28, (28, 28)
    task.evaluate = lambda model, part: {"loss": 1.0, "accuracy": 0.5}
    progress = Loop(task, task.build_model(), RunFolder(tmp_path), "mnist", Share()).run()
    assert progress.step <= 1


def test_a_subset_decides_when_all_of_the_validation_data_is_looked_at(tmp_path):
    options = {"eval_every": 1, "batch_size": 10, "epochs": 2, "hidden": 3, "layers": 1, **FAST}
    task = Mnist(build(configs.MnistConfig, options))
    images = np.random.default_rng(0).random((40, 28, 28), dtype=np.float32)
    task.parts = dict.fromkeys(("train", "valid", "test"), Examples(images, np.arange(40) % 10))
    task.classes, task.features, task.shape = list("0123456789"), 28, (28, 28)
    looks = iter([0.5, 0.1, 0.2, 0.9, 0.1, 0.9, 0.2, 0.1])
    task.quick_evaluate = lambda model: (next(looks), 100)
    task.evaluate = lambda model, part: {"loss": 1.0, "accuracy": 0.5}
    folder = RunFolder(tmp_path)
    Loop(task, task.build_model(), folder, "mnist", Share()).run()
    parts = [row["part"] for row in folder.metrics() if row["part"] != "train"]
    assert parts == [
        "valid",
        "valid-subset",
        "valid-subset",
        "valid",
        "valid-subset",
        "valid",
        "valid-subset",
        "valid-subset",
    ]


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tmp_path):
    from recurra.training.loop import Diverged

    with pytest.raises(Diverged, match=r"the loss became (nan|inf) at step \d+ .*--learning-rate"):
        recipes.digits(
            out=tmp_path / "run",
            cell="rnn",
            activation="relu",
            optimizer="sgd",
            learning_rate=1e30,
            decay="none",
            **FAST,
        )


@pytest.mark.slow
def test_names_beat_n_grams(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    result = recipes.names(data_dir=SHARED, out=tmp_path / "run", report=False, **FAST)
    classical = result.baselines["character 1–4-grams, logistic regression"]
    assert result.test["accuracy"] > classical["accuracy"]
