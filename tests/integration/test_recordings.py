"""Recordings on a real packager: what viewers load while it runs and afterwards, what operators do, and a packager that is killed."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import av
import m3u8
import pytest

from avacast.process import free_port
from common.auth import Audience, PathTokens, Tokens
from common.directory import Broadcast, Directory, Role
from common.store.folder import Folder
from hls.store import catalogue
from hls.store.recorder import Recorder
from tests.harness import cluster
from tests.harness.cluster import admin, eventually, orchestrator
from tests.harness.media_server import media_server
from tests.harness.packager_process import PackagerProcess
from tests.harness.packaging import SECRET, Packaging, encoder, packaging
from tests.harness.recording import WatchedFolder, ending, made_up, play

LIMIT_S = 60.0


async def listed(packager: Packaging) -> list[dict[str, Any]]:
    body, _ = await packager.ask("/api/recordings", Authorization=packager.node_token)
    found: list[dict[str, Any]] = json.loads(body)["recordings"]
    return found


async def until_listed(packager: Packaging, state: str, duration_s: float = 0) -> dict[str, Any]:
    """Waits until the one recording is in this state, and so long."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = await listed(packager)
            if found and found[0]["state"] == state and found[0]["duration_s"] >= duration_s:
                return found[0]
            await asyncio.sleep(0.05)


async def test_viewers_go_back_and_operators_list_and_delete(tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker, store=store.as_uri(), dvr_s=3600) as packager,
    ):
        async with encoder(origin, "live"):
            await packager.tell(Broadcast(id="live", public=True, package=True))
            one = await until_listed(packager, "recording", 5)
            base = f"/recordings/live/{one['id']}"
            index = m3u8.loads((await packager.ask("/recordings/live/dvr.m3u8"))[0].decode())
            assert [row.uri for row in index.playlists] == [f"{one['id']}/v0/dvr.m3u8"] * 2
            text, headers = await packager.ask(f"{base}/v0/dvr.m3u8", Accept_Encoding="gzip")
            assert headers["Cache-Control"] == "public, max-age=1" and headers["Content-Encoding"] == "gzip"
            dvr = m3u8.loads(text.decode())
            segment = dvr.segments[0]
            data, headers = await packager.ask(f"{base}/v0/{segment.uri}")
            assert headers["Cache-Control"] == "public, max-age=86400, immutable"
            assert headers["Content-Type"] == "video/mp4" and headers["Access-Control-Allow-Origin"] == "*"
            assert data == await packager.read(f"live/v0/{segment.uri}"), "the same bytes under the same name"
            part, headers = await packager.ask(f"{base}/v0/{segment.uri}", 206, Range="bytes=8-15")
            assert part == data[8:16] and headers["Content-Range"] == f"bytes 8-15/{len(data)}"
            event = m3u8.loads((await packager.ask(f"{base}/index.m3u8"))[0].decode())
            assert event.playlists[0].uri == "v0/index.m3u8"
            assert (
                m3u8.loads((await packager.ask(f"{base}/v0/index.m3u8"))[0].decode()).playlist_type == "event"
            )
            await packager.ask(
                f"/api/recordings/live/{one['id']}", 409, method="DELETE", Authorization=packager.node_token
            )
        await packager.tell()
        done = await until_listed(packager, "finished")
        assert done["id"] == one["id"] and done["progress"] == 1
        ended = await packager.ask(f"{base}/v0/dvr.m3u8")
        assert ended[0].endswith(b"#EXT-X-ENDLIST\n"), "who watches the list that goes back reads its end"
        await packager.ask("/recordings/live/dvr.m3u8", 404)
        await refused(packager, base)
        pictures = await asyncio.to_thread(decoded, f"{packager.url}{base}/index.m3u8")
        assert pictures == pytest.approx(done["duration_s"] * 25, abs=10)
        await packager.ask(
            f"/api/recordings/live/{one['id']}", 204, method="DELETE", Authorization=packager.node_token
        )
        assert await listed(packager) == []
        assert not [path for path in store.rglob("*") if path.is_file()]
        await packager.ask(
            f"/api/recordings/live/{one['id']}", 404, method="DELETE", Authorization=packager.node_token
        )
        await packager.ask(f"{base}/index.m3u8", 404)


def decoded(playlist: str) -> int:
    """How many pictures FFmpeg decodes of a recording, as a player does."""
    options = {"allowed_extensions": "ALL", "protocol_whitelist": "file,http,tcp"}
    with av.open(playlist, options=options, timeout=LIMIT_S) as container:
        return sum(1 for _ in container.decode(video=0))


