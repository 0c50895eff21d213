"""tf.data.Dataset: a tree of Python objects that knows element types, the tensors it needs, and how to iterate.

`inputs` are the graph tensors that the whole tree needs (source tensors, sizes, what functions capture); an iterator's
initializer evaluates them, and `stream(run)` iterates with these values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import errors
from recurra.tf1.constants import constant_value
from recurra.tf1.contexts import ControlFlowContext
from recurra.tf1.data import pipeline
from recurra.tf1.data.structure import Spec, flatten, map_leaves, pack, specs_of, to_tensors
from recurra.tf1.names import export, tf_export
from recurra.tf1.namespace import space
from recurra.tf1.plan import compile_function
from recurra.tf1.values import to_torch

tf = space("")


class Run:
    """One initialisation of an iterator: its session and the values of the inputs."""

    def __init__(self, session: Any, values: dict[Any, Any]) -> None:
        self.session, self.values = session, values
        self.stores: dict[Any, Any] = {}

    def of(self, tensor: Any) -> Any:
        """The value of an input."""
        return self.values[tensor]


class Function:
    """A Python function of tensors traced once; called with run-time values."""

    def __init__(self, function: Callable[..., Any], spec: Any, unpack: bool = True) -> None:
        context = ControlFlowContext("dataset_function")
        context.Enter()
        try:
            self.args = [tf.placeholder(s.dtype, s.shape) for s in flatten(spec)]
            given = pack(spec, self.args)
            spread = unpack and isinstance(given, tuple) and not hasattr(given, "_fields")
            result = function(*given) if spread else function(given)
            if isinstance(result, list):
                result = tuple(result)
            self.dataset = result if isinstance(result, Dataset) else None
            results = [] if self.dataset is not None else flatten(to_tensors(result))
            self.spec = None if self.dataset is not None else specs_of(to_tensors_again(result, results))
            self.results = self.dataset.inputs if self.dataset is not None else results
        finally:
            context.Exit()
        self.captures, _ = context.captured(self.results, self.args)

    def bind(self, run: Run) -> Callable[[list[Any]], list[Any]]:
        """The function of one element's values."""
        call = compile_function(run.session, [*self.args, *self.captures], self.results).call
        captured = [run.of(t) for t in self.captures]
        return lambda values: list(call(*values, *captured))

    def bind_dataset(self, run: Run) -> Callable[[list[Any]], pipeline.Stream]:
        """The stream of the dataset that the function returns."""
        call = self.bind(run)
        assert self.dataset is not None
        inner = self.dataset

        def stream(values: list[Any]) -> pipeline.Stream:
            inside = Run(run.session, {**run.values, **dict(zip(self.results, call(values), strict=True))})
            return inner.stream(inside)

        return stream


def to_tensors_again(result: Any, leaves: list[Any]) -> Any:
    """The traced result with tensors in its leaves."""
    return pack(result, leaves)


