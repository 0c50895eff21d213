"""Pictures of a report, as PNG bytes. Drawn on figures of their own: no pyplot, no global state, no display."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

BLUE, ORANGE, GRAY = "#2a6fbb", "#d9822b", "#8a8f98"


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#e8eaed", linewidth=0.8)
    axes.set_axisbelow(True)


def curves(rows: Sequence[dict[str, str]], metric: str) -> bytes:
    """Learning curves from metrics.csv: loss left, the validation metric right."""
    figure = _figure(9.5, 3.4)
    left, right = figure.subplots(1, 2)
    for part, color in (("train", BLUE), ("valid", ORANGE)):
        points = [(int(r["step"]), float(r["loss"])) for r in rows if r["part"] == part and r["loss"]]
        if points:
            left.plot(
                *zip(*points, strict=True),
                color=color,
                label=part,
                linewidth=1.4,
                marker="." if len(points) < 30 else None,
            )
    for part, color in (("valid-subset", GRAY), ("valid", ORANGE)):
        points = [(int(r["step"]), float(r["value"])) for r in rows if r["part"] == part and r["value"]]
        if points:
            right.plot(*zip(*points, strict=True), color=color, label=part, linewidth=1.4, marker=".")
    for axes, name in ((left, "loss"), (right, metric)):
        _tidy(axes)
        axes.set(xlabel="step", ylabel=name)
        if axes.lines:
            axes.legend(frameon=False)
    return _png(figure)


def confusion(counts: np.ndarray, classes: Sequence[str]) -> bytes:
    """A confusion matrix: shares of each row's truth as shades, counts as numbers where they can be read."""
    size = len(classes)
    side = min(11.0, 2.0 + 0.42 * size)
    figure = _figure(side, side * 0.92)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(size), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
    axes.set_yticks(range(size), classes)
    axes.set(xlabel="prediction", ylabel="truth")
    if size <= 30:
        for i, j in np.argwhere(counts):
            shade = "white" if shares[i, j] > 0.5 else "#333"
            axes.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=7, color=shade)
    return _png(figure)


def images(pictures: Sequence[np.ndarray], titles: Sequence[str]) -> bytes:
    """Small pictures with titles, six in a row."""
    columns = min(6, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = _figure(1.35 * columns, 1.6 * rows)
    grid = np.atleast_1d(figure.subplots(rows, columns)).reshape(-1)
    for axes in grid:
        axes.axis("off")
    for axes, picture, title in zip(grid, pictures, titles, strict=False):
        axes.imshow(picture, cmap="gray_r")
        axes.set_title(title, fontsize=9)
    return _png(figure)


def bars(names: Sequence[str], values: Sequence[float], label: str, *, highlight: int = 0) -> bytes:
    """Horizontal bars with their numbers; one stands out."""
    figure = _figure(7.5, 0.6 + 0.42 * len(names))
    axes = figure.subplots()
    colors = [ORANGE if i == highlight else BLUE for i in range(len(names))]
    axes.barh(range(len(names)), values, color=colors)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    for i, value in enumerate(values):
        axes.text(value, i, f" {value:.4g}", va="center", fontsize=9)
    _tidy(axes)
    axes.set_xlabel(label)
    axes.set_xlim(0, max(values) * 1.15 if values and max(values) > 0 else 1)
    return _png(figure)


def probabilities(rows: np.ndarray, names: Sequence[str], classes: Sequence[str]) -> bytes:
    """One group of bars per row: the probabilities `[rows, classes]` of a handful of classes."""
    figure = _figure(7.5, 2.8)
    axes = figure.subplots()
    width = 0.8 / len(classes)
    for k, label in enumerate(classes):
        axes.bar(np.arange(len(rows)) + (k - (len(classes) - 1) / 2) * width, rows[:, k], width, label=label)
    axes.set_xticks(range(len(rows)), names)
    axes.set(ylabel="probability", ylim=(0, 1.05))
    _tidy(axes)
    axes.legend(frameon=False, ncols=len(classes), title="class", fontsize=8)
    return _png(figure)


def forecast(history: np.ndarray, truth: np.ndarray, guess: np.ndarray, naive: np.ndarray, title: str) -> bytes:
    """History, then what came, what was forecast, and the naive forecast."""
    figure = _figure(8.5, 3.0)
    axes = figure.subplots()
    past, future = np.arange(-len(history) + 1, 1), np.arange(1, len(truth) + 1)
    axes.plot(past, history, color=GRAY, label="history")
    axes.plot(future, truth, color="#222", label="what came", marker=".")
    axes.plot(future, guess, color=ORANGE, label="forecast", marker=".")
    axes.plot(future, naive, color=BLUE, label="naive", linestyle=":")
    axes.set(xlabel="steps", title=title)
    _tidy(axes)
    axes.legend(frameon=False, ncols=4, fontsize=8)
    return _png(figure)


def attention(
    weights: Sequence[np.ndarray], sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]
) -> bytes:
    """Where each written token read: one picture a pair, targets down, sources across."""
    figure = _figure(9.5, 2.3 * -(-len(weights) // 2))
    grid = np.atleast_1d(figure.subplots(-(-len(weights) // 2), 2)).reshape(-1)
    for axes in grid[len(weights) :]:
        axes.axis("off")
    for axes, part, source, target in zip(grid, weights, sources, targets, strict=False):
        axes.imshow(part, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(source)), source, fontsize=8)
        axes.set_yticks(range(len(target)), target, fontsize=8)
        axes.tick_params(length=0)
    return _png(figure)
