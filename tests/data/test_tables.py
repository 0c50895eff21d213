"""A person's own files, good and bad."""

import numpy as np
import pytest

from recurra.data import conll, folders, pairs, series, tables
from recurra.data.tables import Choice
from recurra.errors import DataError


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_with_quotes_byte_order_mark_and_crlf(tmp_path):
    path = write(tmp_path / "a.csv", '\ufefftext,label\r\n"one, ""two""\r\nthree",x\r\nvier ß,y\r\n')
    data = tables.read(path)
    assert data.kind == "text" and data.inputs == ['one, "two"\nthree', "vier ß"] and data.labels == ["x", "y"]


def test_tsv_without_a_header(tmp_path):
    data = tables.read(write(tmp_path / "a.tsv", "good movie that I liked very much indeed\t1\nbad\t0\n"))
    assert data.labels == ["1", "0"] and data.inputs[1] == "bad"


def test_wide_numbers_and_sequences_in_a_cell(tmp_path):
    wide = tables.read(write(tmp_path / "w.csv", "a,b,c,class\n1,2,3,x\n4,5,6,y\n"))
    assert wide.kind == "values" and wide.inputs[1].tolist() == [[4], [5], [6]]
    cell = tables.read(write(tmp_path / "c.csv", "values,label\n1 2 3,x\n4 5,y\n"))
    assert [v.shape for v in cell.inputs] == [(3, 1), (2, 1)]


def test_jsonl_with_several_features(tmp_path):
    data = tables.read(
        write(tmp_path / "a.jsonl", '{"v": [[1, 2], [3, 4]], "label": "x"}\n\n{"v": [[5, 6]], "label": 7}\n')
    )
    np.testing.assert_array_equal(data.inputs[0], [[1, 2], [3, 4]])
    assert data.labels == ["x", "7"]


def test_a_folder_with_a_file_per_class(tmp_path):
    write(tmp_path / "x.txt", "a\nb\n")
    write(tmp_path / "y.txt", "c\n")
    assert folders.read(tmp_path).labels == ["x", "x", "y"]


