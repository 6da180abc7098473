"""Calls over HTTP (aiohttp): requests are made again as `Retries` says, answers become bytes, events or exceptions."""

from __future__ import annotations

import asyncio
import io
import random
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from avacast.client.errors import AvacastError, Misunderstood, Unreachable, refusal
from avacast.client.events import Event, EventReader
from avacast.client.operation import Operation, Request, request_of
from avacast.client.retries import Retries

MOST_BYTES = 64 * 1024 * 1024
_SLOWEST_BYTES_S = 100_000
"""A large body may take as long as on a line that is so slow."""
_SILENCE_S = 60.0
"""Event streams have a comment each 15 s; one that is silent for longer is dead."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Transport:
    """One orchestrator and who asks it. Belongs to one event loop."""

    server: str
    token: str | None
    timeout_s: float = 15.0
    retries: Retries = field(default_factory=Retries)
    _http: aiohttp.ClientSession | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.server)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.server!r} is no http or https address, such as http://127.0.0.1:8080")
        self.server = self.server.rstrip("/")

    async def close(self) -> None:
        """Closes its connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def call(self, operation: Operation, arguments: Mapping[str, Any], key: str | None) -> Reply:
        """One call to its end. Raises AvacastError, ValueError for an argument that cannot be."""
        request = request_of(operation, arguments, key or uuid.uuid4().hex)
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            try:
                whole_s = self.timeout_s + len(request.body or b"") / _SLOWEST_BYTES_S
                async with self._open(request, aiohttp.ClientTimeout(total=whole_s)) as answer:
                    return Reply(self.server + request.path, answer.headers, await self._body(answer))
            except AvacastError as error:
                wait_s = self.retries.wait_s(
                    error, attempt, waited_s, repeatable=operation.repeatable, drawn=random.random()
                )
                if wait_s is None:
                    if isinstance(error, Unreachable):
                        raise Unreachable(error.url, error.why, attempt) from None
                    raise
            await asyncio.sleep(wait_s)
            waited_s += wait_s

    async def follow(self, operation: Operation, arguments: Mapping[str, Any]) -> AsyncIterator[Event]:
        """Events, without an end: a stream that breaks is opened again, and begins with the state as it is then."""
        request = request_of(operation, arguments, "")
        limits = aiohttp.ClientTimeout(total=None, connect=self.timeout_s, sock_read=_SILENCE_S)
        attempt, waited_s = 0, 0.0
        while True:
            attempt += 1
            reader = EventReader()
            error: AvacastError = Unreachable(self.server + request.path, "the stream ended")
            try:
                async with self._open(request, limits) as answer:
                    async for data in answer.content.iter_any():
                        for event in reader.read(data):
                            attempt, waited_s = 0, 0.0
                            yield event
            except ValueError as wrong:
                raise Misunderstood(self.server + request.path, str(wrong)) from None
            except AvacastError as caught:
                error = caught
            wait_s = self.retries.wait_s(
                error, max(1, attempt), waited_s, repeatable=True, drawn=random.random()
            )
            if wait_s is None:
                raise error
            await asyncio.sleep(wait_s)
            waited_s += wait_s

    @asynccontextmanager
    async def _open(
        self, request: Request, limits: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is a success. Raises Refused, Misunderstood, Unreachable; also when it breaks off while it is read."""
        if self._http is None:
            self._http = aiohttp.ClientSession()
        headers = dict(request.headers)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        url = self.server + request.path
        try:
            async with self._http.request(
                request.method,
                URL(url, encoded=True),
                data=io.BytesIO(request.body) if request.body else None,
                headers=headers,
                timeout=limits,
                allow_redirects=False,
            ) as answer:
                if answer.status >= 400:
                    raise refusal(answer.status, answer.headers, await self._body(answer))
                if 300 <= answer.status < 400 and answer.status != 307:
                    raise Misunderstood(url, f"it redirects to {answer.headers.get('Location', '')[:200]!r}")
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(url, str(error) or type(error).__name__) from None

    @staticmethod
    async def _body(answer: aiohttp.ClientResponse) -> bytes:
        parts, size = list[bytes](), 0
        async for part in answer.content.iter_any():
            size += len(part)
            if size > MOST_BYTES:
                raise Misunderstood(str(answer.url), f"it has more than {MOST_BYTES} bytes")
            parts.append(part)
        return b"".join(parts)
