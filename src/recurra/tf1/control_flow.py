"""tf.while_loop, tf.cond, tf.case. The operations inside belong to the graph under TensorFlow's names; a plan runs a loop or a branch as
one step whose body is compiled by itself."""  # noqa: E501

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch

from recurra.tf1 import deadline, names, nest, shape_rules
from recurra.tf1.build import apply_op, convert_to_tensor, name_scope
from recurra.tf1.contexts import CondContext, WhileContext
from recurra.tf1.core_ops import with_dependencies
from recurra.tf1.graph import get_default_graph
from recurra.tf1.graph_keys import GraphKeys
from recurra.tf1.names import tf_export
from recurra.tf1.plan import compile_function
from recurra.tf1.registry import get, op
from recurra.tf1.shapes import TensorShape, as_shape, unknown_shape
from recurra.tf1.tensor import Operation, Tensor
from recurra.tf1.tensor_array import TensorArray


# -- operations ------------------------------------------------------------------------------------------------------
def _switch(data: Any, pred: Any) -> tuple[Any, Any]:
    return data, data


def _merge_shapes(o: Operation) -> list[TensorShape]:
    return [o.inputs[0].shape, TensorShape([])]


def _bind_while(operation: Operation, session: Any, recording: bool) -> Callable[[list[Any]], Any]:
    context: WhileContext = operation.attrs["_loop_context"]
    count = len(context.entered)
    done = operation.control_inputs
    whole = context.sequence.bind(context, session) if context.sequence is not None else None

    @functools.cache
    def parts() -> tuple[Any, Any]:
        test = compile_function(
            session,
            [*context.merged, *context.captures],
            [context.predicate],
            done=[*done, *(t.op for t in context.merged)],
            cells=True,
        )
        body = compile_function(
            session,
            [*context.entered, *context.captures],
            context.following,
            done=[*done, *(t.op for t in context.entered)],  # what waits for a loop variable has it
            recording=recording,
            cells=True,
        )
        return test.call, body.call

    def run(values: list[Any]) -> Any:
        if whole is not None:
            results = whole(values)
            if results is not None:
                return results
        test, body = parts()
        state, captures = tuple(values[:count]), values[count:]
        limited = deadline.limited()
        while test(*state, *captures)[0]:
            if limited:
                deadline.check()
            state = body(*state, *captures)
        return state

    run.as_sequence = whole is not None  # type: ignore[attr-defined]
    return run


def _bind_cond(operation: Operation, session: Any, recording: bool) -> Callable[[list[Any]], Any]:
    no, yes = (
        compile_function(
            session,
            operation.inputs[1:],
            context.results,
            done=operation.control_inputs,
            recording=recording,
            cells=True,
        ).call
        for context in operation.attrs["_branches"]
    )

    def run(values: list[Any]) -> Any:
        return (yes if values[0] else no)(*values[1:])

    return run


def _enter(data: Any, frame_name: str = "", is_constant: bool = False, parallel_iterations: int = 10) -> Any:
    return data


op(
    "Enter",
    "data:T -> T",
    _enter,
    shape=lambda o: o.inputs[0].shape if o.attrs.get("is_constant", True) else unknown_shape(),
)
op("Exit", "data:T -> T", lambda data: data, shape=shape_rules.same)
op("NextIteration", "data:T -> T", lambda data: data, shape=shape_rules.same)
op("LoopCond", "input:bool -> bool", lambda input: input, shape=shape_rules.scalar, diff=False)
op("Switch", "data:T, pred:bool -> T, T", _switch, shape=lambda o: [o.inputs[0].shape] * 2)
op(
    "Merge",
    "inputs:N*T -> T, int32",
    lambda inputs: (inputs[0], torch.tensor(0, dtype=torch.int32)),
    shape=_merge_shapes,
)
for _kind in ("Enter", "Exit", "NextIteration", "Identity"):  # of references, in graphs that TensorFlow wrote
    op(f"Ref{_kind}", "data:&T -> &T", lambda data: data, shape=shape_rules.same)
op("RefSwitch", "data:&T, pred:bool -> &T, &T", _switch, shape=lambda o: [o.inputs[0].shape] * 2)
op("While", "inputs:&* -> *T", bind=_bind_while)
op("Cond", "inputs:&* -> *T", bind=_bind_cond)


