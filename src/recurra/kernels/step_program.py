"""One step of any cell as compiled programs: forward, and its gradient, through torch's own compiler.

The step is traced once by AOTAutograd and compiled by Inductor (which needs a C++ compiler where it runs); what is left
per step is a call of compiled code, without a dispatcher, an autograd node or a guard between its operators. In the
gradient, what sums over a batch (a weight's gradient is a product over rows, a bias's a sum) is not computed per step:
its operands come out, and the sum is done once over all steps and rows (`Deferred`).

Compiled numbers are compared with the plain step's on the call that they were compiled for, gradients included.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from recurra.kernels.replay import product
from recurra.kernels.step_memory import Program, Stored, Value, fresh, store_values


class Uncompilable(Exception):
    """Why a step cannot be compiled."""


class Deferred(NamedTuple):
    """A gradient that sums over the rows of all steps: a product of two operands, or the sum of one."""

    operands: tuple[int, ...]
    """Values of the gradient program."""
    keepdim: bool | None
    """Of the sum; None for a product."""
    rest: tuple[tuple[Any, tuple[Any, ...]], ...]
    """Views of the result, innermost first."""

    def finish(self, rows: list[Tensor]) -> Tensor:
        """The gradient, from the rows of each operand over all steps."""
        found = _product(rows[0], rows[1]) if self.keepdim is None else rows[0].sum(0, keepdim=self.keepdim)
        for target, arguments in self.rest:
            found = target(found, *arguments)
        return found


def _product(left: Tensor, right: Tensor) -> Tensor:
    return product(left.t(), right, fresh((left.shape[1], right.shape[1]), left.dtype))


class StepProgram(NamedTuple):
    """A compiled step."""

    forward: Program
    """The step's arguments -> its results, then what the gradient needs."""
    gradient: Program | None
    """What forward kept, then the gradients of the differentiable results -> values. None: none was asked for."""
    differentiable: tuple[bool, ...]
    """Of each result of the step."""
    places: tuple[int | Deferred | None, ...]
    """Where each argument's gradient is among the values."""


def compile_step(
    step: Callable[..., list[Tensor]], arguments: list[Tensor], counts: tuple[int, int, int]
) -> StepProgram:
    """Compile `step(*arguments) -> results`; gradients flow into the arguments that require one.

    Args:
        step: a function of its arguments alone; the new state is the end of its results.
        arguments: of the first step.
        counts: of inputs, with which the arguments begin; of the state's parts, which follow; and of the last
            arguments, which are the same at every step.

    Raises:
        Uncompilable: no compiler, an operator that cannot be traced, or other numbers than the plain step's.
    """
    if not any(map(shutil.which, ("g++", "c++", "clang++", "cl"))):
        raise Uncompilable("no C++ compiler was found")
    try:
        with _settings():
            return _compile(step, arguments, counts)
    except Uncompilable:
        raise
    except Exception as error:  # whatever torch's compiler meets: the plain loop runs it
        if "replace_random" in str(error):  # Inductor's pass that our steps, traced alone, do not go through
            raise Uncompilable("the step draws random numbers, which belong into `draw_masks`") from error
        lines = str(error).strip().splitlines() or [""]
        raise Uncompilable(f"torch's compiler refused it: {type(error).__name__}: {lines[0][:200]}") from error


def _settings() -> Any:
    """Of the compiler: nothing checked per call that the first call has checked, tanh by exp as the kernels have it.

    Its pattern matcher would join a product and a sum to `addmm`, which first copies what is added.
    """
    from torch._inductor import config

    wanted = {
        "size_asserts": False,
        "alignment_asserts": False,
        "scalar_asserts": False,
        "cpp.use_decompose_tanh": True,
        "pattern_matcher": False,
    }
    known = config.get_config_copy()
    return config.patch({name: value for name, value in wanted.items() if name in known})


