"""What the orchestrator tells an origin: a line to say, a question to answer, silence. Node tokens only."""

from __future__ import annotations

from aiohttp import web

from common.auth import Audience, Tokens, bearer
from common.directory import Line
from common.http import read_model
from origin.avatars import Avatars


def routes(avatars: Avatars, tokens: Tokens) -> list[web.RouteDef]:
    """`POST api/v1/node/say|ask|interrupt` with a Line; 202 with what became of it."""

    def check(request: web.Request) -> None:
        tokens.verify(bearer(request.headers.get("Authorization")), Audience.NODE)

    async def say(request: web.Request) -> web.Response:
        check(request)
        line = await read_model(request, Line)
        waiting = avatars.say(line.broadcast, line.text)
        return web.json_response({"waiting": waiting}, status=202)

    async def ask(request: web.Request) -> web.Response:
        check(request)
        line = await read_model(request, Line)
        waiting = avatars.ask(line.broadcast, line.text, line.asker)
        return web.json_response({"waiting": waiting}, status=202)

    async def interrupt(request: web.Request) -> web.Response:
        check(request)
        line = await read_model(request, Line)
        return web.json_response({"heard": avatars.interrupt(line.broadcast)}, status=202)

    return [
        web.post("/api/v1/node/say", say),
        web.post("/api/v1/node/ask", ask),
        web.post("/api/v1/node/interrupt", interrupt),
    ]
