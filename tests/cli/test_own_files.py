"""A person's own files, as they come: what is read, what is refused and how, what `--skip-bad` leaves out."""

import json

import pytest

from tests.cli.calling import FAST, call

TINY = ["--epochs", 1, "--hidden", 4, *FAST]
TAG = ["--embedding", 4, "--char-embedding", 4, "--char-hidden", 4]
SERIES = ["--window", 8, "--horizon", 2]
HINT = "(--skip-bad leaves such rows out)"


def lines(*rows, times=1):
    return "".join(f"{row}\n" for row in rows * times)


def objects(*rows, times=1):
    return lines(*map(json.dumps, rows), times=times)


CONLL = lines("Anna\tB-PER", "lives\tO", "in\tO", "York\tB-LOC", "", "Bob\tB-PER", "ran\tO", "", times=12)
NUMBERS = "a,b,c,label\n" + lines(*(f"{i},{i * 2},{i % 3},{'pq'[i % 2]}" for i in range(30)))

# recipe, name of the file, its text, what the message says, how many rows --skip-bad leaves out (None: no help)
BAD = {
    "columns": (
        "classify",
        "d.csv",
        "text,label\n" + lines("foo,x", "bar,y", times=9) + "baz\n",
        "line 20: 1 columns",
        1,
    ),
    "number": ("classify", "d.csv", NUMBERS + "1,oops,3,p\n", "line 32: column 'b': 'oops' is no number", 1),
    "nan": ("classify", "d.csv", NUMBERS + "1,nan,3,p\n", "line 32: column 'b': 'nan' is no finite number", 1),
    "no JSON": (
        "classify",
        "d.jsonl",
        objects({"text": "a", "label": "x"}, {"text": "b", "label": "y"}, times=9) + '{"text"\n',
        "line 19: not JSON",
        1,
    ),
    "no label": (
        "classify",
        "d.jsonl",
        objects({"text": "a", "label": "x"}, {"text": "b", "label": "y"}, times=9) + '{"text": "c"}\n',
        "line 19: no 'label'",
        1,
    ),
    "features": (
        "classify",
        "d.jsonl",
        objects({"s": [[1, 2], [3, 4]], "label": "x"}, {"s": [[1, 2]], "label": "y"}, times=9)
        + objects({"s": [[1, 2, 3]], "label": "x"}),
        "line 19: column 's': steps of 3 numbers, expected 2",
        1,
    ),
    "open quote": ("classify", "d.csv", 'text,label\n"foo,x\nbar,y\n', "line 3: unexpected end of data", None),
    "latin-1": ("classify", "d.csv", b"text,label\nfo\xe9,x\n", "line 2: not UTF-8", None),
    "tag's columns": ("tag", "d.conll", CONLL + "ran\n", "line 97: 1 columns, expected 2", 1),
    "one tag": ("tag", "d.conll", "a\tO\n\n" * 9, "one tag only ('O')", None),
    "no sentence": ("tag", "d.conll", "\n \n", "no sentence", None),
    "nan in the series": (
        "forecast",
        "d.csv",
        "t,v\n" + lines(*(f"{i},{'nan' if i == 50 else i % 7}" for i in range(99))),
        "line 52: column 'v': 'nan' is no finite number",
        1,
    ),
    "columns of the series": (
        "forecast",
        "d.csv",
        "t,v\n" + lines(*(f"{i},{i % 7}{',8' * (i == 50)}" for i in range(99))),
        "line 52: 3 columns, expected 2",
        1,
    ),
    "no numbers": ("forecast", "d.csv", "t,v\nmon,low\ntue,high\n", "no column holds numbers", None),
    "short series": ("forecast", "d.csv", "v\n1\n2\n", "too short for train", None),
    "empty text": ("lm", "d.txt", "", "0 tokens, expected at least 100", None),
}


def arguments(recipe, path, out):
    extra = {"tag": TAG, "forecast": SERIES}.get(recipe, [])
    return ["train", recipe, path, "--out", out, *extra, *TINY]


