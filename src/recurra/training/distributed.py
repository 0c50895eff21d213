"""Several processes, one gradient: each computes its share of every global batch, and the shares' gradients are
added up.

The loss is a sum divided by the global count, so the sum of the shares' gradients is the gradient of one process
with the whole batch, however unevenly rows or tokens fall. Started by `--devices N` (this module forks nothing:
fresh processes) or by torchrun.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from recurra.training.task import Share


def under_torchrun() -> bool:
    """Whether torchrun (or another launcher that sets its variables) started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


def start(device: str) -> Share:
    """Join the process group if there is one to join."""
    if not under_torchrun():
        return Share()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Share(dist.get_rank(), dist.get_world_size())


def stop() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def sum_gradients(model: nn.Module) -> None:
    """Add up all processes' gradients in one message; a parameter that this share did not touch counts as zero."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.reshape(-1) for p in parameters])  # type: ignore[union-attr]
    dist.all_reduce(flat)
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        p.grad.copy_(part.view_as(p))  # type: ignore[union-attr]


def sum_scalar(value: float, share: Share) -> float:
    """The sum of `value` over all processes."""
    if share.world == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(tensor)
    return float(tensor)


def agree(value: bool, share: Share) -> bool:
    """Whether any process says yes (a signal reaches them at different steps)."""
    return sum_scalar(float(value), share) > 0


def from_first(value: Any, share: Share) -> Any:
    """Rank 0's `value`, everywhere."""
    if share.world == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather(value: Any, share: Share) -> list[Any]:
    """All processes' values, on rank 0; elsewhere a list of None."""
    if share.world == 1:
        return [value]
    box: list[Any] = [None] * share.world
    dist.gather_object(value, box if share.rank == 0 else None)
    return box


def launch(worker: Callable[..., None], devices: int, *arguments: Any) -> None:
    """Run `worker(rank, *arguments)` in `devices` fresh processes on this machine and wait for them.

    Raises:
        RuntimeError: of torch.multiprocessing, with the worker's error.
    """
    import torch.multiprocessing as mp

    mp.spawn(_worker, (worker, devices, _free_port(), arguments), nprocs=devices, join=True)


def _worker(rank: int, worker: Callable[..., None], devices: int, port: int, arguments: tuple[Any, ...]) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(devices), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    worker(rank, *arguments)
    # gloo's threads may still be running when the interpreter takes itself apart, which then aborts a finished process
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
