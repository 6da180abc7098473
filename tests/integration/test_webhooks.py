"""Webhooks from what happens to a real receiver: signed, once written, tried again, and never where they may not go."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from common.directory import Health, Role
from common.recordings import RecordingView
from orchestrator.api.route import CONTEXT
from orchestrator.webhooks.schedule import GIVE_UP_S
from orchestrator.webhooks.service import Webhooks
from tests.harness.cluster import Nodes, Running, admin, eventually, nodes, orchestrator
from tests.harness.receiver import Receiver, receiver
from tests.harness.redis_servers import redis
from tests.unit.orchestrator.test_webhook_signing import receiver as snippet


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each step of a story would wait for up to a second."""
    monkeypatch.setattr("orchestrator.webhooks.service.LOOK_S", 0.05)


@pytest.fixture
async def hub(tmp_path: Path, database_url: str) -> AsyncIterator[Running]:
    async with orchestrator(tmp_path, webhook_private=True, database_url=database_url) as running:
        yield running


@pytest.fixture
async def inbox() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


def service(hub: Running) -> Webhooks:
    return hub.role.app[CONTEXT].webhooks


async def hook(hub: Running, url: str, *events: str) -> dict[str, Any]:
    body = {"url": url, "events": list(events)}
    made: dict[str, Any] = await hub.ok("POST", "/api/webhooks", json=body, headers=admin())
    return made


