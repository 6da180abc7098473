"""Signatures of webhooks, as Standard Webhooks 1.0 has them (https://www.standardwebhooks.com).

The secret of an endpoint is made from the cluster's secret, the endpoint's id and a number that grows with each renewal. So it is
kept nowhere, all orchestrators know it, and a stolen database tells none. For a day after a renewal both secrets sign.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable

PREFIX = "whsec_"


class Secrets:
    """The secrets of one cluster's endpoints."""

    def __init__(self, cluster_secret: str) -> None:
        self._key = hmac.new(cluster_secret.encode(), b"avacast webhooks", hashlib.sha256).digest()

    def of(self, endpoint: str, version: int) -> str:
        """The secret as receivers are given it: `whsec_` and 32 bytes in base64."""
        made = hmac.new(self._key, f"{endpoint}\n{version}".encode(), hashlib.sha256).digest()
        return PREFIX + base64.b64encode(made).decode()


def headers(secrets: Iterable[str], event: str, at_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook: its id, when it was sent (seconds since 1970) and a signature by each secret."""
    return {
        "webhook-id": event,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(_sign(secret, event, at_s, body) for secret in secrets),
    }


def _sign(secret: str, event: str, at_s: int, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = hmac.new(key, f"{event}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
