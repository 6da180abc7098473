"""What most stories about orchestrators begin with: one, and nodes that report to it. A file that needs another kind has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.cluster import Nodes, Running, nodes, orchestrator
from tests.harness.postgres import Postgres


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Running]:
    """An orchestrator with its own settings."""
    async with orchestrator(tmp_path) as running:
        yield running


@pytest.fixture
async def cluster() -> AsyncIterator[Nodes]:
    """A place to start nodes in; they end with the test."""
    async with nodes() as started:
        yield started


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for the stories of one file."""
    server = Postgres()
    server.start()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database: a story that asks for it is told on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh()
