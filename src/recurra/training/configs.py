"""The options of each recipe, with the documents' settings as defaults. No torch here: `--help` reads this file
only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from recurra.training.config import ModelConfig, RunConfig, option

Read = Literal["output-at-end", "output-at-length", "state-c", "state-h", "states"]
Merge = Literal["concat", "sum"]

READ_HELP = (
    "what the classifier reads: output-at-end (the last step, padding or not), "
    "output-at-length (each row's last real step), state-c, state-h (top layer's final state), states (all layers')"
)


BALANCE_HELP = (
    "hold frequent classes back in favour of rare ones: 0 seeks accuracy, 1 treats all classes alike (logit adjustment)"
)
NGRAMS_HELP = "add a linear model of the n-grams up to this order beside the recurrent one (0: none)"


class ReadConfig(ModelConfig):
    """A model that reads a sequence into one vector."""

    read: Read = option("output-at-length", READ_HELP, "Model")
    merge: Merge = option("concat", "how the two directions are joined", "Model")
    members: int = option(1, "classifiers trained side by side, whose probabilities are averaged", "Model", ge=1)
    activation: str | None = option(None, "activation of the rnn cell (default: the recipe's)", "Model")
    label_smoothing: float = option(0.0, "share of each target that is spread over all classes", ge=0, lt=1)
    balance: float = option(0.0, BALANCE_HELP, "Model", ge=0, le=1)


class ImageConfig(ReadConfig):
    """Images read row by row."""

    valid_size: int = option(5000, "first images of the training file, kept for validation", "Data", ge=1)
    valid_subset: int = option(1000, "of these, the fixed subset that is looked at at every validation", "Data", ge=1)
    train_limit: int | None = option(None, "use only this many training images", "Data", ge=1)


class DigitsConfig(ImageConfig):
    """scikit-learn's 1,797 digits (8 x 8), read row by row: needs no download."""

    threads: int | None = option(1, "threads of torch (so small a model gains nothing from more)", "Run", ge=1)
    hidden: int = option(96, "units per layer and direction", "Model", ge=1)
    bidirectional: bool = option(True, "a second, independent stack reads each image from below", "Model")
    dropout: float = option(0.2, "share of activations dropped on inputs and outputs in training", "Model", ge=0, lt=1)
    epochs: int = option(40, "passes over the training data at most", ge=1)
    batch_size: int = option(32, "examples (rows) per optimiser step", ge=1)
    learning_rate: float = option(5e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    valid_size: int = option(300, "images kept for validation", "Data", ge=1)
    valid_subset: int = option(300, "of these, the fixed subset that is looked at at every validation", "Data", ge=1)
    test_size: int = option(360, "images kept for the test", "Data", ge=1)


class MnistConfig(ImageConfig):
    """Document 001: 3 x 100 units (or 2 + 2 in two directions), Adam 1e-3, batch 100, stop after 2,000 steps without
    progress; with a linearly falling rate instead of a constant one."""

    layers: int = option(3, "recurrent layers (2 per direction with --bidirectional)", "Model", ge=1)
    read: Read = option("state-h", READ_HELP + "; states for the rnn unless given", "Model")
    merge: Merge = option("sum", "how the two directions are joined", "Model")
    activation: str | None = option("relu", "activation of the rnn cell", "Model")
    epochs: int = option(12, "passes over the training data at most", ge=1)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    batch_size: int = option(100, "examples (rows) per optimiser step", ge=1)
    eval_every: int | None = option(100, "steps between looks at the validation subset", ge=1)
    patience: int | None = option(2000, "stop after this many steps without a better validation", ge=1)

    @model_validator(mode="before")
    @classmethod
    def _document(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        both = str(values.get("bidirectional", False)).lower() in ("true", "1", "yes")
        read = {"read": "states"} if values.get("cell") == "rnn" else {}
        return {"layers": 2 if both else 3} | read | values


class MnistStaticConfig(ImageConfig):
    """Document 003: one LSTM of 128 units, plain gradient descent 1e-3, 10,000 steps of 128 images, normal(0, 1)
    output layer."""

    hidden: int = option(128, "units per layer and direction", "Model", ge=1)
    read: Read = option("output-at-end", READ_HELP, "Model")
    optimizer: Literal["adam", "sgd"] = option("sgd", "adam or plain gradient descent")
    epochs: int = option(1000, "passes over the training data at most", ge=1)
    steps: int | None = option(10_000, "optimiser steps at most", ge=1)
    batch_size: int = option(128, "examples (rows) per optimiser step", ge=1)
    eval_every: int | None = option(1000, "steps between validations", ge=1)
    log_every: int = option(200, "steps between lines of metrics.csv", ge=1)


class TextReadConfig(ReadConfig):
    """A sequence of characters or words read into one vector."""

    embedding: int = option(64, "size of the embedding", "Model", ge=1)
    ngrams: int = option(0, NGRAMS_HELP, "Model", ge=0, le=5)
    init_scale: float | None = option(
        None,
        "embedding and output layer start uniform in ± this (default: the library's initialisation)",
        "Model",
        gt=0,
    )


class NamesConfig(TextReadConfig):
    """Document 000: the nationality of a surname, on the document's 35 names (its settings) or on the real 18,012."""

    data: Literal["document", "real"] = option(
        "real",
        "the document's 35 names (400 iterations, its 35 logits), or the real ones with a held-out split",
        "Data",
    )
    threads: int | None = option(1, "threads of torch (so small a model gains nothing from more)", "Run", ge=1)
    held_out: float = option(0.1, "share of the distinct names kept for the test (real)", "Data", gt=0, lt=1)
    bidirectional: bool = option(True, "a second, independent stack reads each name backwards", "Model")
    hidden: int = option(100, "units per layer and direction", "Model", ge=1)
    embedding: int = option(64, "size of the embedding", "Model", ge=1)
    ngrams: int = option(4, NGRAMS_HELP, "Model", ge=0, le=5)
    label_smoothing: float = option(0.1, "share of each target that is spread over all classes", ge=0, lt=1)
    balance: float = option(0.2, BALANCE_HELP, "Model", ge=0, le=1)
    members: int = option(3, "classifiers trained side by side, whose probabilities are averaged", "Model", ge=1)
    epochs: int = option(10, "passes over the training data at most", ge=1)
    batch_size: int = option(128, "examples (rows) per optimiser step", ge=1)
    learning_rate: float = option(4e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    dropout: float = option(0.5, "share of activations dropped on inputs and outputs in training", "Model", ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _document(cls, values: object) -> object:
        if not isinstance(values, dict) or values.get("data") != "document":
            return values
        document = {
            "hidden": 150, "embedding": 250, "init_scale": 0.01, "epochs": 400, "batch_size": 35,
            "learning_rate": 1e-3, "decay": "none", "dropout": 0.0, "ngrams": 0, "members": 1, "label_smoothing": 0.0,
            "balance": 0.0,
            "log_every": 1, "eval_every": 50, "read": "state-c",
        }  # fmt: skip
        return document | values


PTB_SIZES: dict[str, dict[str, float | int]] = {
    "small": dict(
        init_scale=0.1, clip_norm=5, layers=2, bptt=20, hidden=200, epochs=13, flat_epochs=4, dropout=0.0, lr_decay=0.5
    ),
    "medium": dict(
        init_scale=0.05, clip_norm=5, layers=2, bptt=35, hidden=650, epochs=39, flat_epochs=6, dropout=0.5, lr_decay=0.8
    ),
    "large": dict(
        init_scale=0.04,
        clip_norm=10,
        layers=2,
        bptt=35,
        hidden=1500,
        epochs=55,
        flat_epochs=14,
        dropout=0.65,
        lr_decay=1 / 1.15,
    ),
    "test": dict(
        init_scale=0.1, clip_norm=1, layers=1, bptt=2, hidden=2, epochs=1, flat_epochs=1, dropout=0.0, lr_decay=0.5
    ),
}


class LanguageConfig(ModelConfig):
    """A language model with the state carried from batch to batch (truncated back-propagation)."""

    bptt: int = option(64, "steps through which gradients flow", ge=1)
    embedding: int | None = option(None, "size of the embedding (default: as many as units)", "Model", ge=1)
    forget_bias: float = option(1.0, "added to the forget gate of an lstm", "Model")
    init_scale: float | None = option(
        None, "all weights start uniform in ± this (default: the library's initialisation)", "Model", gt=0
    )
    loss_scale: Literal["mean", "sum-over-time"] = option(
        "mean", "mean over tokens, or (ptb_word_lm) summed over the steps of a row"
    )
    sample_length: int = option(400, "tokens of sampled text in the report", "Run", ge=1)


class PtbConfig(LanguageConfig):
    """Document 002: ptb_word_lm's configurations; the size sets every option that is not given."""

    size: Literal["small", "medium", "large", "test"] = option(
        "small", "which of ptb_word_lm's configurations", "Model"
    )
    optimizer: Literal["adam", "sgd"] = option("sgd", "adam or plain gradient descent")
    learning_rate: float = option(1.0, "learning rate at the start", gt=0)
    lr_decay: float = option(0.5, "factor of the learning rate per epoch after the flat ones", gt=0, le=1)
    flat_epochs: int = option(4, "epochs before the learning rate decays", ge=1)
    batch_size: int = option(20, "examples (rows) per optimiser step", ge=1)
    forget_bias: float = option(0.0, "added to the forget gate of an lstm", "Model")
    loss_scale: Literal["mean", "sum-over-time"] = option(
        "sum-over-time", "mean over tokens, or (ptb_word_lm) summed over the steps of a row"
    )
    log_every: int = option(100, "steps between lines of metrics.csv", ge=1)
    save_every: int | None = option(500, "steps between checkpoints besides those at validations", ge=1)
    sample_length: int = option(60, "tokens of sampled text in the report", "Run", ge=1)

    @model_validator(mode="before")
    @classmethod
    def _size(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        return PTB_SIZES.get(str(values.get("size", "small")), {}) | values


class LmConfig(LanguageConfig):
    """A language model of your own text, by character or by word."""

    level: Literal["char", "word"] = option("char", "what a token is", "Data")
    test_share: float = option(0.1, "share of the text, at its end, kept for the test", "Data", gt=0, lt=1)
    valid_share: float | None = option(
        None, "share of the text, before that, kept for validation (default: 0.05, at most 20,000 tokens)", "Data",
        gt=0, lt=1,
    )  # fmt: skip
    min_count: int = option(2, "words seen less often become <unk> (level word)", "Data", ge=1)
    max_vocab: int = option(20_000, "distinct tokens kept at most", "Data", ge=2)
    hidden: int = option(0, "units per layer (0: by the text's length, 128 to 512)", "Model", ge=0)
    epochs: int = option(20, "passes over the training data at most", ge=1)
    batch_size: int = option(0, "rows the text is cut into (0: by the text's length, at most 32)", ge=0)
    learning_rate: float = option(2e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    clip_norm: float | None = option(5.0, "clip the global norm of the gradient to this", gt=0)
    dropout: float = option(
        0.25, "share of activations dropped on inputs and outputs of layers in training", "Model", ge=0, lt=1
    )
    eval_every: int | None = option(500, "steps between validations", ge=1)


class ToyConfig(ModelConfig):
    """Document 004: the number that the last two binary digits make; the layout of the input decides whether it can
    be learned."""

    layout: Literal["right", "wrong"] = option(
        "right",
        "right: rows are sequences (7 x 50); wrong: reshaped so that neighbours lie in different rows (2 x 50)",
        "Data",
    )
    threads: int | None = option(1, "threads of torch (so small a model gains nothing from more)", "Run", ge=1)
    hidden: int = option(5, "units per layer and direction", "Model", ge=1)
    layers: int = option(2, "recurrent layers", "Model", ge=1)
    optimizer: Literal["adam", "sgd"] = option("sgd", "adam or plain gradient descent")
    learning_rate: float = option(0.1, "learning rate at the start", gt=0)
    clip_norm: float | None = option(10.0, "clip the global norm of the gradient to this", gt=0)
    steps: int | None = option(3000, "optimiser steps at most", ge=1)
    eval_every: int | None = option(300, "steps between validations", ge=1)
    log_every: int = option(100, "steps between lines of metrics.csv", ge=1)


class OwnDataConfig(RunConfig):
    """Options of recipes that read a person's own files."""

    skip_bad: bool = option(False, "leave out rows that cannot be read, and count them", "Data")
    valid: Path | None = option(None, "file for validation (default: a split is made)", "Data")
    test: Path | None = option(None, "file for the test (default: a split is made)", "Data")
    valid_share: float = option(0.1, "share split off for validation when no file is given", "Data", gt=0, lt=1)
    test_share: float = option(0.1, "share split off for the test when no file is given", "Data", gt=0, lt=1)


class ClassifyConfig(OwnDataConfig, TextReadConfig):
    """Classify your own sequences: CSV, TSV, JSONL, or a folder with a file per class."""

    text_column: str | None = option(None, "column with the text (default: found by its content)", "Data")
    label_column: str | None = option(
        None, "column with the class (default: 'label', 'class', 'target' or the last)", "Data"
    )
    level: Literal["auto", "char", "word"] = option(
        "auto", "what a token of a text is (auto: char up to 40 characters on average)", "Data"
    )
    max_length: int = option(2000, "longer sequences are cut to this many steps", "Data", ge=1)
    bidirectional: bool = option(True, "a second, independent stack reads each sequence backwards", "Model")
    epochs: int = option(0, "passes over the training data at most (0: by the data's size)", ge=0)
    batch_size: int = option(0, "examples per optimiser step (0: by the data's size)", ge=0)
    learning_rate: float = option(2e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    clip_norm: float | None = option(5.0, "clip the global norm of the gradient to this", gt=0)
    dropout: float = option(0.2, "share of activations dropped on inputs and outputs in training", "Model", ge=0, lt=1)


class TagConfig(OwnDataConfig, ModelConfig):
    """Tag the tokens of sentences (CoNLL columns): bidirectional, with character features, with or without a CRF."""

    crf: bool = option(True, "a linear-chain CRF on top scores whole tag sequences", "Model")
    embedding: int = option(100, "size of the word embedding", "Model", ge=1)
    char_embedding: int = option(30, "size of the character embedding (0: no character features)", "Model", ge=0)
    char_hidden: int = option(30, "units of the character reader per direction", "Model", ge=1)
    hidden: int = option(100, "units per layer and direction", "Model", ge=1)
    bidirectional: bool = option(True, "a second, independent stack reads each sentence backwards", "Model")
    dropout: float = option(0.5, "share of activations dropped on inputs and outputs in training", "Model", ge=0, lt=1)
    min_count: int = option(1, "words seen less often are unknown", "Data", ge=1)
    unknown_share: float = option(
        0.5, "words seen once are replaced by unknown this often in training", "Data", ge=0, lt=1
    )
    epochs: int = option(12, "passes over the training data at most", ge=1)
    batch_size: int = option(16, "sentences per optimiser step", ge=1)
    learning_rate: float = option(2e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    clip_norm: float | None = option(5.0, "clip the global norm of the gradient to this", gt=0)


class ForecastConfig(OwnDataConfig, ModelConfig):
    """Forecast the next values of one or several series in a CSV file."""

    target: str | None = option(
        None, "column to forecast (default: by its name, or the last that does not only count up)", "Data"
    )
    series: str | None = option(
        None, "column that names the series a row belongs to (default: looked for where the time repeats)", "Data"
    )
    time: str | None = option(
        None, "column with the time, kept out of the features (default: the first that is no number)", "Data"
    )
    horizon: int = option(12, "steps to forecast", "Data", ge=1)
    window: int = option(0, "steps of history that are read (0: four horizons, at least 24)", "Data", ge=0)
    stride: int = option(1, "steps between training windows", "Data", ge=1)
    hidden: int = option(64, "units per layer and direction", "Model", ge=1)
    epochs: int = option(0, "passes over the training data at most (0: by the data's size)", ge=0)
    batch_size: int = option(32, "windows per optimiser step", ge=1)
    learning_rate: float = option(3e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    clip_norm: float | None = option(1.0, "clip the global norm of the gradient to this", gt=0)


class Seq2SeqConfig(OwnDataConfig, ModelConfig):
    """Write a sequence for a sequence: encoder, attention, decoder; a beam search when predicting."""

    level: Literal["char", "word"] = option("char", "what a token is", "Data")
    max_length: int = option(200, "pairs with a longer side are left out", "Data", ge=1)
    train_length: int | None = option(
        None, "train on sources up to this length only; all longer ones are for the test", "Data", ge=1
    )
    attention: Literal["bahdanau", "luong"] = option("bahdanau", "additive or multiplicative attention", "Model")
    embedding: int = option(32, "size of both embeddings", "Model", ge=1)
    hidden: int = option(96, "units per layer and direction, and of the decoder", "Model", ge=1)
    bidirectional: bool = option(True, "a second, independent stack reads each source backwards", "Model")
    dropout: float = option(0.1, "share of activations dropped in training", "Model", ge=0, lt=1)
    beam: int = option(5, "sequences kept by the beam search when predicting", "Run", ge=1)
    n_best: int = option(3, "sequences that predict shows, with their scores", "Run", ge=1)
    length_penalty: float = option(0.0, "weight of the beam's length penalty", "Run", ge=0)
    threads: int | None = option(1, "threads of torch (so small a model gains little from more)", "Run", ge=1)
    epochs: int = option(5, "passes over the training data at most", ge=1)
    batch_size: int = option(64, "pairs per optimiser step", ge=1)
    learning_rate: float = option(3e-3, "learning rate at the start", gt=0)
    decay: Literal["none", "linear"] = option("linear", "how the learning rate goes down until the end of the run")
    clip_norm: float | None = option(1.0, "clip the global norm of the gradient to this", gt=0)
