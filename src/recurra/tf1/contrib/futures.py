"""Names that TensorFlow 1's modules show because their sources import them: __future__'s features, namedtuple."""

from __future__ import annotations
import __future__

from collections import namedtuple

from recurra.tf1.names import export

__all__: list[str] = []

for _module in ("flags", "app.flags", "contrib.summary", "contrib.grid_rnn", "contrib.learn.preprocessing"):
    for _name in ("absolute_import", "division", "print_function"):
        export(getattr(__future__, _name), f"{_module}.{_name}")
export(namedtuple, "contrib.grid_rnn.namedtuple")
