"""recurra run: programs as __main__, the import hook, Python 2, notebooks, missing names, --check, --report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from recurra.tf1 import check, eras, program, runner
from recurra.tf1.missing import MissingName, missing_name, nearest

QUIET = runner.Options(quiet=True)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_program_runs_as_main(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(
        tmp_path,
        "p.py",
        """
import sys
import tensorflow as tf
from tensorflow.contrib import rnn
import helper
if __name__ == "__main__":
    a = tf.placeholder(tf.float32, [2])
    with tf.Session() as sess:
        here = sys.modules["__main__"].__file__ == __file__
        print(sess.run(a * helper.TWO, {a: [1, 2]}), sys.argv[1:], tf.__version__, here)
""",
    )
    write(tmp_path, "helper.py", "import tensorflow as tf\nTWO = tf.constant(2.0)\n")
    before = (list(sys.meta_path), list(sys.path), list(sys.argv), sys.modules["__main__"])
    assert runner.run(path, ["--x", "1"]) == 0
    output = capsys.readouterr()
    assert output.out == "[2. 4.] ['--x', '1'] 1.8.0 True\n"
    assert output.err.count("\n") == 1 and "TensorFlow 1.8.0" in output.err
    assert (list(sys.meta_path), list(sys.path), list(sys.argv), sys.modules["__main__"]) == before
    assert not [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]
    assert eras.current() == eras.LATEST


def test_exit_codes_and_tracebacks(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert runner.run(write(tmp_path, "a.py", "import sys; sys.exit(3)"), options=QUIET) == 3
    assert runner.run(write(tmp_path, "b.py", "import sys; sys.exit('no data')"), options=QUIET) == 1
    assert runner.run(write(tmp_path, "c.py", "def f():\n    1 / 0\nf()"), options=QUIET) == 1
    error = capsys.readouterr().err
    assert "no data" in error and 'c.py", line 3' in error and "runner.py" not in error
    with pytest.raises(FileNotFoundError, match="does not exist"):
        runner.run(tmp_path / "none.py")


def test_a_traceback_shows_the_programs_frames_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = """
import tensorflow as tf
class Cell(tf.nn.rnn_cell.RNNCell):
    state_size = output_size = 3
    def __call__(self, x, state, scope=None):
        return tf.matmul(x, tf.ones([4, 3])), state
x = tf.placeholder(tf.float32, [2, None, 3])
if tf.__version__ == "1.2.1":
    tf.nn.dynamic_rnn(Cell(), x, dtype=tf.float32)
tf.Session().run(tf.reshape(x, [-1, 4]), {x: [[[1, 2, 3]]] * 2})
"""
    path = write(tmp_path, "p.py", source)
    assert runner.run(path, options=runner.Options(quiet=True, tf_version="1.2")) == 1
    error = capsys.readouterr().err
    assert error.count('File "') == 2 and 'p.py", line 9' in error and 'p.py", line 6, in __call__' in error
    assert "but are 3 and 4 for 'rnn/while/MatMul'" in error and "--debug shows them" in error
    assert runner.run(path, options=QUIET) == 1
    error = capsys.readouterr().err
    assert error.count('File "') == 1 and "multiple of 4" in error and "direct cause" not in error
    assert runner.run(path, options=runner.Options(quiet=True, debug=True)) == 1
    error = capsys.readouterr().err
    assert error.count('File "') > 3 and "session.py" in error and "not shown" not in error


def test_python2(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = """
import cPickle
from other import half
data = {'a': 1}
for k, v in data.iteritems():
    print k, v, 7 / 2, 7 / 2.0, half(9)
