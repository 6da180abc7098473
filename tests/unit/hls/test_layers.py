"""Several layers of a publisher become variants with the same numbers, boundaries and discontinuities, whatever one of them does."""

from __future__ import annotations

import dataclasses
import itertools
import random
import re
from collections import defaultdict

import m3u8
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.check import check as check_rules
from hls.grid import ERA_MS, VIDEO_RATE, tier
from hls.layers import ABSENT_MS, Layers
from hls.segmenter import TOLERANCE_MS
from hls.track import Event, SegmentStart
from tests.harness.hls_recording import recorded
from tests.harness.live_source import LiveSource, Unit
from tests.harness.segments import check
from tests.harness.shelf import packets
from tests.harness.simulcast import Simulcast

START_MS = float(ERA_MS + 30_000_000_000)
TWO = [(512, 64), (512, 32)]
VIDEOS = ("v0", "v1")
ALL = ("v0", "v1", "a128", "a64")


def simulcast(**options: object) -> Simulcast:
    return Simulcast(START_MS, tier(0.32), TWO, **options)  # type: ignore[arg-type]


def playlist(broadcast: Simulcast, rendition: str) -> m3u8.M3U8:
    return m3u8.loads(broadcast.shelf.last(rendition).live)


def numbered(broadcast: Simulcast, rendition: str) -> dict[int, m3u8.Segment]:
    """Finished segments by number."""
    found = playlist(broadcast, rendition)
    rows = [one for one in found.segments if one.uri and one.duration]
    return {found.media_sequence + index: one for index, one in enumerate(rows)}


def video(broadcast: Simulcast) -> dict[str, object]:
    found = broadcast.packager.stats()["video"]
    assert isinstance(found, dict)
    return found


def index(broadcast: Simulcast) -> m3u8.M3U8:
    return m3u8.loads(broadcast.shelf.indexes["index.m3u8"])


def folders(broadcast: Simulcast) -> set[str]:
    return {one.uri.split("/")[0] for one in index(broadcast).playlists}


def media(broadcast: Simulcast, rendition: str, *, from_msn: int = 0) -> None:
    """FFmpeg reads every segment; what it reads begins with a key frame, has no hole, and is as long as the list says."""
    for msn, segment in numbered(broadcast, rendition).items():
        if segment.gap_tag or msn < from_msn:
            continue
        init = broadcast.shelf.media[rendition, segment.init_section.uri]
        read = packets(init, broadcast.shelf.media[rendition, segment.uri])
        assert read[0][2], f"{rendition} {msn} begins with a key frame"
        for (start, duration, _), (following, _, _) in itertools.pairwise(read):
            assert start + duration == following
        rate = 48_000 if rendition.startswith("a") else VIDEO_RATE
        whole = not any(part.gap == "YES" for part in segment.parts)
        span_s = sum(duration for _, duration, _ in read) / rate
        if whole and segment.parts:
            assert span_s == pytest.approx(segment.duration, abs=1e-5)
        else:
            assert span_s <= segment.duration + 1e-5


def alike(broadcast: Simulcast, *, within_ms: float = TOLERANCE_MS) -> None:
    """Rule M2: the same numbers at the same times with the same discontinuities in all renditions."""
    dates: dict[int, list[float]] = defaultdict(list)
    marks: dict[int, set[bool]] = defaultdict(set)
    heads = set()
    for rendition in ALL:
        found = playlist(broadcast, rendition)
        heads.add((found.media_sequence, found.discontinuity_sequence, found.target_duration))
        for msn, segment in numbered(broadcast, rendition).items():
            assert segment.program_date_time is not None
            dates[msn].append(segment.program_date_time.timestamp() * 1000)
            marks[msn].add(bool(segment.discontinuity))
    assert len(heads) == 1, heads
    for msn, times in dates.items():
        assert max(times) - min(times) <= within_ms + 1, (msn, times)
        assert len(marks[msn]) == 1, f"a discontinuity at {msn} in all or in none"


@pytest.mark.slow
def test_two_layers_are_two_variants_with_the_same_boundaries() -> None:
    broadcast = simulcast()
    broadcast.run(12)
    alike(broadcast, within_ms=22)
    starts = [
        {msn: one.program_date_time for msn, one in numbered(broadcast, name).items()} for name in VIDEOS
    ]
    assert starts[0] == starts[1], "pictures of one capture begin the segment in both"
    for name in VIDEOS:
        media(broadcast, name)
    stats = video(broadcast)
    assert (stats["hard_cuts"], stats["gap_parts"], stats["dropped_pictures"]) == (0, 0, 0)
    assert broadcast.requests <= 12 / 1.9 + 5, "one request a segment for all layers"


