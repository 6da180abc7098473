"""Subtitles of a broadcast in virtual time: in step with the pictures, on their clock, whatever comes to be said."""

from __future__ import annotations

import io
import re

import av
import m3u8
import pytest

from hls.captions import Caption
from hls.check import check
from hls.check.subtitles import CLOCK_S, ReadCue, read_cues, read_header
from hls.grid import ERA_MS, VIDEO_RATE, tier
from hls.webvtt import CLOCK, HEADER, Cue, cue
from tests.harness.hls_recording import recorded
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live

START_MS = float(ERA_MS + 30_000_000_000)


def live(language: str | None = "en", *, start_ms: float = START_MS, **source: object) -> Live:
    made = LiveSource(start_ms, **{"width": 512, "height": 64, **source})  # type: ignore[arg-type]
    return Live(made, tier(0.32), language=language)


def shown(broadcast: Live) -> list[tuple[float, float, str]]:
    """Every cue of every segment once: begin and end in Unix milliseconds, as its timestamp map says."""
    found: dict[tuple[float, float, str], None] = {}
    for (rendition, name), data in broadcast.shelf.media.items():
        if rendition == "captions" and re.fullmatch(r"\d+\.vtt", name):
            for one in read_cues(data):
                start_ms = unix_ms(one, broadcast.now_ms)
                found[start_ms, start_ms + 1000 * (one.end - one.start), one.text] = None
    return sorted(found)


def unix_ms(one: ReadCue, near_ms: float) -> float:
    mapped = read_header(HEADER)
    assert mapped is not None
    media_s = mapped.mpeg_s + one.start - mapped.local_s
    return near_ms + 1000 * ((media_s - (near_ms - ERA_MS) / 1000 + CLOCK_S / 2) % CLOCK_S - CLOCK_S / 2)


def broken(broadcast: Live) -> list[str]:
    return [f"{one.rule.name}: {one.findings[0]}" for one in check(recorded(broadcast)) if one.broken]


@pytest.mark.slow
def test_what_is_said_is_in_the_subtitles_at_the_time_of_its_picture() -> None:
    broadcast = live()
    broadcast.run(3)
    first = broadcast.say("Hello, everyone.", 1.5)
    broadcast.run(5)
    second = broadcast.say("Rain & <b>sun</b>\n\nNOTE x --> y", 3.0)
    broadcast.run(6)
    (one, two) = shown(broadcast)
    assert one[:2] == pytest.approx((first, first + 1500), abs=1)
    assert two[:2] == pytest.approx((second, second + 3000), abs=1)
    assert (one[2], two[2]) == ("Hello, everyone.", "Rain &amp; &lt;b&gt;sun&lt;/b&gt; NOTE x --&gt; y")
    with av.open(
        io.BytesIO(HEADER + b"".join(cue(Cue(0, 90_000, "a < b")) for _ in range(2))), format="webvtt"
    ) as container:
        assert container.streams.subtitles[0].codec_context.name == "webvtt", "FFmpeg takes it for WebVTT"


@pytest.mark.slow
def test_segments_are_those_of_the_pictures_with_cues_repeated_where_they_go_on() -> None:
    broadcast = live()
    broadcast.run(4)
    broadcast.say("A long sentence that lasts for more than two segments.", 5.0)
    broadcast.run(8)
    video, text = (m3u8.loads(broadcast.shelf.last(name).live) for name in ("v0", "captions"))
    numbers = range(text.media_sequence, text.media_sequence + len(text.segments))
    assert text.media_sequence == video.media_sequence
    for mine, other in zip(text.segments[:-1], video.segments[:-1], strict=False):
        assert (mine.duration, mine.program_date_time) == (other.duration, other.program_date_time)
    holders = [
        msn
        for msn in numbers
        if b"long sentence" in broadcast.shelf.media.get(("captions", f"{msn}.vtt"), b"")
    ]
    assert holders == list(range(holders[0], holders[0] + len(holders)))
    assert len(holders) >= 3
    for msn in holders:
        assert broadcast.shelf.media["captions", f"{msn}.vtt"].count(b"long sentence") == 1
    broadcast.packager.end()
    assert not broken(broadcast)
    assert "#EXT-X-ENDLIST" in broadcast.shelf.last("captions").live


def test_a_broadcast_with_an_avatar_offers_subtitles_from_its_first_playlist() -> None:
    broadcast = live()
    broadcast.run(0.6)
    index = broadcast.shelf.index_log[0][1]
    [media] = [one for one in m3u8.loads(index).media if one.type == "SUBTITLES"]
    assert (media.language, media.uri, media.default) == ("en", "captions/index.m3u8", "NO")
    assert all(one.stream_info.subtitles == "captions" for one in m3u8.loads(index).playlists)
    assert 'URI="captions/plain.m3u8"' in broadcast.shelf.indexes["plain.m3u8"]


