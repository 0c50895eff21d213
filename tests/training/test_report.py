"""The report is one self-contained page, and what data says cannot break it."""

import re

import numpy as np

from recurra.training import plots, report
from recurra.training.runfolder import RunFolder
from recurra.training.task import Section

RESULT = {
    "test": {"loss": 0.5, "macro_f1": 0.25},
    "baselines": {"always <b>": {"macro_f1": 0.1}},
    "finished": "2026-01-01 10:00",
    "steps": 10,
    "epochs": 1,
    "best_step": 8,
    "seconds": 2.0,
    "cpu_seconds": 1.5,
    "parameters": 1234,
    "threads": 1,
    "processes": 1,
}


def test_a_page_escapes_and_embeds(tmp_path):
    folder = RunFolder.create("classify", tmp_path / "run", tmp_path, {"epochs": 3})
    folder.append_metrics(
        [
            {"step": 1, "epoch": 0, "part": "train", "loss": 1.0},
            {"step": 2, "epoch": 0, "part": "valid", "loss": 0.9, "value": 0.5},
        ]
    )
    picture = plots.bars(["a", "b"], [1.0, 2.0], "x")
    section = Section("<script>", "a < b", [(picture, '"quoted"')], [("head",), ("<i>",)], preformatted="x & y")
    report.write(folder, RESULT, "macro_f1", [section])
    page = (folder.path / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in page and "&lt;script&gt;" in page and "&lt;i&gt;" in page and "x &amp; y" in page
    assert not re.search(r'(src|href)="(?!data:)', page), "nothing is loaded from elsewhere"
    assert page.count("data:image/png;base64,") == 2
    assert "1,234" in page and "200.00 ms" in page


def test_score_table_puts_a_dash_where_a_method_has_no_number():
    rows = report.score_table([("m", {"loss": 1.0, "accuracy": 0.5}), ("b", {"accuracy": 0.25})])
    assert rows == [("", "loss", "accuracy"), ("m", "1.0000", "0.5000"), ("b", "–", "0.2500")]


def test_pictures_are_png():
    drawn = [
        plots.confusion(np.array([[3, 1], [0, 2]]), ["a", "b"]),
        plots.images([np.eye(3)] * 7, ["t"] * 7),
        plots.curves([], "accuracy"),
        plots.probabilities(np.full((2, 3), 1 / 3), ["r", "s"], ["x", "y", "z"]),
        plots.forecast(np.arange(5.0), np.arange(2.0), np.arange(2.0), np.arange(2.0), "t"),
    ]
    assert all(picture.startswith(b"\x89PNG") for picture in drawn)


def test_half_a_last_line_of_metrics_is_dropped(tmp_path):
    folder = RunFolder(tmp_path)
    folder.append_metrics([{"step": step, "epoch": 0, "part": "train", "loss": 1.0} for step in (1, 2, 3)])
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("4,0,tra")
    assert [row["step"] for row in folder.metrics()] == ["1", "2", "3"]
    folder.rewind_metrics(2)
    assert [row["step"] for row in folder.metrics()] == ["1", "2"]


def test_the_beginning_of_a_name_is_the_newest_run(tmp_path):
    for name in ("lm-20260101-000000", "lm-20260301-000000", "lm-20260201-000000"):
        RunFolder.create("lm", tmp_path / name, tmp_path, {})
    assert RunFolder.open(tmp_path / "lm").path.name == "lm-20260301-000000"
