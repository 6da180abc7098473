"""What every kind of test shares: the order in which they run, and who may try again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from aiohttp.web_app import _cached_build_middleware
from hypothesis import HealthCheck, settings

# Whole processes, sockets, browsers: the one kind of test that a machine which others use too can fail without a fault of ours.
STORIES = {"integration", "browser", "netem"}


# Hypothesis measures time by default: a pause of the machine, or of the garbage collector, is no fault of a property.
settings.register_profile("avacast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("avacast")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that runs in the test's own process says how much is logged; the next test hears everything again."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def servers_are_let_go() -> Iterator[None]:
    """aiohttp remembers the last thousand applications that answered, and an orchestrator hangs on each: gigabytes, through which the
    garbage collector goes in the middle of stories that measure time."""
    yield
    _cached_build_middleware.cache_clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: playwright's own event loop runs from their first to their last, and no other may beside it.

    A story that fails is told again, twice at most, and the summary names it: one that needs that often is a fault to be found. Unit
    tests run in virtual time and have no second try.
    """
    items.sort(key=lambda item: "browser" in item.path.parts)
    for item in items:
        if STORIES.intersection(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=2))
