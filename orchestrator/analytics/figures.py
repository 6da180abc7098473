"""Figures: what the tallies of a broadcast come to, as points over time, sums, shares and the curve of who is still there. Pure."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, Field

from orchestrator.analytics.ledger import HOUR_S, MINUTE_S, MINUTES_KEPT, Entry, hour_of
from orchestrator.analytics.sketch import Sketch, still_there
from orchestrator.analytics.tally import OTHER, Seconds, Tally

POINTS = 1500
"""Most points of an answer."""
LEVEL_POINTS = 300
"""As many as are drawn, when nobody says how long a step is."""
_LARGEST = 8
"""Regions and devices that each point has; the others are one."""
_SHARES = 50
_STEPS_S = (60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400)
_AFTER_S = (
    0, 10, 30, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, 64_800, 86_400,
)  # fmt: skip


class Spread(BaseModel):
    """Of a set of measurements, null when there is none."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    count: int

    @classmethod
    def of(cls, sketch: Sketch) -> Spread:
        def at(share: float) -> float | None:
            value = sketch.percentile(share)
            return None if value is None else round(value, 1)

        return cls(p50=at(0.5), p90=at(0.9), p95=at(0.95), p99=at(0.99), count=len(sketch))


class AnalyticsPoint(BaseModel):
    """One step. Viewers are means over it, null where nobody looked."""

    at: dt.datetime = Field(description="Its begin.")
    viewers: float | None
    peak: int
    webrtc: float | None
    hls: float | None
    interactive: float | None
    joins: int
    leaves: int
    watch_s: float = Field(description="Seconds that players say were watched.")
    stalls: int
    latency_ms: float | None = Field(description="Median of what players reported.")
    loss_ratio: float | None = Field(description="Of packets by WebRTC, mean over viewers.")
    ingest_bps: float | None
    egress_bps: float | None = Field(description="Of all nodes together.")
    regions: dict[str, float] = Field(description="Region of the serving node, or cdn -> viewers.")
    devices: dict[str, float] = Field(description="Kind of device -> viewers whose players report.")


class Share(BaseModel):
    """A part of what was watched."""

    name: str
    watch_s: float
    share: float = Field(description="0..1")


class WatchTime(BaseModel):
    """How long was watched. `total_s` of all; the rest of those who have left."""

    total_s: float
    mean_s: float | None
    p25_s: float | None
    p50_s: float | None
    p75_s: float | None
    p90_s: float | None


class StillThere(BaseModel):
    """Which part of all who came is still there."""

    after_s: float
    share: float = Field(description="0..1")


class Quality(BaseModel):
    """How well it was seen, as players and nodes report it."""

    startup_ms: Spread = Field(description="From the wish to watch to the first picture.")
    latency_ms: dict[str, Spread] = Field(description="Delivery -> from capture to picture.")
    stalls: int
    stalls_per_hour: float | None = Field(description="For each hour that was watched.")
    loss_ratio: float | None = Field(description="Of packets by WebRTC, mean over viewers.")
    bitrate_bps: float | None = Field(description="Mean of what players received.")


class Analytics(BaseModel):
    """Who watched a broadcast, how long, from where, how well. Percentiles are right within 4 %."""

    broadcast: str
    since: dt.datetime
    until: dt.datetime
    step_s: int
    live_s: float
    peak: int
    peak_at: dt.datetime | None = Field(description="The step with the most viewers at once.")
    joins: int
    returns: int = Field(description="Viewers that went on after they were taken for gone.")
    leaves: int
    watch: WatchTime
    quality: Quality
    deliveries: list[Share]
    regions: list[Share]
    countries: list[Share]
    devices: list[Share]
    still_there: list[StillThere]
    points: list[AnalyticsPoint]


def step_of(since: dt.datetime, until: dt.datetime, wanted_s: int | None, now: dt.datetime) -> int:
    """The length of a step in seconds: as wanted, else such that there are few enough. At least an hour where minutes are not kept."""
    least = HOUR_S if since < hour_of(now - MINUTES_KEPT) else MINUTE_S
    if wanted_s is not None:
        return max(least, wanted_s - wanted_s % MINUTE_S)
    span_s = (until - since).total_seconds()
    fits = (one for one in _STEPS_S if one >= least and span_s / one <= LEVEL_POINTS)
    return next(fits, _STEPS_S[-1])


