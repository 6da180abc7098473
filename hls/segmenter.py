"""Where segments and parts of video begin and end: a pure function of the stream's first number, the timestamps and the key frames, plus,
for a source that stalls, of the time by which something must be published.

The leader of a broadcast (a layer of video, or audio when there is no video) decides the boundaries of segments; every other rendition
follows it, so all have the same numbers and the same discontinuities. Three rules hold always: a part is never longer than
PART-TARGET (it is cut before the sample that would cross), a segment is never longer than TARGETDURATION rounds to, and each part
begins where the one before it ended.

A layer that follows cuts at its own key frame, when that lies within TOLERANCE_MS of the boundary; it waits so long for it, too. Without
one it cuts where the boundary is. It may take over the lead, and give it back, at any time."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from hls.fmp4.part import Sample
from hls.grid import VIDEO_RATE, Grid
from hls.track import Event, SegmentStart, Track

TOLERANCE_MS = 100
"""So far apart may key frames of two layers be and still begin the same segment: the hole that players bridge at a switch
(hls.js maxBufferHole)."""
_STEADY_INTERVALS = 8
_STEADY_TICKS = 90
"""Frame intervals that differ by less than a millisecond are a constant frame rate."""
LEAST_PART = 0.85
"""Of PART-TARGET, which a part must last unless it is the last of its segment (RFC 8216bis 4.4.4.9)."""
_MOST_MOVED = 60 * VIDEO_RATE // 1000
"""So much earlier may the picture after a part begin that was filled up, where layers share boundaries: encoders make their key frames
within 40 ms of each other, and TOLERANCE_MS has room for both."""
_SHORTEST_GAP = VIDEO_RATE // 10
_NEVER = 2**62


class _Flow(enum.Enum):
    """Of a video source: WAITING for its first key frame -> FLOWING -> GAP when it stalls -> FLOWING at its next key frame."""

    WAITING = enum.auto()
    FLOWING = enum.auto()
    GAP = enum.auto()


@dataclass(frozen=True, slots=True)
class _Coded:
    """A picture as it came."""

    at: int
    data: bytes
    key: bool
    lost_before: bool
    init: bytes | None


@dataclass(frozen=True, slots=True)
class _Held:
    """The newest picture, whose duration is known when the next one comes."""

    start: int
    data: bytes
    key: bool


class VideoSegmenter:
    """Times are ticks of 90 kHz on the timeline. `msn` is the number of the first segment when this one leads, None when it follows."""

    def __init__(self, grid: Grid, msn: int | None) -> None:
        self.leads = msn is not None
        self.shared = False
        """Others follow: a gap stays within its segment, for they may have pictures there."""
        self._track = Track(VIDEO_RATE, grid, msn or 0)
        self._part = grid.part_ticks(VIDEO_RATE)
        self._least = round(LEAST_PART * self._part)
        self._segment = grid.segment_ticks(VIDEO_RATE)
        self._longest = grid.longest_segment_ms * VIDEO_RATE // 1000
        self._tolerance = TOLERANCE_MS * VIDEO_RATE // 1000
        self._flow = _Flow.WAITING
        self._held: _Held | None = None
        self._init: bytes | None = None
        self._broken = False
        self._waiting: deque[_Coded] = deque()
        self._boundaries: deque[SegmentStart] = deque()
        self._decided = 0
        self._not_before = 0
        self._cut_wanted = False
        self._last_at: int | None = None
        self._intervals: deque[int] = deque(maxlen=_STEADY_INTERVALS)
        self._last_key: int | None = None
        self._key_interval: int | None = None
        self.wants_discontinuity = False
        """A follower's parameter sets have changed: it can go on after the leader's next discontinuity only."""
        self.dropped = 0
        """Pictures that could not be decoded or came for a time that was already published."""
        self.hard_cuts = 0
        """Segments that had to begin without a key frame."""

    @property
    def key_frame_needed(self) -> bool:
        """Nothing can be published until a key frame comes."""
        return self._flow is not _Flow.FLOWING or self._broken or self._cut_wanted

    @property
    def flowing(self) -> bool:
        """Pictures are being published."""
        return self._flow is _Flow.FLOWING and not self._broken

    @property
    def stalled(self) -> bool:
        """Gap parts are being published."""
        return self._flow is _Flow.GAP

    @property
    def newest(self) -> int | None:
        """Time of the newest picture that came."""
        return self._last_at

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
        """Of a leader: no boundary that is still to come lies before this time, so followers may go on up to it."""
        return self._held.start + 1 if self._held else self._track.cursor

    def push(
        self, at: int, data: bytes, key: bool, *, lost_before: bool = False, init: bytes | None = None
    ) -> list[Event]:
        """Takes the next picture. `init` is its init section when its parameter sets differ from those before (only with a key frame):
        the first, or a cut with a discontinuity. After `lost_before`, pictures up to the next key frame are left out: they would
        decode to rubble."""
        self._note(at, key)
        self._waiting.append(_Coded(at, data, key, lost_before, init))
        return self._advance()

    def overdue(self, until: int) -> list[Event]:
        """Publishes the timeline up to `until`, by when a source that does not stall would have come: an unfinished part with its last
        picture held to the part's end, then gap parts. Whole parts only. A follower goes no further than its leader has decided."""
        track = self._track
        if self._waiting:
            return self._advance()
        if self._follows:
            until = min(until, self._decided)
        if self._flow is _Flow.FLOWING and track.part_start + self._part <= until:
            self._enter_gap()
        if self._flow is _Flow.GAP:
            self._fill(until, whole=True)
        return track.drain()

    def end(self) -> list[Event]:
        """Finishes what is open. Pictures of a follower that its leader did not get to are left out."""
        events = self._advance()
        self._waiting.clear()
        if self._held:
            self._settle(min(self.interval or self._part // 8, self._part))
        self._track.end()
        self._flow = _Flow.WAITING
        return events + self._track.drain()

    def follow(self, boundary: SegmentStart) -> None:
        """The leader has begun a segment. The first one told is that which is open when this layer comes."""
        self._boundaries.append(boundary)
        self.wants_discontinuity = self.wants_discontinuity and not boundary.discontinuity

    def decide(self, until: int) -> list[Event]:
        """The leader's boundaries before `until` are known."""
        self._decided = until
        return self._advance()

    def lead(self, promised: int) -> list[Event]:
        """Leads from now on; followers were told that no boundary lies before `promised`."""
        self.leads, self._not_before = True, promised
        return self._advance()

    def begin_lead(self, msn: int) -> None:
        """Leads from the first segment on, before any has begun; `msn` is its number."""
        self.leads, self._track.msn = True, msn

    def yield_lead(self) -> None:
        """Follows from now on."""
        self.leads = self._cut_wanted = False
        self._decided = self.decided

    def share(self) -> None:
        """There are other layers, which follow this one or lead it."""
        self.shared = True

    def cut_next(self) -> None:
        """The next key frame begins a segment with a discontinuity, because a follower needs one."""
        self._cut_wanted = True

    @property
    def _follows(self) -> bool:
        return not self.leads or bool(self._boundaries)

    @property
    def _limit(self) -> int:
        """Longest segment of a leader: so much shorter where others follow that theirs, which begin a little earlier or later, never
        round up to more than the target duration."""
        return self._longest - (2 * self._tolerance if self.shared else 0)

    def _note(self, at: int, key: bool) -> None:
        if self._last_at is not None and 0 < at - self._last_at < VIDEO_RATE:
            self._intervals.append(at - self._last_at)
        self._last_at = at
        if key:
            if self._last_key is not None:
                self._key_interval = at - self._last_key
            self._last_key = at

    def _advance(self) -> list[Event]:
        while self._waiting:
            if not self._follows:
                self._take_leading(self._waiting.popleft())
            elif not self._follow_one():
                break
        return self._track.drain()

    # --- leading ---

    def _take_leading(self, picture: _Coded) -> None:
        if not self._decodable(picture):
            return
        if self._flow is _Flow.WAITING:
            self._begin(picture, picture.at, discontinuity=False)
            return
        if self._lost_in_hole(picture):
            return
        if self._flow is _Flow.GAP:
            self._leave_gap(picture)
        else:
            self._flow_on(picture)

    def _decodable(self, picture: _Coded) -> bool:
        """Whether what came before allows to show this one."""
        self._init = picture.init or self._init
        self._broken = (self._broken or picture.lost_before) and not picture.key
        if self._broken or (self._flow is not _Flow.FLOWING and not picture.key):
            self.dropped += 1
            return False
        return True

    def _lost_in_hole(self, picture: _Coded) -> bool:
        """Longer than a part without a picture is a gap: no sample may last that long. Whether this picture is lost with it."""
        if not self._hole_before(picture):
            return False
        self._enter_gap()
        if picture.key:
            return False
        self.dropped += 1
        return True

    def _hole_before(self, picture: _Coded) -> bool:
        if self._flow is not _Flow.FLOWING:
            return False
        return picture.at - (self._held.start if self._held else self._track.cursor) > self._part

    def _begin(self, picture: _Coded, at: int, *, discontinuity: bool) -> None:
        """A segment with a key frame."""
        init, self._init = self._init, None
        self._track.begin(at, discontinuity=discontinuity, init=init)
        self._flow, self._broken, self._cut_wanted = _Flow.FLOWING, False, False
        self.wants_discontinuity = False
        self._held = _Held(at, picture.data, key=True)

    def _flow_on(self, picture: _Coded) -> None:
        track = self._track
        if self._held:
            # Timestamps that stand still or go back are pushed on by one tick: the timeline only grows.
            self._settle(max(1, picture.at - self._held.start))
        if picture.key and picture.at - track.cursor >= self._early:
            self._fill(picture.at, whole=False)
        # After a part that was closed on time the picture begins where that part ended, wherever exactly it was due.
        start = track.cursor
        if picture.key and (self._changes or self._may_cut(start)):
            track.end()
            self._begin(picture, start, discontinuity=self._changes)
        else:
            if not track.samples:
                self._cut_if_full(picture.key)
            self._held = _Held(start, picture.data, picture.key)
        self._close_on_time()

    @property
    def _changes(self) -> bool:
        """The next key frame needs a discontinuity before it: for its own parameter sets, or for those of a follower."""
        return self._init is not None or self._cut_wanted

    def _may_cut(self, at: int) -> bool:
        """A key frame ends the segment from three quarters of its nominal length on, or from half of it when the next key frame would
        come too late (a fixed GOP of 1.5 s)."""
        length = self._track.segment_length
        if at < self._not_before:
            return False
        if length >= self._segment * 3 // 4:
            return True
        return length >= self._segment // 2 and length + (self._key_interval or 0) > self._limit

    def _cut_if_full(self, key: bool) -> None:
        """Before a part that begins with `key`: ends the segment if that part could make it too long."""
        track = self._track
        if not self._follows and track.segment_length + self._part > self._limit:
            track.end()
            track.begin(track.cursor)
            self.hard_cuts += not key

    def _leave_gap(self, picture: _Coded) -> None:
        track = self._track
        at = picture.at
        if at < track.cursor:
            # Its time is already published as a gap.
            self.dropped += 1
            return
        if track.segment_start is not None or at - track.cursor >= _SHORTEST_GAP:
            self._fill(at, whole=False)
        cuts = self._changes or self._may_cut(at) or track.segment_length + self._part > self._limit
        if self.shared and track.segment_start is not None and not cuts:
            self._flow = _Flow.FLOWING
            self._held = _Held(track.cursor, picture.data, key=True)
            return
        track.end()
        self._begin(picture, track.cursor, discontinuity=self._changes)

    # --- following ---

    def _follow_one(self) -> bool:
        """Takes the next picture as far as the leader's boundaries are known; False while they are not."""
        picture = self._waiting[0]
        if self._flow is _Flow.WAITING:
            return self._join(picture)
        boundary = self._boundaries[0] if self._boundaries else None
        late = picture.at - boundary.start if boundary else -_NEVER
        if len(self._boundaries) > 1 and picture.at >= self._boundaries[1].start - self._tolerance:
            # A short segment: this picture belongs to the next one already.
            self._miss(self._boundaries[0], picture.at)
            return True
        if boundary and late >= -self._tolerance:
            if picture.key and late <= self._tolerance:
                self._waiting.popleft()
                self._meet(boundary, picture)
                return True
            full = late >= 0 and self._track.segment_length + self._part > self._longest
            if late >= self._tolerance or full:
                self._miss(boundary, picture.at)
                return True
        elif not self._known(picture):
            return False
        self._waiting.popleft()
        self._take_following(picture)
        return True

    def _known(self, picture: _Coded) -> bool:
        """No boundary that is still to come belongs to this picture."""
        if self.leads:
            return True
        return picture.at + (self._tolerance if picture.key else 0) < self._decided

    def _join(self, picture: _Coded) -> bool:
        """Begins with the first key frame, in the segment that is open at its time: what that has missed is a gap."""
        boundaries = self._boundaries
        while len(boundaries) > 1 and boundaries[1].start - self._tolerance <= picture.at:
            boundaries.popleft()
        if picture.key and boundaries and not self._known(picture):
            return False
        self._waiting.popleft()
        if not self._decodable(picture):
            return True
        if not boundaries or picture.at < boundaries[0].start - self._tolerance:
            self.dropped += 1
            return True
        boundary = boundaries.popleft()
        self._track.msn = boundary.msn
        if picture.at - boundary.start <= self._tolerance:
            self._begin(picture, picture.at, discontinuity=boundary.discontinuity)
            return True
        self._begin(picture, boundary.start, discontinuity=boundary.discontinuity)
        self._held = None
        self._fill(picture.at, whole=False)
        self._held = _Held(self._track.cursor, picture.data, key=True)
        return True

    def _take_following(self, picture: _Coded) -> None:
        """Within a segment."""
        track = self._track
        if not self._decodable(picture):
            return
        if picture.key and self._init is not None:
            self._refuse()
            return
        if self._lost_in_hole(picture):
            return
        if self._flow is _Flow.FLOWING:
            self._flow_on_following(picture)
            return
        if picture.at < track.cursor:
            self.dropped += 1
            return
        if picture.at - track.cursor >= _SHORTEST_GAP:
            self._fill(picture.at, whole=False)
        self._flow = _Flow.FLOWING
        self._held = _Held(track.cursor, picture.data, key=True)

    def _flow_on_following(self, picture: _Coded) -> None:
        if self._held:
            self._settle(max(1, picture.at - self._held.start))
        self._held = _Held(self._track.cursor, picture.data, picture.key)
        self._close_on_time()

    def _meet(self, boundary: SegmentStart, picture: _Coded) -> None:
        """A key frame where the leader has begun a segment."""
        self._init = picture.init or self._init
        if self._init is not None and not boundary.discontinuity:
            self._refuse()
            self._miss(boundary, boundary.start)
            return
        self._boundaries.popleft()
        if self._hole_before(picture):
            self._enter_gap()
        if self._held:
            self._settle(max(1, picture.at - self._held.start))
        if picture.at - self._track.cursor >= self._early:
            self._fill(picture.at, whole=False)
        self._turn(boundary)
        self._begin(picture, self._track.cursor, discontinuity=boundary.discontinuity)
        self._close_on_time()

    def _miss(self, boundary: SegmentStart, at: int) -> None:
        """The leader has begun a segment, and this layer has no key frame there; its next picture is due at `at`."""
        held = self._held
        in_time = at - held.start <= self._part if held else at - self._track.cursor < self._early
        if self.flowing and not boundary.discontinuity and in_time:
            self._boundaries.popleft()
            if held:
                # Where pictures are far apart the next one comes early, lest the segment be too long.
                self._settle(max(1, min(at, boundary.start + self._tolerance) - held.start))
            self._turn(boundary)
            self._track.begin(self._track.cursor)
            self.hard_cuts += 1
            return
        # What comes after a discontinuity, or after a loss, can be decoded from a key frame on only.
        self._broken = True
        if self._flow is _Flow.FLOWING:
            if self._held:
                self._settle(min(self.interval or self._part // 8, self._part))
            self._flow = _Flow.GAP
            self._track.close_part()
        self._fill(max(boundary.start, self._track.cursor), whole=False)

    def _refuse(self) -> None:
        """Other parameter sets, and no discontinuity of the leader's to begin with them: asks for one."""
        self.wants_discontinuity = self._broken = True
        self.dropped += 1

    def _turn(self, boundary: SegmentStart) -> None:
        self._track.end()
        self._track.msn = boundary.msn

    def _open_in_gap(self, boundary: SegmentStart) -> None:
        """A segment that begins without a picture."""
        self._turn(boundary)
        self._track.begin(max(boundary.start, self._track.cursor), discontinuity=boundary.discontinuity)

    # --- both ---

    def _settle(self, duration: int) -> None:
        """The held picture's duration is known: it goes into the part, or into the next one if it would cross. A part that would be too
        short without it takes it with the duration that is left, and the next picture comes that much earlier."""
        assert self._held is not None
        track = self._track
        if self._too_short:
            duration = min(duration, self._part - track.part_length)
        if track.part_length + duration > self._part:
            track.close_part()
            self._cut_if_full(self._held.key)
        elif not self._follows and track.samples and track.segment_length + duration > self._limit:
            # A part that was begun as a follower, whose leader would have ended the segment in time.
            track.end()
            track.begin(track.cursor)
            self.hard_cuts += not self._held.key
        track.add(Sample(self._held.data, min(duration, self._part), self._held.key))
        self._held = None
        if track.part_length + (self.interval or duration) > self._part and not self._too_short:
            track.close_part()

    @property
    def _early(self) -> int:
        """A key frame that would be shown so much too early has a gap before it instead."""
        return max(_SHORTEST_GAP, 2 * (self.interval or 0))

    @property
    def _too_short(self) -> bool:
        """The open part has pictures, and less of them than a part must have that is not the last of its segment. Where layers share
        boundaries, which are where pictures begin, only if the next picture then moves by so little that key frames still meet."""
        length = self._track.part_length
        if not self._track.samples or length >= self._least:
            return False
        if self.leads and not self.shared and not self._follows:
            return True
        interval = self.interval or max(self._intervals, default=None)
        return interval is not None and length + interval - self._part <= _MOST_MOVED

    def _close_on_time(self) -> None:
        """At a constant frame rate the last picture of a part is known as such, so the part goes out one frame earlier."""
        interval = self.interval
        if interval is None or max(self._intervals) - min(self._intervals) > _STEADY_TICKS:
            return
        length = self._track.part_length + interval
        on_time = length <= self._part < length + interval
        if on_time and (length >= self._least or self.shared or self._follows):
            self._settle(interval)
        elif self._too_short and length > self._part:
            self._settle(self._part - self._track.part_length)

    def _enter_gap(self) -> None:
        """The last picture is held to the end of its part. A segment that nobody shares ends there."""
        track = self._track
        if self._held:
            duration = max(1, self._part - track.part_length)
            if self._boundaries and self._boundaries[0].start > track.cursor:
                duration = min(duration, self._boundaries[0].start - track.cursor)
            self._settle(duration)
        if self.shared or self._follows:
            track.close_part()
        else:
            track.end()
        self._flow = _Flow.GAP

    def _fill(self, until: int, *, whole: bool) -> None:
        """Gap parts up to `until`; of a leader in segments of the nominal length, of a follower in those of the leader."""
        track = self._track
        while True:
            boundary = self._boundaries[0] if self._boundaries else None
            if boundary and boundary.start <= track.cursor:
                self._boundaries.popleft()
                self._open_in_gap(boundary)
                continue
            if track.cursor >= until:
                return
            end = min(until, boundary.start) if boundary else until
            duration = min(self._part, end - track.cursor)
            if whole and duration < self._part and not (boundary and end == boundary.start):
                return
            if not self._follows and track.segment_length + duration > self._segment:
                track.end()
            if track.segment_start is None:
                track.begin(track.cursor)
            track.gap_part(duration)
