"""One viewer's microphone: from the tap of its private stream, through two threads, to events on the loop.

    tap ─► OpusSound + Hearing.push (thread "ears") ─► events ─► on_event
                 └─ poll_job ─► Whisper (thread "recogniser") ─► Hearing.handle_transcript ─┘

One task does it all, so that the hearing is never in two threads at once. A microphone that sends nothing counts as silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final

import numpy as np

from common import metrics
from common._native import SfuError, Tap
from common.log import log
from common.tasks import end_tasks
from origin.hearing.sound import OpusSound, Packet
from sfu.worker import Worker
from speech.hearing.events import RATE, Event, TurnEnded
from speech.hearing.hearing import Hearing, Job
from speech.hearing.transcript import Transcript
from speech.hearing.whisper import Recogniser
from speech.voice import VoiceError

_log = log("ear")

_SILENT_S: Final = 0.5
"""A microphone from which nothing came for so long is silent; packets that a busy path holds back come sooner."""

_BUCKETS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 4.0)
_END_OF_TURN = metrics.histogram(
    "hearing_end_of_turn_seconds", "From a speaker's last voiced sound to the end of the turn", _BUCKETS
)
_READING = metrics.histogram(
    "hearing_reading_seconds", "Waiting for and running the recogniser, once", _BUCKETS, ("kind",)
)


class Ear:
    """`on_event` is called on the loop, in order. `start` once the stream is live; `close` ends it."""

    def __init__(
        self,
        stream: str,
        worker: Worker,
        hearing: Hearing,
        recogniser: Callable[[], Recogniser],
        sound_thread: Executor,
        recogniser_thread: Executor,
        on_event: Callable[[Event], None],
    ) -> None:
        self.stream = stream
        self._worker = worker
        self._hearing = hearing
        self._recogniser = recogniser
        self._sound_thread = sound_thread
        self._recogniser_thread = recogniser_thread
        self._on_event = on_event
        self._sound = OpusSound()
        self._tap: Tap | None = None
        self._arrived = asyncio.Event()
        self._read: tuple[Job, Transcript | None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen; does nothing when it listens already, or the stream is gone."""
        if self._task is not None:
            return
        with contextlib.suppress(SfuError):
            self._tap = self._worker.sfu.tap(self.stream)
            asyncio.get_running_loop().add_reader(self._tap.fd, self._ready)
            self._task = asyncio.create_task(self._run(), name=f"ear {self.stream}")

    async def close(self) -> None:
        """Ends it at once; a turn under way is given up."""
        await end_tasks(self._task, self._reading)
        self._let_go()

    def _ready(self) -> None:
        # The tap stays readable until it is drained: it is not looked at again before that.
        assert self._tap is not None, "a reader is there as long as its tap"
        asyncio.get_running_loop().remove_reader(self._tap.fd)
        self._arrived.set()

    def _let_go(self) -> None:
        tap, self._tap = self._tap, None
        if tap is not None:
            asyncio.get_running_loop().remove_reader(tap.fd)
            tap.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        tap = self._tap
        assert tap is not None, "start() has opened it"
        try:
            while not tap.closed:
                quiet_s = 0.0
                try:
                    async with asyncio.timeout(_SILENT_S):
                        await self._arrived.wait()
                except TimeoutError:
                    quiet_s = _SILENT_S
                self._arrived.clear()
                packets = tap.drain()
                if not tap.closed:
                    loop.add_reader(tap.fd, self._ready)
                read, self._read = self._read, None
                quiet_s = 0.0 if packets or read else quiet_s
                self._tell(await loop.run_in_executor(self._sound_thread, self._hear, packets, read, quiet_s))
        except Exception as error:  # one ear's fault is not the others'
            _log.error("ear:failed", stream=self.stream, exc_info=error)
        finally:
            self._let_go()

    def _hear(
        self, packets: Sequence[Packet], read: tuple[Job, Transcript | None] | None, quiet_s: float
    ) -> list[Event]:
        """In the sound thread: the reading that has come, then the new sound."""
        events = self._hearing.handle_transcript(*read) if read else []
        silence = np.zeros(round(quiet_s * RATE), np.float32)
        return events + self._hearing.push(np.concatenate((self._sound.decode(packets), silence)))

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, TurnEnded):
                _END_OF_TURN.observe(event.decided_s - event.voiced_until_s)
            self._on_event(event)
        if self._reading is None or self._reading.done():
            job = None if self._read else self._hearing.poll_job()
            if job is not None:
                self._reading = asyncio.create_task(self._recognise(job), name=f"reading {self.stream}")

    async def _recognise(self, job: Job) -> None:
        started = time.perf_counter()
        transcript: Transcript | None = None
        try:
            transcript = await asyncio.get_running_loop().run_in_executor(
                self._recogniser_thread, self._transcribed, job
            )
        except VoiceError as error:
            _log.warning("recogniser:failed", stream=self.stream, reason=str(error))
        _READING.labels("whole" if job.timed else "partial").observe(time.perf_counter() - started)
        self._read = (job, transcript)
        self._arrived.set()

    def _transcribed(self, job: Job) -> Transcript:
        return self._recogniser().transcribe(job.sound, timed=job.timed)
