"""Weights with their configuration in one .safetensors file, and `recurra.load`, which takes it (and the rest) back.

The metadata holds what rebuilds the module: for a cell its classes and arguments, for a run its recipe, options and
artifacts (vocabulary, classes). Nothing is unpickled.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

import recurra
from recurra._files import write_bytes
from recurra.cells import BaseCell
from recurra.errors import CheckpointError, StructureError
from recurra.export.describe import build_cell, describe_cell

__all__ = ["load", "save_cell", "save_run"]

_KIND, _CONFIG = "recurra.kind", "recurra.config"


def save_cell(cell: BaseCell, path: str | os.PathLike[str]) -> str:
    """Write a cell, a wrapper or a stack with its configuration; returns the file's name.

    Raises:
        StructureError: a cell that cannot be written down as data (own class, callable option), or that was changed
            after it was made.
    """
    description = describe_cell(cell)
    twin = build_cell(description)
    if repr(twin) != repr(cell) or _shapes(twin) != _shapes(cell):
        name = type(cell).__name__
        raise StructureError(f"{name} was changed after it was made, so that its arguments do not tell what it is")
    return _write(path, cell, "cell", description)


def save_run(run: str | os.PathLike[str], path: str | os.PathLike[str]) -> str:
    """Write a trained run's best weights with recipe, options and artifacts."""
    from recurra.training.runfolder import RunFolder
    from recurra.training.runs import Trained

    trained = Trained(Path(run))
    folder = RunFolder.open(Path(run).parent if Path(run).suffix == ".pt" else Path(run))
    config = {"run": folder.config(), "artifacts": folder.read_json("artifacts.json")}
    return _write(path, trained.model, "run", config)


def load(path: str | os.PathLike[str]) -> Any:
    """Take back what recurra wrote.

    path: a `.safetensors` of a cell (gives the cell) or of a run, or a run's folder or `.pt` (give a trained model:
        `.model`, `.predict`), or an exported `.onnx` (gives a callable over ONNX Runtime).

    Raises:
        CheckpointError: missing, damaged, or nothing that recurra wrote.
    """
    target = Path(path)
    if target.suffix == ".onnx":
        from recurra.export.runtime import OnnxModel

        return OnnxModel(target)
    if target.suffix == ".safetensors":
        return _load_safetensors(target)
    if Path(f"{target}.index").exists() or target.suffix in (".ckpt", ".index", ".meta"):
        raise CheckpointError(
            f"{target} is a TensorFlow checkpoint: see recurra.tf1.checkpoint or `recurra checkpoint`"
        )
    from recurra.training.runs import load as load_run

    return load_run(target)


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _write(path: str | os.PathLike[str], module: nn.Module, kind: str, config: Any) -> str:
    from safetensors.torch import save

    # A tensor that stands under two names (tied weights) is written under both.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in module.state_dict().items()}
    metadata = {_KIND: kind, _CONFIG: json.dumps(config), "recurra.version": recurra.__version__}
    name = os.fspath(path)
    write_bytes(name, save(tensors, metadata))
    return name


def _load_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        config = json.loads(metadata.get(_CONFIG, "null"))
    except (SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: is damaged: {error}") from None
    kind = metadata.get(_KIND)
    if kind == "cell":
        return _filled(build_cell(config), tensors, path)
    if kind == "run":
        return _run(config, tensors, path)
    raise CheckpointError(f"{path}: was not written by recurra; its tensors are plain, see safetensors.torch.load_file")


def _filled(module: Any, tensors: dict[str, torch.Tensor], path: Path) -> Any:
    wanted = _shapes(module)
    given = {name: tensor.shape for name, tensor in tensors.items()}
    if wanted != given:
        differing = sorted(n for n in {*wanted, *given} if wanted.get(n) != given.get(n))
        raise CheckpointError(f"{path}: weights and configuration disagree on {', '.join(differing[:5])}")
    first = next(iter(tensors.values()), torch.empty(0))
    module = module.to(first.dtype) if first.is_floating_point() else module
    module.load_state_dict(tensors)
    return module.eval()


def _run(config: Any, tensors: dict[str, torch.Tensor], path: Path) -> Any:
    from recurra.training.runs import Trained

    try:
        trained = Trained.from_parts(config["run"], config["artifacts"], str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the configuration of the run is damaged: {error}") from None
    _filled(trained.model, tensors, path)
    return trained
