"""How the threads of a program that recurra starts wait for each other."""

from __future__ import annotations

import os
import sys


def let_waiting_threads_sleep() -> None:
    """Have OpenMP's threads sleep after some microseconds of waiting, unless the environment says how they wait.

    GNU's library reads this once, when torch loads it. Its own default is to spin for milliseconds: where another
    program has the second core, small models then spend most of their time waiting for a thread that cannot run.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "1000"


def waiting_hint(threads: int) -> str | None:
    """What a program that trains on a busy machine should know, if it has not decided how threads wait.

    The variable is read when torch is loaded: there is nothing left to set once a program trains.
    """
    decided = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if decided or threads < 2 or not sys.platform.startswith("linux"):
        return None
    cpus = len(os.sched_getaffinity(0))
    if os.getloadavg()[0] < cpus:
        return None
    return (
        f"hint: other programs keep these {cpus} CPUs busy, and OpenMP's threads spin while they wait for each other; "
        "with GOMP_SPINCOUNT=1000 in the environment before Python starts, as the command `recurra` sets it, or with "
        "threads=1, small models may train many times as fast (docs/training.md)"
    )
