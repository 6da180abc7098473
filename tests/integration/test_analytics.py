"""Analytics from players' reports and nodes' counts over real HTTP: minutes in SQL, several orchestrators, restarts, hours, the table."""

from __future__ import annotations

import csv
import datetime as dt
import io
from pathlib import Path
from typing import Any

import pytest

from common.auth import Audience
from common.directory import Role
from orchestrator.analytics.ledger import HOUR_S, Entry, TallyRow, hour_of
from orchestrator.analytics.recorder import Recorder
from orchestrator.analytics.tally import Tally
from orchestrator.api.route import CONTEXT
from tests.harness.cluster import Nodes, Running, admin, orchestrator, token
from tests.harness.redis_servers import redis
from tests.unit.orchestrator.test_geo import DATABASE

PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"}
SCREEN = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
TOWN = "/api/broadcasts/town"


def recorder(hub: Running) -> Recorder:
    return hub.role.app[CONTEXT].recorder


async def make(hub: Running) -> dict[str, Any]:
    made: dict[str, Any] = await hub.ok(
        "POST", "/api/broadcasts", json={"id": "town", "public": True}, headers=admin()
    )
    return made


async def tell(hub: Running, viewer: str, headers: dict[str, str] = SCREEN, **facts: Any) -> None:
    body = {"broadcast": "town", "delivery": "webrtc", **facts}
    await hub.ok("POST", f"/api/v1/viewers/{viewer}", json=body, headers=headers)


async def figures(hub: Running, query: str = "") -> dict[str, Any]:
    told: dict[str, Any] = await hub.ok("GET", f"{TOWN}/analytics{query}", headers=admin())
    return told


async def test_what_players_say_becomes_figures_and_no_row_for_anybody(
    tmp_path: Path, database_url: str
) -> None:
    async with orchestrator(
        tmp_path, database_url=database_url, geoip_db=DATABASE, trusted_proxies=["127.0.0.0/8"]
    ) as hub:
        await make(hub)
        await tell(hub, "ann", startup_ms=400, watched_s=0, latency_ms=180, bitrate_bps=1_500_000)
        await tell(hub, "ben", PHONE, startup_ms=800, watched_s=0, delivery="hls", latency_ms=2400, freezes=1)
        await tell(hub, "ann", startup_ms=400, watched_s=10, latency_ms=180, freezes=2)
        await tell(hub, "cyd", watched_s=500)  # known to nobody any more
        told = await figures(hub)
        assert (told["joins"], told["returns"], told["leaves"]) == (2, 1, 0)
        assert told["quality"]["startup_ms"]["count"] == 2
        assert told["quality"]["startup_ms"]["p50"] == pytest.approx(400, rel=0.05)
        assert told["quality"]["latency_ms"]["hls"]["p50"] == pytest.approx(2400, rel=0.05)
        assert told["quality"]["latency_ms"]["webrtc"]["count"] == 2
        assert told["quality"]["stalls"] == 3
        assert told["quality"]["bitrate_bps"] == 1_500_000
        assert {one["name"] for one in told["devices"]} == {"desktop"}, "ben's first word stands for no time"
        await hub.ok("DELETE", TOWN, headers=admin())
        over = await figures(hub)
        assert (over["joins"], over["returns"], over["leaves"]) == (2, 1, 3)
        assert over["watch"]["p90_s"] == pytest.approx(500, rel=0.05), "cyd had watched for that long"
        assert over["still_there"][0] == {"after_s": 0, "share": 1.0}
        assert over["still_there"][-1]["share"] == 0.0
        await recorder(hub).flush(whole=False)
        async with recorder(hub).ledger._database.session() as session:
            rows = (await session.scalars(TallyRow.__table__.select())).all()
            bodies = (
                await session.scalars(TallyRow.__table__.select().with_only_columns(TallyRow.body))
            ).all()
        assert len(rows) <= 2, "a row a minute, however many watch"
        assert not any(word in str(bodies) for word in ("ann", "ben", "cyd", "iPhone", "Firefox", "127.0"))


