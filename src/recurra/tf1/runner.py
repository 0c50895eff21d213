"""Run a TensorFlow 1 program, unmodified, on recurra.

`run(path, arguments, …)` reads the program, guesses its era, puts the import hook and what old programs expect of
Python, NumPy and matplotlib in place, executes it as `__main__` and takes all of it back afterwards.
"""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TextIO

from recurra.tf1 import compat, eras, program, sourcescan
from recurra.tf1.compat import python2
from recurra.tf1.compat.patches import Patches
from recurra.tf1.importhook import Hook
from recurra.tf1.usage import Usage

DATA_VARIABLE = "RECURRA_DATA"
_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


@dataclass(frozen=True)
class Options:
    """How to run: era override, Python 2 rewriting (None: when needed), data folder, report, quiet about both,
    go on after a notebook's failed cell, whole tracebacks."""

    tf_version: str | None = None
    python2: bool | None = None
    data_dir: str | None = None
    report: bool = False
    quiet: bool = False
    keep_going: bool = False
    debug: bool = False


def run(path: str | Path, arguments: Sequence[str] = (), options: Options | None = None) -> int:
    """Execute the program at `path` with `arguments` as sys.argv[1:]; returns its exit code.

    Raises FileNotFoundError (no such program), ValueError (unknown tf_version). An exception of the program is printed
    as Python prints it, without the runner's frames, and gives exit code 1.
    """
    options = options or Options()
    source = load(path, options.python2)
    guess = guess_era(source, options.tf_version)
    if not options.quiet:
        for remark in [*source.remarks[:_MOST_REMARKS], guess.line.removeprefix("recurra: ")]:
            print(f"recurra: {remark}", file=sys.stderr, flush=True)
    usage = Usage(options.report)
    with Patches() as patches, eras.using(guess.era):
        main = _install(source, arguments, options, patches, usage)
        code = _execute(source, main, options)
    if options.report:
        print("\n".join(["", "tf.* names used:", *usage.lines()]), file=sys.stderr)
    return code


_MOST_REMARKS = 6


def load(path: str | Path, use_python2: bool | None = None) -> program.Program:
    """A program made ready; where one of its modules is Python 2, so is it all."""
    source = program.load(path, use_python2)
    reason = scan_all(source).python2 if use_python2 is None and not source.python2 else None
    return source if reason is None else program.load(path, True, reason)


def guess_era(source: program.Program, tf_version: str | None = None) -> eras.Guess:
    """The era of a program and its own modules, or the one asked for."""
    if tf_version is not None:
        return eras.Guess(eras.parse(tf_version), "as asked")
    return eras.detect(scan_all(source))


def scan_all(source: program.Program) -> sourcescan.Scan:
    """What the program and the modules beside it use of TensorFlow."""
    folder = source.path.resolve().parent
    found = sourcescan.Scan()
    alias: dict[str, str] = {}
    for part in source.parts:
        found.merge(sourcescan.scan(part.tree, part.name, alias))
    seen = {source.path.resolve()}
    waiting = sourcescan.local_modules(found, folder)
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        text = program.read_text(file)
        reason = None if source.python2 else python2.looks_like_python2(text)
        if reason and found.python2 is None:
            found.python2 = f"{reason} of {file.name}"
        try:
            part = program.prepare(str(file), text, source.python2 or reason is not None)
        except SyntaxError:  # met again, and reported, if the program really imports it
            continue
        more = sourcescan.scan(part.tree, part.name)
        waiting += sourcescan.local_modules(more, folder) + sourcescan.local_modules(more, file.parent)
        found.merge(more)
    return found


