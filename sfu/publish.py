"""Publishes a film by WHIP, through aiortc: a second, independent WebRTC stack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from common.errors import Unavailable
from sfu.film import Film
from sfu.resource import offer

Report = Callable[[float, float | None], None]
"""Told how many seconds are done, and of how many (None: no end is known)."""

_REPORT_S = 0.5


async def publish_file(
    file: Path, to: str, *, token: str | None = None, loop: bool = False, report: Report | None = None
) -> None:
    """Sends `file` to the WHIP endpoint `to` in real time, H.264 and Opus, until it ends (or is cancelled).

    Raises Refused when the server does not take it, BadRequest when the file cannot be read, Unavailable when the
    connection breaks. The session is deleted whatever happens.
    """
    film = Film(file, loop=loop)
    peer = RTCPeerConnection()
    lost = asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState in ("failed", "closed"):
            lost.set()

    try:
        for track in film.tracks:
            transceiver = peer.addTransceiver(track, direction="sendonly")
            if track.kind == "video":
                capabilities = RTCRtpSender.getCapabilities("video")
                codecs = capabilities.codecs if capabilities else []
                transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
        await peer.setLocalDescription(await peer.createOffer())
        async with aiohttp.ClientSession() as http:
            resource = await offer(http, to, peer.localDescription.sdp, token=token)
            try:
                await peer.setRemoteDescription(RTCSessionDescription(sdp=resource.answer, type="answer"))
                film.start()
                await _play(film, lost, None if loop else film.duration_s, report)
            finally:
                await asyncio.shield(resource.end(http))
    finally:
        await film.close()
        await peer.close()


async def _play(film: Film, lost: asyncio.Event, total_s: float | None, report: Report | None) -> None:
    ends = [asyncio.ensure_future(film.finished.wait()), asyncio.ensure_future(lost.wait())]
    try:
        while not any(end.done() for end in ends):
            await asyncio.wait(ends, timeout=_REPORT_S, return_when=asyncio.FIRST_COMPLETED)
            if report:
                report(film.position_s, total_s)
    finally:
        for end in ends:
            end.cancel()
    if lost.is_set() and not film.finished.is_set():
        raise Unavailable(
            "the connection to the server broke", hint="publish again; the broadcast waits for 10 s"
        )
