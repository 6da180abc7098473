"""Broadcasts to be recorded, taken down once and played to as many recorders as wanted, and a store whose changes can be waited for."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from common.store.folder import Folder
from common.store.store import Body, StoreError
from hls.grid import ERA_MS, date_time, tier
from hls.rendition import Snapshot
from hls.store import catalogue
from hls.store.catalogue import Entry
from hls.store.recorder import Recorder
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live, Shelf

START_MS = float(ERA_MS + 30_000_000_000)
LIMIT_S = 50.0


class WatchedFolder(Folder):
    """A folder that tells of every change, and that fails as long as `broken` has an error."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.broken: StoreError | None = None
        self.puts: list[str] = []
        self.attempts = 0
        self._changed = threading.Condition()

    def put(self, name: str, body: Body, *, content_type: str, cache_control: str) -> None:
        with self._changed:
            self.attempts += 1
            self._changed.notify_all()
            if self.broken:
                raise self.broken
        super().put(name, body, content_type=content_type, cache_control=cache_control)
        with self._changed:
            self.puts.append(name)
            self._changed.notify_all()

    def until(self, true: Callable[[], bool], limit_s: float = LIMIT_S) -> None:
        """Waits until something is true that changes with this store only."""
        with self._changed:
            assert self._changed.wait_for(true, limit_s), "it has not come true"

    def mend(self) -> None:
        """It takes everything from now on."""
        with self._changed:
            self.broken = None

    @property
    def finished(self) -> list[Entry]:
        """The recordings that are whole, the newest first."""
        return [one for one in catalogue.listed(self, "", 1000) if one.view.state == "finished"]


class Tape(Shelf):
    """A shelf that keeps all that it is given, in order."""

    def __init__(self) -> None:
        super().__init__(START_MS)
        self.calls: list[bytes | Snapshot] = []

    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        super().put_index(stream, documents)
        self.calls += [text for name, text in documents if name == "index.m3u8"]

    def put(self, stream: str, snapshot: Snapshot) -> None:
        super().put(stream, snapshot)
        self.calls.append(snapshot)


def play(recorder: Recorder, calls: Sequence[bytes | Snapshot], stream: str = "demo") -> None:
    """Lets a recorder see a piece of a tape; it is in the spool when this returns."""
    for one in calls:
        if isinstance(one, bytes):
            recorder.indexed(stream, one)
        else:
            recorder.shown(stream, one, leads=True)
    recorder.flush()


@functools.cache
def broadcast() -> Tape:
    """Twelve seconds, a stall of five, four more seconds, and the end: pictures and sound that decode, and a sentence."""
    live = Live(LiveSource(START_MS, width=512, height=64), tier(0.32), language="en")
    tape = Tape()
    live.shelf = live.packager._shelf = tape
    tape.open("demo", part_target_ms=320, target_duration_s=2)
    live.run(3)
    live.say("This is recorded.", 4.0)
    live.run(9)
    live.stall(5)
    live.run(4)
    live.packager.end()
    return tape


def made_up(
    first: int,
    count: int,
    *,
    size: int = 4000,
    window: int = 30,
    renditions: Sequence[str] = ("v0", "a128"),
    at: int | None = None,
) -> list[bytes | Snapshot]:
    """A broadcast of segments of two seconds, `size` bytes each, that do not decode: number `first` and those after it. `at`: it begins
    when segment `at` would, not `first`."""
    early = first - (first if at is None else at)
    variants = "".join(
        f'#EXT-X-STREAM-INF:BANDWIDTH=1,AVERAGE-BANDWIDTH=1,CODECS="x",RESOLUTION=2x2,AUDIO="a"\n{name}/index.m3u8\n'
        for name in renditions
        if name.startswith("v")
    )
    sound = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="a128/index.m3u8"\n'
    calls: list[bytes | Snapshot] = [f"#EXTM3U\n#EXT-X-VERSION:6\n{sound}{variants}".encode()]
    for msn in range(first, first + count):
        rows = range(max(first, msn - window + 1), msn + 1)
        text = f'#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{rows[0]}\n#EXT-X-MAP:URI="init-0.mp4"\n'
        for row in rows:
            date = date_time((row - early) * 2 * 1000, 1000)
            text += f"#EXT-X-PROGRAM-DATE-TIME:{date}\n#EXTINF:2.00000,\n{row}.m4s\n"
        for name in renditions:
            media = [(f"{msn}.0.m4s", f"{name} {msn} ".encode().ljust(size, b"-"))]
            if msn == first:
                media.insert(0, ("init-0.mp4", f"init of {name}".encode()))
            calls.append(
                Snapshot(name, msn, 0, text.encode(), media=media, joined=[(f"{msn}.m4s", [f"{msn}.0.m4s"])])
            )
    return calls


def ending(calls: Sequence[bytes | Snapshot]) -> list[bytes | Snapshot]:
    """The snapshots that end a made-up broadcast."""
    last = {one.rendition: one for one in calls if isinstance(one, Snapshot)}
    return [Snapshot(one.rendition, one.msn, one.part, one.live, ended=True) for one in last.values()]


def segment_names(playlist: str) -> list[str]:
    """The segments of a media playlist, in order."""
    return [line for line in playlist.splitlines() if line and not line.startswith("#")]
