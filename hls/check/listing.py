"""Media playlists as a strict reader takes them (RFC 8216bis section 4): every tag that the rules ask about, and what is malformed.

The playlists may be anybody's, so nothing here trusts them: sizes are bounded, and what cannot be read is named, not raised, except
for a text that is no playlist at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urljoin

MAX_LINES = 100_000
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s][^",]*)(?:,|$)')
_MAX_PROBLEMS = 20


class NotAPlaylist(ValueError):
    """The text does not begin with #EXTM3U, or is absurdly long."""


@dataclass(frozen=True, slots=True)
class ListedPart:
    """One EXT-X-PART; `uri` absolute. `text` is the line as it stood."""

    uri: str
    duration: float
    independent: bool
    gap: bool
    byte_range: str
    text: str

    @property
    def piece(self) -> str:
        return f"{self.uri}#{self.byte_range}" if self.byte_range else self.uri


@dataclass(frozen=True, slots=True)
class ListedSegment:
    """A segment, `uri` and `duration` None while only parts of it are listed. `date` in seconds since 1970. `late_tags`: tags that
    came after the first part although they must precede it."""

    msn: int
    uri: str | None = None
    duration: float | None = None
    gap: bool = False
    discontinuity: bool = False
    init: str | None = None
    date: float | None = None
    byte_range: str = ""
    encrypted: bool = False
    parts: tuple[ListedPart, ...] = ()
    late_tags: tuple[str, ...] = ()

    @property
    def piece(self) -> str:
        return f"{self.uri}#{self.byte_range}" if self.byte_range else self.uri or ""

    @property
    def length(self) -> float:
        """Seconds that are listed of it."""
        return self.duration if self.duration is not None else sum(part.duration for part in self.parts)


@dataclass(frozen=True, slots=True)
class Report:
    """An EXT-X-RENDITION-REPORT; `uri` absolute."""

    uri: str
    msn: int | None
    part: int | None


