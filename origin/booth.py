"""Where the voices of this process take turns: one thread, and another one when a voice hangs in it.

A voice has a time for each clause, from when its turn comes: what others take before it does not count. Past that it is asked to stop,
and if it does not, its thread is left behind and whoever waited goes on in a new one: one clause is lost, for one avatar.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from common.log import log
from speech.voice import Halt, Speech, Voice, VoiceError

_T = TypeVar("_T")
_log = log("booth")

_BASE_S: Final = 15.0
_PER_CHARACTER_S: Final = 0.25
"""A character is 66 ms of speech; the slowest voice on the busiest machine seen took three times as long as it speaks."""
GRACE_S: Final = 2.0
"""Time in which a voice that was asked to stop is waited for."""
MOST_LEFT_BEHIND: Final = 8
"""Threads that hang; above it voices wait, as each of them keeps memory."""


def patience_s(clause: str) -> float:
    """How long a voice may take for a clause."""
    return _BASE_S + _PER_CHARACTER_S * len(clause)


class Booth:
    """All methods on one event loop."""

    def __init__(self, patience: Callable[[str], float] = patience_s, grace_s: float = GRACE_S) -> None:
        self._patience, self._grace_s = patience, grace_s
        self._thread = ThreadPoolExecutor(1, "voice")
        self._left_behind = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Something else that wants the voices' thread, such as loading one; it may take its time."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def spoken(self, voice: Voice, clause: str, halt: Halt) -> Speech:
        """`clause` by the voice. Raises VoiceError, also when it takes too long."""
        while True:
            thread = self._thread
            try:
                return await self._turn(thread, voice, clause, halt)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if thread is self._thread or (task is not None and task.cancelling()):
                    raise  # else it was waiting behind one that hangs: once more, in the new thread

    async def _turn(self, thread: ThreadPoolExecutor, voice: Voice, clause: str, halt: Halt) -> Speech:
        loop = asyncio.get_running_loop()
        clock = _Patience(
            loop, self._patience(clause), self._grace_s, halt, lambda: self._leave_behind(thread)
        )

        def on_loop(what: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the voice
                loop.call_soon_threadsafe(what)

        def work() -> Speech:
            on_loop(clock.begin)
            return voice.synthesise(clause, halt)

        turn = thread.submit(work)
        turn.add_done_callback(lambda _: on_loop(clock.end))
        speech = asyncio.wrap_future(turn)
        speech.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # nobody may be there to see it
        both: set[asyncio.Future[Any]] = {speech, clock.over}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            turn.cancel()  # when it has not begun; else the clock goes on, for those who wait behind it
            raise
        if speech.done():
            return speech.result()
        raise VoiceError(f"{voice.name} did not speak {clause!r} in {self._patience(clause):.0f} s")

    def _leave_behind(self, thread: ThreadPoolExecutor) -> None:
        if thread is not self._thread or self._left_behind >= MOST_LEFT_BEHIND:
            return
        self._left_behind += 1
        _log.error("voice:hangs", left_behind=self._left_behind)
        self._thread = ThreadPoolExecutor(1, "voice")
        thread.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Ends the thread when it is done with what it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Patience:
    """The time that one clause has, whether somebody still waits for it or not. `over` is done when it hangs."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limit_s: float,
        grace_s: float,
        halt: Halt,
        leave_behind: Callable[[], None],
    ) -> None:
        self.over: asyncio.Future[None] = loop.create_future()
        self._loop, self._limit_s, self._grace_s = loop, limit_s, grace_s
        self._halt, self._leave_behind = halt, leave_behind
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def begin(self) -> None:
        if not self._ended:
            self._timer = self._loop.call_later(self._limit_s, self._stop)

    def _stop(self) -> None:
        self._halt.now()
        self._timer = self._loop.call_later(self._grace_s, self._give_up)

    def _give_up(self) -> None:
        self.over.set_result(None)
        self._leave_behind()

    def end(self) -> None:
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
