"""Broadcasts are recorded into a folder: what is kept, what is a gap, and what survives."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import m3u8
import pytest

from common.store.store import Store, StoreError
from hls.store.recorder import Recorder
from tests.harness.live_source import read_clock
from tests.harness.recording import WatchedFolder, broadcast, ending, made_up, play, segment_names

FIRST = 60_000_000


@contextmanager
def recorder(
    root: Path, store: Store | None, *, bound_bytes: int = 64 << 20, dvr_s: float = 0
) -> Iterator[Recorder]:
    made = Recorder(root, store, bound_bytes=bound_bytes, dvr_s=dvr_s)
    made.start()
    made.opened("demo", 2)
    try:
        yield made
    finally:
        made.close(30)


@pytest.fixture
def store(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path / "store")


def whole(store: WatchedFolder) -> Path:
    """Waits until the one recording is whole; its folder."""
    store.until(lambda: bool(store.finished))
    (entry,) = store.finished
    return store.root / "recordings" / entry.view.broadcast / entry.view.id


def media(folder: Path, rendition: str, name: str = "index.m3u8") -> m3u8.M3U8:
    return m3u8.loads((folder / rendition / name).read_text())


def gaps(playlist: m3u8.M3U8) -> list[bool]:
    return [bool(segment.gap_tag) for segment in playlist.segments]


def decoded(playlist: Path, kind: str) -> tuple[int, float]:
    """Frames that FFmpeg decodes of a stream of a playlist, and the seconds of sound in them."""
    options = {"allowed_extensions": "ALL", "protocol_whitelist": "file"}
    with av.open(str(playlist), options=options) as container:
        (stream,) = (one for one in container.streams if one.type == kind)
        frames = list(container.decode(stream))
        return len(frames), sum(frame.samples for frame in frames if kind == "audio") / 48_000


def test_a_broadcast_becomes_a_recording_that_decodes(tmp_path: Path, store: WatchedFolder) -> None:
    tape = broadcast()
    with recorder(tmp_path / "spool", store) as one:
        play(one, tape.calls)
        folder = whole(store)
    for rendition in ("v0", "a128", "a64", "captions"):
        text = (folder / rendition / "index.m3u8").read_text()
        parsed = m3u8.loads(text)
        assert parsed.playlist_type == "vod" and parsed.is_endlist and parsed.target_duration == 2
        listed = tape.last(rendition).live
        lead_in = listed.index(f"\n{parsed.segments[0].uri}\n")
        live = m3u8.loads(listed).segments[listed[:lead_in].count("#EXTINF") - 1 :]
        for kept, shown in zip(parsed.segments, live, strict=True):
            assert (kept.uri, kept.duration, kept.gap_tag, kept.discontinuity) == (
                shown.uri,
                shown.duration,
                shown.gap_tag,
                shown.discontinuity,
            ), "names, gaps and discontinuities as live"
            assert kept.program_date_time == shown.program_date_time
            if not kept.gap_tag:
                stored = (folder / rendition / kept.uri).read_bytes()
                assert stored == tape.ever[rendition, kept.uri]
    assert any(gaps(media(folder, "v0"))) and not any(gaps(media(folder, "a128"))), "pictures stood still"
    assert decoded(folder / "v0" / "index.m3u8", "video")[0] == pytest.approx(400, abs=4)
    length = sum(segment.duration for segment in media(folder, "a128").segments)
    assert length == pytest.approx(21, abs=0.1)
    assert decoded(folder / "a128" / "index.m3u8", "audio")[1] == pytest.approx(length, abs=0.022), (
        "to a frame"
    )
    index = m3u8.loads((folder / "index.m3u8").read_text())
    assert [one.uri for one in index.playlists] == ["v0/index.m3u8"] * 2
    assert {one.uri for one in index.media} == {"a128/index.m3u8", "a64/index.m3u8", "captions/index.m3u8"}
    [keys] = index.iframe_playlists
    assert keys.uri == "v0/keys.m3u8" and keys.iframe_stream_info.resolution == (512, 64)
    listed_keys, video = media(folder, "v0", "keys.m3u8"), media(folder, "v0")
    assert listed_keys.is_i_frames_only and [one.uri for one in listed_keys.segments] == [
        one.uri for one in video.segments
    ]
    pictures = []
    for segment in listed_keys.segments:
        if segment.gap_tag:
            continue
        length, _, begin = segment.byterange.partition("@")
        whole_segment = (folder / "v0" / segment.uri).read_bytes()
        piece = (folder / "v0" / segment.init_section.uri).read_bytes() + whole_segment[: int(length)]
        assert begin == "0" and int(length) < len(whole_segment)
        with av.open(io.BytesIO(piece), format="mp4") as container:
            [picture] = container.decode(video=0)
        at_ms = round(segment.program_date_time.timestamp() * 1000)
        shown = read_clock(picture.to_ndarray(format="gray"))
        assert picture.key_frame and abs((shown or 0) - (at_ms & 0xFFFFFFFF)) <= 1, (
            "the picture of that moment"
        )
        pictures.append(picture)
    assert len(pictures) == sum(not gap for gap in gaps(video))
    said = [(folder / "captions" / one.uri).read_text() for one in media(folder, "captions").segments]
    assert sum("This is recorded." in text for text in said) in (3, 4)
    (entry,) = store.finished
    assert entry.view.duration_s == pytest.approx(21, abs=0.1)
    assert entry.view.lost_segments == 0, "what the source did not send is no loss"
    assert not list(store.root.rglob(".begun*"))


def test_a_running_broadcast_is_an_event_that_only_grows(tmp_path: Path, store: WatchedFolder) -> None:
    calls = made_up(FIRST, 40)
    with recorder(tmp_path / "spool", store) as one:
        before = ""
        for piece in range(1, len(calls), 16):
            play(one, calls[:1] + calls[piece : piece + 16])
            with one.recording("demo") as recording:
                assert recording is not None
                text = recording.media("v0")
            assert m3u8.loads(text).playlist_type == "event" and not m3u8.loads(text).is_endlist
            assert text.startswith(before) and len(text) > len(before)
            before = text
        assert len(segment_names(before)) == 40, "also what has left the live window"


def test_an_outage_of_the_store_fills_the_spool_and_then_loses_the_oldest(
    tmp_path: Path, store: WatchedFolder
) -> None:
    store.broken = StoreError("503")
    calls = made_up(FIRST, 40)
    with recorder(tmp_path / "spool", store, bound_bytes=100_000) as one:
        play(one, calls)
        (entry,) = one.entries()
        assert entry.view.lost_segments == 80 - 24, "as many as fit are there, beside the init sections"
        used = sum(path.stat().st_size for path in (tmp_path / "spool").rglob("*.m*"))
        assert 90_000 < used <= 100_000
        store.mend()
        play(one, ending(calls))
        folder = whole(store)
        (last,) = store.finished
    assert last.view.lost_segments == entry.view.lost_segments
    for rendition in ("v0", "a128"):
        parsed = media(folder, rendition)
        assert gaps(parsed) == [True] * 28 + [False] * 12, "the oldest are lost, no others"
        for segment in parsed.segments:
            assert (folder / rendition / segment.uri).exists() is not bool(segment.gap_tag)


@pytest.mark.slow
def test_what_was_left_is_put_after_a_restart(tmp_path: Path, store: WatchedFolder) -> None:
    tape = broadcast()
    store.broken = StoreError("503")
    with recorder(tmp_path / "spool", store) as one:
        play(one, tape.calls[: len(tape.calls) // 2])
    assert store.puts == []
    (path,) = (tmp_path / "spool").glob("recordings/demo/*/journal")
    with path.open("ab") as file:
        file.write(b'{"op":"row","rendition":"v0","msn":9')  # killed while it wrote
    victim = min(path.parent.glob("a64/*.m4s"))
    victim.write_bytes(b"\0" * victim.stat().st_size)  # a machine that lost its power
    store.mend()
    now = [1000.0]
    after = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20, clock=lambda: now[0])
    after.start()
    after.flush()
    [waiting] = after.entries()
    assert waiting.view.state == "recording", "its broadcast may come again"
    now[0] += 121
    folder = whole(store)
    after.close(30)
    parsed = media(folder, "v0")
    assert parsed.is_endlist and len(parsed.segments) >= 4
    assert decoded(folder / "v0" / "index.m3u8", "video")[0] >= 4 * 40
    (entry,) = store.finished
    assert entry.view.lost_segments == 1
    assert gaps(media(folder, "a64"))[0] and not any(gaps(media(folder, "a64"))[1:])
    again = {name for name in store.puts if store.puts.count(name) > 1}
    assert not [name for name in again if name.endswith((".m4s", ".mp4"))], "no media is put twice"


def test_nothing_is_left_on_this_machine_of_what_is_stored(tmp_path: Path, store: WatchedFolder) -> None:
    now = [1000.0]
    one = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20, clock=lambda: now[0])
    one.start()
    one.opened("demo", 2)
    calls = made_up(FIRST, 5)
    play(one, [*calls, *ending(calls)])
    folder = whole(store)
    one.flush()
    path = f"{folder.relative_to(store.root)}/v0/init-0.mp4"
    assert one.spooled(path), "players of the running list read its end"
    now[0] += 121
    one.flush()
    assert one.spooled(path) is None and one.entries() == []
    assert [path for path in (tmp_path / "spool").rglob("*") if path.is_file()] == []
    one.close()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, where this machine lets us make one."""
    folder.mkdir()
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a small disk needs root and mount")
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_pauses_the_recording_until_there_is_room(tmp_path: Path, store: WatchedFolder) -> None:
    store.broken = StoreError("503")
    calls = made_up(FIRST, 30)
    with small_disk(tmp_path / "small", "2m") as disk, recorder(disk / "spool", store) as one:
        play(one, calls[:21])
        filler = disk / "filler"
        with filler.open("wb") as file, pytest.raises(OSError) as full:
            while True:
                os.write(file.fileno(), bytes(4096))
        assert full.value.errno == errno.ENOSPC
        play(one, calls[21:41])
        assert one.paused == os.strerror(errno.ENOSPC)
        (entry,) = one.entries()
        assert entry.view.paused == one.paused and entry.view.lost_segments == 20
        filler.unlink()
        play(one, calls[41:])
        assert one.paused is None
        store.mend()
        play(one, ending(calls))
        folder = whole(store)
        journal = next(disk.rglob("journal")).read_text()
    for rendition in ("v0", "a128"):
        assert gaps(media(folder, rendition)) == [False] * 10 + [True] * 10 + [False] * 10
    assert journal.count('"op":"row"') == 60, "what could not be noted was noted later"


