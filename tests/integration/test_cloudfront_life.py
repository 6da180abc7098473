"""An orchestrator with CloudFront (in memory): a distribution is made for an audience, and nobody is sent to one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from common.directory import Role
from orchestrator.cdn import cloudfront, providers
from orchestrator.cdn.life import Life, Step, Times
from tests.harness.cloudfront import CloudFrontApi, error
from tests.harness.cluster import Node, Nodes, Running, admin, eventually, orchestrator

QUICK = Times(deploying_s=0.05, settled_s=0.3, first_wait_s=0.05, longest_wait_s=0.2, throttled_s=0.05)
SETTINGS: dict[str, Any] = {
    "cloudfront": ["p1.example.org"],
    "cdn_switch_threshold": 10,
    "dwell_s": 0,
    "cloudfront_idle_s": 60,
}


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFrontApi]:
    with mock_aws():
        made = CloudFrontApi()
        monkeypatch.setattr(cloudfront, "_client", lambda: made)
        monkeypatch.setattr(providers, "TIMES", QUICK)
        monkeypatch.setattr(providers, "_TICK_S", 0.02)
        yield made


async def show(cluster: Nodes, hub: Running, viewers: int) -> tuple[Node, Node]:
    """A broadcast that is live, is packaged, and is watched by so many."""
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    packager = await cluster.start("p1", Role.PACKAGER, hub)
    await hub.ok("POST", "/api/broadcasts", json={"id": "demo", "public": True}, headers=admin())
    origin.stream("demo", subscribers_passive=viewers)
    packager.stream("demo")
    return origin, packager


async def play(hub: Running) -> Any:
    return await hub.ok("GET", "/api/broadcasts/demo/play?role=passive")


async def test_viewers_stay_on_webrtc_while_the_api_is_throttled_and_go_to_the_cdn_when_it_is_there(
    tmp_path: Path, api: CloudFrontApi, cluster: Nodes
) -> None:
    api.faults = [error("Throttling")] * 100_000
    async with orchestrator(tmp_path, **SETTINGS) as hub:
        await show(cluster, hub, 40)
        own = hub.role.hub.cdn
        assert isinstance(own, providers.OwnCloudFront)
        await eventually(
            lambda: hub.role.hub.delivery("demo").hls.on, "the audience is above the threshold", 20
        )
        await eventually(lambda: own.life.failures >= 3, "it was throttled")
        told = await hub.ok("GET", "/api/cdn", headers=admin())
        assert told["kind"] == "cloudfront" and not told["ready"] and "Throttling" in told["trouble"]
        delivery = await hub.ok("GET", "/api/broadcasts/demo/delivery")
        assert (delivery["mode"], delivery["hls_share"], delivery["hls_ready"]) == ("webrtc", 0.0, False)
        assert (await play(hub))["mode"] == "webrtc"
        api.faults.clear()
        await eventually(lambda: own.ready, "the distribution is there", 20)
        await eventually(lambda: hub.role.hub.delivery("demo").hls_share == 1.0, "all have moved", 20)
        way = await play(hub)
        assert (
            way["mode"] == "hls"
            and way["hls"].startswith("https://")
            and way["hls"].endswith("/hls/demo/index.m3u8")
        )
        assert "cloudfront.net" in way["hls"]
        told = await hub.ok("GET", "/api/cdn", headers=admin())
        assert (told["phase"], told["ready"], told["wanted"], told["trouble"]) == ("ready", True, True, None)
    assert len(api.configs) == 1, "one distribution, whatever was refused in between"


async def test_an_audience_that_has_gone_takes_the_distribution_with_it_in_the_end(
    tmp_path: Path, api: CloudFrontApi, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path, **SETTINGS) as hub:
        origin, _ = await show(cluster, hub, 40)
        own = hub.role.hub.cdn
        assert isinstance(own, providers.OwnCloudFront)
        await eventually(lambda: own.ready, "the distribution is there", 20)
        origin.stream("demo", subscribers_passive=0)
        await eventually(lambda: not own.life.wanted, "nobody needs it", 20)
        assert own.ready, "it is kept for its hour"
        own.life.times = replace(own.life.times, idle_s=0.0)  # the hour is over
        await eventually(lambda: own.life.found is None, "it is gone", 20)
        assert api.list_distributions()["DistributionList"].get("Quantity", 0) == 0


async def test_the_next_orchestrator_uses_the_one_that_is_there(
    tmp_path: Path, api: CloudFrontApi, cluster: Nodes
) -> None:
    async with orchestrator(tmp_path / "a", **SETTINGS) as hub:
        await show(cluster, hub, 40)
        await eventually(lambda: hub.role.hub.cdn.ready, "the distribution is there", 20)
        url = hub.role.hub.cdn.url
    async with orchestrator(tmp_path / "b", **SETTINGS) as hub:
        await eventually(lambda: hub.role.hub.cdn.ready, "it was found", 20)
        assert hub.role.hub.cdn.url == url
    assert len(api.configs) == 1


async def test_without_rights_everybody_stays_on_webrtc_and_ops_are_told(
    tmp_path: Path, api: CloudFrontApi, cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise cloudfront.CdnFailed(cloudfront.Trouble.FAILED, "AccessDenied: cloudfront:CreateCachePolicy")

    monkeypatch.setattr(cloudfront.CloudFront, "_create", refused)
    async with orchestrator(tmp_path, **SETTINGS) as hub:
        await show(cluster, hub, 40)
        own = hub.role.hub.cdn
        assert isinstance(own, providers.OwnCloudFront)
        await eventually(lambda: own.life.failures >= 2, "it was refused", 20)
        assert "CreateCachePolicy" in (await hub.ok("GET", "/api/cdn", headers=admin()))["trouble"]
        assert (await play(hub))["mode"] == "webrtc"


async def test_two_cdns_are_refused_and_one_by_its_url_is_there_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two CDNs"):
        async with orchestrator(tmp_path, cdn_url="https://cdn.example", cloudfront=["p1.example.org"]):
            pass
    with pytest.raises(ValueError, match="public host name"):
        async with orchestrator(tmp_path, cloudfront=["https://p1.example.org"]):
            pass
    async with orchestrator(tmp_path, cdn_url="https://cdn.example") as hub:
        told = await hub.ok("GET", "/api/cdn", headers=admin())
        assert (told["kind"], told["url"], told["ready"], told["phase"]) == (
            "pull",
            "https://cdn.example",
            True,
            None,
        )


def test_an_orchestrator_that_starts_looks_before_it_makes() -> None:
    life = Life(QUICK, 0)
    life.want(True, 0)
    assert life.step(0, may_change=True) is Step.LOOK
