"""Many low-latency HLS players in a process of their own, light enough for hundreds on one core: each reloads its playlists with
blocking and delta updates and fetches every part, as hls.js does, and decodes nothing.

`python -m tests.harness.hls_viewers URL COUNT PARTS` joins COUNT players to the multivariant playlist at URL and lets each of them take
the same PARTS parts of video and of sound. It prints one JSON line: {"event": "end", "replies", "names", "errors", "digests", ...}.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

RENDITIONS = ("v0", "a128")
_PART = re.compile(r'#EXT-X-PART:[^\n]*URI="([^"]+)"([^\n]*)')
_NAME = re.compile(r"(\d+)\.(\d+)\.m4s")


@dataclass
class Told:
    """What all players of this process have met."""

    replies: int = 0
    names: set[str] = field(default_factory=set)
    """Distinct objects: path and query."""
    errors: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each object that never changes: media, and playlists of a blocking reload."""
    changed: list[str] = field(default_factory=list)
    """Objects that never change and did."""
    caches: Counter[str] = field(default_factory=Counter)

    def took(self, target: str, status: int, headers: dict[str, str], body: bytes) -> None:
        self.replies += 1
        self.names.add(target)
        self.caches[headers.get("x-cache", "none")] += 1
        if status != 200:
            self.errors.append(f"{target}: {status} {body[:200]!r}")
        elif "_HLS_part" in target or not urlsplit(target).path.endswith(".m3u8"):
            digest = hashlib.sha256(body).hexdigest()
            if self.digests.setdefault(target, digest) != digest:
                self.changed.append(target)


class Line:
    """One connection that is kept, and opened anew when the other side has closed it."""

    def __init__(self, host: str, port: int, told: Told) -> None:
        self._host, self._port, self._told = host, port, told
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def fetch(self, target: str) -> str | None:
        """The text of a playlist, "" for media; None after an error, which is noted."""
        try:
            status, headers, body = await self._ask(target)
        except (OSError, EOFError, ValueError) as error:
            self._told.errors.append(f"{target}: {error!r}")
            self.close()
            return None
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self._told.took(target, status, headers, body)
        if status != 200:
            return None
        return body.decode() if ".m3u8" in target else ""

    async def _ask(self, target: str) -> tuple[int, dict[str, str], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=2**20)
        reader, writer = self._streams
        writer.write(f"GET {target} HTTP/1.1\r\nHost: {self._host}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
        else:
            body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return int(first.split()[1]), headers, body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass(frozen=True, slots=True)
class Playlist:
    """What a player takes from a media playlist: its parts by (MSN, index), its init section, the next part."""

    parts: list[tuple[tuple[int, int], str]]
    init: str
    following: tuple[int, int]


def read_playlist(text: str) -> Playlist:
    """Reads our own media playlist, whole or delta."""
    sequence = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
    skipped = re.search(r"SKIPPED-SEGMENTS=(\d+)", text)
    init = re.search(r'#EXT-X-MAP:URI="([^"]+)"', text)
    lines = text.splitlines()
    ends = [index for index, line in enumerate(lines) if line and not line.startswith("#")]
    open_parts = sum(line.startswith("#EXT-X-PART:") for line in lines[ends[-1] :]) if ends else 0
    msn = int(sequence[1] if sequence else 0) + int(skipped[1] if skipped else 0) + len(ends)
    parts = []
    for uri, more in _PART.findall(text):
        place = _NAME.fullmatch(uri)
        if place and "GAP=YES" not in more:
            parts.append(((int(place[1]), int(place[2])), uri))
    return Playlist(parts, init[1] if init else "", (msn, open_parts))


class Player:
    """One rendition of one player."""

    def __init__(self, line: Line, base: str, told: Told) -> None:
        self._line, self._base, self._told = line, base, told

    async def join(self) -> tuple[int, int] | None:
        """Loads playlist and init section; returns the part that comes next."""
        text = await self._line.fetch(self._base)
        if text is None:
            return None
        playlist = read_playlist(text)
        if playlist.init:
            await self._line.fetch(urljoin(self._base, playlist.init))
        return playlist.following

    async def play(self, first: tuple[int, int], count: int) -> int:
        """Takes `count` parts from `first` on; returns how many it got, fewer after errors."""
        wanted, newest, taken = first, (0, 0), 0
        for _ in range(6 * count):
            msn, part = wanted
            text = await self._line.fetch(f"{self._base}?_HLS_msn={msn}&_HLS_part={part}&_HLS_skip=YES")
            if text is None:
                return taken
            playlist = read_playlist(text)
            for place, uri in playlist.parts:
                if place >= first and place > newest and taken < count:
                    newest = place
                    if await self._line.fetch(urljoin(self._base, uri)) is None:
                        return taken
                    taken += 1
            if taken == count:
                break
            wanted = playlist.following
        return taken


async def watch(url: str, count: int, parts: int) -> dict[str, object]:
    """Runs the players and says what they met."""
    told = Told()
    at = urlsplit(url)
    assert at.hostname and at.port
    rows: list[list[Player]] = []
    lines = []
    started = time.monotonic()
    for _ in range(count):
        mine = [Line(at.hostname, at.port, told) for _ in RENDITIONS]
        lines += mine
        rows.append(
            [
                Player(line, urljoin(at.path, f"{name}/index.m3u8"), told)
                for line, name in zip(mine, RENDITIONS, strict=True)
            ]
        )
    await asyncio.gather(*(lines[index].fetch(at.path) for index in range(0, len(lines), len(RENDITIONS))))
    # All players of a rendition begin with the same part, so that what is asked for does not depend on who is quick.
    plays = []
    for column in zip(*rows, strict=True):
        joined = [place for place in await asyncio.gather(*(one.join() for one in column)) if place]
        plays += [one.play(max(joined), parts) for one in column if joined]
    taken = sum(await asyncio.gather(*plays))
    for line in lines:
        line.close()
    return {
        "event": "end",
        "replies": told.replies,
        "names": len(told.names),
        "taken": taken,
        "errors": told.errors[:10],
        "digests": told.digests,
        "changed": told.changed[:10],
        "caches": dict(told.caches),
        "seconds": time.monotonic() - started,
    }


async def played(url: str, count: int, parts: int) -> dict[str, Any]:
    """Runs this program in a process of its own; what its players met."""
    command = (sys.executable, "-m", "tests.harness.hls_viewers", url, str(count), str(parts))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told: dict[str, Any] = json.loads(out)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(watch(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))), flush=True)
