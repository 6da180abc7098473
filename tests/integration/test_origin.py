"""An origin as the orchestrator uses it: a pushed directory brings an avatar to life, lines make it speak to a WHEP viewer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiortc import RTCDataChannelParameters

from common.auth import Audience, Tokens
from common.config import OriginConfig
from origin.avatar import scene
from sfu.record import record_file
from tests.harness.lips import MOUTH, lag_s
from tests.harness.lone_origin import DEMO, SECRET, Running, live, running_origin, until
from tests.harness.peers import Viewer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_origin(tmp_path) as one:
        yield one


async def test_a_session_that_moves_here_goes_on_with_its_dialogue(running: Running) -> None:
    said = [{"speaker": "user", "text": "My name is Zoe."}, {"speaker": "assistant", "text": "Hello Zoe."}]
    await live(running, dialogue=said)

    async def told(known: int) -> dict[str, Any]:
        url, body = f"{running.base}/api/v1/node/dialogues", {"known": {"demo": known, "other": 0}}
        async with running.http.post(url, json=body, headers=running.node) as answer:
            assert answer.status == 200
            dialogues: dict[str, Any] = (await answer.json())["dialogues"]
            return dialogues

    (dialogue,) = (await told(0)).values()
    assert [(one["speaker"], one["text"]) for one in dialogue["said"]] == [
        (s["speaker"], s["text"]) for s in said
    ]
    assert await told(dialogue["count"]) == {}, "nothing was said since"
    assert (await running.line("ask", "What is my name?"))[0] == 202

    async def answered() -> bool:
        now = (await told(dialogue["count"])).get("demo", {"said": [{"text": ""}]})
        return "Zoe" in now["said"][-1]["text"] and len(now["said"]) == 4

    await until(answered, 60)


async def test_an_avatar_speaks_to_a_viewer_with_captions(running: Running, tmp_path: Path) -> None:
    await live(running)
    out = tmp_path / "seen.mp4"
    recording = asyncio.create_task(
        record_file(f"{running.base}/whep/demo", out, token=None, seconds=6.0, report=lambda _d, _t: None)
    )
    viewers = running.started._node.viewers

    async def joined() -> bool:
        return bool(viewers.of("demo"))

    await until(joined)
    (viewer,) = viewers.of("demo")
    status, told = await running.line("say", "Hello dear viewer, can you see my lips?")
    assert status == 202 and told["waiting"] >= 1
    async with asyncio.timeout(20):
        heard = ""
        while "see my lips?" not in heard:
            message = await viewer.waiting.get()
            assert message is not None
            if message.startswith(b"event: caption"):
                caption = json.loads(message.split(b"data: ", 1)[1])
                heard += " " + caption["text"]
                assert caption["end_ms"] > caption["start_ms"] > 0
    await recording
    with av.open(str(out)) as file:
        pictures = [f.to_ndarray(format="gray") for f in file.decode(video=0)]
    with av.open(str(out)) as file:
        pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in file.decode(audio=0)])
    assert pictures[0].shape == (480, 854) and len(pictures) > 40
    assert np.abs(pcm).max() > 0.1, "the voice is heard"
    assert np.abs(pictures[-1].astype(int) - pictures[0]).max() > 20, "the picture lives"


async def test_a_viewer_hears_what_the_lips_say_within_45_ms(running: Running) -> None:
    await live(running)
    seen: list[tuple[int, float]] = []
    heard: list[tuple[int, Any]] = []
    async with Viewer(running.http, f"{running.base}/whep/demo") as viewer:
        times = viewer.follow_times()

        async def watch() -> None:
            while True:
                frame = await viewer.track("video").recv()
                seen.append((frame.pts, float(frame.to_ndarray(format="gray")[MOUTH].mean())))

        async def listen() -> None:
            while True:
                frame = await viewer.track("audio").recv()
                heard.append((frame.pts, frame.to_ndarray().reshape(-1, 2).mean(axis=1) / 32_768))

        async with asyncio.TaskGroup() as both:
            tasks = [both.create_task(watch()), both.create_task(listen())]
            assert (await running.line("say", "Papa, mama. Bob may pay a map. Papa, mama. Baba, map."))[
                0
            ] == 202

            async def over() -> bool:
                loud = [index for index, (_, pcm) in enumerate(heard) if np.abs(pcm).max() > 0.05]
                reported = all(one.report for one in times.values())
                return reported and len(loud) > 100 and len(heard) - loud[-1] > 50

            await until(over, 60)
            for task in tasks:
                task.cancel()

    # Both on the clock of the sender's reports: what a browser goes by when it plays them together.
    pictures = np.array([times["video"].seconds(pts) for pts, _ in seen]) + 0.5 / 25
    starts = [times["audio"].seconds(pts) for pts, _ in heard]
    samples = np.concatenate(
        [at + np.arange(pcm.size) / 48_000 for at, (_, pcm) in zip(starts, heard, strict=True)]
    )
    power = np.concatenate([pcm for _, pcm in heard]) ** 2
    lag, fit = lag_s(pictures, -np.array([dark for _, dark in seen]), samples, power)
    print(f"the picture comes {lag * 1000:.0f} ms after the sound, correlation {fit:.2f}")
    assert fit > 0.4, "the mouth follows the sound"
    assert abs(lag) <= 0.045, f"the picture is {lag * 1000:.0f} ms after the sound"


async def test_what_is_spoken_comes_as_captions_on_data_channels_ordered_and_unordered(
    running: Running,
) -> None:
    await live(running)
    ordered = RTCDataChannelParameters(label="captions")
    unordered = RTCDataChannelParameters(label="captions", ordered=False, maxRetransmits=2)
    url = f"{running.base}/whep/demo"
    async with (
        Viewer(running.http, url, channels=[ordered]) as one,
        Viewer(running.http, url, channels=[unordered]) as two,
    ):
        captions = [viewer.channels["captions"] for viewer in (one, two)]
        for channel in captions:
            await channel.opened()
        for viewer in (one, two):
            assert len(await viewer.frames("audio", 5)) == 5
        assert (await running.line("say", "Hello dear viewer, can you read my lips?"))[0] == 202
        heard: list[list[dict[str, Any]]] = [[], []]
        for channel, said in zip(captions, heard, strict=True):
            while "read my lips?" not in " ".join(caption["text"] for caption in said):
                said.append(await channel.hear(20))
        assert heard[0] == heard[1]
        for caption in heard[0]:
            assert set(caption) == {"text", "start_ms", "end_ms", "language"}
            assert caption["end_ms"] > caption["start_ms"] > 0
        starts = [caption["start_ms"] for caption in heard[0]]
        assert starts == sorted(set(starts)), "clause by clause"


async def test_an_interruption_says_what_was_heard(running: Running) -> None:
    await live(running)
    await running.line("say", "One two three four five six seven eight nine ten eleven twelve.")
    avatars = running.started.avatars
    assert avatars is not None

    async def three_were_heard() -> bool:
        return "three" in avatars.avatar("demo").stage.heard()

    await until(three_were_heard)
    status, told = await running.line("interrupt", "-")
    assert status == 202 and "three" in told["heard"] and "twelve" not in told["heard"]


async def test_lines_for_nobody_and_from_nobody_are_refused(running: Running) -> None:
    assert (await running.line("say", "Hello", "elsewhere"))[1]["code"] == "avatar_unknown"
    assert (await running.line("say", ""))[0] == 422
    url = f"{running.base}/api/v1/node/say"
    async with running.http.post(url, json={"broadcast": "demo", "text": "x"}) as answer:
        assert answer.status == 401
    viewer = Tokens(SECRET).issue(Audience.VIEWER, "demo", ttl_s=60)
    async with running.http.post(
        url, json={"broadcast": "demo", "text": "x"}, headers={"Authorization": f"Bearer {viewer}"}
    ) as answer:
        assert answer.status in (401, 403)


async def test_the_queue_of_lines_answers_429_when_it_is_full(running: Running) -> None:
    await live(running)
    answers = [await running.line("say", f"Line number {n}.") for n in range(30)]
    assert answers[0][0] == 202
    assert answers[-1][0] == 429 and answers[-1][1]["code"] == "avatar_busy"


async def test_an_avatar_that_cannot_run_says_why(running: Running) -> None:
    await running.direct({**DEMO, "persona": "nobody"})

    async def decided() -> bool:
        return (await running.line("say", "Hello"))[1]["code"] != "avatar_preparing"

    await until(decided, 60)
    told = await running.line("say", "Hello")
    assert told[0] == 503 and told[1]["code"] == "avatar_failed" and "nobody" in told[1]["detail"]


async def test_an_origin_refuses_the_avatar_that_it_does_not_carry(tmp_path: Path) -> None:
    async with running_origin(tmp_path, avatars=1) as one:
        second = {**DEMO, "id": "second"}
        assert await one.direct(DEMO, second) == 204

        async def code(broadcast: str) -> str:
            return str((await one.line("say", "Hello", broadcast))[1].get("code", "taken"))

        async def decided() -> bool:
            return "avatar_preparing" not in [await code("demo"), await code("second")]

        await until(decided, 120)
        assert [await code("demo"), await code("second")] == ["taken", "avatars_full"]
        status, told = await one.line("say", "Hello", "second")
        assert status == 503 and "1 are allowed" in told["detail"] and told["retry_after_s"] > 0
        report = one.started._node.link.report()
        assert (report.avatars_free, report.avatars_refused) == (0, ["second"])
        assert await one.direct(second) == 204

        async def carried() -> bool:
            return await code("second") == "taken"

        await until(carried, 120)
        report = one.started._node.link.report()
        assert (report.avatars_free, report.avatars_refused) == (0, [])


async def test_an_avatar_ends_with_its_broadcast(running: Running) -> None:
    await live(running)
    assert running.started.worker.live("demo")
    await running.direct()

    async def gone() -> bool:
        return (await running.line("say", "Hello"))[0] == 404

    await until(gone)
    assert running.started.avatars is not None and running.started.avatars.live == []


async def test_avatars_are_as_large_as_the_origin_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(scene, "_scenes", {})  # another story of this process may have had one of this size
    async with running_origin(tmp_path, avatar_size="180x320") as upright:
        await live(upright)
        out = tmp_path / "upright.mp4"
        await record_file(
            f"{upright.base}/whep/demo", out, token=None, seconds=1.0, report=lambda _d, _t: None
        )
    with av.open(str(out)) as file:
        assert {(f.width, f.height) for f in file.decode(video=0)} == {(180, 320)}
    assert [p.name[:15] for p in (tmp_path / "cache").rglob("*.npz")] == ["layers-180x320-"]


@pytest.mark.parametrize("size", ["big", "854", "853x480", "1920x1080", "100x100", "-854x480", "854x480x3"])
def test_a_size_that_cannot_be_live_is_refused(size: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"WIDTHxHEIGHT|cannot be live"):
        OriginConfig(data=tmp_path, avatar_size=size)
