"""The WebSocket of one connection: what comes is bounded in size, rate and idleness, what goes in bytes and time.

A client that does not read is closed after `stall_s` without progress; nothing of it is made meanwhile, so others notice nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from aiohttp import WSMsgType, web

from speech_service.endings import Broken
from speech_service.messages import MOST_MESSAGE_BYTES, Failure, Message
from speech_service.outbox import Outbox, Outgoing

PIECE_BYTES: Final = 9_600
"""Sound of one binary frame: 200 ms at 24 kHz. An interruption is at most one frame late."""
MESSAGES_A_S: Final = 200.0
_BURST_S: Final = 3.0
SOUND_FRAMES_A_S: Final = 2_000.0
"""Frames of sound beyond this wait: ten times real time in frames of 5 ms."""
_PAUSE_S: Final = 0.05
CLOSE_S: Final = 2.0
"""Time for the client to read the reason before the connection is cut."""


class MessageRate:
    """Messages allowed: so many a second, and those of three seconds at once. Pure."""

    def __init__(self, now: float, a_second: float = MESSAGES_A_S) -> None:
        self._a_second = a_second
        self._left = a_second * _BURST_S
        self._at = now

    def take(self, now: float) -> bool:
        """One message at `now` (seconds). False when it is one too many."""
        self._left = min(self._a_second * _BURST_S, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Channel:
    """`messages` to read, `tell` and `send_sound` to write; `drain` must run beside them."""

    def __init__(self, ws: web.WebSocketResponse, connection: str, *, idle_s: float, stall_s: float) -> None:
        self.connection = connection
        self._ws = ws
        self._idle_s = idle_s
        self._stall_s = stall_s
        self._outbox = Outbox()
        self._sending = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._sent = asyncio.Event()

    async def messages(self, busy: Callable[[], bool]) -> AsyncIterator[str | bytes]:
        """Frames as they come: text or sound. Ends when the client has closed; raises Broken where it passes a limit.

        `busy` says whether silence is all right, because something is being made for this client.
        """
        rate = MessageRate(time.monotonic())
        sound_rate = MessageRate(time.monotonic(), SOUND_FRAMES_A_S)
        while True:
            try:
                message = await self._ws.receive(timeout=self._idle_s)
            except TimeoutError:
                if busy() or len(self._outbox):
                    continue
                raise Broken(
                    f"nothing came for {self._idle_s:g} s",
                    code="idle",
                    hint="connect when there is something to say, or send a message now and then",
                ) from None
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            size = (
                len(message.data)
                if message.type is WSMsgType.BINARY
                else len(message.data.encode("utf-8", "replace"))
            )
            if size > MOST_MESSAGE_BYTES:
                raise Broken(
                    f"a message has {size} bytes; {MOST_MESSAGE_BYTES} are allowed",
                    code="message_too_large",
                    close=1009,
                    hint="send it in pieces",
                )
            if message.type is WSMsgType.TEXT and not rate.take(time.monotonic()):
                raise Broken(
                    f"more than {MESSAGES_A_S:.0f} messages a second",
                    code="flooding",
                    hint="put more text into each message",
                )
            while message.type is WSMsgType.BINARY and not sound_rate.take(time.monotonic()):  # noqa: ASYNC110 - time itself
                await asyncio.sleep(_PAUSE_S)
            yield message.data

    def tell(self, message: Message, *, tag: int | None = None, at_once: bool = False) -> None:
        """Sends a message: behind what waits, or before it. Raises Broken when the client reads nothing."""
        one = Outgoing(message.model_dump_json(exclude_none=True), tag)
        if at_once:
            self._outbox.push_first(one)
        else:
            self._outbox.push(one)
        self._changed.set()
        if self._outbox.overflowing:
            raise self._too_slow()

    def send_sound(self, sound: bytes, tag: int) -> None:
        """Sends sound in pieces."""
        for at in range(0, len(sound), PIECE_BYTES):
            self._outbox.push(Outgoing(sound[at : at + PIECE_BYTES], tag))
        if self._outbox.full:
            self._room.clear()
        self._changed.set()

    def holds(self, tag: int) -> bool:
        """Whether something that carries `tag` was not sent yet."""
        return self._outbox.holds(tag)

    def drop(self, tag: int) -> int:
        """Takes back what carries `tag` and was not sent. Returns the bytes of sound of it."""
        dropped = self._outbox.drop(tag)
        self._look()
        return dropped

    async def room(self) -> None:
        """Waits until more sound may be made."""
        await self._room.wait()

    async def flushed(self) -> None:
        """Waits until everything was sent."""
        while len(self._outbox) or self._sending:
            self._sent.clear()
            await self._sent.wait()

    async def drain(self) -> None:
        """Sends what waits, for ever. Raises Broken when the client takes nothing for `stall_s`."""
        while True:
            while (one := self._outbox.pop()) is not None:
                self._sending = True
                try:
                    async with asyncio.timeout(self._stall_s):
                        if isinstance(one.data, bytes):
                            await self._ws.send_bytes(one.data)
                        else:
                            await self._ws.send_str(one.data)
                except TimeoutError:
                    raise self._too_slow() from None
                self._sending = False
                self._look()
            self._changed.clear()
            await self._changed.wait()

    async def end(self, broken: Broken | None) -> None:
        """Closes: with the reason told, or normally. Whoever does not read it in time is cut off."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if broken is not None:
                    told = Failure(code=broken.code, detail=broken.detail, hint=broken.hint or "", fatal=True)
                    await self._ws.send_str(told.model_dump_json(exclude_none=True))
                    await self._ws.close(code=broken.close, message=broken.code.encode())
                else:
                    await self._ws.close()
        except (TimeoutError, ConnectionError):
            pass

    def _look(self) -> None:
        self._sent.set()
        if not self._outbox.full:
            self._room.set()

    def _too_slow(self) -> Broken:
        return Broken(
            f"the client took nothing for {self._stall_s:g} s",
            code="too_slow",
            hint="read what comes, and ask for less at a time",
        )
