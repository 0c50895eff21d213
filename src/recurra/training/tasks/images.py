"""Images read row by row: digits (embedded), mnist (document 001), mnist-static (document 003)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import digits, mnist
from recurra.data.batching import Examples
from recurra.data.mnist import ImageSplits
from recurra.errors import DataError
from recurra.training import plots
from recurra.training.configs import DigitsConfig, MnistConfig, MnistStaticConfig
from recurra.training.task import Incoming, Section, one_by_one
from recurra.training.tasks.classification import Classification, ConfigT


class Images(Classification[ConfigT]):
    """Images as sequences of rows."""

    scale: ClassVar[float] = 255.0
    shape: tuple[int, int] = (0, 0)

    def take(self, splits: ImageSplits) -> list[str]:
        """Keep the three parts."""
        config: Any = self.config
        images, labels = splits.train
        if config.train_limit is not None:
            images, labels = images[: config.train_limit], labels[: config.train_limit]
        self.parts = {
            "train": Examples(images, labels),
            "valid": Examples(*splits.valid),
            "test": Examples(*splits.test),
        }
        self.classes = [str(i) for i in range(10)]
        self.shape = (int(images.shape[1]), int(images.shape[2]))
        self.features = self.shape[1]
        self.quick_rows = config.valid_subset
        sizes = ", ".join(f"{len(part)} {name}" for name, part in self.parts.items())
        return [f"images {self.shape[0]} x {self.shape[1]}, read row by row: {sizes}"]

    def artifacts(self) -> dict[str, Any]:
        return super().artifacts() | {"shape": list(self.shape)}

    def restore(self, artifacts: dict[str, Any]) -> None:
        super().restore(artifacts)
        self.shape = (artifacts["shape"][0], artifacts["shape"][1])

    def input_type(self) -> Any:
        return str | list[float] | list[list[float]]

    def read_input(self, value: Any, where: str) -> Tensor:
        """An image's numbers (rows after each other, as in the data file), separated by blanks or commas, or as a
        list."""
        values, size = _numbers(value, where), self.shape[0] * self.shape[1]
        if len(values) != size:
            raise DataError(f"{where}: {len(values)} numbers, expected {size} ({self.shape[0]} x {self.shape[1]})")
        return torch.tensor(values).reshape(self.shape) / self.scale

    def pad(self, inputs: Sequence[Any]) -> tuple[Tensor, None]:  # type: ignore[override]
        return torch.stack(list(inputs)), None

    def stream(self, model: nn.Module) -> Incoming:
        """A step is a row of the image."""

        def read(value: Any, where: str) -> list[Tensor]:
            values, width = _numbers(value, where), self.shape[1]
            if len(values) % width:
                raise DataError(f"{where}: {len(values)} numbers, expected rows of {width}")
            return one_by_one(torch.tensor(values).reshape(-1, width) / self.scale)

        return Incoming(read, model.stepper(), lambda logits: self.classes_of(logits[0]))  # type: ignore[operator]

    def evaluate_file(self, model: nn.Module, data: str) -> dict[str, float]:
        """`data`: lines of an image's numbers followed by its label."""
        from pathlib import Path

        from recurra.data.text import read_text

        rows = [
            _numbers(line, f"line {n}") for n, line in enumerate(read_text(Path(data)).splitlines(), 1) if line.strip()
        ]
        size = self.shape[0] * self.shape[1] + 1
        for n, row in enumerate(rows, 1):
            if len(row) != size:
                raise DataError(f"{data}, line {n}: {len(row)} numbers, expected {size} (the last one is the label)")
        if not rows:
            raise DataError(f"{data}: empty")
        for n, row in enumerate(rows, 1):
            if row[-1] not in range(len(self.classes)):
                raise DataError(f"{data}, line {n}: label {row[-1]:g}, expected one of {', '.join(self.classes)}")
        table = np.array(rows, dtype=np.float32)
        images = (table[:, :-1] / self.scale).reshape(-1, *self.shape)
        return self.scores(*self.logits_of(model, Examples(images, table[:, -1].astype(np.int64))))

    def mistakes(self, rows: list[int], probabilities: Tensor, targets: Tensor) -> Section:
        section = super().mistakes(rows, probabilities, targets)
        images = self.parts["test"].dense
        assert images is not None
        titles = [f"{self.classes[int(targets[r])]} → {self.classes[int(probabilities[r].argmax())]}" for r in rows]
        section.pictures = [(plots.images([images[r].numpy() for r in rows], titles), "truth → prediction")]
        return section


def _numbers(value: Any, where: str) -> list[float]:
    """The numbers of a line, or of a list (of lists)."""
    try:
        cells = value.replace(",", " ").split() if isinstance(value, str) else np.array(value, dtype=np.float64).flat
        numbers = [float(cell) for cell in cells]
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{where}: {str(error)[:80]}") from error
    if not np.isfinite(numbers).all():
        raise DataError(f"{where}: a number that is not finite")
    return numbers


class Digits(Images[DigitsConfig]):
    """scikit-learn's digits."""

    scale = 16.0

    def prepare(self) -> list[str]:
        return self.take(digits.load(self.config.valid_size, self.config.test_size))

    def baselines(self) -> dict[str, dict[str, float]]:
        return super().baselines() | linear_baseline(self.parts)


class Mnist(Images[MnistConfig]):
    """Document 001: stacked RNN, LSTM or GRU of 3 x 100 units, or 2 + 2 x 100 in two directions."""

    spread_remainder = True

    def prepare(self) -> list[str]:
        lines = self.take(mnist.load(self.config.data_dir, self.config.valid_size))
        return [
            *lines,
            f"every {self.config.eval_every} steps {self.config.valid_subset} validation images decide whether to look "
            "at all of them (document 001 looks at all 5,000 every 10 steps, which costs more than training)",
        ]


class MnistStatic(Images[MnistStaticConfig]):
    """Document 003: one LSTM of 128 units, gradient descent, normal(0, 1) output layer; also judged on its 128 test
    images."""

    def prepare(self) -> list[str]:
        return self.take(mnist.load(self.config.data_dir, self.config.valid_size))

    def build_model(self) -> nn.Module:
        model = super().build_model()
        output: nn.Linear = model.output  # type: ignore[assignment]
        nn.init.normal_(output.weight)
        nn.init.normal_(output.bias)
        return model

    def evaluate(self, model: nn.Module, part: str) -> dict[str, float]:
        result = super().evaluate(model, part)
        if part == "test":
            logits, targets = self.logits_of(model, self.parts["test"], 128)
            result["accuracy_first_128"] = float((logits.argmax(-1) == targets).double().mean())
        return result


def linear_baseline(parts: dict[str, Examples]) -> dict[str, dict[str, float]]:
    """Logistic regression on the pixels (scikit-learn), which sees no sequence."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    train, test = parts["train"], parts["test"]
    assert train.dense is not None and test.dense is not None
    model = LogisticRegression(max_iter=200).fit(train.dense.flatten(1).numpy(), train.targets.numpy())
    guess, truth = model.predict(test.dense.flatten(1).numpy()), test.targets.numpy()
    scores = {"accuracy": float(np.mean(guess == truth)), "macro_f1": float(f1_score(truth, guess, average="macro"))}
    return {"logistic regression on the pixels": scores}
