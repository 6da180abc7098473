"""Publishes a film by WHIP, through aiortc: a second, independent WebRTC stack.

    (none) ──start──► ONE connection ──the node asks to `move`──► TWO ──the node lets the first go──► ONE
                        │      ▲                                   │
                        └lost──┴───── offered again, for 60 s      └──told to stay──► ONE

The film goes on by its own clock all the time, so that whoever comes back is where it would have been.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError

from common.errors import Unavailable
from common.log import log
from sfu.film import Film
from sfu.resource import Refused, Resource, offer

Report = Callable[[float, float | None], None]
"""Told how many seconds are done, and of how many (None: no end is known)."""

_TURN_S = 0.5
SILENCE_S = 6.0
"""The node, which sends a receiver report a second, has sent none for this long: the connection is lost."""
AGAIN_S = 2.0
"""Between two offers after one that failed."""
GIVES_UP_S = 60.0
"""A publisher that cannot come back for this long ends."""

_NO_CHANNELS = re.compile(r"^m=application 0 ", re.MULTILINE)

_log = log("publish")


async def publish_file(
    file: Path, to: str, *, token: str | None = None, loop: bool = False, report: Report | None = None
) -> None:
    """Sends `file` to the WHIP endpoint `to` in real time, H.264 and Opus, until it ends (or is cancelled).

    A node that is to be emptied is left for the one that it names; a connection that breaks is offered again.
    Raises Refused when the server does not take it, BadRequest when the file cannot be read, Unavailable when the connection broke
    and none could be made for GIVES_UP_S. The sessions are deleted whatever happens.
    """
    film = Film(file, loop=loop)
    try:
        async with aiohttp.ClientSession() as http:
            publisher = _Publisher(http, film, to, token)
            try:
                await publisher.start()
                while not await publisher.turn():
                    if report:
                        report(film.position_s, None if loop else film.duration_s)
            finally:
                await asyncio.shield(publisher.close())
    finally:
        await film.close()


class _Publisher:
    """One film over one connection, or for a while over two: its node names another one to send to as well."""

    def __init__(self, http: aiohttp.ClientSession, film: Film, to: str, token: str | None) -> None:
        self._http = http
        self._film = film
        self._to = to
        self._token = token
        self._relay = MediaRelay()
        self._sendings: list[_Sending] = []
        """The newest last."""
        self._player: asyncio.Task[None] | None = None
        self._offered_at = 0.0
        self._lost_at: float | None = None

    async def start(self) -> None:
        """Begins the film as soon as there is a connection. Raises Refused."""
        await self._open(self._to)
        self._film.start()
        self._player = asyncio.create_task(self._play())

    async def turn(self) -> bool:
        """Looks after the connections for a moment. True when the film is over; raises Unavailable when nothing can be reached."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._film.finished.wait(), _TURN_S)
        for sending in self._sendings[:]:
            if await sending.lost():
                await self._drop(sending)
        now = time.monotonic()
        if self._sendings:
            self._lost_at = None
            await self._follow(now)
        else:
            await self._come_back(now)
        return self._film.finished.is_set()

    async def close(self) -> None:
        """Ends all."""
        if self._player is not None:
            self._player.cancel()
            await asyncio.gather(self._player, return_exceptions=True)
        for sending in self._sendings[:]:
            await self._drop(sending)

    async def _follow(self, now: float) -> None:
        """What the oldest connection's node wants."""
        oldest = self._sendings[0]
        if oldest.moves_to is None:
            for other in self._sendings[1:]:  # it was taken back
                await self._drop(other)
        elif len(self._sendings) == 1 and now - self._offered_at > AGAIN_S:
            try:
                await self._open(oldest.moves_to)
                self._to = oldest.moves_to
            except Refused as refusal:  # the first goes on
                _log.info("publisher_not_moved", to=oldest.moves_to, why=str(refusal))

    async def _come_back(self, now: float) -> None:
        if self._lost_at is None:
            self._lost_at = now
            _log.warning("publisher_lost", to=self._to)
        if now - self._offered_at < AGAIN_S:
            return
        try:
            await self._open(self._to)
        except Refused as refusal:
            if time.monotonic() - self._lost_at > GIVES_UP_S:
                raise Unavailable(
                    f"the connection to the server broke, and there is none after {GIVES_UP_S:g} s: {refusal}",
                    hint="is the server up? Publish again",
                ) from None

    async def _open(self, to: str) -> None:
        try:
            try:
                sending = await self._sending(to, channels=True)
            except _NoChannels:
                sending = await self._sending(to, channels=False)
            self._sendings.append(sending)
        finally:
            self._offered_at = time.monotonic()

    async def _sending(self, to: str, *, channels: bool) -> _Sending:
        tracks = [self._relay.subscribe(one, buffered=one.kind == "audio") for one in self._film.tracks]
        sending = _Sending()
        try:
            await sending.start(self._http, to, self._token, tracks, channels=channels)
        except BaseException:
            await sending.close(self._http)
            raise
        return sending

    async def _drop(self, sending: _Sending) -> None:
        self._sendings.remove(sending)
        await sending.close(self._http)

    async def _play(self) -> None:
        """Takes the film's frames also while nobody is connected: its clock goes on."""

        async def drain(track: MediaStreamTrack) -> None:
            with contextlib.suppress(MediaStreamError):  # the film's end
                while True:
                    await track.recv()

        await asyncio.gather(
            *(drain(self._relay.subscribe(one, buffered=False)) for one in self._film.tracks)
        )


