"""The media core alone: a WHIP and WHEP server in one file, without orchestrator, tokens or avatars.

    python examples/sfu_server.py --http-port 9000
    avacast publish film.mp4 --to http://127.0.0.1:9000/whip/hall --loop
    avacast record http://127.0.0.1:9000/whep/hall out.mp4 --seconds 10

What is used of it is the whole of the Python face: `Worker` (the core on the event loop), `Whip`, `Whep` and an `Admission`
that says who may do what.
"""

from __future__ import annotations

import argparse
import asyncio
import signal

from aiohttp import web

from common.config import Media
from common.errors import Unauthorized
from common.http import Site, application
from sfu.whep import Whep
from sfu.whip import Whip
from sfu.worker import Event, Worker


class OnePublisher:
    """Everybody watches; who publishes must say the password."""

    def __init__(self, password: str) -> None:
        self._password = password

    async def admit_viewer(self, request: web.Request, stream: str) -> None:
        """Passes."""

    async def admit_publisher(self, request: web.Request, stream: str) -> None:
        """Raises Unauthorized, which the peer gets as problem+json."""
        if self._password and request.headers.get("Authorization") != f"Bearer {self._password}":
            raise Unauthorized("wrong password", hint="send it as `Authorization: Bearer ...`")


def heard(event: Event) -> None:
    """Prints what the core tells: who came and went, which stream began and ended."""
    print(
        event["type"], event.get("stream", ""), event.get("session", ""), event.get("reason", ""), flush=True
    )


async def serve(http_port: int, media_port: int, password: str) -> None:
    """Serves until SIGINT or SIGTERM. Port 0 takes a free one."""
    worker = Worker.open(Media(media_host="127.0.0.1", media_port=media_port))
    worker.listen(heard)
    app = application("sfu", lambda: {"subscribers": worker.sfu.stats()["subscribers"]})
    Whip(worker, admission=OnePublisher(password)).add_to(app)
    Whep(worker, admission=OnePublisher(password)).add_to(app)
    site = Site(app, "127.0.0.1", http_port)
    await site.start()
    print(f"serving http://127.0.0.1:{site.port} media={worker.port}", flush=True)
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    await ended.wait()
    await site.close()
    await worker.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--http-port", type=int, default=9000)
    options.add_argument("--media-port", type=int, default=0, help="UDP (default: a free one)")
    options.add_argument("--password", default="", help="for publishers; empty lets everybody publish")
    arguments = options.parse_args()
    asyncio.run(serve(arguments.http_port, arguments.media_port, arguments.password))
