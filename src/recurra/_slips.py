"""The known name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Up to `most` of the `known` names that `name` may be a slip of, the nearest first; none where all are far off.

    Slips are letters that are wrong, missing, too many or changed places: one in a name of up to seven, at most a
    quarter of a longer one; or one name begins the other. Case and the marks between words do not count.
    """
    wanted = _plain(name)
    found = []
    for candidate in known:
        other = _plain(candidate)
        slips = max(1, max(len(wanted), len(other)) // 4)
        begins = min(len(wanted), len(other)) >= 3 and (other.startswith(wanted) or wanted.startswith(other))
        if begins or abs(len(wanted) - len(other)) <= slips:
            distance = _distance(wanted, other)
            if distance <= slips or begins:
                found.append((distance, _distance(name, candidate), candidate))
    return [candidate for *_, candidate in sorted(found)[:most]]


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _distance(a: str, b: str) -> int:
    """Letters to insert, drop, replace, or change places of neighbours, each letter once (optimal string alignment)."""
    before, last = [0] * (len(b) + 1), list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