def test_a_disk_that_is_full_at_the_begin_is_waited_for(tmp_path: Path, store: WatchedFolder) -> None:
    calls = made_up(FIRST, 20)
    with small_disk(tmp_path / "small", "1m") as disk, recorder(disk / "spool", store) as one:
        filler = disk / "filler"
        with filler.open("wb") as file, pytest.raises(OSError):
            while True:
                os.write(file.fileno(), bytes(4096))
        play(one, calls[:21])
        assert one.paused == os.strerror(errno.ENOSPC)
        filler.unlink()
        play(one, [*calls[21:], *ending(calls)])
        folder = whole(store)
        assert one.paused is None
    assert gaps(media(folder, "v0"))[-10:] == [False] * 10


def test_segments_that_the_recorder_never_saw_are_gaps(tmp_path: Path, store: WatchedFolder) -> None:
    calls = made_up(FIRST, 60, window=5, renditions=("v0",))
    with recorder(tmp_path / "spool", store) as one:
        # Of the first ten only the lists came, of the next thirty nothing.
        play(one, [*calls[:11], *calls[51:], *ending(calls)])
        folder = whole(store)
    parsed = media(folder, "v0")
    numbers = [int(segment.uri.partition(".")[0]) for segment in parsed.segments]
    assert numbers == list(range(FIRST, FIRST + 60)), "so that numbers stay true"
    assert gaps(parsed) == [False] * 10 + [True] * 40 + [False] * 10
    dates = [segment.program_date_time.timestamp() for segment in parsed.segments]
    assert dates == pytest.approx([dates[0] + 2 * index for index in range(60)], abs=0.002)


