"""Tokens by public keys over real sockets: nodes without the cluster's secret verify, register by a key, and learn of another key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

from common.auth import Audience, Tokens, bearer
from common.config import RelayConfig
from common.directory import Role
from common.errors import Problem
from common.http import Site, application
from common.signing import PublicKey
from sfu.link import DirectoryAdmission, Link
from tests.harness.cluster import Running, admin, eventually, orchestrator, token


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Running]:
    async with orchestrator(tmp_path / "hub", hs256="none") as running:
        yield running


async def header_of(hub: Running, *scopes: str) -> str:
    body = {"name": "Nodes", "scopes": scopes}
    return str((await hub.ok("POST", "/api/keys", json=body, headers=admin()))["secret"])


@asynccontextmanager
async def relay(hub: Running, data: Path, key: str, name: str = "r1") -> AsyncIterator[tuple[Link, str]]:
    """The link of a node that has a key of its own and no secret, and the base of its HTTP."""
    config = RelayConfig(node_id=name, data=data, node_key=key, orchestrators=[hub.url], heartbeat_s=0.2)
    link = Link(config, Role.RELAY, list)
    admission = DirectoryAdmission(link)

    async def watch(request: web.Request) -> web.Response:
        await admission.admit_viewer(request, request.match_info["stream"])
        return web.Response(text="watches")

    async def publish(request: web.Request) -> web.Response:
        await admission.admit_publisher(request, request.match_info["stream"])
        return web.Response(text="publishes")

    app = application("relay")
    app.router.add_post("/whep/{stream}", watch)
    app.router.add_post("/whip/{stream}", publish)
    link.add_to(app)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    config.url = f"http://127.0.0.1:{site.port}"
    link.start()
    try:
        yield link, config.url
    finally:
        await link.close()
        await site.close()


async def status(url: str, bearer_token: str) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {bearer_token}"}
    async with aiohttp.ClientSession() as http, http.post(url, headers=headers) as answer:
        body: dict[str, Any] = await answer.json(content_type=None) if answer.status >= 400 else {}
        return answer.status, body.get("code", "")


async def test_anybody_can_verify_by_the_published_keys(hub: Running) -> None:
    made = await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    code, body, headers = await hub.call("GET", "/.well-known/jwks.json")
    assert code == 200 and headers["Cache-Control"] == "public, max-age=60"
    assert set(body["keys"][0]) == {"kty", "crv", "use", "alg", "kid", "x"}, "and no private part"
    keys = jwt.PyJWKSet.from_dict(body)
    kid = jwt.get_unverified_header(made["token"])["kid"]
    claims = jwt.decode(made["token"], keys[kid].key, algorithms=["EdDSA"], audience="publisher")
    assert claims["sub"] == "town"


async def test_a_node_without_the_secret_registers_by_its_key_and_admits_by_public_keys(
    hub: Running, tmp_path: Path
) -> None:
    made = await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    viewer = (await hub.ok("POST", "/api/broadcasts/town/tokens", json={}, headers=admin()))["token"]
    async with relay(hub, tmp_path / "r1", await header_of(hub, "node")) as (link, url):
        await eventually(lambda: "town" in link.directory.broadcasts, "a directory with the broadcast", 20)
        assert not (tmp_path / "r1" / "cluster.secret").exists() and not link.tokens.can_issue
        assert await status(f"{url}/whep/town", viewer) == (200, "")
        assert await status(f"{url}/whip/town", made["token"]) == (200, "")
        assert await status(f"{url}/whip/town", viewer) == (403, "wrong_token")
        by_secret = token(Audience.VIEWER, "town")["Authorization"].removeprefix("Bearer ")
        assert await status(f"{url}/whep/town", by_secret) == (401, "token_invalid")
        await eventually(lambda: link.peer_token() != "", "a token for its peers", 20)
        mine = link.peer_token()
        assert await status(f"{url}/whep/town", mine) == (200, ""), "a peer pulls"
        assert await status(f"{url}/whip/town", mine) == (403, "wrong_token"), "and publishes nothing"
        pushed = await status(f"{url}/api/v1/node/directory", mine)
        assert pushed == (403, "wrong_token"), "nor tells other nodes what to believe"


async def test_a_node_learns_that_all_tokens_were_ended(hub: Running, tmp_path: Path) -> None:
    await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    issue = "/api/broadcasts/town/tokens"
    viewer = (await hub.ok("POST", issue, json={}, headers=admin()))["token"]
    async with relay(hub, tmp_path / "r1", await header_of(hub, "node")) as (link, url):
        await eventually(lambda: link.peer_token() != "", "a token for its peers", 20)
        before, mine = link.directory.keys, link.peer_token()
        assert await status(f"{url}/whep/town", viewer) == (200, "")
        await hub.ok("POST", "/api/signing-keys/renew", headers=admin())
        await eventually(lambda: link.directory.keys != before, "the other key", 20)
        assert await status(f"{url}/whep/town", viewer) == (401, "token_invalid")
        assert await status(f"{url}/whep/town", mine) == (401, "token_invalid")
        another = (await hub.ok("POST", issue, json={}, headers=admin()))["token"]
        assert await status(f"{url}/whep/town", another) == (200, "")
        await eventually(lambda: link.peer_token() not in ("", mine), "another token for its peers", 20)
        assert await status(f"{url}/whep/town", link.peer_token()) == (200, "")


async def test_only_a_key_for_nodes_registers_one(hub: Running) -> None:
    report = {"id": "r9", "role": "relay", "url": "http://127.0.0.1:1", "epoch": 1}

    async def register(secret: str) -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {secret}"}
        code, body, _ = await hub.call("POST", "/api/v1/worker/register", json=report, headers=headers)
        return code, body.get("code", "")

    assert await register(await header_of(hub, "read", "broadcasts")) == (403, "scope_missing")
    assert await register(f"avk_00000000_{'A' * 43}") == (401, "key_invalid")
    by_secret = token(Audience.NODE, "r9")["Authorization"].removeprefix("Bearer ")
    assert await register(by_secret) == (401, "token_invalid"), "the secret is believed for nothing here"
    node_key = await header_of(hub, "node")
    assert await register(node_key) == (200, "")
    for path in ("/api/nodes", "/api/keys", "/api/broadcasts/town/play"):
        assert (await hub.call("GET", path, headers={"Authorization": f"Bearer {node_key}"}))[0] in (403, 404)


async def test_tokens_outlive_their_orchestrator(tmp_path: Path) -> None:
    async with orchestrator(tmp_path) as first:
        made = await first.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    async with orchestrator(tmp_path) as second:
        mine = {"Authorization": f"Bearer {made['token']}"}
        await second.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=mine)


async def test_by_setting_the_secret_signs_as_before(tmp_path: Path) -> None:
    async with orchestrator(tmp_path, signing="hs256") as hub:
        made = await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
        assert jwt.get_unverified_header(made["token"])["alg"] == "HS256"
        assert (await hub.ok("GET", "/.well-known/jwks.json"))["keys"] == []
        mine = {"Authorization": f"Bearer {made['token']}"}
        await hub.ok("PATCH", "/api/broadcasts/town", json={"title": "T"}, headers=mine)


async def test_what_verifies_needs_nothing_secret(hub: Running) -> None:
    made = await hub.ok("POST", "/api/broadcasts", json={"id": "town"}, headers=admin())
    verifier = Tokens("")
    with pytest.raises(Problem):
        verifier.verify(made["token"], Audience.PUBLISHER)
    verifier.learn(PublicKey(**one) for one in (await hub.ok("GET", "/.well-known/jwks.json"))["keys"])
    assert verifier.verify(bearer(f"Bearer {made['token']}"), Audience.PUBLISHER, "town").subject == "town"
