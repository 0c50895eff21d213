"""Candidate samplers and the losses over sampled classes."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.names import export, tf_export
from recurra.tf1.ops import embedding, nn_loss
from recurra.tf1.ops.array_create import ones_like, zeros_like
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_shape import expand_dims, reshape, shape
from recurra.tf1.ops.compute import sampling
from recurra.tf1.ops.math_unary import cast
from recurra.tf1.ops.matmul import matmul
from recurra.tf1.ops.random import _seeds, _stream
from recurra.tf1.registry import op
from recurra.tf1.shapes import TensorShape

__all__ = ["nce_loss", "sampled_softmax_loss"]

Sampled = collections.namedtuple("Sampled", ["sampled_candidates", "true_expected_count", "sampled_expected_count"])


def _distribution(operation: Any) -> sampling.RangeSampler:
    kind, attrs = operation.type, operation.attrs
    if kind == "UniformCandidateSampler":
        return sampling.uniform(attrs["range_max"])
    if kind == "LogUniformCandidateSampler":
        return sampling.log_uniform(attrs["range_max"])
    if kind == "FixedUnigramCandidateSampler":
        return sampling.fixed_unigram(attrs["weights"])
    return sampling.learned_unigram(attrs["range_max"])


def _bind(operation: Any, session: Any) -> Callable[[TorchTensor], tuple[TorchTensor, ...]]:
    from recurra.tf1.ops.philox import Philox

    stream = _stream(operation, session) or Philox(*np.random.randint(1, 2**31 - 1, 2).tolist())
    state: dict[str, Any] = {"sampler": _distribution(operation)}
    count, unique = operation.attrs["num_sampled"], operation.attrs["unique"]

    def draw(true_classes: TorchTensor) -> tuple[TorchTensor, ...]:
        found = sampling.sample(state["sampler"], true_classes.numpy(), count, unique, stream)
        return tuple(torch.from_numpy(part) for part in found)

    return draw


def _all(true_classes: TorchTensor, num_sampled: int) -> tuple[TorchTensor, ...]:
    return torch.arange(num_sampled), torch.ones(true_classes.shape), torch.ones(num_sampled)


def _shapes(operation: Any) -> list[TensorShape]:
    count = TensorShape([operation.attrs["num_sampled"]])
    return [count, operation.inputs[0].shape, count]


for _kind in (
    "UniformCandidateSampler",
    "LogUniformCandidateSampler",
    "FixedUnigramCandidateSampler",
    "LearnedUnigramCandidateSampler",
):
    op(_kind, "true_classes:int64 -> int64, float32, float32", bind=_bind, shape=_shapes, diff=False)
op("AllCandidateSampler", "true_classes:int64 -> int64, float32, float32", _all, shape=_shapes, diff=False)


def _sampler(kind: str, *dotted: str) -> Callable[..., Any]:
    def function(
        true_classes: Any,
        num_true: int,
        num_sampled: int,
        unique: bool,
        range_max: int,
        seed: int | None = None,
        name: str | None = None,
    ) -> Sampled:
        return Sampled(
            *apply_op(
                kind,
                true_classes,
                num_true=num_true,
                num_sampled=num_sampled,
                unique=unique,
                range_max=range_max,
                name=name,
                **_seeds(seed),
            )
        )

    return export(function, *dotted)


uniform_candidate_sampler = _sampler(
    "UniformCandidateSampler", "random.uniform_candidate_sampler", "nn.uniform_candidate_sampler"
)
log_uniform_candidate_sampler = _sampler(
    "LogUniformCandidateSampler", "random.log_uniform_candidate_sampler", "nn.log_uniform_candidate_sampler"
)
_sampler(
    "LearnedUnigramCandidateSampler", "random.learned_unigram_candidate_sampler", "nn.learned_unigram_candidate_sampler"
)


@tf_export("random.all_candidate_sampler", "nn.all_candidate_sampler")
def all_candidate_sampler(
    true_classes: Any, num_true: int, num_sampled: int, unique: bool, seed: int | None = None, name: str | None = None
) -> Sampled:
    return Sampled(*apply_op("AllCandidateSampler", true_classes, num_sampled=num_sampled, name=name))


@tf_export("random.fixed_unigram_candidate_sampler", "nn.fixed_unigram_candidate_sampler")
def fixed_unigram_candidate_sampler(
    true_classes: Any,
    num_true: int,
    num_sampled: int,
    unique: bool,
    range_max: int,
    vocab_file: str = "",
    distortion: float = 1.0,
    num_reserved_ids: int = 0,
    num_shards: int = 1,
    shard: int = 0,
    unigrams: Any = (),
    seed: int | None = None,
    name: str | None = None,
) -> Sampled:
    if vocab_file:
        with open(vocab_file, encoding="utf-8") as lines:
            unigrams = [float(line.rsplit(",", 1)[-1]) for line in lines if line.strip()]
    weights = [0.0] * num_reserved_ids + [float(w) ** distortion for w in unigrams]
    return Sampled(
        *apply_op(
            "FixedUnigramCandidateSampler",
            true_classes,
            num_sampled=num_sampled,
            unique=unique,
            range_max=range_max,
            weights=weights,
            name=name,
            **_seeds(seed),
        )
    )


def _accidental_hits(true_classes: TorchTensor, sampled_candidates: TorchTensor) -> tuple[TorchTensor, ...]:
    """Where a sampled class is one of the row's true ones: (row, position, -float max)."""
    later = (
        (sampled_candidates.unsqueeze(0) == sampled_candidates.unsqueeze(1)).triu(1).any(1)
    )  # of repeats the last one counts
    hits = ((true_classes.unsqueeze(2) == sampled_candidates) & ~later).nonzero()
    rows = hits[:, 0]
    return rows.int(), hits[:, 2], torch.full((len(rows),), -torch.finfo(torch.float32).max)


