"""TensorFlow's words for shapes that do not fit: of a run (from the values an operation got), and of graph building."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from recurra.tf1.tensor import Operation

Shape = tuple[int, ...]
_PAIRWISE = frozenset(
    re.findall(
        r"\w+",
        "Add AddV2 Sub Mul Div RealDiv TruncateDiv FloorDiv FloorMod TruncateMod Mod Pow Maximum Minimum "
        "SquaredDifference Equal NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr Atan2 DivNoNan "
        "MulNoNan Xlogy BitwiseAnd BitwiseOr BitwiseXor",
    )
)


def at_run(op: Operation, values: Sequence[Any]) -> str | None:
    """What TensorFlow says of values (lists flattened) whose shapes `op` cannot take; None where it is unknown."""
    shapes = [tuple(v.shape) for v in values if hasattr(v, "shape")]
    if len(shapes) != len(values):
        return None
    if op.type in _PAIRWISE:
        return None if _broadcast(*shapes[:2]) else f"Incompatible shapes: {_show(shapes[0])} vs. {_show(shapes[1])}"
    if op.type in ("ExpandDims", "ArgMax", "ArgMin"):
        return _axis(op.type, len(shapes[0]), int(values[1]))
    rule = _RULES.get(op.type)
    return None if rule is None else rule(op, shapes)


def _show(shape: Sequence[Any]) -> str:
    return "[" + ",".join(map(str, shape)) + "]"


def _axis(kind: str, rank: int, axis: int) -> str:
    if kind == "ExpandDims":
        return f"Tried to expand dim index {axis} for tensor with {rank} dimensions."
    return f"Expected dimension in the range [{-rank}, {rank}), but got {axis}"


def _convolution(op: Operation, shapes: list[Shape]) -> str | None:
    for name, shape in zip(("input", "filter"), shapes, strict=False):
        if len(shape) != 4:
            return f"{name} must be 4-dimensional{_show(shape)}"
    depth, taken = shapes[0][1 if op.attrs.get("data_format") == "NCHW" else 3], shapes[1][2]
    return f"input depth must be evenly divisible by filter depth: {depth} vs {taken}" if depth % taken else None


def _scalar_softmax(op: Operation, shapes: list[Shape]) -> str | None:
    return None if shapes[0] else "logits must have >= 1 dimension, got []"


def _broadcast(a: Shape, b: Shape) -> bool:
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a), reversed(b), strict=False))


def _matmul(op: Operation, shapes: list[Shape]) -> str | None:
    a, b = shapes
    for n, shape in enumerate(shapes):
        if len(shape) != 2:
            return f"In[{n}] is not a matrix. Instead it has shape {_show(shape)}"
    inner = a[0 if op.attrs.get("transpose_a") else 1], b[1 if op.attrs.get("transpose_b") else 0]
    return None if inner[0] == inner[1] else f"Matrix size-incompatible: In[0]: {_show(a)}, In[1]: {_show(b)}"


def _batch_matmul(op: Operation, shapes: list[Shape]) -> str | None:
    for n, shape in enumerate(shapes):
        if len(shape) < 2:
            return f"In[{n}] ndims must be >= 2: {len(shape)}"
    a, b = shapes
    turned = int(bool(op.attrs.get("adj_x"))), int(bool(op.attrs.get("adj_y")))
    inner = a[-2 if turned[0] else -1], b[-1 if turned[1] else -2]
    if inner[0] != inner[1]:
        return f"In[0] mismatch In[1] shape: {inner[0]} vs. {inner[1]}: {_show(a)} {_show(b)} {turned[0]} {turned[1]}"
    return (
        None
        if _broadcast(a[:-2], b[:-2])
        else f"In[0] and In[1] must have compatible batch dimensions: {_show(a)} vs. {_show(b)}"
    )


def _concat(op: Operation, shapes: list[Shape]) -> str | None:
    first, *rest = shapes[1:] if op.type == "Concat" else shapes[:-1]
    for n, shape in enumerate(rest, 1):
        if shape != first:
            what = "Ranks of all input tensors" if len(shape) != len(first) else "Dimensions of inputs"
            return f"ConcatOp : {what} should match: shape[0] = {_show(first)} vs. shape[{n}] = {_show(shape)}"
    return None


def _pack(op: Operation, shapes: list[Shape]) -> str | None:
    for n, shape in enumerate(shapes):
        if shape != shapes[0]:
            first = f"values[0].shape = {_show(shapes[0])}"
            return f"Shapes of all inputs must match: {first} != values[{n}].shape = {_show(shape)}"
    return None


def _alike(op: Operation, shapes: list[Shape]) -> str | None:
    for n, shape in enumerate(shapes):
        if shape != shapes[0]:
            return (
                f"Inputs to operation {op.name} of type {op.type} must have the same size and shape.  "
                f"Input 0: {_show(shapes[0])} != input {n}: {_show(shape)}"
            )
    return None


def _bias(op: Operation, shapes: list[Shape]) -> str | None:
    value, bias = shapes
    text = f"Must provide as many biases as the last dimension of the input tensor: {_show(bias)} vs. {_show(value)}"
    return text if not value or bias != value[-1:] else None


def _transpose(op: Operation, shapes: list[Shape]) -> str | None:
    rank, given = len(shapes[0]), shapes[1][0]
    return (
        None
        if rank == given
        else f"transpose expects a vector of size {rank}. But input(1) is a vector of size {given}"
    )


def _labels(op: Operation, shapes: list[Shape]) -> str | None:
    logits, labels = shapes
    if op.type == "SoftmaxCrossEntropyWithLogits":
        return f"logits and labels must be broadcastable: logits_size={_show(logits)} labels_size={_show(labels)}"
    if logits[:1] == labels[:1]:
        return None
    return (
        f"logits and labels must have the same first dimension, got logits shape {_show(logits)} "
        f"and labels shape {_show(labels)}"
    )


_RULES: dict[str, Callable[[Operation, list[Shape]], str | None]] = {
    "MatMul": _matmul,
    "BatchMatMul": _batch_matmul,
    "BatchMatMulV2": _batch_matmul,
    "Concat": _concat,
    "ConcatV2": _concat,
    "Pack": _pack,
    "Select": _alike,
    "AddN": _alike,
    "BiasAdd": _bias,
    "Conv2D": _convolution,
    "Softmax": _scalar_softmax,
    "LogSoftmax": _scalar_softmax,
    "Transpose": _transpose,
    "SoftmaxCrossEntropyWithLogits": _labels,
    "SparseSoftmaxCrossEntropyWithLogits": _labels,
}


# -- graph building --------------------------------------------------------------------------------------------------
def at_building(text: str) -> str:
    """A shape rule's message in the words of TensorFlow's C++ rules (those of TensorShape are its Python's)."""
    for pattern, words in _WORDS:
        found = pattern.fullmatch(text)
        if found:
            return words(*[_dims(group) for group in found.groups()]) or text
    return text


def _dims(text: str) -> Any:
    return [d.strip() for d in text.strip("()").split(",") if d.strip()] if text.startswith("(") else int(text)


def _unequal(a: list[str], b: list[str]) -> str | None:
    if len(a) != len(b):
        return f"Shapes must be equal rank, but are {len(a)} and {len(b)}"
    n = next((n for n, (x, y) in enumerate(zip(a, b, strict=True)) if x != y and "?" not in (x, y)), None)
    if n is None:
        return None
    return (
        f"Dimension {n} in both shapes must be equal, but are {a[n]} and {b[n]}. Shapes are {_show(a)} and {_show(b)}."
    )


def _unequal_broadcast(a: list[str], b: list[str]) -> str | None:
    for x, y in zip(reversed(a), reversed(b), strict=False):
        if x != y and not {"1", "?"} & {x, y}:
            return f"Dimensions must be equal, but are {x} and {y}"
    return None


_WORDS: list[tuple[re.Pattern[str], Callable[..., str | None]]] = [
    (re.compile(r"Shape (\(.*\)) must have rank (\d+)"), lambda a, n: f"Shape must be rank {n} but is rank {len(a)}"),
    (
        re.compile(r"Shape (\(.*\)) must have rank at least (\d+)"),
        lambda a, n: f"Shape must be at least rank {n} but is rank {len(a)}",
    ),
    (re.compile(r"Shapes (\(.*\)) and (\(.*\)) are not compatible"), _unequal),
    (re.compile(r"Incompatible shapes for broadcasting: (\(.*\)) and (\(.*\))"), _unequal_broadcast),
]
