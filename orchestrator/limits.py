"""How often: moving windows by the `limits` library, in Redis when there is one, so that all orchestrators count together.

Strangers are counted by address (`talk`, `report`), API keys each by itself (`request`, `make`). Answers tell what is left as
draft-ietf-httpapi-ratelimit-headers has it, refusals the limit, its value and when to come again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError

from common.errors import TooMany
from common.redis_address import RedisAddress
from common.redis_client import RedisClient, close, connect
from orchestrator.geo import Address


class _Counts(RedisStorage):
    """The library's counts on a client of ours, which finds every kind of Redis and is ours to close."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        super().__init__("async+redis://", implementation="redispy", wrap_exceptions=True)

    def configure_bridge(self) -> None:
        bridge: Any = self.bridge  # that of redis-py, which the base class does not tell
        bridge.storage = self._client
        bridge.connection_getter = lambda _readonly: self._client


@dataclass(frozen=True, slots=True)
class Count:
    """How much of a limit is left: of `most` in `window_s` seconds, and in how many seconds there is more."""

    name: str
    most: int
    window_s: int
    left: int
    reset_s: int

    def member(self) -> dict[str, object]:
        """As a refusal tells it."""
        return {"name": self.name, "most": self.most, "window_s": self.window_s}


def headers(counts: Iterable[Count]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, structured fields; nothing when nothing was counted."""
    told = list(counts)
    if not told:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{one.name}";q={one.most};w={one.window_s}' for one in told),
        "RateLimit": ", ".join(f'"{one.name}";r={one.left};t={one.reset_s}' for one in told),
    }


class Limits:
    """Named limits such as `talk` = 30/minute."""

    def __init__(self, redis_url: str, **texts: str) -> None:
        """Raises ValueError when a text is no limit."""
        self._client = connect(RedisAddress.parse(redis_url)) if redis_url else None
        storage = _Counts(self._client) if self._client else MemoryStorage()
        self._window = MovingWindowRateLimiter(storage)
        self._items: dict[str, RateLimitItem] = {}
        for name, text in texts.items():
            try:
                self._items[name] = parse(text)
            except ValueError:
                raise ValueError(f"limit {name}: {text!r} is not of the form 30/minute") from None

    async def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            await close(self._client)

    async def hit(self, name: str, *who: str, address: Address | None) -> None:
        """Counts one of an address. Raises TooMany with the limit and when to come again. Without Redis nobody is refused."""
        item, key = self._items[name], (*who, block(address))
        try:
            if await self._window.hit(item, name, *key):
                return
        except (StorageError, RedisError, OSError):
            return
        count = await self._left(item, name, key)
        if count is not None:
            raise _too_many(count, item, "one address")

    async def spend(self, name: str, key: str, per_minute: int | None = None) -> Count | None:
        """Counts one of an API key, by its own limit when it has one; None when Redis cannot tell. Raises TooMany."""
        item = self._items[name] if per_minute is None else RateLimitItemPerMinute(per_minute)
        try:
            passed = await self._window.hit(item, name, key)
        except (StorageError, RedisError, OSError):
            return None
        count = await self._left(item, name, (key,))
        if passed or count is None:
            return count
        raise _too_many(count, item, f"the API key {key}")

    async def _left(self, item: RateLimitItem, name: str, who: tuple[str, ...]) -> Count | None:
        try:
            window = await self._window.get_window_stats(item, name, *who)
        except (StorageError, RedisError, OSError):
            return None
        reset_s = max(1, math.ceil(window.reset_time - time.time()))
        return Count(name, item.amount, item.get_expiry(), max(0, window.remaining), reset_s)


def _too_many(count: Count, item: RateLimitItem, whose: str) -> TooMany:
    return TooMany(
        f"more than {count.most} in {count.window_s} s from {whose}",
        code=f"{count.name}_limit",
        hint=f"the limit {count.name!r} is {item}",
        retry_after_s=count.reset_s,
        headers=headers([count]),
        members={"limit": count.member()},
    )


def block(address: Address | None) -> str:
    """The address; of IPv6 the first 64 bits, which one customer has to itself."""
    if address is None:
        return "unknown"
    return str(address) if address.version == 4 else address.exploded[:19]
