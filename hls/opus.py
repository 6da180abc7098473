"""Opus as it comes, on the sample clock: no hole, nothing encoded. What does not come is silence; small clock errors go into the
durations."""

from __future__ import annotations

import struct

CODEC = "opus"
SILENCE = b"\xfc\xff\xfe"
"""20 ms of nothing: CELT, full band, stereo."""
_SILENCE_SAMPLES = 960
HEADER = struct.pack("<BBHIhB", 1, 2, 0, 48_000, 0, 0)
"""Identification header without its magic (RFC 7845 5.1): two channels, and nothing to skip, for nobody hears the stream's beginning."""
_TAKE_UP = 4
_HOLE = 480
_LONGEST = 5760
"""Samples of 120 ms: "the maximum duration of a packet" (RFC 6716 3.2.5)."""
_LONGEST_FILL = 30 * 48_000

Frame = tuple[int, bytes, int]
"""First sample, packet, samples."""


def samples(packet: bytes) -> int | None:
    """Samples at 48 kHz of a packet (RFC 6716 3.1); None when it can be none."""
    if not packet:
        return None
    config = packet[0] >> 3
    if config < 12:
        frame = (480, 960, 1920, 2880)[config % 4]
    elif config < 16:
        frame = (480, 960)[config % 2]
    else:
        frame = 120 << config % 4
    count = (1, 2, 2, 0)[packet[0] & 3]
    if not count:
        count = packet[1] & 63 if len(packet) > 1 else 0
    total = frame * count
    return total if 0 < total <= _LONGEST else None


class Passage:
    """Packets in, the same packets out, one after another without a hole. Times are samples at 48 kHz on the timeline."""

    def __init__(self) -> None:
        self.cursor: int | None = None

    def push(self, packet: bytes, at: int) -> list[Frame]:
        """Takes a packet whose first sample is due at `at`."""
        length = samples(packet)
        if length is None:
            return []
        if self.cursor is None:
            self.cursor = at
        ahead = at - self.cursor
        if ahead < -_HOLE or ahead > _LONGEST_FILL:
            # Its time has been filled, or nothing can be.
            return []
        found = self._silence(ahead) if ahead > _HOLE else []
        assert self.cursor is not None
        error = max(-_TAKE_UP, min(_TAKE_UP, at - self.cursor))
        found.append((self.cursor, packet, length + error))
        self.cursor += length + error
        return found

    def fill(self, until: int) -> list[Frame]:
        """Silence up to `until`, when the sound for that time should have come and has not."""
        if self.cursor is None:
            self.cursor = until
        ahead = until - self.cursor
        return self._silence(min(ahead, _LONGEST_FILL)) if ahead > _HOLE else []

    def _silence(self, ahead: int) -> list[Frame]:
        assert self.cursor is not None
        begin = self.cursor
        count = round(ahead / _SILENCE_SAMPLES)
        self.cursor += count * _SILENCE_SAMPLES
        return [(begin + n * _SILENCE_SAMPLES, SILENCE, _SILENCE_SAMPLES) for n in range(count)]
