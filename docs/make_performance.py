"""Write the tables and the picture of docs/performance.md from what was measured, docs/performance.json.

    recurra bench --json docs/performance.json      (and --part …, in pieces: rows measured again replace the old ones)
    python docs/make_performance.py

Between two marks of the page stands a table; everything else is written by hand. `tests/docs/test_performance_page.py`
keeps the page true to the file. Figures that miss their mark are bold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from recurra.benchmark import report
from recurra.benchmark.contests import OWN_SHAPES
from recurra.benchmark.workloads import GATES

DOCS = Path(__file__).parent
PAGE, RESULTS, PICTURE = (DOCS / f"performance.{ending}" for ending in ("md", "json", "png"))

Report = dict[str, Any]
Row = dict[str, Any]

CELLS = {"lstm": "LSTM", "gru": "GRU, reset before", "gru_after": "GRU, reset after", "rnn": "RNN, tanh"}
WORKLOADS = ("names", "one sequence", "mnist", "ptb small", "ptb medium", "ptb large")
MODES = ("forward", "training")
GRU = {
    "names": (1.92, 2.05),
    "one sequence": (8.6, 17.7),
    "mnist": (2.03, 2.25),
    "ptb small": (2.13, 2.17),
    "ptb medium": (1.67, 1.67),
    "ptb large": (1.81, 2.08),
}
STUDY: dict[str, dict[str, tuple[float, float]]] = {
    "lstm": {
        "names": (1.40, 1.52),
        "one sequence": (2.1, 2.1),
        "mnist": (1.40, 1.19),
        "ptb small": (1.38, 1.16),
        "ptb medium": (1.04, 1.09),
        "ptb large": (1.45, 1.29),
    },
    "gru": GRU,
    "gru_after": GRU,
    "rnn": {
        "names": (2.10, 1.87),
        "one sequence": (8.7, 12.0),
        "mnist": (2.26, 2.18),
        "ptb small": (2.30, 2.22),
        "ptb medium": (1.75, 1.59),
    },
}
"""Time of torch over that of a throw-away kernel, forward and training, on a machine of this kind: the marks."""

STREAM_MARK, CALL_MARK = 2.0, 1.3
VARIANT_MARK, NORM_MARK = 1.10, 1.25
PADDED_MARK, PACKED_MARK, OWN_MARK, HALF_MARK, MEMORY_MARK = 1.6, 2.0, 2.0, 1.9, 1.0


def main() -> None:
    """Rewrite the page and its picture."""
    found = json.loads(RESULTS.read_text())
    PAGE.write_text(filled(PAGE.read_text(), found))
    report.picture(found, PICTURE)


def filled(page: str, found: Report) -> str:
    """The page with every table between marks as the results say."""

    def table(mark: re.Match[str]) -> str:
        return f"{mark[1]}\n{TABLES[mark[2]](found)}\n{mark[3]}"

    return re.sub(r"(<!-- table: (\w+) -->).*?(<!-- end of table -->)", table, page, flags=re.DOTALL)


def markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Lines of a table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def row_of(found: Report, part: str, workload: str, cell: str, mode: str) -> Row:
    """The one row of this name."""
    key = (workload, cell, mode)
    return next(r for r in report.of_part(found, part) if (r["workload"], r["cell"], r["mode"]) == key)


def ratio(row: Row, road: str, base: str) -> float:
    """Time of `road` over that of `base`."""
    return row["peers"][road]["minimum"] / row["peers"][base]["minimum"]


def at_least(value: float, mark: float) -> str:
    """Bold where the figure, as it is shown, is below its mark."""
    return f"{value:.2f}" if round(value, 2) >= mark else f"**{value:.2f}**"


def at_most(value: float, mark: float) -> str:
    """Bold where the figure, as it is shown, is above its mark."""
    return f"{value:.2f}" if round(value, 2) <= mark else f"**{value:.2f}**"


def span(values: Iterable[float], shown: Callable[[float, float], str], mark: float) -> str:
    """The least and the greatest."""
    values = list(values)
    return f"{shown(min(values), mark)} to {shown(max(values), mark)}"


def setting(found: Report) -> str:
    """The machine, the versions, and when each part was measured and how."""
    machine, versions = found["machine"], found["versions"]
    libraries = ", ".join(f"{name} {version}" for name, version in versions.items() if not name.startswith("recurra "))
    limits = f"{machine['gflops']:.0f} GFLOP/s of multiply-adds, {machine['gigabytes_per_second']:.0f} GB/s from memory"
    lines = [f"{machine['cpu']}, {machine['threads']} threads, {machine['isa']}: {limits}. {libraries}.", ""]
    rows = (
        [part, options.get("date", "earlier"), str(options["rounds"]), f"{options['seconds'] * 1e3:.0f} ms"]
        for part, options in found["options"].items()
    )
    return "\n".join(lines) + markdown(["part, last measured", "date", "rounds", "turn"], rows)


def against_torch(found: Report) -> str:
    """Torch's time over ours beside the study's. Torch has no GRU with the reset before."""

    def figures(cell: str, workload: str) -> str:
        torch_cell = "gru_after" if cell == "gru" else cell
        marks = STUDY[cell].get(workload, (0.0, 0.0))
        shown = []
        for mode, mark in zip(MODES, marks, strict=True):
            theirs = row_of(found, "peers", workload, torch_cell, mode)["peers"]["torch"]["minimum"]
            ours = row_of(found, "peers", workload, cell, mode)["peers"][report.OURS]["minimum"]
            shown.append(at_least(theirs / ours, mark))
        return " · ".join(shown)

    def wanted(cell: str, workload: str) -> str:
        marks = STUDY[cell].get(workload)
        return "–" if marks is None else f"{marks[0]:g} · {marks[1]:g}"

    rows = []
    for cell, name in CELLS.items():
        note = " (torch has reset after)" if cell == "gru" else ""
        rows.append([f"{name}{note}: wanted", *(wanted(cell, w) for w in WORKLOADS)])
        rows.append(["got", *(figures(cell, w) for w in WORKLOADS)])
    return markdown(["torch / ours, forward · training", *WORKLOADS], rows)


def against_the_fastest(found: Report) -> str:
    """Nobody should be faster."""

    def figure(workload: str, cell: str, mode: str) -> str:
        best = report.fastest_peer(row_of(found, "peers", workload, cell, mode))
        return "–" if best is None else at_least(best[1], 1.0)

    rows = (
        [
            name,
            *(" · ".join(figure(workload, cell, mode) for mode in MODES) for workload in WORKLOADS),
            figure("stream", cell, "stream"),
        ]
        for cell, name in CELLS.items()
    )
    return markdown(["fastest peer / ours, forward · training", *WORKLOADS, "stream"], rows)


def marks(found: Report) -> str:
    """The other targets, a line each."""
    streams = [row_of(found, "peers", "stream", cell, "stream") for cell in GATES]

    def beside_onnx(road: str, mark: float) -> str:
        return ", ".join(at_least(ratio(row, "onnxruntime", road), mark) for row in streams)

    def variant(mode: str, name: Callable[[str], bool], mark: float) -> str:
        rows = [row for row in report.of_part(found, "variants") if row["mode"] == mode]
        return span((ratio(row, road, "plain") for row in rows for road in row["peers"] if name(road)), at_most, mark)

    def both(name: Callable[[str], bool], mark: float) -> str:
        return " · ".join(variant(mode, name, mark) for mode in MODES)

    def of(part: str, road: str, base: str, mark: float, names: Iterable[str] = ()) -> str:
        rows = [row for row in report.of_part(found, part) if not names or row["workload"] in names]
        return span((ratio(row, road, base) for row in rows), at_least, mark)

    memory = (ratio(row, report.OURS, "torch") for row in report.of_part(found, "memory"))
    plain_ones = ("peepholes", "cell clip", "projection", "projection, peepholes, clips", "coupled")
    rows = [
        [f"a step of a stream, `cell.stepper(1)`, {', '.join(CELLS.values())}: ONNX Runtime / ours", "≥ 2"],
        ["`cell(x, state)` without gradients, the same", "≥ 1.3"],
        ["peepholes, projection, coupled gates, clips / our plain LSTM, forward · training", "≤ 1.10"],
        ["zoneout / our plain LSTM", "≤ 1.10"],
        ["layer norm / our plain LSTM", "≤ 1.25"],
        ["a ragged batch: padded / ragged", "≥ 1.6"],
        ["a ragged batch: torch packed / ragged", "≥ 2"],
        ["own cell: torch loop / compiled", "≥ 2"],
        ["bfloat16, ptb medium and large: torch float32 / ours", "≥ 1.9"],
        ["memory of a training step: ours / torch.nn's", "≤ 1"],
    ]
    got = [
        beside_onnx(report.OURS, STREAM_MARK),
        beside_onnx(report.CALL, CALL_MARK),
        both(lambda road: road in plain_ones, VARIANT_MARK),
        both(lambda road: road.startswith("zoneout"), VARIANT_MARK),
        both(lambda road: road in ("layer norm (basic)", "layer norm (peepholes)"), NORM_MARK),
        of("ragged", "padded", "ragged", PADDED_MARK),
        of("ragged", "torch packed", "ragged", PACKED_MARK),
        of("own", "torch loop", "compiled", OWN_MARK),
        of("halves", "torch", "recurra bfloat16", HALF_MARK, ("ptb medium", "ptb large")),
        span(memory, at_most, MEMORY_MARK),
    ]
    return markdown(["", "wanted", "got"], ([*row, figure] for row, figure in zip(rows, got, strict=True)))


def peers(found: Report) -> str:
    """Every job, every peer."""

    def place(row: Row) -> tuple[int, int, int]:
        names = ("names", "stream", *WORKLOADS[1:])
        return names.index(row["workload"]), (*MODES, "stream").index(row["mode"]), list(CELLS).index(row["cell"])

    return report.peers_table(found, sorted(report.of_part(found, "peers"), key=place))


def first_calls(found: Report) -> str:
    """What a first call costs, in each peer's process."""
    jobs = [(workload, mode) for workload in ("names", "mnist", "ptb medium") for mode in MODES]

    def figure(workload: str, mode: str, peer: str) -> str:
        cold = row_of(found, "peers", workload, "lstm", mode)["peers"].get(peer, {}).get("cold")
        return "–" if cold is None else f"{cold * 1e3:.3g}"

    names = [name for name in report.COLORS if name in found["versions"] and name not in (report.FROZEN, report.CALL)]
    rows = (
        [f"{workload} LSTM {mode}", *(figure(workload, mode, name) for name in names)]
        for workload, mode in [*jobs, ("stream", "stream")]
    )
    return markdown(["first call, ms", *names], rows)


