"""Document 000's names and the real ones."""

from pathlib import Path

import numpy as np
import pytest

from recurra.data import names
from recurra.errors import DataError

SHARED = Path(__file__).parents[3] / "shared" / "data"


def test_the_documents_names_are_its_sequences():
    rows, labels, vocabulary = names.document()
    assert len(vocabulary) == 88
    # the first and the tenth sequence, and the labels' ends, as the document prints them
    assert rows[0] == [18, 41, 48, 54, 51, 58] and rows[9] == [14, 54, 42, 51, 40, 54, 42, 52]
    assert len(rows) == len(labels) == 35 and labels[:3].tolist() == [9, 0, 12] and labels[-1] == 11
    # two names come twice with different labels and two more thrice in two classes: 30 of 35 is the best there is
    best = sum(max(np.bincount(labels[[r == row for r in rows]])) for row in map(list, {tuple(r) for r in rows}))
    assert best / 35 == pytest.approx(0.857, abs=1e-3)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "SOURCE.txt").write_text("not names")
    (tmp_path / "Polish.txt").write_bytes("\ufeffŁaska\r\nNowak\r\nNowak\r\n\r\n".encode())
    (tmp_path / "Czech.txt").write_text("Nowak\nDvořák\n" + "".join(f"Name{i}\n" for i in range(40)), encoding="utf-8")
    return tmp_path


def test_reads_distinct_pairs(folder):
    pairs = names.read_folder(folder)
    assert ("Łaska", "Polish") in pairs and ("Nowak", "Polish") in pairs and ("Nowak", "Czech") in pairs
    assert len(pairs) == 44


def test_no_name_lies_in_two_parts(folder, monkeypatch):
    monkeypatch.setattr(names, "locate", lambda *_: folder)
    splits = names.load(folder, held_out=0.3, seed=3)
    parts = [{name for name, _ in part} for part in splits[:3]]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sum(map(len, splits[:3])) == 44
    assert sum(map(len, parts)) == 43 and len(parts[2]) == round(43 * 0.3)


def test_a_folder_without_names_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least two files"):
        names.read_folder(tmp_path)


def test_the_real_names_are_18012_pairs():
    if not SHARED.is_dir():
        pytest.skip("../shared/data is not here")
    splits = names.load(SHARED)
    assert sum(map(len, splits[:3])) == 18_012 and len(splits.classes) == 18
