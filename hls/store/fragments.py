"""Reads the segments that our packager writes (hls.fmp4.part): one track, each fragment's data right behind its moof."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hls.check.fragments import BadMedia, boxes

_NOT_SYNC: Final = 0x10000
_MOST_SAMPLES: Final = 20_000
_HEADER_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """`duration` in ticks of the track; `sync`: it needs no other to be decoded."""

    duration: int
    size: int
    sync: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """`start` in ticks; `data` are the samples, one behind the other."""

    start: int
    samples: list[Sample]
    data: memoryview


def fragments_of(data: memoryview) -> Iterator[Fragment]:
    """The fragments of a segment. Raises BadMedia, struct.error, IndexError for what is no segment of ours."""
    start = 0
    samples: list[Sample] = []
    for kind, payload in boxes(data):
        if kind == b"moof":
            start, samples = _moof(payload)
        elif kind == b"mdat" and samples:
            size = sum(sample.size for sample in samples)
            if size > len(payload):
                raise BadMedia(f"samples of {size} bytes in {len(payload)}")
            yield Fragment(start, samples, payload[:size])
            samples = []


def child(data: memoryview, *path: bytes) -> memoryview:
    """The payload of the first box at a path of boxes. Raises BadMedia when there is none."""
    for name in path:
        found = next((payload for kind, payload in boxes(data) if kind == name), None)
        if found is None:
            raise BadMedia(f"a box {name.decode()} is missing")
        data = found
    return data


def _moof(moof: memoryview) -> tuple[int, list[Sample]]:
    traf = child(moof, b"traf")
    tfhd, tfdt, trun = (child(traf, name) for name in (b"tfhd", b"tfdt", b"trun"))
    (start,) = struct.unpack_from(">Q", tfdt, 4)
    flags, at = struct.unpack_from(">I", tfhd)[0], 8
    defaults = {}
    for bit in (0x08, 0x10, 0x20):
        if flags & bit:
            (defaults[bit],) = struct.unpack_from(">I", tfhd, at)
            at += 4
    run, count = struct.unpack_from(">II", trun)
    if count > _MOST_SAMPLES or not run & 0x200:
        raise BadMedia("a run of samples without their sizes, or of too many")
    at, samples = 12, []
    for _ in range(count):
        duration, size, of_sample = defaults.get(0x08, 0), 0, defaults.get(0x20, 0)
        if run & 0x100:
            (duration,) = struct.unpack_from(">I", trun, at)
            at += 4
        (size,) = struct.unpack_from(">I", trun, at)
        at += 4
        if run & 0x400:
            (of_sample,) = struct.unpack_from(">I", trun, at)
            at += 4
        samples.append(Sample(duration, size, not of_sample & _NOT_SYNC))
    return start, samples


def key_bytes(data: memoryview) -> int:
    """How many bytes of a segment, from its first on, are the key frame with which it begins, as RFC 8216bis 4.4.3.6 wants them; 0 when
    it begins with none. Raises BadMedia, struct.error, IndexError for what is no segment of ours."""
    before = 0
    for kind, payload in boxes(data):
        before += len(payload) + _HEADER_BYTES
        if kind == b"moof":
            samples = _moof(payload)[1]
            if not samples or not samples[0].sync:
                return 0
            size = before + _HEADER_BYTES + samples[0].size
            return size if size <= len(data) else 0
    return 0
