"""The courier: brings deliveries to endpoints. It runs on the orchestrator on duty; what came of a try is written behind the duty's
fence, so one that lost the duty in its sleep changes nothing, and at worst an event arrives twice.

Each endpoint is spoken to by one request at a time, the oldest due delivery first: a slow one delays nobody else and is not stormed.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import aiohttp
from sqlalchemy import select

from common.database import Database, DatabaseDown
from common.http import read_up_to
from common.log import log
from common.metrics import counter
from common.registry import Duty, StaleEpoch
from orchestrator import fences
from orchestrator.webhooks import outbox, signing
from orchestrator.webhooks.addresses import AddressRefused, PublicResolver, parse_url
from orchestrator.webhooks.endpoints import secrets_of
from orchestrator.webhooks.outbox import ERROR_CHARS, DeliveryRow, EndpointRow, EventRow
from orchestrator.webhooks.schedule import Outcome, Progress, SendState, Standing, step
from orchestrator.webhooks.signing import Secrets

_log = log("orchestrator")

POST_S = 10.0
"""Longest that an endpoint may take for its answer."""
_REPLY_BYTES = 4096
"""What is read of an answer, so that the connection ends well; nothing of it is kept."""
_AT_ONCE = 20
"""Deliveries of one endpoint between two looks at the table."""

_TRIES = counter("avacast_webhook_tries_total", "Tries to deliver a webhook", ("outcome",))


class Courier:
    """Sends what is due. `round` does it once; who calls it waits a second between two."""

    def __init__(
        self, database: Database, secrets: Secrets, *, private: bool, post_s: float = POST_S
    ) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        self.draw: Callable[[], float] = random.random
        self._database = database
        self._secrets = secrets
        self._private = private
        self._post_s = post_s
        self._http: aiohttp.ClientSession | None = None
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._posts: set[asyncio.Task[Outcome]] = set()
        self._closing = False

    async def close(self) -> None:
        """Ends what is under way; it will be tried again. What is being written is written."""
        self._closing = True
        for post in self._posts:
            post.cancel()
        await self.idle()
        if self._http is not None:
            await self._http.close()

    async def round(self, duty: Callable[[], Duty | None]) -> None:
        """Begins with each endpoint that something is due for and that is not being spoken to. `duty` is asked before each try.
        Raises DatabaseDown."""
        query = (
            select(DeliveryRow.endpoint)
            .where(DeliveryRow.state == SendState.WAITING.value, DeliveryRow.next_at <= self.now())
            .distinct()
        )
        async with self._database.session() as session:
            due = (await session.scalars(query)).all()
        for endpoint in due:
            if endpoint not in self._busy and not self._closing:
                task = asyncio.create_task(self._serve(endpoint, duty), name=f"webhook {endpoint}")
                self._busy[endpoint] = task
                task.add_done_callback(partial(self._done, endpoint))

    def _done(self, endpoint: str, _task: asyncio.Task[None]) -> None:
        del self._busy[endpoint]

    async def idle(self) -> None:
        """Waits until nobody is being spoken to."""
        while self._busy:
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def _serve(self, endpoint: str, duty: Callable[[], Duty | None]) -> None:
        try:
            for _ in range(_AT_ONCE):
                held = duty()
                if held is None or not await self._next(endpoint, held):
                    return
        except (DatabaseDown, StaleEpoch) as error:
            _log.debug("webhook_later", endpoint=endpoint, error=error.detail)
        except Exception as error:
            _log.error("webhook_failed", endpoint=endpoint, exc_info=error)

    async def _next(self, endpoint: str, duty: Duty) -> bool:
        """One try of what is due first; False when nothing is."""
        query = (
            select(DeliveryRow, EventRow, EndpointRow)
            .join(EventRow, EventRow.id == DeliveryRow.event)
            .join(EndpointRow, EndpointRow.id == DeliveryRow.endpoint)
            .where(
                DeliveryRow.endpoint == endpoint,
                DeliveryRow.state == SendState.WAITING.value,
                DeliveryRow.next_at <= self.now(),
            )
            .order_by(DeliveryRow.next_at, DeliveryRow.number)
            .limit(1)
        )
        async with self._database.session() as session:
            found = (await session.execute(query)).first()
        if found is None:
            return False
        delivery, event, row = found
        if self._closing:
            return False
        post = asyncio.create_task(self._post(row, event))
        self._posts.add(post)
        post.add_done_callback(self._posts.discard)
        await asyncio.wait((post,))
        if post.cancelled():
            return False
        outcome = post.result()
        _TRIES.labels("taken" if outcome.error is None else "failed").inc()
        await self._note(delivery, row, outcome, duty)
        return True

    async def _note(self, tried: DeliveryRow, was: EndpointRow, outcome: Outcome, duty: Duty) -> None:
        now = self.now()
        async with self._database.session() as session:
            await fences.hold(session, duty)
            row = await session.get(EndpointRow, was.id, with_for_update=True)
            delivery = await session.get(DeliveryRow, tried.number, with_for_update=True)
            if row is None or delivery is None:
                return  # deleted meanwhile
            progress, standing = step(
                Progress(SendState(delivery.state), delivery.attempts, delivery.first_at, delivery.next_at),
                Standing(row.failing_since, row.disabled),
                outcome,
                now,
                self.draw(),
            )
            delivery.state, delivery.attempts = progress.state.value, progress.attempts
            delivery.first_at, delivery.next_at, delivery.last_at = progress.first_at, progress.next_at, now
            delivery.last_status, delivery.last_error = outcome.status, outcome.error
            row.failing_since = standing.failing_since
            if row.disabled is not None:  # an operator was quicker: nothing is tried again
                if progress.state is SendState.WAITING:
                    delivery.state = SendState.FAILED.value
            elif standing.disabled is not None:
                row.disabled = standing.disabled
                await outbox.hold_back(session, row.id, "the webhook was turned off")
        if standing.disabled is not None and was.disabled is None:
            _log.warning("webhook:disabled", endpoint=was.id, reason=standing.disabled)

    async def _post(self, row: EndpointRow, event: EventRow) -> Outcome:
        body, now = event.body.encode(), self.now()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Avacast-Webhooks",
            **signing.headers(secrets_of(self._secrets, row, now), event.id, int(now.timestamp()), body),
        }
        try:
            url = parse_url(
                row.url, private=self._private
            )  # what may be reached is a setting, and may have changed
            async with self._client().post(
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._post_s),
            ) as answer:
                with suppress(aiohttp.ClientError, TimeoutError):
                    await read_up_to(answer.content, _REPLY_BYTES)
                return _outcome(answer)
        except Exception as error:
            return Outcome(None, _told(error, self._post_s)[:ERROR_CHARS])

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.TCPConnector(
                resolver=PublicResolver(private=self._private),
                use_dns_cache=False,
                force_close=True,
                limit=64,
            )
            self._http = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._http


def _outcome(answer: aiohttp.ClientResponse) -> Outcome:
    if 200 <= answer.status < 300:
        return Outcome(answer.status)
    told = f"it answered {answer.status}"
    if 300 <= answer.status < 400:
        told += "; redirects are not followed"
    after = answer.headers.get("Retry-After", "")
    wait = float(after) if after.isascii() and after.isdecimal() and len(after) < 9 else None
    return Outcome(answer.status, told, wait, gone=answer.status == 410)


def _told(error: Exception, post_s: float) -> str:
    """Why no answer came, for people. Addresses of ours are not in it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError):
        return f"no answer within {post_s:g} s"
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its certificate is not valid"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its name is not known"
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        return "it cannot be connected to, or broke off"
    return f"it did not speak HTTP: {type(error).__name__}"
