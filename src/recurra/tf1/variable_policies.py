"""How copies of a variable on several devices are kept alike and added up; here there is one copy."""

from __future__ import annotations

import enum

from recurra.tf1.names import tf_export


@tf_export("VariableSynchronization")
class VariableSynchronization(enum.Enum):
    AUTO, NONE, ON_WRITE, ON_READ = 0, 1, 2, 3


@tf_export("VariableAggregation")
class VariableAggregation(enum.Enum):
    NONE, SUM, MEAN, ONLY_FIRST_REPLICA, ONLY_FIRST_TOWER = 0, 1, 2, 3, 3
