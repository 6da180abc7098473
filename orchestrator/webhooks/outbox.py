"""The outbox: events and their deliveries in SQL. An event is written in the transaction of the change that it tells, so it is there
exactly when the change is, with one delivery for each endpoint that wants it. From there the courier takes them.

A queue is bounded: above `QUEUE` waiting deliveries of an endpoint the next ones are written as failed, to be seen and sent again by hand.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, Field
from sqlalchemy import ForeignKey, Index, Integer, String, Text, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from common.database import Base, Instant
from common.metrics import counter
from orchestrator.webhooks.events import EventType, Happening, WebhookEvent
from orchestrator.webhooks.schedule import SendState

QUEUE = 1000
ERROR_CHARS = 300
FULL = f"not sent: {QUEUE} deliveries wait for this endpoint already"

_EVENTS = counter("avacast_webhook_events_total", "Events that some endpoint wants", ("type",))


class EndpointRow(Base):
    """An address that wants events. `events` is a JSON list, empty for all; `version` is that of its secret."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    url: Mapped[str] = mapped_column(String(2000))
    description: Mapped[str] = mapped_column(String(200))
    events: Mapped[str] = mapped_column(Text)
    created_at: Mapped[dt.datetime] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(Integer)
    renewed_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    failing_since: Mapped[dt.datetime | None] = mapped_column(Instant)
    disabled: Mapped[str | None] = mapped_column(String(ERROR_CHARS))

    def wants(self, type: EventType) -> bool:
        """Does it want events of this kind?"""
        wanted = json.loads(self.events)
        return type is EventType.TEST or not wanted or type.value in wanted


