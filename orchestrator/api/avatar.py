"""Talking to the avatar of a broadcast: forwarded to the origin that runs it."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from common.auth import Audience
from common.directory import Line
from common.errors import Conflict, Forbidden, Unavailable
from common.http import read_model
from common.ids import new_id
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import Access, Context, Handler, Route, context, json
from orchestrator.api.watching import Id
from orchestrator.broadcasts import Broadcast
from orchestrator.nodes import Node

TAG = "Avatar"


class Words(BaseModel):
    """What is said to the avatar, or by it."""

    text: str = Field(min_length=1, max_length=2000)


class SayRequest(Words):
    """A line."""

    now: bool = Field(
        False, description="Said at once: it ends the line that is being spoken, what waits comes after it."
    )


class Taken(BaseModel):
    """The origin has taken it; what else it says is passed on."""

    model_config = ConfigDict(extra="allow")

    broadcast: str
    origin: str


class EarRequest(BaseModel):
    """Who wants to be heard."""

    viewer: Id | None = Field(None, description="The id from the answer of /play; made when missing.")


class EarGrant(BaseModel):
    """Where the avatar's ear is."""

    whip: str = Field(
        description="POST an offer with one audio track here; a data channel `ears` tells what is understood."
    )
    token: str = Field(description="Send it with the offer.")
    viewer: str
    expires_s: int = Field(description="Seconds for which the token opens ears.")


def origin_of(at: Context, broadcast: Broadcast) -> Node:
    """The origin that runs the avatar of a broadcast. Raises Conflict when it has none, Unavailable when nobody runs it."""
    if broadcast.avatar is None:
        raise Conflict(f"the broadcast {broadcast.id!r} has no avatar", code="no_avatar")
    origin = at.hub.origin_of(broadcast.id)
    if origin is None:
        raise Unavailable("no origin runs its avatar", code="no_node", retry_after_s=2)
    return origin


async def grant_ear(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    limited = at.require_talk(request, broadcast)
    asked = await read_model(request, EarRequest)
    if limited:
        await at.limits.hit("talk", broadcast.id, address=at.address(request))
    origin = origin_of(at, broadcast)
    viewer = asked.viewer or new_id("v")
    return json(
        EarGrant(
            whip=at.reach(request, f"{origin.report.url.rstrip('/')}/ears/{broadcast.id}"),
            token=at.tokens.issue(Audience.EAR, f"{broadcast.id}/{viewer}", ttl_s=_EAR_TOKEN_S),
            viewer=viewer,
            expires_s=int(_EAR_TOKEN_S),
        )
    )


def _forward(verb: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        at = context(request)
        broadcast = at.broadcast(request)
        limited = at.require_talk(request, broadcast)
        if limited and broadcast.moderated and verb != "ask":
            raise Forbidden(
                f"a host moderates {broadcast.id!r}: visitors ask, the host decides what is said",
                code="moderated",
                hint="POST the question to .../ask, or send the publisher token",
            )
        said = (
            SayRequest(text="-")
            if verb == "interrupt"
            else await read_model(request, SayRequest if verb == "say" else Words)
        )
        address = at.address(request)
        if limited:
            await at.limits.hit("talk", broadcast.id, address=address)
        origin = origin_of(at, broadcast)
        line = Line(broadcast=broadcast.id, text=said.text, now=isinstance(said, SayRequest) and said.now)
        told = await at.outreach.send_order(origin, verb, line)
        return json(Taken(**{**told, "broadcast": broadcast.id, "origin": origin.id}), status=202)

    return handler


say, ask, interrupt = (_forward(verb) for verb in ("say", "ask", "interrupt"))
"""Handlers."""

_EAR_TOKEN_S = 300.0
"""An ear that was opened in time stays open for as long as its viewer stays."""

_PROBLEMS = ("no_avatar", "no_node", "origin_unreachable", "talk_limit")

ROUTES = (
    Route(
        "POST", f"{ONE}/say", say, "The avatar says these words", TAG, Access.TALK,
        body=SayRequest, answer=Taken, status=202, once=True, problems=(*_PROBLEMS, "moderated"),
    ),
    Route(
        "POST", f"{ONE}/ask", ask, "The avatar answers, aloud", TAG, Access.TALK,
        body=Words, answer=Taken, status=202, once=True, problems=_PROBLEMS,
    ),
    Route(
        "POST", f"{ONE}/interrupt", interrupt, "The avatar stops talking", TAG, Access.TALK,
        answer=Taken, status=202, problems=(*_PROBLEMS, "moderated"),
    ),
    Route(
        "POST", f"{ONE}/ears", grant_ear, "Where a viewer's microphone goes, so that the avatar hears it", TAG, Access.TALK,
        body=EarRequest, answer=EarGrant, problems=("no_avatar", "no_node", "talk_limit"),
    ),
)  # fmt: skip
