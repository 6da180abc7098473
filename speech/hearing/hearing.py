"""Hears one speaker: sound in, events out. No clock, no thread, no model of its own; time is the number of samples.

    push(sound) ─► Detector ─► Endpointer ─► utterance ─► poll_job() ··· Recogniser, in a thread ··· handle_transcript() ─► events

Readings are made of the growing utterance every PARTIAL_MS, and in advance at each pause: when the silence has lasted long enough
the words are there already, and they have said how long is long enough. One job is out at a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final as Constant

import numpy as np

from speech.hearing.endpoint import Change, Completeness, Endpointer, Endpointing, Phase
from speech.hearing.events import (
    RATE,
    End,
    Event,
    Final,
    Partial,
    Sound,
    SpeechStarted,
    TurnEnded,
    Unclear,
    Word,
)
from speech.hearing.transcript import Agreement, Transcript, completeness, doubt
from speech.hearing.vad import FRAME, Detector

PARTIAL_MS: Constant = 480
"""Sound between two readings of what is being said."""
_BEFORE: Constant = 10
"""Frames kept from before the first voiced one: the detector is late for soft consonants."""
_MOST_WAITING: Constant = 4
"""Turns that may wait for a recogniser that is late; then the oldest is given up."""


@dataclass(frozen=True, slots=True)
class Job:
    """A reading to be made: `sound` for `Recogniser.transcribe(sound, timed=timed)`."""

    turn: int
    sound: Sound
    until: int
    timed: bool


@dataclass(slots=True)
class _Utterance:
    """One turn. Positions are samples of the speaker's sound."""

    turn: int
    start: int
    frames: list[Sound] = field(default_factory=list)
    voiced: int = 0
    voiced_from: int = 0
    voiced_until: int = 0
    asked_until: int = 0
    """How far the newest job reaches."""
    concluded_until: int = 0
    """How far the newest job with times reaches."""
    reading: Transcript | None = None
    read_until: int = 0
    said: str = ""
    agreement: Agreement = field(default_factory=Agreement)

    @property
    def end(self) -> int:
        return self.start + sum(frame.size for frame in self.frames)

    @property
    def complete(self) -> bool:
        """Whether the newest reading has all that was voiced, with times."""
        return self.reading is not None and self.read_until >= self.voiced_until

    def job(self, timed: bool) -> Job:
        self.asked_until = self.end
        if timed:
            self.concluded_until = self.end
        return Job(self.turn, np.concatenate(self.frames), self.end, timed)


