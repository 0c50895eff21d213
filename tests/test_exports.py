"""The public names: the lazy table, `__all__`, and what type checkers see are one list; importing recurra is cheap."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import recurra


def seen_by_type_checkers() -> set[str]:
    tree = ast.parse(Path(recurra.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def test_both_lists_agree() -> None:
    assert {*recurra._HOME_OF, *recurra._SUBMODULES} == set(recurra.__all__) == seen_by_type_checkers()
    assert len(recurra.__all__) == len(set(recurra.__all__))


def test_every_name_is_there() -> None:
    for name in recurra.__all__:
        assert getattr(recurra, name) is not None, name
    assert set(recurra.__all__) <= set(dir(recurra))


def test_importing_recurra_does_not_import_torch() -> None:
    code = "import sys, recurra; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("slip", "meant"), [("LSTMcell", "LSTMCell"), ("unrol", "unroll"), ("Bidirectional", "bidirectional")]
)
def test_a_slip_names_the_nearest_name(slip: str, meant: str) -> None:
    assert not hasattr(recurra, slip)
    with pytest.raises(AttributeError, match=f"has no attribute '{slip}'; did you mean '{meant}'"):
        getattr(recurra, slip)


OTHERS = {"MultiRNNCell": "StackedCells", "dynamic_rnn": "unroll", "LSTM": "nn.LSTM"}


@pytest.mark.parametrize(("name", "ours"), OTHERS.items())
def test_what_others_call_it_is_known(name: str, ours: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; did you mean '{ours}'"):
        getattr(recurra, name)
    assert functools.reduce(getattr, ours.split("."), recurra)


def test_names_that_are_far_off_are_not_named() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'optimizer'$"):
        getattr(recurra, "optimizer")  # noqa: B009