op(
    "ComputeAccidentalHits",
    "true_classes:int64, sampled_candidates:int64 -> int32, int64, float32",
    _accidental_hits,
    diff=False,
    shape=lambda o: [TensorShape([None])] * 3,
)


@tf_export("nn.compute_accidental_hits")
def compute_accidental_hits(
    true_classes: Any, sampled_candidates: Any, num_true: int, seed: int | None = None, name: str | None = None
) -> Any:
    return tuple(apply_op("ComputeAccidentalHits", true_classes, sampled_candidates, name=name))


def _sum_rows(x: Any) -> Any:
    """Row sums by a product with ones, as TensorFlow does it."""
    columns = shape(x)[1]
    ones = apply_op("Fill", apply_op("Pack", [columns, 1], axis=0), convert_to_tensor(1, dtype=x.dtype.base_dtype))
    return reshape(matmul(x, ones), [-1])


def _sampled_logits(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int,
    sampled_values: Any,
    subtract_log_q: bool,
    remove_accidental_hits: bool,
    partition_strategy: str,
    name: str | None,
    seed: int | None,
) -> tuple[Any, Any]:
    """Logits of the true and the sampled classes `[B, num_true + num_sampled]`, and the matching labels."""
    parts = list(weights) if isinstance(weights, (list, tuple)) or hasattr(weights, "_get_variable_list") else [weights]
    with name_scope(name, "compute_sampled_logits", [*parts, biases, inputs, labels]):
        labels = cast(convert_to_tensor(labels), dtypes.int64)
        flat = reshape(labels, [-1])
        if sampled_values is None:
            sampled_values = log_uniform_candidate_sampler(labels, num_true, num_sampled, True, num_classes, seed=seed)
        sampled, true_expected, sampled_expected = (
            apply_op("StopGradient", convert_to_tensor(s)) for s in sampled_values
        )
        sampled = cast(sampled, dtypes.int64)
        ids = concat([flat, sampled], 0)
        whole_w = embedding.embedding_lookup(parts if len(parts) > 1 else parts[0], ids, partition_strategy)
        whole_b = embedding.embedding_lookup(biases, ids, partition_strategy)
        inputs = convert_to_tensor(inputs)
        kind = inputs.dtype.base_dtype
        whole_w, whole_b = cast(whole_w, kind), cast(whole_b, kind)
        count = shape(flat)[0]
        true_w, sampled_w = whole_w[:count], whole_w[count:]
        true_b, sampled_b = whole_b[:count], whole_b[count:]
        sampled_logits = matmul(inputs, sampled_w, transpose_b=True) + sampled_b
        depth = shape(true_w)[1]
        grouped = reshape(true_w, apply_op("Pack", [-1, num_true, depth], axis=0))
        products = apply_op("Mul", expand_dims(inputs, 1), grouped)
        true_logits = reshape(
            _sum_rows(reshape(products, apply_op("Pack", [-1, depth], axis=0))), [-1, num_true]
        ) + reshape(true_b, [-1, num_true])
        if remove_accidental_hits:
            sampled_logits = sampled_logits + _hits_removed(labels, sampled, num_true, sampled_logits)
        if subtract_log_q:
            true_logits = true_logits - apply_op("Log", cast(true_expected, kind))
            sampled_logits = sampled_logits - apply_op("Log", cast(sampled_expected, kind))
        logits = concat([true_logits, sampled_logits], 1)
        targets = concat([ones_like(true_logits) / num_true, zeros_like(sampled_logits)], 1)
        return logits, targets


