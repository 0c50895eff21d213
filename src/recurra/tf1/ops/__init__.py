"""The table of ops: each module declares primitives (op type, signature, torch lowering, shape rule) and the tf.* functions over them.

Read `helpers.py` and `math_unary.py` first. Importing the package registers everything.
"""

from __future__ import annotations

import importlib

_MODULES = (
    "math_unary", "math_binary", "array_shape", "indexing", "slices", "operators", "math_reduce", "matmul", "array_create",
    "array_gather", "checks", "clip", "segment", "random", "init", "linalg", "strings", "nn_conv", "nn_pool", "nn_loss", "nn",
    "embedding", "ctc", "sampled", "array_space", "sparse", "image", "image_colour", "lookup", "signal", "printing", "decode",
)  # fmt: skip

for _name in _MODULES:
    importlib.import_module(f"recurra.tf1.ops.{_name}")