x = 5
x /= 2
print x, u'\\xe9'.encode('utf-8'), sorted(map(str, xrange(3)))
cPickle.dump(data, open('d.pkl', 'w'))
print cPickle.load(open('d.pkl'))
"""
    path = write(tmp_path, "old.py", source)
    write(tmp_path, "other.py", "def half(n):\n    print 'half'\n    return n / 2\n")
    import os

    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert runner.run(path) == 0
    finally:
        os.chdir(here)
    output = capsys.readouterr()
    assert output.out.splitlines() == ["half", "a 1 3 3.5 4", "2 é ['0', '1', '2']", "{'a': 1}"]
    assert "Python 2 source" in output.err and "lines rewritten" in output.err


def test_python2_is_recognised_only_where_it_is() -> None:
    from recurra.tf1.compat.python2 import looks_like_python2, rewrite

    assert looks_like_python2("print 'a'") is not None
    assert looks_like_python2("for i in xrange(3): pass") == "xrange on line 1"
    assert looks_like_python2("try:\n    xrange\nexcept NameError:\n    xrange = range\nxrange(3)") is None
    assert looks_like_python2("print('a')") is None
    with pytest.raises(SyntaxError, match="Python 2 cannot read it either") as error:
        rewrite("def (:", "x.py")
    assert (error.value.filename, error.value.lineno, error.value.text) == ("x.py", 1, "def (:\n")
    with pytest.raises(SyntaxError, match="neither Python 3 nor Python 2") as error:
        rewrite("print 'a'\nfor i in xrange(3) print i\n", "x.py")
    assert (error.value.lineno, error.value.text) == (2, "for i in xrange(3) print i")


def notebook(path: Path, *cells: str) -> Path:
    book = {"cells": [{"cell_type": "code", "source": cell.splitlines(True)} for cell in cells], "nbformat": 4}
    path.write_text(json.dumps(book))
    return path


@pytest.mark.parametrize("text", ["{bad", "[1]", ""])
def test_what_is_no_notebook_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.ipynb").write_text(text)
    with pytest.raises(ValueError, match=r"x\.ipynb is not a notebook"):
        program.load(tmp_path / "x.ipynb")


def test_notebook(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    cells = [
        "%matplotlib inline\nimport tensorflow as tf\n!ls",
        "x = 3\nx",
        "%%bash\nrm -rf x",
        "1 / 0",
        "print('after')",
    ]
    path = notebook(tmp_path / "n.ipynb", *cells)
    assert runner.run(path, options=QUIET) == 1
    output = capsys.readouterr()
    assert output.out == "3\n" and "n.ipynb[3]" in output.err
    assert runner.run(path, options=runner.Options(quiet=True, keep_going=True)) == 1
    assert capsys.readouterr().out == "3\nafter\n"


def test_timed_statements_run_and_futures_last(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A magic before `from __future__` does not stop it, and later cells keep what it brought."""
    cells = [
        "# first\n%matplotlib inline\nfrom __future__ import print_function, division",
        "%time x = xrange(3)[1]\nif x:\n    %who\nprint('x', x, 3 / 2)",
    ]
    assert runner.run(notebook(tmp_path / "n.ipynb", *cells), options=QUIET) == 0
    assert capsys.readouterr().out == "x 1 1.5\n"


