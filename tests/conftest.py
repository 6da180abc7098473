"""What every kind of test shares: the order in which they run."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: playwright's own event loop runs from their first to their last, and no other may beside it."""
    items.sort(key=lambda item: "browser" in item.path.parts)
