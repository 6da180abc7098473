"""The open segment and part of one rendition, and the events that its playlist is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from hls.fmp4.part import Sample
from hls.grid import Grid

AAC_FRAME = 1024


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """A segment begins. `init` is its init section when that is another than before."""

    msn: int
    start: int
    discontinuity: bool
    init: bytes | None = None


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


@dataclass(slots=True)
class Track:
    """Ticks of `rate` on the timeline; `cursor` is where the published timeline ends, `msn` the number of the open or next segment."""

    rate: int
    grid: Grid
    msn: int
    cursor: int = 0
    segment_start: int | None = None
    index: int = 0
    part_start: int = 0
    samples: list[Sample] = field(default_factory=list)
    media_parts: int = 0
    events: list[Event] = field(default_factory=list)

    @property
    def part_length(self) -> int:
        return self.cursor - self.part_start

    @property
    def segment_length(self) -> int:
        return 0 if self.segment_start is None else self.cursor - self.segment_start

    def begin(self, at: int, *, discontinuity: bool = False, init: bytes | None = None) -> None:
        self.segment_start = self.part_start = self.cursor = at
        self.index = self.media_parts = 0
        self.events.append(SegmentStart(self.msn, at, discontinuity, init))

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
        self.index += 1
        self.cursor += duration
        self.part_start = self.cursor

    def end(self) -> None:
        self.close_part()
        if self.segment_start is None:
            return
        if not self.index:
            # Its time is already published; a segment has a part all the same.
            self.gap_part(1)
        gap = not self.media_parts
        self.events.append(SegmentEnd(self.msn, self.segment_start, self.segment_length, gap))
        self.segment_start = None
        self.msn += 1

    def drain(self) -> list[Event]:
        events, self.events = self.events, []
        return events