def test_split_as_before_python_3_7(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Python 2.7 and 3.6 print these."""
    source = (
        "import re\nprint(re.split(r'(\\W+)?', 'Is Mary in?'), re.split('x*', 'axbc', 1), re.split(',', 'a,b,c', 1))"
    )
    assert runner.run(write(tmp_path, "p.py", source), options=QUIET) == 0
    assert capsys.readouterr().out == "['Is', ' ', 'Mary', ' ', 'in', '?', ''] ['a', 'bc'] ['a', 'b,c']\n"


def test_cells_that_are_indented_or_unfinished(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Exercises leave gaps that only their own cell stumbles over."""
    indented = "    a = 1\n    if a:\n        print('indented')\n"
    path = notebook(tmp_path / "n.ipynb", indented, "b = # your turn", "print('last', 1 / 2)")
    assert runner.run(path, options=QUIET) == 1
    output = capsys.readouterr()
    assert output.out == "indented\n" and "SyntaxError" in output.err
    assert runner.run(path, options=runner.Options(quiet=True, keep_going=True)) == 1
    assert capsys.readouterr().out == "indented\nlast 0.5\n"


def test_an_era_spans_the_cells_of_a_notebook(tmp_path: Path) -> None:
    path = notebook(tmp_path / "n.ipynb", "import tensorflow as tf", "tf.split(0, 3, x)")
    assert runner.guess_era(program.load(path)).era.text == "0.12.1"


def test_missing_names(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = """
import tensorflow as tf
from tensorflow.contrib.nowhere import Thing
import tensorflow.contrib.elsewhere as ew
try:
    from tensorflow.contrib.nowhere import other
except ImportError:
    print('fallback')
print(hasattr(tf, 'no_such_name'), hasattr(tf, 'constant'))
for use in (lambda: Thing(3), lambda: Thing.x, lambda: tf.nn.dynamic_rn, lambda: ew.f):
    try:
        use()
    except NotImplementedError as error:
        print(error)
class Sub(Thing):
    pass
print("derived")
Sub()
"""
    path = write(tmp_path, "m.py", source)
    assert runner.run(path, options=QUIET) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["fallback", "False True"]
    assert "tf.contrib.nowhere.Thing is not implemented in recurra" in lines[2] and "m.py:10" in lines[2]
    assert "the nearest name that is: tf.nn.dynamic_rnn" in lines[4]
    assert "tf.contrib.elsewhere.f" in lines[5]
    assert lines[6] == "derived"


def test_the_error_of_a_missing_name() -> None:
    error = missing_name("tf.contrib.tpu.run", ["train.run"], place="p.py:3")
    assert (
        isinstance(error, MissingName) and isinstance(error, NotImplementedError) and isinstance(error, AttributeError)
    )
    assert "outside recurra's scope" in str(error) and "p.py:3" in str(error)
    assert nearest("nn.sofmax", ["nn.softmax", "softplus"]) == "nn.softmax"
    assert nearest("contrib.rnn.LSTMCel", ["nn.rnn_cell.LSTMCell", "contrib.rnn.LSTMCell"]) == "contrib.rnn.LSTMCell"
    assert nearest("zzzzzz", ["nn.softmax"]) is None


def test_inner_modules(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = """
import tensorflow.compat.v1 as tf1
import tensorflow as tf
from tensorflow.python.ops import array_ops, rnn_cell, variable_scope as vs
from tensorflow.python.ops.rnn_cell import *
from tensorflow.python.framework import dtypes, ops
from tensorflow.core.framework import variable_pb2
from tensorflow.models.rnn import rnn_cell as old
from tensorflow.python.client import device_lib
print(array_ops.reshape is tf.reshape, rnn_cell.GRUCell is tf.nn.rnn_cell.GRUCell, GRUCell is rnn_cell.GRUCell)
print(vs.get_variable is tf.get_variable, dtypes.float32 is tf.float32, tf1.placeholder is tf.placeholder)
print(old.BasicLSTMCell is tf.nn.rnn_cell.BasicLSTMCell, variable_pb2.VariableDef(variable_name="v").variable_name)
from tensorflow.contrib.layers.python.layers import layer_norm, layers
print(layer_norm is tf.contrib.layers.layer_norm, layers.layer_norm is layer_norm)
print(ops.get_default_graph() is tf.get_default_graph(), [d.device_type for d in device_lib.list_local_devices()])
"""
    assert runner.run(write(tmp_path, "i.py", source), options=QUIET) == 0
    assert capsys.readouterr().out.splitlines() == [
        "True True True",
        "True True True",
        "True v",
        "True True",
        "True ['CPU']",
    ]


def test_a_program_inside_a_package(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Programs that were started as `python -m package.program` import their neighbours relatively."""
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        write(folder, "__init__.py", "")
    write(inner.parent, "other.py", "X = 5\n")
    write(inner.parent, "outer.py", "X = 0  # not what `outer` means\n")
    write(inner, "mine.py", "Y = 6\n")
    text = "from .. import other\nfrom . import mine\nfrom outer.other import X\nprint(other.X, mine.Y, X, __name__)"
    assert runner.run(write(inner, "p.py", text), options=QUIET) == 0
    assert capsys.readouterr().out == "5 6 5 __main__\n"


def test_implicit_relative_imports(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Packages of Python 2 programs import their own files without a dot."""
    folder = tmp_path / "models"
    folder.mkdir()
    write(folder, "__init__.py", "from cells import CELL\n")
    write(folder, "cells.py", "CELL = 7\n")
    assert runner.run(write(tmp_path, "p.py", "from models import CELL\nprint(CELL)"), options=QUIET) == 0
    assert capsys.readouterr().out == "7\n"


def test_a_package_above_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """`PYTHONPATH=. python tasks/train.py` of a repository of Python 2."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "ours_above").mkdir()
    write(tmp_path / "ours_above", "__init__.py", "")
    write(tmp_path / "ours_above", "a.py", "from b_beside import two\nprint two")
    write(tmp_path / "ours_above", "b_beside.py", "from c_beside import two")
    write(tmp_path / "ours_above", "c_beside.py", "two = 2")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write(tmp_path / "tasks", "p.py", "import ours_above.a\nprint 'done'")
    assert runner.run(path, options=QUIET) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "2\ndone\n"
    for name in ("ours_above", "ours_above.a", "b_beside", "c_beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_contrib_as_an_attribute(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Most programs write tf.contrib.rnn.X and never import a module of contrib."""
    text = "import tensorflow as tf\nc = tf.contrib\nprint(c.rnn.GRUCell(3).state_size, tf.contrib.rnn)"
    assert runner.run(write(tmp_path, "p.py", text), options=QUIET) == 0
    assert capsys.readouterr().out.startswith("3 <module ")


def test_a_programs_own_module_below_tensorflow_models(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write(tmp_path, "data_utils.py", "GO = 1")
    source = "from tensorflow.models.rnn.translate import data_utils\nprint(data_utils.GO)"
    assert runner.run(write(tmp_path, "translate.py", source), options=QUIET) == 0
    assert capsys.readouterr().out == "1\n"


def test_check(tmp_path: Path) -> None:
    source = "import tensorflow as tf\ntf.nn.relu(x)\ntf.nn.rleu(x)\ntf.train.Saver.nothing\n"
    report = check.check(write(tmp_path, "c.py", source))
    assert report.used == ("nn.relu", "nn.rleu", "train.Saver.nothing")
    assert [f.name for f in report.missing] == ["nn.rleu", "train.Saver.nothing"]
    assert report.missing[0].nearest == "nn.relu" and report.missing[0].places[0].endswith("c.py:3")


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path, "r.py", "import tensorflow as tf\ntf.constant(1)\ntf.constant(2)\n")
    assert runner.run(path, options=runner.Options(report=True)) == 0
    line = next(x for x in capsys.readouterr().err.splitlines() if x.startswith("tf.constant"))
    assert line.split()[1] == "2" and "r.py:2" in line and "r.py:3" in line


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from recurra.tf1.__main__ import main

    path = write(tmp_path, "v.py", "import sys, tensorflow as tf\nprint(tf.__version__, sys.argv[1:])")
    assert main(["--tf-version", "0.10", "--quiet", str(path), "--tf-version", "x"]) == 0
    assert capsys.readouterr().out == "0.10.0 ['--tf-version', 'x']\n"
    assert main(["--tf-version", "3.0", str(path)]) == 2
    assert "not known" in capsys.readouterr().err


def test_old_numpy_calls(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = """
import numpy as np, collections, time
a = np.array([3.5])
print(int(a), float(a), np.array([1], np.int32).tostring() == b'\\x01\\0\\0\\0', np.array([[1], [1, 2]]).dtype)
print(np.int is int, issubclass(list, collections.Iterable), time.clock() >= 0, np.float32(0.5), [np.float32(0.5)])
import pickle
np.save('a.npy', np.array([{}]))
print(np.load('a.npy')[0])
import scipy.misc, sklearn.cross_validation
print(scipy.misc.imresize(np.zeros((4, 4), np.uint8), 50).shape)
from sklearn.manifold import TSNE
print(TSNE(n_components=2, n_iter=300).max_iter)
import yaml
print(yaml.load("a: [1, 2]"))
from future.utils import iteritems
from past.builtins import xrange
print(list(iteritems({1: 2})), xrange(3))
from sklearn.metrics.classification import accuracy_score
from sklearn.cross_validation import KFold
from sklearn.preprocessing import OneHotEncoder
get_ipython().magic('matplotlib inline')
print(accuracy_score([1, 2], [1, 1]), [test.tolist() for _, test in KFold(4, n_folds=2)])
print(OneHotEncoder(sparse=False).fit_transform([[0], [1]]).tolist())
from PIL import Image, ImageDraw, ImageFont
image = Image.new("L", (8, 8)).resize((4, 2), Image.ANTIALIAS)
font = ImageFont.load_default()
print(image.size, len(font.getsize("a")), len(ImageDraw.Draw(image).textsize("a", font)))
"""
    path = write(tmp_path, "o.py", source.replace("'a.npy'", repr(str(tmp_path / "a.npy"))))
    assert runner.run(path, options=QUIET) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "3 3.5 True object",
        "True True True 0.5 [0.5]",
        "{}",
        "(2, 2)",
        "300",
        "{'a': [1, 2]}",
        "[(1, 2)] range(0, 3)",
        "0.5 [[0, 1], [2, 3]]",
        "[[1.0, 0.0], [0.0, 1.0]]",
        "(4, 2) 2 2",
    ]
    assert not hasattr(np, "PINF") and "scipy.misc" not in {
        n for n in sys.modules if "imresize" in vars(sys.modules[n])
    }


def test_figures_go_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    source = "import matplotlib.pyplot as plt\nplt.ion()\nplt.plot([1, 2])\nplt.pause(5)\nplt.show()\nplt.show()"
    assert runner.run(write(tmp_path, "f.py", source), options=QUIET) == 0
    assert [p.name for p in tmp_path.glob("*.png")] == ["f_figure_1.png"]
    assert "f_figure_1.png" in capsys.readouterr().err


def test_a_class_may_be_derived_from_what_is_missing_but_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = write(
        tmp_path,
        "derives.py",
        """
import tensorflow as tf
from tensorflow.python.keras.engine import network
class A(tf.estimator.BoostedTreesClassifier, object): pass
class B(network.Network): pass
for kind in (A, B):
    try:
        kind(1)
    except NotImplementedError as error:
        print(error)
print(hasattr(tf.estimator, "BoostedTreesClassifier"))
""",
    )
    assert runner.run(path, options=QUIET) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tf.estimator.BoostedTreesClassifier is not implemented in recurra (used at ")
    assert lines[1].startswith("tf.python.keras.engine.network.Network is not implemented in recurra")
    assert lines[2] == "False"


def test_source_that_python_and_numpy_once_took(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Lines of "rb" files as text, `global` after a use, a list of slices as an index, the mode of text."""
    source = """
import numpy as np
from scipy import stats
for step in range(1):
    global count
    count = 1
def more():
    "docstring"
    before = 0
    global count
    count += before + 1
class Own:
    def split(self, mark):
        return "its own"
more()
box = np.zeros([3, 3])
places = [slice(0, 2) for _ in range(2)]
box[places] = 1
rows = [row.replace("  ", " ").strip().split(" ") for row in open("rows.txt", "rb")]
print(count, more.__doc__, box.sum(), rows, Own().split(" "))
print(stats.mode(["a", "b", "b"])[0][0], stats.mode([1, 2, 2])[0][0])
"""
    (tmp_path / "rows.txt").write_bytes(b" 1  2 3\n")
    path = write(tmp_path, "p.py", source.replace("rows.txt", str(tmp_path / "rows.txt")))
    assert runner.run(path, options=QUIET) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == "2 docstring 4.0 [['1', '2', '3']] its own\nb 2\n"


def test_a_module_may_be_looked_through(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = """
import inspect
import tensorflow as tf
base, held = tf.nn.rnn_cell.RNNCell, tf.contrib.rnn.__dict__.values()
cells = [kind.__name__ for kind in held if inspect.isclass(kind) and issubclass(kind, base)]
print("BasicLSTMCell" in cells, "UGRNNCell" in cells, "relu" in vars(tf.nn), tf.nn.__name__)
"""
    assert runner.run(write(tmp_path, "looks.py", source), options=runner.Options(quiet=True)) == 0
    assert capsys.readouterr().out == "True True True tensorflow.nn\n"


def test_where_a_variable_was_made_first_are_the_programs_lines_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    source = "import tensorflow as tf\ndef make():\n    return tf.get_variable('v', [2])\nmake()\ntry:\n    make()\n"
    source += "except ValueError as error:\n    print(error)\n"
    path = write(tmp_path, "twice.py", source)
    assert runner.run(path, options=QUIET) == 0
    told = capsys.readouterr().out.partition("Originally defined at:")[2]
    places = [line.strip() for line in told.splitlines() if line.strip().startswith("File")]
    assert places == [f'File "{path}", line 4, in <module>', f'File "{path}", line 3, in make']
