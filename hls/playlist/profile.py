"""The settings that fit a broadcast, for players that understand them: EXT-X-SESSION-DATA in the multivariant playlist, so they cost
no request and are kept by caches with it (RFC 8216bis 4.4.6.4). `web/player/profile.ts` reads them; other players pass over them."""

from __future__ import annotations

from hls.grid import Grid

DATA_ID = "avacast.player"

CATCH_UP_RATE = 1.1
"""Ten per cent faster is not heard as another voice; 1.2 is."""
ON_STALL_S = 0.2
"""How much a player steps back at a stall."""
JUMP_TARGETS = 5
"""Target durations behind beyond which catching up would take minutes: it jumps."""
STALLS = 3
STALLS_WITHIN_S = 20
"""So many stalls in so short a time: parts do not come in time on this path, whole segments may."""
PLAIN_FOR_S = 30
"""How long a player keeps to whole segments before it tries parts again; each time twice as long."""


def session_data(grid: Grid) -> str:
    """The line. Values are decimal, times in seconds."""
    settings = {
        "part": grid.part_ms / 1000,
        "hold-back": grid.part_hold_back_ms / 1000,
        # With the default of 0.25 hls.js passes over parts that are as short.
        "tolerance": min(0.25, grid.part_ms / 4000),
        "catch-up": CATCH_UP_RATE,
        "on-stall": ON_STALL_S,
        "jump": JUMP_TARGETS * grid.target_duration_s,
        "stalls": STALLS,
        "stalls-within": STALLS_WITHIN_S,
        "plain-for": PLAIN_FOR_S,
    }
    value = " ".join(f"{name}={number:g}" for name, number in settings.items())
    return f'#EXT-X-SESSION-DATA:DATA-ID="{DATA_ID}",VALUE="{value}"'
