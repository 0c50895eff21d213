"""A tiny run of every recipe that can be served, trained in a second."""

import json

from recurra import recipes

SHORT = {"epochs": 1, "hidden": 4, "threads": 1, "report": False, "progress": False}
TAG = {"embedding": 4, "char_embedding": 4, "char_hidden": 4}
SENTENCES = "Anna\tB-PER\nlives\tO\nin\tO\nYork\tB-LOC\n\nBob\tB-PER\nran\tO\n\n" * 12


def _write(folder, name, content):
    path = folder / name
    path.write_text(content)
    return path


def text(folder, **options):
    path = _write(folder, "d.csv", "text,label\n" + "ab c,x\ncd,y\nbadc,z\n" * 12)
    return recipes.classify(path, out=folder / "text", **SHORT | options).path


def values(folder, **options):
    rows = ({"s": [[i % 3, 1.5], [i, -1], [2, i % 5]][: 1 + i % 3], "label": "xy"[i % 2]} for i in range(40))
    path = _write(folder, "d.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return recipes.classify(path, out=folder / "values", **SHORT | options).path


def digits(folder, **options):
    return recipes.digits(out=folder / "digits", **SHORT | {"steps": 2, "layers": 2} | options).path


def tag(folder, **options):
    return recipes.tag(_write(folder, "d.conll", SENTENCES), out=folder / "tag", **SHORT | TAG | options).path


def forecast(folder, **options):
    table = "a,v\n" + "".join(f"{i % 5},{i % 7}\n" for i in range(99))
    options = {"window": 8, "horizon": 2} | options
    return recipes.forecast(_write(folder, "f.csv", table), out=folder / "forecast", **SHORT | options).path


def lm(folder, **options):
    book = _write(folder, "b.txt", "the cat sat on the mat, the dog sat by it.\n" * 40)
    return recipes.lm(book, out=folder / "lm", bptt=8, **SHORT | options).path


def seq2seq(folder, **options):
    pairs = "".join(f"{i:03}\t{i:03}"[::-1] + "\n" for i in range(100, 200))
    return recipes.seq2seq(_write(folder, "p.tsv", pairs), out=folder / "seq2seq", **SHORT | options).path
