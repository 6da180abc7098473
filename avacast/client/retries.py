"""When a call that failed is made again. Pure: what happened in, seconds to wait out.

A limit (429) refuses before anything was done, so any call may come again. Where nobody answered, or the answer was 502, 503 or 504,
something may have been done: such a call comes again only if twice is as good as once, which is so for all methods but POST and PATCH,
and for a POST with an Idempotency-Key. `Retry-After` is obeyed; without it the waits double, each drawn from 50 to 100 % of its
length, so that many clients that failed together do not come back together.
"""

from __future__ import annotations

from dataclasses import dataclass

from avacast.client.errors import AvacastError, Refused, TooMany, Unavailable, Unreachable


@dataclass(frozen=True, slots=True)
class Retries:
    """How patient a client is. Times in seconds."""

    attempts: int = 4
    first_s: float = 0.25
    longest_s: float = 5.0
    patience_s: float = 30.0
    """A call waits no longer than this in all."""

    def wait_s(
        self, error: AvacastError, attempt: int, waited_s: float, *, repeatable: bool, drawn: float
    ) -> float | None:
        """Seconds until the next attempt; None: give up. `attempt` is how many were made, `drawn` is 0..1."""
        if attempt >= self.attempts or not _may_repeat(error, repeatable=repeatable):
            return None
        told = error.retry_after_s if isinstance(error, Refused) else None
        if told is None:
            told = min(self.longest_s, self.first_s * 2 ** (attempt - 1)) * (0.5 + drawn / 2)
        return told if waited_s + told <= self.patience_s else None


def _may_repeat(error: AvacastError, *, repeatable: bool) -> bool:
    if isinstance(error, TooMany):
        return True
    if isinstance(error, Refused) and error.code == "request_under_way":
        return True
    return repeatable and isinstance(error, Unreachable | Unavailable)
