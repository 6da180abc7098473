"""Sound as a client sends it (mono s16le at its own rate) -> sound as it is heard (16 kHz), piece by piece without seams."""

from __future__ import annotations

import av
import numpy as np

from speech.hearing.events import RATE, Sound


class Intake:
    """The sound of one connection. Not thread-safe."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = None if rate == RATE else av.AudioResampler(format="flt", layout="mono", rate=RATE)

    def push(self, data: bytes) -> Sound:
        """The next samples; fewer may come out at first, and the rest with `flush`."""
        samples = np.frombuffer(data, "<i2")
        if self._resampler is None:
            return samples.astype(np.float32) / 32768.0
        if not samples.size:
            return np.zeros(0, np.float32)
        frame = av.AudioFrame.from_ndarray(
            samples.reshape(1, -1).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = self._rate
        return _joined(self._resampler.resample(frame))

    def flush(self) -> Sound:
        """What is left."""
        return np.zeros(0, np.float32) if self._resampler is None else _joined(self._resampler.resample(None))


def _joined(frames: list[av.AudioFrame]) -> Sound:
    parts = [frame.to_ndarray().reshape(-1).astype(np.float32) for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
