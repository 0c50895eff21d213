"""The command line from outside: what it prints, what it refuses, how it ends."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from recurra.cli import main as entry
from recurra.cli.main import Commands, main, report
from recurra.errors import DataError
from recurra.training.config import build
from recurra.training.registry import RECIPES
from recurra.training.runfolder import RunFolder
from recurra.training.runs import load, train
from tests.cli.calling import FAST, call


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("own") / "words.csv"
    rows = [("ab" * (i % 4 + 1), "x") if i % 2 else ("cd" * (i % 3 + 1), "y") for i in range(80)]
    path.write_text("\ufefftext,label\r\n" + "".join(f'"{text}",{label}\r\n' for text, label in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def classifier(table, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "words"
    config = RECIPES["classify"].config_class()
    train(
        "classify",
        build(config, dict(out=out, epochs=8, hidden=12, report=False, progress=False, threads=1)),
        str(table),
    )
    return out


def test_help_lists_every_command_and_is_quick():
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "recurra.cli.main", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for name in Commands.table:
        assert name in done.stdout
    assert (
        time.monotonic() - started < 20
    )  # torch alone takes longer than that on a busy machine only if it is imported


def test_help_of_a_recipe_shows_every_option(capsys):
    for name in ("ptb", "classify"):
        code, out, _ = call(capsys, "train", name, "--help")
        assert code == 0
        for field in RECIPES[name].config_class().model_fields:
            assert f"--{field.replace('_', '-')}"[:20] in out, field


def test_a_slip_in_an_option_names_the_nearest(capsys):
    code, _, err = call(capsys, "train", "digits", "--epoch", "3")
    assert code == 2 and "--epochs" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digits", "--dropout", "2"], "dropout = '2': input should be less than 1"),
        (["train", "digits", "--optimizer", "adm"], "optimizer = 'adm': input should be 'adam' or 'sgd'"),
        (["train", "digits", "--optimizer", "adan"], "input should be 'adam' or 'sgd'; did you mean 'adam'?"),
        (["train", "digits", "--read", "state-hh"], "did you mean 'state-h'?"),
        (["train", "digits", "--cell", "lstmm"], "did you mean 'lstm'?"),
        (["train", "digits", "--cell", "lstmm", "--devices", "2"], "did you mean 'lstm'?"),
        (["train", "digits", "--device", "gpu"], "device = 'gpu': not usable here"),
        (["train", "names", "--cell", "gru", "--data", "document"], "cell 'gru' has no memory c"),
        (["train", "lm", "nowhere.txt"], "nowhere.txt: No such file"),
        (["train", "ptb", "--data-dir", "/nowhere"], "no free licence"),
        (["train", "--resume", "/nowhere"], "no run here"),
        (["evaluate", "/nowhere", "x.csv"], "no run here"),
        (["runs", "/nowhere"], "no such folder"),
        (["train", "digits", "--out", "/proc/nothing/here"], "cannot be made"),
    ],
)
def test_one_clear_line_and_no_traceback(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(capsys, *arguments)
    assert code == 1
    assert message in err and err.startswith("error: ") and err.count("\n") == 1
    assert not list(tmp_path.iterdir()), "nothing is left of a run that could not begin"


@pytest.mark.parametrize("arguments", [["trian", "digits"], ["train", "digist"]])
def test_a_slip_in_a_command_names_the_nearest(capsys, arguments):
    code, _, err = call(capsys, *arguments)
    assert code == 2 and f"did you mean '{'train' if arguments[0] == 'trian' else 'digits'}'?" in " ".join(err.split())


BAD_FILES = {
    "one class only": ("a,b\n" + "foo,x\nbar,x\n" * 5, "one class only ('x')"),
    "wrong columns": ("text,label\nfoo,x\nbar\n", "line 3: 1 columns, expected 2"),
    "empty": ("", "empty"),
    "too few": ("text,label\nfoo,x\nbar,y\n", "too few to split"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_data(capsys, tmp_path, case):
    text, message = BAD_FILES[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    code, _, err = call(capsys, "train", "classify", path, "--out", tmp_path / "run", *FAST)
    assert code == 1 and message in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists(), "nothing is left of a run that could not begin"


def test_a_class_that_training_never_saw(capsys, table, tmp_path):
    test = tmp_path / "test.csv"
    test.write_text("text,label\nab,x\ncd,z\n")
    arguments = [
        "train",
        "classify",
        table,
        "--test",
        test,
        "--epochs",
        1,
        "--hidden",
        4,
        "--out",
        tmp_path / "run",
        *FAST,
    ]
    code, _, err = call(capsys, *arguments)
    assert code == 1 and "class 'z' (1 rows) never occurs in training" in err
    code, out, _ = call(capsys, *arguments, "--skip-bad")
    assert code == 0 and "1 test" in out


def test_sequences_of_length_0_and_100000(capsys, tmp_path):
    path = tmp_path / "long.jsonl"
    rows = [{"text": "ab" * 50_000 if i == 0 else "" if i == 1 else "ab" * 3, "label": "xy"[i % 2]} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [
        "train",
        "classify",
        path,
        "--epochs",
        1,
        "--hidden",
        4,
        "--level",
        "char",
        "--out",
        tmp_path / "run",
        *FAST,
    ]
    code, out, err = call(capsys, *arguments)
    assert code == 0, err
    assert "longest sequence 2000" in out


def test_predict_from_arguments_a_file_and_a_stream(capsys, classifier, tmp_path):
    _, out, _ = call(capsys, "predict", classifier, "ababab", "cdcd")
    lines = out.splitlines()
    assert [line.split("\t")[0] for line in lines] == ["x", "y"]
    assert all(0.5 < float(line.split("\t")[1]) <= 1 for line in lines)
    file = tmp_path / "in.txt"
    file.write_text("ababab\ncdcd\n")
    assert call(capsys, "predict", classifier, file)[1] == out
    words = [sys.executable, "-m", "recurra.cli.main", "predict", str(classifier), "-"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for text, line in zip(("ababab", "cdcd"), lines, strict=True):
            process.stdin.write(text + "\n")
            process.stdin.flush()
            assert process.stdout.readline().rstrip("\n") == line, "an answer comes before the next question"
        process.stdin.close()
    assert process.returncode == 0


def test_predict_reads_the_table_it_was_trained_on(capsys, classifier, table, tmp_path):
    code, out, _ = call(capsys, "predict", classifier, table)
    truth = [line.split(",")[1] for line in table.read_text(encoding="utf-8-sig").split()[1:]]
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == truth
    bare = tmp_path / "bare.csv"
    bare.write_text("id,text\n1,ababab\n2,cdcd\n")
    assert [line.split("\t")[0] for line in call(capsys, "predict", classifier, bare)[1].splitlines()] == ["x", "y"]


def test_a_mistyped_file_name_is_no_text(capsys, classifier):
    code, out, err = call(capsys, "predict", classifier, "nosuchfile.csv")
    assert (code, out) == (1, "") and "nosuchfile.csv: No such file" in err


def test_forecast_after_the_end_of_a_file(capsys, tmp_path):
    path = tmp_path / "two.csv"
    rows = [f"{day},{site},{10 * (site == 'B') + day % 7}" for day in range(80) for site in "AB"]
    path.write_text("day,site,load\n" + "\n".join(rows) + "\n")
    out = tmp_path / "run"
    arguments = [
        "train",
        "forecast",
        path,
        "--series",
        "site",
        "--horizon",
        3,
        "--window",
        7,
        "--epochs",
        2,
        "--out",
        out,
    ]
    assert call(capsys, *arguments, *FAST)[0] == 0
    code, text, _ = call(capsys, "predict", out, path)
    lines = [line.split("\t") for line in text.splitlines()]
    assert code == 0 and [line[0] for line in lines] == ["A", "B"] and all(len(line) == 4 for line in lines)
    assert all(float(high) > float(low) for low, high in zip(lines[0][1:], lines[1][1:], strict=True))


def test_evaluate_and_runs(capsys, classifier, table):
    code, out, _ = call(capsys, "evaluate", classifier, table)
    assert code == 0 and float(dict(line.split("\t") for line in out.splitlines())["accuracy"]) > 0.9
    code, out, _ = call(capsys, "runs", classifier.parent)
    assert code == 0 and "classify" in out


def test_bad_rows_are_left_out_of_one_evaluation_only(classifier, table, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(table.read_bytes() + b'"ab",never seen\r\n')
    trained = load(classifier)
    assert trained.evaluate(str(bad), skip_bad=True) == trained.evaluate(str(table))
    with pytest.raises(DataError, match="never seen"):
        trained.evaluate(str(bad))


@pytest.mark.parametrize("name", ["mnist-static-20261128-153428", "toy-binary-20261128-153428"])
def test_the_table_of_runs_keeps_to_one_line_a_run(capsys, tmp_path, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    run = tmp_path / name
    run.mkdir()
    (run / "config.yaml").write_text("recipe: " + name[:-16])
    result = {
        "metric": "worst_point",
        "best": 0.123456,
        "test": {"worst_point": 0.987654},
        "seconds": 3599.0,
        "steps": 3000,
    }
    (run / "result.json").write_text(json.dumps(result))
    (run / "metrics.csv").write_text("step\n3000\n")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").write_text("recipe: lm")
    (tmp_path / "bent").mkdir()
    (tmp_path / "bent" / "config.yaml").write_text("no recipe")
    lines = call(capsys, "runs", tmp_path)[1].splitlines()
    rows = [line.split() for line in lines if line.strip().startswith((name, "half", "bent"))]
    assert sorted(rows) == sorted(
        [
            ["bent", "?", "broken", "0"],
            ["half", "lm", "unfinished", "0"],
            [name, name[:-16], "worst_point", "0.1235", "0.9877", "3000", "60.0"],
        ]
    )


def test_a_run_by_the_beginning_of_its_name(capsys, classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("classify-20260101-000000", "classify-20260102-000000", "mine-a", "mine-b"):
        shutil.copytree(classifier, tmp_path / "runs" / name)
    (tmp_path / "runs" / "classify-20260101-000000" / "best.pt").write_bytes(b"")
    for name in ("classify", "runs/classify", "mine-a", "runs/mine-b"):
        assert call(capsys, "predict", name, "ababab")[0] == 0, name
    code, _, err = call(capsys, "predict", "runs/mine", "ab")
    assert code == 1 and "several runs begin so: mine-a, mine-b" in err


def test_the_beginning_of_a_name_finds_the_run_that_serves(tmp_path):
    def make(name, *files):
        (tmp_path / name).mkdir()
        for file in ("config.yaml", *files):
            (tmp_path / name / file).touch()

    make("lm-20260101-000000", "artifacts.json", "best.pt", "last.pt", "result.json")
    make("lm-20260102-000000", "artifacts.json", "best.pt", "last.pt", "result.json")
    make("lm-20260103-000000", "artifacts.json", "best.pt", "last.pt")
    make("lm-20260104-000000")
    make("lm-20260105-000000", "artifacts.json", "best.pt", "last.pt", "result.json")
    (tmp_path / "lm-20260105-000000" / "config.yaml").unlink()
    assert RunFolder.open(tmp_path / "lm").path.name == "lm-20260102-000000"
    assert RunFolder.open(tmp_path / "lm", to_resume=True).path.name == "lm-20260103-000000"


def test_a_wrong_name_of_a_run_gives_the_nearest(capsys, classifier, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "there are no runs in runs" in call(capsys, "predict", "names", "x")[2]
    for name in ("names-real", "other"):
        shutil.copytree(classifier, tmp_path / "runs" / name)
    for wrong in ("nmaes-real", "runs/nmaes-real"):
        code, _, err = call(capsys, "predict", wrong, "x")
        assert code == 1 and f"{wrong}: no run here" in err and "did you mean runs/names-real?" in err
    assert "`recurra runs` lists" in call(capsys, "evaluate", "zzz", "x")[2]


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails from here on
from recurra.cli.main import main
main(sys.argv[1:])
"""


