"""Helpers: where a decoder's next inputs come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1 import dtypes, nest
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.control_flow import cond
from recurra.tf1.names import tf_export
from recurra.tf1.ops import embedding as embeddings
from recurra.tf1.ops import random
from recurra.tf1.ops.array_create import fill, zeros_like
from recurra.tf1.ops.array_gather import gather_nd, scatter_nd, where
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_move import tile
from recurra.tf1.ops.array_shape import reshape, shape, size
from recurra.tf1.ops.math_reduce import argmax, reduce_all, reduce_any
from recurra.tf1.ops.math_unary import cast, sigmoid
from recurra.tf1.shapes import TensorShape
from recurra.tf1.tensor_array import TensorArray

__all__ = ["CustomHelper", "GreedyEmbeddingHelper", "Helper", "TrainingHelper"]


def transpose_batch_time(x: Any) -> Any:
    """Swap the first two axes, keeping what is known of the shape."""
    static = x.get_shape()
    if static.ndims is not None and static.ndims < 2:
        return x
    rank = static.ndims
    order = (
        [1, 0, *range(2, rank)]
        if rank is not None
        else concat([[1, 0], apply_op("Range", 2, apply_op("Rank", x), 1)], 0)
    )
    out = apply_op("Transpose", x, order)
    if static.values is not None:
        out.set_shape([static.values[1], static.values[0], *static.values[2:]])
    return out


def _unstack_ta(inputs: Any) -> TensorArray:
    return TensorArray(dtype=inputs.dtype, size=shape(inputs)[0], element_shape=inputs.get_shape()[1:]).unstack(inputs)


def bernoulli(probability: Any, batch_size: Any, seed: int | None) -> Any:
    draws = random.random_uniform(apply_op("Pack", [batch_size], axis=0), seed=seed)
    return draws < probability


_INNER = "contrib.seq2seq.python.ops.helper."


def _sampled(draw: Callable[[Any], Any], sample_shape: Any) -> Any:
    """`draw(n)` gives n samples, the first axis; they are laid out as `sample_shape`."""
    sizes = reshape(convert_to_tensor(sample_shape, dtype=dtypes.int32, name="sample_shape"), [-1])
    samples = draw(apply_op("Prod", sizes, [0], keep_dims=False))
    return reshape(samples, concat([sizes, shape(samples)[1:]], 0))


@tf_export(_INNER + "bernoulli_sample")
def bernoulli_sample(
    probs: Any = None, logits: Any = None, dtype: Any = dtypes.int32, sample_shape: Any = (), seed: int | None = None
) -> Any:
    """Zeros and ones, ones with the given probability."""
    probs = sigmoid(logits, name="probs") if probs is None else convert_to_tensor(probs, name="probs")

    def draw(n: Any) -> Any:
        uniform = random.random_uniform(concat([[n], shape(probs)], 0), seed=seed, dtype=probs.dtype)
        return cast(uniform < probs, dtype)

    return _sampled(draw, sample_shape)


@tf_export(_INNER + "categorical_sample")
def categorical_sample(logits: Any, dtype: Any = dtypes.int32, sample_shape: Any = (), seed: int | None = None) -> Any:
    """Numbers of classes, drawn by `logits [..., classes]`."""
    logits = convert_to_tensor(logits, name="logits")
    flat = logits if logits.get_shape().ndims == 2 else reshape(logits, concat([[-1], shape(logits)[-1:]], 0))

    def draw(n: Any) -> Any:
        draws = apply_op("Transpose", random.multinomial(flat, n, seed=seed), [1, 0])
        return cast(reshape(draws, concat([[n], shape(logits)[:-1]], 0)), dtype)

    return _sampled(draw, sample_shape)


def categorical(logits: Any, seed: int | None) -> Any:
    return cast(reshape(random.multinomial(logits, 1, seed=seed), [-1]), dtypes.int32)


@tf_export("contrib.seq2seq.Helper")
class Helper:
    """`initialize()`, `sample(time, outputs, state)`, `next_inputs(time, outputs, state, sample_ids)`."""

    @property
    def batch_size(self) -> Any:
        raise NotImplementedError("batch_size has not been implemented")

    @property
    def sample_ids_shape(self) -> Any:
        raise NotImplementedError("sample_ids_shape has not been implemented")

    @property
    def sample_ids_dtype(self) -> Any:
        raise NotImplementedError("sample_ids_dtype has not been implemented")

    def initialize(self, name: str | None = None) -> Any:
        raise NotImplementedError

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Any:
        raise NotImplementedError

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> Any:
        raise NotImplementedError


@tf_export("contrib.seq2seq.CustomHelper")
class CustomHelper(Helper):
    """The three functions are the program's own."""

    def __init__(
        self,
        initialize_fn: Callable[..., Any],
        sample_fn: Callable[..., Any],
        next_inputs_fn: Callable[..., Any],
        sample_ids_shape: Any = None,
        sample_ids_dtype: Any = None,
    ) -> None:
        self._initialize_fn, self._sample_fn, self._next_inputs_fn = initialize_fn, sample_fn, next_inputs_fn
        self._batch_size: Any = None
        self._sample_ids_shape, self._sample_ids_dtype = (
            TensorShape(sample_ids_shape or []),
            sample_ids_dtype or dtypes.int32,
        )

    sample_ids_shape = property(lambda self: self._sample_ids_shape)
    sample_ids_dtype = property(lambda self: self._sample_ids_dtype)

    @property
    def batch_size(self) -> Any:
        if self._batch_size is None:
            raise ValueError("batch_size accessed before initialize was called")
        return self._batch_size

    def initialize(self, name: str | None = None) -> Any:
        with name_scope(name, "CustomHelperInitialize"):
            finished, inputs = self._initialize_fn()
            if self._batch_size is None:
                self._batch_size = size(finished)
        return finished, inputs

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Any:
        with name_scope(name, "CustomHelperSample", (time, outputs)):
            return self._sample_fn(time=time, outputs=outputs, state=state)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> Any:
        with name_scope(name, "CustomHelperNextInputs", (time, outputs)):
            return self._next_inputs_fn(time=time, outputs=outputs, state=state, sample_ids=sample_ids)


