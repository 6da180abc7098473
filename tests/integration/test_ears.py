"""Viewers who speak to an avatar: their microphones are private, their words become questions, their voices interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiortc import RTCDataChannelParameters

from common.auth import Audience, Tokens
from common.dialogue import Speaker as Who
from origin.avatar import Presence
from origin.avatars import Avatar
from sfu.resource import Refused
from speech.piper import Piper
from tests.harness.lone_origin import DEMO, SECRET, Running, live, running_origin, until
from tests.harness.microphone import Speaker
from tests.harness.peers import Publisher, Viewer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]

LONG = "This is a long story about the sea. " * 12


@pytest.fixture(scope="module")
def voice() -> Piper:
    return Piper()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running_origin(tmp_path_factory.mktemp("origin"), ears=2) as one:
        await live(one)
        assert one.started.ears is not None
        await asyncio.to_thread(one.started.ears._models.recogniser)  # what the first viewer waits for
        yield one


def ear_token(viewer: str, broadcast: str = "demo") -> str:
    return Tokens(SECRET).issue(Audience.EAR, f"{broadcast}/{viewer}", ttl_s=60)


def speaker(running: Running, viewer: str) -> Speaker:
    return Speaker(running.http, f"{running.base}/ears/demo", ear_token(viewer))


def avatar(running: Running) -> Avatar:
    assert running.started.avatars is not None
    return running.started.avatars.avatar("demo")


def private_streams(running: Running) -> list[str]:
    return [name for name in running.started.worker.sfu.stats()["streams"] if name.startswith("~")]


async def so(reached: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Waits for what becomes true in threads."""

    async def asked() -> bool:
        return reached()

    await until(asked, limit_s)


async def test_a_spoken_question_is_understood_told_to_its_speaker_and_answered(
    running: Running, voice: Piper
) -> None:
    captions = RTCDataChannelParameters(label="captions")
    async with (
        Viewer(running.http, f"{running.base}/whep/demo", channels=[captions]) as viewer,
        speaker(running, "anna") as anna,
        speaker(running, "ben") as ben,
    ):
        await viewer.channels["captions"].opened()
        question = "I have been wondering for quite some time what is your name?"
        anna.microphone.speak(voice.synthesise(question).pcm)
        told = await anna.hears("final")
        assert [one["event"] for one in told if one["event"] != "partial"] == ["started", "ended", "final"]
        assert "partial" in {one["event"] for one in told[1:-2]}, "while she speaks"
        assert "your name" in told[-1]["text"], "how it ends is the recogniser's taste"
        said = ""
        while "Ava" not in said:
            said += " " + (await viewer.channels["captions"].hear(30))["text"]
        assert ben.told.waiting() == 0, "what she says is told to nobody else"
        questions = [m for m in avatar(running).conversation.turns.history if m.speaker is Who.VISITOR]
        assert (questions[-1].asker, questions[-1].text) == ("anna", told[-1]["text"])


async def test_a_voice_interrupts_and_the_avatar_listens(running: Running, voice: Piper) -> None:
    ava = avatar(running)
    async with speaker(running, "anna") as anna:
        await running.line("say", LONG)
        await so(lambda: "story" in ava.stage.heard())
        anna.microphone.speak(voice.synthesise("Wait a moment, how old are you?").pcm)
        await anna.hears("started")
        await so(lambda: ava.stage.quiet)
        assert ava.stage._performer.animator.presence is Presence.LISTENING
        said = [m.text for m in ava.conversation.turns.history if m.speaker is Who.AVATAR]
        assert "story" in said[-1] and len(said[-1]) < len(LONG) / 2, "only what was heard is remembered"
        assert "old are you" in (await anna.hears("final"))[-1]["text"]
        await so(lambda: not ava.conversation.resting or not ava.stage.quiet)
        await so(lambda: ava.stage._performer.animator.presence is not Presence.LISTENING)


