"""The video of a broadcast: which layer is packaged, its parameter sets, its segments, and when it needs a key frame."""

from __future__ import annotations

from hls import fmp4, h264
from hls.governor import KeyFrameGovernor
from hls.grid import VIDEO_RATE, Grid, ticks, unix_ms
from hls.playlist import Variant
from hls.rendition import Rendition
from hls.segmenter import Event, VideoSegmenter
from hls.sources import AccessUnit, Delay
from hls.sync import TrackClock

_GRACE_PARTS = 1.5
"""A source may be this many parts late before gap parts take its place. Players hold back three."""
_LAYER_SILENT_MS = 2000
_LARGER = 1.2
"""Another layer must have this many times the pixels to be taken instead."""


class Picture:
    """One video rendition, `v0`. `msn` is the number of its first segment."""

    def __init__(self, grid: Grid, window_s: float, msn: int) -> None:
        self.rendition = Rendition("v0", grid, VIDEO_RATE, window_s)
        self.segmenter = VideoSegmenter(grid, msn)
        self.governor = KeyFrameGovernor(grid)
        self.delay = Delay()
        self.broken_units = 0
        self._grid = grid
        self._clock = TrackClock(VIDEO_RATE)
        self._layer: int | None = None
        self._sps = self._pps = b""
        self._sets: h264.ParameterSets | None = None
        self._last_ms = 0.0
        self._last_at: int | None = None

    def push(self, unit: AccessUnit, wall_ms: float, now_ms: float) -> list[Event]:
        """Takes a picture that was captured at `wall_ms`. What cannot be read is counted, and nothing else."""
        try:
            sample = h264.picture(bytes(unit.data))
            if sample is None or not self._takes_layer(unit.layer, sample, now_ms):
                return []
            new_init = self._read_sets(sample)
        except h264.BadBitstream:
            self.broken_units += 1
            return []
        at = self._clock.map(unit.time, wall_ms)
        self.delay.saw(now_ms - unix_ms(at, VIDEO_RATE))
        self._last_ms, self._last_at = now_ms, at
        self.governor.saw(at, sample.key)
        if self._sets is None:
            return []
        return self.segmenter.push(
            at, sample.data, sample.key, lost_before=unit.lost_before, new_init=new_init
        )

    def tick(self, now_ms: float) -> list[Event]:
        """Publishes what a source on time would have brought."""
        if self.segmenter.segment_start is None and self.rendition.newest is None:
            return []
        late_ms = self.delay.bounded_ms + _GRACE_PARTS * self._grid.part_ms
        return self.segmenter.overdue(ticks(now_ms - late_ms, VIDEO_RATE))

    def wants_key_frame(self, now_ms: float) -> bool:
        """Whether the publisher should be asked for a key frame now."""
        at = 0
        if self._last_at is not None:
            at = self._last_at + round((now_ms - self._last_ms) * VIDEO_RATE / 1000)
        return self.governor.wants(now_ms, at, self.segmenter)

    def variant(self) -> Variant | None:
        """How the multivariant playlist describes it; None before its first part."""
        if self._sets is None or self.rendition.newest is None:
            return None
        interval = self.segmenter.interval or VIDEO_RATE // 25
        return Variant(
            self.rendition.name,
            self._sets.codec,
            self.rendition.bandwidth_bps,
            self.rendition.average_bps,
            self._sets.width,
            self._sets.height,
            round(VIDEO_RATE / interval, 1),
        )

    def stats(self) -> dict[str, object]:
        """Counters since the start."""
        return {
            "dropped_pictures": self.segmenter.dropped,
            "hard_cuts": self.segmenter.hard_cuts,
            "gap_parts": self.rendition.gap_parts,
            "key_frame_requests": self.governor.requests,
            "clock_steps": max(0, self._clock.steps),
            "delay_ms": round(self.delay.value_ms, 1),
        }

    def _takes_layer(self, layer: int, sample: h264.Picture, now_ms: float) -> bool:
        """One layer is packaged: the one with the largest picture. It changes at a key frame, when a larger one comes or this one
        has fallen silent."""
        if layer == self._layer:
            return True
        if not sample.key or sample.sps is None or sample.pps is None:
            return False
        if self._layer is not None and self._sets is not None:
            other = h264.parameter_sets(sample.sps, sample.pps)
            larger = other.width * other.height > _LARGER * self._sets.width * self._sets.height
            if not larger and now_ms - self._last_ms < _LAYER_SILENT_MS:
                return False
        self._layer = layer
        self._clock = TrackClock(VIDEO_RATE)
        return True

    def _read_sets(self, sample: h264.Picture) -> bool:
        """Notes parameter sets; true when they differ from those before. Repeats are the rule and change nothing."""
        sps, pps = sample.sps or self._sps, sample.pps or self._pps
        if not sample.key or (sps, pps) == (self._sps, self._pps) or not (sps and pps):
            return False
        first = self._sets is None
        self._sets = h264.parameter_sets(sps, pps)
        self._sps, self._pps = sps, pps
        self.rendition.set_init(fmp4.video_init(self._sets))
        return not first
