"""Attention mechanisms: scores of a query against a memory, and how they become alignments."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1 import dtypes, names, nest
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.layers.core import Dense
from recurra.tf1.names import tf_export
from recurra.tf1.ops import init, random
from recurra.tf1.ops.array_create import fill, ones, ones_like, zeros
from recurra.tf1.ops.array_gather import one_hot, sequence_mask, where
from recurra.tf1.ops.array_join import concat
from recurra.tf1.ops.array_shape import expand_dims, reshape, shape, squeeze
from recurra.tf1.ops.clip import clip_by_value
from recurra.tf1.ops.math_reduce import argmax, reduce_sum
from recurra.tf1.ops.math_unary import cast, sigmoid, softmax
from recurra.tf1.ops.matmul import matmul
from recurra.tf1.scopes import get_variable, variable_scope

__all__ = ["AttentionMechanism", "BahdanauAttention", "LuongAttention"]


def prepare_memory(memory: Any, memory_sequence_length: Any, check_inner_dims_defined: bool) -> Any:
    """The memory with everything past each row's length zeroed."""
    memory = nest.map_structure(lambda m: convert_to_tensor(m, name="memory"), memory)
    if memory_sequence_length is not None:
        memory_sequence_length = convert_to_tensor(memory_sequence_length, name="memory_sequence_length")
    if check_inner_dims_defined:
        for m in nest.flatten(memory):
            if not m.get_shape()[2:].is_fully_defined():
                raise ValueError(
                    f"Expected memory {m.name} to have fully defined inner dims, but saw shape: {m.get_shape()}"
                )
    if memory_sequence_length is None:
        return memory
    first = nest.flatten(memory)[0]
    mask = sequence_mask(memory_sequence_length, maxlen=shape(first)[1], dtype=first.dtype.base_dtype)

    def masked(m: Any) -> Any:
        ones_after = fill([(m.get_shape().ndims or 3) - 2], 1, name="ones")
        return m * reshape(mask, concat([shape(mask), ones_after], 0))

    return nest.map_structure(masked, memory)


def mask_score(score: Any, memory_sequence_length: Any, score_mask_value: Any) -> Any:
    if memory_sequence_length is None:
        return score
    checked = names.lookup("assert_positive")(
        memory_sequence_length, message="All values in memory_sequence_length must be greater than zero."
    )
    with names.lookup("control_dependencies")([checked]):
        mask = sequence_mask(memory_sequence_length, maxlen=shape(score)[1])
        return where(mask, score, score_mask_value * ones_like(score))


@tf_export("contrib.seq2seq.AttentionMechanism")
class AttentionMechanism:
    """`mechanism(query, state)` gives (alignments, next state)."""

    @property
    def alignments_size(self) -> Any:
        raise NotImplementedError

    @property
    def state_size(self) -> Any:
        raise NotImplementedError


class BaseAttentionMechanism(AttentionMechanism):
    """Keys are the memory through `memory_layer`; values are the masked memory."""

    def __init__(
        self,
        query_layer: Any,
        memory: Any,
        probability_fn: Callable[..., Any],
        memory_sequence_length: Any = None,
        memory_layer: Any = None,
        check_inner_dims_defined: bool = True,
        score_mask_value: Any = None,
        custom_key_value_fn: Any = None,
        name: str | None = None,
    ) -> None:
        for label, layer in (("query_layer", query_layer), ("memory_layer", memory_layer)):
            if layer is not None and not hasattr(layer, "_maybe_build"):
                raise TypeError(f"{label} is not a Layer: {type(layer).__name__}")
        self._query_layer, self._memory_layer = query_layer, memory_layer
        self.dtype = memory_layer.dtype if memory_layer is not None else nest.flatten(memory)[0].dtype
        if not callable(probability_fn):
            raise TypeError(f"probability_fn must be callable, saw type: {type(probability_fn).__name__}")
        if score_mask_value is None:
            score_mask_value = -np.inf
        self._probability_fn = lambda score, prev: probability_fn(
            mask_score(score, self._memory_sequence_length, score_mask_value), prev
        )
        with name_scope(name, "BaseAttentionMechanismInit", nest.flatten(memory)):
            self._memory_sequence_length = memory_sequence_length
            self._values = prepare_memory(memory, memory_sequence_length, check_inner_dims_defined)
            self._keys = self._memory_layer(self._values) if self._memory_layer is not None else self._values
            if custom_key_value_fn is not None:
                self._keys, self._values = custom_key_value_fn(self._keys, self._values)
            static = self._keys.get_shape()
            self._batch_size = (
                static.values[0] if static.values and static.values[0] is not None else shape(self._keys)[0]
            )
            self._alignments_size = (
                static.values[1] if static.values and static.values[1] is not None else shape(self._keys)[1]
            )

    memory_layer = property(lambda self: self._memory_layer)
    query_layer = property(lambda self: self._query_layer)
    values = property(lambda self: self._values)
    keys = property(lambda self: self._keys)
    batch_size = property(lambda self: self._batch_size)
    alignments_size = property(lambda self: self._alignments_size)
    state_size = property(lambda self: self._alignments_size)

    def initial_alignments(self, batch_size: Any, dtype: Any) -> Any:
        return zero_state_tensors(self._alignments_size, batch_size, dtype)

    def initial_state(self, batch_size: Any, dtype: Any) -> Any:
        return self.initial_alignments(batch_size, dtype)


