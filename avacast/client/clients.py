"""The two clients: `AsyncAvacast` for asyncio, `Avacast` for everything else."""

from __future__ import annotations

import os
from types import TracebackType

from avacast.client.generated.asynchronous import AsyncOperations
from avacast.client.generated.blocking import Operations
from avacast.client.loop import Loop
from avacast.client.retries import Retries
from avacast.client.transport import Transport

SERVER = "http://127.0.0.1:8080"
TOKENS = ("AVACAST_TOKEN", "AVACAST_ADMIN_TOKEN", "ADMIN_TOKEN")
"""Environment variables of the token, the first that is set."""


def server_of_environment() -> str:
    """The address in AVACAST_SERVER, else that of an orchestrator on this machine."""
    return os.environ.get("AVACAST_SERVER") or SERVER


def token_of_environment() -> str | None:
    """The token of the environment, if there is one."""
    return next((found for name in TOKENS if (found := os.environ.get(name))), None)


class AsyncAvacast(AsyncOperations):
    """A client for asyncio. Use it as `async with`, or `await close()` at the end."""

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 15.0,
        retries: Retries | None = None,
    ) -> None:
        """`server` and `token` are those of the environment when they are not given (AVACAST_SERVER; AVACAST_TOKEN or
        AVACAST_ADMIN_TOKEN). `timeout_s` is for each attempt. Raises ValueError for what is no address."""
        self._transport = Transport(
            server or server_of_environment(),
            token or token_of_environment(),
            timeout_s,
            retries or Retries(),
        )
        super().__init__(self._transport)

    @property
    def server(self) -> str:
        """The orchestrator's address."""
        return self._transport.server

    async def close(self) -> None:
        """Closes its connections."""
        await self._transport.close()

    async def __aenter__(self) -> AsyncAvacast:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Avacast(Operations):
    """A client for programs without an event loop, and for notebooks. Use it as `with`, or `close()` at the end. Threads may share it."""

    def __init__(
        self,
        server: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = 15.0,
        retries: Retries | None = None,
    ) -> None:
        """As of AsyncAvacast."""
        self._asynchronous = AsyncAvacast(server, token, timeout_s=timeout_s, retries=retries)
        self._loop = Loop()
        super().__init__(self._loop, self._asynchronous)

    @property
    def server(self) -> str:
        """The orchestrator's address."""
        return self._asynchronous.server

    def close(self) -> None:
        """Closes its connections and ends its thread."""
        self._loop.run(self._asynchronous.close())
        self._loop.close()

    def __enter__(self) -> Avacast:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