@pytest.mark.parametrize("case", BAD)
def test_bad_rows_are_named_or_left_out(capsys, tmp_path, case):
    recipe, name, content, message, skipped = BAD[case]
    path, out = tmp_path / name, tmp_path / "run"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, _, err = call(capsys, *arguments(recipe, path, out))
    assert (code, err.count("\n")) == (1, 1) and f"{path}" in err and message in err
    assert (HINT in err) == (skipped is not None), "said where it helps, and only there"
    assert not out.exists()
    if skipped is not None:
        code, text, err = call(capsys, *arguments(recipe, path, out), "--skip-bad")
        assert code == 0 and f"{skipped} bad" in text, err


GOOD = {
    "quotes, line ends in cells, BOM, CRLF": (
        "d.csv",
        "\ufefftext,label\r\n" + '"a, ""b""\r\nc",x\r\n"é€漢",y\r\n' * 9,
    ),
    "semicolons": ("d.csv", "text;label\n" + "a b;x\nc d;y\n" * 9),
    "a list of objects": (
        "d.json",
        json.dumps([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}] * 9, indent=1),
    ),
    "sequences of length 0, 1 and 2": (
        "d.jsonl",
        objects({"s": [], "label": "x"}, {"s": [[1, 2]], "label": "y"}, {"s": [[1, 2], [3, 4]], "label": "y"}, times=9),
    ),
    "numbers in a cell": ("d.csv", "s,label\n" + '"1, 2, 3",x\n"5",y\n"",x\n' * 9),
    "steps of several numbers in a cell": ("d.tsv", "s\tlabel\n" + "[[1, 2], [3, 4]]\tx\n[[5, 6]]\ty\n" * 9),
}


@pytest.mark.parametrize("case", GOOD)
def test_files_as_they_come(capsys, tmp_path, case):
    name, content = GOOD[case]
    path, out = tmp_path / name, tmp_path / "run"
    path.write_bytes(content.encode())
    code, _, err = call(capsys, *arguments("classify", path, out))
    assert code == 0, err
    code, text, err = call(capsys, "predict", out, path)
    assert (code == 0 and len(text.splitlines()) == content.count("label") * (name == "d.json")) or text, err
    assert call(capsys, "evaluate", out, path)[0] == 0


def test_a_folder_with_a_file_per_class(capsys, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "x.txt").write_bytes(b"ab\r\nabc\r\n\r\n" * 6)
    (folder / "y.txt").write_bytes("\ufeffcd\n".encode() * 12)
    code, text, err = call(capsys, *arguments("classify", folder, tmp_path / "run"))
    assert code == 0 and "24 examples" in text, err


def test_what_training_never_saw_is_refused_or_left_out(capsys, tmp_path):
    table, tags = tmp_path / "d.csv", tmp_path / "d.conll"
    table.write_text("text,label\n" + "ab,x\ncd,y\n" * 9)
    tags.write_text(CONLL)
    for recipe, path, foreign, what in (
        ("classify", table, "text,label\nab,x\ncd,z\n", "class 'z'"),
        ("tag", tags, "Anna\tB-PER\n\nAcme\tB-ORG\n", "tag 'B-ORG'"),
    ):
        out, other = tmp_path / recipe, tmp_path / f"other{path.suffix}"
        other.write_text(foreign)
        assert call(capsys, *arguments(recipe, path, out))[0] == 0
        code, _, err = call(capsys, "evaluate", out, other)
        assert code == 1 and err.startswith(f"error: {other}: {what}") and "never occurs in training" in err
        assert HINT in err and call(capsys, "evaluate", out, other, "--skip-bad")[0] == 0
        code, _, err = call(capsys, *arguments(recipe, path, tmp_path / f"{recipe}-again"), "--test", other)
        assert code == 1 and f"test: {what}" in err
        assert (
            call(capsys, *arguments(recipe, path, tmp_path / f"{recipe}-again"), "--test", other, "--skip-bad")[0] == 0
        )


