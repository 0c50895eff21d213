"""Which variables of a checkpoint belong to which module: by scope, by name, by structure.

Modules and variables are compared in groups of equal structure (the same relative names and shapes). Inside a group
the names decide: directions (fw/bw, forward/backward), layer numbers, words; where they cannot, order does, if there
are as many variables as modules. What stays open is an error that lists the choices: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .modules import Unit
from .view import View, called_embedding, in_cell, natural_key, scope_class

__all__ = ["Candidate", "Matching", "match", "partner"]

_DIRECTIONS = {
    "fw": "fw", "forward": "fw", "fwd": "fw", "ltr": "fw",
    "bw": "bw", "backward": "bw", "bwd": "bw", "rtl": "bw", "reverse": "bw",
}  # fmt: skip
_WORDS = {"enc": "encoder", "dec": "decoder", "emb": "embedding", "embeddings": "embedding", "out": "output"}
_COMMON = frozenset(  # words that tell nothing
    re.findall(
        r"\w+",
        "rnn cell cells lstm gru basic multi layer layers l kernel bias weight weights biases matrix w b v variable "
        "bidirectional stack dynamic model module net network",
    )
)
# TensorFlow makes these biases and, with layer norm, never adds them.
_NEVER_ADDED: dict[str | None, frozenset[str]] = {
    "layer_norm_lstm_cell": frozenset({"bias"}),
    "coupled_input_forget_gate_lstm_cell": frozenset({"B"}),
}
_DENSE_PAIRS = (
    ("weights", "biases"), ("weight", "bias"), ("weights", "bias"), ("weight", "biases"), ("kernel", "bias"),
    ("Weights", "Biases"), ("Weight", "Bias"), ("W", "b"), ("w", "b"), ("W", "B"), ("_W", "_bias"), ("_w", "_bias"),
)  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """Variables that have a unit's structure: relative name -> modern name."""

    scope: str
    variables: tuple[tuple[str, str], ...]
    bonus: float = 0.0
    """Preference for names that are the usual ones of such a module."""


@dataclass
class Matching:
    """Units with their variables; units that found none, with the reason."""

    found: list[tuple[Unit, Candidate]] = field(default_factory=list)
    missing: list[tuple[Unit, str]] = field(default_factory=list)


def match(units: list[Unit], view: View, names: Mapping[str, str]) -> Matching:
    """Assign variables to units; `names` maps paths of modules to scopes and narrows the choice."""
    result, taken = Matching(), set[str]()
    groups: dict[tuple, list[Unit]] = {}
    for unit in units:
        shapes = tuple(sorted((name, slot.shape) for name, slot in unit.slots.items()))
        groups.setdefault((unit.kind in ("dense", "embedding"), unit.kind, unit.classes, shapes), []).append(unit)
    # Cells first: what they take is no dense layer's.
    for key in sorted(groups, key=lambda key: key[0]):
        members = groups[key]
        fitting = list(_candidates(members[0], view))  # the same for all of a group
        choices = {unit.path: _choices(unit, fitting, names, taken) for unit in members}
        _assign(members, choices, result, view)
        taken |= {name for _, candidate in result.found for _, name in candidate.variables}
    order = {id(unit): place for place, unit in enumerate(units)}
    result.found.sort(key=lambda pair: order[id(pair[0])])
    return result


def _choices(unit: Unit, fitting: list[Candidate], names: Mapping[str, str], taken: set[str]) -> list[Candidate]:
    narrowed = _narrowed(unit.path, names)
    found = []
    for candidate in fitting:
        inside = narrowed is None or any(f"{name}/".startswith(f"{narrowed}/") for _, name in candidate.variables)
        if inside and not taken.intersection(name for _, name in candidate.variables):
            found.append(candidate)
    return found


def _narrowed(path: str, names: Mapping[str, str]) -> str | None:
    """The scope that `names` gives to the module at `path` or to the nearest one around it."""
    while True:
        if path in names:
            return names[path].rstrip("/")
        if not path:
            return None
        path = path.rpartition(".")[0]


