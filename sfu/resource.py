"""The HTTP side of a WHIP or WHEP client: offer an SDP, keep the resource that was made, end it.

Sources: RFC 9725 (WHIP), draft-ietf-wish-whep. Both answer `201` with `Location`; both may answer `307` first.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import aiohttp
from yarl import URL

from common.errors import Problem
from common.http import read_up_to

_MAX_REDIRECTS = 5
_MAX_ANSWER_BYTES = 64 * 1024
_END = aiohttp.ClientTimeout(total=2.0)
"""A server that does not answer is left; it ends a session that sends nothing by itself."""


class Refused(Problem):
    """The server did not take the offer; `status` and `code` are the server's."""

    status = 502
    code = "upstream_refused"


@dataclass(frozen=True)
class Resource:
    """A session that the server made: its URL, the SDP answer, and the ETag (empty when the server sends none)."""

    url: URL
    answer: str
    etag: str
    token: str | None
    links: tuple[str, ...] = ()

    async def end(self, http: aiohttp.ClientSession) -> None:
        """DELETEs the session. A server that is gone, or that has forgotten the session, is no error."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with http.delete(self.url, headers=_authorization(self.token), timeout=_END):
                pass


async def offer(
    http: aiohttp.ClientSession,
    url: str | URL,
    sdp: str,
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 5.0,
) -> Resource:
    """POSTs `sdp` to a WHIP or WHEP endpoint, following redirects (307, 308) with the token kept.

    Raises Refused with what the server said, also when it cannot be reached.
    """
    target = URL(url)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    sent = {
        "Content-Type": "application/sdp",
        "Accept": "application/sdp",
        **_authorization(token),
        **(headers or {}),
    }
    try:
        for _ in range(_MAX_REDIRECTS):
            async with http.post(
                target, data=sdp.encode(), headers=sent, allow_redirects=False, timeout=timeout
            ) as reply:
                if reply.status in (307, 308) and "Location" in reply.headers:
                    target = target.join(URL(reply.headers["Location"]))
                    continue
                body = await read_up_to(reply.content, _MAX_ANSWER_BYTES)
                if reply.status != 201:
                    raise _refusal(target, reply, body)
                location = reply.headers.get("Location")
                if not location:
                    raise Refused(f"{target} made a session but did not say where (no Location)")
                return Resource(
                    url=target.join(URL(location)),
                    answer=body.decode("utf-8", "replace"),
                    etag=reply.headers.get("ETag", ""),
                    token=token,
                    links=tuple(reply.headers.getall("Link", ())),
                )
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Refused(
            f"{target} cannot be reached: {str(error) or 'no answer in time'}",
            code="upstream_unreachable",
            hint="is the address right, and the server up?",
        ) from None
    raise Refused(f"{target} redirects without end")


def _authorization(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _refusal(url: URL, reply: aiohttp.ClientResponse, body: bytes) -> Refused:
    detail, hint, code = body.decode("utf-8", "replace")[:300].strip(), None, None
    if reply.content_type == "application/problem+json":
        import json

        with contextlib.suppress(ValueError, AttributeError):
            document = json.loads(body)
            detail, hint, code = document.get("detail", detail), document.get("hint"), document.get("code")
    return Refused(
        f"{url} answered {reply.status}: {detail or reply.reason}", status=reply.status, code=code, hint=hint
    )
