"""Compiled programs that leave their values in memory they are given, in place of returning fresh tensors.

A step's values are rows of what the whole sequence keeps; a program that writes them where they belong needs no
allocation per step, and nothing has to be stacked or joined afterwards. To torch's compiler what is to be written is an
argument that the program changes (`copy_`), which it joins with the loop that computes the value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from recurra.kernels.native import library
from recurra.kernels.replay import Replay, Where
from recurra.kernels.step_capture import capture

VIEWS = (
    torch.ops.aten.permute.default,
    torch.ops.aten.view.default,
    torch.ops.aten.t.default,
    torch.ops.aten.transpose.int,
    torch.ops.aten.unsqueeze.default,
    torch.ops.aten.expand.default,
)


class Taken(NamedTuple):
    """A value that is an argument, or a view of one."""

    argument: int
    views: tuple[tuple[Any, tuple[Any, ...]], ...]

    def of(self, tensor: Tensor) -> Tensor:
        """The value, from the argument."""
        for target, arguments in self.views:
            tensor = target(tensor, *arguments)
        return tensor


class Stored(NamedTuple):
    """A value that the program writes."""

    buffer: int


Value = Taken | Stored


class Buffer(NamedTuple):
    """What a program writes to: dense memory of a shape."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def rows(self, count: int) -> Tensor:
        """Memory for so many of them."""
        return fresh((count, *self.shape), self.dtype)


class Program(NamedTuple):
    """A compiled program; it is called with a list, which it empties: its arguments, then what it writes to."""

    run: Callable[[list[Any]], Any]
    values: tuple[Value, ...]
    buffers: tuple[Buffer, ...]
    replay: Replay | None = None
    """The same as a list of calls, where it could be written down."""

    def captured(self, arguments: Sequence[Tensor]) -> Program:
        """With its calls written down, from a run on these."""
        memory = [buffer.rows(1)[0] for buffer in self.buffers]
        return self._replace(replay=capture(self.run, [*arguments, *memory]))

    def alone(self, arguments: Sequence[Tensor]) -> list[Tensor]:
        """The values of a single run, in memory of their own."""
        memory = [buffer.rows(1)[0] for buffer in self.buffers]
        if self.replay is None:
            self.run([*arguments, *memory])
        else:
            where = [Where(tensor.data_ptr(), 0, 1) for tensor in (*arguments, *memory)]
            self.replay.run(where, 1, reverse=False)
        return [
            memory[value.buffer] if isinstance(value, Stored) else value.of(arguments[value.argument])
            for value in self.values
        ]


def fresh(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Uninitialised memory; large floats come from the kernels' pool, whose pages are there already."""
    if dtype is torch.float32 and 0 not in shape:
        return library.empty(*shape)
    return torch.empty(shape, dtype=dtype, device="cpu")


def store_values(
    graph: fx.GraphModule,
    examples: Sequence[Any],
    *,
    own: Collection[int] = (),
    lent: Collection[int] = (),
    passing: Collection[int] = (),
) -> tuple[list[Any], tuple[Value, ...], tuple[Buffer, ...]]:
    """Change the graph, in place, into one that writes what it returned.

    Args:
        graph: returns tensors.
        examples: of its arguments, as torch's compiler gives them.
        own: values that are written in any case, to memory of their own.
        lent: those of them whose memory may be that of equal values behind them, too.
        passing: arguments whose memory will be written again: what is a view of one is written elsewhere.

    Returns:
        Examples of all arguments, where each value is, and what is written.
    """
    nodes = list(graph.graph.nodes)
    arguments, output = [node for node in nodes if node.op == "placeholder"], nodes[-1]
    values: list[Value] = []
    written: list[fx.Node] = []
    common: dict[fx.Node, int] = {}
    for index, node in enumerate(output.args[0]):  # type: ignore[arg-type]
        assert isinstance(node, fx.Node)
        node = _source(node)
        taken = None if index in own else _taken(node, arguments)
        if taken is not None and taken.argument not in passing:
            values.append(taken)
        elif index not in own and node in common:
            values.append(Stored(common[node]))
        else:
            if index not in own or index in lent:
                common[node] = len(written)
            values.append(Stored(len(written)))
            written.append(node)
    buffers = tuple(Buffer(tuple(node.meta["val"].shape), node.meta["val"].dtype) for node in written)
    added = _write(graph, arguments, written, output)
    graph.recompile()
    return [*examples, *added], tuple(values), buffers


def _write(graph: fx.GraphModule, arguments: list[fx.Node], written: list[fx.Node], output: fx.Node) -> list[Tensor]:
    """Give the graph an argument for each node that it writes, and let it return nothing; examples of them."""
    places: list[fx.Node] = []
    for index, node in enumerate(written):
        like = node.meta["val"]
        with graph.graph.inserting_after([*arguments, *places][-1]):
            place = graph.graph.placeholder(f"memory_{index}")
        with like.fake_mode:
            place.meta["val"] = torch.empty(like.shape, dtype=like.dtype)
        places.append(place)
    with graph.graph.inserting_before(output):
        for node, place in zip(written, places, strict=True):
            copied = graph.graph.call_function(torch.ops.aten.copy_.default, (place, node))
            copied.meta["val"] = place.meta["val"]
    output.args = ((),)
    return [place.meta["val"] for place in places]


def _source(node: fx.Node) -> fx.Node:
    """What a copy was made of: the memory that is written makes it another's anyway."""
    while node.target is torch.ops.aten.clone.default and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node


def _taken(node: fx.Node, arguments: list[fx.Node]) -> Taken | None:
    views: list[tuple[Any, tuple[Any, ...]]] = []
    while node.target in VIEWS and isinstance(node.args[0], fx.Node):
        views.insert(0, (node.target, tuple(node.args[1:])))
        node = node.args[0]
    return Taken(arguments.index(node), tuple(views)) if node in arguments else None
