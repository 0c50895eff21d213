"""What the training loop costs beside the model's arithmetic: recurra's short loop, Lightning Fabric, Lightning's
Trainer.

    python benchmarks/loop_overhead.py            # prints a table; random images, no data needed
    python benchmarks/loop_overhead.py --profile  # where the short loop's time goes

For each recipe the same steps are run four ways, interleaved in short blocks so that other programs disturb all
alike, and measured in CPU time: `arithmetic` is forward, backward and optimiser on a batch that lies ready.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.data.batching import Examples
from recurra.training.config import build
from recurra.training.loop import Loop, make_optimizer
from recurra.training.registry import get
from recurra.training.runfolder import RunFolder
from recurra.training.task import Share, Task

CASES = {
    "mnist lstm 3 x 100": ("mnist", {"cell": "lstm"}, (28, 28)),
    "mnist gru 3 x 100": ("mnist", {"cell": "gru"}, (28, 28)),
    "digits lstm 2 x 96": ("digits", {}, (8, 8)),
}
BATCHES = 30


def make_task(recipe: str, options: dict[str, Any], shape: tuple[int, int]) -> Task[Any]:
    """The recipe's task on random images; nothing but training steps happens in it."""
    quiet = {"progress": False, "report": False, "eval_every": 10**9, "epochs": 1, "log_every": 50}
    task: Any = get(recipe).task_class()(build(get(recipe).config_class(), options | quiet))
    count = BATCHES * task.config.batch_size
    generator = np.random.default_rng(0)
    images = generator.random((count, *shape), dtype=np.float32)
    task.parts = dict.fromkeys(("train", "valid", "test"), Examples(images, generator.integers(0, 10, count)))
    task.classes, task.features, task.shape, task.quick_rows = [str(i) for i in range(10)], shape[1], shape, None
    return task


def arithmetic(task: Task[Any], model: nn.Module) -> Callable[[], None]:
    """Forward, backward, update on one prepared batch."""
    optimizer, batch = make_optimizer(task, model), task.epoch(0)[0]

    def run() -> None:
        for _ in range(BATCHES):
            optimizer.zero_grad(set_to_none=True)
            result = task.loss(model, batch, None, Share())
            (result.total / result.count).backward()
            optimizer.step()

    return run


def short_loop(task: Task[Any], model: nn.Module) -> Callable[[], None]:
    """`recurra.training.loop`, logging included, checkpoints and validation not."""
    loop = Loop(task, model, RunFolder(Path(tempfile.mkdtemp()), quiet=True), "bench", Share())
    loop._validate = lambda: None  # type: ignore[method-assign]
    loop.save = lambda: None  # type: ignore[method-assign]
    loop.total_steps = 10**9

    def run() -> None:
        loop.progress.epoch = loop.progress.position = 0
        loop.run()

    return run


def fabric_loop(task: Task[Any], model: nn.Module) -> Callable[[], None]:
    """The shortest loop over Lightning Fabric."""
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    wrapped, optimizer = fabric.setup(model, make_optimizer(task, model))

    def run() -> None:
        for batch in task.epoch(0):
            optimizer.zero_grad(set_to_none=True)
            result = task.loss(wrapped, batch, None, Share())
            fabric.backward(result.total / result.count)
            optimizer.step()

    return run


def trainer_loop(task: Task[Any], model: nn.Module) -> Callable[[], None]:
    """Lightning's Trainer without checkpoints, logger, bar and summary; its set-up counts (a Trainer is set up per
    fit)."""
    import lightning.pytorch as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            result = task.loss(self.inner, batch, None, Share())
            return result.total / result.count

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make_optimizer(task, self.inner)

    class Batches(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
        def __iter__(self) -> Iterator[Any]:
            return iter(task.epoch(0))

    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    module, loader = Module(), torch.utils.data.DataLoader(Batches(), batch_size=None)

    def run() -> None:
        pl.Trainer(max_epochs=1, accelerator="cpu", devices=1, **off).fit(module, loader)  # type: ignore[arg-type]

    return run


def measure(recipe: str, options: dict[str, Any], shape: tuple[int, int], rounds: int) -> dict[str, float]:
    """Milliseconds of CPU time per step, for each way (the least of `rounds` blocks)."""
    task = make_task(recipe, options, shape)
    ways = {}
    for make in (arithmetic, short_loop, fabric_loop, trainer_loop):
        torch.manual_seed(0)
        ways[make.__name__] = make(task, task.build_model())
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.process_time()
            run()
            best[name] = min(best[name], 1000 * (time.process_time() - started) / BATCHES)
    return best


def profile(recipe: str, options: dict[str, Any], shape: tuple[int, int], rounds: int) -> dict[str, float]:
    """Milliseconds of wall time per step that the short loop spends in each of its parts (the least of the rounds)."""
    task = make_task(recipe, options, shape)
    torch.manual_seed(0)
    spent: dict[str, float] = {}

    def timed(owner: Any, name: str, part: str) -> None:
        function = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **named)
            spent[part] = spent.get(part, 0.0) + time.perf_counter() - started
            return result

        setattr(owner, name, call)

    timed(task.parts["train"], "batch", "make the batch")
    timed(task, "loss", "forward")
    backward, step = torch.Tensor.backward, torch.optim.Adam.step
    timed(torch.Tensor, "backward", "backward")
    timed(torch.optim.Adam, "step", "update")
    try:
        run = short_loop(task, task.build_model())
        best: dict[str, float] = {}
        for _ in range(rounds + 1):
            spent.clear()
            started = time.perf_counter()
            run()
            spent["all"] = time.perf_counter() - started
            if not best or spent["all"] < best["all"]:
                best = dict(spent)
    finally:
        torch.Tensor.backward, torch.optim.Adam.step = backward, step  # type: ignore[method-assign]
    best["the rest of the loop"] = best["all"] - sum(value for part, value in best.items() if part != "all")
    return {part: 1000 * value / BATCHES for part, value in best.items()}


def print_profile(rounds: int) -> None:
    """A line per recipe and part."""
    for name, (recipe, options, shape) in CASES.items():
        parts = profile(recipe, options, shape, rounds)
        whole = parts.pop("all")
        shown = ", ".join(f"{part} {value:.2f} ({100 * value / whole:.1f} %)" for part, value in parts.items())
        print(f"{name}: {whole:.2f} ms per step: {shown}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--profile", action="store_true", help="where the short loop's time goes, in place of the table"
    )
    arguments = parser.parse_args()
    rounds = arguments.rounds
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if arguments.profile:
        print_profile(rounds)
        return
    print(
        f"{'recipe':22s} {'arithmetic':>11s} {'short loop':>18s} {'Fabric':>18s} {'Trainer':>18s}   (ms CPU per step)"
    )
    for name, (recipe, options, shape) in CASES.items():
        cost = measure(recipe, options, shape, rounds)
        base = cost.pop("arithmetic")
        cells = "".join(f"{value:9.2f} ({100 * (value - base) / base:+5.1f} %)" for value in cost.values())
        print(f"{name:22s} {base:11.2f} {cells}", flush=True)


if __name__ == "__main__":
    main()
