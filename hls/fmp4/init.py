"""Init sections: ftyp and moov of one track (ISO/IEC 14496-12, -14, -15; Opus in ISOBMFF)."""

from __future__ import annotations

import struct

from hls.fmp4.boxes import box, full_box
from hls.grid import AUDIO_RATE, VIDEO_RATE
from hls.h264 import ParameterSets

TRACK = 1
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_EMPTY_TABLES = (
    full_box(b"stts", 0, 0, bytes(4))
    + full_box(b"stsc", 0, 0, bytes(4))
    + full_box(b"stsz", 0, 0, bytes(8))
    + full_box(b"stco", 0, 0, bytes(4))
)
_SELF_CONTAINED = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
_UNDETERMINED = 0x55C4
"""Language "und", three letters of five bits."""


def _init(rate: int, handler: bytes, media_header: bytes, entry: bytes, width: int, height: int) -> bytes:
    audible = 0x0100 if handler == b"soun" else 0
    movie_header = full_box(
        b"mvhd",
        0,
        0,
        struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x0100),
        _MATRIX,
        bytes(24),
        struct.pack(">I", TRACK + 1),
    )
    track_header = full_box(
        b"tkhd",
        0,
        3,
        struct.pack(">IIIII8xhhHH", 0, 0, TRACK, 0, 0, 0, 0, audible, 0),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )
    media = box(
        b"mdia",
        full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, rate, 0, _UNDETERMINED, 0)),
        full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, handler), b"avacast\0"),
        box(
            b"minf",
            media_header,
            _SELF_CONTAINED,
            box(b"stbl", full_box(b"stsd", 0, 0, struct.pack(">I", 1), entry), _EMPTY_TABLES),
        ),
    )
    extends = box(b"mvex", full_box(b"trex", 0, 0, struct.pack(">IIIII", TRACK, 1, 0, 0, 0)))
    moov = box(b"moov", movie_header, box(b"trak", track_header, media), extends)
    return box(b"ftyp", b"iso6", struct.pack(">I", 0), b"iso6cmfcmp41") + moov


def video_init(sets: ParameterSets) -> bytes:
    """Init section of an H.264 track (avc1: the parameter sets are here and not in the samples). Time scale 90 kHz."""
    avcc = b"".join(
        (
            bytes((1, sets.sps[1], sets.sps[2], sets.sps[3], 0xFF, 0xE1)),
            struct.pack(">H", len(sets.sps)),
            sets.sps,
            struct.pack(">BH", 1, len(sets.pps)),
            sets.pps,
            sets.avcc_extension,
        )
    )
    entry = box(
        b"avc1",
        struct.pack(">6xH16xHHIIIH", 1, sets.width, sets.height, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 0x18, -1),
        box(b"avcC", avcc),
    )
    header = full_box(b"vmhd", 0, 1, bytes(8))
    return _init(VIDEO_RATE, b"vide", header, entry, sets.width, sets.height)


def _descriptor(tag: int, *payload: bytes) -> bytes:
    length = sum(map(len, payload))
    return bytes((tag, 0x80, 0x80, 0x80, length)) + b"".join(payload)


def audio_init(codec: str, config: bytes, channels: int, bitrate_bps: int) -> bytes:
    """Init section of an audio track at 48 kHz. `codec` "aac" takes the AudioSpecificConfig (5 bytes or fewer than 100), "opus" the
    payload of an Opus identification header without its magic (RFC 7845 section 5.1, from the version byte on, little endian)."""
    header = full_box(b"smhd", 0, 0, bytes(4))
    fields = struct.pack(">6xH8xHHIHH", 1, channels, 16, 0, AUDIO_RATE, 0)
    if codec == "opus":
        _, count, skip, rate, gain, family = struct.unpack_from("<BBHIhB", config)
        entry = box(b"Opus", fields, box(b"dOps", struct.pack(">BBHIhB", 0, count, skip, rate, gain, family)))
    else:
        decoder = _descriptor(
            4,
            struct.pack(">BB", 0x40, 0x15),
            bytes(3),
            struct.pack(">II", bitrate_bps, bitrate_bps),
            _descriptor(5, config),
        )
        stream = _descriptor(3, struct.pack(">HB", TRACK, 0), decoder, _descriptor(6, b"\x02"))
        entry = box(b"mp4a", fields, full_box(b"esds", 0, 0, stream))
    return _init(AUDIO_RATE, b"soun", header, entry, 0, 0)