async def test_who_watches_is_counted_by_region_and_delivery(
    tmp_path: Path, cluster: Nodes, database_url: str
) -> None:
    async with orchestrator(tmp_path, database_url=database_url) as hub:
        await make(hub)
        origin = await cluster.start("o1", Role.ORIGIN, hub, region="eu-west-1")
        relay = await cluster.start("r1", Role.RELAY, hub, region="us-east-1")
        origin.stream(
            "town", subscribers_interactive=2, loss_ratio=0.0, ingest_bps=2_000_000, egress_bps=4_000_000
        )
        relay.stream("town", subscribers_passive=6, loss_ratio=0.04, egress_bps=12_000_000)
        await origin.beat()
        await relay.beat()
        for viewer in ("h1", "h2"):
            await tell(hub, viewer, delivery="hls", role="passive")
        await hub.role.hub.tick()
        recorder(hub)._looked_at -= 5.0
        recorder(hub).look()
        told = await figures(hub)
        assert told["peak"] == 10 and told["live_s"] >= 5
        shares = {
            kind: {one["name"]: one["share"] for one in told[kind]} for kind in ("deliveries", "regions")
        }
        assert shares["regions"].keys() == {"eu-west-1", "us-east-1", "cdn"}
        assert shares["regions"]["us-east-1"] > shares["regions"]["eu-west-1"]
        assert shares["deliveries"].keys() == {"webrtc", "hls"}
        point = told["points"][-1]
        assert point["peak"] == 10 and point["interactive"] > 0
        assert 0 < told["quality"]["loss_ratio"] <= 0.03
        assert point["egress_bps"] > point["ingest_bps"] > 0


async def test_who_falls_silent_has_left_though_nobody_is_left_to_tell(
    tmp_path: Path, database_url: str
) -> None:
    async with orchestrator(tmp_path, database_url=database_url) as hub:
        await make(hub)
        registry = hub.role.hub.registry
        word = await registry.report_viewer(
            "town", "v1", hls=True, document="{}", ttl_ms=0, watched_ms=90_000
        )
        assert word.before is None
        await hub.role.hub.tick()
        recorder(hub)._active.add("town")
        await recorder(hub).sweep()
        told = await figures(hub)
        assert told["leaves"] == 1
        assert told["watch"]["mean_s"] == pytest.approx(60, abs=5), (
            "up to its last word, 30 s before it was missed"
        )


async def test_two_orchestrators_count_each_viewer_once(tmp_path: Path, database_url: str) -> None:
    with redis() as server:
        settings: dict[str, Any] = {"redis_url": server.url, "database_url": database_url}
        async with orchestrator(tmp_path, **settings) as one, orchestrator(tmp_path, **settings) as two:
            await make(one)
            while two.role.hub.broadcasts.find("town") is None:
                await two.role.hub.broadcasts.refresh()
            for round_ in range(3):
                for n, viewer in enumerate(("a", "b", "c", "d")):
                    hub = (one, two)[(n + round_) % 2]
                    await tell(hub, viewer, startup_ms=500, watched_s=10 * round_)
            await one.ok("DELETE", TOWN, headers=admin())
            for hub in (one, two):
                await recorder(hub).flush(whole=False)
            told = await figures(two)
            assert (told["joins"], told["returns"], told["leaves"]) == (4, 0, 4)
            assert told["quality"]["startup_ms"]["count"] == 4


async def test_figures_outlive_their_orchestrator_and_watchers_are_met_again(
    tmp_path: Path, database_url: str
) -> None:
    async with orchestrator(tmp_path, database_url=database_url) as first:
        await make(first)
        await tell(first, "ann", watched_s=0)
        await tell(first, "ben", watched_s=0)
    async with orchestrator(tmp_path, database_url=database_url) as second:
        assert (await figures(second))["joins"] == 2
        await tell(second, "ann", watched_s=45)
        told = await figures(second)
        assert (told["joins"], told["returns"], told["leaves"]) == (2, 1, 2)


