"""Where segments and parts begin and end: a pure function of the stream's first number, the timestamps and the key frames, plus, for a
source that stalls, of the time by which something must be published.

The leader of a broadcast (video, or audio when there is no video) decides the boundaries of segments; every other rendition follows
it, so all have the same numbers and the same discontinuities. Three rules hold always: a part is never longer than PART-TARGET (it is
cut before the sample that would cross), a segment is never longer than TARGETDURATION rounds to, and each part begins where the one
before it ended."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field

from hls.fmp4.part import Sample
from hls.grid import AUDIO_RATE, VIDEO_RATE, Grid, scaled

AAC_FRAME = 1024
_STEADY_INTERVALS = 8
_STEADY_TICKS = 90
"""Frame intervals that differ by less than a millisecond are a constant frame rate."""
LEAST_PART = 0.85
"""Of PART-TARGET, which a part must last unless it is the last of its segment (RFC 8216bis 4.4.4.9)."""
_SHORTEST_GAP = VIDEO_RATE // 10


@dataclass(frozen=True, slots=True)
class SegmentStart:
    msn: int
    start: int
    discontinuity: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A finished part. Without samples it is a gap. `independent`: it holds a key frame."""

    msn: int
    index: int
    start: int
    duration: int
    samples: tuple[Sample, ...]
    independent: bool

    @property
    def gap(self) -> bool:
        return not self.samples


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    msn: int
    start: int
    duration: int
    gap: bool


Event = SegmentStart | Part | SegmentEnd


class _Flow(enum.Enum):
    """Of a video source: WAITING for its first key frame -> FLOWING -> GAP when it stalls -> FLOWING at its next key frame."""

    WAITING = enum.auto()
    FLOWING = enum.auto()
    GAP = enum.auto()


@dataclass(slots=True)
class _Track:
    """The open segment and part of one rendition; `cursor` is where the published timeline ends."""

    rate: int
    grid: Grid
    msn: int
    cursor: int = 0
    segment_start: int | None = None
    index: int = 0
    part_start: int = 0
    samples: list[Sample] = field(default_factory=list)
    media_parts: int = 0
    gap_parts: int = 0
    events: list[Event] = field(default_factory=list)

    @property
    def part_length(self) -> int:
        return self.cursor - self.part_start

    @property
    def segment_length(self) -> int:
        return 0 if self.segment_start is None else self.cursor - self.segment_start

    def begin(self, at: int, *, discontinuity: bool = False) -> None:
        self.segment_start = self.part_start = self.cursor = at
        self.index = self.media_parts = self.gap_parts = 0
        self.events.append(SegmentStart(self.msn, at, discontinuity))

    def add(self, sample: Sample) -> None:
        self.samples.append(sample)
        self.cursor += sample.duration

    def close_part(self) -> None:
        if not self.samples:
            return
        independent = any(sample.key for sample in self.samples)
        self.events.append(
            Part(self.msn, self.index, self.part_start, self.part_length, tuple(self.samples), independent)
        )
        self.samples.clear()
        self.media_parts += 1
        self.index += 1
        self.part_start = self.cursor

    def gap_part(self, duration: int) -> None:
        self.events.append(Part(self.msn, self.index, self.part_start, duration, (), False))
        self.gap_parts += 1
        self.index += 1
        self.cursor += duration
        self.part_start = self.cursor

    def end(self) -> None:
        self.close_part()
        if self.segment_start is None:
            return
        gap = not self.media_parts
        self.events.append(SegmentEnd(self.msn, self.segment_start, self.segment_length, gap))
        self.segment_start = None
        self.msn += 1

    def drain(self) -> list[Event]:
        events, self.events = self.events, []
        return events


@dataclass(frozen=True, slots=True)
class _Held:
    """The newest picture, whose duration is known when the next one comes."""

    start: int
    data: bytes
    key: bool


