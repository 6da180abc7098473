"""Multivariant playlists as a strict reader takes them: variants, groups, and what is malformed."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urljoin

from hls.check.listing import attributes, decimal, lines_of, note


@dataclass(frozen=True, slots=True)
class Stream:
    """An EXT-X-STREAM-INF with its address."""

    uri: str
    values: dict[str, str]

    @property
    def codecs(self) -> list[str]:
        return [one.strip() for one in self.values.get("CODECS", "").split(",") if one.strip()]

    @property
    def has_video(self) -> bool:
        return "RESOLUTION" in self.values or any(
            one.split(".")[0] in ("avc1", "avc3", "hvc1", "hev1", "vp09", "av01") for one in self.codecs
        )

    def number(self, name: str) -> float | None:
        return decimal(self.values.get(name, ""))


@dataclass(slots=True)
class Index:
    """A multivariant playlist. `media`: the attributes of each EXT-X-MEDIA, URI absolute."""

    streams: list[Stream] = field(default_factory=list)
    key_frames: list[Stream] = field(default_factory=list)
    """Each EXT-X-I-FRAME-STREAM-INF."""
    media: list[dict[str, str]] = field(default_factory=list)
    independent_segments: bool = False
    version: int | None = None
    problems: list[str] = field(default_factory=list)

    @property
    def renditions(self) -> list[str]:
        """Addresses of all media playlists, each once."""
        uris = [one.uri for one in self.streams] + [one["URI"] for one in self.media if one.get("URI")]
        return list(dict.fromkeys(uris + [one.uri for one in self.key_frames]))


def is_index(text: str) -> bool:
    """Whether a playlist is a multivariant one."""
    return "#EXT-X-STREAM-INF" in text


def read_index(text: str, url: str) -> Index:
    """The multivariant playlist `text`, fetched from `url`. Raises NotAPlaylist."""
    index = Index()
    waiting: dict[str, str] | None = None
    for line in lines_of(text)[1:]:
        line = line.strip()
        name, _, value = line[1:].partition(":")
        if line.startswith("#EXT-X-STREAM-INF:"):
            waiting = attributes(value, index.problems)
        elif line.startswith("#EXT-X-I-FRAME-STREAM-INF:"):
            values = attributes(value, index.problems)
            if "URI" in values:
                index.key_frames.append(Stream(urljoin(url, values["URI"]), values))
            else:
                note(index.problems, "an EXT-X-I-FRAME-STREAM-INF without URI")
        elif line.startswith("#EXT-X-MEDIA:"):
            values = attributes(value, index.problems)
            if "URI" in values:
                values["URI"] = urljoin(url, values["URI"])
            index.media.append(values)
        elif name == "EXT-X-INDEPENDENT-SEGMENTS":
            index.independent_segments = True
        elif name == "EXT-X-VERSION" and value.isascii() and value.isdecimal() and len(value) < 9:
            index.version = int(value)
        elif line and not line.startswith("#"):
            if waiting is None:
                note(index.problems, f"a URI without EXT-X-STREAM-INF: {line[:60]!r}")
            else:
                index.streams.append(Stream(urljoin(url, line), waiting))
            waiting = None
    return index