def _hidden(
    op_type: str, name: str, inputs: list[Tensor], kinds: list[Any], shapes: list[TensorShape], **attrs: Any
) -> Operation:
    """An operation that is not listed in the graph: it runs a loop or a branch for its listed Exit and Merge operations."""  # noqa: E501
    graph = get_default_graph()
    made = Operation(
        graph, op_type, name, inputs, {**attrs, "_lengths": {"inputs": len(inputs)}, "T": kinds}, get(op_type)
    )
    made._context = graph._get_control_flow_context()
    if made._context is not None:
        made._context.add_op(made)
    made._outputs.extend(Tensor(made, i, k, s) for i, (k, s) in enumerate(zip(kinds, shapes, strict=True)))
    return made


# -- while -----------------------------------------------------------------------------------------------------------
@tf_export("while_loop")
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
    maximum_iterations: Any = None,
    return_same_structure: bool = False,
) -> Any:
    """Repeat `loop_vars = body(*loop_vars)` while `cond(*loop_vars)`."""
    if _all_known(loop_vars):
        return _loop_now(cond, body, loop_vars, maximum_iterations)
    with name_scope(name, "while", [v for v in nest.flatten(loop_vars) if isinstance(v, Tensor)]):
        if not loop_vars:
            raise ValueError("No loop variables provided")
        if not callable(cond):
            raise TypeError("cond must be callable.")
        if not callable(body):
            raise TypeError("body must be callable.")
        if parallel_iterations < 1:
            raise TypeError("parallel_iterations must be a positive integer.")
        same = return_same_structure
        if maximum_iterations is not None:
            cond, body, loop_vars = _limited(cond, body, loop_vars, maximum_iterations, same)
            same = True
            if shape_invariants is not None:
                shape_invariants = (TensorShape([]), shape_invariants)
        if shape_invariants is not None:
            _check_invariants(loop_vars, shape_invariants)
        context = WhileContext(get_default_graph().get_name_scope())
        if context.outer_context is None:
            get_default_graph().add_to_collection(GraphKeys.WHILE_CONTEXT, context)
        result = _build_loop(context, cond, body, loop_vars, shape_invariants, same, back_prop)
        return result if maximum_iterations is None else result[1]


def _all_known(loop_vars: Any) -> bool:
    """Whether eager execution goes on here: every loop variable has a value."""
    graph = get_default_graph()
    if not graph.eager or graph.symbolic:
        return False
    return not any(type(v) is Tensor for v in nest.flatten(loop_vars))


def _loop_now(cond: Any, body: Any, loop_vars: Any, maximum_iterations: Any) -> Any:
    """The loop as Python's own."""
    packed, done = nest.map_structure(_known, loop_vars), 0
    limit = None if maximum_iterations is None else int(maximum_iterations)
    while (limit is None or done < limit) and bool(_call(cond, packed)):
        following = _call(body, packed)
        if not nest.is_nested(following) or (len(following) != len(packed) and len(packed) == 1):
            following = (following,)
        packed, done = nest.map_structure(_known, nest.pack_sequence_as(packed, nest.flatten(following))), done + 1
    return packed


def _known(value: Any) -> Any:
    return value if isinstance(value, TensorArray) or _is_composite(value) else convert_to_tensor(value)


def _limited(cond: Any, body: Any, loop_vars: Any, maximum_iterations: Any, same: bool) -> tuple[Any, Any, Any]:
    limit = convert_to_tensor(maximum_iterations, name="maximum_iterations")
    if limit.shape.rank != 0:
        raise ValueError(f"maximum_iterations must be a scalar, saw shape: {limit.shape}")
    from recurra.tf1.build import constant

    counter = constant(0, dtype=limit.dtype, name="iteration_counter")
    both, less, add = names.lookup("logical_and"), names.lookup("less"), names.lookup("add")
    if len(loop_vars) == 1 and not same:
        return (
            lambda i, var: both(less(i, limit), cond(var)),
            lambda i, var: (add(i, 1), body(var)),
            (counter, loop_vars[0]),
        )
    return (
        lambda i, vars_: both(less(i, limit), cond(*vars_)),
        lambda i, vars_: (add(i, 1), body(*vars_)),
        (counter, loop_vars),
    )


def _leaf_invariant(value: Any) -> bool:
    return value is None or isinstance(value, TensorShape)


def _check_invariants(loop_vars: Any, invariants: Any) -> None:
    a, b = len(nest.flatten(loop_vars)), len(nest.flatten(invariants))
    if a != b:
        nest.assert_same_structure(
            list(loop_vars) if isinstance(loop_vars, tuple) else loop_vars, invariants, check_types=False
        )


def _components(value: Any) -> list[Tensor]:
    """The tensors of a loop variable: of composites, their parts; of a TensorArray, its flow."""
    if isinstance(value, TensorArray):
        return [value.flow]
    if hasattr(value, "indices") and hasattr(value, "values"):
        shape = [] if value.dense_shape is None else [value.dense_shape]
        parts = (
            [value.values, value.indices] if type(value).__name__ == "IndexedSlices" else [value.indices, value.values]
        )
        return [*parts, *shape]
    return [value]


