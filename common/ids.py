"""Identifiers: what they look like and how new ones are made."""

from __future__ import annotations

import re
import secrets
from typing import NewType

BroadcastId = NewType("BroadcastId", str)
NodeId = NewType("NodeId", str)
SessionId = NewType("SessionId", str)
ViewerId = NewType("ViewerId", str)

_BROADCAST = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


def parse_broadcast_id(text: str) -> BroadcastId:
    """The id of a broadcast (it is also a path segment and a stream name): 1-64 of a-z 0-9 _ -, alphanumeric ends.

    Raises ValueError with a sentence that says what is allowed.
    """
    if not _BROADCAST.fullmatch(text):
        raise ValueError(
            "a broadcast id has 1 to 64 characters of a-z, 0-9, '-' and '_', and begins and ends with a letter or digit"
        )
    return BroadcastId(text)


_PRIVATE = "~"


def private_stream() -> str:
    """A new name of a stream that is nobody's but this node's: no broadcast can have it, so no path can ask for it."""
    return f"{_PRIVATE}{secrets.token_urlsafe(12)}"


def is_private(stream: str) -> bool:
    """Whether a stream is one of those."""
    return stream.startswith(_PRIVATE)


def parse_token_id(text: str) -> str:
    """A generated id (viewer, session, node): 1-64 of A-Z a-z 0-9 _ -. Raises ValueError."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("an id has 1 to 64 characters of A-Z, a-z, 0-9, '-' and '_'")
    return text


def new_id(prefix: str) -> str:
    """`prefix_` and 96 random bits, URL-safe: not guessable."""
    return f"{prefix}_{secrets.token_urlsafe(12).replace('-', 'x').replace('_', 'y')}"
