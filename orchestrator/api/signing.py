"""The keys that verify our tokens, for anybody; and operators have them renewed."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel

from common.signing import PublicKey
from orchestrator.api.route import Access, Route, context, json
from orchestrator.keys import Scope
from orchestrator.signing import LEAD_S

TAG = "Accounts"


class KeySet(BaseModel):
    """A JSON Web Key Set (RFC 7517), the newest key first."""

    keys: list[PublicKey]


async def _read(request: web.Request) -> web.Response:
    found = KeySet(keys=context(request).signing.public())
    return json(found, headers={"Cache-Control": f"public, max-age={int(LEAD_S)}"})


async def _renew(request: web.Request) -> web.Response:
    at = context(request)
    key = await at.signing.renew()
    at.hub.wake()
    return json(KeySet(keys=[key]), status=201)


ROUTES = (
    Route("GET", "/.well-known/jwks.json", _read, "The keys that verify tokens (Ed25519)", TAG, answer=KeySet, name="signing_list"),
    Route(
        "POST", "/api/signing-keys/renew", _renew, "Another key signs at once, and all tokens that are out end", TAG, Access.ADMIN,
        answer=KeySet, status=201, problems=("database_unavailable",), scope=Scope.ADMIN, name="signing_renew",
    ),
)  # fmt: skip
