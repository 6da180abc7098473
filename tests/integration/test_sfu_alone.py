"""The media core without the rest: the example server, as a reader of the docs would run it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

from sfu.publish import publish_file
from sfu.record import record_file
from sfu.resource import Refused
from tests.harness.clip import film_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/sfu_server.py"
DOCS = ROOT / "docs/sfu.md"
Server = tuple[subprocess.Popen[str], str]


@contextmanager
def running(*arguments: str) -> Iterator[Server]:
    """Python with these arguments, and the URL with which its first line ends."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},  # this tree, whichever is installed
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert found, f"it said {said!r}"
        yield process, found.group()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with running(str(EXAMPLE), "--http-port", "0", "--password", "sesame") as server:
        yield server


@pytest.fixture
def documented() -> Iterator[Server]:
    with running("-c", DOCS.read_text().split("```python\n")[1].split("```")[0]) as server:
        yield server


async def film_through(server: Server, folder: Path, token: str | None) -> None:
    """A film is published and kept again."""
    process, url = server
    film = film_of(folder / "film.mp4", seconds=5)
    sending = asyncio.ensure_future(publish_file(film, f"{url}/whip/hall", token=token, loop=True))
    assert process.stdout is not None
    while "stream_started hall" not in (said := await asyncio.to_thread(process.stdout.readline)):
        assert said, "the server ended"
    try:
        await record_file(f"{url}/whep/hall", folder / "kept.mp4", seconds=2)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    with av.open(str(folder / "kept.mp4")) as kept:
        assert sum(1 for _ in kept.decode(video=0)) > 20


async def test_a_film_goes_through_and_the_server_tells_who_came(server: Server, tmp_path: Path) -> None:
    await film_through(server, tmp_path, "sesame")
    server[0].terminate()
    assert server[0].wait(10) == 0


async def test_the_lines_in_the_docs_serve_as_they_stand_there(documented: Server, tmp_path: Path) -> None:
    await film_through(documented, tmp_path, None)


async def test_who_has_no_password_publishes_nothing(server: Server, tmp_path: Path) -> None:
    film = film_of(tmp_path / "film.mp4", seconds=1)
    with pytest.raises(Refused) as caught:
        await publish_file(film, f"{server[1]}/whip/hall")
    assert caught.value.status == 401
