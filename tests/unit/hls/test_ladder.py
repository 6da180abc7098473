"""Smaller pictures of a publisher that sends one size."""

from __future__ import annotations

import dataclasses

import av
import m3u8
import numpy as np
import pytest

from hls.grid import ERA_MS, tier
from hls.ladder import Ladder, Rung
from tests.harness.live_source import LiveSource, Unit
from tests.harness.shelf import Live, packets

START_MS = float(ERA_MS + 30_000_000_000)


def pictures(seconds: float, *, width: int = 512, height: int = 128) -> list[Unit]:
    source = LiveSource(START_MS, width=width, height=height, gop=25, audio=False)
    return list(source.until(START_MS + seconds * 1000))


def test_every_picture_comes_in_every_size_with_its_time() -> None:
    ladder = Ladder((64, 32))
    sent = pictures(2)
    got = [rung for unit in sent for rung in ladder.push(unit)]
    for layer, size in ((1, (256, 64)), (2, (128, 32))):
        row = [one for one in got if one.layer == layer]
        assert [(one.time, one.ntp_ms, one.key_frame) for one in row] == [
            (one.time, one.ntp_ms, one.key_frame) for one in sent
        ]
        decoder = av.CodecContext.create("h264", "r")
        frames = [frame for one in row for frame in decoder.decode(av.Packet(one.data))]
        assert {(frame.width, frame.height) for frame in frames} == {size}
        means = [float(frame.to_ndarray(format="gray").mean()) for frame in frames[:20]]
        assert np.ptp(means) > 0, "a moving picture"


def test_it_comes_out_at_once() -> None:
    ladder = Ladder((64,))
    for unit in pictures(1):
        assert [one.time for one in ladder.push(unit)] == [unit.time]


def test_a_size_that_is_not_smaller_is_left_out() -> None:
    ladder = Ladder((720, 128, 64))
    assert {one.layer for unit in pictures(1) for one in ladder.push(unit)} == {3}


def test_another_size_of_the_source_begins_anew_at_its_key_frame() -> None:
    ladder = Ladder((64,))
    before = [one for unit in pictures(1) for one in ladder.push(unit)]
    wide = [dataclasses.replace(unit, time=unit.time + 90_000) for unit in pictures(1, width=640)]
    after = [one for unit in wide for one in ladder.push(unit)]
    assert after[0].key_frame and len(after) == len(wide) and before
    frames = av.CodecContext.create("h264", "r").decode(av.Packet(after[0].data))
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for one in after for frame in decoder.decode(av.Packet(one.data))]
    assert {(frame.width, frame.height) for frame in frames} == {(320, 64)}


def test_after_a_loss_and_after_garbage_it_waits_for_a_key_frame() -> None:
    ladder = Ladder((64,))
    sent = pictures(2.9)
    damaged = dataclasses.replace(sent[10], lost_before=True)
    garbage = dataclasses.replace(sent[25], data=b"\0\0\0\1\x67\xff" * 40)
    got: list[Rung] = []
    for unit in [*sent[:10], damaged, *sent[11:25], garbage, *sent[26:]]:
        got += ladder.push(unit)
    times = [one.time for one in got]
    assert times[:10] == [one.time for one in sent[:10]]
    assert not {one.time for one in sent[10:25]} & set(times), "nothing that would be rubble"
    assert [one.time for one in sent[50:]] == [one for one in times if one >= sent[50].time]


@pytest.mark.slow
def test_one_size_becomes_two_variants_with_the_same_boundaries() -> None:
    broadcast = Live(LiveSource(START_MS, width=512, height=128), tier(0.32))
    ladder = Ladder((64,))
    behind: list[Rung] = []
    push = broadcast.packager.push

    def both(unit: Unit, now_ms: float) -> None:
        push(unit, now_ms)
        if unit.kind == "video":
            behind.extend(ladder.push(unit))
        # three pictures behind: encoding takes its time
        while len(behind) > 3:
            push(behind.pop(0), now_ms)

    broadcast.packager.push = both  # type: ignore[method-assign,assignment]
    broadcast.run(9)
    lists = {name: m3u8.loads(broadcast.shelf.last(name).live) for name in ("v0", "v1")}
    rows = {
        name: {
            one.uri: one.program_date_time
            for one in found.segments
            if one.uri and one.duration and not one.gap_tag
        }
        for name, found in lists.items()
    }
    shared = rows["v0"].keys() & rows["v1"].keys()
    assert len(shared) >= 3
    assert all(rows["v0"][uri] == rows["v1"][uri] for uri in shared)
    for segment in lists["v1"].segments:
        if segment.uri in shared:
            init = broadcast.shelf.media["v1", segment.init_section.uri]
            read = packets(init, broadcast.shelf.media["v1", segment.uri])
            assert read[0][2] and sum(one[1] for one in read) / 90_000 == pytest.approx(
                segment.duration, abs=1e-5
            )
    index = m3u8.loads(broadcast.shelf.indexes["index.m3u8"])
    assert {one.stream_info.resolution for one in index.playlists} == {(512, 128), (256, 64)}
    assert index.is_independent_segments
