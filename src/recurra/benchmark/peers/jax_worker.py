# mypy: ignore-errors
# ruff: noqa: B905, E402, RUF007
"""JAX: lax.scan under jit, the input's product hoisted out of the loop."""

import os

threads = os.environ["BENCH_THREADS"]
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=" + ("true" if threads != "1" else "false")
import jax
import jax.numpy as jnp
from protocol import serve

GATES = {"lstm": 4, "gru": 3, "gru_after": 3, "rnn": 1}


def step(cell, wh, bh, state, projected):
    if cell == "rnn":
        h = jnp.tanh(projected + state @ wh)
        return h, h
    if cell == "lstm":
        c, h = state
        i, j, f, o = jnp.split(projected + h @ wh, 4, axis=-1)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(j)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (c, h), h
    n = state.shape[-1]
    if cell == "gru":
        r, u = jnp.split(jax.nn.sigmoid(projected[:, : 2 * n] + state @ wh[:, : 2 * n]), 2, axis=-1)
        candidate = jnp.tanh(projected[:, 2 * n :] + (r * state) @ wh[:, 2 * n :])
    else:
        hidden = state @ wh + bh
        r, u = jnp.split(jax.nn.sigmoid(projected[:, : 2 * n] + hidden[:, : 2 * n]), 2, axis=-1)
        candidate = jnp.tanh(projected[:, 2 * n :] + r * hidden[:, 2 * n :])
    h = u * state + (1 - u) * candidate
    return h, h


def prepare(job):
    w, cell = job["workload"], job["cell"]
    key = jax.random.PRNGKey(0)
    sizes = [w["features"]] + [w["hidden"]] * w["layers"]
    params = [
        (
            jax.random.normal(key, (i, GATES[cell] * o)) * 0.05,
            jax.random.normal(key, (o, GATES[cell] * o)) * 0.05,
            jnp.zeros(GATES[cell] * o),
            jnp.zeros(GATES[cell] * o),
        )
        for i, o in zip(sizes[:-1], sizes[1:])
    ]
    zeros = jnp.zeros((w["batch"], w["hidden"]))
    start = (zeros, zeros) if cell == "lstm" else zeros

    def outputs(params, inputs):
        values = inputs
        for wx, wh, bx, bh in params:
            _, values = jax.lax.scan(lambda s, x, wh=wh, bh=bh: step(cell, wh, bh, s, x), start, values @ wx + bx)
        return values

    if job["mode"] == "stream":
        one = jax.jit(lambda params, s, x: step(cell, params[0][1], params[0][3], s, x @ params[0][0] + params[0][2]))
        x, box = jax.random.normal(key, (1, w["features"])), [start]

        def run():
            box[0], output = one(params, box[0], x)
            output.block_until_ready()

        return run
    inputs = jax.random.normal(key, (w["steps"], w["batch"], w["features"]))
    grad = jax.random.normal(key, (w["steps"], w["batch"], w["hidden"]))
    forward = jax.jit(outputs)
    training = jax.jit(jax.grad(lambda params, inputs: (outputs(params, inputs) * grad).sum()))
    chosen = forward if job["mode"] == "forward" else training
    return lambda: jax.block_until_ready(chosen(params, inputs))


serve("jax", jax.__version__, prepare)