async def test_minutes_become_hours_after_two_days_and_are_forgotten_in_the_end(
    tmp_path: Path, database_url: str
) -> None:
    async with orchestrator(tmp_path, database_url=database_url, analytics_days=30) as hub:
        await make(hub)
        ledger, duty = recorder(hub).ledger, hub.role.hub.duty
        assert duty is not None
        now = dt.datetime.now(dt.UTC)
        old, fresh, ancient = hour_of(now - dt.timedelta(days=4)), hour_of(now), now - dt.timedelta(days=31)
        for writer in ("one", "two"):
            await ledger.write(
                [
                    Entry("town", begin + dt.timedelta(minutes=n), Tally(seen_s=60, webrtc_s=60, joins=1))
                    for begin in (old, fresh)
                    for n in range(60)
                ],
                writer,
            )
        await ledger.write([Entry("town", ancient, Tally(joins=1000))], "one")
        while await ledger.roll_up(duty, now):
            pass
        await ledger.sweep(duty, now)
        told = [one async for one in ledger.read("town", ancient, now + dt.timedelta(days=1))]
        assert [one.span_s for one in told].count(HOUR_S) == 1 and len(told) == 1 + 2 * 60
        assert (told[0].at, told[0].tally.joins, told[0].tally.seen_s) == (old, 120, 7200)
        await ledger.write([Entry("town", old, Tally(joins=5))], "late")
        await ledger.roll_up(duty, now)
        (hour,) = [one async for one in ledger.read("town", old, old + dt.timedelta(hours=1))]
        assert hour.tally.joins == 125, "an orchestrator that was away is added"


async def test_the_table_and_who_may_see_it(tmp_path: Path, database_url: str) -> None:
    async with orchestrator(tmp_path, database_url=database_url) as hub:
        made = await make(hub)
        await tell(hub, "ann", watched_s=0, startup_ms=100)
        publisher = {"Authorization": f"Bearer {made['token']}"}
        status, text, headers = await hub.call("GET", f"{TOWN}/analytics.csv", headers=publisher)
        assert status == 200 and headers["Content-Type"] == "text/csv; charset=utf-8"
        (line,) = list(csv.DictReader(io.StringIO(text)))
        assert line["joins"] == "1"
        for who in ({}, token(Audience.VIEWER, "town"), token(Audience.PUBLISHER, "other")):
            assert (await hub.call("GET", f"{TOWN}/analytics", headers=who))[0] in (401, 403)
        for query in ("?step=1", "?from=yesterday", "?from=2026-01-01T00:00:00", "?step=1e9"):
            assert (await hub.call("GET", f"{TOWN}/analytics{query}", headers=admin()))[0] == 422, query
        empty = await figures(hub, "?to=2020-01-01T00:00:00Z")
        assert empty["points"] == [] and empty["joins"] == 0
        assert (await hub.call("GET", "/api/broadcasts/none/analytics", headers=admin()))[0] == 404


async def test_more_points_than_an_answer_has_are_refused(tmp_path: Path, database_url: str) -> None:
    async with orchestrator(tmp_path, database_url=database_url) as hub:
        await make(hub)
        broadcasts = hub.role.hub.broadcasts
        made = broadcasts.require("town")
        began = made.created_at - dt.timedelta(hours=40)
        broadcasts._live["town"] = made.model_copy(update={"created_at": began})
        status, body, _ = await hub.call("GET", f"{TOWN}/analytics?step=60", headers=admin())
        assert (status, body["code"]) == (422, "too_many_points")
        assert (await figures(hub))["step_s"] == 600
        assert (await figures(hub, "?step=3600"))["step_s"] == 3600
