"""A run that is killed goes on to the same numbers as one that is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from recurra.training import checkpoint, runs
from recurra.training.config import build
from recurra.training.loop import Loop, step_seed
from recurra.training.registry import get
from recurra.training.runfolder import RunFolder
from recurra.training.task import Share

NUMBERS = ("step", "epoch", "part", "loss", "metric", "value", "learning_rate")  # seconds differ from run to run
RUN = {
    # dropout, a position inside an epoch, and a decaying rate
    "digits": dict(
        epochs=4, hidden=24, batch_size=64, log_every=3, save_every=5, eval_every=11, report=False, progress=False
    ),
    # a state carried from batch to batch
    "lm": dict(
        steps=60,
        hidden=16,
        bptt=8,
        batch_size=4,
        log_every=5,
        save_every=7,
        eval_every=20,
        report=False,
        progress=False,
    ),
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(f"{i % 17} times {i % 13} are {(i % 17) * (i % 13)}\n" for i in range(400)))
    return str(path)


def options(recipe: str, out: Path) -> dict[str, object]:
    return {**RUN[recipe], "out": out, "threads": 1}


def command(recipe: str, out: Path, text: str) -> list[str]:
    words = [sys.executable, "-m", "recurra.cli.main", "train", recipe, *([text] if recipe == "lm" else [])]
    for name, value in options(recipe, out).items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", str(value)]
    return words


def outcome(path: Path) -> tuple[list[tuple[str, ...]], dict[str, torch.Tensor], dict[str, float]]:
    folder = RunFolder.open(path)
    rows = [tuple(row[name] for name in NUMBERS) for row in folder.metrics()]
    return rows, checkpoint.load(path / "last.pt")["model"], runs.read_result(folder).test


def same(a: Path, b: Path) -> None:
    (rows, weights, test), (rows_b, weights_b, test_b) = outcome(a), outcome(b)
    assert rows == rows_b
    assert test == test_b
    for name, value in weights.items():
        assert torch.equal(value, weights_b[name]), name


@pytest.fixture(scope="module", params=list(RUN))
def unbroken(request, tmp_path_factory, text):
    recipe = request.param
    path = tmp_path_factory.mktemp("unbroken") / recipe
    threads = torch.get_num_threads()
    config = build(get(recipe).config_class(), options(recipe, path))
    runs.train(recipe, config, text if recipe == "lm" else None)
    torch.set_num_threads(threads)
    return recipe, path


# Runs the command line and kills itself, as a kill from outside would, at the n-th step or in the n-th write of a file
# (its content is written and not yet moved into place); both count from the start of the process.
DEADLY = """
import os, signal, sys
from recurra.cli.main import main
from recurra import _files as files
from recurra.training import loop

moment, left = sys.argv[1], int(sys.argv[2])

def deadly(function):
    def call(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return call

if moment == "step":
    loop.Loop._after_step = deadly(loop.Loop._after_step)
else:
    files.os.fsync = deadly(files.os.fsync)
main(sys.argv[3:])
"""


def test_sigkill_at_any_moment(unbroken, tmp_path, text):
    recipe, path = unbroken
    out = tmp_path / "killed"
    arguments = command(recipe, out, text)[3:]
    # config, environment and artifacts are the first three writes; so the fifth and sixth lie between checkpoints
    for moment, count in (("step", 13), ("write", 6)):
        done = subprocess.run([sys.executable, "-c", DEADLY, moment, str(count), *arguments], capture_output=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        arguments = ["train", "--resume", str(out)]
    done = subprocess.run([sys.executable, "-m", "recurra.cli.main", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    same(path, out)


def wait_for_rows(out: Path, wanted: int, process: subprocess.Popen) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        if (out / "metrics.csv").exists() and (out / "metrics.csv").read_bytes().count(b"\n") > wanted:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {wanted} rows: {process.communicate()}")


def test_ctrl_c_saves_says_so_and_ends_with_130(tmp_path, text):
    out = tmp_path / "stopped"
    arguments = command("lm", out, text)
    arguments[arguments.index("--steps") + 1] = "100000"
    arguments += ["--epochs", "10000"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_rows(out, 3, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "interrupted at step" in errors and f"recurra train --resume {out}" in errors and "Traceback" not in errors
    step = checkpoint.load(out / "last.pt")["progress"]["step"]
    assert f"interrupted at step {step};" in errors


def test_a_full_disk_is_one_line_and_leaves_whole_files(tmp_path, text):
    """A limit on the size of files stands for the full disk: the system refuses the write in the same place."""
    out = tmp_path / "full"
    assert subprocess.run(command("lm", out, text), capture_output=True).returncode == 0
    before = {name: (out / name).read_bytes() for name in ("last.pt", "best.pt")}
    (out / "result.json").unlink()
    config = (out / "config.yaml").read_text().replace("steps: 60", "steps: 90").replace("epochs: 20", "epochs: 99")
    (out / "config.yaml").write_text(config)
    script = (
        "import resource, sys; from recurra.cli.main import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before['last.pt']) // 2}, resource.RLIM_INFINITY))\n"
        f"main(['train', '--resume', {str(out)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "files written before are whole" in done.stderr
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert {name: (out / name).read_bytes() for name in before} == before
    assert not list(out.glob(".*.tmp")), "no half-written file is left"


def test_a_finished_run_is_only_read(unbroken):
    _, path = unbroken
    stamp = os.stat(path / "last.pt").st_mtime_ns
    assert runs.resume(path).test == runs.read_result(RunFolder.open(path)).test
    assert os.stat(path / "last.pt").st_mtime_ns == stamp


def test_every_epoch_has_its_own_order(tmp_path):
    task = runs.make_task("digits", build(get("digits").config_class(), options("digits", tmp_path)), None)
    task.prepare()
    loop = Loop(task, task.build_model(), RunFolder(tmp_path, quiet=True), "digits", Share())
    seen: list[list[int]] = []
    loss = task.loss
    task.loss = lambda model, batch, state, share: (seen.append(batch.rows.tolist()), loss(model, batch, state, share))[
        1
    ]
    loop.run()
    count = len(task.epoch(0))
    wanted = [task.epoch(i // count)[i % count].rows.tolist() for i in range(4 * count)]
    assert seen == wanted and seen[:count] != seen[count : 2 * count]


def test_every_step_has_its_own_seed():
    seeds = {step_seed(seed, step, rank) for seed in range(4) for step in range(2000) for rank in range(4)}
    assert len(seeds) > 31_990


def test_of_two_equal_metrics_the_lower_loss_is_best(tmp_path):
    config = build(get("digits").config_class(), {**options("digits", tmp_path / "run"), "steps": 1})
    runs.train("digits", config)
    task = runs.make_task("digits", config, None)
    task.prepare()
    loop = Loop(task, task.build_model(), RunFolder.open(tmp_path / "run"), "digits", Share())
    assert loop._is_best(0.9, 0.5)
    loop.progress.best, loop.progress.best_loss = 0.9, 0.5
    assert loop._is_best(0.9, 0.4) and not loop._is_best(0.9, 0.5) and not loop._is_best(0.9, 0.6)
    assert loop._is_best(0.91, 0.8) and not loop._is_best(0.89, 0.1)
    loop.progress.best = float("nan")
    assert loop._is_best(0.1, 2.0) and not loop._is_best(float("nan"), 2.0)
    loop.progress.best = 0.9
    loop.progress.best_loss = None  # a checkpoint from before losses were kept
    assert loop._is_best(0.9, 0.6)
