"""A host's desk: what the avatar says and what waits, questions approved or dropped, a script played at its times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from common.desk import Cues, Desk, DeskOrder
from common.errors import NotFound
from common.http import read_model
from orchestrator.api.avatar import origin_of
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import Access, Handler, Route, context, json
from orchestrator.keys import Scope

TAG = "Avatar"
_MOST_DIGITS = 15


def _act(verb: str, read: Callable[[web.Request, str], Awaitable[DeskOrder]]) -> Handler:
    """A handler that passes the order which `read` makes to the origin, and answers with the desk as it is then."""

    async def handler(request: web.Request) -> web.Response:
        at = context(request)
        broadcast = at.broadcast(request)
        at.require_publisher(request, broadcast)
        order = await read(request, broadcast.id)
        told = await at.outreach.send_order(origin_of(at, broadcast), f"desk{verb}", order)
        return json(Desk.model_validate(told))

    return handler


async def _whole(_request: web.Request, broadcast: str) -> DeskOrder:
    return DeskOrder(broadcast=broadcast)


async def _line(request: web.Request, broadcast: str) -> DeskOrder:
    number = request.match_info["line"]
    if not (number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS and int(number)):
        raise NotFound(f"no line {number[:20]!r} waits: a line's number is on the desk", code="line_unknown")
    return DeskOrder(broadcast=broadcast, number=int(number))


async def _script(request: web.Request, broadcast: str) -> DeskOrder:
    return DeskOrder(broadcast=broadcast, cues=(await read_model(request, Cues)).cues)


_PROBLEMS = ("no_avatar", "no_node", "origin_unreachable")

ROUTES = (
    Route(
        "GET", f"{ONE}/desk", _act("", _whole), "What the avatar says, what waits, and the script", TAG, Access.PUBLISHER,
        answer=Desk, scope=Scope.SPEAK, problems=_PROBLEMS,
    ),
    Route(
        "POST", f"{ONE}/desk/lines/{{line}}/approve", _act("/approve", _line), "A held question is answered in its turn", TAG,
        Access.PUBLISHER, answer=Desk, scope=Scope.SPEAK, problems=(*_PROBLEMS, "line_unknown", "avatar_busy"),
        name="broadcasts_approve_line",
    ),
    Route(
        "DELETE", f"{ONE}/desk/lines/{{line}}", _act("/drop", _line), "A line or a question that waits is dropped", TAG,
        Access.PUBLISHER, answer=Desk, scope=Scope.SPEAK, problems=(*_PROBLEMS, "line_unknown"), name="broadcasts_drop_line",
    ),
    Route(
        "PUT", f"{ONE}/desk/script", _act("/play", _script), "A script is played: its lines at their times, questions between them", TAG,
        Access.PUBLISHER, body=Cues, answer=Desk, scope=Scope.SPEAK, problems=_PROBLEMS, name="broadcasts_play_script",
    ),
    Route(
        "DELETE", f"{ONE}/desk/script", _act("/stop", _whole), "The script ends; the line that is being spoken does not", TAG,
        Access.PUBLISHER, answer=Desk, scope=Scope.SPEAK, problems=_PROBLEMS, name="broadcasts_stop_script",
    ),
)  # fmt: skip
