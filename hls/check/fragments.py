"""Reads fragmented MP4 (ISO/IEC 14496-12): what an init section says of its tracks, when the samples of a part or segment play, and
which of them are sync samples."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_MAX_SAMPLES = 20_000
_NOT_SYNC = 0x10000


class BadMedia(ValueError):
    """The boxes cannot be read; the message says which."""


@dataclass(frozen=True, slots=True)
class TrackInit:
    """A track of an init section: ticks a second, "vide" or "soun", the sample entry, pixels, and the defaults of trex."""

    rate: int
    handler: str
    entry: str
    codec: str
    width: int = 0
    height: int = 0
    duration: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """The samples of a track in one fragment. `start` and `durations` in ticks."""

    track: int
    start: int
    durations: tuple[int, ...]
    syncs: tuple[bool, ...]

    @property
    def end(self) -> int:
        return self.start + sum(self.durations)


@dataclass(slots=True)
class _Header:
    """tkhd and mdia of a track while they are read."""

    number: int = 0
    rate: int = 0
    handler: str = ""
    entry: str = ""
    codec: str = ""
    size: tuple[int, int] = (0, 0)
    defaults: dict[int, tuple[int, int]] = field(default_factory=dict)


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and payload of each box. Raises BadMedia when one is longer than what holds it."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise BadMedia(f"{len(data) - at} bytes after the last box")
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = len(data) - at
        if size < head or at + size > len(data):
            raise BadMedia(f"box {kind!r} of {size} bytes, but {len(data) - at} are there")
        yield kind, data[at + head : at + size]
        at += size


def _find(data: memoryview, *path: bytes) -> memoryview | None:
    found: memoryview | None = data
    for name in path:
        assert found is not None
        found = next((payload for kind, payload in boxes(found) if kind == name), None)
        if found is None:
            return None
    return found


def _codec(entry: str, payload: memoryview) -> str:
    """RFC 6381 name as far as the sample entry tells it: whole for H.264, else its four letters."""
    if entry in ("avc1", "avc3"):
        config = _find(payload[78:], b"avcC")
        if config is not None and len(config) >= 4:
            return f"{entry}.{bytes(config[1:4]).hex()}"
    return entry


def _read_track(payload: memoryview) -> _Header:
    header = _Header()
    tkhd, mdia = _find(payload, b"tkhd"), _find(payload, b"mdia")
    if tkhd is None or mdia is None:
        raise BadMedia("a trak without tkhd or mdia")
    header.number = struct.unpack_from(">I", tkhd, 20 if tkhd[0] == 1 else 12)[0]
    mdhd, hdlr, stsd = _find(mdia, b"mdhd"), _find(mdia, b"hdlr"), _find(mdia, b"minf", b"stbl", b"stsd")
    if mdhd is None or hdlr is None or stsd is None:
        raise BadMedia("an mdia without mdhd, hdlr or stsd")
    header.rate = struct.unpack_from(">I", mdhd, 20 if mdhd[0] == 1 else 12)[0]
    header.handler = bytes(hdlr[8:12]).decode("latin-1")
    kind, entry = next(boxes(stsd[8:]), (b"", memoryview(b"")))
    header.entry = kind.decode("latin-1")
    header.codec = _codec(header.entry, entry)
    if header.handler == "vide":
        header.size = struct.unpack_from(">HH", entry, 24)
    if not header.rate:
        raise BadMedia("a track whose time scale is zero")
    return header


def read_init(data: bytes) -> dict[int, TrackInit]:
    """The tracks of an init section by number. Raises BadMedia."""
    try:
        return _tracks(memoryview(data))
    except (struct.error, IndexError):
        raise BadMedia("a box of the init section is too short") from None


def _tracks(data: memoryview) -> dict[int, TrackInit]:
    moov = _find(data, b"moov")
    if moov is None:
        raise BadMedia("an init section without moov")
    defaults: dict[int, tuple[int, int]] = {}
    headers: list[_Header] = []
    for kind, payload in boxes(moov):
        if kind == b"trak":
            headers.append(_read_track(payload))
        elif kind == b"mvex":
            for inner, trex in boxes(payload):
                if inner == b"trex":
                    number, _, duration, _, flags = struct.unpack_from(">5I", trex, 4)
                    defaults[number] = duration, flags
    if not headers:
        raise BadMedia("an init section without tracks")
    return {
        one.number: TrackInit(
            one.rate, one.handler, one.entry, one.codec, *one.size, *defaults.get(one.number, (0, 0))
        )
        for one in headers
    }


def is_fragment(data: bytes) -> bool:
    """Whether it looks like fragmented MP4 (and not like an MPEG transport stream, or a subtitle)."""
    return data[4:8] in (b"styp", b"moof", b"sidx", b"prft", b"emsg", b"mdat", b"free")


def read_runs(data: bytes, tracks: dict[int, TrackInit]) -> list[Run]:
    """The runs of a part or segment, in order. Raises BadMedia, also when it has none."""
    try:
        runs = [
            run for kind, moof in boxes(memoryview(data)) if kind == b"moof" for run in _runs(moof, tracks)
        ]
    except (struct.error, IndexError):
        raise BadMedia("a box of the fragment is too short") from None
    if not runs:
        raise BadMedia("no moof with samples")
    return runs


def _runs(moof: memoryview, tracks: dict[int, TrackInit]) -> Iterator[Run]:
    for kind, traf in boxes(moof):
        if kind != b"traf":
            continue
        tfhd, tfdt = _find(traf, b"tfhd"), _find(traf, b"tfdt")
        if tfhd is None or tfdt is None:
            raise BadMedia("a traf without tfhd or tfdt")
        number, duration, sample_flags = _defaults(tfhd, tracks)
        start = struct.unpack_from(">Q" if tfdt[0] == 1 else ">I", tfdt, 4)[0]
        durations: list[int] = []
        syncs: list[bool] = []
        for inner, trun in boxes(traf):
            if inner == b"trun":
                _trun(trun, duration, sample_flags, durations, syncs)
        if durations:
            yield Run(number, start, tuple(durations), tuple(syncs))


def _defaults(tfhd: memoryview, tracks: dict[int, TrackInit]) -> tuple[int, int, int]:
    flags, number = struct.unpack_from(">II", tfhd)
    track = tracks.get(number)
    if track is None:
        raise BadMedia(f"track {number} is not in the init section")
    duration, sample_flags = track.duration, track.flags
    at = 8 + (8 if flags & 0x01 else 0) + (4 if flags & 0x02 else 0)
    if flags & 0x08:
        duration = struct.unpack_from(">I", tfhd, at)[0]
        at += 4
    if flags & 0x10:
        at += 4
    if flags & 0x20:
        sample_flags = struct.unpack_from(">I", tfhd, at)[0]
    return number, duration, sample_flags


def _trun(
    trun: memoryview, duration: int, sample_flags: int, durations: list[int], syncs: list[bool]
) -> None:
    flags, count = struct.unpack_from(">II", trun)
    if len(durations) + count > _MAX_SAMPLES:
        raise BadMedia(f"more than {_MAX_SAMPLES} samples in a fragment")
    at = 8 + (4 if flags & 0x01 else 0)
    first: int | None = None
    if flags & 0x04:
        first = struct.unpack_from(">I", trun, at)[0]
        at += 4
    for index in range(count):
        length, of_sample = duration, sample_flags
        if flags & 0x100:
            length = struct.unpack_from(">I", trun, at)[0]
            at += 4
        if flags & 0x200:
            at += 4
        if flags & 0x400:
            of_sample = struct.unpack_from(">I", trun, at)[0]
            at += 4
        elif index == 0 and first is not None:
            of_sample = first
        if flags & 0x800:
            at += 4
        durations.append(length)
        syncs.append(not of_sample & _NOT_SYNC)
