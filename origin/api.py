"""What the orchestrator tells an origin: a line to say, a question to answer, silence, what a host does. Node tokens only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from common.desk import MOST_CARRIED_BYTES, Carried, DeskOrder
from common.dialogue import DialogueQuery, Dialogues
from common.directory import Line
from common.errors import BadRequest
from common.http import read_model
from origin.avatars import Avatars

Handler = Callable[[web.Request], Awaitable[web.Response]]


def routes(avatars: Avatars, check: Callable[[web.Request], None]) -> list[web.RouteDef]:
    """`POST api/v1/node/say|ask|interrupt` with a Line; 202 with what became of it. `POST api/v1/node/desk[/approve|drop|play|stop]` with
    a DeskOrder; 200 with the Desk. `POST api/v1/node/desk/give` with a DeskOrder; 200 with what is Carried; `POST api/v1/node/desk/take`
    with that, at another origin. `POST api/v1/node/dialogues` with a DialogueQuery; 200 with Dialogues. `check` raises unless a request is
    an orchestrator's."""

    async def say(request: web.Request) -> web.Response:
        check(request)
        line = await read_model(request, Line)
        waiting = avatars.say(line.broadcast, line.text, now=line.now)
        return web.json_response({"waiting": waiting}, status=202)

    async def ask(request: web.Request) -> web.Response:
        check(request)
        line = await read_model(request, Line)
        waiting = avatars.ask(line.broadcast, line.text, line.asker)
        told: dict[str, int | bool] = (
            {"held": True} if waiting is None else {"waiting": waiting, "held": False}
        )
        return web.json_response(told, status=202)

    async def interrupt(request: web.Request) -> web.Response:
        check(request)
        line = await read_model(request, Line)
        return web.json_response({"heard": avatars.interrupt(line.broadcast)}, status=202)

    def desk(act: Callable[[DeskOrder], None]) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            check(request)
            order = await read_model(request, DeskOrder)
            act(order)
            desk = avatars.avatar(order.broadcast).conversation.desk
            return web.Response(body=desk.model_dump_json().encode(), content_type="application/json")

        return handler

    def look(order: DeskOrder) -> None:
        """Nothing changes."""

    def approve(order: DeskOrder) -> None:
        avatars.approve(order.broadcast, _number(order))

    def drop(order: DeskOrder) -> None:
        avatars.drop(order.broadcast, _number(order))

    def play(order: DeskOrder) -> None:
        avatars.avatar(order.broadcast).conversation.play(order.cues)

    def stop(order: DeskOrder) -> None:
        avatars.avatar(order.broadcast).conversation.end_script()

    async def give(request: web.Request) -> web.Response:
        check(request)
        order = await read_model(request, DeskOrder)
        carried = avatars.avatar(order.broadcast).conversation.give_away()
        return web.Response(body=carried.model_dump_json().encode(), content_type="application/json")

    async def take(request: web.Request) -> web.Response:
        check(request)
        carried = await read_model(request, Carried, MOST_CARRIED_BYTES)
        avatars.avatar(carried.broadcast).conversation.take_over(carried)
        return web.Response(status=204)

    async def dialogues(request: web.Request) -> web.Response:
        check(request)
        query = await read_model(request, DialogueQuery)
        told = Dialogues(dialogues=avatars.dialogues(query.known))
        return web.Response(body=told.model_dump_json().encode(), content_type="application/json")

    return [
        web.post("/api/v1/node/dialogues", dialogues),
        web.post("/api/v1/node/say", say),
        web.post("/api/v1/node/ask", ask),
        web.post("/api/v1/node/interrupt", interrupt),
        web.post("/api/v1/node/desk", desk(look)),
        web.post("/api/v1/node/desk/approve", desk(approve)),
        web.post("/api/v1/node/desk/drop", desk(drop)),
        web.post("/api/v1/node/desk/play", desk(play)),
        web.post("/api/v1/node/desk/stop", desk(stop)),
        web.post("/api/v1/node/desk/give", give),
        web.post("/api/v1/node/desk/take", take),
    ]


def _number(order: DeskOrder) -> int:
    if order.number is None:
        raise BadRequest("number: the line's number is missing", status=422)
    return order.number