@pytest.mark.slow
def test_the_multivariant_playlist_describes_each_by_measure() -> None:
    broadcast = simulcast()
    broadcast.run(12)
    parsed = index(broadcast)
    assert parsed.is_independent_segments
    assert [one.uri for one in parsed.playlists] == [
        "v0/index.m3u8",
        "v1/index.m3u8",
    ]
    for one in parsed.playlists:
        info = one.stream_info
        name = one.uri.split("/")[0]
        assert info.resolution == TWO[VIDEOS.index(name)]
        assert info.frame_rate == 25
        sizes = [
            len(broadcast.shelf.media[name, segment.uri]) * 8 / segment.duration
            for segment in numbered(broadcast, name).values()
            if not segment.gap_tag
        ][-6:]
        assert info.audio == {"v0": "aac-128", "v1": "aac-64"}[name]
        bitrate = {"aac-128": 128_000, "aac-64": 64_000}[info.audio]
        assert info.bandwidth >= max(sizes) + bitrate, "the peak of both"
        assert info.average_bandwidth <= info.bandwidth
        assert info.codecs.startswith("avc1.") and info.codecs.endswith(",mp4a.40.2")
    before = broadcast.shelf.indexes["index.m3u8"]
    broadcast.run(6)
    assert broadcast.shelf.indexes["index.m3u8"] == before, "a steady stream rewrites nothing"


@pytest.mark.slow
def test_every_rendition_reports_where_all_others_stand() -> None:
    broadcast = simulcast()
    broadcast.run(8)
    for rendition in ALL:
        reported = re.findall(r'RENDITION-REPORT:URI="\.\./(\w+)/index', broadcast.shelf.last(rendition).live)
        assert sorted([*reported, rendition]) == sorted(ALL)


@pytest.mark.slow
@pytest.mark.parametrize("apart_ms", [80, -80])
def test_key_frames_that_are_not_quite_aligned_begin_the_same_segment(apart_ms: int) -> None:
    broadcast = simulcast()
    broadcast.layers[apart_ms > 0].key_delay_ms = abs(apart_ms)
    broadcast.run(16)
    alike(broadcast)
    for name in VIDEOS:
        media(broadcast, name)
    assert video(broadcast)["hard_cuts"] == 0
    last = [max(numbered(broadcast, name)) for name in VIDEOS]
    both = [numbered(broadcast, name)[min(last)].program_date_time for name in VIDEOS]
    assert abs((both[0] - both[1]).total_seconds() * 1000) == pytest.approx(abs(apart_ms), abs=1)


@pytest.mark.slow
def test_key_frames_far_apart_cost_the_promise_of_independence_and_nothing_else() -> None:
    broadcast = simulcast()
    broadcast.layers[1].key_delay_ms = 600
    broadcast.run(9)
    alike(broadcast, within_ms=TOLERANCE_MS + 40)
    assert video(broadcast)["hard_cuts"] != 0
    assert not index(broadcast).is_independent_segments


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [0, 1])
def test_a_layer_that_stops_has_gaps_and_the_others_go_on(stopped: int) -> None:
    broadcast = simulcast()
    broadcast.run(7)
    broadcast.layers[stopped].sending = False
    broadcast.run(5)
    name, other = VIDEOS[stopped], VIDEOS[1 - stopped]
    assert folders(broadcast) == {"v0", "v1"}, "not for a short pause"
    broadcast.run(ABSENT_MS / 1000 - 4)
    assert folders(broadcast) == {other}
    during = numbered(broadcast, name)
    assert during[max(during)].gap_tag
    rest = numbered(broadcast, other)
    assert not any(one.gap_tag for msn, one in rest.items() if msn > min(rest) + 2)
    waits = [b.at_ms - a.at_ms for a, b in itertools.pairwise(broadcast.shelf.of(other))]
    assert max(waits) <= 3 * 320, "the one that goes on is not held up"
    waits = [b.at_ms - a.at_ms for a, b in itertools.pairwise(broadcast.shelf.of(name))]
    assert max(waits) <= 3 * 320, "nor does the list of the other stand still"
    alike(broadcast)
    broadcast.layers[stopped].sending = True
    broadcast.run(5)
    assert folders(broadcast) == {"v0", "v1"}
    assert not numbered(broadcast, name)[max(numbered(broadcast, name))].gap_tag
    alike(broadcast)
    for one in VIDEOS:
        media(broadcast, one)
    assert "#EXT-X-DISCONTINUITY\n" not in broadcast.shelf.last("v0").live
    assert video(broadcast)["changes_of_lead"] == (1 if stopped == 0 else 0)


