"""A tally: what is kept of one broadcast and one minute (or hour). Everything in it adds up, so tallies of several orchestrators, and
of many minutes, become one. Nobody is in it: only seconds, counts and distributions by kind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

from orchestrator.analytics.sketch import Sketch

KINDS = 48
"""Most regions, countries, devices in one tally; what is beyond counts as OTHER."""
OTHER = "other"

Seconds = dict[str, float]
"""Kind -> seconds that were watched by it: divided by the seconds of the tally, the viewers on average."""


@dataclass
class Tally:
    """See the module's text. The upper part is what the hub counts (all viewers), the lower what players report (those that do)."""

    seen_s: float = 0.0
    """How long was looked."""
    live_s: float = 0.0
    webrtc_s: float = 0.0
    hls_s: float = 0.0
    interactive_s: float = 0.0
    peak: int = 0
    lost_s: float = 0.0
    """Seconds of viewers by WebRTC, times the loss among them."""
    egress_bits: float = 0.0
    ingest_bits: float = 0.0
    regions: Seconds = field(default_factory=dict)

    reports: int = 0
    joins: int = 0
    returns: int = 0
    """Viewers that were not known any more and went on: after an outage, or a restart."""
    leaves: int = 0
    watch_s: float = 0.0
    left_s: float = 0.0
    """How long those who left had watched, together."""
    stalls: int = 0
    bits: float = 0.0
    """Bits per second as players measured them, times how many did (`bits_n`)."""
    bits_n: int = 0
    countries: Seconds = field(default_factory=dict)
    devices: Seconds = field(default_factory=dict)
    left: Sketch = field(default_factory=Sketch)
    """How long those who left had watched, in seconds."""
    startup_ms: Sketch = field(default_factory=Sketch)
    webrtc_ms: Sketch = field(default_factory=Sketch)
    """Latency by WebRTC."""
    hls_ms: Sketch = field(default_factory=Sketch)
    """Latency by HLS."""

    def merge(self, other: Tally) -> None:
        """Takes the other's figures in."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, Sketch):
                mine.merge(theirs)
            elif isinstance(mine, dict):
                for kind, seconds in theirs.items():
                    count(mine, kind, seconds)
            elif one.name == "peak":
                self.peak = max(mine, theirs)
            else:
                setattr(self, one.name, mine + theirs)

    def encode(self) -> str:
        """As a document; what is nought is left out."""
        document: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, Sketch):
                value = value.encode()
            elif isinstance(value, dict):
                value = {kind: round(seconds, 3) for kind, seconds in value.items() if seconds > 0}
            elif isinstance(value, float):
                value = round(value, 3)
            if value:
                document[one.name] = value
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def decode(cls, document: str) -> Tally:
        """From what `encode` gave; figures of a later version are left out."""
        facts, tally = json.loads(document), cls()
        for one in fields(cls):
            if one.name in facts:
                value = facts[one.name]
                is_sketch = isinstance(getattr(tally, one.name), Sketch)
                setattr(tally, one.name, Sketch.decode(value) if is_sketch else value)
        return tally


def count(seconds: Seconds, kind: str, more: float) -> None:
    """Adds seconds to a kind, or to OTHER when there are too many."""
    if kind not in seconds and len(seconds) >= KINDS:
        kind = OTHER
    seconds[kind] = seconds.get(kind, 0.0) + more
