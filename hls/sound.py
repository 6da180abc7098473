"""The sound of a broadcast: one transcoder, a rendition for each bitrate, silence for what does not come."""

from __future__ import annotations

from collections.abc import Iterable

from hls import fmp4
from hls.aac import CODEC, Transcoder
from hls.audio_segmenter import AudioSegmenter
from hls.grid import AUDIO_RATE, Grid, ticks, unix_ms
from hls.opus import CODEC as OPUS
from hls.opus import HEADER, Frame, Passage
from hls.playlist import AudioRendition
from hls.rendition import Changes, Rendition
from hls.sources import AccessUnit, Delay
from hls.sync import TrackClock
from hls.track import SegmentStart

BITRATES_BPS = (128_000, 64_000)
FOLDER = "aopus"
_PASSED = 0
"""Key of the rendition that is not encoded here."""
_SILENCE_AFTER_MS = 160
"""Sound that is this late, against what is usual for the stream, becomes silence."""


class Sound:
    """Renditions `a128` and `a64`. `lead_msn` is the number of their first segment when they lead; None when they follow video, `elder`."""

    def __init__(
        self,
        grid: Grid,
        window_s: float,
        lead_msn: int | None,
        elder: Rendition | None = None,
        *,
        opus: bool = False,
    ) -> None:
        """`opus`: the packets as they come are a rendition too, `aopus`, which always follows."""
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
        self._passage = Passage() if opus else None
        self._passed = AudioSegmenter(grid, None)
        if opus:
            rendition = Rendition(FOLDER, grid, AUDIO_RATE, window_s)
            rendition.elder = elder or (self.renditions[BITRATES_BPS[0]] if lead_msn is not None else None)
            rendition.set_init(fmp4.audio_init("opus", HEADER, 2, 0))
            self.renditions[_PASSED] = rendition

    @property
    def cursor(self) -> int:
        """Up to here (48 kHz) the timeline is published, or in the open part."""
        return min(segmenter.cursor for segmenter in self._segmenters.values())

    def push(self, unit: AccessUnit, wall_ms: float, now_ms: float) -> Changes:
        """Takes an Opus packet that was captured at `wall_ms`."""
        at = self._clock.map(unit.time, wall_ms)
        self._delay.saw(now_ms - unix_ms(at, AUDIO_RATE))
        data = bytes(unit.data)
        changes = self._frames(self._transcoder.push(data, at))
        return changes + self._passed_on(changes, self._passage.push(data, at) if self._passage else [])

    def tick(self, now_ms: float) -> Changes:
        """Silence up to where sound on time would have come."""
        if self._transcoder.cursor is None:
            return []
        late_ms = self._delay.bounded_ms + _SILENCE_AFTER_MS
        until = ticks(now_ms - late_ms, AUDIO_RATE)
        changes = self._frames(self._transcoder.fill(until))
        return changes + self._passed_on(changes, self._passage.fill(until) if self._passage else [])

    def follow(self, boundaries: Iterable[SegmentStart], decided: int) -> Changes:
        """The leader has begun segments, and decided up to a time of 90 kHz."""
        for boundary in boundaries:
            for segmenter in (*self._segmenters.values(), self._passed):
                segmenter.follow(boundary)
        changes = [
            (self.renditions[bitrate], one.decide(decided)) for bitrate, one in self._segmenters.items()
        ]
        if self._passage:
            changes.append((self.renditions[_PASSED], self._passed.decide(decided)))
        return changes

    def yield_lead(self) -> int:
        """From now on these renditions follow; returns the number with which the new leader begins."""
        return max(segmenter.yield_lead() for segmenter in self._segmenters.values())

    def end(self) -> Changes:
        """Finishes what is open."""
        changes = [
            (self.renditions[bitrate], one.decide(2**62) + one.end())
            for bitrate, one in self._segmenters.items()
        ]
        if self._passage:
            changes.append((self.renditions[_PASSED], self._passed.decide(2**62) + self._passed.end()))
        return changes

    def described(self) -> list[AudioRendition]:
        """How the multivariant playlist describes those that have a part: AAC first, for all players."""
        found = [
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
            if bitrate != _PASSED and rendition.newest is not None
        ]
        passed = self.renditions.get(_PASSED)
        if passed is not None and passed.newest is not None:
            rates = passed.bandwidth_bps, passed.average_bps
            found.append(AudioRendition(FOLDER, OPUS, "Opus", OPUS, max(rates), rates[1]))
        return found

    def stats(self) -> dict[str, object]:
        """Counters since the start."""
        return {
            "silence_s": round(self._transcoder.silence_samples / AUDIO_RATE, 3),
            "late_packets": self._transcoder.late_packets,
            "broken_packets": self._transcoder.broken_packets,
        }

    def _passed_on(self, changes: Changes, frames: list[Frame]) -> Changes:
        """Opus behind the AAC that leads, or behind the leader that both follow."""
        if self._passage is None:
            return []
        events = [event for frame in frames for event in self._passed.push(*frame)]
        first = self._segmenters[BITRATES_BPS[0]]
        if first.leads:
            for event in changes[0][1] if changes else []:
                if isinstance(event, SegmentStart):
                    self._passed.follow(event, AUDIO_RATE)
            events += self._passed.decide(first.cursor, AUDIO_RATE)
        return [(self.renditions[_PASSED], events)]

    def _frames(self, rows: dict[int, list[tuple[int, bytes]]]) -> Changes:
        return [
            (
                self.renditions[bitrate],
                [event for start, data in row for event in self._segmenters[bitrate].push(start, data)],
            )
            for bitrate, row in rows.items()
        ]
