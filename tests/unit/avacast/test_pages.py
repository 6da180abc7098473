"""The built pages are served with lifetimes that fit them; nothing outside of their folder ever is."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession
from yarl import URL

from avacast.pages import add_pages
from common.http import Site, application


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("outside")
    root = tmp_path / "dist"
    (root / "assets").mkdir(parents=True)
    for name in ("index.html", "console.html", "camera.html", "player.js", "favicon.svg"):
        (root / name).write_text(name)
    (root / "assets" / "demo-1a2b.js").write_text("code")
    return root


@pytest.fixture
async def client(dist: Path) -> AsyncIterator[ClientSession]:
    app = application("test")
    assert add_pages(app, dist)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    async with ClientSession(f"http://127.0.0.1:{site.port}") as session:
        yield session
    await site.close()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/", "index.html"),
        ("/console", "console.html"),
        ("/camera", "camera.html"),
        ("/player.js", "player.js"),
    ],
)
async def test_pages_are_looked_at_anew_each_time(client: ClientSession, path: str, text: str) -> None:
    async with client.get(path) as answer:
        assert (answer.status, await answer.text()) == (200, text)
        assert answer.headers["Cache-Control"] == "no-cache"


async def test_hashed_assets_are_kept_for_good(client: ClientSession) -> None:
    async with client.get("/assets/demo-1a2b.js") as answer:
        assert answer.status == 200
        assert "immutable" in answer.headers["Cache-Control"]


async def test_pages_run_their_own_scripts_only_and_are_framed_by_nobody(
    client: ClientSession, dist: Path
) -> None:
    script = "document.title = 'Talk'"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    for name, framed in (("console", False), ("camera", False), ("watch/demo", True)):
        (dist / f"{name.partition('/')[0]}.html").write_text(
            f"<script>{script}</script><script src=x.js></script>"
        )
        app = application("test")
        add_pages(app, dist)
        site = Site(app, "127.0.0.1", 0)
        await site.start()
        async with ClientSession(f"http://127.0.0.1:{site.port}") as http, http.get(f"/{name}") as answer:
            told = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
        await site.close()
        assert told["script-src"] == f"'self' 'sha256-{digest}'"
        assert told["frame-ancestors"] == ("*" if framed else "'none'")
        assert told["object-src"] == told["base-uri"] == "'none'"


@pytest.mark.parametrize(
    "path", ["/assets/../index.html", "/assets/%2e%2e/%2e%2e/secret.txt", "/assets/", "/secret.txt"]
)
async def test_nothing_outside_is_served(client: ClientSession, path: str) -> None:
    async with client.get(
        URL(f"http://127.0.0.1:{client._base_url.port if client._base_url else 0}{path}", encoded=True)
    ) as answer:
        assert answer.status == 404


async def test_a_page_that_is_not_built_says_what_to_do(tmp_path: Path) -> None:
    app = application("test")
    assert not add_pages(app, tmp_path)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    async with ClientSession(f"http://127.0.0.1:{site.port}") as session, session.get("/") as answer:
        document = await answer.json()
    await site.close()
    assert (document["code"], document["hint"]) == ("pages_missing", "run: make build")
