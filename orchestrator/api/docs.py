"""The OpenAPI document and its page: Swagger UI, served from files that ship with us."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from common import policy
from common.errors import NotFound
from orchestrator.api.route import Route
from orchestrator.openapi import document

TAG = "About this API"
DOCUMENT = web.AppKey("openapi", dict)
_UI = Path(__file__).resolve().parent.parent / "assets" / "node_modules" / "swagger-ui-dist"
_FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Avacast API</title>
<link rel="stylesheet" href="docs/swagger-ui.css"><link rel="icon" href="docs/favicon-32x32.png">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>SwaggerUIBundle({url: "api/openapi.json", dom_id: "#ui", deepLinking: true, persistAuthorization: true})</script>
</body>
</html>
"""


_POLICY = policy.page(_PAGE)


def describe(app: web.Application, routes: Sequence[Route]) -> None:
    """Makes the document of these routes, for the handlers below."""
    app[DOCUMENT] = document(routes)


async def _document(request: web.Request) -> web.Response:
    return web.json_response(request.config_dict[DOCUMENT])


async def _page(_request: web.Request) -> web.Response:
    return web.Response(text=_PAGE, content_type="text/html", headers={"Content-Security-Policy": _POLICY})


async def _file(request: web.Request) -> web.FileResponse:
    name = request.match_info["name"]
    if name not in _FILES or not (_UI / name).is_file():
        raise NotFound(
            f"there is no file {name!r} here", hint="the page's files are missing: run `make build`"
        )
    return web.FileResponse(_UI / name, headers={"Cache-Control": "public, max-age=86400"})


ROUTES = (
    Route(
        "GET",
        "/api/openapi.json",
        _document,
        "This document (OpenAPI 3.1)",
        TAG,
        answer="application/json",
        name="about_openapi",
    ),
    Route("GET", "/docs", _page, "A page to read and try it", TAG, answer="text/html", name="about_docs"),
    Route(
        "GET",
        "/docs/{name}",
        _file,
        "Files of that page",
        TAG,
        answer="*/*",
        name="about_docs_file",
    ),
)
