"""A packager that is away for a moment, killed or stopped, goes on with its recording: one list, one film."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import m3u8
import pytest

from common.store.store import StoreError
from hls.grid import tier
from hls.rendition import Snapshot
from hls.store.recorder import Recorder
from tests.harness.live_source import LiveSource
from tests.harness.recording import START_MS, Tape, WatchedFolder, ending, made_up, play, segment_names
from tests.harness.shelf import Live

FIRST = 60_000_000


@functools.cache
def tape(start_s: float, seconds: float, *, height: int = 64, audio: bool = True) -> Tape:
    """A packager that begins `start_s` later than the first one could, and ends with its broadcast after `seconds`."""
    source = LiveSource(START_MS + 1000 * start_s, width=512, height=height, audio=audio)
    live = Live(source, tier(0.32))
    one = Tape()
    live.shelf = live.packager._shelf = one
    one.open("demo", part_target_ms=320, target_duration_s=2)
    live.run(seconds)
    live.packager.end()
    return one


@contextmanager
def process(folder: Path, store: WatchedFolder, now: list[float]) -> Iterator[Recorder]:
    """A recorder from start to end of its process."""
    one = Recorder(folder / "spool", store, bound_bytes=64 << 20, clock=lambda: now[0])
    one.start()
    try:
        yield one
    finally:
        one.close(30)


@pytest.fixture
def store(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path / "store")


def only(store: WatchedFolder) -> Path:
    """Waits for the one recording that is whole; its folder."""
    store.until(lambda: bool(store.finished))
    [entry] = store.finished
    return store.root / "recordings/demo" / entry.view.id


def killed(calls: list[bytes | Snapshot]) -> list[bytes | Snapshot]:
    """What a packager shows that is killed before the end of its broadcast."""
    return [one for one in calls if isinstance(one, bytes) or not one.ended][:-3]


def media(folder: Path, rendition: str) -> m3u8.M3U8:
    return m3u8.loads((folder / rendition / "index.m3u8").read_text())


@pytest.mark.slow
def test_a_killed_packager_goes_on_with_its_recording(tmp_path: Path, store: WatchedFolder) -> None:
    now = [1000.0]
    with process(tmp_path, store, now) as one:
        one.opened("demo", 2)
        play(one, killed(tape(0, 8).calls))
        with one.recording("demo") as running:
            assert running is not None
            event, id = running.media("v0"), running.id
    with process(tmp_path, store, now) as one:
        one.opened("demo", 2)
        play(one, tape(13, 8).calls)
        folder = only(store)
    assert folder.name == id and [path.name for path in folder.parent.iterdir()] == [id]
    numbers, dates = [], []
    for rendition in ("v0", "a128", "a64"):
        parsed = media(folder, rendition)
        assert parsed.playlist_type == "vod" and parsed.is_endlist
        gaps = [index for index, row in enumerate(parsed.segments) if row.gap_tag]
        joints = [index for index, row in enumerate(parsed.segments) if row.discontinuity]
        assert gaps and joints == [gaps[-1] + 1], "the time that nobody has, then the new packager"
        assert all(row.duration <= 2.0 for row in parsed.segments), "the target duration stands"
        assert len(set(segment_names((folder / rendition / "index.m3u8").read_text()))) == len(
            parsed.segments
        )
        numbers.append((len(parsed.segments), joints))
        starts = [row.program_date_time.timestamp() for row in parsed.segments]
        for before, after, row in zip(starts, starts[1:], parsed.segments, strict=False):
            assert after == pytest.approx(before + row.duration, abs=0.03), "no time is missing"
        dates.append(starts[joints[0]])
        for row in parsed.segments:
            assert (folder / rendition / row.uri).exists() is not bool(row.gap_tag)
    assert len({count for count, _ in numbers}) == 1 and numbers[0][1] == numbers[1][1]
    assert dates == pytest.approx([dates[0]] * 3, abs=0.03)
    still = (folder / "v0" / "index.m3u8").read_text().replace("TYPE:VOD", "TYPE:EVENT")
    assert still.startswith(event), "what players of the running recording have is its beginning"
    film = folder / "recording.mp4"
    with av.open(str(film)) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0) if frame.pts]
        length = (container.duration or 0) / av.time_base
    assert length == pytest.approx(21, abs=0.5), "13 s and 8 s, also of a film"
    assert len(times) == pytest.approx(sum(row.duration for row in rows(folder)) * 25, abs=4)
    [entry] = store.finished
    assert entry.view.duration_s == pytest.approx(21, abs=0.5) and entry.view.lost_segments == 0


def rows(folder: Path) -> list[m3u8.Segment]:
    return [row for row in media(folder, "v0").segments if not row.gap_tag]


@pytest.mark.slow
def test_a_packager_that_is_stopped_does_not_end_its_recording(tmp_path: Path, store: WatchedFolder) -> None:
    now = [1000.0]
    for start_s in (0, 6):
        with process(tmp_path, store, now) as one:
            one.opened("demo", 2)
            calls = tape(start_s, 4).calls
            if not start_s:
                first = [call for call in calls if isinstance(call, bytes) or not call.ended]
                play(one, first)
                one.leave()
                play(one, calls[len(first) :])
                assert [entry.view.state for entry in one.entries()] == ["recording"]
                continue
            play(one, calls)
            folder = only(store)
    parsed = media(folder, "v0")
    assert sum(row.duration for row in parsed.segments if not row.gap_tag) == pytest.approx(8, abs=0.2), (
        "the last, short segment of before is there too"
    )


@pytest.mark.parametrize("away_s", [700, -6])
def test_who_was_away_too_long_or_has_another_clock_begins_anew(
    tmp_path: Path, store: WatchedFolder, away_s: int
) -> None:
    now = [1000.0]
    for first in (FIRST, FIRST + 3 + away_s // 2):
        with process(tmp_path, store, now) as one:
            one.opened("demo", 2)
            calls = made_up(first, 3)
            play(one, calls if first == FIRST else [*calls, *ending(calls)])
            if first != FIRST:
                store.until(lambda: len(store.finished) == 2)
    for entry in store.finished:
        assert entry.view.duration_s == 6.0


def test_another_grid_begins_another_recording(tmp_path: Path, store: WatchedFolder) -> None:
    now = [1000.0]
    with process(tmp_path, store, now) as one:
        one.opened("demo", 2)
        play(one, made_up(FIRST, 3))
    with process(tmp_path, store, now) as one:
        one.opened("demo", 6)
        calls = made_up(FIRST + 10, 3)
        play(one, [*calls, *ending(calls)])
        store.until(lambda: len(store.finished) == 2)


def test_a_rendition_that_does_not_come_again_is_gaps(tmp_path: Path, store: WatchedFolder) -> None:
    now = [1000.0]
    with process(tmp_path, store, now) as one:
        one.opened("demo", 2)
        play(one, made_up(FIRST, 4, renditions=("v0", "v1", "a128")))
    with process(tmp_path, store, now) as one:
        one.opened("demo", 2)
        calls = made_up(FIRST + 20, 3, renditions=("v0", "v2", "a128"))
        play(one, [*calls, *ending(calls)])
        folder = only(store)
    hole = 16
    gaps = {
        name: [bool(row.gap_tag) for row in media(folder, name).segments]
        for name in ("v0", "v1", "v2", "a128")
    }
    assert gaps["v0"] == gaps["a128"] == [False] * 4 + [True] * hole + [False] * 3
    assert gaps["v1"] == [False] * 4 + [True] * (hole + 3)
    assert gaps["v2"] == [True] * (4 + hole) + [False] * 3
    joints = [[bool(row.discontinuity) for row in media(folder, name).segments].index(True) for name in gaps]
    assert joints == [4 + hole] * 4, "the discontinuity has one number in all lists"


def test_three_runs_use_no_name_twice_and_the_journal_is_read_back_each_time(
    tmp_path: Path, store: WatchedFolder
) -> None:
    now = [1000.0]
    store.broken = StoreError("503")
    # Packagers number ahead of time, so the recording's numbers reach those that names have had.
    runs = ((FIRST, FIRST, 3), (FIRST + 20, FIRST + 4, 30), (FIRST + 120, FIRST + 40, 3))
    for first, at, count in runs:
        with process(tmp_path, store, now) as one:
            one.opened("demo", 2)
            calls = made_up(first, count, at=at)
            last = first == runs[-1][0]
            play(one, [*calls, *ending(calls)] if last else calls)
            if last:
                store.mend()
                now[0] += 60
                folder = only(store)
    names = segment_names((folder / "v0" / "index.m3u8").read_text())
    assert len(set(names)) == len(names) == 3 + 1 + 30 + 6 + 3
    kept = [row for row in media(folder, "v0").segments if not row.gap_tag]
    numbers = [first + index for first, _, count in runs for index in range(count)]
    assert [row.uri for row in kept] == [f"{number}.m4s" for number in numbers]
    for row in kept:
        assert (folder / "v0" / row.uri).read_bytes().startswith(f"v0 {row.uri[:-4]} ".encode())


def test_a_broadcast_that_becomes_private_begins_another_recording(
    tmp_path: Path, store: WatchedFolder
) -> None:
    calls = made_up(FIRST, 9)
    with process(tmp_path, store, [1000.0]) as one:
        one.opened("demo", 2)
        play(one, calls[:7])
        one.guard("demo", True)
        play(one, calls[7:13])
        one.guard("demo", False)
        play(one, [*calls[13:], *ending(calls)])
        store.until(lambda: len(store.finished) == 2)
    after, before = (entry.view for entry in store.finished)
    assert (before.private, after.private) == (False, True), "what is private stays so"
    assert (before.duration_s, after.duration_s) == (6.0, 12.0)
    names = [
        segment_names((store.root / "recordings/demo" / one.id / "v0/index.m3u8").read_text())
        for one in (before, after)
    ]
    assert names[0] + names[1] == [f"{FIRST + index}.m4s" for index in range(9)]