class _Int32Samples(Helper):
    sample_ids_shape = property(lambda self: TensorShape([]))  # type: ignore[assignment]
    sample_ids_dtype = property(lambda self: dtypes.int32)  # type: ignore[assignment]
    batch_size = property(lambda self: self._batch_size)  # type: ignore[assignment]


@tf_export("contrib.seq2seq.TrainingHelper")
class TrainingHelper(_Int32Samples):
    """Reads the given inputs, step by step, until each row's length."""

    def __init__(self, inputs: Any, sequence_length: Any, time_major: bool = False, name: str | None = None) -> None:
        with name_scope(name, "TrainingHelper", [*nest.flatten(inputs), sequence_length]):
            inputs = nest.map_structure(convert_to_tensor, inputs)
            self._inputs = inputs
            if not time_major:
                inputs = nest.map_structure(transpose_batch_time, inputs)
            self._input_tas = nest.map_structure(_unstack_ta, inputs)
            self._sequence_length = convert_to_tensor(sequence_length, name="sequence_length")
            if self._sequence_length.get_shape().ndims != 1:
                raise ValueError(
                    f"Expected sequence_length to be a vector, but received shape: {self._sequence_length.get_shape()}"
                )
            self._zero_inputs = nest.map_structure(lambda i: zeros_like(i[0, :]), inputs)
            self._batch_size = size(self._sequence_length)

    inputs = property(lambda self: self._inputs)
    sequence_length = property(lambda self: self._sequence_length)

    def initialize(self, name: str | None = None) -> Any:
        with name_scope(name, "TrainingHelperInitialize"):
            finished = apply_op("Equal", 0, self._sequence_length)

            def first():
                return nest.map_structure(lambda t: t.read(0), self._input_tas)

            return finished, cond(reduce_all(finished), lambda: self._zero_inputs, first)

    def sample(self, time: Any, outputs: Any, state: Any = None, name: str | None = None) -> Any:
        with name_scope(name, "TrainingHelperSample", [time, outputs]):
            return cast(argmax(outputs, -1), dtypes.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any = None, name: str | None = None) -> Any:
        with name_scope(name, "TrainingHelperNextInputs", [time, outputs]):
            following = time + 1
            finished = apply_op("GreaterEqual", following, self._sequence_length)

            def read():
                return nest.map_structure(lambda t: t.read(following), self._input_tas)

            return finished, cond(reduce_all(finished), lambda: self._zero_inputs, read), state


def _probability(sampling_probability: Any) -> Any:
    probability = convert_to_tensor(sampling_probability, name="sampling_probability")
    if probability.get_shape().ndims not in (0, 1):
        raise ValueError(
            f"sampling_probability must be either a scalar or a vector. saw shape: {probability.get_shape()}"
        )
    return probability


