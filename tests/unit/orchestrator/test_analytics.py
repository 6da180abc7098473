"""Analytics: distributions that add up, tallies that merge, figures and the curve of who is still there."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.analytics.devices import Device, device_of
from orchestrator.analytics.figures import POINTS, Sums, as_csv, step_of
from orchestrator.analytics.ledger import HOUR_S, Entry
from orchestrator.analytics.sketch import Sketch, still_there
from orchestrator.analytics.tally import KINDS, OTHER, Tally, count

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
VALUES = st.lists(st.floats(1, 6e8), min_size=1, max_size=200)


def sketch(values: Iterable[float]) -> Sketch:
    made = Sketch()
    for value in values:
        made.add(value)
    return made


@given(values=VALUES, share=st.floats(0, 1))
def test_a_percentile_is_right_within_four_per_cent(values: list[float], share: float) -> None:
    found = sketch(values).percentile(share)
    ordered = sorted(values)
    exact = ordered[max(0, -int(-share * len(values) // 1) - 1)]
    assert found == pytest.approx(exact, rel=0.0401)


@given(first=VALUES, second=VALUES)
def test_merged_is_as_counted_together(first: list[float], second: list[float]) -> None:
    merged = sketch(first)
    merged.merge(Sketch.decode(json.loads(json.dumps(sketch(second).encode()))))
    assert merged.encode() == sketch(first + second).encode()
    assert len(merged) == len(first) + len(second)


def test_a_sketch_is_small_whatever_comes() -> None:
    assert len(sketch(1.03**n for n in range(900)).encode()) < 270
    assert sketch([0.0, -1.0, 1e300]).percentile(1.0) == pytest.approx(6.048e8, rel=0.05)
    assert Sketch().percentile(0.5) is None


def test_of_those_who_came_the_part_that_stays() -> None:
    left = sketch([10.0] * 5 + [100.0] * 3)
    assert still_there(left, [], [0, 50, 1000]) == pytest.approx([1.0, 3 / 8, 0.0])
    # Two are still there since 1000 s: they count for all of it.
    assert still_there(left, [1000.0] * 2, [0, 50, 1000]) == pytest.approx([1.0, 0.5, 0.2])
    # Two have just come: nobody knows how long they will stay.
    assert still_there(left, [5.0] * 2, [0, 50, 1000]) == pytest.approx([1.0, 3 / 8, 0.0])
    assert still_there(Sketch(), [60.0] * 4, [0, 30, 60]) == [1.0, 1.0, 1.0]


@given(left=VALUES, here=st.lists(st.floats(0, 6e8), max_size=50))
def test_the_curve_only_falls(left: list[float], here: list[float]) -> None:
    curve = still_there(sketch(left), here, [0.5, 10, 1e3, 1e5, 1e9])
    assert curve[0] == 1.0 and all(0 <= b <= a for a, b in pairwise(curve))
    if not here or max(here) < 1:
        assert curve[-1] == pytest.approx(0.0, abs=1e-9)


def test_tallies_merge_and_survive_their_document() -> None:
    one = Tally(seen_s=60, webrtc_s=120, peak=3, joins=2, left_s=7.5)
    one.left.add(7)
    count(one.regions, "eu", 120)
    two = Tally.decode(one.encode())
    assert two == one or two.encode() == one.encode()
    two.peak = 5
    count(two.regions, "us", 1)
    one.merge(two)
    assert (one.seen_s, one.peak, one.joins, len(one.left)) == (120, 5, 4, 2)
    assert one.regions == {"eu": 240, "us": 1}
    assert Tally.decode('{"joins": 3, "of_a_later_version": 1}').joins == 3


def test_kinds_are_bounded() -> None:
    seconds: dict[str, float] = {}
    for n in range(500):
        count(seconds, f"region-{n}", 1.0)
    assert len(seconds) == KINDS + 1 and seconds[OTHER] == 500 - KINDS


def minutes(n: int, *, begin: dt.datetime = NOON, **facts: float) -> list[Entry]:
    return [
        Entry("demo", begin + dt.timedelta(minutes=at), Tally(seen_s=60, live_s=60, **facts))  # type: ignore[arg-type]
        for at in range(n)
    ]


def test_viewers_are_means_over_what_was_looked_at() -> None:
    sums = Sums(300)
    for entry in minutes(10, webrtc_s=60 * 4, hls_s=60 * 6, interactive_s=60, lost_s=2.4):
        sums.add(entry)
    # Another orchestrator counted who reported to it; it does not look, so it changes no mean.
    sums.add(Entry("demo", NOON, Tally(joins=3, watch_s=100, devices={"mobile": 600})))
    told = sums.figures("demo", NOON, NOON + dt.timedelta(minutes=10))
    assert [(one.viewers, one.webrtc, one.hls, one.interactive) for one in told.points] == [(10, 4, 6, 1)] * 2
    assert [one.joins for one in told.points] == [3, 0]
    assert told.points[0].devices == {"mobile": 2.0}
    assert told.points[0].loss_ratio == told.quality.loss_ratio == 0.01
    assert [(one.name, one.share) for one in told.deliveries] == [("hls", 0.6), ("webrtc", 0.4)]


def test_an_answer_without_anything_is_empty_and_whole() -> None:
    told = Sums(60).figures("demo", NOON, NOON)
    assert (told.points, told.still_there, told.peak_at, told.watch.mean_s) == ([], [], None, None)
    assert told.quality.startup_ms.p50 is None and told.quality.latency_ms == {}


def test_points_have_few_regions_whatever_there_are() -> None:
    sums = Sums(60)
    (entry,) = minutes(1)
    for n in range(40):
        count(entry.tally.regions, f"r{n}", 60.0 * (n + 1))
    sums.add(entry)
    told = sums.figures("demo", NOON, NOON)
    assert len(told.points[0].regions) == 9 and told.points[0].regions["r39"] == 40
    assert sum(told.points[0].regions.values()) == pytest.approx(sum(range(41)))
    assert len(told.regions) == 40


def test_steps_are_as_fine_as_they_may_be() -> None:
    def step(hours: float, wanted: int | None = None, ago: float = 0) -> int:
        until = NOON - dt.timedelta(hours=ago)
        return step_of(until - dt.timedelta(hours=hours), until, wanted, NOON)

    assert (step(1), step(5), step(6), step(24)) == (60, 60, 300, 300)
    assert step(1, 90) == 60 and step(1, 120) == 120
    assert step(1, 60, ago=100) == HOUR_S, "minutes of four days ago are hours now"
    assert 400 * 24 * 3600 / step(400 * 24) <= POINTS


def test_the_table_has_a_column_for_each_kind_and_no_formulas() -> None:
    sums = Sums(60)
    (entry,) = minutes(1, webrtc_s=60)
    count(entry.tally.regions, "=cmd()", 60)
    count(entry.tally.devices, "tv", 60)
    sums.add(entry)
    lines = list(csv.DictReader(io.StringIO(as_csv(sums.figures("demo", NOON, NOON)))))
    assert len(lines) == 1
    assert (lines[0]["viewers"], lines[0]["region =cmd()"], lines[0]["device tv"]) == ("1.0", "1.0", "1.0")
    assert not any(name.startswith(("=", "+", "-", "@")) for name in lines[0])


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", Device.DESKTOP),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15", Device.DESKTOP),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Device.DESKTOP),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", Device.MOBILE),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36", Device.MOBILE),
        ("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36", Device.TABLET),
        ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", Device.TABLET),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/94.0 Safari/537.36", Device.TV),
        ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36", Device.TV),
        ("Mozilla/5.0 (Linux; Android 9; AFTMM) AppleWebKit/537.36 Silk/100", Device.TV),
        ("curl/8.5.0", Device.OTHER),
        ("", Device.OTHER),
        ("x" * 100_000 + "iphone", Device.OTHER),
    ],
)  # fmt: skip
def test_the_kind_of_a_device_by_what_its_browser_says(agent: str, device: Device) -> None:
    assert device_of({"User-Agent": agent}) is device
    assert device_of({"User-Agent": agent, "Sec-CH-UA-Mobile": "?1"}) is Device.MOBILE
