"""tf.contrib: what programs of the era used of it. Importing the package registers the names."""

import importlib

_MODULES = ("arg_scope", "framework", "layers", "crf", "legacy_seq2seq", "seq2seq_07", "seq2seq", "training", "metrics")

for _name in _MODULES:
    importlib.import_module(f"recurra.tf1.contrib.{_name}")
