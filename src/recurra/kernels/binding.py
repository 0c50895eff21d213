"""The compiled calls (csrc/python), where this installation has them: the kernels without Python's frames and ctypes.

`extension` is None where recurra was built without Python's headers, where this torch has no exchange table of DLPack
(before 2.10), or where `RECURRA_BINDING=off` asks for that; everything then goes through ctypes, to the same numbers.
A path in `RECURRA_BINDING` names another build of it.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from typing import Any

import torch
from torch.nn.modules import module as module_hooks

from recurra.kernels import decisions, dispatch
from recurra.kernels.native import ABI, library, small

REVISION = 1
"""Of the module; one of another belongs to another version of recurra (build it anew: make build)."""


def _module() -> Any:
    """The module of this installation, or the one whose path `RECURRA_BINDING` names; None where there is none."""
    where = os.environ.get("RECURRA_BINDING", "on")
    if where == "off":
        return None
    if where == "on":
        try:
            return importlib.import_module("recurra.kernels._binding")
        except ImportError:
            return None
    spec = importlib.util.spec_from_file_location("recurra.kernels._binding", where)
    if spec is None or spec.loader is None:
        raise ImportError(f"RECURRA_BINDING is {where!r}, expected 'on', 'off' or the path of the extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _load() -> Any:
    _binding = None if library.core is None else _module()
    if _binding is None:
        return None
    exchange = getattr(torch.Tensor, "__dlpack_c_exchange_api__", None)
    if exchange is None or (_binding.ABI, getattr(_binding, "REVISION", 0)) != (ABI, REVISION):
        return None
    known: dict[str, Any] = {
        "exchange": exchange,
        "tensor": torch.Tensor,
        "is_neg": torch.Tensor.is_neg,
        "empty_like": torch.empty_like,
        "empty": torch.empty,
        "small": small,
        "large": library.empty,
        "grad_enabled": torch.is_grad_enabled,
        "num_threads": torch.get_num_threads,
        "interpreter": torch._C._functorch.peek_interpreter_stack,
        "dispatch_modes": torch._C._len_torch_dispatch_stack,
        "tracing": torch._C._get_tracing_state,
        "forward_ad": vars(torch.autograd.forward_ad),
        "hooks": module_hooks._global_forward_hooks,
        "pre_hooks": module_hooks._global_forward_pre_hooks,
        "plain_only": dispatch._plain_only.get,
        "recorders": decisions._recorders,
        "check": library.check,
    }
    for name in ("recurra_step", "recurra_layers", "recurra_forward", "recurra_backward", "recurra_release"):
        known[name] = ctypes.cast(getattr(library.core, name), ctypes.c_void_p).value
    if not _binding.attach(known):
        return None
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_binding.set_serial)
    return _binding


extension = _load()
