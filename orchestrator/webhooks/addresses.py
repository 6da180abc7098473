"""Where webhooks may go. Whoever may make an endpoint must not reach what only our machines reach: the cloud's metadata service, Redis,
consoles in the private network. So a host is looked up once, its addresses are judged, and the connection goes to those that passed:
a name that tells another address at a second look gains nothing."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from common.errors import BadRequest

URL_CHARS = 2000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(OSError):
    """No address of the host may be connected to."""


def is_public(address: Address) -> bool:
    """Whether the address is one of the open Internet, also when an IPv4 address is wrapped in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address.teredo is not None:
            inner = address.teredo[1]
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def literal(host: str | None) -> Address | None:
    """The address that a host is written as, None for a name."""
    try:
        return ipaddress.ip_address((host or "").strip("[]").partition("%")[0])
    except ValueError:
        return None


def parse_url(text: str, *, private: bool) -> URL:
    """The URL of an endpoint. Raises BadRequest (422) that says what is wrong. `private`: any address may be reached."""
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise _refused("it is no URL") from None
    if len(text) > URL_CHARS:
        raise _refused(f"it has more than {URL_CHARS} characters")
    if url.scheme not in ("http", "https") or not url.host or not port:
        raise _refused("it is not http://host/... or https://host/...")
    if url.user is not None or url.password is not None:
        raise _refused("it has a user or a password in it; the signature says who sends")
    if url.fragment:
        raise _refused("it has a fragment (#...)")
    address = literal(url.host)
    if address is not None and not private and not is_public(address):
        raise _refused(f"{address} is no public address; AVACAST_WEBHOOK_PRIVATE=true allows it")
    return url


def _refused(why: str) -> BadRequest:
    return BadRequest(
        f"no webhook can go there: {why}",
        status=422,
        code="webhook_url_refused",
        hint="give the address of a receiver on the Internet, such as https://example.org/hooks",
    )


class PublicResolver(AbstractResolver):
    """Looks hosts up, and tells those addresses that may be connected to. Raises AddressRefused when there is none."""

    def __init__(self, *, private: bool, inner: AbstractResolver | None = None) -> None:
        self._private = private
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if self._inner is None:
            self._inner = ThreadedResolver()
        found = await self._inner.resolve(host, port, family)
        if self._private:
            return found
        allowed = [one for one in found if _passes(one)]
        if not allowed:
            raise AddressRefused(f"{host} has no public address")
        return allowed

    async def close(self) -> None:
        if self._inner is not None:
            await self._inner.close()


def _passes(found: Any) -> bool:
    address = literal(str(found["host"]))
    return address is not None and is_public(address)
