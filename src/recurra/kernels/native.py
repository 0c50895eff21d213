"""The compiled library behind ctypes: loading it, its one argument, its errors.

The library is a plain C ABI (csrc/core/call.h), so that one wheel serves every Python. torch is imported first: its
OpenMP runtime is then the one that the library uses, and the process keeps one team of threads.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
import weakref
from array import array
from collections.abc import Callable
from ctypes import c_double, c_int, c_int64, c_uint32, c_uint64, c_void_p
from pathlib import Path

import torch

from recurra.errors import InputError

logger = logging.getLogger("recurra.kernels")

ABI = 14
GATES = 5
"""Of an LSTM, with its projection."""
NORMS = 5
POOLED = 1 << 18
"""Bytes of a tensor from which on it comes out of the library's pool."""
FILE = "librecurra_core.so"


_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes, _view.restype = [c_void_p, ctypes.c_ssize_t, c_int], ctypes.py_object
_WRITABLE = 0x200


def small(*shape: int) -> torch.Tensor:
    """An uninitialised float32 tensor on the CPU, whatever torch's defaults are.

    A default device is a mode of functions; where none is on, to name the device would cost as much as the tensor.
    """
    if torch._C._len_torch_function_stack():
        return torch.empty(*shape, dtype=torch.float32, device="cpu")
    return torch.empty(*shape, dtype=torch.float32)


def draw_limit(probability: float) -> int:
    """What random words of 32 bits are below with this probability."""
    return min(int(probability * 2**32), 2**32 - 1)


class Rows(ctypes.Structure):
    """Rows of a sequence or a state: base + t * t_stride + b * b_stride, strides in elements."""

    _fields_ = [("base", c_void_p), ("t_stride", c_int64), ("b_stride", c_int64)]


class Gate(ctypes.Structure):
    """One gate's weights; element (row, unit) at base + row * x_row + unit * x_unit."""

    _fields_ = [
        ("x", c_void_p),
        ("x_row", c_int64),
        ("x_unit", c_int64),
        ("h", c_void_p),
        ("h_row", c_int64),
        ("h_unit", c_int64),
        ("x_bias", c_void_p),
        ("h_bias", c_void_p),
    ]


class Mix(ctypes.Structure):
    """fresh * new + old * before, of a part of the state or of the output; see call.h for what null means."""

    _fields_ = [("fresh", Rows), ("old", Rows)]


class Norm(ctypes.Structure):
    """Gain and shift of a layer normalisation."""

    _fields_ = [("gain", c_void_p), ("shift", c_void_p)]


class Call(ctypes.Structure):
    """`recurra_call` of csrc/core/call.h, field by field."""

    _fields_ = [
        ("family", c_int64),
        ("is_double", c_int64),
        ("threads", c_int64),
        ("reverse", c_int64),
        ("activation", c_int64),
        ("projected", c_int64),
        ("output_is_state", c_int64),
        ("T", c_int64),
        ("B", c_int64),
        ("I", c_int64),
        ("H", c_int64),
        ("R", c_int64),
        ("lengths", c_void_p),
        ("batch_sizes", c_void_p),
        ("forget_bias", c_double),
        ("cell_clip", c_double),
        ("projection_clip", c_double),
        ("norm_epsilon", c_double),
        ("x", Rows),
        ("out", Rows),
        ("initial", Rows * 2),
        ("final", Rows * 2),
        ("gate", Gate * GATES),
        ("peephole", c_void_p * 3),
        ("norm", Norm * NORMS),
        ("mask", Rows),
        ("mix", Mix * 3),
        ("resets", Rows),
        ("restart", Rows * 2),
        ("states", Rows * 2),
        ("reserve", c_void_p),
        ("d_out", Rows),
        ("d_final", Rows * 2),
        ("d_states", Rows * 2),
        ("d_x", Rows),
        ("d_initial", Rows * 2),
        ("d_restart", Rows * 2),
        ("d_gate", Gate * GATES),
        ("d_peephole", c_void_p * 3),
        ("d_norm", Norm * NORMS),
        ("packed", c_void_p),
    ]


