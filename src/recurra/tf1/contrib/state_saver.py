"""tf.contrib.training.SequenceQueueingStateSaver: long sequences cut into segments, whose states are handed from one to the next.

A sequence's segments lie in a barrier under keys `00000_of_00003:key`. A segment can be taken once it has its states: the first has the
initial ones, the others those that `save_state` gave when the segment before was run.
"""  # noqa: E501

from __future__ import annotations

from typing import Any

from recurra.tf1 import errors
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.tensor import TensorLike
from recurra.tf1.train.barrier import Barrier

tf = space("")
_FIXED = ("length", "total_length", "next_key", "sequence", "sequence_count")


class NextQueuedSequenceBatch:
    """One batch of segments: what is fed to the network, and `state`/`save_state` for what is carried on."""

    def __init__(self, saver: SequenceQueueingStateSaver) -> None:
        barrier = saver.barrier
        self._saver, names = saver, saver._names
        self._indices, self._keys, values = barrier.take_many(
            saver.batch_size, saver._allow_small_batch, name="BarrierTakeMany"
        )
        got = dict(zip(names, values, strict=True))
        self._got = got
        self._done = got["sequence"] + 1 >= got["sequence_count"]
        finished = tf.reduce_sum(tf.cast(self._done, tf.int32))
        with tf.control_dependencies([saver._capacity_queue.dequeue_many(finished)]):
            self._states = {k: tf.identity(got["state", k]) for k in saver._states}

    @property
    def batch_size(self) -> Any:
        return tf.squeeze(tf.shape(self._got["length"]))

    @property
    def insertion_index(self) -> Any:
        return self._indices

    @property
    def key(self) -> Any:
        return self._keys

    @property
    def length(self) -> Any:
        """The steps of each segment, num_unroll but in the last ones."""
        return self._got["length"]

    @property
    def total_length(self) -> Any:
        return self._got["total_length"]

    @property
    def next_key(self) -> Any:
        return self._got["next_key"]

    @property
    def sequence(self) -> Any:
        """The number of each segment in its sequence."""
        return self._got["sequence"]

    @property
    def sequence_count(self) -> Any:
        return self._got["sequence_count"]

    @property
    def sequences(self) -> dict[str, Any]:
        """Tensors [batch, num_unroll, …]."""
        return {k: self._got["sequence", k] for k in self._saver._sequences}

    @property
    def context(self) -> dict[str, Any]:
        """Tensors [batch, …], the same for all segments of a sequence."""
        return {k: self._got["context", k] for k in self._saver._context}

    def state(self, state_name: str) -> Any:
        """The state [batch, …] that the segments before left."""
        return self._states[state_name]

    def save_state(self, state_name: str, value: Any, name: str | None = None) -> Any:
        """The operation that hands a state to the next segments. KeyError for a name that was not declared."""
        if state_name not in self._states:
            raise KeyError(f"state was not declared: {state_name}")
        with tf.name_scope(name, "InputQueueingStateSaver_SaveState", [value]):
            going_on = tf.reshape(tf.where(tf.logical_not(self._done)), [-1])
            value = tf.identity(value, name=f"convert_{state_name}")
            _agree(value, self._states[state_name].get_shape())
            return self._saver.barrier.insert_many(
                self._saver._names.index(("state", state_name)),
                tf.gather(self.next_key, going_on),
                tf.gather(value, going_on),
                name=f"BarrierInsertState_{state_name}",
            )


def _agree(value: Any, shape: Any) -> None:
    """ValueError unless a tensor may have the shape."""
    try:
        value.get_shape().assert_has_rank(shape.ndims)
    except ValueError as error:
        raise ValueError(f"Rank check failed for {value.name}: {error}") from None
    try:
        value.set_shape(value.get_shape().merge_with(shape))
    except ValueError as error:
        raise ValueError(f"Shape check failed for {value.name}: {error}") from None


