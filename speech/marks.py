"""Visemes: the mouth shapes of speech, as timed marks on the 48 kHz sample clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SAMPLE_RATE: Final = 48_000
"""Samples a second of the master clock; every time of this package is a count of these samples."""

VISEMES: Final[tuple[str, ...]] = (
    "sil",
    "PP",
    "FF",
    "TH",
    "DD",
    "kk",
    "CH",
    "SS",
    "nn",
    "RR",
    "aa",
    "E",
    "I",
    "O",
    "U",
)
"""The Oculus set: silence, nine consonant shapes, five vowels."""


@dataclass(frozen=True, slots=True)
class VisemeMark:
    """One mouth shape held from `start` to `end` (samples at 48 kHz), `weight` 0-1 (loudness or stress).

    Raises ValueError for an unknown viseme, a span that ends before it starts, or a weight outside 0-1.
    """

    start: int
    end: int
    viseme: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.viseme not in VISEMES:
            raise ValueError(f"unknown viseme {self.viseme!r}; one of {', '.join(VISEMES)}")
        if self.end < self.start:
            raise ValueError(f"viseme {self.viseme} ends at {self.end}, before it starts at {self.start}")
        if not 0.0 <= self.weight <= 1.0:
            raise ValueError(f"viseme weight {self.weight} is outside 0-1")
