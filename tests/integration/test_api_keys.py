"""API keys over real sockets: each opens what its scopes say and nothing else, within its limits, and its name is in the audit log."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import update

from avacast.client.events import Event, EventReader
from common.auth import Audience
from common.directory import Role
from common.recordings import RecordingView
from orchestrator.api import sessions
from orchestrator.api.route import CONTEXT
from orchestrator.app import ROUTES
from orchestrator.keys import KeyRow, Keys, Scope
from tests.harness.cluster import Nodes, Running, admin, orchestrator, token
from tests.harness.redis_servers import Redis, redis
from tests.integration.test_drain import performing

LOOSE = {"request_limit": "100000/minute", "make_limit": "100000/minute"}


@pytest.fixture
def shared() -> Iterator[Redis]:
    with redis() as server:
        yield server


async def key(hub: Running, *scopes: str, **more: Any) -> tuple[str, dict[str, str]]:
    """A new key: its prefix, and the header that shows it."""
    body = {"name": "App", "scopes": scopes or ["admin"], **more}
    made = await hub.ok("POST", "/api/keys", json=body, headers=admin())
    return made["id"], {"Authorization": f"Bearer {made['secret']}"}


async def said(hub: Running, method: str, path: str, **options: Any) -> tuple[int, str]:
    status, body, _ = await hub.call(method, path, **options)
    return status, body.get("code", "") if isinstance(body, dict) else ""


async def test_each_route_opens_to_its_scope_and_to_no_other(tmp_path: Path) -> None:
    async with orchestrator(tmp_path, **LOOSE) as hub:
        await hub.ok("POST", "/api/broadcasts", json={"id": "demo"}, headers=admin())
        opens = {scope: (await key(hub, scope))[1] for scope in Scope}
        guarded = [one for one in ROUTES if one.access in ("admin", "publisher") and "whip" not in one.path]
        assert len(guarded) > 25
        for route in guarded:
            path = re.sub(r"\{\w+\}", "demo", route.path)
            for scope, header in opens.items():
                if scope in (route.needs, Scope.ADMIN):
                    continue
                status, body, _ = await hub.call(route.method, path, headers=header)
                assert (status, body["code"]) == (403, "scope_missing"), (route.path, scope)
                assert body["scope"] == route.needs.value
            if route.answer != "text/event-stream" and route.method == "GET":
                for scope in (route.needs, Scope.ADMIN):
                    status, code = await said(hub, route.method, path, headers=opens[scope])
                    assert (status, code) != (403, "scope_missing") and status != 401, (route.path, scope)


async def test_a_key_does_what_its_scopes_say(hub: Running, cluster: Nodes) -> None:
    origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    _, maker = await key(hub, "broadcasts")
    _, reader = await key(hub, "read")
    _, speaker = await key(hub, "speak")
    made = await hub.ok(
        "POST", "/api/broadcasts", json={"id": "town", "avatar": "ava", "persona": "p"}, headers=maker
    )
    assert made["token"] and made["id"] == "town"
    listed = (await hub.ok("GET", "/api/broadcasts", headers=reader))["broadcasts"]
    assert [one["id"] for one in listed] == ["town"], "private ones too"
    assert (await hub.ok("GET", "/api/broadcasts"))["broadcasts"] == []
    assert (await hub.ok("GET", "/api/broadcasts", headers=speaker))["broadcasts"] == []
    assert (await hub.ok("GET", "/api/nodes", headers=reader))["nodes"][0]["id"] == "o1"
    assert (await said(hub, "POST", "/api/broadcasts/town/say", json={"text": "Hi"}, headers=speaker))[
        0
    ] == 202
    assert origin.lines[-1][0] == "say"
    for wrong in (maker, reader):
        answer = await said(hub, "POST", "/api/broadcasts/town/say", json={"text": "Hi"}, headers=wrong)
        assert answer == (403, "scope_missing")
    assert await said(hub, "PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=maker) == (200, "")
    assert await said(hub, "DELETE", "/api/broadcasts/town", headers=maker) == (204, "")


async def test_keys_are_made_rotated_and_revoked(hub: Running) -> None:
    made = await hub.ok("POST", "/api/keys", json={"name": "Robot", "scopes": ["read"]}, headers=admin())
    first = {"Authorization": f"Bearer {made['secret']}"}
    where = f"/api/keys/{made['id']}"
    await hub.ok("GET", "/api/nodes", headers=first)
    listed = (await hub.ok("GET", "/api/keys", headers=admin()))["keys"]
    assert [(one["id"], one["name"], one["scopes"]) for one in listed] == [(made["id"], "Robot", ["read"])]
    assert listed[0]["used_at"] is not None
    assert made["secret"] not in str(listed) and "secret" not in listed[0] and "digest" not in str(listed)
    turned = await hub.ok("POST", f"{where}/rotate", json={}, headers=admin())
    second = {"Authorization": f"Bearer {turned['secret']}"}
    for header in (first, second):
        await hub.ok("GET", "/api/nodes", headers=header)
    assert (await hub.ok("GET", where, headers=admin()))["old_used_at"] is not None
    await hub.ok("POST", f"{where}/rotate", json={"grace_s": 0}, headers=admin())
    for header in (first, second):
        assert await said(hub, "GET", "/api/nodes", headers=header) == (401, "key_invalid")
    assert (await hub.call("DELETE", where, headers=admin()))[0] == 204
    for method, path in (("GET", where), ("DELETE", where), ("POST", f"{where}/rotate")):
        assert await said(hub, method, path, headers=admin()) == (404, "key_unknown")
    assert (await hub.ok("GET", "/api/keys", headers=admin()))["keys"] == []


BROKEN: list[dict[str, Any]] = [
    {},
    {"name": "x"},
    {"name": "x", "scopes": []},
    {"name": "x", "scopes": ["root"]},
    {"name": "", "scopes": ["read"]},
    {"name": "a\nb", "scopes": ["read"]},
    {"name": "x" * 101, "scopes": ["read"]},
    {"name": "x", "scopes": ["read"] * 50},
    {"name": "x", "scopes": ["read"], "expires_in_s": 1},
    {"name": "x", "scopes": ["read"], "sessions": 0},
    {"name": "x", "scopes": ["read"], "secret": "mine"},
]


async def test_a_broken_key_is_not_made(hub: Running) -> None:
    for body in BROKEN:
        assert await said(hub, "POST", "/api/keys", json=body, headers=admin()) == (422, "invalid_body"), body
    assert (await hub.ok("GET", "/api/keys", headers=admin()))["keys"] == []


async def test_a_key_that_is_none_is_told_so_wherever_it_is_shown(hub: Running) -> None:
    wrong = {"Authorization": f"Bearer avk_00000000_{'A' * 43}"}
    for path in ("/api/broadcasts", "/api/nodes", "/api/keys", "/api/openapi.json"):
        assert await said(hub, "GET", path, headers=wrong) == (401, "key_invalid")
    _, reader = await key(hub, "read")
    body = {"name": "Mine", "scopes": ["admin"]}
    assert await said(hub, "POST", "/api/keys", json=body, headers=reader) == (403, "scope_missing")


async def test_keys_outlive_their_orchestrator(tmp_path: Path) -> None:
    async with orchestrator(tmp_path) as first:
        name, header = await key(first, "read")
        await first.ok("GET", "/api/nodes", headers=header)
    async with orchestrator(tmp_path) as second:
        await second.ok("GET", "/api/nodes", headers=header)
        assert (await second.ok("GET", f"/api/keys/{name}", headers=admin()))["used_at"] is not None


@asynccontextmanager
async def two_orchestrators(tmp_path: Path, shared: Redis) -> AsyncIterator[tuple[Running, Running]]:
    """Of one cluster: they share Redis and SQL."""
    settings = {"redis_url": shared.url, "database_url": f"sqlite:///{tmp_path / 'shared.db'}"}
    async with (
        orchestrator(tmp_path / "a", **settings) as one,
        orchestrator(tmp_path / "b", **settings) as two,
    ):
        yield one, two


async def test_what_one_orchestrator_revokes_the_other_refuses_within_seconds(
    tmp_path: Path, shared: Redis
) -> None:
    async with two_orchestrators(tmp_path, shared) as (one, two):
        name, header = await key(one, "read")
        async with asyncio.timeout(20):
            while (await two.call("GET", "/api/nodes", headers=header))[0] != 200:  # noqa: ASYNC110 - it reads when it reads
                await asyncio.sleep(0.05)
        await one.ok("DELETE", f"/api/keys/{name}", headers=admin())
        assert await said(one, "GET", "/api/nodes", headers=header) == (401, "key_invalid")
        async with asyncio.timeout(20):
            while await said(two, "GET", "/api/nodes", headers=header) != (401, "key_invalid"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


# what is open ---------------------------------------------------------------------------------------------------------


class Follower:
    """An open event stream, read event by event."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self._reader = EventReader()
        self._came: list[Event] = []

    @classmethod
    async def open(cls, hub: Running, path: str, headers: dict[str, str] | None = None) -> Follower:
        """Opens it, and reads what it begins with."""
        answer = await hub.http.get(path, headers=headers or {})
        assert answer.status == 200, await answer.text()
        made = cls(answer)
        FOLLOWERS.append(made)
        assert (await made.next()).name in ("hello", "state")
        return made

    def close(self) -> None:
        self._answer.close()

    async def next(self) -> Event:
        while not self._came:
            data = await self._answer.content.readany()
            assert data, "the stream has ended"
            self._came = self._reader.read(data)
        return self._came.pop(0)

    async def refusal(self) -> str:
        """The code of the last event; the stream must have ended with it."""
        while (event := await self.next()).name != "refused":
            pass
        assert (self._came, await self._answer.content.read()) == ([], b"")
        return str(event.data["code"])

    async def hears(self, broadcast: str) -> bool:
        """Reads on until a broadcast was changed."""
        while (event := await self.next()).name != "broadcast" or event.data["change"] != "changed":
            assert event.name != "refused", event
        return bool(event.data["id"] == broadcast)


