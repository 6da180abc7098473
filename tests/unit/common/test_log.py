"""Logs go where stderr is, and keep secrets to themselves."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest
import structlog

from common.log import configure, log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)


def test_a_stderr_that_was_closed_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    configure("info")
    speaks = log("here")
    speaks.info("one")
    assert "one" in first.getvalue()
    first.close()
    monkeypatch.setattr(sys, "stderr", second)
    speaks.info("two", token="secret-word")
    assert "two" in second.getvalue() and "secret-word" not in second.getvalue()