def zero_state_tensors(size: Any, batch_size: Any, dtype: Any) -> Any:
    """Zeros `[batch, size]` with as much static shape as is known."""

    def known(v):
        return v if isinstance(v, (int, np.integer)) else None

    dims = [batch_size, size]
    result = zeros(
        (
            dims
            if all(known(d) is not None for d in dims)
            else apply_op("Pack", [convert_to_tensor(d, dtype=dtypes.int32) for d in dims], axis=0)
        ),
        dtype,
    )
    result.set_shape([known(d) for d in dims])
    return result


def _dense(units: int, name: str, dtype: Any = None) -> Dense:
    return Dense(units, name=name, use_bias=False, dtype=dtype)


def _probability(probability_fn: Any) -> Callable[..., Any]:
    chosen = softmax if probability_fn is None else probability_fn
    return lambda score, _: chosen(score)


def _luong_score(query: Any, keys: Any, scale: Any) -> Any:
    depth, units = query.get_shape().values[-1], keys.get_shape().values[-1]
    if depth != units:
        raise ValueError(
            f"Incompatible or unknown inner dimensions between query and keys.  Query ({query}) has units: {depth}.  Keys ({keys})"  # noqa: E501
            f" have units: {units}.  Perhaps you need to set num_units to the keys' dimension ({units})?"
        )
    score = squeeze(matmul(expand_dims(query, 1), keys, transpose_b=True), [1])
    return score if scale is None else scale * score


def _bahdanau_score(query: Any, keys: Any, attention_v: Any, attention_g: Any = None, attention_b: Any = None) -> Any:
    query = expand_dims(query, 1)
    if attention_g is None or attention_b is None:
        return reduce_sum(attention_v * apply_op("Tanh", keys + query), [2])
    v = attention_g * attention_v * apply_op("Rsqrt", reduce_sum(apply_op("Square", attention_v)))
    return reduce_sum(v * apply_op("Tanh", keys + query + attention_b), [2])


@tf_export("contrib.seq2seq.LuongAttention", "contrib.seq2seq.python.ops.attention_wrapper.LuongAttention")
class LuongAttention(BaseAttentionMechanism):
    """Multiplicative attention; with `scale` times a learned scalar."""

    def __init__(
        self,
        num_units: int,
        memory: Any,
        memory_sequence_length: Any = None,
        scale: bool = False,
        probability_fn: Any = None,
        score_mask_value: Any = None,
        dtype: Any = None,
        custom_key_value_fn: Any = None,
        name: str = "LuongAttention",
    ) -> None:
        super().__init__(
            None,
            memory,
            _probability(probability_fn),
            memory_sequence_length,
            _dense(num_units, "memory_layer", dtype or dtypes.float32),
            score_mask_value=score_mask_value,
            custom_key_value_fn=custom_key_value_fn,
            name=name,
        )
        self._num_units, self._scale, self._name = num_units, scale, name

    def _score(self, query: Any) -> Any:
        factor = (
            get_variable("attention_g", dtype=query.dtype.base_dtype, initializer=init.Ones(), shape=())
            if self._scale
            else None
        )
        return _luong_score(query, self._keys, factor)

    _scope = "luong_attention"

    def __call__(self, query: Any, state: Any) -> tuple[Any, Any]:
        with variable_scope(None, self._scope, [query]):
            alignments = self._probability_fn(self._score(query), state)
        return alignments, alignments


