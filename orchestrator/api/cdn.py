"""/api/cdn: which CDN is before the packagers, and how it is."""

from __future__ import annotations

import time
from enum import StrEnum

from aiohttp import web
from pydantic import BaseModel, Field

from orchestrator.api.route import Access, Route, context, json
from orchestrator.cdn.life import CdnPhase
from orchestrator.cdn.providers import OwnCloudFront
from orchestrator.keys import Scope

TAG = "Delivery"


class CdnKind(StrEnum):
    """Whose it is."""

    NONE = "none"
    """Viewers reach the packagers themselves."""
    PULL = "pull"
    """One that is there anyway (AVACAST_CDN_URL)."""
    CLOUDFRONT = "cloudfront"
    """A distribution that is made when an audience needs it (AVACAST_CLOUDFRONT)."""


class CdnState(BaseModel):
    """The CDN."""

    kind: CdnKind
    url: str | None = Field(
        description="Base URL of HLS; null: viewers reach the packagers, or stay on WebRTC."
    )
    ready: bool = Field(description="Viewers may be sent to HLS.")
    phase: CdnPhase | None = Field(description="Of a CloudFront distribution.")
    distribution: str | None = Field(description="Its id.")
    wanted: bool = Field(description="An audience needs it, or is about to.")
    trouble: str | None = Field(description="Why CloudFront did not do what it was asked for last.")
    retry_s: float = Field(description="Seconds until it is asked again, after a failure.")


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    cdn = at.hub.cdn
    life = cdn.life if isinstance(cdn, OwnCloudFront) else None
    if life is not None:
        kind = CdnKind.CLOUDFRONT
    else:
        kind = CdnKind.PULL if cdn.url else CdnKind.NONE
    return json(
        CdnState(
            kind=kind,
            url=cdn.url,
            ready=cdn.ready,
            phase=life.phase if life is not None else None,
            distribution=life.found.id if life is not None and life.found is not None else None,
            wanted=life is not None and life.wanted,
            trouble=life.trouble if life is not None else None,
            retry_s=round(life.retry_s(time.monotonic()), 1) if life is not None else 0.0,
        )
    )


ROUTES = (
    Route(
        "GET", "/api/cdn", _read, "Which CDN is before the packagers, and how it is", TAG, Access.ADMIN,
        answer=CdnState, scope=Scope.READ, name="cdn_read",
    ),
)  # fmt: skip
