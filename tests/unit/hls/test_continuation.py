"""A packager dies and its twin goes on in the same playlists: in virtual time, cut at many places."""

from __future__ import annotations

import asyncio
import itertools

import m3u8
import pytest

from hls.captions import Caption
from hls.check.subtitles import read_cues
from hls.grid import ERA_MS, tier
from hls.replica import BEAT, BadFrame, Replica, frame, frames
from hls.standby import Standby
from hls.webvtt import HEADER
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live, Shelf, packets

START = float(ERA_MS + 5_000_000_000)


class Twins:
    """A packager that leads, its twin that reads along, and one source for both."""

    def __init__(self, *, window_s: float = 60, language: str | None = None, **source: object) -> None:
        self.source = LiveSource(START, width=512, height=64, **source)  # type: ignore[arg-type]
        self.live = Live(self.source, tier(0.32), window_s=window_s, language=language)
        self.first = Replica("demo", self.live.shelf)
        # The packager's shelf, told before the edge.
        self.live.packager._shelf = self.first
        self.first.open("demo", part_target_ms=320, target_duration_s=2)
        self.shelf = Shelf(START)
        self.second = Replica("demo", self.shelf)
        self.standby = Standby(self.second, tier(0.32), window_s, self.source.ask_key_frame)
        self.told: list[bytes] = []
        self.end = self.first.read(self.told.append)

    async def hear(self) -> None:
        """The twin takes in what it was told."""
        reader = asyncio.StreamReader()
        for one in self.told:
            reader.feed_data(one)
        self.told.clear()
        reader.feed_eof()
        with pytest.raises(asyncio.IncompleteReadError):
            async for head, blobs in frames(reader):
                self.second.apply(head, blobs)

    def go_on(self, seconds: float, *, blind_s: float = 0.05) -> None:
        """The leader is dead: the twin leads, and is fed from `blind_s` later on."""
        self.end()
        self.standby.lead(self.live.now_ms)
        now = self.live.now_ms
        for _ in self.source.until(now - self.live.delay_ms + blind_s * 1000):
            pass  # what comes before it has heard of the death is lost to it
        end = now + seconds * 1000
        now += blind_s * 1000
        while now < end:
            now += 20
            self.shelf.now_ms = now
            for unit in self.source.until(now - self.live.delay_ms):
                self.standby.push(unit, now)
            self.standby.tick(now)


def check(playlist: str) -> m3u8.M3U8:
    """Rules that every playlist of ours keeps."""
    parsed = m3u8.loads(playlist)
    assert playlist.count("#EXTM3U") == playlist.count("#EXT-X-MEDIA-SEQUENCE:") == 1
    ends = None
    for segment in parsed.segments:
        if not segment.uri:
            continue
        assert segment.duration < 2.5, "rounds to the target duration at most"
        listed = sum(part.duration for part in segment.parts)
        assert not segment.parts or abs(listed - segment.duration) < 0.002
        assert all(part.duration <= 0.3201 for part in segment.parts)
        date = segment.program_date_time.timestamp()
        assert ends is None or abs(date - ends) < 0.003, "dates go on where the segment before ends"
        ends = date + segment.duration
    return parsed


@pytest.mark.slow
@pytest.mark.parametrize("cut_s", [6.0, 6.3, 7.34, 7.7])
async def test_the_twin_goes_on_in_the_same_playlists(cut_s: float) -> None:
    twins = Twins()
    twins.live.run(cut_s)
    await twins.hear()
    assert twins.shelf.media == {
        name: data for name, data in twins.live.shelf.media.items() if name not in twins.live.shelf.dropped
    }, "the same names, the same bytes"
    before = {name: check(twins.shelf.last(name).live) for name in ("v0", "a128", "a64")}
    known = dict(twins.shelf.media)
    shown = len(twins.shelf.shown)
    twins.go_on(7)
    for name, old in before.items():
        row = [one for one in twins.shelf.shown[shown:] if one.rendition == name]
        assert len(row) >= 15
        last_msn, last_part = twins.live.shelf.last(name).msn, twins.live.shelf.last(name).part
        for one in row:
            new = check(one.live)
            assert new.media_sequence == old.media_sequence, "nothing has left the window"
            assert (one.msn, one.part) >= (last_msn, last_part), "numbers only grow"
            last_msn, last_part = one.msn, one.part
            # What was listed as finished before is as it was.
            assert len(new.rendition_reports) == 2
            for was, now in zip(old.segments, new.segments, strict=False):
                if was.uri:
                    assert (was.uri, was.duration, was.gap_tag) == (now.uri, now.duration, now.gap_tag)
            if one.plain:
                plain = check(one.plain)
                listed = [segment for segment in new.segments[3:] if segment.uri]
                assert [segment.uri for segment in plain.segments] == [segment.uri for segment in listed]
                assert plain.media_sequence == new.media_sequence + 3, "without the gaps that lead in"
            if one.delta:
                delta = m3u8.loads(one.delta)
                assert delta.skip.skipped_segments + len(delta.segments) == len(new.segments)
                assert delta.segments[-1].uri == new.segments[-1].uri
        # Every segment that is listed can be had, and decodes.
        final = check(row[-1].live)
        for segment in final.segments:
            if segment.uri and not segment.gap_tag:
                data = twins.shelf.media[name, segment.uri]
                init = twins.shelf.media[name, segment.init_section.uri]
                times = packets(init, data)
                assert times and (name != "v0" or times[0][2]), "a segment of video begins with a key frame"
        assert [s.gap_tag for s in final.segments].count(True) in (4, 5), "the hole, and what one was behind"
    for name, data in known.items():
        assert twins.shelf.media[name] == data, f"{name} was made anew"