class Dataset:
    """Base: a sequence of elements. Sub-classes and the methods below make new ones."""

    def __init__(self, spec: Any, inputs: list[Any], stream: Callable[[Run], pipeline.Stream]) -> None:
        self.spec, self.inputs, self.stream = spec, list(dict.fromkeys(inputs)), stream

    # -- types -------------------------------------------------------------------------------------------------------
    @property
    def output_types(self) -> Any:
        return map_leaves(lambda s: s.dtype, self.spec)

    @property
    def output_shapes(self) -> Any:
        return map_leaves(lambda s: s.shape, self.spec)

    @property
    def output_classes(self) -> Any:
        return map_leaves(lambda s: tf.Tensor, self.spec)

    @property
    def element_spec(self) -> Any:
        return self.spec

    def __repr__(self) -> str:
        return f"<DatasetV1Adapter shapes: {self.output_shapes}, types: {self.output_types}>"

    def __iter__(self) -> Any:
        if tf.executing_eagerly():
            return self.make_one_shot_iterator()
        raise RuntimeError("__iter__() is only supported inside of tf.function or when eager execution is enabled.")

    # -- sources -----------------------------------------------------------------------------------------------------
    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One element."""
        made = to_tensors(tensors)
        leaves = flatten(made)
        return Dataset(specs_of(made), leaves, lambda run: iter([[run.of(t) for t in leaves]]))

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """One element per row."""
        made = to_tensors(tensors)
        leaves = flatten(made)
        for leaf in leaves:
            if leaf.get_shape().ndims == 0:
                raise ValueError("Unbatching a tensor is only supported for rank >= 1")
        size = leaves[0].get_shape()[:1]
        for leaf in leaves[1:]:
            size.assert_is_compatible_with(leaf.get_shape()[:1])
        spec = map_leaves(lambda t: Spec(t.dtype.base_dtype, t.get_shape()[1:]), made)
        return Dataset(spec, leaves, lambda run: pipeline.slices([run.of(t) for t in leaves]))

    @staticmethod
    def from_generator(generator: Any, output_types: Any, output_shapes: Any = None, args: Any = None) -> Dataset:
        """The items of a Python generator function."""
        if not callable(generator):
            raise TypeError("`generator` must be callable.")
        output_types = _as_tuple(output_types)
        shapes = output_shapes if output_shapes is not None else map_leaves(lambda t: None, output_types)
        kinds = [tf.as_dtype(t) for t in flatten(output_types)]
        listed = [tf.TensorShape(s) for s in _flat_shapes(output_types, shapes)]
        spec = pack(output_types, [Spec(k, s) for k, s in zip(kinds, listed, strict=True)])
        given = [tf.convert_to_tensor(a) for a in args or ()]

        def stream(run: Run) -> pipeline.Stream:
            for item in generator(*(np.asarray(run.of(a)) for a in given)):
                yield _generated(item, output_types, kinds, listed)

        return Dataset(spec, given, stream)

    @staticmethod
    def range(*args: Any) -> Dataset:
        """The numbers of Python's range, int64."""
        bounds = [tf.convert_to_tensor(a, dtype=tf.int64) for a in args]

        def stream(run: Run) -> pipeline.Stream:
            values = [int(run.of(b)) for b in bounds]
            start, stop, step = (0, values[0], 1) if len(values) == 1 else (*values, 1)[:3]
            return pipeline.integers(start, stop, step)

        return Dataset(Spec(tf.int64, tf.TensorShape([])), bounds, stream)

    @staticmethod
    def zip(datasets: Any) -> Dataset:
        """Elements of several datasets side by side, until one ends."""
        parts = flatten(datasets) if not isinstance(datasets, list) else datasets
        if isinstance(datasets, list):
            raise TypeError(
                "The argument to `Dataset.zip()` must be a nested structure of Dataset objects. Nested "
                "structures do not support Python lists; please use a tuple instead."
            )
        for part in parts:
            if not isinstance(part, Dataset):
                raise TypeError(
                    f"The argument to `Dataset.zip()` must be a nested structure of Dataset objects: {part!r}"
                )
        spec = pack(datasets, [p.spec for p in parts])

        def stream(run: Run) -> pipeline.Stream:
            return ([v for e in row for v in e] for row in zip(*(p.stream(run) for p in parts), strict=False))

        return Dataset(spec, [t for p in parts for t in p.inputs], stream)

    @staticmethod
    def list_files(file_pattern: Any, shuffle: bool | None = None, seed: int | None = None) -> Dataset:
        """The names of files that match."""
        names = tf.matching_files(file_pattern)
        found = Dataset.from_tensor_slices(names)
        return found.shuffle(100000, seed=seed) if shuffle is None or shuffle else found

    # -- transformations ---------------------------------------------------------------------------------------------
    def _like(self, stream: Callable[[Run], pipeline.Stream], inputs: Any = (), spec: Any = None) -> Dataset:
        return Dataset(self.spec if spec is None else spec, [*self.inputs, *inputs], stream)

    def _count(self, value: Any) -> Any:
        return tf.convert_to_tensor(value, dtype=tf.int64)

    def map(self, map_func: Any, num_parallel_calls: Any = None, **kwargs: Any) -> Dataset:
        """Each element through a function of tensors."""
        traced = Function(map_func, self.spec)
        if traced.dataset is not None:
            raise TypeError("Dataset.map: the function must return tensors; use flat_map for datasets")

        def stream(run: Run) -> pipeline.Stream:
            return map(traced.bind(run), self.stream(run))

        return self._like(stream, traced.captures, traced.spec)

    def flat_map(self, map_func: Any) -> Dataset:
        """The elements of the dataset that a function gives for each element."""
        return self.interleave(map_func, 1, 2**31)

    def interleave(
        self, map_func: Any, cycle_length: Any = 1, block_length: Any = 1, num_parallel_calls: Any = None
    ) -> Dataset:
        """As flat_map, with `cycle_length` datasets open at a time."""
        traced = Function(map_func, self.spec)
        if traced.dataset is None:
            raise TypeError("`map_func` must return a `Dataset` object.")
        cycle, block = self._count(cycle_length), self._count(block_length)

        def stream(run: Run) -> pipeline.Stream:
            expand = traced.bind_dataset(run)
            sizes = (int(run.of(cycle)), int(run.of(block)))
            return pipeline.interleave(lambda: self.stream(run), expand, *sizes)

        return self._like(stream, [cycle, block, *traced.captures], traced.dataset.spec)

    def filter(self, predicate: Any) -> Dataset:
        """The elements for which a function is true."""
        traced = Function(predicate, self.spec)

        def stream(run: Run) -> pipeline.Stream:
            test = traced.bind(run)
            return (e for e in self.stream(run) if bool(test(e)[0]))

        return self._like(stream, traced.captures)

    def batch(self, batch_size: Any, drop_remainder: Any = False) -> Dataset:
        """`batch_size` elements as one."""
        size = self._count(batch_size)
        spec = map_leaves(lambda s: Spec(s.dtype, _batch_dim(size, drop_remainder).concatenate(s.shape)), self.spec)

        def stream(run: Run) -> pipeline.Stream:
            count = int(run.of(size))
            return pipeline.batch(lambda: self.stream(run), count, bool(drop_remainder), pipeline.join_equal)

        return self._like(stream, [size], spec)

    def padded_batch(
        self, batch_size: Any, padded_shapes: Any = None, padding_values: Any = None, drop_remainder: Any = False
    ) -> Dataset:
        """As batch, smaller elements filled up."""
        size = self._count(batch_size)
        leaves = flatten(self.spec)
        shapes = _flat_shapes(self.spec, padded_shapes if padded_shapes is not None else self.output_shapes)
        shapes = [tf.TensorShape(_static(s)) for s in shapes]
        fills = [None] * len(leaves) if padding_values is None else flatten(padding_values)
        fills = fills * len(leaves) if len(fills) == 1 else fills
        values = [
            tf.convert_to_tensor(_default(s.dtype) if f is None else f, dtype=s.dtype)
            for f, s in zip(fills, leaves, strict=True)
        ]
        spec = pack(
            self.spec,
            [
                Spec(s.dtype, _batch_dim(size, drop_remainder).concatenate(p))
                for s, p in zip(leaves, shapes, strict=True)
            ],
        )
        known = [p.as_list() if p.ndims is not None else None for p in shapes]

        def stream(run: Run) -> pipeline.Stream:
            given = [run.of(v).item() for v in values]
            join = functools.partial(pipeline.join_padded, shapes=known, fills=given)
            return pipeline.batch(lambda: self.stream(run), int(run.of(size)), bool(drop_remainder), join)

        return self._like(stream, [size, *values], spec)

    def shuffle(self, buffer_size: Any, seed: Any = None, reshuffle_each_iteration: bool | None = None) -> Dataset:
        """Elements in random order, drawn from a buffer."""
        size = self._count(buffer_size)
        seeds = [s for s in tf.get_seed(seed if not isinstance(seed, tf.Tensor) else None) if s is not None]
        key = object()

        def stream(run: Run) -> pipeline.Stream:
            def make() -> np.random.RandomState:
                return np.random.RandomState([s & 0xFFFFFFFF for s in seeds] or None)

            random = make() if reshuffle_each_iteration is False else run.stores.setdefault(key, make())
            return pipeline.shuffle(lambda: self.stream(run), int(run.of(size)), random)

        return self._like(stream, [size])

    def repeat(self, count: Any = None) -> Dataset:
        """The elements `count` times; for ever without a count."""
        times = self._count(-1 if count is None else count)
        return self._like(lambda run: pipeline.repeat(lambda: self.stream(run), int(run.of(times))), [times])

    def take(self, count: Any) -> Dataset:
        """The first `count` elements (-1: all)."""
        number = self._count(count)

        def stream(run: Run) -> pipeline.Stream:
            wanted = int(run.of(number))
            return pipeline.itertools.islice(self.stream(run), None if wanted < 0 else wanted)

        return self._like(stream, [number])

    def skip(self, count: Any) -> Dataset:
        """All but the first `count` elements."""
        number = self._count(count)

        def stream(run: Run) -> pipeline.Stream:
            left_out = int(run.of(number))
            return iter(()) if left_out < 0 else pipeline.itertools.islice(self.stream(run), left_out, None)

        return self._like(stream, [number])

    def shard(self, num_shards: Any, index: Any) -> Dataset:
        """Every num_shards-th element, from `index` on."""
        count, at = self._count(num_shards), self._count(index)

        def stream(run: Run) -> pipeline.Stream:
            return pipeline.itertools.islice(self.stream(run), int(run.of(at)), None, int(run.of(count)))

        return self._like(stream, [count, at])

    def cache(self, filename: str = "") -> Dataset:
        """Elements kept in memory once all were read."""
        key = object()

        def stream(run: Run) -> pipeline.Stream:
            store, state = run.stores.setdefault(key, ([], {}))
            return pipeline.cached(lambda: self.stream(run), store, state)

        return self._like(stream)

    def prefetch(self, buffer_size: Any = None) -> Dataset:
        """The same elements: there is nothing to overlap with here."""
        return self

    def with_options(self, options: Any) -> Dataset:
        """The same elements."""
        return self

    def options(self) -> Any:
        """Default options."""
        return Options()

    def concatenate(self, dataset: Dataset) -> Dataset:
        """These elements, then those."""
        if flatten(self.output_types) != flatten(dataset.output_types):
            raise TypeError(
                f"Two datasets to concatenate have different types {self.output_types} and {dataset.output_types}"
            )
        pairs = zip(flatten(self.spec), flatten(dataset.spec), strict=True)
        spec = pack(self.spec, [Spec(a.dtype, a.shape.most_specific_compatible_shape(b.shape)) for a, b in pairs])
        streams = lambda run: pipeline.flatten(d.stream(run) for d in (self, dataset))  # noqa: E731
        return self._like(streams, dataset.inputs, spec)

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """transformation_func(self)."""
        made = transformation_func(self)
        if not isinstance(made, Dataset):
            raise TypeError("`transformation_func` must return a Dataset.")
        return made

    def enumerate(self, start: int = 0) -> Dataset:
        """Elements with their numbers."""
        return Dataset.zip((Dataset.range(start, np.iinfo(np.int64).max), self))

    def unbatch(self) -> Dataset:
        """The rows of each element."""
        spec = map_leaves(lambda s: Spec(s.dtype, s.shape[1:]), self.spec)
        return self._like(lambda run: pipeline.flatten(pipeline.slices(e) for e in self.stream(run)), spec=spec)

    def window(self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False) -> Dataset:
        """Refused: datasets of datasets are outside the scope."""
        raise NotImplementedError("Dataset.window: datasets of datasets are not implemented in recurra")

    def reduce(self, initial_state: Any, reduce_func: Any) -> Any:
        """The state after reduce_func(state, element) over all elements."""
        from recurra.tf1.data.iterators import reduced

        return reduced(self, initial_state, reduce_func)

    def make_one_shot_iterator(self) -> Any:
        """An iterator that needs no initialisation."""
        from recurra.tf1.data.iterators import Iterator

        return Iterator.one_shot(self)

    def make_initializable_iterator(self, shared_name: str | None = None) -> Any:
        """An iterator whose `initializer` must be run."""
        from recurra.tf1.data.iterators import Iterator

        return Iterator.initializable(self)