def _install(
    source: program.Program, arguments: Sequence[str], options: Options, patches: Patches, usage: Usage
) -> ModuleType:
    folder = source.path.resolve().parent
    main = ModuleType("__main__")
    main.__file__ = str(source.path)
    vars(main).update({"__builtins__": __builtins__, "__recurra_stem__": source.path.stem, program.SHOW: program.show})
    vars(main).update(program.HELPERS)
    if source.path.suffix == ".ipynb" or _has_magics(source):
        vars(main)["get_ipython"] = _no_ipython
    if source.python2:
        vars(main).update(python2.HELPERS)
    patches.entry(sys.modules, "__main__", main)
    patches.set(sys, "argv", [str(source.path), *arguments])
    package = _package(source)
    if package:  # as `python -m package.program`: the folder above the package is where modules are looked for
        main.__package__ = package
        folder = folder.parents[package.count(".")]
    patches.set(sys, "path", [str(folder), *sys.path])
    if options.data_dir is not None:
        patches.entry(os.environ, DATA_VARIABLE, str(Path(options.data_dir).resolve()))
    compat.apply(patches, source.python2)
    Hook(folder, source.python2, patches, usage).install()
    return main


def _has_magics(source: program.Program) -> bool:
    """Whether a notebook was exported: its magics became `get_ipython().magic(…)`."""
    nodes = (node for part in source.parts for node in ast.walk(part.tree) if isinstance(node, ast.Attribute))
    calls = (node.value.func for node in nodes if isinstance(node.value, ast.Call))
    return any(isinstance(called, ast.Name) and called.id == "get_ipython" for called in calls)


def _package(source: program.Program) -> str:
    """The package of a program that was started as `python -m package.program`: its imports are relative."""
    folder = source.path.resolve().parent
    nodes = (node for part in source.parts for node in ast.walk(part.tree))
    if not any(isinstance(node, ast.ImportFrom) and node.level for node in nodes):
        return ""
    parts: list[str] = []
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


class _NoIPython:
    """get_ipython() of a notebook run as a program: magics do nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *args, **kwargs: None


def _no_ipython() -> _NoIPython:
    return _NoIPython()


def _execute(source: program.Program, main: ModuleType, options: Options) -> int:
    code = 0
    for part in source.parts:
        try:
            exec(part.compile(), vars(main))
        except SystemExit as stop:
            return _exit_code(stop)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except BaseException as error:
            _flush(sys.stdout)
            print_error(error, options.debug)
            code = 1
            if not options.keep_going:
                return code
    return code


def _exit_code(stop: SystemExit) -> int:
    if stop.code is None or isinstance(stop.code, int):
        return stop.code or 0
    print(stop.code, file=sys.stderr)
    return 1


def _flush(stream: TextIO) -> None:
    if not stream.closed:
        stream.flush()


def print_error(error: BaseException, debug: bool = False) -> None:
    """The traceback of a program's error: the program's own frames, or with `debug` all below its first."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__ and trace.tb_next is not None:
        trace = trace.tb_next
    report = traceback.TracebackException(type(error), error, trace)
    hidden = 0 if debug else _hide_inner(report)
    for line in report.format():
        print(line, file=sys.stderr, end="")
    if hidden:
        print(f"recurra: {hidden} inner frames are not shown; --debug shows them", file=sys.stderr)


def _hide_inner(report: traceback.TracebackException) -> int:
    """Drop the frames of recurra and of what it calls; returns how many. A cause that lies in them alone goes, too."""
    kept: list[traceback.FrameSummary] = []
    ours = False
    for frame in report.stack:
        ours = _is_inner(frame.filename) or (ours and f"{os.sep}site-packages{os.sep}" in frame.filename)
        if not ours:
            kept.append(frame)
    hidden = len(report.stack) - len(kept)
    if not kept:
        return 0
    report.stack[:] = kept
    for cause in ("__cause__", "__context__"):
        inner = getattr(report, cause)
        if inner is None:
            continue
        if all(_is_inner(f.filename) or "site-packages" in f.filename for f in inner.stack[:1]):
            hidden += len(inner.stack)
            setattr(report, cause, None)
        else:
            hidden += _hide_inner(inner)
    return hidden


def _is_inner(file: str) -> bool:
    return file.startswith((_PACKAGE, "<plan ", "<frozen importlib"))