@pytest.mark.slow
def test_without_captions_there_is_no_word_of_them_and_the_first_one_brings_them() -> None:
    broadcast = live(None)
    broadcast.run(5)
    assert "SUBTITLES" not in broadcast.shelf.indexes["index.m3u8"]
    broadcast.packager.caption(
        Caption("Bonjour", round(broadcast.now_ms), round(broadcast.now_ms + 3000), "fr"), broadcast.now_ms
    )
    broadcast.run(9)
    assert 'LANGUAGE="fr"' in broadcast.shelf.indexes["index.m3u8"]
    assert [one[2] for one in shown(broadcast)] == ["Bonjour"], (
        "said before the rendition began, and repeated in it"
    )
    text, video = (m3u8.loads(broadcast.shelf.last(name).live) for name in ("captions", "v0"))
    assert text.media_sequence == video.media_sequence, "what was before is gaps"
    assert not broken(broadcast)


@pytest.mark.slow
def test_a_broadcast_of_sound_alone_has_subtitles_in_step_with_it() -> None:
    broadcast = live(video=False)
    broadcast.run(6)
    at = broadcast.say("Only heard.", 2.0)
    broadcast.run(8)
    [(start, end, _)] = shown(broadcast)
    assert (start, end) == pytest.approx((at, at + 2000), abs=1)
    assert not broken(broadcast)


@pytest.mark.slow
def test_the_clock_of_33_bits_begins_anew_and_no_cue_is_lost() -> None:
    wrap_ms = ERA_MS + 300 * CLOCK / VIDEO_RATE * 1000
    broadcast = live(start_ms=float(round(wrap_ms) - 6000))
    broadcast.run(5)
    times = []
    for number in range(3):
        times.append(broadcast.say(f"Sentence {number}", 1.9))
        broadcast.run(2)
    broadcast.run(3)
    assert [one[0] for one in shown(broadcast)] == pytest.approx(times, abs=1.5)
    assert not broken(broadcast)


@pytest.mark.slow
def test_times_of_another_clock_count_from_their_arrival() -> None:
    broadcast = live()
    broadcast.run(4)
    at = broadcast.now_ms
    broadcast.packager.caption(Caption("By a stopwatch", 1_000, 3_500), at)
    broadcast.run(5)
    [(start, end, _)] = shown(broadcast)
    assert (start, end) == pytest.approx((at, at + 2500), abs=1)


@pytest.mark.slow
def test_a_publisher_with_a_wrong_clock_has_its_captions_at_its_pictures() -> None:
    broadcast = live()
    ahead_ms = 7_000.0
    until = broadcast.source.until

    def wrong(now_ms: float):  # type: ignore[no-untyped-def]
        for unit in until(now_ms):
            yield type(unit)(
                **{
                    **{f: getattr(unit, f) for f in unit.__dataclass_fields__},
                    "ntp_ms": unit.ntp_ms + ahead_ms,
                }
            )

    broadcast.source.until = wrong  # type: ignore[method-assign]
    broadcast.run(4)
    at = broadcast.now_ms
    said = Caption("Mine", round(at + ahead_ms), round(at + ahead_ms + 2000))
    broadcast.packager.caption(said, at + 30)
    broadcast.run(5)
    [(start, _, _)] = shown(broadcast)
    assert start == pytest.approx(at, abs=60)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "   \n"])
def test_nothing_said_is_nothing_shown(text: str) -> None:
    broadcast = live()
    broadcast.run(3)
    broadcast.packager.caption(
        Caption(text, round(broadcast.now_ms), round(broadcast.now_ms + 1000)), broadcast.now_ms
    )
    broadcast.run(3)
    assert all(one[2].strip() for one in shown(broadcast))


@pytest.mark.slow
def test_a_flood_of_captions_is_bounded() -> None:
    broadcast = live(video=False)
    broadcast.run(3)
    now = round(broadcast.now_ms)
    for number in range(5_000):
        broadcast.packager.caption(Caption("x" * 2000, now + number, now + 10**9), broadcast.now_ms)
    broadcast.run(6)
    sizes = [len(data) for (name, _), data in broadcast.shelf.media.items() if name == "captions"]
    assert max(sizes) < 64 * 2200 * 2
    broadcast.run(40)
    assert shown(broadcast)[-1][1] <= now + 5_000 + 30_000, "no cue is shown for longer than half a minute"
    assert b"-->" not in broadcast.shelf.media["captions", f"{broadcast.shelf.last('captions').msn}.0.vtt"]


@pytest.mark.slow
def test_gaps_of_the_pictures_leave_the_subtitles_whole() -> None:
    broadcast = live()
    broadcast.run(6)
    broadcast.stall(3)
    broadcast.run(5)
    text = broadcast.shelf.last("captions")
    at = text.live.index("#EXTINF", text.live.index("#EXT-X-GAP"))
    assert "GAP=YES" not in text.live[at:]
    problems = [one for one in broken(broadcast) if "captions" in one or "subtitles" in one or "cues" in one]
    assert not problems
