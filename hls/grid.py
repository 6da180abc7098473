"""The frozen numbers of a broadcast's playlists, and the timeline that they are counted on.

Timeline: media times are ticks of a track's own clock rate since ERA, so a packager that restarts, or a second one beside it, gives
the same picture the same time. Wall-clock milliseconds are turned into ticks here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

ERA = datetime(2026, 1, 1, tzinfo=UTC)
ERA_MS = int(ERA.timestamp() * 1000)

VIDEO_RATE = 90_000
AUDIO_RATE = 48_000

PARTS_LISTED_FOR = 3
"""Parts are listed for the last three target durations only (RFC 8216bis 6.2.2)."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Durations in milliseconds, set when a broadcast starts and never changed: players close a stream whose PART-TARGET moves."""

    part_ms: int
    segment_ms: int
    target_duration_s: int = 2

    @property
    def hold_back_ms(self) -> int:
        """Distance of plain players from the end: three target durations, the least that is allowed."""
        return 3000 * self.target_duration_s

    @property
    def part_hold_back_ms(self) -> int:
        """Distance of low-latency players from the end: "PART-HOLD-BACK MUST be at least three times the Part Target"
        (Apple's authoring rules, A14.3)."""
        return 3 * self.part_ms

    @property
    def skip_until_s(self) -> int:
        """CAN-SKIP-UNTIL: "MUST be at least six times the Target Duration"."""
        return 6 * self.target_duration_s

    @property
    def longest_segment_ms(self) -> int:
        """A segment stays below this: EXTINF, rounded, must not exceed the target duration."""
        return 1000 * self.target_duration_s + 499

    def part_ticks(self, rate: int) -> int:
        return self.part_ms * rate // 1000

    def segment_ticks(self, rate: int) -> int:
        return self.segment_ms * rate // 1000


_TIERS = {200: Grid(200, 2000), 320: Grid(320, 1920), 1000: Grid(1000, 2000)}


def tier(part_s: float) -> Grid:
    """The grid of a latency tier: parts of 0.2, 0.32 or 1.0 seconds. 0.32 s is 8 frames at 25 fps, 15 AAC frames and 16 Opus
    packets, all exact; 6 of them are a segment.

    Raises ValueError for another duration."""
    try:
        return _TIERS[round(part_s * 1000)]
    except KeyError:
        raise ValueError(f"no latency tier has parts of {part_s} s; choose 0.2, 0.32 or 1.0") from None


def first_msn(epoch_ms: int) -> int:
    """Media sequence number of the first segment of a stream that starts at `epoch_ms` (Unix): two a second since ERA. Segments last
    longer than half a second, so a later start always begins above all numbers of an earlier one; never 0, which hls.js takes
    for "no segment"."""
    return max(1, (epoch_ms - ERA_MS) // 500)


def ticks(unix_ms: float, rate: int) -> int:
    """Time on the timeline, in ticks of `rate`."""
    return round((unix_ms - ERA_MS) * rate / 1000)


def unix_ms(ticks_: int, rate: int) -> float:
    """Wall-clock milliseconds of a time on the timeline."""
    return ERA_MS + ticks_ * 1000 / rate


def scaled(ticks_: int, rate: int, to_rate: int) -> int:
    """The same time in ticks of another rate, rounded up: what begins at or after it stays at or after it."""
    return -(-ticks_ * to_rate // rate)


def date_time(ticks_: int, rate: int) -> str:
    """EXT-X-PROGRAM-DATE-TIME of a time on the timeline, to the millisecond."""
    return iso(ERA + timedelta(milliseconds=round(ticks_ * 1000 / rate)))


def iso(date: datetime) -> str:
    """A date in UTC as playlists write it, to the millisecond."""
    return f"{date:%Y-%m-%dT%H:%M:%S}.{date.microsecond // 1000:03d}Z"