async def refused(packager: Packaging, base: str) -> None:
    """What nobody gets, and how that is said."""
    for path in (
        "/recordings/live/..%2f..%2fcluster.secret/index.m3u8",
        f"{base}/..%2f..%2f..%2fcatalogue/x",
        f"{base}/v0/..%2findex.m3u8",
        f"{base}/v0/.begun-x",
        f"{base}/journal%00",
        f"{base}/{'a' * 4000}",
        f"{base}/v0/1.m4s",
        "/recordings/live/nothing/index.m3u8",
    ):
        body, headers = await packager.ask(path, 404)
        assert json.loads(body)["code"] == "recording_unknown"
        assert headers["Cache-Control"] == "public, max-age=1"
    _, headers = await packager.ask(f"{base}/v0/index.m3u8", 200)
    await packager.ask(f"{base}/v0/index.m3u8", 304, If_None_Match=headers["ETag"])
    await packager.ask("/api/recordings", 401)
    for query in ("limit=0", "limit=101", "limit=x", "after=..%2f..", f"limit={'9' * 5000}"):
        body, _ = await packager.ask(f"/api/recordings?{query}", 422, Authorization=packager.node_token)
        assert json.loads(body)["code"] == "invalid_query"


async def test_a_private_broadcast_is_gone_back_in_with_its_token_only(tmp_path: Path) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker, dvr_s=60) as packager,
        encoder(origin, "live"),
    ):
        await packager.tell(Broadcast(id="live", public=False, package=True))
        await until_listed(packager, "recording", 1)
        await packager.ask("/recordings/live/dvr.m3u8", 401)
        token = Tokens(SECRET).issue(Audience.VIEWER, "live", ttl_s=60)
        await packager.ask("/recordings/live/dvr.m3u8", Authorization=f"Bearer {token}")
        # Players cannot send headers with all that they load: the token in the path goes along by itself.
        tokens = PathTokens(SECRET)
        index = (await packager.ask(f"/recordings/t/{tokens.issue('live')}/live/dvr.m3u8"))[0].decode()
        (variant, *_) = m3u8.loads(index).playlists
        await packager.ask(f"/recordings/t/{tokens.issue('live')}/live/{variant.uri}")
        for wrong, status, code in (
            (tokens.until("live", 1000), 401, "token_expired"),
            (tokens.issue("other"), 403, "wrong_token"),
            (tokens.issue("live")[:-1] + "x", 404, "not_found"),
        ):
            body, _ = await packager.ask(f"/recordings/t/{wrong}/live/{variant.uri}", status)
            assert json.loads(body)["code"] == code
        await packager.ask(f"/recordings/live/{variant.uri}", 401)
        [listed_one] = await listed(packager)
        assert listed_one["private"]
        await packager.ask(f"/recordings/live/{listed_one['id']}/index.m3u8", 401)
        await packager.ask(listed_one["play"])
        other = Tokens(SECRET).issue(Audience.VIEWER, "other", ttl_s=60)
        await packager.ask("/recordings/live/dvr.m3u8", 403, Authorization=f"Bearer {other}")
        # Public from now on: what was made, and still grows, stays as it is.
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.ask("/recordings/live/dvr.m3u8", 401)
        await packager.ask(f"/recordings/live/{listed_one['id']}/index.m3u8", 401)
        await packager.ask(f"/recordings/t/{tokens.issue('live')}/live/dvr.m3u8")


def keep(store: WatchedFolder, spool: Path, first: int, broadcasts: int) -> None:
    """Fills a store with recordings, a minute apart."""
    one = Recorder(spool, store, bound_bytes=64 << 20, film=False)
    one.start()
    for index in range(broadcasts):
        calls = made_up(first + 30 * index, 3)
        one.opened("demo", 2)
        play(one, [*calls, *ending(calls)])
    store.until(lambda: len(store.finished) == broadcasts)
    one.close()


