"""One connection of speech to text: sound in, turns and their words out.

    handle() ─► waiting sound ─► Intake ─► Hearing.push, in the light thread ─► poll_job() ─► Scheduler ─► recogniser
                                              └──────────── events ◄── handle_transcript() ◄──────┘

Sound may come faster than real time: the reader waits while WAITING_S of it is unheard, and hearing runs at most LEAD_S ahead of a
reading that is being made. Partial results are left out while others wait for the recogniser.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import deque
from typing import Final

import numpy as np

from common import metrics
from common.log import log
from speech.hearing.events import Event, Partial, SpeechStarted, TurnEnded, Unclear
from speech.hearing.events import Final as FinalEvent
from speech.hearing.hearing import Hearing, Job
from speech.hearing.transcript import Transcript
from speech.hearing.vad import Silero
from speech.hearing.whisper import Recogniser
from speech.voice import VoiceError
from speech_service import messages
from speech_service.channel import Channel
from speech_service.endings import Broken
from speech_service.intake import Intake
from speech_service.scheduler import Scheduler

_log = log("speech")

LANGUAGES: Final = ("en",)
WAITING_S: Final = 10.0
LEAD_S: Final = 2.0
_PIECE_S: Final = 0.5
"""Sound that is looked through at once: 2 ms of the light thread."""

_FINAL: Final = metrics.histogram(
    "speech_final_seconds",
    "From the end of a turn to its words",
    (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0),
)
_TURNS: Final = metrics.counter("speech_turns_total", "Turns by what was heard", ("outcome",))
_LEFT_OUT: Final = metrics.counter(
    "speech_partials_left_out_total", "Partial results that nobody had time for"
)


class Listening:
    """A session of the ASR service. `light` is the thread for voice detection."""

    def __init__(
        self, channel: Channel, silero: Silero, recogniser: Recogniser, scheduler: Scheduler, light: Scheduler
    ) -> None:
        self._channel = channel
        self._recogniser = recogniser
        self._scheduler = scheduler
        self._light = light
        self._hearing = Hearing(silero.detector())
        self._intake: Intake | None = None
        self._rate = 0
        self._partials = True
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._lead_bytes = 0
        self._finishing = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._reading: tuple[Job, asyncio.Future[Transcript]] | None = None
        self._ended_at: dict[int, float] = {}

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or self._reading is not None

    async def handle(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            await self._hear(frame)
            return
        message = messages.read(messages.HEARING, frame)
        if isinstance(message, messages.Ping):
            self._channel.tell(messages.Pong(), at_once=True)
        elif isinstance(message, messages.StartHearing):
            self._start(message)
        elif self._intake is None:
            raise Broken("`finish` came before `start`", code="not_started", hint="send `start` first")
        else:
            self._finishing = True
            self._changed.set()

    async def work(self) -> None:
        while True:
            self._changed.clear()
            if self._reading is not None and self._reading[1].done():
                self._take_reading(*self._reading)
            elif self._waiting and self._lead_bytes < LEAD_S * 2 * self._rate:
                await self._push(self._next_piece())  # first: what follows may make a reading needless
            elif self._reading is None and (job := self._hearing.poll_job()) is not None:
                self._read(job)
            elif self._reading is None and self._waiting:
                self._lead_bytes = 0
            elif self._finishing and not self._waiting and self._reading is None:
                await self._finish()
                return
            else:
                await self._changed.wait()

    def close(self) -> None:
        if self._reading is not None:
            self._reading[1].cancel()
        self._room.set()

    def _start(self, message: messages.StartHearing) -> None:
        if self._intake is not None:
            raise Broken("`start` came twice", code="bad_message", hint="open another connection")
        if message.language not in LANGUAGES:
            raise Broken(
                f"the language {message.language!r} is not understood here",
                code="language_unknown",
                hint=f"this service understands {', '.join(LANGUAGES)}",
            )
        self._rate = message.sample_rate
        self._partials = message.partials
        self._intake = Intake(self._rate)
        self._channel.tell(
            messages.ReadyToHear(
                connection=self._channel.connection, sample_rate=self._rate, language=message.language
            )
        )

    async def _hear(self, sound: bytes) -> None:
        """Sound that came: kept, while there is room."""
        if self._intake is None:
            raise Broken("sound came before `start`", code="not_started", hint="send `start` first")
        if self._finishing or len(sound) % 2:
            raise Broken(
                "sound came after `finish`" if self._finishing else "a frame ends within a sample",
                code="bad_message",
                hint="a frame holds whole samples of two bytes, and none follows `finish`",
            )
        self._waiting.append(sound)
        self._waiting_bytes += len(sound)
        self._changed.set()
        while self._waiting_bytes > WAITING_S * 2 * self._rate:
            self._room.clear()
            await self._room.wait()

    def _next_piece(self) -> bytes:
        """Sound to be looked through: what waits, up to _PIECE_S of it and what one frame is more."""
        piece: list[bytes] = []
        size = 0
        while self._waiting and size < _PIECE_S * 2 * self._rate:
            piece.append(self._waiting.popleft())
            size += len(piece[-1])
        self._waiting_bytes -= size
        self._lead_bytes += size
        self._room.set()
        return b"".join(piece)

    async def _push(self, data: bytes, *, last: bool = False) -> None:
        pushing = self._light.submit(self._channel.connection, functools.partial(self._listen, data, last))
        self._tell(await pushing)

    def _listen(self, data: bytes, last: bool) -> list[Event]:
        """In the light thread."""
        assert self._intake is not None, "sound comes after `start`"
        sound = self._intake.push(data)
        if last:
            sound = np.concatenate((sound, self._intake.flush()))
        return self._hearing.push(sound)

    def _read(self, job: Job) -> None:
        """Has a job's sound read, or leaves that out when it is for a partial result that is not wanted."""
        busy = self._scheduler.waiting >= self._scheduler.threads
        if not job.timed and (busy or not self._partials):
            if self._partials:
                _LEFT_OUT.inc()
            self._hearing.handle_transcript(job, None)
            return
        read = functools.partial(self._recogniser.transcribe, job.sound, timed=job.timed)
        future = self._scheduler.submit(self._channel.connection, read)
        future.add_done_callback(lambda _: self._changed.set())
        self._lead_bytes = 0
        self._reading = (job, future)

    def _take_reading(self, job: Job, reading: asyncio.Future[Transcript]) -> None:
        self._reading = None
        error = reading.exception()
        if error is not None and not isinstance(error, VoiceError):
            raise error
        if error is not None:
            _log.warning("reading:failed", connection=self._channel.connection, error=str(error))
        self._tell(self._hearing.handle_transcript(job, None if error else reading.result()))

    async def _finish(self) -> None:
        """The sound has ended: the turn too, and its words are still wanted."""
        await self._push(b"", last=True)
        self._tell(self._hearing.finish())
        while (job := self._hearing.poll_job()) is not None:
            self._read(job)
            if self._reading is not None:
                reading = self._reading
                await asyncio.wait({reading[1]})
                self._take_reading(*reading)
        self._channel.tell(messages.FinishedHearing(sound_ms=round(self._hearing.at_s * 1000)))
        await self._channel.flushed()

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, TurnEnded):
                self._ended_at[event.turn] = time.monotonic()
            elif isinstance(event, FinalEvent | Unclear):
                _TURNS.labels("final" if isinstance(event, FinalEvent) else "unclear").inc()
                _FINAL.observe(time.monotonic() - self._ended_at.pop(event.turn, time.monotonic()))
            elif isinstance(event, Partial) and not self._partials:
                continue
            self._channel.tell(_told(event))


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _told(event: Event) -> messages.Message:
    """An event as the client is told of it."""
    if isinstance(event, SpeechStarted):
        return messages.SpeechBegan(turn=event.turn, at_ms=_ms(event.at_s))
    if isinstance(event, Partial):
        return messages.PartialResult(turn=event.turn, text=event.text, stable_words=event.stable)
    if isinstance(event, TurnEnded):
        return messages.SpeechEnded(
            turn=event.turn,
            voiced_until_ms=_ms(event.voiced_until_s),
            decided_ms=_ms(event.decided_s),
            reason=event.end.value,
        )
    if isinstance(event, Unclear):
        return messages.UnclearResult(turn=event.turn, reason=event.reason)
    words = [
        messages.HeardWord(
            text=word.text,
            start_ms=_ms(word.start_s),
            end_ms=_ms(word.end_s),
            probability=round(min(1.0, max(0.0, word.probability)), 3),
        )
        for word in event.words
    ]
    return messages.FinalResult(
        turn=event.turn, text=event.text, start_ms=_ms(event.start_s), end_ms=_ms(event.end_s), words=words
    )