_RESERVE = Call.reserve.offset // 8


class ScanCall(ctypes.Structure):
    """`recurra_scan_call` of csrc/core/scan.h, field by field."""

    _fields_ = [
        ("is_double", c_int64),
        ("is_complex", c_int64),
        ("threads", c_int64),
        ("reverse", c_int64),
        ("T", c_int64),
        ("B", c_int64),
        ("N", c_int64),
        ("a", Rows),
        ("b", Rows),
        ("initial", Rows),
        ("out", Rows),
        ("d_out", Rows),
        ("d_b", Rows),
        ("d_initial", Rows),
        ("d_a", Rows),
    ]


class XLSTMCall(ctypes.Structure):
    """`recurra_xlstm_call` of csrc/core/xlstm.h, field by field."""

    _fields_ = [
        ("is_double", c_int64),
        ("threads", c_int64),
        ("reverse", c_int64),
        ("exponential", c_int64),
        ("T", c_int64),
        ("B", c_int64),
        ("N", c_int64),
        ("D", c_int64),
        ("lengths", c_void_p),
        ("recurrent", c_void_p),
        ("x", Rows),
        ("out", Rows),
        ("initial", c_void_p * 4),
        ("final", c_void_p * 4),
        ("reserve", c_void_p),
        ("d_out", Rows),
        ("d_final", c_void_p * 4),
        ("d_x", Rows),
        ("d_initial", c_void_p * 4),
    ]