async def test_operators_have_one_list_of_all_packagers(tmp_path: Path) -> None:
    stores = [WatchedFolder(tmp_path / f"store-{index}") for index in range(2)]
    for index, store in enumerate(stores):
        await asyncio.to_thread(keep, store, tmp_path / f"spool-{index}", 60_000_000 + 300 * index, 4)
    async with AsyncExitStack() as closing:
        hub = await closing.enter_async_context(orchestrator(tmp_path / "hub"))
        # Two of them share a store, one has another, one keeps nothing.
        for name, store in (("a", stores[0]), ("b", stores[0]), ("c", stores[1]), ("d", None)):
            port = free_port()
            await closing.enter_async_context(
                packaging(
                    tmp_path / name,
                    store=store.root.as_uri() if store else "",
                    node_id=name,
                    cluster_secret=cluster.SECRET,
                    http_port=port,
                    url=f"http://127.0.0.1:{port}",
                    orchestrators=[hub.url],
                    heartbeat_s=0.2,
                )
            )
        nodes = hub.role.hub.nodes
        await eventually(lambda: len(nodes.of_role(Role.PACKAGER)) == 4, "all have registered", 30)
        assert (await hub.call("GET", "/api/recordings"))[0] == 401
        async with asyncio.timeout(30):  # a node that has just registered does not know our tokens yet
            while True:
                if not (await hub.ok("GET", "/api/recordings", headers=admin()))["unreachable"]:
                    break
                await asyncio.sleep(0.05)
        seen: list[dict[str, Any]] = []
        after = ""
        for size in (3, 3, 2):
            page = await hub.ok("GET", f"/api/recordings?limit=3&after={after}", headers=admin())
            assert len(page["recordings"]) == size and page["unreachable"] == []
            seen += page["recordings"]
            after = page["next"] or ""
        assert not after, "that was the last page"
        started = [one["started"] for one in seen]
        assert started == sorted(started, reverse=True) and len({one["id"] for one in seen}) == 8
        async with aiohttp.ClientSession() as http, http.get(seen[0]["play"]) as reply:
            assert reply.status == 200 and "v0/index.m3u8" in await reply.text()
        path = f"/api/recordings/demo/{seen[-1]['id']}"
        await hub.ok("DELETE", path, headers=admin())
        status, body, _ = await hub.call("DELETE", path, headers=admin())
        assert (status, body["code"]) == (404, "recording_unknown")
        status, body, _ = await hub.call("DELETE", "/api/recordings/demo/..%2f..%2fx", headers=admin())
        assert (status, body["code"]) == (404, "recording_unknown")
        left = await hub.ok("GET", "/api/recordings", headers=admin())
        assert [one["id"] for one in left["recordings"]] == [one["id"] for one in seen[:-1]]
        for query in ("limit=0", "limit=101", "after=%00", f"after={'x' * 400}"):
            status, body, _ = await hub.call("GET", f"/api/recordings?{query}", headers=admin())
            assert (status, body["code"]) == (422, "invalid_query")


@pytest.mark.slow
@pytest.mark.timeout(240)  # two starts of a program, on a machine that others use too
async def test_a_killed_packager_goes_on_with_its_recording_after_its_restart(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.write_text("not a folder: nothing can be put there")
    async with (
        media_server(name="origin") as origin,
        aiohttp.ClientSession() as http,
        encoder(origin, "live"),
    ):
        process = PackagerProcess(
            tmp_path / "data",
            free_port(),
            free_port(),
            AVACAST_STORE=root.as_uri(),
            AVACAST_DVR_S="600",
            AVACAST_DRAIN_S="1",
        )

        async def tell(version: int, *ids: str) -> None:
            there = [
                Broadcast(id=id, public=True, package=True, upstreams=[origin.whep("live")]) for id in ids
            ]
            async with http.post(
                f"{process.url}/api/v1/node/directory",
                data=Directory(version=version, broadcasts={one.id: one for one in there}).model_dump_json(),
                headers={**process.order, "Content-Type": "application/json"},
            ) as reply:
                assert reply.status in (200, 204)

        async def entries() -> list[dict[str, Any]]:
            async with http.get(f"{process.url}/api/recordings", headers=process.order) as reply:
                found: list[dict[str, Any]] = (await reply.json())["recordings"]
                return found

        async def until(state: str, longer_s: float) -> dict[str, Any]:
            async with asyncio.timeout(LIMIT_S):
                while True:
                    found = await entries()
                    if found and found[0]["state"] == state and found[0]["duration_s"] > longer_s:
                        assert len(found) == 1
                        return found[0]
                    await asyncio.sleep(0.05)

        try:
            await process.start()
            await tell(1, "live")
            before = await until("recording", 2)
            assert before["progress"] == 0
            await process.kill()
            root.unlink()
            await process.start()
            await tell(2, "live")
            again = await until("recording", before["duration_s"] + 2)
            # And stopped, as by an update: that is no end either.
            assert await process.kill(signal.SIGTERM) == 0
            await process.start()
            await tell(3, "live")
            await until("recording", again["duration_s"] + 2)
            await tell(4)
            done = await until("finished", again["duration_s"])
        finally:
            await process.kill()
    assert before["id"] == again["id"] == done["id"] and done["lost_segments"] == 0
    [entry] = catalogue.listed(Folder(root), "", 10)
    assert entry.view.id == done["id"] and entry.view.state == "finished"
    folder = root / "recordings/live" / done["id"]
    parsed = m3u8.loads((folder / "v0/index.m3u8").read_text())
    assert parsed.is_endlist and sum(bool(one.discontinuity) for one in parsed.segments) == 2
    there = sum(one.duration for one in parsed.segments if not one.gap_tag)
    pictures = decoded(str(folder / "index.m3u8"))
    assert pictures >= there * 25 - 25
    assert decoded(str(folder / "recording.mp4")) == pictures, "one film of all three"