def allocator(found: Report) -> str:
    """Torch's time over ours with malloc as it comes, and set to keep what is freed."""
    workloads = ("names", "mnist", "ptb small", "ptb medium")

    def figures(part: str, workload: str, cell: str) -> str:
        return " · ".join(f"{ratio(row_of(found, part, workload, cell, m), 'torch', report.OURS):.2f}" for m in MODES)

    rows = (
        [f"{CELLS[cell]}, {said}", *(figures(part, workload, cell) for workload in workloads)]
        for cell in ("lstm", "gru_after", "rnn")
        for part, said in (("peers", "as it comes"), ("tuned", "tuned"))
    )
    return markdown(["torch / ours, forward · training", *workloads], rows)


def variants(found: Report) -> str:
    """Each variant's time over the plain LSTM's."""
    rows = report.of_part(found, "variants")
    heads = ["against our plain LSTM", *(f"{row['workload']}, {row['mode']}" for row in rows)]
    roads = [road for road in rows[0]["peers"] if road != "plain"]
    return markdown(heads, ([road, *(f"{ratio(row, road, 'plain'):.2f}" for row in rows)] for road in roads))


def ragged(found: Report) -> str:
    """Ragged batches beside padded ones and torch's packed ones."""
    rows = (
        [
            f"{row['workload'].removeprefix('ragged, ')}, {CELLS[row['cell']]}, {row['mode']}",
            at_least(ratio(row, "padded", "ragged"), PADDED_MARK),
            at_least(ratio(row, "torch packed", "ragged"), PACKED_MARK),
        ]
        for row in report.of_part(found, "ragged")
    )
    return markdown(["ragged", "padded / ragged", "torch packed / ragged"], rows)