@pytest.mark.slow
async def test_a_long_hole_becomes_gap_segments() -> None:
    twins = Twins()
    twins.live.run(6)
    await twins.hear()
    twins.source.skip(9_000)
    twins.go_on(14, blind_s=9)
    final = check(twins.shelf.last("v0").live)
    gaps = [segment for segment in final.segments if segment.gap_tag]
    assert 3 + 5 <= len(gaps) <= 3 + 9
    assert not final.segments[-2].gap_tag


async def test_what_was_before_leaves_the_window_and_then_the_edge() -> None:
    twins = Twins(window_s=8, fps=5, audio=False)
    twins.live.run(10)
    await twins.hear()
    old = {name for _, name in twins.shelf.media if name.endswith(".m4s")}
    twins.go_on(55)
    final = check(twins.shelf.last("v0").live)
    assert sum(segment.duration for segment in final.segments if segment.uri) < 12
    assert final.media_sequence > max(int(name.split(".")[0]) for name in old)
    assert not {name for _, name in twins.shelf.media if name in old}, "nothing is kept for ever"


@pytest.mark.slow
async def test_sound_alone_goes_on_too() -> None:
    twins = Twins(video=False)
    twins.live.run(8)
    await twins.hear()
    twins.go_on(6)
    for name in ("a128", "a64"):
        final = check(twins.shelf.last(name).live)
        assert final.segments[-2].uri and not final.segments[-2].gap_tag


@pytest.mark.slow
async def test_the_list_of_key_frames_goes_on() -> None:
    twins = Twins()
    twins.live.run(8)
    await twins.hear()
    before = m3u8.loads(twins.shelf.indexes["iframes-v0.m3u8"])
    twins.go_on(8)
    keys = m3u8.loads(twins.shelf.indexes["iframes-v0.m3u8"])
    video = check(twins.shelf.last("v0").live)
    assert keys.media_sequence == before.media_sequence
    assert [one.uri for one in keys.segments[: len(before.segments)]] == [one.uri for one in before.segments]
    by_number = {one.uri.split(".")[0]: one for one in video.segments if one.uri}
    for number, segment in enumerate(keys.segments, keys.media_sequence):
        other = by_number[str(number)]
        # The segment that was open has no key frame here, so that its gap lasts longer.
        assert segment.gap_tag or segment.program_date_time == other.program_date_time
        name = segment.uri.removeprefix("v0/")
        assert segment.gap_tag or ("v0", name) in twins.shelf.media
        assert segment.gap_tag or not other.gap_tag
    assert sum(not one.gap_tag for one in keys.segments) > sum(not one.gap_tag for one in before.segments)


@pytest.mark.slow
async def test_subtitles_go_on_with_what_is_being_said() -> None:
    twins = Twins(language="cy")
    twins.live.run(6)
    at_ms = round(twins.live.now_ms)
    said = Caption("A sentence that is heard while the leader dies.", at_ms, at_ms + 6_000)
    twins.live.packager.caption(said, at_ms)
    twins.standby.caption(said, at_ms)
    twins.live.run(1)
    await twins.hear()
    known = dict(twins.shelf.media)
    twins.go_on(8)
    final = check(twins.shelf.last("captions").live)
    video = check(twins.shelf.last("v0").live)
    assert final.media_sequence == video.media_sequence
    numbers = [[one.uri.split(".")[0] for one in playlist.segments if one.uri] for playlist in (final, video)]
    assert numbers[0] == numbers[1]
    whole = [s for s in final.segments if s.uri and not s.gap_tag]
    texts = [twins.shelf.media["captions", s.uri] for s in whole]
    assert all(twins.shelf.media["captions", s.init_section.uri] == HEADER for s in whole)
    holders = [s for s, text in zip(whole, texts, strict=True) if b"leader dies" in text]
    assert any(("captions", s.uri) not in known for s in holders), "the twin goes on with it"
    cues = {cue for text in texts for cue in read_cues(text)}
    assert len(cues) == 1, "the same cue, whoever wrote it"
    assert (
        'TYPE=SUBTITLES,GROUP-ID="captions",NAME="Captions",LANGUAGE="cy"'
        in twins.shelf.indexes["index.m3u8"]
    )
    for name, data in known.items():
        assert twins.shelf.media[name] == data, f"{name} was made anew"


