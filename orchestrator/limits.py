"""Limits per address: moving windows by the `limits` library, in Redis when there is one, so that all orchestrators count together."""

from __future__ import annotations

import time
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from redis.exceptions import RedisError

from common.errors import TooMany
from orchestrator.geo import Address

_TIMES: dict[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}


class Limits:
    """Named limits such as `talk` = 30/minute."""

    def __init__(self, redis_url: str, **texts: str) -> None:
        """Raises ValueError when a text is no limit."""
        storage: RedisStorage | MemoryStorage = MemoryStorage()
        if redis_url:
            storage = RedisStorage(
                f"async+{redis_url}", implementation="redispy", wrap_exceptions=True, **_TIMES
            )
        self._window = MovingWindowRateLimiter(storage)
        self._items: dict[str, RateLimitItem] = {}
        for name, text in texts.items():
            try:
                self._items[name] = parse(text)
            except ValueError:
                raise ValueError(f"limit {name}: {text!r} is not of the form 30/minute") from None

    async def hit(self, name: str, *who: str, address: Address | None) -> None:
        """Counts one. Raises TooMany with the limit and when to come again. Without Redis nobody is refused."""
        item = self._items[name]
        key = (*who, _block(address))
        try:
            if await self._window.hit(item, name, *key):
                return
            window = await self._window.get_window_stats(item, name, *key)
        except (StorageError, RedisError, OSError):
            return
        raise TooMany(
            f"more than {item.amount} in {item.get_expiry()} s from one address",
            code=f"{name}_limit",
            hint=f"the limit {name!r} is {item}",
            retry_after_s=max(1.0, window.reset_time - time.time()),
        )


def _block(address: Address | None) -> str:
    """The address; of IPv6 the first 64 bits, which one customer has to itself."""
    if address is None:
        return "unknown"
    return str(address) if address.version == 4 else address.exploded[:19]
