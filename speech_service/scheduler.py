"""Who is served next: heavy work of all connections of an instance on a few threads, round robin.

Each connection has at most one piece of work at work, so that its results come in order; a long text is many pieces, and between two
of them every other connection that waits has its turn. `Rota` is the order alone; `Scheduler` is the threads around it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


class Rota(Generic[_Key, _Job]):
    """The turns. A key is ready when a job of it waits and none is at work; ready keys stand in a row, each once."""

    def __init__(self) -> None:
        self._jobs: dict[_Key, deque[_Job]] = {}
        self._row: deque[_Key] = deque()
        self._at_work: set[_Key] = set()

    def __len__(self) -> int:
        """Jobs that wait."""
        return sum(len(jobs) for jobs in self._jobs.values())

    def add(self, key: _Key, job: _Job) -> None:
        """A job more for `key`, behind its others."""
        jobs = self._jobs.setdefault(key, deque())
        if not jobs and key not in self._at_work:
            self._row.append(key)
        jobs.append(job)

    def take(self) -> tuple[_Key, _Job] | None:
        """The next job, whose key is at work until `done`. None when nothing can begin."""
        if not self._row:
            return None
        key = self._row.popleft()
        jobs = self._jobs[key]
        job = jobs.popleft()
        if not jobs:
            del self._jobs[key]
        self._at_work.add(key)
        return key, job

    def done(self, key: _Key) -> None:
        """The job of `key` has ended: its next one stands at the end of the row."""
        self._at_work.discard(key)
        if key in self._jobs:
            self._row.append(key)

    def drop(self, key: _Key, job: _Job) -> bool:
        """Takes back a job that waits. False when it does not wait (any more)."""
        jobs = self._jobs.get(key)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        if not jobs:
            del self._jobs[key]
            if key not in self._at_work:
                self._row.remove(key)
        return True


class _Work:
    """What is to be done, and who waits for it."""

    __slots__ = ("future", "run")

    def __init__(self, run: Callable[[], object], future: asyncio.Future[object]) -> None:
        self.run = run
        self.future = future


class Scheduler:
    """Runs work on `threads` threads of its own, in the order of a Rota. For one event loop."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="speech")
        self._rota: Rota[str, _Work] = Rota()
        self._running = 0

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return len(self._rota)

    @property
    def running(self) -> int:
        return self._running

    def submit(self, key: str, run: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """`run()` in a thread when it is `key`'s turn. A future that is cancelled while it waits is never run."""
        future: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        work = _Work(run, future)  # type: ignore[arg-type]
        future.add_done_callback(lambda _: self._rota.drop(key, work))
        self._rota.add(key, work)
        self._begin()
        return future

    def _begin(self) -> None:
        while self._running < self.threads and (taken := self._rota.take()) is not None:
            key, work = taken
            self._running += 1
            at_work = asyncio.get_running_loop().run_in_executor(self._pool, work.run)
            at_work.add_done_callback(lambda ended, key=key, work=work: self._end(key, work, ended))  # type: ignore[misc]

    def _end(self, key: str, work: _Work, ended: asyncio.Future[object]) -> None:
        self._running -= 1
        self._rota.done(key)
        error = None if ended.cancelled() else ended.exception()
        if not work.future.done():
            if ended.cancelled():
                work.future.cancel()
            elif error is not None:
                work.future.set_exception(error)
            else:
                work.future.set_result(ended.result())
        self._begin()

    def close(self) -> None:
        """Begins nothing more; what is at work ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
