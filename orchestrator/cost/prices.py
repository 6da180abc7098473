"""Prices: a dated file of list prices, checked as it is read."""

from __future__ import annotations

import datetime as dt
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_FILE_BYTES = 256 * 1024
Usd = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Machine(_Table):
    """A kind of machine that draws avatars. `hour` is its price, `start_s` the seconds that it is paid for before it takes work."""

    type: str = Field(min_length=1, max_length=64)
    streams: int = Field(ge=1, le=10_000)
    hour: Usd
    start_s: float = Field(0.0, ge=0, le=3600)
    most: int = Field(200, ge=0, le=10_000)


class Relay(_Table):
    """The machine of a relay."""

    type: str = Field(min_length=1, max_length=64)
    viewers: int = Field(ge=1, le=1_000_000)
    hour: Usd


class Traffic(_Table):
    """Steps of (GB a month up to, price a GB); -1: no end."""

    steps: tuple[tuple[float, Usd], ...] = Field(min_length=1, max_length=16)

    @model_validator(mode="after")
    def _rising(self) -> Traffic:
        ends = [end for end, _ in self.steps]
        if ends[-1] != -1 or any(end <= 0 for end in ends[:-1]) or ends[:-1] != sorted(set(ends[:-1])):
            raise ValueError("steps rise, and the last one is -1")
        return self

    def cost(self, gb: float) -> float:
        """Of so many GB in one month."""
        left, below, total = max(0.0, gb), 0.0, 0.0
        for end, price in self.steps:
            part = left if end == -1 else min(left, end - below)
            total += part * price
            left, below = left - part, end
            if left <= 0:
                break
        return total


class Cdn(Traffic):
    """A CDN: traffic, and requests by the ten thousand."""

    requests_10k: Usd = 0.0


class Storage(_Table):
    gb_month: Usd


class Prices(_Table):
    """All of the file."""

    date: dt.date
    currency: str = Field("USD", pattern="^[A-Z]{3}$")
    region: str = Field("", max_length=64)
    sources: tuple[str, ...] = Field(default=(), max_length=16)
    avatars: tuple[Machine, ...] = Field(min_length=1, max_length=32)
    relay: Relay
    egress: Traffic
    cdn: Cdn
    storage: Storage

    @model_validator(mode="after")
    def _once(self) -> Prices:
        if len({one.type for one in self.avatars}) < len(self.avatars):
            raise ValueError("each type of machine stands once in [[avatars]]")
        return self


def load(path: Path | None = None) -> Prices:
    """The prices in a file, or ours. Raises ValueError that names the file and what is wrong in it."""
    name = str(path or "orchestrator/data/prices.toml")
    try:
        if path is None:
            text = resources.files("orchestrator.data").joinpath("prices.toml").read_text()
        else:
            if path.stat().st_size > _FILE_BYTES:
                raise ValueError("is larger than a table of prices can be")
            text = path.read_text()
        return Prices.model_validate(tomllib.loads(text))
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
        raise ValueError(f"AVACAST_PRICES: {name}: {told}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"AVACAST_PRICES: {name}: {error}") from None