def _regroup(original: Any, parts: list[Tensor]) -> Any:
    """The inverse of `_components` with new tensors."""
    if isinstance(original, TensorArray):
        return original._with_flow(parts[0])
    if hasattr(original, "indices") and hasattr(original, "values"):
        return type(original)(*parts)
    return parts[0]


def _to_values(flat: Sequence[Any]) -> list[Any]:
    return [v if isinstance(v, TensorArray) or hasattr(v, "indices") else convert_to_tensor(v) for v in flat]


class _Vars:
    """Loop variables as a flat list of tensors, and back in their structure."""

    def __init__(self, structure: Any):
        self.structure = structure
        self.originals = _to_values(nest.flatten(structure))
        self.tensors = [t for v in self.originals for t in _components(v)]

    def pack(self, tensors: Sequence[Tensor]) -> Any:
        values, position = [], 0
        for original in self.originals:
            size = len(_components(original))
            values.append(_regroup(original, list(tensors[position : position + size])))
            position += size
        return nest.pack_sequence_as(self.structure, values)


def _build_loop(
    context: WhileContext, cond: Any, body: Any, loop_vars: Any, shape_invariants: Any, same: bool, back_prop: bool
) -> Any:
    graph = get_default_graph()
    structure = (
        list(loop_vars) if isinstance(loop_vars, tuple | list) and not hasattr(loop_vars, "_fields") else loop_vars
    )
    variables = _Vars(structure)
    invariants = _flat_invariants(variables, shape_invariants)
    context.Enter()
    try:
        outer_controls, graph._control_stack = graph._control_stack, []
        enters = [apply_op("Enter", t, frame_name=context.name) for t in variables.tensors]
        for tensor, shape in zip(enters, invariants, strict=True):
            tensor._shape = shape
        merges = [apply_op("Merge", [t, t])[0] for t in enters]
        for tensor, shape in zip(merges, invariants, strict=True):
            tensor._shape = shape
        predicate = convert_to_tensor(_call(cond, variables.pack(merges)))
        if predicate.shape.rank not in (None, 0):
            raise ValueError(
                f"The predicate of a while loop must be a scalar, got {predicate} of shape {predicate.shape}"
            )
        predicate = apply_op("LoopCond", predicate)
        switches = [apply_op("Switch", m, predicate)[1] for m in merges]
        entered = [apply_op("Identity", s) for s in switches]
        packed = variables.pack(entered)
        counts_before = graph.extra.get("summaries_in_loops")
        result = _call(body, packed)
        graph.extra["summaries_in_loops"] = counts_before
        following, after = _check_result(variables, packed, result, entered, same)
        nexts = [apply_op("NextIteration", t) for t in following]
        for i, (merge, following_tensor) in enumerate(zip(merges, nexts, strict=True)):
            _check_shape(variables.tensors[i], invariants[i], following_tensor, given=shape_invariants is not None)
            merge.op._update_input(1, following_tensor)
    finally:
        context.Exit()
    graph._control_stack = outer_controls
    context.merged, context.entered, context.predicate, context.following = merges, entered, predicate, following
    captures, controls = context.captured([predicate, *following], [*merges, *entered])
    context.captures = captures
    kinds = [t.dtype.base_dtype for t in variables.tensors]
    made = _hidden("While", context.name, [*enters, *captures], kinds, invariants, _loop_context=context)
    made._control_inputs = controls
    context._inner_controls = controls
    context.loop = made
    graph.extra.setdefault("loops", []).append(context)
    exits = [apply_op("Exit", t) for t in made.outputs]
    made._control_inputs += [c for c in graph._control_inputs_for(variables.tensors) if c not in controls]
    context.exits = exits
    for enter in enters:
        enter.op._context = context.outer_context
    packed_exits = _pack_exits(variables, after, exits)
    if same or (isinstance(structure, list) and len(structure) != 1) or not isinstance(structure, list):
        return packed_exits
    return packed_exits[0]


def _pack_exits(variables: _Vars, after: _Vars, exits: list[Tensor]) -> Any:
    """The loop's results; element shapes that TensorArrays learnt in the body are kept."""
    for original, final in zip(variables.originals, after.originals, strict=True):
        if isinstance(original, TensorArray) and isinstance(final, TensorArray):
            original._element_shape = final._element_shape
    return variables.pack(exits)


