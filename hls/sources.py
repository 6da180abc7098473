"""What comes in: access units of a stream, as the media core's tap gives them, and how late they usually are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

_FORGETTING = 0.999
_MOST_MS = 1500


class AccessUnit(Protocol):
    """One coded picture (Annex-B H.264) or one Opus packet. `time` in ticks of `clock_rate`, `ntp_ms` is the wall clock of its
    capture."""

    @property
    def kind(self) -> str: ...
    @property
    def layer(self) -> int: ...
    @property
    def codec(self) -> str: ...
    @property
    def time(self) -> int: ...
    @property
    def clock_rate(self) -> int: ...
    @property
    def ntp_ms(self) -> float: ...
    @property
    def key_frame(self) -> bool: ...
    @property
    def data(self) -> bytes: ...
    @property
    def lost_before(self) -> bool: ...


@dataclass(slots=True)
class Delay:
    """How late units arrive against their capture time: the recent maximum, slowly forgotten."""

    value_ms: float = 0.0

    def saw(self, late_ms: float) -> None:
        self.value_ms = max(late_ms, self.value_ms * _FORGETTING)

    @property
    def bounded_ms(self) -> float:
        """The same, at most one and a half seconds."""
        return min(self.value_ms, _MOST_MS)
