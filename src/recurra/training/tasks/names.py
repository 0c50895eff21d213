"""Document 000: what a classifier of padded sequences reads. The document's 35 names, or the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from recurra.data import names
from recurra.data.batching import Batch, Examples
from recurra.data.vocab import END, PADDING, UNKNOWN, Vocabulary
from recurra.errors import DataError
from recurra.models.classifier import SequenceClassifier, uniform_
from recurra.training.configs import NamesConfig
from recurra.training.task import Lazy, text_of
from recurra.training.tasks.classification import Classification
from recurra.training.tasks.ngrams import ngram_baseline


class Names(Classification[NamesConfig]):
    """Nationality of a surname by its characters."""

    vocabulary: Vocabulary

    def __init__(self, config: NamesConfig):
        super().__init__(config)
        if config.data == "document":
            # nothing is held out there: the loss after the last iteration is what the document prints
            self.metric, self.higher_is_better = "loss", False

    def prepare(self) -> list[str]:
        return self._document() if self.config.data == "document" else self._real()

    def _document(self) -> list[str]:
        rows, labels, self.vocabulary = names.document()
        everything = _FixedWidth(rows, labels)
        # the document trains and judges on the same 35 names: nothing is held out
        self.parts = dict.fromkeys(("train", "valid", "test"), everything)
        self.texts = {"test": list(names.DOCUMENT_NAMES)}
        self.classes = [str(i) for i in range(int(labels.max()) + 1)]
        self.vocabulary_size = len(self.vocabulary)
        return [
            f"the document's {len(rows)} names, padded to {names.DOCUMENT_STEPS} steps; "
            "trained and judged on the same names"
        ]

    def _real(self) -> list[str]:
        splits = names.load(self.config.data_dir, self.config.held_out, self.config.seed)
        self.classes = splits.classes
        self.texts = {part: [name for name, _ in getattr(splits, part)] for part in ("train", "valid", "test")}
        characters = (character for name in self.texts["train"] for character in name)
        self.vocabulary = Vocabulary.of(characters, special=(PADDING, UNKNOWN, END))
        self.vocabulary_size = len(self.vocabulary)
        self.parts = {
            part: Examples(
                [self._encode(name, part) for name in self.texts[part]],
                np.array([label for _, label in getattr(splits, part)], dtype=np.int64),
            )
            for part in self.texts
        }
        sizes = ", ".join(f"{len(part)} {name}" for name, part in self.parts.items())
        return [
            f"{sizes} distinct (name, nationality) pairs, {len(self.classes)} nationalities; no name lies in two parts"
        ]

    @property
    def logits(self) -> int:
        return names.DOCUMENT_LOGITS if self.config.data == "document" else len(self.classes)

    def build_model(self) -> nn.Module:
        model = super().build_model()
        if self.config.init_scale is not None:
            for part in model.modules():
                if isinstance(part, SequenceClassifier) and part.embedding is not None:
                    uniform_(part.embedding, self.config.init_scale)
                    uniform_(part.output, self.config.init_scale)
        return model

    def epoch(self, epoch: int) -> Sequence[Batch]:
        if self.config.data == "document":
            everything = np.arange(len(self.parts["train"]))
            return Lazy(1, lambda i: self.parts["train"].batch(everything))
        return super().epoch(epoch)

    def artifacts(self) -> dict[str, Any]:
        return super().artifacts() | {"tokens": self.vocabulary.tokens}

    def restore(self, artifacts: dict[str, Any]) -> None:
        super().restore(artifacts)
        self.vocabulary = Vocabulary(artifacts["tokens"])
        self.vocabulary_size = len(self.vocabulary)

    def baselines(self) -> dict[str, dict[str, float]]:
        if self.config.data == "document":
            return super().baselines()
        train, test = self.parts["train"].targets.numpy(), self.parts["test"].targets.numpy()
        return super().baselines() | ngram_baseline(self.texts["train"], train, self.texts["test"], test, "char")

    def describe(self, row: int) -> str:
        return self.texts["test"][row]

    def read_input(self, value: Any, where: str) -> list[int]:
        """A name."""
        return self._encode(text_of(value, where).strip(), where)

    def _encode(self, name: str, where: str) -> list[int]:
        """Token numbers; a real name is closed by an end token, so that its last n-grams are known as such."""
        close = [END] if END in self.vocabulary else []
        try:
            return self.vocabulary.encode([*name, *close])
        except KeyError as error:
            raise DataError(f"{where}: the document's vocabulary has no {error.args[0]!r}") from error

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        """`data`: a folder with a file per nationality."""
        pairs = names.read_folder(Path(data))
        for _, label in pairs:
            if label not in self.classes:
                raise DataError(f"{data}: nationality {label!r} was not in training; known: {', '.join(self.classes)}")
        rows = [self._encode(name, data) for name, _ in pairs]
        labels = np.array([self.classes.index(label) for _, label in pairs], dtype=np.int64)
        return self.scores(*self.logits_of(model, Examples(rows, labels)))


class _FixedWidth(Examples):
    """Always padded to the document's eight steps: what stands at the last step is what it is about."""

    def batch(self, indices: np.ndarray) -> Batch:
        batch = super().batch(indices)
        missing = names.DOCUMENT_STEPS - batch.inputs.shape[1]
        return batch._replace(inputs=nn.functional.pad(batch.inputs, (0, missing)))