async def deliveries(hub: Running, made: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    path = f"/api/webhooks/{made['id']}/deliveries{query}"
    found: list[dict[str, Any]] = (await hub.ok("GET", path, headers=admin()))["deliveries"]
    return found


async def settled(hub: Running, made: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    """Waits until the newest deliveries are in these states and have been tried."""
    while True:
        told = await deliveries(hub, made)
        if [one["state"] for one in told] == list(states) and all(one["attempts"] for one in told):
            return told
        await asyncio.sleep(0.02)


async def test_what_happens_to_a_broadcast_comes_signed_and_in_order(
    hub: Running, inbox: Receiver, cluster: Nodes
) -> None:
    made = await hook(hub, f"{inbox.url}/hooks?a=b")
    await hub.ok("POST", "/api/broadcasts", json={"id": "town", "title": "Town"}, headers=admin())
    origin = await cluster.start("o1", Role.ORIGIN, hub, region="eu-west-1")
    packager = await cluster.start("p1", Role.PACKAGER, hub)
    origin.stream("town")
    packager.stream("town")
    await inbox.until(lambda: "broadcast.live" in inbox.types())
    await hub.ok("POST", "/api/broadcasts/town/activate-cdn", headers=admin())
    await inbox.until(lambda: "cdn.activated" in inbox.types())
    await hub.ok("DELETE", "/api/broadcasts/town", headers=admin())
    await inbox.until(lambda: "broadcast.ended" in inbox.types())
    of_it = [one for one in inbox.types() if not one.startswith("node.")]
    assert of_it == ["broadcast.created", "broadcast.live", "cdn.activated", "broadcast.ended"]
    assert sorted(one for one in inbox.types() if one.startswith("node.")) == ["node.joined", "node.joined"]
    verify = snippet()["verify"]
    for one in inbox.came:
        assert one.path == "/hooks"
        verify(made["secret"], one.headers, one.body)
        assert one.headers["webhook-id"] == one.event["id"]
        assert one.headers["content-type"] == "application/json"
    live = next(one.event for one in inbox.came if one.event["type"] == "broadcast.live")
    assert live["data"]["broadcast"] == "town" and live["data"]["title"] == "Town"
    assert (live["data"]["origin"], live["data"]["region"]) == ("o1", "eu-west-1")
    assert len({one.headers["webhook-id"] for one in inbox.came}) == len(inbox.came)


async def test_a_session_is_told_as_a_session_and_when_it_moves(
    hub: Running, inbox: Receiver, cluster: Nodes
) -> None:
    await hook(hub, inbox.url, "session.started", "session.moved", "session.ended", "broadcast.created")
    first = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    asking = asyncio.create_task(hub.ok("POST", "/api/sessions", json={"user": "ann"}, headers=admin()))
    await eventually(lambda: first.directory.broadcasts, "the origin is told", 20)
    first.stream(next(iter(first.directory.broadcasts)))
    session = await asking
    told = hub.role.app[CONTEXT].webhooks.witness
    await eventually(lambda: (told._told or {}).get(("session", session["id"])), "its origin is known", 20)
    second = await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
    first.report = first.report.model_copy(
        update={"streams": [], "avatars_refused": [session["id"]], "avatars_free": 0}
    )
    await inbox.until(lambda: "session.moved" in inbox.types())
    await hub.ok("DELETE", f"/api/sessions/{session['id']}", headers=admin())
    await inbox.until(lambda: "session.ended" in inbox.types())
    assert inbox.types() == ["session.started", "session.moved", "session.ended"]
    moved = inbox.came[1].event["data"]
    assert (moved["origin_before"], moved["origin"], moved["user"]) == ("o1", second.report.id, "ann")


async def test_nodes_drain_resume_and_are_lost(hub: Running, inbox: Receiver, cluster: Nodes) -> None:
    await hook(hub, inbox.url, "node.joined", "node.draining", "node.resumed", "node.lost")
    hub.role.hub.nodes._lease_s = 1.0  # else it is missed after ten seconds
    relay = await cluster.start("r1", Role.RELAY, hub)
    await inbox.until(lambda: inbox.types() == ["node.joined"])
    await hub.ok("POST", "/api/nodes/r1/drain", headers=admin())
    await inbox.until(lambda: inbox.types()[1:] == ["node.draining"])
    await hub.ok("DELETE", "/api/nodes/r1/drain", headers=admin())
    await inbox.until(lambda: inbox.types()[2:] == ["node.resumed"])
    await relay.vanish()
    await inbox.until(lambda: inbox.types()[3:] == ["node.lost"], 40)
    assert inbox.came[3].event["data"] == {
        "node": "r1",
        "role": "relay",
        "region": "local",
        "draining": False,
    }


async def test_a_finished_recording_is_told_once(hub: Running, inbox: Receiver) -> None:
    made = await hook(hub, inbox.url, "recording.ready")
    running, since = service(hub), dt.datetime.now(dt.UTC)
    duty = hub.role.hub.duty
    assert duty is not None
    async with nodes() as cluster:
        packager = await cluster.start("p1", Role.PACKAGER, hub)
        kept = [
            RecordingView(
                id=name,
                broadcast="town",
                started=(since - dt.timedelta(seconds=ago)).isoformat(),
                state=state,
                duration_s=60,
                size_bytes=1000,
                private=private,
                play=f"/hls/town/rec/{name}/index.m3u8",
            )
            for name, ago, state, private in (
                ("before", 600, "finished", False),
                ("now", 30, "finished", False),
                ("hidden", 20, "finished", True),
                ("later", 10, "finishing", False),
            )
        ]
        packager.recordings = kept
        for _ in range(2):
            await running.recordings(duty)
        assert sorted(one["body"]["data"]["recording"] for one in await deliveries(hub, made)) == [
            "hidden",
            "now",
        ]
        kept[3] = kept[3].model_copy(update={"state": "finished"})
        await running.recordings(duty)
        await inbox.until(lambda: len(inbox.came) == 3)
        told = {one.event["data"]["recording"]: one.event["data"] for one in inbox.came}
        assert told["now"]["play"] == f"{packager.report.url}/hls/town/rec/now/index.m3u8"
        assert told["hidden"]["play"] is None and told["hidden"]["private"]


async def test_a_rollout_is_told_from_its_begin_to_its_end(
    hub: Running, inbox: Receiver, cluster: Nodes
) -> None:
    await hook(hub, inbox.url)
    origin = await cluster.start("o2", Role.ORIGIN, hub, avatar=True, version="2.0")
    rollouts = hub.role.app[CONTEXT].rollouts
    later = dt.timedelta()
    rollouts.now = lambda: dt.datetime.now(dt.UTC) + later
    requests = itertools.count(100, 100)

    async def looked_at(*, errors: int = 0) -> None:
        health = Health(requests=next(requests), errors=errors)
        origin.report = origin.report.model_copy(update={"health": health})
        await origin.beat()
        await rollouts.look()

    body = {
        "stable": "1.0",
        "candidate": "2.0",
        "phases": [{"percent": 10, "days": 1}, {"percent": 100, "days": 1}],
        "limits": {"least_requests": 20},
    }
    made = await hub.ok("POST", "/api/rollouts", json=body, headers=admin())
    one = f"/api/rollouts/{made['id']}"
    await hub.ok("POST", f"{one}/pause", json={"why": "a holiday"}, headers=admin())
    await hub.ok("POST", f"{one}/resume", headers=admin())
    await looked_at()
    await looked_at(errors=60)
    await hub.ok("POST", f"{one}/again", headers=admin())
    for _ in range(2):
        later += dt.timedelta(days=2)
        await looked_at(errors=60)
        await looked_at(errors=60)
    await inbox.until(lambda: "rollout.finished" in inbox.types())
    told = [came.event for came in inbox.came if came.event["type"].startswith("rollout.")]
    assert [(event["type"], event["data"]["percent"], event["data"]["attempt"]) for event in told] == [
        ("rollout.begun", 10, 1),
        ("rollout.paused", 10, 1),
        ("rollout.resumed", 10, 1),
        ("rollout.rolled_back", 0, 1),
        ("rollout.begun", 10, 2),
        ("rollout.widened", 100, 2),
        ("rollout.finished", 100, 2),
    ]
    assert told[1]["data"]["reason"] == "a holiday"
    assert told[3]["data"]["reason"].startswith("errors: 60.0% of 100")
    always = {"rollout": made["id"], "role": "origin", "stable": "1.0", "candidate": "2.0"}
    assert all(always.items() <= event["data"].items() for event in told)


async def test_what_fails_is_tried_again_until_it_is_taken(hub: Running, inbox: Receiver) -> None:
    courier = service(hub).courier
    skipped = dt.timedelta()
    courier.now = lambda: dt.datetime.now(dt.UTC) + skipped

    async def refused(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503, text="x" * 100_000, headers={"Retry-After": "600"})

    inbox.answer = refused
    made = await hook(hub, inbox.url)
    await hub.ok("POST", f"/api/webhooks/{made['id']}/test", headers=admin())
    (failed,) = await settled(hub, made, "waiting")
    assert (failed["attempts"], failed["last_status"]) == (1, 503)
    assert failed["last_error"] == "it answered 503"
    wait = dt.datetime.fromisoformat(failed["next_at"]) - dt.datetime.fromisoformat(failed["last_at"])
    assert wait == dt.timedelta(seconds=600), "the receiver asked for ten minutes"
    inbox.answer = Receiver().answer
    skipped = dt.timedelta(seconds=601)
    (taken,) = await settled(hub, made, "delivered")
    assert (taken["attempts"], taken["last_status"], taken["last_error"]) == (2, 204, None)
    first, second = inbox.came
    assert first.headers["webhook-id"] == second.headers["webhook-id"] and first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) > 590
    assert (await hub.ok("GET", f"/api/webhooks/{made['id']}", headers=admin()))["failing_since"] is None


async def test_one_that_hangs_delays_no_other_and_is_given_up(hub: Running, inbox: Receiver) -> None:
    courier = service(hub).courier
    courier._post_s = 0.3
    skipped = dt.timedelta()
    courier.now = lambda: dt.datetime.now(dt.UTC) + skipped
    never = asyncio.Event()

    async def hangs(_request: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with receiver() as stuck:
        stuck.answer = hangs
        bad, good = await hook(hub, stuck.url), await hook(hub, inbox.url)
        for one in (bad, good):
            await hub.ok("POST", f"/api/webhooks/{one['id']}/test", headers=admin())
        await inbox.until(lambda: inbox.came)
        (failed,) = await settled(hub, bad, "waiting")
        assert failed["last_error"] == "no answer within 0.3 s" and failed["last_status"] is None
        await hub.ok("POST", f"/api/webhooks/{bad['id']}/test", headers=admin())
        await settled(hub, bad, "waiting", "waiting")
        skipped = dt.timedelta(seconds=GIVE_UP_S + 60)
        while (await hub.ok("GET", f"/api/webhooks/{bad['id']}", headers=admin()))["enabled"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        told = await hub.ok("GET", f"/api/webhooks/{bad['id']}", headers=admin())
        assert (
            told["disabled_reason"]
            == "all tries have failed for 24 hours, the last with: no answer within 0.3 s"
        )
        assert told["waiting"] == 0
        assert {one["state"] for one in await deliveries(hub, bad)} == {"failed"}
        status, body, _ = await hub.call("POST", f"/api/webhooks/{bad['id']}/test", headers=admin())
        assert (status, body["code"]) == (409, "webhook_disabled")
        await hub.ok("PATCH", f"/api/webhooks/{bad['id']}", json={"enabled": True}, headers=admin())
        stuck.answer = inbox.answer
        oldest = (await deliveries(hub, bad))[-1]["id"]
        path = f"/api/webhooks/{bad['id']}/deliveries/{oldest}/redeliver"
        assert (await hub.ok("POST", path, headers=admin()))["state"] == "waiting"
        await settled(hub, bad, "failed", "delivered")


async def test_a_slow_answer_is_taken_and_a_redirect_is_not_followed(hub: Running, inbox: Receiver) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=200)
        await answer.prepare(request)
        for _ in range(200):  # more than is read; whoever waits for its end waits long
            await answer.write(b"x" * 1000)
        return answer

    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": f"{inbox.url}/secret"})

    inbox.answer = slow
    made = await hook(hub, inbox.url)
    await hub.ok("POST", f"/api/webhooks/{made['id']}/test", headers=admin())
    await settled(hub, made, "delivered")
    inbox.answer = elsewhere
    await hub.ok("POST", f"/api/webhooks/{made['id']}/test", headers=admin())
    newest, _ = await settled(hub, made, "waiting", "delivered")
    assert newest["last_error"] == "it answered 307; redirects are not followed"
    assert [one.path for one in inbox.came] == ["/", "/"]


async def test_nothing_goes_to_addresses_of_ours(tmp_path: Path, inbox: Receiver) -> None:
    async with orchestrator(tmp_path) as hub:
        status, body, _ = await hub.call("POST", "/api/webhooks", json={"url": inbox.url}, headers=admin())
        assert (status, body["code"]) == (422, "webhook_url_refused")
        # A name that leads to us: only looking it up tells.
        made = await hook(hub, inbox.url.replace("127.0.0.1", "localhost"))
        await hub.ok("POST", f"/api/webhooks/{made['id']}/test", headers=admin())
        (failed,) = await settled(hub, made, "waiting")
        assert failed["last_error"] == "localhost has no public address" and failed["last_status"] is None
        assert not inbox.came


async def test_secrets_are_shown_once_renewed_with_a_day_for_both_and_never_logged(
    hub: Running, inbox: Receiver
) -> None:
    verify = snippet()["verify"]
    with capture_logs() as logs:
        made = await hook(hub, inbox.url)
        path = f"/api/webhooks/{made['id']}"
        listed = await hub.ok("GET", "/api/webhooks", headers=admin())
        read = await hub.ok("GET", path, headers=admin())
        fresh = (await hub.ok("POST", f"{path}/secret", headers=admin()))["secret"]
        await hub.ok("POST", f"{path}/test", headers=admin())
        await inbox.until(lambda: inbox.came)
    assert fresh != made["secret"]
    for secret in (made["secret"], fresh):
        verify(secret, inbox.came[0].headers, inbox.came[0].body)
        assert secret not in f"{logs}{listed}{read}{await deliveries(hub, made)}"
    service(hub).courier.now = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=25)
    await hub.ok("POST", f"{path}/test", headers=admin())
    await inbox.until(lambda: len(inbox.came) == 2)
    later = inbox.came[1]
    now = int(later.headers["webhook-timestamp"])
    verify(fresh, later.headers, later.body, now=now)
    with pytest.raises(ValueError):
        verify(made["secret"], later.headers, later.body, now=now)


async def test_what_webhooks_are_made_of_is_checked(hub: Running, inbox: Receiver) -> None:
    for body in (
        {"url": inbox.url, "events": ["broadcast.exploded"]},
        {"url": inbox.url, "events": ["webhook.test"]},
        {"url": inbox.url, "secret": "mine"},
        {"url": "x"},
        {},
    ):
        assert (await hub.call("POST", "/api/webhooks", json=body, headers=admin()))[0] == 422, body
    for method, path in (
        ("GET", "/api/webhooks/none"),
        ("DELETE", "/api/webhooks/none"),
        ("POST", "/api/webhooks/none/test"),
        ("GET", "/api/webhooks/none/deliveries"),
        ("POST", "/api/webhooks/none/deliveries/1/redeliver"),
    ):
        status, problem, _ = await hub.call(method, path, headers=admin())
        assert (status, problem["code"]) == (404, "webhook_unknown"), path
        assert (await hub.call(method, path))[0] == 401
    made, other = await hook(hub, inbox.url), await hook(hub, inbox.url)
    await hub.ok("POST", f"/api/webhooks/{made['id']}/test", headers=admin())
    (delivery,) = await settled(hub, made, "delivered")
    for number in (delivery["id"], "0", "x", "9" * 30):
        path = f"/api/webhooks/{other['id']}/deliveries/{number}/redeliver"
        assert (await hub.call("POST", path, headers=admin()))[1]["code"] == "delivery_unknown"
    changed = {"url": f"{inbox.url}/new", "events": ["node.lost"], "description": "pager"}
    told = await hub.ok("PATCH", f"/api/webhooks/{made['id']}", json=changed, headers=admin())
    assert changed.items() <= told.items()
    await hub.ok("DELETE", f"/api/webhooks/{made['id']}", headers=admin())
    listed = await hub.ok("GET", "/api/webhooks", headers=admin())
    assert [one["id"] for one in listed["webhooks"]] == [other["id"]]


async def test_what_waits_outlives_its_orchestrator(
    tmp_path: Path, inbox: Receiver, database_url: str
) -> None:
    settings: dict[str, Any] = {"webhook_private": True, "database_url": database_url}
    async with orchestrator(tmp_path, **settings) as first:
        made = await hook(first, "http://127.0.0.1:9/nobody-there", "broadcast.created", "broadcast.ended")
        await first.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
        (failed,) = await settled(first, made, "waiting")
        assert failed["last_error"] == "it cannot be connected to, or broke off"
        await first.ok(
            "PATCH", f"/api/webhooks/{made['id']}", json={"url": f"{inbox.url}/hooks"}, headers=admin()
        )
    async with orchestrator(tmp_path, **settings) as second:
        service(second).courier.now = lambda: dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)
        await inbox.until(lambda: inbox.came)
        await second.ok("DELETE", "/api/broadcasts/town", headers=admin())
        await inbox.until(lambda: len(inbox.came) == 2)
        assert inbox.types() == ["broadcast.created", "broadcast.ended"]
        await settled(second, made, "delivered", "delivered")


@pytest.mark.slow
async def test_two_orchestrators_tell_once_and_the_second_goes_on(
    tmp_path: Path, inbox: Receiver, cluster: Nodes, database_url: str
) -> None:
    with redis() as server:
        settings: dict[str, Any] = {
            "redis_url": server.url,
            "webhook_private": True,
            "database_url": database_url,
        }
        async with orchestrator(tmp_path, **settings) as one, orchestrator(tmp_path, **settings) as two:
            await hook(two, inbox.url)
            await two.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
            origin = await cluster.start("o1", Role.ORIGIN, one, two)
            origin.stream("town")
            await inbox.until(lambda: {"broadcast.live", "node.joined"} <= set(inbox.types()))
            assert sorted(inbox.types()) == ["broadcast.created", "broadcast.live", "node.joined"]
            on_duty, other = (one, two) if one.role.hub.on_duty else (two, one)
            await on_duty.close()
            origin.orchestrators = [other.url]
            await other.ok("DELETE", "/api/broadcasts/town", headers=admin())
            await inbox.until(lambda: "broadcast.ended" in inbox.types(), 30)
            assert sorted(inbox.types()) == [
                "broadcast.created",
                "broadcast.ended",
                "broadcast.live",
                "node.joined",
            ]