class VideoSegmenter:
    """Leads. Times are ticks of 90 kHz on the timeline. `msn` is the number of the first segment."""

    def __init__(self, grid: Grid, msn: int) -> None:
        self._track = _Track(VIDEO_RATE, grid, msn)
        self._part = grid.part_ticks(VIDEO_RATE)
        self._least = round(LEAST_PART * self._part)
        self._segment = grid.segment_ticks(VIDEO_RATE)
        self._longest = grid.longest_segment_ms * VIDEO_RATE // 1000
        self._flow = _Flow.WAITING
        self._held: _Held | None = None
        self._broken = False
        self._last_at: int | None = None
        self._intervals: deque[int] = deque(maxlen=_STEADY_INTERVALS)
        self._last_key: int | None = None
        self._key_interval: int | None = None
        self.dropped = 0
        """Pictures that could not be decoded or came for a time that was already published."""
        self.hard_cuts = 0
        """Segments that had to begin without a key frame."""

    @property
    def key_frame_needed(self) -> bool:
        """Nothing can be published until a key frame comes."""
        return self._flow is not _Flow.FLOWING or self._broken

    @property
    def segment_start(self) -> int | None:
        """Begin of the open segment, None while there is none."""
        return self._track.segment_start

    @property
    def interval(self) -> int | None:
        """Median ticks between pictures, None before there are enough."""
        if len(self._intervals) < _STEADY_INTERVALS:
            return None
        return sorted(self._intervals)[_STEADY_INTERVALS // 2]

    @property
    def cursor(self) -> int:
        """Up to here the timeline is published, or in the open part."""
        return self._track.cursor

    @property
    def decided(self) -> int:
        """No boundary that is still to come lies before this time, so followers may go on up to it."""
        return self._held.start + 1 if self._held else self._track.cursor

    def push(
        self, at: int, data: bytes, key: bool, *, lost_before: bool = False, new_init: bool = False
    ) -> list[Event]:
        """Takes the next picture. `new_init`: its parameter sets differ from those before (only with a key frame): the segment is cut
        with a discontinuity. After `lost_before`, pictures up to the next key frame are left out: they would decode to rubble."""
        self._note(at, key)
        self._broken = (self._broken or lost_before) and not key
        if self._broken or (self._flow is not _Flow.FLOWING and not key):
            self.dropped += 1
            return []
        if self._flow is _Flow.WAITING:
            self._start(at, data, discontinuity=False)
            return self._track.drain()
        if (
            self._flow is _Flow.FLOWING
            and at - (self._held.start if self._held else self._track.cursor) > self._part
        ):
            # Longer than a part without a picture: no sample may last that long.
            self._enter_gap()
            if not key:
                self.dropped += 1
                return self._track.drain()
        if self._flow is _Flow.GAP:
            self._leave_gap(at, data, new_init)
        else:
            self._flow_on(at, data, key, new_init)
        return self._track.drain()

    def overdue(self, until: int) -> list[Event]:
        """Publishes the timeline up to `until`, by when a source that does not stall would have come: an unfinished part with its last
        picture held to the part's end, then gap parts. Whole parts only."""
        track = self._track
        if self._flow is _Flow.FLOWING and track.part_start + self._part <= until:
            self._enter_gap()
        if self._flow is _Flow.GAP:
            self._fill(until, whole=True)
        return track.drain()

    def end(self) -> list[Event]:
        """Finishes what is open."""
        if self._held:
            self._settle(min(self.interval or self._part // 8, self._part))
        self._track.end()
        self._flow = _Flow.WAITING
        return self._track.drain()

    def _note(self, at: int, key: bool) -> None:
        if self._last_at is not None and 0 < at - self._last_at < VIDEO_RATE:
            self._intervals.append(at - self._last_at)
        self._last_at = at
        if key:
            if self._last_key is not None:
                self._key_interval = at - self._last_key
            self._last_key = at

    def _start(self, at: int, data: bytes, *, discontinuity: bool) -> None:
        self._track.begin(at, discontinuity=discontinuity)
        self._flow = _Flow.FLOWING
        self._held = _Held(at, data, key=True)

    def _flow_on(self, at: int, data: bytes, key: bool, new_init: bool) -> None:
        track = self._track
        if self._held:
            # Timestamps that stand still or go back are pushed on by one tick: the timeline only grows.
            self._settle(max(1, at - self._held.start))
        # After a part that was closed on time the picture begins where that part ended, wherever exactly it was due.
        start = track.cursor
        length = track.segment_length
        if new_init or (key and self._may_cut(length)):
            track.end()
            track.begin(start, discontinuity=new_init)
        elif not track.samples:
            self._cut_if_full(key)
        self._held = _Held(start, data, key)
        self._close_on_time()

    def _may_cut(self, length: int) -> bool:
        """A key frame ends the segment from three quarters of its nominal length on, or from half of it when the next key frame would
        come too late (a fixed GOP of 1.5 s)."""
        if length >= self._segment * 3 // 4:
            return True
        return length >= self._segment // 2 and length + (self._key_interval or 0) > self._longest

    def _settle(self, duration: int) -> None:
        """The held picture's duration is known: it goes into the part, or into the next one if it would cross. A part that would be too
        short without it takes it with the duration that is left, and the next picture comes that much earlier."""
        assert self._held is not None
        track = self._track
        if self._too_short and track.part_length + duration > self._part:
            duration = self._part - track.part_length
        elif track.part_length + duration > self._part:
            track.close_part()
            self._cut_if_full(self._held.key)
        track.add(Sample(self._held.data, min(duration, self._part), self._held.key))
        self._held = None
        if track.part_length + (self.interval or duration) > self._part and not self._too_short:
            track.close_part()

    @property
    def _too_short(self) -> bool:
        """The open part has pictures, and less of them than a part must have that is not the last of its segment."""
        return bool(self._track.samples) and self._track.part_length < self._least

    def _cut_if_full(self, key: bool) -> None:
        """Before a part that begins with `key`: ends the segment if that part could make it too long."""
        track = self._track
        if track.segment_length + self._part > self._longest:
            track.end()
            track.begin(track.cursor)
            self.hard_cuts += not key

    def _close_on_time(self) -> None:
        """At a constant frame rate the last picture of a part is known as such, so the part goes out one frame earlier."""
        interval = self.interval
        if interval is None or max(self._intervals) - min(self._intervals) > _STEADY_TICKS:
            return
        length = self._track.part_length + interval
        if self._least <= length <= self._part < length + interval:
            self._settle(interval)
        elif self._too_short and length > self._part:
            self._settle(self._part - self._track.part_length)

    def _enter_gap(self) -> None:
        track = self._track
        if self._held:
            self._settle(max(1, self._part - track.part_length))
        track.end()
        self._flow = _Flow.GAP

    def _fill(self, until: int, *, whole: bool) -> None:
        track = self._track
        while track.cursor < until:
            duration = min(self._part, until - track.cursor)
            if whole and duration < self._part:
                return
            if track.segment_length + duration > self._segment:
                track.end()
            if track.segment_start is None:
                track.begin(track.cursor)
            track.gap_part(duration)

    def _leave_gap(self, at: int, data: bytes, new_init: bool) -> None:
        track = self._track
        if at < track.cursor:
            # Its time is already published as a gap.
            self.dropped += 1
            return
        if track.segment_start is not None or at - track.cursor >= _SHORTEST_GAP:
            self._fill(at, whole=False)
        track.end()
        self._start(track.cursor, data, discontinuity=new_init)


class AudioSegmenter:
    """AAC frames of 1024 samples at 48 kHz, without a hole. Leads in a broadcast without video, else follows the boundaries of the
    leader: frames wait until the leader has decided whether a segment ends before them."""

    def __init__(self, grid: Grid, msn: int | None) -> None:
        """`msn`: number of the first segment when this one leads; None when it follows."""
        self.leads = msn is not None
        self._track = _Track(AUDIO_RATE, grid, msn or 0)
        self._part = grid.part_ticks(AUDIO_RATE)
        self._segment = grid.segment_ticks(AUDIO_RATE)
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._boundaries: deque[SegmentStart] = deque()
        self._decided = 0

    @property
    def cursor(self) -> int:
        return self._track.cursor

    def yield_lead(self) -> int:
        """Follows from now on; returns the number of the segment after the open one, with which the new leader begins."""
        self.leads = False
        return self._track.msn + (self._track.segment_start is not None)

    def push(self, start: int, data: bytes) -> list[Event]:
        """Takes the next frame; `start` in samples on the timeline, 1024 after the one before."""
        self._waiting.append((start, data))
        return self._advance()

    def follow(self, boundary: SegmentStart) -> None:
        """The leader (at 90 kHz) has begun a segment."""
        self._boundaries.append(
            SegmentStart(boundary.msn, scaled(boundary.start, VIDEO_RATE, AUDIO_RATE), boundary.discontinuity)
        )

    def decide(self, until: int) -> list[Event]:
        """The leader's boundaries before `until` (90 kHz) are known."""
        self._decided = scaled(until, VIDEO_RATE, AUDIO_RATE)
        return self._advance()

    def end(self) -> list[Event]:
        """Finishes what is open."""
        self._track.end()
        return self._track.drain()

    def _advance(self) -> list[Event]:
        track = self._track
        while self._waiting and (self.leads or self._waiting[0][0] < self._decided):
            start, data = self._waiting.popleft()
            if self.leads:
                self._lead(start)
            elif not self._followed(start):
                continue
            track.add(Sample(data, AAC_FRAME, key=True))
            if track.part_length + AAC_FRAME > self._part:
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
