"""A client of whatever Redis an address names (redis_address.py)."""

from __future__ import annotations

from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from common.redis_address import RedisAddress, RedisKind

RedisClient = aioredis.Redis | RedisCluster

CALL_S = 1.0
"""Longest that a call waits for Redis; what plays does not depend on it, so it fails early."""
_HEALTH_S = 10
_TIMES: dict[str, Any] = {"socket_timeout": CALL_S, "socket_connect_timeout": CALL_S}


def connect(address: RedisAddress) -> RedisClient:
    """Connects on first use. Each try fails after CALL_S at most."""
    # Once more, at once: a connection that lay idle over a restart of Redis is dead, the next one is not.
    options: dict[str, Any] = {"health_check_interval": _HEALTH_S, "retry": Retry(NoBackoff(), 1)}
    match address.kind:
        case RedisKind.SINGLE:
            return aioredis.Redis.from_url(address.url, **_TIMES, **options)
        case RedisKind.SENTINEL:
            watch: Any = Sentinel  # which has no types
            sentinel = watch(
                address.hosts, sentinel_kwargs=_to_sentinels(address), **_TIMES, **_auth(address)
            )
            client: aioredis.Redis = sentinel.master_for(address.service, db=address.db, **options)
            return client
        case RedisKind.CLUSTER:
            nodes = [ClusterNode(host, port) for host, port in address.hosts]
            return RedisCluster(startup_nodes=nodes, **_TIMES, **_auth(address), **options)


async def close(client: RedisClient) -> None:
    """Closes its connections, those to Sentinels too."""
    await client.aclose()
    pool = getattr(client, "connection_pool", None)
    if isinstance(pool, SentinelConnectionPool):
        for one in pool.sentinel_manager.sentinels:
            await one.aclose()


def _auth(address: RedisAddress) -> dict[str, Any]:
    given = {"username": address.username, "password": address.password, "ssl": address.tls or None}
    return {name: value for name, value in given.items() if value is not None}


def _to_sentinels(address: RedisAddress) -> dict[str, Any]:
    own = {"password": address.sentinel_password, "ssl": address.tls or None}
    return _TIMES | {name: value for name, value in own.items() if value is not None}
