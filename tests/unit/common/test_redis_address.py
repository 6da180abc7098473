"""Addresses of Redis: what each form means, and what is refused."""

from __future__ import annotations

import pytest

from common.redis_address import RedisAddress, RedisKind


@pytest.mark.parametrize("url", ["redis://r:6380/2", "rediss://u:p@r", "unix:///run/redis.sock?db=1"])
def test_a_single_server_is_left_to_its_library(url: str) -> None:
    address = RedisAddress.parse(url)
    assert (address.kind, address.url) == (RedisKind.SINGLE, url)


def test_sentinels_and_the_service_that_they_watch() -> None:
    address = RedisAddress.parse("redis+sentinel://u:p%40ss@one:26380,two,[::1]:1/main/3?sentinel_password=q")
    assert address.kind is RedisKind.SENTINEL
    assert address.hosts == (("one", 26380), ("two", 26379), ("::1", 1))
    assert (address.service, address.db) == ("main", 3)
    assert (address.username, address.password, address.sentinel_password) == ("u", "p@ss", "q")
    assert not address.tls


def test_a_cluster_is_found_by_any_of_its_nodes() -> None:
    address = RedisAddress.parse("rediss+cluster://:secret@one:7000,two")
    assert address.kind is RedisKind.CLUSTER
    assert address.hosts == (("one", 7000), ("two", 6379))
    assert (address.username, address.password, address.tls) == (None, "secret", True)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://:secret@host", "not at 'http'"),
        ("redis+other://:secret@host", "redis+sentinel://"),
        ("redis+sentinel://:secret@host:26379", "service"),
        ("redis+sentinel://:secret@host/main/x", "service"),
        ("redis+cluster://:secret@host/3", "database 0"),
        ("redis+cluster://:secret@one,,two", "no host"),
        ("redis+cluster://:secret@one:port", "no host"),
        ("redis+cluster://", "no host"),
        ("", "redis://"),
    ],
)
def test_what_is_none_is_refused_with_the_reason_and_without_its_password(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        RedisAddress.parse(url)
    assert says in str(refusal.value)
    assert "secret" not in str(refusal.value)
