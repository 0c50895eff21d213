"""Draw the pictures of docs/systems from real runs.

    python docs/systems/make_pictures.py RUNS

RUNS holds run folders named as in `NEEDED`; a picture whose runs are missing is left as it is and named.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

from recurra.data import names, ptb
from recurra.data.batching import Stream
from recurra.training.runfolder import RunFolder
from recurra.training.runs import load

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, GRAY = "#2a6fbb", "#d9822b", "#3b8f5a", "#8a8f98"
NEEDED = {
    "names": ("names-end", "names-state"),
    "mnist": ("mnist-rnn", "mnist-lstm", "mnist-bi"),
    "ptb": ("ptb-small",),
    "mnist-static": ("static-sgd", "static-adam"),
    "toy-binary": ("toy-right", "toy-wrong"),
}


def series(run: Path, part: str, column: str) -> tuple[list[int], list[float]]:
    """Steps and numbers of one kind of row of metrics.csv."""
    rows = [row for row in RunFolder(run).metrics() if row["part"] == part and row[column]]
    return [int(row["step"]) for row in rows], [float(row[column]) for row in rows]


def axes_pair() -> tuple[Any, Any, Any]:
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.3), dpi=100, layout="constrained")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#e8eaed")
        axes.set_axisbelow(True)
    return figure, left, right


def draw_names(end: Path, state: Path) -> Any:
    """Loss of both reads; the size of outputs and memory along a padded name."""
    figure, left, right = axes_pair()
    for run, label, color in ((end, "output at the last step", ORANGE), (state, "final state c", BLUE)):
        left.plot(*series(run, "train", "loss"), label=label, color=color)
    left.set(xlabel="iteration", ylabel="loss", title="35 names, the document's two programs")
    left.legend(frameon=False)
    trained = load(state)
    rows, _, _ = names.document()
    row = torch.tensor([rows[2] + [0] * (names.DOCUMENT_STEPS - len(rows[2]))])
    with torch.inference_mode():
        encoder = trained.model.encoder
        inputs, lengths = trained.model.embedding(row), torch.tensor([len(rows[2])])
        encoded = encoder(inputs, lengths)
        carried = encoded.states[0][-1].h.norm().item()
    right.set_ylim(0, 1.45 * carried)
    right.bar(range(1, 9), encoded.outputs[0][0].norm(dim=-1), color=ORANGE, label="forward output")
    right.axhline(carried, color=BLUE, label="final state h, carried through")
    right.set_xticks(range(1, 9), [*names.DOCUMENT_NAMES[2], *["pad"] * (8 - len(rows[2]))])
    right.set(ylabel="norm", title="one padded name")
    right.legend(loc="upper right", fontsize=8, frameon=False)
    return figure


def draw_mnist(*runs: Path) -> Any:
    """Training loss, and accuracy wherever all validation images were looked at."""
    figure, left, right = axes_pair()
    for run, color in zip(runs, (GRAY, BLUE, ORANGE), strict=True):
        left.plot(*series(run, "train", "loss"), color=color, label=run.name.removeprefix("mnist-"), linewidth=1)
        right.plot(*series(run, "valid", "value"), color=color, label=run.name.removeprefix("mnist-"), linewidth=1.2)
    left.set(xlabel="step", ylabel="training loss", yscale="log")
    right.set(xlabel="step", ylabel="accuracy on all 5,000", ylim=(0.96, 0.995), title="validation")
    right.legend(frameon=False)
    return figure


def draw_ptb(run: Path) -> Any:
    """Perplexity by epoch; the same weights with the state carried, and thrown away after every window."""
    figure, left, right = axes_pair()
    steps, losses = series(run, "valid", "loss")
    left.plot(range(1, len(steps) + 1), np.exp(losses), marker="o", color=ORANGE, label="validation")
    left.axhline(121.4, color=GRAY, linestyle=":", label="published after 13 epochs: 121.4")
    left.set(xlabel="epoch", ylabel="perplexity", ylim=(100, 200))
    left.legend(frameon=False)
    trained = load(run)
    tokens = ptb.load(trained.config.data_dir).test
    windows = (1, 2, 5, 10, 20, 50)
    lost = [forgetful(trained, tokens[:20_000], window) for window in windows]
    carried = np.exp(trained.task.nats(trained.model, tokens[:20_000], 20, 50))
    right.plot(windows, lost, marker="o", color=BLUE, label="state thrown away after each window")
    right.axhline(carried, color=ORANGE, label="state carried from window to window")
    right.set(xlabel="window", ylabel="perplexity (20,000 test words)", xscale="log", yscale="log")
    right.set_xticks(windows, [str(window) for window in windows], minor=False)
    right.set_yticks([100, 150, 200, 250], ["100", "150", "200", "250"])
    right.minorticks_off()
    right.legend(frameon=False, fontsize=8)
    return figure


def forgetful(trained: Any, tokens: np.ndarray, window: int) -> float:
    """Perplexity when every window starts from zeros."""
    stream, total, count = Stream(tokens, 20, window), 0.0, 0
    with torch.inference_mode():
        for i in range(0, len(stream), max(1, len(stream) // 100)):
            batch = stream.window(i)
            logits, _ = trained.model(batch.inputs)
            total += float(
                torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")
            )
            count += batch.targets.numel()
    return float(np.exp(total / count))


def draw_mnist_static(plain: Path, adam: Path) -> Any:
    """The same model and batches under plain gradient descent and under Adam, both at the document's rate."""
    figure, left, right = axes_pair()
    for run, color, label in ((plain, ORANGE, "gradient descent (the document's)"), (adam, BLUE, "Adam")):
        left.plot(*series(run, "train", "loss"), color=color, linewidth=1.2, label=label)
        for part, style in (("valid-subset", "."), ("valid", ".")):
            right.plot(*series(run, part, "value"), color=color, marker=style, linestyle="none")
    left.set(xlabel="step", ylabel="training loss", yscale="log", title="one LSTM of 128 units, rate 0.001")
    left.legend(frameon=False, fontsize=9)
    right.axhline(0.875, color=GRAY, linestyle=":", label="the document after 10,000 steps (128 test images)")
    right.set(xlabel="step", ylabel="accuracy (validation)", ylim=(0, 1))
    right.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def draw_toy_binary(right_run: Path, wrong_run: Path) -> Any:
    """The probabilities after the four pairs of digits, in both layouts."""
    figure, left, right = axes_pair()
    for axes, run, title in ((left, right_run, "rows are sequences"), (right, wrong_run, "reshaped the wrong way")):
        trained = load(run)
        points = trained.task.points(trained.model)
        for k in range(4):
            axes.bar(np.arange(4) + 0.2 * (k - 1.5), points[:, k], 0.2, label=f"class {k}")
        axes.set_xticks(range(4), ["0 0", "0 1", "1 0", "1 1"])
        axes.set(ylim=(0, 1.05), ylabel="probability", xlabel="the last two digits", title=title)
    right.legend(frameon=False, ncols=2, fontsize=8)
    return figure


def main() -> None:
    """Draw what can be drawn."""
    runs = Path(sys.argv[1])
    for name, needed in NEEDED.items():
        missing = [run for run in needed if not (runs / run / "metrics.csv").is_file()]
        if missing:
            print(f"{name}: no runs {', '.join(missing)}")
            continue
        figure = globals()[f"draw_{name.replace('-', '_')}"](*(runs / run for run in needed))
        figure.savefig(HERE / f"{name}.png")
        print(f"{name}.png")


if __name__ == "__main__":
    main()