def halves(found: Report) -> str:
    """bfloat16, milliseconds."""
    roads = ("torch", "torch bfloat16", "recurra", "recurra bfloat16")
    rows = (
        [
            f"{row['workload']} {CELLS[row['cell']]}",
            *(f"{row['peers'][road]['minimum'] * 1e3:.3g}" for road in roads),
            *(f"{ratio(row, road, 'recurra bfloat16'):.2f}" for road in ("torch", "torch bfloat16")),
        ]
        for row in report.of_part(found, "halves")
    )
    return markdown(["ms", *roads, "torch / ours in bfloat16", "torch's bfloat16 / ours"], rows)


def own(found: Report) -> str:
    """An own cell in torch's loop and compiled, milliseconds."""

    def rows() -> Iterator[list[str]]:
        for name, (B, T, H) in OWN_SHAPES.items():
            cells = [f"B {B}, T {T}, H {H}"]
            for mode in MODES:
                row = row_of(found, "own", name, "own", mode)
                cells += [f"{row['peers'][road]['minimum'] * 1e3:.3g}" for road in ("torch loop", "compiled", "kernel")]
                cells.append(at_least(ratio(row, "torch loop", "compiled"), OWN_MARK))
            yield cells

    heads = [f"{road}, {mode}" for mode in MODES for road in ("loop", "compiled", "the library's own", "ratio")]
    return markdown(["own peephole LSTM, ms", *heads], rows())


def jobs(found: Report) -> str:
    """Whole jobs, seconds."""
    rows = report.of_part(found, "jobs")
    roads = list(rows[0]["peers"])
    times = ([row["workload"], *(f"{row['peers'][road]['minimum']:.1f}" for road in roads)] for row in rows)
    return markdown(["seconds", *roads], times)


def memory(found: Report) -> str:
    """What a training step adds, megabytes."""

    def figure(workload: str, cell: str) -> str:
        row = row_of(found, "memory", workload, cell, "training")
        theirs, ours = (row["peers"][road]["minimum"] for road in ("torch", report.OURS))
        return f"{theirs:.0f} / {ours:.0f} ({at_most(ours / theirs, MEMORY_MARK)})"

    rows = ([workload, *(figure(workload, cell) for cell in ("lstm", "gru_after", "rnn"))] for workload in WORKLOADS)
    return markdown(["MB", "LSTM: torch / recurra", "GRU, reset after", "RNN"], rows)


TABLES: dict[str, Callable[[Report], str]] = {
    table.__name__: table
    for table in (
        setting,
        against_torch,
        against_the_fastest,
        marks,
        peers,
        first_calls,
        allocator,
        variants,
        ragged,
        halves,
        own,
        jobs,
        memory,
    )
}

if __name__ == "__main__":
    main()
