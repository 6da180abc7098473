"""The kind of device a viewer watches on, from what its browser says of itself. Only the kind is kept."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping

_CHARS = 512


class Device(enum.StrEnum):
    DESKTOP = "desktop"
    MOBILE = "mobile"
    TABLET = "tablet"
    TV = "tv"
    OTHER = "other"


_RULES = (
    (Device.TV, re.compile(r"smart-?tv|apple ?tv|tizen|web0s|webos|hbbtv|bravia|crkey|google ?tv|android tv|roku|\baft[a-z]+\b")),
    (Device.TABLET, re.compile(r"ipad|tablet|kindle|silk|playbook|android(?!.*mobi)")),
    (Device.MOBILE, re.compile(r"mobi|iphone|ipod|android")),
    (Device.DESKTOP, re.compile(r"windows nt|macintosh|x11|cros|linux")),
)  # fmt: skip
"""The first that matches. iPads that ask for desktop pages say Macintosh, and count as that."""


def device_of(headers: Mapping[str, str]) -> Device:
    """The device by `User-Agent` and the client hint for phones."""
    if headers.get("Sec-CH-UA-Mobile") == "?1":
        return Device.MOBILE
    told = headers.get("User-Agent", "")[:_CHARS].lower()
    return next((device for device, rule in _RULES if rule.search(told)), Device.OTHER)
