"""Why the service ends a connection: a problem with the WebSocket close code that tells it."""

from __future__ import annotations

from typing import Any

from aiohttp import WSCloseCode

from common.errors import Problem


class Broken(Problem):
    """Ends a connection with `close` as WebSocket code and the problem's code as reason. The peer's fault unless `close` says else."""

    status = 400
    code = "bad_request"

    def __init__(self, detail: str, *, close: int = WSCloseCode.POLICY_VIOLATION, **more: Any) -> None:
        super().__init__(detail, **more)
        self.close = close


def stopping() -> Broken:
    """The instance is being stopped."""
    return Broken(
        "this instance is being stopped",
        code="speech_stopping",
        close=WSCloseCode.GOING_AWAY,
        hint="connect again: another instance answers",
    )