@pytest.mark.slow
def test_a_pause_costs_the_others_no_key_frames() -> None:
    broadcast = simulcast()
    broadcast.run(4)
    broadcast.layers[1].sending = False
    before = broadcast.requests
    broadcast.run(7)
    assert broadcast.requests - before <= 7 / 1.9 + 2


@pytest.mark.slow
def test_all_layers_stall_and_come_back() -> None:
    broadcast = simulcast()
    broadcast.run(6)
    for layer in broadcast.layers:
        layer.sending = False
    broadcast.run(8)
    assert folders(broadcast) == {"v0", "v1"}, "who comes now waits for either"
    for layer in broadcast.layers:
        layer.sending = True
    broadcast.run(7)
    alike(broadcast)
    for name in VIDEOS:
        media(broadcast, name)
        assert not numbered(broadcast, name)[max(numbered(broadcast, name))].gap_tag


@pytest.mark.slow
@pytest.mark.parametrize("which", [(0,), (1,), (0, 1)])
def test_other_parameter_sets_in_one_layer_are_one_discontinuity_in_all(which: tuple[int, ...]) -> None:
    broadcast = simulcast()
    broadcast.run(6)
    for changed in which:
        broadcast.replace(changed, 512, 96 + 16 * changed)
    broadcast.run(7)
    alike(broadcast, within_ms=TOLERANCE_MS + 40)
    for rendition in ALL:
        marked = [one for one in numbered(broadcast, rendition).values() if one.discontinuity]
        assert len(marked) == 1, rendition
    for name in VIDEOS:
        media(broadcast, name)
    sizes = {one.uri[:2]: one.stream_info.resolution for one in index(broadcast).playlists}
    assert all(sizes[f"v{changed}"] == (512, 96 + 16 * changed) for changed in which)


@pytest.mark.slow
def test_a_layer_that_appears_later_joins_with_the_same_numbers() -> None:
    broadcast = simulcast(window_s=12)
    broadcast.layers[1].sending = False
    broadcast.run(5)
    # a discontinuity before it comes: its numbers must count it
    broadcast.replace(0, 512, 96)
    broadcast.run(4)
    assert folders(broadcast) == {"v0"}
    broadcast.layers[1].sending = True
    broadcast.run(5)
    assert folders(broadcast) == {"v0", "v1"}
    alike(broadcast)
    for name in VIDEOS:
        media(broadcast, name)
    broadcast.run(12)
    assert playlist(broadcast, "v1").discontinuity_sequence == 1
    alike(broadcast)


@pytest.mark.slow
def test_a_layer_of_another_clock_is_put_in_its_place() -> None:
    broadcast = simulcast()
    broadcast.layers[1].ahead = 123_456_789
    broadcast.run(12)
    alike(broadcast)
    newest = max(numbered(broadcast, "v1"))
    assert not numbered(broadcast, "v1")[newest].gap_tag


def _sets(height: int) -> bytes:
    """Parameter sets of a picture of that height, as x264 writes them."""
    unit = next(iter(LiveSource(START_MS, width=512, height=height, audio=False).until(START_MS)))
    end = unit.data.index(b"\0\0\1\x65")
    return unit.data[: end - 1]


SETS = [_sets(64), _sets(32)]


