"""Clients of the speech services. Every message that they see is held against docs/asyncapi.yaml, both ways."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import yaml

from common.http import Site
from speech_service.app import Service

PROTOCOL = Path(__file__).parents[2] / "docs/asyncapi.yaml"
PATIENCE_S = 40.0

Told = dict[str, Any]


@functools.cache
def protocol() -> Told:
    """docs/asyncapi.yaml."""
    found: Told = yaml.safe_load(PROTOCOL.read_text())
    return found


@functools.cache
def _validator(operation: str, kind: str) -> jsonschema.Draft202012Validator:
    """The schema of the message `kind` in an operation, such as tts.send."""
    document = protocol()
    for reference in document["operations"][operation]["messages"]:
        message = document["components"]["messages"][reference["$ref"].rpartition("/")[2]]
        if message["name"] == kind:
            schema = {**message["payload"], "components": document["components"]}
            return jsonschema.Draft202012Validator(schema)
    raise AssertionError(f"{operation} has no message {kind!r}")


def check(operation: str, message: Told) -> Told:
    """Raises jsonschema.ValidationError when the message is not as documented."""
    _validator(operation, message["type"]).validate(message)
    return message


@dataclass
class Client:
    """One connection. `next` gives what is told; sound goes to `sound`, by the utterance of the clause before it."""

    ws: aiohttp.ClientWebSocketResponse
    service: str
    told: list[Told] = field(default_factory=list)
    sound: dict[str, bytes] = field(default_factory=dict)
    _current: str = ""

    async def send(self, kind: str, **members: Any) -> None:
        await self.ws.send_json(check(f"{self.service}.receive", {"type": kind, **members}))

    async def next(self) -> Told | None:
        """The next message; None when the connection is closed."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = await self.ws.receive()
                if frame.type is aiohttp.WSMsgType.BINARY:
                    self.sound[self._current] = self.sound.get(self._current, b"") + frame.data
                    continue
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    return None
                message = check(f"{self.service}.send", frame.json())
                if message["type"] == "clause":
                    self._current = message["utterance"]
                self.told.append(message)
                return message

    async def until(self, kind: str) -> Told:
        """The next message of this type, past others."""
        while (message := await self.next()) is not None:
            if message["type"] == kind:
                return message
        raise AssertionError(f"closed ({self.ws.close_code}) before {kind!r}; told: {self.told[-3:]}")

    async def rest(self) -> list[Told]:
        """Everything until the connection is closed."""
        before = len(self.told)
        while await self.next() is not None:
            pass
        return self.told[before:]

    def of(self, kind: str) -> list[Told]:
        return [one for one in self.told if one["type"] == kind]


@asynccontextmanager
async def client(url: str, service: str, **start: Any) -> AsyncIterator[Client]:
    """A connection that has started; `start` are the members of its first message."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/stream/{service}", max_msg_size=0) as ws,
    ):
        one = Client(ws, service)
        await one.send("start", **start)
        await one.until("ready")
        yield one


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    """The service on loopback; its URL."""
    site = Site(service.app, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}"
    finally:
        await site.close()
        await service.close()
