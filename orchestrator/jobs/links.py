"""Links to films that need no token: signed with a key of the cluster's secret, and valid for a while.

A link is asked for anew each time, and its answer is not kept by caches, so that it is worth nothing when it has ended.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac

from common.errors import Forbidden

VALID_S = 24 * 3600
_MOST_DIGITS = 12


class Links:
    """Signs links, and knows its own."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), b"links to films", hashlib.sha256)

    def query(self, job: str, now: dt.datetime) -> str:
        """What comes after the `?` of a link to this job's film."""
        until = int(now.timestamp()) + VALID_S
        return f"until={until}&signature={self._signature(job, until)}"

    def check(self, job: str, until: str, signature: str, now: dt.datetime) -> None:
        """Passes for a link of ours to this job's film that has not ended. Raises Forbidden."""
        sound = until.isascii() and until.isdigit() and len(until) <= _MOST_DIGITS and signature.isascii()
        if not sound or not hmac.compare_digest(signature, self._signature(job, int(until))):
            raise Forbidden("the link to the film is not one of ours", code="link_invalid", hint=_HINT)
        if int(until) < now.timestamp():
            raise Forbidden("the link to the film has ended", code="link_invalid", hint=_HINT)

    def _signature(self, job: str, until: int) -> str:
        return hmac.new(self._key, f"{job}\n{until}".encode(), hashlib.sha256).hexdigest()


_HINT = "GET /api/jobs/{job} tells a new one"
