"""URLs that leave the machine: what a node calls itself (often a loopback address) and what a viewer can reach.

A viewer reached the API or the node by some name; a URL of ours on a loopback or unspecified address is on that same machine, so
the name takes its place and a phone in the LAN can watch. URLs that an operator configured are left as they are.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?)(?::\d{1,5})?"
)


def host_name(host: str | None) -> str | None:
    """The name (without port) of a Host header, None when it is missing or broken."""
    if host is None or not _HOST.fullmatch(host):
        return None
    return host[: host.index("]") + 1] if host.startswith("[") else host.partition(":")[0]


def is_local(url: str) -> bool:
    """True when only this machine can reach the URL."""
    name = urlsplit(url).hostname or ""
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def entrance(play_url: str, host: str | None) -> str:
    """The address of ours at which whoever sent this Host header joins or publishes anew, by where players ask (`play_url`)."""
    return for_viewer(play_url.partition("/api/")[0], host)


def for_viewer(url: str, host: str | None) -> str:
    """`url` as the viewer who sent this Host header reaches it."""
    name = host_name(host)
    if name is None or not is_local(url):
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{name}:{parts.port}" if parts.port else name))
