"""One layer of video: its parameter sets, its place on the timeline, its segments, and how the multivariant playlist describes it."""

from __future__ import annotations

from hls import fmp4, h264
from hls.frame_rate import FrameRate
from hls.grid import VIDEO_RATE, Grid, ticks, unix_ms
from hls.playlist import Variant
from hls.rendition import Rendition
from hls.segmenter import VideoSegmenter
from hls.sources import AccessUnit, Delay
from hls.sync import TrackClock
from hls.track import Event

GRACE_PARTS = 1.5
"""A source may be this many parts late before gap parts take its place. Players hold back three."""
_FOREIGN_MS = 300
_FOREIGN_UNITS = 15
"""A layer whose times are that far from the other layers' for so many pictures in a row is put on a clock of its own."""


class Picture:
    """Rendition `v{layer}`. `msn` is the number of its first segment when it leads, None when it follows."""

    def __init__(self, layer: int, grid: Grid, window_s: float, msn: int | None, clock: TrackClock) -> None:
        """`clock` is shared by the layers of a stream, whose times lie on one line; the leader teaches it."""
        self.layer = layer
        self.rendition = Rendition(f"v{layer}", grid, VIDEO_RATE, window_s)
        self.rendition.shows_keys = True
        self.segmenter = VideoSegmenter(grid, msn)
        self.delay = Delay()
        self.broken_units = 0
        self.last_ms = 0.0
        """When its newest picture arrived."""
        self.last_at: int | None = None
        self._grid = grid
        self._clock = clock
        self._own_clock: TrackClock | None = None
        self._foreign = 0
        self._lost = False
        self._frame_rate = FrameRate()
        self._init: bytes | None = None
        self._sps = self._pps = b""
        self._sets: h264.ParameterSets | None = None

    @property
    def pixels(self) -> int:
        """Size of the picture, 0 before the first."""
        return self._sets.width * self._sets.height if self._sets else 0

    def push(self, unit: AccessUnit, wall_ms: float, now_ms: float) -> tuple[bool, list[Event]]:
        """Takes a picture that was captured at `wall_ms`; whether it was a key frame, and what has come of it. What cannot be read is
        counted, and nothing else."""
        try:
            sample = h264.picture(bytes(unit.data))
            if sample is None:
                return False, []
            self._init = self._read_sets(sample) or self._init
        except h264.BadBitstream:
            self.broken_units += 1
            return False, []
        at = self._place(unit.time, wall_ms)
        if at is None:
            self._lost = True
            return False, []
        lost, self._lost = self._lost or unit.lost_before, False
        init, self._init = self._init, None
        self.delay.saw(now_ms - unix_ms(at, VIDEO_RATE))
        self.last_ms, self.last_at = now_ms, at
        self._frame_rate.saw(at)
        if self._sets is None:
            return False, []
        return sample.key, self.segmenter.push(at, sample.data, sample.key, lost_before=lost, init=init)

    def due(self, now_ms: float) -> int:
        """Up to this time a source on time would have brought its pictures."""
        late_ms = self.delay.bounded_ms + GRACE_PARTS * self._grid.part_ms
        return ticks(now_ms - late_ms, VIDEO_RATE)

    def tick(self, now_ms: float) -> list[Event]:
        """Publishes what a source on time would have brought."""
        if self.segmenter.segment_start is None and self.rendition.newest is None:
            return []
        return self.segmenter.overdue(self.due(now_ms))

    def variant(self) -> Variant | None:
        """How the multivariant playlist describes it; None before its first part."""
        if self._sets is None or self.rendition.newest is None:
            return None
        return Variant(
            self.rendition.name,
            self._sets.codec,
            self.rendition.bandwidth_bps,
            self.rendition.average_bps,
            self._sets.width,
            self._sets.height,
            self._frame_rate.value(VIDEO_RATE / (self.segmenter.interval or VIDEO_RATE // 25)),
            *self.rendition.key_bandwidth,
        )

    def stats(self) -> dict[str, object]:
        """Counters since the start."""
        return {
            "size": f"{self._sets.width}x{self._sets.height}" if self._sets else None,
            "leads": self.segmenter.leads,
            "flowing": self.segmenter.flowing,
            "dropped_pictures": self.segmenter.dropped,
            "hard_cuts": self.segmenter.hard_cuts,
            "gap_parts": self.rendition.gap_parts,
            "delay_ms": round(self.delay.value_ms, 1),
        }

    def _place(self, time: int, wall_ms: float) -> int | None:
        """On the timeline; None when that cannot be right."""
        if self._own_clock is not None:
            return self._own_clock.map(time, wall_ms)
        at = self._clock.place(time)
        if self.segmenter.leads or at is None:
            return self._clock.map(time, wall_ms)
        if abs(at - ticks(wall_ms, VIDEO_RATE)) <= _FOREIGN_MS * VIDEO_RATE // 1000:
            self._foreign = 0
            return at
        self._foreign += 1
        if self.last_at is not None and self._foreign < _FOREIGN_UNITS:
            return None
        self._own_clock = TrackClock(VIDEO_RATE)
        return self._own_clock.map(time, wall_ms)

    def _read_sets(self, sample: h264.Picture) -> bytes | None:
        """Notes parameter sets; their init section when they differ from those before. Repeats are the rule and change nothing."""
        sps, pps = sample.sps or self._sps, sample.pps or self._pps
        if not sample.key or (sps, pps) == (self._sps, self._pps) or not (sps and pps):
            return None
        self._sets = h264.parameter_sets(sps, pps)
        self._sps, self._pps = sps, pps
        return fmp4.video_init(self._sets)
