"""One class per sequence: the base of digits, mnist, names and classify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data.batching import (
    Batch,
    Examples,
    batches_by_length,
    equal_lengths,
    pad_tokens,
    pad_values,
    shuffled_batches,
)
from recurra.models.classifier import Balanced, make_classifier
from recurra.training import metrics, plots
from recurra.training.answers import Classes
from recurra.training.configs import ReadConfig
from recurra.training.task import Lazy, Section, Share, StepLoss, Task, inference, mine

ConfigT = TypeVar("ConfigT", bound=ReadConfig)

EVAL_ROWS = 500


class Classification(Task[ConfigT]):
    """Shared by all classifiers: loss, metrics, confusion matrix. A subclass fills `parts`, `classes`, `features`,
    `vocabulary`."""

    parts: dict[str, Examples]
    classes: list[str]
    features: int = 0
    vocabulary_size: int | None = None
    quick_rows: int | None = None
    spread_remainder: ClassVar[bool] = False
    answer_type = Classes

    def build_model(self) -> nn.Module:
        model = make_classifier(self.config, self.logits, self.features, self.vocabulary_size)
        if not self.config.balance:
            return model
        parts = getattr(self, "parts", None)  # none where a trained model is loaded, and its counts with it
        counts = None if parts is None else torch.bincount(parts["train"].targets, minlength=self.logits)
        return Balanced(model, self.logits, counts, self.config.balance)

    @property
    def logits(self) -> int:
        """Size of the output layer."""
        return len(self.classes)

    def artifacts(self) -> dict[str, Any]:
        return {"classes": self.classes, "features": self.features}

    def restore(self, artifacts: dict[str, Any]) -> None:
        self.classes, self.features = artifacts["classes"], artifacts["features"]

    def epoch(self, epoch: int) -> Sequence[Batch]:
        train = self.parts["train"]
        if train.rows is not None and len(train) > self.config.batch_size:
            order = batches_by_length(train.lengths, self.config.batch_size, self.config.seed, epoch)
        else:
            order = shuffled_batches(
                len(train), self.config.batch_size, self.config.seed, epoch, drop_last=self.spread_remainder
            )
        return Lazy(len(order), lambda i: train.batch(order[i]))

    def loss(self, model: nn.Module, batch: Batch, state: Any, share: Share) -> StepLoss:
        count = batch.size
        if share.world > 1:
            rows = mine(np.arange(count), share)
            lengths = None if batch.lengths is None else batch.lengths[rows]
            batch = Batch(batch.inputs[rows], lengths, batch.targets[rows], batch.rows[rows])
        logits, targets = model(batch.inputs, batch.lengths), batch.targets
        if logits.dim() == 3:  # a committee: every member by its own loss
            count *= logits.shape[1]
            logits, targets = logits.flatten(0, 1), targets.repeat_interleave(logits.shape[1])
        smoothing = self.config.label_smoothing
        return StepLoss(nn.functional.cross_entropy(logits, targets, reduction="sum", label_smoothing=smoothing), count)

    # --- judging ----------------------------------------------------------------------------------------------------

    def logits_of(self, model: nn.Module, examples: Examples, most: int | None = None) -> tuple[Tensor, Tensor]:
        """Logits `[N, classes]` and targets `[N]` of (the first `most`) examples, in their own order."""
        device = self.config.device
        with inference(model):
            done = [
                (b.rows, model(b.inputs.to(device), None if b.lengths is None else b.lengths.to(device)).cpu())
                for b in examples.chunks(EVAL_ROWS, most)
            ]
        rows = np.concatenate([r for r, _ in done])
        logits = torch.cat([values for _, values in done])[np.argsort(rows)]
        return logits, examples.targets[: len(rows)]

    def scores(self, logits: Tensor, targets: Tensor) -> dict[str, float]:
        """Loss, accuracy and macro F1."""
        guesses = logits.argmax(-1)
        return {
            "loss": float(nn.functional.cross_entropy(logits, targets)),
            "accuracy": float((guesses == targets).double().mean()),
            "macro_f1": metrics.macro_f1(targets.numpy(), guesses.numpy(), logits.shape[1]),
        }

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        return self.scores(*self.logits_of(model, self.parts[part]))

    def quick_evaluate(self, model: nn.Module) -> tuple[float, int] | None:
        if self.quick_rows is None or self.quick_rows >= len(self.parts["valid"]):
            return None
        logits, targets = self.logits_of(model, self.parts["valid"], self.quick_rows)
        return float((logits.argmax(-1) == targets).double().mean()), len(targets)

    def baselines(self) -> dict[str, dict[str, float]]:
        train, test = self.parts["train"].targets.numpy(), self.parts["test"].targets.numpy()
        common = int(np.bincount(train).argmax())
        guess = np.full_like(test, common)
        f1 = metrics.macro_f1(test, guess, len(self.classes))
        return {f"always {self.classes[common]!r}": {"accuracy": float(np.mean(test == common)), "macro_f1": f1}}

    # --- using it ---------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return {"labels": self.classes, "vocabulary": self.vocabulary_size}

    def answers(self, model: nn.Module, inputs: Sequence[Any]) -> list[Classes]:
        # the output at a batch's end would be that of the padding
        alone = self.config.read == "output-at-end"
        found: dict[int, Classes] = {}
        with inference(model):
            for rows in equal_lengths(inputs) if alone else [range(len(inputs))]:
                logits = model(*self.pad([inputs[i] for i in rows]))
                found |= zip(rows, map(self.classes_of, logits), strict=True)
        return [found[i] for i in range(len(inputs))]

    def pad(self, inputs: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """A batch of what `read_input` gave, and its lengths."""
        return pad_values(inputs) if self.vocabulary_size is None else pad_tokens(inputs)

    def classes_of(self, logits: Tensor) -> Classes:
        """The classes that `logits [K]` speak for; the documents' models have some that stand for no class."""
        return Classes.of(logits[: len(self.classes)].softmax(-1), self.classes)

    # --- report -----------------------------------------------------------------------------------------------------

    def sections(self, model: nn.Module) -> list[Section]:
        logits, targets = self.logits_of(model, self.parts["test"])
        guesses = logits.argmax(-1)
        counts = metrics.confusion(targets.numpy(), guesses.numpy(), self.logits)[
            : len(self.classes), : len(self.classes)
        ]
        picture = plots.confusion(counts, self.classes)
        parts = [Section("Confusion matrix", pictures=[(picture, "rows: truth, columns: prediction (test)")])]
        wrong = torch.nonzero(guesses != targets).flatten()
        if len(wrong):
            losses = nn.functional.cross_entropy(logits[wrong], targets[wrong], reduction="none")
            worst = wrong[losses.argsort(descending=True)][:12]
            parts.append(self.mistakes(worst.tolist(), logits.softmax(-1), targets))
        return parts

    def mistakes(self, rows: list[int], probabilities: Tensor, targets: Tensor) -> Section:
        """The worst mistakes on the test part, as a table."""
        table: list[Sequence[str]] = [("example", "truth", "predicted", "probability", "of the truth")]
        for row in rows:
            guess, truth = int(probabilities[row].argmax()), int(targets[row])
            table.append(
                (
                    self.describe(row),
                    self.classes[truth],
                    self.classes[guess],
                    f"{probabilities[row, guess]:.3f}",
                    f"{probabilities[row, truth]:.3f}",
                )
            )
        return Section("Worst mistakes", f"{len(rows)} test examples with the largest loss.", table=table)

    def describe(self, row: int) -> str:
        """A test example in a few characters."""
        return f"#{row}"
