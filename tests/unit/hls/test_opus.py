"""Opus passes through: the same packets, without a hole, in step with the pictures."""

from __future__ import annotations

import io
import itertools

import av
import m3u8
import pytest

from hls.check import check
from hls.grid import ERA_MS, tier
from hls.opus import SILENCE, Passage, samples
from tests.harness.hls_recording import recorded
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live

START_MS = float(ERA_MS + 30_000_000_000)


def live(**source: object) -> Live:
    made = LiveSource(START_MS, **{"width": 512, "height": 64, **source})  # type: ignore[arg-type]
    return Live(made, tier(0.32), opus=True)


@pytest.mark.parametrize(
    ("packet", "length"),
    [
        (SILENCE, 960),
        (b"\xf8\xff\xfe", 960),
        (b"\x00", 480),
        (b"\x18", 2880),
        (b"\xe1\x00", 240),
        (b"\x03\x06", 2880),
        (b"\x1b\x03", None),
        (b"\x03", None),
        (b"", None),
    ],
)
def test_a_packet_says_how_long_it_is(packet: bytes, length: int | None) -> None:
    assert samples(packet) == length


def test_what_does_not_come_is_silence_and_no_time_is_told_twice() -> None:
    passage = Passage()
    frames = passage.push(SILENCE, 1_000)
    frames += passage.push(b"\xfc1", 1_960)
    frames += passage.push(b"\xfc2", 1_960 + 5 * 960 + 3)  # four are lost
    frames += passage.push(b"\xfclate", 1_960 + 960)
    frames += passage.push(b"\xfcfar", 10**12)
    frames += passage.fill(1_960 + 20 * 960)
    for (start, _, length), (following, _, _) in itertools.pairwise(frames):
        assert start + length == following
    assert [data for _, data, _ in frames[:7]] == [SILENCE, b"\xfc1", *[SILENCE] * 4, b"\xfc2"]
    assert frames[6][0] == 1_960 + 5 * 960 and frames[6][2] == 963
    assert {data for _, data, _ in frames[7:]} == {SILENCE}
    assert frames[-1][0] + 960 == pytest.approx(1_960 + 20 * 960, abs=480)


def test_a_clock_that_runs_fast_is_followed() -> None:
    passage, at = Passage(), 0.0
    for _ in range(5_000):
        frames = passage.push(b"\xfc", round(at))
        at += 960 * 1.002
    assert frames[0][0] == pytest.approx(at - 960 * 1.002, abs=10)


@pytest.mark.slow
@pytest.mark.parametrize("source", [{}, {"video": False}])
def test_opus_is_a_third_group_in_step_that_decodes(source: dict[str, object]) -> None:
    broadcast = live(**source)
    broadcast.run(6)
    broadcast.stall(1)
    broadcast.run(7)
    index = m3u8.loads(broadcast.shelf.indexes["index.m3u8"])
    last = index.playlists[-1]
    assert last.stream_info.codecs.split(",")[-1] == "opus"
    assert [one.stream_info.codecs.split(",")[-1] for one in index.playlists] == ["mp4a.40.2"] * 2 + ["opus"]
    text = m3u8.loads(broadcast.shelf.last("aopus").live)
    sound = m3u8.loads(broadcast.shelf.last("a128").live)
    assert text.media_sequence == sound.media_sequence
    for mine, other in zip(text.segments[3:-2], sound.segments[3:-2], strict=False):
        assert mine.duration == pytest.approx(other.duration, abs=0.045)
    whole = [one for one in text.segments if one.uri and not one.gap_tag]
    media = broadcast.shelf.media
    data = media["aopus", whole[0].init_section.uri] + b"".join(media["aopus", one.uri] for one in whole)
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
        decoded = sum(frame.samples for frame in container.decode(audio=0))
    assert decoded / 48_000 == pytest.approx(sum(one.duration for one in whole), abs=0.1)
    broadcast.packager.end()
    found = [f"{one.rule.name}: {one.findings[:1]}" for one in check(recorded(broadcast)) if one.broken]
    # The stall itself is late by design, in the pictures.
    assert not [one for one in found if "aopus" in one], found


def test_it_is_not_there_unless_it_is_asked_for() -> None:
    broadcast = Live(LiveSource(START_MS, video=False), tier(0.32))
    broadcast.run(4)
    assert "opus" not in broadcast.shelf.indexes["index.m3u8"]
