"""Avatars' media into the SFU core of this node."""

from __future__ import annotations

import contextlib
from typing import Final

from common._native import SfuError
from origin.stage import Output
from sfu.worker import Worker

_RTP_TIMES: Final = 1 << 32


class SfuOutlet:
    """Opens a stream of the core for each avatar."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def open(self, broadcast: str) -> Output:
        """The stream of `broadcast`, H.264 and Opus."""
        self._worker.sfu.open(broadcast, video=True, audio=True)
        return _Injection(self._worker, broadcast)

    def end(self, broadcast: str) -> None:
        """Ends it, and the sessions that take it."""
        with contextlib.suppress(SfuError):  # the core is down already: then the stream is over too
            self._worker.sfu.end(broadcast)

    def subscribers(self, broadcast: str) -> int:
        """How many take the stream from this node: viewers and relays, not the packager's tap."""
        with contextlib.suppress(SfuError):
            figures = self._worker.sfu.stats()["streams"].get(broadcast)
            return figures["subscribers"] if figures else 0
        return 0


class _Injection:
    """Called in the stage's threads. A core that is going down takes no more, and that is no error of the stage."""

    def __init__(self, worker: Worker, broadcast: str) -> None:
        self._sfu = worker.sfu
        self._broadcast = broadcast

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
        with contextlib.suppress(SfuError):
            self._sfu.inject(self._broadcast, "video", access_unit, rtp_time % _RTP_TIMES, key_frame)

    def audio(self, packet: bytes, rtp_time: int) -> None:
        with contextlib.suppress(SfuError):
            self._sfu.inject(self._broadcast, "audio", packet, rtp_time % _RTP_TIMES, True)