@tf_export("contrib.seq2seq.BahdanauAttention", "contrib.seq2seq.python.ops.attention_wrapper.BahdanauAttention")
class BahdanauAttention(BaseAttentionMechanism):
    """Additive attention; with `normalize` the weight-normalised form."""

    _scope = "bahdanau_attention"

    def __init__(
        self,
        num_units: int,
        memory: Any,
        memory_sequence_length: Any = None,
        normalize: bool = False,
        probability_fn: Any = None,
        score_mask_value: Any = None,
        dtype: Any = None,
        custom_key_value_fn: Any = None,
        name: str = "BahdanauAttention",
    ) -> None:
        kind = dtype or dtypes.float32
        super().__init__(
            _dense(num_units, "query_layer", kind),
            memory,
            _probability(probability_fn),
            memory_sequence_length,
            _dense(num_units, "memory_layer", kind),
            score_mask_value=score_mask_value,
            custom_key_value_fn=custom_key_value_fn,
            name=name,
        )
        self._num_units, self._normalize, self._name = num_units, normalize, name

    def _score(self, query: Any) -> Any:
        processed = self.query_layer(query) if self.query_layer is not None else query
        kind = query.dtype.base_dtype
        v = get_variable("attention_v", [self._num_units], dtype=kind)
        if not self._normalize:
            return _bahdanau_score(processed, self._keys, v)
        start = init.Constant(math.sqrt(1.0 / self._num_units))
        g = get_variable("attention_g", dtype=kind, initializer=start, shape=())
        b = get_variable("attention_b", [self._num_units], dtype=kind, initializer=init.Zeros())
        return _bahdanau_score(processed, self._keys, v, g, b)

    def __call__(self, query: Any, state: Any) -> tuple[Any, Any]:
        with variable_scope(None, self._scope, [query]):
            alignments = self._probability_fn(self._score(query), state)
        return alignments, alignments


