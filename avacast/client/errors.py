"""What can go wrong with a call, as the caller sees it.

AvacastError
├── Unreachable       nobody answered, however often it was tried
├── Misunderstood     an answer that is none of this API's: another server, or another version of it
└── Refused           problem+json: `status`, `code` (stable), `detail` (what, which), `advice` (what to do)
    ├── BadRequest    400, 413, 415, 422
    ├── Unauthorized  401
    ├── Forbidden     403
    ├── NotFound      404
    ├── Conflict      409, 412
    ├── TooMany       429
    ├── Unavailable   502, 503, 504
    └── ServerFailed  500 and the rest
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from avacast.client.generated.advice import ADVICE


class AvacastError(Exception):
    """A call that did not succeed."""

    advice: str = ""
    """What to do."""


class Unreachable(AvacastError):
    """Nobody answered at `url`."""

    def __init__(self, url: str, why: str, attempts: int = 1) -> None:
        times = f" ({attempts} times tried)" if attempts > 1 else ""
        super().__init__(f"no orchestrator answers at {url}: {why}{times}")
        self.url, self.why = url, why
        self.advice = "is it up, and is this its address?"


class Misunderstood(AvacastError):
    """An answer that this client cannot read."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"the answer of {url} is none of an orchestrator of this version: {why}")
        self.advice = "check the address, and that client and orchestrator are of one version"


class Refused(AvacastError):
    """The orchestrator said no. `retry_after_s` is None when it did not say when to come again."""

    def __init__(
        self, status: int, code: str, detail: str, hint: str = "", retry_after_s: float | None = None
    ) -> None:
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.retry_after_s = retry_after_s
        self.advice = hint or ADVICE.get(code, "")
        super().__init__(f"{detail} [{code}]" + (f": {self.advice}" if self.advice else ""))


class BadRequest(Refused):
    """The request is wrong."""


class Unauthorized(Refused):
    """There is no good token."""


class Forbidden(Refused):
    """The token does not allow this."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """It contradicts what is there."""


class TooMany(Refused):
    """A limit was reached."""


class Unavailable(Refused):
    """Something is not there at the moment."""


class ServerFailed(Refused):
    """The server's own fault."""


_KINDS: dict[int, type[Refused]] = {
    400: BadRequest,
    413: BadRequest,
    415: BadRequest,
    422: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """The exception of an answer above 399; proxies answer with anything, so the body need not be a problem+json."""
    kind = _KINDS.get(status, BadRequest if status < 500 else ServerFailed)
    try:
        told = json.loads(body)
        code, detail = str(told["code"]), str(told["detail"])
        hint, after = str(told.get("hint") or ""), told.get("retry_after_s")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, detail, hint, after = f"http_{status}", f"the answer has status {status}", "", None
    if not isinstance(after, int | float):
        spelled = headers.get("Retry-After", "")
        after = float(spelled) if spelled.isascii() and spelled.isdigit() and len(spelled) < 7 else None
    return kind(status, code, detail, hint, after)
