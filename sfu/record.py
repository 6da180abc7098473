"""Records a broadcast by WHEP into an MP4 file, through aiortc: what a viewer would have seen and heard."""

from __future__ import annotations

import asyncio
import fractions
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import av
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from common.errors import Unavailable
from common.tasks import end_tasks
from sfu.resource import offer

Report = Callable[[float, float | None], None]

_FIRST_MEDIA_S = 10.0
_AUDIO_RATE = 48_000


async def record_file(
    whep: str,
    out: Path,
    *,
    seconds: float | None = None,
    token: str | None = None,
    report: Report | None = None,
) -> None:
    """Keeps what the WHEP endpoint sends in `out` (H.264, AAC), for `seconds` or until it is cancelled or ends.

    Raises Refused when the server refuses, Unavailable when no media comes. The file is finished whatever happens.
    """
    peer = RTCPeerConnection()
    tracks: list[Any] = []
    peer.on("track", tracks.append)
    ended = asyncio.Event()

    @peer.on("connectionstatechange")
    def changed() -> None:
        if peer.connectionState in ("failed", "closed"):
            ended.set()

    video = peer.addTransceiver("video", direction="recvonly")
    capabilities = RTCRtpReceiver.getCapabilities("video")
    codecs = capabilities.codecs if capabilities else []
    video.setCodecPreferences(
        [codec for codec in codecs if codec.mimeType in ("video/H264", "video/VP8", "video/rtx")]
    )
    peer.addTransceiver("audio", direction="recvonly")
    try:
        await peer.setLocalDescription(await peer.createOffer())
        async with aiohttp.ClientSession() as http:
            resource = await offer(http, whep, peer.localDescription.sdp, token=token)
            try:
                await peer.setRemoteDescription(RTCSessionDescription(sdp=resource.answer, type="answer"))
                await _keep(tracks, out, seconds, ended, report)
            finally:
                await asyncio.shield(resource.end(http))
    finally:
        await peer.close()


async def _keep(
    tracks: list[Any], out: Path, seconds: float | None, ended: asyncio.Event, report: Report | None
) -> None:
    recording = Recording(out)
    readers = [asyncio.ensure_future(_read(track, recording)) for track in tracks]
    stop = asyncio.ensure_future(ended.wait())
    started = time.monotonic()
    try:
        while not stop.done() and not all(reader.done() for reader in readers):
            if seconds is not None and recording.seconds >= seconds:
                break
            if recording.seconds == 0 and time.monotonic() - started > _FIRST_MEDIA_S:
                raise Unavailable(
                    f"no media came within {_FIRST_MEDIA_S:.0f} s",
                    code="no_media",
                    hint="is the broadcast live, and does UDP pass between here and the node?",
                )
            await asyncio.wait([stop, *readers], timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
            if report:
                report(recording.seconds, seconds)
    finally:
        await end_tasks(stop, *readers)
        recording.close()


async def _read(track: Any, recording: Recording) -> None:
    try:
        while True:
            recording.take(await track.recv())
    except MediaStreamError:
        return


class Recording:
    """An MP4 file that grows frame by frame. Sound and picture are laid on the time at which their first frames came."""

    def __init__(self, path: Path) -> None:
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._streams: dict[str, Any] = {}
        self._pending: list[Any] = []
        self._began: float | None = None
        self._firsts: dict[str, tuple[float, float]] = {}
        self._last: dict[str, int] = {}
        self.seconds = 0.0

    def take(self, frame: Any) -> None:
        """Adds a decoded frame of aiortc. Streams are opened with the first frames, a moment is given to the second one."""
        now = time.monotonic()
        kind = "video" if isinstance(frame, av.VideoFrame) else "audio"
        if self._began is None:
            self._began = now
        if kind not in self._firsts:
            self._firsts[kind] = (now - self._began, float(frame.pts * frame.time_base))
        offset_s, first_s = self._firsts[kind]
        at_s = offset_s + float(frame.pts * frame.time_base) - first_s
        self.seconds = max(self.seconds, at_s)
        if not self._streams:
            self._pending.append((kind, at_s, frame))
            if len(self._firsts) < 2 and now - self._began < 0.5:
                return  # the file's streams must all be known before its first packet
            self._open()
            for item in self._pending:
                self._write(*item)
            self._pending.clear()
        elif kind in self._streams:
            self._write(kind, at_s, frame)

    def _open(self) -> None:
        pictures = [frame for kind, _, frame in self._pending if kind == "video"]
        if pictures:
            stream = self._container.add_stream(
                "libx264", rate=30, options={"preset": "veryfast", "crf": "20"}
            )
            stream.width, stream.height, stream.pix_fmt = pictures[0].width, pictures[0].height, "yuv420p"
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
            self._streams["video"] = stream
        if "audio" in self._firsts:
            self._streams["audio"] = self._container.add_stream("aac", rate=_AUDIO_RATE, layout="stereo")

    def _write(self, kind: str, at_s: float, frame: Any) -> None:
        rate = 1000 if kind == "video" else _AUDIO_RATE
        pts = max(round(at_s * rate), self._last.get(kind, -1) + 1)
        self._last[kind] = pts
        frame.pts, frame.time_base = pts, fractions.Fraction(1, rate)
        if kind == "video":
            stream = self._streams["video"]
            frame = frame.reformat(width=stream.width, height=stream.height, format="yuv420p")
            frame.pict_type = av.video.frame.PictureType.NONE
        for packet in self._streams[kind].encode(frame):
            self._container.mux(packet)

    def close(self) -> None:
        """Finishes the file."""
        if not self._streams and self._pending:
            self._open()
            for item in self._pending:
                self._write(*item)
        for stream in self._streams.values():
            for packet in stream.encode(None):
                self._container.mux(packet)
        self._container.close()
