"""How the threads of a program that recurra starts wait for each other."""

from __future__ import annotations

import os


def let_waiting_threads_sleep() -> None:
    """Have OpenMP's threads sleep after some microseconds of waiting, unless the environment says how they wait.

    GNU's library reads this once, when torch loads it. Its own default is to spin for milliseconds: where another
    program has the second core, small models then spend most of their time waiting for a thread that cannot run.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "1000"
