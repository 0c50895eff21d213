"""tensorflow.python.ops.variables.Variable: from 1.11 on the class of TensorFlow 2, which makes resource variables."""

from __future__ import annotations

from typing import Any

from recurra.tf1.names import export
from recurra.tf1.variable_policies import VariableAggregation, VariableSynchronization
from recurra.tf1.variables import RefVariable, Variable

__all__ = ["VariableV2"]


class _Meta(type):
    """Calls make a resource variable; every variable is an instance."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls.make(*args, **kwargs) if cls is VariableV2 else super().__call__(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Variable)


class VariableV2(metaclass=_Meta):
    """`Variable(initial_value, trainable, …)` without collections: always a resource variable."""

    SaveSliceInfo = getattr(Variable, "SaveSliceInfo", None)
    from_proto = staticmethod(getattr(Variable, "from_proto"))  # noqa: B009

    @staticmethod
    def make(
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: str | None = None,
        constraint: Any = None,
        synchronization: Any = VariableSynchronization.AUTO,
        aggregation: Any = VariableAggregation.NONE,
        shape: Any = None,
    ) -> Any:
        more = {} if shape is None else {"shape": shape}
        return Variable(
            initial_value,
            trainable=trainable,
            validate_shape=validate_shape,
            caching_device=caching_device,
            name=name,
            variable_def=variable_def,
            dtype=dtype,
            import_scope=import_scope,
            constraint=constraint,
            synchronization=synchronization,
            aggregation=aggregation,
            use_resource=True,
            **more,
        )


export(VariableV2, "python.ops.variables.Variable")
export(RefVariable, "python.ops.variables.Variable", era=((0, 0), (1, 11)))