@tf_export("contrib.training.SequenceQueueingStateSaver")
class SequenceQueueingStateSaver:
    """Cuts sequences into segments of `num_unroll` steps; `prefetch_op` puts one in, `next_batch` takes segments out.

    Sequences are [steps, …], steps a multiple of num_unroll (checked when it runs); contexts and states have full static shapes.
    TypeError and ValueError for names that are no texts or have a colon, no states, a key that is no string.
    """  # noqa: E501

    def __init__(
        self,
        batch_size: Any,
        num_unroll: int,
        input_length: Any,
        input_key: Any,
        input_sequences: dict[str, Any],
        input_context: dict[str, Any],
        initial_states: dict[str, Any],
        capacity: int | None = None,
        allow_small_batch: bool = False,
        name: str | None = None,
    ) -> None:
        if capacity is not None and isinstance(batch_size, int) and capacity < batch_size:
            raise ValueError(f"capacity {capacity} needs to be >= batch_size {batch_size}")
        for what, given in (("sequence", input_sequences), ("context", input_context), ("state", initial_states)):
            _check_names(what, given)
        self._capacity_queue = tf.FIFOQueue(capacity or -1, dtypes=[tf.int32], shapes=[[]])
        with tf.name_scope(name, "InputQueueingStateSaver") as scope:
            self._name, self._batch_size, self._num_unroll = scope, batch_size, num_unroll
            self._allow_small_batch = allow_small_batch
            self._sequences, self._context, self._states = (
                {k: tf.convert_to_tensor(v, name=f"{what}_{k}") for k, v in sorted(given.items())}
                for what, given in (("sequence", input_sequences), ("context", input_context),
                                    ("state", initial_states))
            )  # fmt: skip
            self._check_shapes()
            self._length = tf.convert_to_tensor(input_length, name="length")
            self._key = tf.convert_to_tensor(input_key, name="key")
            if self._length.dtype != tf.int32:
                raise TypeError(f"length dtype must be int32, but received: {self._length.dtype}")
            if self._key.dtype != tf.string:
                raise TypeError(f"key dtype must be string, but received: {self._key.dtype}")
            if capacity is not None and not isinstance(batch_size, int):
                enough = tf.assert_greater_equal(
                    tf.cast(capacity, tf.int64), tf.cast(batch_size, tf.int64),
                    message="capacity needs to be >= batch_size.",
                )  # fmt: skip
                with tf.control_dependencies([enough]):
                    self._key = tf.identity(self._key)
            self._length.set_shape([])
            self._key.set_shape([])
            self._names: list[Any] = [*_FIXED, *[("sequence", k) for k in self._sequences],
                                      *[("context", k) for k in self._context],
                                      *[("state", k) for k in self._states]]  # fmt: skip
            steps = [[num_unroll, *v.shape.as_list()[1:]] for v in self._sequences.values()]
            plain = [v.shape.as_list() for v in (*self._context.values(), *self._states.values())]
            kinds = [v.dtype for d in (self._sequences, self._context, self._states) for v in d.values()]
            self._barrier = Barrier(
                [tf.int32, tf.int32, tf.string, tf.int32, tf.int32, *kinds], [(), (), (), (), (), *steps, *plain]
            )
        self._prefetch_op: Any = None
        self._next_batch: Any = None

    def _check_shapes(self) -> None:
        for label, given, skipped in (("state", self._states, 0), ("context", self._context, 0),
                                      ("sequence", self._sequences, 1)):  # fmt: skip
            for k, v in given.items():
                if not v.shape[skipped:].is_fully_defined():
                    what = "(ignoring first dimension)" if skipped else ""
                    raise ValueError(f"Shape for {label} {k} is not fully defined {what}: {v.shape}")

    @property
    def name(self) -> str:
        return self._name

    @property
    def barrier(self) -> Barrier:
        return self._barrier

    @property
    def batch_size(self) -> Any:
        return self._batch_size

    @property
    def num_unroll(self) -> int:
        return self._num_unroll

    @property
    def prefetch_op(self) -> Any:
        """The operation that cuts one sequence and puts its segments into the barrier."""
        if self._prefetch_op is None:
            with tf.name_scope(self._name):
                self._prefetch_op = self._prefetch()
        return self._prefetch_op

    @property
    def next_batch(self) -> NextQueuedSequenceBatch:
        """The next segments that have their states."""
        self.prefetch_op  # noqa: B018 (made before the reads, as TensorFlow does)
        if self._next_batch is None:
            with tf.name_scope(self._name):
                self._next_batch = NextQueuedSequenceBatch(self)
        return self._next_batch

    def close(self, cancel_pending_enqueues: bool = False, name: str | None = None) -> Any:
        """The operation that closes barrier and queue."""
        with tf.name_scope(name, "SQSSClose") as scope:
            parts = [part.close(cancel_pending_enqueues) for part in (self._barrier, self._capacity_queue)]
            return tf.group(*parts, name=scope)

    def _prefetch(self) -> Any:
        padded = tf.shape(next(iter(self._sequences.values())))[0]
        with tf.control_dependencies(self._assertions(padded)):
            padded = tf.identity(padded)
        count = padded // self._num_unroll
        number, ones = tf.range(count), tf.ones([count], tf.int32)
        digits = lambda value: tf.as_string(value, width=5, fill="0")  # noqa: E731
        keys = tf.string_join([digits(number), "_of_", digits(count), ":", self._key])
        following = tf.concat([keys[1:], [tf.string_join(["STOP:", self._key])]], 0)
        length = tf.minimum(self._num_unroll, tf.maximum(0, self._length - self._num_unroll * number))
        values: dict[Any, Any] = dict(
            zip(_FIXED, (length, self._length * ones, following, number, count * ones), strict=True)
        )
        for k, v in self._sequences.items():
            values["sequence", k] = tf.reshape(v, tf.stack([count, self._num_unroll, *v.shape.as_list()[1:]]))
        for k, v in self._context.items():
            values["context", k] = tf.tile(tf.expand_dims(v, 0), tf.stack([count, *[1] * v.shape.ndims]))
        token = self._capacity_queue.enqueue((0,))
        inserts = [
            self._barrier.insert_many(self._names.index(name), keys, value, name="BarrierInsert")
            for name, value in values.items()
        ]
        with tf.control_dependencies([token, *inserts]):  # now the first segment may be taken
            first = [
                self._barrier.insert_many(
                    self._names.index(("state", k)), keys[:1], tf.expand_dims(v, 0), name=f"BarrierInitialState_{k}"
                )
                for k, v in self._states.items()
            ]
        return tf.group(token, *inserts, *first, name="StateSaverPrefetchGroup")

    def _assertions(self, padded: Any) -> list[Any]:
        unroll = self._num_unroll
        whole = tf.logical_and(tf.equal(padded % unroll, 0), tf.not_equal(padded, 0))
        saw = tf.string_join([f"Tensor padded_length should be a multiple of: {unroll}, but saw value: ",
                              tf.as_string(padded), ". Consider setting pad=True."])  # fmt: skip
        checks = [tf.Assert(whole, [saw])]
        for k, v in self._sequences.items():
            same = tf.equal(padded, tf.shape(v)[0])
            told = tf.string_join([f"Dimension 0 of tensor labeled sorted_sequences_{k} should be: ",
                                   tf.as_string(padded), ", shape received: ", tf.as_string(tf.shape(v))])  # fmt: skip
            checks.append(tf.Assert(same, [told]))
        fits = tf.less_equal(self._length, padded)
        told = ["Input length should be <= than length from sequences:", self._length, " vs. ", padded]
        return [*checks, tf.Assert(fits, told)]


