"""Who may watch recordings. That of a private broadcast says so in its name (`.../{id}-private/...`), so that caches and packagers
know it from the address alone, also long after the broadcast; with `all_private` every one is such.

Who may watch shows a path token (`/recordings/t/{token}/{broadcast}/...`, the same that opens the broadcast's HLS), which every player
passes on by itself, or a viewer's token in a header. A cache that has checked the token asks for `/recordings/t/-/...`, with the
token in `X-Avacast-Token`: its key and its log have none."""

from __future__ import annotations

import enum
from collections.abc import Callable

from aiohttp import web

from common.auth import Audience, PathTokens, Tokens, bearer
from common.errors import Forbidden, NotFound, Unauthorized
from hls.store.recording import is_private

HEADER = "X-Avacast-Token"
TOKEN = "-|[0-9]{1,12}[.][0-9a-f]{32}"
"""What stands in the place of the token; a recording's id is none."""
_ELSEWHERE = "-"
_BRIEFLY = {"Cache-Control": "public, max-age=1"}


class Shown(enum.Enum):
    """By what a request was let in, and so who may keep the answer."""

    TO_ALL = enum.auto()
    BY_PATH = enum.auto()
    """The token is a part of the address, or a cache has checked it."""
    BY_HEADER = enum.auto()
    """Nobody may keep it: the next one asks for the same address without the header."""


class Gate:
    """`runs` says whether a broadcast that runs here is public; None when it does not."""

    def __init__(
        self, tokens: Tokens, paths: PathTokens, runs: Callable[[str], bool | None], *, all_private: bool
    ) -> None:
        self._tokens = tokens
        self._paths = paths
        self._runs = runs
        self._all_private = all_private

    def running(self, request: web.Request, broadcast: str) -> Shown:
        """Lets a request in for what a running broadcast shows. Raises NotFound, Unauthorized, Forbidden."""
        public = self._runs(broadcast)
        if public is None:
            raise NotFound(
                f"no broadcast {broadcast!r} runs here", code="recording_unknown", headers=_BRIEFLY
            )
        return self._admit(request, broadcast, private=self._all_private or not public)

    def recorded(self, request: web.Request, broadcast: str, id: str) -> Shown:
        """Lets a request in for a recording. Raises Unauthorized, Forbidden."""
        return self._admit(request, broadcast, private=self.guards(id))

    def guards(self, id: str) -> bool:
        """Whether a recording of this name needs a token."""
        return self._all_private or is_private(id)

    def path(self, broadcast: str, path: str) -> str:
        """A path below `/recordings/`, for who may watch."""
        return path.replace("/recordings/", f"/recordings/t/{self._paths.issue(broadcast)}/", 1)

    def _admit(self, request: web.Request, broadcast: str, *, private: bool) -> Shown:
        token = request.match_info.get("token")
        if token == _ELSEWHERE:
            token = request.headers.get(HEADER, "")
        if token is not None:
            self._check(broadcast, token)
            return Shown.BY_PATH
        if not private:
            return Shown.TO_ALL
        self._tokens.verify(bearer(request.headers.get("Authorization")), Audience.VIEWER, broadcast)
        return Shown.BY_HEADER

    def _check(self, broadcast: str, token: str) -> None:
        if self._paths.holds(broadcast, token):
            return
        if self._paths.holds(broadcast, token, now=0):
            raise Unauthorized(
                "the address has expired", code="token_expired", hint="ask for a new one", headers=_BRIEFLY
            )
        raise Forbidden(f"the address was not made for {broadcast!r}", code="wrong_token", headers=_BRIEFLY)
