"""H.264 access units: Annex-B in, MP4 samples out; parameter sets are read, compared and taken out (ISO/IEC 14496-10, -15)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_IDR, _SEI, _SPS, _PPS, _DELIMITER, _END, _END_STREAM, _FILLER = 5, 6, 7, 8, 9, 10, 11, 12
_PICTURE = range(1, 6)
_HIGH_PROFILES = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128))
_MAX_NALS = 512
_MAX_SIDE = 8192


class BadBitstream(ValueError):
    """The access unit or parameter set cannot be read. The publisher's fault."""


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """SPS and PPS of a stream and what is read from them. Sizes in pixels after cropping."""

    sps: bytes
    pps: bytes
    width: int = field(compare=False)
    height: int = field(compare=False)
    chroma_format: int = field(compare=False)
    bit_depth: tuple[int, int] = field(compare=False)

    @property
    def codec(self) -> str:
        """RFC 6381 name."""
        return f"avc1.{self.sps[1]:02x}{self.sps[2]:02x}{self.sps[3]:02x}"

    @property
    def avcc_extension(self) -> bytes:
        """What avcC adds for the high profiles."""
        if self.sps[1] not in _HIGH_PROFILES:
            return b""
        luma, chroma = self.bit_depth
        return bytes((0xFC | self.chroma_format, 0xF8 | luma - 8, 0xF8 | chroma - 8, 0))


@dataclass(frozen=True, slots=True)
class Picture:
    """One access unit as an MP4 sample: 4-byte lengths before each NAL unit, no parameter sets, no delimiters, no filler."""

    data: bytes
    key: bool
    sps: bytes | None
    pps: bytes | None


def nal_units(annex_b: bytes) -> Iterator[bytes]:
    """NAL units between start codes.

    Raises BadBitstream when there is none, or absurdly many."""
    start = annex_b.find(b"\0\0\1")
    if start < 0:
        raise BadBitstream("an access unit without a start code")
    for _ in range(_MAX_NALS):
        end = annex_b.find(b"\0\0\1", start + 3)
        # The zero byte of a four-byte start code, and trailing zeros, belong to no NAL unit.
        nal = annex_b[start + 3 : end if end >= 0 else len(annex_b)].rstrip(b"\0")
        if nal:
            yield nal
        if end < 0:
            return
        start = end
    raise BadBitstream(f"an access unit of more than {_MAX_NALS} NAL units")


def picture(annex_b: bytes) -> Picture | None:
    """The sample of an access unit, or None when it holds no picture.

    Raises BadBitstream."""
    sps = pps = None
    key = False
    pieces: list[bytes] = []
    for nal in nal_units(annex_b):
        kind = nal[0] & 0x1F
        if kind == _SPS:
            sps = nal
        elif kind == _PPS:
            pps = nal
        elif kind in _PICTURE:
            key = key or kind == _IDR
            pieces += (struct.pack(">I", len(nal)), nal)
    if not pieces:
        return None
    return Picture(b"".join(pieces), key, sps, pps)


class _Bits:
    def __init__(self, nal: bytes) -> None:
        # Emulation prevention: 00 00 03 stands for 00 00 (7.4.1).
        payload = nal.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(payload, "big")
        self._left = 8 * len(payload)

    def read(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise BadBitstream("a sequence parameter set ends too early")
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > 31:
                raise BadBitstream("a number of more than 32 bits in a sequence parameter set")
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _skip_scaling(bits: _Bits, chroma_format: int) -> None:
    for index in range(12 if chroma_format == 3 else 8):
        if not bits.read(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def parameter_sets(sps: bytes, pps: bytes) -> ParameterSets:
    """Reads size and format from an SPS (7.3.2.1.1) and keeps both NAL units.

    Raises BadBitstream when it is cut, or describes no sensible picture."""
    if len(sps) < 4:
        raise BadBitstream("a sequence parameter set of less than four bytes")
    bits = _Bits(sps[4:])
    bits.unsigned()
    chroma_format, depth, planes = 1, (8, 8), 0
    if sps[1] in _HIGH_PROFILES:
        chroma_format = bits.unsigned()
        if chroma_format > 3:
            raise BadBitstream(f"chroma format {chroma_format} does not exist")
        if chroma_format == 3:
            planes = bits.read(1)
        depth = (8 + bits.unsigned(), 8 + bits.unsigned())
        if max(depth) > 14:
            raise BadBitstream(f"a bit depth of {max(depth)} does not exist")
        bits.read(1)
        if bits.read(1):
            _skip_scaling(bits, chroma_format)
    bits.unsigned()
    order = bits.unsigned()
    if order == 0:
        bits.unsigned()
    elif order == 1:
        bits.read(1)
        bits.signed()
        bits.signed()
        for _ in range(min(bits.unsigned(), 256)):
            bits.signed()
    bits.unsigned()
    bits.read(1)
    columns, rows = bits.unsigned() + 1, bits.unsigned() + 1
    frames_only = bits.read(1)
    if not frames_only:
        bits.read(1)
    bits.read(1)
    left = right = top = bottom = 0
    if bits.read(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
    mono = chroma_format == 0 or planes
    unit_x = 1 if mono or chroma_format == 3 else 2
    unit_y = (2 if chroma_format == 1 and not mono else 1) * (2 - frames_only)
    width = 16 * columns - unit_x * (left + right)
    height = 16 * rows * (2 - frames_only) - unit_y * (top + bottom)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise BadBitstream(f"a picture of {width}x{height}")
    return ParameterSets(sps, pps, width, height, chroma_format, depth)
