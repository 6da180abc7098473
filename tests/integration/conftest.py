"""What most stories about orchestrators begin with: one, and nodes that report to it. A file that needs another kind has its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.cluster import Nodes, Running, nodes, orchestrator


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
