"""Playlists that nobody makes pictures for: the packager that led is dead, and so is the source, or it does not hear of key-frame requests.
Its twin, which leads now, keeps them going with gap parts on the clock, so that reloads are answered and players wait where they are. The
key frame that comes one day goes on after them, as after any playlist (`hls.continuation`).

The open segments end with what players know of them; then gap segments follow, with the same numbers and boundaries in all renditions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hls.continuation import KEEP_S, Block, Past, Text, joined_lines, number_of, read
from hls.grid import PARTS_LISTED_FOR, Grid, iso
from hls.rendition import Snapshot
from hls.replica import Replica

_LATE_PARTS = 3
"""A gap part is shown so long after its time: pictures that come after all have not been told to be missing."""


@dataclass(slots=True)
class _Row:
    """One rendition. `newest` is the last part that players know."""

    name: str
    past: Past
    text: Text
    newest: tuple[int, int]
    media: dict[str, bytes] = field(default_factory=dict)
    joined: dict[str, list[str]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    leaving: deque[tuple[float, int]] = field(default_factory=deque)
    names: list[str] = field(default_factory=list)
    ended: bool = False

    def open_block(self) -> Block:
        """The gap segment that is open; a new one where none is."""
        past = self.past
        if past.open is None:
            block = Block(past.last + 1, past.blocks[-1].init if past.blocks else "")
            block.lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{iso(datetime.fromtimestamp(past.end_s, UTC))}")
            past.open = block
        return past.open

    def gap(self, until_s: float) -> None:
        """Nothing up to a time: a part of the open gap segment."""
        length_s = until_s - self.past.end_s
        if length_s < 0.001:
            return
        block = self.open_block()
        index = len(block.parts)
        uri = f"{block.msn}.{index}.{self.past.ending}"
        block.lines.append(f'#EXT-X-PART:DURATION={length_s:.5f},URI="{uri}",GAP=YES')
        self.newest = block.msn, index

    def finish(self) -> None:
        """The open segment has its end."""
        if self.past.open:
            self.past.end_open(self.media, self.joined)

    @property
    def hint(self) -> str:
        block = self.past.open
        where = (block.msn, len(block.parts)) if block else (self.past.last + 1, 0)
        return f"{where[0]}.{where[1]}.{self.past.ending}"


class Vacancy:
    """Keeps what `replica` shows going. Nothing else may put into it meanwhile."""

    def __init__(self, replica: Replica, grid: Grid, window_s: float) -> None:
        self._replica = replica
        self._grid = grid
        self._window_s = window_s
        self._rows = [
            _Row(
                name,
                Past(shown.newest.live),
                read(shown.newest.live),
                (shown.newest.msn, shown.newest.part),
                names=[*shown.media, *shown.joined],
            )
            for name, shown in replica.renditions.items()
        ]
        self._even()
        self._begin_s = min(row.past.end_s for row in self._rows)
        self._parts = 0
        self._finished = True

    def tick(self, now_ms: float) -> None:
        """Shows what is missing by now."""
        part_s = self._grid.part_ms / 1000
        a_segment = self._grid.segment_ms // self._grid.part_ms
        while self._begin_s + (self._parts + 1 + _LATE_PARTS) * part_s <= now_ms / 1000:
            self._parts += 1
            for row in self._rows:
                row.gap(self._begin_s + self._parts * part_s)
                if self._parts % a_segment == 0:
                    row.finish()
                    self._finished = True
            self._show()

    def end(self) -> None:
        """The broadcast is over: finishes the playlists."""
        for row in self._rows:
            row.finish()
            row.ended = True
        self._finished = True
        self._show()

    def _even(self) -> None:
        """Ends the segments that are open. Who was a segment behind gets that as a gap, so that all go on with the same number."""
        for row in self._rows:
            row.finish()
        last = max(row.past.last for row in self._rows)
        until_s = min(row.past.end_s for row in self._rows if row.past.last == last)
        for row in self._rows:
            while row.past.last < last:
                row.gap(max(until_s, row.past.end_s + 0.001 * (last - row.past.last)))
                row.finish()

    def _show(self) -> None:
        for row in self._rows:
            self._replica.put(self._replica.stream, self._snapshot(row))
            row.media, row.joined, row.dropped = {}, {}, []
        self._finished = False

    def _snapshot(self, row: _Row) -> Snapshot:
        past, end_s = row.past, row.past.end_s
        if self._finished:
            self._expire(row, end_s)
        parts_from = end_s - PARTS_LISTED_FOR * self._grid.target_duration_s
        lines = [
            (one.init, one.lines if one.start_s >= parts_from else one.without_parts()) for one in past.blocks
        ]
        if past.open:
            lines.append((past.open.init, past.open.lines))
        reports = [
            f'#EXT-X-RENDITION-REPORT:URI="../{other.name}/index.m3u8",LAST-MSN={other.newest[0]},LAST-PART={other.newest[1]}'
            for other in self._rows
            if other is not row
        ]
        hint = f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{row.hint}"'
        tail = [*reports, "#EXT-X-ENDLIST"] if row.ended else [hint, *reports]
        return Snapshot(
            row.name,
            *row.newest,
            live=joined_lines(self._head(row, row.text.head, past.blocks[0].msn), lines, tail),
            plain=self._plain(row) if self._finished else None,
            media=list(row.media.items()),
            joined=list(row.joined.items()),
            dropped=row.dropped,
            hint=None if row.ended else row.hint,
            ended=row.ended,
        )

    @staticmethod
    def _head(row: _Row, head: list[str], msn: int) -> list[str]:
        numbers = [
            f"#EXT-X-MEDIA-SEQUENCE:{msn}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{row.past.discontinuities}",
        ]
        return [*head, *numbers]

    def _plain(self, row: _Row) -> bytes | None:
        before = self._replica.renditions[row.name].plain
        blocks = list(row.past.blocks)
        while blocks and blocks[0].gap:
            blocks.pop(0)
        if before is None or not blocks:
            return None
        lines = [(one.init, one.without_parts()) for one in blocks]
        tail = ["#EXT-X-ENDLIST"] if row.ended else []
        return joined_lines(self._head(row, read(before).head, blocks[0].msn), lines, tail)

    def _expire(self, row: _Row, end_s: float) -> None:
        """Segments leave the window, and later the edge."""
        row.names += [*row.media, *row.joined]
        row.leaving += [(one.end_s, one.msn) for one in row.past.expire(end_s, self._window_s)]
        while row.leaving and end_s - row.leaving[0][0] > self._window_s + KEEP_S:
            _, msn = row.leaving.popleft()
            kept: list[str] = []
            for name in row.names:
                number = number_of(name)
                (kept if number is None or number > msn else row.dropped).append(name)
            row.names = kept
