"""Wanted capacity in virtual time: triggers, cool-downs, the forecast, whole days, and what Auto Scaling groups are told."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from common.directory import NodeReport, Role, StreamReport
from orchestrator.nodes import Nodes
from orchestrator.scaling.autoscaler import LOOK_S, Autoscaler
from orchestrator.scaling.forecast import STEP_S, Forecast
from orchestrator.scaling.groups import Groups, GroupsDown
from orchestrator.scaling.pools import Bounds, PoolName, Reading, parse_pool, read
from orchestrator.scaling.rules import Decision, Held, Memory, Rules, Trigger, decide
from orchestrator.simulation.demand import Day, compare, play

RELAYS = PoolName(Role.RELAY, "eu-west-1")
TEN = Reading(nodes=10, places=1000, used=500, cpu_ratio=0.5, memory_ratio=0.5)


class Story:
    """One pool of nodes with 100 places, decision after decision."""

    def __init__(self, bounds: Bounds = Bounds(1, 50)) -> None:  # noqa: B008 - frozen
        self.bounds, self.memory, self.rules, self.now = bounds, Memory(), Rules(), 1000.0

    def decide(self, reading: Reading, expected: float = 0.0, *, after_s: float = 15.0) -> Decision:
        self.now += after_s
        return decide(reading, expected, 100.0, self.bounds, self.rules, self.memory, self.now)


@pytest.mark.parametrize(
    ("reading", "expected", "wanted", "trigger"),
    [
        (TEN, 0.0, 10, None),
        (replace(TEN, used=820), 0.0, 11, Trigger.PLACES),
        (TEN, 1000.0, 13, Trigger.FORECAST),
        (replace(TEN, cpu_ratio=0.9), 0.0, 13, Trigger.CPU),
        (replace(TEN, cpu_ratio=0.72), 0.0, 10, Trigger.CPU),
        (replace(TEN, memory_ratio=0.95), 0.0, 12, Trigger.MEMORY),
        (replace(TEN, gpu_memory_ratio=0.96), 0.0, 12, Trigger.GPU_MEMORY),
    ],
)
def test_the_trigger_that_asks_for_most_decides(
    reading: Reading, expected: float, wanted: int, trigger: Trigger | None
) -> None:
    decision = Story().decide(reading, expected)
    assert decision.wanted == wanted
    if trigger is not None:
        assert decision.trigger is trigger
        assert decision.asked[trigger] == max(decision.asked.values())


def test_a_dip_of_less_than_five_minutes_takes_nothing_away() -> None:
    story = Story()
    assert story.decide(replace(TEN, used=800)).wanted == 10
    for _ in range(18):
        decision = story.decide(replace(TEN, used=100, cpu_ratio=0.1, memory_ratio=0.1))
        assert (decision.wanted, decision.held) == (10, Held.DOWN_COOL_DOWN)
    assert story.decide(replace(TEN, used=800)).wanted == 10
    for _ in range(19):
        assert story.decide(replace(TEN, used=100, cpu_ratio=0.1, memory_ratio=0.1)).wanted == 10
    assert story.decide(replace(TEN, used=100, cpu_ratio=0.1, memory_ratio=0.1)).wanted == 2


def test_after_a_rise_it_rests_but_a_flash_crowd_is_let_through() -> None:
    story = Story()
    story.decide(replace(TEN, used=800))
    assert story.decide(replace(TEN, used=900), after_s=400).wanted == 12
    resting = story.decide(replace(TEN, used=990), after_s=15)
    assert (resting.wanted, resting.held) == (12, Held.UP_COOL_DOWN)
    assert story.decide(replace(TEN, used=990), after_s=60).wanted == 13
    assert story.decide(TEN, 4000.0, after_s=15).wanted == 50


def test_the_bounds_hold_and_say_so() -> None:
    story = Story(Bounds(3, 12))
    least = story.decide(Reading())
    assert (least.wanted, least.trigger) == (3, Trigger.LEAST)
    most = story.decide(replace(TEN, used=5000))
    assert (most.wanted, most.held) == (12, Held.MOST)


def test_an_orchestrator_that_starts_takes_nothing_away_at_first() -> None:
    story = Story()
    assert story.decide(replace(TEN, used=10, cpu_ratio=0.0, memory_ratio=0.1)).wanted == 10


readings = st.builds(
    Reading,
    nodes=st.integers(0, 30),
    draining=st.integers(0, 3),
    places=st.integers(0, 3000),
    used=st.integers(0, 4000),
    cpu_ratio=st.floats(0, 1),
    memory_ratio=st.floats(0, 1),
    gpu_memory_ratio=st.one_of(st.none(), st.floats(0, 1)),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(readings, st.floats(0, 1e5), st.floats(1, 400)), min_size=1, max_size=60),
    st.integers(1, 5),
    st.integers(5, 40),
)
def test_whatever_is_read_the_bounds_and_the_cool_down_hold(
    looks: list[tuple[Reading, float, float]], least: int, most: int
) -> None:
    story = Story(Bounds(least, most))
    wants: list[tuple[float, int, int]] = []
    for reading, expected, after_s in looks:
        decision = story.decide(reading, expected, after_s=after_s)
        assert least <= decision.wanted <= most
        asked = min(most, max(least, *decision.asked.values()))
        wants.append((story.now, decision.wanted, asked))
        covered = [one for at, _, one in wants if at > story.now - story.rules.down_s]
        assert decision.wanted >= min(max(covered[:-1] or [0]), wants[-2][1] if len(wants) > 1 else most) or (
            decision.wanted >= asked
        )
        if decision.held is None:
            assert decision.wanted == asked


# forecast -------------------------------------------------------------------------------------------------------------


def fed(values: list[float]) -> Forecast:
    forecast = Forecast()
    for minute, value in enumerate(values):
        forecast.observe(minute * STEP_S, value)
        forecast.observe(minute * STEP_S + 30, value * 0.9)  # a minute counts by its highest
    return forecast


def test_a_calm_audience_is_expected_to_stay() -> None:
    assert fed([200.0] * 60).ahead() == pytest.approx(200.0)


def test_a_ramp_is_seen_ahead_and_not_drawn_on_to_the_sky() -> None:
    ramp = fed([100.0 + 20 * minute for minute in range(30)])
    last = 100 + 20 * 28
    assert last + 40 < ramp.ahead() < last + 200
    assert ramp.ahead(1000) < last + 400


def test_an_audience_that_jumps_gets_more_room_than_a_calm_one() -> None:
    jumps = fed([200.0 + (150.0 if minute % 30 > 25 else 0.0) for minute in range(240)])
    calm = fed([200.0] * 240)
    assert jumps.ahead() > calm.ahead() + 20


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e7), st.one_of(st.floats(allow_nan=True), st.floats(0, 1e5))), max_size=60
    )
)
def test_a_forecast_is_a_number_of_viewers_whatever_it_is_fed(values: list[tuple[float, float]]) -> None:
    forecast = Forecast()
    for now, value in sorted(values, key=lambda one: one[0]):
        forecast.observe(now, min(value, 1e9) if value == value else value)
        assert 0 <= forecast.ahead() < math.inf
    assert len(forecast.values) <= 360


# pools ----------------------------------------------------------------------------------------------------------------


def report(name: str, role: Role = Role.RELAY, *, viewers: int = 0, **facts: object) -> NodeReport:
    streams = [StreamReport(stream="demo", live=True, subscribers_passive=viewers)]
    return NodeReport(
        id=name,
        role=role,
        region="eu-west-1",
        url=f"http://{name}:1",
        epoch=1,
        **{"streams": streams, **facts},
    )


def test_a_pool_is_what_its_nodes_report_and_a_draining_one_is_gone_but_not_its_viewers() -> None:
    nodes = Nodes()
    nodes.heartbeat(report("a", viewers=60, capacity=100, cpu_ratio=0.4, memory_ratio=0.2), 0.0)
    nodes.heartbeat(report("b", viewers=30, capacity=100, cpu_ratio=0.8, memory_ratio=0.4), 0.0)
    nodes.heartbeat(report("c", viewers=10, capacity=100, draining=True), 0.0)
    nodes.heartbeat(report("o", Role.ORIGIN, viewers=500, avatars_free=3, gpu_memory_ratio=0.5), 0.0)
    other = PoolName(Role.RELAY, "us-east-1")
    found = read(nodes, {other: Bounds(2, 20)})
    relays = found[RELAYS]
    assert (relays.nodes, relays.draining, relays.places, relays.used) == (2, 1, 200, 100)
    assert relays.cpu_ratio == pytest.approx(0.6)
    assert relays.memory_ratio == pytest.approx(0.3)
    origins = found[PoolName(Role.ORIGIN, "eu-west-1")]
    assert (origins.used, origins.places, origins.gpu_memory_ratio) == (1, 4, 0.5)
    assert found[other] == Reading()


def test_pools_are_written_with_their_bounds_and_group() -> None:
    assert parse_pool("relay/eu-west-1=1-15") == (RELAYS, Bounds(1, 15))
    assert parse_pool("relay/eu-west-1=0-15@my/relays") == (RELAYS, Bounds(0, 15, "my/relays"))
    for bad in (
        "",
        "relay",
        "relay/eu=5",
        "relay/eu=5-3",
        "relay/eu=0-0",
        "cat/eu=1-2",
        "relay/eu=1-2@",
        "relay/e u=1-2",
    ):
        with pytest.raises(ValueError, match="relay/eu-west-1=2-20@relays"):
            parse_pool(bad)


def test_regions_that_are_made_up_are_bounded_and_pools_without_nodes_forgotten() -> None:
    scaler, nodes = Autoscaler({RELAYS: Bounds(1, 15)}), Nodes()
    for index in range(400):
        nodes.heartbeat(report(f"n{index}").model_copy(update={"region": f"made-up-{index}"}), 0.0)
    scaler.look(nodes, 0.0)
    assert len(scaler.pools) <= 257
    assert RELAYS in scaler.pools
    for hour in range(8):
        scaler.look([], 3600.0 * hour)
    assert set(scaler.pools) == {RELAYS}


# groups ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        ec2 = boto3.client("ec2", region_name="eu-west-1")
        subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
        client = boto3.client("autoscaling", region_name="eu-west-1")
        client.create_launch_configuration(
            LaunchConfigurationName="relay", ImageId="ami-12c6146b", InstanceType="t3.medium"
        )
        client.create_auto_scaling_group(
            AutoScalingGroupName="relays",
            LaunchConfigurationName="relay",
            MinSize=1,
            MaxSize=6,
            DesiredCapacity=1,
            VPCZoneIdentifier=subnet,
        )
        yield


def desired() -> int:
    client = boto3.client("autoscaling", region_name="eu-west-1")
    return int(client.describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"])


@pytest.mark.slow
async def test_a_group_is_told_what_its_pool_should_have(amazon: None) -> None:
    scaler = Autoscaler({RELAYS: Bounds(1, 15, "relays")}, groups=Groups())
    nodes = Nodes()
    nodes.heartbeat(report("a", viewers=300, capacity=100), 0.0)
    scaler.look(nodes, 0.0)
    await scaler.apply()
    assert desired() == 4
    assert scaler.pools[RELAYS].told == 4
    nodes.heartbeat(report("a", viewers=1000, capacity=100), 5.0)
    scaler.look(nodes, LOOK_S)
    await scaler.apply()
    assert desired() == 6, "the group's own limit holds"
    assert scaler.pools[RELAYS].told == 6


@pytest.mark.slow
async def test_a_group_that_is_not_there_is_trouble_of_its_pool_alone(amazon: None) -> None:
    gone = PoolName(Role.ORIGIN, "eu-west-1")
    scaler = Autoscaler({RELAYS: Bounds(2, 5, "relays"), gone: Bounds(1, 2, "gone")}, groups=Groups())
    scaler.look([], 0.0)
    await scaler.apply()
    assert desired() == 2
    assert scaler.pools[RELAYS].trouble is None
    assert "no Auto Scaling group 'gone'" in str(scaler.pools[gone].trouble)
    with pytest.raises(GroupsDown):
        Groups().want("no region", "relays", 1)


@pytest.mark.slow
async def test_a_dry_run_tells_nobody(amazon: None) -> None:
    scaler = Autoscaler({RELAYS: Bounds(3, 5, "relays")})
    assert scaler.dry_run
    scaler.look([], 0.0)
    await scaler.apply()
    assert desired() == 1


# days -----------------------------------------------------------------------------------------------------------------


def test_a_day_is_carried_for_less_than_half_of_what_a_pool_for_the_peak_costs() -> None:
    found = compare()
    ahead, behind = found["with forecast"], found["without"]
    assert ahead.node_hours < 0.5 * ahead.peak_hours
    assert ahead.refused_share < 0.002
    assert ahead.refused_share <= behind.refused_share


@pytest.mark.parametrize("seed", [2, 3])
def test_no_day_asks_for_more_than_its_bounds(seed: int) -> None:
    day = Day(seed=seed, bounds=Bounds(2, 12))
    found = play(day)
    assert max(one.wanted for one in found.moments) == 12
    assert min(one.wanted for one in found.moments) >= 2
