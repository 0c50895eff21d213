"""Runs jobs on all peers in turn, a process each, round after round: what disturbs the machine then hits all."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

import recurra
from recurra.benchmark.contests import PARTS
from recurra.benchmark.machine import measure_machine
from recurra.benchmark.memory import measure_memory
from recurra.benchmark.peers.protocol import measure
from recurra.benchmark.workloads import Job

PEERS = Path(__file__).with_name("peers")
NAMES = ("recurra", "recurra frozen", "recurra call", "torch", "tensorflow", "jax", "onnxruntime")


class Worker:
    """One peer's process."""

    def __init__(self, name: str, python: str, threads: int, tuned: bool) -> None:
        environment = {**os.environ, "BENCH_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        if tuned:
            # glibc gives freed memory back to the system and faults it in again at every call: torch's own times
            # change by 15 % with this setting, so both are worth knowing.
            environment["GLIBC_TUNABLES"] = (
                "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296"
            )
        self.process = subprocess.Popen(
            [python, str(PEERS / f"{name.split()[0]}_worker.py"), *name.split()[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.hello = self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            said = self.process.stderr.read().strip().splitlines()
            return {"failed": said[-1] if said else "the process ended"}
        return json.loads(line)

    def ask(self, job: Job, seconds: float) -> dict[str, Any]:
        """The answer of the peer to one job."""
        assert self.process.stdin is not None
        question = {**job._asdict(), "workload": job.workload._asdict(), "seconds": seconds}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


class Options(NamedTuple):
    threads: int
    rounds: int = 5
    seconds: float = 0.15
    """Of a peer's turn in a round."""
    pythons: dict[str, str] = {}
    """The interpreter of each peer; this one where none is given."""
    tuned: bool = False


def start(options: Options, peers: Iterable[str]) -> tuple[dict[str, Worker], dict[str, str]]:
    """The workers that started, and why the others did not."""
    workers, missing = {}, {}
    for name in peers:
        worker = Worker(name, options.pythons.get(name, sys.executable), options.threads, options.tuned)
        if "failed" in worker.hello:
            missing[name] = worker.hello["failed"]
        else:
            workers[name] = worker
    return workers, missing


def run(
    jobs: list[Job], options: Options, peers: Iterable[str] = NAMES, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure all jobs; the result is what the report and the JSON file hold."""
    machine = measure_machine(options.threads)
    part = "tuned" if options.tuned else "peers"
    workers, missing = start(options, peers)
    for name, why in missing.items():
        say(f"{name} is missing: {why}")
    results = []
    for job in jobs:
        found: dict[str, Any] = {}
        for _ in range(options.rounds):
            for name, worker in workers.items():
                if "times" in found.get(name, {"times": []}):
                    _join(found, name, worker.ask(job, options.seconds))
        row = {"part": part, "workload": job.workload.name, "cell": job.cell, "mode": job.mode}
        peers_found = {name: _summary(answer) for name, answer in found.items()}
        results.append({**row, "flops": job.workload.flops(job.cell, job.mode), "peers": peers_found})
        say(_line(results[-1], machine))
    versions = {name: worker.hello["version"] for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    return {
        "machine": machine,
        "python": platform.python_version(),
        "options": {part: _shown(options)},
        "versions": versions,
        "missing": missing,
        "results": results,
    }


def run_part(
    part: str, options: Options, workloads: Collection[str] = (), say: Callable[[str], None] = print
) -> list[dict[str, Any]]:
    """Measure what runs in this library's own process, or, for memory, in processes of its own.

    Args:
        workloads: all where none is named.
    """
    if part == "memory":
        return [_said(row, "MB", 1.0, say) for row in measure_memory(workloads)]
    torch.set_num_threads(options.threads)
    rows = []
    for contest in PARTS[part]():
        if workloads and contest.workload not in workloads:
            continue
        answers: dict[str, Any] = {road: {"times": [], "cold": _seconds(call)} for road, call in contest.roads.items()}
        for _ in range(options.rounds):
            for road, call in contest.roads.items():
                answers[road]["times"] += measure(call, options.seconds)
        row = {"part": part, "workload": contest.workload, "cell": contest.cell, "mode": contest.mode}
        rows.append(_said({**row, "peers": {road: _summary(found) for road, found in answers.items()}}, "ms", 1e3, say))
    return rows


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _said(row: dict[str, Any], unit: str, scale: float, say: Callable[[str], None]) -> dict[str, Any]:
    shown = "  ".join(f"{road} {found['minimum'] * scale:.4g}" for road, found in row["peers"].items())
    say(f"{row['workload']:20s}{row['cell']:10s}{row['mode']:9s} {unit}: {shown}")
    return row


def header(options: Options, part: str) -> dict[str, Any]:
    """What a report says besides its rows, where no peers were asked."""
    versions = {"recurra": recurra.__version__, "torch": torch.__version__}
    machine = measure_machine(options.threads)
    return {"machine": machine, "options": {part: _shown(options)}, "versions": versions, "missing": {}}


def _shown(options: Options) -> dict[str, Any]:
    return {**options._asdict(), "pythons": sorted(options.pythons), "date": time.strftime("%Y-%m-%d")}


def _join(found: dict[str, Any], name: str, answer: dict[str, Any]) -> None:
    if name in found and "times" in answer:
        found[name]["times"] += answer["times"]
    else:
        found.setdefault(name, {}).update(answer)
        if "times" not in answer:
            found[name].pop("times", None)


def _summary(answer: dict[str, Any]) -> dict[str, Any]:
    if "times" not in answer:
        return answer
    times = sorted(answer["times"])
    quarter = len(times) // 4
    return {
        "minimum": times[0],
        "median": statistics.median(times),
        "spread": [times[quarter], times[-1 - quarter]],
        "runs": len(times),
        "cold": answer.get("cold"),
    }


def _line(row: dict[str, Any], machine: dict[str, Any]) -> str:
    peers = {name: found["minimum"] * 1e3 for name, found in row["peers"].items() if "minimum" in found}
    failed = {name: found["failed"] for name, found in row["peers"].items() if "failed" in found}
    shown = "  ".join(f"{name} {ms:.4g}" for name, ms in peers.items())
    share = row["flops"] / (peers["recurra"] * 1e6) / machine["gflops"] if "recurra" in peers else 0
    ending = "".join(f"  {name} FAILED ({why})" for name, why in failed.items())
    return f"{row['workload']:13s}{row['cell']:10s}{row['mode']:9s} ms: {shown}  peak {share:.0%}{ending}"
