"""tf.Print, tf.print and how values look in text."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch

from recurra.tf1.build import apply_op, convert_to_tensor
from recurra.tf1.names import tf_export
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import same
from recurra.tf1.tensor import TensorLike

__all__ = ["summary"]


def summary(value: Any, summarize: int = 3) -> str:
    """A run-time value as tf.print shows it: the first and last entries of every axis."""
    array = value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.ndim == 0:
        return _item(array.item())
    size = len(array)
    if summarize < 0 or size <= 2 * summarize:
        parts = [summary(row, summarize) for row in array]
    else:
        first, last = ([summary(row, summarize) for row in rows] for rows in (array[:summarize], array[-summarize:]))
        parts = [*first, "...", *last]
    if array.ndim == 1:
        return "[" + " ".join(parts) + "]"
    return "[" + ("\n" * (array.ndim - 1) + " ").join(parts) + "]"


def _item(value: Any) -> str:
    if isinstance(value, bytes):
        return '"' + value.decode(errors="replace") + '"'
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:.9g}" if not value.is_integer() else str(int(value))
    return str(value)


def _flat(value: Any, summarize: int) -> str:
    """Up to `summarize` entries in a row, as tf.Print shows them."""
    flat = value.reshape(-1)
    count = len(flat) if summarize < 0 else min(summarize, len(flat))
    shown = " ".join(_item(v).strip('"') for v in flat[:count].tolist())
    return "[" + shown + ("..." if count < len(flat) else "") + "]"


def _print(operation: Any, session: Any) -> Any:
    attrs = operation.attrs
    left = session.resource(operation, lambda: {"count": attrs["first_n"]})

    def show(input: Any, data: list[Any]) -> Any:
        if left["count"] != 0:
            left["count"] -= 1
            sys.stderr.write(attrs["message"] + "".join(_flat(d, attrs["summarize"]) for d in data) + "\n")
        return input

    return show


def _print_v2(operation: Any, session: Any) -> Any:
    streams = {"stderr": sys.stderr, "stdout": sys.stdout}

    def show(data: list[Any]) -> None:
        pieces = iter(data)
        words = [
            summary(next(pieces), operation.attrs["summarize"]) if part is None else part
            for part in operation.attrs["parts"]
        ]
        streams[operation.attrs["stream"]].write(" ".join(words) + operation.attrs["end"])

    return show


op("Print", "input:T, data:* -> T", bind=_print, shape=same)
op("PrintV2", "data:* ->", bind=_print_v2)


@tf_export("Print")
def print_(
    input_: Any,
    data: Any,
    message: str | None = None,
    first_n: int | None = None,
    summarize: int | None = None,
    name: str | None = None,
) -> Any:
    """`input_`, with `data` written to standard error whenever it is computed."""
    tensors = [convert_to_tensor(d) for d in data]
    return apply_op(
        "Print",
        convert_to_tensor(input_),
        tensors,
        message=message or "",
        first_n=-1 if first_n is None else first_n,
        summarize=3 if summarize is None else summarize,
        name=name,
    )


@tf_export("print")
def print_v2(*inputs: Any, **kwargs: Any) -> Any:
    """An operation that prints its inputs."""
    stream = kwargs.pop("output_stream", sys.stderr)
    summarize, end, name = kwargs.pop("summarize", 3), kwargs.pop("end", "\n"), kwargs.pop("name", None)
    if kwargs:
        raise ValueError(f"Unrecognized keyword arguments for tf.print: {kwargs}")
    parts = [None if isinstance(i, TensorLike) else str(i) for i in inputs]
    tensors = [convert_to_tensor(i) for i in inputs if isinstance(i, TensorLike)]
    label = "stdout" if stream is sys.stdout else "stderr"
    return apply_op(
        "PrintV2",
        tensors,
        parts=parts,
        stream=label,
        summarize=3 if summarize is None else summarize,
        end=end,
        name=name,
    )