def test_what_is_not_there_is_told_before_torch_is_imported(classifier, table, tmp_path):
    slip = str(table.with_name("wrods.csv"))
    for arguments, message in (
        (["predict", "/nowhere", "x"], "no run here"),
        (["generate", "/nowhere"], "no run here"),
        (["train", "--resume", "/nowhere"], "no run here"),
        (["train", "classify", slip], f"did you mean '{table}'?"),
        (["train", "classify", str(table), "--test", "/nowhere.csv"], "/nowhere.csv: No such file"),
        (["evaluate", str(classifier), slip], f"did you mean '{table}'?"),
        (["predict", str(classifier), slip], f"did you mean '{table}'?"),
        (["runs", "/nowhere"], "no such folder"),
    ):
        words = [sys.executable, "-c", WITHOUT_TORCH, *arguments]
        done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr and done.stderr.startswith("error: "), done.stderr


def test_an_empty_file_is_told_and_an_empty_stream_is_not(capsys, classifier, tmp_path):
    for name, text, message in (
        ("none.txt", "", "none.txt: empty, nothing to predict"),
        ("none.csv", "", "none.csv: empty"),
        ("head.csv", "id,text\n", "head.csv: no row with data"),
    ):
        file = tmp_path / name
        file.write_text(text)
        code, out, err = call(capsys, "predict", classifier, file)
        assert code == 1 and out == "" and err.startswith("error: ") and message in err
    words = [sys.executable, "-m", "recurra.cli.main", "predict", str(classifier), "-"]
    done = subprocess.run(words, input="", capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_generate_needs_a_language_model(capsys, classifier):
    code, _, err = call(capsys, "generate", classifier)
    assert code == 1 and "a run of recipe 'classify' cannot generate" in err


def test_a_checkpoint_of_another_recipe(capsys, classifier, tmp_path):
    foreign = tmp_path / "digits"
    foreign.mkdir()
    for name in ("best.pt", "artifacts.json"):
        (foreign / name).write_bytes((classifier / name).read_bytes())
    (foreign / "config.yaml").write_text("recipe: digits\n")
    (foreign / "artifacts.json").write_text('{"classes": ["0"], "features": 8, "shape": [8, 8]}')
    code, _, err = call(capsys, "predict", foreign, "1 2 3")
    assert code == 1 and "a checkpoint of recipe 'classify', expected 'digits'" in err


def test_a_broken_checkpoint(capsys, classifier, tmp_path):
    broken = tmp_path / "run"
    broken.mkdir()
    for name in ("config.yaml", "artifacts.json", "best.pt"):
        (broken / name).write_bytes((classifier / name).read_bytes())
    (broken / "best.pt").write_bytes((classifier / "best.pt").read_bytes()[:500])
    code, _, err = call(capsys, "predict", broken, "ab")
    assert code == 1 and "broken checkpoint" in err


def test_an_existing_run_is_not_overwritten(capsys, classifier, table):
    code, _, err = call(capsys, "train", "classify", table, "--out", classifier)
    assert code == 1 and "holds a run already" in err and "--resume" in err


def test_debug_shows_the_traceback():
    with pytest.raises(Exception, match="no run here"):
        main(["--debug", "evaluate", "/nowhere", "x"])
    with pytest.raises(Exception, match="no run here"):
        main(["evaluate", "/nowhere", "x", "--debug"])


def test_what_is_not_expected_is_called_internal(capsys):
    assert report(ZeroDivisionError("oops")) == 1
    assert "internal error: ZeroDivisionError: oops" in capsys.readouterr().err
    assert report(KeyboardInterrupt()) == entry.INTERRUPTED == 130
    assert report(DataError("a\nb")) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: a b"


def test_a_missing_part_breaks_only_itself(capsys, monkeypatch):
    from recurra.cli.lazy import Command

    monkeypatch.setitem(Commands.table, "ghost", Command("recurra.cli.no_such_part:app", "not there"))
    code, _, err = call(capsys, "ghost")
    assert code == 1 and "`recurra ghost` is not available here" in err
    assert call(capsys, "--help")[0] == 0


def test_a_finished_run_says_that_nothing_is_left_to_do(capsys, classifier):
    for more in ([], ["--no-progress"]):
        code, out, err = call(capsys, "train", "--resume", classifier, *more)
        assert code == 0 and "finished already, nothing is left to do" in out and "this model" in out, err


def test_a_run_goes_on_without_a_progress_bar(capsys, classifier, tmp_path):
    shutil.copytree(classifier, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    code, out, err = call(capsys, "train", "--resume", tmp_path / "run", "--no-progress")
    assert code == 0 and "going on at step" in out and "finished already" not in out, err
    code, _, err = call(capsys, "train", "--no-progress", "digits")
    assert code == 2 and "stands behind the recipe" in " ".join(err.split())


def test_generate_says_what_it_does_not_know(capsys, tmp_path):
    (tmp_path / "b.txt").write_text("the cat sat on the mat.\n" * 40)
    run = tmp_path / "run"
    code, _, err = call(capsys, "train", "lm", tmp_path / "b.txt", "--out", run, "--epochs", 1, "--hidden", 4, *FAST)
    assert code == 0, err
    code, out, err = call(capsys, "generate", run, "--prompt", "the Äß cat ß", "--length", 5)
    assert code == 0 and err == "the model does not know 'Ä', 'ß'; it reads <unk> there\n" and "cat" in out
    assert call(capsys, "generate", run, "--prompt", "the", "--length", 5)[2] == ""
