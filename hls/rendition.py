"""One rendition: from the segmenter's events to the snapshots that the edge serves. No I/O."""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from hls import fmp4
from hls.fmp4.boxes import box
from hls.fmp4.part import Sample
from hls.grid import Grid, scaled
from hls.playlist import DateRange, MediaPlaylist, PartLine, Report, Segment
from hls.track import Event, Part, SegmentEnd, SegmentStart

LEADING_GAPS = 3
"""Gap segments before the first one, so that the first playlist already spans three target durations."""
_MEASURED_SEGMENTS = 6
_PARTS_A_SEGMENT = 16
"""Most parts of a segment, for the sequence numbers of fragments."""
LEAST_BPS = 8000
_MUCH_LESS = 0.7
"""A told bitrate falls only when the measured one falls below this share of it."""
_KEYS_VARY = 1.25
"""Headroom of the told bitrate of key frames alone."""


@dataclass(frozen=True, slots=True)
class Container:
    """How media is written: what its names end with, the bytes of a part, and `nothing`: what a gap segment holds. Nobody should fetch
    that, but players that know no EXT-X-GAP (ffmpeg before 7) do, and go on."""

    ending: str
    init_ending: str
    nothing: bytes
    encode: Callable[[Part], bytes]


def _fragment(one: Part) -> bytes:
    return fmp4.part(one.msn * _PARTS_A_SEGMENT + one.index, one.start, one.samples)


