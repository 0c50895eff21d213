"""tf.data.Iterator: the graph's side of reading a dataset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import errors
from recurra.tf1.build import apply_op
from recurra.tf1.data.dataset import Dataset, Function, Run
from recurra.tf1.data.structure import flatten, map_leaves, pack, specs_of, to_tensors
from recurra.tf1.names import export
from recurra.tf1.namespace import space
from recurra.tf1.registry import op

tf = space("")


class _State:
    """An iterator in one session."""

    def __init__(self) -> None:
        self.stream: Any = None

    def start(self, dataset: Dataset, session: Any, values: list[Any]) -> None:
        """Begin anew."""
        self.stream = dataset.stream(Run(session, dict(zip(dataset.inputs, values, strict=True))))

    def next(self) -> list[Any]:
        """One element. FailedPrecondition before the initialisation, OutOfRange at the end."""
        if self.stream is None:
            text = (
                "GetNext() failed because the iterator has not been initialized. Ensure that you have run "
                "the initializer "
                "operation for this iterator before getting the next element."
            )
            raise errors.FailedPreconditionError(None, None, text)
        for element in self.stream:
            return element
        raise errors.OutOfRangeError(None, None, "End of sequence")


def _bind_handle(operation: Any, session: Any) -> Callable[[], Any]:
    state = session.resource(operation, _State)
    return lambda: state


def _bind_start(operation: Any, session: Any) -> Callable[..., None]:
    dataset = operation.attrs["_dataset"]
    return lambda state, values: state.start(dataset, session, values)


def _bind_next(operation: Any, session: Any) -> Callable[..., Any]:
    dataset = operation.attrs.get("_dataset")

    def take(state: Any, values: list[Any]) -> Any:
        if state.stream is None and dataset is not None:
            state.start(dataset, session, values)
        element = state.next()
        return tuple(element)

    return take


def _shapes(operation: Any) -> list[Any]:
    return operation.attrs["_shapes"]


_HANDLES: dict[str, Any] = {}


def _to_string(state: Any) -> np.ndarray:
    key = f"iterator_{id(state)}"
    _HANDLES[key] = state
    boxed = np.empty((), dtype=object)
    boxed[()] = key.encode()
    return boxed


def _from_string(handle: Any) -> Any:
    try:
        return _HANDLES[handle.item().decode()]
    except KeyError:
        raise errors.invalid_argument("The provided handle is not one of an iterator.") from None


op("Iterator", " -> resource", bind=_bind_handle, shape=lambda o: tf.TensorShape([]), diff=False)
op("MakeIterator", "iterator:resource, inputs:* -> ", bind=_bind_start, diff=False)
op("IteratorGetNext", "iterator:resource, inputs:* -> *output_types", bind=_bind_next, shape=_shapes, diff=False)
op(
    "IteratorToStringHandle",
    "iterator:resource -> string",
    _to_string,
    shape=lambda o: tf.TensorShape([]),
    diff=False,
    stateful=True,
)
op(
    "IteratorFromStringHandle",
    "handle:string -> resource",
    _from_string,
    shape=lambda o: tf.TensorShape([]),
    diff=False,
    stateful=True,
)


class Iterator:
    """Gives the elements of a dataset, one per run."""

    def __init__(self, resource: Any, spec: Any, initializer: Any = None, dataset: Dataset | None = None) -> None:
        self._resource, self._spec, self._initializer, self._dataset = resource, spec, initializer, dataset

    @staticmethod
    def one_shot(dataset: Dataset) -> Iterator:
        """Starts at its first element, by itself."""
        return Iterator(apply_op("Iterator", name="OneShotIterator"), dataset.spec, dataset=dataset)

    @staticmethod
    def initializable(dataset: Dataset) -> Iterator:
        """Starts whenever its initializer runs."""
        made = Iterator(apply_op("Iterator", name="IteratorV2"), dataset.spec)
        made._initializer = made.make_initializer(dataset)
        return made

    @staticmethod
    def from_structure(
        output_types: Any, output_shapes: Any = None, shared_name: str | None = None, output_classes: Any = None
    ) -> Iterator:
        """An iterator for any dataset of these types."""
        return Iterator(apply_op("Iterator", name="IteratorV2"), _spec(output_types, output_shapes))

    @staticmethod
    def from_string_handle(
        string_handle: Any, output_types: Any, output_shapes: Any = None, output_classes: Any = None
    ) -> Iterator:
        """The iterator whose string handle is fed."""
        handle = tf.convert_to_tensor(string_handle, dtype=tf.string)
        return Iterator(apply_op("IteratorFromStringHandle", handle), _spec(output_types, output_shapes))

    @property
    def initializer(self) -> Any:
        """The operation that starts the iterator."""
        if self._initializer is None:
            raise ValueError("Iterator does not have an initializer.")
        return self._initializer

    def make_initializer(self, dataset: Dataset, name: str | None = None) -> Any:
        """The operation that starts the iterator on a dataset."""
        for ours, theirs in zip(flatten(self._spec), flatten(dataset.spec), strict=True):
            if ours.dtype != theirs.dtype:
                raise TypeError(
                    f"Expected output types {self.output_types!r} "
                    f"but got dataset with output types {dataset.output_types!r}."
                )
            if not ours.shape.is_compatible_with(theirs.shape):
                raise TypeError(
                    f"Expected output shapes compatible with {self.output_shapes!r} but got dataset with output "
                    f"shapes {dataset.output_shapes!r}."
                )
        return apply_op("MakeIterator", self._resource, dataset.inputs, _dataset=dataset, name=name or "MakeIterator")

    def get_next(self, name: str | None = None) -> Any:
        """The next element's tensors."""
        leaves = flatten(self._spec)
        inputs = self._dataset.inputs if self._dataset is not None else []
        made = apply_op(
            "IteratorGetNext",
            self._resource,
            inputs,
            output_types=[s.dtype for s in leaves],
            _shapes=[s.shape for s in leaves],
            name=name or "IteratorGetNext",
            **({"_dataset": self._dataset} if self._dataset is not None else {}),
        )
        return pack(self._spec, list(made) if isinstance(made, list | tuple) else [made])

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        """The next element, under eager execution."""
        if not tf.executing_eagerly():
            raise TypeError("'Iterator' object is not iterable: fetch get_next() in a session")
        try:
            return self.get_next()
        except errors.OutOfRangeError:
            raise StopIteration from None

    next = __next__

    def string_handle(self, name: str | None = None) -> Any:
        """A string that names the iterator in feeds."""
        return apply_op("IteratorToStringHandle", self._resource, name=name)

    @property
    def output_types(self) -> Any:
        return map_leaves(lambda s: s.dtype, self._spec)

    @property
    def output_shapes(self) -> Any:
        return map_leaves(lambda s: s.shape, self._spec)

    @property
    def output_classes(self) -> Any:
        return map_leaves(lambda s: tf.Tensor, self._spec)

    @property
    def element_spec(self) -> Any:
        return self._spec


