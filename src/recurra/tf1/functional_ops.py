"""tf.map_fn, tf.foldl, tf.foldr, tf.scan: loops over the first axis of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import names, nest
from recurra.tf1.build import convert_to_tensor, name_scope
from recurra.tf1.control_flow import while_loop
from recurra.tf1.names import tf_export
from recurra.tf1.scopes import get_variable_scope
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor import Tensor
from recurra.tf1.tensor_array import TensorArray


def _constant(value: int) -> Tensor:
    return names.lookup("constant")(value)


def _elements(elems: Any, what: str = "elem") -> tuple[list[Tensor], Any, Any]:
    """The flat element tensors, how many rows they have, and that number where it is static."""
    flat = [convert_to_tensor(e, name=what) for e in nest.flatten(elems)]
    if flat[0].shape.rank == 0:
        raise ValueError("elems must be a 1+ dimensional Tensor, not a scalar")
    rows = flat[0].shape.values[0] if flat[0].shape.values else None
    for tensor in flat[1:]:
        first = TensorShape([rows]).merge_with(TensorShape([tensor.shape.values[0] if tensor.shape.values else None]))
        rows = first.values[0] if first.values else None
    return flat, rows if rows is not None else names.lookup("shape")(flat[0])[0], rows


def _arrays(flat: list[Tensor], rows: Any, name: str = "") -> list[TensorArray]:
    return [TensorArray(dtype=t.dtype, size=rows, dynamic_size=False, infer_shape=True).unstack(t) for t in flat]


class _Cached:
    """Variables of the mapped function are cached on the device of the operation, as TensorFlow sets it for loops."""

    def __enter__(self) -> None:
        self.scope = get_variable_scope()
        self.set = self.scope.caching_device is None
        if self.set:
            self.scope.set_caching_device(lambda op: op.device)

    def __exit__(self, *exc: Any) -> None:
        if self.set:
            self.scope.set_caching_device(None)


def _require_callable(fn: Any) -> None:
    if not callable(fn):
        raise TypeError("fn must be callable.")


@tf_export("map_fn")
def map_fn(
    fn: Callable[..., Any],
    elems: Any,
    dtype: Any = None,
    parallel_iterations: int | None = None,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    name: str | None = None,
) -> Any:
    """`fn` of every row of `elems`, stacked. `dtype` gives the structure of the result where it differs."""
    _require_callable(fn)
    with name_scope(name, "map", nest.flatten(elems)), _Cached():
        flat, rows, static = _elements(elems)
        dtype = dtype or nest.pack_sequence_as(elems, [t.dtype for t in flat])
        sources = _arrays(flat, rows)
        i = _constant(0)
        results = [
            TensorArray(dtype=d, size=rows, dynamic_size=False, infer_shape=infer_shape) for d in nest.flatten(dtype)
        ]

        def compute(i: Tensor, arrays: Any) -> Any:
            value = fn(nest.pack_sequence_as(elems, [s.read(i) for s in sources]))
            nest.assert_same_structure(dtype or elems, value)
            return i + 1, [a.write(i, v) for a, v in zip(arrays, nest.flatten(value), strict=True)]

        _, done = while_loop(
            lambda i, _: i < rows,
            compute,
            (i, results),
            parallel_iterations=parallel_iterations or 10,
            maximum_iterations=rows,
        )
        stacked = [a.stack() for a in done]
        for tensor in stacked:
            _set_rows(tensor, static)
        return nest.pack_sequence_as(dtype, stacked)


def _set_rows(tensor: Tensor, rows: int | None) -> None:
    if tensor.shape.rank is not None:
        tensor.set_shape(TensorShape([rows]).concatenate(tensor.shape[1:]))


def _fold(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any,
    parallel_iterations: int,
    name: str | None,
    default: str,
    backward: bool,
) -> Any:
    _require_callable(fn)
    with name_scope(name, default, nest.flatten(elems)), _Cached():
        flat, rows, _ = _elements(elems)
        sources = _arrays(flat, rows)

        def row(i: Any) -> Any:
            return nest.pack_sequence_as(elems, [s.read(i) for s in sources])

        if backward:
            start, state = (rows, initializer) if initializer is not None else (rows - 1, None)
            i: Any = convert_to_tensor(start)
            if initializer is None:
                state = row(i)
            return while_loop(
                lambda i, _: i > 0,
                lambda i, a: [i - 1, fn(a, row(i - 1))],
                [i, state],
                parallel_iterations=parallel_iterations,
                maximum_iterations=rows,
            )[1]
        i = _constant(0 if initializer is not None else 1)
        state = initializer if initializer is not None else row(0)
        return while_loop(
            lambda i, _: i < rows,
            lambda i, a: [i + 1, fn(a, row(i))],
            [i, state],
            parallel_iterations=parallel_iterations,
            maximum_iterations=rows,
        )[1]


@tf_export("foldl")
def foldl(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """fn(…fn(fn(initializer, row 0), row 1)…, last row)."""
    return _fold(fn, elems, initializer, parallel_iterations, name, "foldl", backward=False)


@tf_export("foldr")
def foldr(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
) -> Any:
    """As foldl, from the last row to the first."""
    return _fold(fn, elems, initializer, parallel_iterations, name, "foldr", backward=True)


@tf_export("scan")
def scan(
    fn: Callable[..., Any],
    elems: Any,
    initializer: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    infer_shape: bool = True,
    reverse: bool = False,
    name: str | None = None,
) -> Any:
    """All intermediate results of folding `fn` over the rows, stacked."""
    _require_callable(fn)
    with name_scope(name, "scan", nest.flatten(elems)), _Cached():
        flat, rows, static = _elements(elems)
        sources = _arrays(flat, rows)

        def row(i: Any) -> Any:
            return nest.pack_sequence_as(elems, [s.read(i) for s in sources])

        first: Any = rows - 1 if reverse else 0
        if initializer is None:
            structure: Any = elems
            state = row(first)
            i: Any = (
                convert_to_tensor(rows - 2 if reverse else 1)
                if not isinstance(rows, int)
                else _constant(rows - 2 if reverse else 1)
            )
        else:
            structure = initializer
            state = nest.map_structure(convert_to_tensor, initializer)
            i = _constant(first) if isinstance(first, int) else first
        flat_state = nest.flatten(state)
        results = [
            TensorArray(
                dtype=s.dtype,
                size=rows,
                element_shape=s.shape if infer_shape else None,
                dynamic_size=False,
                infer_shape=infer_shape,
            )
            for s in flat_state
        ]
        if initializer is None:
            results = [r.write(first, s) for r, s in zip(results, flat_state, strict=True)]

        def compute(i: Tensor, flat_now: Any, arrays: Any) -> Any:
            made = fn(nest.pack_sequence_as(structure, flat_now), row(i))
            nest.assert_same_structure(structure, made)
            new = [convert_to_tensor(v) for v in nest.flatten(made)]
            return (i - 1 if reverse else i + 1), new, [a.write(i, v) for a, v in zip(arrays, new, strict=True)]

        going = (lambda i, *_: i >= 0) if reverse else (lambda i, *_: i < rows)
        _, _, done = while_loop(
            going, compute, (i, flat_state, results), parallel_iterations=parallel_iterations, maximum_iterations=rows
        )
        stacked = [a.stack() for a in done]
        for tensor in stacked:
            _set_rows(tensor, static)
        return nest.pack_sequence_as(structure, stacked)
