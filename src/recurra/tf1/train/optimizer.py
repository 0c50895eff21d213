"""tf.train.Optimizer: gradients, slots, and one update operation per variable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from recurra.tf1 import tracking
from recurra.tf1.build import apply_op
from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space
from recurra.tf1.train import slots

tf = space("")


def is_resource(var: Any) -> bool:
    """Whether a variable is used through a resource handle."""
    return hasattr(var, "_handle")


def target(var: Any) -> Any:
    """What an update operation takes: the handle of a resource variable, else the reference."""
    return var.handle if is_resource(var) else var._ref()


def update(name: str, var: Any, *rest: Any, **attrs: Any) -> Any:
    """The operation Apply<name>/SparseApply<name> for the kind of variable; gives an Operation."""
    inputs = [target(v) if isinstance(v, tf.Variable) else v for v in (var, *rest)]
    done = apply_op(f"Resource{name}" if is_resource(var) else name, *inputs, **attrs)
    return done.op if hasattr(done, "op") else done


@tf_export("train.Optimizer", "python.training.optimizer.Optimizer")
class Optimizer:
    """Base of all optimizers. Subclasses give `_apply_dense`, `_apply_sparse`, `_create_slots`, `_prepare`."""

    GATE_NONE, GATE_OP, GATE_GRAPH = 0, 1, 2

    def __init__(self, use_locking: bool, name: str) -> None:
        if not name:
            raise ValueError("Must specify the optimizer name")
        self._use_locking = use_locking
        self._name = name
        self._slots: dict[str, dict[Any, Any]] = {}
        self._non_slot_dict: dict[Any, Any] = {}

    def get_name(self) -> str:
        return self._name

    def minimize(
        self,
        loss: Any,
        global_step: Any = None,
        var_list: Any = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        name: str | None = None,
        grad_loss: Any = None,
    ) -> Any:
        """compute_gradients, then apply_gradients."""
        pairs = self.compute_gradients(
            loss, var_list, gate_gradients, aggregation_method, colocate_gradients_with_ops, grad_loss
        )
        if not any(g is not None for g, _ in pairs):
            names = [str(v) for _, v in pairs]
            raise ValueError(
                "No gradients provided for any variable, check your graph for ops that do not support gradients, "
                f"between variables {names} and loss {loss}."
            )
        return self.apply_gradients(pairs, global_step=global_step, name=name)

    def compute_gradients(
        self,
        loss: Any,
        var_list: Any = None,
        gate_gradients: int = GATE_OP,
        aggregation_method: Any = None,
        colocate_gradients_with_ops: bool = False,
        grad_loss: Any = None,
    ) -> list[tuple[Any, Any]]:
        """[(gradient or None, variable)] of `loss` for the trainable variables, or those of `var_list`."""
        if tf.executing_eagerly():
            return self._gradients_now(loss, var_list, grad_loss)
        if callable(loss):
            loss = loss()
        if gate_gradients not in (self.GATE_NONE, self.GATE_OP, self.GATE_GRAPH):
            raise ValueError(
                "gate_gradients must be one of: Optimizer.GATE_NONE, Optimizer.GATE_OP, Optimizer.GATE_GRAPH.  "
                f"Not {gate_gradients}"
            )
        self._assert_valid_dtypes([loss])
        if grad_loss is not None:
            self._assert_valid_dtypes([grad_loss])
        variables = tf.trainable_variables() + _trainable_resources() if var_list is None else _flat(var_list)
        variables = list(dict.fromkeys(variables))
        if not variables:
            raise ValueError("No variables to optimize.")
        for var in variables:
            if not hasattr(var, "dtype"):
                raise TypeError(f"Argument is not a variable: {var}")
        grads = tf.gradients(
            loss,
            [v.handle if is_resource(v) else v for v in variables],
            grad_ys=grad_loss,
            gate_gradients=gate_gradients == self.GATE_OP,
            aggregation_method=aggregation_method,
            colocate_gradients_with_ops=colocate_gradients_with_ops,
        )
        if gate_gradients == self.GATE_GRAPH:
            grads = tf.tuple(grads)
        pairs = list(zip(grads, variables, strict=True))
        self._assert_valid_dtypes([v for g, v in pairs if g is not None and v.dtype != tf.resource])
        return pairs

    def _gradients_now(self, loss: Any, var_list: Any, grad_loss: Any) -> list[tuple[Any, Any]]:
        if not callable(loss):
            raise RuntimeError("`loss` passed to Optimizer.compute_gradients should be a function when eager execution "
                               "is enabled.")  # fmt: skip
        with tf.GradientTape() as tape:
            if var_list is not None:
                tape.watch(var_list)
            value = loss()
        variables = list(tape.watched_variables() if var_list is None else _flat(var_list))
        grads = tape.gradient(value, variables, grad_loss)
        return list(zip(grads, variables, strict=True))

    def apply_gradients(self, grads_and_vars: Iterable[Any], global_step: Any = None, name: str | None = None) -> Any:
        """One operation that updates every variable with a gradient, then adds 1 to `global_step`."""
        pairs = tuple(grads_and_vars)
        if not pairs:
            raise ValueError("No variables provided.")
        converted = [(None if g is None else _as_gradient(g), v) for g, v in pairs]
        variables = [v for g, v in converted if g is not None]
        if not variables:
            raise ValueError(f"No gradients provided for any variable: {[str(v) for _, v in converted]}.")
        with tf.control_dependencies(None):
            self._create_slots(variables)
        tracking.settle(self)
        updates = []
        with tf.name_scope(name, self._name) as scope:
            self._prepare()
            for grad, var in converted:
                if grad is None:
                    continue
                short = var.op.name.rpartition("/")[2] if "/" in var.op.name else var.op.name
                with tf.name_scope(f"update_{short}"), tf.colocate_with(var.op):
                    updates.append(self._update(grad, var))
            if global_step is None:
                done = self._finish(updates, scope)
            else:
                with tf.control_dependencies([self._finish(updates, "update")]), tf.colocate_with(global_step.op):
                    done = tf.assign_add(global_step, tf.ones([], global_step.dtype.base_dtype), name=scope)
                    done = done.op if hasattr(done, "op") else done
        train_ops = tf.get_collection_ref(tf.GraphKeys.TRAIN_OP)
        if done not in train_ops:
            train_ops.append(done)
        return done

    def _update(self, grad: Any, var: Any) -> Any:
        if not isinstance(grad, tf.IndexedSlices):
            done = self._apply(grad, var)
        elif is_resource(var) and type(self)._resource_apply_sparse is not Optimizer._resource_apply_sparse:
            done = self._resource_apply_sparse_duplicate_indices(grad.values, var, grad.indices)
        else:
            done = self._apply_sparse_duplicate_indices(grad, var)
        constraint = getattr(var, "constraint", None)
        if constraint is None:
            return done
        if isinstance(grad, tf.IndexedSlices):
            raise RuntimeError("Cannot use a constraint function on a sparse variable.")
        with tf.control_dependencies([done]):
            return tf.assign(var, constraint(var)).op

    def _apply(self, grad: Any, var: Any) -> Any:
        own = type(self)._resource_apply_dense is not Optimizer._resource_apply_dense
        if is_resource(var) and own:
            return self._resource_apply_dense(grad, var)
        return self._apply_dense(grad, var)

    # -- slots -------------------------------------------------------------------------------------------------------
    def get_slot(self, var: Any, name: str) -> Any:
        """The slot `name` of `var`, None where there is none."""
        return self._slots.get(name, {}).get(_key(var))

    def get_slot_names(self) -> list[str]:
        return sorted(self._slots)

    def variables(self) -> list[Any]:
        """All variables of the optimizer itself in the current graph."""
        graph = tf.get_default_graph()
        found = [v for v in self._non_slot_dict.values() if v.graph is graph]
        found += [v for by_var in self._slots.values() for v in by_var.values() if v.graph is graph]
        return sorted(found, key=lambda v: v.name)

    @property
    def _checkpoint_dependencies(self) -> list[tracking.Dependency]:
        graph = tf.get_default_graph()
        return [tracking.Dependency(name, v) for (name, g), v in sorted(self._non_slot_dict.items(), key=_name_of)
                if g is graph]  # fmt: skip

    def _slot_dict(self, slot_name: str) -> dict[Any, Any]:
        return self._slots.setdefault(slot_name, {})

    def _get_or_make_slot(self, var: Any, val: Any, slot_name: str, op_name: str) -> Any:
        named = self._slot_dict(slot_name)
        if _key(var) not in named:
            named[_key(var)] = slots.create_slot(var, val, op_name)
        return named[_key(var)]

    def _get_or_make_slot_with_initializer(
        self, var: Any, initializer: Any, shape: Any, dtype: Any, slot_name: str, op_name: str
    ) -> Any:
        named = self._slot_dict(slot_name)
        if _key(var) not in named:
            named[_key(var)] = slots.create_slot_with_initializer(var, initializer, shape, dtype, op_name)
        return named[_key(var)]

    def _zeros_slot(self, var: Any, slot_name: str, op_name: str) -> Any:
        named = self._slot_dict(slot_name)
        if _key(var) not in named:
            named[_key(var)] = slots.create_zeros_slot(var, op_name)
        return named[_key(var)]

    def _create_non_slot_variable(self, initial_value: Any, name: str, colocate_with: Any) -> Any:
        key = (name, colocate_with.graph)
        if key not in self._non_slot_dict:
            self._non_slot_dict[key] = tf.Variable(
                initial_value, name=name, trainable=False, use_resource=is_resource(colocate_with)
            )
        return self._non_slot_dict[key]

    def _get_non_slot_variable(self, name: str, graph: Any = None) -> Any:
        return self._non_slot_dict.get((name, graph))

    def _non_slot_variables(self) -> Iterable[Any]:
        return self._non_slot_dict.values()

    # -- for subclasses ----------------------------------------------------------------------------------------------
    def _create_slots(self, var_list: Sequence[Any]) -> None:
        """Make the slots; none by default."""

    def _prepare(self) -> None:
        """Make the tensors of the hyper-parameters; none by default."""

    def _apply_dense(self, grad: Any, var: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._apply_dense")

    def _apply_sparse(self, grad: Any, var: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._apply_sparse")

    def _resource_apply_dense(self, grad: Any, handle: Any) -> Any:
        return self._apply_dense(grad, handle)

    def _resource_apply_sparse(self, grad: Any, handle: Any, indices: Any) -> Any:
        return self._apply_sparse(tf.IndexedSlices(grad, indices), handle)

    def _apply_sparse_duplicate_indices(self, grad: Any, var: Any) -> Any:
        """Sum the slices of equal rows, then `_apply_sparse`."""
        values, indices = deduplicate(grad.values, grad.indices)
        return self._apply_sparse(tf.IndexedSlices(values, indices, grad.dense_shape), var)

    def _resource_apply_sparse_duplicate_indices(self, grad: Any, handle: Any, indices: Any) -> Any:
        values, unique = deduplicate(grad, indices)
        return self._resource_apply_sparse(values, handle, unique)

    def _finish(self, update_ops: list[Any], name_scope: str) -> Any:
        return tf.group(*update_ops, name=name_scope)

    def _valid_dtypes(self) -> set[Any]:
        return {tf.float16, tf.bfloat16, tf.float32, tf.float64}

    def _assert_valid_dtypes(self, tensors: Iterable[Any]) -> None:
        valid = self._valid_dtypes()
        for tensor in tensors:
            if tensor.dtype.base_dtype not in valid:
                listed = [v.name for v in sorted(valid, key=lambda d: d.name)]
                raise ValueError(f"Invalid type {tensor.dtype!r} for {tensor.name}, expected: {listed}.")

    def _call_if_callable(self, param: Any) -> Any:
        return param() if callable(param) and not isinstance(param, tf.Variable) else param


def _name_of(item: tuple[Any, Any]) -> str:
    return item[0][0]


def _key(var: Any) -> Any:
    return (var.op.graph, var.op.name)


def _trainable_resources() -> list[Any]:
    return tf.get_collection(tf.GraphKeys.TRAINABLE_RESOURCE_VARIABLES)


def _flat(variables: Any) -> list[Any]:
    if isinstance(variables, tf.Variable) or not isinstance(variables, Iterable):
        return [variables]
    return [v for item in variables for v in (item if isinstance(item, list | tuple) else [item])]


def _as_gradient(grad: Any) -> Any:
    return grad if isinstance(grad, tf.IndexedSlices) else tf.convert_to_tensor(grad)


def deduplicate(values: Any, indices: Any) -> tuple[Any, Any]:
    """(summed values, unique indices) of slices; indices in order of first appearance."""
    unique, where = tf.unique(indices)
    return tf.unsorted_segment_sum(values, where, tf.shape(unique)[0]), unique
