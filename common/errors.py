"""Errors that a caller sees: one `Problem`, told as problem+json (RFC 9457) with a stable code and what to do next.

Problem            the caller gets `status`, `code`, `detail` (what, which) and `hint` (what to do)
├── BadRequest     400/413/415/422: the peer's fault
├── Unauthorized   401
├── Forbidden      403
├── NotFound       404
├── Conflict       409/412
├── TooMany        429, says which limit, with Retry-After
└── Unavailable    503, with Retry-After
"""

from __future__ import annotations

from typing import Any


class Problem(Exception):
    """An answer to the peer. `code` is stable and documented in docs/errors.md; `status` is the HTTP status."""

    status = 500
    code = "internal_error"

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        hint: str | None = None,
        retry_after_s: float | None = None,
        headers: dict[str, str] | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status or type(self).status
        self.code = code or type(self).code
        self.hint = hint
        self.retry_after_s = retry_after_s
        self.headers = headers or {}
        self.members = members or {}
        """Further members of the document, such as the limit that was reached."""

    def body(self) -> dict[str, Any]:
        """The members of the problem+json document."""
        document: dict[str, Any] = {
            "type": f"https://avacast.dev/errors/{self.code}",
            "title": self.code.replace("_", " "),
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.hint:
            document["hint"] = self.hint
        if self.retry_after_s is not None:
            document["retry_after_s"] = self.retry_after_s
        return {**self.members, **document}


class BadRequest(Problem):
    status = 400
    code = "bad_request"


class Unauthorized(Problem):
    status = 401
    code = "unauthorized"

    def __init__(self, detail: str, **more: Any) -> None:
        more.setdefault("headers", {"WWW-Authenticate": 'Bearer realm="avacast"'})
        super().__init__(detail, **more)


class Forbidden(Problem):
    status = 403
    code = "forbidden"


class NotFound(Problem):
    status = 404
    code = "not_found"


class Conflict(Problem):
    status = 409
    code = "conflict"


class TooMany(Problem):
    status = 429
    code = "too_many_requests"


class Unavailable(Problem):
    status = 503
    code = "unavailable"
