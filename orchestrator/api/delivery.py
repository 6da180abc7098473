"""Ops steer the delivery of a broadcast: HLS on, off, or as the audience says."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, Field

from common.errors import Conflict
from common.log import log
from orchestrator.api.broadcasts import ONE
from orchestrator.api.route import Access, Context, Handler, Route, context, json
from orchestrator.delivery import Force, Reason, Stage, Switch
from orchestrator.keys import Scope

TAG = "Delivery"
_log = log("orchestrator")


class SwitchState(BaseModel):
    """One switch and why it is so."""

    on: bool
    force: Force = Field(description="What ops hold it at; auto: the audience decides.")
    reason: Reason

    @classmethod
    def of(cls, switch: Switch) -> SwitchState:
        return cls(on=switch.on, force=switch.force, reason=switch.reason)


class DeliveryState(BaseModel):
    """How a broadcast is delivered."""

    broadcast: str
    stage: Stage
    mode: str = Field(description="How a passive viewer that comes now watches.")
    hls_share: float = Field(description="Part of the passive viewers that has moved to HLS, 0..1.")
    hls_ready: bool = Field(description="The packager has the stream; nobody is moved before.")
    hls: str | None
    cdn: SwitchState
    relays: SwitchState


def delivery_state(at: Context, request: web.Request, name: str) -> DeliveryState:
    """The delivery of a broadcast as the API tells it."""
    state = at.hub.delivery(name)
    hls = at.hub.hls_url(name)
    return DeliveryState(
        broadcast=name,
        stage=state.stage,
        mode=state.mode,
        hls_share=state.hls_share,
        hls_ready=at.hub.hls_ready(name),
        hls=at.reach(request, hls) if hls is not None else None,
        cdn=SwitchState.of(state.hls),
        relays=SwitchState.of(state.relays),
    )


def _order(force: Force) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        at = context(request)
        broadcast = at.broadcast(request)
        name = broadcast.id
        if force is Force.ON and not at.hub.policy_of(broadcast).hls_enabled:
            why = "it was made for WebRTC only" if broadcast.webrtc_only else "HLS_ENABLED=false"
            raise Conflict(f"HLS is turned off for {name!r} ({why})", code="hls_disabled")
        _log.info("cdn:ordered", broadcast=name, order=force)
        await at.hub.order(name, force)
        return json(delivery_state(at, request, name))

    return handler


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    broadcast = at.broadcast(request)
    at.require_watch(request, broadcast)
    return json(delivery_state(at, request, broadcast.id))


ROUTES = (
    Route("GET", f"{ONE}/delivery", _read, "How it is delivered, and why", TAG, Access.WATCH, answer=DeliveryState),
    Route(
        "POST", f"{ONE}/activate-cdn", _order(Force.ON), "Passive viewers go to HLS through the CDN, and stay there", TAG,
        Access.ADMIN, answer=DeliveryState, problems=("hls_disabled",), scope=Scope.BROADCASTS,
    ),
    Route(
        "POST", f"{ONE}/deactivate-cdn", _order(Force.OFF), "All viewers go back to WebRTC, and stay there", TAG,
        Access.ADMIN, answer=DeliveryState, scope=Scope.BROADCASTS,
    ),
    Route(
        "POST", f"{ONE}/automatic-cdn", _order(Force.AUTO), "The audience decides again", TAG,
        Access.ADMIN, answer=DeliveryState, scope=Scope.BROADCASTS,
    ),
)  # fmt: skip
