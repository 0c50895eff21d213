"""Dates in many written forms, each with its ISO form: a task for a sequence-to-sequence model, made, not collected.

    python -m recurra.data.dates 20000 > dates.tsv

Where a form would be ambiguous a convention decides: month first between slashes, day first between dots; two digits of
a year mean 1950 to 2049.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date

import numpy as np

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FIRST, LAST = date(1950, 1, 1), date(2049, 12, 31)
TEENS = (11, 12, 13)


def ordinal(day: int) -> str:
    """1st, 2nd, 3rd, 4th …"""
    suffix = "th" if day in TEENS else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{suffix}"


def _month(d: date) -> str:
    return MONTHS[d.month - 1]


FORMS: tuple[Callable[[date], str], ...] = (
    lambda d: f"{d.day} {_month(d)} {d.year}",
    lambda d: f"{_month(d)} {d.day}, {d.year}",
    lambda d: f"{_month(d)} {ordinal(d.day)}, {d.year}",
    lambda d: f"the {ordinal(d.day)} of {_month(d)} {d.year}",
    lambda d: f"{ordinal(d.day)} of {_month(d)[:3]}, {d.year}",
    lambda d: f"{d.day} {_month(d)[:3]} {d.year}",
    lambda d: f"{_month(d)[:3]} {d.day} '{d.year % 100:02d}",
    lambda d: f"{d.day}-{_month(d)[:3]}-{d.year % 100:02d}",
    lambda d: f"{d.day:02d}.{d.month:02d}.{d.year}",
    lambda d: f"{d.day}.{d.month}.{d.year % 100:02d}",
    lambda d: f"{d.month}/{d.day}/{d.year}",
    lambda d: f"{d.month:02d}/{d.day:02d}/{d.year % 100:02d}",
    lambda d: f"{d.year}/{d.month}/{d.day}",
    lambda d: f"{d.year}{d.month:02d}{d.day:02d}",
    lambda d: f"{d.year}, {_month(d)} {d.day}",
    lambda d: f"{DAYS[d.weekday()]}, {_month(d)} {d.day}, {d.year}",
    lambda d: f"{DAYS[d.weekday()][:3]} {d.day} {_month(d)} {d.year}",
    lambda d: f"{DAYS[d.weekday()]} the {ordinal(d.day)} of {_month(d)}, {d.year}",
)
CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper)


def pairs(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """`count` different (written form, ISO form) pairs, a function of the seed alone."""
    generator = np.random.Generator(np.random.PCG64(seed))
    span = LAST.toordinal() - FIRST.toordinal() + 1
    most = span * len(FORMS) // 2
    if not 0 <= count <= most:
        raise ValueError(f"`count` must lie in 0..{most}, got {count}")
    made: dict[str, str] = {}
    while len(made) < count:
        day = date.fromordinal(FIRST.toordinal() + int(generator.integers(span)))
        form, case = FORMS[generator.integers(len(FORMS))], CASES[generator.integers(len(CASES))]
        made.setdefault(case(form(day)), day.isoformat())
    return list(made.items())


if __name__ == "__main__":
    for source, target in pairs(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000):
        print(f"{source}\t{target}")
