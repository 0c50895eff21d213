"""The table of ops: each module declares primitives (op type, signature, torch lowering, shape rule) and the tf.* functions over them.

Read `helpers.py` and `math_unary.py` first. Importing the package registers everything.
"""  # noqa: E501

from __future__ import annotations

import importlib

_MODULES = (
    "math_unary",
    "math_binary",
    "array_shape",
    "array_join",
    "array_move",
    "indexing",
    "slices",
    "operators",
    "math_reduce",
    "matmul",
    "array_create",
    "array_gather",
    "checks",
    "clip",
    "segment",
    "random",
    "init",
    "linalg",
    "strings",
    "nn_conv",
    "nn_conv_functions",
    "nn_pool",
    "nn_loss",
    "nn",
    "embedding",
    "ctc",
    "sampled",
    "array_space",
    "sparse",
    "sparse_math",
    "image",
    "image_colour",
    "lookup",
    "vocabularies",
    "signal",
    "printing",
    "decode",
    "linalg_more",
    "signal_more",
    "nn_more",
    "fake_quant",
    "scatter_nd",
    "serialize",
    "image_more",
    "strings_more",
    "sets",
    "v2_forms",
    "weights_broadcast",
    "inner_ops",
    "gradient_ops",
)

for _name in _MODULES:
    importlib.import_module(f"recurra.tf1.ops.{_name}")
