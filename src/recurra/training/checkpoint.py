"""Checkpoints: weights, and everything else that decides the next step's numbers."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recurra._files import write_bytes
from recurra.errors import CheckpointError

FORMAT = 1


@dataclass
class Progress:
    """Where a run stands; with the weights and the optimiser it decides every later number."""

    step: int = 0
    epoch: int = 0
    position: int = 0
    best: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    quick_best: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    train_loss: float = 0.0
    train_count: float = 0.0


def save(
    path: Path, recipe: str, model: nn.Module, progress: Progress, *, optimizer: Any = None, state: Any = None
) -> None:
    """Write a checkpoint atomically: with `optimizer` one to go on from, without it the weights only.

    `state` is the carried recurrent state: per process the list of its leaves.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "recipe": recipe,
        "progress": asdict(progress),
        "model": model.state_dict(),
    }
    if optimizer is not None:
        content["optimizer"] = optimizer.state_dict()
        content["state"] = state
    # by way of memory: torch's zip writer buries a full disk's OSError under an error of its own
    packed = io.BytesIO()
    torch.save(content, packed)
    write_bytes(path, packed.getbuffer())


def load(path: Path, recipe: str | None = None) -> dict[str, Any]:
    """A checkpoint's content; tensors and plain values only are unpickled.

    Raises:
        CheckpointError: missing, broken, of another format, or of another recipe than `recipe`.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; the run has saved none yet")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(f"{path}: broken checkpoint: {' '.join(str(error).split())[:160]}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: no checkpoint of recurra (format {FORMAT})")
    if recipe is not None and content["recipe"] != recipe:
        raise CheckpointError(f"{path}: a checkpoint of recipe {content['recipe']!r}, expected {recipe!r}")
    return content


def load_weights(model: nn.Module, content: dict[str, Any], path: Path) -> None:
    """Put a checkpoint's weights into `model`.

    Raises:
        CheckpointError: names or shapes differ.
    """
    try:
        model.load_state_dict(content["model"])
    except RuntimeError as error:
        problem = " ".join(str(error).split("\n", 1)[-1].split())
        raise CheckpointError(f"{path}: the weights do not fit this model: {problem[:200]}") from error
