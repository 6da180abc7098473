"""Orchestrators and nodes for tests: real HTTP on loopback, a real Redis between orchestrators, nodes that speak the
contract of nodes (lease, directory, lines) and carry no media."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from avacast.pages import add_pages
from common.auth import Audience, Believed, Tokens, bearer
from common.config import OrchestratorConfig
from common.desk import MOST_CARRIED_BYTES, Carried, DeskOrder
from common.dialogue import Dialogue, DialogueQuery, Dialogues
from common.directory import Directory, Line, NodeReport, Role, StreamReport
from common.errors import NotFound, Unavailable
from common.http import Site, application, read_model
from common.recordings import RecordingList, RecordingView, place_of
from orchestrator.app import Orchestrator, start

SECRET = "a secret of the tests, thirty-two characters"
ADMIN = "the operators' token of the tests"
TOKENS = Tokens(SECRET)
_EPOCHS = itertools.count(1)


def admin() -> dict[str, str]:
    """The operators' header."""
    return {"Authorization": f"Bearer {ADMIN}"}


def token(audience: Audience, subject: str, *, ttl_s: float = 60) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {TOKENS.issue(audience, subject, ttl_s=ttl_s)}"}


async def eventually(true: Callable[[], Any], what: str, within_s: float = 5.0) -> None:
    """Waits until `true()` holds. Raises AssertionError that says what did not happen."""
    try:
        async with asyncio.timeout(within_s):
            while not true():  # noqa: ASYNC110 - what is awaited lives in other processes too
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


@dataclass
class Running:
    """An orchestrator that serves. `http` is a client of it that follows no redirects."""

    role: Orchestrator
    site: Site
    http: aiohttp.ClientSession
    url: str
    closed: bool = False

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        """Status, parsed JSON (or text), headers."""
        async with self.http.request(method, path, allow_redirects=False, **options) as answer:
            text = await answer.text(errors="replace")
            is_json = answer.content_type.endswith("json") and text
            return answer.status, (await answer.json(content_type=None)) if is_json else text, answer.headers

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        """The body of an answer that must be a success."""
        status, body, _ = await self.call(method, path, **options)
        assert status < 400, (status, body)
        return body

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            await self.http.close()
            await self.site.close()
            await self.role.close()


@asynccontextmanager
async def orchestrator(data: Path, *, pages: bool = False, **settings: Any) -> AsyncIterator[Running]:
    """An orchestrator on a free port, with the web pages if they are wanted. It believes the tokens that tests sign with the secret
    (`token`)."""
    facts = {"cluster_secret": SECRET, "admin_token": ADMIN, "hs256": "all", **settings}
    config = OrchestratorConfig(data=data, **facts)
    role = await start(config)
    if pages:
        add_pages(role.app)
    site = Site(role.app, "127.0.0.1", 0)
    await site.start()
    config.http_port = site.port
    url = f"http://127.0.0.1:{site.port}"
    running = Running(role, site, aiohttp.ClientSession(url), url)
    try:
        yield running
    finally:
        await running.close()