FMP4 = Container("m4s", "mp4", box(b"free"), _fragment)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the edge gets, once per part (crates/edge: Put)."""

    rendition: str
    msn: int
    part: int
    live: bytes
    delta: bytes | None = None
    plain: bytes | None = None
    media: list[tuple[str, bytes]] = field(default_factory=list)
    joined: list[tuple[str, list[str]]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    hint: str | None = None
    ended: bool = False


def quantised(bitrate_bps: float) -> int:
    """Rounded up by less than a tenth, to one of few values, so that the multivariant playlist seldom changes."""
    value = float(LEAST_BPS)
    while value < bitrate_bps:
        value *= 1.09
    return int(round(value, -2))


class _Told:
    """A bitrate as the multivariant playlist tells it: never below what was measured, and steady."""

    def __init__(self, headroom: float = 1.0) -> None:
        """`headroom`: what is told is that much above what was measured, for rates that vary much."""
        self._bps = 0
        self._headroom = headroom

    def value(self, measured_bps: float) -> int:
        if measured_bps > self._bps or measured_bps < _MUCH_LESS * self._bps:
            self._bps = quantised(measured_bps * self._headroom)
        return self._bps


class Rendition:
    """`name` is its folder, `rate` its clock. `container` is what its media is in."""

    def __init__(
        self,
        name: str,
        grid: Grid,
        rate: int,
        window_s: float,
        *,
        container: Container = FMP4,
    ) -> None:
        self.name = name
        self.rate = rate
        self.playlist = MediaPlaylist(grid, rate, window_s)
        self._container = container
        self.gap_parts = 0
        self.shows_keys = False
        """Its key frames are put alone, too."""
        self.elder: Rendition | None = None
        """One that has been there before: if it has media when this one begins, its segments are ours as gaps, so that all playlists
        have the same numbers, dates and discontinuities."""
        self._peak, self._average = _Told(), _Told()
        self._grid = grid
        self._init_uri = ""
        self._next_init: tuple[str, bytes] | None = None
        self._newest: tuple[int, int] | None = None
        self._keep = round((window_s + max(6 * grid.target_duration_s, 30)) * rate)
        self._kept: deque[tuple[int, list[str]]] = deque()
        self._retired: dict[str, int] = {}
        self._bitrates: deque[tuple[int, int]] = deque(maxlen=_MEASURED_SEGMENTS)
        self._open_bytes = 0
        self._media: list[tuple[str, bytes]] = []
        self._joined: list[tuple[str, list[str]]] = []
        self._key: bytes | None = None
        self._key_peak, self._key_average = _Told(_KEYS_VARY), _Told(_KEYS_VARY)

    @property
    def newest(self) -> tuple[int, int] | None:
        """(MSN, part) of the newest part."""
        return self._newest

    @property
    def report(self) -> Report | None:
        """This rendition as the others report it."""
        return Report(f"../{self.name}/index.m3u8", *self._newest) if self._newest else None

    @property
    def bandwidth_bps(self) -> int:
        """Peak bitrate of a segment among the last ones, or of what there is of the first."""
        rates = [size * 8 * self.rate / duration for size, duration in self._bitrates if duration]
        return self._peak.value(max(rates, default=self._open_rate()))

    @property
    def average_bps(self) -> int:
        """Mean bitrate of the last segments."""
        duration = sum(duration for _, duration in self._bitrates)
        if not duration:
            return self._average.value(self._open_rate())
        return self._average.value(sum(size for size, _ in self._bitrates) * 8 * self.rate / duration)

    @property
    def key_bandwidth(self) -> tuple[int, int]:
        """Peak and mean bitrate of its key frames alone."""
        rows = [one for one in self.playlist.segments if one.duration and one.key_bytes][-_MEASURED_SEGMENTS:]
        if not rows:
            return 0, 0
        peak = max(one.key_bytes * 8 * self.rate / (one.duration or 1) for one in rows)
        mean = sum(one.key_bytes for one in rows) * 8 * self.rate / sum(one.duration or 1 for one in rows)
        return self._key_peak.value(peak), self._key_average.value(mean)

    def set_init(self, section: bytes) -> None:
        """The init section of the segments that begin from now on. Its name is its hash, so it can be cached for ever."""
        name = f"init-{hashlib.sha256(section).hexdigest()[:12]}.{self._container.init_ending}"
        self._next_init = (name, section)

    def snapshot(
        self, events: Sequence[Event], others: Sequence[Report], *, ended: bool = False
    ) -> Snapshot | None:
        """Applies events and renders; None while there is nothing to show."""
        for event in events:
            match event:
                case SegmentStart():
                    self._begin(event)
                case Part():
                    self._part(event)
                case SegmentEnd():
                    self._end(event)
        if self._newest is None or not (events or ended):
            return None
        playlist = self.playlist
        playlist.ended = ended
        finished = ended or any(isinstance(event, SegmentEnd) for event in events)
        hint = None if ended else self._hint()
        plain = playlist.plain() if finished else None
        delta = playlist.delta(hint, others)
        msn, part = self._newest
        media, self._media = self._media, []
        joined, self._joined = self._joined, []
        return Snapshot(
            rendition=self.name,
            msn=msn,
            part=part,
            live=playlist.live(hint, others).encode(),
            delta=delta.encode() if delta else None,
            plain=plain.encode() if plain else None,
            media=media,
            joined=joined,
            dropped=self._expire() if finished else [],
            hint=hint,
            ended=ended,
        )

    def announce(self, date_range: DateRange) -> None:
        """Adds a date range to the playlist; `start` in ticks of this rendition."""
        ranges = [one for one in self.playlist.date_ranges if one.id != date_range.id]
        self.playlist.date_ranges = [*ranges, replace(date_range)]

    def _begin(self, event: SegmentStart) -> None:
        changed = False
        if event.init:
            self.set_init(event.init)
        if self._next_init:
            changed = self._next_init[0] != self._init_uri
            self._init_uri = self._next_init[0]
            self._media.append(self._next_init)
            self._next_init = None
        segments = self.playlist.segments
        if not segments:
            self._lead_in(event)
        segment = Segment(
            event.msn,
            event.start,
            self._init_uri,
            discontinuity=bool(segments) and event.discontinuity,
            ending=self._container.ending,
        )
        if changed and segments and not segments[-1].gap:
            segment.discontinuity = segment.discontinuity or changed
        segments.append(segment)
        self._open_bytes = 0
        self._key = None

    def _lead_in(self, event: SegmentStart) -> None:
        for gap in self._segments_of_elder(event) or self._nominal_segments(event):
            assert gap.duration is not None
            self.playlist.segments.append(gap)
            self._media.append((gap.uri, self._container.nothing))
            self._kept.append((gap.start + gap.duration, [gap.uri]))

    def _nominal_segments(self, event: SegmentStart) -> list[Segment]:
        length = self._grid.segment_ticks(self.rate)
        return [
            Segment(
                event.msn - back,
                event.start - back * length,
                self._init_uri,
                duration=length,
                gap=True,
                ending=self._container.ending,
            )
            for back in range(min(LEADING_GAPS, event.msn - 1), 0, -1)
        ]

    def _segments_of_elder(self, event: SegmentStart) -> list[Segment]:
        if self.elder is None:
            return []
        rows = [one for one in self.elder.playlist.segments if one.msn < event.msn]
        if not rows or rows[-1].msn != event.msn - 1:
            return []
        starts = [scaled(one.start, self.elder.rate, self.rate) for one in rows] + [event.start]
        self.playlist.discontinuity_sequence = self.elder.playlist.discontinuity_sequence
        return [
            Segment(
                row.msn,
                start,
                self._init_uri,
                row.discontinuity,
                duration=max(1, following - start),
                gap=True,
                ending=self._container.ending,
            )
            for row, (start, following) in zip(rows, itertools.pairwise(starts), strict=True)
        ]

    def _part(self, event: Part) -> None:
        segment = self.playlist.segments[-1]
        name = f"{event.msn}.{event.index}.{self._container.ending}"
        segment.parts.append(PartLine(name, event.duration, event.independent, event.gap))
        self._newest = (event.msn, event.index)
        if event.gap:
            self.gap_parts += 1
            return
        if not event.index and event.samples[0].key:
            self._key = event.samples[0].data
        data = self._container.encode(event)
        self._media.append((name, data))
        segment.size_bytes += len(data)
        self._open_bytes += len(data)

    def _end(self, event: SegmentEnd) -> None:
        segment = self.playlist.segments[-1]
        # One that begins with a gap is a gap as a whole to who loads whole segments: its date is that of what is missing.
        segment.duration, segment.gap = event.duration, event.gap or segment.parts[0].gap
        names = [part.uri for part in segment.parts if not part.gap]
        if names:
            self._joined.append((segment.uri, names))
            if not segment.gap:
                self._bitrates.append((segment.size_bytes, event.duration))
        else:
            self._media.append((segment.uri, self._container.nothing))
        if self._key is not None and self.shows_keys and not segment.gap:
            # Shown until the next one: whoever plays nothing but these sees a picture for each time.
            alone = Part(
                event.msn, 0, event.start, event.duration, (Sample(self._key, event.duration, True),), True
            )
            data = self._container.encode(alone)
            segment.key_bytes = len(data)
            self._media.append((segment.key_uri, data))
            names = [*names, segment.key_uri]
        self._kept.append((event.start + event.duration, [segment.uri, *names]))

    def _hint(self) -> str:
        """The next part. Where the segment is about to end it is the first of the next one, which comes in any case."""
        segment = self.playlist.segments[-1]
        if segment.duration is not None:
            return f"{segment.msn + 1}.0.{self._container.ending}"
        length = sum(part.duration for part in segment.parts)
        half_part = self._grid.part_ticks(self.rate) // 2
        if length + half_part > self._grid.segment_ticks(self.rate):
            return f"{segment.msn + 1}.0.{self._container.ending}"
        return f"{segment.msn}.{len(segment.parts)}.{self._container.ending}"

    def _expire(self) -> list[str]:
        end = self.playlist.end
        for segment in self.playlist.expire():
            self._retired.setdefault(segment.init_uri, end)
        for segment in self.playlist.segments:
            self._retired.pop(segment.init_uri, None)
        # An init section stays as long as the segments that need it, for players that still have an older list.
        dropped = [name for name, since in self._retired.items() if end - since > self._keep]
        for name in dropped:
            del self._retired[name]
        while self._kept and end - self._kept[0][0] > self._keep:
            dropped += self._kept.popleft()[1]
        return dropped

    def _open_rate(self) -> float:
        if not self.playlist.segments:
            return 0.0
        last = self.playlist.segments[-1]
        duration = sum(part.duration for part in last.parts)
        return self._open_bytes * 8 * self.rate / duration if duration else 0.0


Change = tuple[Rendition, list[Event]]
"""What a rendition is to show next."""
Changes = list[Change]
