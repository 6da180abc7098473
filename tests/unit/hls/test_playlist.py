"""Playlists, rule by rule, as the m3u8 library and a strict eye read them. Numbers in names are rows of the requirement table."""

from __future__ import annotations

import re

import m3u8
import pytest

from hls.check.listing import read_listing
from hls.grid import ERA_MS, VIDEO_RATE, tier
from hls.playlist import DateRange, MediaPlaylist, PartLine, Report, Segment
from hls.playlist.multivariant import AudioRendition, Variant, multivariant
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live

GRID = tier(0.32)
SEGMENT = GRID.segment_ticks(VIDEO_RATE)
PART = GRID.part_ticks(VIDEO_RATE)


def filled(count: int, *, window_s: float = 60) -> MediaPlaylist:
    playlist = MediaPlaylist(GRID, VIDEO_RATE, window_s)
    for index in range(count):
        segment = Segment(100 + index, index * SEGMENT, "init-a.mp4", duration=SEGMENT)
        segment.parts = [PartLine(f"{segment.msn}.{n}.m4s", PART, independent=n == 0) for n in range(6)]
        playlist.segments.append(segment)
    return playlist


def open_segment(playlist: MediaPlaylist, parts: int) -> None:
    last = playlist.segments[-1]
    segment = Segment(last.msn + 1, last.start + SEGMENT, last.init_uri)
    segment.parts = [PartLine(f"{segment.msn}.{n}.m4s", PART, independent=n == 0) for n in range(parts)]
    playlist.segments.append(segment)


def test_rule_1_and_2_targets_and_hold_backs_are_there() -> None:
    parsed = m3u8.loads(filled(4).live(None, ()))
    assert parsed.part_inf.part_target == 0.32
    control = parsed.server_control
    assert (control.can_block_reload, control.part_hold_back, control.hold_back) == ("YES", 0.96, 6.0)
    assert control.can_skip_until == 12.0
    assert parsed.target_duration == 2


def test_rule_8_a_delta_and_the_list_before_make_the_full_list() -> None:
    playlist = filled(20)
    full = playlist.live("120.0.m4s", ())
    delta = playlist.delta("120.0.m4s", ())
    assert delta is not None
    found = re.search(r"#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)", delta)
    assert found
    skipped = int(found[1])
    # 12 s before the end must be there: seven segments of 1.92 s, the one that the boundary lies in among them.
    assert skipped == 20 - 7
    assert (
        delta.split("#EXT-X-PROGRAM-DATE-TIME", 1)[1]
        == full.split("#EXT-X-PROGRAM-DATE-TIME", skipped + 1)[-1]
    )
    assert "#EXT-X-MAP" in delta and "#EXT-X-VERSION:9" in delta
    assert "#EXT-X-VERSION:6" in full


def test_rule_8_a_short_list_has_no_delta() -> None:
    assert filled(6).delta(None, ()) is None


def test_rule_9_parts_are_listed_for_three_target_durations_only() -> None:
    playlist = filled(20)
    open_segment(playlist, 2)
    listed = re.findall(r'URI="(\d+)\.\d\.m4s"', playlist.live(None, ()))
    assert sorted(set(listed)) == ["118", "119", "120"]


def test_rule_9_what_belongs_to_a_segment_precedes_its_parts() -> None:
    playlist = filled(2)
    playlist.segments[1].discontinuity = True
    playlist.segments[1].init_uri = "init-b.mp4"
    lines = playlist.live(None, ()).splitlines()
    at = lines.index("#EXT-X-DISCONTINUITY")
    assert lines[at + 1] == '#EXT-X-MAP:URI="init-b.mp4"'
    assert lines[at + 2].startswith("#EXT-X-PROGRAM-DATE-TIME:")
    assert lines[at + 3].startswith("#EXT-X-PART:")


def test_rule_10_one_hint_and_none_at_the_end() -> None:
    playlist = filled(3)
    assert playlist.live("103.0.m4s", ()).count("#EXT-X-PRELOAD-HINT:TYPE=PART") == 1
    playlist.ended = True
    text = playlist.live("103.0.m4s", ())
    assert "#EXT-X-PRELOAD-HINT" not in text
    assert text.endswith("#EXT-X-ENDLIST\n")


def test_rule_11_reports_of_the_other_renditions() -> None:
    text = filled(3).live(None, (Report("../a128/index.m3u8", 102, 4),))
    assert '#EXT-X-RENDITION-REPORT:URI="../a128/index.m3u8",LAST-MSN=102,LAST-PART=4' in text