def test_without_a_store_only_the_list_that_goes_back_is_kept(tmp_path: Path) -> None:
    with recorder(tmp_path / "spool", None, dvr_s=60) as one:
        play(one, made_up(FIRST, 300))
        with one.recording("demo") as recording:
            assert recording is not None
            parsed = m3u8.loads(recording.dvr("v0", 60))
            assert len(recording.tracks["v0"].rows) <= 62
        assert [segment.uri for segment in parsed.segments] == [f"{FIRST + 270 + i}.m4s" for i in range(30)]
        for segment in parsed.segments:
            assert one.spooled(f"{recording.path}/v0/{segment.uri}")
        assert len(list((tmp_path / "spool").rglob("v0/*.m4s"))) <= 62, (
            "disk and memory are bounded by the window"
        )


def test_the_list_that_goes_back_has_true_delta_updates(tmp_path: Path, store: WatchedFolder) -> None:
    calls = made_up(FIRST, 100)
    with recorder(tmp_path / "spool", store, dvr_s=120) as one:
        play(one, calls[:195])
        with one.recording("demo") as recording:
            assert recording is not None
            before = recording.dvr("v0", 120)
        play(one, calls[195:])
        with one.recording("demo") as recording:
            assert recording is not None
            text, delta = recording.dvr("v0", 120), recording.dvr("v0", 120, skip=True)
    full, update = segment_names(text), segment_names(delta)
    assert len(full) == 60 and full[-1] == f"{FIRST + 99}.m4s"
    parsed = m3u8.loads(delta)
    assert parsed.skip.skipped_segments == 60 - len(update)
    assert sum(segment.duration for segment in parsed.segments if segment.uri) >= 12, "the skip boundary"
    assert len(update) == 6
    still = segment_names(before)[segment_names(before).index(full[0]) :]
    assert still[: parsed.skip.skipped_segments] + update == full, (
        "the list before and the update make the list"
    )
    assert "#EXT-X-MAP" in delta and "CAN-SKIP-UNTIL=12.000" in text


@pytest.mark.slow
def test_of_two_broadcasts_a_broken_one_harms_only_itself(tmp_path: Path, store: WatchedFolder) -> None:
    good, bad = made_up(FIRST, 5), made_up(FIRST, 5)
    with recorder(tmp_path / "spool", store) as one:
        one.opened("other", 2)
        for call in bad[:4]:
            if isinstance(call, bytes):
                one.indexed("other", b"\xff\xfe")
            else:
                text = call.live.replace(b".m4s", b"/../../x")
                one.shown(
                    "other", type(call)(call.rendition, call.msn, 0, text, joined=call.joined), leads=True
                )
        play(one, [*good, *ending(good)])
        folder = whole(store)
    assert len(media(folder, "v0").segments) == 5
    assert {path.name for path in store.root.glob("recordings/*")} == {"demo"}
