"""Where Redis is, as one URL: a server of its own, a primary that Sentinels watch, or a cluster.

redis://[user:password@]host[:6379][/db], rediss:// with TLS, unix:///path
redis+sentinel://[user:password@]sentinel[:26379],sentinel,.../service[/db][?sentinel_password=...]
redis+cluster://[user:password@]node[:6379],node,...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import parse_qs, unquote, urlsplit


class RedisKind(StrEnum):
    """Who answers at the address."""

    SINGLE = "single"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


_PORTS = {RedisKind.SENTINEL: 26_379, RedisKind.CLUSTER: 6_379}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A URL that was understood. Of a single server only `url` is used."""

    url: str
    kind: RedisKind = RedisKind.SINGLE
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    username: str | None = None
    password: str | None = None
    sentinel_password: str | None = None
    db: int = 0
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> RedisAddress:
        """Raises ValueError, which says what is wrong and never repeats a password."""
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        if not kind and scheme in ("redis", "rediss", "unix"):
            return cls(url)
        if scheme not in ("redis", "rediss") or kind not in ("sentinel", "cluster"):
            raise ValueError(
                f"Redis is at redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://, not at {parts.scheme!r}"
            )
        auth, _, places = parts.netloc.rpartition("@")
        user, _, password = auth.partition(":")
        path = [unquote(part) for part in parts.path.split("/") if part]
        found = cls(
            url,
            RedisKind(kind),
            tuple(_host(place, _PORTS[RedisKind(kind)]) for place in places.split(",")),
            username=unquote(user) or None,
            password=unquote(password) or None,
            sentinel_password=parse_qs(parts.query).get("sentinel_password", [None])[0],
            tls=scheme == "rediss",
        )
        return found._watched(path) if found.kind is RedisKind.SENTINEL else found._sharded(path)

    def _watched(self, path: list[str]) -> RedisAddress:
        if not 1 <= len(path) <= 2 or not (len(path) == 1 or path[1].isdecimal()):
            raise ValueError(
                "after the Sentinels comes the service that they watch: redis+sentinel://host:26379/service"
            )
        return replace(self, service=path[0], db=int(path[1]) if len(path) == 2 else 0)

    def _sharded(self, path: list[str]) -> RedisAddress:
        if path not in ([], ["0"]):
            raise ValueError("a Redis cluster has database 0 alone: redis+cluster://host:6379,host:6379")
        return self


def _host(place: str, port: int) -> tuple[str, int]:
    """host, host:port, [IPv6]:port."""
    try:
        parts = urlsplit(f"//{place}")
        if parts.hostname:
            return parts.hostname, parts.port or port
    except ValueError:
        pass
    raise ValueError(f"{place!r} is no host of a Redis; hosts are divided by commas")
