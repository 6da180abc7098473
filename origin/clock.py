"""The master clock of an avatar: one counter of samples at 48 kHz. Everything that is heard or seen has its place on it.

Video frame k covers samples [1920 k, 1920 (k+1)), an audio packet is 960 samples; the RTP time of audio is the sample, of
video 90 kHz x k/25. The counter starts at 0 at one instant of the monotonic clock and is never set again: a late frame
is left out, no clock waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from speech.marks import SAMPLE_RATE

FRAME_RATE: Final = 25
FRAME_SAMPLES: Final = SAMPLE_RATE // FRAME_RATE
"""1920 samples: 40 ms."""
PACKET_SAMPLES: Final = 960
"""20 ms."""
VIDEO_CLOCK: Final = 90_000
_SECOND: Final = 1_000_000_000


def video_rtp_time(frame: int) -> int:
    """RTP time of video frame `frame`, 90 kHz, unwrapped."""
    return frame * (VIDEO_CLOCK // FRAME_RATE)


@dataclass(frozen=True, slots=True)
class Clock:
    """`start_ns`: the instant of the monotonic clock at which sample 0 is due."""

    start_ns: int

    def due_ns(self, sample: int) -> int:
        """When `sample` is due."""
        return self.start_ns + sample * _SECOND // SAMPLE_RATE

    def sample(self, now_ns: int) -> int:
        """The sample that is due at `now_ns`."""
        return (now_ns - self.start_ns) * SAMPLE_RATE // _SECOND

    def frame(self, now_ns: int) -> int:
        """The video frame whose time `now_ns` is."""
        return self.sample(now_ns) // FRAME_SAMPLES