def _candidates(unit: Unit, view: View) -> Iterator[Candidate]:
    if unit.kind == "dense":
        yield from _dense_candidates(unit, view)
    elif unit.kind == "embedding":
        shape = next(iter(unit.slots.values())).shape
        for name, other in view.shapes.items():
            if other == shape and not in_cell(name):
                yield Candidate(name, (("embedding", name),), bonus=2.0 * called_embedding(name))
    else:
        yield from _scoped_candidates(unit, view)


def _scoped_candidates(unit: Unit, view: View) -> Iterator[Candidate]:
    """Scopes that hold exactly a unit's variables."""
    first = next(iter(unit.slots))
    for name in view.shapes:
        if name != first and not name.endswith(f"/{first}"):
            continue
        scope = name[: -len(first)].rstrip("/")
        inside = view.under(scope)
        if any(n not in inside or not _same_shape(inside[n], s.shape) for n, s in unit.slots.items()):
            continue
        kind = scope_class(scope)
        if kind is not None and unit.classes and kind not in unit.classes:
            continue
        if unit.kind == "cell" and not set(inside) - set(unit.slots) <= _NEVER_ADDED.get(kind, frozenset()):
            continue
        bonus = 1.0 if kind is not None and kind in unit.classes else 0.0
        yield Candidate(scope, tuple((n, f"{scope}/{n}".lstrip("/")) for n in unit.slots), bonus)


