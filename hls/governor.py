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
        self.requests = 0

    def saw(self, at: int, key: bool) -> None:
        """A picture with time `at` came."""
        if key and self._asked_at is not None:
            lead_ms = min(max((at - self._asked_at) * 1000 / VIDEO_RATE, 0), _LONGEST_LEAD_MS)
            self._lead_ms += (lead_ms - self._lead_ms) / 4
            self._asked_at = self._asked_ms = None

    def wants(self, now_ms: float, at: int, segmenter: VideoSegmenter, *, needed: bool = False) -> bool:
        """Whether to ask now; `at` is the time of the newest picture of the leader, `segmenter` its own; `needed`: a layer that follows
        can show nothing without a key frame."""
        if self._asked_ms is not None and now_ms - self._asked_ms < _RETRY_MS:
            return False
        if not (segmenter.key_frame_needed or needed):
            start = segmenter.segment_start
            if start is None:
                return False
            boundary = start + self._segment
            if at + self._lead_ms * VIDEO_RATE / 1000 < boundary:
                return False
        self._asked_ms, self._asked_at = now_ms, at
        self.requests += 1
        return True
