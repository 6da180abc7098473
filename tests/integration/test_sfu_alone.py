"""The media core without the rest: the example server, as a reader of the docs would run it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from sfu.publish import publish_file
from sfu.record import record_file
from sfu.resource import Refused
from tests.harness.clip import film_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

EXAMPLE = Path(__file__).parents[2] / "examples" / "sfu_server.py"


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--http-port", "0", "--password", "sesame"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=EXAMPLE.parents[1],
    )
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said.startswith("serving http://"), said
    yield process, said.split()[1]
    process.terminate()
    process.wait(10)
    process.stdout.close()


async def test_a_film_goes_through_and_the_server_tells_who_came(
    server: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    process, url = server
    film = film_of(tmp_path / "film.mp4", seconds=5)
    sending = asyncio.ensure_future(publish_file(film, f"{url}/whip/hall", token="sesame", loop=True))
    assert process.stdout is not None
    while "stream_started hall" not in (said := await asyncio.to_thread(process.stdout.readline)):
        assert said, "the server ended"
    try:
        await record_file(f"{url}/whep/hall", tmp_path / "kept.mp4", seconds=2)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    with av.open(str(tmp_path / "kept.mp4")) as kept:
        assert sum(1 for _ in kept.decode(video=0)) > 20
    process.terminate()
    assert process.wait(10) == 0


async def test_who_has_no_password_publishes_nothing(
    server: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    film = film_of(tmp_path / "film.mp4", seconds=1)
    with pytest.raises(Refused) as caught:
        await publish_file(film, f"{server[1]}/whip/hall")
    assert caught.value.status == 401
