"""Structured logs: one line an event, `log("orchestrator").info("cdn:activated", broadcast="demo")`. Never a token, never a body."""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import structlog

_SECRET_KEYS = frozenset({"token", "authorization", "secret", "password", "key", "api_key"})


def _hide_secrets(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    for key in event:
        if key.lower() in _SECRET_KEYS:
            event[key] = "***"
    return event


def _to_stderr(*_names: Any) -> structlog.PrintLogger:
    """Writes to what stderr is now: a program that runs a command of ours in itself may have closed the one of before."""
    return structlog.PrintLogger(sys.stderr)


def configure(level: str = "info", *, json: bool | None = None) -> None:
    """Sets up logging for the process: to stderr, coloured on a terminal, JSON lines otherwise (or as `json` says)."""
    as_json = (not sys.stderr.isatty()) if json is None else json
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    threshold = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=max(threshold, logging.WARNING), stream=sys.stderr)


def log(component: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a component; lines carry `component`."""
    return cast("structlog.typing.FilteringBoundLogger", structlog.get_logger(component=component))
