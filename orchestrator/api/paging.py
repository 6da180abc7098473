"""Pages of lists that grow: `limit`, `after`, and in the answer `next` with a Link header (RFC 8288) to the page after this one.

A cursor is the key of the last item that was told, so that what is made or ended meanwhile neither hides an item nor tells it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, Field

from orchestrator.api.route import Query, context, json

_T = TypeVar("_T")


class Page(Query):
    """Which page."""

    limit: int = Field(100, ge=1, le=1000, description="Most items of the page.")
    after: str = Field("", max_length=64, description="The `next` of the page before.")


class NodePage(Page):
    """Which page. Nodes are few: as a rule one page has all of them."""

    limit: int = Field(1000, ge=1, le=1000, description="Most nodes of the page.")


def page_of(items: Iterable[_T], asked: Page, key: Callable[[_T], str]) -> tuple[list[_T], str | None]:
    """The page that was asked for, of items in the order of their keys, and the cursor of the next one; None on the last."""
    rest = sorted((one for one in items if key(one) > asked.after), key=key)
    found = rest[: asked.limit]
    return found, key(found[-1]) if len(rest) > len(found) else None


def json_page(request: web.Request, model: BaseModel, after: str | None) -> web.Response:
    """A page as the answer; `after` is the cursor of the next one."""
    if after is None:
        return json(model)
    url = request.rel_url.update_query(after=after)
    return json(model, headers={"Link": f'<{context(request).base(request)}{url}>; rel="next"'})
