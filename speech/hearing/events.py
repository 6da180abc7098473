"""What hearing tells: events of one speaker, in order. Times are seconds of that speaker's sound, from its first sample.

SpeechStarted ─► Partial* ─► TurnEnded ─► Final | Unclear
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final as Constant

import numpy as np
from numpy.typing import NDArray

RATE: Constant = 16_000
"""Samples a second of all sound here: what the voice detector and the recogniser were trained on."""

Sound = NDArray[np.float32]
"""Mono samples at 16 kHz, -1 to 1."""


class End(enum.StrEnum):
    """Why a turn is over."""

    SILENCE = "silence"
    LIMIT = "limit"
    """It is as long as a turn may be; what follows is the next one."""
    GONE = "gone"
    """The speaker's sound has ended."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word as it was heard. `probability` 0 to 1."""

    text: str
    start_s: float
    end_s: float
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody has been speaking for as long as it takes to be no cough; `at_s` is where it began."""

    turn: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Partial:
    """What has been said so far; the first `stable` words will hardly change any more."""

    turn: int
    text: str
    stable: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The speaker has done. `voiced_until_s`: the end of the last voiced sound; `decided_s`: when it was known."""

    turn: int
    voiced_until_s: float
    decided_s: float
    end: End


@dataclass(frozen=True, slots=True)
class Final:
    """What was said in a turn."""

    turn: int
    text: str
    words: tuple[Word, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Unclear:
    """A turn without words that can be believed; `reason` says why."""

    turn: int
    reason: str


Event = SpeechStarted | Partial | TurnEnded | Final | Unclear
