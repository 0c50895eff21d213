"""A cell against a frozen run of TensorFlow 1.15: one step, a ragged sequence, the final state, all gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import recurra as rc
from recurra import _nest
from recurra.cells.names import variable_names
from tests.goldens_io import Arrays
from tests.laws.table import Row


def worst_error(row: Row, golden: str) -> float:
    """Compare everything that the file holds; the worst error relative to max(1, |reference|)."""
    g = Arrays(f"cells/cell_{golden}")
    cell = row.make()
    if row.tf_scope is not None:
        cell.tf_scope = row.tf_scope
    cell = cell.to(next(iter(g.under("var").values())).dtype)
    names = variable_names(cell)
    fill(cell, g, names)
    inputs, state = g["inputs"], leaves_of(g, "init_state", cell.state_size)
    differentiable = [leaf for leaf in (inputs, *_nest.flatten(state)) if leaf.is_floating_point()]
    for leaf in differentiable:
        leaf.requires_grad_()
    errors = []
    if "step/output" in g:
        output, new = cell(inputs[:, 0], state)
        errors += [g.check("step/output", output), *compare(g, "step/state", new)]
    outputs, final = rc.unroll(cell, inputs, state, lengths=g.get("seq_len"))
    errors += [g.check("outputs", outputs), *compare(g, "final_state", final)]
    loss = weighted(g, "loss_w/outputs", outputs)
    if any(key.startswith("loss_w/state") for key in g.arrays):
        loss = loss + weighted(g, "loss_w/state", final)
    loss.backward()
    if inputs.requires_grad:
        errors.append(g.check("grad/inputs", inputs.grad))
    errors += compare(g, "grad/init_state", _nest.map_leaves(lambda leaf: leaf.grad, state))
    for path, name in names.items():
        if f"var/{name}" not in g.meta.get("no_grad", []):
            errors.append(check_variable(g, f"grad/var/{name}", cell.get_parameter(path).grad))
    return max(errors)


def fill(cell: torch.nn.Module, g: Arrays, names: dict[str, str]) -> None:
    """Copy the file's variables into the parameters; none may be left over but those that TensorFlow never uses."""
    unused = set(g.under("var")) - {name.removeprefix("var/") for name in g.meta.get("no_grad", [])}
    with torch.no_grad():
        for path, name in names.items():
            parts = parts_of(g, f"var/{name}")
            cell.get_parameter(path).copy_(torch.cat([g[part] for part in parts]))
            unused -= {part.removeprefix("var/") for part in parts}
    assert not unused, f"no parameter for {sorted(unused)}"


def parts_of(g: Arrays, key: str) -> list[str]:
    """The key itself, or those of the shards of a partitioned variable."""
    return [key] if key in g else sorted(part for part in g.arrays if part.startswith(f"{key}/part_"))


def check_variable(g: Arrays, key: str, grad: Tensor | None) -> float:
    assert grad is not None, key
    parts = parts_of(g, key)
    assert parts, key
    pieces = grad.split([g[part].shape[0] for part in parts])
    return max(g.check(part, piece) for part, piece in zip(parts, pieces, strict=True))


def leaves_of(g: Arrays, key: str, like: Any) -> Any:
    """The arrays under `key` in the structure of `like`."""
    if key in g:
        return g[key]
    return _nest.pack_as(like, [g[f"{key}/{index}"] for index in range(len(_nest.flatten(like)))])


def compare(g: Arrays, key: str, value: Any) -> list[float]:
    if key in g:
        return [g.check(key, value)]
    return [g.check(f"{key}/{index}", leaf) for index, leaf in enumerate(_nest.flatten(value))]


def weighted(g: Arrays, key: str, value: Any) -> Tensor:
    leaves = _nest.flatten(leaves_of(g, key, value))
    return sum(((leaf * w).sum() for leaf, w in zip(_nest.flatten(value), leaves, strict=True)), torch.zeros(()))
