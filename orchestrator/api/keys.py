"""/api/keys: API keys are made, listed, rotated and revoked. A secret is told once, in the answer that makes it."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from common.http import read_model
from orchestrator.api.paging import Page, json_page, page_of
from orchestrator.api.route import Access, Route, context, json, read_query
from orchestrator.keys import Key, NewKey, Scope

TAG = "Accounts"
GRACE_S = 86_400
_MOST_GRACE_S = 90 * 86_400


class MadeKey(Key):
    """A key with its secret."""

    secret: str = Field(
        description="Send it as `Authorization: Bearer ...`. It is not kept, and never told again."
    )


class KeyList(BaseModel):
    """A page of keys, by prefix."""

    keys: list[Key]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class Rotation(BaseModel):
    """How a key is rotated."""

    model_config = ConfigDict(extra="forbid")

    grace_s: int = Field(
        GRACE_S, ge=0, le=_MOST_GRACE_S, description="Seconds for which the old secret is taken too; 0: none."
    )


def _made(key: Key, secret: str, base: str) -> web.Response:
    made = MadeKey(**key.model_dump(), secret=secret)
    return json(made, status=201, headers={"Location": f"{base}/api/keys/{key.id}"})


async def _create(request: web.Request) -> web.Response:
    at = context(request)
    key, secret = await at.keys.create(await read_model(request, NewKey))
    return _made(key, secret, at.base(request))


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, Page)
    found, after = page_of(at.keys, page, lambda one: one.id)
    return json_page(request, KeyList(keys=found, next=after), after)


async def _read(request: web.Request) -> web.Response:
    return json(context(request).keys.require(request.match_info["key"]))


async def _rotate(request: web.Request) -> web.Response:
    at = context(request)
    wanted = await read_model(request, Rotation)
    key, secret = await at.keys.rotate(request.match_info["key"], wanted.grace_s)
    return _made(key, secret, at.base(request))


async def _revoke(request: web.Request) -> web.Response:
    await context(request).keys.revoke(request.match_info["key"])
    return web.Response(status=204)


ALL, ONE = "/api/keys", "/api/keys/{key}"

# None takes an Idempotency-Key: answers to those are kept for an hour, and a secret is not.
ROUTES = (
    Route("GET", ALL, _list, "API keys, without their secrets", TAG, Access.ADMIN, answer=KeyList, query=Page, scope=Scope.ADMIN),
    Route(
        "POST", ALL, _create, "Make an API key; its secret is told once", TAG, Access.ADMIN,
        body=NewKey, answer=MadeKey, status=201, problems=("keys_full", "database_unavailable"), scope=Scope.ADMIN,
    ),
    Route("GET", ONE, _read, "An API key", TAG, Access.ADMIN, answer=Key, problems=("key_unknown",), scope=Scope.ADMIN),
    Route(
        "POST", f"{ONE}/rotate", _rotate, "A new secret; the old one lives on for a while", TAG, Access.ADMIN,
        body=Rotation, answer=MadeKey, status=201, problems=("key_unknown", "database_unavailable"), scope=Scope.ADMIN,
    ),
    Route(
        "DELETE", ONE, _revoke, "Revoke an API key, for good", TAG, Access.ADMIN,
        status=204, problems=("key_unknown", "database_unavailable"), scope=Scope.ADMIN, name="keys_revoke",
    ),
)  # fmt: skip