def _embedding_fn(embedding: Any) -> Callable[[Any], Any]:
    return embedding if callable(embedding) else lambda ids: embeddings.embedding_lookup(embedding, ids)


@tf_export("contrib.seq2seq.ScheduledEmbeddingTrainingHelper")
class ScheduledEmbeddingTrainingHelper(TrainingHelper):
    """With some probability the next input is the embedding of a sample instead of the given one."""

    def __init__(
        self,
        inputs: Any,
        sequence_length: Any,
        embedding: Any,
        sampling_probability: Any,
        time_major: bool = False,
        seed: int | None = None,
        scheduling_seed: int | None = None,
        name: str | None = None,
    ) -> None:
        with name_scope(name, "ScheduledEmbeddingSamplingWrapper", [sampling_probability]):
            self._embedding_fn = _embedding_fn(embedding)
            self._sampling_probability = _probability(sampling_probability)
            self._seed, self._scheduling_seed = seed, scheduling_seed
            super().__init__(inputs, sequence_length, time_major=time_major, name=name)

    def sample(self, time: Any, outputs: Any, state: Any = None, name: str | None = None) -> Any:
        with name_scope(name, "ScheduledEmbeddingTrainingHelperSample", [time, outputs]):
            chosen = bernoulli(self._sampling_probability, self.batch_size, self._scheduling_seed)
            return where(
                chosen, categorical(outputs, self._seed), fill(apply_op("Pack", [self.batch_size], axis=0), -1)
            )

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any = None, name: str | None = None) -> Any:
        with name_scope(name, "ScheduledEmbeddingTrainingHelperNextInputs", [time, outputs]):
            finished, given, state = super().next_inputs(time, outputs, state, sample_ids)

            def mixed() -> Any:
                picked, kept = cast(where(sample_ids > -1), dtypes.int32), cast(where(sample_ids <= -1), dtypes.int32)
                sampled = self._embedding_fn(gather_nd(sample_ids, picked))
                base = shape(given)
                return scatter_nd(picked, sampled, base) + scatter_nd(kept, gather_nd(given, kept), base)

            return finished, cond(reduce_all(finished), lambda: given, mixed), state


@tf_export("contrib.seq2seq.ScheduledOutputTrainingHelper")
class ScheduledOutputTrainingHelper(TrainingHelper):
    """With some probability the next input is (a function of) the previous output."""

    def __init__(
        self,
        inputs: Any,
        sequence_length: Any,
        sampling_probability: Any,
        time_major: bool = False,
        seed: int | None = None,
        next_inputs_fn: Any = None,
        auxiliary_inputs: Any = None,
        name: str | None = None,
    ) -> None:
        with name_scope(name, "ScheduledOutputTrainingHelper", [inputs, auxiliary_inputs, sampling_probability]):
            self._sampling_probability = _probability(sampling_probability)
            if auxiliary_inputs is None:
                maybe, self._auxiliary_input_tas = inputs, None
            else:
                inputs = convert_to_tensor(inputs, name="inputs")
                auxiliary_inputs = convert_to_tensor(auxiliary_inputs, name="auxiliary_inputs")
                maybe = concat([inputs, auxiliary_inputs], -1)
                self._auxiliary_input_tas = _unstack_ta(
                    auxiliary_inputs if time_major else transpose_batch_time(auxiliary_inputs)
                )
            self._seed, self._next_inputs_fn = seed, next_inputs_fn
            super().__init__(maybe, sequence_length, time_major=time_major, name=name)

    def sample(self, time: Any, outputs: Any, state: Any = None, name: str | None = None) -> Any:
        with name_scope(name, "ScheduledOutputTrainingHelperSample", [time, outputs]):
            return cast(bernoulli(self._sampling_probability, self.batch_size, self._seed), dtypes.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any = None, name: str | None = None) -> Any:
        with name_scope(name, "ScheduledOutputTrainingHelperNextInputs", [time, outputs]):
            finished, given, state = super().next_inputs(time, outputs, state, sample_ids)
            chosen = cast(sample_ids, dtypes.bool_)

            def own(rows: Any = None) -> Any:
                output = outputs if rows is None else gather_nd(outputs, rows)
                value = output if self._next_inputs_fn is None else self._next_inputs_fn(output)
                if self._auxiliary_input_tas is None:
                    return value
                extra = self._auxiliary_input_tas.read(time + 1)
                return concat([value, extra if rows is None else gather_nd(extra, rows)], -1)

            def mixed() -> Any:
                picked, kept = (
                    cast(where(chosen), dtypes.int32),
                    cast(where(apply_op("LogicalNot", chosen)), dtypes.int32),
                )
                base = shape(given)
                return scatter_nd(picked, own(picked), base) + scatter_nd(kept, gather_nd(given, kept), base)

            quiet = apply_op("LogicalOr", reduce_all(finished), apply_op("LogicalNot", reduce_any(chosen)))
            return finished, cond(quiet, lambda: given, mixed), state


