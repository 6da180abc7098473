"""Endpoints: made, changed, removed, and what was sent to each. All of it is in SQL; any orchestrator does it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database
from common.errors import Conflict, NotFound
from common.ids import new_id
from orchestrator.webhooks import outbox
from orchestrator.webhooks.addresses import URL_CHARS, parse_url
from orchestrator.webhooks.events import EventType, Happening, TestFacts
from orchestrator.webhooks.outbox import DeliveryRow, EndpointRow, EventRow, WebhookDelivery
from orchestrator.webhooks.schedule import SendState
from orchestrator.webhooks.signing import Secrets

MOST = 50
OLD_SECRET_S = 24 * 3600.0
BY_HAND = "an operator has turned it off"


def _wanted(events: list[EventType]) -> list[EventType]:
    if EventType.TEST in events:
        raise ValueError("webhook.test comes when it is asked for, to every endpoint")
    return sorted(set(events))


Events = Annotated[
    list[EventType],
    AfterValidator(_wanted),
    Field(
        max_length=64, description="Kinds of events that it wants; empty: all, those of later versions too."
    ),
]


class NewEndpoint(BaseModel):
    """An endpoint to be made."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=URL_CHARS, examples=["https://example.org/hooks"])
    events: Events = Field(default_factory=list)
    description: str = Field("", max_length=200, description="What people read.")


