"""A recording as one MP4 whose index comes first, so that it plays while it is loaded (ISO/IEC 14496-12, -14, -15).

Two passes over the segments, one segment in memory at a time: the first reads their tables and so learns where everything will lie, the
second copies their samples. Nothing is encoded or decoded. A hole in the time line is as long as it was: the picture before it stands,
sound is silent. Of other parameter sets (another picture size) each has its sample entry; then every key frame brings its own sets too
(`avc3`), which players want that look at the first entry only."""

from __future__ import annotations

import itertools
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from common.log import log
from common.store.store import NotStored, StoreError
from hls.check.fragments import BadMedia, boxes
from hls.fmp4.boxes import box, full_box
from hls.grid import AUDIO_RATE, VIDEO_RATE
from hls.store.fragments import child, fragments_of

_log = log("hls.store")

Read = Callable[[str], bytes]
"""A file of the recording by its name ("v0/12.m4s"). Raises NotStored, StoreError."""

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_MOVIE_RATE = VIDEO_RATE
_UNDETERMINED = 0x55C4


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment of one rendition; `init` is the file of its init section."""

    msn: int
    file: str
    init: str


@dataclass(slots=True)
class _Entry:
    """A sample entry of an init section, and what a key frame of it is given before its picture."""

    box: bytes
    prefix: bytes
    width: int
    height: int


@dataclass(slots=True)
class _Chunk:
    """What lies together in the file: the samples of one segment."""

    piece: Piece
    entry: int
    samples: int = 0
    size: int = 0


@dataclass(slots=True)
class _Track:
    """The tables of one track while the first pass grows them; a few bytes a sample."""

    video: bool
    entries: list[_Entry] = field(default_factory=list)
    inits: dict[str, int] = field(default_factory=dict)
    chunks: list[_Chunk] = field(default_factory=list)
    sizes: array[int] = field(default_factory=lambda: array("I"))
    durations: array[int] = field(default_factory=lambda: array("I"))
    syncs: array[int] = field(default_factory=lambda: array("I"))
    start: int | None = None
    end: int = 0
    offsets: list[int] = field(default_factory=list)

    @property
    def rate(self) -> int:
        return VIDEO_RATE if self.video else AUDIO_RATE

    @property
    def length(self) -> int:
        return self.end - (self.start or 0)


class Film:
    """Video and sound of a recording, either of which may be empty. `size_bytes` is known once `chunks` has begun."""

    def __init__(self, video: Sequence[Piece], sound: Sequence[Piece], read: Read) -> None:
        self.size_bytes = 0
        self._pieces = {True: list(video), False: list(sound)}
        self._read = read

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file. Raises StoreError when a segment cannot be had, or is another than a moment ago; ValueError when there is
        nothing in any of them."""
        in_band = len({piece.init for piece in self._pieces[True]}) > 1
        tracks = [_Track(video) for video in (True, False) if self._pieces[video]]
        order = sorted(
            (
                (piece.msn, not track.video, piece, track)
                for track in tracks
                for piece in self._pieces[track.video]
            ),
            key=lambda row: row[:2],
        )
        laid: list[tuple[_Track, _Chunk]] = []
        for _, _, piece, track in order:
            chunk = self._look(track, piece, in_band)
            if chunk is not None:
                laid.append((track, chunk))
        tracks = [track for track in tracks if track.chunks]
        if not tracks:
            raise ValueError("there is nothing in the recording that could be a film")
        size = sum(chunk.size for _, chunk in laid)
        kind = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso6avc1mp41")
        head = struct.pack(">I4sQ", 1, b"mdat", size + 16)
        # Offsets have a fixed width, so the index is as long with wrong ones as with right ones.
        at = len(kind) + len(_moov(tracks, known=False)) + len(head)
        for track, chunk in laid:
            track.offsets.append(at)
            at += chunk.size
        self.size_bytes = at
        yield kind + _moov(tracks, known=True) + head
        for track, chunk in laid:
            data = self._copy(track, chunk, in_band)
            if len(data) != chunk.size:
                raise StoreError(f"{chunk.piece.file} is another than it was")
            yield data

    def _look(self, track: _Track, piece: Piece, in_band: bool) -> _Chunk | None:
        try:
            entry = self._entry(track, piece.init)
            fragments = list(fragments_of(memoryview(self._read(piece.file))))
        except (NotStored, BadMedia, struct.error, IndexError) as error:
            # A hole, like any other: what is broken now will not be whole the next time.
            _log.warning("film_without_a_segment", file=piece.file, reason=repr(error))
            return None
        chunk = _Chunk(piece, entry)
        for fragment in fragments:
            if track.start is None:
                track.start = track.end = fragment.start
            elif fragment.start != track.end:
                late = fragment.start - track.end
                held = max(1, track.durations[-1] + late)
                track.end += held - track.durations[-1]
                track.durations[-1] = held
            for sample in fragment.samples:
                more = len(track.entries[entry].prefix) if in_band and track.video and sample.sync else 0
                track.sizes.append(sample.size + more)
                track.durations.append(sample.duration)
                track.end += sample.duration
                chunk.size += sample.size + more
                chunk.samples += 1
                if sample.sync:
                    track.syncs.append(len(track.sizes))
        if not chunk.samples:
            return None
        track.chunks.append(chunk)
        return chunk

    def _entry(self, track: _Track, init: str) -> int:
        if init not in track.inits:
            entry = _sample_entry(memoryview(self._read(init)))
            track.inits[init] = len(track.entries)
            track.entries.append(entry)
        return track.inits[init]

    def _copy(self, track: _Track, chunk: _Chunk, in_band: bool) -> bytes:
        prefix = track.entries[chunk.entry].prefix if in_band and track.video else b""
        parts: list[bytes | memoryview] = []
        try:
            fragments = list(fragments_of(memoryview(self._read(chunk.piece.file))))
        except (BadMedia, struct.error, IndexError) as error:
            raise StoreError(f"{chunk.piece.file} cannot be read any more: {error!r}") from error
        for fragment in fragments:
            if not prefix:
                parts.append(fragment.data)
                continue
            at = 0
            for sample in fragment.samples:
                if sample.sync:
                    parts.append(prefix)
                parts.append(fragment.data[at : at + sample.size])
                at += sample.size
        return b"".join(parts)


