"""When to ask the publisher for a key frame, so that it lands on the end of a segment. WebRTC encoders make none on their own."""

from __future__ import annotations

from hls.grid import VIDEO_RATE, Grid
from hls.segmenter import VideoSegmenter

_RETRY_MS = 600
"""The core passes at most two requests a second on."""
_FIRST_LEAD_MS = 80
_LONGEST_LEAD_MS = 400


class KeyFrameGovernor:
    """Learns how long a request takes to show (`lead`) and asks that long before the boundary; asks at once when nothing can be
    published without a key frame. Wall-clock milliseconds; media times at 90 kHz."""

    def __init__(self, grid: Grid) -> None:
        self._segment = grid.segment_ticks(VIDEO_RATE)
        self._lead_ms = float(_FIRST_LEAD_MS)
        self._asked_ms: float | None = None
        self._asked_at: int | None = None
        self._last_key: int | None = None
        self._own_interval: int | None = None
        self.requests = 0

    def saw(self, at: int, key: bool) -> None:
        """A picture with time `at` came."""
        if not key:
            return
        interval = at - self._last_key if self._last_key is not None else None
        self._last_key = at
        if self._asked_at is None:
            self._own_interval = interval
        elif (
            interval is None
            or self._own_interval is None
            or abs(interval - self._own_interval) > VIDEO_RATE // 10
        ):
            self._own_interval = None
        if self._asked_at is not None:
            lead_ms = min(max((at - self._asked_at) * 1000 / VIDEO_RATE, 0), _LONGEST_LEAD_MS)
            self._lead_ms += (lead_ms - self._lead_ms) / 4
            self._asked_at = self._asked_ms = None

    def wants(self, now_ms: float, at: int, segmenter: VideoSegmenter) -> bool:
        """Whether to ask now; `at` is the time of the newest picture."""
        if self._asked_ms is not None and now_ms - self._asked_ms < _RETRY_MS:
            return False
        if not segmenter.key_frame_needed:
            start = segmenter.segment_start
            if start is None:
                return False
            boundary = start + self._segment
            if at + self._lead_ms * VIDEO_RATE / 1000 < boundary or self._comes_by_itself(at, boundary):
                return False
        self._asked_ms, self._asked_at = now_ms, at
        self.requests += 1
        return True

    def _comes_by_itself(self, at: int, boundary: int) -> bool:
        """The publisher makes key frames of its own, as far apart as the last two, and the next is due near the boundary."""
        if self._own_interval is None or self._last_key is None:
            return False
        due = self._last_key + self._own_interval
        return (
            boundary - self._segment // 4 <= due <= boundary + VIDEO_RATE // 4
            and at <= due + VIDEO_RATE // 10
        )