FOLLOWERS: list[Follower] = []


@pytest.fixture(autouse=True)
async def followers_end() -> AsyncIterator[None]:
    yield
    while FOLLOWERS:
        FOLLOWERS.pop().close()


def keys_of(hub: Running) -> Keys:
    return hub.role.app[CONTEXT].keys


async def test_a_revoked_key_hears_no_more_and_all_others_go_on(hub: Running) -> None:
    name, mine = await key(hub, "read")
    _, other = await key(hub, "read")
    await hub.ok("POST", "/api/broadcasts", json={"id": "town", "public": True}, headers=admin())
    viewer = token(Audience.VIEWER, "town")
    of_town = "/api/broadcasts/town/events"
    ends = [await Follower.open(hub, path, mine) for path in ("/api/events", of_town)]
    goes_on = [
        await Follower.open(hub, path, who)
        for path, who in (
            ("/api/events", other),
            ("/api/events", admin()),
            (of_town, other),
            (of_town, viewer),
            (of_town, None),
        )
    ]
    await hub.ok("DELETE", f"/api/keys/{name}", headers=admin())
    # Of what happens after the key was revoked it hears nothing, although its streams have not been read since.
    await hub.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=admin())
    for one in ends:
        assert await one.refusal() == "key_invalid"
    for one in goes_on:
        assert await one.hears("town")


