"""What is said in a broadcast as a rendition of WebVTT subtitles: the boundaries of the leader, parts of PART-TARGET, and in each part
the cues that begin in it. The first part of a segment repeats those that still go on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hls import webvtt
from hls.fmp4.part import Sample
from hls.grid import VIDEO_RATE, Grid, scaled, ticks
from hls.playlist import SubtitleRendition
from hls.rendition import Container, Rendition
from hls.track import Event, Part, SegmentStart, Track
from hls.webvtt import Cue

NAME = "captions"
"""Folder of the rendition."""
UNKNOWN_LANGUAGE = "und"
_LONGEST_MS = 30_000
"""A caption is shown no longer than this, whatever its sender says."""
_SHORTEST_MS = 200
_FOREIGN_MS = 30_000
"""A caption whose time is further off than this is of another clock, and counts from its arrival."""
_MOST_WAITING = 64


@dataclass(frozen=True, slots=True)
class Caption:
    """Words with the time at which they are heard (Unix ms at their sender), as the event `caption` carries them."""

    text: str
    start_ms: int
    end_ms: int
    language: str | None = None


def caption(data: Mapping[str, Any]) -> Caption:
    """A caption out of the fields of its event, which have been checked (sfu.channels.caption_of)."""
    return Caption(data["text"], data["start_ms"], data["end_ms"], data.get("language"))


def placed(one: Caption, correction_ms: float, now_ms: float) -> Cue | None:
    """Its place on the timeline, when it arrives at `now_ms`; None when it says nothing. `correction_ms` is added to what the sender's
    clock shows."""
    if not one.text.strip():
        return None
    start_ms = one.start_ms + correction_ms
    if abs(start_ms - now_ms) > _FOREIGN_MS:
        start_ms = now_ms
    length_ms = min(max(one.end_ms - one.start_ms, _SHORTEST_MS), _LONGEST_MS)
    return Cue(ticks(start_ms, VIDEO_RATE), ticks(start_ms + length_ms, VIDEO_RATE), one.text)


def _cues(part: Part) -> bytes:
    return b"".join(sample.data for sample in part.samples)


_WEBVTT = Container("vtt", "vtt", webvtt.NOTHING, _cues)


class Captions:
    """The rendition `captions`. It follows the leader, `elder`, from the next segment on; times are ticks of 90 kHz."""

    def __init__(self, grid: Grid, window_s: float, language: str) -> None:
        self.language = language
        self.late = 0
        """Cues that were over when they came."""
        self.rendition = Rendition(NAME, grid, VIDEO_RATE, window_s, container=_WEBVTT)
        self.rendition.set_init(webvtt.HEADER)
        self._track = Track(VIDEO_RATE, grid, 0)
        self._part = grid.part_ticks(VIDEO_RATE)
        self._boundaries: deque[SegmentStart] = deque()
        self._waiting: list[Cue] = []
        self._shown: list[Cue] = []

    def say(self, cue: Cue) -> None:
        """Takes what is said. One that begins with one that waits takes its place."""
        if self._track.segment_start is not None and cue.end <= self._track.cursor:
            self.late += 1
            return
        self._waiting = [one for one in self._waiting if one.start != cue.start][-_MOST_WAITING + 1 :]
        self._waiting.append(cue)
        self._waiting.sort(key=lambda one: one.start)

    def follow(
        self,
        boundaries: Iterable[SegmentStart],
        decided: int,
        elder: Rendition | None,
        rate: int = VIDEO_RATE,
    ) -> list[Event]:
        """The leader, `elder`, has begun segments, and decided up to a time (both in ticks of `rate`): publishes what there is up to
        there, in whole parts."""
        for one in boundaries:
            start = scaled(one.start, rate, VIDEO_RATE)
            self._boundaries.append(SegmentStart(one.msn, start, one.discontinuity))
        track = self._track
        while self._boundaries:
            boundary = self._boundaries.popleft()
            self._fill(boundary.start, whole=False)
            track.end()
            track.msn = boundary.msn
            if self.rendition.elder is None:
                self.rendition.elder = elder
            track.begin(max(boundary.start, track.cursor), discontinuity=boundary.discontinuity)
        self._fill(scaled(decided, rate, VIDEO_RATE), whole=True)
        return track.drain()

    def end(self, until: int, rate: int = VIDEO_RATE) -> list[Event]:
        """Finishes what is open, at the end of the leader."""
        self._fill(scaled(until, rate, VIDEO_RATE), whole=False)
        self._track.end()
        return self._track.drain()

    def described(self) -> SubtitleRendition | None:
        """How the multivariant playlist describes it; None before its first part."""
        if self.rendition.newest is None:
            return None
        return SubtitleRendition(NAME, NAME, "Captions", self.language)

    def _fill(self, until: int, *, whole: bool) -> None:
        track = self._track
        while track.segment_start is not None and track.cursor < until:
            end = min(track.cursor + self._part, until)
            if whole and end - track.cursor < self._part:
                return
            self._write(end)

    def _write(self, end: int) -> None:
        """One part, up to `end`."""
        track = self._track
        if track.segment_start is None:
            return
        self._shown = [one for one in self._shown if one.end > track.cursor]
        begun = [one for one in self._waiting if one.start < end]
        self._waiting = self._waiting[len(begun) :]
        begun = [one for one in begun if one.end > track.cursor]
        # "Each WebVTT Segment MUST contain all subtitle cues that are intended to be displayed during" it (3.1.4).
        cues = begun if track.index else self._shown + begun
        data = b"".join(webvtt.cue(one) for one in cues) or webvtt.NOTHING
        self._shown += begun
        track.add(Sample(data, end - track.cursor, key=True))
        track.close_part()
