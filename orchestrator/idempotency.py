"""POST once: a request that carries an Idempotency-Key and is sent again gets the answer of the first time, whatever was lost between.

The header is that of draft-ietf-httpapi-idempotency-key-header. The answer is kept for an hour in the registry, so it holds over all
orchestrators; what was refused or failed is not kept, and may be tried again.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

from aiohttp import web

from common.errors import BadRequest, Conflict
from common.registry import Registry, RegistryDown
from orchestrator.api.route import Handler

HEADER = "Idempotency-Key"
_LONGEST = 200
_KEPT_MS = 3_600_000
_PENDING_MS = 60_000
"""A request that has not been answered by then never will be: its orchestrator is gone."""
_REPLAYED = ("Location", "Content-Type", "Cache-Control")


def once(handler: Handler, registry: Registry) -> Handler:
    """`handler`, run once for each key of each caller. Raises BadRequest (422) for a key that cannot be or that came with another request,
    Conflict while the first one is under way, RegistryDown when nobody can know."""

    async def handle(request: web.Request) -> web.StreamResponse:
        key = request.headers.get(HEADER)
        if key is None:
            return await handler(request)
        if not (0 < len(key) <= _LONGEST and key.isascii() and key.isprintable()):
            raise BadRequest(
                f"{HEADER}: 1 to {_LONGEST} printable ASCII characters",
                status=422,
                code="idempotency_key_invalid",
            )
        caller = request.headers.get("Authorization", "")
        name = _digest(request.method, request.path, caller, key)
        body = _digest((await request.read()).hex())
        held = await registry.remember(name, json.dumps({"body": body}), ttl_ms=_PENDING_MS)
        if held is not None:
            return _again(json.loads(held), body)
        try:
            answer = await handler(request)
        except BaseException:
            await _forget(registry, name)
            raise
        if not isinstance(answer, web.Response) or answer.status >= 500:
            await _forget(registry, name)
            return answer
        kept = {
            "body": body,
            "status": answer.status,
            "text": answer.text,
            "headers": {k: answer.headers[k] for k in _REPLAYED if k in answer.headers},
        }
        await registry.keep(name, json.dumps(kept), ttl_ms=_KEPT_MS)
        return answer

    return handle


def _again(held: dict[str, object], body: str) -> web.Response:
    if held["body"] != body:
        raise BadRequest(
            f"this {HEADER} came with another body before",
            status=422,
            code="idempotency_key_reused",
            hint="use a new key for a new request",
        )
    if "status" not in held:
        raise Conflict("the same request is under way", code="request_under_way", retry_after_s=1)
    headers = held["headers"]
    assert isinstance(headers, dict), "as `once` wrote it"
    return web.Response(
        status=int(str(held["status"])),
        text=str(held["text"] or ""),
        headers={**headers, "Idempotency-Replayed": "true"},
    )


async def _forget(registry: Registry, name: str) -> None:
    with suppress(RegistryDown):  # it lapses by itself
        await registry.keep(name, None, ttl_ms=0)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