async def test_what_one_orchestrator_revokes_ends_the_streams_of_the_other(
    tmp_path: Path, shared: Redis
) -> None:
    async with two_orchestrators(tmp_path, shared) as (one, two):
        name, mine = await key(one, "read")
        _, other = await key(one, "read")
        await keys_of(two).refresh()
        ends, goes_on = [await Follower.open(two, "/api/events", who) for who in (mine, other)]
        await one.ok("DELETE", f"/api/keys/{name}", headers=admin())
        assert await ends.refusal() == "key_invalid"
        await two.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
        await two.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=admin())
        assert await goes_on.hears("town")


async def test_a_stream_ends_with_the_secret_that_opened_it(hub: Running) -> None:
    keys, began = keys_of(hub), dt.datetime.now(dt.UTC)
    _, short = await key(hub, "read", expires_in_s=60)
    name, old = await key(hub, "read")
    hers, other = await key(hub, "read")
    expiring, by_old = [await Follower.open(hub, "/api/events", who) for who in (short, old)]
    made = await hub.ok("POST", f"/api/keys/{name}/rotate", json={"grace_s": 3600}, headers=admin())
    by_new = await Follower.open(hub, "/api/events", {"Authorization": f"Bearer {made['secret']}"})
    at_once = await Follower.open(hub, "/api/events", other)
    await hub.ok("POST", f"/api/keys/{hers}/rotate", json={"grace_s": 0}, headers=admin())
    assert await at_once.refusal() == "key_invalid"
    keys.now = lambda: began + dt.timedelta(seconds=1800)
    assert await expiring.refusal() == "key_expired"
    keys.now = lambda: began + dt.timedelta(seconds=7200)
    assert await by_old.refusal() == "key_expired"
    await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    await hub.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=admin())
    assert await by_new.hears("town")


