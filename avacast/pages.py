"""The web pages: built files of web/dist, served beside the orchestrator's API with lifetimes that fit them."""

from __future__ import annotations

import os
from pathlib import Path

from aiohttp import web

from common import policy
from common.errors import NotFound

_PAGES = {
    "/": "index.html",
    "/console": "console.html",
    "/camera": "camera.html",
    "/watch/{broadcast}": "watch.html",
}
_FRAMED = frozenset({"watch.html"})
"""Nothing can be done on it that a frame around it could trick a person into."""
_HASHED = "public, max-age=31536000, immutable"
_FRESH = "no-cache"


def folder() -> Path:
    """Where the built pages are: AVACAST_PAGES, else web/dist of the checkout."""
    return Path(os.environ.get("AVACAST_PAGES") or Path(__file__).resolve().parent.parent / "web" / "dist")


def add_pages(app: web.Application, dist: Path | None = None) -> bool:
    """Adds the pages to `app`. Returns False, and adds a page that says what to do, when they are not built."""
    root = (dist or folder()).resolve()
    if not (root / "index.html").exists():

        async def unbuilt(_request: web.Request) -> web.Response:
            raise NotFound("the web pages are not built", code="pages_missing", hint="run: make build")

        for path in _PAGES:
            app.router.add_get(path, unbuilt)
        return False

    def page(name: str) -> None:
        text = (root / name).read_text()
        headers = {
            "Cache-Control": _FRESH,
            "Content-Security-Policy": policy.page(text, framed=name in _FRAMED, elsewhere=True),
        }

        async def serve(_request: web.Request) -> web.FileResponse:
            return web.FileResponse(root / name, headers=headers)

        for path in (path for path, file in _PAGES.items() if file == name):
            app.router.add_get(path, serve)

    async def asset(request: web.Request) -> web.FileResponse:
        path = (root / "assets" / request.match_info["name"]).resolve()
        if not path.is_relative_to(root / "assets") or not path.is_file():
            raise NotFound(f"there is no file {request.path!r}")
        return web.FileResponse(path, headers={"Cache-Control": _HASHED})

    async def top(request: web.Request) -> web.FileResponse:
        path = (root / request.match_info["name"]).resolve()
        if path.parent != root or not path.is_file():
            raise NotFound(f"there is no page {request.path!r}")
        return web.FileResponse(path, headers={"Cache-Control": _FRESH})

    for name in set(_PAGES.values()):
        if (root / name).exists():
            page(name)
    app.router.add_get("/assets/{name:.+}", asset)
    app.router.add_get("/{name:[a-z0-9_-]+\\.(?:js|css|svg|png|ico|webmanifest|woff2|jpg|webp)}", top)
    return True