def _as_tuple(structure: Any) -> Any:
    return tuple(_as_tuple(s) for s in structure) if isinstance(structure, list | tuple) else structure


def _flat_shapes(structure: Any, shapes: Any) -> list[Any]:
    """Shapes in the order of the structure's leaves; a shape may itself be a list or tuple."""
    if isinstance(structure, dict):
        return [s for key in sorted(structure) for s in _flat_shapes(structure[key], shapes[key])]
    if isinstance(structure, tuple) and not isinstance(structure, Spec):
        if shapes is None:
            return [None] * len(flatten(structure))
        return [s for part, shape in zip(structure, shapes, strict=True) for s in _flat_shapes(part, shape)]
    return [shapes]


def _static(shape: Any) -> Any:
    if isinstance(shape, tf.Tensor):
        value = constant_value(shape)
        return None if value is None else [None if v < 0 else int(v) for v in value]
    if isinstance(shape, list | tuple):
        return [None if v is None or (isinstance(v, int) and v < 0) else v for v in shape]
    return shape


def _default(dtype: Any) -> Any:
    return "" if dtype == tf.string else 0


def _batch_dim(size: Any, drop: Any) -> Any:
    known = constant_value(size) if drop is True else None
    return tf.TensorShape([None if known is None else int(known)])


