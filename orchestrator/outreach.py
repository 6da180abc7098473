"""What the orchestrator says to nodes: directories pushed when they change, probes of their health, lines for avatars.

Each node is spoken to by the orchestrator that its last heartbeat came to. A push that fails is not repeated: the reply to the
next heartbeat says the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel
from yarl import URL

from common.auth import Audience, Tokens
from common.desk import MOST_CARRIED_BYTES, Carried, DeskOrder
from common.dialogue import DialogueQuery, Dialogues
from common.directory import Line
from common.errors import Problem, Unavailable
from common.http import read_up_to
from common.log import log
from common.metrics import counter
from common.recordings import RecordingList
from common.tasks import end_tasks
from orchestrator.hub import Hub
from orchestrator.nodes import Node

_log = log("orchestrator")

PROBE_S = 1.0
"""Between two probes of a node, and the longest that one waits."""
_PROBES_A_SECOND = 100
"""With more nodes than this each is probed less often."""
_PUSH_S = 1.0
_LINE_S = 5.0
_RECORDINGS_S = 15.0
"""A packager may have to delete thousands of objects."""
_LIST_BYTES = 4 << 20
_DIALOGUES_BYTES = 64 << 20
_TOKEN_S = 60.0
_AT_ONCE = 64
"""Nodes that are spoken to at the same time."""

_PUSHES = counter("avacast_directory_pushes_total", "Directories pushed to nodes", ("outcome",))
_PROBES = counter("avacast_node_probes_total", "Health probes of nodes", ("outcome",))


class Outreach:
    """Runs the pusher and the prober of a hub, and forwards lines."""

    def __init__(self, hub: Hub, tokens: Tokens) -> None:
        self._hub = hub
        self._tokens = tokens
        self._http: aiohttp.ClientSession | None = None
        self._pushed: dict[str, bytes] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Opens the client and begins."""
        connector = aiohttp.TCPConnector(limit=2 * _AT_ONCE, limit_per_host=8)
        self._http = aiohttp.ClientSession(connector=connector)
        self._tasks = [
            asyncio.create_task(self._push_changes(), name="orchestrator pusher"),
            asyncio.create_task(self._probe_nodes(), name="orchestrator prober"),
        ]

    async def close(self) -> None:
        """Ends both and closes the client."""
        self._closing = True
        await end_tasks(*self._tasks)
        if self._http is not None:
            await self._http.close()

    async def send_order(self, node: Node, verb: str, order: Line | DeskOrder) -> dict[str, Any]:
        """What is said to an avatar, or done at its desk, on the origin that runs it. Raises what the origin answers, or Unavailable."""
        async with self._told(node, verb, order) as answer:
            told = await answer.json(content_type=None) if answer.content_length != 0 else {}
            if answer.status < 400:
                return told if isinstance(told, dict) else {}
            raise _refusal(answer.status, told, "the origin refused", "origin_failed")

    async def dialogues(self, node: Node, query: DialogueQuery) -> Dialogues:
        """What was said on an origin since. Raises Unavailable."""
        async with self._told(node, "dialogues", query) as answer:
            if answer.status == 200:
                return Dialogues.model_validate_json(await read_up_to(answer.content, _DIALOGUES_BYTES))
            raise Unavailable(f"the origin {node.id!r} answered {answer.status}", code="origin_failed")

    @asynccontextmanager
    async def _told(self, node: Node, verb: str, words: BaseModel) -> AsyncIterator[aiohttp.ClientResponse]:
        """An origin's answer to what it is told or asked. Raises Unavailable when there is none, or it is not to be read."""
        try:
            body = words.model_dump_json().encode()
            async with self._request(
                "POST", node, f"api/v1/node/{verb}", body=body, limit_s=_LINE_S
            ) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(
                f"the origin {node.id!r} does not answer", code="origin_unreachable", retry_after_s=2
            ) from error

    async def give_desk(self, broadcast: str, node: Node) -> Carried | None:
        """Has an origin give away what waits at an avatar that another one takes over; None when it does not answer."""
        body = DeskOrder(broadcast=broadcast).model_dump_json().encode()
        try:
            path = "api/v1/node/desk/give"
            async with self._request("POST", node, path, body=body, limit_s=_LINE_S) as answer:
                if answer.status != 200:
                    return None
                return Carried.model_validate_json(await read_up_to(answer.content, MOST_CARRIED_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def take_desk(self, carried: Carried, node: Node) -> bool:
        """Has an origin take it; whether it did."""
        body = carried.model_dump_json().encode()
        try:
            path = "api/v1/node/desk/take"
            async with self._request("POST", node, path, body=body, limit_s=_LINE_S) as answer:
                return bool(answer.status == 204)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def recordings(self, node: Node, limit: int, after: str) -> RecordingList | None:
        """A page of a packager's recordings; empty when it keeps none, None when it does not answer."""
        try:
            query = {"limit": str(limit), "after": after}
            async with self._request(
                "GET", node, "api/recordings", query=query, limit_s=_RECORDINGS_S
            ) as answer:
                if answer.status == 404:
                    return RecordingList(recordings=[])
                if answer.status != 200:
                    return None
                return RecordingList.model_validate_json(await read_up_to(answer.content, _LIST_BYTES))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def delete_recording(self, node: Node, broadcast: str, id: str) -> None:
        """Deletes a recording at a packager. Raises what it answers, or Unavailable."""
        path = f"api/recordings/{quote(broadcast, safe='')}/{quote(id, safe='')}"
        try:
            async with self._request("DELETE", node, path, limit_s=_RECORDINGS_S) as answer:
                if answer.status < 400:
                    return
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(
                f"the packager {node.id!r} does not answer", code="packager_unreachable", retry_after_s=2
            ) from error
        raise _refusal(answer.status, body, "the packager refused", "packager_unreachable")

    def _request(
        self,
        method: str,
        node: Node,
        path: str,
        *,
        limit_s: float,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Any:
        """A request with a token of ours; `path` is written as it goes out, `body` is JSON."""
        assert self._http is not None, "start() opens the client before anything is asked"
        token = self._tokens.issue(Audience.ORDER, node.id, ttl_s=_TOKEN_S)
        headers = {"Authorization": f"Bearer {token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._http.request(
            method,
            URL(f"{node.report.url.rstrip('/')}/{path}", encoded=True).with_query(query),
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=limit_s),
            allow_redirects=False,
        )

    async def _push_changes(self) -> None:
        while not self._closing:
            await self._hub.changed.wait()
            self._hub.changed.clear()
            due: list[tuple[Node, bytes]] = []
            for node in self._hub.nodes:
                if not node.here:
                    continue
                told = self._hub.tell(node)
                if self._pushed.get(node.id) != told.essence:
                    self._pushed[node.id] = told.essence
                    due.append((node, told.body))
            for name in self._pushed.keys() - {node.id for node in self._hub.nodes}:
                del self._pushed[name]
            await asyncio.gather(*(self._push(node, body) for node, body in due))

    async def _push(self, node: Node, body: bytes) -> None:
        async with self._slots:
            try:
                path = "api/v1/node/directory"
                async with self._request("POST", node, path, body=body, limit_s=_PUSH_S) as answer:
                    outcome = "taken" if answer.status < 400 else "refused"
            except (aiohttp.ClientError, TimeoutError, OSError):
                outcome = "failed"
        _PUSHES.labels(outcome).inc()
        if outcome != "taken":
            self._pushed.pop(node.id, None)
            _log.debug("push_failed", node=node.id, outcome=outcome)

    async def _probe_nodes(self) -> None:
        while not self._closing:
            started = time.monotonic()
            nodes = list(self._hub.nodes)
            round_s = max(PROBE_S, len(nodes) / _PROBES_A_SECOND)
            for at in range(0, len(nodes), _AT_ONCE):
                await asyncio.gather(*(self._probe(node) for node in nodes[at : at + _AT_ONCE]))
                due = started + round_s * min(1.0, (at + _AT_ONCE) / len(nodes))
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not nodes:
                await asyncio.sleep(PROBE_S)

    async def _probe(self, node: Node) -> None:
        assert self._http is not None, "start() opens the client before the prober runs"
        answered = False
        async with self._slots:
            with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                async with self._http.get(
                    f"{node.report.url.rstrip('/')}/health",
                    timeout=aiohttp.ClientTimeout(total=PROBE_S),
                    allow_redirects=False,
                ) as answer:
                    answered = answer.status == 200
        _PROBES.labels("answered" if answered else "failed").inc()
        if self._hub.nodes.probed(node.id, answered, time.monotonic()):
            state = node.state(time.monotonic())
            _log.warning("node:probed", node=node.id, state=state)
            self._hub.feed.publish("node", {"id": node.id, "change": str(state or "gone")})
            self._hub.wake()


def _refusal(status: int, body: Any, detail: str, code: str) -> Problem:
    """What a node has answered, as ours; `detail` and `code` where it gives none."""
    told = body if isinstance(body, dict) else {}
    return Problem(
        str(told.get("detail") or detail),
        status=status if status < 500 or status == 503 else 502,
        code=str(told.get("code") or code),
        hint=told.get("hint"),
        retry_after_s=told.get("retry_after_s"),
    )
