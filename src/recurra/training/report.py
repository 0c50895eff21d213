"""report.html: one file with everything in it (pictures as data URIs), readable without a network or JavaScript."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from recurra._files import write_text
from recurra.training import plots
from recurra.training.runfolder import RunFolder
from recurra.training.task import Section

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2127;max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}
h2{font-size:1.15rem;margin-top:2.2rem;border-bottom:1px solid #e3e6ea;padding-bottom:.2rem}
.sub,figcaption,th,.big span{color:#68707c}
img{max-width:100%;display:block;margin:.6rem 0}
figcaption{font-size:.87rem}
figure{margin:0}
table{border-collapse:collapse;margin:.6rem 0}
th,td{padding:.28rem .8rem;border-bottom:1px solid #e9ebee;text-align:left;font-variant-numeric:tabular-nums}
th{font-weight:600}
pre{background:#f5f6f8;padding:.9rem;white-space:pre-wrap;overflow-wrap:anywhere}
details{margin-top:1.2rem}
summary{font-weight:600;cursor:pointer}
.big{display:flex;gap:2.5rem;flex-wrap:wrap;margin:1rem 0}
.big b{display:block;font-size:1.7rem;line-height:1.2}
"""


def write(folder: RunFolder, result: Mapping[str, Any], metric: str, sections: Sequence[Section]) -> None:
    """Write `report.html` into the run's folder.

    Args:
        folder: the run.
        result: the content of result.json.
        metric: the validation metric.
        sections: the recipe's own parts.
    """
    config = folder.config()
    rows = folder.metrics()
    scores = [("this model", result["test"]), *result["baselines"].items()]
    parts = [
        f"<h1>{_text(config['recipe'])}</h1>",
        f"<p class=sub>{_text(result['finished'])} · {_text(folder.path.name)}</p>",
        _headline(result),
        *_section(Section("Test, against baselines", table=score_table(scores))),
        *_section(Section("Learning curves", pictures=[(plots.curves(rows, metric), "training and validation")])),
    ]
    for section in sections:
        parts += _section(section)
    parts += _section(Section("Size and speed", table=[("", ""), *speed_rows(result)]))
    given = [(name, str(value)) for name, value in config.items() if value is not None]
    parts += _section(Section("Options", table=[("option", "value"), *given], folded=True))
    environment = [(name, str(value)) for name, value in (folder.read_json("environment.json") or {}).items()]
    parts += _section(Section("Environment", table=[("", ""), *environment], folded=True))
    title = f"recurra · {config['recipe']}"
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(title)}</title><style>{STYLE}</style>"
    write_text(folder.path / "report.html", f"{head}{''.join(parts)}</html>")


def score_table(scores: Sequence[tuple[str, Mapping[str, float]]]) -> list[Sequence[str]]:
    """Methods against metrics, as rows of text with a header."""
    names = list(dict.fromkeys(name for _, values in scores for name in values))
    rows: list[Sequence[str]] = [("", *(name.replace("_", " ") for name in names))]
    for method, values in scores:
        rows.append((method, *(f"{values[name]:.4f}" if name in values else "–" for name in names)))
    return rows


def speed_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Sizes and speed in words."""
    steps, seconds = result["steps"], max(result["seconds"], 1e-9)
    return [
        ("parameters", f"{result['parameters']:,}"),
        ("steps", f"{steps:,} ({result['epochs']} epochs), best at step {result['best_step']:,}"),
        ("training time", f"{seconds:.1f} s, {result['cpu_seconds']:.1f} CPU seconds (validation included)"),
        (
            "per step",
            f"{1000 * seconds / max(steps, 1):.2f} ms, {_count(result['threads'], 'thread')}, "
            f"{_count(result['processes'], 'process')}",
        ),
    ]


def _count(number: int, what: str) -> str:
    plural = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{number} {what}{plural}"


def _headline(result: Mapping[str, Any]) -> str:
    items = [(name.replace("_", " "), f"{value:.4f}") for name, value in result["test"].items()]
    items.append(("minutes", f"{result['seconds'] / 60:.1f}"))
    inner = "".join(f"<div><b>{value}</b><span>{_text(name)}</span></div>" for name, value in items)
    return f"<div class=big>{inner}</div>"


def _section(section: Section) -> list[str]:
    title = _text(section.title)
    parts = [f"<details><summary>{title}</summary>" if section.folded else f"<h2>{title}</h2>"]
    if section.text:
        parts.append(f"<p>{_text(section.text)}</p>")
    if section.preformatted:
        parts.append(f"<pre>{_text(section.preformatted)}</pre>")
    for png, caption in section.pictures:
        data = base64.b64encode(png).decode()
        image = f'<img alt="{_text(caption)}" src="data:image/png;base64,{data}">'
        parts.append(f"<figure>{image}<figcaption>{_text(caption)}</figcaption></figure>")
    if section.table:
        head, *body = section.table
        cells = "".join(f"<th>{_text(cell)}</th>" for cell in head)
        lines = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in body)
        parts.append(f"<table><tr>{cells}</tr>{lines}</table>")
    return [*parts, "</details>"] if section.folded else parts


def _text(value: str) -> str:
    return html.escape(value, quote=True)
