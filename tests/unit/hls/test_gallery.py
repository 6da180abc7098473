"""Poster and storyboard of a recording: what they show, at which times, and of what they cannot be made."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from common.store.store import NotStored, StoreError
from hls.store.film import Piece
from hls.store.gallery import MOST_TILES, Gallery, Scene, tiles_of
from hls.store.recorder import Recorder
from tests.harness.live_source import read_clock
from tests.harness.recording import START_MS, WatchedFolder, broadcast, ending, made_up, play


def scenes(count: int, length_s: float = 2.0, *, gaps: range = range(0)) -> list[Scene]:
    return [
        Scene(
            number * length_s,
            (number + 1) * length_s,
            None if number in gaps else Piece(number, f"v0/{number}.m4s", "v0/init-0.mp4"),
        )
        for number in range(count)
    ]


def luma(data: bytes) -> NDArray[np.uint8]:
    with av.open(io.BytesIO(data), format="jpeg_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


@pytest.mark.parametrize(("segments", "every_s"), [(3, 2), (300, 2), (301, 5), (43_200, 300)])
def test_there_is_a_tile_every_so_often_and_never_too_many(segments: int, every_s: float) -> None:
    tiles = tiles_of(scenes(segments))
    assert len(tiles) <= MOST_TILES
    assert tiles[0].start_s == 0 and tiles[-1].end_s == segments * 2
    for one, after in itertools.pairwise(tiles):
        assert one.end_s == after.start_s and one.end_s - one.start_s == pytest.approx(every_s)
        assert one.piece.msn * 2 <= one.start_s < one.piece.msn * 2 + 2


def test_a_gap_shows_what_was_seen_before_it(segments: int = 8) -> None:
    shown = [tile.piece.msn for tile in tiles_of(scenes(segments, gaps=range(3, 6)))]
    assert shown == [0, 1, 2, 2, 2, 2, 6, 7]
    assert [tile.piece.msn for tile in tiles_of(scenes(4, gaps=range(2)))] == [2, 2, 2, 3]
    assert tiles_of(scenes(4, gaps=range(4))) == [] == tiles_of([])


def test_a_recording_has_a_poster_and_a_storyboard_of_its_own_time(tmp_path: Path) -> None:
    store = WatchedFolder(tmp_path / "store")
    one = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20)
    one.start()
    one.opened("demo", 2)
    play(one, broadcast().calls)
    store.until(lambda: bool(store.finished))
    one.close(30)
    (entry,) = store.finished
    assert entry.view.poster and entry.view.storyboard
    folder = (store.root / entry.view.storyboard.lstrip("/")).parent
    poster = luma((store.root / entry.view.poster.lstrip("/")).read_bytes())
    assert poster.shape == (64, 512), "as large as the pictures are"
    assert read_clock(poster) is not None, "and sharp"
    text = (folder / "storyboard.vtt").read_text()
    assert text.startswith("WEBVTT\n\n")
    cues = re.findall(
        r"00:00:(\d\d\.\d{3}) --> 00:00:(\d\d\.\d{3})\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)", text
    )
    assert len(cues) == 11, "21 seconds, one every two"
    sheet = luma((folder / "storyboard-0.jpg").read_bytes())
    seen = []
    for start, _, name, *numbers in cues:
        assert name == "storyboard-0.jpg"
        x, y, width, height = map(int, numbers)
        assert (width, height) == (160, 20)
        tile = sheet[y : y + height, x : x + width]
        large = tile[np.arange(64) * 20 // 64][:, np.arange(512) * 160 // 512]
        at = read_clock(large)
        assert at is not None
        seen.append((float(start), ((at - int(START_MS)) % (1 << 32)) / 1000))
    offset = seen[0][1]
    for start, at in seen:
        behind = start - (at - offset)
        # The source stood still for five seconds; a picture is that of the segment it lies in.
        assert -0.1 <= behind <= (2.1 if not 12 <= start <= 18 else 7.1), seen
    assert [at for _, at in seen] == sorted(at for _, at in seen) and len({at for _, at in seen}) >= 7


def test_what_does_not_decode_has_no_pictures_and_is_finished_without(tmp_path: Path) -> None:
    store = WatchedFolder(tmp_path / "store")
    calls = made_up(60_000_000, 3)
    one = Recorder(tmp_path / "spool", store, bound_bytes=64 << 20, film=False)
    one.start()
    one.opened("demo", 2)
    play(one, [*calls, *ending(calls)])
    store.until(lambda: bool(store.finished))
    one.close(30)
    (entry,) = store.finished
    assert entry.view.poster is None is entry.view.storyboard
    assert not list(store.root.rglob("*.jpg"))


def test_a_segment_that_is_gone_is_bridged_and_a_silent_store_is_asked_again() -> None:
    tape = broadcast()
    init = next(data for (rendition, name), data in tape.ever.items() if rendition == "v0" and "init" in name)
    names = sorted(
        name for rendition, name in tape.ever if rendition == "v0" and re.fullmatch(r"\d+\.m4s", name)
    )
    media = {name: tape.ever["v0", name] for name in names if len(tape.ever["v0", name]) > 1000}
    gone, *there = media
    silent = [True]

    def read(name: str) -> bytes:
        name = name.removeprefix("v0/")
        if name == "init-0.mp4":
            return init
        if silent[0]:
            raise StoreError("503")
        if name == gone:
            raise NotStored(name)
        return media[name]

    pieces = [Piece(int(name[:-4]), f"v0/{name}", "v0/init-0.mp4") for name in media]
    gallery = Gallery(tiles_of([Scene(2.0 * n, 2.0 * n + 2, piece) for n, piece in enumerate(pieces)]), read)
    with pytest.raises(StoreError):
        list(gallery.poster())
    assert not gallery.rest
    silent[0] = False
    (poster,) = gallery.poster()
    assert read_clock(luma(poster)) is not None
    first, second = (luma(gallery.rest["storyboard-0.jpg"])[:20, x : x + 160] for x in (0, 160))
    assert np.abs(first.astype(int) - second).mean() < 3, "the first of those that are there stands in"
    assert there