@pytest.mark.parametrize("crf", ["--crf", "--no-crf"])
def test_a_conll_file_is_tagged_line_by_line(capsys, tmp_path, crf):
    path, out, bare = tmp_path / "d.conll", tmp_path / "run", tmp_path / "bare.conll"
    path.write_text(CONLL)
    assert call(capsys, *arguments("tag", path, out), crf)[0] == 0
    bare.write_text(lines("Anna", "lives", "", "Bob"))
    rows = [line.split("\t") for line in call(capsys, "predict", out, bare)[1].split("\n")[:-1]]
    assert [row[0] for row in rows] == ["Anna", "lives", "", "Bob"] and [len(row) for row in rows] == [3, 3, 1, 3]
    assert all(0 < float(row[2]) <= 1 for row in rows if len(row) == 3)
    assert len(call(capsys, "predict", out, path)[1].splitlines()) == CONLL.count("\n")


def test_a_forecast_needs_its_columns_and_no_others(capsys, tmp_path):
    path, out, other = tmp_path / "d.csv", tmp_path / "run", tmp_path / "other.csv"
    path.write_text("day,a,v\n" + lines(*(f"d{i},{i % 5},{i % 7}" for i in range(90))))
    assert call(capsys, *arguments("forecast", path, out), "--time", "day")[0] == 0
    other.write_text("v,more,a\n" + lines(*(f"{i % 7},9,{i % 5}" for i in range(20))))
    want = call(capsys, "predict", out, json.dumps([[i % 5, i % 7] for i in range(20)]))[1]
    assert call(capsys, "predict", out, other)[1] == want and want.count("\t") == 1
    assert call(capsys, "evaluate", out, other)[0] == 0
    other.write_text("v,b\n1,2\n")
    code, _, err = call(capsys, "predict", out, other)
    assert code == 1 and f"{other}: no column 'a'; columns: v, b" in err


def test_a_label_that_is_no_digit(capsys, tmp_path):
    out, path = tmp_path / "run", tmp_path / "d.txt"
    assert call(capsys, "train", "digits", "--out", out, "--steps", 1, *FAST)[0] == 0
    path.write_text("1 " * 64 + "3\n" + "1 " * 64 + "30\n")
    code, _, err = call(capsys, "evaluate", out, path)
    assert code == 1 and f"{path}, line 2: label 30, expected one of 0, 1" in err


def test_a_rare_tag_stays_in_training(capsys, tmp_path):
    path = tmp_path / "d.conll"
    path.write_text("".join(f"w{i}\tO\nName\tB-K{i // 2}\n\n" for i in range(40)))
    for seed in range(3):
        code, text, err = call(capsys, *arguments("tag", path, tmp_path / f"run{seed}"), "--seed", seed)
        assert code == 0 and "32 train, 4 valid, 4 test" in text and "21 tags" in text, err


def test_the_class_is_the_column_whose_values_recur(capsys, tmp_path):
    path, out, other = tmp_path / "d.tsv", tmp_path / "run", tmp_path / "other.csv"
    path.write_text("sentiment\treview\n" + lines(*(f"{'good' if i % 2 else 'bad'}\tfilm {i}" for i in range(40))))
    code, text, err = call(capsys, *arguments("classify", path, out))
    assert code == 0 and "text from review, class from sentiment" in text, err
    # a run reads the columns that it was trained on, wherever they stand, and no others
    other.write_text("review,more,sentiment\n" + lines(*(f"film {i},x,{'good' if i % 2 else 'bad'}" for i in range(9))))
    assert call(capsys, "evaluate", out, other)[0] == 0
    assert call(capsys, "predict", out, other)[1].count("\n") == 9
    other.write_text("film,verdict\na,good\nb,bad\n")
    for command in ("evaluate", "predict"):
        code, _, err = call(capsys, command, out, other)
        assert code == 1 and f"{other}: no column '" in err and "columns: film, verdict" in err
    code, _, err = call(capsys, "predict", out, tmp_path)
    assert code == 1 and f"{tmp_path}: a folder" in err
