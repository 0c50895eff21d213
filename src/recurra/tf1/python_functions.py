"""tf.py_func: Python functions of numpy arrays as operations; custom gradients."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from recurra.tf1 import errors, nest
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.dtypes import as_dtype
from recurra.tf1.names import tf_export
from recurra.tf1.registry import op
from recurra.tf1.shapes import unknown_shape
from recurra.tf1.tensor import Operation
from recurra.tf1.values import as_bytes_array, to_torch


def _bind_py_func(operation: Operation, session: Any) -> Callable[[list[Any]], Any]:
    function, kinds = operation.attrs["_function"], operation.attrs["Tout"]

    def run(values: list[Any]) -> tuple[Any, ...]:
        arrays = [v.detach().numpy() if isinstance(v, torch.Tensor) else v for v in values]
        arrays = [a[()] if a.ndim == 0 and a.dtype == object else a for a in arrays]
        try:
            result = function(*arrays)
        except (ValueError, TypeError, IndexError, ArithmeticError) as error:
            raise _named(error) from error
        results = list(result) if isinstance(result, list | tuple) else [] if result is None and not kinds else [result]
        if len(results) != len(kinds):
            raise ValueError(f"pyfunc returns {len(results)} values, but expects to see {len(kinds)} values.")
        return tuple(_value(r, k, i) for i, (r, k) in enumerate(zip(results, kinds, strict=True)))

    return run


def _named(error: Exception) -> errors.OpError:
    """TensorFlow's error for what the program's function raised, with the class and the program's own lines."""
    text = "".join(traceback.format_exception(error)).strip()
    return errors.invalid_argument(f"{type(error).__name__}: {error}\n{text}\n")


def _value(result: Any, kind: Any, index: int) -> Any:
    if kind.torch is None:
        return as_bytes_array(np.asarray(result, dtype=object))
    array = np.asarray(result)
    if array.dtype != np.dtype(kind.as_numpy_dtype):
        if not isinstance(result, np.ndarray | np.generic):
            array = array.astype(kind.as_numpy_dtype)
        else:
            raise ValueError(
                f"{index}-th value returned by the Python function is {array.dtype.name}, but expects {kind.name}"
            )
    return to_torch(np.array(array, order="C", copy=True))


op("PyFunc", "input:* -> *Tout", bind=_bind_py_func, diff=False, shape=lambda o: [unknown_shape()] * len(o.outputs))
op(
    "PyFuncStateless",
    "input:* -> *Tout",
    bind=_bind_py_func,
    diff=False,
    shape=lambda o: [unknown_shape()] * len(o.outputs),
)


def _py_func(func: Callable[..., Any], inp: Any, kinds: Any, stateful: bool, name: str | None) -> Any:
    if not callable(func):
        raise ValueError(f"Expected func to be callable, got func of type {type(func)}")
    single = not isinstance(kinds, list | tuple)
    wanted = [as_dtype(k) for k in ([kinds] if single else kinds)]
    kind = "PyFunc" if stateful else "PyFuncStateless"
    made = apply_op(kind, list(inp), Tout=wanted, _function=func, name=name)
    if not wanted:
        return made[0].op if made else made
    return made[0] if single else made


@tf_export("py_func", "numpy_function")
def py_func(func: Callable[..., Any], inp: Any, Tout: Any, stateful: bool = True, name: str | None = None) -> Any:
    """`func` of numpy arrays, run when the graph runs; `Tout` is one dtype or a list of them."""
    return _py_func(func, inp, Tout, stateful, name)


@tf_export("py_function", "contrib.eager.py_func")
def py_function(func: Callable[..., Any], inp: Any, Tout: Any, name: str | None = None) -> Any:
    """py_func whose function gets objects with a `numpy()` method."""

    def call(*arrays: Any) -> Any:
        return func(*[_Eager(a) for a in arrays])

    return _py_func(call, inp, Tout, True, name)


