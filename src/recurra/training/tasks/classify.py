"""Your own labelled sequences: texts by character or word, or sequences of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.data import folders, tables
from recurra.data.batching import Examples
from recurra.data.tables import Choice, Labelled
from recurra.data.text import SKIP_HINT, Level, read_text, tokenize
from recurra.data.vocab import Vocabulary
from recurra.errors import DataError
from recurra.training.configs import ClassifyConfig
from recurra.training.task import Incoming, one_by_one, text_of
from recurra.training.tasks.classification import Classification
from recurra.training.tasks.ngrams import ngram_baseline

CHAR_UP_TO = 40  # mean characters of a text up to which a token is a character
WORDS_MIN_COUNT = 2


class Classify(Classification[ClassifyConfig]):
    """Classes of a person's own sequences."""

    data: str = ""
    kind: str = "text"
    level: Level = "char"
    source: list[str] = []
    whole_files: bool = False
    vocabulary: Vocabulary | None = None
    mean: np.ndarray
    scale: np.ndarray

    # --- data -------------------------------------------------------------------------------------------------------

    def prepare(self) -> list[str]:
        config = self.config
        everything = self._read(self.data)
        # whatever is read from here on, in this run or after it, is read from the same columns
        config.label_column = everything.label
        config.text_column = everything.source[0] if len(everything.source) == 1 and everything.label else None
        self.kind, self.source, self.whole_files = everything.kind, everything.source, everything.whole_files
        parts = self._split(everything)
        self._check_classes(parts)
        self.classes = sorted(set(parts["train"].labels))
        self._fit(parts["train"])
        lines = [f"{self.data}: {len(everything.labels)} examples, {everything.columns}", *everything.notes]
        if everything.skipped:
            lines.append(f"{everything.skipped} bad rows left out")
        self.texts = {name: part.inputs if self.kind == "text" else [] for name, part in parts.items()}
        self.parts = {name: self._examples(part, name) for name, part in parts.items()}
        self._sizes(len(self.parts["train"]))
        sizes = ", ".join(f"{len(part)} {name}" for name, part in self.parts.items())
        tokens = f", {len(self.vocabulary)} {self.level}s" if self.vocabulary else f", {self.features} features"
        longest = max(max(part.lengths, default=0) for part in self.parts.values())
        lines.append(f"{sizes}; {len(self.classes)} classes{tokens}; longest sequence {longest}")
        return [*lines, f"batch size {config.batch_size}, at most {config.epochs} epochs"]

    def _read(self, path: str) -> Labelled:
        config = self.config
        if Path(path).is_dir():
            return folders.read(Path(path), self.source or None, skip_bad=config.skip_bad)
        if self.whole_files:
            raise DataError(f"{path}: a file, expected a folder with a folder per class, as in training")
        return tables.read(Path(path), Choice(config.text_column, config.label_column, config.skip_bad))

    def _split(self, everything: Labelled) -> dict[str, Labelled]:
        """Train, valid and test: from the files that are named, the others split off."""
        config = self.config
        shares = [
            0.0 if file else share
            for file, share in ((config.valid, config.valid_share), (config.test, config.test_share))
        ]
        rows = tables.split(everything.labels, shares, config.seed)
        parts = {}
        for name, indices, file in zip(
            ("train", "valid", "test"), rows, (None, config.valid, config.test), strict=True
        ):
            if file is not None:
                parts[name] = self._read(str(file))
                continue
            parts[name] = Labelled(
                everything.kind, [everything.inputs[i] for i in indices], [everything.labels[i] for i in indices]
            )
            if not len(indices):
                raise DataError(f"{self.data}: {self._too_few(everything, name)}")
        return parts

    def _too_few(self, everything: Labelled, part: str) -> str:
        count, kinds = len(everything.labels), len(set(everything.labels))
        if everything.label is not None and count >= 20 and 2 * kinds > count:
            return (
                f"column {everything.label!r} has {kinds} different values in {count} rows, too few of each class "
                f"for a part for {part} (--label-column names another column)"
            )
        return f"{count} rows are too few to split off a part for {part}"

    def _check_classes(self, parts: dict[str, Labelled]) -> None:
        known = set(parts["train"].labels)
        if len(known) < 2:
            raise DataError(f"{self.data}: one class only ({next(iter(known))!r}), expected at least two")
        for name in ("valid", "test"):
            parts[name] = self._known_classes(parts[name], name, known)

    def _known_classes(self, part: Labelled, where: str, known: set[str]) -> Labelled:
        """`part` without the rows of classes that training never saw."""
        foreign = Counter(label for label in part.labels if label not in known)
        if not foreign:
            return part
        label, count = foreign.most_common(1)[0]
        names = ", ".join(sorted(known)[:20])
        if not self.config.skip_bad:
            raise DataError(
                f"{where}: class {label!r} ({count} rows) never occurs in training; known: {names} {SKIP_HINT}"
            )
        keep = [i for i, label in enumerate(part.labels) if label in known]
        if not keep:
            raise DataError(f"{where}: no row of a class that occurs in training; known: {names}")
        return Labelled(part.kind, [part.inputs[i] for i in keep], [part.labels[i] for i in keep])

    def _fit(self, train: Labelled) -> None:
        """Vocabulary or normalisation, from the training part alone."""
        if self.kind == "values":
            widths = Counter(value.shape[1] for value in train.inputs)
            self.features = widths.most_common(1)[0][0]
            flat = np.concatenate([value for value in train.inputs if value.shape[1] == self.features])
            self.mean, self.scale = flat.mean(0), np.where(flat.std(0) > 1e-8, flat.std(0), 1.0)
            return
        mean_length = np.mean([len(text) for text in train.inputs])
        level = self.config.level
        self.level = level if level != "auto" else ("char" if mean_length <= CHAR_UP_TO else "word")
        tokens = (token for text in train.inputs for token in tokenize(text, self.level))
        least = WORDS_MIN_COUNT if self.level == "word" and len(train.inputs) > 500 else 1
        self.vocabulary = Vocabulary.of(tokens, min_count=least, most=50_000)
        self.vocabulary_size = len(self.vocabulary)

    def _examples(self, part: Labelled, where: str) -> Examples:
        labels = np.array([self.classes.index(label) for label in part.labels], dtype=np.int64)
        return Examples([self._encode(value, where) for value in part.inputs], labels)

    def _encode(self, value: Any, where: str) -> Any:
        return self._numbers(value, where, self.config.max_length)

    def _numbers(self, value: Any, where: str, most: int | None = None) -> Any:
        """Tokens, or normalised steps `[T, F]`, the first `most`."""
        if self.vocabulary is not None:
            return self.vocabulary.encode(tokenize(value, self.level))[:most]
        if not len(value):
            return np.zeros((0, self.features), dtype=np.float32)
        if value.shape[1] != self.features:
            raise DataError(f"{where}: a sequence with {value.shape[1]} features, expected {self.features}")
        return ((value - self.mean) / self.scale).astype(np.float32)[:most]

    def _sizes(self, count: int) -> None:
        """Batch size and epochs by the data's size: some 2,000 steps, 5 to 60 epochs."""
        config = self.config
        config.batch_size = config.batch_size or (16 if count < 1000 else 32 if count < 10_000 else 64)
        config.epochs = config.epochs or int(np.clip(2000 * config.batch_size / count, 5, 60))

    # --- stored with the model --------------------------------------------------------------------------------------

    def artifacts(self) -> dict[str, Any]:
        own: dict[str, Any] = {"kind": self.kind, "level": self.level, "source": self.source}
        own |= {"whole_files": True} if self.whole_files else {}
        if self.vocabulary is not None:
            own["tokens"] = self.vocabulary.tokens
        else:
            own |= {"mean": self.mean.tolist(), "scale": self.scale.tolist()}
        return super().artifacts() | own

    def restore(self, artifacts: dict[str, Any]) -> None:
        super().restore(artifacts)
        self.kind, self.level, self.source = artifacts["kind"], artifacts["level"], artifacts["source"]
        self.whole_files = artifacts.get("whole_files", False)
        if "tokens" in artifacts:
            self.vocabulary = Vocabulary(artifacts["tokens"])
            self.vocabulary_size = len(self.vocabulary)
        else:
            self.mean, self.scale = np.array(artifacts["mean"]), np.array(artifacts["scale"])

    def baselines(self) -> dict[str, dict[str, float]]:
        found = super().baselines()
        if self.kind == "text":
            train, test = self.parts["train"].targets.numpy(), self.parts["test"].targets.numpy()
            found |= ngram_baseline(self.texts["train"], train, self.texts["test"], test, self.level)
        return found

    def describe(self, row: int) -> str:
        if self.kind == "text":
            return str(self.texts["test"][row])[:80]
        return f"#{row} ({self.parts['test'].lengths[row]} steps)"

    # --- using it ---------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"columns": self.source}

    def input_type(self) -> Any:
        if self.vocabulary is not None:
            return str | dict[str, str]
        return str | list[float] | list[list[float]] | dict[str, Any]

    def step_type(self) -> Any:
        return str if self.vocabulary is not None else str | float | list[float] | list[list[float]]

    def read_input(self, value: Any, where: str) -> Any:
        """A text, or the numbers of a sequence separated by blanks or commas, or as a list (several features: a list
        of rows); or a row of the training file as an object."""
        if isinstance(value, dict) and self.source and not self.whole_files:
            return self._encode(tables.row_input(value, self.source, self.kind, where), where)
        if self.vocabulary is not None:
            return self._encode(text_of(value, where), where)
        return self._encode(tables.steps_of(value, self.features, where), where)

    def stream(self, model: nn.Module) -> Incoming:
        """A step is a token (a text may hold several), or the numbers of a time step."""

        def read(value: Any, where: str) -> list[torch.Tensor]:
            if self.vocabulary is not None:
                return one_by_one(torch.tensor(self._numbers(text_of(value, where), where)))
            steps = self._numbers(tables.next_steps(value, self.features, where), where)
            return one_by_one(torch.from_numpy(steps))

        return Incoming(read, model.stepper(), lambda logits: self.classes_of(logits[0]))  # type: ignore[operator]

    def predict_file(self, model: nn.Module, path: Path) -> Iterator[str]:
        """A table with the training file's columns (the class may be missing) is read as one; else a line is a
        sequence. Where training read a file per example, a file is one."""
        if self.whole_files:
            value = folders.read_values(path, self.source) if self.kind == "values" else read_text(path).strip()
            yield self.answers(model, [self._encode(value, str(path))])[0].line()
            return
        inputs = tables.read_inputs(path, self.source, self.kind)
        if inputs is None:
            yield from super().predict_file(model, path)
            return
        for number, value in enumerate(inputs, 1):
            yield self.answers(model, [self._encode(value, f"{path}, row {number}")])[0].line()

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        part = self._read(data)
        if part.kind != self.kind:
            raise DataError(f"{data}: holds {part.kind}, the model was trained on {self.kind}")
        part = self._known_classes(part, data, set(self.classes))
        return self.scores(*self.logits_of(model, self._examples(part, data)))
