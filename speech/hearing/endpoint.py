"""Where speech begins and ends: a machine fed with the probability of voice in each 32 ms. Pure.

           voiced           voiced for min_voiced_ms             silence                  silence for patience
    QUIET ───────► RISING ────────────────────────────► SPEAKING ◄───────► TRAILING ───────────────────────────► QUIET
                      └── silence for gap_ms: a cough ──► QUIET             voiced

Hysteresis: voice is believed at `enter` and doubted below `leave`. How long a silence ends a turn is the listener's patience: short
after a whole question, long after "and".
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

FRAME_MS: Final = 32
"""Milliseconds of a frame: 512 samples at 16 kHz, as the voice detector takes them."""


class Completeness(enum.Enum):
    """How complete the words so far look."""

    QUESTION = "question"
    SENTENCE = "sentence"
    OPEN = "open"
    """No words yet, or no mark at their end."""
    HANGING = "hanging"
    """They ask for more: "and", "because", a comma."""


@dataclass(frozen=True, slots=True)
class Endpointing:
    """Settings; docs/decisions.md has the figures behind them."""

    enter: float = 0.5
    """Probability from which a frame is voiced."""
    leave: float = 0.35
    """Probability below which a voice has stopped."""
    min_voiced_ms: int = 200
    """Voiced time that makes a turn: a cough or a click is shorter."""
    gap_ms: int = 320
    """Silence after which less than that is forgotten."""
    peek_ms: int = 96
    """Silence after which the words are read in advance, while it is not yet sure that the turn is over."""
    patience_ms: dict[Completeness, int] = field(
        default_factory=lambda: {
            Completeness.QUESTION: 350,
            Completeness.SENTENCE: 500,
            Completeness.OPEN: 700,
            Completeness.HANGING: 1300,
        }
    )
    """Silence that ends a turn."""
    longest_ms: int = 28_000
    """A turn is cut at this length: the recogniser reads at most 30 s at a time."""


class Phase(enum.Enum):
    QUIET = "quiet"
    RISING = "rising"
    SPEAKING = "speaking"
    TRAILING = "trailing"


class Change(enum.Enum):
    """What a frame has changed."""

    RISEN = "risen"
    """Perhaps somebody speaks: what is heard from here on must be kept."""
    DISMISSED = "dismissed"
    """Nobody did."""
    STARTED = "started"
    ENDED = "ended"
    CUT = "cut"


class Endpointer:
    """One speaker. Counts in frames; `push` each frame's probability (0 to 1)."""

    def __init__(self, settings: Endpointing | None = None) -> None:
        self.settings = settings or Endpointing()
        self.phase = Phase.QUIET
        self.completeness = Completeness.OPEN
        self._voiced_ms = 0
        self._silence_ms = 0
        self._length_ms = 0

    @property
    def voiced_ms(self) -> int:
        """Voiced time of this turn."""
        return self._voiced_ms

    @property
    def paused(self) -> bool:
        """Whether the speaker is silent for so long that the words should be read."""
        return self.phase is Phase.TRAILING and self._silence_ms >= self.settings.peek_ms

    def push(self, probability: float) -> Change | None:
        """The next frame; what it has changed."""
        threshold = (
            self.settings.enter if self.phase in (Phase.QUIET, Phase.TRAILING) else self.settings.leave
        )
        voiced = probability >= threshold
        if self.phase is Phase.QUIET:
            return self._rise() if voiced else None
        self._length_ms += FRAME_MS
        if voiced:
            self._voiced_ms += FRAME_MS
            self._silence_ms = 0
        else:
            self._silence_ms += FRAME_MS
        if self.phase is Phase.RISING:
            return self._rising()
        if voiced and self.phase is Phase.TRAILING:
            self.completeness = Completeness.OPEN  # the words that looked complete go on
        self.phase = Phase.SPEAKING if voiced else Phase.TRAILING
        if self._length_ms >= self.settings.longest_ms:
            self.phase = Phase.QUIET
            return Change.CUT
        return self.poll()

    def poll(self) -> Change | None:
        """Ends the turn if the silence has lasted long enough; after `completeness` was set."""
        over = self._silence_ms >= self.settings.patience_ms[self.completeness]
        if self.phase is not Phase.TRAILING or not over:
            return None
        self.phase = Phase.QUIET
        return Change.ENDED

    def _rise(self) -> Change:
        self.phase = Phase.RISING
        self.completeness = Completeness.OPEN
        self._voiced_ms = self._length_ms = FRAME_MS
        self._silence_ms = 0
        return Change.RISEN

    def _rising(self) -> Change | None:
        if self._voiced_ms >= self.settings.min_voiced_ms:
            self.phase = Phase.SPEAKING
            return Change.STARTED
        if self._silence_ms >= self.settings.gap_ms:
            self.phase = Phase.QUIET
            return Change.DISMISSED
        return None
