"""Every op case of goldens/tf1/opcases.py against TensorFlow 1.15: values, dtypes, static shapes, gradients, errors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.tf1.namespace import space
from tests.goldens.tf1 import opcases, oprun

tf = space("")
FOLDER = Path(__file__).parents[1] / "goldens" / "tf1"


def _family(name: str) -> list[Any]:
    stored = np.load(FOLDER / f"opcases_{name}.npz")
    meta = json.loads(str(stored["meta"]))
    return [(name, number, case["expression"]) for number, case in enumerate(meta)]


CASES = [case for family in opcases.CASES for case in _family(family)]
_LOADED: dict[str, Any] = {}


def _golden(family: str, number: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if family not in _LOADED:
        stored = np.load(FOLDER / f"opcases_{family}.npz")
        _LOADED[family] = ({k: stored[k] for k in stored.files}, json.loads(str(stored["meta"])))
    arrays, meta = _LOADED[family]
    prefix = f"{number}/"
    return meta[number], {k[len(prefix) :]: v for k, v in arrays.items() if k.startswith(prefix)}


def compare(family: str, number: int) -> list[str]:
    """What differs from TensorFlow, as text; empty when nothing does."""
    expected, arrays = _golden(family, number)
    got = oprun.run_case(tf, expected["expression"])
    if "error" in expected or "error" in got:
        wanted, found = expected.get("error"), got.get("error")
        return [] if wanted and found and wanted[0] == found[0] else [f"error {found} instead of {wanted}"]
    problems = [
        f"{key}: {got[key]} instead of {expected[key]}" for key in ("dtypes", "shapes") if got[key] != expected[key]
    ]
    for key, want in arrays.items():
        have = got["arrays"].get(key)
        if have is None:
            problems.append(f"{key} is missing")
            continue
        if have.shape != want.shape:
            problems.append(f"{key}: shape {have.shape} instead of {want.shape}")
        elif want.dtype.kind in "SOUb":
            problems += [] if (have == want).all() else [f"{key}: {have} instead of {want}"]
        elif _random(expected["expression"]):
            continue
        else:
            tolerance = 1e-12 if want.dtype == np.float64 else 2e-3 if want.dtype == np.float16 else 2e-5
            error = np.max(np.abs(have - want) / np.maximum(1, np.abs(want)), initial=0, where=np.isfinite(want))
            if not (error <= tolerance and np.array_equal(np.isfinite(have), np.isfinite(want))):
                problems.append(f"{key}: off by {error:.3g}")
    problems += [f"{key} is extra" for key in got["arrays"] if key not in arrays and not key.startswith("grad_")]
    return problems


def _random(expression: str) -> bool:
    """Draws seeded by the graph alone depend on how many ops were made before."""
    return expression in ("tf.random_uniform([3])", "tf.random_normal([2])")


# Where the wing is known to differ, and how.
DIFFERENT = {
    "tf.zeta(pos + 1., pos)": "torch has no derivative of zeta",
    "tf.igamma(pos, pos)": "torch has no derivative for the first argument",
    "tf.igammac(pos, pos)": "torch has no derivative for the first argument",
    "tf.nn.top_k(i, k=3, sorted=False)[0]": "the unsorted order is nobody's promise",
    "tf.quantize_v2(x, -2., 2., tf.quint8)[1:]": "quantised tensors are not there",
    "tf.linalg.sqrtm(spd)": "no gradient",
    "tf.nn.conv2d(img, kern, [1, 1, 1, 1], 'SAME', dilations=[1, 2, 2, 1])": "TensorFlow's CPU build refuses it, we do not",  # noqa: E501
    "tf.nn.with_space_to_batch(img, [1, 1], 'VALID', lambda z, n, p: z)": "not there",
    "tf.strings.unicode_decode(['ab', 'c'], 'UTF-8').to_tensor()": "ragged tensors are not there",
    "tf.strings.bytes_split(['ab', 'c']).to_tensor()": "ragged tensors are not there",
    "tf.cast('a', tf.float32)": "NotImplementedError instead of UnimplementedError",
    "tf.convert_to_tensor([1, [2, 3]])": "ValueError instead of TypeError",
    "tf.zeros([2, -1])": "refused when it runs, not when it is built",
    "list(x)": "TypeError instead of its subclass OperatorNotAllowedInGraphError",
    "bool(x)": "TypeError instead of its subclass OperatorNotAllowedInGraphError",
    "if_ if False else (1 if x > 0 else 2)": "TypeError instead of its subclass OperatorNotAllowedInGraphError",
}
# Static shapes that are known here and not in TensorFlow, or the other way round; the values agree.
OTHER_STATIC_SHAPE = {
    "tf.sparse_maximum(sparse(i), sparse(j))",
    "tf.sparse_minimum(sparse(i), sparse(j))",
    "tf.sparse.expand_dims(sparse(x), 0)",
    "tf.sets.set_size(sparse(i))",
    "tf.image.rot90(rgb)",
    "tf.nn.safe_embedding_lookup_sparse([w], tf.SparseTensor([[0, 0], [0, 1], [2, 0]], [1, 3, 0], [3, 2]))",
}


@pytest.mark.parametrize(("family", "number", "expression"), CASES, ids=lambda v: str(v)[:60])
def test_case(family: str, number: int, expression: str) -> None:
    if expression in DIFFERENT:
        pytest.xfail(DIFFERENT[expression])
    problems = compare(family, number)
    if expression in OTHER_STATIC_SHAPE:
        problems = [p for p in problems if not p.startswith("shapes:")]
    assert problems == [], expression
