"""HLS of private broadcasts: the token in the path, at the edge and behind the shipped caches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from common._native import Edge
from common.auth import Audience, PathTokens, Tokens
from hls.store.gate import HEADER
from tests.harness.caches import cache
from tests.harness.recording import WatchedFolder, broadcast
from tests.harness.recordings_site import SECRET, recordings_site

TOKENS = PathTokens(SECRET)
LIVE = b"#EXTM3U\n" + b"#EXT-X-SOMETHING:1\n" * 150
MEDIA = bytes(range(256)) * 40
KINDS = ("nginx", "varnish")
PART = "v0/100.2.m4s"


def token(broadcast: str, seconds: int = 3600) -> str:
    return TOKENS.until(broadcast, int(time.time()) + seconds)


@pytest.fixture
def edge() -> Iterator[Edge]:
    """Two private broadcasts and a public one."""
    edge = Edge(threads=1, path_key=TOKENS.key.encode())
    for name in ("show", "other", "open"):
        edge.guard(name, private=name != "open")
        edge.open(name, part_target_ms=320, target_duration_s=2)
        edge.put_index(name, [("index.m3u8", b"#EXTM3U\n")])
        edge.put(name, "v0", msn=100, part=2, live=LIVE, media=[("100.2.m4s", MEDIA)], hint="100.3.m4s")
    yield edge
    edge.stop()


def refusals() -> list[tuple[str, int, str]]:
    """Paths of a private broadcast that must not be answered, with status and code. (The middle one depends on who refuses.)"""
    good = token("show")
    return [
        (f"t/{token('other')}/show/{PART}", 403, "wrong_token"),
        (f"t/{good[:-1]}{'0' if good[-1] != '0' else '1'}/show/{PART}", 403, "wrong_token"),
        (f"t/{int(good.split('.')[0]) + 9}.{good.split('.')[1]}/show/{PART}", 403, "wrong_token"),
        (f"t/{token('show', -1)}/show/{PART}", 401, "token_expired"),
        (f"show/{PART}", 401, "hls_token_needed"),
    ]


@pytest.mark.parametrize("through", ["edge", *KINDS])
async def test_nobody_gets_a_private_broadcast_without_its_token_also_from_a_cache_that_has_it(
    through: str, edge: Edge, tmp_path: Path
) -> None:
    async def check(base: str) -> None:
        async with aiohttp.ClientSession() as http:
            good = f"{base}/hls/t/{token('show')}/show"
            for path in ("index.m3u8", "v0/index.m3u8?_HLS_msn=100&_HLS_part=2", PART):
                async with http.get(f"{good}/{path}") as reply:
                    assert reply.status == 200, path
            for path, status, code in refusals():
                for _ in range(2):
                    async with http.get(f"{base}/hls/{path}") as reply:
                        assert (reply.status, (await reply.json(content_type=None))["code"]) == (
                            status,
                            code,
                        ), path
                        assert reply.content_type == "application/problem+json"
                        assert reply.headers["Access-Control-Allow-Origin"] == "*"
                        assert reply.headers["Cache-Control"] == "max-age=1"
            headers = {"X-Avacast-Token": token("show")}
            for path in (f"t/-/show/{PART}", f"t/{token('other')}/show/{PART}", f"show/{PART}"):
                if through == "edge" and path.startswith("t/-/"):
                    continue  # Where a cache has put the token.
                async with http.get(f"{base}/hls/{path}", headers=headers) as reply:
                    assert reply.status in (401, 403), f"{path}: a viewer's own header opens nothing"
            for path in (
                "t/../show/",
                "t/-//show/",
                "/t/-/show/",
                "%74/-/show/",
                "t/%2d/show/",
                "t/-/./show/",
            ):
                async with http.get(f"{base}/hls/{path}{PART}") as reply:
                    assert reply.status in (400, 401, 403, 404), path
            async with http.get(f"{base}/hls/open/{PART}") as reply:
                assert reply.status == 200, "a public broadcast needs none"

    if through == "edge":
        await check(f"http://127.0.0.1:{edge.port}")
        return
    async with cache(through, tmp_path / through, [edge.port]) as front:
        await check(front.url)


@pytest.mark.parametrize("kind", KINDS)
async def test_viewers_with_tokens_of_their_own_share_one_object(
    kind: str, edge: Edge, tmp_path: Path
) -> None:
    tokens = [token("show", 3600 + n) for n in range(5)]
    async with cache(kind, tmp_path / kind, [edge.port]) as front, aiohttp.ClientSession() as http:
        bodies: set[bytes] = set()
        for path in (PART, "v0/index.m3u8?_HLS_msn=100&_HLS_part=2"):
            for one in tokens:
                async with http.get(f"{front.url}/hls/t/{one}/show/{path}") as reply:
                    assert reply.status == 200
                    bodies.add(await reply.read())
        assert bodies == {MEDIA, LIVE}
        stats = edge.stats()
        assert (stats["media"], stats["playlists"]) == (1, 1), "one request for each object"
    # Nothing that is written down has a token: `work` is Varnish's memory of what is going on, which never leaves the machine.
    for file in (tmp_path / kind).rglob("*.log"):
        text = file.read_text(errors="replace")
        assert not any(one in text for one in tokens), file
    if kind == "nginx":
        lines = (tmp_path / kind / "access.log").read_text().splitlines()
        assert len(lines) == 10 and all("/hls/t/-/show/v0/" in line for line in lines)


async def test_a_broadcast_that_becomes_private_is_shut_at_once_and_without_a_key_nothing_opens_it() -> None:
    edge = Edge(threads=1)
    try:
        edge.open("show", part_target_ms=320, target_duration_s=2)
        edge.put_index("show", [("index.m3u8", b"#EXTM3U\n")])
        url = f"http://127.0.0.1:{edge.port}/hls"
        async with aiohttp.ClientSession() as http:
            for private, path, status in (
                (False, "show", 200),
                (True, "show", 401),
                (True, f"t/{token('show')}/show", 403),
                (False, "show", 200),
            ):
                edge.guard("show", private)
                async with http.get(f"{url}/{path}/index.m3u8") as reply:
                    assert reply.status == status
        assert edge.stats()["denied"] == 2
    finally:
        edge.stop()


@pytest.mark.parametrize("through", ["packager", *KINDS])
async def test_nobody_gets_a_private_recording_without_a_token_also_from_a_cache_that_has_it(
    through: str, edge: Edge, tmp_path: Path
) -> None:
    store = WatchedFolder(tmp_path / "store")
    with recordings_site(tmp_path / "spool", store, broadcast().calls, dvr_s=60, private=True) as (base, _):
        await asyncio.to_thread(store.until, lambda: bool(store.finished))
        (entry,) = store.finished
        id = entry.view.id
        assert entry.view.private and id.endswith("-private")

        async def check(front: str) -> None:
            async with aiohttp.ClientSession() as http:

                async def get(path: str, status: int, **headers: str) -> bytes:
                    url = URL(f"{front}/recordings/{path}", encoded=True)
                    async with http.get(url, headers=headers) as reply:
                        body = await reply.read()
                        assert reply.status == status, (path, body[:200])
                        if status != 200:
                            assert reply.content_type == "application/problem+json"
                            assert reply.headers["Access-Control-Allow-Origin"] == "*"
                        return body

                good = f"t/{token('demo')}/demo/{id}"
                text = (await get(f"{good}/v0/index.m3u8", 200)).decode()
                segment = next(line for line in text.splitlines() if line.endswith(".m4s"))
                media = await get(f"{good}/v0/{segment}", 200)
                later = f"t/{token('demo', 4000)}/demo/{id}"
                assert await get(f"{later}/v0/{segment}", 200) == media
                film = await get(f"{good}/recording.mp4", 200)
                assert film[4:8] == b"ftyp"
                own = {HEADER: token("demo")}
                for file in (f"v0/{segment}", "v0/index.m3u8", "index.m3u8", "recording.mp4", "poster.jpg"):
                    for _ in range(2):
                        await get(f"demo/{id}/{file}", 401)
                        await get(f"t/{token('other')}/demo/{id}/{file}", 403)
                        await get(f"t/{token('demo', -1)}/demo/{id}/{file}", 401)
                        if through != "packager":
                            await get(f"t/-/demo/{id}/{file}", 403, **own)
                            await get(f"t/%2d/demo/{id}/{file}", 404, **own)
                        await get(f"demo/{id}/{file}", 401, **own)
                for path in (f"t/x/demo/{id}/v0/{segment}", f"t//demo/{id}/v0/{segment}"):
                    await get(path, 404)

        if through == "packager":
            await check(base)
            await _by_header(base, f"demo/{id}/index.m3u8")
            return
        async with cache(through, tmp_path / through, [edge.port], recorder=URL(base).port) as front:
            await check(front.url)
        for log in (tmp_path / through).rglob("*.log"):
            assert token("demo").partition(".")[2] not in log.read_text(errors="replace")


async def _by_header(base: str, path: str) -> None:
    """A viewer's token opens it too; then nobody may keep the answer."""
    for subject, status in (("demo", 200), ("other", 403)):
        bearer = Tokens(SECRET).issue(Audience.VIEWER, subject, ttl_s=60)
        headers = {"Authorization": f"Bearer {bearer}"}
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{base}/recordings/{path}", headers=headers) as reply,
        ):
            assert reply.status == status
            if status == 200:
                assert reply.headers["Cache-Control"] == "private, no-store"


async def test_operators_may_shut_all_recordings_and_their_list_opens_them(tmp_path: Path) -> None:
    store = WatchedFolder(tmp_path / "store")
    with recordings_site(tmp_path / "spool", store, broadcast().calls, dvr_s=60, all_private=True) as (
        base,
        _,
    ):
        await asyncio.to_thread(store.until, lambda: bool(store.finished))
        (entry,) = store.finished
        assert not entry.view.private, "made while its broadcast was public"
        async with aiohttp.ClientSession(base) as http:
            async with http.get(entry.view.play) as reply:
                assert reply.status == 401
            async with http.get("/api/recordings") as reply:
                [listed] = (await reply.json())["recordings"]
            assert listed["private"]
            for name in ("play", "film", "poster", "storyboard"):
                async with http.get(listed[name]) as reply:
                    assert reply.status == 200 and await reply.read(), name