class EndpointChanges(BaseModel):
    """What is to be different; what is not named stays."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = Field(None, min_length=1, max_length=URL_CHARS)
    events: Events | None = None
    description: str | None = Field(None, max_length=200)
    enabled: bool | None = Field(
        None,
        description="False: nothing is sent. True: what happens from now on is, as after too many failures.",
    )


class Endpoint(BaseModel):
    """An endpoint and how it does."""

    id: str
    url: str
    description: str
    events: list[EventType] = Field(description="Empty: all.")
    created_at: dt.datetime
    enabled: bool
    disabled_reason: str | None
    failing_since: dt.datetime | None = Field(description="Nothing was taken since; null: the last one was.")
    waiting: int = Field(description="Deliveries that are on their way.")


class Endpoints:
    """The endpoints of one cluster. Every call raises DatabaseDown."""

    def __init__(self, database: Database, secrets: Secrets, *, private: bool) -> None:
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        self._database = database
        self._secrets = secrets
        self._private = private

    async def create(self, new: NewEndpoint) -> tuple[Endpoint, str]:
        """Makes one, and its secret. Raises BadRequest for a URL that may not be, Conflict when there are too many."""
        parse_url(new.url, private=self._private)
        async with self._database.session() as session:
            if (await session.scalar(select(func.count()).select_from(EndpointRow)) or 0) >= MOST:
                raise Conflict(
                    f"there are {MOST} webhooks", code="webhooks_full", hint="delete one that nobody needs"
                )
            row = EndpointRow(
                id=new_id("wh"),
                url=new.url,
                description=new.description,
                events=json.dumps(new.events),
                created_at=self.now(),
                version=1,
            )
            session.add(row)
            await session.flush()
            return _endpoint(row, 0), self._secrets.of(row.id, row.version)

    async def page(self, limit: int, after: str) -> list[Endpoint]:
        """The endpoints, by id."""
        waits = (
            select(DeliveryRow.endpoint, func.count().label("waiting"))
            .where(DeliveryRow.state == SendState.WAITING.value)
            .group_by(DeliveryRow.endpoint)
            .subquery()
        )
        query = (
            select(EndpointRow, waits.c.waiting)
            .outerjoin(waits, waits.c.endpoint == EndpointRow.id)
            .where(EndpointRow.id > after)
            .order_by(EndpointRow.id)
            .limit(limit)
        )
        async with self._database.session() as session:
            return [_endpoint(row, waiting or 0) for row, waiting in (await session.execute(query)).all()]

    async def read(self, endpoint: str) -> Endpoint:
        """One of them. Raises NotFound."""
        async with self._database.session() as session:
            return await self._described(session, await _require(session, endpoint))

    async def change(self, endpoint: str, changes: EndpointChanges) -> Endpoint:
        """Changes one. Raises NotFound, BadRequest for a URL that may not be."""
        if changes.url is not None:
            parse_url(changes.url, private=self._private)
        async with self._database.session() as session:
            row = await _require(session, endpoint)
            if changes.url is not None and changes.url != row.url:
                row.url, row.failing_since = changes.url, None
            if changes.events is not None:
                row.events = json.dumps(changes.events)
            if changes.description is not None:
                row.description = changes.description
            if changes.enabled is True and row.disabled is not None:
                row.disabled = row.failing_since = None
            if changes.enabled is False and row.disabled is None:
                row.disabled = BY_HAND
                await outbox.hold_back(session, endpoint, BY_HAND)
            return await self._described(session, row)

    async def renew(self, endpoint: str) -> str:
        """A new secret; the one before signs too for a day. Raises NotFound."""
        async with self._database.session() as session:
            row = await _require(session, endpoint)
            row.version, row.renewed_at = row.version + 1, self.now()
            return self._secrets.of(row.id, row.version)

    async def delete(self, endpoint: str) -> None:
        """Removes one, and what was on its way. Raises NotFound."""
        async with self._database.session() as session:
            row = await _require(session, endpoint)
            await session.execute(delete(DeliveryRow).where(DeliveryRow.endpoint == endpoint))
            await session.delete(row)

    async def test(self, endpoint: str) -> WebhookDelivery:
        """Sends it an event of no meaning. Raises NotFound, Conflict when it is turned off."""
        async with self._database.session() as session:
            _enabled(await _require(session, endpoint))
            ping = Happening(EventType.TEST, TestFacts(webhook=endpoint), self.now())
            ((row, event),) = await outbox.write(session, [ping], only=endpoint)
            return WebhookDelivery.of(row, event)

    async def deliveries(
        self, endpoint: str, limit: int, before: int | None, state: SendState | None
    ) -> list[WebhookDelivery]:
        """What was sent to it, the newest first. Raises NotFound."""
        async with self._database.session() as session:
            await _require(session, endpoint)
            rows = await outbox.page(session, endpoint, limit, before, state)
            return [WebhookDelivery.of(row, event) for row, event in rows]

    async def redeliver(self, endpoint: str, delivery: int) -> WebhookDelivery:
        """Sends one again, with a day of tries as at first. Raises NotFound, Conflict when the endpoint is turned off."""
        async with self._database.session() as session:
            _enabled(await _require(session, endpoint))
            row = await session.get(DeliveryRow, delivery, with_for_update=True)
            if row is None or row.endpoint != endpoint:
                raise NotFound(
                    f"there is no delivery {delivery} to {endpoint!r}",
                    code="delivery_unknown",
                    hint="its deliveries are listed; old ones are forgotten",
                )
            row.state, row.first_at, row.next_at = SendState.WAITING.value, None, self.now()
            event = await session.get_one(EventRow, row.event)
            await session.flush()
            return WebhookDelivery.of(row, event)

    async def _described(self, session: AsyncSession, row: EndpointRow) -> Endpoint:
        waits = (DeliveryRow.endpoint == row.id, DeliveryRow.state == SendState.WAITING.value)
        waiting = await session.scalar(select(func.count()).select_from(DeliveryRow).where(*waits))
        return _endpoint(row, waiting or 0)


def secrets_of(secrets: Secrets, row: EndpointRow, now: dt.datetime) -> list[str]:
    """Those that sign for an endpoint now, the newest first."""
    fresh = row.renewed_at is not None and (now - row.renewed_at).total_seconds() < OLD_SECRET_S
    return [secrets.of(row.id, row.version - back) for back in range(2 if fresh else 1)]


async def _require(session: AsyncSession, endpoint: str) -> EndpointRow:
    row = await session.get(EndpointRow, endpoint, with_for_update=True)
    if row is None:
        raise NotFound(
            f"there is no webhook {endpoint!r}", code="webhook_unknown", hint="GET /api/webhooks lists them"
        )
    return row


def _enabled(row: EndpointRow) -> None:
    if row.disabled is not None:
        raise Conflict(
            f"the webhook is turned off: {row.disabled}",
            code="webhook_disabled",
            hint='PATCH it with {"enabled": true}',
        )


def _endpoint(row: EndpointRow, waiting: int) -> Endpoint:
    return Endpoint(
        id=row.id,
        url=row.url,
        description=row.description,
        events=[EventType(one) for one in json.loads(row.events)],
        created_at=row.created_at,
        enabled=row.disabled is None,
        disabled_reason=row.disabled,
        failing_since=row.failing_since,
        waiting=waiting,
    )
