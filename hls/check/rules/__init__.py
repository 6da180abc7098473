"""The rules, in files by theme; importing this registers them all."""

from hls.check.rules import (
    blocking,
    continuity,
    delivery,
    hints,
    key_frames,
    media,
    parts,
    subtitles,
    variants,
)

__all__ = [
    "blocking",
    "continuity",
    "delivery",
    "hints",
    "key_frames",
    "media",
    "parts",
    "subtitles",
    "variants",
]
