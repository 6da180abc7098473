"""Clocks that jump, drift and lose: the publisher's set by NTP in the middle, ours too, and an hour with loss. All in virtual time."""

from __future__ import annotations

import dataclasses
import itertools
import random
import time

import m3u8
import pytest

from hls.feed import WallTime
from hls.grid import AUDIO_RATE, ERA_MS, VIDEO_RATE, tier
from hls.sync import TrackClock, WallClock
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live

START_MS = float(ERA_MS + 30_000_000_000)
HOUR_MS = 3_600_000.0


@pytest.mark.slow
@pytest.mark.parametrize("step_ms", [HOUR_MS, -2000, 600, -310])
def test_a_publishers_clock_that_is_set_leaves_dates_and_numbers_as_they_are(step_ms: float) -> None:
    """Each track hears of it with its own sender report, half a second apart."""
    broadcast = Live(LiveSource(START_MS, width=512, height=64), tier(0.32))
    heard_ms = {"audio": START_MS + 5000, "video": START_MS + 5500}
    now_ms = START_MS
    for unit in broadcast.source.until(START_MS + 14_000):
        now_ms = unit.ntp_ms + 30
        broadcast.shelf.now_ms = now_ms
        stepped = unit.ntp_ms + (step_ms if unit.ntp_ms >= heard_ms[unit.kind] else 0)
        # No report says just what the one before did.
        stepped += 1 if unit.ntp_ms >= START_MS + 2000 else 0
        broadcast.packager.push(dataclasses.replace(unit, ntp_ms=stepped), now_ms)
        broadcast.packager.tick(now_ms)
    for rendition in ("v0", "a128", "a64"):
        parsed = m3u8.loads(broadcast.shelf.last(rendition).live)
        whole = [one for one in parsed.segments if one.duration and one.uri and not one.gap_tag]
        assert len(whole) >= 6
        assert not any(one.discontinuity for one in whole[1:]), rendition
        for one, following in itertools.pairwise(whole):
            assert one.program_date_time and following.program_date_time
            gone_s = (following.program_date_time - one.program_date_time).total_seconds()
            assert gone_s == pytest.approx(one.duration, abs=0.002), rendition
        last = whole[-1].program_date_time
        assert last is not None
        assert 0 < now_ms / 1000 - last.timestamp() < 5, "dates are of now"


def test_a_layer_that_begins_after_the_clock_was_set_is_put_beside_the_others() -> None:
    wall = WallClock()
    for n in range(100):
        at = START_MS + 40 * n
        assert wall.of("first", at + (HOUR_MS if n >= 50 else 0), 40.0 * n, at + 30) == at
    assert wall.of("second", at + 40 + HOUR_MS, 777.0, at + 70) == at + 40
    assert wall.shift_ms == -HOUR_MS


@pytest.mark.parametrize("step_ms", [400, -400, 900, -900])
def test_lips_stay_together_when_a_clock_is_set_by_less_than_a_second(step_ms: float) -> None:
    """Each track's reports tell of it at another time, and the clock is set back again later."""
    wall = WallClock()
    tracks = {
        "video": (TrackClock(VIDEO_RATE), VIDEO_RATE, 40, 20_000),
        "audio": (TrackClock(AUDIO_RATE), AUDIO_RATE, 20, 24_000),
    }
    worst = 0.0
    for at_ms in range(0, 60_000, 20):
        for name, (clock, rate, every_ms, told_ms) in tracks.items():
            if at_ms % every_ms:
                continue
            set_ms = step_ms if told_ms <= at_ms < told_ms + 20_000 else 0
            jitter_ms = 2 if at_ms // 5000 % 2 else -2
            wall_ms = wall.of(name, START_MS + at_ms + set_ms + jitter_ms, at_ms, START_MS + at_ms + 30)
            placed_ms = clock.map(at_ms * rate // 1000, wall_ms) * 1000 / rate
            worst = max(worst, abs(placed_ms - (START_MS + at_ms - ERA_MS)))
    assert worst < 20, f"{worst:.1f} ms away from when it was captured"
    assert all(clock.steps == 0 for clock, *_ in tracks.values())


def test_a_first_report_may_move_the_line_far() -> None:
    """Until it comes a track is placed by its arrival: that is no clock that was set."""
    wall = WallClock()
    for n in range(200):
        arrived = START_MS + 40 * n + 500
        captured = START_MS + 40 * n
        seen = wall.of("video", arrived if n < 50 else captured, 40.0 * n, arrived)
        assert seen == (arrived if n < 50 else captured)


def test_one_wild_report_and_a_source_that_stood_still_are_no_clock_that_was_set() -> None:
    wall = WallClock()
    for n in range(100):
        at = START_MS + 40 * n
        seen = wall.of("video", at + (HOUR_MS if n == 60 else 0), 40.0 * n, at + 30)
        assert seen == at
    # It froze its media clock for ten seconds: what comes then was captured then.
    later = at + 10_000
    assert wall.of("video", later, 40.0 * 100, later + 30) == later
    assert wall.shift_ms == 0


def test_our_own_clock_may_be_set_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WallTime()
    before, real = clock.now_ms(), time.time
    for step_s in (3600, -3600, 2, -2):
        monkeypatch.setattr(time, "time", lambda step_s=step_s: real() + step_s)
        after = clock.now_ms()
        assert before <= after < before + 60_000
        before = after


def test_an_hour_with_loss_moves_lips_by_less_than_forty_milliseconds() -> None:
    """Crystals that are 60 ppm apart, sender reports every 5 s that jitter by some milliseconds, 2 % of the units lost: where a picture and
    the sound of the same moment land on the timeline, through the whole hour."""
    draw = random.Random(7)
    wall = WallClock()
    tracks = {
        "video": (TrackClock(VIDEO_RATE), VIDEO_RATE, 40.0, 1 + 40e-6),
        "audio": (TrackClock(AUDIO_RATE), AUDIO_RATE, 20.0, 1 - 20e-6),
    }
    placed: dict[str, dict[int, float]] = {"video": {}, "audio": {}}
    for name, (clock, rate, every_ms, crystal) in tracks.items():
        report_ms = error_ms = 0.0
        for n in range(int(HOUR_MS / every_ms)):
            at_ms = n * every_ms
            if at_ms >= report_ms:
                report_ms, error_ms = at_ms + 5000, draw.uniform(-4, 4)
                reported_at = at_ms
            if draw.random() < 0.02:
                continue
            media = round(at_ms * crystal * rate / 1000)
            # A report draws the line at its own moment; units after it are placed by their media time.
            ntp_ms = START_MS + reported_at + (at_ms - reported_at) * crystal + error_ms
            now_ms = START_MS + at_ms + 30 + draw.uniform(0, 15)
            mapped = clock.map(media, wall.corrected(ntp_ms, now_ms))
            if at_ms % 1000 == 0:
                placed[name][int(at_ms)] = mapped * 1000 / rate
        assert clock.steps == 0
    both = placed["video"].keys() & placed["audio"].keys()
    assert len(both) > 3300
    worst = max(abs(placed["video"][at] - placed["audio"][at]) for at in both)
    assert worst < 40, f"{worst:.1f} ms apart"