BAD_ROWS = [
    ("a.csv", "text,label\none,x\ntwo\nthree,y\n", r"a.csv, line 3: 1 columns, expected 2"),
    ("b.csv", "u,v,label\n1,2,x\n1,zwei,y\n3,4,y\n", r"b.csv, line 3: column 'v': 'zwei' is no number"),
    ("c.csv", "u,v,label\n1,2,x\n1,nan,y\n3,4,y\n", r"c.csv, line 3: column 'v': 'nan' is no finite number"),
    ("d.jsonl", '{"text": "a", "label": "x"}\n{oops\n{"text": "b", "label": "y"}\n', r"d.jsonl, line 2: not JSON"),
    (
        "e.jsonl",
        '{"text": "a", "label": "x"}\n{"text": "c"}\n{"text": "b", "label": "y"}\n',
        r"e.jsonl, line 2: no 'label'",
    ),
    ("f.csv", "text,label\none,x\ntwo,\nthree,y\n", r"f.csv, line 3: column 'label' is empty"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD_ROWS)
def test_a_bad_row_is_named_or_counted(tmp_path, name, text, message):
    path = write(tmp_path / name, text)
    with pytest.raises(DataError, match=message):
        tables.read(path)
    data = tables.read(path, Choice(skip_bad=True))
    assert data.skipped == 1 and data.labels == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "choice", "message"),
    [
        ("", Choice(), "empty"),
        ("text,label\n", Choice(), "no row with data"),
        ("text\nabc\n", Choice(), "one column"),
        ("text,label\na,x\n", Choice(label_column="klass"), "no column 'klass'; columns: text, label"),
        ("text,label\na,x\n", Choice(text_column="txt"), "no column 'txt'"),
        ('text,label\n"a,x\n', Choice(), "line 2: unexpected end of data"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, choice, message):
    with pytest.raises(DataError, match=message):
        tables.read(write(tmp_path / "a.csv", text), choice)


def test_every_class_is_split_alike():
    labels = ["a"] * 80 + ["b"] * 20 + ["c"]
    train, valid, test = tables.split(labels, [0.1, 0.2], seed=0)
    assert sorted(np.concatenate([train, valid, test])) == list(range(101))
    assert sum(labels[i] == "a" for i in valid) == 8 and sum(labels[i] == "b" for i in test) == 4
    assert 100 in train, "a class with one row stays in training"


def test_conll_columns(tmp_path):
    path = write(
        tmp_path / "a.conll", "-DOCSTART- O\r\n\r\nEU\tNNP\tB-ORG\r\nrejects\tVBZ\tO\r\n\t\r\nBonn\tNNP\tB-LOC"
    )
    found = conll.read(path)
    assert found.tokens == [["EU", "rejects"], ["Bonn"]] and found.tags == [["B-ORG", "O"], ["B-LOC"]]


def test_conll_with_a_broken_line(tmp_path):
    path = write(tmp_path / "a.conll", "EU B-ORG\nrejects\nBonn B-LOC\n")
    with pytest.raises(DataError, match=r"a.conll, line 2: 1 columns, expected 2: 'rejects'"):
        conll.read(path)
    assert conll.read(path, skip_bad=True).skipped == 1


SERIES = "date,site,temp,load\nmon,A,1,10\ntue,A,2,20\nmon,B,3,30\ntue,B,4,40\n"


def test_series_by_name(tmp_path):
    table = series.read(write(tmp_path / "s.csv", SERIES), series.Wanted(series="site"))
    assert table.columns == ["temp", "load"] and table.target == 1
    np.testing.assert_array_equal(table.series["B"], [[3, 30], [4, 40]])
    assert series.read(write(tmp_path / "s.csv", SERIES), series.Wanted(target="temp")).target == 0


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (SERIES.replace("2,20", "NaN,20"), {}, r"s.csv, line 3: column 'temp': 'NaN' is no finite number \(--skip-bad"),
        (SERIES.replace("2,20", ",20"), {}, r"line 3: column 'temp' is empty"),
        (SERIES.replace("2,20", "2"), {}, "line 3: 3 columns, expected 4"),
        (SERIES, {"target": "wind"}, "no column 'wind'; columns: date, site, temp, load"),
        (SERIES, {"target": "site"}, "column 'site' holds no numbers"),
        ("a,b\n", {}, "a header and no rows"),
        ("", {}, "empty"),
    ],
)
def test_bad_series(tmp_path, text, options, message):
    with pytest.raises(DataError, match=message):
        series.read(write(tmp_path / "s.csv", text), series.Wanted(**options))


