"""Where people and regions are: an address to a place by a MaxMind-format file, a region's name to a place by a small table.

The file may be a city database (it has `location`), a country database or the flat kind of ip-location-db (`country_code`,
`latitude`, `longitude`); a country alone is placed among its people (data/countries.json). A proxy is believed about its client
only when its own address is in the configured networks.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import maxminddb

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_HOPS = 32
"""Entries of X-Forwarded-For that are looked at; a longer list is an attack."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the globe in degrees, and the country (ISO 3166-1 alpha-2) when known."""

    latitude: float
    longitude: float
    country: str | None = None

    def vector(self) -> tuple[float, float, float]:
        """The point as a unit vector: dot products of these are cosines of distances."""
        latitude, longitude = radians(self.latitude), radians(self.longitude)
        return cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)


@cache
def _table(name: str) -> dict[str, tuple[float, float]]:
    rows = json.loads(resources.files("orchestrator.data").joinpath(name).read_text())
    return {key: (float(latitude), float(longitude)) for key, (latitude, longitude) in rows.items()}


def country_place(code: str) -> Place | None:
    """The middle of a country's people."""
    point = _table("countries.json").get(code.upper())
    return None if point is None else Place(*point, country=code.upper())


def country_codes() -> list[str]:
    """Of all countries that have a place."""
    return list(_table("countries.json"))


def region_names() -> list[str]:
    """Of all regions that have a place."""
    return list(_table("regions.json"))


@lru_cache(4096)
def region_place(region: str) -> Place | None:
    """Where a region of a known cloud is; a region may also be told as `LATITUDE,LONGITUDE`. None when neither."""
    point = _table("regions.json").get(region)
    if point is not None:
        return Place(*point)
    first, comma, second = region.partition(",")
    try:
        latitude, longitude = float(first), float(second) if comma else float("nan")
    except ValueError:
        return None
    return Place(latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks such as 10.0.0.0/8 or a single address. Raises ValueError that names the bad one."""
    try:
        return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts if text.strip())
    except ValueError as error:
        raise ValueError(f"AVACAST_TRUSTED_PROXIES: {error}") from None


def _parse_address(text: str) -> Address | None:
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:4711, as some proxies write it
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)


def client_address(
    peer: str | None, headers: Mapping[str, str], trusted: Sequence[Network]
) -> Address | None:
    """The client's address: the peer itself, or what trusted proxies say.

    X-Forwarded-For is read from the right and only as far as the proxies are trusted: each entry was written by the hop after it.
    """
    address = _parse_address(peer or "")
    if address is None or not _trusted(address, trusted):
        return address
    for entry in reversed(headers.get("X-Forwarded-For", "").split(",")[-_MAX_HOPS:]):
        hop = _parse_address(entry)
        if hop is None:
            break
        address = hop
        if not _trusted(hop, trusted):
            break
    return address


class Geo:
    """Looks addresses up. Without a database every place is unknown, and placement treats all nodes as equally near."""

    def __init__(self, database: Path | None = None) -> None:
        """Raises ValueError when the file is missing or not of the MaxMind format."""
        self._reader: maxminddb.Reader | None = None
        if database is not None:
            try:
                self._reader = maxminddb.open_database(database)
            except (OSError, maxminddb.InvalidDatabaseError) as error:
                raise ValueError(f"AVACAST_GEOIP_DB: {database}: {error}") from error

    def place(self, address: Address | None) -> Place | None:
        """Where an address is, None when nobody knows (private networks, no database)."""
        if self._reader is None or address is None or not address.is_global:
            return None
        try:
            row = self._reader.get(address)
        except (ValueError, maxminddb.InvalidDatabaseError):
            return None
        return _row_place(row) if isinstance(row, dict) else None

    def close(self) -> None:
        """Closes the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _row_place(row: Mapping[str, Any]) -> Place | None:
    country = row.get("country_code") or (row.get("country") or {}).get("iso_code")
    location = row.get("location") or row
    latitude, longitude = location.get("latitude"), location.get("longitude")
    if latitude is not None and longitude is not None:
        return Place(float(latitude), float(longitude), country)
    return country_place(str(country)) if country else None