def _hits_removed(labels: Any, sampled: Any, num_true: int, logits: Any) -> Any:
    rows, ids, weights = compute_accidental_hits(labels, sampled, num_true=num_true)
    index = concat([reshape(cast(rows, dtypes.int64), [-1, 1]), reshape(ids, [-1, 1])], 1)
    size = cast(shape(logits), dtypes.int64)
    return apply_op("ScatterNd", index, cast(weights, logits.dtype.base_dtype), size)


@tf_export("nn.nce_loss")
def nce_loss(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = False,
    partition_strategy: str = "mod",
    name: str = "nce_loss",
) -> Any:
    logits, targets = _sampled_logits(
        weights,
        biases,
        labels,
        inputs,
        num_sampled,
        num_classes,
        num_true,
        sampled_values,
        True,
        remove_accidental_hits,
        partition_strategy,
        name,
        None,
    )
    losses = nn_loss.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits, name="sampled_losses")
    return _sum_rows(losses)


@tf_export("nn.sampled_softmax_loss")
def sampled_softmax_loss(
    weights: Any,
    biases: Any,
    labels: Any,
    inputs: Any,
    num_sampled: int,
    num_classes: int,
    num_true: int = 1,
    sampled_values: Any = None,
    remove_accidental_hits: bool = True,
    partition_strategy: str = "mod",
    name: str = "sampled_softmax_loss",
    seed: int | None = None,
) -> Any:
    logits, targets = _sampled_logits(
        weights,
        biases,
        labels,
        inputs,
        num_sampled,
        num_classes,
        num_true,
        sampled_values,
        True,
        remove_accidental_hits,
        partition_strategy,
        name,
        seed,
    )
    targets = apply_op("StopGradient", targets, name="labels_stop_gradient")
    return nn_loss.softmax_cross_entropy_with_logits_v2(labels=targets, logits=logits)


def _old(function: Callable[..., Any]) -> Callable[..., Any]:
    """Before 1.0 the inputs came before the labels; a call whose dtypes say otherwise is understood."""

    def old(weights: Any, biases: Any, inputs: Any, labels: Any, *args: Any, **kwargs: Any) -> Any:
        given = convert_to_tensor(inputs)
        if given.dtype.is_integer:
            inputs, labels = labels, given
        return function(weights, biases, labels, inputs, *args, **kwargs)

    return old


export(_old(sampled_softmax_loss), "nn.sampled_softmax_loss", era=((0, 0), (1, 0)))
export(_old(nce_loss), "nn.nce_loss", era=((0, 0), (1, 0)))
