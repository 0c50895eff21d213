"""How a program's threads wait: decided before torch is loaded, unless somebody decided already."""

import pytest

from recurra._threads import let_waiting_threads_sleep


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "1000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
    ],
)
def test_waiting_threads_sleep_unless_told_otherwise(monkeypatch, given, expected):
    environment = dict(given)
    monkeypatch.setattr("os.environ", environment)
    let_waiting_threads_sleep()
    assert environment.get("GOMP_SPINCOUNT") == expected
