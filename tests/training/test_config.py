"""Options: defaults, YAML, command line; unknown keys; the documents' settings."""

import subprocess
import sys

import pytest

from recurra.errors import ConfigError
from recurra.training import configs
from recurra.training.config import build, dump, resolve
from recurra.training.registry import RECIPES, get


def test_the_command_line_beats_the_file_and_the_file_the_default(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("learning-rate: 0.5\nepochs: 3\n")
    config = resolve(configs.DigitsConfig, file, {"epochs": "7"})
    assert (config.learning_rate, config.epochs, config.batch_size) == (0.5, 7, 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate: 1", r"unknown option 'lerning_rate'; did you mean 'learning_rate'\?"),
        ("epochs: many", "epochs = 'many': input should be a valid integer"),
        ("dropout: 1.5", "dropout = 1.5: input should be less than 1"),
        ("[1, 2]", "expected a mapping of options, got list"),
        ("a: [", "not YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path, text, message):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        resolve(configs.DigitsConfig, file, {})
    assert str(file) in str(error.value)


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'mnist-static'"):
        get("mnist_statik")


@pytest.mark.parametrize("name", RECIPES)
def test_a_dumped_config_builds_the_same_config(name):
    config = RECIPES[name].config_class()()
    assert build(type(config), dump(config)) == config


def test_every_recipe_is_a_function_too():
    from recurra import recipes

    for name in RECIPES:
        assert name.replace("-", "_") in recipes.__all__ and callable(getattr(recipes, name.replace("-", "_")))


def test_ptb_sizes_are_ptb_word_lms():
    """ptb_word_lm.py's SmallConfig, MediumConfig, LargeConfig; dropout is one minus its keep_prob."""
    wanted = {
        "small": (0.1, 1.0, 5, 2, 20, 200, 4, 13, 0.0, 0.5),
        "medium": (0.05, 1.0, 5, 2, 35, 650, 6, 39, 0.5, 0.8),
        "large": (0.04, 1.0, 10, 2, 35, 1500, 14, 55, 0.65, 1 / 1.15),
    }
    for size, values in wanted.items():
        c = build(configs.PtbConfig, {"size": size})
        got = (c.init_scale, c.learning_rate, c.clip_norm, c.layers, c.bptt, c.hidden, c.flat_epochs, c.epochs)
        got += (c.dropout, c.lr_decay)
        assert got == pytest.approx(values)
        assert (c.batch_size, c.forget_bias, c.optimizer) == (20, 0.0, "sgd")


def test_ptbs_learning_rate_is_halved_from_the_fifth_epoch():
    from recurra.training.tasks.language import Ptb

    task = Ptb(build(configs.PtbConfig, {}))
    assert [task.learning_rate(epoch, 0.0) for epoch in range(6)] == [1, 1, 1, 1, 0.5, 0.25]


def test_what_is_given_beats_what_a_size_sets():
    assert build(configs.PtbConfig, {"size": "medium", "hidden": 10}).hidden == 10


def test_mnist_reads_what_document_001_reads():
    for cell, read, layers in (("rnn", "states", 3), ("lstm", "state-h", 3), ("gru", "state-h", 3)):
        config = build(configs.MnistConfig, {"cell": cell})
        assert (config.read, config.layers, config.hidden, config.batch_size) == (read, layers, 100, 100)
    both = build(configs.MnistConfig, {"bidirectional": True})
    assert (both.layers, both.merge) == (2, "sum")


def test_help_needs_no_torch():
    """The modules that `--help` imports; the package's own `__init__` is what it is."""
    code = (
        "import sys, types; from pathlib import Path\n"
        "import recurra.errors\n"
        "before = 'torch' in sys.modules\n"
        "import recurra.training.registry as r\n"
        "[recipe.config_class() for recipe in r.RECIPES.values()]\n"
        "import recurra.cli.train\n"
        "sys.exit(0 if before == ('torch' in sys.modules) else 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
