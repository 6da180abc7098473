"""The packager of a broadcast, and of one whose twin leads: then it keeps nothing but the replica, until it is told to go on with it.

Reads like a packager for the feed that fills it (`push`, `tick`) and for the node that holds it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable

from common.log import log
from hls.captions import Caption
from hls.continuation import Continuation, following
from hls.grid import Grid
from hls.packager import Packager
from hls.replica import Replica
from hls.sources import AccessUnit
from hls.sync import WallClock
from hls.vacancy import Vacancy

_log = log("hls.twin")

_ASK_EVERY_MS = 500
_PATIENCE_MS = 1000
"""So long after the twin's death a key frame is waited for before gaps are shown. Reloads are held for longer."""
_KEPT_CAPTIONS = 8
_SUBTITLES = re.compile(rb'#EXT-X-MEDIA:TYPE=SUBTITLES,[^\n]*LANGUAGE="([^"\n]+)"')


class Standby:
    """STANDING BY until `lead` -> WAITING for a key frame (of sound, any packet), with a `Vacancy` when it does not come -> `led` is the
    packager that has taken over."""

    def __init__(
        self,
        replica: Replica,
        grid: Grid,
        window_s: float,
        ask_key_frame: Callable[[], None],
        language: str | None = None,
        *,
        opus: bool = False,
    ) -> None:
        self.replica = replica
        self.stream = replica.stream
        self.led: Packager | None = None
        self._grid = grid
        self._window_s = window_s
        self._ask_key_frame = ask_key_frame
        self._language = language
        self._opus = opus
        self._said: deque[tuple[Caption, float]] = deque(maxlen=_KEPT_CAPTIONS)
        self._leads = False
        self._asked_ms = float("-inf")
        self._since_ms: float | None = None
        self._vacancy: Vacancy | None = None
        self._mode: str | None = None
        self._wall = WallClock()

    def lead(self, now_ms: float) -> None:
        """The twin is gone, or there is none: takes over with the next key frame, or begins, when nothing has been shown yet."""
        self._leads = True
        if not self.replica.shows:
            self.led = self._packager(now_ms, now_ms)

    def push(self, unit: AccessUnit, now_ms: float) -> None:
        """Takes an access unit that arrived at `now_ms`."""
        if self.led is None and self._leads and self._begins(unit):
            self.led = self._packager(self._wall.corrected(unit.ntp_ms, now_ms), now_ms)
        if self.led is not None:
            self.led.push(unit, now_ms)

    def tick(self, now_ms: float) -> None:
        """Asks for the key frame that is waited for."""
        if self.led is not None:
            self.led.tick(now_ms)
        elif self._leads:
            if now_ms - self._asked_ms >= _ASK_EVERY_MS:
                self._asked_ms = now_ms
                self._ask_key_frame()
            self._fill(now_ms)

    def caption(self, said: Caption, now_ms: float) -> None:
        """As of a packager. The newest are kept, for what is being said when the twin dies."""
        if self.led is not None:
            self.led.caption(said, now_ms)
        else:
            self._said.append((said, now_ms))

    def set_mode(self, mode: str, now_ms: float) -> None:
        """As of a packager; the twin has told viewers of it as long as it leads."""
        self._mode = mode
        if self.led is not None:
            self.led.set_mode(mode, now_ms)

    def end(self) -> None:
        """Finishes the playlists, if they are ours."""
        if self.led is not None:
            self.led.end()
        elif self._leads and self.replica.shows:
            (self._vacancy or Vacancy(self.replica, self._grid, self._window_s)).end()

    def discard(self) -> None:
        """Takes the stream from the shelf."""
        self.replica.close(self.stream)

    def stats(self) -> dict[str, object]:
        """Counters of this broadcast."""
        if self.led is not None:
            return {"standby": "leads", **self.led.stats()}
        waits = "shows gaps" if self._vacancy else "waits for a key frame"
        return {"standby": waits if self._leads else "reads along"}

    def _fill(self, now_ms: float) -> None:
        """Nothing comes that could be gone on with: gap parts, so that the clock does not stop."""
        self._since_ms = now_ms if self._since_ms is None else self._since_ms
        if self._vacancy is None and self.replica.shows and now_ms - self._since_ms >= _PATIENCE_MS:
            _log.warning("vacancy", stream=self.stream)
            self._vacancy = Vacancy(self.replica, self._grid, self._window_s)
        if self._vacancy is not None:
            self._vacancy.tick(now_ms)

    def _begins(self, unit: AccessUnit) -> bool:
        """Whether a packager may begin with this: without pictures before, with anything."""
        if not self._videos:
            return True
        return unit.kind == "video" and unit.key_frame

    @property
    def _videos(self) -> list[str]:
        return sorted(name for name in self.replica.renditions if name.startswith("v"))

    @property
    def _shown_language(self) -> str | None:
        """Of the captions that the twin has shown: they go on, whether or not anything more is said."""
        found = _SUBTITLES.search(self.replica.indexes.get("index.m3u8", b""))
        return found[1].decode() if found else None

    def _packager(self, captured_ms: float, now_ms: float) -> Packager:
        if not self.replica.shows:
            packager = Packager(
                self.stream,
                self._grid,
                self._window_s,
                self.replica,
                self._ask_key_frame,
                now_ms,
                language=self._language,
                opus=self._opus,
            )
        else:
            leader = next(iter(self._videos or self.replica.renditions))
            msn = following(self.replica, leader, captured_ms, self._grid)
            shelf = Continuation(self.replica, self._grid, self._window_s, msn)
            packager = Packager(
                self.stream,
                self._grid,
                self._window_s,
                shelf,
                self._ask_key_frame,
                now_ms,
                msn,
                self._language or self._shown_language,
                opus=self._opus,
            )
        for said, heard_ms in self._said:
            packager.caption(said, heard_ms)
        self._said.clear()
        if self._mode is not None:
            packager.set_mode(self._mode, now_ms)
        return packager