def rows_of(header, *columns):
    return "\n".join([header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"


N = range(40)
WAVE, NOISE = [i % 7 for i in N], [i * i % 11 for i in N]
TARGETS = {  # what a person's table looks like: the column that is forecast, the columns that are read
    "a row number at the end": (rows_of("load,index", WAVE, N), "load", ["load"]),
    "pandas' unnamed index": (rows_of(",load,temp", N, WAVE, NOISE), "temp", ["load", "temp"]),
    "a time stamp with gaps": (rows_of("load,timestamp", WAVE, [1.6e9 + i * i for i in N]), "load", ["load"]),
    "an even clock under any name": (rows_of("load,minutes", WAVE, [15 * i for i in N]), "load", ["load"]),
    "a named target": (rows_of("value,temp", WAVE, NOISE), "value", ["value", "temp"]),
    "a calendar": (rows_of("load,month,hour", WAVE, NOISE, WAVE), "load", ["load", "month", "hour"]),
    "a sum that only rises": (rows_of("load,total", WAVE, [i * i for i in N]), "load", ["load", "total"]),
    "nothing but a counter": (rows_of("day", N), "day", ["day"]),
}


@pytest.mark.parametrize("case", TARGETS)
def test_what_is_forecast_when_nothing_is_said(tmp_path, case):
    text, target, columns = TARGETS[case]
    table = series.read(write(tmp_path / "s.csv", text))
    assert (table.columns[table.target], table.columns) == (target, columns)
    left = set(text.split("\n")[0].split(",")) - set(columns)
    assert all(any(f"count up: {name}" in note for note in table.notes) for name in left), table.notes
    assert len(text.split("\n")[0].split(",")) == 1 or any(f"{target!r} is forecast" in note for note in table.notes)


def test_a_counter_is_forecast_when_asked_for(tmp_path):
    table = series.read(write(tmp_path / "s.csv", rows_of("load,index", WAVE, N)), series.Wanted(target="index"))
    assert table.columns == ["load", "index"] and table.target == 1


@pytest.mark.parametrize("times", ["date", "number"])
def test_series_are_told_apart_where_the_time_repeats(tmp_path, times):
    days = [f"2024-01-{i // 2 + 1:02}" if times == "date" else i // 2 for i in N]
    text = rows_of("day,store,open,sales", days, ["AB"[i % 2] for i in N], [i % 3 % 2 for i in N], WAVE)
    table = series.read(write(tmp_path / "s.csv", text))
    assert table.group == "store" and list(table.series) == ["A", "B"] and table.columns == ["open", "sales"]
    one = rows_of("day,weather,load", [f"2024-01-{i + 1:02}" for i in N], ["wet" if i % 3 else "dry" for i in N], WAVE)
    assert series.read(write(tmp_path / "s.csv", one)).group is None


def test_windows_look_ahead_by_the_horizon():
    values = np.arange(10.0)[:, None]
    windows = series.cut({"": values}, 0, 3, 2, 1, np.zeros(1), np.ones(1))
    assert windows.inputs.shape == (6, 3, 1)
    assert (
        windows.inputs[2, :, 0].tolist() == [2, 3, 4] and windows.targets[2].tolist() == [5, 6] and windows.last[2] == 4
    )


DAYS = [f"2024-01-{i + 1:02}" for i in range(20)]
GERMAN = [f"{i + 1:02}.01.2024" for i in range(20)]
COUNTS = [i * 7 % 5 for i in range(20)]
# what people have: the text, the columns that are read, the first and the last value of the target, what is said
SERIES_AS_THEY_COME = {
    "decimal commas": (
        "Tag;Last\n" + "".join(f"{d};{v},5\n" for d, v in zip(GERMAN, COUNTS, strict=True)),
        ["Last"], 0.5, 3.5, "decimal commas in Last",
    ),
    "thousands": ("v\tw\n" + "".join(f"1.{v}00,25\t{v}\n" for v in COUNTS), ["v", "w"], 0, 3, "decimal commas in v"),
    "no header": (
        "".join(f"{d},{v}\n" for d, v in zip(DAYS, COUNTS, strict=True)), ["column2"], 0, 3, "no header",
    ),
    "no header, named series": ("".join(f"A,{v}\n" for v in COUNTS), ["column2"], 0, 3, "no header"),
    "one column": ("".join(f"{v}\n" for v in COUNTS), ["column1"], 0, 3, "no header"),
    "years as names": (
        "month,2019,2020\n" + "".join(f"m{v},{v},{v + 1}\n" for v in COUNTS), ["2019", "2020"], 1, 4, "",
    ),
    "names of several words": (
        "day,load in kW (mean)\n" + "".join(f"d,{v}\n" for v in COUNTS), ["load in kW (mean)"], 0, 3, "",
    ),
    "latest first": (
        "date,v\n" + "".join(f"{d},{v}\n" for d, v in zip(DAYS[::-1], COUNTS, strict=True)),
        ["v"], 3, 0, "turned round, because 'date'",
    ),
    "latest first, numbers": (
        "timestamp,v\n" + "".join(f"{9000 - 60 * i},{v}\n" for i, v in enumerate(COUNTS)),
        ["v"], 3, 0, "turned round, because 'timestamp'",
    ),
    "latest first, day first": (
        "when;v\r\n" + "".join(f"{d} 12:00;{v}\r\n" for d, v in zip(GERMAN[::-1], COUNTS, strict=True)),
        ["v"], 3, 0, "turned round, because 'when'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SERIES_AS_THEY_COME)
def test_series_as_they_come(tmp_path, case):
    text, columns, first, last, note = SERIES_AS_THEY_COME[case]
    table = series.read(write(tmp_path / "s.csv", text))
    (values,) = table.series.values()
    assert table.columns == columns and len(values) == 20
    assert (values[0, table.target], values[-1, table.target]) == (first, last)
    assert any(found.startswith(note) for found in table.notes) if note else not any("header" in n for n in table.notes)


def test_a_series_of_objects(tmp_path):
    rows = "".join(f'{{"date": "{d}", "v": {v}, "w": null}}\n' for d, v in zip(DAYS, COUNTS, strict=True))
    table = series.read(write(tmp_path / "s.jsonl", rows))
    assert table.columns == ["v"] and table.series[""][:, 0].tolist() == COUNTS
    with pytest.raises(DataError, match="line 21: no 'w'"):
        series.read(write(tmp_path / "s.jsonl", rows + '{"date": "x", "v": 1}\n'))


TABLES_AS_THEY_COME = {
    "text that holds semicolons": ("".join(f"a; b{i},{'xy'[i % 2]}\n" for i in range(9)), "a; b1", "y"),
    "bars": ("text|label\n" + "".join(f"a, b{i}|{'xy'[i % 2]}\n" for i in range(9)), "a, b1", "y"),
    "decimal commas": ("a;b;label\n" + "".join(f"{i},5;-,25;{'xy'[i % 2]}\n" for i in range(9)), [[1.5], [-0.25]], "y"),
    "pandas' index": (",a,b,label\n" + "".join(f"{i},{i},2,{'xy'[i % 2]}\n" for i in range(9)), [[1], [2]], "y"),
}


@pytest.mark.parametrize("case", TABLES_AS_THEY_COME)
def test_tables_as_they_come(tmp_path, case):
    text, value, label = TABLES_AS_THEY_COME[case]
    if case == "decimal commas":
        text = text.replace("-,25", "-0,25")
    data = tables.read(write(tmp_path / "d.csv", text))
    found = data.inputs[1] if isinstance(value, str) else data.inputs[1].tolist()
    assert (found, data.labels[1]) == (value, label)


def test_excels_unicode_text(tmp_path):
    data = tables.read(write(tmp_path / "d.txt", "text\tlabel\r\ngrün\tx\r\nrot\ty\r\n", "utf-16"))
    assert data.inputs == ["grün", "rot"] and data.labels == ["x", "y"]


def test_a_folder_per_class_with_a_table_per_example(tmp_path):
    for label in ("walk", "run"):
        for i in range(3):
            (tmp_path / label).mkdir(exist_ok=True)
            rows = "".join(f"{t / 50},{t % 3},{t * i % 5}\n" for t in range(12 + i))
            write(tmp_path / label / f"{i}.csv", "t,ax,ay\n" + rows)
    write(tmp_path / "README.md", "")
    write(tmp_path / "run" / "notes.txt", "x")
    data = folders.read(tmp_path)
    assert data.source == ["ax", "ay"] and data.kind == "values" and data.labels == ["run"] * 3 + ["walk"] * 3
    assert [value.shape for value in data.inputs] == [(12, 2), (13, 2), (14, 2)] * 2
    said = "; ".join(data.notes)
    assert "only count up: t" in said and "in the folders: 1 .txt" in said and "left out: 1 .md" in said
    np.testing.assert_array_equal(folders.read_values(tmp_path / "run" / "1.csv", ["ay"])[:, 0], data.inputs[1][:, 1])
    write(tmp_path / "run" / "9.csv", "t,ax\n1,2\n")
    with pytest.raises(DataError, match=r"9.csv: no column 'ay'.*--skip-bad"):
        folders.read(tmp_path)
    assert folders.read(tmp_path, skip_bad=True).skipped == 1


def test_a_folder_per_class_with_a_text_per_example(tmp_path):
    for label in ("pos", "neg"):
        (tmp_path / label).mkdir()
        write(tmp_path / label / "1.txt", f"It was\n\n{label}.\n")
    data = folders.read(tmp_path)
    assert data.inputs == ["It was\n\nneg.", "It was\n\npos."] and data.labels == ["neg", "pos"] and data.whole_files


def test_a_folder_says_what_it_leaves_out(tmp_path):
    for name in ("a.txt", "b.txt", "c.csv", "d.docx", "e.docx", ".hidden"):
        write(tmp_path / name, "x\n")
    write(tmp_path / "f.txt", " \n")
    assert folders.read(tmp_path).notes == [
        "left out: f.txt, which is empty",
        "left out: 2 .docx, 1 .csv (only .txt files are read here)",
    ]
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    with pytest.raises(DataError, match=r"there are 2 \.docx, 1 \.csv"):
        folders.read(tmp_path)


SENTENCES = [["Anna", "ran"], ["Bob"]], [["B-PER", "O"], ["B-PER"]]
TAGGED = {
    "a column numbers the sentences": ("d.csv", "id,word,tag\n1,Anna,B-PER\n1,ran,O\n2,Bob,B-PER\n"),
    "its first row names a sentence": (
        "d.csv",
        "Sentence #,Word,POS,Tag\nS: 1,Anna,N,B-PER\n,ran,V,O\nS: 2,Bob,N,B-PER\n",
    ),
    "lists": (
        "d.jsonl",
        '{"tokens": ["Anna", "ran"], "tags": ["B-PER", "O"]}\n{"tokens": ["Bob"], "tags": ["B-PER"]}\n',
    ),
}


@pytest.mark.parametrize("case", TAGGED)
def test_tagged_sentences_in_tables(tmp_path, case):
    name, text = TAGGED[case]
    found = conll.read(write(tmp_path / name, text))
    assert (found.tokens, found.tags) == SENTENCES


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", "word,tag\nAnna,O\n", "expected columns sentence/id, token/word, tag/ner/label; there are word, tag"),
        ("d.csv", "id,word,tag\n1,Anna,O\n1,,O\n", "line 3: no token"),
        ("d.jsonl", '{"tokens": ["a"], "tags": []}\n', "line 1: expected lists `tokens` and `tags` of one length"),
    ],
)
def test_tagged_sentences_that_are_none(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        conll.read(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "source,target\nab,ba\ncd,dc\n"),
        ("p.csv", "id;target;source\n1;ba;ab\n2;dc;cd\n"),
        ("p.jsonl", '{"source": "ab", "target": "ba"}\n{"target": "dc", "source": "cd"}\n'),
        ("p.txt", "\ufeffab\tba\r\ncd\tdc\r\n"),
    ],
)
def test_pairs_in_tables(tmp_path, name, text):
    found = pairs.read(str(write(tmp_path / name, text)))
    assert (found.sources, found.targets) == (["ab", "cd"], ["ba", "dc"])


def test_points_part_thousands_where_commas_are_decimal(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("t;v\n" + "0;1.234\n1;12,5\n2;-7.000.000\n3;8\n" * 3)
    assert series.read(table).series[""][:4, -1].tolist() == [1234, 12.5, -7e6, 8]
    for other in ("12.5", "0.500"):
        table.write_text(f"t;v\n0;1,234\n1;{other}\n2;3,5\n")
        with pytest.raises(DataError, match=f"line 3: column 'v': '{other}' has a decimal point, '1,234' a comma"):
            series.read(table)


def test_columns_without_numbers_are_named(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("date,v,w\n" + "".join(f'2020-01-{i:02},"1,{i}",{i % 3}\n' for i in range(10, 25)))
    found = series.read(table)
    assert found.columns == ["w"] and "left out, because they hold no numbers: v ('1,10')" in found.notes


def test_a_list_that_holds_no_numbers_is_no_text(tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text('{"s": [1, null, 2], "label": "a"}\n')
    with pytest.raises(DataError, match="line 1: column 's': neither a text nor a sequence of numbers"):
        tables.read(table)