@tf_export("contrib.seq2seq.GreedyEmbeddingHelper")
class GreedyEmbeddingHelper(_Int32Samples):
    """Feeds back the embedding of the most likely symbol until the end token."""

    def __init__(self, embedding: Any, start_tokens: Any, end_token: Any) -> None:
        self._embedding_fn = _embedding_fn(embedding)
        self._start_tokens = convert_to_tensor(start_tokens, dtype=dtypes.int32, name="start_tokens")
        self._end_token = convert_to_tensor(end_token, dtype=dtypes.int32, name="end_token")
        if self._start_tokens.get_shape().ndims != 1:
            raise ValueError("start_tokens must be a vector")
        self._batch_size = size(start_tokens)
        if self._end_token.get_shape().ndims != 0:
            raise ValueError("end_token must be a scalar")
        self._start_inputs = self._embedding_fn(self._start_tokens)

    def initialize(self, name: str | None = None) -> Any:
        return tile(convert_to_tensor([False]), apply_op("Pack", [self._batch_size], axis=0)), self._start_inputs

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Any:
        if not hasattr(outputs, "dtype"):
            raise TypeError(f"Expected outputs to be a single Tensor, got: {type(outputs)}")
        return argmax(outputs, -1, output_type=dtypes.int32)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> Any:
        finished = apply_op("Equal", sample_ids, self._end_token)
        return (
            finished,
            cond(reduce_all(finished), lambda: self._start_inputs, lambda: self._embedding_fn(sample_ids)),
            state,
        )


@tf_export("contrib.seq2seq.SampleEmbeddingHelper")
class SampleEmbeddingHelper(GreedyEmbeddingHelper):
    """Feeds back the embedding of a drawn symbol."""

    def __init__(
        self,
        embedding: Any,
        start_tokens: Any,
        end_token: Any,
        softmax_temperature: Any = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(embedding, start_tokens, end_token)
        self._softmax_temperature, self._seed = softmax_temperature, seed

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Any:
        logits = outputs if self._softmax_temperature is None else outputs / self._softmax_temperature
        return categorical(logits, self._seed)


@tf_export("contrib.seq2seq.InferenceHelper")
class InferenceHelper(Helper):
    """Sampling, ending and feeding back by functions."""

    def __init__(
        self,
        sample_fn: Callable[..., Any],
        sample_shape: Any,
        sample_dtype: Any,
        start_inputs: Any,
        end_fn: Callable[..., Any],
        next_inputs_fn: Any = None,
    ) -> None:
        self._sample_fn, self._end_fn, self._next_inputs_fn = sample_fn, end_fn, next_inputs_fn
        self._sample_shape, self._sample_dtype = TensorShape(sample_shape), sample_dtype
        self._start_inputs = convert_to_tensor(start_inputs, name="start_inputs")
        self._batch_size = shape(self._start_inputs)[0]

    batch_size = property(lambda self: self._batch_size)  # type: ignore[assignment]
    sample_ids_shape = property(lambda self: self._sample_shape)  # type: ignore[assignment]
    sample_ids_dtype = property(lambda self: self._sample_dtype)  # type: ignore[assignment]

    def initialize(self, name: str | None = None) -> Any:
        return tile(convert_to_tensor([False]), apply_op("Pack", [self._batch_size], axis=0)), self._start_inputs

    def sample(self, time: Any, outputs: Any, state: Any, name: str | None = None) -> Any:
        return self._sample_fn(outputs)

    def next_inputs(self, time: Any, outputs: Any, state: Any, sample_ids: Any, name: str | None = None) -> Any:
        following = sample_ids if self._next_inputs_fn is None else self._next_inputs_fn(sample_ids)
        return self._end_fn(sample_ids), following, state
