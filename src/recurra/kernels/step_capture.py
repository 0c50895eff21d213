"""What a compiled step calls, written down: its functions and products, and where their operands lie.

Inductor turns a graph into a short Python function, straight from top to bottom, that takes memory, calls compiled
functions of pointers, and multiplies matrices. It is run once with recorders in the place of what it calls. Anything
else in it (a branch, an operator of torch's, a number computed on the way), and it cannot be written down.
"""

from __future__ import annotations

import ctypes
import dis
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.kernels.native import library
from recurra.kernels.replay import NOWHERE, Function, Place, Product, Replay, sizes_of

HARMLESS = ("reinterpret_tensor", "assert_size_stride", "assert_alignment", "torch")
PRODUCTS = ("mm", "addmm")


class Unknown(Exception):
    """Why a program cannot be written down."""


def capture(run: Callable[[list[Any]], Any], arguments: Sequence[Tensor]) -> Replay | None:
    """The calls of `run(list of arguments)`, which runs on copies of them; None if they cannot be written down."""
    if library.core is None:
        return None
    try:
        return _capture(run, arguments)
    except Unknown:
        return None


def _capture(run: Any, arguments: Sequence[Tensor]) -> Replay:
    function = getattr(run, "__func__", run)
    code = getattr(function, "__code__", None)
    if code is None or not _is_straight(code):
        raise Unknown("no plain function")
    recorder = _Recorder([_copied(argument) for argument in arguments])
    names = {name: recorder.stand_in(name, function.__globals__.get(name)) for name in _globals(code)}
    copied = types.FunctionType(code, names)
    given = list(recorder.memory)
    copied(*([run.__self__] if function is not run else []), given)
    return Replay(recorder.calls, len(arguments), recorder.scratch, recorder.keep)


def _is_straight(code: types.CodeType) -> bool:
    jumps = {*dis.hasjrel, *dis.hasjabs}
    return not code.co_freevars and not any(
        instruction.opcode in jumps or (_reads_attribute(instruction) and instruction.argval not in _ATTRIBUTES)
        for instruction in dis.get_instructions(code)
    )


_ATTRIBUTES = {
    "clear",
    *PRODUCTS,
    "float32",
    "float64",
    "bfloat16",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
}


def _reads_attribute(instruction: dis.Instruction) -> bool:
    return instruction.opname in ("LOAD_ATTR", "LOAD_METHOD")


def _globals(code: types.CodeType) -> set[str]:
    return {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}


def _bytes(tensor: Tensor) -> int:
    """That a tensor spans."""
    if tensor.numel() == 0:
        return 0
    return tensor.element_size() * (1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True)))


def _copied(tensor: Tensor) -> Tensor:
    """In memory of its own, laid out alike."""
    if tensor.numel() == 0:
        raise Unknown("an empty tensor")
    size = (_bytes(tensor) // tensor.element_size(),)
    memory = tensor.detach().as_strided(size, (1,)).clone()
    return memory.as_strided(tensor.shape, tensor.stride(), 0)


class _Recorder:
    """Stands in for what a program calls, does the same, and writes it down."""

    def __init__(self, memory: list[Tensor]) -> None:
        self.memory = memory
        self.scratch: list[int] = []
        self.calls: list[Function | Product] = []
        self.keep: list[Any] = []
        self.mm, self.addmm = self._mm, self._addmm

    def stand_in(self, name: str, value: Any) -> Any:
        """For a global of the program."""
        if name == "empty_strided_cpu":
            return self._empty
        if name == "extern_kernels":
            return self
        if name in HARMLESS:
            return value
        module = getattr(value, "__self__", None)
        if isinstance(value, types.BuiltinFunctionType) and isinstance(module, types.ModuleType):
            path = getattr(module, "__file__", None)
            if path is not None:
                return self._function(value, ctypes.CDLL(path))
        raise Unknown(f"{name} is called")

    def place(self, tensor: Tensor) -> Place:
        at = tensor.data_ptr()
        for slot, memory in enumerate(self.memory):
            offset = at - memory.data_ptr()
            if offset >= 0 and offset + _bytes(tensor) <= _bytes(memory):
                return Place(slot, offset)
        raise Unknown("memory that is no argument")

    def _empty(self, shape: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> Tensor:
        tensor = torch.empty_strided(shape, stride, dtype=dtype, device="cpu")
        if tensor.numel() == 0:
            raise Unknown("an empty tensor")
        self.memory.append(tensor)
        self.scratch.append(_bytes(tensor))
        return tensor

    def _function(self, call: Any, core: ctypes.CDLL) -> Callable[..., None]:
        address = ctypes.cast(getattr(core, call.__name__), ctypes.c_void_p).value
        assert address is not None and library.core is not None
        most = library.core.recurra_most_arguments()
        self.keep.append(call)

        def recorded(*arguments: Any) -> None:
            if len(arguments) > most or not all(isinstance(argument, Tensor) for argument in arguments):
                raise Unknown("a function of other things than pointers")
            self.calls.append(Function(address, tuple(map(self.place, arguments))))
            call(*arguments)

        return recorded

    def _mm(self, a: Tensor, b: Tensor, *, out: Tensor) -> None:
        self._product(a, b, out, None)
        torch.mm(a, b, out=out)

    def _addmm(self, start: Tensor, a: Tensor, b: Tensor, *, alpha: float, beta: float, out: Tensor) -> None:
        if alpha != 1 or beta != 1:
            raise Unknown("a product that is scaled")
        self._product(a, b, out, start.expand(out.shape))
        torch.addmm(start, a, b, out=out)

    def _product(self, a: Tensor, b: Tensor, out: Tensor, start: Tensor | None) -> None:
        sizes = sizes_of(a, b, out, start)
        if sizes is None:
            raise Unknown("a product that the library does not have")
        begin = NOWHERE if start is None else self.place(start)
        self.calls.append(Product(sizes, (self.place(a), self.place(b), self.place(out), begin)))