@pytest.mark.slow
async def test_when_the_source_dies_too_gap_parts_come_on_the_clock() -> None:
    """For twelve seconds there is neither a leader nor a picture; then the source is back."""
    twins = Twins()
    twins.live.run(7.3)
    await twins.hear()
    names = ("v0", "a128", "a64")
    before = {name: check(twins.shelf.last(name).live) for name in names}
    known = dict(twins.shelf.media)
    died = len(twins.shelf.shown)
    twins.source.skip(12_000)
    twins.go_on(12)
    for name in names:
        row = [one for one in twins.shelf.shown[died:] if one.rendition == name]
        for one in row:
            new = check(one.live)
            old = [segment for segment in before[name].segments if segment.uri]
            listed = [(s.uri, s.duration, s.gap_tag) for s in new.segments[: len(old)]]
            assert listed == [(s.uri, s.duration, s.gap_tag) for s in old], "what was finished stays"
            assert new.media_sequence == before[name].media_sequence
            assert one.hint and one.hint in one.live and len(new.rendition_reports) == 2
            assert one.plain is None or check(one.plain).segments
        times = [one.at_ms for one in row]
        # The first come at once, the others in time: a reload is held for a part, never until it is given up.
        assert times[0] - twins.live.now_ms <= 1100
        assert max(after - at for at, after in itertools.pairwise(times)) <= 340
        assert len(row) >= 30
        newest = [(one.msn, one.part) for one in row]
        assert newest == sorted(set(newest)), "numbers only grow"
    lists = [check(twins.shelf.last(name).live) for name in names]
    rows = [[(s.uri, s.program_date_time) for s in one.segments if s.uri][-4:] for one in lists]
    assert rows[0] == rows[1] == rows[2], "the same boundaries in all"
    twins.live.now_ms += 12_000
    twins.go_on(6, blind_s=0.1)
    for name in names:
        final = check(twins.shelf.last(name).live)
        whole = [s for s in final.segments if s.uri]
        assert not whole[-1].gap_tag and sum(bool(s.gap_tag) for s in whole) >= 3 + 6
        numbers = [int(s.uri.split(".")[0]) for s in whole]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        for segment in whole:
            assert (name, segment.uri) in twins.shelf.media
    for name, data in known.items():
        assert twins.shelf.media[name] == data, f"{name} was made anew"


async def test_the_end_is_said_when_nobody_makes_pictures_any_more() -> None:
    twins = Twins()
    twins.live.run(6)
    await twins.hear()
    twins.source.skip(5_000)
    twins.go_on(5)
    twins.standby.end()
    for name in ("v0", "a128", "a64"):
        last = twins.shelf.last(name)
        assert last.ended and check(last.live).is_endlist and last.plain and "ENDLIST" in last.plain
        assert "PRELOAD-HINT" not in last.live


async def test_a_vacancy_of_minutes_takes_the_memory_of_its_window() -> None:
    twins = Twins(window_s=10)
    twins.live.run(6)
    await twins.hear()
    twins.source.skip(180_000)
    twins.go_on(90)
    after = len(twins.shelf.media)
    twins.live.now_ms += 90_000
    twins.go_on(80)
    assert len(twins.shelf.media) <= after <= 3 * 60
    final = check(twins.shelf.last("v0").live)
    assert all(segment.gap_tag for segment in final.segments if segment.uri)
    assert sum(segment.duration for segment in final.segments if segment.uri) < 13


@pytest.mark.slow
async def test_a_third_packager_reads_along_with_the_second() -> None:
    twins = Twins()
    twins.live.run(6)
    await twins.hear()
    twins.go_on(5)
    third = Replica("demo", Shelf(START))
    told: list[bytes] = []
    twins.second.read(told.append)
    reader = asyncio.StreamReader()
    reader.feed_data(b"".join([*told, BEAT]))
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        async for head, blobs in frames(reader):
            third.apply(head, blobs)
    assert third.renditions["v0"].media == twins.second.renditions["v0"].media
    assert third.renditions["v0"].newest.live == twins.second.renditions["v0"].newest.live
    assert third.indexes == twins.second.indexes


@pytest.mark.parametrize(
    "wire",
    [
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x04null",
        frame({"op": "put"}),
        frame({"op": "open", "grid": "x"}),
        frame({"op": "put", "rendition": "v0", "msn": "x"}, [b"live"]),
    ],
)
async def test_what_no_packager_sends_is_refused(wire: bytes) -> None:
    replica = Replica("demo", Shelf(START))
    reader = asyncio.StreamReader()
    reader.feed_data(wire)
    reader.feed_eof()
    with pytest.raises(BadFrame):
        async for head, blobs in frames(reader):
            replica.apply(head, blobs)
