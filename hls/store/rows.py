"""The finished segments of a rendition, as its live playlist lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_URI = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_MAP = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')
_DURATION = re.compile(r"#EXTINF:(\d+(?:\.\d+)?),")
_SEQUENCE = re.compile(r"#EXT-X-MEDIA-SEQUENCE:(\d+)")


@dataclass(frozen=True, slots=True)
class Row:
    """One segment. `duration` is the text of EXTINF and `date` that of EXT-X-PROGRAM-DATE-TIME, so that all lists say the same."""

    msn: int
    uri: str
    duration: str
    date: str
    init: str
    discontinuity: bool = False
    gap: bool = False
    size_bytes: int = 0
    key_bytes: int = 0
    """So many of its first bytes are the key frame with which it begins."""

    @property
    def duration_s(self) -> float:
        return float(self.duration)

    def lines(self, init: str, *, keys: bool = False) -> str:
        """Its lines in a playlist, after a segment whose init section is `init` ("": there is none before); with `keys` in one of key
        frames alone."""
        text = "#EXT-X-DISCONTINUITY\n" if self.discontinuity else ""
        if self.init and self.init != init:
            text += f'#EXT-X-MAP:URI="{self.init}"\n'
        if self.date:
            text += f"#EXT-X-PROGRAM-DATE-TIME:{self.date}\n"
        text += f"#EXTINF:{self.duration},\n"
        if self.gap or (keys and not self.key_bytes):
            text += "#EXT-X-GAP\n"
        elif keys:
            text += f"#EXT-X-BYTERANGE:{self.key_bytes}@0\n"
        return f"{text}{self.uri}\n"


def finished(playlist: str, after: int) -> list[Row]:
    """The segments of a live playlist with numbers above `after`, oldest first. Raises ValueError for what is no playlist of ours."""
    sequence = _SEQUENCE.search(playlist)
    if sequence is None:
        raise ValueError("a media playlist without EXT-X-MEDIA-SEQUENCE")
    msn = int(sequence[1])
    rows: list[Row] = []
    init = date = duration = ""
    discontinuity = gap = False
    for line in playlist.splitlines():
        if line.startswith("#EXTINF:"):
            found = _DURATION.match(line)
            if found is None:
                raise ValueError(f"{line[:40]!r} has no duration")
            duration = found[1]
        elif line.startswith("#EXT-X-MAP:"):
            mapped = _MAP.match(line)
            init = mapped[1] if mapped else ""
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            date = line.partition(":")[2]
        elif line == "#EXT-X-DISCONTINUITY":
            discontinuity = True
        elif line == "#EXT-X-GAP":
            gap = True
        elif line and not line.startswith("#"):
            if not _URI.fullmatch(line) or (init and not _URI.fullmatch(init)):
                raise ValueError(f"{line[:40]!r} is no segment of ours")
            if msn > after:
                rows.append(Row(msn, line, duration, date, init, discontinuity, gap))
            msn += 1
            discontinuity = gap = False
    return rows
