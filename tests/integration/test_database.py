"""The database on SQLite and on a real PostgreSQL: migrations, and an outage that readers do not notice."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import time
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from common.database import Base, Database, DatabaseDown
from common.errors import Conflict
from common.registry import Duty, StaleEpoch
from orchestrator.broadcasts import Broadcasts, NewBroadcast
from orchestrator.rollout import plan
from orchestrator.rollout.store import Rollouts
from tests.harness.cluster import admin, orchestrator
from tests.harness.postgres import Postgres


async def test_migrations_make_what_the_models_say_and_run_once(database_url: str, tmp_path: Path) -> None:
    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), Base.metadata))

    for _ in range(2):
        database = await Database.open(database_url, tmp_path)
        async with database.session() as session:
            assert await (await session.connection()).run_sync(differences) == []
        await database.close()


async def test_broadcasts_are_kept_with_their_moment_in_utc(database_url: str, tmp_path: Path) -> None:
    database = await Database.open(database_url, tmp_path)
    first, second = Broadcasts(database), Broadcasts(database)
    made = await first.create(NewBroadcast(title="Zwölf Boxkämpfer 🥊", public=True))
    assert await second.refresh()
    assert second.find(made.id) == made
    assert second.require(made.id).created_at.tzinfo is not None
    assert not await second.refresh()
    await first.end(made.id)
    assert await second.refresh()
    assert second.find(made.id) is None
    await database.close()


async def test_a_rollout_is_kept_with_its_history_and_of_two_writers_one_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    database = await Database.open(database_url, tmp_path)
    first, second = Rollouts(database), Rollouts(database)
    now = dt.datetime.now(dt.UTC)
    new = plan.begun(plan.NewRollout(stable="1.0", candidate="2.0"), f"ro_{tmp_path.name}", now)
    made = await first.create(new, "operator")
    await second.refresh()
    assert second.require(made.id) == made
    with pytest.raises(Conflict):
        await second.create(new.model_copy(update={"id": "ro_other"}), "operator")
    paused = await first.save(plan.paused(made, "a holiday", now), plan.Happened.PAUSED, "operator")
    with pytest.raises(Conflict):
        await second.save(plan.paused(made, "too late", now), plan.Happened.PAUSED, "operator")
    done = plan.rolled_back(paused, "no", now)
    await first.save(done, plan.Happened.ROLLED_BACK, "system", duty=Duty("steer", "one", 7, 0.0))
    with pytest.raises(StaleEpoch):
        await first.save(first.require(made.id), None, "system", duty=Duty("steer", "other", 6, 0.0))
    assert [one.happened for one in await second.history(made.id)] == ["begun", "paused", "rolled_back"]
    await database.close()


async def test_several_orchestrators_may_start_on_an_empty_database(
    postgres: Postgres, tmp_path: Path
) -> None:
    empty = postgres.fresh()
    opened = await asyncio.gather(*(Database.open(empty, tmp_path) for _ in range(4)))
    await asyncio.gather(*(one.close() for one in opened))


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense"])
async def test_another_kind_of_database_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        await Database.open(url, tmp_path)


async def test_a_database_that_is_not_there_is_said_to_be_down(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DatabaseDown):
        await Database.open(f"postgresql://x@127.0.0.1:{port}/x", tmp_path)


@pytest.mark.slow
async def test_while_sql_is_gone_what_is_there_goes_on_and_nothing_new_is_made(
    postgres: Postgres, tmp_path: Path
) -> None:
    async with orchestrator(tmp_path, database_url=postgres.url) as hub:
        await hub.ok("POST", "/api/broadcasts", json={"id": "stays", "public": True}, headers=admin())
        postgres.stop()
        began = time.monotonic()
        await hub.ok("GET", "/api/broadcasts/stays")
        assert (await hub.ok("GET", "/api/broadcasts"))["broadcasts"]
        assert time.monotonic() - began < 5, "no request waits for the database to time out"
        status, body, headers = await hub.call("POST", "/api/broadcasts", json={"id": "new"}, headers=admin())
        assert (status, body["code"]) == (503, "database_unavailable")
        assert headers["Retry-After"]
        postgres.start()
        began = time.monotonic()
        while (await hub.call("POST", "/api/broadcasts", json={"id": "new"}, headers=admin()))[0] != 201:
            assert time.monotonic() - began < 30
            await asyncio.sleep(0.1)
