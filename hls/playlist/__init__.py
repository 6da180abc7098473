"""Playlists as text (RFC 8216bis): the media playlist in its low-latency, delta and plain forms, and the multivariant playlist."""

from hls.playlist.media import DateRange, MediaPlaylist, PartLine, Report, Segment
from hls.playlist.multivariant import (
    KEY_FRAMES,
    AudioRendition,
    SubtitleRendition,
    Variant,
    key_frames_name,
    multivariant,
)

__all__ = [
    "KEY_FRAMES",
    "AudioRendition",
    "DateRange",
    "MediaPlaylist",
    "PartLine",
    "Report",
    "Segment",
    "SubtitleRendition",
    "Variant",
    "key_frames_name",
    "multivariant",
]
