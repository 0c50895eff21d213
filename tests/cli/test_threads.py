"""How a program's threads wait: decided before torch is loaded, unless somebody decided already."""

import pytest

from recurra._threads import let_waiting_threads_sleep, waiting_hint


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


@pytest.mark.parametrize(
    ("environment", "threads", "load", "told"),
    [
        ({}, 2, 99.0, True),
        ({}, 1, 99.0, False),
        ({}, 2, 0.0, False),
        ({"GOMP_SPINCOUNT": "1"}, 2, 99.0, False),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, 2, 99.0, False),
    ],
)
def test_a_program_on_a_busy_machine_is_told(monkeypatch, environment, threads, load, told):
    monkeypatch.setattr("os.environ", environment)
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))
    hint = waiting_hint(threads)
    assert (hint is not None) == told and (not told or "GOMP_SPINCOUNT=1000" in hint)