async def test_a_key_that_may_less_hears_less(hub: Running) -> None:
    lost, without = await key(hub, "read", "speak")
    narrow, mine = await key(hub, "read")
    for name in ("town", "shop-1"):
        await hub.ok("POST", "/api/broadcasts", json={"id": name}, headers=admin())
    unscoped, all_of_it, of_town = [
        await Follower.open(hub, path, who)
        for path, who in (
            ("/api/events", without),
            ("/api/events", mine),
            ("/api/broadcasts/town/events", mine),
        )
    ]
    keys = keys_of(hub)
    async with keys._database.session() as session:
        await session.execute(update(KeyRow).where(KeyRow.id == lost).values(scopes="speak"))
        await session.execute(update(KeyRow).where(KeyRow.id == narrow).values(only_names="shop-*"))
    await keys.refresh()
    assert await unscoped.refusal() == "scope_missing"
    assert await of_town.refusal() == "key_limited"
    for name in ("town", "shop-1"):
        await hub.ok("PATCH", f"/api/broadcasts/{name}", json={"title": "T"}, headers=admin())
    assert await all_of_it.hears("shop-1")


async def test_a_viewers_stream_ends_with_its_token(hub: Running) -> None:
    await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    path = "/api/broadcasts/town/events"
    issue = "/api/broadcasts/town/tokens"
    long = (await hub.ok("POST", issue, json={}, headers=admin()))["token"]
    goes_on = await Follower.open(hub, path, {"Authorization": f"Bearer {long}"})
    brief = await Follower.open(hub, path, token(Audience.VIEWER, "town", ttl_s=6))
    assert await brief.refusal() == "token_expired"
    await hub.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=admin())
    assert await goes_on.hears("town")
    await hub.ok("POST", "/api/signing-keys/renew", headers=admin())
    assert await goes_on.refusal() == "token_invalid", "all tokens that were out have ended"


async def test_who_followed_a_public_broadcast_hears_nothing_of_a_private_one_by_its_name(
    hub: Running,
) -> None:
    name, path = {"id": "town"}, "/api/broadcasts/town/events"
    await hub.ok("POST", "/api/broadcasts", json={**name, "public": True}, headers=admin())
    anybody, viewer = (
        await Follower.open(hub, path),
        await Follower.open(hub, path, token(Audience.VIEWER, "town")),
    )
    await hub.ok("DELETE", "/api/broadcasts/town", headers=admin())
    await hub.ok("POST", "/api/broadcasts", json={**name, "public": False}, headers=admin())
    await hub.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=admin())
    told = []
    while (event := await anybody.next()).name != "refused":
        told.append(event.data.get("change"))
    assert event.data["code"] == "unauthorized" and "created" not in told and "changed" not in told
    assert await viewer.hears("town")


