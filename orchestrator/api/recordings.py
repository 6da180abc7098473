"""Recordings: operators list and delete them. The packagers have them; here their lists become one."""

from __future__ import annotations

import asyncio

from aiohttp import web
from pydantic import Field

from common.directory import Role
from common.errors import NotFound, Problem
from common.recordings import RecordingList, RecordingView, place_of, second_of
from orchestrator.api.paging import Page, json_page
from orchestrator.api.route import Access, Context, Route, context, read_query
from orchestrator.keys import Scope
from orchestrator.nodes import Node

TAG = "Recordings"
_MOST_PACKAGERS = 64
"""Most packagers that are asked for one page."""
_ROUNDS = 20
"""Pages that are looked through for a key that is limited to some broadcasts: the first with one of theirs is told."""


class RecordingQuery(Page):
    """Which page, newest first."""

    limit: int = Field(50, ge=1, le=100, description="Most recordings of the page.")
    after: str = Field(
        "", max_length=300, pattern=r"^[A-Za-z0-9._/-]*$", description="The `next` of the page before."
    )


class RecordingPage(RecordingList):
    """Recordings of all packagers, the newest first, each once; `play` and `film` are whole URLs."""

    unreachable: list[str] = Field(
        default_factory=list, description="Packagers that did not answer: theirs may be missing."
    )


async def _list(request: web.Request) -> web.Response:
    at = context(request)
    query = read_query(request, RecordingQuery)
    nodes = at.hub.nodes.of_role(Role.PACKAGER)[:_MOST_PACKAGERS]
    after: str | None = query.after
    for _ in range(_ROUNDS):
        pages = await asyncio.gather(
            *(at.outreach.recordings(node, query.limit, after or "") for node in nodes)
        )
        found: dict[str, RecordingView] = {}
        more = False
        for node, page in zip(nodes, pages, strict=True):
            for one in page.recordings if page else ():
                place = place_of(one)
                if place not in found or _freshness(one) > _freshness(found[place]):
                    found[place] = _reached(at, request, node, one)
            more = more or bool(page and page.next)
        places = sorted(found)[: query.limit]
        after = places[-1] if places and (more or len(found) > len(places)) else None
        shown = [place for place in places if at.sees(request, found[place].broadcast)]
        if shown or after is None:
            break
    if after is not None and after not in shown:
        after = shown[-1] if shown else second_of(after)
    told = RecordingPage(
        recordings=[found[place] for place in shown],
        next=after,
        unreachable=[node.id for node, page in zip(nodes, pages, strict=True) if page is None],
    )
    return json_page(request, told, after)


def _freshness(one: RecordingView) -> tuple[bool, float, float]:
    """Several packagers tell of a recording that is in a store which they share; who makes it knows most."""
    return one.state == "finished", one.duration_s, one.progress


def _reached(at: Context, request: web.Request, node: Node, one: RecordingView) -> RecordingView:
    def whole(path: str) -> str:
        base = at.hub.cdn.url or at.reach(request, node.report.url)
        return base.rstrip("/") + path

    paths = ("play", "film", "poster", "storyboard")
    return one.model_copy(update={name: whole(path) for name in paths if (path := getattr(one, name))})


async def _delete(request: web.Request) -> web.Response:
    at = context(request)
    broadcast, id = request.match_info["broadcast"], request.match_info["id"]
    nodes = at.hub.nodes.of_role(Role.PACKAGER)[:_MOST_PACKAGERS]
    answers = await asyncio.gather(
        *(at.outreach.delete_recording(node, broadcast, id) for node in nodes), return_exceptions=True
    )
    for error in answers:
        if isinstance(error, Problem) and error.status != 404:
            raise error
        if isinstance(error, BaseException) and not isinstance(error, Problem):
            raise error
    if all(isinstance(error, Problem) for error in answers):
        raise NotFound(
            f"there is no recording {id!r} of {broadcast!r}",
            code="recording_unknown",
            hint="GET /api/recordings lists what there is",
        )
    return web.Response(status=204)


ROUTES = (
    Route(
        "GET", "/api/recordings", _list, "Recordings, the newest first", TAG, Access.ADMIN,
        answer=RecordingPage, query=RecordingQuery, scope=Scope.READ,
    ),
    Route(
        "DELETE", "/api/recordings/{broadcast}/{id}", _delete, "Delete a recording, wherever it is", TAG, Access.ADMIN,
        status=204, problems=("recording_unknown", "recording_running", "packager_unreachable"), scope=Scope.BROADCASTS,
    ),
)  # fmt: skip
