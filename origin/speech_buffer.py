"""Between the voice, which speaks in bursts, and the clock, which never waits: a jitter buffer on the sample counter.

    IDLE ──push──► PREBUFFER ──filled──► SPEAKING ──nothing left──► GAP ──filled──► SPEAKING
                                            │ end()                                  │
                                            └──────────────► DRAIN ──all heard──► IDLE

What is pushed waits until there is enough to begin, then gets its place on the sample counter, a little ahead of now so
that the lips can prepare; what follows is placed right behind. A GAP is an underrun: silence, at rest, until there is
enough again. Sans-IO; not thread-safe.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from speech.marks import SAMPLE_RATE
from speech.voice import MILLISECOND, Pcm, Speech

CUT_FADE: Final = 10 * MILLISECOND
"""Length of the fade by which interrupted speech ends."""


class BufferState(StrEnum):
    IDLE = "idle"
    PREBUFFER = "prebuffer"
    SPEAKING = "speaking"
    GAP = "gap"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """Levels in milliseconds (requirement A2)."""

    initial_fill_ms: int = 128
    """Speech that must be there before it begins, if more is to come."""
    playback_from_ms: int = 40
    """With this much it begins when no more comes."""
    target_ms: int = 160
    """Level that a streaming voice is asked to keep, and that is waited for after an underrun."""
    ceiling_ms: int = 240
    """A streaming voice is told to wait above it."""
    refill: float = 0.3
    """Below this part of the target the voice is asked for more."""
    lead_ms: int = 80
    """Time between the decision to speak and the first sample: the lips prepare."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Speech with its place: its first sample is `at` on the sample counter."""

    speech: Speech
    at: int
    epoch: int

    @property
    def end(self) -> int:
        return self.at + int(self.speech.pcm.size)


@dataclass(frozen=True, slots=True)
class Block:
    """What `read` gives: exactly the samples asked for, and the speech that got its place meanwhile."""

    pcm: Pcm
    state: BufferState
    placed: list[Placed] = field(default_factory=list)
    underrun: bool = False


class SpeechBuffer:
    """One avatar's speech. `push` and `end` carry the epoch of the line; what is of an older epoch is dropped."""

    def __init__(self, settings: BufferSettings | None = None) -> None:
        self.settings = settings or BufferSettings()
        self.state = BufferState.IDLE
        self.position = 0
        """The next sample to be read."""
        self.epoch = 0
        self.underruns = 0
        self._waiting: deque[Speech] = deque()
        self._line: deque[Placed] = deque()
        self._ended = True
        self._hold = 0
        self._fade: Pcm = np.zeros(0, np.float32)
        self._heard: list[str] = []

    @property
    def level(self) -> int:
        """Samples of speech that are still to be heard, placed or waiting."""
        placed = sum(p.end - max(p.at, self.position) for p in self._line)
        return placed + self._waiting_samples

    @property
    def wants_more(self) -> bool:
        """Whether a streaming voice should go on: below the refill level, or not yet at the ceiling since."""
        ms = self.level // MILLISECOND
        return ms < self.settings.target_ms * self.settings.refill or (
            self.state in (BufferState.PREBUFFER, BufferState.GAP) and ms < self.settings.ceiling_ms
        )

    @property
    def _waiting_samples(self) -> int:
        return sum(int(s.pcm.size) for s in self._waiting)

    def begin(self, epoch: int) -> None:
        """A new line starts: more is to come until `end`. The record of what was heard starts anew."""
        if epoch < self.epoch:
            return
        self.epoch = epoch
        self._ended = False
        self._heard = []
        if self.state is BufferState.DRAIN:
            self.state = BufferState.SPEAKING
        elif self.state is BufferState.IDLE:
            self.state = BufferState.PREBUFFER

    def push(self, speech: Speech, epoch: int, hold: int = 0) -> bool:
        """More speech of the line; False (and nothing done) when its epoch is over.

        Speech that nothing is heard before begins `hold` samples later than it could: a head start for the voice.
        """
        if epoch != self.epoch:
            return False
        if self.level == 0:
            self._hold = hold
        if speech.pcm.size:
            self._waiting.append(speech)
        return True

    def end(self, epoch: int) -> None:
        """No more speech of this line."""
        if epoch == self.epoch:
            self._ended = True

    def cut(self, epoch: int) -> str:
        """Interrupts: nothing of an epoch before `epoch` is heard any more but a fade of 10 ms. Returns what of the line was heard."""
        heard = self.heard()
        self.epoch = max(self.epoch, epoch)
        self._fade = self.peek(CUT_FADE) * np.linspace(1, 0, CUT_FADE, dtype=np.float32)
        self._waiting.clear()
        self._line.clear()
        self._ended = True
        self._heard = []
        self.state = BufferState.IDLE
        return heard

    def heard(self) -> str:
        """What of the current line has been heard, as written, to the last whole word."""
        words = list(self._heard)
        for p in self._line:
            words += [w.text for w in p.speech.words if p.at + w.end <= self.position]
        return " ".join(words)

    def read(self, count: int) -> Block:
        """The next `count` samples."""
        placed = self._place()
        pcm = np.zeros(count, np.float32)
        start, end = self.position, self.position + count
        for p in self._line:
            first, last = max(p.at, start), min(p.end, end)
            if last > first:
                pcm[first - start : last - start] = p.speech.pcm[first - p.at : last - p.at]
        if self._fade.size:
            n = min(count, self._fade.size)
            pcm[:n] += self._fade[:n]
            self._fade = self._fade[n:]
        self.position = end
        while self._line and self._line[0].end <= end:
            self._heard += [w.text for w in self._line.popleft().speech.words]
        underrun = self._settle()
        return Block(pcm, self.state, placed, underrun)

    def _place(self) -> list[Placed]:
        """Gives waiting speech its place when there is enough of it, or right behind what is being heard."""
        placed: list[Placed] = []
        if self._waiting and not self._line:
            need = self.settings.target_ms if self.state is BufferState.GAP else self.settings.initial_fill_ms
            if not self._ended and self._waiting_samples < need * MILLISECOND:
                return placed
            lead = self.settings.lead_ms * MILLISECOND
            self._append(self.position + lead + self._hold, placed)
            self._hold = 0
            if self.state in (BufferState.IDLE, BufferState.GAP):
                self.state = BufferState.PREBUFFER
        while self._waiting and self._line:
            self._append(self._line[-1].end, placed)
        return placed

    def _append(self, at: int, placed: list[Placed]) -> None:
        entry = Placed(self._waiting.popleft(), at, self.epoch)
        self._line.append(entry)
        placed.append(entry)

    def _settle(self) -> bool:
        """The state after a read; True when an underrun began."""
        if self._line:
            if self._line[0].at < self.position:
                drained = self._ended and not self._waiting
                self.state = BufferState.DRAIN if drained else BufferState.SPEAKING
            return False
        if self._waiting:
            return False
        if self._ended:
            self.state = BufferState.IDLE
            return False
        if self.state is BufferState.SPEAKING:
            self.state = BufferState.GAP
            self.underruns += 1
            return True
        return False

    def peek(self, count: int) -> Pcm:
        """What will be heard in the next `count` samples, as far as it has its place."""
        pcm = np.zeros(count, np.float32)
        start, end = self.position, self.position + count
        for p in self._line:
            first, last = max(p.at, start), min(p.end, end)
            if last > first:
                pcm[first - start : last - start] = p.speech.pcm[first - p.at : last - p.at]
        return pcm


def seconds(samples: int) -> float:
    """Samples at 48 kHz in seconds."""
    return samples / SAMPLE_RATE
