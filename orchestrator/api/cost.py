"""/api/cost: the cheapest machines for the avatars, and what streams, sessions, broadcasts and films cost."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field

from common.errors import BadRequest
from orchestrator.api.route import Access, Query, Route, context, json, read_query
from orchestrator.cost.bill import USER_MONTH_TARGET, Audience, broadcast, session, user_month, videos
from orchestrator.cost.costs import expected_avatars
from orchestrator.cost.mix import MOST_HOURS, MOST_STREAMS, NoMix
from orchestrator.keys import Scope

TAG = "Cost"
_MOST_LISTENERS = 1_000_000
_CURVE = 40
"""Points of the plot, beside the first."""
VIDEOS = 1000


def _numbers(text: str, count: int, most: int) -> list[int]:
    parts = [one.strip() for one in text.split(",") if one.strip()]
    if len(parts) > count or not all(
        one.isascii() and one.isdigit() and int(one[:12]) <= most for one in parts
    ):
        raise ValueError(f"up to {count} whole numbers from 0 to {most:,}, comma separated")
    return [int(one) for one in parts]


def _listeners(text: str) -> str:
    if not _numbers(text, 8, _MOST_LISTENERS):
        raise ValueError("at least one number of listeners")
    return text


def _demand(text: str) -> str:
    _numbers(text, MOST_HOURS, MOST_STREAMS)
    return text


class CostQuery(Query):
    """Of what."""

    listeners: Annotated[str, AfterValidator(_listeners)] = Field(
        "50,200,1000", max_length=80, description="Sizes of a broadcast's audience, comma separated."
    )
    hours: float = Field(1.0, gt=0, le=720, allow_inf_nan=False, description="Length of the broadcast.")
    interactive: float = Field(
        0.1, ge=0, le=1, allow_inf_nan=False, description="Part of its listeners that takes part."
    )
    kbps: int = Field(1600, ge=1, le=100_000, description="Rate that a listener is sent, in kbit/s.")
    demand: Annotated[str, AfterValidator(_demand)] = Field(
        "",
        max_length=400,
        description="Avatars at once, hour by hour, comma separated; what the pools expect when empty.",
    )
    spot_share: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="Most of the avatars on spot machines."
    )
    minutes: float = Field(10.0, gt=0, le=1440, allow_inf_nan=False, description="Length of a session.")
    seconds: float = Field(60.0, gt=0, le=3600, allow_inf_nan=False, description="Length of a film.")


class PartView(BaseModel):
    """Machines of one kind."""

    type: str
    spot: bool
    count: int
    streams: int = Field(description="Avatars that one carries.")
    hour: float = Field(description="Price of one for an hour.")


class MixView(BaseModel):
    """The cheapest machines, hour by hour."""

    demand: list[int]
    hours: list[list[PartView]]
    cost: float = Field(description="Of all hours, with the time in which machines start.")
    starts_cost: float
    exact: bool = Field(
        description="Nothing is cheaper. False: at most `gap` could be, the solver ran out of time."
    )
    gap: float
    stream_hour: float = Field(description="Cost of an avatar for an hour: `cost` by what is demanded.")
    place_hour: float = Field(description="Cost of a place for an hour: `cost` by what is paid for.")


class BillView(BaseModel):
    """What a broadcast costs, by its parts."""

    listeners: int
    webrtc: int
    hls: int
    avatar: float
    compute: float = Field(description="Relays.")
    egress: float = Field(description="Traffic to viewers by WebRTC.")
    cdn: float = Field(description="Traffic and requests of viewers by HLS.")
    total: float
    listener: float = Field(description="total / listeners")


class Cost(BaseModel):
    """Costs in `currency`, by list prices of `date`."""

    date: dt.date
    currency: str
    region: str
    sources: list[str]
    mix: MixView
    spot: dict[str, float] = Field(description="Spot prices an hour; empty when they are not read.")
    spot_trouble: str | None
    session: float = Field(description="One viewer with an avatar of its own for `minutes`.")
    user_month: float = Field(description="A concurrent user for a month who talks for an hour a day.")
    user_month_target: float
    videos: float = Field(
        description="1,000 films of `seconds`, drawn in real time, kept for a month, sent once."
    )
    broadcasts: list[BillView]
    curve: list[BillView] = Field(description="For a plot: from no listener to the most that was asked for.")


async def _read(request: web.Request) -> web.Response:
    at, asked = context(request), read_query(request, CostQuery)
    prices, policy = at.costs.prices, at.hub.policy
    demand = _numbers(asked.demand, MOST_HOURS, MOST_STREAMS) or [expected_avatars(at.scaler.pools.values())]
    try:
        mix = await at.costs.mix(demand, asked.spot_share)
    except NoMix as error:
        raise BadRequest(str(error), status=422, code="no_mix") from None
    stream_hour = mix.cost / max(1, sum(demand))

    def bill(listeners: int) -> BillView:
        scaling = policy.scaling_enabled
        found = broadcast(
            prices,
            stream_hour,
            Audience(
                listeners,
                asked.hours,
                asked.interactive,
                asked.kbps,
                hls_above=policy.hls_above if scaling and policy.hls_enabled else _MOST_LISTENERS,
                relay_above=policy.relay_above if scaling and policy.relays_enabled else _MOST_LISTENERS,
            ),
        )
        facts = dataclasses.asdict(found)
        return BillView(**facts, total=found.total, listener=found.total / max(1, listeners))

    sizes = _numbers(asked.listeners, 8, _MOST_LISTENERS)
    most = max(sizes)
    # Both sides of the step at which HLS goes on are points of the plot.
    points = {round(most * index / _CURVE) for index in range(_CURVE + 1)}
    points |= {one for one in (policy.hls_above, policy.hls_above + 1) if one <= most}
    return json(
        Cost(
            date=prices.date,
            currency=prices.currency,
            region=prices.region,
            sources=list(prices.sources),
            mix=MixView(
                demand=demand,
                hours=[[PartView(**dataclasses.asdict(part)) for part in parts] for parts in mix.hours],
                cost=mix.cost,
                starts_cost=mix.starts_cost,
                exact=mix.exact,
                gap=mix.gap,
                stream_hour=stream_hour,
                place_hour=mix.stream_hour,
            ),
            spot=await at.costs.spot() if asked.spot_share > 0 else {},
            spot_trouble=at.costs.spot_trouble,
            session=session(prices, stream_hour, asked.minutes, asked.kbps),
            user_month=user_month(prices, mix.stream_hour, 1.0, asked.kbps),
            user_month_target=USER_MONTH_TARGET,
            videos=videos(prices, mix.stream_hour, VIDEOS, asked.seconds, 1.0, asked.kbps),
            broadcasts=[bill(one) for one in sizes],
            curve=[bill(one) for one in sorted(points)],
        )
    )


ROUTES = (
    Route(
        "GET", "/api/cost", _read, "The cheapest machines, and what streams, sessions, broadcasts and films cost", TAG,
        Access.ADMIN, answer=Cost, query=CostQuery, problems=("no_mix",), scope=Scope.READ, name="cost_read",
    ),
)  # fmt: skip
