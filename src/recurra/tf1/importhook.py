"""`import tensorflow` and its sub-modules, served from recurra while a program runs.

A finder at the head of `sys.meta_path` answers for `tensorflow.*`; it is there only between `Hook.install` and
`Hook.remove`. A module is a view of the table of names (`surface.py`): `tensorflow.contrib.rnn.LSTMCell` looks up
"contrib.rnn.LSTMCell". What is not in the table fails when it is used: an attribute at once, a name of a
`from … import` at its first use (inside try/except at once, so that programs can fall back as they planned to), a
base class when an instance of the derived one is made.
"""

from __future__ import annotations

import dis
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from recurra.tf1 import program, surface
from recurra.tf1.compat import modules, python2
from recurra.tf1.compat.patches import Patches
from recurra.tf1.missing import Missing, derives_from, missing_name, program_frames
from recurra.tf1.usage import Usage

ROOT = "tensorflow"
KERAS = "keras"  # the package of its own that programs import beside TensorFlow: tf.keras here
_ABSENT = object()


class Namespace(ModuleType):
    """A tensorflow module: attributes are looked up in the surface when they are first read."""

    def __init__(self, name: str, hook: Hook) -> None:
        super().__init__(name)
        self._hook = hook
        self.__path__ = []

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        """What the module holds, for programs that look through it: `for cell in tf.contrib.rnn.__dict__.values()`."""
        base = below_root(self.__name__)
        held = {}
        for name in surface.members(base):
            try:
                held[name] = surface.lookup(f"{base}.{name}" if base else name)
            except KeyError:  # a sub-module, or a name of another era
                continue
        return held | _own_dict(self)

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "__all__":  # from tensorflow.python.ops.rnn_cell import *
            return sorted(surface.exported(below_root(self.__name__)))
        if attribute.startswith("__") and attribute not in surface.DUNDERS:
            raise AttributeError(f"module {self.__name__!r} has no attribute {attribute!r}")
        return self._hook.resolve(self, attribute)

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *surface.members(below_root(self.__name__))})


_own_dict = ModuleType.__dict__["__dict__"].__get__  # the attributes that a module has itself


def below_root(module: str) -> str:
    """'tensorflow.contrib.rnn' → 'contrib.rnn', 'keras.layers' stays."""
    return module if module.partition(".")[0] == KERAS else module.partition(".")[2]


class _TensorFlowLoader(importlib.abc.Loader):
    def __init__(self, hook: Hook) -> None:
        self.hook = hook

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return Namespace(spec.name, self.hook)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing runs: attributes are looked up when they are read."""


class _StandInLoader(importlib.abc.Loader):
    """A module that another package dropped."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__path__ = []
        modules.STAND_INS[module.__name__](module)


class _ProgramLoader(importlib.abc.Loader):
    """A module of the program itself, prepared as the program is."""

    def __init__(self, path: Path, rewrite: bool) -> None:
        self.path, self.rewrite = path, rewrite

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        text = program.read_text(self.path)
        rewrite = self.rewrite or python2.looks_like_python2(text) is not None
        part = program.prepare(str(self.path), text, rewrite)
        vars(module).update(program.HELPERS | (python2.HELPERS if rewrite else {}))
        exec(part.compile(), vars(module))

    def get_source(self, fullname: str) -> str:
        return program.read_text(self.path)


class Hook(importlib.abc.MetaPathFinder):
    """Serves tensorflow.*, the program's own modules and what other packages dropped, while installed."""

    def __init__(self, folder: Path, rewrite: bool, patches: Patches, usage: Usage) -> None:
        self.folder, self.rewrite, self.patches, self.usage = folder, rewrite, patches, usage
        # not the program's: what lies elsewhere than in its folder and those above it (PYTHONPATH=. of a repository)
        self.usual = {entry for entry in sys.path if not entry or not folder.is_relative_to(Path(entry).resolve())}

    def install(self) -> None:
        """Put the finder first, and hide a TensorFlow that was imported before."""
        for name in [n for n in sys.modules if n.partition(".")[0] in (ROOT, KERAS)]:
            self.patches.entry(sys.modules, name, None)
            del sys.modules[name]
        self.patches.undo(self._forget)
        for name in modules.ALWAYS & set(sys.modules):
            del sys.modules[name]
        for name in modules.AFTER_IMPORT.keys() & set(sys.modules):
            modules.AFTER_IMPORT[name](sys.modules[name], self.patches)
        sys.meta_path.insert(0, self)
        self.patches.undo(lambda: sys.meta_path.remove(self))

    def _forget(self) -> None:
        for name in [n for n, m in sys.modules.items() if isinstance(m, Namespace) or n in modules.STAND_INS]:
            loader = getattr(sys.modules[name], "__loader__", None)
            if isinstance(loader, _TensorFlowLoader | _StandInLoader):
                del sys.modules[name]

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        """The spec of a module that is ours to serve, None for every other."""
        if fullname.partition(".")[0] == ROOT or (
            fullname.partition(".")[0] == KERAS and not self._own_keras(fullname)
        ):
            return self._tensorflow(fullname)
        if fullname in modules.ALWAYS or (fullname in modules.STAND_INS and not self._elsewhere(fullname, path)):
            return importlib.machinery.ModuleSpec(fullname, _StandInLoader(), is_package=True)
        if fullname in modules.AFTER_IMPORT:
            return self._patched(fullname, path)
        return self._own(fullname, path)

    def _own_keras(self, fullname: str) -> bool:
        """Whether the program has a keras.py or a package of that name itself."""
        return any((self.folder / name).exists() for name in (f"{KERAS}.py", f"{KERAS}/__init__.py"))

    def _tensorflow(self, fullname: str) -> importlib.machinery.ModuleSpec | None:
        dotted = below_root(fullname)
        file = self._program_file(dotted)
        if file is not None:
            return importlib.util.spec_from_file_location(fullname, file, loader=_ProgramLoader(file, self.rewrite))
        if not surface.is_module(dotted) and self._guarded():
            return None
        return importlib.machinery.ModuleSpec(fullname, _TensorFlowLoader(self), is_package=True)

    def _program_file(self, dotted: str) -> Path | None:
        """tensorflow.models.rnn.translate.data_utils is the program's own data_utils.py."""
        parts = dotted.split(".")
        if parts[0] != "models" or len(parts) < 4:
            return None
        tails = [Path(*parts[i:]) for i in range(2, len(parts))]
        for base in (self.folder, self.folder.parent):
            for tail in tails:
                file = base / tail.with_suffix(".py")
                if file.is_file():
                    return file
        return None

    def _elsewhere(self, fullname: str, path: Any) -> bool:
        return self._next(fullname, path) is not None

    def _next(self, fullname: str, path: Any) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(fullname, path, None)
                if spec is not None:
                    return spec
        return None

    def _patched(self, fullname: str, path: Any) -> importlib.machinery.ModuleSpec | None:
        spec = self._next(fullname, path)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                run(module)
                modules.AFTER_IMPORT[fullname](module, self.patches)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _own(self, fullname: str, path: Any) -> importlib.machinery.ModuleSpec | None:
        # only where the program looks, not where Python and its packages lie: this runs for every import
        search = [p for p in (sys.path if path is None else path) if p not in self.usual and "site-packages" not in p]
        spec = importlib.machinery.PathFinder.find_spec(fullname, search) if search else None
        if spec is None and path is None:
            spec = self._beside_importer(fullname)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        if origin is None or origin.suffix != ".py" or spec is None:
            return None
        inside = origin.resolve().is_relative_to(self.folder)
        if path is not None and not (inside or self._is_ours(fullname.partition(".")[0])):
            return None
        locations = spec.submodule_search_locations
        return importlib.util.spec_from_file_location(
            fullname, origin, loader=_ProgramLoader(origin, self.rewrite), submodule_search_locations=locations
        )

    def _beside_importer(self, name: str) -> importlib.machinery.ModuleSpec | None:
        """Inside a package Python 2's `import x` meant the x beside the importing file, too."""
        frame = next(program_frames(), None)
        if frame is None or self._elsewhere(name, None):
            return None
        module, package = frame.f_globals.get("__name__", ""), frame.f_globals.get("__package__")
        here = Path(frame.f_code.co_filename).resolve().parent
        if not (self._is_ours(module) or (package and here.is_relative_to(self.folder))):
            return None
        return importlib.machinery.PathFinder.find_spec(name, [str(here)])

    def _is_ours(self, module: str) -> bool:
        loader = getattr(getattr(sys.modules.get(module), "__spec__", None), "loader", None)
        return isinstance(loader, _ProgramLoader)

    def resolve(self, module: Namespace, attribute: str) -> Any:
        """module.attribute: from the table, as a sub-module, or a stand-in that fails when used."""
        base = below_root(module.__name__)
        dotted = f"{base}.{attribute}" if base else attribute
        try:
            found = surface.lookup(dotted)
        except KeyError:
            found = _ABSENT
        if found is _ABSENT:  # outside of `except`, so that the program's traceback shows its own error alone
            return self._unknown(module, dotted, attribute)
        self.usage.add(dotted)
        return found

    def _unknown(self, module: Namespace, dotted: str, attribute: str) -> Any:
        if surface.is_module(dotted) or self._program_file(dotted):
            return importlib.import_module(f"{module.__name__}.{attribute}")
        self.usage.add(dotted, missing=True)
        frame = next(program_frames(), None)
        if frame is not None and (derives_from(frame) or (_imports_from(frame) and not _guarded(frame))):
            return Missing(dotted, surface.names())
        raise missing_name(dotted, surface.names())

    def _guarded(self) -> bool:
        frame = next(program_frames(), None)
        return frame is not None and _guarded(frame)


def _imports_from(frame: FrameType) -> bool:
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] in ("IMPORT_FROM", "IMPORT_NAME")


def _guarded(frame: FrameType) -> bool:
    """Whether the frame's current instruction stands in a try (or with) block."""
    entries = dis._parse_exception_table(frame.f_code)  # type: ignore[attr-defined]
    return any(entry.start <= frame.f_lasti < entry.end for entry in entries)