def _spec(types: Any, shapes: Any) -> Any:
    from recurra.tf1.data.dataset import _as_tuple, _flat_shapes
    from recurra.tf1.data.structure import Spec

    types = _as_tuple(types)
    listed = [tf.TensorShape(s) for s in _flat_shapes(types, shapes)]
    return pack(types, [Spec(tf.as_dtype(t), s) for t, s in zip(flatten(types), listed, strict=True)])


for _where in ("data", "contrib.data"):
    export(Iterator, f"{_where}.Iterator")


def _bind_reduce(operation: Any, session: Any) -> Callable[..., Any]:
    dataset, function = operation.attrs["_dataset"], operation.attrs["_function"]
    width = len(flatten(operation.attrs["_state"]))

    def run(values: list[Any]) -> Any:
        state, rest = list(values[:width]), values[width:]
        running = Run(session, dict(zip([*dataset.inputs, *function.captures], rest, strict=True)))
        step = function.bind(running)
        for element in dataset.stream(running):
            state = step([*state, *element])
        return tuple(state)

    return run


op("ReduceDataset", "inputs:* -> *output_types", bind=_bind_reduce, shape=_shapes, diff=False)


def reduced(dataset: Dataset, initial_state: Any, reduce_func: Any) -> Any:
    """Dataset.reduce."""
    state = to_tensors(initial_state)
    spec = specs_of(state)
    function = Function(reduce_func, (spec, dataset.spec))
    leaves = flatten(spec)
    made = apply_op(
        "ReduceDataset",
        [*flatten(state), *dataset.inputs, *function.captures],
        output_types=[s.dtype for s in leaves],
        _shapes=[s.shape for s in leaves],
        _dataset=dataset,
        _function=function,
        _state=spec,
    )
    return pack(spec, list(made) if isinstance(made, list | tuple) else [made])