@pytest.mark.slow
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), part_s=st.sampled_from([0.2, 0.32, 1.0]), count=st.integers(2, 3))
def test_no_publisher_breaks_the_grid(seed: int, part_s: float, count: int) -> None:
    """Layers that pause, lose pictures, change, come late, run behind, with key frames of all at about the same time."""
    draw = random.Random(seed)
    grid = tier(part_s)
    layers = Layers(grid, 60, 100)
    seen: dict[str, list[Event]] = defaultdict(list)
    order: list[tuple[float, int, Unit]] = []
    for layer in range(count):
        sets, lag_ms = SETS[layer % 2], draw.uniform(0, 200)
        paused_until, lost = (draw.uniform(0, 6) if draw.random() < 0.3 else 0.0), False
        key_at: float | None = 0.0
        for picture in range(500):
            at_s = picture / 25
            if picture % 48 == 0:
                key_at = at_s + draw.choice([0, 0, 0.04, 0.08, 0.3])
            if draw.random() < 0.004:
                paused_until = at_s + draw.uniform(0.1, 6)
            if at_s < paused_until:
                lost = lost or draw.random() < 0.1
                continue
            if draw.random() < 0.01:
                lost = True
                continue
            key = key_at is not None and at_s >= key_at
            if key:
                key_at = None
                if draw.random() < 0.05:
                    sets = draw.choice(SETS)
            body = (sets + b"\0\0\0\1\x65key") if key else b"\0\0\0\1\x41delta"
            capture_ms = START_MS + at_s * 1000
            unit = Unit("video", round(at_s * VIDEO_RATE), VIDEO_RATE, capture_ms, key, body, layer=layer)
            order.append((capture_ms + lag_ms, layer, dataclasses.replace(unit, lost_before=lost)))
            lost = False
    order.sort(key=lambda one: one[:2])
    now_ms = START_MS
    for arrival_ms, _, unit in order:
        while now_ms < arrival_ms:
            now_ms += 20
            for rendition, events in layers.tick(now_ms):
                seen[rendition.name] += events
        for rendition, events in layers.push(unit, unit.ntp_ms, arrival_ms):
            seen[rendition.name] += events
    for rendition, events in layers.end():
        if events:
            seen[rendition.name] += events
    starts: dict[int, list[SegmentStart]] = defaultdict(list)
    for events in seen.values():
        # Layers that share boundaries may have a short part where a picture is long.
        check(events, grid, VIDEO_RATE, least_part=0)
        for event in events:
            if isinstance(event, SegmentStart):
                starts[event.msn].append(event)
    joined = {
        name: next(one.msn for one in rows if isinstance(one, SegmentStart)) for name, rows in seen.items()
    }
    for msn, rows in starts.items():
        times = [one.start for one in rows]
        assert max(times) - min(times) <= (TOLERANCE_MS + 41) * 90 + grid.part_ticks(VIDEO_RATE), (msn, times)
        marks = {one.discontinuity for one in rows if msn not in joined.values()}
        assert len(marks) <= 1, (msn, rows)


def broken(broadcast: Simulcast) -> dict[str, str]:
    return {one.rule.name: str(one.findings[0]) for one in check_rules(recorded(broadcast)) if one.broken}


@pytest.mark.slow
def test_the_validator_finds_nothing_in_layers_with_their_own_key_frames_and_one_that_comes_late() -> None:
    broadcast = Simulcast(START_MS, tier(0.32), [(512, 64), (512, 32), (256, 32)])
    broadcast.layers[1].key_delay_ms = 80
    broadcast.layers[2].sending = False
    broadcast.run(4)
    broadcast.layers[2].sending = True
    broadcast.run(6)
    assert not broken(broadcast)


@pytest.mark.slow
def test_the_validator_finds_only_the_moment_of_a_stop_and_of_a_change() -> None:
    broadcast = simulcast()
    broadcast.run(5)
    broadcast.layers[0].sending = False
    broadcast.run(4)
    broadcast.layers[0].sending = True
    broadcast.replace(1, 512, 48)
    broadcast.run(5)
    # Before the first gap part its pictures are waited for; a cut that nobody could know of leaves a hint without its part.
    assert broken(broadcast).keys() <= {"parts-come-in-time", "hints-come-true"}


@pytest.mark.slow
@pytest.mark.parametrize("fps", [8, 12, 15, 24])
def test_no_part_is_short_where_layers_share_boundaries(fps: int) -> None:
    broadcast = simulcast()
    for index, (layer, size) in enumerate(zip(broadcast.layers, TWO, strict=True)):
        layer.source = LiveSource(
            START_MS, width=size[0], height=size[1], audio=False, fps=fps, bitrate_bps=200_000, seed=index + 1
        )
    broadcast.run(12)
    for name in ("v0", "v1"):
        for segment in m3u8.loads(broadcast.shelf.last(name).live).segments:
            whole = [part for part in segment.parts if part.gap != "YES"]
            last = 1 if segment.duration else 0
            assert all(0.85 * 0.32 <= part.duration <= 0.32 for part in whole[: len(whole) - last]), name
    stats = broadcast.packager.stats()["video"]
    assert isinstance(stats, dict) and stats["hard_cuts"] == 0, "key frames still meet"
    found = check_rules(recorded(broadcast))
    assert not [(one.rule.name, one.findings[:1]) for one in found if one.broken]


@pytest.mark.slow
def test_the_frame_rate_of_layers_is_the_highest_that_occurs() -> None:
    broadcast = simulcast()
    broadcast.run(4)
    for layer, size in zip(broadcast.layers, TWO, strict=True):
        slow = LiveSource(broadcast.now_ms, width=size[0], height=size[1], audio=False, fps=5)
        layer.source, layer.ahead = slow, round((broadcast.now_ms - START_MS) * 90)
    broadcast.run(6)
    assert "FRAME-RATE=25.000" in broadcast.shelf.indexes["index.m3u8"]
    assert "FRAME-RATE=5.000" not in broadcast.shelf.indexes["index.m3u8"]
