"""A hall of the crew: one kind of work, its queue, and the threads that are at it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from origin.batch.batcher import Batcher, Job
from origin.batch.shared import SharedNet


@dataclass(slots=True, eq=False)
class Worker:
    """A thread and what it is at."""

    thread: threading.Thread | None = None
    session: int | None = None
    """Whose frame it is at; None: nobody's, or that of several at once."""
    since_ns: int | None = None
    """When it began with that; None: it waits."""
    together: Sequence[Job[Any]] = ()
    """The frames that a shared net draws at once just now."""
    batch: deque[Job[Any]] = field(default_factory=deque)
    """What of its batch is still to be done."""
    substituted: bool = False
    given_up: bool = False

    def owes(self, job: Job[Any]) -> bool:
        """Takes a frame out of the batch; False when it was taken from this thread meanwhile."""
        left = deque(one for one in self.batch if one is not job)
        owed, self.batch = len(left) < len(self.batch), left
        return owed


class Hall:
    """Used under the crew's lock. `net`: the one that draws here for all who share it."""

    def __init__(
        self,
        kind: str,
        threads: int,
        batcher: Batcher[Any],
        lock: threading.RLock,
        net: SharedNet | None = None,
    ) -> None:
        self.kind, self.threads, self.batcher, self.net = kind, threads, batcher, net
        self.workers: list[Worker] = []
        self.changed = threading.Condition(lock)
        self.users: set[int] = set()
        """Sessions that have a place here."""
        self.ended = False
        self._suspects: set[int] = set()
        """Who was in a batch that hung or failed: drawn alone until that has gone well once."""

    def admit(self, session: int) -> None:
        """A session begins."""
        self.users.add(session)
        self.batcher.admit(session)

    def remove(self, session: int) -> None:
        """A session ends."""
        self.users.discard(session)
        self._suspects.discard(session)
        self.batcher.remove(session)

    def suspect(self, jobs: Sequence[Job[Any]]) -> None:
        """These were drawn together, and it did not go well."""
        self._suspects |= {job.session for job in jobs} & self.users

    def clear(self, session: int) -> None:
        """It went well for one who was drawn alone."""
        self._suspects.discard(session)

    def parts(self, batch: Sequence[Job[Any]]) -> list[Sequence[Job[Any]]]:
        """A batch as it is drawn: those together whom nothing is held against, then the others one by one."""
        together = [job for job in batch if job.session not in self._suspects]
        alone = [[job] for job in batch if job.session in self._suspects]
        return [together, *alone] if together else [*alone]
