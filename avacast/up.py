"""`avacast up`: orchestrator, origin and packager in this process, relays beside it. The demo and the smallest production.

HTTP 8080 holds the orchestrator and the pages, with the origin below /n/origin and the packager below /n/packager;
HLS is on 8088, media on 7900. The roles meet over HTTP here too: nothing is wired that a cluster would not have.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

import hls.app
import orchestrator.app
import origin.app
from avacast.pages import add_pages
from avacast.process import free_port
from common.config import HlsConfig, OrchestratorConfig, OriginConfig
from common.errors import Problem
from common.http import Site
from common.log import log

_log = log("up")

DEMO = "demo"
READY_S = 90.0
"""Seconds within which the demo's avatar must be live; compiling the renderer for the first time is the longest step."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the command line of `up` says. Ports of 0 take free ones."""

    http_port: int = 8080
    hls_port: int = 8088
    media_port: int = 7900
    relays: int = 0
    admin_token: str = ""
    data: Path = Path(".avacast")
    avatar: bool = True
    person: str = "ava"
    host: str = "0.0.0.0"
    public_ip: tuple[str, ...] = ()


class Up:
    """The running whole. `close` ends it in reverse order of its start."""

    def __init__(self, options: Options, report: Report) -> None:
        self._options = options
        self._report = report
        self._closers: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._relays: list[asyncio.subprocess.Process] = []
        self.url = ""
        self.further_urls: list[str] = []
        self.admin_token = ""
        self.hls_port = 0
        self.media_port = 0

    async def start(self) -> None:
        """Starts every role and waits until the demo broadcast can be watched. On failure what had started is closed."""
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise

    async def _start(self) -> None:
        options = self._options
        http_port = options.http_port or free_port()
        base = f"http://127.0.0.1:{http_port}"

        self._report("orchestrator")
        settings = OrchestratorConfig(
            http_port=http_port,
            data=options.data,
            hls_port=options.hls_port,
            admin_token=options.admin_token or "",
        )
        self.admin_token = settings.admin()
        secret = settings.secret()
        brain = await orchestrator.app.start(settings)
        self._closers.append(("orchestrator", brain.close))

        self._report("origin: media core, voice, renderer")
        core = OriginConfig(
            node_id="origin",
            data=options.data,
            cluster_secret=secret,
            url=f"{base}/n/origin",
            orchestrators=[base],
            media_port=options.media_port,
            avatar=options.avatar,
        )
        if options.public_ip:
            core.public_ip = list(options.public_ip)
        source = await origin.app.start(core, report=self._report)
        self._closers.append(("origin", source.close))
        self.media_port = source.worker.port

        self._report("packager")
        packager = await hls.app.start(
            HlsConfig(
                node_id="packager",
                data=options.data,
                cluster_secret=secret,
                url=f"{base}/n/packager",
                orchestrators=[base],
                hls_port=options.hls_port,
            ),
            worker=source.worker,
        )
        self._closers.append(("packager", packager.close))
        self.hls_port = packager.hls_port
        brain.hls_port = packager.hls_port

        brain.app.add_subapp("/n/origin", source.app)
        brain.app.add_subapp("/n/packager", packager.app)
        if not add_pages(brain.app):
            self._report("the web pages are not built: run `make build`")
        site = Site(brain.app, options.host, http_port, settings.further_ports)
        await site.start()
        self._closers.append(("http", site.close))
        self._closers.append(("films", source.end_films))  # they are given back by HTTP
        self.url, *self.further_urls = [f"http://127.0.0.1:{one}" for one in (site.port, *site.further)]
        await source.register()  # who publishes as soon as it is ready finds it

        for index in range(options.relays):
            self._report(f"relay {index + 1} of {options.relays}")
            await self._start_relay(index, base, secret)

        await self._make_demo()

    async def _start_relay(self, index: int, base: str, secret: str) -> None:
        port = free_port() if self._options.http_port == 0 else 8082 + index
        media = 0 if self._options.media_port == 0 else self._options.media_port + 1 + index
        environment = {
            **os.environ,
            "AVACAST_CLUSTER_SECRET": secret,
            "AVACAST_ORCHESTRATORS": base,
            "AVACAST_NODE_ID": f"relay-{index + 1}",
            "AVACAST_DRAIN_S": "0",  # it ends with the whole: nobody could take its viewers
        }
        if self._options.public_ip:
            environment["AVACAST_PUBLIC_IP"] = ",".join(self._options.public_ip)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "avacast", "relay"),
            *("--http-port", str(port), "--media-port", str(media), "--data", str(self._options.data)),
            env=environment,
            stdout=asyncio.subprocess.DEVNULL,  # the ready line on stdout is the whole's, not a relay's
            start_new_session=True,  # Ctrl-C reaches this process, which ends the relays in its own order
        )
        self._relays.append(process)

    async def _make_demo(self) -> None:
        self._report("the demo broadcast")
        person = self._options.person
        body = {
            "id": DEMO,
            "title": f"{person.title()}, live",
            "public": True,
            "avatar": person if self._options.avatar else None,
            "persona": person if self._options.avatar else None,
            "open_mic": True,
        }
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        async with aiohttp.ClientSession(self.url, headers=headers) as http:
            async with http.get(f"/api/broadcasts/{DEMO}") as answer:
                kept = await answer.json() if answer.status == 200 else body
            if kept["avatar"] != body["avatar"]:  # it is another one's from an earlier start
                async with http.delete(f"/api/broadcasts/{DEMO}"):
                    pass
            async with http.post("/api/broadcasts", json=body) as answer:
                if answer.status not in (200, 201, 409):
                    raise Problem(
                        f"the demo broadcast could not be made: {answer.status} {await answer.text()}"
                    )
            if not self._options.avatar:
                return
            deadline = time.monotonic() + READY_S
            while time.monotonic() < deadline:
                async with http.get(f"/api/broadcasts/{DEMO}") as answer:
                    if answer.status == 200 and (await answer.json()).get("live"):
                        return
                await asyncio.sleep(0.1)
        raise Problem(
            f"the avatar was not live after {READY_S:.0f} s",
            hint="run `avacast doctor`; `avacast up --no-avatar` starts without it",
        )

    async def close(self) -> None:
        """Ends everything: relays are told first, and waited for last."""
        for relay in self._relays:
            with contextlib.suppress(ProcessLookupError):
                relay.terminate()
        for name, close in reversed(self._closers):
            try:
                await close()
            except Exception as error:
                _log.error("close_failed", part=name, exc_info=error)
        self._closers.clear()
        for relay in self._relays:
            try:
                await asyncio.wait_for(relay.wait(), 1.0)
            except TimeoutError:
                relay.kill()
        self._relays.clear()
