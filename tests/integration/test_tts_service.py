"""Text to speech over WebSockets, with a real voice: clause by clause, interrupted, limited, and nobody in another's way."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from common.config import TtsConfig
from speech_service import tts
from speech_service.app import Service
from speech_service.channel import Channel
from speech_service.scheduler import Scheduler
from speech_service.speakers import Speakers
from speech_service.speaking import Speaking
from tests.harness.speech_clients import Client, client, serving

TEXT = "Hello there, my friend. It costs $5.20, and that is not much, is it?"


@pytest.fixture(scope="module")
def speakers() -> Speakers:
    return Speakers("piper")


@asynccontextmanager
async def service(speakers: Speakers, **settings: Any) -> AsyncIterator[tuple[str, Service]]:
    one = tts.serve(TtsConfig(**{"speech_threads": 1, **settings}), speakers)
    async with serving(one) as url:
        yield url, one


async def speak(one: Client, utterance: str, text: str) -> None:
    await one.send("text", utterance=utterance, text=text)
    await one.send("end", utterance=utterance)


@pytest.mark.parametrize("rate", [16_000, 24_000, 48_000])
async def test_text_is_spoken_clause_by_clause_with_the_times_of_everything(
    rate: int, speakers: Speakers
) -> None:
    async with service(speakers) as (url, _), client(url, "tts", sample_rate=rate) as one:
        for at in range(0, len(TEXT), 7):  # as a language model gives it
            await one.send("text", utterance="a", text=TEXT[at : at + 7])
        await one.send("end", utterance="a")
        done = await one.until("done")
        clauses = one.of("clause")
        assert " ".join(clause["text"] for clause in clauses) == TEXT
        assert len(clauses) == done["clauses"] > 1 and [c["index"] for c in clauses] == list(
            range(len(clauses))
        )
        assert " ".join(word["text"] for clause in clauses for word in clause["words"]) == TEXT
        assert len(one.sound["a"]) == sum(clause["sound_bytes"] for clause in clauses)
        assert abs(len(one.sound["a"]) / 2 / rate * 1000 - done["duration_ms"]) <= 2 * len(clauses)
        at = 0
        for clause in clauses:
            assert abs(clause["start_ms"] - at) <= 2
            end = clause["start_ms"] + clause["duration_ms"]
            for marks in (clause["words"], clause["phonemes"], clause["visemes"]):
                assert marks and all(
                    at <= mark["start_ms"] + 1 and mark["end_ms"] <= end + 1 for mark in marks
                )
                assert all(a["start_ms"] <= b["start_ms"] for a, b in itertools.pairwise(marks))
            at = end
        await one.send("finish")
        assert (await one.rest())[-1] == {"type": "finished"}
        assert one.ws.close_code == 1000


async def test_a_flush_speaks_what_is_there_and_marks_can_be_left_out(speakers: Speakers) -> None:
    async with service(speakers) as (url, _), client(url, "tts", marks=False) as one:
        await one.send("text", utterance="a", text="And now")
        await one.send("flush", utterance="a")
        clause = await one.until("clause")
        assert clause["text"] == "And now" and clause["words"] == clause["visemes"] == []
        await one.send("ping")
        await one.until("pong")
        await speak(one, "a", " the news.")
        assert (await one.until("clause"))["text"] == "the news."
        await one.until("done")
        await one.send("text", utterance="a", text="too late")
        assert (await one.until("error"))["code"] == "utterance_over"
        await speak(one, "b", "… 😀 …")
        assert (await one.until("done"))["duration_ms"] == 0


async def test_twenty_interruptions_in_a_row_are_silent_at_once_and_the_next_words_are_heard(
    speakers: Speakers,
) -> None:
    long = (
        "This is a long story, and it goes on for quite a while, as stories do when nobody ends them. " * 20
    )
    async with service(speakers) as (url, running), client(url, "tts", sample_rate=16_000) as one:
        for number in range(20):
            await one.send("text", utterance=f"story-{number}", text=long)
            await one.until("clause")
            await one.send("cancel", **({"utterance": f"story-{number}"} if number % 2 else {}))
            cancelled = await one.until("cancelled")
            assert cancelled["utterance"] == f"story-{number}"
            heard = len(one.sound.get(f"story-{number}", b""))
            assert heard == cancelled["sent_ms"] * 32 or abs(heard - cancelled["sent_ms"] * 32) < 32
            await one.send("text", utterance=f"story-{number}", text="late piece")
            await speak(one, f"answer-{number}", "Yes?")
            await one.until("done")
            assert len(one.sound.get(f"story-{number}", b"")) == heard, "nothing comes after `cancelled`"
            assert one.told[-2]["text"] == "Yes?" and one.sound[f"answer-{number}"]
        assert running.scheduler.waiting == 0


async def test_what_was_made_and_not_sent_is_taken_back_too(speakers: Speakers) -> None:
    channel, scheduler = Unsent("tts_test"), Scheduler(1)
    session = Speaking(channel, speakers, scheduler)
    for message in (
        {"type": "start", "sample_rate": 48_000},
        {"type": "text", "utterance": "a", "text": "This is all made."},
        {"type": "end", "utterance": "a"},
    ):
        await session.handle(json.dumps(message))
    working = asyncio.ensure_future(session.work())
    await until(lambda: "done" in channel.kinds(), "all of it is made")
    assert channel.sound_bytes() > 48_000
    await session.handle('{"type":"cancel"}')
    assert channel.kinds() == ["cancelled", "ready"] and channel.sound_bytes() == 0
    assert '"sent_ms":0' in str(channel.waiting()[0])
    await session.handle('{"type":"cancel","utterance":"a"}')
    assert channel.kinds()[-1] == "error", "it is over"
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    session.close()
    scheduler.close()


class Unsent(Channel):
    """A channel whose client is not reading yet: what is sent waits."""

    def __init__(self, connection: str) -> None:
        super().__init__(web.WebSocketResponse(), connection, idle_s=60, stall_s=60)

    def waiting(self) -> list[str | bytes]:
        return [one.data for one in self._outbox._waiting]

    def kinds(self) -> list[str]:
        return [json.loads(one)["type"] for one in self.waiting() if isinstance(one, str)]

    def sound_bytes(self) -> int:
        return self._outbox.sound_bytes


async def test_a_long_text_does_not_hold_up_a_short_one(speakers: Speakers) -> None:
    async with (
        service(speakers) as (url, _),
        client(url, "tts") as long,
        client(url, "tts") as short,
    ):
        await speak(long, "a", " ".join(f"Sentence number {number} of many." for number in range(60)))
        await long.until("clause")
        reading = asyncio.ensure_future(long.until("cancelled"))
        for number in range(3):
            await speak(short, f"{number}", f"Short {number}.")
            await short.until("done")
        assert len(long.of("clause")) < 20, "one clause of the long one for each of the short"
        await long.send("cancel")
        await reading


async def test_one_more_than_the_limit_is_refused_before_the_upgrade(speakers: Speakers) -> None:
    async with service(speakers, speech_connections=2) as (url, running), aiohttp.ClientSession() as http:
        async with client(url, "tts"), client(url, "tts"):
            async with http.get(f"{url}/health") as answer:
                health = await answer.json()
            assert (health["active_connections"], health["limit"]) == (2, 2)
            assert health["models"] == ["piper:joe"] and health["compute_type"] == "float32"
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            key = {"Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode()}
            async with http.get(f"{url}/v1/stream/tts", headers=upgrade | key) as answer:
                assert (answer.status, answer.content_type) == (503, "application/problem+json")
                assert (await answer.json())["code"] == "speech_full" and int(
                    answer.headers["Retry-After"]
                ) > 0
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{url}/v1/stream/tts")
            assert refused.value.status == 503
        async with asyncio.timeout(20):
            while running.active:  # noqa: ASYNC110 - the server notices in its own time
                await asyncio.sleep(0.01)
        async with client(url, "tts") as one:
            await speak(one, "a", "There is room again.")
            await one.until("done")
        async with http.get(f"{url}/v1/stream/tts") as answer:
            assert (answer.status, (await answer.json())["code"]) == (426, "upgrade_required")
        async with http.get(f"{url}/metrics") as answer:
            metrics = await answer.text()
        assert 'speech_connections_limit{service="tts"} 2.0' in metrics
        assert 'speech_refused_total{code="speech_full",service="tts"}' in metrics


START = '{"type":"start"}'
HOSTILE: list[tuple[str, list[str | bytes]]] = [
    ("not_started", ['{"type":"text","utterance":"a","text":"x"}']),
    ("bad_message", [START, "not json"]),
    ("bad_message", [START, START]),
    ("bad_message", [START, b"\0\0"]),
    ("bad_message", ['{"type":"start","sample_rate":1}']),
    ("voice_unknown", ['{"type":"start","voice":"nobody"}']),
    ("message_too_large", [START, json.dumps({"type": "text", "utterance": "a", "text": "x" * 70_000})]),
    ("text_too_long", [START, *[json.dumps({"type": "text", "utterance": "a", "text": "a" * 16_000})] * 2]),
    (
        "too_many_utterances",
        [START, *[json.dumps({"type": "text", "utterance": f"{n}", "text": "a"}) for n in range(40)]],
    ),
    ("flooding", [START, *['{"type":"ping"}'] * 20_000]),
]


@pytest.mark.parametrize(
    ("code", "frames"), HOSTILE, ids=[f"{code}-{n}" for n, (code, _) in enumerate(HOSTILE)]
)
async def test_who_breaks_the_rules_is_closed_with_the_reason_and_others_go_on(
    code: str, frames: list[str | bytes], speakers: Speakers
) -> None:
    async with (
        service(speakers) as (url, _),
        client(url, "tts") as neighbour,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/stream/tts") as ws,
    ):
        await speak(neighbour, "a", "I go on.")

        async def send() -> None:
            with contextlib.suppress(ConnectionError):
                for frame in frames:
                    await (ws.send_str(frame) if isinstance(frame, str) else ws.send_bytes(frame))

        sending = asyncio.ensure_future(send())
        bad = Client(ws, "tts")
        told = await bad.rest()
        await sending
        assert told[-1]["code"] == code and told[-1]["fatal"] and told[-1]["hint"]
        assert ws.close_code == (1009 if code == "message_too_large" else 1008)
        await neighbour.until("done")


async def test_a_client_that_does_not_read_is_closed_and_others_notice_nothing(speakers: Speakers) -> None:
    async with service(speakers, speech_stall_s=1.0) as (url, running), client(url, "tts") as neighbour:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", int(url.rpartition(":")[2])))
        with deaf:
            key = base64.b64encode(os.urandom(16)).decode()
            await loop.sock_sendall(
                deaf,
                f"GET /v1/stream/tts HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode(),
            )
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += await loop.sock_recv(deaf, 1)
            assert b" 101 " in head
            many = "The very same words again. " * 600
            for frame in (
                '{"type":"start","sample_rate":48000}',
                json.dumps({"type": "text", "utterance": "a", "text": many}),
            ):
                await loop.sock_sendall(deaf, masked(frame))
            await until(lambda: running.active == 2, "both are there")
            spoken = 0
            while running.active == 2:
                spoken += 1
                await speak(neighbour, f"n{spoken}", "I notice nothing.")
                await neighbour.until("done")
            assert running.active == 1 and spoken > 1


def masked(frame: str) -> bytes:
    """A WebSocket text frame as a client sends it, with a mask of zeros."""
    data = frame.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + data


async def until(true: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not true():  # noqa: ASYNC110 - the server's state, not ours
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


async def test_an_idle_client_is_closed(speakers: Speakers) -> None:
    async with service(speakers, speech_idle_s=0.2) as (url, _), client(url, "tts") as one:
        told = await one.rest()
        assert told[-1]["code"] == "idle" and one.ws.close_code == 1008


async def test_an_instance_that_is_stopped_says_so_to_everybody(speakers: Speakers) -> None:
    async with service(speakers) as (url, running), client(url, "tts") as one, client(url, "tts") as other:
        closing = asyncio.ensure_future(running.close())
        for each in (one, other):
            told = await each.rest()
            assert told[-1]["code"] == "speech_stopping" and each.ws.close_code == 1001
        await closing
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client(url, "tts"):
                pass
        assert refused.value.status == 503


async def test_a_voice_that_is_not_there_is_said_at_the_start() -> None:
    with pytest.raises(Exception, match="say auto, kokoro") as error:
        await tts.start(TtsConfig(voice="nonsense"))
    assert getattr(error.value, "code", "") == "voice_missing"
