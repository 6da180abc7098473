"""Spot prices of a region by boto3: the newest of each type, the cheapest zone. Kept for an hour; without them the list prices stand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

_CALL_S = 5
_FRESH_S = 3600.0
_AGAIN_S = 120.0
_PAGES = 10


class SpotDown(Exception):
    """Spot prices cannot be read; the text says why."""


class SpotPrices:
    """Blocking: called in a thread. `client` makes the EC2 client of a region."""

    def __init__(
        self,
        region: str,
        client: Callable[[str], Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._region, self._clock = region, clock
        self._make = client or _ec2
        self._found: dict[str, float] = {}
        self._until = float("-inf")
        self.trouble: str | None = None
        """Why there are none, or only old ones."""

    def of(self, types: Sequence[str]) -> dict[str, float]:
        """Type -> price an hour. What AWS does not answer is left out; what it answered in the last hour stands."""
        if self._clock() < self._until:
            return self._found
        try:
            self._found = self._read(types)
            self.trouble, self._until = None, self._clock() + _FRESH_S
        except SpotDown as error:
            self.trouble, self._until = str(error), self._clock() + _AGAIN_S
        return self._found

    def _read(self, types: Sequence[str]) -> dict[str, float]:
        from botocore.exceptions import BotoCoreError, ClientError

        newest: dict[tuple[str, str], tuple[Any, float]] = {}
        try:
            client, token = self._make(self._region), ""
            for _ in range(_PAGES):
                more = {"NextToken": token} if token else {}
                answer = client.describe_spot_price_history(
                    InstanceTypes=list(types), ProductDescriptions=["Linux/UNIX"], MaxResults=1000, **more
                )
                for one in answer["SpotPriceHistory"]:
                    key = str(one["InstanceType"]), str(one["AvailabilityZone"])
                    price = float(one["SpotPrice"])
                    if key[0] in types and math.isfinite(price) and price > 0:
                        newest[key] = max(
                            newest.get(key, (one["Timestamp"], price)),
                            (one["Timestamp"], price),
                            key=lambda at: at[0],
                        )
                token = answer.get("NextToken") or ""
                if not token:
                    break
        except (BotoCoreError, ClientError, ValueError, KeyError) as error:
            raise SpotDown(f"spot prices of {self._region}: {error}") from error
        found: dict[str, float] = {}
        for (kind, _), (_, price) in newest.items():
            found[kind] = min(price, found.get(kind, price))
        return found


def _ec2(region: str) -> Any:
    import boto3
    from botocore.config import Config

    settings = Config(
        connect_timeout=_CALL_S, read_timeout=_CALL_S, retries={"max_attempts": 2, "mode": "standard"}
    )
    return boto3.client("ec2", region_name=region, config=settings)
