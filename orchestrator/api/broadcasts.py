"""/api/broadcasts: make, list, read, end; tokens for those who publish and watch."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from common.auth import MOST_TOKEN_S, Audience
from common.http import read_model
from orchestrator.api.paging import Page, json_page, page_of
from orchestrator.api.route import Access, Context, Route, context, json, read_query
from orchestrator.broadcasts import Broadcast, Changes, NewBroadcast
from orchestrator.delivery import Stage
from orchestrator.keys import Scope

TAG = "Broadcasts"
PUBLISHER_TOKEN_S = 30 * 86400.0


class BroadcastState(BaseModel):
    """A broadcast and how it is now."""

    id: str
    title: str
    public: bool
    avatar: str | None
    persona: str | None = Field(description="Told to operators only.")
    open_mic: bool
    moderated: bool
    webrtc_only: bool
    created_at: dt.datetime
    live: bool = Field(description="Media is flowing on its origin.")
    stage: Stage
    mode: str = Field(description="How a passive viewer that comes now watches: webrtc or hls.")
    viewers: int
    origin: str | None = Field(description="The node that runs it.")
    whip: str = Field(description="Publish here.")
    whep: str = Field(description="Any WHEP player may watch here; it is redirected to the best node.")
    play: str = Field(description="Our player asks here how to watch.")
    hls: str | None = Field(description="The multivariant playlist, null while it is not packaged.")


class CreatedBroadcast(BroadcastState):
    """A new broadcast, with the token to publish to it."""

    token: str = Field(description="Publisher token; valid for 30 days.")


class BroadcastList(BaseModel):
    """A page of broadcasts, by id."""

    broadcasts: list[BroadcastState]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class TokenRequest(BaseModel):
    """Which token."""

    model_config = ConfigDict(strict=True)

    audience: Literal["viewer", "publisher"] = Field("viewer", description="What it allows.")
    ttl_s: float = Field(3600, ge=1, le=MOST_TOKEN_S, description="Seconds that it is valid.")


class Token(BaseModel):
    """A token for one broadcast."""

    token: str
    audience: str
    broadcast: str
    expires_at: dt.datetime


def describe(at: Context, request: web.Request, broadcast: Broadcast) -> BroadcastState:
    """The broadcast as this caller may see it."""
    hub, base = at.hub, at.base(request)
    state = hub.delivery(broadcast.id)
    origin = hub.origin_of(broadcast.id)
    hls = hub.hls_url(broadcast.id)
    return BroadcastState(
        **broadcast.model_dump(exclude={"persona"}),
        persona=broadcast.persona if at.is_admin(request) else None,
        live=hub.live(broadcast.id),
        stage=state.stage,
        mode=state.mode,
        viewers=hub.audience(broadcast.id).total,
        origin=origin.id if origin is not None else None,
        whip=f"{base}/whip/{broadcast.id}",
        whep=f"{base}/whep/{broadcast.id}",
        play=f"{base}/api/broadcasts/{broadcast.id}/play",
        hls=at.reach(request, hls) if hls is not None else None,
    )


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, Page)
    all_of_them = at.is_admin(request)
    shown = (one for one in at.hub.broadcasts if (one.public or all_of_them) and at.sees(request, one.id))
    found, after = page_of(shown, page, lambda one: one.id)
    told = BroadcastList(broadcasts=[describe(at, request, one) for one in found], next=after)
    return json_page(request, told, after)


async def _create(request: web.Request) -> web.Response:
    at = context(request)
    new = await read_model(request, NewBroadcast)
    at.require_seen(request, new.id or "")
    broadcast = await at.hub.create(new)
    token = at.tokens.issue(Audience.PUBLISHER, broadcast.id, ttl_s=PUBLISHER_TOKEN_S)
    facts = describe(at, request, broadcast).model_dump()
    location = f"{at.base(request)}/api/broadcasts/{broadcast.id}"
    return json(CreatedBroadcast(**facts, token=token), status=201, headers={"Location": location})


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    at.require_watch(request, broadcast)
    return json(describe(at, request, broadcast))


async def _change(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    at.require_publisher(request, broadcast)
    changed = await at.hub.change(broadcast.id, await read_model(request, Changes))
    return json(describe(at, request, changed))


async def _end(request: web.Request) -> web.Response:
    at = context(request)
    await at.hub.end(at.broadcast(request).id)
    return web.Response(status=204)


async def _token(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    wanted = await read_model(request, TokenRequest)
    token = at.tokens.issue(Audience(wanted.audience), broadcast.id, ttl_s=wanted.ttl_s)
    expires = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=wanted.ttl_s)
    return json(
        Token(token=token, audience=wanted.audience, broadcast=broadcast.id, expires_at=expires), status=201
    )


ONE = "/api/broadcasts/{broadcast}"

ROUTES = (
    Route(
        "GET", "/api/broadcasts", _list, "List broadcasts: the public ones, or (operators) all", TAG,
        answer=BroadcastList, query=Page,
    ),
    Route(
        "POST", "/api/broadcasts", _create, "Make a broadcast", TAG, Access.ADMIN,
        body=NewBroadcast, answer=CreatedBroadcast, status=201, once=True, problems=("broadcast_exists",),
        scope=Scope.BROADCASTS, limit="make",
    ),
    Route("GET", ONE, _read, "A broadcast and how it is now", TAG, Access.WATCH, answer=BroadcastState),
    Route(
        "PATCH", ONE, _change, "Change its title, who may talk to its avatar, whether a host moderates", TAG, Access.PUBLISHER,
        body=Changes, answer=BroadcastState,
    ),
    Route("DELETE", ONE, _end, "End a broadcast for good", TAG, Access.ADMIN, status=204, scope=Scope.BROADCASTS, name="broadcasts_end"),
    Route(
        "POST", f"{ONE}/tokens", _token, "A token to watch it or to publish to it", TAG, Access.ADMIN,
        body=TokenRequest, answer=Token, status=201, once=True, scope=Scope.BROADCASTS, name="broadcasts_create_token",
    ),
)  # fmt: skip
