"""`avacast publish` sends a film, `avacast record` keeps what a viewer saw: both through the orchestrator of a real `avacast up`."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import av
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

import sfu.publish
from common.errors import BadRequest, Unavailable
from sfu.film import Film
from sfu.publish import publish_file
from sfu.record import record_file
from sfu.resource import Refused
from tests.harness.clip import film_of
from tests.harness.up import RunningUp, start_up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    running = start_up(tmp_path_factory.mktemp("up"), "--no-avatar")
    yield running
    running.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds of a moving test card and a tone."""
    return film_of(tmp_path_factory.mktemp("film") / "film.mp4", seconds=10)


async def _make(up: RunningUp, name: str) -> str:
    async with (
        aiohttp.ClientSession(up.url, headers=up.admin) as http,
        http.post("/api/broadcasts", json={"id": name, "title": name, "public": True}) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["token"])


async def _live(up: RunningUp, name: str) -> None:
    async with aiohttp.ClientSession(up.url) as http:
        for _ in range(200):
            async with http.get(f"/api/broadcasts/{name}") as answer:
                if (await answer.json())["live"]:
                    return
            await asyncio.sleep(0.1)
    raise AssertionError("the film is not live")


async def test_a_film_that_is_published_is_recorded(up: RunningUp, film: Path, tmp_path: Path) -> None:
    token = await _make(up, "show")
    told: list[float] = []
    sending = asyncio.ensure_future(
        publish_file(
            film, f"{up.url}/whip/show", token=token, loop=True, report=lambda done, _total: told.append(done)
        )
    )
    try:
        await _live(up, "show")
        await record_file(f"{up.url}/whep/show", tmp_path / "kept.mp4", seconds=3)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    with av.open(str(tmp_path / "kept.mp4")) as kept:
        pictures = [frame.to_ndarray(format="gray") for frame in kept.decode(video=0)]
        kept.seek(0)
        samples = sum(frame.samples for frame in kept.decode(audio=0))
    assert len(pictures) > 30
    assert pictures[0].shape == (240, 320)
    assert any((pictures[0] != later).any() for later in pictures[1:])
    assert samples > 48_000
    assert told
    assert told[-1] > 1


async def test_a_server_without_data_channels_is_offered_none(up: RunningUp, film: Path) -> None:
    token = await _make(up, "plain")
    offers: list[str] = []

    async def whip(request: web.Request) -> web.Response:
        """The real server; it says no to channels in its answer."""
        offers.append(await request.text())
        headers = {"Authorization": request.headers["Authorization"], "Content-Type": "application/sdp"}
        async with (
            aiohttp.ClientSession(up.url) as http,
            http.post("/whip/plain", data=offers[-1], headers=headers) as answer,
        ):
            said = re.sub(r"^m=application \d+", "m=application 0", await answer.text(), flags=re.MULTILINE)
            location = str(answer.url.join(URL(answer.headers["Location"])))
            return web.Response(status=201, text=said, headers={"Location": location})

    app = web.Application()
    app.router.add_post("/whip/plain", whip)
    async with TestServer(app) as server:
        sending = asyncio.ensure_future(
            publish_file(film, str(server.make_url("/whip/plain")), token=token, loop=True)
        )
        try:
            await _live(up, "plain")
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    assert ["m=application" in one for one in offers] == [True, False]


async def test_a_server_that_falls_silent_is_noticed_before_ice_does(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sfu.publish, "GIVES_UP_S", 1.0)
    silent = start_up(tmp_path / "up", "--no-avatar")
    try:
        token = await _make(silent, "show")
        sending = asyncio.ensure_future(publish_file(film, f"{silent.url}/whip/show", token=token, loop=True))
        await _live(silent, "show")
        await record_file(f"{silent.url}/whep/show", tmp_path / "kept.mp4", seconds=2)  # so it is reported
        silent.process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable, match="no answer in time"):
            await asyncio.wait_for(sending, 25)  # consent to send is over after 30 s (RFC 7675)
    finally:
        silent.process.send_signal(signal.SIGCONT)
        silent.close()


async def test_a_wrong_token_publishes_nothing(up: RunningUp, film: Path) -> None:
    await _make(up, "guarded")
    with pytest.raises(Refused) as caught:
        await publish_file(film, f"{up.url}/whip/guarded", token="wrong")
    assert caught.value.status == 401


async def test_a_broadcast_that_is_not_live_cannot_be_recorded(up: RunningUp, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        await record_file(f"{up.url}/whep/nowhere", tmp_path / "none.mp4", seconds=1)
    assert caught.value.status == 404
    assert not (tmp_path / "none.mp4").exists()


async def test_what_is_no_film_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no film")
    with pytest.raises(BadRequest, match=r"notes\.txt"):
        Film(path)


def test_the_command_line_says_what_went_wrong(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "avacast",
            "record",
            "http://127.0.0.1:9/whep/demo",
            str(tmp_path / "x.mp4"),
            "--seconds",
            "1",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr
