"""What a talking avatar costs and how late it is: `python bench/conversation.py`. One line a figure, about 40 s.

CPU is the process's own (threads' time), so that other work on the machine changes it little; latencies are wall time.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from origin.booth import Booth
from origin.conversation import Conversation
from origin.dialogue.persona import load as load_persona
from origin.dialogue.scripted import ScriptedBrain
from origin.faces import open_renderer
from origin.stage import Renderer, Stage
from speech.kokoro import Kokoro
from speech.piper import Piper
from speech.speed import speed
from speech.voice import Voice

FLOOR_S = 0.400
"""Speech to the first packet that shows it."""
FIRST_AUDIO_S = 0.500
CORE_GOAL = 0.5
LINES = (
    "Hello! I'm Ava, nice to meet you.",
    "You type, I think of an answer, and a voice turns it into sound.",
    "Good question. The relay hands a copy to each viewer near it.",
    "It's ten past three where I live.",
    "Once upon a time, there was a little packet who was afraid of getting lost.",
)
MEASURED_S = 6.0


class Counted:
    """An output that counts bytes."""

    def __init__(self) -> None:
        self.video_bytes = 0
        self.audio_bytes = 0

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
        self.video_bytes += len(access_unit)

    def audio(self, packet: bytes, rtp_time: int) -> None:
        self.audio_bytes += len(packet)


def line(name: str, value: float, unit: str, versus: str, ratio: float) -> None:
    print(f"{name}: {value:.3g} {unit} (vs {versus}: {ratio:.2f})", flush=True)


def voices() -> dict[str, Voice]:
    found: dict[str, Voice] = {"kokoro": Kokoro(), "piper": Piper()}
    for name, voice in found.items():
        cost = statistics.median(speed(voice) for _ in range(3))
        line(f"voice {name}, core-seconds per second of speech", cost, "s/s", "real time", cost)
    return found


def cost(stage: Stage, output: Counted, what: str) -> None:
    """CPU and bitrate of the running stage over MEASURED_S."""
    frames, sent, left_out, began = (
        stage.frames_sent,
        output.video_bytes,
        stage.frames_left_out,
        time.perf_counter(),
    )
    cpu = time.process_time()
    time.sleep(MEASURED_S)
    took = time.perf_counter() - began
    used = (time.process_time() - cpu) / took
    line(f"avatar {what}, cores", used, "cores", "half a core", used / CORE_GOAL)
    rate = (stage.frames_sent - frames) / took
    line(f"avatar {what}, frames", rate, "1/s", f"25, {stage.frames_left_out - left_out} left out", rate / 25)
    bits = (output.video_bytes - sent) * 8 / took
    line(f"avatar {what}, video", bits / 1e3, "kbit/s", "1200 kbit/s", bits / 1.2e6)


def live(renderer: Renderer, voice: Voice) -> None:
    """Cost of an avatar that rests, and of one that talks (its speech made before)."""
    output = Counted()
    long_line = voice.synthesise(" ".join(LINES))
    stage = Stage("bench", renderer, output)
    stage.start()
    try:
        time.sleep(0.5)
        cost(stage, output, "resting")
        stage.begin(1)
        stage.push(long_line, 1)
        stage.end(1)
        cost(stage, output, "talking")
    finally:
        stage.close()


async def talk(renderer: Renderer, name: str, voice: Voice) -> None:
    """Latency of lines through the whole conversation: text, voice, stage, packets."""
    stage = Stage(f"bench-{name}", renderer, Counted())
    persona = load_persona("ava")
    booth = Booth()
    conversation = Conversation("bench", stage, voice, ScriptedBrain(persona), persona, booth)
    stage.start()
    conversation.start()
    cpu, began = time.process_time(), time.perf_counter()
    for text in LINES:
        conversation.say(text)
    await conversation.rest()
    used = (time.process_time() - cpu) / (time.perf_counter() - began)
    await conversation.close()
    stage.close()
    booth.close()
    first = sorted(conversation.first_clause_s)
    packet = sorted(stage.latencies_s)
    line(
        f"text to first clause, {name}, p50",
        1e3 * first[len(first) // 2],
        "ms",
        "500 ms",
        first[len(first) // 2] / FIRST_AUDIO_S,
    )
    line(f"text to first clause, {name}, max", 1e3 * first[-1], "ms", "500 ms", first[-1] / FIRST_AUDIO_S)
    line(
        f"speech to packet, {name}, p50",
        1e3 * packet[len(packet) // 2],
        "ms",
        "floor 400 ms",
        packet[len(packet) // 2] / FLOOR_S,
    )
    line(
        f"speech to packet, {name}, max of {len(packet)}",
        1e3 * packet[-1],
        "ms",
        "floor 400 ms",
        packet[-1] / FLOOR_S,
    )
    line(f"underruns in {len(LINES)} lines, {name}", stage.underruns, "", "at most 2", stage.underruns / 2)
    line(f"avatar talking with its voice, {name}, cores", used, "cores", "one core", used)


def main() -> None:
    found = voices()
    renderer = open_renderer("ava")
    live(renderer, found["piper"])
    for name, voice in found.items():
        asyncio.run(talk(renderer, name, voice))


if __name__ == "__main__":
    main()
