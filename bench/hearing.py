"""How soon an avatar answers who speaks to it: `python bench/hearing.py [QUESTIONS]`. One line a figure, about a minute.

A viewer (aiortc) says questions into a WHIP session of a real origin, in this process, with the light voice and the scripted persona.
Counted is from the viewer's last voiced sample, as it is sent, to the first packet of the avatar's stream in which there is voice.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from common.auth import Audience, Tokens
from origin.hearing.sound import OpusSound
from speech.hearing.events import RATE
from speech.hearing.whisper import Whisper
from speech.piper import Piper
from speech.voice import Pcm
from tests.harness.lone_origin import SECRET, Running, live, running_origin
from tests.harness.microphone import Speaker

GOAL_S = 1.2
QUESTIONS = (
    "What is your name?",
    "How old are you?",
    "Can you tell me something nice?",
    "Where do you live?",
    "How does your picture reach me?",
    "What is seven times six?",
    "Are you a real person?",
    "What time is it now?",
)
LOUD = 0.02


@dataclass
class Answers:
    """When the avatar's voice was first there, as its packets are."""

    running: Running
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    at: float = 0.0

    async def follow(self) -> None:
        """Reads the avatar's stream; 5 ms are the resolution."""
        tap = self.running.started.worker.sfu.tap("demo")
        sound = OpusSound()
        while True:
            heard = sound.decode(tap.drain())
            if heard.size and float(np.abs(heard).max()) > LOUD and not self.begun.is_set():
                self.at = time.monotonic()
                self.begun.set()
            await asyncio.sleep(0.005)


def trimmed(pcm: Pcm) -> Pcm:
    """Without the pause at its end: the last sample is voiced."""
    loud = np.flatnonzero(np.abs(pcm) > LOUD * np.abs(pcm).max())
    return pcm[: int(loud[-1]) + 1]


def line(name: str, seconds: list[float], versus: str, against_s: float) -> None:
    p50, most = statistics.median(seconds), max(seconds)
    print(f"{name}: p50 {p50:.3f} s, most {most:.3f} s (vs {versus}: {p50 / against_s:.2f})", flush=True)


async def ask(running: Running, speaker: Speaker, answers: Answers, question: Pcm) -> list[float]:
    """One question; seconds from its end to: turn ended, words known, first clause made, first packet."""
    assert running.started.avatars is not None
    avatar = running.started.avatars.avatar("demo")
    while not (avatar.conversation.resting and avatar.stage.quiet):  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    while speaker.told.waiting():
        await speaker.told.hear()
    await asyncio.sleep(0.5)
    answers.begun.clear()
    speaker.microphone.speak(question)
    await speaker.microphone.spoken()
    ended_at = time.monotonic()
    await speaker.hears("ended")
    turn_s = time.monotonic() - ended_at
    told = await speaker.hears("final")
    words_s = time.monotonic() - ended_at
    async with asyncio.timeout(20):
        await answers.begun.wait()
    print(f"  {told[-1]['text']!r}: {answers.at - ended_at:.2f} s", flush=True)
    return [turn_s, words_s, words_s + avatar.conversation.first_clause_s[-1], answers.at - ended_at]


async def spoken(count: int) -> None:
    voice = Piper()
    questions = [trimmed(voice.synthesise(text).pcm) for text in QUESTIONS]
    with tempfile.TemporaryDirectory() as data:
        async with running_origin(Path(data)) as running:
            await live(running)
            token = Tokens(SECRET).issue(Audience.EAR, "demo/bench", ttl_s=60)
            answers = Answers(running)
            following = asyncio.create_task(answers.follow())
            async with Speaker(running.http, f"{running.base}/ears/demo", token) as speaker:
                taken = [
                    await ask(running, speaker, answers, question)
                    for question in islice(cycle(questions), count + 1)
                ][1:]  # the first loads the recogniser
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
    names = ("turn is over", "words are known", "first clause is made", "avatar's first voice packet")
    columns = list(zip(*taken, strict=True))
    line(f"end of speech to the {names[-1]}, {count} questions", list(columns[-1]), "goal 1.2 s", GOAL_S)
    before: tuple[float, ...] = (0.0,) * len(taken)
    for name, column in zip(names, columns, strict=True):
        share = [now - then for now, then in zip(column, before, strict=True)]
        line(f"  of it until the {name}", share, "all of it", statistics.median(columns[-1]))
        before = column


def readings() -> None:
    """What a reading costs, by the thread's own time."""
    whisper = Whisper()
    sound = np.random.default_rng(1).normal(0, 0.01, 3 * RATE).astype(np.float32)
    whisper.transcribe(sound)
    costs = []
    for _ in range(5):
        before = time.process_time()
        whisper.transcribe(sound)
        costs.append(time.process_time() - before)
    line("reading 3 s of sound, CPU", costs, "real time", 3.0)


def main() -> None:
    """Prints the figures."""
    readings()
    asyncio.run(spoken(int(sys.argv[1]) if len(sys.argv) > 1 else 8))


if __name__ == "__main__":
    main()
