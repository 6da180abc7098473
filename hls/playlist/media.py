"""The media playlist of one rendition. The text of a finished segment is made once; a new part costs a join."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hls.grid import PARTS_LISTED_FOR, Grid, date_time

_VERSION = 6
_DELTA_VERSION = 9
"""EXT-X-SKIP needs version 9."""


@dataclass(frozen=True, slots=True)
class PartLine:
    """One EXT-X-PART. `duration` in ticks."""

    uri: str
    duration: int
    independent: bool = False
    gap: bool = False

    def line(self, rate: int) -> str:
        text = f'#EXT-X-PART:DURATION={self.duration / rate:.5f},URI="{self.uri}"'
        if self.independent:
            text += ",INDEPENDENT=YES"
        return text + ",GAP=YES\n" if self.gap else text + "\n"


@dataclass(slots=True)
class Segment:
    """One segment; `duration` in ticks is None while it is open. `first_of_init` marks the first with its init section."""

    msn: int
    start: int
    init_uri: str
    discontinuity: bool = False
    duration: int | None = None
    gap: bool = False
    size_bytes: int = 0
    parts: list[PartLine] = field(default_factory=list)
    ending: str = "m4s"
    key_bytes: int = 0
    """Size of its key frame alone, 0 where it does not begin with one."""
    date: str = ""
    part_lines: list[str] = field(default_factory=list)

    @property
    def key_uri(self) -> str:
        """Its key frame alone."""
        return f"{self.msn}.i.{self.ending}"

    @property
    def uri(self) -> str:
        return f"{self.msn}.{self.ending}"


@dataclass(frozen=True, slots=True)
class Report:
    """Where another rendition stands (EXT-X-RENDITION-REPORT)."""

    uri: str
    msn: int
    part: int


@dataclass(frozen=True, slots=True)
class DateRange:
    """An EXT-X-DATERANGE. `values` are X- attributes, strings."""

    id: str
    kind: str
    start: int
    values: tuple[tuple[str, str], ...] = ()

    def line(self, rate: int) -> str:
        values = "".join(f',X-{name}="{value}"' for name, value in self.values)
        return f'#EXT-X-DATERANGE:ID="{self.id}",CLASS="{self.kind}",START-DATE="{date_time(self.start, rate)}"{values}\n'


class MediaPlaylist:
    """The sliding window of one rendition. Times in ticks of `rate` on the timeline."""

    def __init__(self, grid: Grid, rate: int, window_s: float) -> None:
        self.rate = rate
        self.segments: deque[Segment] = deque()
        self.discontinuity_sequence = 0
        self.ended = False
        self.date_ranges: list[DateRange] = []
        self._grid = grid
        self._window = round(max(window_s, PARTS_LISTED_FOR * grid.target_duration_s) * rate)
        self._skip_until = grid.skip_until_s * rate
        self._parts_for = PARTS_LISTED_FOR * grid.target_duration_s * rate
        control = f"HOLD-BACK={grid.hold_back_ms / 1000:.3f}"
        live = (
            f"CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={grid.part_hold_back_ms / 1000:.3f},"
            f"CAN-SKIP-UNTIL={grid.skip_until_s:.3f},{control}"
        )
        target = f"#EXT-X-TARGETDURATION:{grid.target_duration_s}\n"
        parts = f"#EXT-X-PART-INF:PART-TARGET={grid.part_ms / 1000:.5f}\n"
        self._live_head = f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n{target}#EXT-X-SERVER-CONTROL:{live}\n{parts}"
        self._delta_head = (
            f"#EXTM3U\n#EXT-X-VERSION:{_DELTA_VERSION}\n{target}#EXT-X-SERVER-CONTROL:{live}\n{parts}"
        )
        self._keys_head = f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n{target}#EXT-X-I-FRAMES-ONLY\n"
        self._plain_head = f"#EXTM3U\n#EXT-X-VERSION:{_VERSION}\n{target}#EXT-X-SERVER-CONTROL:{control}\n"

    @property
    def end(self) -> int:
        """End of the newest part."""
        last = self.segments[-1]
        return last.start + (
            last.duration if last.duration is not None else sum(part.duration for part in last.parts)
        )

    def expire(self) -> list[Segment]:
        """Takes segments out that left the window, oldest first; three target durations always stay."""
        gone = []
        while len(self.segments) > 1:
            first = self.segments[0]
            if first.duration is None or self.end - (first.start + first.duration) < self._window:
                break
            self.segments.popleft()
            gone.append(first)
            # Its tag left with it. The first that stays still shows its own, which players count on top of this.
            self.discontinuity_sequence += first.discontinuity
            # "A date range may be removed once the segments that it covers have been removed."
            self.date_ranges = [one for one in self.date_ranges if one.start >= self.segments[0].start]
        return gone

    def live(self, hint: str | None, reports: Iterable[Report]) -> str:
        """The low-latency playlist: all segments, the last ones with their parts."""
        return self._text(self._live_head, list(self.segments), None, hint, reports)

    def delta(self, hint: str | None, reports: Iterable[Report]) -> str | None:
        """The delta update, None when there is nothing to skip: "a Server MUST NOT skip segments within the Skip Boundary"."""
        boundary = self.end - self._skip_until
        segments = list(self.segments)
        skipped = 0
        for segment in segments:
            if segment.duration is None or segment.start + segment.duration > boundary:
                break
            skipped += 1
        if not skipped:
            return None
        return self._text(self._delta_head, segments[skipped:], skipped, hint, reports)

    def plain(self) -> str | None:
        """The playlist without parts, for players of before; None before the first finished segment of media."""
        finished = [segment for segment in self.segments if segment.duration is not None]
        if all(segment.gap for segment in finished):
            return None
        while finished[0].gap and not any(segment.discontinuity for segment in finished[:2]):
            # Old players know no gaps: leave out those that nothing comes before.
            finished.pop(0)
        head = [self._plain_head, *self._sequence(finished[0])]
        init = ""
        for segment in finished:
            head.append(self._before(segment, init))
            init = segment.init_uri
            head.append(self._finished(segment))
        head.append(self._tail())
        return "".join(head)

    def key_frames(self, folder: str) -> str | None:
        """The playlist of its key frames (4.4.3.6), which lies beside `folder`: one a segment, with its number; a segment that has none
        is a gap. None before the first."""
        finished = [segment for segment in self.segments if segment.duration is not None]
        while finished and not finished[0].key_bytes and not any(one.discontinuity for one in finished[:2]):
            finished.pop(0)
        if not any(segment.key_bytes for segment in finished):
            return None
        lines = [self._keys_head, *self._sequence(finished[0])]
        init = ""
        for segment in finished:
            lines.append(self._before(segment, init).replace('URI="', f'URI="{folder}/'))
            init = segment.init_uri
            assert segment.duration is not None
            lines.append(f"#EXTINF:{segment.duration / self.rate:.5f},\n")
            lines.append("" if segment.key_bytes else "#EXT-X-GAP\n")
            lines.append(f"{folder}/{segment.key_uri}\n")
        lines.append(self._tail())
        return "".join(lines)

    def _sequence(self, first: Segment) -> tuple[str, str]:
        return (
            f"#EXT-X-MEDIA-SEQUENCE:{first.msn}\n",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{self.discontinuity_sequence}\n",
        )

    def _before(self, segment: Segment, init: str) -> str:
        # These must precede the first part of their segment (4.4.4.9), so they come when the segment opens.
        if not segment.date:
            segment.date = f"#EXT-X-PROGRAM-DATE-TIME:{date_time(segment.start, self.rate)}\n"
        text = "#EXT-X-DISCONTINUITY\n" if segment.discontinuity else ""
        if segment.init_uri != init:
            text += f'#EXT-X-MAP:URI="{segment.init_uri}"\n'
        return text + segment.date

    def _finished(self, segment: Segment) -> str:
        assert segment.duration is not None
        gap = "#EXT-X-GAP\n" if segment.gap else ""
        return f"#EXTINF:{segment.duration / self.rate:.5f},\n{gap}{segment.uri}\n"

    def _tail(self) -> str:
        return "#EXT-X-ENDLIST\n" if self.ended else ""

    def _text(
        self,
        head: str,
        segments: Sequence[Segment],
        skipped: int | None,
        hint: str | None,
        reports: Iterable[Report],
    ) -> str:
        lines = [head, *self._sequence(self.segments[0])]
        if skipped is not None:
            lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n")
        lines += [date_range.line(self.rate) for date_range in self.date_ranges]
        parts_from = self.end - self._parts_for
        init = ""
        for segment in segments:
            lines.append(self._before(segment, init))
            init = segment.init_uri
            if segment.start >= parts_from or segment.duration is None:
                while len(segment.part_lines) < len(segment.parts):
                    segment.part_lines.append(segment.parts[len(segment.part_lines)].line(self.rate))
                lines += segment.part_lines
            if segment.duration is not None:
                lines.append(self._finished(segment))
        if hint and not self.ended:
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{hint}"\n')
        lines += [
            f'#EXT-X-RENDITION-REPORT:URI="{report.uri}",LAST-MSN={report.msn},LAST-PART={report.part}\n'
            for report in reports
        ]
        lines.append(self._tail())
        return "".join(lines)