class EventRow(Base):
    """An event, with the bytes that are sent."""

    __tablename__ = "webhook_events"
    __table_args__ = (Index("webhook_events_at", "at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    type: Mapped[str] = mapped_column(String(32))
    at: Mapped[dt.datetime] = mapped_column(Instant)
    body: Mapped[str] = mapped_column(Text)


class DeliveryRow(Base):
    """An event on its way to an endpoint."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("webhook_deliveries_due", "state", "endpoint", "next_at"),
        Index("webhook_deliveries_of", "endpoint", "number"),
        Index("webhook_deliveries_event", "event"),
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    endpoint: Mapped[str] = mapped_column(String(64), ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(64), ForeignKey("webhook_events.id", ondelete="CASCADE"))
    state: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer)
    first_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    next_at: Mapped[dt.datetime] = mapped_column(Instant)
    last_at: Mapped[dt.datetime | None] = mapped_column(Instant)
    last_status: Mapped[int | None] = mapped_column(Integer)
    last_error: Mapped[str | None] = mapped_column(String(ERROR_CHARS))


class WebhookDelivery(BaseModel):
    """A delivery as the API tells it."""

    id: int
    event: str = Field(description="The event's id, which is the header webhook-id.")
    type: EventType
    at: dt.datetime = Field(description="When it happened.")
    state: SendState
    attempts: int
    next_at: dt.datetime | None = Field(description="When it is tried next, null when it is not.")
    last_at: dt.datetime | None
    last_status: int | None = Field(description="How the endpoint answered last; null when no answer came.")
    last_error: str | None
    body: WebhookEvent = Field(description="What is sent.")

    @classmethod
    def of(cls, row: DeliveryRow, event: EventRow) -> WebhookDelivery:
        waiting = row.state == SendState.WAITING
        return cls(
            id=row.number,
            event=event.id,
            type=EventType(event.type),
            at=event.at,
            state=SendState(row.state),
            attempts=row.attempts,
            next_at=row.next_at if waiting else None,
            last_at=row.last_at,
            last_status=row.last_status,
            last_error=row.last_error,
            body=WebhookEvent.model_validate_json(event.body),
        )


async def write(
    session: AsyncSession, happenings: Iterable[Happening], *, only: str | None = None
) -> list[tuple[DeliveryRow, EventRow]]:
    """Writes the events that some endpoint wants (`only` this one), and their deliveries, into a transaction. One with a key that was
    told before is left out."""
    told = list(happenings)
    if not told:
        return []
    query = select(EndpointRow).where(EndpointRow.disabled.is_(None))
    endpoints = (await session.scalars(query if only is None else query.where(EndpointRow.id == only))).all()
    pairs = [(one, [each for each in endpoints if each.wants(one.type)]) for one in told]
    pairs = await _new(session, [(one, wanting) for one, wanting in pairs if wanting])
    if not pairs:
        return []
    waiting = await _waiting(session)
    written: list[tuple[DeliveryRow, EventRow]] = []
    for one, wanting in pairs:
        event = _event(one)
        session.add(event)
        await session.flush()
        _EVENTS.labels(one.type.value).inc()
        for endpoint in wanting:
            waiting[endpoint.id] += 1
            full = waiting[endpoint.id] > QUEUE
            row = DeliveryRow(
                endpoint=endpoint.id,
                event=event.id,
                state=(SendState.FAILED if full else SendState.WAITING).value,
                attempts=0,
                next_at=one.at,
                last_error=FULL if full else None,
            )
            session.add(row)
            written.append((row, event))
    await session.flush()
    return written


def _event(one: Happening) -> EventRow:
    body = WebhookEvent(id=one.id, type=one.type, timestamp=one.at, data=one.data)
    return EventRow(id=body.id, type=one.type.value, at=one.at, body=body.model_dump_json())


async def _new(
    session: AsyncSession, pairs: list[tuple[Happening, list[EndpointRow]]]
) -> list[tuple[Happening, list[EndpointRow]]]:
    keyed = [one.id for one, _ in pairs if one.key is not None]
    if not keyed:
        return pairs
    known = set((await session.scalars(select(EventRow.id).where(EventRow.id.in_(keyed)))).all())
    return [(one, wanting) for one, wanting in pairs if one.key is None or one.id not in known]


async def _waiting(session: AsyncSession) -> Counter[str]:
    query = (
        select(DeliveryRow.endpoint, func.count())
        .where(DeliveryRow.state == SendState.WAITING.value)
        .group_by(DeliveryRow.endpoint)
    )
    counts: Counter[str] = Counter()
    for endpoint, count in (await session.execute(query)).all():
        counts[endpoint] = count
    return counts


async def hold_back(session: AsyncSession, endpoint: str, why: str) -> None:
    """What waits for an endpoint that is turned off has failed; it may be sent again by hand."""
    waits = (DeliveryRow.endpoint == endpoint, DeliveryRow.state == SendState.WAITING.value)
    await session.execute(
        update(DeliveryRow)
        .where(*waits)
        .values(state=SendState.FAILED.value, last_error=f"not sent: {why}"[:ERROR_CHARS])
    )


async def sweep(session: AsyncSession, before: dt.datetime) -> None:
    """Forgets events of before this moment, unless one still waits for a delivery."""
    waits = select(DeliveryRow.event).where(DeliveryRow.state == SendState.WAITING.value)
    old = select(EventRow.id).where(EventRow.at < before, EventRow.id.not_in(waits))
    await session.execute(delete(DeliveryRow).where(DeliveryRow.event.in_(old)))
    await session.execute(delete(EventRow).where(EventRow.at < before, EventRow.id.not_in(waits)))


async def page(
    session: AsyncSession, endpoint: str, limit: int, before: int | None, state: SendState | None
) -> Sequence[tuple[DeliveryRow, EventRow]]:
    """Deliveries of an endpoint, the newest first."""
    query = select(DeliveryRow, EventRow).join(EventRow, EventRow.id == DeliveryRow.event)
    query = query.where(DeliveryRow.endpoint == endpoint)
    if before is not None:
        query = query.where(DeliveryRow.number < before)
    if state is not None:
        query = query.where(DeliveryRow.state == state.value)
    rows = await session.execute(query.order_by(DeliveryRow.number.desc()).limit(limit))
    return [(row, event) for row, event in rows.all()]
