"""The benchmark's counting, its protocol with the workers, and its report."""

import json
import sys

import pytest
from typer.testing import CliRunner

from recurra.benchmark import contests, memory, report
from recurra.benchmark.run import Options, header, run, run_part
from recurra.benchmark.workloads import Workload, jobs
from recurra.cli.bench import app
from recurra.errors import ConfigError
from recurra.kernels.native import library


def test_operations_are_those_of_the_products():
    w = Workload("w", batch=2, steps=3, features=5, hidden=7)
    assert w.flops("lstm", "forward") == 2 * 2 * 3 * 4 * 7 * (5 + 7)
    # backward: gradients of weights, of states; not of the first layer's inputs
    assert w.flops("rnn", "training") == 2 * 2 * 3 * 7 * (3 * 12 - 5)


def test_jobs_are_chosen_by_name():
    assert [(job.workload.name, job.cell, job.mode) for job in jobs(["stream"], ["gru"])] == [
        ("stream", "gru", "stream")
    ]
    assert len(jobs()) == 6 * 4 * 2 + 4


def row(ours, torch):
    frozen = {"minimum": ours / 2}
    found = {
        "recurra": {"minimum": ours},
        "recurra frozen": frozen,
        "torch": {"minimum": torch},
        "jax": {"unsupported": "no"},
    }
    return {"workload": "w", "cell": "lstm", "mode": "forward", "flops": 1e9, "peers": found}


def a_report(ours=0.01, torch=0.02):
    return {
        "machine": {"gflops": 200.0},
        "versions": {"recurra": "1", "recurra frozen": "1", "torch": "2", "jax": "3"},
        "results": [row(ours, torch)],
    }


def test_the_table_has_ratios_and_the_share_of_the_peak(tmp_path):
    line = report.table(a_report()).splitlines()[-1]
    assert line == "| w | lstm | forward | 10 | 5 | 20 | – | 2.00 | 2.00 (torch) | 4.00 | 50% |"
    report.picture(a_report(), tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


def test_rows_measured_again_replace_the_old_ones(tmp_path):
    path = tmp_path / "r.json"
    report.write(path, a_report())
    other = a_report(0.005)
    other["results"].append({**row(1, 1), "cell": "gru"})
    merged = report.merge(path, other)
    assert [(r["cell"], r["peers"]["recurra"]["minimum"]) for r in merged["results"]] == [("lstm", 0.005), ("gru", 1)]


def test_a_worker_answers_and_a_missing_peer_is_said():
    said = []
    options = Options(threads=1, rounds=1, seconds=0.01, pythons={"jax": sys.executable})
    found = run(jobs(["stream"], ["rnn"]), options, peers=["recurra", "jax"], say=said.append)
    assert found["results"][0]["peers"]["recurra"]["runs"] >= 3
    missing = "jax" in found["missing"]
    assert missing == any(line.startswith("jax is missing") for line in said)
    assert json.dumps(found)
    if library.core is not None:
        assert found["machine"]["gflops"] > 1


@pytest.mark.parametrize("peer", ["nobody=/bin/sh", "torch", "torch=/no/where"])
def test_wrong_peers_are_named(peer):
    result = CliRunner().invoke(app, ["--peer", peer])
    assert isinstance(result.exception, ConfigError)
    assert peer.partition("=")[0] in str(result.exception)


def test_parts_without_peers_are_measured_and_kept_beside_them(tmp_path, monkeypatch):
    monkeypatch.setattr(contests, "RAGGED", {"B 3": (3, 4, 5)})
    path = tmp_path / "r.json"
    report.write(path, a_report())
    options = Options(threads=1, rounds=1, seconds=0.001)
    said = []
    rows = run_part("ragged", options, ["ragged, B 3"], said.append)
    assert [(row["cell"], row["mode"]) for row in rows] == [
        (cell, mode) for cell in ("lstm", "gru_after") for mode in ("forward", "training")
    ]
    assert len(said) == 4 and said[0].startswith("ragged, B 3")
    report.write(path, report.merge(path, {**header(options, "ragged"), "results": rows}))
    merged = json.loads(path.read_text())
    assert len(report.of_part(merged, "ragged")) == 4 and len(report.of_part(merged, "peers")) == 1
    assert merged["versions"]["jax"] == "3" and merged["options"]["ragged"]["rounds"] == 1
    assert report.table(merged).count("\n") == 2  # the peers' rows alone
    line = report.roads_table(rows).splitlines()[2]
    assert line.startswith("| ragged, B 3 | lstm | forward | ") and line.count("(") == 2


def test_an_unknown_part_is_named():
    result = CliRunner().invoke(app, ["--part", "speed"])
    assert isinstance(result.exception, ConfigError) and "`--part` is 'speed'" in str(result.exception)


def test_every_contest_runs(monkeypatch):
    """Each road of each part once, on small shapes."""
    small = {"small": (3, 2, 4)}
    monkeypatch.setattr(contests, "SHAPES", small)
    monkeypatch.setattr(contests, "RAGGED", small)
    monkeypatch.setattr(contests, "SEQUENCES", (Workload("mnist", 3, 2, 4, 5),))
    for part in ("variants", "ragged", "halves"):
        for contest in contests.PARTS[part]():
            for road in contest.roads.values():
                road()


def test_memory_is_refused_by_name_where_the_system_does_not_tell_it(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    with pytest.raises(ConfigError, match="only Linux has"):
        list(memory.measure_memory())