class _Eager(np.ndarray):
    """An array that answers numpy(), as an eager tensor does."""

    def __new__(cls, value: Any) -> Any:
        return np.asarray(value).view(cls)

    def numpy(self) -> Any:
        return np.asarray(self)[()] if self.ndim == 0 else np.asarray(self)


# -- custom gradients ------------------------------------------------------------------------------------------------
def _bind_custom(operation: Operation, session: Any, recording: bool) -> Callable[[list[Any]], Any]:
    from recurra.tf1.plan import compile_function

    attrs = operation.attrs
    count, extra = attrs["n_inputs"], operation.inputs[attrs["n_inputs"] :]
    forward = compile_function(
        session, [*attrs["_inputs"], *extra], attrs["_outputs"], done=operation.control_inputs, cells=True
    ).call
    backward = compile_function(
        session,
        [*attrs["_inputs"], *extra, *attrs["_outputs"], *attrs["_upstream"]],
        attrs["_grads"],
        done=operation.control_inputs,
        cells=True,
    ).call
    positions = attrs["_positions"]

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *values: Any) -> Any:
            results = forward(*values)
            ctx.save_for_backward(*values, *results)
            return tuple(r.view_as(r) if any(r is v for v in values) else r for r in results)

        @staticmethod
        def backward(ctx: Any, *upstream: Any) -> Any:
            # values of their own: gradients taken inside end at them, and do not follow what made them
            own = [v.view_as(v) if torch.is_grad_enabled() else v.detach() for v in ctx.saved_tensors]
            found = backward(*own, *upstream)
            grads: list[Any] = [None] * (count + len(extra))
            for position, grad in zip(positions, found, strict=True):
                grads[position] = grad
            return tuple(grads)

    if not recording:
        return lambda values: forward(*values)
    return lambda values: Custom.apply(*values)


op("CustomGradient", "inputs:* -> *T", bind=_bind_custom)


@tf_export("custom_gradient")
def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f(*xs) -> (ys, grad_fn)`: tf.gradients of the decorated function uses grad_fn(*dys)."""

    def decorated(*args: Any, **kwargs: Any) -> Any:
        from recurra.tf1 import eager
        from recurra.tf1.contexts import ControlFlowContext
        from recurra.tf1.control_flow import _hidden
        from recurra.tf1.core_ops import identity

        with name_scope("CustomGradient", values=None):
            inputs = [convert_to_tensor(a) for a in args]
            if inputs and all(hasattr(t, "_held") for t in inputs):
                return eager.with_own_gradient(f, inputs, kwargs)
            context = ControlFlowContext("custom_gradient")
            context.Enter()
            try:
                local = [identity(t) for t in inputs]
                result, grad_fn = f(*local, **kwargs)
                outputs = [identity(convert_to_tensor(t)) for t in nest.flatten(result)]
                upstream = [
                    apply_op("Placeholder", dtype=t.dtype.base_dtype, shape=t.shape, name="dy") for t in outputs
                ]
                grads = grad_fn(*upstream)
                grads = list(grads) if isinstance(grads, list | tuple) else [grads]
                if len(grads) != len(inputs):
                    raise ValueError(
                        f"custom_gradient function returned {len(grads)} gradients for {len(inputs)} inputs"
                    )
                positions = [i for i, g in enumerate(grads) if g is not None]
                grads = [convert_to_tensor(g) for g in grads if g is not None]
            finally:
                context.Exit()
            extra, controls = context.captured([*outputs, *grads], [*local, *upstream])
            made = _hidden(
                "CustomGradient",
                context.name,
                [*inputs, *extra],
                [t.dtype.base_dtype for t in outputs],
                [t.shape for t in outputs],
                n_inputs=len(inputs),
                _inputs=local,
                _outputs=outputs,
                _upstream=upstream,
                _grads=grads,
                _positions=positions,
            )
            made._control_inputs = controls
            final = [identity(t) for t in made.outputs]
        return nest.pack_sequence_as(result, final) if nest.is_nested(result) else final[0]

    return decorated


@tf_export("python.ops.custom_gradient.copy_handle_data")
def copy_handle_data(source: Any, target: Any) -> None:
    """Handles carry no data of their own here."""
