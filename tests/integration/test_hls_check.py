"""`avacast hls-check` over real sockets: it finds nothing in what our packager serves, and what a broken server breaks."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from common._native import Edge
from common.directory import Broadcast
from common.errors import Unavailable
from common.http import Site
from hls.check import Kind, Outcome, Probe, check
from hls.check.player import Limits, watch
from tests.harness.caches import cache
from tests.harness.gstreamer import certificate
from tests.harness.media_server import media_server
from tests.harness.packaging import encoder, packaging

LATE_S = 20.0
"""This machine may be busy: here the rules about time look at what is right, not at how punctual it is."""


async def run_command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "avacast",
        "hls-check",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def broken(outcomes: list[Outcome]) -> dict[str, list[str]]:
    return {
        one.rule.name: [f"{found.rendition}: {found.seen} ({found.where})" for found in one.findings]
        for one in outcomes
        if one.broken
    }


async def test_nothing_is_found_in_what_our_packager_serves_by_itself_and_behind_caches(
    tmp_path: Path,
) -> None:
    async with (
        media_server() as origin,
        packaging(tmp_path, origin.worker) as packager,
        encoder(origin, "live"),
        cache("nginx", tmp_path / "nginx", [packager.node.hls_port]) as nginx,
        cache("varnish", tmp_path / "varnish", [packager.node.hls_port]) as varnish,
    ):
        await packager.tell(Broadcast(id="live", public=True, package=True))
        await packager.read("live/index.m3u8")
        base = f"http://127.0.0.1:{packager.node.hls_port}/hls/live"
        command = asyncio.create_task(
            run_command(f"{base}/index.m3u8", "--seconds", "6", "--json", "--slack", str(LATE_S))
        )
        addresses = (
            f"{base}/index.m3u8",
            f"{base}/plain.m3u8",
            f"{nginx.url}/hls/live/index.m3u8",
            f"{varnish.url}/hls/live/index.m3u8",
        )
        recordings = await asyncio.gather(*(watch(one, 8, slack_s=LATE_S) for one in addresses))
        status, out, err = await command
    live = recordings[0]
    for recording in recordings:
        found = broken(check(recording))
        # A source that answers late to a request for a key frame ends a segment early: then the hint was wrong.
        found.pop("hints-come-true", None)
        # A source that this machine holds up is timed by its arrival, so its pictures come at another rate for a while.
        found.pop("what-variants-say-is-so", None)
        assert not found, f"{recording.url}: {found}"
    examined = {one.rule.name for one in check(live) if one.examined}
    assert {"times-join", "segment-is-its-parts", "reports-are-true", "part-within-target"} <= examined
    kinds = {reply.kind for reply in live.replies if reply.ok}
    assert {Kind.PART, Kind.HINT, Kind.SEGMENT, Kind.INIT} <= kinds
    assert {reply.probe for reply in live.replies if reply.probe} >= set(Probe) - {Probe.AFTER_THE_END}
    assert any(reply.directives.skip for reply in live.replies)
    assert status == 0, err
    result = json.loads(out)
    assert result["violated"] is False and result["replies"]["media playlist"] > 10


def broken_playlist(msn: int, parts: int) -> str:
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:9",
        "#EXT-X-TARGETDURATION:2",
        f"#EXT-X-PART-INF:PART-TARGET={0.3 + 0.01 * parts}",
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.5",
        f"#EXT-X-MEDIA-SEQUENCE:{msn}",
        "#EXTINF:3.2,",
        f"{msn}.m4s",
        *(f'#EXT-X-PART:DURATION=0.5,URI="{msn + 1}.{n}.m4s"' for n in range(parts)),
    ]
    return "\n".join(lines) + "\n"


@asynccontextmanager
async def broken_server() -> AsyncIterator[str]:
    """A server that says that it blocks reloads, and does not; its parts are too long, its targets move, its media is rubbish."""
    asked = 0

    async def playlist(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(text=broken_playlist(7 + asked // 3, 1 + asked % 3), content_type="text/plain")

    async def media(_: web.Request) -> web.Response:
        return web.Response(body=b"rubbish")

    app = web.Application()
    app.router.add_get("/live.m3u8", playlist)
    app.router.add_get("/{name}.m4s", media)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}/live.m3u8"
    finally:
        await site.close()


async def test_a_broken_server_is_told_its_faults_and_the_status_is_1() -> None:
    async with broken_server() as url:
        status, out, _ = await run_command(url, "--seconds", "2", "--json", "--slack", str(LATE_S))
        assert status == 1
        result: dict[str, Any] = json.loads(out)
        rules = {one["rule"] for one in result["rules"] if one["broken"]}
        assert {
            "part-within-target",
            "part-target-constant",
            "part-hold-back",
            "segment-within-target",
            "window-of-three-targets",
            "dates-are-there",
            "types-are-right",
            "part-without-msn-is-refused",
        } <= rules
        status, out, _ = await run_command(url, "--seconds", "1")
        assert status == 1
        assert "part-within-target" in out and "PART-TARGET is" in out and "8216bis" in out


async def test_where_nothing_is_to_be_watched_the_status_is_2() -> None:
    async with broken_server() as url:
        for address, word in ((url.replace("live", "none"), "404"), ("ftp://x/y", "not an HTTP address")):
            status, _, err = await run_command(address, "--seconds", "1")
            assert status == 2
            assert word in err


async def test_a_recording_is_bounded() -> None:
    async with broken_server() as url:
        recording = await watch(url, 600, limits=Limits(kept_bytes=30_000))
        assert recording.seconds < 500
        assert any("MB are kept" in note for note in recording.notes)


async def test_http_2_is_read_from_the_tls_handshake(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    chain = certificate(tmp_path, key)
    edge = Edge(threads=1, certificate=str(chain), private_key=str(chain))
    try:
        edge.open("demo", part_target_ms=320, target_duration_s=2)
        text = broken_playlist(7, 1).encode() + b"#EXT-X-ENDLIST\n"
        edge.put(
            "demo", "v0", msn=8, part=0, live=text, media=[("7.m4s", b"x"), ("8.0.m4s", b"x")], ended=True
        )
        url = f"https://127.0.0.1:{edge.port}/hls/demo/v0/index.m3u8"
        recording = await watch(url, 20, verify=False)
        assert recording.http2 is True
        assert Probe.AFTER_THE_END in {reply.probe for reply in recording.replies}
        outcomes = {one.rule.name: one for one in check(recording)}
        assert outcomes["http-2-is-spoken"].examined and not outcomes["http-2-is-spoken"].broken
        with pytest.raises(Unavailable, match=r"(?i)certificate"):
            await watch(url, 20)
    finally:
        edge.stop()