@dataclass
class Node:
    """A node that reports what the test tells it to. `received` are the directories pushed to it, `lines` what came for avatars."""

    report: NodeReport
    orchestrators: list[str]
    directory: Directory = field(default_factory=Directory)
    received: list[Directory] = field(default_factory=list)
    lines: list[tuple[str, Line]] = field(default_factory=list)
    orders: list[tuple[str, DeskOrder]] = field(default_factory=list)
    dialogues: dict[str, Dialogue] = field(default_factory=dict)
    """What it says was said, by broadcast."""
    waiting: dict[str, list[Carried]] = field(default_factory=dict)
    """What it gives away, by broadcast, one a time."""
    taken: list[Carried] = field(default_factory=list)
    takes: bool = True
    recordings: list[RecordingView] = field(default_factory=list)
    """What it says it has recorded."""
    healthy: bool = True
    heartbeat_s: float = 0.25
    tokens: Tokens = field(default_factory=lambda: Tokens(SECRET, Believed.NODES))
    """What it verifies with: it learns the keys from its directories, as nodes do."""
    _http: aiohttp.ClientSession | None = None
    _task: asyncio.Task[None] | None = None
    _site: Site | None = None

    @property
    def header(self) -> dict[str, str]:
        return token(Audience.NODE, self.report.id)

    def stream(self, name: str = "demo", **facts: Any) -> None:
        """From the next heartbeat on it has this stream."""
        others = [one for one in self.report.streams if one.stream != name]
        self.report = self.report.model_copy(
            update={"streams": [*others, StreamReport(stream=name, **{"live": True, **facts})]}
        )

    async def beat(self, url: str | None = None) -> int:
        """One heartbeat now; its status."""
        assert self._http is not None
        for base in [url] if url else self.orchestrators:
            body = self.report.model_dump_json()
            try:
                async with self._http.post(
                    f"{base}/api/v1/worker/heartbeat", data=body, headers=self.header
                ) as answer:
                    if answer.status == 200:
                        self.directory = Directory.model_validate_json(await answer.read())
                        self.tokens.learn(self.directory.keys)
                    return answer.status
            except aiohttp.ClientError:
                continue
        return 0

    async def start(self, prefix: str) -> None:
        app = application(str(self.report.role))
        node = web.Application()
        node.router.add_get("/health", self._health)
        node.router.add_post("/api/v1/node/directory", self._directory)
        for verb in ("say", "ask", "interrupt"):
            node.router.add_post(f"/api/v1/node/{verb}", self._line)
        for order in ("", "/approve", "/drop", "/play", "/stop"):
            node.router.add_post(f"/api/v1/node/desk{order}", self._desk)
        node.router.add_post("/api/v1/node/desk/give", self._give)
        node.router.add_post("/api/v1/node/desk/take", self._take)
        node.router.add_post("/api/v1/node/dialogues", self._dialogues)
        node.router.add_get("/api/recordings", self._recordings)
        app.add_subapp(prefix, node)
        self._site = Site(app, "127.0.0.1", 0)
        await self._site.start()
        self.report.url = f"http://127.0.0.1:{self._site.port}{prefix}"
        self._http = aiohttp.ClientSession()
        await self.beat()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.heartbeat_s)
            await self.beat()

    async def mute(self) -> None:
        """Heartbeats no more; still serves."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def vanish(self) -> None:
        """Ends without a word, as a killed process does."""
        await self.mute()
        if self._http is not None:
            await self._http.close()
        if self._site is not None:
            await self._site.close()

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, status=200 if self.healthy else 500)

    async def _directory(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        self.directory = await read_model(request, Directory)
        self.received.append(self.directory)
        return web.Response(status=204)

    async def _line(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        self.lines.append((request.path.rsplit("/", 1)[-1], await read_model(request, Line)))
        return web.json_response({"queued": len(self.lines)}, status=202)

    async def _dialogues(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        known = (await read_model(request, DialogueQuery)).known
        told = {name: one for name, one in self.dialogues.items() if known.get(name, one.count) != one.count}
        return web.json_response(Dialogues(dialogues=told).model_dump(mode="json"))

    async def _recordings(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        after, limit = request.query.get("after", ""), int(request.query.get("limit", 100))
        found = {place_of(one): one for one in self.recordings}
        places = sorted(place for place in found if place > after)
        page = RecordingList(
            recordings=[found[place] for place in places[:limit]],
            next=places[limit - 1] if len(places) > limit else None,
        )
        return web.json_response(page.model_dump(mode="json"))

    async def _give(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        name = (await read_model(request, DeskOrder)).broadcast
        waits = self.waiting.get(name)
        given = waits.pop(0) if waits else Carried(id="", broadcast=name)
        return web.json_response(given.model_dump(mode="json"))

    async def _take(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        if not self.takes:
            raise Unavailable("it is being prepared", code="avatar_preparing")
        self.taken.append(await read_model(request, Carried, MOST_CARRIED_BYTES))
        return web.Response(status=204)

    async def _desk(self, request: web.Request) -> web.Response:
        self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.ORDER, self.report.id)
        verb = request.path.partition("/desk")[2].strip("/")
        self.orders.append((verb, await read_model(request, DeskOrder)))
        if verb in ("approve", "drop") and self.orders[-1][1].number != 1:
            raise NotFound("no such line", code="line_unknown")
        return web.json_response({"moderated": False, "waiting": [], "held": []})


class Nodes:
    """Starts nodes and ends them with the test."""

    def __init__(self, closing: AsyncExitStack) -> None:
        self._closing = closing

    async def start(self, name: str, role: Role, *orchestrators: Running | str, **facts: Any) -> Node:
        """A node, registered."""
        urls = [one if isinstance(one, str) else one.url for one in orchestrators]
        report = NodeReport(id=name, role=role, url="http://unset", epoch=next(_EPOCHS), **facts)
        node = Node(report, urls)
        await node.start(f"/n/{name}")
        self._closing.push_async_callback(node.vanish)
        return node


@asynccontextmanager
async def nodes() -> AsyncIterator[Nodes]:
    """A place to start nodes in."""
    async with AsyncExitStack() as closing:
        yield Nodes(closing)
