"""What a Session.run costs beside the same torch calls by hand: microseconds per operation of the plan.

    python benchmarks/plan_overhead.py            # prints a table

The tensors are tiny, so that a call costs what it costs whatever the arithmetic. `by hand` makes the same torch calls
in a function (torch.autograd.grad and torch's fused Adam where the graph trains); the difference, over the number of
operations of the plan, is the overhead.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

import recurra.tf1 as tf

ROWS = 4
_FREE = {"VariableV2", "Identity", "NoOp"}  # names of a plan, not calls


class Case(NamedTuple):
    """A Session.run, the same by hand, and how many operations the plan has."""

    name: str
    run: Callable[[], Any]
    by_hand: Callable[[], Any]
    operations: int


def case(name: str, session: Any, fetches: Any, feeds: dict[Any, Any], by_hand: Callable[[], Any]) -> Case:
    """A case, its plan made."""
    session.run(fetches, feeds)
    (made, _), *_ = list(session._plans.values())[-1:]
    calls = [op for op in made.ops if op.type not in _FREE]
    return Case(name, lambda: session.run(fetches, feeds), by_hand, len(calls))


def chain(length: int = 200) -> Case:
    """y = tanh(y) + y, over and over, on a fed tensor."""
    with tf.Graph().as_default():
        session = tf.Session()
        x = tf.placeholder(tf.float32, [ROWS, ROWS])
        y = x
        for _ in range(length // 2):
            y = tf.tanh(y) + y
        given = np.ones((ROWS, ROWS), np.float32)

        def by_hand() -> Any:
            value = torch.from_numpy(given)
            for _ in range(length // 2):
                value = torch.tanh(value) + value
            return value.numpy().copy()

        return case("chain of tanh and +", session, y, {x: given}, by_hand)


def training(layers: int = 10) -> Case:
    """Dense layers, a squared error, one step of Adam."""
    with tf.Graph().as_default():
        session = tf.Session()
        x = tf.placeholder(tf.float32, [ROWS, ROWS])
        y = x
        for i in range(layers):
            weights = tf.get_variable(f"w{i}", [ROWS, ROWS])
            y = tf.tanh(tf.matmul(y, weights) + tf.get_variable(f"b{i}", [ROWS]))
        loss = tf.reduce_mean(tf.square(y - x))
        step = tf.train.AdamOptimizer().minimize(loss)
        session.run(tf.global_variables_initializer())
        values = [torch.tensor(v) for v in session.run(tf.trainable_variables())]
        given = np.ones((ROWS, ROWS), np.float32)
        first, second = ([torch.zeros_like(v) for v in values] for _ in range(2))
        counts = [torch.zeros(()) for _ in values]

        def by_hand() -> Any:
            fed = torch.from_numpy(given)
            leaves = [v.detach().requires_grad_(True) for v in values]
            out = fed
            for w, b in zip(leaves[::2], leaves[1::2], strict=True):
                out = torch.tanh(torch.mm(out, w) + b)
            error = (out - fed).square().mean()
            grads = torch.autograd.grad([error], leaves)
            torch._fused_adam_(
                values, list(grads), first, second, [], counts, lr=0.001, beta1=0.9, beta2=0.999, weight_decay=0.0,
                eps=1e-8, amsgrad=False, maximize=False,
            )  # fmt: skip
            return error.detach().numpy().copy()

        return case("10 dense layers, gradient, Adam", session, [loss, step], {x: given}, by_hand)


def feeding(count: int = 20) -> Case:
    """Many feeds and fetches, almost nothing in between."""
    with tf.Graph().as_default():
        session = tf.Session()
        xs = [tf.placeholder(tf.float32, [ROWS]) for _ in range(count)]
        ys = [-x for x in xs]
        given = [np.ones(ROWS, np.float32)] * count

        def by_hand() -> Any:
            return [(-torch.from_numpy(g)).numpy().copy() for g in given]

        return case("20 feeds, 20 fetches", session, ys, dict(zip(xs, given, strict=True)), by_hand)


def variables(count: int = 50) -> Case:
    """Assignments of variables from variables."""
    with tf.Graph().as_default():
        session = tf.Session()
        cells = [tf.get_variable(f"v{i}", [ROWS]) for i in range(count)]
        step = tf.group(*[tf.assign_add(v, v * 0.5) for v in cells])
        session.run(tf.global_variables_initializer())
        values = [torch.zeros(ROWS) for _ in cells]
        half = torch.tensor(0.5)

        def by_hand() -> Any:
            for value in values:
                value.add_(value * half)

        return case("50 variables read and assigned", session, step, {}, by_hand)


def microseconds(function: Callable[[], Any], seconds: float = 0.5) -> float:
    """Of one call: the median of blocks of calls."""
    for _ in range(20):
        function()
    blocks: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(20):
            function()
        blocks.append((time.perf_counter() - start) / 20)
    return sorted(blocks)[len(blocks) // 2] * 1e6


def main() -> None:
    print("| graph | ops | Session.run, µs | by hand, µs | µs more per op |\n|---|---:|---:|---:|---:|")
    for made in (chain(), training(), feeding(), variables()):
        ours, hand = microseconds(made.run), microseconds(made.by_hand)
        print(f"| {made.name} | {made.operations} | {ours:.0f} | {hand:.0f} | {(ours - hand) / made.operations:.2f} |")


if __name__ == "__main__":
    main()
