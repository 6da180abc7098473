"""The sound of a broadcast: one transcoder, a rendition for each bitrate, silence for what does not come."""

from __future__ import annotations

from collections.abc import Iterable

from hls import fmp4
from hls.aac import CODEC, Transcoder
from hls.audio_segmenter import AudioSegmenter
from hls.grid import AUDIO_RATE, Grid, ticks, unix_ms
from hls.playlist import AudioRendition
from hls.rendition import Rendition
from hls.sources import AccessUnit, Delay
from hls.sync import TrackClock
from hls.track import Event, SegmentStart

BITRATES_BPS = (128_000, 64_000)
_SILENCE_AFTER_MS = 160
"""Sound that is this late, against what is usual for the stream, becomes silence."""

Changes = list[tuple[Rendition, list[Event]]]


class Sound:
    """Renditions `a128` and `a64`. `lead_msn` is the number of their first segment when they lead; None when they follow video, `elder`."""

    def __init__(
        self, grid: Grid, window_s: float, lead_msn: int | None, elder: Rendition | None = None
    ) -> None:
        self._transcoder = Transcoder(BITRATES_BPS)
        self._clock = TrackClock(AUDIO_RATE)
        self._delay = Delay()
        self._segmenters: dict[int, AudioSegmenter] = {}
        self.renditions: dict[int, Rendition] = {}
        for bitrate in BITRATES_BPS:
            rendition = Rendition(f"a{bitrate // 1000}", grid, AUDIO_RATE, window_s)
            rendition.elder = elder
            rendition.set_init(fmp4.audio_init("aac", self._transcoder.config(bitrate), 2, bitrate))
            self.renditions[bitrate] = rendition
            self._segmenters[bitrate] = AudioSegmenter(grid, lead_msn)

    @property
    def cursor(self) -> int:
        """Up to here (48 kHz) the timeline is published, or in the open part."""
        return min(segmenter.cursor for segmenter in self._segmenters.values())

    def push(self, unit: AccessUnit, wall_ms: float, now_ms: float) -> Changes:
        """Takes an Opus packet that was captured at `wall_ms`."""
        at = self._clock.map(unit.time, wall_ms)
        self._delay.saw(now_ms - unix_ms(at, AUDIO_RATE))
        return self._frames(self._transcoder.push(bytes(unit.data), at))

    def tick(self, now_ms: float) -> Changes:
        """Silence up to where sound on time would have come."""
        if self._transcoder.cursor is None:
            return []
        late_ms = self._delay.bounded_ms + _SILENCE_AFTER_MS
        return self._frames(self._transcoder.fill(ticks(now_ms - late_ms, AUDIO_RATE)))

    def follow(self, boundaries: Iterable[SegmentStart], decided: int) -> Changes:
        """The leader has begun segments, and decided up to a time of 90 kHz."""
        for boundary in boundaries:
            for segmenter in self._segmenters.values():
                segmenter.follow(boundary)
        return [(self.renditions[bitrate], one.decide(decided)) for bitrate, one in self._segmenters.items()]

    def yield_lead(self) -> int:
        """From now on these renditions follow; returns the number with which the new leader begins."""
        return max(segmenter.yield_lead() for segmenter in self._segmenters.values())

    def end(self) -> Changes:
        """Finishes what is open."""
        return [
            (self.renditions[bitrate], one.decide(2**62) + one.end())
            for bitrate, one in self._segmenters.items()
        ]

    def described(self) -> list[AudioRendition]:
        """How the multivariant playlist describes those that have a part."""
        return [
            AudioRendition(
                rendition.name,
                f"aac-{bitrate // 1000}",
                f"Stereo {bitrate // 1000} kbit/s",
                CODEC,
                # What the encoder may take, not what it took in a quiet moment.
                max(round(bitrate * 1.1), rendition.bandwidth_bps),
                bitrate,
            )
            for bitrate, rendition in self.renditions.items()
            if rendition.newest is not None
        ]

    def stats(self) -> dict[str, object]:
        """Counters since the start."""
        return {
            "silence_s": round(self._transcoder.silence_samples / AUDIO_RATE, 3),
            "late_packets": self._transcoder.late_packets,
            "broken_packets": self._transcoder.broken_packets,
        }

    def _frames(self, rows: dict[int, list[tuple[int, bytes]]]) -> Changes:
        return [
            (
                self.renditions[bitrate],
                [event for start, data in row for event in self._segmenters[bitrate].push(start, data)],
            )
            for bitrate, row in rows.items()
        ]
