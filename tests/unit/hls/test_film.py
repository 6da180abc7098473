"""A recording as one MP4: FFmpeg plays what was sent, at the time at which it was."""

from __future__ import annotations

import functools
import itertools
import re
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from common.store.store import NotStored, StoreError
from hls.check.fragments import boxes
from hls.fmp4 import Sample, part
from hls.grid import tier
from hls.rendition import Snapshot
from hls.store.film import Film, Piece
from hls.store.recorder import Recorder
from tests.harness.live_source import LiveSource
from tests.harness.recording import START_MS, Tape, WatchedFolder, broadcast, play
from tests.harness.shelf import Live


@functools.cache
def resized() -> Tape:
    """Four seconds of one picture size, four of another."""
    live = Live(LiveSource(START_MS, width=512, height=64), tier(0.32))
    tape = Tape()
    live.shelf = live.packager._shelf = tape
    tape.open("demo", part_target_ms=320, target_duration_s=2)
    live.run(4)
    other = LiveSource(START_MS, width=640, height=96)
    other.skip(4000)
    live.source = other
    live.run(4)
    live.packager.end()
    return tape


def film(calls: Sequence[bytes | Snapshot], tmp_path: Path) -> Path:
    """The MP4 that a recorder makes of a broadcast."""
    store = WatchedFolder(tmp_path / "store")
    one = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20)
    one.start()
    one.opened("demo", 2)
    play(one, calls)
    store.until(lambda: bool(store.finished))
    one.close(30)
    (entry,) = store.finished
    assert entry.view.film
    path = store.root / entry.view.film.lstrip("/")
    assert path.stat().st_size == entry.view.film_bytes
    return path


def packets(path: Path, kind: str) -> list[tuple[float, float, int]]:
    """(time, duration, bytes) in seconds of each packet."""
    with av.open(str(path)) as container:
        (stream,) = (one for one in container.streams if one.type == kind)
        base = float(stream.time_base)
        return [
            (one.pts * base, one.duration * base, one.size)
            for one in container.demux(stream)
            if one.pts is not None and one.dts is not None
        ]


def test_a_recording_is_a_film_of_what_was_sent(tmp_path: Path) -> None:
    tape = broadcast()
    path = film(tape.calls, tmp_path)
    kinds = [kind for kind, _ in boxes(memoryview(path.read_bytes()))]
    assert kinds == [b"ftyp", b"moov", b"mdat"], "the index comes first"
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(21_000_000, abs=100_000)
        frames = list(container.decode(video=0))
        assert len(frames) == pytest.approx(400, abs=4)
        times = [frame.time for frame in frames]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert sum(gap > 0.2 for gap in gaps) == 1 and 4.5 < max(gaps) < 6, (
        "pictures stood still once, for as long"
    )
    assert times[-1] == pytest.approx(21, abs=0.15)
    with av.open(str(path)) as container:
        sound = list(container.decode(audio=0))
    assert sum(frame.samples for frame in sound) / 48_000 == pytest.approx(21, abs=0.1)
    assert sound[0].time == pytest.approx(times[0], abs=0.04) and times[0] < 0.04, "they begin together"
    for kind, rendition in (("video", "v0"), ("audio", "a128")):
        read = packets(path, kind)
        kept = [
            name for folder, name in tape.ever if folder == rendition and re.fullmatch(r"\d+\.\d+\.m4s", name)
        ]
        sent = sum(len(payload_of(tape.ever[rendition, name])) for name in kept)
        assert sum(size for _, _, size in read) == sent, "every byte, and no other"
        assert all(
            a + length == pytest.approx(b, abs=1e-4) for (a, length, _), (b, _, _) in itertools.pairwise(read)
        )


def payload_of(fragment: bytes) -> memoryview:
    return next(payload for kind, payload in boxes(memoryview(fragment)) if kind == b"mdat")


@pytest.mark.slow
def test_of_another_picture_size_every_picture_decodes(tmp_path: Path) -> None:
    path = film(resized().calls, tmp_path)
    with av.open(str(path)) as container:
        sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    runs = [(size, len(list(same))) for size, same in itertools.groupby(sizes)]
    assert [size for size, _ in runs] == [(512, 64), (640, 96)]
    assert sum(count for _, count in runs) == pytest.approx(200, abs=8)
    assert b"avc3" in path.read_bytes()[:20_000]


def test_sound_alone_is_a_film_too(tmp_path: Path) -> None:
    calls = [
        one.replace(b"v0", b"none") if isinstance(one, bytes) else one
        for one in broadcast().calls
        if isinstance(one, bytes) or one.rendition != "v0"
    ]
    path = film(calls, tmp_path)
    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["audio"]
        assert sum(frame.samples for frame in container.decode(audio=0)) / 48_000 == pytest.approx(
            21, abs=0.1
        )


def pieces(count: int, init: bytes, size: int) -> tuple[list[Piece], dict[str, bytes]]:
    files = {"v0/init.mp4": init}
    found = []
    for msn in range(count):
        samples = [Sample(bytes(size), 3600, index == 0) for index in range(50)]
        files[f"v0/{msn}.m4s"] = part(msn, msn * 180_000, samples)
        found.append(Piece(msn, f"v0/{msn}.m4s", "v0/init.mp4"))
    return found, files


def init_section() -> bytes:
    tape = broadcast()
    return next(data for (rendition, name), data in tape.ever.items() if rendition == "v0" and "init" in name)


def test_a_film_takes_the_memory_of_one_segment(tmp_path: Path) -> None:
    rows, files = pieces(60, init_section(), 8000)
    made = Film(rows, [], files.__getitem__)
    total = sum(map(len, files.values()))
    tracemalloc.start()
    size = sum(len(chunk) for chunk in made.chunks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == made.size_bytes and abs(size - total) < 100_000
    assert peak < total / 10, "of 24 MB"


def test_segments_that_are_gone_are_holes_and_those_that_change_an_error() -> None:
    rows, files = pieces(6, init_section(), 100)

    def read(name: str) -> bytes:
        if name == "v0/3.m4s":
            raise NotStored(name)
        return files[name]

    data = b"".join(Film(rows, [], read).chunks())
    assert data.count(bytes(100)) and len(data) < sum(map(len, files.values()))

    again = iter(range(100))

    def changing(name: str) -> bytes:
        cut = name == "v0/5.m4s" and next(again) > 0
        return part(5, 0, [Sample(b"x", 1, True)]) if cut else files[name]

    with pytest.raises(StoreError, match="another than it was"):
        b"".join(Film(rows, [], changing).chunks())


@pytest.mark.parametrize("broken", [b"", b"\0\0\0\x08moof", b"\xff" * 100, b"\0\0\0\x10moof\0\0\0\x08traf"])
def test_a_broken_segment_is_a_hole(broken: bytes) -> None:
    rows, files = pieces(3, init_section(), 100)
    whole = len(b"".join(Film(rows, [], files.__getitem__).chunks()))
    films = [
        b"".join(Film(rows, [], {**files, "v0/1.m4s": data}.__getitem__).chunks())
        for data in (broken, files["v0/1.m4s"][:300])
    ]
    assert all(0 < whole - len(film) < 6000 for film in films)
    with pytest.raises(ValueError, match="nothing"):
        b"".join(Film(rows, [], {**files, "v0/init.mp4": broken}.__getitem__).chunks())
