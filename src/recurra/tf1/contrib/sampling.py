"""tf.contrib.training: examples that are kept by chance, so that classes or weights come as often as wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _one_by_one(tensors: list[Any], threads: int, capacity: int) -> list[Any]:
    """The rows of batches, one after another, through a queue."""
    rows = tf.train.batch(tensors, batch_size=1, num_threads=threads, capacity=capacity, enqueue_many=True)
    rows = rows if isinstance(rows, list | tuple) else [rows]
    return [tf.squeeze(row, [0]) for row in rows]


def _kept(tensors: list[Any], probability: Any, batch_size: int, threads: int) -> list[Any]:
    keep = tf.random_uniform([]) < probability
    made = tf.train.maybe_batch(tensors, keep_input=keep, batch_size=batch_size, num_threads=threads)
    return list(made) if isinstance(made, list | tuple) else [made]


@tf_export("contrib.training.rejection_sample")
def rejection_sample(
    tensors: Any, accept_prob_fn: Callable[[list[Any]], Any], batch_size: int, queue_threads: int = 1,
    enqueue_many: bool = False, prebatch_capacity: int = 16, prebatch_threads: int = 1, runtime_checks: bool = False,
    name: Any = None,
) -> list[Any]:  # fmt: skip
    """Batches of the examples that are kept with the probability that `accept_prob_fn` gives them."""
    with tf.variable_scope(name, "rejection_sample", tensors):
        rows = list(tf.convert_n_to_tensor(list(tensors)))
        if enqueue_many:
            for row in rows:
                row.shape.with_rank_at_least(1)[0].assert_is_compatible_with(rows[0].shape[0])
            rows = _one_by_one(rows, prebatch_threads, prebatch_capacity)
        probability = accept_prob_fn(rows)
        if runtime_checks:
            within = [tf.assert_less_equal(0.0, probability), tf.assert_less_equal(probability, 1.0)]
            with tf.control_dependencies(within):
                probability = tf.identity(probability, name="prob_with_checks")
        return _kept(rows, probability, batch_size, queue_threads)


def _shares(labels: Any, classes: int) -> Any:
    """How often each class came so far, beginning with ten of each."""
    seen = tf.Variable([10] * classes, trainable=False, name="class_count", dtype=tf.int64)
    counts = tf.assign_add(seen, tf.reduce_sum(tf.one_hot(labels, classes, dtype=tf.int64), 0)) + 0
    return tf.cast(counts / tf.reduce_sum(counts), tf.float32)


def _checked(probabilities: Any) -> Any:
    if not probabilities.shape.is_fully_defined() or probabilities.shape.ndims != 1:
        raise ValueError(f"Probabilities must be a vector of known length, not of shape {probabilities.shape}")
    total = tf.reduce_sum(probabilities)
    checks = [tf.assert_non_negative(probabilities), tf.assert_less(tf.abs(total - 1.0), 1e-5)]
    with tf.control_dependencies(checks):
        return tf.identity(probabilities)


@tf_export("contrib.training.stratified_sample")
def stratified_sample(
    tensors: Any, labels: Any, target_probs: Any, batch_size: int, init_probs: Any = None, enqueue_many: bool = False,
    queue_capacity: int = 16, threads_per_queue: int = 1, name: Any = None,
) -> tuple[list[Any], Any]:  # fmt: skip
    """Batches whose classes come with `target_probs`; `init_probs`, those of the input, are counted where not given."""
    with tf.name_scope(name, "stratified_sample", [*tensors, labels]):
        rows = list(tf.convert_n_to_tensor(list(tensors)))
        labels = tf.convert_to_tensor(labels)
        wanted = tf.convert_to_tensor(target_probs, dtype=tf.float32)
        if not enqueue_many:
            rows, labels = [tf.expand_dims(row, 0) for row in rows], tf.expand_dims(labels, 0)
        if labels.shape.ndims != 1:
            raise ValueError(f"labels must have rank 1, not shape {labels.shape}")
        for row in rows:
            row.shape.with_rank_at_least(1)[0].assert_is_compatible_with(labels.shape[0])
        classes = wanted.shape.num_elements()
        given = _shares(labels, classes) if init_probs is None else tf.convert_to_tensor(init_probs, dtype=tf.float32)
        if given.shape.num_elements() != classes:
            raise ValueError("Probability parameters must have the same length.")
        wanted, given = _checked(wanted), _checked(given)
        possible = tf.reduce_all(tf.logical_or(tf.not_equal(given, 0), tf.equal(wanted, 0)))
        message = "All classes with zero initial probability must also have zero target probability: "
        with tf.control_dependencies([tf.Assert(possible, [message, given, wanted])]):
            ratio = tf.div_no_nan(wanted, given)
        accepted = ratio / tf.reduce_max(ratio)
        *rows, label = _one_by_one([*rows, labels], threads_per_queue, queue_capacity)
        *made, label = _kept([*rows, label], tf.gather(accepted, label), batch_size, threads_per_queue)
        return made, label


@tf_export("contrib.training.resample_at_rate")
def resample_at_rate(
    inputs: Any, rates: Any, scope: Any = None, seed: Any = None, back_prop: bool = False
) -> list[Any]:
    """Every row repeated as often as a Poisson number with its rate says."""
    with tf.name_scope(scope, "resample_at_rate", [*inputs, rates]):
        rates = tf.convert_to_tensor(rates, name="rates")
        counts = tf.cast(tf.random_poisson(rates, [], rates.dtype, seed=seed), tf.int32)
        rows = tf.cast(tf.where(tf.sequence_mask(counts))[:, 0], tf.int32)
        return [tf.gather(x, rows if back_prop else tf.stop_gradient(rows)) for x in inputs]


@tf_export("contrib.training.weighted_resample")
def weighted_resample(
    inputs: Any, weights: Any, overall_rate: Any, scope: Any = None, mean_decay: Any = 0.999, seed: Any = None
) -> tuple[list[Any], Any]:
    """(rows repeated by their weights, `overall_rate` times on average; the rates of the rows)."""
    with tf.name_scope(scope, "weighted_resample", inputs) as inside:
        with tf.variable_scope(scope, "estimate_mean", inputs):
            mean = tf.contrib.framework.local_variable(tf.cast(0, weights.dtype), name="estimated_mean")
            change = (mean - tf.reduce_mean(weights)) * (1 - mean_decay)
            mean = tf.assign_sub(mean, change)
        rates = weights * overall_rate / mean
        found = resample_at_rate([rates, *inputs], rates, scope=inside, seed=seed)
        return found[1:], found[0]
