"""Pulls: a stream is brought here from the first upstream that has it, once, however many want it.

    (none) ──ensure──► CONNECTING ──media──► LIVE ──nobody wants it──► LINGERING ──linger_s──► (none)
                        ▲    │ refused, silent    │ silent 1 s, closed      │ wanted again
                        └────┴── next upstream ◄──┘                         └──► LIVE

An upstream that is not named any more (its origin has handed the stream over) is left for one that is.
The stream's packets go on in sequence and time when the upstream changes: its viewers see a freeze at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from common._native import SfuError
from common.errors import Problem, Unavailable
from common.log import log
from common.metrics import counter
from common.tasks import end_tasks
from sfu.resource import Refused, Resource, offer
from sfu.whep import HOPS_HEADER
from sfu.worker import Event, Worker

_log = log("upstream")

_PULLS = counter("upstream_pulls_total", "Pulls begun", ("outcome",))

FIRST_MEDIA_S = 4.0
"""An upstream that has answered sends media within this time, or the next one is tried."""
_RETRY_S = (0.2, 5.0)
_CHECK_S = 0.5

Upstreams = Callable[[str], list[str]]
Wanted = Callable[[str], int]
Token = Callable[[], str | None]


class PullState(enum.StrEnum):
    """Where a pull stands: asking its upstreams, bringing media, or kept for a while although nobody watches."""

    CONNECTING = "connecting"
    LIVE = "live"
    LINGERING = "lingering"


@dataclass(eq=False)
class Pull:
    """One stream on its way here."""

    stream: str
    hops: tuple[str, ...]
    state: PullState = PullState.CONNECTING
    url: str = ""
    session: str = ""
    unwanted_since: float | None = None
    switches: int = 0
    error: Problem | None = None
    task: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    events: asyncio.Queue[str] = field(default_factory=asyncio.Queue)


class Puller:
    """All pulls of this node.

    `upstreams(stream)` are WHEP URLs, best first; `wanted(stream)` how many want it here; `token()` is sent upstream;
    `labels` are data channels that each pull opens.
    """

    def __init__(
        self,
        worker: Worker,
        node_id: str,
        upstreams: Upstreams,
        wanted: Wanted,
        *,
        token: Token = lambda: None,
        linger_s: float = 30.0,
        labels: Sequence[str] = (),
    ) -> None:
        self._worker = worker
        self._node_id = node_id
        self._upstreams = upstreams
        self._wanted = wanted
        self._token = token
        self._linger_s = linger_s
        self._labels = list(labels)
        self._pulls: dict[str, Pull] = {}
        self._http: aiohttp.ClientSession | None = None
        worker.listen(self._heard)

    async def close(self) -> None:
        """Ends all pulls."""
        await end_tasks(*(pull.task for pull in self._pulls.values()))
        if self._http:
            await self._http.close()

    async def ensure(self, stream: str, hops: tuple[str, ...] = ()) -> None:
        """Returns once the stream is live here. Raises Unavailable (no upstream gives it) or a loop's Problem."""
        if self._node_id in hops:
            raise Problem(
                f"{stream!r} would come back to the node {self._node_id!r} that asked for it",
                status=508,
                code="pull_loop",
                hint="upstreams point at each other; see the Directory",
            )
        pull = self._pulls.get(stream)
        if pull is None:
            pull = self._pulls[stream] = Pull(stream, hops)
            pull.task = asyncio.create_task(self._run(pull), name=f"pull of {stream}")
        pull.unwanted_since = None
        while pull.state is PullState.CONNECTING:
            if pull.error is not None:
                raise pull.error
            pull.changed.clear()
            await pull.changed.wait()

    def figures(self) -> list[dict[str, Any]]:
        """One dict a pull: stream, upstream, state, viewers, seconds until it ends when nobody comes, switches."""
        now = time.monotonic()
        return [
            {
                "stream": pull.stream,
                "upstream": pull.url,
                "state": pull.state.value,
                "viewers": self._wanted(pull.stream),
                "linger_s": None
                if pull.unwanted_since is None
                else round(max(0.0, self._linger_s - (now - pull.unwanted_since)), 1),
                "switches": pull.switches,
            }
            for pull in self._pulls.values()
        ]

    def find(self, stream: str) -> Pull | None:
        """The pull of a stream."""
        return self._pulls.get(stream)

    # --- one pull -----------------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        kind = event["type"]
        if kind not in ("stream_started", "stream_silent", "session_closed"):
            return
        for pull in self._pulls.values():
            if pull.session and event.get("session") == pull.session:
                pull.events.put_nowait(kind)

    async def _run(self, pull: Pull) -> None:
        wait = _RETRY_S[0]
        try:
            while True:
                urls = self._upstreams(pull.stream)
                if not urls:
                    self._fail(
                        pull,
                        Unavailable(
                            f"no upstream has {pull.stream!r} now", code="no_upstream", retry_after_s=1
                        ),
                    )
                for url in urls:
                    if await self._follow(pull, url):
                        return
                    if pull.error is None:
                        wait = _RETRY_S[0]  # it was live: the next one is tried at once
                if self._wanted(pull.stream) == 0 and pull.state is PullState.CONNECTING:
                    return
                await asyncio.sleep(wait * random.uniform(0.7, 1.3))
                wait = min(wait * 2, _RETRY_S[1])
        finally:
            self._pulls.pop(pull.stream, None)
            if pull.state is PullState.CONNECTING and pull.error is None:
                pull.error = Unavailable(
                    f"the pull of {pull.stream!r} was ended", code="upstream_failed", retry_after_s=1
                )
            pull.changed.set()

    def _fail(self, pull: Pull, error: Problem) -> None:
        pull.error = error
        pull.changed.set()

    async def _follow(self, pull: Pull, url: str) -> bool:
        """Pulls from `url` while it lasts. True when nobody wants the stream any more, False when the next one is due."""
        resource: Resource | None = None
        try:
            resource = await self._begin(pull, url)
            await asyncio.wait_for(self._until(pull, "stream_started"), FIRST_MEDIA_S)
            if pull.state is not PullState.CONNECTING:
                pull.switches += 1
            pull.url, pull.state, pull.error = url, PullState.LIVE, None
            pull.changed.set()
            _PULLS.labels("live").inc()
            _log.info("pull_live", stream=pull.stream, upstream=url)
            return await self._watch(pull)
        except (Refused, SfuError, TimeoutError, ConnectionError) as error:
            _PULLS.labels("failed").inc()
            reason = str(error) or f"no media within {FIRST_MEDIA_S:.0f} s"
            _log.warning("pull_failed", stream=pull.stream, upstream=url, reason=reason)
            self._fail(
                pull,
                Unavailable(
                    f"{url} does not give {pull.stream!r}: {reason}", code="upstream_failed", retry_after_s=1
                ),
            )
            return False
        finally:
            session, pull.session = pull.session, ""
            if session:
                with contextlib.suppress(SfuError):
                    self._worker.sfu.close(session)
            if resource is not None and self._http is not None:
                await asyncio.shield(resource.end(self._http))

    async def _begin(self, pull: Pull, url: str) -> Resource:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        while not pull.events.empty():
            pull.events.get_nowait()
        ours = self._worker.sfu.pull(pull.stream, labels=self._labels)
        pull.session = ours.session
        resource = await offer(
            self._http,
            f"{url}?layers=all",
            ours.sdp,
            token=self._token(),
            headers={HOPS_HEADER: ", ".join((*pull.hops, self._node_id))},
        )
        self._worker.sfu.accept(ours.session, resource.answer)
        return resource

    async def _until(self, pull: Pull, wanted: str) -> None:
        while True:
            event = await pull.events.get()
            if event == wanted:
                return
            if event == "session_closed":
                pull.session = ""
                raise ConnectionError("the upstream closed the session")

    async def _watch(self, pull: Pull) -> bool:
        """Waits for the end of a live pull: True when it lingered out, False when the upstream is lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                event = await asyncio.wait_for(pull.events.get(), _CHECK_S)
                if event == "session_closed":
                    pull.session = ""
                    return False
                if event == "stream_silent":
                    return False
            urls = self._upstreams(pull.stream)
            if urls and pull.url not in urls:
                _log.info("upstream_moved", stream=pull.stream, upstream=pull.url)
                return False
            if self._wanted(pull.stream) > 0:
                pull.unwanted_since, pull.state = None, PullState.LIVE
                continue
            now = time.monotonic()
            if pull.unwanted_since is None:
                pull.unwanted_since = now
            pull.state = PullState.LINGERING
            if now - pull.unwanted_since >= self._linger_s:
                _log.info("pull_ended", stream=pull.stream, upstream=pull.url)
                return True
