"""One playlist out of two packagers' work: what the first one had shown before it died, and what its twin makes from the next key frame on.

The twin's packager starts as if nothing had been, with a number above all that players know. Its playlists come through here: the
segments of before stay in front of them, the segment that was open is finished with its parts, and the time that nobody has is a
gap segment. So numbers, names, dates and discontinuities go on, and no name ever gets other bytes."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hls import webvtt
from hls.grid import PARTS_LISTED_FOR, Grid, iso
from hls.playlist import KEY_FRAMES
from hls.rendition import FMP4, Snapshot
from hls.replica import Replica
from hls.shelf import Shelf

NOTHING = {"m4s": FMP4.nothing, "vtt": webvtt.NOTHING}
KEEP_S = 30.0
"""Media that no playlist names any more stays so long, for players that are late."""
_PART_LINE = re.compile(r'#EXT-X-PART:DURATION=([0-9.]+),URI="([^"]+)"')
_MSN_OF_NAME = re.compile(r"(\d+)\.(?:(?:\d+|i)\.)?(?:m4s|vtt)")
_DATE = "#EXT-X-PROGRAM-DATE-TIME:"
_MAP = "#EXT-X-MAP:"
_DISCONTINUITY = "#EXT-X-DISCONTINUITY"


@dataclass(slots=True)
class Block:
    """The lines of one segment, without its EXT-X-MAP; the open one has no EXTINF yet."""

    msn: int
    init: str
    lines: list[str] = field(default_factory=list)
    duration_s: float | None = None

    @property
    def start_s(self) -> float:
        """Unix time of its beginning."""
        [date] = [line for line in self.lines if line.startswith(_DATE)]
        return datetime.fromisoformat(date.removeprefix(_DATE)).timestamp()

    @property
    def parts(self) -> list[tuple[str, float, bool]]:
        """Name, seconds, and whether it is a gap, of each part that is listed."""
        found = []
        for line in self.lines:
            if match := _PART_LINE.match(line):
                found.append((match[2], float(match[1]), "GAP=YES" in line))
        return found

    @property
    def length_s(self) -> float:
        """Its duration, or what there is of it."""
        return sum(part[1] for part in self.parts) if self.duration_s is None else self.duration_s

    @property
    def end_s(self) -> float:
        return self.start_s + self.length_s

    @property
    def gap(self) -> bool:
        return "#EXT-X-GAP" in self.lines

    def without_parts(self) -> list[str]:
        return [line for line in self.lines if not line.startswith("#EXT-X-PART:")]


@dataclass(slots=True)
class Text:
    """A media playlist of ours in pieces."""

    head: list[str] = field(default_factory=list)
    msn: int = 0
    discontinuities: int = 0
    skipped: int = 0
    blocks: list[Block] = field(default_factory=list)
    open: Block | None = None
    tail: list[str] = field(default_factory=list)


def read(playlist: bytes) -> Text:
    """Takes a media playlist that `hls.playlist` wrote into its pieces."""
    text = Text()
    init = ""
    block: Block | None = None
    for line in playlist.decode().splitlines():
        if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            text.msn = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-DISCONTINUITY-SEQUENCE:"):
            text.discontinuities = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-SKIP:"):
            text.skipped = int(line.partition("=")[2])
        elif line.startswith(("#EXT-X-PRELOAD-HINT:", "#EXT-X-RENDITION-REPORT:", "#EXT-X-ENDLIST")):
            text.tail.append(line)
        elif block is None and not line.startswith((_DISCONTINUITY, _MAP, _DATE)):
            text.head.append(line)
        else:
            block = block or Block(text.msn + text.skipped + len(text.blocks), init)
            if line.startswith(_MAP):
                block.init = init = line
                continue
            block.lines.append(line)
            if line.startswith("#EXTINF:"):
                block.duration_s = float(line[8:].rstrip(","))
            elif not line.startswith("#"):
                text.blocks.append(block)
                # What follows belongs to the next segment, as in the playlist.
                block = Block(text.msn + text.skipped + len(text.blocks), init)
    if block is not None and block.lines:
        text.open = block
    return text


class Past:
    """What one rendition had shown, up to the last part that players may have."""

    def __init__(self, live: bytes) -> None:
        text = read(live)
        self.ending = "vtt" if b".vtt" in live else "m4s"
        self.blocks = deque(text.blocks)
        self.discontinuities = text.discontinuities
        # A segment that nothing is in yet has not begun: the twin begins it.
        self.open = text.open if text.open and text.open.parts else None

    @property
    def last(self) -> int:
        """Number of the newest segment that has anything."""
        return self.open.msn if self.open else self.blocks[-1].msn if self.blocks else 0

    @property
    def end_s(self) -> float:
        """Unix time up to which there is media."""
        last = self.open or (self.blocks[-1] if self.blocks else None)
        return last.end_s if last else 0.0

    def finish(
        self, before: int, start_s: float, grid: Grid
    ) -> tuple[dict[str, bytes], dict[str, list[str]]]:
        """Ends it where the twin's first segment, number `before`, begins: the time that nobody has is gap segments. Returns what the
        edge must have for it: media, and segments as rows of parts."""
        media: dict[str, bytes] = {}
        joined: dict[str, list[str]] = {}
        end_s = self.end_s
        self.end_open(media, joined)
        missing = before - 1 - self.last
        length_s = max(start_s - end_s, 0.001 * missing) / max(missing, 1)
        for number in range(missing):
            gap = Block(self.last + 1, self.blocks[-1].init if self.blocks else "", duration_s=length_s)
            gap.lines = [
                _DATE + iso(datetime.fromtimestamp(end_s + number * length_s, UTC)),
                *_gap_parts(gap.msn, length_s, grid, self.ending),
                f"#EXTINF:{length_s:.5f},",
                "#EXT-X-GAP",
                f"{gap.msn}.{self.ending}",
            ]
            media[f"{gap.msn}.{self.ending}"] = NOTHING[self.ending]
            self.blocks.append(gap)
        return media, joined

    def end_open(self, media: dict[str, bytes], joined: dict[str, list[str]]) -> None:
        """Ends the open segment, if there is one, with the parts that it has; adds what the edge must have for it."""
        block, self.open = self.open, None
        if block is None:
            return
        name = f"{block.msn}.{self.ending}"
        parts = [part for part, _, gap in block.parts if not gap]
        block.duration_s = block.length_s
        block.lines.append(f"#EXTINF:{block.duration_s:.5f},")
        if parts:
            joined[name] = parts
        else:
            block.lines.append("#EXT-X-GAP")
            media[name] = NOTHING[self.ending]
        block.lines.append(name)
        self.blocks.append(block)

    def expire(self, end_s: float, window_s: float) -> list[Block]:
        """Takes the segments out that a window up to `end_s` does not hold."""
        gone = []
        while self.blocks and end_s - self.blocks[0].end_s >= window_s:
            gone.append(self.blocks.popleft())
            # Its tag has left with it.
            self.discontinuities += _DISCONTINUITY in gone[-1].lines
        return gone


class Continuation:
    """The shelf of a packager that takes over. `first_msn` is the number of its first segment (`following`)."""

    def __init__(self, replica: Replica, grid: Grid, window_s: float, first_msn: int) -> None:
        self._shelf: Shelf = replica
        self._replica = replica
        self._grid = grid
        self._window_s = window_s
        self._first = first_msn
        self._past = {name: Past(shown.newest.live) for name, shown in replica.renditions.items()}
        self._past_keys = {
            name: Past(text) for name, text in replica.indexes.items() if name.startswith(KEY_FRAMES)
        }
        self._finished: set[str] = set()
        self._names = {name: [*shown.media, *shown.joined] for name, shown in replica.renditions.items()}
        self._leaving: dict[str, deque[tuple[float, int]]] = {name: deque() for name in self._past}

    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None:
        """It is open, with all that has been."""

    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        self._shelf.put_index(stream, [(name, self._with_keys(name, text)) for name, text in documents])

    def _with_keys(self, name: str, document: bytes) -> bytes:
        """A list of key frames, behind what was before it; any other document as it is."""
        past = self._past_keys.get(name)
        if past is None:
            return document
        text = read(document)
        own = self._own(text)
        if name not in self._finished:
            self._finished.add(name)
            past.finish(own[0].msn, own[0].start_s, self._grid)
        past.expire(own[-1].end_s, self._window_s)
        return self._merged_plain(past, document)

    def close(self, stream: str) -> bool:
        return self._shelf.close(stream)

    def put(self, stream: str, snapshot: Snapshot) -> None:
        past = self._past.get(snapshot.rendition)
        self._shelf.put(stream, self._continued(past, snapshot) if past else snapshot)

    def _continued(self, past: Past, snapshot: Snapshot) -> Snapshot:
        """The packager's, behind what was before it."""
        rendition, text = snapshot.rendition, read(snapshot.live)
        own = [*self._own(text), *([text.open] if text.open else [])]
        extra_media: dict[str, bytes] = {}
        extra_joined: dict[str, list[str]] = {}
        if rendition not in self._finished:
            self._finished.add(rendition)
            extra_media, extra_joined = past.finish(self._first, own[0].start_s, self._grid)
        gone = self._expire(rendition, past, own[-1].end_s)
        return replace(
            snapshot,
            live=self._merged(rendition, past, text, own[-1].end_s),
            delta=self._merged_delta(rendition, past, snapshot.delta),
            plain=snapshot.plain and self._merged_plain(past, snapshot.plain),
            # The packager's gap segments before its first one have the numbers of segments that are there.
            media=[*extra_media.items(), *(one for one in snapshot.media if self._is_own(one[0]))],
            joined=[*extra_joined.items(), *snapshot.joined],
            dropped=[*gone, *(name for name in snapshot.dropped if self._is_own(name))],
        )

    def _own(self, text: Text) -> list[Block]:
        """The finished segments that the packager has made."""
        return [one for one in text.blocks if one.msn >= self._first]

    def _is_own(self, name: str) -> bool:
        number = number_of(name)
        return number is None or number >= self._first

    def _expire(self, rendition: str, past: Past, end_s: float) -> list[str]:
        """Names whose time is over."""
        leaving = self._leaving[rendition]
        leaving += [(one.end_s, one.msn) for one in past.expire(end_s, self._window_s)]
        names: list[str] = []
        while leaving and end_s - leaving[0][0] > self._window_s + KEEP_S:
            _, msn = leaving.popleft()
            kept: list[str] = []
            for name in self._names[rendition]:
                number = number_of(name)
                (kept if number is None or number > msn else names).append(name)
            self._names[rendition] = kept
        return names

    def _begin(self, past: Past, text: Text) -> int:
        """Number of the first segment that the playlist tells of."""
        return past.blocks[0].msn if past.blocks else max(text.msn, self._first)

    @staticmethod
    def _head(past: Past, text: Text, msn: int) -> list[str]:
        return [
            *text.head,
            f"#EXT-X-MEDIA-SEQUENCE:{msn}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{past.discontinuities + text.discontinuities}",
        ]

    def _merged(self, rendition: str, past: Past, text: Text, end_s: float) -> bytes:
        parts_from = end_s - PARTS_LISTED_FOR * self._grid.target_duration_s
        rows = [
            (one.init, one.lines if one.start_s >= parts_from else one.without_parts()) for one in past.blocks
        ]
        rows += [(one.init, one.lines) for one in self._own(text)]
        if text.open:
            rows.append((text.open.init, text.open.lines))
        head = self._head(past, text, self._begin(past, text))
        return joined_lines(head, rows, text.tail + self._missing_reports(rendition, text.tail))

    def _missing_reports(self, rendition: str, tail: list[str]) -> list[str]:
        """Where the renditions stand that the packager has made nothing of yet."""
        told = "\n".join(tail)
        return [
            f'#EXT-X-RENDITION-REPORT:URI="../{name}/index.m3u8",LAST-MSN={one.newest.msn},LAST-PART={one.newest.part}'
            for name, one in self._replica.renditions.items()
            if name != rendition and f'"../{name}/index.m3u8"' not in told
        ]

    def _merged_delta(self, rendition: str, past: Past, delta: bytes | None) -> bytes | None:
        """The packager's delta with what it skips counted anew; None as long as it begins before the packager's own first segment."""
        if delta is None:
            return None
        text = read(delta)
        if text.msn + text.skipped < self._first:
            return None
        first = self._begin(past, text)
        head = self._head(past, text, first)
        head.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={text.msn + text.skipped - first}")
        rows = [(one.init, one.lines) for one in text.blocks]
        if text.open:
            rows.append((text.open.init, text.open.lines))
        return joined_lines(head, rows, text.tail + self._missing_reports(rendition, text.tail))

    def _merged_plain(self, past: Past, plain: bytes) -> bytes:
        text = read(plain)
        blocks = list(past.blocks)
        while blocks and blocks[0].gap:
            blocks.pop(0)
        own = self._own(text)
        head = self._head(past, text, (blocks + own)[0].msn)
        rows = [(one.init, one.without_parts()) for one in blocks] + [(one.init, one.lines) for one in own]
        return joined_lines(head, rows, text.tail)


