"""Distributions that add up: counts by buckets that grow by 8 %, so a percentile is right within 4 %, whatever was merged.

The buckets are those of DDSketch (Masson, Rim and Lee, VLDB 2019): bucket i holds (GROWTH^(i-1), GROWTH^i]. Between 1 and a week
in milliseconds that is at most 264 of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

GROWTH = 1.08
_LOG = math.log(GROWTH)
_MOST = 6.048e8


class Sketch:
    """Counts of values from 0 on; what is below 1 counts as 1, what is above a week of milliseconds as that."""

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        self._counts: dict[int, int] = dict(counts or {})

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(self, value: float, count: int = 1) -> None:
        """Counts a value."""
        bucket = math.ceil(math.log(min(max(value, 1.0), _MOST)) / _LOG - 1e-9)
        self._counts[bucket] = self._counts.get(bucket, 0) + count

    def merge(self, other: Sketch) -> None:
        """Counts all that the other has counted."""
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def percentile(self, share: float) -> float | None:
        """The value that this share (0..1) of what was counted does not exceed; None when nothing was."""
        total = len(self)
        rank = max(1, math.ceil(share * total))
        for value, count in self.values():
            rank -= count
            if rank <= 0:
                return value
        return None

    def values(self) -> Iterator[tuple[float, int]]:
        """What was counted, ascending: the middle of each bucket, and how often."""
        for bucket in sorted(self._counts):
            yield (1.0 if bucket <= 0 else 2 * GROWTH**bucket / (GROWTH + 1)), self._counts[bucket]

    def encode(self) -> dict[str, int]:
        """As JSON holds it."""
        return {str(bucket): count for bucket, count in sorted(self._counts.items())}

    @classmethod
    def decode(cls, document: Mapping[str, int]) -> Sketch:
        """From what `encode` gave."""
        return cls({int(bucket): int(count) for bucket, count in document.items()})


def still_there(left: Sketch, watching: Iterable[float], after: Iterable[float]) -> list[float]:
    """Of all who came, the part that is still there after each of these times (ascending; the unit of both).

    The estimate of Kaplan and Meier (1958): who is `watching` now counts as there for as long as it has been, and says nothing
    about later. So a broadcast whose audience stays does not look deserted because only those who left are known.
    """
    here = sorted(watching)
    leavers = list(left.values())
    at_risk, share, told, n = sum(count for _, count in leavers) + len(here), 1.0, [], 0
    passed = 0
    for moment in after:
        while n < len(leavers) and leavers[n][0] <= moment:
            value, count = leavers[n]
            while passed < len(here) and here[passed] < value:
                passed += 1
                at_risk -= 1
            share *= 1 - count / at_risk
            at_risk -= count
            n += 1
        told.append(share)
    return told
