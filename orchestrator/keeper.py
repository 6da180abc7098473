"""Keeps sessions: asks origins what was said, so that a dialogue outlives its origin, and ends sessions that nobody comes back to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from common.database import DatabaseDown
from common.dialogue import MOST_AT_ONCE, DialogueQuery, Said
from common.errors import NotFound, Problem
from common.log import log
from common.tasks import end_tasks
from orchestrator.hub import Hub
from orchestrator.nodes import Node
from orchestrator.outreach import Outreach
from orchestrator.sessions import Session, Sessions

_log = log("orchestrator")

EVERY_S = 2.0
"""What was said in the last seconds before an origin died is lost: this many."""


class Keeper:
    """Runs from `start` to `close`."""

    def __init__(self, hub: Hub, sessions: Sessions, outreach: Outreach) -> None:
        self._hub = hub
        self._sessions = sessions
        self._outreach = outreach
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        """Reads the sessions and begins."""
        await self._sessions.refresh()
        self._task = asyncio.create_task(self._run(), name="orchestrator keeper")

    async def close(self) -> None:
        """Ends it."""
        self._closing = True
        await end_tasks(self._task)

    async def _run(self) -> None:
        while not self._closing:
            try:
                await self.round()
            except Exception as error:
                _log.error("keeper_failed", exc_info=error)
            await asyncio.sleep(EVERY_S)

    async def round(self) -> None:
        """One look at all sessions. Whatever does not answer is left for the next."""
        with suppress(DatabaseDown):
            if not self._hub.registry.embedded:
                await self._sessions.refresh()
        if not self._hub.on_duty:
            return
        now = self._sessions.now()
        at_origin: dict[str, list[Session]] = defaultdict(list)
        for one in self._sessions:
            with suppress(DatabaseDown):
                if self._hub.audience(one.id).total:
                    await self._sessions.seen(one.id)
                elif one.over(now):
                    await self.end(one.id)
                    continue
            origin = self._hub.origin_of(one.id)
            if origin is not None and origin.here:
                at_origin[origin.id].append(one)
        await asyncio.gather(*(self._ask(origin, held) for origin, held in at_origin.items()))

    async def history(self, session: str) -> Sequence[Said]:
        """What was said, as the origin tells it now, or as it was kept when that does not answer."""
        origin = self._hub.origin_of(session)
        if origin is not None and origin.here:
            await self.collect(session, origin)
        return self._sessions.dialogue(session)

    async def collect(self, broadcast: str, origin: Node) -> Sequence[Said]:
        """What was said in a broadcast, by its origin's account now; empty when that does not answer. That of a session is kept."""
        with suppress(Problem):
            told = (await self._outreach.dialogues(origin, DialogueQuery(known={broadcast: 2**53}))).dialogues
            if broadcast in told:
                await self._sessions.keep(broadcast, told[broadcast])
                return told[broadcast].said
        return ()

    async def end(self, session: str) -> None:
        """Ends a session and its broadcast. Raises DatabaseDown."""
        with suppress(NotFound):
            await self._hub.end(session)
        await self._sessions.end(session)
        _log.info("session:ended", session=session)

    async def _ask(self, origin: str, held: list[Session]) -> None:
        node = self._hub.nodes.find(origin)
        if node is None:
            return
        for at in range(0, len(held), MOST_AT_ONCE):
            known = {one.id: one.dialogue_count for one in held[at : at + MOST_AT_ONCE]}
            with suppress(Problem):  # an origin or a database that does not answer now is asked again
                told = await self._outreach.dialogues(node, DialogueQuery(known=known))
                for name, dialogue in told.dialogues.items():
                    if name in known:
                        await self._sessions.keep(name, dialogue)