async def test_a_session_that_waits_for_its_avatar_ends_with_its_key(
    hub: Running, cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CONNECT_S", 60.0)
    await cluster.start("o1", Role.ORIGIN, hub, avatar=True)  # and takes its time
    name, mine = await key(hub, "sessions")
    made = asyncio.create_task(hub.call("POST", "/api/sessions", json={}, headers=mine))
    with hub.role.hub.feed.reader(None) as changes:
        while (event := await changes.get()) is None or event.data.get("change") != "created":
            pass
    await hub.ok("DELETE", f"/api/keys/{name}", headers=admin())
    status, body, _ = await made
    assert (status, body["code"]) == (401, "key_invalid")
    assert (await hub.ok("GET", "/api/sessions", headers=admin()))["sessions"] == []


# limits ---------------------------------------------------------------------------------------------------------------


async def test_ten_are_made_in_a_minute_and_the_refusal_says_which_limit(hub: Running) -> None:
    _, mine = await key(hub, "broadcasts")
    _, other = await key(hub, "broadcasts")
    for number in range(10):
        status, _, told = await hub.call("POST", "/api/broadcasts", json={"id": f"b{number}"}, headers=mine)
        assert status == 201
    assert re.fullmatch(r'"request";r=\d+;t=\d+, "make";r=0;t=\d+', told["RateLimit"])
    assert told["RateLimit-Policy"] == '"request";q=1200;w=60, "make";q=10;w=60'
    status, body, told = await hub.call("POST", "/api/broadcasts", json={"id": "more"}, headers=mine)
    assert (status, body["code"]) == (429, "make_limit")
    assert body["limit"] == {"name": "make", "most": 10, "window_s": 60}
    assert 1 <= int(told["Retry-After"]) <= 60 and told["RateLimit"].startswith('"make";r=0;')
    assert "RateLimit" in told["Access-Control-Expose-Headers"]
    await hub.ok("POST", "/api/broadcasts", json={"id": "more"}, headers=other)
    await hub.ok("GET", "/api/broadcasts")
    assert await said(hub, "DELETE", "/api/broadcasts/b0", headers=mine) == (204, "")


async def test_a_key_has_limits_of_its_own(hub: Running) -> None:
    _, few = await key(hub, "read", requests_per_minute=3)
    for _ in range(3):
        await hub.ok("GET", "/api/nodes", headers=few)
    status, body, _ = await hub.call("GET", "/api/nodes", headers=few)
    assert (status, body["code"], body["limit"]["most"]) == (429, "request_limit", 3)
    _, many = await key(hub, "broadcasts", makes_per_minute=12)
    for number in range(12):
        await hub.ok("POST", "/api/broadcasts", json={"id": f"b{number}"}, headers=many)
    assert await said(hub, "POST", "/api/broadcasts", json={}, headers=many) == (429, "make_limit")
    for number in range(12, 30):
        await hub.ok("POST", "/api/broadcasts", json={"id": f"b{number}"}, headers=admin())


async def test_an_account_has_so_many_sessions_at_once(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, account_sessions=1) as hub:
        origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)

        async def session(header: dict[str, str], user: str) -> tuple[int, Any, Any]:
            made = asyncio.create_task(hub.call("POST", "/api/sessions", json={"user": user}, headers=header))
            while not made.done():
                for one in origin.directory.broadcasts:
                    origin.stream(one)
                await asyncio.sleep(0.02)
            return made.result()

        name, mine = await key(hub, "sessions")
        _, wide = await key(hub, "sessions", sessions=2)
        status, made, _ = await session(mine, "zoe")
        assert (status, made["account"]) == (201, name)
        status, again, _ = await session(mine, "zoe")
        assert (status, again["id"], again["is_new"]) == (201, made["id"], False), "her own is no new one"
        status, body, told = await session(mine, "max")
        assert (status, body["code"], body["limit"]) == (
            429,
            "session_limit",
            {"name": "sessions", "most": 1},
        )
        assert 1 <= int(told["Retry-After"]) <= 60
        status, theirs, _ = await session(wide, "zoe")
        assert status == 201 and theirs["id"] != made["id"], "another account's person of the same name"
        assert (await session(wide, "max"))[0] == 201
        assert (await session(admin(), "ops"))[0] == (201)
        await hub.ok("DELETE", f"/api/sessions/{made['id']}", headers=mine)
        assert (await session(mine, "max"))[0] == 201


