"""The operations that some results need, in an order in which they can run."""

from __future__ import annotations

from collections.abc import Iterable

from recurra.tf1.tensor import Operation, Tensor


def needed_ops(
    results: Iterable[Tensor],
    targets: Iterable[Operation],
    args: Iterable[Tensor],
    done: Iterable[Operation] = (),
    instead: dict[Operation, Operation] | None = None,
) -> list[Operation]:
    """The operations that results and targets need, in a valid order, stopping at `args` and at `done`.

    `instead` replaces operations by others that make the same tensors.
    """
    given = set(args)
    replace = instead or {}
    order: list[Operation] = []
    state: dict[Operation, int] = dict.fromkeys(done, 2)
    state.update((t.op, 2) for t in given if all(out in given for out in t.op.outputs))  # who waits for it need not
    stack = [replace.get(t.op, t.op) for t in results if t not in given] + list(targets)
    stack.reverse()
    while stack:
        op = stack[-1]
        mark = state.get(op, 0)
        if mark == 2:
            stack.pop()
        elif mark == 1:
            state[op] = 2
            order.append(op)
            stack.pop()
        else:
            state[op] = 1
            waiting = [t.op for t in op._inputs if t not in given] + op._control_inputs
            if replace:
                waiting = [replace.get(o, o) for o in waiting]
            stack.extend(o for o in reversed(waiting) if state.get(o, 0) == 0)
    return order
