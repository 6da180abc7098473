"""From the snapshots of one stream to its finished segments. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hls.grid import iso
from hls.rendition import FMP4, Snapshot
from hls.store.recording import Recording
from hls.store.rows import Row, finished

_EMPTY_BYTES = len(FMP4.nothing)
"""A gap segment holds one empty box, or a comment that is shorter: nothing that is kept."""
_MOST_MISSING = 50_000


@dataclass(frozen=True, slots=True)
class Finished:
    """A segment and its bytes: None when there are none, or when they did not get here. `init` is the section that it needs."""

    rendition: str
    row: Row
    data: bytes | None
    init: bytes | None


class Intake:
    """Holds the parts of the open segments and the init sections that are in use; nothing else."""

    def __init__(self, target_s: int) -> None:
        self.target_s = target_s
        self.index = ""
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


def missing(recording: Recording, rendition: str, row: Row) -> list[Row]:
    """Gaps for the numbers between what a recording has of a rendition and `row`: as another rendition has them, so that all lists agree,
    or else of equal length. Raises ValueError when there are absurdly many."""
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
            found.append(Row(msn, f"{msn}.m4s", like.duration, like.date, row.init, like.discontinuity, True))
        else:
            length_s, date = _spread(rows[-1] if rows else None, row, count, index, recording.target_s)
            found.append(Row(msn, f"{msn}.m4s", f"{length_s:.5f}", date, row.init, False, True))
    return found


def _spread(last: Row | None, row: Row, count: int, index: int, target_s: int) -> tuple[float, str]:
    begin = datetime.fromisoformat(row.date)
    if last is None:
        return float(target_s), iso(begin - timedelta(seconds=target_s * (count - index)))
    ended = datetime.fromisoformat(last.date) + timedelta(seconds=last.duration_s)
    length = max(0.001, (begin - ended).total_seconds() / count)
    return length, iso(ended + timedelta(seconds=length * index))
