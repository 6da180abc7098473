"""WebVTT as text: the header and the cues of subtitle segments, on the clock of the media beside them.

Cue times are the media's own times in MPEG-2's clock: 33 bits at 90 kHz, which begin anew every 26.5 hours, as RFC 8216bis 3.1.4 maps
them. So the header is the same for every broadcast, packager and restart, and no cue needs a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass

from hls.grid import VIDEO_RATE

CLOCK = 1 << 33
"""Ticks of 90 kHz after which MPEG-2's clock begins anew."""
HEADER = b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n"
"""The init section of a rendition of subtitles (EXT-X-MAP): "Each WebVTT Segment MUST either start with a WebVTT header or have an
EXT-X-MAP tag applied to it" (3.1.4). Parts can only be parts of a segment if no header comes again in the middle."""
NOTHING = b"NOTE\n\n"
"""A part in which nothing is said: a comment, since some players take an empty object for a failed one."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Words from `start` to `end`, ticks of 90 kHz on the timeline."""

    start: int
    end: int
    text: str


def cue(one: Cue) -> bytes:
    """A cue block. Its identifier is its beginning, so that players take a repeated cue for what it is."""
    start = one.start % CLOCK
    end = start + one.end - one.start
    return f"c{one.start}\n{timestamp(start)} --> {timestamp(end)}\n{_payload(one.text)}\n\n".encode()


def timestamp(ticks: int) -> str:
    """Ticks of 90 kHz as WebVTT writes a time."""
    milliseconds = round(ticks * 1000 / VIDEO_RATE)
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"


def _payload(text: str) -> str:
    # An empty line would end the cue, "-->" would break it, and "<" would begin a tag: whoever wrote it, it is shown as it is.
    return " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
