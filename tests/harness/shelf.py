"""An edge that keeps what it is given: every snapshot with its time, and the media by name."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import av

from hls.captions import Caption
from hls.grid import Grid
from hls.packager import Packager
from hls.rendition import Snapshot
from tests.harness.live_source import LiveSource


@dataclass(frozen=True, slots=True)
class Shown:
    """One snapshot of a rendition."""

    at_ms: float
    rendition: str
    msn: int
    part: int
    live: str
    delta: str | None
    plain: str | None
    hint: str | None
    ended: bool


@dataclass
class Shelf:
    """Implements `hls.shelf.Shelf`."""

    now_ms: float = 0
    opened: dict[str, tuple[int, int]] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    index_log: list[tuple[float, str]] = field(default_factory=list)
    """Each multivariant playlist of low latency, with its time."""
    shown: list[Shown] = field(default_factory=list)
    media: dict[tuple[str, str], bytes] = field(default_factory=dict)
    ever: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """All media there was, also what was dropped."""
    dropped: set[tuple[str, str]] = field(default_factory=set)
    closed: list[str] = field(default_factory=list)

    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None:
        self.opened[stream] = part_target_ms, target_duration_s

    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        assert stream in self.opened
        self.indexes.update((name, body.decode()) for name, body in documents)
        if "index.m3u8" in dict(documents):
            self.index_log.append((self.now_ms, self.indexes["index.m3u8"]))

    def put(self, stream: str, snapshot: Snapshot) -> None:
        assert stream in self.opened
        rendition = snapshot.rendition
        for name, data in snapshot.media:
            self.media[rendition, name] = data
        for name, parts in snapshot.joined:
            self.media[rendition, name] = b"".join(self.media[rendition, part] for part in parts)
        self.ever.update(self.media)
        for name in snapshot.dropped:
            del self.media[rendition, name]
            self.dropped.add((rendition, name))
        delta, plain = (one.decode() if one else None for one in (snapshot.delta, snapshot.plain))
        self.shown.append(
            Shown(
                self.now_ms,
                rendition,
                snapshot.msn,
                snapshot.part,
                snapshot.live.decode(),
                delta,
                plain,
                snapshot.hint,
                snapshot.ended,
            )
        )

    def close(self, stream: str) -> bool:
        self.closed.append(stream)
        return True

    def of(self, rendition: str) -> list[Shown]:
        """The snapshots of a rendition, oldest first."""
        return [one for one in self.shown if one.rendition == rendition]

    def last(self, rendition: str) -> Shown:
        """The newest snapshot of a rendition."""
        return self.of(rendition)[-1]


def packets(init: bytes, *media: bytes) -> list[tuple[int, int, bool]]:
    """(decode time, duration, key) of every packet that FFmpeg reads from an init section and media, ticks of the track."""
    with av.open(io.BytesIO(b"".join((init, *media)))) as container:
        return [
            (packet.dts, packet.duration, packet.is_keyframe)
            for packet in container.demux()
            if packet.dts is not None
        ]


class Live:
    """A packager that is fed by a synthetic source in virtual time. `delay_ms` is the way from capture to packager."""

    def __init__(
        self,
        source: LiveSource,
        grid: Grid,
        *,
        window_s: float = 60,
        delay_ms: float = 30,
        language: str | None = None,
        opus: bool = False,
    ) -> None:
        self.source = source
        self.shelf = Shelf(source.start_ms)
        self.now_ms = source.start_ms
        self.delay_ms = delay_ms
        self.deaf = False
        """The publisher does not hear key-frame requests."""
        self.packager = Packager(
            "demo", grid, window_s, self.shelf, self._ask, source.start_ms, language=language, opus=opus
        )

    def _ask(self) -> None:
        if not self.deaf:
            self.source.ask_key_frame()

    def run(self, seconds: float) -> None:
        """Lets time pass, the source with it."""
        end_ms = self.now_ms + seconds * 1000
        while self.now_ms < end_ms:
            self.now_ms += 20
            self.shelf.now_ms = self.now_ms
            for unit in self.source.until(self.now_ms - self.delay_ms):
                self.packager.push(unit, self.now_ms)
            self.packager.tick(self.now_ms)

    def say(self, text: str, duration_s: float) -> float:
        """Something begins to be heard now; returns when, in Unix milliseconds."""
        said = Caption(text, round(self.now_ms), round(self.now_ms + 1000 * duration_s))
        self.packager.caption(said, self.now_ms + self.delay_ms)
        return self.now_ms

    def stall(self, seconds: float) -> None:
        """Lets time pass while nothing comes from the source."""
        end_ms = self.now_ms + seconds * 1000
        while self.now_ms < end_ms:
            self.now_ms += 20
            self.shelf.now_ms = self.now_ms
            self.packager.tick(self.now_ms)
        self.source.skip(seconds * 1000)
