"""Sessions over real sockets: placed with how to connect, found again by their person, and not lost with their origin."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from common.dialogue import Dialogue, Said, Speaker
from common.directory import Role
from orchestrator.api.route import CONTEXT
from tests.harness.cluster import Node, Nodes, Running, admin, orchestrator
from tests.harness.lone_origin import until

SAID = [Said(speaker=Speaker.VISITOR, text="I am Zoe."), Said(speaker=Speaker.AVATAR, text="Hello Zoe.")]


async def performing(origin: Node) -> None:
    """The origin does as one that runs avatars: what it is told to run becomes live."""
    while True:
        for name, broadcast in origin.directory.broadcasts.items():
            if (
                broadcast.avatar
                and origin.report.id
                and not any(s.stream == name for s in origin.report.streams)
            ):
                origin.stream(name)
                await origin.beat()
        await asyncio.sleep(0.02)  # heartbeats bring the directory; there is no event for it


async def place(hub: Running, *origins: Node, **facts: Any) -> dict[str, Any]:
    """A session, on origins that take it."""
    tasks = [asyncio.create_task(performing(one)) for one in origins]
    try:
        made: dict[str, Any] = await hub.ok("POST", "/api/sessions", json=facts, headers=admin())
        return made
    finally:
        for task in tasks:
            task.cancel()


def bearer(made: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {made['token']}"}


async def test_a_session_is_placed_and_its_person_can_watch_and_talk(hub: Running, cluster: Nodes) -> None:
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, region="eu")
    made = await place(hub, origin, user="zoe", persona="ava")
    assert (made["state"], made["origin"], made["region"], made["is_new"]) == ("live", "o1", "eu", True)
    name = made["id"]
    assert (await hub.call("GET", f"/api/broadcasts/{name}/play"))[0] == 401, "nobody else watches"
    play = await hub.ok("GET", f"/api/broadcasts/{name}/play", headers=bearer(made))
    assert play["whep"] and play["live"]

    await hub.ok("POST", f"/api/sessions/{name}/ask", json={"text": "Who are you?"}, headers=bearer(made))
    await hub.ok("POST", f"/api/sessions/{name}/interrupt", headers=bearer(made))
    assert [(verb, line.text) for verb, line in origin.lines] == [("ask", "Who are you?"), ("interrupt", "-")]
    grant = await hub.ok("POST", f"/api/sessions/{name}/ears", json={}, headers=bearer(made))
    assert grant["whip"].endswith(f"/ears/{name}")
    for verb in ("say", "ask", "interrupt", "ears"):
        assert (await hub.call("POST", f"/api/sessions/{name}/{verb}", json={"text": "x"}))[0] == 401
    assert (await hub.ok("GET", f"/api/sessions/{name}", headers=bearer(made)))["user"] == "zoe"
    assert [one["id"] for one in (await hub.ok("GET", "/api/sessions", headers=admin()))["sessions"]] == [
        name
    ]
    async with hub.http.get(f"/api/sessions/{name}/events", headers=bearer(made)) as events:
        assert (await events.content.readuntil(b"\n")).startswith(b"event: state")

    assert (await hub.call("DELETE", f"/api/sessions/{name}", headers=admin()))[0] == 204
    status, told, _ = await hub.call("GET", f"/api/sessions/{name}", headers=bearer(made))
    assert (status, told["code"]) == (404, "session_over")
    assert (await hub.call("GET", f"/api/broadcasts/{name}", headers=admin()))[0] == 404


async def test_a_session_is_never_packaged_and_so_never_recorded(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, hls_packaging="always") as hub:
        origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
        packager = await cluster.start("p1", Role.PACKAGER, hub)
        made = await place(hub, origin)
        await hub.ok("POST", "/api/broadcasts", json={"id": "town", "public": True}, headers=admin())

        async def told() -> bool:
            return "town" in packager.directory.broadcasts

        await until(told)
        assert made["id"] not in packager.directory.broadcasts
        status, refused, _ = await hub.call(
            "POST", f"/api/broadcasts/{made['id']}/activate-cdn", headers=admin()
        )
        assert (status, refused["code"]) == (409, "hls_disabled")
        play = await hub.ok("GET", f"/api/broadcasts/{made['id']}/play?role=passive", headers=bearer(made))
        assert (play["mode"], play["hls"]) == ("webrtc", None)


async def test_a_person_comes_back_to_the_session_it_had(hub: Running, cluster: Nodes) -> None:
    origins = [await cluster.start(f"o{n}", Role.ORIGIN, hub, avatar=True) for n in (1, 2)]
    first = await place(hub, *origins, user="zoe")
    other = await place(hub, *origins, user="max")
    again = await place(hub, *origins, user="zoe")
    assert (again["id"], again["origin"], again["is_new"]) == (first["id"], first["origin"], False)
    assert other["id"] != first["id"]
    unnamed = [await place(hub, *origins) for _ in range(2)]
    assert unnamed[0]["id"] != unnamed[1]["id"], "nobody in particular is not somebody"


@pytest.mark.parametrize("full", [False, True])
async def test_where_no_origin_takes_it_nothing_is_left_behind(
    hub: Running, cluster: Nodes, full: bool
) -> None:
    if full:
        origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, avatars_free=0)

        async def refusing() -> None:
            while True:
                origin.report.avatars_refused = list(origin.directory.broadcasts)
                await origin.beat()
                await asyncio.sleep(0.02)  # as above

        task = asyncio.create_task(refusing())
    status, told, headers = await hub.call("POST", "/api/sessions", json={}, headers=admin())
    assert (status, told["code"]) == (503, "avatars_full" if full else "no_node")
    assert headers["Retry-After"]
    assert (await hub.ok("GET", "/api/sessions", headers=admin()))["sessions"] == []
    assert (await hub.ok("GET", "/api/broadcasts", headers=admin()))["broadcasts"] == []
    if full:
        task.cancel()


async def test_a_session_whose_origin_dies_goes_on_elsewhere_with_its_dialogue(
    hub: Running, cluster: Nodes
) -> None:
    one = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    made = await place(hub, one, user="zoe")
    name = made["id"]
    one.dialogues[name] = Dialogue(count=2, said=SAID)
    history = f"/api/sessions/{name}/history"
    told = await hub.ok("GET", history, headers=bearer(made))
    assert [line["text"] for line in told["said"]] == ["I am Zoe.", "Hello Zoe."]
    assert not one.directory.broadcasts[name].dialogue, "it knows what it was there for"

    two = await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
    await one.vanish()

    async def moved() -> bool:
        return name in two.directory.broadcasts

    await until(moved, 60)
    assert [said.text for said in two.directory.broadcasts[name].dialogue] == ["I am Zoe.", "Hello Zoe."]
    kept = await hub.ok("GET", history, headers=bearer(made))
    assert kept == told, "also while nobody runs it"


async def test_a_session_that_nobody_comes_back_to_ends(hub: Running, cluster: Nodes) -> None:
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    left = await place(hub, origin, user="zoe", ttl_s=600)
    used = await place(hub, origin, user="max", ttl_s=600)
    watched = await place(hub, origin, ttl_s=600)
    origin.stream(watched["id"], subscribers_interactive=1)
    await origin.beat()
    at = hub.role.app[CONTEXT]
    await at.hub.tick()
    real = at.sessions.now
    at.sessions.now = lambda: real() + dt.timedelta(seconds=590)
    await hub.ok("POST", f"/api/sessions/{used['id']}/ask", json={"text": "Hi"}, headers=bearer(used))
    await at.keeper.round()
    at.sessions.now = lambda: real() + dt.timedelta(seconds=700)
    await at.keeper.round()
    assert {one.id for one in at.sessions} == {used["id"], watched["id"]}
    assert (await hub.call("GET", f"/api/broadcasts/{left['id']}", headers=admin()))[0] == 404


async def test_sessions_and_what_was_said_outlive_their_orchestrator(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path) as first:
        origin = await cluster.start("o1", Role.ORIGIN, first, avatar=True)
        made = await place(first, origin, user="zoe")
        origin.dialogues[made["id"]] = Dialogue(count=2, said=SAID)
        await first.role.app[CONTEXT].keeper.round()
    async with orchestrator(tmp_path) as second:
        told = await second.ok("GET", f"/api/sessions/{made['id']}/history", headers=bearer(made))
        assert [line["text"] for line in told["said"]] == ["I am Zoe.", "Hello Zoe."]
        assert second.role.app[CONTEXT].sessions.of_user("zoe") is not None


@pytest.mark.parametrize(
    "body", [{"avatar": "../x"}, {"ttl_s": 1}, {"ttl_s": 1e9}, {"user": ""}, {"user": "x" * 65}, {"who": 1}]
)
async def test_a_broken_wish_is_refused(hub: Running, body: dict[str, Any]) -> None:
    assert (await hub.call("POST", "/api/sessions", json=body, headers=admin()))[0] == 422
    assert (await hub.call("POST", "/api/sessions", json={}))[0] == 401