async def test_nobody_can_watch_a_microphone(running: Running) -> None:
    async with speaker(running, "anna"):
        await so(lambda: len(private_streams(running)) == 1)
        (private,) = private_streams(running)
        with pytest.raises(Refused) as refused:
            async with Viewer(running.http, f"{running.base}/whep/{private}"):
                pass
        assert refused.value.code == "bad_broadcast_id"
        reported = [one.stream for one in running.started._node.link.report().streams]
        assert reported == ["demo"]
        async with running.http.get(f"{running.base}/api/sfu/stats") as answer:
            assert private not in await answer.text()
    await so(lambda: private_streams(running) == [])


async def refusal(context: Any) -> str:
    with pytest.raises(Refused) as refused:
        async with context:
            pass
    return str(refused.value.code)


async def test_who_may_not_speak_is_told_why(running: Running) -> None:
    url, http = f"{running.base}/ears/demo", running.http
    viewer = Tokens(SECRET).issue(Audience.VIEWER, "demo", ttl_s=60)
    assert await refusal(Speaker(http, url, None)) == "unauthorized"
    assert await refusal(Speaker(http, url, viewer)) == "wrong_token"
    assert await refusal(Speaker(http, url, ear_token("anna", "other"))) == "wrong_token"
    assert await refusal(Publisher(http, url, token=ear_token("anna"))) == "bad_sdp"
    other = f"{running.base}/ears/other"
    assert await refusal(Speaker(http, other, ear_token("anna", "other"))) == "avatar_unknown"
    assert private_streams(running) == []


async def test_a_viewer_has_one_ear_and_a_broadcast_a_few(running: Running) -> None:
    async with speaker(running, "anna") as first, speaker(running, "ben"):
        assert await refusal(speaker(running, "carl")) == "ears_full"
        async with speaker(running, "anna"):
            await first.told.closed()
            await so(lambda: len(private_streams(running)) == 2)
    async with speaker(running, "carl"):
        await so(lambda: len(private_streams(running)) == 1)


async def test_a_speaker_is_told_once_when_its_avatar_goes_on_elsewhere(running: Running) -> None:
    async with speaker(running, "anna") as anna:
        for released in (True, True, False, True):
            assert await running.direct({**DEMO, "released": released}) == 204
        await running.direct(DEMO)
        assert [(await anna.told.hear(10))["event"] for _ in range(2)] == ["moved", "moved"]
        assert len(private_streams(running)) == 1, "it ends when the other one is open"


async def test_ears_end_with_their_avatar(running: Running) -> None:
    async with speaker(running, "ben") as ben:
        await so(lambda: len(private_streams(running)) == 1)
        await running.direct()
        await ben.told.closed(30)
        await so(lambda: private_streams(running) == [])
    await live(running)


async def test_an_origin_without_ears_says_so(tmp_path: Path) -> None:
    async with running_origin(tmp_path, ears=0) as deaf:
        assert await refusal(speaker(deaf, "anna")) == "no_ears"


async def test_a_session_answers_as_whip_says(running: Running) -> None:
    url = f"{running.base}/ears/demo"
    async with running.http.options(url) as answer:
        assert answer.headers["Accept-Post"] == "application/sdp"
    async with speaker(running, "anna") as anna:
        assert anna.resource is not None
        headers = {"If-Match": '"nonsense"', "Content-Type": "application/trickle-ice-sdpfrag"}
        async with running.http.patch(anna.resource.url, data="", headers=headers) as answer:
            assert answer.status == 412
        async with running.http.delete(f"{url}/none") as answer:
            assert answer.status == 404
        async with running.http.delete(anna.resource.url) as answer:
            assert answer.status == 200
        await so(lambda: private_streams(running) == [])
        with pytest.raises(aiohttp.ClientResponseError):
            async with running.http.delete(anna.resource.url) as answer:
                answer.raise_for_status()
