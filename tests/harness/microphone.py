"""A viewer who speaks: a WHIP session (aiortc) with one microphone, which says what a test gives it and is silent otherwise."""

from __future__ import annotations

import asyncio
import fractions
from typing import Any, Self

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCDataChannelParameters

from speech.voice import Pcm
from tests.harness.peers import Clock, Peer

_PACKET = 960


class Microphone(MediaStreamTrack):
    """48 kHz mono, 20 ms a frame."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._clock = Clock()
        self._count = 0
        self._waiting = np.zeros(0, np.float32)
        self._said = asyncio.Event()
        self.said_at = 0.0
        """The loop's time at which the last of what was to be said was sent."""

    def speak(self, pcm: Pcm) -> None:
        """Says this next."""
        self._waiting = np.concatenate((self._waiting, pcm))
        self._said.clear()

    async def spoken(self) -> None:
        """Returns when all has been said."""
        await self._said.wait()

    async def recv(self) -> av.AudioFrame:
        await self._clock.until(self._count / 50)
        now, self._waiting = self._waiting[:_PACKET], self._waiting[_PACKET:]
        if not self._waiting.size and not self._said.is_set():
            self.said_at = asyncio.get_running_loop().time()
            self._said.set()
        samples = np.pad(now, (0, _PACKET - now.size))
        pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(pcm, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 48_000
        frame.pts = self._count * _PACKET
        frame.time_base = fractions.Fraction(1, 48_000)
        self._count += 1
        return frame


class Speaker(Peer):
    """Use as a context. `told` is the data channel on which the origin says what it understood."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str | None) -> None:
        super().__init__(http, url, token, [RTCDataChannelParameters(label="ears")])
        self.told = self.channels["ears"]
        self.microphone = Microphone()
        self.peer.addTransceiver(self.microphone, direction="sendonly")

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        try:
            await self.told.opened()
        except BaseException:
            await self.peer.close()
            raise
        return self

    async def hears(self, event: str, timeout_s: float = 30.0) -> list[dict[str, Any]]:
        """All that is told up to an event of this name, that one included."""
        told: list[dict[str, Any]] = []
        while not told or told[-1]["event"] != event:
            told.append(await self.told.hear(timeout_s))
        return told
