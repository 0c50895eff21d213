"""Programs of Python 2: its files, built-ins and modules; expected values are what Python 2.7 prints."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from recurra.tf1 import runner
from recurra.tf1.compat import python2_files, python2_names
from recurra.tf1.compat.python2 import looks_like_python2


def run(tmp_path: Path, source: str, **modules: str) -> int:
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "program.py").write_text(source)
    return runner.run(tmp_path / "program.py", [], runner.Options(quiet=True))


def test_files_take_and_give_strings_in_every_mode(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = """
import csv, gzip, json, cPickle, struct
f = open("words.txt", "wb"); f.write("a b\\n"); f.writelines([u"\\xe9 b\\n".encode("utf-8")]); f.close()
print [line.strip().split(" ") for line in open("words.txt", "rb")]
w = csv.writer(open("t.csv", "wb")); w.writerow(["x", 1]); del w
print list(csv.reader(open("t.csv", "rb")))
json.dump({"k": "v"}, open("k.json", "wb")); print json.loads(open("k.json").read(), encoding="utf-8")["k"]
cPickle.dump({"a": 1}, open("p.pkl", "wb"), -1); print cPickle.load(open("p.pkl", "rb"))
cPickle.dump([2], open("q.pkl", "w")); print cPickle.load(open("q.pkl"))
g = gzip.open("g.gz", "wb"); g.write("one\\ntwo\\n"); g.close(); print gzip.open("g.gz").read().split("\\n")
open("b.bin", "wb").write(struct.pack(">II", 2051, 3)); print struct.unpack(">II", open("b.bin", "rb").read(8))
"""
    assert run(tmp_path, source) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "[['a', 'b'], ['é', 'b']]",
        "[['x', '1']]",
        "v",
        "{'a': 1}",
        "[2]",
        "['one', 'two', '']",
        "(2051, 3)",
    ]
    assert (tmp_path / "words.txt").read_bytes() == b"a b\n\xc3\xa9 b\n"


def test_text_of_another_encoding_is_decoded_as_the_program_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poem.txt").write_bytes("春眠".encode("gbk"))
    assert (
        run(
            tmp_path,
            'print open("poem.txt").read().decode("gbk"), "abc".encode("hex"), "\\xe9a".encode("ascii", "ignore")',
        )
        == 0
    )
    assert capsys.readouterr().out == "春眠 616263 a\n"


def test_text_is_told_from_other_data_by_its_bytes():
    assert python2_files.text_encoding(b"tab\there\n") == "utf-8"
    assert python2_files.text_encoding("é".encode()[:1]) == "utf-8"  # a character cut in two at the end of the look
    assert python2_files.text_encoding(b"caf\xe9 au lait") == "latin-1"
    assert python2_files.text_encoding(b"\x80\x02}q\x00.") is None
    held = python2_files.StringIO()
    held.write("one\ntwo\n")
    assert held.getvalue() == "one\ntwo\n" and python2_files.StringIO("a\nb").readlines() == ["a\n", "b"]
    assert python2_files.StringIO(b"\x89PNG\x00").read(4) == b"\x89PNG"


def test_builtins_and_modules(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = """
import hashlib, itertools, string, sys
print sorted([3, 1, 2], cmp=lambda a, b: b - a), cmp(2, 1), round(2.5), round(-0.5), round(1.25, 1)
words = ["b", "a"]; words.sort(lambda a, b: cmp(a, b)); print words
print map(None, [1, 2], [3]), filter(lambda c: c != "b", "abc"), zip([1], [2])[0], map(int, "1 2".split())
print string.letters[:2], string.join(["a", "b"], "-"), "a,b.".translate(None, string.punctuation)
print list(itertools.izip([1], [2])), itertools.imap(str, [1]).next(), hashlib.md5("abc").hexdigest()
try:
    raise ValueError, "why"
except ValueError, e:
    print e.message
