"""Write docs/api.md: every public name with its first sentence and the file where it stands.

    python docs/make_api.py

`tests/docs/test_api_page.py` keeps the page true.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import recurra

DOCS = Path(__file__).parent
MODULES = {
    "recurra": "The names of `import recurra as rc`: cells, wrappers, loops.",
    "recurra.nn": "In place of torch.nn's.",
    "recurra.losses": "Losses, clipping, CTC.",
    "recurra.crf": "Conditional random fields.",
    "recurra.attention": "Attention.",
    "recurra.decoding": "Decoding and beam search.",
    "recurra.recipes": "The recipes of `recurra train` from Python.",
    "recurra.export.onnx": "Cells as ONNX (extra `onnx`).",
    "recurra.export.safetensors": "Trained models and cells as safetensors.",
    "recurra.export.weights": "Weights from and to torch.nn and Keras.",
    "recurra.tf1.checkpoint": "TensorFlow 1's checkpoints.",
    "recurra.errors": "What is raised.",
}
"""The modules whose `__all__` is the library's surface; `recurra.tf1` is documented as TensorFlow is."""


def public_names(module: ModuleType) -> list[str]:
    """`__all__`, or the classes that the module defines; modules inside have their own section."""
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__
    ]
    return [name for name in names if not inspect.ismodule(getattr(module, name))]


def first_sentence(value: Any) -> str:
    """Of the docstring's first paragraph; empty where there is none of its own."""
    own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    paragraph = " ".join((inspect.cleandoc(own) if own else "").split("\n\n")[0].split())
    if paragraph.startswith(f"{value.__name__}("):  # what Python writes for a named tuple
        return ""
    sentence = re.match(r"(?:`[^`]*`|[^`])*?(?=[.;:]?$|[.;]\s)", paragraph)
    return sentence[0] if sentence else ""


def line(name: str, value: Any) -> str:
    """A name's entry."""
    place = os.path.relpath(inspect.getsourcefile(inspect.unwrap(value)) or "", DOCS.resolve())
    return f"- [`{name}`]({place}): {first_sentence(value)}"


def page() -> str:
    """The whole page."""
    lines = [
        "# Every public name",
        "",
        f"Of version {recurra.__version__}, made by `python docs/make_api.py`. Arguments, shapes and errors stand in",
        "the docstrings (`help(rc.LSTMCell)`); the links lead to them.",
    ]
    for name, title in MODULES.items():
        module = importlib.import_module(name)
        entries = [line(public, getattr(module, public)) for public in public_names(module)]
        lines += ["", f"## `{name}`", "", title, "", *entries]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (DOCS / "api.md").write_text(page())
