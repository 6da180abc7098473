"""WebVTT as a strict reader takes it (W3C WebVTT 6.1, RFC 8216bis 3.1.4): the cues of an object, and what is malformed."""

from __future__ import annotations

import re
from dataclasses import dataclass

CLOCK_S = 2**33 / 90_000
"""MPEG-2's clock begins anew after this."""
_TIME = re.compile(r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)\.(\d{3})")
_MOST_CUES = 10_000


class BadSubtitles(ValueError):
    """The text is no WebVTT; the message says why."""


@dataclass(frozen=True, slots=True)
class ReadCue:
    """Seconds as they stand, before the timestamp map."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class TimestampMap:
    """X-TIMESTAMP-MAP: the cue time `local_s` is `mpeg_s` of the media's clock."""

    mpeg_s: float
    local_s: float


def is_subtitles(data: bytes) -> bool:
    """Whether it begins as WebVTT does."""
    return data.removeprefix(b"\xef\xbb\xbf")[:6] == b"WEBVTT"


def _seconds(text: str) -> float:
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise BadSubtitles(f"not a time: {text[:40]!r}")
    hours, minutes, seconds, milliseconds = (int(one or 0) for one in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _blocks(data: bytes) -> list[list[str]]:
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise BadSubtitles(f"not UTF-8: {error.reason}") from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def read_header(data: bytes) -> TimestampMap | None:
    """The timestamp map of a WebVTT header, None where there is none. Raises BadSubtitles."""
    if not is_subtitles(data):
        raise BadSubtitles(f"begins with {data[:12]!r}, not with WEBVTT")
    for line in _blocks(data)[0][1:]:
        if line.startswith("X-TIMESTAMP-MAP="):
            values = dict(one.partition(":")[::2] for one in line.partition("=")[2].split(","))
            ticks = values.get("MPEGTS", "")
            if not (ticks.isascii() and ticks.isdecimal() and len(ticks) < 20) or "LOCAL" not in values:
                raise BadSubtitles(f"not a timestamp map: {line[:80]!r}")
            return TimestampMap(int(ticks) / 90_000, _seconds(values["LOCAL"]))
    return None


def read_cues(data: bytes) -> list[ReadCue]:
    """The cues of a part or segment, with a header before them or without. Raises BadSubtitles."""
    cues = []
    for index, block in enumerate(_blocks(data)):
        if (index == 0 and block[0].startswith("WEBVTT")) or block[0].split()[0] in (
            "NOTE",
            "STYLE",
            "REGION",
        ):
            continue
        lines = block if "-->" in block[0] else block[1:]
        if not lines or "-->" not in lines[0]:
            raise BadSubtitles(f"a block without times: {block[0][:40]!r}")
        if any("-->" in line for line in lines[1:]):
            raise BadSubtitles("an arrow in the words of a cue")
        start, _, rest = lines[0].partition("-->")
        cue = ReadCue(_seconds(start), _seconds(rest.strip().split(" ")[0]), "\n".join(lines[1:]))
        if cue.end <= cue.start:
            raise BadSubtitles(f"a cue from {cue.start:.3f} s to {cue.end:.3f} s")
        cues.append(cue)
        if len(cues) > _MOST_CUES:
            raise BadSubtitles(f"more than {_MOST_CUES} cues")
    return cues
