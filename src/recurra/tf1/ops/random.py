"""tf.random: the draws, seeded as TensorFlow seeds them.

With a seed (the graph's, the op's or both) the numbers are TensorFlow's own (`philox`); without one they come from
torch's default generator, which is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor as TorchTensor

from recurra.tf1 import dtypes
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.graph import get_default_graph
from recurra.tf1.names import tf_export
from recurra.tf1.ops.philox import Philox, StatelessPhilox, seed_pair
from recurra.tf1.registry import op
from recurra.tf1.shape_rules import from_const
from recurra.tf1.shapes import TensorShape

__all__ = ["get_seed", "set_random_seed"]


@tf_export("set_random_seed", "random.set_random_seed")
def set_random_seed(seed: int) -> None:
    """The seed of the default graph."""
    get_default_graph().seed = seed


@tf_export("get_seed", "random.get_seed")
def get_seed(op_seed: int | None) -> tuple[int | None, int | None]:
    """The pair of seeds an op made now gets, `(None, None)` where neither graph nor op has one."""
    graph = get_default_graph()
    if graph.seed is None and op_seed is None:
        return None, None
    return seed_pair(graph.seed, op_seed, graph._last_id)


def _seeds(op_seed: int | None) -> dict[str, int]:
    first, second = get_seed(op_seed)
    return {"seed": first or 0, "seed2": second or 0}


def _stream(operation: Any, session: Any) -> Philox | None:
    """The op's generator in this session, or None where it has no seed."""
    seeds = operation.attrs["seed"], operation.attrs["seed2"]
    return session.resource(operation, lambda: Philox(*seeds)) if any(seeds) else None


def _numpy_dtype(operation: Any) -> np.dtype:
    return np.dtype(operation.attrs["dtype"].as_numpy_dtype)


def _draw(seeded: Callable[..., np.ndarray], unseeded: Callable[..., TorchTensor]) -> Callable[..., Any]:
    """A binder for an op `shape -> dtype` from its two generators."""

    def bind(operation: Any, session: Any) -> Callable[..., TorchTensor]:
        stream, kind = _stream(operation, session), _numpy_dtype(operation)
        if stream is None:
            torch_kind = operation.attrs["dtype"].torch
            return lambda shape: unseeded(shape.tolist(), torch_kind)
        return lambda shape: torch.from_numpy(seeded(stream, shape.tolist(), kind))

    return bind


def _torch_truncated(shape: list[int], kind: torch.dtype) -> TorchTensor:
    out = torch.empty(shape, dtype=torch.float32 if kind == torch.float16 else kind)
    return torch.nn.init.trunc_normal_(out, 0.0, 1.0, -2.0, 2.0).to(kind)


op(
    "RandomUniform",
    "shape:S -> dtype",
    bind=_draw(Philox.uniform, lambda s, k: torch.rand(s, dtype=k)),
    shape=from_const(0),
)
op(
    "RandomStandardNormal",
    "shape:S -> dtype",
    bind=_draw(Philox.normal, lambda s, k: torch.randn(s, dtype=k)),
    shape=from_const(0),
)
op("TruncatedNormal", "shape:S -> dtype", bind=_draw(Philox.truncated_normal, _torch_truncated), shape=from_const(0))


def _bind_integers(operation: Any, session: Any) -> Callable[..., TorchTensor]:
    stream = _stream(operation, session)
    kind = np.dtype(operation.attrs["Tout"].as_numpy_dtype)

    def draw(shape: TorchTensor, low: TorchTensor, high: TorchTensor) -> TorchTensor:
        sizes, first, last = shape.tolist(), int(low), int(high)
        if stream is None:
            return torch.randint(first, last, sizes, dtype=low.dtype)
        return torch.from_numpy(stream.integers(sizes, first, last, kind))

    return draw


op("RandomUniformInt", "shape:S, minval:Tout, maxval:Tout -> Tout", bind=_bind_integers, shape=from_const(0))


