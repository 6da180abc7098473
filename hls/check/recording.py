"""What a player asked and what it was answered, in order: the material that the rules look at. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


class Kind(enum.Enum):
    """What a request was for."""

    MULTIVARIANT = "multivariant playlist"
    PLAYLIST = "media playlist"
    INIT = "init section"
    PART = "part"
    HINT = "hinted part"
    SEGMENT = "segment"
    PROBE = "probe"


class Probe(enum.Enum):
    """A request that no player makes, to see how it is refused (or that it is not)."""

    PART_WITHOUT_MSN = enum.auto()
    MSN_FAR_AHEAD = enum.auto()
    PART_FAR_AHEAD = enum.auto()
    MSN_LONG_GONE = enum.auto()
    UNKNOWN_MEDIA = enum.auto()
    AFTER_THE_END = enum.auto()


@dataclass(frozen=True, slots=True)
class Directives:
    """Delivery directives of a request (RFC 8216bis 6.2.5)."""

    msn: int | None = None
    part: int | None = None
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One exchange. Times in seconds since the recording began, of one monotonic clock. `rendition` is the address of the media
    playlist that it belongs to, empty for the multivariant playlist. `body` is decoded; `headers` have names in lower case.
    `status` 0: nothing came, and `error` says why. `first_byte_s` is when the head of the reply came."""

    kind: Kind
    url: str
    asked_s: float
    arrived_s: float
    status: int
    rendition: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    probe: Probe | None = None
    byte_range: str = ""
    first_byte_s: float = 0.0
    takes_gzip: bool = True
    error: str = ""
    base: str = ""
    """Where it came from in the end, when it was redirected."""

    @property
    def ok(self) -> bool:
        return self.status in (200, 206)

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def piece(self) -> str:
        """The address of the media, with its range."""
        return f"{self.url}#{self.byte_range}" if self.byte_range else self.url

    @property
    def directives(self) -> Directives:
        values = dict(parse_qsl(urlsplit(self.url).query))
        return Directives(
            _number(values.get("_HLS_msn")), _number(values.get("_HLS_part")), "_HLS_skip" in values
        )

    @property
    def where(self) -> str:
        """For a report: the address without its host, and when."""
        parts = urlsplit(self.url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.path}{query} at {self.arrived_s:.2f} s"


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 20 else None


def with_directives(url: str, directives: Directives) -> str:
    """`url` with the directives after what its query had, in the order that caches expect."""
    parts = urlsplit(url)
    kept = [one for one in parse_qsl(parts.query, keep_blank_values=True) if not one[0].startswith("_HLS_")]
    if directives.msn is not None:
        kept.append(("_HLS_msn", str(directives.msn)))
    if directives.part is not None:
        kept.append(("_HLS_part", str(directives.part)))
    if directives.skip:
        kept.append(("_HLS_skip", "YES"))
    return urlunsplit(parts._replace(query=urlencode(kept)))


@dataclass(slots=True)
class Recording:
    """A series of exchanges with one broadcast. `slack_s`: how late the network and this machine may be before a rule about time
    is broken. `http2`: whether the server speaks it, None when that could not be asked. `notes`: what was left out, and why."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    seconds: float = 0.0
    slack_s: float = 0.25
    http2: bool | None = None
    notes: list[str] = field(default_factory=list)
