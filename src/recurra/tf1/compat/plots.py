"""matplotlib where there is no display: figures go to PNG files, nothing waits for a window."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from recurra.tf1.compat.patches import Patches

_MOST_FILES = 50  # a program that shows a figure at every step must not fill the disk


def has_display() -> bool:
    """Whether a window could be opened."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def apply(patches: Patches) -> None:
    """Choose the file backend where there is no display; `adapt_pyplot` does the rest when pyplot is imported."""
    if not has_display():
        patches.entry(os.environ, "MPLBACKEND", "Agg")


def adapt_pyplot(pyplot: ModuleType, patches: Patches, stem: str) -> None:
    """pyplot with show() and pause() that save the open figures as STEM_figure_N.png, and names that 3.x dropped."""
    patches.add(pyplot, "hold", lambda *args, **kwargs: None)
    if has_display():
        return
    state = {"count": 0}

    def show(*args: Any, **kwargs: Any) -> None:
        for number in pyplot.get_fignums():
            figure = pyplot.figure(number)
            if state["count"] < _MOST_FILES and figure.get_axes():
                state["count"] += 1
                path = Path(f"{stem}_figure_{state['count']}.png")
                figure.savefig(path)
                print(f"recurra: figure saved to {path}", file=sys.stderr)
            pyplot.close(figure)

    patches.set(pyplot, "show", show)
    for name in ("pause", "draw", "ion", "draw_all"):  # nobody watches: figures are drawn when they are saved
        patches.set(pyplot, name, lambda *args, **kwargs: None)
    patches.set(pyplot, "ginput", lambda *args, **kwargs: [])
    patches.set(pyplot, "waitforbuttonpress", lambda *args, **kwargs: None)
    _old_axes(patches)
    if "matplotlib" in sys.modules:
        patches.set(sys.modules["matplotlib"], "use", lambda *args, **kwargs: None)


def _old_axes(patches: Patches) -> None:
    from matplotlib.axes import Axes

    patches.add(Axes, "set_axis_bgcolor", lambda self, color: self.set_facecolor(color))
    patches.add(Axes, "hold", lambda self, *args: None)
