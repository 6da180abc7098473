"""Independent WebRTC peers (aiortc) for tests: a WHIP publisher of a moving picture and a tone, a WHEP viewer that decodes."""

from __future__ import annotations

import asyncio
import fractions
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCDataChannelParameters,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.rtp import RtcpSrPacket

from sfu.resource import Resource, offer

FPS = 25
TONE_HZ = 440


class Clock:
    """Paces the tracks of one publisher by one start."""

    def __init__(self) -> None:
        self._start: float | None = None

    async def until(self, at_s: float) -> None:
        """Waits until `at_s` seconds after the first call."""
        now = time.monotonic()
        if self._start is None:
            self._start = now - at_s
        await asyncio.sleep(max(0.0, self._start + at_s - now))


class MovingPicture(MediaStreamTrack):
    """Pictures whose brightness moves, so that two of them differ."""

    kind = "video"

    def __init__(self, clock: Clock, size: tuple[int, int] = (320, 240)) -> None:
        super().__init__()
        self._clock = clock
        self._size = size
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        await self._clock.until(self._count / FPS)
        width, height = self._size
        pixels = np.full((height, width, 3), 40 + self._count * 7 % 160, dtype=np.uint8)
        left = self._count * 4 % (width - 40)
        pixels[height // 3 : height * 2 // 3, left : left + 40] = 255
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = self._count * 90_000 // FPS
        frame.time_base = fractions.Fraction(1, 90_000)
        self._count += 1
        return frame


class Tone(MediaStreamTrack):
    """A sine of 440 Hz, 20 ms a frame, 48 kHz stereo."""

    kind = "audio"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        await self._clock.until(self._count / 50)
        at = np.arange(self._count * 960, (self._count + 1) * 960)
        wave = (np.sin(2 * np.pi * TONE_HZ * at / 48_000) * 12_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = 48_000
        frame.pts = self._count * 960
        frame.time_base = fractions.Fraction(1, 48_000)
        self._count += 1
        return frame


class Channel:
    """A data channel that a peer opens with its offer."""

    def __init__(self, peer: RTCPeerConnection, wanted: RTCDataChannelParameters) -> None:
        self._channel = peer.createDataChannel(
            wanted.label,
            ordered=wanted.ordered,
            maxRetransmits=wanted.maxRetransmits,
            maxPacketLifeTime=wanted.maxPacketLifeTime,
        )
        self._open = asyncio.Event()
        self._closed = asyncio.Event()
        self._messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        if self._channel.readyState == "open":
            self._open.set()
        self._channel.on("open", self._open.set)
        self._channel.on("close", self._closed.set)
        self._channel.on("message", self._messages.put_nowait)

    async def opened(self, timeout_s: float = 10.0) -> None:
        """Returns once messages can be sent."""
        async with asyncio.timeout(timeout_s):
            await self._open.wait()

    async def closed(self, timeout_s: float = 10.0) -> None:
        """Returns once the other side has closed it."""
        async with asyncio.timeout(timeout_s):
            await self._closed.wait()

    def say(self, message: str | bytes) -> None:
        """Sends a message."""
        self._channel.send(message)

    async def hear(self, timeout_s: float = 10.0) -> Any:
        """The next message, read as JSON."""
        async with asyncio.timeout(timeout_s):
            return json.loads(await self._messages.get())

    def waiting(self) -> int:
        """Messages that came and were not heard."""
        return self._messages.qsize()


@dataclass
class SenderTime:
    """From the times of decoded frames, which begin at 0, to the sender's clock."""

    rate: int
    first: int | None = None
    report: tuple[float, int] | None = None
    """NTP seconds, and the RTP time that is the same moment."""

    def seconds(self, pts: int) -> float:
        """NTP seconds of a frame."""
        assert self.first is not None and self.report is not None, "nothing was reported yet"
        ntp_s, rtp = self.report
        since = (self.first + pts - rtp + (1 << 31)) % (1 << 32) - (1 << 31)
        return ntp_s + since / self.rate


class Peer:
    """One session of a WHIP or WHEP server. Use as a context: it has the answer on entry and DELETEs on exit."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token: str | None,
        channels: Sequence[RTCDataChannelParameters],
    ) -> None:
        self._http, self._url, self._token = http, url, token
        self.peer = RTCPeerConnection()
        self.channels = {one.label: Channel(self.peer, one) for one in channels}
        self.resource: Resource | None = None

    async def __aenter__(self) -> Self:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        try:
            self.resource = await offer(
                self._http, self._url, self.peer.localDescription.sdp, token=self._token
            )
            await self.peer.setRemoteDescription(RTCSessionDescription(self.resource.answer, "answer"))
        except BaseException:
            await self.peer.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.resource is not None:
            await self.resource.end(self._http)
        await self.peer.close()


class Publisher(Peer):
    """A WHIP publisher. Use as a context: it has the answer on entry and DELETEs on exit (unless `vanish` was called)."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        video: bool = True,
        audio: bool = True,
        token: str | None = None,
        channels: Sequence[RTCDataChannelParameters] = (),
        codec: str = "H264",
        size: tuple[int, int] = (320, 240),
        ssrc: int | None = None,
    ) -> None:
        super().__init__(http, url, token, channels)
        clock = Clock()
        if video:
            transceiver = self.peer.addTransceiver(MovingPicture(clock, size), direction="sendonly")
            capabilities = RTCRtpSender.getCapabilities("video")
            assert capabilities is not None
            wanted = [one for one in capabilities.codecs if one.mimeType == f"video/{codec}"]
            transceiver.setCodecPreferences(wanted)
            if ssrc is not None:
                transceiver.sender._ssrc = ssrc
        if audio:
            self.peer.addTransceiver(Tone(clock), direction="sendonly")

    async def vanish(self) -> None:
        """Stops without a word to the HTTP side."""
        self.resource = None
        await self.peer.close()


class Viewer(Peer):
    """A WHEP viewer that decodes. Use as a context, like `Publisher`."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        video: bool = True,
        audio: bool = True,
        token: str | None = None,
        channels: Sequence[RTCDataChannelParameters] = (),
    ) -> None:
        super().__init__(http, url, token, channels)
        for kind, wanted in (("video", video), ("audio", audio)):
            if wanted:
                self.peer.addTransceiver(kind, direction="recvonly")

    def follow_times(self) -> dict[str, SenderTime]:
        """The sender's clock for each kind, from its first packet and its newest report; complete when both are there. To be called before
        any media has come."""
        times: dict[str, SenderTime] = {}

        def hear(receiver: Any, time: SenderTime) -> None:
            rtp, rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

            async def heard(packet: Any, arrival_time_ms: int) -> None:
                if time.first is None:
                    time.first = packet.timestamp
                await rtp(packet, arrival_time_ms=arrival_time_ms)

            async def told(packet: Any) -> None:
                if isinstance(packet, RtcpSrPacket):
                    info = packet.sender_info
                    time.report = info.ntp_timestamp / (1 << 32), info.rtp_timestamp
                await rtcp(packet)

            receiver._handle_rtp_packet, receiver._handle_rtcp_packet = heard, told

        for transceiver in self.peer.getTransceivers():
            rate = 90_000 if transceiver.kind == "video" else 48_000
            hear(transceiver.receiver, times.setdefault(transceiver.kind, SenderTime(rate)))
        return times

    def track(self, kind: str) -> Any:
        """The receiving track of a kind."""
        for transceiver in self.peer.getTransceivers():
            if transceiver.kind == kind:
                return transceiver.receiver.track
        raise LookupError(f"no {kind} was asked for")

    async def frames(self, kind: str, count: int, timeout_s: float = 10.0) -> list[Any]:
        """The next `count` decoded frames of a kind."""
        async with asyncio.timeout(timeout_s):
            return [await self.track(kind).recv() for _ in range(count)]


class AllViewers:
    """Enters and leaves several viewers at once."""

    def __init__(self, viewers: list[Viewer]) -> None:
        self._viewers = viewers

    async def __aenter__(self) -> None:
        await asyncio.gather(*(viewer.__aenter__() for viewer in self._viewers))

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(viewer.__aexit__() for viewer in self._viewers))


def brightness(frame: Any) -> float:
    """Mean luma of a picture's upper left corner."""
    return float(frame.to_ndarray(format="gray")[:60, :60].mean())


def pitch_hz(frames: list[Any]) -> float:
    """The strongest frequency in decoded audio frames."""
    samples = np.concatenate([frame.to_ndarray().reshape(-1, 2)[:, 0] for frame in frames]).astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 48_000 / len(samples))
