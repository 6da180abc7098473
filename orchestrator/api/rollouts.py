"""/api/rollouts: a new version of a pool, given to its users bucket by bucket, and taken back."""

from __future__ import annotations

import datetime as dt

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from common.directory import Role
from common.http import read_model
from orchestrator.api.paging import Page, json_page, page_of
from orchestrator.api.route import Access, Context, Route, context, json, read_query
from orchestrator.keys import Scope
from orchestrator.rollout.figures import RolloutLimits, VersionFigures
from orchestrator.rollout.plan import ACTIVE, NewRollout, Rollout, RolloutPhase, RolloutState, counted
from orchestrator.rollout.store import RolloutEvent

TAG = "Rollouts"


class VersionView(BaseModel):
    """What a version of the pool does, over the window of the limits. Null: nothing was measured."""

    version: str
    share: float = Field(description="Of the users, 0..1, that get it.")
    nodes: int = Field(description="That report this version now.")
    viewers: int = Field(description="By WebRTC, on those.")
    streams: int = Field(description="Live on those.")
    requests: int
    error_ratio: float | None
    latency_ms: float | None
    underruns_a_session: float | None
    gpu_memory_errors: int
    sessions: int


class RolloutView(BaseModel):
    """A rollout and how it goes."""

    id: str
    role: Role
    stable: str
    candidate: str
    state: RolloutState
    current: bool = Field(description="Its pool goes by it; false: by a later one.")
    reason: str = Field(description="Why it is as it is, where that needs a word.")
    attempt: int
    percent: int = Field(description="Of the users that get the new version.")
    phase: int = Field(description="Of `phases`, from 0.")
    phases: list[RolloutPhase]
    phase_left_s: float | None = Field(
        description="Seconds that the phase has left; null: it has no end now."
    )
    seen: int = Field(description="Requests of the new version in this phase.")
    limits: RolloutLimits
    move_sessions: bool
    created_at: dt.datetime
    versions: list[VersionView] = Field(
        description="The stable one, the new one, then others that nodes report."
    )


class RolloutDetail(RolloutView):
    """With its history."""

    history: list[RolloutEvent] = Field(description="Oldest first.")


class RolloutList(BaseModel):
    """A page of rollouts, newest first."""

    rollouts: list[RolloutView]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class RolloutOrder(BaseModel):
    """For whoever reads it later."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field("", max_length=300)


def _view(at: Context, one: Rollout) -> RolloutView:
    phase = one.phases[one.phase]
    now = counted(one, at.rollouts.now())
    endless = one.state not in ACTIVE or one.phase == len(one.phases) - 1
    current = at.rollouts.rollouts.current(one.role)
    return RolloutView(
        **one.model_dump(
            include={
                *("id", "role", "stable", "candidate", "state", "reason", "attempt", "phase"),
                *("seen", "move_sessions", "created_at"),
            }
        ),
        current=current is not None and current.id == one.id,
        percent=one.percent,
        phases=list(one.phases),
        phase_left_s=None if endless else round(max(0.0, phase.days * 86_400 - now.running_s), 1),
        limits=one.limits,
        versions=_versions(at, one),
    )


def _versions(at: Context, one: Rollout) -> list[VersionView]:
    nodes = at.hub.nodes.of_role(one.role)
    others = sorted({node.report.version for node in nodes} - {one.stable, one.candidate})
    shares = {one.candidate: one.percent / 100, one.stable: 1 - one.percent / 100}
    found = []
    for version in (one.stable, one.candidate, *others):
        members = [node for node in nodes if node.report.version == version]
        figures = one.figures.get(version, VersionFigures())
        found.append(
            VersionView(
                version=version,
                share=shares.get(version, 0.0),
                nodes=len(members),
                viewers=sum(node.viewers for node in members),
                streams=sum(stream.live for node in members for stream in node.report.streams),
                requests=figures.requests,
                error_ratio=figures.error_ratio,
                latency_ms=figures.latency_ms,
                underruns_a_session=figures.underruns_a_session,
                gpu_memory_errors=figures.gpu_memory_errors,
                sessions=figures.sessions,
            )
        )
    return found


async def _create(request: web.Request) -> web.Response:
    at = context(request)
    made = await at.rollouts.create(await read_model(request, NewRollout))
    return json(
        _view(at, made), status=201, headers={"Location": f"{at.base(request)}/api/rollouts/{made.id}"}
    )


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, Page)
    found, after = page_of(at.rollouts.rollouts, page, _newest_first)
    return json_page(request, RolloutList(rollouts=[_view(at, one) for one in found], next=after), after)


def _newest_first(one: Rollout) -> str:
    """Sorts as pages do: by a text that grows."""
    return f"{2**53 - round(one.created_at.timestamp() * 1000):016d}-{one.id}"


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    one = at.rollouts.rollouts.require(request.match_info["rollout"])
    history = await at.rollouts.rollouts.history(one.id)
    return json(RolloutDetail(**_view(at, one).model_dump(), history=history))


async def _pause(request: web.Request) -> web.Response:
    at, asked = context(request), await read_model(request, RolloutOrder)
    return json(_view(at, await at.rollouts.pause(request.match_info["rollout"], asked.why)))


async def _resume(request: web.Request) -> web.Response:
    at = context(request)
    return json(_view(at, await at.rollouts.resume(request.match_info["rollout"])))


async def _roll_back(request: web.Request) -> web.Response:
    at, asked = context(request), await read_model(request, RolloutOrder)
    return json(_view(at, await at.rollouts.roll_back(request.match_info["rollout"], asked.why)))


async def _again(request: web.Request) -> web.Response:
    at = context(request)
    return json(_view(at, await at.rollouts.again(request.match_info["rollout"])))


ALL, ONE = "/api/rollouts", "/api/rollouts/{rollout}"
_PROBLEMS = ("rollout_unknown", "rollout_state", "rollout_changed", "database_unavailable")

ROUTES = (
    Route("GET", ALL, _list, "All rollouts, newest first", TAG, Access.ADMIN, answer=RolloutList, query=Page, scope=Scope.READ),
    Route(
        "POST", ALL, _create, "Roll a new version out to the users of a pool", TAG, Access.ADMIN,
        body=NewRollout, answer=RolloutView, status=201, once=True, problems=("rollout_running", "database_unavailable"),
    ),
    Route(
        "GET", ONE, _read, "A rollout, its figures and its history", TAG, Access.ADMIN,
        answer=RolloutDetail, problems=("rollout_unknown", "database_unavailable"), scope=Scope.READ,
    ),
    Route(
        "POST", f"{ONE}/pause", _pause, "Stay at the present part of the users", TAG, Access.ADMIN,
        body=RolloutOrder, answer=RolloutView, problems=_PROBLEMS, name="rollouts_pause",
    ),
    Route(
        "POST", f"{ONE}/resume", _resume, "Go on", TAG, Access.ADMIN,
        answer=RolloutView, problems=_PROBLEMS, name="rollouts_resume",
    ),
    Route(
        "POST", f"{ONE}/rollback", _roll_back, "Give everybody the stable version again", TAG, Access.ADMIN,
        body=RolloutOrder, answer=RolloutView, problems=_PROBLEMS, name="rollouts_rollback",
    ),
    Route(
        "POST", f"{ONE}/again", _again, "Roll out once more what was taken back", TAG, Access.ADMIN,
        answer=RolloutView, problems=_PROBLEMS, name="rollouts_again",
    ),
)  # fmt: skip
