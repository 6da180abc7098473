"""The client against an orchestrator that runs: answers, pages, events, refusals, what is tried again; and the examples of its page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from avacast.client import (
    AsyncAvacast,
    Avacast,
    Conflict,
    Forbidden,
    Misunderstood,
    NotFound,
    Retries,
    TooMany,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from avacast.client.generated import models
from common.directory import Role
from common.http import Site, application
from tests.harness.cluster import ADMIN, Nodes, Running, eventually

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
HASTY = Retries(attempts=4, first_s=0.01, longest_s=0.05, patience_s=5)


@pytest.fixture
async def avacast(hub: Running) -> AsyncIterator[AsyncAvacast]:
    async with AsyncAvacast(hub.url, ADMIN, retries=HASTY) as client:
        yield client


async def test_a_broadcast_from_its_beginning_to_its_end(
    avacast: AsyncAvacast, hub: Running, cluster: Nodes
) -> None:
    node = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    made = await avacast.broadcasts.create(
        id="demo", title="Café ☕", avatar="ava", public=True, open_mic=True
    )
    assert isinstance(made, models.CreatedBroadcast)
    assert (made.title, made.stage, made.live) == ("Café ☕", models.Stage.DIRECT, False)
    assert made.created_at.tzinfo is not None
    taken = await avacast.broadcasts.say("demo", "Hello", now=True)
    assert (taken.broadcast, taken.origin) == ("demo", "o1") and node.lines[0][1].text == "Hello"
    assert taken.model_extra == {"queued": 1}, "what else the origin says is passed on"
    node.stream("demo", subscribers_interactive=3)
    await eventually(lambda: hub.role.hub.audience("demo").total == 3, "the viewers are counted")
    assert (await avacast.broadcasts.stats("demo")).listeners.total == 3
    assert (await avacast.broadcasts.placement("demo", ip="8.8.8.8")).placements[0].ranked[0].node == "o1"
    assert (await avacast.broadcasts.activate_cdn("demo")).cdn.force is models.Force.ON
    assert (await avacast.broadcasts.change("demo", moderated=True)).moderated
    desk = await avacast.broadcasts.play_script("demo", [models.Cue(at_s=1, text="one")])
    assert desk.moderated is False and node.orders[-1][1].cues[0].text == "one"
    assert await avacast.whep.watch("demo", "v=0") == f"{node.report.url}/whep/demo"
    assert (await avacast.nodes.drain("o1")).draining and not (await avacast.nodes.undrain("o1")).draining
    await avacast.broadcasts.end("demo")
    with pytest.raises(NotFound) as gone:
        await avacast.broadcasts.read("demo")
    assert gone.value.code == "broadcast_unknown" and "GET /api/broadcasts" in gone.value.advice


async def test_all_pages_are_one_list(avacast: AsyncAvacast, hub: Running) -> None:
    for number in range(7):
        await avacast.broadcasts.create(id=f"b{number}")
    assert [one.id async for one in avacast.broadcasts.list_all(limit=3)] == [
        f"b{number}" for number in range(7)
    ]
    page = await avacast.broadcasts.list(limit=3)
    following = await avacast.broadcasts.list(limit=3, after=page.next)
    assert (page.next, following.broadcasts[0].id) == ("b2", "b3")
    noted = [one.made async for one in avacast.audit.list_all(limit=2)]
    assert noted == [f"/api/broadcasts/b{number}" for number in reversed(range(7))]
    # As RFC 8288 has it, for those who have no client: each page names the next one.
    found, url = [], "/api/broadcasts?limit=3"
    while url:
        _, body, headers = await hub.call("GET", url, headers={"Authorization": f"Bearer {ADMIN}"})
        found += [one["id"] for one in body["broadcasts"]]
        link = re.fullmatch(r'<([^>]+)>; rel="next"', headers.get("Link", ""))
        url = link[1].removeprefix(hub.url) if link else ""
        assert bool(link) == (body["next"] is not None)
    assert found == [f"b{number}" for number in range(7)]


async def test_events_come_as_they_happen_and_go_on_after_a_break(
    hub: Running, avacast: AsyncAvacast
) -> None:
    await avacast.broadcasts.create(id="demo")
    events = avacast.broadcasts.events("demo")
    assert (await anext(events)).name == "state"
    await avacast.broadcasts.change("demo", title="other")
    changed = await anext(events)
    assert (changed.name, changed.data["change"]) == ("broadcast", "changed")
    hub.role.hub.feed.close()  # as when the orchestrator ends: the stream does too
    again = await anext(events)
    assert (again.name, again.data["title"]) == ("state", "other")
    await events.aclose()  # type: ignore[attr-defined]


async def test_events_end_with_the_key_that_follows_them(hub: Running, avacast: AsyncAvacast) -> None:
    made = await avacast.keys.create(name="App", scopes=["read"])
    async with AsyncAvacast(hub.url, made.secret, retries=HASTY) as app:
        events = app.events.follow()
        assert (await anext(events)).name == "hello"
        await avacast.keys.revoke(made.id)
        last = await anext(events)
        assert (last.name, last.data["code"]) == ("refused", "key_invalid")
        with pytest.raises(Unauthorized, match="revoked"):
            await anext(events)


async def test_refusals_are_exceptions_that_say_what_to_do(
    hub: Running, avacast: AsyncAvacast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AVACAST_TOKEN", "AVACAST_ADMIN_TOKEN", "ADMIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncAvacast(hub.url, "not a token of ours") as stranger:
        with pytest.raises(Forbidden):
            await stranger.nodes.list()
    async with AsyncAvacast(hub.url) as nobody:
        with pytest.raises(Unauthorized):
            await nobody.nodes.list()
    await avacast.broadcasts.create(id="demo")
    with pytest.raises(Conflict) as taken:
        await avacast.broadcasts.create(id="demo")
    assert taken.value.code == "broadcast_exists" and taken.value.advice
    with pytest.raises(ValueError, match="broadcast"):
        await avacast.broadcasts.end("")
    async with AsyncAvacast("http://127.0.0.1:9", retries=HASTY) as nowhere:
        with pytest.raises(Unreachable, match="4 times tried"):
            await nowhere.about.health()


class Proxy:
    """Stands before the orchestrator, and spoils the first answers: after the request was passed on, or before."""

    def __init__(self, hub: Running) -> None:
        self._hub = hub
        self.spoil: list[str] = []
        self.asked: list[tuple[str, str | None]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.path, request.headers.get("Idempotency-Key")))
        how = self.spoil.pop(0) if self.spoil else ""
        if how == "503":
            return web.Response(status=503, text="<html>busy</html>", headers={"Retry-After": "0"})
        if how == "429":
            return web.Response(status=429, headers={"Retry-After": "0"})
        if how == "redirect":
            return web.Response(status=302, headers={"Location": "https://elsewhere/"})
        if how == "page":
            return web.Response(text="<html>welcome</html>")
        headers = {
            name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")
        }
        async with self._hub.http.request(
            request.method, request.rel_url, data=body, headers=headers
        ) as answer:
            told = await answer.read()
        if how == "cut":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(
            body=told, status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]}
        )


@pytest.fixture
async def proxy(hub: Running) -> AsyncIterator[tuple[Proxy, AsyncAvacast]]:
    spoiling = Proxy(hub)
    app = application("proxy")
    app.router.add_route("*", "/api/{rest:.*}", spoiling.handle)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    async with AsyncAvacast(f"http://127.0.0.1:{site.port}", ADMIN, retries=HASTY) as client:
        yield spoiling, client
    await site.close()


async def test_a_broadcast_is_made_once_though_the_answer_was_lost(proxy: tuple[Proxy, AsyncAvacast]) -> None:
    spoiling, client = proxy
    spoiling.spoil = ["cut", "503", "429"]
    made = await client.broadcasts.create(id="once")
    assert made.id == "once" and made.token
    assert len(spoiling.asked) == 4 and len({key for _, key in spoiling.asked}) == 1, (
        "one key for all attempts"
    )
    with pytest.raises(Conflict):
        await client.broadcasts.create(id="once")  # another call is another request


async def test_what_must_not_happen_twice_is_not_tried_twice(proxy: tuple[Proxy, AsyncAvacast]) -> None:
    spoiling, client = proxy
    await client.broadcasts.create(id="demo")
    spoiling.asked.clear()
    spoiling.spoil = ["cut"]
    with pytest.raises(Unreachable):
        await client.broadcasts.change("demo", title="x")
    spoiling.spoil = ["503"]
    with pytest.raises(Unavailable):
        await client.broadcasts.change("demo", title="x")
    assert len(spoiling.asked) == 2
    spoiling.spoil = ["429", "429", "429", "429"]
    with pytest.raises(TooMany):
        await client.broadcasts.change("demo", title="x")
    assert len(spoiling.asked) == 6, "a limit had done nothing: that is tried again"


@pytest.mark.parametrize("how", ["redirect", "page"])
async def test_another_server_is_not_taken_for_an_orchestrator(
    proxy: tuple[Proxy, AsyncAvacast], how: str
) -> None:
    spoiling, client = proxy
    spoiling.spoil = [how]
    with pytest.raises(Misunderstood):
        await client.broadcasts.list()


@pytest.mark.parametrize("address", ["", "host:8080", "ftp://host", "http://"])
async def test_what_is_no_address_is_told_at_once(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVACAST_SERVER", "nothing")
    with pytest.raises(ValueError, match="no http or https address"):
        AsyncAvacast(address or None)


async def test_threads_and_programs_without_a_loop_have_the_same(hub: Running) -> None:
    def program() -> list[str]:
        with Avacast(hub.url, ADMIN, retries=HASTY) as client:
            client.broadcasts.create(id="one")
            client.broadcasts.create(id="two")
            with pytest.raises(NotFound):
                client.broadcasts.read("three")
            for event in client.broadcasts.events("one"):
                assert event.data["id"] == "one"
                break
            assert client.about.health()
            return [one.id for one in client.broadcasts.list_all(limit=1)]

    assert await asyncio.to_thread(program) == ["one", "two"]


async def test_the_examples_of_the_page_run(
    hub: Running, cluster: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await cluster.start("o1", Role.ORIGIN, hub, avatar=True)
    monkeypatch.setattr("orchestrator.api.sessions.CONNECT_S", 0.01)  # no avatar comes alive here
    monkeypatch.setenv("AVACAST_SERVER", hub.url)
    monkeypatch.setenv("AVACAST_TOKEN", ADMIN)
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) >= 5

    for example in examples:
        text = example.replace("http://127.0.0.1:8080", hub.url).replace('"..."', repr(ADMIN))
        await asyncio.to_thread(exec, compile(text, str(PAGE), "exec"), {"__name__": "example"})
    assert node.lines[0][1].text == "Good evening!"
    assert {one.id for one in hub.role.hub.broadcasts} == {"town-hall", "deploy-7"}


async def test_a_silent_server_costs_no_more_than_the_timeout(hub: Running) -> None:
    held: list[asyncio.StreamWriter] = []

    def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with AsyncAvacast(
        f"http://127.0.0.1:{port}", timeout_s=0.05, retries=Retries(attempts=2, first_s=0.01)
    ) as client:
        with pytest.raises(Unreachable):
            await client.about.health()
    server.close()
    for writer in held:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
