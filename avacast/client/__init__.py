"""The client of the orchestrator's API: `Avacast`, and `AsyncAvacast` for asyncio, with a method for each operation.

    with Avacast("http://127.0.0.1:8080", token="...") as avacast:
        avacast.broadcasts.create(id="town-hall", avatar="ava", public=True)
        avacast.broadcasts.say("town-hall", "Good evening!")

docs/client.md shows the rest. Models and methods are made from the OpenAPI document: `make client`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avacast.client.clients import AsyncAvacast, Avacast
    from avacast.client.errors import (
        AvacastError,
        BadRequest,
        Conflict,
        Forbidden,
        Misunderstood,
        NotFound,
        Refused,
        ServerFailed,
        TooMany,
        Unauthorized,
        Unavailable,
        Unreachable,
    )
    from avacast.client.events import Event
    from avacast.client.retries import Retries

_MODULES = {"AsyncAvacast": "clients", "Avacast": "clients", "Event": "events", "Retries": "retries"}

__all__ = [
    "AsyncAvacast",
    "Avacast",
    "AvacastError",
    "BadRequest",
    "Conflict",
    "Event",
    "Forbidden",
    "Misunderstood",
    "NotFound",
    "Refused",
    "Retries",
    "ServerFailed",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
]


def __getattr__(name: str) -> Any:
    """Loads what is asked for: the command line asks for little, and `make client` runs before half of it is there."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