def test_rule_13_a_segment_keeps_its_discontinuity_number() -> None:
    playlist = filled(34)
    playlist.segments[3].discontinuity = True
    numbers: dict[int, int] = {}
    firsts = set()
    for _ in range(8):
        playlist.expire()
        listing = read_listing(playlist.live(None, ()), "http://packager/v0/index.m3u8")
        firsts.add(listing.segments[0].msn)
        for segment, number in listing.numbered_discontinuities():
            assert numbers.setdefault(segment.msn, number) == number
        last = playlist.segments[-1]
        last = Segment(last.msn + 1, last.start + SEGMENT, last.init_uri, duration=SEGMENT)
        playlist.segments.append(last)
    assert {102, 103, 104} <= firsts, "the one that has the tag was the first of a list, and left"
    assert (numbers[102], numbers[103], numbers[120]) == (0, 1, 1)


def test_rule_20_the_window_slides_and_keeps_three_targets() -> None:
    playlist = filled(40, window_s=60)
    playlist.expire()
    span = sum(segment.duration or 0 for segment in playlist.segments) / VIDEO_RATE
    assert 60 <= span < 62
    small = filled(40, window_s=1)
    small.expire()
    assert sum(segment.duration or 0 for segment in small.segments) / VIDEO_RATE >= 6


def test_the_plain_list_has_no_word_of_parts() -> None:
    playlist = filled(5)
    open_segment(playlist, 3)
    text = playlist.plain()
    assert text is not None
    assert "PART" not in text and "BLOCK" not in text and "SKIP" not in text
    parsed = m3u8.loads(text)
    assert [segment.uri for segment in parsed.segments] == [f"{100 + n}.m4s" for n in range(5)]
    assert parsed.segments[0].current_program_date_time is not None


def test_date_ranges_tell_the_mode_and_leave_with_their_segments() -> None:
    playlist = filled(40)
    playlist.date_ranges = [
        DateRange("mode-1", "avacast.mode", 2 * SEGMENT, (("MODE", "hls"),)),
        DateRange("mode-2", "avacast.mode", 38 * SEGMENT, (("MODE", "webrtc"),)),
    ]
    text = playlist.live(None, ())
    assert (
        '#EXT-X-DATERANGE:ID="mode-2",CLASS="avacast.mode",START-DATE="2026-01-01T00:01:12.960Z",X-MODE="webrtc"'
        in text
    )
    playlist.expire()
    assert [one.id for one in playlist.date_ranges] == ["mode-2"]


VIDEO = Variant("v0", "avc1.42c01e", 900_000, 800_000, 854, 480, 25.0)
AUDIO = [AudioRendition(f"a{n}", f"aac-{n}", f"{n}", "mp4a.40.2", n * 1100, n * 1000) for n in (128, 64)]


def test_rule_16_and_17_each_variant_says_all_that_it_must() -> None:
    text = multivariant([VIDEO], AUDIO, "index.m3u8")
    parsed = m3u8.loads(text)
    assert parsed.is_variant and parsed.is_independent_segments
    first = parsed.playlists[0].stream_info
    assert first.bandwidth == 900_000 + 128 * 1100
    assert first.average_bandwidth == 800_000 + 128_000
    assert (first.codecs, first.resolution, first.frame_rate) == ("avc1.42c01e,mp4a.40.2", (854, 480), 25.0)
    assert [one.stream_info.audio for one in parsed.playlists] == ["aac-128", "aac-64"]
    assert [media.uri for media in parsed.media] == ["a128/index.m3u8", "a64/index.m3u8"]


def test_sound_or_pictures_alone_are_variants_too() -> None:
    audio_only = m3u8.loads(multivariant([], AUDIO, "index.m3u8"))
    assert [one.uri for one in audio_only.playlists] == ["a128/index.m3u8", "a64/index.m3u8"]
    assert audio_only.playlists[0].stream_info.codecs == "mp4a.40.2"
    video_only = m3u8.loads(multivariant([VIDEO], [], "plain.m3u8"))
    assert [one.uri for one in video_only.playlists] == ["v0/plain.m3u8"]
    assert video_only.playlists[0].stream_info.audio is None


@pytest.mark.slow
@pytest.mark.parametrize("part_s", [0.2, 0.32, 1.0])
def test_rule_12_dates_go_on_as_the_durations_say(part_s: float) -> None:
    live = Live(LiveSource(float(ERA_MS + 30_000_000_000), width=512, height=64), tier(part_s))
    live.run(9)
    for rendition in ("v0", "a128"):
        parsed = m3u8.loads(live.shelf.last(rendition).live)
        dates = [segment.program_date_time for segment in parsed.segments if segment.duration]
        for before, after, segment in zip(dates, dates[1:], parsed.segments, strict=False):
            assert abs((after - before).total_seconds() - segment.duration) < 0.002