class Library:
    """The loaded library, or the reason why there is none."""

    _forward: Callable[[int, int], int]
    _backward: Callable[[int], int]
    release: Callable[[int], None]
    """Give a block back to the library's pool."""
    chain_log_norm: Callable[[int, int], int]
    chain_gradient: Callable[[int], int]
    chain_viterbi: Callable[[int], int]

    def __init__(self) -> None:
        self.core: ctypes.CDLL | None = None
        self.missing: str | None = None
        self.serial = False
        if os.environ.get("RECURRA_KERNELS", "on") == "off":
            self.missing = "the compiled kernels are switched off (RECURRA_KERNELS=off)"
            return
        path = Path(os.environ.get("RECURRA_CORE", Path(__file__).with_name(FILE)))
        if not path.exists():
            self.missing = "this installation has no compiled kernels (no C++ compiler was found when it was installed)"
            return
        core = ctypes.CDLL(str(path))
        if core.recurra_abi() != ABI or not _same_sizes(core):
            self.missing = "the compiled kernels are of another version of recurra (build them anew: make build)"
            logger.warning("%s: %s; everything runs in plain torch", path, self.missing)
            return
        core.recurra_isa.restype = ctypes.c_char_p
        core.recurra_pool_kept.restype = c_int64
        core.recurra_peak.restype = c_double
        core.recurra_reserve_row.argtypes = [c_void_p]
        core.recurra_reserve_row.restype = c_int64
        core.recurra_take.argtypes = [c_int64]
        core.recurra_take.restype = c_void_p
        core.recurra_release.argtypes = [c_void_p]
        core.recurra_freeze.argtypes = [c_void_p]
        core.recurra_freeze.restype = c_void_p
        core.recurra_thaw.argtypes = [c_void_p]
        core.recurra_forward.argtypes = [c_void_p, c_int]
        core.recurra_step.argtypes = [c_void_p]
        core.recurra_layers.argtypes = [c_void_p, c_int]
        core.recurra_backward.argtypes = [c_void_p]
        core.recurra_both_forward.argtypes = [c_void_p, c_void_p, c_int]
        core.recurra_both_backward.argtypes = [c_void_p, c_void_p]
        for name in ("log_norm", "gradient", "viterbi"):
            function = getattr(core, f"recurra_chain_{name}")
            function.argtypes = [c_void_p, c_int] if name == "log_norm" else [c_void_p]
            setattr(self, f"chain_{name}", function)
        core.recurra_scan.argtypes = [c_void_p, c_int]
        core.recurra_scan.restype = None
        core.recurra_xlstm.argtypes = [c_void_p, c_int, c_int]
        core.recurra_xlstm_reserve.argtypes = [c_void_p, c_int]
        core.recurra_xlstm_reserve.restype = c_int64
        core.recurra_replay.argtypes = [c_void_p]
        core.recurra_product.argtypes = [c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_int64]
        core.recurra_draw.argtypes = [c_void_p, *[c_int64] * 4, c_uint32, c_double, c_uint64, c_int]
        self.core = core
        self._forward, self._step, self._layers = core.recurra_forward, core.recurra_step, core.recurra_layers
        self._backward, self.release = core.recurra_backward, core.recurra_release
        if hasattr(os, "register_at_fork"):
            # An OpenMP team does not survive a fork: children compute on the thread they have.
            os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.serial = True

    def threads(self) -> int:
        """Into how many pieces a call's work is cut."""
        return 1 if self.serial else torch.get_num_threads()

    def isa(self) -> str:
        """The instruction set in use: avx512, avx2 or portable."""
        assert self.core is not None
        return self.core.recurra_isa().decode()

    def halves(self) -> bool:
        """Whether this build and machine have products of bfloat16 pairs."""
        return self.core is not None and bool(self.core.recurra_halves())

    def use_isa(self, name: str) -> bool:
        """Switch to another instruction set; False where this machine has it not. For tests."""
        assert self.core is not None
        return self.core.recurra_use_isa(name.encode()) == 0

    def forward(self, words: array[int], training: bool) -> Reserve | None:
        """Run a sequence, its `Call` given as words; with `training`, returns what backward needs."""
        status = self._forward(words.buffer_info()[0], training)
        if status:
            self.check(status)
        return Reserve(self.release, words[_RESERVE]) if training else None

    def both_forward(self, first: array[int], second: array[int], training: bool) -> list[Reserve]:
        """Run two sequences at once; with `training`, returns what their backward needs."""
        assert self.core is not None
        self.check(self.core.recurra_both_forward(first.buffer_info()[0], second.buffer_info()[0], training))
        return [Reserve(self.release, words[_RESERVE]) for words in (first, second)] if training else []

    def both_backward(self, first: array[int], second: array[int]) -> None:
        """Run the gradients of two sequences at once."""
        assert self.core is not None
        self.check(self.core.recurra_both_backward(first.buffer_info()[0], second.buffer_info()[0]))

    def step(self, words: array[int]) -> None:
        """Run a sequence without gradients."""
        status = self._step(words.buffer_info()[0])
        if status:
            self.check(status)

    def layers(self, words: array[int], count: int) -> None:
        """Run layers forward without gradients, their `Call`s one behind the other, each on what the last gave out."""
        status = self._layers(words.buffer_info()[0], count)
        if status:
            self.check(status)

    def peak(self, threads: int) -> float:
        """GFLOP/s of multiply-adds in registers on this machine, measured."""
        assert self.core is not None
        return self.core.recurra_peak(threads)

    def draw(self, shape: tuple[int, ...], probability: float, value: float, seed: int) -> torch.Tensor:
        """A float32 tensor `[T, B, ...]` of `value` at random places and zeros elsewhere.

        Rows of a large one begin on cache lines: two threads, each with rows of its own, share none then.
        """
        assert self.core is not None
        steps, batch, *features = shape
        width = math.prod(features)
        stride = -(-width // 16) * 16 if features and 4 * math.prod(shape) >= POOLED else width
        mask = self.empty(steps, batch, stride)
        self.core.recurra_draw(
            mask.data_ptr(), steps * batch, width, stride, batch, draw_limit(probability), value, seed, self.threads()
        )
        return mask[..., :width].unflatten(2, features) if stride > width else mask.view(shape)

    def forward_into(self, words: array[int]) -> None:
        """Run a sequence, leaving what backward needs in the call's `reserve`, the caller's memory."""
        self.check(self._forward(words.buffer_info()[0], 2))

    def reserve_row(self, call: Call) -> int:
        """Elements that backward needs of each (step, row) pair; of `call` only sizes and options are read."""
        assert self.core is not None
        return self.core.recurra_reserve_row(ctypes.addressof(call))

    def empty(self, *shape: int) -> torch.Tensor:
        """An uninitialised float32 tensor; a large one lies in the library's pool, whose pages are there already.

        Fresh memory costs a page fault every 4 KiB, and the system's allocator gives large pieces back at once.
        """
        bytes = 4 * math.prod(shape)
        if self.core is None or bytes < POOLED:
            return small(*shape)
        pointer = self.core.recurra_take(bytes)
        if not pointer:
            raise MemoryError(f"no memory for a tensor of shape {list(shape)}")
        view = _view(pointer, bytes, _WRITABLE)
        weakref.finalize(view, self.core.recurra_release, pointer).atexit = False
        return torch.frombuffer(view, dtype=torch.float32).view(shape)

    def freeze(self, words: array[int]) -> Packed:
        """The weights of a forward call, packed for `Call.packed` of others like it."""
        assert self.core is not None
        pointer = self.core.recurra_freeze(words.buffer_info()[0])
        if not pointer:
            raise MemoryError("no memory for the packed weights of a recurrent kernel")
        return Packed(self.core, pointer)

    def backward(self, words: array[int]) -> None:
        """Run the gradients of a sequence."""
        status = self._backward(words.buffer_info()[0])
        if status:
            self.check(status)

    def scan(self, call: ScanCall, *, backward: bool) -> None:
        """Run a linear scan, or its gradients."""
        assert self.core is not None
        self.core.recurra_scan(ctypes.addressof(call), backward)

    def xlstm(self, call: XLSTMCall, *, matrix: bool, backward: bool) -> None:
        """Run a sequence of an sLSTM, or with `matrix` of an mLSTM, or its gradients."""
        assert self.core is not None
        self.check(self.core.recurra_xlstm(ctypes.addressof(call), matrix, backward))

    def xlstm_reserve(self, call: XLSTMCall, *, matrix: bool) -> int:
        """Elements that backward needs of a forward call."""
        assert self.core is not None
        return self.core.recurra_xlstm_reserve(ctypes.addressof(call), matrix)

    @staticmethod
    def check(status: int) -> None:
        """Raise for a status that is not 0."""
        if status == -3:
            raise InputError("`lengths` must lie in 0..T")
        if status == -4:
            raise InputError("`batch_sizes` must begin with the number of rows, and never grow or fall to 0")
        if status == -2:
            raise MemoryError("no memory for the workspace of a recurrent kernel")
        if status:
            raise RuntimeError(f"the recurrent kernels do not know this call (status {status})")


class Reserve:
    """A block of the library's pool, as a forward call keeps for its backward; goes back with the last reference."""

    __slots__ = ("_release", "pointer")

    def __init__(self, release: Callable[[int], None], pointer: int) -> None:
        self.pointer = pointer
        self._release = release

    def __del__(self) -> None:
        self._release(self.pointer)


def _same_sizes(core: ctypes.CDLL) -> bool:
    """Whether both sides lay the arguments out alike."""
    calls = {"recurra_call_bytes": Call, "recurra_scan_call_bytes": ScanCall, "recurra_xlstm_call_bytes": XLSTMCall}
    return all(getattr(core, name)() == ctypes.sizeof(call) for name, call in calls.items())


class Packed:
    """Packed weights; their memory goes back to the library's pool with the last reference."""

    __slots__ = ("_thaw", "pointer")

    def __init__(self, core: ctypes.CDLL, pointer: int) -> None:
        self.pointer = pointer
        self._thaw = core.recurra_thaw

    def __del__(self) -> None:
        self._thaw(self.pointer)


library = Library()