def _bind_multinomial(operation: Any, session: Any) -> Callable[..., TorchTensor]:
    stream = _stream(operation, session)
    kind = np.dtype(operation.attrs["output_dtype"].as_numpy_dtype)

    def draw(logits: TorchTensor, count: TorchTensor) -> TorchTensor:
        source = stream or Philox(*torch.randint(1, 2**31, (2,)).tolist())
        return torch.from_numpy(source.multinomial(logits.detach().numpy(), int(count), kind))

    return draw


def _multinomial_shape(operation: Any) -> Any:
    from recurra.tf1.constants import constant_value

    count = constant_value(operation.inputs[1])
    return TensorShape([operation.inputs[0].shape.with_rank(2).values[0], None if count is None else int(count)])


op("Multinomial", "logits:T, num_samples:int32 -> output_dtype", bind=_bind_multinomial, shape=_multinomial_shape)


def _bind_shuffle(operation: Any, session: Any) -> Callable[..., Any]:
    stream = _stream(operation, session)

    def draw(value: Any) -> Any:
        order = torch.randperm(len(value)) if stream is None else torch.from_numpy(stream.permutation(len(value)))
        return value[order.numpy()] if isinstance(value, np.ndarray) else value[order]

    return draw


op("RandomShuffle", "value:T -> T", bind=_bind_shuffle, shape=lambda o: o.inputs[0].shape)


def _bind_gamma(operation: Any, session: Any) -> Callable[..., TorchTensor]:
    """Not TensorFlow's stream: its rejection sampler is not reproduced, the distribution is."""
    generator = _numpy_generator(operation, session)

    def draw(shape: TorchTensor, alpha: TorchTensor) -> TorchTensor:
        values = generator.gamma(alpha.detach().numpy(), size=(*shape.tolist(), *alpha.shape))
        return torch.from_numpy(np.asarray(values)).to(alpha.dtype)

    return draw


def _numpy_generator(operation: Any, session: Any) -> np.random.Generator:
    seeds = operation.attrs["seed"], operation.attrs["seed2"]
    return session.resource(operation, lambda: np.random.default_rng(seeds if any(seeds) else None))


def _bind_poisson(operation: Any, session: Any) -> Callable[..., TorchTensor]:
    generator = _numpy_generator(operation, session)
    kind = operation.attrs["dtype"].torch
    return lambda shape, rate: torch.from_numpy(
        np.asarray(generator.poisson(rate.detach().numpy(), (*shape.tolist(), *rate.shape)))
    ).to(kind)


op("RandomGamma", "shape:S, alpha:T -> T", bind=_bind_gamma)
op("RandomPoissonV2", "shape:S, rate:R -> dtype", bind=_bind_poisson)


def _stateless(draw: Callable[..., np.ndarray]) -> Callable[..., TorchTensor]:
    def lower(shape: TorchTensor, seed: TorchTensor, dtype: Any) -> TorchTensor:
        stream = StatelessPhilox(*(int(s) & (2**64 - 1) for s in seed))
        return torch.from_numpy(draw(stream, shape.tolist(), np.dtype(dtype.as_numpy_dtype)))

    return lower


def _stateless_multinomial(
    logits: TorchTensor, count: TorchTensor, seed: TorchTensor, output_dtype: Any
) -> TorchTensor:
    stream = StatelessPhilox(*(int(s) & (2**64 - 1) for s in seed))
    return torch.from_numpy(
        stream.multinomial(logits.detach().numpy(), int(count), np.dtype(output_dtype.as_numpy_dtype))
    )


for _type, _method in (
    ("StatelessRandomUniform", Philox.uniform),
    ("StatelessRandomNormal", Philox.normal),
    ("StatelessTruncatedNormal", Philox.truncated_normal),
):
    op(_type, "shape:T, seed:Tseed -> dtype", _stateless(_method), diff=False, shape=from_const(0))
op(
    "StatelessMultinomial",
    "logits:T, num_samples:int32, seed:Tseed -> output_dtype",
    _stateless_multinomial,
    diff=False,
    shape=_multinomial_shape,
)