def _compile(step: Callable[..., list[Tensor]], arguments: list[Tensor], counts: tuple[int, int, int]) -> StepProgram:
    from functorch.compile import aot_function, make_boxed_func, min_cut_rematerialization_partition
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.decomposition import select_decomp_table

    made: dict[str, Any] = {}
    inputs, states, shared = counts
    first = len(arguments) - shared

    def forward(graph: fx.GraphModule, examples: Any) -> Any:
        changed = copy.deepcopy(graph)
        results = range(made["results"])
        lasting, values, buffers = store_values(changed, examples, own=results, lent=results[-states:])
        made["forward"] = Program(_run_of(compile_fx_inner(changed, lasting)), values, buffers)
        return make_boxed_func(graph.forward)

    def gradient(graph: fx.GraphModule, examples: Any) -> Any:
        changed = copy.deepcopy(graph)
        made["places"] = places = _defer(changed, first)
        if not all(
            value.is_contiguous() for node, value in zip(_inputs(graph), examples, strict=True) if _is_tangent(node)
        ):
            raise Uncompilable("its gradient has another form than expected")
        kept = made["forward"].values[made["results"] :]
        examples = [*map(_dense, _inputs(changed), kept, examples), *examples[len(kept) :]]
        given = len(examples) - sum(made["differentiable"][-states:])
        own = [place for place in places[inputs : inputs + states] if isinstance(place, int)]
        lasting, values, buffers = store_values(changed, examples, own=own, passing=range(given, len(examples)))
        made["gradient"] = Program(_run_of(compile_fx_inner(changed, lasting)), values, buffers)
        return make_boxed_func(graph.forward)

    examples = [argument.detach().clone().requires_grad_(argument.requires_grad) for argument in arguments]
    with torch.enable_grad():
        plain = step(*examples)
        made["results"] = len(plain)
        made["differentiable"] = differentiable = tuple(result.requires_grad for result in plain)
        traced = aot_function(
            lambda *values: step(*values),
            fw_compiler=forward,
            bw_compiler=gradient,
            partition_fn=min_cut_rematerialization_partition,
            decompositions=select_decomp_table(),
        )
        results = traced(*examples)
        seeds = [torch.linspace(-1, 1, max(1, r.numel()), dtype=r.dtype)[: r.numel()].view(r.shape)
                 if r.requires_grad else None for r in results]  # fmt: skip
        wanted = [example for example in examples if example.requires_grad]
        expected: list[Tensor] = []
        if any(differentiable):
            _grad(results, seeds, wanted)
            expected = _grad(plain, seeds, wanted)
    program = StepProgram(
        made["forward"], made.get("gradient"), differentiable, made.get("places", (None,) * len(arguments))
    )
    return _checked(program, examples, plain, seeds, expected)


def _dense(node: fx.Node, value: Value, example: Tensor) -> Tensor:
    """An argument of the gradient program as forward leaves it: what was written is dense."""
    if isinstance(value, Stored):
        example = node.meta["val"] = example.contiguous()
    return example


def _run_of(compiled: Any) -> Callable[[list[Any]], Any]:
    """What a compiled graph runs, without what its own call looks up before."""
    return getattr(compiled, "current_callable", None) or compiled


def _grad(results: Any, seeds: list[Tensor | None], wanted: list[Tensor]) -> list[Tensor]:
    pairs = [(result, seed) for result, seed in zip(results, seeds, strict=True) if seed is not None]
    return list(
        torch.autograd.grad(
            [result for result, _ in pairs], wanted, [seed for _, seed in pairs], materialize_grads=True
        )
    )