@dataclass(slots=True)
class Listing:
    """A media playlist."""

    version: int | None = None
    target_duration: int | None = None
    part_target: float | None = None
    control: dict[str, str] = field(default_factory=dict)
    media_sequence: int = 0
    discontinuity_sequence: int = 0
    has_discontinuity_sequence: bool = False
    skipped: int | None = None
    segments: list[ListedSegment] = field(default_factory=list)
    hints: list[tuple[str, str]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    playlist_type: str | None = None
    independent_segments: bool = False
    ended: bool = False
    tags: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    @property
    def low_latency(self) -> bool:
        return self.part_target is not None or any(segment.parts for segment in self.segments)

    @property
    def blocking(self) -> bool:
        return self.control.get("CAN-BLOCK-RELOAD") == "YES"

    @property
    def newest(self) -> tuple[int, int]:
        """(MSN, index of its newest part); the part is -1 when none is listed."""
        if not self.segments:
            return (self.media_sequence + (self.skipped or 0) - 1, -1)
        last = self.segments[-1]
        return (last.msn, len(last.parts) - 1)

    @property
    def next(self) -> tuple[int, int]:
        """What a player asks for next."""
        msn, part = self.newest
        return (msn + 1, 0) if not self.segments or self.segments[-1].uri else (msn, part + 1)

    @property
    def duration(self) -> float:
        return sum(segment.length for segment in self.segments)

    def holds(self, msn: int, part: int | None) -> bool:
        """Whether it answers a blocking reload for that. Without a part, its first part will do, as Safari expects."""
        if not self.segments:
            return False
        last = self.segments[-1]
        if last.msn != msn:
            return last.msn > msn
        return last.uri is not None or len(last.parts) > (part or 0)

    def control_s(self, name: str) -> float | None:
        """A duration of EXT-X-SERVER-CONTROL, in seconds."""
        return decimal(self.control.get(name, ""))

    def numbered_discontinuities(self) -> Iterator[tuple[ListedSegment, int]]:
        """Each segment with its discontinuity sequence number (6.3.3)."""
        number = self.discontinuity_sequence
        for segment in self.segments:
            number += segment.discontinuity
            yield segment, number

    def over(self, before: Listing) -> Listing | None:
        """A delta update as the full list that it stands for; None when `before` lacks what it skips."""
        if not self.skipped:
            return self
        until = self.media_sequence + self.skipped
        kept = [one for one in before.segments if self.media_sequence <= one.msn < until]
        if len(kept) != self.skipped or any(one.uri is None for one in kept):
            return None
        segments = list(self.segments)
        init = kept[-1].init
        for index, segment in enumerate(segments):
            if segment.init is not None:
                break
            segments[index] = replace(segment, init=init)
        return replace(self, segments=kept + segments, skipped=None)


def decimal(text: str) -> float | None:
    """A decimal-floating-point (4.2), None when it is none."""
    return float(text) if re.fullmatch(r"\d{1,15}(\.\d{1,15})?", text) else None


def _date(text: str) -> float | None:
    try:
        date = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return date.timestamp() if date.tzinfo else None


def lines_of(text: str) -> list[str]:
    """The lines of a playlist. Raises NotAPlaylist."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "#EXTM3U":
        raise NotAPlaylist("the first line is not #EXTM3U")
    if len(lines) > MAX_LINES:
        raise NotAPlaylist(f"more than {MAX_LINES} lines")
    return lines


def attributes(text: str, problems: list[str]) -> dict[str, str]:
    """An attribute list (4.2), quotes taken off. What is malformed is added to `problems`."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _ATTRIBUTE.match(text, at)
        if match is None:
            note(problems, f"not an attribute list: {text[at : at + 60]!r}")
            break
        if match[1] in found:
            note(problems, f"attribute {match[1]} twice")
        found[match[1]] = match[2].strip('"') if match[2].startswith('"') else match[2].strip()
        at = match.end()
    return found


def note(problems: list[str], problem: str) -> None:
    """Adds a problem, up to a bound."""
    if len(problems) < _MAX_PROBLEMS:
        problems.append(problem)


_BEFORE_PARTS = ("EXT-X-DISCONTINUITY", "EXT-X-MAP", "EXT-X-PROGRAM-DATE-TIME", "EXT-X-KEY")


class _Reader:
    """Reads line after line; `open` is the segment that the next URI finishes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.listing = Listing()
        self.init: str | None = None
        self.encrypted = False
        self.ranges: dict[str, int] = {}
        self.open: ListedSegment | None = None
        self.first_msn: int | None = None

    def note(self, problem: str) -> None:
        note(self.listing.problems, problem)

    def number(self, text: str, tag: str) -> int:
        if re.fullmatch(r"\d{1,19}", text):
            return int(text)
        self.note(f"{tag} is not a decimal integer: {text[:40]!r}")
        return 0

    def segment(self) -> ListedSegment:
        if self.open is None:
            one = self.listing
            if self.first_msn is None:
                self.first_msn = one.media_sequence + (one.skipped or 0)
            self.open = ListedSegment(
                self.first_msn + len(one.segments), init=self.init, encrypted=self.encrypted
            )
        return self.open

    def set(self, tag: str, **changes: object) -> None:
        segment = self.segment()
        if segment.parts and tag in _BEFORE_PARTS:
            changes["late_tags"] = (*segment.late_tags, tag)
        self.open = replace(segment, **changes)  # type: ignore[arg-type]

    def range(self, text: str, uri: str) -> str:
        """`n@o`; without an offset it goes on where the range before of the same resource ended."""
        length, _, offset = text.partition("@")
        start = self.number(offset, "BYTERANGE") if offset else self.ranges.get(uri, 0)
        size = self.number(length, "BYTERANGE")
        self.ranges[uri] = start + size
        return f"{size}@{start}"

    def uri(self, line: str) -> None:
        uri = urljoin(self.url, line)
        segment = self.segment()
        if segment.duration is None:
            self.note(f"a segment without EXTINF: {line[:60]!r}")
        byte_range = self.range(segment.byte_range, uri) if segment.byte_range else ""
        self.listing.segments.append(
            replace(segment, uri=uri, duration=segment.duration or 0.0, byte_range=byte_range)
        )
        self.open = None

    def part(self, text: str) -> None:
        values = attributes(text, self.listing.problems)
        duration = decimal(values.get("DURATION", ""))
        if duration is None or "URI" not in values:
            self.note(f"EXT-X-PART needs URI and DURATION: {text[:80]!r}")
            return
        uri = urljoin(self.url, values["URI"])
        segment = self.segment()
        part = ListedPart(
            uri,
            duration,
            values.get("INDEPENDENT") == "YES",
            values.get("GAP") == "YES",
            self.range(values["BYTERANGE"], uri) if "BYTERANGE" in values else "",
            text,
        )
        self.open = replace(segment, parts=(*segment.parts, part))

    def tag(self, name: str, value: str) -> None:
        one = self.listing
        one.tags.add(name)
        match name:
            case "EXT-X-VERSION":
                one.version = self.number(value, name)
            case "EXT-X-TARGETDURATION":
                one.target_duration = self.number(value, name)
            case "EXT-X-MEDIA-SEQUENCE":
                one.media_sequence = self.number(value, name)
            case "EXT-X-DISCONTINUITY-SEQUENCE":
                one.discontinuity_sequence = self.number(value, name)
                one.has_discontinuity_sequence = True
            case "EXT-X-PLAYLIST-TYPE":
                one.playlist_type = value
            case "EXT-X-INDEPENDENT-SEGMENTS":
                one.independent_segments = True
            case "EXT-X-ENDLIST":
                one.ended = True
            case "EXT-X-SERVER-CONTROL":
                one.control = attributes(value, one.problems)
            case "EXT-X-PART-INF":
                one.part_target = decimal(attributes(value, one.problems).get("PART-TARGET", ""))
            case "EXT-X-SKIP":
                skipped = attributes(value, one.problems).get("SKIPPED-SEGMENTS", "")
                one.skipped = self.number(skipped, name)
            case "EXT-X-PRELOAD-HINT":
                values = attributes(value, one.problems)
                one.hints.append((values.get("TYPE", ""), urljoin(self.url, values.get("URI", ""))))
            case "EXT-X-RENDITION-REPORT":
                self.report(attributes(value, one.problems))
            case _:
                self.media_tag(name, value)

    def report(self, values: dict[str, str]) -> None:
        msn, part = values.get("LAST-MSN"), values.get("LAST-PART")
        self.listing.reports.append(
            Report(
                urljoin(self.url, values.get("URI", "")),
                None if msn is None else self.number(msn, "LAST-MSN"),
                None if part is None else self.number(part, "LAST-PART"),
            )
        )

    def media_tag(self, name: str, value: str) -> None:
        match name:
            case "EXTINF":
                duration = decimal(value.partition(",")[0].strip())
                if duration is None:
                    self.note(f"EXTINF is not a duration: {value[:40]!r}")
                self.set(name, duration=duration or 0.0)
            case "EXT-X-GAP":
                self.set(name, gap=True)
            case "EXT-X-DISCONTINUITY":
                self.set(name, discontinuity=True)
            case "EXT-X-PROGRAM-DATE-TIME":
                date = _date(value)
                if date is None:
                    self.note(f"not an ISO 8601 date with a time zone: {value[:40]!r}")
                self.set(name, date=date)
            case "EXT-X-MAP":
                values = attributes(value, self.listing.problems)
                self.init = urljoin(self.url, values.get("URI", ""))
                if "BYTERANGE" in values:
                    self.init += f"#{self.range(values['BYTERANGE'], self.init)}"
                self.set(name, init=self.init)
            case "EXT-X-KEY":
                self.encrypted = attributes(value, self.listing.problems).get("METHOD") != "NONE"
                self.set(name, encrypted=self.encrypted)
            case "EXT-X-BYTERANGE":
                self.set(name, byte_range=value)
            case "EXT-X-PART":
                self.part(value)
            case "EXT-X-DATERANGE":
                attributes(value, self.listing.problems)


def read_listing(text: str, url: str) -> Listing:
    """The media playlist `text`, fetched from `url`. Raises NotAPlaylist."""
    reader = _Reader(url)
    for line in lines_of(text)[1:]:
        line = line.strip()
        if line.startswith("#EXT"):
            name, _, value = line[1:].partition(":")
            reader.tag(name, value)
        elif line and not line.startswith("#"):
            reader.uri(line)
    if reader.open is not None and reader.open.parts:
        reader.listing.segments.append(reader.open)
    return reader.listing
