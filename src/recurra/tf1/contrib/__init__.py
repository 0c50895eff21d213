"""tf.contrib: what programs of the era used of it. Importing the package registers the names."""

import importlib
import sys

from recurra.tf1 import _Package

sys.modules[__name__].__class__ = _Package  # tf.contrib.layers answers for the table's names, too
_MODULES = (
    "arg_scope",
    "framework",
    "framework_more",
    "layers",
    "crf",
    "legacy_seq2seq",
    "seq2seq_07",
    "seq2seq",
    "training",
    "train_ops",
    "metrics",
    "metrics_more",
    "learn_ops",
    "futures",
    "slim_learning",
    "sampling",
    "metric_learning",
    "object_containers",
    "eager_functions",
    "eager_metrics",
    "state_saver",
)

for _name in _MODULES:
    importlib.import_module(f"recurra.tf1.contrib.{_name}")