# whose ----------------------------------------------------------------------------------------------------------------


def recorded(broadcast: str, number: int) -> RecordingView:
    started = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) - dt.timedelta(minutes=number)
    return RecordingView(
        id=f"r{number:03d}",
        broadcast=broadcast,
        started=started.isoformat(),
        state="finished",
        duration_s=60,
        size_bytes=1000,
        private=False,
        play=f"/hls/{broadcast}/rec/r{number:03d}/index.m3u8",
    )


async def test_no_route_shows_a_limited_key_what_is_not_its_own(tmp_path: Path, cluster: Nodes) -> None:
    async with orchestrator(tmp_path, account_sessions=5, **LOOSE) as hub:
        origin = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
        packager = await cluster.start("p1", Role.PACKAGER, hub)
        scopes = [scope for scope in Scope if scope not in (Scope.ADMIN, Scope.NODE)]
        _, wide = await key(hub, *scopes)
        _, mine = await key(hub, *scopes, only=["shop-*"])
        async with performing(origin):
            theirs = (await hub.ok("POST", "/api/sessions", json={"user": "zoe"}, headers=wide))["id"]
            own = (await hub.ok("POST", "/api/sessions", json={"user": "zoe"}, headers=mine))["id"]
        for name in ("shop-1", "townhall"):
            body = {"id": name, "public": True, "avatar": "ava"}
            await hub.ok("POST", "/api/broadcasts", json=body, headers=admin())
            origin.stream(name)
            packager.recordings = [*packager.recordings, recorded(name, len(packager.recordings))]
        pulls = [{"stream": "townhall"}, {"stream": "shop-1"}]
        origin.report = origin.report.model_copy(update={"stats": {"pulls": pulls}})
        await origin.beat()
        hidden, known = ("townhall", theirs), ("shop-1", own)

        def told(text: Any) -> tuple[bool, bool]:
            return any(one in str(text) for one in hidden), any(one in str(text) for one in known)

        seen_by = {"all": 0, "mine": 0}
        for route in ROUTES:
            if route.method == "OPTIONS":
                continue
            named = [one for one in ("broadcast", "session") if f"{{{one}}}" in route.path]
            facts = {"broadcast": "townhall", "session": theirs, "node": "o1", "viewer": "v1", "id": "r001"}
            path = re.sub(r"\{(\w+)\}", lambda found, facts=facts: facts.get(found[1], "1"), route.path)
            if named:
                answer = await said(hub, route.method, path, headers=mine)
                assert answer in {(403, "key_limited"), (403, "scope_missing")}, route
                nowhere = re.sub("townhall|" + theirs, "nowhere", path)
                assert answer == await said(hub, route.method, nowhere, headers=mine), "it cannot even ask"
            elif route.method == "GET" and route.answer != "text/event-stream":
                everything, _ = told((await hub.call("GET", path, headers=wide))[1])
                other, its_own = told((await hub.call("GET", path, headers=mine))[1])
                assert not other, route
                seen_by["all"] += everything
                seen_by["mine"] += its_own
        assert seen_by["all"] == seen_by["mine"] >= 5, "broadcasts, sessions, recordings, nodes, SFUs"

        assert not any(told((await hub.ok("GET", "/api/sfu/stats"))["nodes"])), "strangers see no names"

        # What bodies name.
        for method, path, body in (
            ("POST", "/api/broadcasts", {"id": "townhall-2"}),
            ("POST", "/api/broadcasts", {"title": "No name of its own"}),
            ("POST", "/api/v1/viewers/v1", {"broadcast": "townhall", "delivery": "webrtc"}),
        ):
            assert await said(hub, method, path, json=body, headers=mine) == (403, "key_limited"), body
        status, body, _ = await hub.call("DELETE", "/api/broadcasts/townhall", headers=mine)
        assert (status, body["only"]) == (403, ["shop-*"])
        assert "shop-*" in body["detail"] and body["hint"]

        # What is its own goes on as ever.
        assert (await said(hub, "POST", "/api/broadcasts", json={"id": "shop-2"}, headers=mine))[0] == 201
        assert (await said(hub, "PATCH", "/api/broadcasts/shop-1", json={"title": "S"}, headers=mine))[
            0
        ] == 200
        assert (await said(hub, "GET", f"/api/sessions/{own}", headers=mine))[0] == 200
        assert (await said(hub, "DELETE", f"/api/sessions/{own}", headers=mine))[0] == 204


