"""One connection of text to speech: pieces of text in, clauses with their sound and times out.

handle() ─► Utterances ─► work(): Scheduler ─► voice, in a thread ─► Channel
   └── cancel: forgets, halts the voice, takes back what was not sent
"""

from __future__ import annotations

import asyncio
import functools
import time
from dataclasses import dataclass
from typing import Final

import numpy as np

from common import metrics
from common.log import log
from speech.inference import resampled
from speech.marks import SAMPLE_RATE
from speech.voice import MILLISECOND, Halt, Speech, Voice, VoiceError
from speech_service import messages
from speech_service.channel import Channel
from speech_service.endings import Broken
from speech_service.scheduler import Scheduler
from speech_service.speakers import Speakers
from speech_service.utterances import Utterance, Utterances

_log = log("speech")

_FIRST: Final = metrics.histogram(
    "speech_first_audio_seconds",
    "From an utterance's first clause as text to its first sound on the way",
    (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0),
)
_SPOKEN: Final = metrics.counter("speech_clauses_total", "Clauses by what became of them", ("outcome",))


@dataclass(frozen=True, slots=True)
class _Made:
    """A clause as sound in the client's form."""

    speech: Speech
    sound: bytes


def samples_s16(speech: Speech, rate: int) -> bytes:
    """The speech as mono s16le at `rate` samples a second."""
    pcm = resampled(speech.pcm, SAMPLE_RATE * SAMPLE_RATE // rate)
    return (np.clip(pcm, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes()


class Speaking:
    """A session of the TTS service."""

    def __init__(self, channel: Channel, speakers: Speakers, scheduler: Scheduler) -> None:
        self._channel = channel
        self._speakers = speakers
        self._scheduler = scheduler
        self._utterances = Utterances()
        self._voice: Voice | None = None
        self._rate = 0
        self._marks = True
        self._finishing = False
        self._changed = asyncio.Event()
        self._halt: Halt | None = None
        self._making: asyncio.Future[_Made] | None = None
        self._out: Utterance | None = None
        self._asked_at: dict[int, float] = {}
        self._said: list[Utterance] = []
        """Made in whole, perhaps not sent in whole."""

    @property
    def busy(self) -> bool:
        return self._making is not None

    async def handle(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            raise Broken(
                "sound came; this service takes text",
                code="bad_message",
                hint="/v1/stream/asr takes sound, at the other service",
            )
        message = messages.read(messages.SPEAKING, frame)
        if isinstance(message, messages.Ping):
            self._channel.tell(messages.Pong(), at_once=True)
        elif isinstance(message, messages.StartSpeaking):
            self._start(message)
        elif self._voice is None:
            raise Broken(
                f"a {message.type!r} came before `start`", code="not_started", hint="send `start` first"
            )
        elif self._finishing and not isinstance(message, messages.Cancel):
            self._say_late(message)
        else:
            self._take(message)
            self._changed.set()

    async def work(self) -> None:
        while True:
            if (turn := self._utterances.poll()) is not None:
                await self._channel.room()
                await self._speak(*turn)
            elif (over := self._utterances.poll_done()) is not None:
                self._asked_at.pop(over.epoch, None)
                self._channel.tell(
                    messages.Done(utterance=over.id, clauses=over.spoken, duration_ms=round(over.sound_ms)),
                    tag=over.epoch,
                )
                self._said = [one for one in self._said if self._channel.holds(one.epoch)] + [over]
            elif self._finishing and not len(self._utterances):
                self._channel.tell(messages.FinishedSpeaking())
                await self._channel.flushed()
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def close(self) -> None:
        self._utterances.cancel(None)
        self._stop_making()

    def _start(self, message: messages.StartSpeaking) -> None:
        if self._voice is not None:
            raise Broken(
                "`start` came twice", code="bad_message", hint="open another connection for another voice"
            )
        self._voice = self._speakers.find(message.voice)
        self._rate = message.sample_rate
        self._marks = message.marks
        self._channel.tell(
            messages.ReadyToSpeak(
                connection=self._channel.connection, voice=self._voice.name, sample_rate=self._rate
            )
        )

    def _take(self, message: messages.SpeakingRequest) -> None:
        known = True
        if isinstance(message, messages.Text):
            known = self._utterances.text(message.utterance, message.text)
        elif isinstance(message, messages.Flush):
            known = self._utterances.flush(message.utterance)
        elif isinstance(message, messages.EndText):
            known = self._utterances.end(message.utterance)
        elif isinstance(message, messages.Cancel):
            known = self._cancel(message.utterance)
        elif isinstance(message, messages.Finish):
            self._finishing = True
            self._utterances.end_all()
        if not known:
            self._say_late(message)
        for utterance in self._utterances.asked():
            self._asked_at.setdefault(utterance.epoch, time.monotonic())

    def _say_late(self, message: messages.SpeakingRequest) -> None:
        """What cannot be said any more, or never began."""
        self._channel.tell(
            messages.Failure(
                code="utterance_over",
                detail=f"a {message.type!r} came for an utterance that is complete, or never began",
                hint="each utterance has an id of its own; its text ends with `end`",
                fatal=False,
                utterance=getattr(message, "utterance", None),
            )
        )

    def _cancel(self, utterance_id: str | None) -> bool:
        """Silences one or all. False when it was to be one, and that is over."""
        said = [
            one for one in self._said if utterance_id in (None, one.id) and self._channel.holds(one.epoch)
        ]
        cancelled = said + self._utterances.cancel(utterance_id)
        for utterance in cancelled:
            self._asked_at.pop(utterance.epoch, None)
            if utterance is self._out:
                self._stop_making()
            sent = utterance.sound_bytes - self._channel.drop(utterance.epoch)
            self._channel.tell(
                messages.Cancelled(utterance=utterance.id, sent_ms=sent * 1000 // (2 * self._rate)),
                at_once=True,
            )
        return bool(cancelled) or utterance_id is None

    def _stop_making(self) -> None:
        if self._halt is not None:
            self._halt.now()
        if self._making is not None:
            self._making.cancel()

    async def _speak(self, utterance: Utterance, text: str) -> None:
        """Makes one clause and sends it, unless it is cancelled meanwhile."""
        if not utterance.live:
            return
        self._out, self._halt = utterance, Halt()
        work = functools.partial(self._make, text, self._halt)
        making = self._making = self._scheduler.submit(self._channel.connection, work)
        try:
            await asyncio.wait({making})
        finally:
            self._out = self._halt = self._making = None
        if not utterance.live or making.cancelled():
            if not making.cancelled():
                making.exception()  # it was told to fail
            _SPOKEN.labels("cancelled").inc()
            return
        error = making.exception()
        if isinstance(error, VoiceError):
            _SPOKEN.labels("failed").inc()
            self._channel.tell(
                messages.Failure(
                    code="unspeakable",
                    detail=f"a clause was left out: {error}",
                    fatal=False,
                    utterance=utterance.id,
                )
            )
            return
        made = making.result()
        _SPOKEN.labels("spoken").inc()
        self._send(utterance, text, made)

    def _make(self, text: str, halt: Halt) -> _Made:
        """In a thread of the scheduler."""
        assert self._voice is not None, "there is a voice from `start` on"
        if halt.halted:
            raise VoiceError("halted")
        speech = self._voice.synthesise(text, halt)
        return _Made(speech, samples_s16(speech, self._rate))

    def _send(self, utterance: Utterance, text: str, made: _Made) -> None:
        begun = round(utterance.sound_ms)
        clause = _clause(utterance.id, utterance.spoken, text, begun, made, marks=self._marks)
        self._channel.tell(clause, tag=utterance.epoch)
        self._channel.send_sound(made.sound, utterance.epoch)
        utterance.spoken += 1
        utterance.sound_ms += made.speech.pcm.size / MILLISECOND
        utterance.sound_bytes += len(made.sound)
        if (asked := self._asked_at.get(utterance.epoch)) is not None and utterance.spoken == 1:
            _FIRST.observe(time.monotonic() - asked)


def _clause(
    utterance: str, index: int, text: str, begun_ms: int, made: _Made, *, marks: bool
) -> messages.Clause:
    speech = made.speech

    def at(samples: int) -> int:
        return begun_ms + max(0, round(samples / MILLISECOND))

    return messages.Clause(
        utterance=utterance,
        index=index,
        text=text,
        start_ms=begun_ms,
        duration_ms=round(speech.pcm.size / MILLISECOND),
        sound_bytes=len(made.sound),
        words=[messages.WordTime(text=w.text, start_ms=at(w.start), end_ms=at(w.end)) for w in speech.words]
        if marks
        else [],
        phonemes=[
            messages.PhonemeTime(
                phoneme=p.phoneme, start_ms=at(p.start), end_ms=at(p.end), stressed=p.stressed
            )
            for p in speech.phonemes
        ]
        if marks
        else [],
        visemes=[
            messages.VisemeTime(
                viseme=m.viseme, start_ms=at(m.start), end_ms=at(m.end), weight=round(m.weight, 3)
            )
            for m in speech.marks
        ]
        if marks
        else [],
    )