def _call(function: Callable[..., Any], packed: Any) -> Any:
    if isinstance(packed, dict) or hasattr(packed, "_fields"):
        return function(*packed) if hasattr(packed, "_fields") else function(**packed)
    return function(*packed)


def _check_result(
    variables: _Vars, packed: Any, result: Any, entered: list[Tensor], same: bool
) -> tuple[list[Tensor], _Vars]:
    if not nest.is_nested(result) or (
        isinstance(packed, list) and len(packed) == 1 and not isinstance(result, list | tuple)
    ):
        result = [result]
    elif isinstance(packed, list) and len(packed) == 1 and len(result) != 1:
        result = [result]  # one variable that is itself a structure
    if isinstance(packed, list) and not isinstance(result, list):
        result = list(result) if not hasattr(result, "_fields") else [result]
    nest.assert_same_structure(packed, result)
    after = _Vars(result)
    if len(after.tensors) != len(entered):
        raise ValueError(
            f"Number of inputs and outputs of body must match loop_vars: {len(entered)}, {len(after.tensors)}"
        )
    for before, now in zip(entered, after.tensors, strict=True):
        if before.dtype.base_dtype != now.dtype.base_dtype:
            raise TypeError(
                f"Cannot convert a tensor of type {now.dtype.base_dtype.name} to an input of type {before.dtype.base_dtype.name}"  # noqa: E501
            )
    return after.tensors, after


def _flat_invariants(variables: _Vars, shape_invariants: Any) -> list[TensorShape]:
    shapes = [t.shape for t in variables.tensors]
    if shape_invariants is None:
        return shapes
    given: list[Any] = []
    flat = nest.flatten(shape_invariants)
    for value, shape in zip(variables.originals, flat, strict=True):
        parts = _components(value)
        if isinstance(value, TensorArray):
            given.append(TensorShape([]))
        elif len(parts) == 1:
            given.append(as_shape(shape))
        else:
            given += _composite_invariants(value, parts, as_shape(shape))
    for tensor, shape in zip(variables.tensors, given, strict=True):
        if not _fits(tensor.shape, shape):
            raise ValueError(
                f"The shape invariant specified for {tensor.name} is not compatible with the initial shape of the loop "
                f"variable. It enters the loop with shape {tensor.shape}, but the specified shape invariant is {shape}."
            )
    return given


def _composite_invariants(value: Any, parts: list[Tensor], shape: TensorShape) -> list[TensorShape]:
    if type(value).__name__ == "IndexedSlices":
        return [
            shape,
            TensorShape([shape.values[0] if shape.values else None]),
            *[TensorShape([shape.rank])] * (len(parts) - 2),
        ]
    return [TensorShape([None, shape.rank]), TensorShape([None]), TensorShape([shape.rank])]


def _fits(shape: TensorShape, invariant: TensorShape) -> bool:
    """Whether every shape of this kind is one of the invariant's."""
    if invariant.values is None:
        return True
    if shape.values is None or len(shape.values) != len(invariant.values):
        return False
    return all(b is None or a == b for a, b in zip(shape.values, invariant.values, strict=True))


def _check_shape(entering: Tensor, invariant: TensorShape, following: Tensor, given: bool) -> None:
    if _fits(following.shape, invariant):
        return
    if given:
        raise ValueError(
            f"The shape invariant specified for {entering.name} is not compatible with the shape of the loop variable after "  # noqa: E501
            f"one iteration. It enters the loop with shape {entering.shape}, but has shape {following.shape} after one "
            f"iteration; the specified shape invariant is {invariant}. Provide shape invariants using either the "
            "`shape_invariants` argument of tf.while_loop or set_shape() on the loop variables."
        )
    raise ValueError(
        f"Input tensor '{entering.name}' enters the loop with shape {entering.shape}, but has shape {following.shape} after "  # noqa: E501
        "one iteration. To allow the shape to vary across iterations, use the `shape_invariants` argument of tf.while_loop "  # noqa: E501
        "to specify a less-specific shape."
    )