# -- monotonic attention ----------------------------------------------------------------------------------------------------  # noqa: E501
@tf_export("contrib.seq2seq.safe_cumprod")
def safe_cumprod(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Cumulative product through logarithms, clipped so that gradients stay finite."""
    with name_scope(None, "SafeCumprod", [x]):
        x = convert_to_tensor(x, name="x")
        tiny = np.finfo(x.dtype.as_numpy_dtype).tiny
        return apply_op("Exp", names.lookup("cumsum")(apply_op("Log", clip_by_value(x, tiny, 1)), *args, **kwargs))


@tf_export("contrib.seq2seq.monotonic_attention")
def monotonic_attention(p_choose_i: Any, previous_attention: Any, mode: str) -> Any:
    """The distribution of the next attended entry, from the probability of stopping at each."""
    p_choose_i = convert_to_tensor(p_choose_i, name="p_choose_i")
    previous_attention = convert_to_tensor(previous_attention, name="previous_attention")
    cumsum, cumprod = names.lookup("cumsum"), names.lookup("cumprod")
    if mode == "recursive":
        batch = p_choose_i.get_shape().values[0]
        batch = shape(p_choose_i)[0] if batch is None else batch
        first = ones(
            [batch, 1] if isinstance(batch, int) else apply_op("Pack", [batch, 1], axis=0), p_choose_i.dtype.base_dtype
        )
        shifted = concat([first, 1 - p_choose_i[:, :-1]], 1)
        start = zeros(
            [batch] if isinstance(batch, int) else apply_op("Pack", [batch], axis=0), p_choose_i.dtype.base_dtype
        )

        def step(x, yz):
            return reshape(
                yz[0] * x + yz[1], apply_op("Pack", [batch], axis=0) if not isinstance(batch, int) else [batch]
            )

        def turn(t):
            return apply_op("Transpose", t, [1, 0])

        scanned = names.lookup("scan")(step, [turn(shifted), turn(previous_attention)], start)
        attention = p_choose_i * turn(scanned)
    elif mode == "parallel":
        product = safe_cumprod(1 - p_choose_i, axis=1, exclusive=True)
        attention = p_choose_i * product * cumsum(previous_attention / clip_by_value(product, 1e-10, 1.0), axis=1)
    elif mode == "hard":
        reached = p_choose_i * cumsum(previous_attention, axis=1)
        attention = reached * cumprod(1 - reached, axis=1, exclusive=True)
    else:
        raise ValueError("mode must be 'recursive', 'parallel', or 'hard'.")
    return attention


def _monotonic_probability(score: Any, previous: Any, sigmoid_noise: float, mode: str, seed: int | None = None) -> Any:
    if sigmoid_noise > 0:
        score = score + sigmoid_noise * random.random_normal(shape(score), dtype=score.dtype.base_dtype, seed=seed)
    p_choose = cast(score > 0, score.dtype.base_dtype) if mode == "hard" else sigmoid(score)
    return monotonic_attention(p_choose, previous, mode)


class _Monotonic:
    """Alignments start at the first entry, and the score has a learned bias."""

    _score_bias_init = 0.0

    def initial_alignments(self, batch_size: Any, dtype: Any) -> Any:
        size = self._alignments_size  # type: ignore[attr-defined]
        index = zeros(
            [batch_size] if isinstance(batch_size, int) else apply_op("Pack", [batch_size], axis=0), dtypes.int32
        )
        return one_hot(index, size, dtype=dtype)

    def _biased(self, query: Any, score: Any) -> Any:
        bias = get_variable(
            "attention_score_bias",
            dtype=query.dtype.base_dtype,
            initializer=init.Constant(self._score_bias_init),
            shape=(),
        )
        return score + bias


def _monotonic_fn(noise: float, mode: str, seed: int | None) -> Callable[..., Any]:
    return functools.partial(_monotonic_probability, sigmoid_noise=noise, mode=mode, seed=seed)


@tf_export("contrib.seq2seq.BahdanauMonotonicAttention")
class BahdanauMonotonicAttention(_Monotonic, BahdanauAttention):
    """Additive scores, monotonic alignments."""

    _scope = "bahdanau_monotonic_attention"

    def __init__(
        self,
        num_units: int,
        memory: Any,
        memory_sequence_length: Any = None,
        normalize: bool = False,
        score_mask_value: Any = None,
        sigmoid_noise: float = 0.0,
        sigmoid_noise_seed: int | None = None,
        score_bias_init: float = 0.0,
        mode: str = "parallel",
        dtype: Any = None,
        name: str = "BahdanauMonotonicAttention",
    ) -> None:
        kind = dtype or dtypes.float32
        BaseAttentionMechanism.__init__(
            self,
            _dense(num_units, "query_layer", kind),
            memory,
            _monotonic_fn(sigmoid_noise, mode, sigmoid_noise_seed),
            memory_sequence_length,
            _dense(num_units, "memory_layer", kind),
            score_mask_value=score_mask_value,
            name=name,
        )
        self._num_units, self._normalize, self._name, self._score_bias_init = (
            num_units,
            normalize,
            name,
            score_bias_init,
        )

    def _score(self, query: Any) -> Any:
        return self._biased(query, super()._score(query))


@tf_export("contrib.seq2seq.LuongMonotonicAttention")
class LuongMonotonicAttention(_Monotonic, LuongAttention):
    """Multiplicative scores, monotonic alignments."""

    _scope = "luong_monotonic_attention"

    def __init__(
        self,
        num_units: int,
        memory: Any,
        memory_sequence_length: Any = None,
        scale: bool = False,
        score_mask_value: Any = None,
        sigmoid_noise: float = 0.0,
        sigmoid_noise_seed: int | None = None,
        score_bias_init: float = 0.0,
        mode: str = "parallel",
        dtype: Any = None,
        name: str = "LuongMonotonicAttention",
    ) -> None:
        BaseAttentionMechanism.__init__(
            self,
            None,
            memory,
            _monotonic_fn(sigmoid_noise, mode, sigmoid_noise_seed),
            memory_sequence_length,
            _dense(num_units, "memory_layer", dtype or dtypes.float32),
            score_mask_value=score_mask_value,
            name=name,
        )
        self._num_units, self._scale, self._name, self._score_bias_init = num_units, scale, name, score_bias_init

    def _score(self, query: Any) -> Any:
        return self._biased(query, super()._score(query))


@tf_export("contrib.seq2seq.hardmax")
def hardmax(logits: Any, name: str | None = None) -> Any:
    with name_scope(name, "Hardmax", [logits]):
        logits = convert_to_tensor(logits, name="logits")
        depth = logits.get_shape().values[-1] if logits.get_shape().values else None
        return one_hot(argmax(logits, -1), shape(logits)[-1] if depth is None else depth, dtype=logits.dtype.base_dtype)
