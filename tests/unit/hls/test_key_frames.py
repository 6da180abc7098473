"""The playlist of key frames: FFmpeg plays it, and it holds a picture for each segment that begins with one."""

from __future__ import annotations

import re
from pathlib import Path

import av
import m3u8
import numpy as np
import pytest

from hls.check import check
from hls.grid import ERA_MS, tier
from tests.harness.hls_recording import recorded
from tests.harness.live_source import LiveSource, read_clock
from tests.harness.shelf import Live

START_MS = float(ERA_MS + 30_000_000_000)
LIST = "iframes-v0.m3u8"


def live(**source: object) -> Live:
    made = LiveSource(START_MS, **{"width": 512, "height": 64, **source})  # type: ignore[arg-type]
    return Live(made, tier(0.32), window_s=30)


def laid_out(broadcast: Live, folder: Path) -> Path:
    """The broadcast as files, as a web server would give them."""
    for (rendition, name), data in broadcast.shelf.media.items():
        (folder / rendition).mkdir(exist_ok=True)
        (folder / rendition / name).write_bytes(data)
    for name, text in broadcast.shelf.indexes.items():
        (folder / name).write_text(text)
    return folder / LIST


@pytest.mark.slow
def test_the_key_frames_alone_are_a_playlist_that_plays(tmp_path: Path) -> None:
    broadcast = live()
    broadcast.run(14)
    broadcast.packager.end()
    index = broadcast.shelf.indexes["index.m3u8"]
    [described] = m3u8.loads(index).iframe_playlists
    assert described.uri == LIST
    assert described.iframe_stream_info.resolution == (512, 64)
    keys, video = m3u8.loads(broadcast.shelf.indexes[LIST]), m3u8.loads(broadcast.shelf.last("v0").live)
    assert keys.is_i_frames_only and keys.is_endlist
    numbers = [segment.uri.split(".")[0] for segment in video.segments if not segment.gap_tag]
    assert [f"v0/{number}.i.m4s" for number in numbers] == [segment.uri for segment in keys.segments]
    with av.open(
        str(laid_out(broadcast, tmp_path)), format="hls", options={"allowed_extensions": "ALL"}
    ) as file:
        pictures = list(file.decode(video=0))
    assert len(pictures) == len(numbers)
    for picture, segment in zip(pictures, keys.segments, strict=True):
        assert picture.key_frame
        at_ms = round(segment.program_date_time.timestamp() * 1000)
        shown = read_clock(np.asarray(picture.to_ndarray(format="gray")))
        assert abs((shown or 0) - (at_ms & 0xFFFFFFFF)) <= 1, "the picture of that moment"
    assert not [one.rule.name for one in check(recorded(broadcast)) if one.broken]


@pytest.mark.slow
def test_a_segment_without_a_key_frame_is_a_gap_in_the_list_of_key_frames() -> None:
    broadcast = live()
    broadcast.run(6)
    broadcast.deaf = True
    broadcast.run(6)
    broadcast.deaf = False
    broadcast.run(6)
    keys = m3u8.loads(broadcast.shelf.indexes[LIST])
    video = m3u8.loads(broadcast.shelf.last("v0").live)
    gaps = [segment.uri for segment in keys.segments if segment.gap_tag]
    assert len(gaps) >= 2
    assert all(("v0", uri.removeprefix("v0/")) not in broadcast.shelf.media for uri in gaps)
    # The numbers stay those of the variant.
    newest = [segment.uri for segment in video.segments if segment.duration][-1]
    assert keys.segments[-1].uri == f"v0/{newest.replace('.m4s', '.i.m4s')}"


def test_key_frames_leave_with_their_segments() -> None:
    broadcast = live(audio=False, fps=5)
    broadcast.run(80)
    listed = set(re.findall(r"^v0/(\S+)$", broadcast.shelf.indexes[LIST], re.MULTILINE))
    kept = {name for _, name in broadcast.shelf.media if ".i." in name}
    assert listed < kept
    assert len(kept) < 36, "window and grace, no more"