class _NoChannels(Exception):
    """The server takes no data channels, which aiortc's peer does not survive."""


class _Sending:
    """One connection to one node."""

    def __init__(self) -> None:
        self.moves_to: str | None = None
        """Where its node wants the stream to be sent to as well."""
        self._peer = RTCPeerConnection()
        self._resource: Resource | None = None
        self._ended = False
        self._reported = 0.0
        """Time of the node's newest receiver report, and when it came here, of this clock."""
        self._heard_at = 0.0

    async def start(
        self,
        http: aiohttp.ClientSession,
        to: str,
        token: str | None,
        tracks: Sequence[MediaStreamTrack],
        *,
        channels: bool,
    ) -> None:
        """Offers the tracks, and the channel `events`. Raises Refused, and _NoChannels."""
        for track in tracks:
            transceiver = self._peer.addTransceiver(track, direction="sendonly")
            if track.kind == "video":
                capabilities = RTCRtpSender.getCapabilities("video")
                codecs = capabilities.codecs if capabilities else []
                transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
        self._peer.on("connectionstatechange", self._look)
        if channels:
            events = self._peer.createDataChannel("events")
            events.on("message", self._hear)
            events.on("close", self._end)
        await self._peer.setLocalDescription(await self._peer.createOffer())
        self._resource = await offer(http, to, self._peer.localDescription.sdp, token=token)
        if channels and _NO_CHANNELS.search(self._resource.answer):
            raise _NoChannels
        await self._peer.setRemoteDescription(RTCSessionDescription(sdp=self._resource.answer, type="answer"))

    async def lost(self) -> bool:
        """Whether the node has ended it, or is not heard any more."""
        reports = [one for one in (await self._peer.getStats()).values() if one.type == "remote-inbound-rtp"]
        newest = max((one.timestamp.timestamp() for one in reports), default=0.0)
        now = time.monotonic()
        if newest > self._reported:
            self._reported, self._heard_at = newest, now
        return self._ended or (self._reported > 0 and now - self._heard_at > SILENCE_S)

    async def close(self, http: aiohttp.ClientSession) -> None:
        """Ends the session at the server too."""
        if self._resource is not None:
            await self._resource.end(http)
        await self._peer.close()

    def _look(self) -> None:
        if self._peer.connectionState in ("failed", "closed"):
            self._end()

    def _end(self) -> None:
        self._ended = True

    def _hear(self, message: object) -> None:
        """`{"event": "move", "data": {"whip": URL or null}}`; all else is for others."""
        with contextlib.suppress(ValueError, KeyError, TypeError):
            told = json.loads(str(message))
            if told["event"] == "move":
                whip = told["data"]["whip"]
                self.moves_to = whip if isinstance(whip, str) else None
