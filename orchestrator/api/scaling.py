"""/api/scaling: how many nodes each pool should have, and why; each pool alone as KEDA's metrics-api scaler reads it."""

from __future__ import annotations

import time

from aiohttp import web
from pydantic import BaseModel, Field

from common.directory import Role
from common.errors import NotFound
from orchestrator.api.paging import Page, json_page, page_of
from orchestrator.api.route import Access, Route, context, json, read_query
from orchestrator.keys import Scope
from orchestrator.scaling.autoscaler import Pool
from orchestrator.scaling.pools import PoolName
from orchestrator.scaling.rules import Held, Trigger

TAG = "Scaling"


class PoolView(BaseModel):
    """A pool: what it has, what it should have, and why."""

    role: Role
    region: str
    wanted: int = Field(description="Nodes that it should have. KEDA: valueLocation `wanted`, targetValue 1.")
    nodes: int = Field(description="Nodes that take work.")
    draining: int
    least: int
    most: int
    trigger: Trigger = Field(description="What asks for most nodes.")
    asked: dict[Trigger, int] = Field(description="Trigger -> nodes that it asks for.")
    held: Held | None = Field(description="What keeps `wanted` from what is asked for.")
    used: int = Field(description="Viewers; of packagers, and of origins with avatars: broadcasts.")
    places: int
    filled: float = Field(description="used / places")
    expected: int = Field(description="`used` as expected in five minutes.")
    cpu_ratio: float
    memory_ratio: float
    gpu_memory_ratio: float | None = Field(description="Null: no node has a GPU.")
    changed_s: float = Field(description="Seconds since `wanted` changed.")
    group: str | None = Field(description="Its Auto Scaling group.")
    told: int | None = Field(description="What the group was last told by this orchestrator.")
    trouble: str | None = Field(description="Why the group could not be told.")


class PoolPage(Page):
    """Which page. Pools are few: as a rule one page has all of them."""

    limit: int = Field(1000, ge=1, le=1000, description="Most pools of the page.")
    after: str = Field("", max_length=200, description="The `next` of the page before.")


class Scaling(BaseModel):
    """A page of pools, by role and region."""

    dry_run: bool = Field(description="No group is told anything (AVACAST_SCALING_APPLY is off).")
    pools: list[PoolView]
    next: str | None = Field(description="`after` of the next page, null on the last.")


def _view(pool: Pool, now: float) -> PoolView:
    reading, decision = pool.reading, pool.decision
    return PoolView(
        role=pool.name.role,
        region=pool.name.region,
        wanted=decision.wanted if decision else pool.bounds.least,
        nodes=reading.nodes,
        draining=reading.draining,
        least=pool.bounds.least,
        most=pool.bounds.most,
        trigger=decision.trigger if decision else Trigger.LEAST,
        asked=decision.asked if decision else {},
        held=decision.held if decision else None,
        used=reading.used,
        places=reading.places,
        filled=round(reading.filled, 4),
        expected=round(pool.expected),
        cpu_ratio=round(reading.cpu_ratio, 4),
        memory_ratio=round(reading.memory_ratio, 4),
        gpu_memory_ratio=reading.gpu_memory_ratio,
        changed_s=round(max(0.0, now - pool.changed_at), 1),
        group=pool.bounds.group,
        told=pool.told,
        trouble=pool.trouble,
    )


async def _all(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, PoolPage)
    scaler, now = at.scaler, time.monotonic()
    found, after = page_of(scaler.pools.values(), page, lambda one: str(one.name))
    told = Scaling(dry_run=scaler.dry_run, pools=[_view(one, now) for one in found], next=after)
    return json_page(request, told, after)


async def _one(request: web.Request) -> web.Response:
    at = context(request)
    role, region = request.match_info["role"], request.match_info["region"]
    pool = at.scaler.pools.get(PoolName(Role(role), region)) if role in set(Role) else None
    if pool is None:
        raise NotFound(
            f"there is no pool {role}/{region}", code="pool_unknown", hint="GET /api/scaling lists them"
        )
    return json(_view(pool, time.monotonic()))


ROUTES = (
    Route(
        "GET", "/api/scaling", _all, "How many nodes each pool should have, and why", TAG, Access.ADMIN,
        answer=Scaling, query=PoolPage, scope=Scope.READ,
    ),
    Route(
        "GET", "/api/scaling/{role}/{region}", _one, "One pool, as KEDA's metrics-api scaler reads it", TAG,
        Access.ADMIN, answer=PoolView, problems=("pool_unknown",), scope=Scope.READ,
    ),
)  # fmt: skip