async def test_events_leave_out_what_a_key_is_not_for(hub: Running) -> None:
    _, mine = await key(hub, "read", only=["shop-*"])
    async with hub.http.get("/api/events", headers=mine) as stream:
        assert (await stream.content.readline()) == b"event: hello\n"
        for name in ("townhall", "shop-1"):
            await hub.ok("POST", "/api/broadcasts", json={"id": name}, headers=admin())
        came = b""
        while b"shop-1" not in came:
            came += await stream.content.readline()
        assert b"townhall" not in came


async def test_recordings_of_others_are_passed_over_and_their_names_are_in_no_cursor(
    hub: Running, cluster: Nodes
) -> None:
    packager = await cluster.start("p1", Role.PACKAGER, hub)
    packager.recordings = [
        recorded("shop-1" if number in (3, 47) else "townhall", number) for number in range(60)
    ]
    _, mine = await key(hub, "read", only=["shop-*"])
    found, after = [], ""
    while after is not None:
        page = await hub.ok("GET", "/api/recordings", params={"limit": 2, "after": after}, headers=mine)
        assert "townhall" not in str(page)
        found += [one["id"] for one in page["recordings"]]
        after = page["next"]
    assert found == ["r003", "r047"]


# who did it -----------------------------------------------------------------------------------------------------------


async def test_the_audit_log_names_the_key_and_never_its_secret(hub: Running) -> None:
    name, mine = await key(hub, "broadcasts")
    await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=mine)
    await hub.call("POST", "/api/nodes/o1/drain", headers=mine)
    await hub.ok("DELETE", f"/api/keys/{name}", headers=admin())
    await hub.call("DELETE", "/api/broadcasts/town", headers=mine)
    told = (await hub.ok("GET", "/api/audit", headers=admin()))["entries"]
    assert [(one["actor"], one["key_id"], one["key_name"], one["path"], one["status"]) for one in told] == [
        ("admin", "", "", f"/api/keys/{name}", 204),
        ("key", name, "App", "/api/nodes/o1/drain", 403),
        ("key", name, "App", "/api/broadcasts", 201),
        ("admin", "", "", "/api/keys", 201),
    ]
    secret = mine["Authorization"].removeprefix("Bearer ").removeprefix(f"{name}_")
    assert secret not in str(told)


async def test_a_refused_publisher_is_no_key(hub: Running) -> None:
    await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    wrong = token(Audience.VIEWER, "town")
    assert await said(hub, "PATCH", "/api/broadcasts/town", json={}, headers=wrong) == (403, "wrong_token")
