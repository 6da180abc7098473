"""Where the segments and parts of sound begin and end: every part of whole frames, no hole, boundaries as the leader set them."""

from __future__ import annotations

from collections import deque

from hls.fmp4.part import Sample
from hls.grid import AUDIO_RATE, VIDEO_RATE, Grid, scaled
from hls.track import AAC_FRAME, Event, SegmentStart, Track


class AudioSegmenter:
    """Frames of AAC (1024 samples at 48 kHz) or of Opus, without a hole. Leads in a broadcast without video, else follows the boundaries of
    the leader: frames wait until the leader has decided whether a segment ends before them."""

    def __init__(self, grid: Grid, msn: int | None) -> None:
        """`msn`: number of the first segment when this one leads; None when it follows."""
        self.leads = msn is not None
        self._track = Track(AUDIO_RATE, grid, msn or 0)
        self._part = grid.part_ticks(AUDIO_RATE)
        self._segment = grid.segment_ticks(AUDIO_RATE)
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        self._boundaries: deque[SegmentStart] = deque()
        self._decided = 0

    @property
    def cursor(self) -> int:
        return self._track.cursor

    def yield_lead(self) -> int:
        """Follows from now on; returns the number of the segment after the open one, with which the new leader begins."""
        self.leads = False
        return self._track.msn + (self._track.segment_start is not None)

    def push(self, start: int, data: bytes, samples: int = AAC_FRAME) -> list[Event]:
        """Takes the next frame; `start` in samples on the timeline, where the one before ends."""
        self._waiting.append((start, data, samples))
        return self._advance()

    def follow(self, boundary: SegmentStart, rate: int = VIDEO_RATE) -> None:
        """The leader, whose clock is `rate`, has begun a segment."""
        start = scaled(boundary.start, rate, AUDIO_RATE)
        self._boundaries.append(SegmentStart(boundary.msn, start, boundary.discontinuity))

    def decide(self, until: int, rate: int = VIDEO_RATE) -> list[Event]:
        """The leader's boundaries before `until` are known."""
        self._decided = scaled(until, rate, AUDIO_RATE)
        return self._advance()

    def end(self) -> list[Event]:
        """Finishes what is open."""
        self._track.end()
        return self._track.drain()

    def _advance(self) -> list[Event]:
        track = self._track
        while self._waiting and (self.leads or self._waiting[0][0] < self._decided):
            start, data, samples = self._waiting.popleft()
            if self.leads:
                self._lead(start)
            elif not self._followed(start):
                continue
            if track.part_length + samples > self._part:
                track.close_part()
            track.add(Sample(data, samples, key=True))
            if track.part_length + samples > self._part:
                track.close_part()
        return track.drain()

    def _lead(self, start: int) -> None:
        track = self._track
        if track.segment_start is not None and track.segment_length + AAC_FRAME > self._segment:
            track.end()
        if track.segment_start is None:
            track.begin(start)

    def _followed(self, start: int) -> bool:
        """Applies a boundary at or before `start`; False when the frame lies before the first of all. One boundary a frame, so that
        every segment has sound, even one of video that is shorter than a frame."""
        track = self._track
        if self._boundaries and self._boundaries[0].start <= start:
            boundary = self._boundaries.popleft()
            track.end()
            track.msn = boundary.msn
            track.begin(start, discontinuity=boundary.discontinuity)
        return track.segment_start is not None