def _shape_tensor(shape: Any) -> Any:
    """A shape argument as an int tensor; an empty one is int32, not float."""
    dtype = dtypes.int32 if isinstance(shape, (tuple, list)) and len(shape) == 0 else None
    return convert_to_tensor(shape, dtype=dtype, name="shape")


@tf_export("random_normal", "random.normal")
def random_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = dtypes.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    return _scaled_normal("RandomStandardNormal", "random_normal", shape, mean, stddev, dtype, seed, name)


@tf_export("truncated_normal", "random.truncated_normal")
def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = dtypes.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    return _scaled_normal("TruncatedNormal", "truncated_normal", shape, mean, stddev, dtype, seed, name)


def _scaled_normal(
    kind: str, default: str, shape: Any, mean: Any, stddev: Any, dtype: Any, seed: int | None, name: str | None
) -> Any:
    with name_scope(name, default, [shape, mean, stddev]) as scope:
        shape = _shape_tensor(shape)
        mean = convert_to_tensor(mean, dtype=dtype, name="mean")
        stddev = convert_to_tensor(stddev, dtype=dtype, name="stddev")
        draws = apply_op(kind, shape, dtype=dtypes.as_dtype(dtype), **_seeds(seed))
        return apply_op("Add", apply_op("Mul", draws, stddev, name="mul"), mean, name=scope)


@tf_export("random_uniform", "random.uniform")
def random_uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = dtypes.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    dtype = dtypes.as_dtype(dtype)
    if dtype not in (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64):
        raise ValueError(f"Invalid dtype {dtype!r}")
    if maxval is None:
        if dtype.is_integer:
            raise ValueError(f"Must specify maxval for integer dtype {dtype!r}")
        maxval = 1
    with name_scope(name, "random_uniform", [shape, minval, maxval]) as scope:
        shape = _shape_tensor(shape)
        low = convert_to_tensor(minval, dtype=dtype, name="min")
        high = convert_to_tensor(maxval, dtype=dtype, name="max")
        if dtype.is_integer:
            return apply_op("RandomUniformInt", shape, low, high, name=scope, Tout=dtype, **_seeds(seed))
        draws = apply_op("RandomUniform", shape, dtype=dtype, **_seeds(seed))
        span = apply_op("Sub", high, low, name="sub")
        return apply_op("Add", apply_op("Mul", draws, span, name="mul"), low, name=scope)


@tf_export("random_shuffle", "random.shuffle")
def random_shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Any:
    return apply_op("RandomShuffle", value, name=name, **_seeds(seed))


@tf_export("multinomial", "random.multinomial")
def multinomial(
    logits: Any, num_samples: Any, seed: int | None = None, name: str | None = None, output_dtype: Any = None
) -> Any:
    with name_scope(name, "multinomial", [logits]):
        return _categorical(logits, num_samples, output_dtype, seed)


@tf_export("random.categorical")
def categorical(
    logits: Any, num_samples: Any, dtype: Any = None, seed: int | None = None, name: str | None = None
) -> Any:
    with name_scope(name, "categorical", [logits]):
        return _categorical(logits, num_samples, dtype, seed)


def _categorical(logits: Any, num_samples: Any, dtype: Any, seed: int | None) -> Any:
    logits = convert_to_tensor(logits, name="logits")
    return apply_op(
        "Multinomial", logits, num_samples, output_dtype=dtypes.as_dtype(dtype or dtypes.int64), **_seeds(seed)
    )


@tf_export("random_gamma", "random.gamma")
def random_gamma(
    shape: Any,
    alpha: Any,
    beta: Any = None,
    dtype: Any = dtypes.float32,
    seed: int | None = None,
    name: str | None = None,
) -> Any:
    with name_scope(name, "random_gamma", [shape, alpha, beta]):
        shape = convert_to_tensor(shape, name="shape", dtype=dtypes.int32)
        alpha = convert_to_tensor(alpha, name="alpha", dtype=dtype)
        beta = convert_to_tensor(beta if beta is not None else 1, name="beta", dtype=dtype)
        alpha = alpha + apply_op("ZerosLike", beta)
        draws = apply_op("RandomGamma", shape, alpha, **_seeds(seed))
        tiny = np.finfo(dtypes.as_dtype(dtype).as_numpy_dtype).tiny
        return apply_op("Maximum", convert_to_tensor(tiny, dtype=dtype), draws / beta)


