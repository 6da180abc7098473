"""From the snapshots of one stream to its finished segments, and where those belong in a recording. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hls.grid import iso
from hls.rendition import FMP4, Snapshot
from hls.store.recording import Recording
from hls.store.rows import Row, finished

_EMPTY_BYTES = len(FMP4.nothing)
"""A gap segment holds one empty box, or a comment that is shorter: nothing that is kept."""
_MOST_MISSING = 50_000
MOST_AWAY_S = 600.0
"""A packager that was away for longer begins another recording."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A segment and its bytes: None when there are none, or when they did not get here. `init` is the section that it needs."""

    rendition: str
    row: Row
    data: bytes | None
    init: bytes | None


@dataclass(frozen=True, slots=True)
class Run:
    """What one packager, from its start to its end, adds to a recording. `first` is the number that it gave to its first segment;
    `shift` is by how much its numbers are above those of the recording; `joins`: another run was before it."""

    first: int
    shift: int = 0
    joins: bool = False

    def placed(self, row: Row) -> Row:
        """`row` by the recording's numbers. The first one is a discontinuity: encoders and clocks began anew with it."""
        joint = self.joins and row.msn == self.first
        return replace(row, msn=row.msn - self.shift, discontinuity=row.discontinuity or joint)


def run_after(recording: Recording, row: Row, target_s: int) -> Run | None:
    """The run that goes on with `recording`, and begins with `row` by its own numbers; what nobody has between them is gaps no longer than
    a target duration. None when they cannot be one recording: too much is missing, or time went back, or the grid is another."""
    last = recording.last
    if last is None or target_s != recording.target_s:
        return None
    away_s = (datetime.fromisoformat(row.date) - _ended(last)).total_seconds()
    if not 0 <= away_s <= MOST_AWAY_S:
        return None
    first = last.msn + 1 + math.ceil(away_s / target_s)
    return Run(row.msn, row.msn - first, joins=True)


class Intake:
    """Holds the parts of the open segments and the init sections that are in use; nothing else."""

    def __init__(self, target_s: int) -> None:
        self.target_s = target_s
        self.index = ""
        self.run: Run | None = None
        """Known from the first segment on that is kept."""
        self._media: dict[tuple[str, str], bytes] = {}
        self._after: dict[str, int] = {}
        self._ended: set[str] = set()

    @property
    def ended(self) -> bool:
        """Every rendition has said that it is over."""
        return bool(self._after) and self._ended >= self._after.keys()

    def take(self, snapshot: Snapshot) -> list[Finished]:
        """The segments that are finished with this snapshot, oldest first. Raises ValueError for a playlist that is not ours."""
        rendition = snapshot.rendition
        self._after.setdefault(rendition, 0)
        media = self._media
        for name, data in snapshot.media:
            if ".i." not in name:  # key frames alone: their segments have them
                media[rendition, name] = data
        joined: dict[str, list[str]] = dict(snapshot.joined)
        found = []
        if joined or snapshot.ended or any(name.count(".") == 1 for name, _ in snapshot.media):
            rows = finished(snapshot.live.decode(), self._after[rendition])
            found = [Finished(rendition, row, *self._bytes(rendition, row, joined)) for row in rows]
            if rows:
                self._after[rendition] = rows[-1].msn
        for name in snapshot.dropped:
            media.pop((rendition, name), None)
        if snapshot.ended:
            self._ended.add(rendition)
        return found

    def _bytes(
        self, rendition: str, row: Row, joined: dict[str, list[str]]
    ) -> tuple[bytes | None, bytes | None]:
        init = self._media.get((rendition, row.init))
        if row.uri in joined:
            parts = [self._media.pop((rendition, part), None) for part in joined[row.uri]]
            if all(parts):
                return b"".join(part for part in parts if part), init
            return None, init
        whole = self._media.pop((rendition, row.uri), b"")
        return (whole if len(whole) > _EMPTY_BYTES else None), init


def missing(recording: Recording, rendition: str, row: Row, shift: int = 0) -> list[Row]:
    """Gaps for the numbers between what a recording has of a rendition and `row`: as another rendition has them, so that all lists agree,
    or else of equal length, named by numbers that are `shift` above the recording's. Raises ValueError when there are absurdly many."""
    track = recording.tracks.get(rendition)
    rows = track.rows if track else []
    expected = rows[-1].msn + 1 if rows else recording.first
    count = row.msn - expected
    if count > _MOST_MISSING:
        raise ValueError(f"{count} segments are missing before {row.msn}")
    found = []
    known: dict[int, Row] = {}
    for other in recording.tracks.values():
        if count > 0 and other is not track and other.rows:
            begin = max(0, expected - other.rows[0].msn)
            known.update((one.msn, one) for one in other.rows[begin : begin + count])
    for index in range(count):
        msn = expected + index
        like = known.get(msn)
        if like is not None:
            name = f"{like.uri.partition('.')[0]}.m4s"
            found.append(Row(msn, name, like.duration, like.date, row.init, like.discontinuity, True))
        else:
            length_s, date = _spread(rows[-1] if rows else None, row, count, index, recording.target_s)
            found.append(Row(msn, f"{msn + shift}.m4s", f"{length_s:.5f}", date, row.init, False, True))
    return found


def _ended(row: Row) -> datetime:
    return datetime.fromisoformat(row.date) + timedelta(seconds=row.duration_s)


def _spread(last: Row | None, row: Row, count: int, index: int, target_s: int) -> tuple[float, str]:
    begin = datetime.fromisoformat(row.date)
    if last is None:
        return float(target_s), iso(begin - timedelta(seconds=target_s * (count - index)))
    ended = _ended(last)
    length = max(0.001, (begin - ended).total_seconds() / count)
    return length, iso(ended + timedelta(seconds=length * index))
