"""The losses of a program's first steps on recurra beside TensorFlow's, from the same initial values and the same batches.

    python benchmarks/losses_beside_tensorflow.py --tensorflow TF_PYTHON PROGRAM ["PROGRAM its arguments" ...]

The programs are unmodified; `compared_program.py` says what is noted. Dropout and the like draw other numbers here unless the
operation has a seed, so programs with it agree in the first step only as far as these allow.
"""  # noqa: E501

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from programs_beside_tensorflow import shorter

CHILD = Path(__file__).with_name("compared_program.py")
SHOWN = (1, 2, 5, 10)


def losses(python: str, engine: str, program: str, steps: int, folder: Path, seconds: float) -> tuple[list[float], str]:
    """The losses, and the end of what the program said."""
    path, *arguments = shlex.split(program)
    command = [python, str(CHILD), engine, str(steps), str(Path(path).resolve()), *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    if engine == "tensorflow":
        environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return [], f"not done in {seconds:.0f} s"
    report = folder / f"losses-{engine}.json"
    return json.loads(report.read_text()) if report.exists() else [], (done.stdout[-200:] + done.stderr[-800:]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tensorflow", required=True, metavar="PYTHON", help="interpreter with TensorFlow")
    parser.add_argument("--steps", type=int, default=max(SHOWN))
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--data-dir", default=os.environ.get("RECURRA_DATA"), help="holds mnist/")
    parser.add_argument("--files", help="a folder whose files and folders the programs find where they run")
    parser.add_argument("programs", nargs="+")
    given = parser.parse_args()
    print(f"| program | {' | '.join(f'step {n}' for n in SHOWN)} | furthest apart |\n|---|{'---:|' * (len(SHOWN) + 1)}")
    for program in given.programs:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for source in Path(given.files).iterdir() if given.files else ():
                (folder / source.name).symlink_to(source.resolve())
            if given.data_dir is not None and not (folder / "data").exists():
                (folder / "data").symlink_to(Path(given.data_dir).resolve() / "mnist")
            theirs, said = losses(given.tensorflow, "tensorflow", program, given.steps, folder, given.seconds)
            ours, ours_said = losses(sys.executable, "recurra", program, given.steps, folder, given.seconds)
        pairs = list(zip(ours, theirs, strict=False))
        if not pairs:
            print(f"{program}: {len(ours)} losses here ({ours_said}), {len(theirs)} there ({said})", file=sys.stderr)
            continue
        apart = max(abs(a - b) / max(abs(b), 1e-8) for a, b in pairs)
        shown = [f"{pairs[n - 1][0]:.6g} / {pairs[n - 1][1]:.6g}" if n <= len(pairs) else "" for n in SHOWN]
        print(f"| {shorter(program)} | {' | '.join(shown)} | {apart:.1e} |", flush=True)


if __name__ == "__main__":
    main()
