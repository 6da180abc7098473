"""Playlists as text (RFC 8216bis): the media playlist in its low-latency, delta and plain forms, and the multivariant playlist."""

from hls.playlist.media import DateRange, MediaPlaylist, PartLine, Report, Segment
from hls.playlist.multivariant import AudioRendition, SubtitleRendition, Variant, multivariant

__all__ = [
    "AudioRendition",
    "DateRange",
    "MediaPlaylist",
    "PartLine",
    "Report",
    "Segment",
    "SubtitleRendition",
    "Variant",
    "multivariant",
]
