"""How much room a media core has, by what it measured: its busiest worker, and joins that it had no place for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common._native import SfuError
from sfu.worker import Worker

if TYPE_CHECKING:
    from common._native import Stats


@dataclass(frozen=True, slots=True)
class Room:
    """`busiest_ratio`: of its core, what the busiest worker used since the report before. `refused`: joins since the start.
    `most`: subscribers that the core takes at all."""

    busiest_ratio: float = 0.0
    refused: int = 0
    most: int = 10_000_000


class RoomMeter:
    """Reads it; `refuses` hears of each offer that the core refused."""

    def __init__(self, worker: Worker, clock: Callable[[], float] = time.monotonic) -> None:
        self._worker = worker
        self._clock = clock
        self._refused = 0
        self._at, self._used_ms = clock(), _cpu_ms(worker.sfu.stats())

    def refuses(self, error: SfuError) -> None:
        """Counts a join that found no place."""
        self._refused += error.code == "full"

    def read(self) -> Room:
        """What has been since the last look."""
        then, before = self._at, self._used_ms
        figures = self._worker.sfu.stats()
        self._at, self._used_ms = self._clock(), _cpu_ms(figures)
        took_ms = (self._at - then) * 1000
        used = (now - was for now, was in zip(self._used_ms, before, strict=True))
        busiest = max(used, default=0.0) / took_ms if took_ms > 0 else 0.0
        return Room(busiest, self._refused, figures["max_subscribers"])


def _cpu_ms(figures: Stats) -> list[float]:
    return [worker["cpu_ms"] for worker in figures["workers"]]
