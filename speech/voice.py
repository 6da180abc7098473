"""What a voice is and what it makes: PCM at 48 kHz with the exact times of its phonemes, words and mouth shapes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from speech.marks import SAMPLE_RATE, VisemeMark

Pcm = NDArray[np.float32]
"""Mono samples at 48 kHz, -1 to 1."""

MILLISECOND: Final = SAMPLE_RATE // 1000


class VoiceError(Exception):
    """A voice cannot be had or cannot speak this; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class WordMark:
    """One word as written, from `start` to `end` (samples at 48 kHz, from the start of its Speech)."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PhonemeMark:
    """One phoneme of the lexicon's alphabet; `token` is the index in the phrase, -1 for silence."""

    phoneme: str
    start: int
    end: int
    token: int
    stressed: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """A piece of speech: what is heard and when what is seen. All times are samples at 48 kHz from the start of `pcm`."""

    text: str
    pcm: Pcm
    marks: list[VisemeMark]
    words: list[WordMark]
    stress: list[int] = field(default_factory=list)
    weight: list[int] = field(default_factory=list)
    """Those of `stress` on which the text puts weight (markup.py)."""
    phonemes: list[PhonemeMark] = field(default_factory=list)

    @property
    def duration_s(self) -> float:
        return self.pcm.size / SAMPLE_RATE


def silence(ms: int) -> Speech:
    """Nothing, for so long."""
    size = ms * MILLISECOND
    return Speech("", np.zeros(size, np.float32), [VisemeMark(0, size, "sil")], [])


def joined(parts: Sequence[Speech]) -> Speech:
    """One piece of speech after the other, as one. Tokens of phonemes are those of each part's own phrase."""
    starts = [0, *itertools.accumulate(p.pcm.size for p in parts)]
    placed = list(zip(parts, starts, strict=False))
    return Speech(
        text=" ".join(p.text for p in parts if p.text),
        pcm=np.concatenate([p.pcm for p in parts]) if parts else np.zeros(0, np.float32),
        marks=[replace(m, start=m.start + at, end=m.end + at) for p, at in placed for m in p.marks],
        words=[replace(w, start=w.start + at, end=w.end + at) for p, at in placed for w in p.words],
        stress=[s + at for p, at in placed for s in p.stress],
        weight=[s + at for p, at in placed for s in p.weight],
        phonemes=[replace(m, start=m.start + at, end=m.end + at) for p, at in placed for m in p.phonemes],
    )


class Halt:
    """Ends a synthesis from another thread: whoever works registers how. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ways: list[Callable[[], None]] = []
        self._halted = False

    @property
    def halted(self) -> bool:
        return self._halted

    def by(self, way: Callable[[], None]) -> None:
        """Registers what ends the work; called at once when it was to end already."""
        with self._lock:
            if not self._halted:
                self._ways.append(way)
                return
        way()

    def now(self) -> None:
        """Ends the work."""
        with self._lock:
            self._halted = True
            ways, self._ways = self._ways, []
        for way in ways:
            way()


class Voice(Protocol):
    """Text to Speech, one clause or sentence at a time, in the caller's thread (inference releases the GIL).

    Raises VoiceError when the text cannot be spoken, or when `halt` ended it. A text without words gives an empty Speech.
    """

    @property
    def name(self) -> str: ...

    def synthesise(self, text: str, halt: Halt | None = None) -> Speech: ...