def _generated(item: Any, structure: Any, kinds: list[Any], shapes: list[Any]) -> list[Any]:
    """An item of a Python generator as values, checked against the declared types and shapes."""
    leaves = flatten(_match(item, structure))
    if len(leaves) != len(kinds):
        raise errors.invalid_argument(f"`generator` yielded {len(leaves)} components, expected {len(kinds)}")
    values = []
    for leaf, kind, shape in zip(leaves, kinds, shapes, strict=True):
        if kind == tf.string:
            array = np.asarray(leaf, dtype=object)
            flat = np.empty(array.size, dtype=object)
            flat[:] = [v.encode() if isinstance(v, str) else v for v in array.reshape(-1)]
            value: Any = flat.reshape(array.shape)
        else:
            try:
                value = to_torch(np.asarray(leaf, dtype=kind.as_numpy_dtype))
            except (TypeError, ValueError) as error:
                text = f"`generator` yielded an element that could not be converted to {kind.name}: {leaf!r}"
                raise errors.invalid_argument(text) from error
        if not shape.is_compatible_with(tuple(np.shape(value))):
            text = (
                f"`generator` yielded an element of shape {tuple(np.shape(value))} where an element of shape "
                f"{shape} was expected."
            )
            raise errors.invalid_argument(text)
        values.append(value)
    return values


