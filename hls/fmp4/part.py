"""One part: moof and mdat. About ten microseconds for the five to fifteen samples of a part."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hls.fmp4.boxes import box, full_box
from hls.fmp4.init import TRACK

_BASE_IS_MOOF = 0x020000
_DEFAULT_DURATION, _DEFAULT_FLAGS = 0x08, 0x20
_OFFSET, _DURATION, _SIZE, _FLAGS = 0x001, 0x100, 0x200, 0x400

_SYNC = 0x02000000
"""Depends on no other sample."""
_NON_SYNC = 0x01010000
"""Depends on others, is not a sync sample."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One coded picture or audio frame. `duration` in ticks of the track's time scale."""

    data: bytes
    duration: int
    key: bool


def part(sequence: int, decode_time: int, samples: Sequence[Sample]) -> bytes:
    """moof and mdat of `samples`, which are at least one, in decoding order (which is the order of display: WebRTC has no B frames).
    `decode_time` in ticks; it must be the end of the part before, so that players find no hole."""
    durations = {sample.duration for sample in samples}
    keys = {sample.key for sample in samples}
    track_flags, run_flags = _BASE_IS_MOOF, _OFFSET | _SIZE
    defaults = b""
    if len(durations) == 1:
        track_flags |= _DEFAULT_DURATION
        defaults += struct.pack(">I", samples[0].duration)
    else:
        run_flags |= _DURATION
    if len(keys) == 1:
        track_flags |= _DEFAULT_FLAGS
        defaults += struct.pack(">I", _SYNC if samples[0].key else _NON_SYNC)
    else:
        run_flags |= _FLAGS
    rows: list[int] = []
    for sample in samples:
        if run_flags & _DURATION:
            rows.append(sample.duration)
        rows.append(len(sample.data))
        if run_flags & _FLAGS:
            rows.append(_SYNC if sample.key else _NON_SYNC)
    table = struct.pack(f">{len(rows)}I", *rows)
    header = full_box(b"mfhd", 0, 0, struct.pack(">I", sequence & 0xFFFFFFFF))
    track = full_box(b"tfhd", 0, track_flags, struct.pack(">I", TRACK), defaults)
    time = full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
    run_length = 12 + 8 + len(table)
    moof_length = 8 + len(header) + 8 + len(track) + len(time) + run_length
    run = full_box(b"trun", 0, run_flags, struct.pack(">Ii", len(samples), moof_length + 8), table)
    moof = box(b"moof", header, box(b"traf", track, time, run))
    data = [sample.data for sample in samples]
    return b"".join((moof, struct.pack(">I4s", 8 + sum(map(len, data)), b"mdat"), *data))
