"""API keys over real sockets: each opens what its scopes say and nothing else, within its limits, and its name is in the audit log."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.auth import Audience
from common.directory import Role
from orchestrator.app import ROUTES
from orchestrator.keys import Scope
from tests.harness.cluster import Nodes, Redis, Running, admin, orchestrator, token

LOOSE = {"request_limit": "100000/minute", "make_limit": "100000/minute"}


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    server.start()
    yield server
    server.stop()


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


async def test_what_one_orchestrator_revokes_the_other_refuses_within_seconds(
    tmp_path: Path, redis: Redis
) -> None:
    settings = {"redis_url": redis.url, "database_url": f"sqlite:///{tmp_path / 'shared.db'}"}
    async with (
        orchestrator(tmp_path / "a", **settings) as one,
        orchestrator(tmp_path / "b", **settings) as two,
    ):
        name, header = await key(one, "read")
        async with asyncio.timeout(20):
            while (await two.call("GET", "/api/nodes", headers=header))[0] != 200:  # noqa: ASYNC110 - it reads when it reads
                await asyncio.sleep(0.05)
        await one.ok("DELETE", f"/api/keys/{name}", headers=admin())
        assert await said(one, "GET", "/api/nodes", headers=header) == (401, "key_invalid")
        async with asyncio.timeout(20):
            while await said(two, "GET", "/api/nodes", headers=header) != (401, "key_invalid"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)


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