class Hearing:
    """One speaker. All methods from one thread at a time; `push` costs a detector run for each 32 ms."""

    def __init__(self, detector: Detector, settings: Endpointing | None = None) -> None:
        self._detector = detector
        self._endpointer = Endpointer(settings)
        self._at = 0
        self._rest = np.zeros(0, np.float32)
        self._before: deque[Sound] = deque(maxlen=_BEFORE)
        self._open: _Utterance | None = None
        self._waiting: deque[_Utterance] = deque()
        self._job: Job | None = None
        self._turns = 0

    @property
    def speaking(self) -> bool:
        """Whether a turn is under way."""
        return self._endpointer.phase in (Phase.SPEAKING, Phase.TRAILING)

    @property
    def at_s(self) -> float:
        """Seconds of sound so far."""
        return self._at / RATE

    def push(self, sound: Sound) -> list[Event]:
        """The next sound, any length. Samples that are no numbers count as silence."""
        events: list[Event] = []
        sound = np.nan_to_num(np.asarray(sound, np.float32).reshape(-1), posinf=0.0, neginf=0.0)
        sound = np.concatenate((self._rest, np.clip(sound, -1.0, 1.0)))
        whole = sound.size // FRAME * FRAME
        self._rest = sound[whole:]
        for start in range(0, whole, FRAME):
            events += self._frame(sound[start : start + FRAME])
        return events

    def finish(self) -> list[Event]:
        """The sound has ended: so has the turn. Its reading may still be wanted of `poll_job`."""
        speaking, self._endpointer.phase = self.speaking, Phase.QUIET
        if not speaking:
            self._open = None
            return []
        return self._ended(End.GONE)

    def poll_job(self) -> Job | None:
        """A reading that should be made now, while none is out. Its answer goes to `handle_transcript`."""
        if self._job is not None:
            return None
        if self._waiting:
            self._job = self._waiting[0].job(timed=True)
        elif (utterance := self._open) is not None and self.speaking:
            if self._endpointer.paused:
                if utterance.concluded_until < utterance.voiced_until:
                    self._job = utterance.job(timed=True)
            elif utterance.end - max(utterance.asked_until, utterance.start) >= PARTIAL_MS * RATE // 1000:
                self._job = utterance.job(timed=False)
        return self._job

    def handle_transcript(self, job: Job, transcript: Transcript | None) -> list[Event]:
        """The reading of a job; None when the recogniser failed."""
        self._job = None
        if self._waiting and self._waiting[0].turn == job.turn:
            utterance = self._waiting[0]
            if job.until >= utterance.voiced_until and job.timed:
                self._waiting.popleft()
                return [_conclusion(utterance, transcript or Transcript(""))]
            return []
        speaking = self._open
        if speaking is None or speaking.turn != job.turn or transcript is None:
            return []
        return self._read(speaking, job, transcript)

    def _frame(self, frame: Sound) -> list[Event]:
        voiced_before = self._endpointer.voiced_ms
        change = self._endpointer.push(self._detector(frame))
        if change is Change.RISEN:
            voiced_before = 0
            self._turns += 1
            kept = list(self._before)
            self._open = _Utterance(
                self._turns, self._at - sum(f.size for f in kept), kept, voiced_from=self._at
            )
        self._before.append(frame)
        self._at += frame.size
        utterance = self._open
        if utterance is None:
            return []
        utterance.frames.append(frame)
        if self._endpointer.voiced_ms > voiced_before:
            utterance.voiced += frame.size
            utterance.voiced_until = self._at
        if change is Change.DISMISSED:
            self._open = None
            self._turns -= 1
        elif change is Change.STARTED:
            return [SpeechStarted(utterance.turn, utterance.voiced_from / RATE)]
        elif change in (Change.ENDED, Change.CUT):
            return self._ended(End.SILENCE if change is Change.ENDED else End.LIMIT)
        return []

    def _read(self, utterance: _Utterance, job: Job, transcript: Transcript) -> list[Event]:
        """A reading of what is being said."""
        events: list[Event] = []
        doubtful = doubt(transcript, utterance.voiced / RATE) is not None
        if job.timed:
            utterance.reading, utterance.read_until = transcript, job.until
        stable = utterance.agreement.push("" if doubtful else transcript.text)
        if not doubtful and transcript.text != utterance.said:
            utterance.said = transcript.text
            events.append(Partial(utterance.turn, transcript.text, stable))
        if job.until >= utterance.voiced_until:
            self._endpointer.completeness = Completeness.OPEN if doubtful else completeness(transcript.text)
            if self._endpointer.poll() is Change.ENDED:
                events += self._ended(End.SILENCE)
        return events

    def _ended(self, end: End) -> list[Event]:
        utterance, self._open = self._open, None
        self._before.clear()
        assert utterance is not None, "a turn that ends had begun"
        events: list[Event] = [TurnEnded(utterance.turn, utterance.voiced_until / RATE, self._at / RATE, end)]
        if utterance.complete and utterance.reading is not None and not self._waiting:
            events.append(_conclusion(utterance, utterance.reading))
            return events
        if len(self._waiting) >= _MOST_WAITING:
            given_up = self._waiting.popleft()
            events.append(Unclear(given_up.turn, "the recogniser is too slow"))
        self._waiting.append(utterance)
        return events


def _conclusion(utterance: _Utterance, transcript: Transcript) -> Event:
    """The last word of a turn."""
    reason = doubt(transcript, utterance.voiced / RATE)
    if reason is not None:
        return Unclear(utterance.turn, reason)
    offset_s = utterance.start / RATE
    words = tuple(
        Word(w.text, w.start_s + offset_s, w.end_s + offset_s, w.probability) for w in transcript.words
    )
    return Final(
        utterance.turn, transcript.text, words, utterance.voiced_from / RATE, utterance.voiced_until / RATE
    )