def _sample_entry(init: memoryview) -> _Entry:
    stsd = child(init, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    kind, payload = next(boxes(stsd[8:]), (b"", memoryview(b"")))
    if not kind:
        raise BadMedia("an init section without a sample entry")
    raw = bytes(stsd[8 : 16 + len(payload)])
    if kind != b"avc1":
        return _Entry(raw, b"", 0, 0)
    width, height = struct.unpack_from(">HH", payload, 24)
    return _Entry(raw, _parameter_sets(child(payload[78:], b"avcC")), width, height)


def _parameter_sets(config: memoryview) -> bytes:
    """The parameter sets of an avcC, each with its length in four bytes, as samples have them."""
    at, found = 5, b""
    for mask in (0x1F, 0xFF):
        count = config[at] & mask
        at += 1
        for _ in range(count):
            (length,) = struct.unpack_from(">H", config, at)
            found += struct.pack(">I", length) + bytes(config[at + 2 : at + 2 + length])
            at += 2 + length
    return found


# --- the index ---


def _moov(tracks: Sequence[_Track], *, known: bool) -> bytes:
    begin = min((track.start or 0) / track.rate for track in tracks)
    lengths = [_movie(track.length, track.rate) + _movie_delay(track, begin) for track in tracks]
    header = full_box(
        b"mvhd",
        1,
        0,
        struct.pack(">QQIQIH10x", 0, 0, _MOVIE_RATE, max(lengths), 0x10000, 0x0100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", len(tracks) + 1),
    )
    rows = [
        _trak(number, track, lengths[number - 1], _movie_delay(track, begin), known)
        for number, track in enumerate(tracks, 1)
    ]
    return box(b"moov", header, *rows)


def _movie(ticks: int, rate: int) -> int:
    return -(-ticks * _MOVIE_RATE // rate)


def _movie_delay(track: _Track, begin: float) -> int:
    return round(((track.start or 0) / track.rate - begin) * _MOVIE_RATE)


def _trak(number: int, track: _Track, length: int, delay: int, known: bool) -> bytes:
    width, height = max(
        ((one.width, one.height) for one in track.entries), key=lambda size: size[0] * size[1]
    )
    header = full_box(
        b"tkhd",
        1,
        3,
        struct.pack(">QQI4xQ8xhhHH", 0, 0, number, length, 0, 0, 0 if track.video else 0x0100, 0),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )
    edits = [(length - delay, 0)]
    if delay:
        edits.insert(0, (delay, -1))
    rows = b"".join(struct.pack(">Qqhh", duration, at, 1, 0) for duration, at in edits)
    edit = box(b"edts", full_box(b"elst", 1, 0, struct.pack(">I", len(edits)), rows))
    handler = b"vide" if track.video else b"soun"
    media_header = full_box(b"vmhd", 0, 1, bytes(8)) if track.video else full_box(b"smhd", 0, 0, bytes(4))
    links = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    media = box(
        b"mdia",
        full_box(b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, track.rate, track.length, _UNDETERMINED, 0)),
        full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, handler), b"avacast\0"),
        box(b"minf", media_header, links, _stbl(track, known)),
    )
    return box(b"trak", header, edit, media)


def _stbl(track: _Track, known: bool) -> bytes:
    many = track.video and len(track.entries) > 1
    entries = [one.box[:4] + b"avc3" + one.box[8:] if many else one.box for one in track.entries]
    times = [(len(list(same)), duration) for duration, same in itertools.groupby(track.durations)]
    runs: list[tuple[int, int, int]] = []
    for number, chunk in enumerate(track.chunks, 1):
        row = (chunk.samples, chunk.entry + 1)
        if not runs or runs[-1][1:] != row:
            runs.append((number, *row))
    tables = [
        full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries),
        _table(b"stts", [value for row in times for value in row], 2),
        _table(b"stsc", [value for run in runs for value in run], 3),
        full_box(b"stsz", 0, 0, struct.pack(">II", 0, len(track.sizes)), _words(track.sizes)),
        full_box(
            b"co64",
            0,
            0,
            struct.pack(">I", len(track.chunks)),
            struct.pack(f">{len(track.offsets)}Q", *track.offsets) if known else bytes(8 * len(track.chunks)),
        ),
    ]
    if track.video:
        tables.append(full_box(b"stss", 0, 0, struct.pack(">I", len(track.syncs)), _words(track.syncs)))
    return box(b"stbl", *tables)


def _table(kind: bytes, values: Sequence[int], width: int) -> bytes:
    return full_box(kind, 0, 0, struct.pack(">I", len(values) // width), _words(values))


def _words(values: Sequence[int]) -> bytes:
    return struct.pack(f">{len(values)}I", *values)
