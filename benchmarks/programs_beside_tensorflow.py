"""TensorFlow 1 programs, unmodified, on recurra and on TensorFlow: seconds to the first run and milliseconds per run.

    python benchmarks/programs_beside_tensorflow.py --tensorflow TF_PYTHON PROGRAM [PROGRAM ...]
    python benchmarks/programs_beside_tensorflow.py --tensorflow TF_PYTHON "ptb_lm.py DATA small 1 loop"

TF_PYTHON is an interpreter that can `import tensorflow` (2.x serves compat.v1, with the few 0.x and contrib names that
old programs need led to their successors; 1.15 serves itself). Each program is executed by both, in turns, in processes
of their own, and stopped after `--runs` calls of Session.run or `--seconds`; the same calls of both are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

CHILD = Path(__file__).with_name("timed_program.py")


class Timing(NamedTuple):
    """One execution: seconds from the program's first line to the end of its n-th Session.run, for every n."""

    ends: list[float]
    code: int
    tail: str


def execute(python: str, engine: str, program: str, runs: int, seconds: float, data: str | None) -> Timing:
    """Run `program` (a path and its arguments) under one engine, in a folder of its own."""
    path, *arguments = shlex.split(program)
    command = [python, str(CHILD), engine, str(runs), str(seconds), str(Path(path).resolve()), *arguments]
    with tempfile.TemporaryDirectory() as folder:
        if data is not None:
            os.symlink(Path(data).resolve() / "mnist", Path(folder) / "data")
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
        if engine == "tensorflow":
            environment.pop("PYTHONPATH", None)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        report = Path(folder) / "timing.json"
        ends = json.loads(report.read_text()) if report.exists() else []
    return Timing(ends, done.returncode, (done.stdout[-300:] + done.stderr[-600:]).strip())


class Row(NamedTuple):
    """One program beside TensorFlow: seconds to the end of the first run with data, milliseconds per later run."""

    program: str
    runs: int
    first: tuple[float, float]
    step: tuple[float, float]

    def text(self) -> str:
        return (
            f"| {self.program} | {self.runs} | {self.first[0]:.2f} | {self.first[1]:.2f} | {self.step[0]:.2f} | "
            f"{self.step[1]:.2f} | {self.step[0] / self.step[1]:.2f} |"
        )


def compare(program: str, pairs: list[tuple[Timing, Timing]], warm: int) -> Row:
    """Medians over the repetitions; the first `warm` runs (initialisation, plans) count as the start."""
    runs = min(len(t.ends) for pair in pairs for t in pair)
    if runs <= warm + 1:
        worst = min((t for pair in pairs for t in pair), key=lambda t: len(t.ends))
        raise SystemExit(f"{program}: only {runs} runs\n{worst.tail}")
    first = tuple(statistics.median(pair[i].ends[warm - 1] for pair in pairs) for i in (0, 1))
    step = tuple(
        statistics.median((pair[i].ends[runs - 1] - pair[i].ends[warm - 1]) / (runs - warm) * 1e3 for pair in pairs)
        for i in (0, 1)
    )
    return Row(shorter(program), runs, first, step)  # type: ignore[arg-type]


def shorter(program: str) -> str:
    path, *arguments = shlex.split(program)
    return " ".join([Path(path).name, *(a for a in arguments if os.sep not in a)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensorflow", required=True, metavar="PYTHON", help="interpreter with TensorFlow")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--warm", type=int, default=6)
    parser.add_argument("--data-dir", default=os.environ.get("RECURRA_DATA"), help="holds mnist/")
    parser.add_argument("programs", nargs="+")
    given = parser.parse_args()
    print("| program | runs | start, s | TF | ms per run | TF | ratio |\n|---|---:|---:|---:|---:|---:|---:|")
    for program in given.programs:
        pairs = [
            (
                execute(sys.executable, "recurra", program, given.runs, given.seconds, given.data_dir),
                execute(given.tensorflow, "tensorflow", program, given.runs, given.seconds, given.data_dir),
            )
            for _ in range(given.repeat)
        ]
        print(compare(program, pairs, given.warm).text(), flush=True)


if __name__ == "__main__":
    main()
