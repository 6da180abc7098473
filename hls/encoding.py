"""A ladder in a thread of its own, so that encoding holds up neither the packager's clock nor other broadcasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from common.log import log
from hls.ladder import Ladder, Rung
from hls.sources import AccessUnit

_log = log("hls.encoding")

_MOST_BUSY = 12
"""Pictures that may wait for the encoder, about half a second: a machine that is too slow leaves some out."""


class Encoding:
    """Feeds a Ladder of `heights` with the pictures of layer 0, for as long as no other layer comes, and hands what comes of them to
    `deliver` on the running loop, in order."""

    def __init__(self, heights: Sequence[int], deliver: Callable[[list[Rung]], None]) -> None:
        self._ladder = Ladder(heights)
        self._deliver = deliver
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ladder")
        self._busy = 0
        self._closed = self._skipping = False
        self.skipped = 0
        """Pictures for which the encoder had no time."""

    def push(self, unit: AccessUnit) -> None:
        """Takes any access unit of the source."""
        if self._closed or unit.kind != "video" or unit.codec != "h264":
            return
        if unit.layer:
            _log.info("source_has_layers", layer=unit.layer)
            self.close()
            return
        if self._busy >= _MOST_BUSY or (self._skipping and not unit.key_frame):
            self.skipped += 1
            self._skipping = True
            return
        self._skipping = False
        self._busy += 1
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._ladder.push, unit)
        work.add_done_callback(self._done)

    def close(self) -> None:
        """Ends the thread; nothing is delivered any more."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, work: asyncio.Future[list[Rung]]) -> None:
        self._busy -= 1
        if self._closed or work.cancelled():
            return
        if error := work.exception():
            _log.error(
                "ladder_failed", reason=repr(error), hint="this broadcast goes on without smaller pictures"
            )
            self.close()
            return
        self._deliver(work.result())
