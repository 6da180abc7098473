"""Threads that put what is in an outbox into the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from common.log import log
from common.metrics import counter, gauge
from common.store.store import BadName, Store, StoreError
from hls.store.outbox import Item, Outbox

_log = log("hls.store")

_PUTS = counter("hls_store_puts_total", "Objects put into the store", ("outcome",))
_WAITING = gauge("hls_store_waiting", "Objects that wait to be put into the store")


class Uploader:
    """`parallel` threads. `sent` is called, by one of them, with each item that the store has, or never will have."""

    def __init__(
        self,
        store: Store,
        sent: Callable[[Item], None],
        *,
        parallel: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._sent = sent
        self._clock = clock
        self._outbox = Outbox(parallel)
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"store {index}", daemon=True)
            for index in range(parallel)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Items that are not in the store yet."""
        with self._changed:
            return len(self._outbox)

    @property
    def failing(self) -> bool:
        """The last attempt failed."""
        with self._changed:
            return self._outbox.failures > 0

    def add(self, item: Item) -> None:
        """Puts an item as soon as it can be."""
        with self._changed:
            self._outbox.add(item)
            _WAITING.set(len(self._outbox))
            self._changed.notify()

    def cancel(self, name: str) -> None:
        """Does not put this item, unless it is on its way."""
        with self._changed:
            self._outbox.cancel(name)

    def cancel_below(self, prefix: str) -> None:
        """Does not put the items whose names begin with `prefix`, unless they are on their way."""
        with self._changed:
            self._outbox.cancel_below(prefix)

    def close(self, wait_s: float) -> None:
        """Begins nothing more; waits at most `wait_s` for what is on its way."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        until = time.monotonic() + wait_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _next(self) -> Item | None:
        with self._changed:
            while not self._closing:
                now = self._clock()
                item = self._outbox.take(now)
                if item is not None:
                    return item
                self._changed.wait(self._outbox.due_in(now))
            return None

    def _run(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._store.put(
                    item.name, item.body, content_type=item.content_type, cache_control=item.cache_control
                )
            except (StoreError, OSError) as error:
                if isinstance(item.body, Path) and not item.body.exists():
                    self._done(item, "given up")
                else:
                    self._failed(item, error)
            except (BadName, ValueError) as error:
                # What can never succeed must not stand before what can.
                _log.error("store_refused", object=item.name, reason=str(error))
                self._done(item, "refused")
                self._sent(item)
            else:
                self._done(item, "stored")
                self._sent(item)

    def _done(self, item: Item, outcome: str) -> None:
        _PUTS.labels(outcome).inc()
        with self._changed:
            recovered = self._outbox.failures
            self._outbox.done(item)
            _WAITING.set(len(self._outbox))
            self._changed.notify_all()
        if recovered and outcome == "stored":
            _log.info("store_answers_again", failed_attempts=recovered)

    def _failed(self, item: Item, error: Exception) -> None:
        _PUTS.labels("failed").inc()
        with self._changed:
            wait = self._outbox.failed(item, self._clock())
            first = self._outbox.failures == 1
            waiting = len(self._outbox)
            self._changed.notify_all()
        say = _log.warning if first else _log.debug
        say("store_failed", object=item.name, reason=str(error), again_in_s=round(wait, 1), waiting=waiting)
