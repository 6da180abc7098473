"""Costs: the mix is the cheapest there is (against counting all of them), bills add up, prices are checked, spot prices are read."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.cost.bill import Audience, broadcast, session, user_month, videos
from orchestrator.cost.mix import MOST_HOURS, NoMix, cheapest
from orchestrator.cost.prices import Machine, Traffic, load
from orchestrator.cost.spot import SpotPrices

ASKED = (
    Machine(type="g5.xlarge", streams=12, hour=1.20, start_s=90),
    Machine(type="g5.2xlarge", streams=24, hour=2.40, start_s=90),
    Machine(type="g4dn.2xlarge", streams=8, hour=0.75, start_s=120),
)
PRICES = load()


@pytest.mark.parametrize(
    ("demand", "cost"),
    # By hand: 8 streams for 0.75 is 0.09375 a stream, 12 for 1.20 is 0.1.
    [(0, 0.0), (1, 0.75), (8, 0.75), (9, 1.20), (12, 1.20), (16, 1.50), (20, 1.95), (24, 2.25), (72, 6.75)],
)
def test_the_cheapest_machines_for_one_hour(demand: int, cost: float) -> None:
    found = cheapest([one.model_copy(update={"start_s": 0.0}) for one in ASKED], [demand])
    assert found.exact
    assert found.cost == pytest.approx(cost)


def counted(machines: list[Machine], demand: list[int]) -> float:
    """The least cost by counting: all mixes of each hour, and the cheapest way through the hours."""
    ranges = [range(min(one.most, -(-max(demand) // one.streams)) + 1) for one in machines]
    mixes = list(itertools.product(*ranges))
    costs = {tuple(0 for _ in machines): 0.0}
    for need in demand:
        after: dict[tuple[int, ...], float] = {}
        for mix in mixes:
            if sum(count * one.streams for count, one in zip(mix, machines, strict=True)) < need:
                continue
            running = sum(count * one.hour for count, one in zip(mix, machines, strict=True))
            after[mix] = running + min(
                cost
                + sum(
                    max(0, new - old) * one.hour * one.start_s / 3600
                    for new, old, one in zip(mix, before, machines, strict=True)
                )
                for before, cost in costs.items()
            )
        costs = after
    return min(costs.values())


machines = st.lists(
    st.builds(
        Machine,
        type=st.sampled_from(["a", "b", "c"]),
        streams=st.integers(4, 12),
        hour=st.integers(5, 300).map(lambda cents: cents / 100),
        start_s=st.integers(0, 3600).map(float),
        most=st.just(40),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: one.type,
)


@settings(max_examples=30, deadline=None)
@given(machines, st.lists(st.integers(0, 16), min_size=1, max_size=3))
def test_nothing_is_cheaper_than_the_mix(kinds: list[Machine], demand: list[int]) -> None:
    found = cheapest(kinds, demand)
    assert found.exact
    assert found.cost == pytest.approx(counted(kinds, demand), abs=1e-6)
    for need, parts in zip(demand, found.hours, strict=True):
        assert sum(part.count * part.streams for part in parts) >= need


def test_a_machine_that_is_slow_to_start_is_kept_through_a_gap() -> None:
    slow = Machine(type="slow", streams=10, hour=1.0, start_s=3600, most=10)
    quick = Machine(type="quick", streams=2, hour=0.5, start_s=0, most=10)
    found = cheapest([slow, quick], [10, 2, 10])
    assert [{part.type for part in parts} for parts in found.hours] == [{"slow"}, {"slow"}, {"slow"}]
    assert found.starts_cost == pytest.approx(1.0)


def test_spot_machines_carry_their_share_and_no_more() -> None:
    spot = {"g5.xlarge": 0.4, "g4dn.2xlarge": 0.3}
    half = cheapest(ASKED, [48], spot=spot, spot_share=0.5)
    on_spot = sum(part.count * part.streams for part in half.hours[0] if part.spot)
    assert 0 < on_spot <= 24
    assert half.cost < cheapest(ASKED, [48]).cost
    assert cheapest(ASKED, [48], spot=spot, spot_share=1.0).cost < half.cost
    assert cheapest(ASKED, [48], spot=spot, spot_share=0.0).cost == cheapest(ASKED, [48]).cost


def test_a_day_of_forecast_is_exact() -> None:
    demand = [
        20,
        15,
        10,
        8,
        8,
        10,
        20,
        45,
        80,
        110,
        130,
        140,
        150,
        150,
        140,
        130,
        120,
        110,
        100,
        90,
        80,
        60,
        40,
        30,
    ]
    found = cheapest(ASKED, demand, spot={"g5.xlarge": 0.5}, spot_share=0.5)
    assert found.exact
    assert all(
        sum(part.count * part.streams for part in parts) >= need
        for need, parts in zip(demand, found.hours, strict=True)
    )


@pytest.mark.parametrize(
    ("demand", "share", "told"),
    [
        ([], 0.0, "1 to 48 hours"),
        ([1] * (MOST_HOURS + 1), 0.0, "1 to 48 hours"),
        ([-1], 0.0, "0 to 100,000"),
        ([10**9], 0.0, "0 to 100,000"),
        ([1], 1.5, "spot"),
        ([99_999], 0.0, "do not carry"),
    ],
)
def test_what_cannot_be_solved_is_said(demand: list[int], share: float, told: str) -> None:
    with pytest.raises(NoMix, match=told):
        cheapest(ASKED, demand, spot_share=share)


# bills ----------------------------------------------------------------------------------------------------------------


def test_a_broadcast_is_billed_as_delivery_divides_it() -> None:
    few, some, many = (broadcast(PRICES, 0.1, Audience(listeners)) for listeners in (50, 200, 1000))
    assert (few.webrtc, few.hls, few.cdn, few.compute) == (50, 0, 0.0, 0.0)
    assert few.egress == pytest.approx(50 * 0.72 * 0.09)  # 1.6 Mbit/s for an hour are 0.72 GB
    assert (some.webrtc, some.hls) == (20, 180)
    assert some.cdn == pytest.approx(180 * 0.72 * 0.085 + 2 * 180 * 3600 / 0.32 / 10_000 * 0.01)
    assert (many.webrtc, many.hls, many.compute) == (100, 900, 0.0)
    everybody = broadcast(PRICES, 0.1, Audience(1000, interactive=1.0))
    assert everybody.compute == pytest.approx(7 * PRICES.relay.hour)
    assert everybody.total == pytest.approx(everybody.avatar + everybody.compute + everybody.egress)


@given(st.integers(0, 5000), st.floats(0, 1), st.floats(0.1, 24))
def test_more_listeners_never_cost_less_of_the_same_way(
    listeners: int, interactive: float, hours: float
) -> None:
    less = broadcast(PRICES, 0.1, Audience(listeners, hours, interactive, hls_above=0))
    more = broadcast(PRICES, 0.1, Audience(listeners + 50, hours, interactive, hls_above=0))
    assert more.total >= less.total
    assert more.webrtc + more.hls == listeners + 50


def test_sessions_users_and_films() -> None:
    assert session(PRICES, 0.1, 30) == pytest.approx(0.05 + 0.36 * 0.09)
    assert user_month(PRICES, 0.05, 1.0) == pytest.approx((0.05 + 0.72 * 0.09) * 730 / 24)
    thousand = videos(PRICES, 0.1, 1000, 60, 2.0)
    assert thousand == pytest.approx(1000 * 30 / 3600 * 0.1 + 12 * 0.023 + 12 * 0.09)


def test_traffic_is_paid_by_its_steps() -> None:
    traffic = Traffic(steps=((10, 1.0), (30, 0.5), (-1, 0.1)))
    assert [traffic.cost(gb) for gb in (-5, 0, 5, 10, 20, 30, 130)] == pytest.approx(
        [0, 0, 5, 10, 15, 20, 30]
    )


# prices ---------------------------------------------------------------------------------------------------------------


def test_the_prices_have_a_date_and_their_sources() -> None:
    assert PRICES.date >= dt.date(2026, 1, 1)
    assert all(one.startswith("https://") for one in PRICES.sources)
    assert {one.type for one in PRICES.avatars} == {"g5.xlarge", "g5.2xlarge", "g4dn.2xlarge"}


OURS = (Path(__file__).parents[3] / "orchestrator/data/prices.toml").read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "date"),
        ("date = [", "prices"),
        (OURS.replace("hour = 1.006", "hour = -1"), "avatars.0.hour"),
        (OURS.replace("hour = 1.006", "hour = nan"), "avatars.0.hour"),
        (OURS.replace("streams = 12", "streams = 0"), "avatars.0.streams"),
        (OURS.replace('type = "g5.2xlarge"', 'type = "g5.xlarge"'), "once"),
        (OURS.replace("[10_240, 0.085], [51_200, 0.08]", "[51_200, 0.085], [10_240, 0.08]"), "steps rise"),
        (OURS + "\nmore = 1\n", "storage.more"),
        ("#" * 300_000, "larger"),
    ],
)
def test_a_broken_file_of_prices_is_refused_with_what_is_wrong(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=told) as refusal:
        load(path)
    assert "AVACAST_PRICES" in str(refusal.value)


# spot -----------------------------------------------------------------------------------------------------------------


def row(kind: str, zone: str, price: str, hour: int) -> dict[str, Any]:
    return {
        "InstanceType": kind,
        "AvailabilityZone": zone,
        "SpotPrice": price,
        "ProductDescription": "Linux/UNIX",
        "Timestamp": dt.datetime(2026, 6, 17, hour, tzinfo=dt.UTC),
    }


def test_the_newest_price_of_the_cheapest_zone_stands_for_an_hour() -> None:
    ec2 = boto3.client("ec2", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    asked = {"InstanceTypes": ["g5.xlarge"], "ProductDescriptions": ["Linux/UNIX"], "MaxResults": 1000}
    now = 0.0
    with Stubber(ec2) as recorded:
        first = [row("g5.xlarge", "us-east-1a", "0.30", 8), row("g5.xlarge", "us-east-1a", "0.48", 12)]
        second = [row("g5.xlarge", "us-east-1b", "0.45", 11), row("p5.48xlarge", "us-east-1a", "0.01", 12)]
        recorded.add_response(
            "describe_spot_price_history", {"SpotPriceHistory": first, "NextToken": "more"}, asked
        )
        recorded.add_response(
            "describe_spot_price_history",
            {"SpotPriceHistory": second, "NextToken": ""},
            {**asked, "NextToken": "more"},
        )
        spot = SpotPrices("us-east-1", lambda _: ec2, lambda: now)
        assert spot.of(["g5.xlarge"]) == {"g5.xlarge": 0.45}
        now = 3599.0
        assert spot.of(["g5.xlarge"]) == {"g5.xlarge": 0.45}
        now = 3601.0
        recorded.add_client_error("describe_spot_price_history", "RequestLimitExceeded", "slow down", 503)
        assert spot.of(["g5.xlarge"]) == {"g5.xlarge": 0.45}
        assert "slow down" in str(spot.trouble)