def _checked(
    program: StepProgram,
    examples: list[Tensor],
    plain: list[Tensor],
    seeds: list[Tensor | None],
    expected: list[Tensor],
) -> StepProgram:
    """The program with its calls written down, after its numbers were found to be right."""
    with torch.no_grad():
        given = [example.detach() for example in examples]
        program = program._replace(forward=program.forward.captured(given))
        values = program.forward.alone(given)
        pairs = list(zip(values[: len(plain)], plain, strict=True))
        if program.gradient is not None:
            given = [*values[len(plain) :], *(seed for seed in seeds if seed is not None)]
            program = program._replace(gradient=program.gradient.captured(given))
            assert program.gradient is not None
            found = program.gradient.alone(given)
            wanted = [place for example, place in zip(examples, program.places, strict=True) if example.requires_grad]
            pairs += zip([_found(place, found) for place in wanted], expected, strict=True)
        for value, right in pairs:
            tolerance = 1e-4 if right.dtype is torch.float32 else 1e-9 if right.dtype is torch.float64 else 1e-2
            value = torch.zeros_like(right) if value is None else value
            if not torch.allclose(value, right, rtol=tolerance, atol=tolerance, equal_nan=True):
                raise Uncompilable(
                    "the compiled step computes other numbers (is it a function of its arguments alone?)"
                )
    return program


def _found(place: int | Deferred | None, values: list[Tensor]) -> Any:
    """One argument's gradient, from the gradient program's values at a single step."""
    if place is None or isinstance(place, int):
        return None if place is None else values[place]
    return place.finish([values[operand] for operand in place.operands])


def _inputs(graph: fx.GraphModule) -> list[fx.Node]:
    return [node for node in graph.graph.nodes if node.op == "placeholder"]


def _is_tangent(node: fx.Node) -> bool:
    return node.name.startswith("tangents")


def _defer(graph: fx.GraphModule, first: int) -> tuple[int | Deferred | None, ...]:
    """Let the operands of sums over rows out in place of the sums, for the arguments from `first` on; says where each
    gradient then is."""
    output = next(node for node in graph.graph.nodes if node.op == "output")
    values: list[fx.Node] = []

    def index(node: fx.Node) -> int:
        if node not in values:
            values.append(node)
        return values.index(node)

    places: list[int | Deferred | None] = []
    for argument, node in enumerate(output.args[0]):
        if node is None:
            places.append(None)
            continue
        deferred = _deferred(node, index) if argument >= first else None
        places.append(index(node) if deferred is None else deferred)
    output.args = (tuple(values),)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return tuple(places)


def _deferred(node: fx.Node, index: Callable[[fx.Node], int]) -> Deferred | None:
    aten = torch.ops.aten
    views = (aten.permute.default, aten.view.default, aten.t.default, aten.reshape.default)
    rest: list[tuple[Any, tuple[Any, ...]]] = []
    while node.target in views and isinstance(node.args[0], fx.Node):
        rest.insert(0, (node.target, tuple(node.args[1:])))
        node = node.args[0]
    if node.target is aten.mm.default:
        left, right = node.args
        return Deferred((index(_turned(left)), index(right)), None, tuple(rest))  # type: ignore[arg-type]
    if node.target is aten.sum.dim_IntList and node.args[1] == [0] and isinstance(node.args[0], fx.Node):
        keep = len(node.args) > 2 and bool(node.args[2])
        return Deferred((index(node.args[0]),), keep, tuple(rest))
    return None


def _turned(node: fx.Node) -> fx.Node:
    """A matrix transposed: what it is a transpose of, or a view."""
    aten = torch.ops.aten
    if node.target is aten.t.default or (node.target is aten.permute.default and list(node.args[1]) == [1, 0]):  # type: ignore[arg-type]
        return node.args[0]  # type: ignore[return-value]
    later = (
        next(other for other in node.graph.nodes if other.op != "placeholder")
        if node.op == "placeholder"
        else node.next
    )
    with node.graph.inserting_before(later):
        turned = node.graph.call_function(aten.permute.default, (node, [1, 0]))
    with node.meta["val"].fake_mode:
        turned.meta["val"] = node.meta["val"].permute(1, 0)
    return turned
