"""fMP4 as an independent reader (FFmpeg, by PyAV) sees it."""

from __future__ import annotations

import io

import av
import pytest

from hls import fmp4, h264
from hls.aac import Transcoder
from hls.fmp4 import Sample
from hls.grid import ERA_MS, VIDEO_RATE, ticks
from tests.harness.live_source import LiveSource, read_clock
from tests.harness.shelf import packets

START_MS = float(ERA_MS + 28_000_000_000)


def film(frames: int) -> tuple[bytes, list[Sample]]:
    source = LiveSource(START_MS, audio=False, gop=48)
    units = list(source.until(START_MS + (frames - 1) * 40))
    pictures = [h264.picture(unit.data) for unit in units]
    first = pictures[0]
    assert first and first.sps and first.pps
    samples = [Sample(picture.data, 3600, picture.key) for picture in pictures if picture]
    return fmp4.video_init(h264.parameter_sets(first.sps, first.pps)), samples


def test_parts_decode_to_every_picture_at_its_time() -> None:
    init, samples = film(48)
    begin = ticks(START_MS, VIDEO_RATE)
    media = b"".join(
        fmp4.part(index, begin + 8 * index * 3600, samples[8 * index : 8 * index + 8]) for index in range(6)
    )
    with av.open(io.BytesIO(init + media)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None and stream.time_base.denominator == VIDEO_RATE
        frames = list(container.decode(stream))
    assert [frame.pts for frame in frames] == [begin + 3600 * index for index in range(48)]
    clocks = [read_clock(frame.to_ndarray(format="gray")) for frame in frames]
    assert clocks == [round(START_MS + 40 * index) & 0xFFFFFFFF for index in range(48)]


def test_durations_and_key_frames_are_read_back() -> None:
    init, samples = film(50)
    odd = [Sample(one.data, 3600 + index, one.key) for index, one in enumerate(samples)]
    read = packets(init, fmp4.part(1, 1000, odd))
    assert [key for _, _, key in read] == [one.key for one in samples]
    assert [key for _, _, key in read].count(True) == 2
    assert [duration for _, duration, _ in read] == [one.duration for one in odd]
    assert read[0][0] == 1000


def test_a_part_costs_less_than_two_hundred_bytes() -> None:
    _, samples = film(8)
    assert len(fmp4.part(1, 0, samples)) - sum(len(one.data) for one in samples) < 200


@pytest.mark.parametrize("bitrate_bps", [64_000, 128_000])
def test_aac_decodes_from_its_init_section(bitrate_bps: int) -> None:
    source = LiveSource(START_MS, video=False)
    transcoder = Transcoder((bitrate_bps,))
    frames = [
        frame
        for index, unit in enumerate(source.until(START_MS + 2000))
        for frame in transcoder.push(unit.data, 1024 * 10_000 + 960 * index).get(bitrate_bps, [])
    ]
    init = fmp4.audio_init("aac", transcoder.config(bitrate_bps), 2, bitrate_bps)
    media = fmp4.part(1, frames[0][0], [Sample(data, 1024, True) for _, data in frames])
    with av.open(io.BytesIO(init + media)) as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.rate, stream.codec_context.channels) == ("aac", 48_000, 2)
        assert sum(frame.samples for frame in container.decode(stream)) == 1024 * len(frames)


def test_opus_decodes_from_its_init_section() -> None:
    source = LiveSource(START_MS, video=False)
    units = list(source.until(START_MS + 980))
    head = b"\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
    init = fmp4.audio_init("opus", head, 2, 64_000)
    media = fmp4.part(1, 0, [Sample(unit.data, 960, True) for unit in units])
    with av.open(io.BytesIO(init + media)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name in ("opus", "libopus")
        assert sum(frame.samples for frame in container.decode(stream)) >= 960 * 50 - 312
