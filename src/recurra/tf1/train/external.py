"""tf.contrib.opt.ScipyOptimizerInterface: variables optimised by scipy.optimize, with gradients from the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from recurra.tf1.names import tf_export
from recurra.tf1.namespace import space

tf = space("")


def _flat(tensors: list[Any]) -> Any:
    parts = [tf.reshape(t, [-1]) for t in tensors]
    return parts[0] if len(parts) == 1 else tf.concat(parts, 0)


@tf_export("contrib.opt.ExternalOptimizerInterface")
class ExternalOptimizerInterface:
    """Hands a loss, its gradient and constraints, as functions of one vector, to `_minimize` of a subclass."""

    def __init__(self, loss: Any, var_list: Any = None, equalities: Any = None, inequalities: Any = None,
                 var_to_bounds: Any = None, **optimizer_kwargs: Any) -> None:  # fmt: skip
        self._vars = list(tf.trainable_variables() if var_list is None else var_list)
        self._shapes = [tuple(v.shape.as_list()) for v in self._vars]
        self._ends = np.cumsum([0, *(int(np.prod(s)) for s in self._shapes)])
        self._bounds = None if var_to_bounds is None else self._packed_bounds(var_to_bounds)
        self._loss, self._loss_grad = loss, self._gradient(loss)
        self._equal = [(e, self._gradient(e)) for e in equalities or ()]
        self._unequal = [(e, self._gradient(e)) for e in inequalities or ()]
        self._packed = _flat(self._vars)
        self._fed = [tf.placeholder(v.dtype.base_dtype, s) for v, s in zip(self._vars, self._shapes, strict=True)]
        self._updates = [tf.assign(v, p) for v, p in zip(self._vars, self._fed, strict=True)]
        self.optimizer_kwargs = optimizer_kwargs

    def _packed_bounds(self, given: Any) -> list[tuple[float, float]]:
        pairs: list[tuple[float, float]] = []
        for variable, shape in zip(self._vars, self._shapes, strict=True):
            low, high = given.get(variable, (-np.inf, np.inf))
            sides = [np.broadcast_to(side, shape).ravel().tolist() for side in (low, high)]
            pairs += list(zip(*sides, strict=True))
        return pairs

    def _gradient(self, value: Any) -> Any:
        found = tf.gradients(value, self._vars)
        return _flat([tf.zeros_like(v) if g is None else g for v, g in zip(self._vars, found, strict=True)])

    def _parts(self, x: Any) -> list[Any]:
        """The vector as values of the variables."""
        cut = zip(self._ends[:-1], self._ends[1:], self._shapes, strict=True)
        return [np.asarray(x[a:b]).reshape(shape) for a, b, shape in cut]

    def minimize(self, session: Any = None, feed_dict: Any = None, fetches: Any = None, step_callback: Any = None,
                 loss_callback: Any = None, **run_kwargs: Any) -> None:  # fmt: skip
        """Optimise, and leave the result in the variables; `loss_callback` is given `fetches` at every evaluation."""
        session = session or tf.get_default_session()
        fetches = list(fetches or [])

        def function(tensors: list[Any], callback: Any = None) -> Callable[[Any], Any]:
            def evaluate(x: Any) -> Any:
                feeds = {**dict(zip(self._vars, self._parts(x), strict=True)), **(feed_dict or {})}
                found = session.run([*tensors, *fetches], feeds)
                if callback is not None:
                    callback(*found[len(tensors) :])
                return found[0] if len(tensors) == 1 else found[: len(tensors)]

            return evaluate

        result = self._minimize(
            initial_val=session.run(self._packed),
            loss_grad_func=function([self._loss, self._loss_grad], loss_callback),
            equality_funcs=[function([value]) for value, _ in self._equal],
            equality_grad_funcs=[function([gradient]) for _, gradient in self._equal],
            inequality_funcs=[function([value]) for value, _ in self._unequal],
            inequality_grad_funcs=[function([gradient]) for _, gradient in self._unequal],
            packed_bounds=self._bounds,
            step_callback=step_callback,
            optimizer_kwargs=self.optimizer_kwargs,
        )
        session.run(self._updates, dict(zip(self._fed, self._parts(result), strict=True)), **run_kwargs)

    def _minimize(self, **given: Any) -> Any:
        raise NotImplementedError(
            "To use ExternalOptimizerInterface, subclass from it and implement the _minimize() method."
        )


@tf_export("contrib.opt.ScipyOptimizerInterface")
class ScipyOptimizerInterface(ExternalOptimizerInterface):
    """scipy.optimize.minimize on a graph; `method` is L-BFGS-B unless given."""

    def _minimize(self, *, initial_val: Any, loss_grad_func: Any, equality_funcs: Any, equality_grad_funcs: Any,
                  inequality_funcs: Any, inequality_grad_funcs: Any, packed_bounds: Any, step_callback: Any,
                  optimizer_kwargs: Any) -> Any:  # fmt: skip
        import scipy.optimize

        options = {"method": "L-BFGS-B", **optimizer_kwargs}
        for name in ("jac", "callback", "constraints", "bounds"):
            if name in options:
                raise ValueError(
                    "Bounds must be set using the var_to_bounds argument" if name == "bounds"
                    else f"Optimizer keyword arg '{name}' is set automatically and cannot be injected manually"
                )  # fmt: skip

        def loss(x: Any) -> tuple[float, Any]:
            value, gradient = loss_grad_func(x)
            return float(value), gradient.astype("float64")

        constraints = [
            {"type": kind, "fun": function, "jac": gradient}
            for kind, functions, gradients in (
                ("eq", equality_funcs, equality_grad_funcs), ("ineq", inequality_funcs, inequality_grad_funcs),
            )
            for function, gradient in zip(functions, gradients, strict=True)
        ]  # fmt: skip
        callback = step_callback or (lambda xk: None)
        result = scipy.optimize.minimize(
            loss, initial_val.astype("float64"), jac=True, callback=callback, constraints=constraints,
            bounds=packed_bounds, **options,
        )  # fmt: skip
        tf.logging.info(
            "Optimization terminated with:\n  Message: %s\n  Objective function value: %f\n  Number of iterations: %d\n"
            "  Number of functions evaluations: %d",
            result.message, result.fun, getattr(result, "nit", -1), getattr(result, "nfev", -1),
        )  # fmt: skip
        return result.x
