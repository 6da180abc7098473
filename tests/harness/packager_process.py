"""A packager in a process of its own, to be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from common.auth import Audience, Tokens
from tests.harness.packaging import SECRET

START_S = 60.0


class PackagerProcess:
    """A packager in a process of its own."""

    def __init__(self, data: Path, http_port: int, hls_port: int, **settings: str) -> None:
        """`settings` are environment variables."""
        self.data, self.http_port, self.hls_port = data, http_port, hls_port
        self.settings = settings
        self._process: asyncio.subprocess.Process | None = None

    @property
    def node_id(self) -> str:
        return self.settings.get("AVACAST_NODE_ID", f"packager-{self.http_port}")

    @property
    def order(self) -> dict[str, str]:
        """The header by which an orchestrator speaks to it."""
        return {"Authorization": f"Bearer {Tokens(SECRET).issue(Audience.ORDER, self.node_id, ttl_s=600)}"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    async def start(self) -> None:
        """Runs it; returns when both of its listeners answer."""
        settings = {
            "AVACAST_CLUSTER_SECRET": SECRET,
            "AVACAST_HS256": "all",
            "AVACAST_NODE_ID": self.node_id,
            "AVACAST_HTTP_HOST": "127.0.0.1",
            "AVACAST_HLS_HOST": "127.0.0.1",
            "AVACAST_MEDIA_HOST": "127.0.0.1",
            "AVACAST_PUBLIC_IP": "127.0.0.1",
            "AVACAST_WORKERS": "1",
            "AVACAST_ORCHESTRATORS": "http://127.0.0.1:1",
        }
        ports = ("--http-port", str(self.http_port), "--hls-port", str(self.hls_port), "--media-port", "0")
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "avacast", "hls", *ports, "--data", str(self.data)),
            env={**os.environ, **settings, **self.settings},
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_S):
            for port in (self.http_port, self.hls_port):
                while True:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        break
                    assert self._process.returncode is None, "it has ended"
                    await asyncio.sleep(0.02)

    async def kill(self, how: signal.Signals = signal.SIGKILL) -> int | None:
        """Ends it without a word, if it runs; or as `how` does. Its exit status."""
        if self._process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        status = await self._process.wait()
        self._process = None
        return status
