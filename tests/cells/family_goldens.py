"""A cell of the wider family against a frozen run of TensorFlow 1.15: values, states, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

import recurra
from recurra import _nest
from tests.goldens_io import Arrays

CORE_SCOPES = {"LSTMCell": "lstm_cell", "GRUCell": "gru_cell", "RNNCell": "basic_rnn_cell"}
"""TensorFlow 1.15's scopes of the core cells inside a wrapper."""


class Golden(Arrays):
    """One golden file of the family."""

    def __init__(self, name: str) -> None:
        super().__init__(f"family/{name}")
        self.dtype = next(self[key].dtype for key in self.arrays if key.startswith("var/"))

    def join_outputs(self) -> Golden:
        """Side by side what TensorFlow gives as a tuple."""
        for key in ("outputs", "step/output", "loss_w/outputs"):
            parts = sorted(name for name in self.arrays if name.startswith(f"{key}/"))
            self.arrays[key] = np.concatenate([self.arrays.pop(name) for name in parts], -1)
        return self

    def shards(self, key: str, like: Tensor) -> list[str]:
        """`key`, or all keys of the row shards that make it up (`W_0`, `W_1`, …)."""
        if self.arrays[key].size == like.numel():
            return [key]
        stem = key[: -len("0")]
        return sorted(name for name in self.arrays if name.startswith(stem) and name[len(stem) :].isdigit())

    def nest(self, key: str, like: Any) -> Any:
        """The leaves under `key`, in the structure `like` (or a single tensor)."""
        if key in self.arrays:
            return self[key]
        leaves = [self[f"{key}/{index}"] for index in range(len(_nest.flatten(like)))]
        return _nest.pack_as(like, leaves)


def load(cell: torch.nn.Module, golden: Golden, names: dict[str, str]) -> None:
    """Fill the cell's parameters from `var/<name>`; every variable of the file must find its place."""
    wanted = {key for key in golden.arrays if key.startswith("var/")}
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            keys = golden.shards(f"var/{names[name]}", parameter)
            parameter.copy_(torch.cat([golden[key] for key in keys]).reshape(parameter.shape))
            wanted.difference_update(keys)
    assert not wanted, f"no parameter for {sorted(wanted)}"


def names_of(cell: Any, root: str = "rnn") -> dict[str, str]:
    """parameter -> TensorFlow's full variable name, as the cells themselves say (`tf_scope`, `tf_names`)."""
    scope = "/".join(part for part in (root, getattr(cell, "tf_scope", "")) if part)
    renamed = getattr(cell, "tf_names", {})
    names = {name: f"{scope}/{renamed.get(name, name.replace('.', '/'))}" for name, _ in cell.named_parameters()}
    if isinstance(getattr(cell, "cell", None), torch.nn.Module):
        inner = CORE_SCOPES.get(type(cell.cell).__name__, "")
        names |= {f"cell.{name}": key for name, key in names_of(cell.cell, "/".join((scope, inner))).items()}
    return names


def compare(cell: Any, golden: Golden, names: dict[str, str] | None = None) -> float:
    """One step, the sequence, and all gradients of the golden's loss; the worst error of all."""
    cell = cell.to(golden.dtype)
    names = names or names_of(cell)
    load(cell, golden, names)
    inputs = golden.nest("inputs", cell.input_size)
    state = golden.nest("init_state", cell.state_size)
    for leaf in (*_nest.flatten(inputs), *_nest.flatten(state)):
        leaf.requires_grad_()
    lengths = golden["seq_len"] if "seq_len" in golden.arrays else None
    worst = []

    output, new = cell(_nest.map_leaves(lambda leaf: leaf[:, 0], inputs), state)
    worst += _matches(golden, "step/output", output) + _matches(golden, "step/state", new)

    outputs, final = recurra.unroll(cell, inputs, state, lengths=lengths)
    worst += _matches(golden, "outputs", outputs) + _matches(golden, "final_state", final)

    loss = _weighted(golden, "loss_w/outputs", outputs) + _weighted(golden, "loss_w/state", final)
    loss.backward()
    for name, parameter in cell.named_parameters():
        if not parameter.requires_grad or f"grad/var/{names[name]}" not in golden.arrays:
            continue
        keys = golden.shards(f"grad/var/{names[name]}", parameter)
        grads = parameter.grad.reshape(-1, *golden.arrays[keys[0]].shape[1:])
        rows = [len(golden.arrays[key]) for key in keys]
        worst += [golden.check(key, part) for key, part in zip(keys, grads.split(rows), strict=True)]
    for key, nest in (("grad/inputs", inputs), ("grad/init_state", state)):
        worst += _matches(golden, key, _nest.map_leaves(lambda leaf: leaf.grad, nest))
    return max(worst)


def _keys(golden: Golden, key: str, leaves: list[Tensor]) -> list[tuple[str, Tensor]]:
    if key in golden.arrays:
        assert len(leaves) == 1, (key, len(leaves))
        return [(key, leaves[0])]
    return [(f"{key}/{index}", leaf) for index, leaf in enumerate(leaves)]


def _matches(golden: Golden, key: str, value: Any) -> list[float]:
    pairs = _keys(golden, key, _nest.flatten(value))
    return [golden.check(name, leaf) for name, leaf in pairs if name in golden.arrays]


def _weighted(golden: Golden, key: str, value: Any) -> Tensor:
    pairs = _keys(golden, key, _nest.flatten(value))
    return sum((leaf * golden[name]).sum() for name, leaf in pairs)
