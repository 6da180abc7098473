"""The outbox on SQLite: bounded queues, one event for a key, what is old is forgotten, a duty that has passed on writes nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from common.database import Database
from common.registry import Duty, StaleEpoch
from orchestrator import fences
from orchestrator.webhooks import outbox
from orchestrator.webhooks.endpoints import Endpoint, Endpoints, NewEndpoint
from orchestrator.webhooks.events import EventType, Happening, TestFacts
from orchestrator.webhooks.outbox import FULL, QUEUE, DeliveryRow, EventRow
from orchestrator.webhooks.schedule import SendState
from orchestrator.webhooks.signing import Secrets

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open("", tmp_path)
    yield opened
    await opened.close()


def happening(
    key: str | None = None, at: dt.datetime = NOON, type: EventType = EventType.NODE_LOST
) -> Happening:
    return Happening(type, TestFacts(webhook="x"), at, key)


async def endpoint(database: Database, *events: EventType) -> Endpoint:
    endpoints = Endpoints(database, Secrets("s" * 32), private=False)
    made, _ = await endpoints.create(NewEndpoint(url="https://example.org/", events=list(events)))
    return made


async def write(database: Database, *happenings: Happening) -> int:
    async with database.session() as session:
        return len(await outbox.write(session, happenings))


async def count(database: Database, table: type[EventRow] | type[DeliveryRow]) -> int:
    async with database.session() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_what_nobody_wants_is_not_written(database: Database) -> None:
    assert await write(database, happening()) == 0
    await endpoint(database, EventType.NODE_JOINED)
    assert await write(database, happening()) == 0
    await endpoint(database, EventType.NODE_LOST)
    await endpoint(database)
    assert await write(database, happening()) == 2
    assert await count(database, EventRow) == 1, "the same bytes for both"


async def test_what_has_a_key_is_told_once(database: Database) -> None:
    await endpoint(database)
    assert await write(database, happening("town/1")) == 1
    assert await write(database, happening("town/1"), happening("town/2")) == 1
    assert happening("town/1").id == happening("town/1").id != happening("town/2").id
    assert happening().id != happening().id


@pytest.mark.slow
async def test_a_queue_that_is_full_takes_no_more_and_says_so(database: Database) -> None:
    made = await endpoint(database)
    await write(database, *(happening() for _ in range(QUEUE - 1)))
    await write(database, happening(), happening())
    endpoints = Endpoints(database, Secrets("s" * 32), private=False)
    newest, last, *_ = await endpoints.deliveries(made.id, 3, None, None)
    assert (newest.state, newest.last_error) == (SendState.FAILED, FULL)
    assert last.state is SendState.WAITING
    assert (await endpoints.read(made.id)).waiting == QUEUE


async def test_what_is_old_is_forgotten_unless_it_waits(database: Database) -> None:
    made = await endpoint(database)
    await write(database, happening(at=NOON - dt.timedelta(days=30)), happening(at=NOON))
    async with database.session() as session:
        await outbox.sweep(session, NOON - dt.timedelta(days=14))
    assert await count(database, EventRow) == 2
    async with database.session() as session:
        await outbox.hold_back(session, made.id, "test")
        await outbox.sweep(session, NOON - dt.timedelta(days=14))
    assert (await count(database, EventRow), await count(database, DeliveryRow)) == (1, 1)


async def test_a_duty_that_has_passed_on_writes_nothing_more(database: Database) -> None:
    await endpoint(database)
    first, second = (Duty("steer", owner, epoch, 0.0) for owner, epoch in (("a", 5), ("b", 6)))
    for duty in (first, first, second):
        async with database.session() as session:
            await fences.hold(session, duty)
            await outbox.write(session, [happening()])
    with pytest.raises(StaleEpoch):
        async with database.session() as session:
            await fences.hold(session, first)
            await outbox.write(session, [happening()])
    assert await count(database, EventRow) == 3
    await fences.clear(database)
    async with database.session() as session:
        await fences.hold(session, first)
