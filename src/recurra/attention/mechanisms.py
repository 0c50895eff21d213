"""Attention mechanisms: parameters, and a memory that is masked and projected once per sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Unpack

import torch
from torch import Tensor, nn

from recurra.attention import functional
from recurra.attention.functional import Mode
from recurra.cells.checks import check_lengths, positive
from recurra.cells.family import Common
from recurra.cells.init import glorot_uniform
from recurra.errors import InputError

Probability = Callable[[Tensor], Tensor]
KeysAndValues = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Memory(NamedTuple):
    """What a decoder reads from, ready for every step."""

    keys: Tensor
    """`[B, L, n]`."""
    values: Tensor
    """`[B, L, D]`, zeros past each row's length."""
    valid: Tensor | None
    """`[B, L]` bool; None: all of it."""


class AttentionMechanism(nn.Module):
    """Base of all attention mechanisms.

    `memory = part.memorize(memory, lengths)` once per batch, then `alignments = part(query, previous, memory)` a step.

    Args:
        memory_size: features D of the memory.
        units: n, of keys and query.
        score_mask_value: the score past a row's length.
        custom_key_value_fn: of (keys, values), once a memory: what is read in their place.
        common: `init`, `device`, `dtype`.
    """

    def __init__(
        self,
        memory_size: int,
        units: int,
        *,
        score_mask_value: float = float("-inf"),
        custom_key_value_fn: KeysAndValues | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__()
        self.custom_key_value_fn = custom_key_value_fn
        self.memory_size, self.units = positive("memory_size", memory_size), positive("units", units)
        self.score_mask_value = score_mask_value
        self._init = common.get("init") or glorot_uniform
        self._factory: dict[str, Any] = {"device": common.get("device"), "dtype": common.get("dtype")}
        self._constants: dict[str, float | None] = {}
        self.memory_layer = self.dense("memory_layer", memory_size, units)

    def dense(self, name: str, rows: int, columns: int) -> nn.ParameterDict:
        """A projection without bias, under TensorFlow's name `kernel`."""
        return nn.ParameterDict({"kernel": self.weight(f"{name}.kernel", rows, columns)})

    def weight(self, name: str, *shape: int, fill: float | None = None) -> nn.Parameter:
        """A parameter filled with a constant, or by `init`; `name` is where the mechanism keeps it."""
        parameter = nn.Parameter(torch.empty(shape, **self._factory))
        self._constants[name] = fill
        self._fill(parameter, fill)
        return parameter

    @torch.no_grad()
    def _fill(self, parameter: nn.Parameter, constant: float | None) -> None:
        if constant is None:
            self._init(parameter)
        else:
            parameter.fill_(constant)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, as the constructor did."""
        for name, constant in self._constants.items():
            self._fill(self.get_parameter(name), constant)

    def memorize(self, memory: Tensor, lengths: Tensor | None = None) -> Memory:
        """Mask and project `memory [B, L, D]`, of which `lengths [B]` (each at least 1) steps are real."""
        if memory.dim() != 3 or memory.shape[-1] != self.memory_size:
            raise InputError(f"`memory` has shape {list(memory.shape)}, expected [B, L, {self.memory_size}]")
        valid = None
        if lengths is not None:
            check_lengths(lengths, memory.shape[0], memory.shape[1], memory.device)
            if not torch.compiler.is_compiling() and lengths.numel() and int(lengths.min()) < 1:
                raise InputError(f"`lengths` of the memory must all be at least 1, got {int(lengths.min())}")
            valid = functional.memory_mask(lengths, memory.shape[1])
        values = functional.mask_memory(memory, valid)
        keys = values @ self.memory_layer["kernel"]
        if self.custom_key_value_fn is not None:
            keys, values = self.custom_key_value_fn(keys, values)
            if values.shape[-1] != self.memory_size:
                raise InputError(
                    f"`custom_key_value_fn` gave values of {values.shape[-1]} features, expected {self.memory_size}"
                )
        return Memory(keys, values, valid)

    def initial_alignments(self, memory: Memory) -> Tensor:
        """`[B, L]`: nothing read yet."""
        return memory.values.new_zeros(memory.values.shape[:2])

    def score(self, query: Tensor, memory: Memory) -> Tensor:
        """`[B, L]` of a query `[B, Q]`."""
        raise NotImplementedError(f"{type(self).__name__} must define `score(query, memory)`")

    def probability(self, score: Tensor, previous: Tensor) -> Tensor:
        """Scores `[B, L]` and the alignments before -> alignments."""
        raise NotImplementedError(f"{type(self).__name__} must define `probability(score, previous)`")

    def forward(self, query: Tensor, previous: Tensor, memory: Memory) -> Tensor:
        """The alignments `[B, L]` of one step; they are also the mechanism's next state."""
        score = functional.mask_score(self.score(query, memory), memory.valid, self.score_mask_value)
        return self.probability(score, previous)


class _Bahdanau(AttentionMechanism):
    def __init__(
        self,
        query_size: int,
        memory_size: int,
        units: int,
        *,
        normalize: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(memory_size, units, **options)
        self.query_layer = self.dense("query_layer", positive("query_size", query_size), units)
        self.attention_v = self.weight("attention_v", units)
        self.normalize = normalize
        if normalize:
            self.attention_g = self.weight("attention_g", fill=math.sqrt(1 / units))
            self.attention_b = self.weight("attention_b", units, fill=0.0)

    def score(self, query: Tensor, memory: Memory) -> Tensor:
        projected = query @ self.query_layer["kernel"]
        if not self.normalize:
            return functional.bahdanau_score(projected, memory.keys, self.attention_v)
        return functional.bahdanau_score(projected, memory.keys, self.attention_v, self.attention_g, self.attention_b)


class _Luong(AttentionMechanism):
    def __init__(
        self,
        memory_size: int,
        units: int,
        *,
        scale: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(memory_size, units, **options)
        self.scale = scale
        if scale:
            self.attention_g = self.weight("attention_g", fill=1.0)

    def score(self, query: Tensor, memory: Memory) -> Tensor:
        return functional.luong_score(query, memory.keys, self.attention_g if self.scale else None)


class _Soft(AttentionMechanism):
    """Alignments from this step's scores alone."""

    def __init__(self, *sizes: int, probability_fn: Probability = functional.softmax, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.probability_fn = probability_fn

    def probability(self, score: Tensor, previous: Tensor) -> Tensor:
        return self.probability_fn(score)


class BahdanauAttention(_Soft, _Bahdanau):
    """Additive attention: `Σ v * tanh(memory @ memory_layer + query @ query_layer)`.

    Args:
        query_size: features of the query (the cell's output).
        memory_size: features D of the memory.
        units: n, of keys and query.
        normalize: the weight-normalised form, with `attention_g` and `attention_b`.
        probability_fn: scores -> alignments; default softmax.
        score_mask_value, custom_key_value_fn: as in `AttentionMechanism`.
        common: `init`, `device`, `dtype`.
    """


class LuongAttention(_Soft, _Luong):
    """Multiplicative attention: `(memory @ memory_layer) · query`; `units` is the query's size.

    Args:
        memory_size: features D of the memory.
        units: features of the query and of the keys.
        scale: multiply by a trained scalar, `attention_g`.
        probability_fn: scores -> alignments; default softmax.
        score_mask_value, custom_key_value_fn: as in `AttentionMechanism`.
        common: `init`, `device`, `dtype`.
    """


class _Monotonic(AttentionMechanism):
    """Forward-only reading: a score bias, noise, three ways to count."""

    def __init__(
        self,
        *sizes: int,
        sigmoid_noise: float = 0.0,
        score_bias_init: float = 0.0,
        mode: Mode = "parallel",
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> None:
        if mode not in ("recursive", "parallel", "hard"):
            raise InputError(f"`mode` must be 'recursive', 'parallel' or 'hard', got {mode!r}")
        super().__init__(*sizes, **options)
        self.mode, self.sigmoid_noise, self.generator = mode, sigmoid_noise, generator
        self.attention_score_bias = self.weight("attention_score_bias", fill=score_bias_init)

    def score(self, query: Tensor, memory: Memory) -> Tensor:
        return super().score(query, memory) + self.attention_score_bias

    def initial_alignments(self, memory: Memory) -> Tensor:
        """One at the first step."""
        start = memory.values.new_zeros(memory.values.shape[:2])
        start[:, 0] = 1
        return start

    def probability(self, score: Tensor, previous: Tensor) -> Tensor:
        noise = None
        if self.sigmoid_noise > 0:
            drawn = torch.randn(score.shape, generator=self.generator, dtype=score.dtype, device=score.device)
            noise = self.sigmoid_noise * drawn
        return functional.monotonic_probability(score, previous, self.mode, noise)


class BahdanauMonotonicAttention(_Monotonic, _Bahdanau):
    """`BahdanauAttention` that only moves forward (Raffel et al., 2017), plus a scalar `attention_score_bias`.

    Args:
        query_size, memory_size, units, normalize, score_mask_value: as in `BahdanauAttention`.
        sigmoid_noise: standard deviation of the noise added to the scores.
        score_bias_init: start of the score's bias.
        mode: "parallel", "recursive" or "hard".
        generator: source of the noise.
        common: `init`, `device`, `dtype`.
    """


class LuongMonotonicAttention(_Monotonic, _Luong):
    """`LuongAttention` that only moves forward (Raffel et al., 2017), plus a scalar `attention_score_bias`.

    Args:
        memory_size, units, scale, score_mask_value: as in `LuongAttention`.
        sigmoid_noise, score_bias_init, mode, generator: as in `BahdanauMonotonicAttention`.
        common: `init`, `device`, `dtype`.
    """
