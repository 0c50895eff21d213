"""Document 004: the number that the last two binary digits make, and the layout of the input that makes it
unlearnable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data.batching import Batch, epoch_generator
from recurra.loops import detach
from recurra.models.steps import StepClassifier
from recurra.training import plots
from recurra.training.configs import ToyConfig
from recurra.training.task import Lazy, Section, Share, StepLoss, Task, inference

POINTS = {"0 0": 1, "0 1": 2, "1 0": 3, "1 1": 5}  # digits → index in the test sequence 0 0 1 0 1 1 …
TEST_PATTERN = (0, 0, 1, 0, 1, 1)
NUMBER_OF = {"0 0": 0, "0 1": 1, "1 0": 2, "1 1": 3}


class ToyBinary(Task[ToyConfig]):
    """Both layouts. `right` cuts the stream of digits into rows that are sequences, `[7, 50]`; `wrong` reshapes it
    to `[T = 2, B = 50]` so that a digit's predecessor in the stream lies in another row of the batch, where no
    recurrence can see it."""

    metric = "worst_point"
    loss_unit = "digit"

    def prepare(self) -> list[str]:
        rows, steps = self.shape
        return [f"layout {self.config.layout}: {rows} rows of {steps} steps, new digits at every step of training"]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and steps of a batch."""
        return (7, 50) if self.config.layout == "right" else (50, 2)

    def artifacts(self) -> dict[str, Any]:
        return {}

    def restore(self, artifacts: dict[str, Any]) -> None:
        return None

    def build_model(self) -> nn.Module:
        return StepClassifier(1, 4, cell=self.config.cell, hidden=self.config.hidden, layers=self.config.layers)

    def arrange(self, stream: np.ndarray) -> Tensor:
        """A stream of digits as rows `[B, T]` in this layout."""
        rows, steps = self.shape
        if self.config.layout == "right":
            return torch.from_numpy(stream.reshape(rows, steps))
        return torch.from_numpy(stream.reshape(steps, rows).T.copy())

    def epoch(self, epoch: int) -> Sequence[Batch]:
        # one endless epoch: the document carries the state through all 3,000 steps
        return Lazy(self.config.steps or 3000, self._batch)

    def _batch(self, index: int) -> Batch:
        rows, steps = self.shape
        digits = epoch_generator(self.config.seed, index).integers(0, 2, rows * steps)
        targets = digits + np.concatenate([[0], 2 * digits[:-1]])
        return Batch(self.arrange(digits.astype(np.float32))[:, :, None], None, self.arrange(targets), np.arange(rows))

    def loss(self, model: nn.Module, batch: Batch, state: Any, share: Share) -> StepLoss:
        count = batch.targets.numel()
        rows = batch.targets.shape[0]
        mine = slice(rows * share.rank // share.world, rows * (share.rank + 1) // share.world)
        logits, state = model(batch.inputs[mine], state)
        total = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets[mine].flatten(), reduction="sum")
        return StepLoss(total, count, detach(state))

    def points(self, model: nn.Module) -> np.ndarray:
        """Probabilities `[4 points, 4 classes]` at the steps of the test sequence that follow 0 0, 0 1, 1 0 and 1 1."""
        rows, steps = self.shape
        stream = np.resize(np.array(TEST_PATTERN, dtype=np.float32), rows * steps)
        with inference(model):
            logits, _ = model(self.arrange(stream)[:, :, None])
        flat = logits.softmax(-1)
        if self.config.layout == "wrong":
            flat = flat.transpose(0, 1)  # the document flattens time-major there
        return flat.reshape(-1, 4)[list(POINTS.values())].numpy()

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        # fresh digits: index -1, -2 are never trained on
        batch = self._batch(2**31 - (1 if part == "valid" else 2))
        with inference(model):
            logits, _ = model(batch.inputs)
            loss = float(nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten()))
            accuracy = float((logits.argmax(-1) == batch.targets).double().mean())
        right = self.points(model)[range(4), list(NUMBER_OF.values())]
        named = {f"p({name.replace(' ', '')})": float(p) for name, p in zip(POINTS, right, strict=True)}
        return {"loss": loss, "accuracy": accuracy, "worst_point": float(right.min()), **named}

    def baselines(self) -> dict[str, dict[str, float]]:
        return {
            "the last digit alone": {
                "loss": float(np.log(2)),
                "accuracy": 0.5,
                "worst_point": 0.5,
            }
        }

    def sections(self, model: nn.Module) -> list[Section]:
        values = self.points(model)
        table: list[Sequence[str]] = [("digits", *(f"class {k}" for k in range(4)))]
        table += [(name, *(f"{p:.4f}" for p in row)) for name, row in zip(POINTS, values, strict=True)]
        picture = plots.probabilities(values, [f"after {name}" for name in POINTS], ["0", "1", "2", "3"])
        text = (
            "Rows of the batch are sequences: the predecessor is in the state."
            if self.config.layout == "right"
            else "Neighbours in the stream lie in different rows: the state never saw the predecessor, "
            "so each guess is a coin between two."
        )
        return [
            Section("The four points", text, [(picture, "probability of each class after each pair of digits")], table)
        ]
