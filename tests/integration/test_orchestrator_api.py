"""The orchestrator's HTTP surface over real sockets: who may what, how to watch, errors with their codes."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from common.auth import Audience, Tokens, ear_subject
from common.directory import Role
from common.errors import Forbidden
from common.signing import PublicKey
from orchestrator.app import ROUTES
from tests.harness.cluster import ADMIN, Nodes, Running, admin, eventually, orchestrator, token
from tests.harness.lone_origin import until


async def make(hub: Running, **facts: Any) -> dict[str, Any]:
    body = {"id": "demo", "public": True, "avatar": "ava", "open_mic": True, **facts}
    made: dict[str, Any] = await hub.ok("POST", "/api/broadcasts", json=body, headers=admin())
    return made


async def refused(hub: Running, method: str, path: str, **options: Any) -> tuple[int, str]:
    """Status and code of an answer that must be a problem+json."""
    status, body, headers = await hub.call(method, path, **options)
    assert headers["Content-Type"].startswith("application/problem+json"), (status, body)
    assert body["status"] == status
    assert body["detail"]
    assert headers["Access-Control-Allow-Origin"] == "*"
    return status, body["code"]


# broadcasts -----------------------------------------------------------------------------------------------------------


async def test_a_broadcast_is_made_with_all_that_its_publisher_needs(hub: Running) -> None:
    made = await make(hub, title="Town hall")
    assert (made["id"], made["title"], made["live"], made["viewers"]) == ("demo", "Town hall", False, 0)
    assert made["whip"] == f"{hub.url}/whip/demo"
    assert made["whep"] == f"{hub.url}/whep/demo"
    assert made["token"].count(".") == 2
    read = await hub.ok("GET", "/api/broadcasts/demo")
    assert read["title"] == "Town hall"
    assert "token" not in read


async def test_broadcasts_survive_a_restart_of_the_orchestrator(tmp_path: Path) -> None:
    async with orchestrator(tmp_path) as first:
        await make(first, id="kept")
        await make(first, id="over")
        await first.ok("DELETE", "/api/broadcasts/over", headers=admin())
    async with orchestrator(tmp_path) as second:
        assert (await second.ok("GET", "/api/broadcasts/kept"))["id"] == "kept"
        assert await refused(second, "GET", "/api/broadcasts/over") == (404, "broadcast_unknown")


async def test_an_id_is_taken_while_its_broadcast_lasts(hub: Running) -> None:
    await make(hub)
    body = {"id": "demo"}
    assert await refused(hub, "POST", "/api/broadcasts", json=body, headers=admin()) == (
        409,
        "broadcast_exists",
    )
    await hub.ok("DELETE", "/api/broadcasts/demo", headers=admin())
    await make(hub, title="again")
    assert (await hub.ok("GET", "/api/broadcasts/demo"))["title"] == "again"


async def test_of_a_hundred_who_want_one_id_one_gets_it(hub: Running) -> None:
    answers = await asyncio.gather(
        *(hub.call("POST", "/api/broadcasts", json={"id": "demo"}, headers=admin()) for _ in range(100))
    )
    assert sorted(status for status, _, _ in answers) == [201] + [409] * 99


@pytest.mark.parametrize(
    "body",
    [
        {"id": "UPPER"},
        {"id": "../etc"},
        {"id": "-dash"},
        {"id": "a" * 65},
        {"id": ""},
        {"title": "x" * 201},
        {"public": "perhaps"},
        {"avatar": "../ava"},
        {"persona": "x" * 4001},
        {"unknown": 1},
        [],
        5,
        "text",
    ],
)
async def test_a_broken_broadcast_is_refused_with_the_field_named(hub: Running, body: Any) -> None:
    assert await refused(hub, "POST", "/api/broadcasts", json=body, headers=admin()) == (422, "invalid_body")


async def test_what_is_no_json_or_too_large_is_refused(hub: Running) -> None:
    for data, answer in (
        (b"{", (400, "bad_json")),
        (b"\xff\xfe", (400, "bad_json")),
        (b"x" * 300_000, (413, "body_too_large")),
    ):
        assert await refused(hub, "POST", "/api/broadcasts", data=data, headers=admin()) == answer


async def test_lists_come_in_pages_and_hide_private_broadcasts_from_viewers(hub: Running) -> None:
    for index in range(5):
        await make(hub, id=f"b{index}", public=index % 2 == 0)
    assert [one["id"] for one in (await hub.ok("GET", "/api/broadcasts"))["broadcasts"]] == ["b0", "b2", "b4"]
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = await hub.ok("GET", f"/api/broadcasts?limit=2&after={after}", headers=admin())
        found += [one["id"] for one in page["broadcasts"]]
        after = page["next"]
    assert found == ["b0", "b1", "b2", "b3", "b4"]
    assert await refused(hub, "GET", "/api/broadcasts?limit=0") == (422, "invalid_query")


# who may --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/broadcasts"),
        ("DELETE", "/api/broadcasts/demo"),
        ("POST", "/api/broadcasts/demo/tokens"),
        ("POST", "/api/broadcasts/demo/activate-cdn"),
        ("POST", "/api/broadcasts/demo/deactivate-cdn"),
        ("POST", "/api/broadcasts/demo/automatic-cdn"),
        ("GET", "/api/broadcasts/demo/placement"),
        ("GET", "/api/nodes"),
        ("POST", "/api/nodes/o1/drain"),
        ("DELETE", "/api/nodes/o1/drain"),
        ("GET", "/api/events"),
    ],
)
async def test_only_operators_may_steer(hub: Running, method: str, path: str) -> None:
    await make(hub)
    assert await refused(hub, method, path) == (401, "unauthorized")
    wrong = token(Audience.PUBLISHER, "demo")
    assert await refused(hub, method, path, headers=wrong) == (403, "wrong_token")
    assert await refused(hub, method, path, headers={"Authorization": "Basic eDp5"}) == (401, "unauthorized")


async def test_every_route_of_operators_and_nodes_is_closed_to_others(hub: Running) -> None:
    for route in ROUTES:
        if route.access in ("admin", "node", "publisher"):
            await hub.call("POST", "/api/broadcasts", json={"id": "demo"}, headers=admin())
            path = re.sub(r"\{\w+\}", "demo", route.path)
            assert (await refused(hub, route.method, path))[0] == 401, route.path


async def test_a_private_broadcast_is_watched_with_its_token_only(hub: Running, cluster: Nodes) -> None:
    await make(hub, id="secret", public=False, open_mic=True)
    await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    for path in ("", "/play", "/stats", "/events", "/delivery"):
        where = f"/api/broadcasts/secret{path}"
        assert await refused(hub, "GET", where) == (401, "unauthorized")
        assert await refused(hub, "GET", where, headers=token(Audience.VIEWER, "demo")) == (
            403,
            "wrong_token",
        )
    late = token(Audience.VIEWER, "secret", ttl_s=-10)
    assert await refused(hub, "GET", "/api/broadcasts/secret/play", headers=late) == (401, "token_expired")
    issued = await hub.ok("POST", "/api/broadcasts/secret/tokens", json={"ttl_s": 60}, headers=admin())
    mine = {"Authorization": f"Bearer {issued['token']}"}
    await cluster.start("p1", Role.PACKAGER, hub)
    await hub.ok("POST", "/api/broadcasts/secret/activate-cdn", headers=admin())
    play = await hub.ok("GET", "/api/broadcasts/secret/play", headers=mine)
    assert play["token"]
    seen = await hub.ok("GET", "/api/broadcasts/secret", headers=mine)
    told = re.search(r"/hls/t/([0-9]+)\.[0-9a-f]{32}/secret/index\.m3u8$", seen["hls"])
    assert told and 6 * 3600 - 60 < int(told[1]) - time.time() <= 7 * 3600
    again = {"Authorization": f"Bearer {play['token']}"}
    assert (await hub.ok("GET", "/api/broadcasts/secret/stats", headers=again))["listeners"]["total"] == 0


# watching -------------------------------------------------------------------------------------------------------------


async def test_play_names_the_origin_of_a_small_broadcast(hub: Running, cluster: Nodes) -> None:
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, region="eu-west-1")
    play = await hub.ok("GET", "/api/broadcasts/demo/play?role=passive")
    assert play["mode"] == "webrtc"
    assert play["whep"] == f"{origin.report.url}/whep/demo"
    assert (play["node"], play["region"], play["broadcast"], play["role"]) == (
        "o1",
        "eu-west-1",
        "demo",
        "passive",
    )
    assert play["viewer"].startswith("v_")
    again = await hub.ok("GET", f"/api/broadcasts/demo/play?viewer={play['viewer']}")
    assert again["viewer"] == play["viewer"]


async def test_a_viewer_in_the_lan_gets_urls_that_it_can_reach(hub: Running, cluster: Nodes) -> None:
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    port = origin.report.url.split(":")[2].split("/")[0]
    lan = {"Host": "192.168.7.5:8080"}
    play = await hub.ok("GET", "/api/broadcasts/demo/play", headers=lan)
    assert play["whep"] == f"http://192.168.7.5:{port}/n/o1/whep/demo"
    assert play["report"].startswith("http://192.168.7.5:8080/api/v1/viewers/")
    hostile = await hub.ok("GET", "/api/broadcasts/demo/play", headers={"Host": 'evil"><script>'})
    assert "script" not in json.dumps(hostile)


async def test_a_node_in_the_same_process_is_reached_through_the_name_that_the_viewer_used(
    hub: Running, cluster: Nodes
) -> None:
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    origin.report.url = f"{hub.url}/n/origin"
    await origin.beat()
    play = await hub.ok("GET", "/api/broadcasts/demo/play", headers={"Host": "talk.example"})
    assert play["whep"] == "http://talk.example/n/origin/whep/demo"


@pytest.mark.parametrize("verb", ["whep", "whip"])
async def test_plain_clients_are_redirected_with_method_and_query(
    hub: Running, cluster: Nodes, verb: str
) -> None:
    made = await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {made['token']}"}
    status, _, answer = await hub.call("POST", f"/{verb}/demo?layers=all", data="v=0", headers=headers)
    assert status == 307
    assert answer["Location"] == f"{origin.report.url}/{verb}/demo?layers=all"
    assert answer["Access-Control-Allow-Origin"] == "*"
    status, _, answer = await hub.call("OPTIONS", f"/{verb}/demo")
    assert status == 200
    assert "POST" in answer["Access-Control-Allow-Methods"]
    assert answer["Accept-Post"] == "application/sdp"


async def test_publishing_needs_a_token_even_when_watching_does_not(hub: Running, cluster: Nodes) -> None:
    await make(hub)
    await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    assert await refused(hub, "POST", "/whip/demo") == (401, "unauthorized")
    wrong = token(Audience.PUBLISHER, "other")
    assert await refused(hub, "POST", "/whip/demo", headers=wrong) == (403, "wrong_token")
    viewer = token(Audience.VIEWER, "demo")
    assert await refused(hub, "POST", "/whip/demo", headers=viewer) == (403, "wrong_token")


async def test_without_a_node_the_answer_is_503_with_a_time_to_come_again(
    hub: Running, cluster: Nodes
) -> None:
    await make(hub)
    for method, path in (("GET", "/api/broadcasts/demo/play"), ("POST", "/whep/demo")):
        status, body, headers = await hub.call(method, path)
        assert (status, body["code"]) == (503, "no_node")
        assert int(headers["Retry-After"]) >= 1
    full = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, capacity=1)
    full.stream(subscribers_interactive=1)
    await full.beat()
    _, body, _ = await hub.call("GET", "/api/broadcasts/demo/play")
    assert "o1 is full" in body["detail"]


async def test_an_avatar_goes_where_there_is_room_and_away_from_who_refuses_it(
    hub: Running, cluster: Nodes
) -> None:
    one = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, avatars_free=0)
    two = await cluster.start("o2", Role.ORIGIN, hub, avatar=True, avatars_free=2)
    made = await make(hub, open_mic=False)
    publisher = {"Authorization": f"Bearer {made['token']}"}

    async def runs_it() -> str:
        answer = await hub.ok("POST", "/api/broadcasts/demo/say", json={"text": "Hello"}, headers=publisher)
        return str(answer["origin"])

    assert await runs_it() == "o2"
    one.report.avatars_free = 1
    await one.beat()
    assert await runs_it() == "o2", "it stays while nobody refuses it"
    two.report.avatars_free, two.report.avatars_refused = 0, ["demo"]
    await two.beat()

    async def moved() -> bool:
        return await runs_it() == "o1"

    await until(moved)
    one.report.avatars_free, one.report.avatars_refused = 0, ["demo"]
    await one.beat()
    assert await runs_it() == "o1", "nobody has room: it stays, and its origin says why"


async def test_what_does_not_exist_is_said_to_be_unknown(hub: Running) -> None:
    for method, path in (
        ("GET", "/api/broadcasts/nope"),
        ("GET", "/api/broadcasts/nope/play"),
        ("POST", "/whep/nope"),
        ("POST", "/whip/nope"),
        ("POST", "/api/broadcasts/nope/say"),
        ("GET", "/api/broadcasts/%2e%2e%2fetc"),
    ):
        assert await refused(hub, method, path) == (404, "broadcast_unknown"), path
    assert await refused(hub, "POST", "/api/nodes/nope/drain", headers=admin()) == (404, "node_unknown")
    assert await refused(hub, "GET", "/nowhere") == (404, "not_found")
    assert await refused(hub, "PUT", "/api/broadcasts") == (405, "method_not_allowed")


@pytest.mark.parametrize("query", ["role=king", "viewer=a%20b", "viewer=" + "x" * 65, "exclude=" + "x" * 600])
async def test_a_broken_query_is_refused(hub: Running, query: str) -> None:
    await make(hub)
    assert await refused(hub, "GET", f"/api/broadcasts/demo/play?{query}") == (422, "invalid_query")


# talking --------------------------------------------------------------------------------------------------------------


async def test_words_reach_the_origin_that_runs_the_avatar(hub: Running, cluster: Nodes) -> None:
    made = await make(hub, open_mic=False)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    await cluster.start("o2", Role.ORIGIN, hub, avatar=True)
    publisher = {"Authorization": f"Bearer {made['token']}"}
    for verb in ("say", "ask", "interrupt"):
        taken = await hub.ok(
            "POST", f"/api/broadcasts/demo/{verb}", json={"text": "Hello"}, headers=publisher
        )
        assert (taken["origin"], taken["queued"]) == ("o1", len(origin.lines))
    assert [(verb, line.broadcast) for verb, line in origin.lines] == [
        ("say", "demo"),
        ("ask", "demo"),
        ("interrupt", "demo"),
    ]
    assert origin.lines[0][1].text == "Hello"
    assert await refused(hub, "POST", "/api/broadcasts/demo/say", json={"text": "x"}) == (401, "unauthorized")


async def test_a_host_sees_and_steers_the_desk_of_the_origin_that_runs_the_avatar(
    hub: Running, cluster: Nodes
) -> None:
    made = await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    publisher = {"Authorization": f"Bearer {made['token']}"}
    desk = "/api/broadcasts/demo/desk"
    assert await refused(hub, "GET", desk) == (401, "unauthorized"), "an open mic opens no desk"
    assert (await hub.ok("GET", desk, headers=publisher))["held"] == []
    await hub.ok("POST", f"{desk}/lines/1/approve", headers=publisher)
    await hub.ok("DELETE", f"{desk}/lines/1", headers=publisher)
    script = {"cues": [{"at_s": 0, "text": "Hello"}, {"at_s": 2.5, "text": "Bye"}]}
    await hub.ok("PUT", f"{desk}/script", json=script, headers=publisher)
    await hub.ok("DELETE", f"{desk}/script", headers=publisher)
    assert [verb for verb, _ in origin.orders] == ["", "approve", "drop", "play", "stop"]
    assert origin.orders[1][1].number == 1
    assert [(cue.at_s, cue.text) for cue in origin.orders[3][1].cues] == [(0, "Hello"), (2.5, "Bye")]
    for line in ("2", "0", "x", "-1", "9" * 40):
        unknown = await refused(hub, "DELETE", f"{desk}/lines/{line}", headers=publisher)
        assert unknown == (404, "line_unknown"), line
    backwards = {"cues": [{"at_s": 2, "text": "b"}, {"at_s": 1, "text": "a"}]}
    assert (await refused(hub, "PUT", f"{desk}/script", json=backwards, headers=publisher))[0] == 422
    await hub.ok("POST", "/api/broadcasts/demo/say", json={"text": "Fire", "now": True}, headers=publisher)
    assert origin.lines[-1][1].now


async def test_in_a_moderated_broadcast_visitors_may_only_ask(hub: Running, cluster: Nodes) -> None:
    made = await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    publisher = {"Authorization": f"Bearer {made['token']}"}
    assert await refused(hub, "PATCH", "/api/broadcasts/demo", json={"moderated": True}) == (
        401,
        "unauthorized",
    )
    changed = await hub.ok(
        "PATCH", "/api/broadcasts/demo", json={"moderated": True, "title": "Panel"}, headers=publisher
    )
    assert (changed["moderated"], changed["title"], changed["open_mic"]) == (True, "Panel", True)

    async def told() -> bool:
        return origin.directory is not None and origin.directory.broadcasts["demo"].moderated

    await until(told)
    for verb in ("say", "interrupt"):
        where = f"/api/broadcasts/demo/{verb}"
        assert await refused(hub, "POST", where, json={"text": "x"}) == (403, "moderated")
        await hub.ok("POST", where, json={"text": "x"}, headers=publisher)
    await hub.ok("POST", "/api/broadcasts/demo/ask", json={"text": "Why?"})
    wrong = {"moderated": "yes"}
    assert (await refused(hub, "PATCH", "/api/broadcasts/demo", json=wrong, headers=publisher))[0] == 422


async def test_an_ear_is_granted_to_who_may_talk_and_for_one_viewer(hub: Running, cluster: Nodes) -> None:
    made = await make(hub, open_mic=False)
    where = "/api/broadcasts/demo/ears"
    assert await refused(hub, "POST", where, json={}) == (401, "unauthorized")
    publisher = {"Authorization": f"Bearer {made['token']}"}
    assert (await hub.call("POST", where, json={}, headers=publisher))[0] == 503, "no origin is there"
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    grant = await hub.ok("POST", where, json={"viewer": "v_anna"}, headers=publisher)
    assert grant["whip"].endswith("/ears/demo") and grant["viewer"] == "v_anna"
    assert urlsplit(grant["whip"]).port == urlsplit(origin.report.url).port, "at the origin itself"
    verifier = Tokens("")
    keys = (await hub.ok("GET", "/.well-known/jwks.json"))["keys"]
    verifier.learn(PublicKey.model_validate(one) for one in keys)
    claims = verifier.verify(grant["token"], Audience.EAR)
    assert ear_subject(claims, "demo") == "v_anna"
    with pytest.raises(Forbidden):
        ear_subject(claims, "other")
    other = await hub.ok("POST", where, json={}, headers=publisher)
    assert other["viewer"] not in ("", "v_anna")
    assert (await hub.call("POST", where, json={"viewer": "a/b"}, headers=publisher))[0] == 422
    await make(hub, id="film", avatar=None)
    assert await refused(hub, "POST", "/api/broadcasts/film/ears", json={}) == (409, "no_avatar")


@pytest.mark.parametrize("text", ["", "x" * 2001, None, 5])
async def test_words_have_bounds(hub: Running, cluster: Nodes, text: Any) -> None:
    await make(hub)
    await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    assert await refused(hub, "POST", "/api/broadcasts/demo/say", json={"text": text}) == (
        422,
        "invalid_body",
    )


async def test_an_open_mic_has_a_limit_for_each_address(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, talk_limit="3/minute", trusted_proxies=["127.0.0.1"]) as hub:
        made = await make(hub)
        await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
        where, words = "/api/broadcasts/demo/say", {"text": "x"}
        for _ in range(3):
            await hub.ok("POST", where, json=words)
        status, body, headers = await hub.call("POST", where, json=words)
        assert (status, body["code"]) == (429, "talk_limit")
        assert 1 <= int(headers["Retry-After"]) <= 60
        await hub.ok("POST", where, json=words, headers={"X-Forwarded-For": "198.51.100.7"})
        await hub.ok("POST", where, json=words, headers={"Authorization": f"Bearer {made['token']}"})


async def test_an_origin_that_is_gone_is_told_as_such(hub: Running, cluster: Nodes) -> None:
    await make(hub)
    where, words = "/api/broadcasts/demo/say", {"text": "x"}
    assert await refused(hub, "POST", where, json=words) == (503, "no_node")
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    await origin.vanish()
    assert await refused(hub, "POST", where, json=words) == (503, "origin_unreachable")
    await make(hub, id="film", avatar=None)
    assert await refused(hub, "POST", "/api/broadcasts/film/say", json=words) == (409, "no_avatar")


# nodes ----------------------------------------------------------------------------------------------------------------


async def test_a_node_speaks_for_itself_only(hub: Running) -> None:
    report = {"id": "r1", "role": "relay", "url": "http://r1:1", "epoch": 1}
    where = "/api/v1/worker/register"
    assert await refused(hub, "POST", where, json=report) == (401, "unauthorized")
    assert await refused(hub, "POST", where, json=report, headers=token(Audience.NODE, "r2")) == (
        403,
        "wrong_token",
    )
    assert await refused(hub, "POST", where, json=report, headers=token(Audience.VIEWER, "r1")) == (
        403,
        "wrong_token",
    )
    mine = token(Audience.NODE, "r1")
    for broken in (
        {"url": "file:///etc"},
        {"role": "king"},
        {"epoch": -1},
        {"streams": [{"loss_ratio": 7, "stream": "x"}]},
    ):
        status, code = await refused(hub, "POST", where, json=report | broken, headers=mine)
        assert (status, code) == (422, "invalid_body")
    assert (await hub.ok("POST", where, json=report, headers=mine))["broadcasts"] == {}


async def test_two_processes_with_one_node_id_do_not_fight(hub: Running, cluster: Nodes) -> None:
    old = await cluster.start("r1", Role.RELAY, hub)
    new = await cluster.start("r1", Role.RELAY, hub)
    assert new.report.epoch > old.report.epoch
    assert await old.beat() == 409
    assert await new.beat() == 200
    assert [one["url"] for one in (await hub.ok("GET", "/api/nodes", headers=admin()))["nodes"]] == [
        new.report.url
    ]


async def test_changes_reach_nodes_at_once(hub: Running, cluster: Nodes) -> None:
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    relay = await cluster.start("r1", Role.RELAY, hub)
    for one in (origin, relay):
        await one.mute()  # only pushes from here on
    await make(hub, persona="a guide")
    await eventually(
        lambda: "demo" in origin.directory.broadcasts, "the origin learns that it runs the broadcast", 20
    )
    await eventually(lambda: "demo" in relay.directory.broadcasts, "the relay learns of it", 20)
    mine = origin.directory.broadcasts["demo"]
    assert (mine.avatar, mine.persona, mine.public) == ("ava", "a guide", True)
    assert relay.directory.broadcasts["demo"].upstreams == [f"{origin.report.url}/whep/demo"]
    await hub.ok("DELETE", "/api/broadcasts/demo", headers=admin())
    await eventually(lambda: not origin.directory.broadcasts, "the origin learns of its end", 20)
    versions = [one.version for one in origin.received]
    assert versions == sorted(versions)


async def test_a_drained_node_gets_no_viewer_and_hears_of_it(hub: Running, cluster: Nodes) -> None:
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    await hub.ok("POST", "/api/nodes/o1/drain", headers=admin())
    await eventually(lambda: origin.directory.draining, "the node learns that it drains", 1)
    _, body, _ = await hub.call("GET", "/api/broadcasts/demo/play")
    assert "o1 is draining" in body["detail"]
    await hub.ok("DELETE", "/api/nodes/o1/drain", headers=admin())
    await hub.ok("GET", "/api/broadcasts/demo/play")
    await eventually(lambda: not origin.directory.draining, "the node learns that it need not", 1)


# documents ------------------------------------------------------------------------------------------------------------


async def test_every_route_is_in_the_openapi_document_and_nothing_else(hub: Running) -> None:
    document = await hub.ok("GET", "/api/openapi.json")
    assert document["openapi"].startswith("3.1")
    served = {
        (route.method, route.resource.canonical)
        for route in hub.role.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == served
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


async def test_every_reference_in_the_openapi_document_has_its_schema(hub: Running) -> None:
    document = await hub.ok("GET", "/api/openapi.json")
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert "BroadcastState" in names
    assert names <= document["components"]["schemas"].keys()


async def test_the_page_of_the_api_needs_no_other_server(hub: Running) -> None:
    page = await hub.ok("GET", "/docs")
    parts = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', page)
    assert len(parts) >= 3
    for part in parts:
        assert not part.startswith(("http", "//"))
        status, _, headers = await hub.call("GET", f"/{part}")
        assert status == 200, part
        assert int(headers["Content-Length"]) > 500, part
    assert await refused(hub, "GET", "/docs/package.json") == (404, "not_found")
    assert await refused(hub, "GET", "/docs/..%2f..%2fapp.py") == (404, "not_found")


async def test_health_counts_workers_and_metrics_name_what_is_watched(hub: Running, cluster: Nodes) -> None:
    await make(hub)
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True, workers=2)
    await cluster.start("r1", Role.RELAY, hub, workers=4)
    origin.stream(subscribers_interactive=3)
    await origin.beat()
    health = await hub.ok("GET", "/health")
    assert (health["status"], health["workers"]) == ("ok", 6)
    assert health["nodes"] == {"total": 2, "origin": 1, "relay": 1}
    await hub.role.hub.tick()
    text = await hub.ok("GET", "/metrics")
    for line in (
        'avacast_listeners{broadcast="demo",delivery="webrtc"} 3.0',
        'avacast_nodes{role="relay",state="up"} 1.0',
        'avacast_broadcasts{stage="direct"} 1.0',
        "avacast_registry_up 1.0",
    ):
        assert line in text
    stats = await hub.ok("GET", "/api/sfu/stats")
    assert (stats["workers"], stats["transports"], stats["relays"]) == (6, 3, 1)
    same = await hub.ok("GET", "/api/mediasoup/stats")
    assert [one["id"] for one in same["nodes"]] == [one["id"] for one in stats["nodes"]]


async def test_the_end_of_an_orchestrator_does_not_wait_for_those_who_listen(hub: Running) -> None:
    await make(hub)
    listener = await hub.http.get("/api/broadcasts/demo/events")
    assert (await listener.content.readline()).startswith(b"event: state")
    async with asyncio.timeout(2):
        await hub.site.close()
    with pytest.raises((aiohttp.ClientError, web.HTTPException)):
        await hub.http.get("/health")


async def test_an_orchestrator_ends_at_once_whatever_it_is_doing(tmp_path: Path) -> None:
    for turn in range(10):
        async with orchestrator(tmp_path) as hub:
            for _ in range(turn):
                await asyncio.sleep(0)
            hub.role.hub.wake()
            hub.role.hub.changed.set()
            async with asyncio.timeout(2):
                await hub.close()


# scaling --------------------------------------------------------------------------------------------------------------


async def test_wanted_capacity_is_told_with_its_reasons(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(
        tmp_path, scaling_pools=["relay/eu-west-1=2-15", "relay/us-east-1=3-20@asg"]
    ) as hub:
        relay = await cluster.start("r1", Role.RELAY, hub, region="eu-west-1", capacity=100)
        relay.stream(subscribers_passive=230)
        await relay.beat()
        scaler = hub.role.scaler
        scaler.look(hub.role.hub.nodes, time.monotonic())
        told = await hub.ok("GET", "/api/scaling", headers=admin())
        pools = {f"{one['role']}/{one['region']}": one for one in told["pools"]}
        assert told["dry_run"]
        busy, empty = pools["relay/eu-west-1"], pools["relay/us-east-1"]
        assert (busy["wanted"], busy["nodes"], busy["trigger"]) == (3, 1, "places")
        assert (empty["wanted"], empty["nodes"], empty["trigger"], empty["group"]) == (3, 0, "least", "asg")
        first = await hub.ok("GET", "/api/scaling?limit=1", headers=admin())
        assert [one["region"] for one in first["pools"]] == ["eu-west-1"] and first[
            "next"
        ] == "relay/eu-west-1"
        rest = await hub.ok("GET", "/api/scaling", params={"after": first["next"]}, headers=admin())
        assert len(rest["pools"]) == len(told["pools"]) - 1 and rest["next"] is None
        one = await hub.ok("GET", "/api/scaling/relay/eu-west-1", headers=admin())
        assert one["wanted"] == 3
        _, metrics, _ = await hub.call("GET", "/metrics")
        assert 'avacast_scaling_wanted_nodes{region="eu-west-1",role="relay"} 3.0' in metrics
        for path in ("/api/scaling/relay/nowhere", "/api/scaling/cat/eu-west-1"):
            assert await refused(hub, "GET", path, headers=admin()) == (404, "pool_unknown")
        for path in ("/api/scaling", "/api/scaling/relay/eu-west-1"):
            assert await refused(hub, "GET", path) == (401, "unauthorized")

        show = [sys.executable, "-m", "avacast", "scaling", "--server", hub.url, "--token", ADMIN]
        shown = await asyncio.to_thread(
            subprocess.run, [*show, "--json"], capture_output=True, text=True, timeout=50
        )
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["pools"][0]["region"] == busy["region"]
        table = await asyncio.to_thread(subprocess.run, show, capture_output=True, text=True, timeout=50)
        assert "relay/us-east-1" in table.stdout
        bad = await asyncio.to_thread(
            subprocess.run, [*show[:-1], "no token"], capture_output=True, text=True, timeout=50
        )
        assert bad.returncode == 1
        assert "admin token" in bad.stderr


async def test_costs_are_told_by_their_parts(tmp_path: Path) -> None:
    async with orchestrator(tmp_path) as hub:
        told = await hub.ok("GET", "/api/cost", params={"demand": "72,30"}, headers=admin())
        assert told["currency"] == "USD"
        assert told["mix"]["exact"]
        for need, parts in zip((72, 30), told["mix"]["hours"], strict=True):
            assert sum(one["count"] * one["streams"] for one in parts) >= need
        assert [one["listeners"] for one in told["broadcasts"]] == [50, 200, 1000]
        for one in (*told["broadcasts"], *told["curve"]):
            parts = one["avatar"] + one["compute"] + one["egress"] + one["cdn"]
            assert one["total"] == pytest.approx(parts)
            assert one["webrtc"] + one["hls"] == one["listeners"]
        assert 0 < told["user_month"] < told["user_month_target"]
        assert await refused(hub, "GET", "/api/cost") == (401, "unauthorized")
        for bad in ("listeners=", "listeners=x", "listeners=1e9", "listeners=9999999", "hours=0", "hours=nan",
                    "interactive=2", "demand=-1", "demand=" + ",".join("1" * 49), "kbps=0", "spot_share=inf"):  # fmt: skip
            assert await refused(hub, "GET", f"/api/cost?{bad}", headers=admin()) == (422, "invalid_query"), (
                bad
            )
        assert await refused(hub, "GET", "/api/cost?demand=100000", headers=admin()) == (422, "no_mix")
        show = [
            sys.executable,
            "-m",
            "avacast",
            "cost",
            "--server",
            hub.url,
            "--token",
            ADMIN,
            "--demand",
            "72",
        ]
        shown = await asyncio.to_thread(subprocess.run, show, capture_output=True, text=True, timeout=50)
        assert shown.returncode == 0, shown.stderr
        assert "nothing is cheaper" in shown.stdout
        assert "1000" in shown.stdout


async def test_a_broken_file_of_prices_ends_the_start_with_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text("date = 2026-01-01")
    with pytest.raises(ValueError, match=r"AVACAST_PRICES: .*prices.toml: avatars"):
        async with orchestrator(tmp_path, prices=tmp_path / "prices.toml"):
            pass


# twice ----------------------------------------------------------------------------------------------------------------


async def test_a_request_that_is_sent_again_with_its_key_is_answered_and_not_done_again(hub: Running) -> None:
    keyed = {**admin(), "Idempotency-Key": "8f14e45f"}
    wish = {"title": "Once", "public": True}
    first = await hub.call("POST", "/api/broadcasts", json=wish, headers=keyed)
    again = await hub.call("POST", "/api/broadcasts", json=wish, headers=keyed)
    assert first[0] == again[0] == 201 and first[1] == again[1]
    assert again[2]["Location"] == first[2]["Location"] and again[2]["Idempotency-Replayed"] == "true"
    assert len((await hub.ok("GET", "/api/broadcasts", headers=admin()))["broadcasts"]) == 1

    other_body = await refused(hub, "POST", "/api/broadcasts", json={"title": "Other"}, headers=keyed)
    assert other_body == (422, "idempotency_key_reused")
    other_key = await hub.ok(
        "POST", "/api/broadcasts", json=wish, headers={**keyed, "Idempotency-Key": "another"}
    )
    assert other_key["id"] != first[1]["id"]
    for key in ("x" * 201, "\u00e9", " "):
        wrong = {**admin(), "Idempotency-Key": key}
        told = await refused(hub, "POST", "/api/broadcasts", json=wish, headers=wrong)
        assert told == (422, "idempotency_key_invalid"), key


async def test_the_same_key_of_somebody_else_is_another_one(hub: Running) -> None:
    body, keyed = {"title": "Mine"}, {"Idempotency-Key": "k1"}
    assert (await hub.call("POST", "/api/broadcasts", json=body, headers={**admin(), **keyed}))[0] == 201
    assert await refused(hub, "POST", "/api/broadcasts", json=body, headers=keyed) == (401, "unauthorized")


async def test_requests_that_are_under_way_are_not_done_twice_either(hub: Running) -> None:
    keyed = {**admin(), "Idempotency-Key": "at once"}
    calls = [hub.call("POST", "/api/broadcasts", json={"id": "once"}, headers=keyed) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    codes = {(status, body.get("code")) for status, body, _ in answers}
    assert codes <= {(201, None), (409, "request_under_way")} and (201, None) in codes
    assert len((await hub.ok("GET", "/api/broadcasts", headers=admin()))["broadcasts"]) == 1


async def test_what_was_refused_is_refused_again_and_what_failed_may_be_tried(hub: Running) -> None:
    keyed = {**admin(), "Idempotency-Key": "k2"}
    wish = {"avatar": "ava"}
    first = await hub.call("POST", "/api/sessions", json=wish, headers=keyed)
    assert (first[0], first[1]["code"]) == (503, "no_node")
    again = await hub.call("POST", "/api/sessions", json=wish, headers=keyed)
    assert "Idempotency-Replayed" not in again[2], "it was tried again"