def _same_shape(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Equal but for axes of length 1: a 1x1 convolution's weight `[1, 1, n, m]` is a matrix `[n, m]`."""
    return [n for n in a if n != 1] == [n for n in b if n != 1]


def _dense_candidates(unit: Unit, view: View) -> Iterator[Candidate]:
    """Pairs of a matrix and a vector: named alike, or the only ones of their shapes."""
    kernel, bias = unit.slots["kernel"].shape, unit.slots["bias"].shape if "bias" in unit.slots else None
    matrices = [name for name, shape in view.shapes.items() if shape == kernel and not in_cell(name)]
    vectors = [name for name, shape in view.shapes.items() if shape == bias and not in_cell(name)]
    for matrix in matrices:
        if bias is None:
            yield Candidate(matrix, (("kernel", matrix),))
            continue
        bias_name = partner(matrix, vectors)
        if bias_name is None and len(vectors) == 1:
            yield Candidate(matrix, (("kernel", matrix), ("bias", vectors[0])))
        elif bias_name is not None:
            yield Candidate(matrix, (("kernel", matrix), ("bias", bias_name)), bonus=1.0)


def partner(matrix: str, vectors: list[str]) -> str | None:
    """The bias whose name is that of `matrix` with the usual change, or `Variable_5` for `Variable_4`."""
    for left, right in _DENSE_PAIRS:
        changed = matrix.replace(left, right)  # `weights/out_weights` beside `biases/out_biases`
        if changed in vectors and changed != matrix:
            return changed
        place = matrix.rfind(left)
        while place >= 0:
            other = matrix[:place] + right + matrix[place + len(left) :]
            if other in vectors and other != matrix:
                return other
            place = matrix.rfind(left, 0, place)
    numbered = re.fullmatch(r"(.*?)(?:_(\d+))?", matrix)
    following = f"{numbered[1]}_{int(numbered[2] or 0) + 1}" if numbered else ""
    return following if following in vectors else None


# -- choosing ----------------------------------------------------------------------------------------------------------


def _assign(units: list[Unit], choices: dict[str, list[Candidate]], result: Matching, view: View) -> None:
    """Pair the units of one structure with their candidates."""
    open_units = list(units)
    while open_units:
        scored = [
            (unit, sorted(((score(unit, c), c) for c in choices[unit.path]), key=lambda pair: -pair[0]))
            for unit in open_units
        ]
        sure = [(ranked[0][0], unit, ranked[0][1]) for unit, ranked in scored if _stands_out(ranked)]
        if not sure:
            break
        best = max(value for value, _, _ in sure)
        chosen = [(unit, candidate) for value, unit, candidate in sure if value == best]
        contested = {c.variables for _, c in chosen if sum(c.variables == d.variables for _, d in chosen) > 1}
        chosen = [(unit, candidate) for unit, candidate in chosen if candidate.variables not in contested]
        if not chosen:
            break
        for unit, candidate in chosen:
            result.found.append((unit, candidate))
            open_units.remove(unit)
            _withdraw(candidate, choices)
    if open_units:
        _assign_by_order(open_units, choices, result, view)


def _stands_out(ranked: list[tuple[float, Candidate]]) -> bool:
    return bool(ranked) and (len(ranked) == 1 or ranked[0][0] > ranked[1][0])


def _withdraw(candidate: Candidate, choices: dict[str, list[Candidate]]) -> None:
    used = {name for _, name in candidate.variables}
    for path, others in choices.items():
        choices[path] = [c for c in others if not used.intersection(name for _, name in c.variables)]


def _assign_by_order(units: list[Unit], choices: dict[str, list[Candidate]], result: Matching, view: View) -> None:
    """As many candidates as units, the same for all: in order of their numbers. Otherwise each unit stays open."""
    pool = sorted(
        {c.variables: c for unit in units for c in choices[unit.path]}.values(), key=lambda c: natural_key(c.scope)
    )
    if len(pool) == len(units) and all(len(choices[unit.path]) == len(pool) for unit in units):
        for unit, candidate in zip(units, pool, strict=True):
            result.found.append((unit, candidate))
        return
    for unit in units:
        result.missing.append((unit, _why_not(unit, choices[unit.path], view)))


def _why_not(unit: Unit, candidates: list[Candidate], view: View) -> str:
    if candidates:
        scopes = ", ".join(sorted(c.scope for c in candidates))
        return f"several variables fit ({scopes}): say which with names={{{unit.path!r}: scope}}"
    wanted = ", ".join(f"{name} {list(slot.shape)}" for name, slot in unit.slots.items())
    near = _near_misses(unit, view)
    return f"no scope holds {wanted}" + (f"; nearest: {near}" if near else "")


def _near_misses(unit: Unit, view: View) -> str:
    """Scopes with the unit's first variable, in another shape or with other variables beside it."""
    first, found = next(iter(unit.slots)), []
    for name in view.shapes:
        if name == first or name.endswith(f"/{first}"):
            scope = name[: -len(first)].rstrip("/")
            inside = {n: s for n, s in view.under(scope).items()}
            found.append(f"{scope} has " + ", ".join(f"{n} {list(s)}" for n, s in list(inside.items())[:8]))
    return "; ".join(found[:3])


def score(unit: Unit, candidate: Candidate) -> float:
    """How well the names agree: the unit's path and own scope against the candidate's."""
    stored = candidate.scope
    value = candidate.bonus + 8.0 * (stored == unit.scope and bool(stored))
    for mine in (unit.path, unit.scope):
        a, b = _tokens(mine), _tokens(stored)
        direction = _only(a.directions), _only(b.directions)
        if all(direction):
            value += 4 if direction[0] == direction[1] else -6
        value += 2 * len(a.words & b.words)
        if a.numbers and b.numbers:
            value += 2 if a.numbers == b.numbers else 1 if a.numbers[-1] == b.numbers[-1] else -1
        elif a.numbers or b.numbers:
            value += 0.5 if (a.numbers or b.numbers)[-1] == 0 else -0.5
    return value


def _only(directions: frozenset[str]) -> str | None:
    return next(iter(directions)) if len(directions) == 1 else None


@dataclass(frozen=True)
class _Tokens:
    words: frozenset[str]
    directions: frozenset[str]
    numbers: tuple[int, ...]


def _tokens(path: str) -> _Tokens:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path)
    pieces = [piece.lower() for piece in re.findall(r"[A-Za-z]+|\d+", spaced)]
    words = {_WORDS.get(piece, piece) for piece in pieces if not piece.isdigit()}
    return _Tokens(
        frozenset(words - _COMMON - set(_DIRECTIONS)),
        frozenset(_DIRECTIONS[word] for word in words if word in _DIRECTIONS),
        tuple(int(piece) for piece in pieces if piece.isdigit()),
    )
