"""Which frames a device draws next: earliest deadline first over all its sessions, in batches. Sans-IO; times in ns.

A batch goes when `target` sessions have a frame, when the oldest of them has waited for `wait_ns`, or at once when no other
session is due before that. Sessions that were staggered in groups of `target` (stagger.py) therefore fill batches without waiting.

A session that cannot be served in time has its oldest frame left out, and what is left inherits the deadline of what it lost: else
the session whose tick lies worst against the device's rhythm would be put off for ever. A session is in one batch at a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")

BATCH: Final = 8
"""Sessions a batch is made for (requirement A4)."""
WAIT_NS: Final = 8_000_000
"""Longest that a frame waits for its batch to fill; requirement A4 allows 30 ms."""
DEPTH: Final = 2
"""Frames of one session that wait; above it the oldest is left out."""


@dataclass(frozen=True, slots=True)
class Job(Generic[_T]):
    """Frame `frame` of a session, due at `due_ns`; `epoch` is that of the line it belongs to."""

    session: int
    epoch: int
    frame: int
    due_ns: int
    content: _T


@dataclass(slots=True)
class _Seat(Generic[_T]):
    waiting: deque[Job[_T]] = field(default_factory=deque)
    urgent_ns: int = 0
    """Its place in the line: when the first frame was due that it has not been given."""
    epoch: int = 0
    left_out: int = 0
    """Frames that gave way so far: of two sessions that are as urgent, the one that lost more comes first."""
    expected_ns: int | None = None
    """When its next frame comes; None: unknown."""
    busy: bool = False

    @property
    def ready(self) -> bool:
        return bool(self.waiting) and not self.busy


class Batcher(Generic[_T]):
    """One device's queue. Not thread-safe."""

    def __init__(self, target: int = BATCH, wait_ns: int = WAIT_NS, depth: int = DEPTH) -> None:
        if target < 1 or wait_ns < 0 or depth < 1:
            raise ValueError(f"a batch of {target} frames, {wait_ns} ns and depth {depth} cannot be")
        self.target, self.wait_ns, self.depth = target, wait_ns, depth
        self._seats: dict[int, _Seat[_T]] = {}

    def admit(self, session: int) -> None:
        """A session begins."""
        self._seats[session] = _Seat()

    def remove(self, session: int) -> None:
        """A session ends, with all that waits of it."""
        self._seats.pop(session, None)

    def push(self, job: Job[_T], next_ns: int | None = None) -> list[Job[_T]]:
        """A frame to be drawn; the session's next one comes at `next_ns`. Returns what is left out for it.

        A job of an epoch that is over, or of a session that has ended, is itself what is left out.
        """
        seat = self._seats.get(job.session)
        if seat is None or job.epoch < seat.epoch:
            return [job]
        seat.expected_ns = next_ns
        left_out: list[Job[_T]] = []
        if not seat.waiting:
            seat.urgent_ns = job.due_ns
        seat.waiting.append(job)
        while len(seat.waiting) > self.depth:
            left_out.append(seat.waiting.popleft())
            seat.left_out += 1
        return left_out

    def supersede(self, session: int, epoch: int) -> list[Job[_T]]:
        """The line was interrupted: what is of an epoch before `epoch` is not drawn any more. Returns what that is."""
        seat = self._seats.get(session)
        if seat is None or epoch <= seat.epoch:
            return []
        seat.epoch = epoch
        stale = [job for job in seat.waiting if job.epoch < epoch]
        seat.waiting = deque(job for job in seat.waiting if job.epoch >= epoch)
        return stale

    def poll(self, now_ns: int) -> list[Job[_T]]:
        """The batch that is to be drawn now, most urgent first; empty when there is none yet. `done` frees its sessions."""
        ready = [seat for seat in self._seats.values() if seat.ready]
        if not ready or now_ns < self._goes_ns(len(ready), min(seat.waiting[0].due_ns for seat in ready)):
            return []
        batch = []
        for seat in sorted(ready, key=lambda seat: (seat.urgent_ns, -seat.left_out))[: self.target]:
            batch.append(seat.waiting.popleft())
            seat.busy = True
            if seat.waiting:
                seat.urgent_ns = seat.waiting[0].due_ns
        return batch

    def done(self, session: int) -> None:
        """The session's frame has been drawn, or has failed."""
        seat = self._seats.get(session)
        if seat is not None:
            seat.busy = False

    def next_ns(self) -> int | None:
        """When `poll` gives a batch if nothing is pushed until then; None: never."""
        ready = [seat.waiting[0].due_ns for seat in self._seats.values() if seat.ready]
        return self._goes_ns(len(ready), min(ready)) if ready else None

    def lower(self) -> None:
        """Batches of half the size from now on: the device has no memory for more."""
        self.target = max(1, self.target // 2)

    def _goes_ns(self, ready: int, oldest_ns: int) -> int:
        """When a batch of `ready` sessions goes whose oldest has waited since `oldest_ns`."""
        if ready >= self.target:
            return oldest_ns
        until = oldest_ns + self.wait_ns
        since = oldest_ns - self.wait_ns  # who was due before that and has not come is not waited for
        more = any(
            not seat.waiting
            and not seat.busy
            and seat.expected_ns is not None
            and since <= seat.expected_ns <= until
            for seat in self._seats.values()
        )
        return until if more else oldest_ns
