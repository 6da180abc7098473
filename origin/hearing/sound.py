"""A microphone's Opus packets as the sound that hearing wants: mono, 16 kHz, without holes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext

from speech.hearing.events import RATE, Sound

_OPUS_RATE: Final = 48_000
_MOST_GAP_S: Final = 1.0
"""A longer hole counts as this much silence: it ends a turn all the same."""
_MOST_PACKETS: Final = 150
"""Packets (3 s) taken at once; of more, left over by a machine that was busy, the oldest go."""


class Packet(Protocol):
    """What is read of a tap's access unit. `time` counts 48 kHz ticks."""

    @property
    def kind(self) -> str: ...
    @property
    def time(self) -> int: ...
    @property
    def data(self) -> bytes: ...


class OpusSound:
    """One microphone. A packet that is none counts as silence."""

    def __init__(self) -> None:
        self._reset()
        self._end: int | None = None

    def decode(self, packets: Iterable[Packet]) -> Sound:
        """The sound of the next packets, with silence where some are missing."""
        parts: list[Sound] = []
        audio = [packet for packet in packets if packet.kind == "audio"]
        for packet in audio[-_MOST_PACKETS:]:
            if self._end is not None and packet.time > self._end:
                gap_s = min(_MOST_GAP_S, (packet.time - self._end) / _OPUS_RATE)
                parts.append(np.zeros(round(gap_s * RATE), np.float32))
            sound = self._packet(packet.data)
            self._end = packet.time + sound.size * _OPUS_RATE // RATE
            parts.append(sound)
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def _packet(self, data: bytes) -> Sound:
        try:
            frames = self._codec.decode(av.Packet(data))
            parts = [
                part.to_ndarray().reshape(-1) for frame in frames for part in self._resampler.resample(frame)
            ]
        except (av.FFmpegError, ValueError):
            self._reset()
            return np.zeros(RATE // 50, np.float32)
        return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)

    def _reset(self) -> None:
        codec = av.CodecContext.create("libopus", "r")
        assert isinstance(codec, AudioCodecContext), "libopus decodes audio"
        codec.sample_rate = _OPUS_RATE
        codec.layout = "mono"
        self._codec = codec
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
