"""ISO BMFF boxes: size, four letters, payload (ISO/IEC 14496-12 section 4.2)."""

from __future__ import annotations

import struct


def box(kind: bytes, *payload: bytes) -> bytes:
    """A box. Size is 32 bits: what we write is far below 4 GiB."""
    return struct.pack(">I4s", 8 + sum(map(len, payload)), kind) + b"".join(payload)


def full_box(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)
