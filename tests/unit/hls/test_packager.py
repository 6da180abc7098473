"""A broadcast in virtual time: a synthetic publisher in, playlists and media out, which FFmpeg (by PyAV) reads."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re

import av
import m3u8
import numpy as np
import pytest

from hls.grid import ERA_MS, tier
from tests.harness.live_source import LiveSource, Unit, read_clock
from tests.harness.shelf import Live, Shown, packets

START_MS = float(ERA_MS + 30_000_000_000)


def live(part_s: float = 0.32, **source: object) -> Live:
    small = {"width": 512, "height": 64, **source}
    return Live(LiveSource(START_MS, **small), tier(part_s))  # type: ignore[arg-type]


def segments(broadcast: Live, rendition: str) -> list[m3u8.Segment]:
    return [
        one for one in m3u8.loads(broadcast.shelf.last(rendition).live).segments if one.duration and one.uri
    ]


def init_of(broadcast: Live, rendition: str, segment: m3u8.Segment) -> bytes:
    return broadcast.shelf.media[rendition, segment.init_section.uri]


def video_stats(broadcast: Live) -> dict[str, int]:
    found = broadcast.packager.stats()["video"]
    assert isinstance(found, dict)
    return found


def check_media(broadcast: Live, rendition: str) -> None:
    """Every segment decodes, times join without a hole, durations sum to EXTINF, and parts make segments."""
    shelf = broadcast.shelf
    expected: int | None = None
    for segment in segments(broadcast, rendition):
        if segment.gap_tag:
            expected = None
            continue
        rate = 48_000 if rendition.startswith("a") else 90_000
        read = packets(init_of(broadcast, rendition, segment), shelf.media[rendition, segment.uri])
        assert expected is None or read[0][0] == expected, "tfdt goes on where the segment before ended"
        for (start, duration, _), (following, _, _) in itertools.pairwise(read):
            assert start + duration == following
        expected = read[-1][0] + read[-1][1]
        assert sum(duration for _, duration, _ in read) / rate == pytest.approx(segment.duration, abs=1e-5)
        if segment.parts:
            parts = [part for part in segment.parts if part.gap != "YES"]
            assert sum(part.duration for part in segment.parts) == pytest.approx(segment.duration, abs=1e-4)
            joined = b"".join(shelf.media[rendition, part.uri] for part in parts)
            assert joined == shelf.media[rendition, segment.uri]


def immutable(shown: list[Shown]) -> None:
    """What was once in the list never changes, and the list only ever grows at its end."""
    known: dict[str, str] = {}
    newest = (0, -1)
    for one in shown:
        assert (one.msn, one.part) >= newest
        newest = (one.msn, one.part)
        for found in re.finditer(r'#EXT-X-PART:[^\n]*URI="([^"]+)"[^\n]*', one.live):
            assert known.setdefault(found[1], found[0]) == found[0]
        for found in re.finditer(r"#EXTINF:([\d.]+),\n(?:#EXT-X-GAP\n)?(\S+)", one.live):
            assert known.setdefault(found[2], found[1]) == found[1]


@pytest.mark.slow
@pytest.mark.parametrize("part_s", [0.2, 0.32, 1.0])
def test_a_broadcast_is_packaged_so_that_every_part_decodes(part_s: float) -> None:
    broadcast = live(part_s)
    broadcast.run(12)
    for rendition in ("v0", "a128", "a64"):
        check_media(broadcast, rendition)
        immutable(broadcast.shelf.of(rendition))
        heads = [
            re.findall(r"PART-TARGET=[\d.]+|TARGETDURATION:\d+", one.live)
            for one in broadcast.shelf.of(rendition)
        ]
        targets = {tuple(head) for head in heads}
        assert len(targets) == 1, "targets never change"
    stats = video_stats(broadcast)
    assert (stats["gap_parts"], stats["hard_cuts"], stats["dropped_pictures"]) == (0, 0, 0)


@pytest.mark.slow
def test_every_segment_begins_with_a_key_frame() -> None:
    broadcast = live()
    broadcast.run(15)
    for segment in segments(broadcast, "v0"):
        if not segment.gap_tag:
            read = packets(init_of(broadcast, "v0", segment), broadcast.shelf.media["v0", segment.uri])
            assert read[0][2], "an IDR first"
    parsed = m3u8.loads(broadcast.shelf.indexes["index.m3u8"])
    assert parsed.is_independent_segments


@pytest.mark.slow
def test_each_part_is_there_within_a_frame_and_a_half_of_its_end() -> None:
    broadcast = live()
    broadcast.run(12)
    for one in broadcast.shelf.of("v0")[30:]:
        parsed = m3u8.loads(one.live)
        part = parsed.segments[-1].parts[-1]
        end_ms = parsed.segments[-1].parts[0].program_date_time
        assert end_ms is not None
        last = sum(p.duration for p in parsed.segments[-1].parts) * 1000 + end_ms.timestamp() * 1000
        if f'"{one.msn}.{one.part}.m4s"' in one.live and part.uri == f"{one.msn}.{one.part}.m4s":
            # 30 ms from capture to packager, 20 ms of tick; the last picture of a part begins 40 ms before its end.
            assert one.at_ms - last <= 60


@pytest.mark.slow
def test_pictures_and_sound_are_within_forty_milliseconds() -> None:
    broadcast = live()
    broadcast.run(9)
    video, audio = segments(broadcast, "v0")[-2], segments(broadcast, "a128")[-2]
    shelf = broadcast.shelf
    with av.open(io.BytesIO(init_of(broadcast, "v0", video) + shelf.media["v0", video.uri])) as container:
        frame = next(container.decode(video=0))
        assert frame.pts is not None
        picture_ms = frame.pts / 90 + ERA_MS
        burnt = read_clock(frame.to_ndarray(format="gray"))
    assert abs((round(picture_ms) & 0xFFFFFFFF) - (burnt or 0)) <= 1, "a picture's time is its capture time"
    with av.open(io.BytesIO(init_of(broadcast, "a128", audio) + shelf.media["a128", audio.uri])) as container:
        frames = list(container.decode(audio=0))
    pcm = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = frames[0].pts
    assert first is not None
    # The source beeps when its clock shows a full second.
    onset = int(np.argmax(np.abs(pcm[2048:]) > 0.15)) + 2048
    beep_ms = (first + onset) / 48 + ERA_MS - START_MS
    assert min(beep_ms % 1000, 1000 - beep_ms % 1000) < 20


def test_the_first_playlist_comes_at_the_end_of_the_first_part() -> None:
    broadcast = live()
    broadcast.run(0.5)
    assert set(broadcast.shelf.indexes) == {"index.m3u8", "plain.m3u8"}
    first = broadcast.shelf.of("v0")[0]
    assert first.at_ms - START_MS <= 400
    parsed = m3u8.loads(first.live)
    assert sum(segment.duration or 0 for segment in parsed.segments) >= 3 * 1.92 - 0.01, "gaps lead in"
    assert first.plain is None


def end_of(one: Shown) -> float:
    """Where a playlist ends, by its parts; Unix seconds."""
    newest = next(segment for segment in reversed(m3u8.loads(one.live).segments) if segment.parts)
    began = newest.parts[0].program_date_time
    assert began is not None
    return began.timestamp() + sum(part.duration for part in newest.parts)


@pytest.mark.slow
@pytest.mark.parametrize("later_ms", [0, 400, 1200])
def test_pictures_do_not_run_away_from_sound_that_comes_later(later_ms: int) -> None:
    broadcast = live(sound_later_ms=later_ms)
    broadcast.run(12)
    sound: float | None = None
    ahead = []
    for one in broadcast.shelf.shown:
        if one.rendition == "a128":
            sound = end_of(one)
        elif one.rendition == "v0" and sound is not None:
            ahead.append(end_of(one) - sound)
    # hls.js begins three parts before the end of the pictures, and never where there is no sound yet.
    assert len(ahead) > 25
    assert max(ahead) < 2.5 * 0.32
    late_ms = max(one.at_ms / 1000 - end_of(one) for one in broadcast.shelf.of("v0")[-10:]) * 1000
    assert late_ms <= 60 + later_ms, "pictures wait for no more than their sound"
    assert video_stats(broadcast)["gap_parts"] == 0
    for rendition in ("v0", "a128", "a64"):
        check_media(broadcast, rendition)


@pytest.mark.slow
def test_sound_that_stops_does_not_hold_pictures_up() -> None:
    broadcast = live()
    broadcast.run(6)
    broadcast.source.audio = False
    broadcast.run(6)
    waits = [b.at_ms - a.at_ms for a, b in itertools.pairwise(broadcast.shelf.of("v0"))]
    assert max(waits) <= 2 * 320
    assert broadcast.now_ms / 1000 - end_of(broadcast.shelf.last("v0")) <= 2 * 0.32
    assert video_stats(broadcast)["gap_parts"] == 0


@pytest.mark.slow
def test_a_stalled_source_becomes_gaps_and_the_playlist_goes_on() -> None:
    broadcast = live()
    broadcast.run(6)
    broadcast.stall(5)
    during = broadcast.shelf.of("v0")
    waits = [b.at_ms - a.at_ms for a, b in itertools.pairwise(during)]
    assert max(waits) <= 3 * 320, "a new part at least every three part targets, stall or not"
    assert "GAP=YES" in during[-1].live
    broadcast.run(6)
    last = m3u8.loads(broadcast.shelf.last("v0").live)
    assert any(segment.gap_tag for segment in last.segments[3:])
    assert not any(segment.discontinuity for segment in last.segments), "the same source, the same timeline"
    assert not last.segments[-2].gap_tag
    check_media(broadcast, "v0")
    check_media(broadcast, "a128")
    immutable(broadcast.shelf.of("v0"))
    span_s = sum(segment.duration or 0 for segment in last.segments[3:])
    assert (
        15.5
        < span_s + sum(part.duration for part in last.segments[-1].parts if not last.segments[-1].duration)
        < 17.2
    )


@pytest.mark.slow
def test_sound_is_silent_but_whole_through_a_stall() -> None:
    broadcast = live()
    broadcast.run(4)
    broadcast.stall(3)
    broadcast.run(4)
    check_media(broadcast, "a128")
    assert not any(segment.gap_tag for segment in segments(broadcast, "a128")[3:])


@pytest.mark.slow
def test_another_resolution_is_one_discontinuity_in_all_renditions() -> None:
    broadcast = live()
    broadcast.run(5)
    broadcast.source = LiveSource(broadcast.now_ms, width=320, height=176)
    broadcast.run(6)
    for rendition in ("v0", "a128", "a64"):
        rows = segments(broadcast, rendition)
        marked = [segment.uri for segment in rows if segment.discontinuity]
        assert len(marked) == 1, rendition
    picture = next(segment for segment in segments(broadcast, "v0") if segment.discontinuity)
    sound = next(segment for segment in segments(broadcast, "a128") if segment.discontinuity)
    assert picture.uri == sound.uri, "at the same number"
    assert picture.init_section.uri != segments(broadcast, "v0")[3].init_section.uri
    check_media(broadcast, "v0")
    assert "RESOLUTION=320x176" in broadcast.shelf.indexes["index.m3u8"]


@pytest.mark.slow
def test_the_same_parameter_sets_again_change_nothing() -> None:
    broadcast = live()
    broadcast.run(4)
    broadcast.source = LiveSource(broadcast.now_ms, width=512, height=64)
    broadcast.run(5)
    assert "#EXT-X-DISCONTINUITY\n" not in broadcast.shelf.last("v0").live
    check_media(broadcast, "v0")


@pytest.mark.slow
def test_lost_pictures_are_left_out_until_a_key_frame() -> None:
    broadcast = live()
    broadcast.run(4)
    units = [
        dataclasses.replace(unit, lost_before=unit.kind == "video")
        for unit in broadcast.source.until(broadcast.now_ms)
    ]
    for unit in units:
        broadcast.packager.push(unit, broadcast.now_ms)
    broadcast.run(4)
    assert video_stats(broadcast)["dropped_pictures"] >= 1
    check_media(broadcast, "v0")


def test_sound_alone_is_a_broadcast() -> None:
    broadcast = live(video=False)
    broadcast.run(8)
    assert "v0/" not in broadcast.shelf.indexes["index.m3u8"]
    assert {segment.duration for segment in segments(broadcast, "a128")} == {1.92}
    check_media(broadcast, "a128")
    check_media(broadcast, "a64")


def test_pictures_alone_are_a_broadcast_and_sound_may_join_later() -> None:
    broadcast = live(audio=False)
    broadcast.run(6)
    assert "AUDIO" not in broadcast.shelf.indexes["index.m3u8"]
    check_media(broadcast, "v0")
    source = LiveSource(broadcast.now_ms, video=False)
    for unit in source.until(broadcast.now_ms + 40):
        broadcast.packager.push(unit, broadcast.now_ms)
    broadcast.run(6)
    assert 'AUDIO="aac-128"' in broadcast.shelf.indexes["index.m3u8"]
    check_media(broadcast, "a128")


@pytest.mark.slow
def test_pictures_that_come_late_lead_from_then_on() -> None:
    broadcast = live(video=False)
    broadcast.run(6)
    before = broadcast.shelf.last("a128").msn
    broadcast.source = LiveSource(broadcast.now_ms, width=512, height=64)
    broadcast.run(6)
    assert "RESOLUTION=512x64" in broadcast.shelf.indexes["index.m3u8"]
    check_media(broadcast, "a128")
    check_media(broadcast, "v0")
    immutable(broadcast.shelf.of("a128"))
    video = {one.uri: one.program_date_time for one in segments(broadcast, "v0") if not one.gap_tag}
    audio = {one.uri: one.program_date_time for one in segments(broadcast, "a128")}
    assert min(video) > f"{before}.m4s"
    for uri, date in video.items():
        assert date is not None and audio[uri] is not None
        assert 0 <= (audio[uri] - date).total_seconds() < 0.022, "the same numbers at the same times"


def test_nothing_follows_the_end() -> None:
    broadcast = live()
    broadcast.run(3)
    broadcast.packager.end()
    count = len(broadcast.shelf.shown)
    broadcast.run(3)
    assert len(broadcast.shelf.shown) == count


@pytest.mark.slow
def test_a_publisher_that_ignores_key_frame_requests_is_packaged_all_the_same() -> None:
    broadcast = live()
    broadcast.deaf = True
    broadcast.run(10)
    assert video_stats(broadcast)["hard_cuts"] > 2
    assert "INDEPENDENT-SEGMENTS" not in broadcast.shelf.indexes["index.m3u8"]
    check_media(broadcast, "v0")


def test_another_codec_is_passed_over_and_garbage_is_counted() -> None:
    broadcast = live()
    broadcast.run(2)
    unit = Unit("video", 0, 90_000, broadcast.now_ms, True, b"\x00", codec="vp8")
    broadcast.packager.push(unit, broadcast.now_ms)
    broadcast.packager.push(dataclasses.replace(unit, codec="h264", data=b"garbage"), broadcast.now_ms)
    broadcast.run(2)
    assert video_stats(broadcast)["broken_units"] == 1
    check_media(broadcast, "v0")


@pytest.mark.slow
def test_media_leaves_some_time_after_its_window() -> None:
    broadcast = Live(LiveSource(START_MS, video=False), tier(0.32), window_s=8)
    broadcast.run(70)
    listed = {segment.uri for segment in segments(broadcast, "a128")}
    names = {name for rendition, name in broadcast.shelf.media if rendition == "a128"}
    assert listed <= names
    whole = sorted(name for name in names if re.fullmatch(r"\d+\.m4s", name))
    kept_s = len(whole) * 1.92
    assert 30 <= kept_s <= 45, "window and half a minute, however long the broadcast"
    assert broadcast.shelf.dropped


@pytest.mark.slow
def test_an_init_section_stays_as_long_as_the_segments_that_need_it() -> None:
    broadcast = Live(LiveSource(START_MS, width=128, height=64, fps=10), tier(0.32), window_s=8)
    broadcast.run(6)
    first = segments(broadcast, "v0")[-1].init_section.uri
    broadcast.source = LiveSource(broadcast.now_ms, width=128, height=32, fps=10)
    broadcast.run(30)
    shelf = broadcast.shelf
    assert first not in shelf.last("v0").live, "no segment of it is listed"
    assert ("v0", first) in shelf.media, "but some can still be fetched"
    broadcast.run(30)
    assert ("v0", first) in shelf.dropped


def test_the_end_is_said_and_nothing_is_hinted() -> None:
    broadcast = live()
    broadcast.run(5)
    broadcast.packager.end()
    for rendition in ("v0", "a128", "a64"):
        last = broadcast.shelf.last(rendition)
        assert last.ended and last.hint is None
        assert last.live.endswith("#EXT-X-ENDLIST\n")
        assert last.plain is not None and last.plain.endswith("#EXT-X-ENDLIST\n")
    check_media(broadcast, "v0")


@pytest.mark.slow
def test_hints_come_true() -> None:
    broadcast = live()
    broadcast.run(10)
    for rendition in ("v0", "a128"):
        hints = {one.hint for one in broadcast.shelf.of(rendition)[:-8]}
        missing = [hint for hint in hints if hint and (rendition, hint) not in broadcast.shelf.media]
        # Where a key frame comes early the part after it is another; a held request is then answered 404 at once.
        assert len(missing) <= 2, missing


def test_a_change_of_mode_is_a_date_range_in_every_rendition() -> None:
    broadcast = live()
    broadcast.run(3)
    broadcast.packager.set_mode("hls", broadcast.now_ms)
    broadcast.run(1)
    assert "DATERANGE" not in broadcast.shelf.last("v0").live, "it was so from the start"
    broadcast.packager.set_mode("webrtc", broadcast.now_ms)
    broadcast.run(1)
    for rendition in ("v0", "a128", "a64"):
        assert 'CLASS="avacast.mode"' in broadcast.shelf.last(rendition).live
        assert 'X-MODE="webrtc"' in broadcast.shelf.last(rendition).live


def test_a_publisher_with_a_wrong_clock_has_our_dates() -> None:
    broadcast = live()
    for unit in LiveSource(START_MS).until(START_MS + 3000):
        now_ms = unit.ntp_ms + 30
        broadcast.shelf.now_ms = now_ms
        broadcast.packager.push(dataclasses.replace(unit, ntp_ms=unit.ntp_ms - 86_400_000), now_ms)
        broadcast.packager.tick(now_ms)
    date = m3u8.loads(broadcast.shelf.last("v0").live).segments[-2].program_date_time
    assert date is not None
    assert abs(date.timestamp() * 1000 - START_MS) < 3000


@pytest.mark.slow
def test_two_packagers_of_one_stream_make_the_same_bytes() -> None:
    def run() -> dict[tuple[str, str], bytes]:
        broadcast = live()
        broadcast.run(8)
        return broadcast.shelf.media

    assert run() == run()