table = {b"_PAD": 0}; print table["_PAD"], file.__name__ != ""
"""
    assert run(tmp_path, source) == 0
    assert capsys.readouterr().out.splitlines() == [
        "[3, 2, 1] 1 3.0 -1.0 1.3",
        "['a', 'b']",
        "[(1, 3), (2, None)] ac (1, 2) [1, 2]",
        "ab a-b ab",
        f"[(1, 2)] 1 {hashlib.md5(b'abc').hexdigest()}",
        "why",
        "0 True",
    ]
    assert io.StringIO is not python2_files.StringIO and not python2_files.in_force


def test_rounding_keeps_what_is_no_half():
    assert python2_names.round_half_away(2.675, 2) == round(2.675, 2) == 2.67
    assert python2_names.round_half_away(-2.5) == -3.0 and python2_names.round_half_away(3) == 3.0


def test_one_module_of_python2_makes_the_program_one(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path, "import a_py2_helper\nprint(7 / 2)\n", a_py2_helper="def show(x):\n    print 'x', x\n") == 0
    assert capsys.readouterr().out == "3\n"
    assert run(tmp_path, "import a_py3_helper\nprint(7 / 2)\n", a_py3_helper="def show(x):\n    print('x', x)\n") == 0
    assert capsys.readouterr().out == "3.5\n"


def test_fetched_strings_are_text_to_a_program_of_python2(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = """
import tensorflow as tf
with tf.Session() as session:
    print session.run(tf.constant(["cat", "dog"]))[1] == "dog", tf.compat.as_bytes("x") + "y"
with tf.gfile.GFile("v.txt", "wb") as f: f.write("a b\\n")
with tf.gfile.GFile("v.txt", "rb") as f: print [line.split(" ") for line in f]
"""
    assert run(tmp_path, source) == 0
    assert capsys.readouterr().out == "True xy\n[['a', 'b\\n']]\n"


@pytest.mark.parametrize("source", ["import string\nprint(string.letters)", "reduce(f, x)", "import sys\nsys.maxint"])
def test_more_signs_of_python2(source):
    assert looks_like_python2(source) is not None
    assert looks_like_python2("from functools import reduce\nreduce(f, x)") is None


def test_lists_expected_of_what_python3_gives_iterators_for():
    assert looks_like_python2("pairs = zip(a, b)\nprint(pairs[:3])") == "a list expected of pairs on line 2"
    assert looks_like_python2("def f(d):\n    return d.keys()[0]") is not None
    assert looks_like_python2("pairs = list(zip(a, b))\nprint(pairs[0])") is None
    assert looks_like_python2("pairs = zip(a, b)\ndef f(pairs):\n    return pairs[0]") is None
    assert looks_like_python2("import pandas as pd\npd.read_csv(f).keys()[0]") is None


def test_processes_and_settings(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names").write_text("[data]\nvocab = vocab%d.txt\nbase = d\nfile = %(base)s/x\n")
    source = """
import ConfigParser, subprocess
config = ConfigParser.ConfigParser(); config.read("names")
print config.get("data", "vocab") % 3, config.get("data", "file")
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print p.communicate("a b")[0].split(" "), subprocess.check_output(["echo", "hi"]).split("\\n")
"""
    assert run(tmp_path, source) == 0
    assert capsys.readouterr().out == "vocab3.txt d/x\n['a', 'b'] ['hi', '']\n"


def test_an_array_beside_an_empty_list_is_another_value(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "import numpy as np\nprint([x != [] for x in (np.zeros(3), [], [1])], np.ones(2) == [])"
    assert run(tmp_path, source) == 0
    assert capsys.readouterr().out == "[True, False, True] False\n"


def test_methods_of_the_programs_own_that_are_called_like_those_of_text(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = """
class Model(object):
    def decode(self, cell, state, outputs): return cell + state + outputs
    def encode(self, x, reverse=False): return x, reverse
    def sort(self, by, cmp=None): return by
    def translate(self, a, b): return a + b
m = Model()
print m.decode(1, 2, 3), m.encode(1, reverse=True), m.sort("x"), m.sort("y", cmp=1), m.translate(1, 2)
"""
    assert run(tmp_path, source) == 0
    assert capsys.readouterr().out == "6 (1, True) x y 3\n"