@tf_export("random_poisson", "random.poisson")
def random_poisson(
    lam: Any, shape: Any, dtype: Any = dtypes.float32, seed: int | None = None, name: str | None = None
) -> Any:
    with name_scope(name, "random_poisson", [lam, shape]):
        shape = convert_to_tensor(shape, name="shape", dtype=dtypes.int32)
        return apply_op(
            "RandomPoissonV2", shape, convert_to_tensor(lam, name="lam"), dtype=dtypes.as_dtype(dtype), **_seeds(seed)
        )


@tf_export("random_crop", "image.random_crop", "random.crop")
def random_crop(value: Any, size: Any, seed: int | None = None, name: str | None = None) -> Any:
    """A slice of `value` of the given size at a uniform offset."""
    with name_scope(name, "random_crop", [value, size]) as scope:
        value = convert_to_tensor(value, name="value")
        size = convert_to_tensor(size, dtype=dtypes.int32, name="size")
        limit = apply_op("Shape", value, out_type=dtypes.int32) - size + 1
        offset = (
            random_uniform(
                apply_op("Shape", limit, out_type=dtypes.int32), dtype=size.dtype, maxval=size.dtype.max, seed=seed
            )
            % limit
        )
        return apply_op("Slice", value, offset, size, name=scope)


def _stateless_scaled(
    kind: str, default: str, shape: Any, seed: Any, scale: Callable[[Any, Any], Any], dtype: Any, name: str | None
) -> Any:
    with name_scope(name, default, [shape, seed]) as scope:
        draws = apply_op(kind, _shape_tensor(shape), convert_to_tensor(seed, name="seed"), dtype=dtypes.as_dtype(dtype))
        return scale(draws, scope)


@tf_export("random.stateless_uniform")
def stateless_random_uniform(
    shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = dtypes.float32, name: str | None = None
) -> Any:
    if dtypes.as_dtype(dtype).is_integer:
        raise NotImplementedError("tf.random.stateless_uniform of integers")
    low = convert_to_tensor(minval, dtype=dtype, name="min")
    high = convert_to_tensor(1 if maxval is None else maxval, dtype=dtype, name="max")

    def scale(draws, scope):
        return apply_op("Add", draws * (high - low), low, name=scope)

    return _stateless_scaled("StatelessRandomUniform", "stateless_random_uniform", shape, seed, scale, dtype, name)


@tf_export("random.stateless_normal")
def stateless_random_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, name: str | None = None
) -> Any:
    def scale(draws, scope):
        return apply_op("Add", draws * stddev, convert_to_tensor(mean, dtype=dtype), name=scope)

    return _stateless_scaled("StatelessRandomNormal", "stateless_random_normal", shape, seed, scale, dtype, name)


@tf_export("random.stateless_truncated_normal")
def stateless_truncated_normal(
    shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = dtypes.float32, name: str | None = None
) -> Any:
    def scale(draws, scope):
        return apply_op("Add", draws * stddev, convert_to_tensor(mean, dtype=dtype), name=scope)

    return _stateless_scaled("StatelessTruncatedNormal", "stateless_truncated_normal", shape, seed, scale, dtype, name)


@tf_export("random.stateless_multinomial", "random.stateless_categorical")
def stateless_multinomial(
    logits: Any, num_samples: Any, seed: Any, output_dtype: Any = dtypes.int64, name: str | None = None
) -> Any:
    with name_scope(name, "stateless_multinomial", [logits, seed]):
        kind = dtypes.as_dtype(output_dtype)
        return apply_op(
            "StatelessMultinomial", convert_to_tensor(logits), num_samples, convert_to_tensor(seed), output_dtype=kind
        )