def _match(item: Any, structure: Any) -> Any:
    """Lists of a generator's item as tuples where the structure has tuples."""
    if isinstance(structure, tuple) and isinstance(item, list | tuple):
        return tuple(_match(i, s) for i, s in zip(item, structure, strict=True))
    return item


class Options:
    """tf.data.Options: accepted and ignored."""


def _file_dataset(read: Callable[..., pipeline.Stream]) -> Callable[..., Dataset]:
    def make(filenames: Any, **options: Any) -> Dataset:
        names = filenames if isinstance(filenames, Dataset) else None
        tensor = None if names is not None else tf.reshape(tf.convert_to_tensor(filenames, dtype=tf.string), [-1])

        def stream(run: Run) -> pipeline.Stream:
            listed = (e[0].item() for e in names.stream(run)) if names is not None else run.of(tensor).tolist()
            return pipeline.flatten(read(name.decode(), **options) for name in listed)

        return Dataset(Spec(tf.string, tf.TensorShape([])), names.inputs if names is not None else [tensor], stream)

    return make


def _records(path: str, compression: str = "") -> pipeline.Stream:
    from recurra.tf1.io.records import tf_record_iterator

    return ([pipeline.text(r)] for r in tf_record_iterator(path, compression=compression))


class TextLineDataset(Dataset):
    """The lines of text files."""

    def __init__(
        self, filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
    ) -> None:
        made = _file_dataset(pipeline.lines)(filenames, compression=compression_type or "")
        super().__init__(made.spec, made.inputs, made.stream)


class TFRecordDataset(Dataset):
    """The records of TFRecord files."""

    def __init__(
        self, filenames: Any, compression_type: Any = None, buffer_size: Any = None, num_parallel_reads: Any = None
    ) -> None:
        made = _file_dataset(_records)(filenames, compression=compression_type or "")
        super().__init__(made.spec, made.inputs, made.stream)


for _where in ("data", "contrib.data"):
    for _class in (Dataset, TextLineDataset, TFRecordDataset, Options):
        export(_class, f"{_where}.{_class.__name__}")


@tf_export("data.get_output_types", "compat.v1.data.get_output_types")
def get_output_types(dataset_or_iterator: Any) -> Any:
    """Element types."""
    return dataset_or_iterator.output_types


@tf_export("data.get_output_shapes", "compat.v1.data.get_output_shapes")
def get_output_shapes(dataset_or_iterator: Any) -> Any:
    """Element shapes."""
    return dataset_or_iterator.output_shapes


@tf_export("data.get_output_classes", "compat.v1.data.get_output_classes")
def get_output_classes(dataset_or_iterator: Any) -> Any:
    """Element classes."""
    return dataset_or_iterator.output_classes


@tf_export("data.make_one_shot_iterator")
def make_one_shot_iterator(dataset: Dataset) -> Any:
    """dataset.make_one_shot_iterator()."""
    return dataset.make_one_shot_iterator()


@tf_export("data.make_initializable_iterator")
def make_initializable_iterator(dataset: Dataset, shared_name: str | None = None) -> Any:
    """dataset.make_initializable_iterator()."""
    return dataset.make_initializable_iterator()