def _check_names(what: str, given: Any) -> None:
    label = "sequences" if what == "sequence" else "initial_states" if what == "state" else what
    if not isinstance(given, dict):
        raise TypeError(f"{label} must be a dict" if what != "state" else "initial_states must be a dictionary")
    if not given and what == "state":
        raise ValueError("initial_states may not be empty: at least one state variable is required to properly enqueue "
                         "split sequences to run in separate iterations")  # fmt: skip
    if not given and what == "sequence":
        raise ValueError("must have at least one sequence tensor")
    for k, value in given.items():
        kind = "state name" if what == "state" else f"{what} key"
        if not isinstance(k, str):
            raise TypeError(f"{kind} must be {'a ' if what == 'state' else ''}string: {k}")
        if ":" in k:
            raise ValueError(f"{kind} may not have a colon: '{k}'")
        if hasattr(value, "dense_shape"):
            raise NotImplementedError(
                f"{what} {k} of a SequenceQueueingStateSaver is sparse: not implemented in recurra"
            )


@tf_export("contrib.training.batch_sequences_with_states")
def batch_sequences_with_states(
    input_key: Any,
    input_sequences: dict[str, Any],
    input_context: dict[str, Any],
    input_length: Any,
    initial_states: dict[str, Any],
    num_unroll: int,
    batch_size: int,
    num_threads: int = 3,
    capacity: int = 1000,
    allow_small_batch: bool = True,
    pad: bool = True,
    make_keys_unique: bool = False,
    make_keys_unique_seed: int | None = None,
    name: str | None = None,
) -> NextQueuedSequenceBatch:
    """Batches of segments from a queue runner, sequences padded to whole segments where `pad`."""
    with tf.name_scope(name, "batch_sequences_with_states"):
        if pad:
            steps, input_sequences = _padded(input_sequences, num_unroll)
            input_length = steps if input_length is None else input_length
        if make_keys_unique:
            drawn = tf.random_uniform((), 0, 100000000, tf.int32, seed=make_keys_unique_seed)
            input_key = tf.string_join([input_key, tf.as_string(drawn)])
        saver = SequenceQueueingStateSaver(
            batch_size, num_unroll, input_length, input_key, input_sequences, input_context, initial_states, capacity,
            allow_small_batch,
        )  # fmt: skip
        tf.summary.scalar(f"queue/{saver.barrier.name}/ready_segment_batches_",
                          tf.cast(saver.barrier.ready_size(), tf.float32))  # fmt: skip
        closed = (errors.OutOfRangeError, errors.CancelledError)
        runner = tf.train.QueueRunner(saver, [saver.prefetch_op] * num_threads, queue_closed_exception_types=closed)
        tf.train.add_queue_runner(runner)
        return saver.next_batch


def _padded(sequences: Any, num_unroll: Any) -> tuple[Any, dict[str, Any]]:
    """(length, the sequences with zeros or empty texts up to whole segments)."""
    if not isinstance(num_unroll, int):
        raise ValueError(f"Unsupported num_unroll expected int, got: {num_unroll}")
    _check_names("sequence", sequences)
    tensors = {k: v if isinstance(v, TensorLike) else tf.convert_to_tensor(v) for k, v in sorted(sequences.items())}
    lengths = [tf.shape(v)[0] for v in tensors.values()]
    same = [tf.Assert(tf.equal(n, lengths[0]), ["All sequence lengths must match, but received lengths: ", *lengths])
            for n in lengths]  # fmt: skip
    with tf.control_dependencies(same):
        length = tf.identity(lengths[0])
    whole = length + (num_unroll - length % num_unroll) % num_unroll
    made = {}
    for k, v in tensors.items():
        missing = tf.concat([[whole - length], tf.shape(v)[1:]], 0)
        fill = tf.fill(missing, tf.constant("" if v.dtype == tf.string else 0, dtype=v.dtype))
        made[k] = tf.concat([v, fill], 0)
        made[k].set_shape([None, *v.shape.as_list()[1:]])
    return length, made