class Sums:
    """Takes entries in the order in which they come, and tells the figures."""

    def __init__(self, step_s: int) -> None:
        self.step_s = step_s
        self._steps: dict[int, Tally] = {}
        self._total = Tally()

    def add(self, entry: Entry) -> None:
        """Counts an entry."""
        step = int(entry.at.timestamp()) // self.step_s
        self._steps.setdefault(step, Tally()).merge(entry.tally)
        self._total.merge(entry.tally)

    def figures(
        self, broadcast: str, since: dt.datetime, until: dt.datetime, watching_s: Iterable[float] = ()
    ) -> Analytics:
        """All of it. `watching_s`: how long each who is still there has watched."""
        total = self._total
        regions, devices = _largest(total.regions), _largest(total.devices)
        points = [
            _point(step * self.step_s, self._steps[step], regions, devices) for step in sorted(self._steps)
        ]
        top = max(points, key=lambda one: one.peak, default=None)
        here = list(watching_s)
        longest = max([*here, total.left.percentile(1.0) or 0.0], default=0.0)
        after = [moment for n, moment in enumerate(_AFTER_S) if n == 0 or _AFTER_S[n - 1] < longest]
        shares = still_there(total.left, here, after) if len(total.left) or here else []
        return Analytics(
            broadcast=broadcast,
            since=since,
            until=until,
            step_s=self.step_s,
            live_s=round(total.live_s, 1),
            peak=total.peak,
            peak_at=top.at if top is not None and top.peak else None,
            joins=total.joins,
            returns=total.returns,
            leaves=total.leaves,
            watch=_watch(total),
            quality=_quality(total),
            deliveries=_shares({"webrtc": total.webrtc_s, "hls": total.hls_s}),
            regions=_shares(total.regions),
            countries=_shares(total.countries),
            devices=_shares(total.devices),
            still_there=[
                StillThere(after_s=moment, share=round(share, 4))
                for moment, share in zip(after, shares, strict=False)
            ],
            points=points,
        )


def _point(at_s: int, tally: Tally, regions: frozenset[str], devices: frozenset[str]) -> AnalyticsPoint:
    seen_s = tally.seen_s

    def mean(value: float) -> float | None:
        return round(value / seen_s, 3) if seen_s > 0 else None

    latency = Sketch()
    latency.merge(tally.webrtc_ms)
    latency.merge(tally.hls_ms)
    middle = latency.percentile(0.5)
    return AnalyticsPoint(
        at=dt.datetime.fromtimestamp(at_s, dt.UTC),
        viewers=mean(tally.webrtc_s + tally.hls_s),
        peak=tally.peak,
        webrtc=mean(tally.webrtc_s),
        hls=mean(tally.hls_s),
        interactive=mean(tally.interactive_s),
        joins=tally.joins,
        leaves=tally.leaves,
        watch_s=round(tally.watch_s, 1),
        stalls=tally.stalls,
        latency_ms=None if middle is None else round(middle, 1),
        loss_ratio=round(tally.lost_s / tally.webrtc_s, 5) if tally.webrtc_s > 0 else None,
        ingest_bps=mean(tally.ingest_bits),
        egress_bps=mean(tally.egress_bits),
        regions=_viewers(tally.regions, regions, seen_s),
        devices=_viewers(tally.devices, devices, seen_s),
    )


def _largest(seconds: Seconds) -> frozenset[str]:
    return frozenset(name for name, _ in Counter(seconds).most_common(_LARGEST) if name != OTHER)


def _viewers(seconds: Seconds, largest: frozenset[str], seen_s: float) -> dict[str, float]:
    if seen_s <= 0:
        return {}
    found: dict[str, float] = {}
    for name, value in seconds.items():
        kind = name if name in largest else OTHER
        found[kind] = found.get(kind, 0.0) + value / seen_s
    return {name: round(value, 3) for name, value in sorted(found.items())}


def _shares(seconds: Mapping[str, float]) -> list[Share]:
    whole = sum(seconds.values())
    if whole <= 0:
        return []
    return [
        Share(name=name, watch_s=round(value, 1), share=round(value / whole, 4))
        for name, value in Counter(seconds).most_common(_SHARES)
        if value > 0
    ]


def _watch(total: Tally) -> WatchTime:
    def at(share: float) -> float | None:
        value = total.left.percentile(share)
        return None if value is None else round(value, 1)

    return WatchTime(
        total_s=round(total.watch_s, 1),
        mean_s=round(total.left_s / total.leaves, 1) if total.leaves else None,
        p25_s=at(0.25),
        p50_s=at(0.5),
        p75_s=at(0.75),
        p90_s=at(0.9),
    )


def _quality(total: Tally) -> Quality:
    latency = {"webrtc": total.webrtc_ms, "hls": total.hls_ms}
    return Quality(
        startup_ms=Spread.of(total.startup_ms),
        latency_ms={way: Spread.of(sketch) for way, sketch in latency.items() if len(sketch)},
        stalls=total.stalls,
        stalls_per_hour=round(total.stalls / total.watch_s * 3600, 3) if total.watch_s > 0 else None,
        loss_ratio=round(total.lost_s / total.webrtc_s, 5) if total.webrtc_s > 0 else None,
        bitrate_bps=round(total.bits / total.bits_n) if total.bits_n else None,
    )


_COLUMNS = (
    "at", "viewers", "peak", "webrtc", "hls", "interactive", "joins", "leaves", "watch_s", "stalls", "latency_ms", "loss_ratio",
    "ingest_bps", "egress_bps",
)  # fmt: skip


def as_csv(told: Analytics) -> str:
    """The points as a table (RFC 4180): a line for each, a column more for each region and device."""
    regions = sorted({name for point in told.points for name in point.regions})
    devices = sorted({name for point in told.points for name in point.devices})
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(
        [*_COLUMNS, *(f"region {name}" for name in regions), *(f"device {name}" for name in devices)]
    )
    for point in told.points:
        facts = point.model_dump(mode="json")
        writer.writerow(
            [
                *(facts[name] for name in _COLUMNS),
                *(point.regions.get(name, 0) for name in regions),
                *(point.devices.get(name, 0) for name in devices),
            ]
        )
    return table.getvalue()
