"""Talking to the avatar of a broadcast: forwarded to the origin that runs it."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from common.directory import Line
from common.errors import Conflict, Unavailable
from common.http import read_model
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import Access, Handler, Route, context, json

TAG = "Avatar"


class Words(BaseModel):
    """What is said to the avatar, or by it."""

    text: str = Field(min_length=1, max_length=2000)


class Taken(BaseModel):
    """The origin has taken it; what else it says is passed on."""

    model_config = ConfigDict(extra="allow")

    broadcast: str
    origin: str


def _forward(verb: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        at = context(request)
        broadcast = at.broadcast(request)
        limited = at.require_talk(request, broadcast)
        text = "-" if verb == "interrupt" else (await read_model(request, Words)).text
        address = at.address(request)
        if limited:
            await at.limits.hit("talk", broadcast.id, address=address)
        if broadcast.avatar is None:
            raise Conflict(f"the broadcast {broadcast.id!r} has no avatar", code="no_avatar")
        origin = at.hub.origin_of(broadcast.id)
        if origin is None:
            raise Unavailable("no origin runs its avatar", code="no_node", retry_after_s=2)
        told = await at.outreach.send_line(origin, verb, Line(broadcast=broadcast.id, text=text))
        return json(Taken(**{**told, "broadcast": broadcast.id, "origin": origin.id}), status=202)

    return handler


_PROBLEMS = ("no_avatar", "no_node", "origin_unreachable", "talk_limit")

ROUTES = (
    Route(
        "POST", f"{ONE}/say", _forward("say"), "The avatar says these words", TAG, Access.TALK,
        body=Words, answer=Taken, status=202, problems=_PROBLEMS,
    ),
    Route(
        "POST", f"{ONE}/ask", _forward("ask"), "The avatar answers, aloud", TAG, Access.TALK,
        body=Words, answer=Taken, status=202, problems=_PROBLEMS,
    ),
    Route(
        "POST", f"{ONE}/interrupt", _forward("interrupt"), "The avatar stops talking", TAG, Access.TALK,
        answer=Taken, status=202, problems=_PROBLEMS,
    ),
)  # fmt: skip