def following(replica: Replica, leader: str, start_ms: float, grid: Grid) -> int:
    """Number of the first segment of a packager that goes on after `replica`, with a first picture captured at `start_ms` (Unix): above
    all that players know, with room for the gap segments before it."""
    past = {name: Past(shown.newest.live) for name, shown in replica.renditions.items()}
    newest = max(one.last for one in past.values())
    hole_s = start_ms / 1000 - past[leader].end_s
    # Renditions that were a part or two behind have a hole that is longer by as much.
    longest_s = max(grid.part_ms, grid.segment_ms - 2 * grid.part_ms) / 1000
    return newest + 1 + max(1, math.ceil(hole_s / longest_s))


def _gap_parts(msn: int, length_s: float, grid: Grid, ending: str) -> list[str]:
    """The parts of a segment that has none."""
    count = max(1, math.ceil(length_s / (grid.part_ms / 1000) - 0.001))
    return [
        f'#EXT-X-PART:DURATION={length_s / count:.5f},URI="{msn}.{index}.{ending}",GAP=YES'
        for index in range(count)
    ]


def number_of(name: str) -> int | None:
    """Of the segment that a name belongs to; None for an init section."""
    match = _MSN_OF_NAME.fullmatch(name)
    return int(match[1]) if match else None


def joined_lines(head: list[str], rows: Sequence[tuple[str, list[str]]], tail: list[str]) -> bytes:
    """The playlist; EXT-X-MAP stands where the init section changes, behind a discontinuity."""
    lines = list(head)
    init = ""
    for its_init, its_lines in rows:
        at = 1 if its_lines and its_lines[0] == _DISCONTINUITY else 0
        lines += its_lines[:at]
        if its_init != init:
            lines.append(its_init)
            init = its_init
        lines += its_lines[at:]
    return ("\n".join([*lines, *tail]) + "\n").encode()