# -- cond ------------------------------------------------------------------------------------------------------------
@tf_export("cond")
def cond(
    pred: Any,
    true_fn: Any = None,
    false_fn: Any = None,
    strict: bool = False,
    name: str | None = None,
    fn1: Any = None,
    fn2: Any = None,
) -> Any:
    """`true_fn()` if `pred` else `false_fn()`, decided when the graph runs."""
    if fn1 is not None:
        if true_fn is not None:
            raise TypeError("cond(): true_fn and fn1 may not be set simultaneously.")
        true_fn = fn1
    if fn2 is not None:
        if false_fn is not None:
            raise TypeError("cond(): false_fn and fn2 may not be set simultaneously.")
        false_fn = fn2
    if not callable(true_fn):
        raise TypeError("true_fn must be callable.")
    if not callable(false_fn):
        raise TypeError("false_fn must be callable.")
    if get_default_graph().eager and type(pred) is not Tensor:
        chosen = true_fn() if pred else false_fn()
        alone = not strict and type(chosen) in (list, tuple) and len(chosen) == 1
        return chosen[0] if alone else chosen
    with name_scope(name, "cond", [pred]):
        if isinstance(pred, bool):
            raise TypeError("pred must not be a Python bool")
        off, on = apply_op("Switch", pred, pred)
        pivot_on, pivot_off = apply_op("Identity", on, name="switch_t"), apply_op("Identity", off, name="switch_f")
        pred = apply_op("Identity", pred, name="pred_id")
        for tensor in (on, off, pivot_on, pivot_off, pred):
            tensor.op.graph.prevent_fetching(tensor.op)
        context_t, original_t, flat_t = _branch(pred, pivot_on, 1, true_fn, "true_fn")
        context_f, original_f, flat_f = _branch(pred, pivot_off, 0, false_fn, "false_fn")
        try:
            nest.assert_same_structure(original_t, original_f)
        except TypeError as error:
            raise TypeError(f"Incompatible return types of true_fn and false_fn: {error}") from error
        except ValueError as error:
            raise ValueError(f"Incompatible return values of true_fn and false_fn: {error}") from error
        if not flat_t:
            raise ValueError("true_fn and false_fn must return at least one result.")
        merged = _merge_branches(context_t, context_f, flat_t, flat_f)
        flat, position = [], 0
        for item in nest.flatten(original_t):
            size = 1 if not _is_composite(item) else len(_components(item))
            flat.append(_regroup(item, merged[position : position + size]) if _is_composite(item) else merged[position])
            position += size
        result = nest.pack_sequence_as(original_t, flat)
        graph = get_default_graph()
        graph.add_to_collection(GraphKeys.COND_CONTEXT, context_t)
        graph.add_to_collection(GraphKeys.COND_CONTEXT, context_f)
        if not strict and isinstance(result, list | tuple) and len(result) == 1 and not hasattr(result, "_fields"):
            return result[0]
        return result


def _is_composite(value: Any) -> bool:
    return isinstance(value, TensorArray) or (hasattr(value, "indices") and hasattr(value, "values"))


def _branch(
    pred: Tensor, pivot: Tensor, branch: int, function: Any, what: str
) -> tuple[CondContext, Any, list[Tensor]]:
    context = CondContext(pred, pivot, branch, get_default_graph().get_name_scope())
    context.Enter()
    try:
        original = function()
        if original is None:
            raise ValueError(f"{what} must have a return value.")
        flat = []
        for item in nest.flatten(original):
            if isinstance(item, Operation):
                flat.append(with_dependencies([item], pivot))
            elif _is_composite(item):
                flat += [
                    apply_op("Identity", part) if part.op._context is not context else part
                    for part in _components(item)
                ]
            else:
                tensor = convert_to_tensor(item)
                flat.append(tensor)
        context.results = flat
    finally:
        context.Exit()
    return context, original, flat


def _merge_branches(on: CondContext, off: CondContext, flat_t: list[Tensor], flat_f: list[Tensor]) -> list[Tensor]:
    for x, y in zip(flat_t, flat_f, strict=True):
        if x.dtype.base_dtype != y.dtype.base_dtype:
            raise ValueError(f"Outputs of true_fn and false_fn must have the same type: {x.dtype.name}, {y.dtype.name}")
    captures: dict[Tensor, None] = {}
    controls: dict[Operation, None] = {}
    for context in (on, off):
        tensors, ops = context.captured(context.results, [])
        captures.update(dict.fromkeys(tensors))
        controls.update(dict.fromkeys(ops))
    kinds = [t.dtype.base_dtype for t in flat_t]
    shapes = [_common(x.shape, y.shape) for x, y in zip(flat_t, flat_f, strict=True)]
    graph = get_default_graph()
    made = _hidden("Cond", on.name, [on.pred, *captures], kinds, shapes, _branches=(off, on))
    made._control_inputs = list(dict.fromkeys([*controls, *graph._control_inputs_for([on.pred])]))
    graph.extra.setdefault("conds", []).append(made)
    return [apply_op("Merge", [t])[0] for t in made.outputs]


def _common(a: TensorShape, b: TensorShape) -> TensorShape:
    return unknown_shape() if a.rank is None or a.rank != b.rank else a.most_specific_compatible_shape(b)
