"""The benchmark's results as a table, a picture and a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recurra._files import write_atomic, write_text

OURS = "recurra"
FROZEN = "recurra frozen"
"""Ours with the weights packed once before, for inference: what ONNX Runtime does with every session."""
CALL = "recurra call"
"""Ours a step at a time through `cell(x, state)`, where the stream's own road is `cell.stepper`."""
COLORS = {
    OURS: "#1b6ca8",
    FROZEN: "#7fb6dd",
    CALL: "#4a90c2",
    "torch": "#d1495b",
    "tensorflow": "#edae49",
    "jax": "#66a182",
    "onnxruntime": "#8d6a9f",
}


def merge(path: Path, fresh: dict[str, Any]) -> dict[str, Any]:
    """`fresh` over what `path` holds: jobs measured again replace their old rows, others stay."""
    if not path.exists():
        return fresh
    old = json.loads(path.read_text())
    measured = {_key(row) for row in fresh["results"]}
    kept = [row for row in old["results"] if _key(row) not in measured]
    machine = dict(fresh["machine"])
    for limit in ("gflops", "gigabytes_per_second"):
        machine[limit] = max(old["machine"].get(limit, 0), machine.get(limit, 0))
    joined = {name: {**old[name], **fresh[name]} for name in ("versions", "options", "missing") if name in old}
    joined["missing"] = {name: why for name, why in joined.get("missing", {}).items() if name not in fresh["versions"]}
    return {**old, **fresh, **joined, "machine": machine, "results": kept + fresh["results"]}


def _key(row: dict[str, Any]) -> tuple[str, str, str, str]:
    return row.get("part", "peers"), row["workload"], row["cell"], row["mode"]


def of_part(report: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """The rows of one part."""
    return [row for row in report["results"] if row.get("part", "peers") == part]


def write(path: Path, report: dict[str, Any]) -> None:
    """The whole result as JSON, a line a row."""
    head = {name: value for name, value in report.items() if name != "results"}
    rows = ",\n".join(json.dumps(row) for row in report["results"])
    write_text(path, f'{json.dumps(head, indent=1)[:-2]},\n "results": [\n{rows}\n]}}\n')


def share_of_peak(row: dict[str, Any], machine: dict[str, Any]) -> float:
    """Of the machine's measured multiply-add peak."""
    return row["flops"] / row["peers"][OURS]["minimum"] / 1e9 / machine["gflops"]


def fastest_peer(row: dict[str, Any], ours: str = OURS) -> tuple[str, float] | None:
    """The fastest other, and its time over `ours` (minima); None where nobody else runs the job, or `ours` does not."""
    times = {name: found["minimum"] for name, found in row["peers"].items() if "minimum" in found}
    others = {name: time for name, time in times.items() if not name.startswith(OURS)}
    if not others or ours not in times:
        return None
    name = min(others, key=others.__getitem__)
    return name, others[name] / times[ours]


def table(report: dict[str, Any]) -> str:
    """Markdown of the peers' part: a line a job; minima in milliseconds, ratios above 1 in our favour."""
    return peers_table(report, of_part(report, "peers"))


def peers_table(report: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """A line for each of these rows."""
    peers = [name for name in COLORS if name in report["versions"]]
    heads = ["workload", "cell", "mode", *(f"{name} ms" for name in peers)]
    heads += ["torch / ours", "fastest peer / ours", "fastest peer / frozen", "of peak"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        found = row["peers"]
        times = [f"{found[name]['minimum'] * 1e3:.4g}" if "minimum" in found.get(name, {}) else "–" for name in peers]
        torch = found["torch"]["minimum"] / found[OURS]["minimum"] if "minimum" in found.get("torch", {}) else None
        best, best_frozen = fastest_peer(row), fastest_peer(row, FROZEN)
        cells = [
            row["workload"],
            row["cell"],
            row["mode"],
            *times,
            "–" if torch is None else f"{torch:.2f}",
            "–" if best is None else f"{best[1]:.2f} ({best[0]})",
            "–" if best_frozen is None else f"{best_frozen[1]:.2f}",
            f"{share_of_peak(row, report['machine']):.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def roads_table(rows: list[dict[str, Any]], *, scale: float = 1e3, cold: bool = False) -> str:
    """Markdown of rows that have their roads in common: minima, each with its ratio to the first road's.

    Args:
        scale: of the numbers; 1,000 makes seconds milliseconds.
        cold: the first calls, in place of the minima.
    """
    roads = list(dict.fromkeys(road for row in rows for road in row["peers"]))
    lines = ["| " + " | ".join(["workload", "cell", "mode", *roads]) + " |", "|---" * (3 + len(roads)) + "|"]
    for row in rows:
        key = "cold" if cold else "minimum"
        times = {road: found[key] for road, found in row["peers"].items() if found.get(key) is not None}
        first = times.get(roads[0])
        cells = []
        for road in roads:
            ratio = f" ({times[road] / first:.2f})" if first and road in times and road != roads[0] else ""
            cells.append(f"{times[road] * scale:.4g}{ratio}" if road in times else "–")
        lines.append("| " + " | ".join([row["workload"], row["cell"], row["mode"], *cells]) + " |")
    return "\n".join(lines)


def picture(report: dict[str, Any], path: Path) -> None:
    """Each peer's time relative to ours, a panel for each mode."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    results = of_part(report, "peers")
    modes = [mode for mode in ("forward", "training", "stream") if any(r["mode"] == mode for r in results)]
    counts = [sum(row["mode"] == mode for row in results) for mode in modes]
    figure, axes = pyplot.subplots(
        len(modes), 1, figsize=(9, 1 + 0.38 * sum(counts)), height_ratios=counts, squeeze=False, layout="constrained"
    )
    for axis, mode in zip(axes[:, 0], modes, strict=True):
        rows = [row for row in results if row["mode"] == mode][::-1]
        for index, row in enumerate(rows):
            for name, color in COLORS.items():
                if name != OURS and "minimum" in row["peers"].get(name, {}):
                    ratio = row["peers"][name]["minimum"] / row["peers"][OURS]["minimum"]
                    axis.plot(ratio, index, "o", color=color, label=name)
        axis.axvline(1, color=COLORS[OURS], label=OURS)
        axis.set_xscale("log")
        axis.set_yticks(range(len(rows)), [f"{row['workload']} {row['cell']}" for row in rows], fontsize=8)
        axis.set_title(f"{mode}: time of a peer / time of recurra", fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    labels = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    figure.legend(labels.values(), labels.keys(), loc="outside upper center", ncols=len(labels), fontsize=8)
    write_atomic(path, lambda file: figure.savefig(file, dpi=110, format="png"))
    pyplot.close(figure)
