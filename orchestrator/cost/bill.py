"""Bills: what an hour of a stream, a session, a broadcast or a film costs, by its parts. Pure.

A broadcast is an avatar's stream, viewers by WebRTC (egress of the origin and relays, and the relays themselves above the threshold)
and viewers by HLS (CDN traffic and requests), divided as delivery.py divides them: up to the threshold all by WebRTC, above it only those
who take part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from orchestrator.cost.prices import Prices

MONTH_H = 730.0
_GB = 1e9
USER_MONTH_TARGET = 26.0
"""A concurrent user for a month shall cost less (USD)."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches for how long, of what. Rates in kbit/s."""

    listeners: int
    hours: float = 1.0
    interactive: float = 0.1
    """Part of them that takes part, and stays on WebRTC."""
    kbps: int = 1600
    part_s: float = 0.32
    """Length of an LL-HLS part: a player asks for each, and for the playlist that names it."""
    hls_above: int = 100
    relay_above: int = 200
    avatar: bool = True


@dataclass(frozen=True, slots=True)
class Bill:
    """Of one broadcast, in the prices' currency."""

    listeners: int
    webrtc: int
    hls: int
    avatar: float
    compute: float
    egress: float
    cdn: float

    @property
    def total(self) -> float:
        return self.avatar + self.compute + self.egress + self.cdn


def broadcast(prices: Prices, stream_hour: float, audience: Audience) -> Bill:
    """What a broadcast costs. `stream_hour`: of its avatar."""
    listeners, hours = audience.listeners, audience.hours
    webrtc = listeners
    if listeners > audience.hls_above:
        webrtc = round(listeners * audience.interactive)
    hls = listeners - webrtc
    gb = audience.kbps * 1000 / 8 * 3600 * hours / _GB
    relays = math.ceil(webrtc / prices.relay.viewers) if webrtc > audience.relay_above else 0
    requests = 2 * hls * hours * 3600 / audience.part_s
    return Bill(
        listeners,
        webrtc,
        hls,
        avatar=stream_hour * hours if audience.avatar else 0.0,
        compute=relays * prices.relay.hour * hours,
        egress=prices.egress.cost(gb * webrtc),
        cdn=prices.cdn.cost(gb * hls) + requests / 10_000 * prices.cdn.requests_10k,
    )


def session(prices: Prices, stream_hour: float, minutes: float, kbps: int = 1600) -> float:
    """An interactive session of one viewer: its avatar, and its egress at the first step's price."""
    hours = minutes / 60
    return stream_hour * hours + prices.egress.cost(kbps * 1000 / 8 * 3600 * hours / _GB)


def user_month(prices: Prices, stream_hour: float, hours_a_day: float, kbps: int = 1600) -> float:
    """A concurrent user for a month who has an avatar for so many hours a day."""
    return session(prices, stream_hour, 60.0, kbps) * hours_a_day * MONTH_H / 24


def videos(
    prices: Prices, stream_hour: float, count: int, seconds: float, pace: float, kbps: int = 1600
) -> float:
    """So many films of so many seconds, drawn at `pace` times real time on one stream's share, kept for a month and sent once."""
    gb = count * kbps * 1000 / 8 * seconds / _GB
    drawing = count * seconds / pace / 3600 * stream_hour
    return drawing + gb * prices.storage.gb_month + prices.egress.cost(gb)
