"""/api/sessions: one person with an avatar, placed on an origin, with how to connect in the answer."""

from __future__ import annotations

import asyncio
import datetime as dt
from enum import StrEnum

from aiohttp import web
from pydantic import BaseModel, Field

from common.auth import Audience
from common.dialogue import Said
from common.errors import NotFound, Unavailable
from common.http import read_model
from orchestrator.api import avatar, events
from orchestrator.api.paging import Page, json_page, page_of
from orchestrator.api.route import Access, Context, Handler, Route, context, json, read_query
from orchestrator.broadcasts import NewBroadcast
from orchestrator.keys import Scope
from orchestrator.sessions import NewSession, Session

TAG = "Sessions"
CONNECT_S = 4.0
"""An answer waits so long for the avatar: requirement A8 wants a person connected within five seconds."""


class SessionStage(StrEnum):
    """How far a session is."""

    PREPARING = "preparing"
    """Its avatar begins; connect already, the picture comes when it is there."""
    LIVE = "live"


class SessionState(BaseModel):
    """A session and how it is now."""

    id: str = Field(description="The id of its broadcast too.")
    user: str | None
    account: str | None = Field(description="The API key that made it; null: an operator did.")
    avatar: str | None
    state: SessionStage
    origin: str | None = Field(description="The node that runs it.")
    region: str | None
    created_at: dt.datetime
    seen_at: dt.datetime = Field(description="The last sign of its person, to half a minute.")
    ends_at: dt.datetime = Field(description="It is over then, if nobody comes before.")
    play: str = Field(description="Our player asks here how to watch.")
    whep: str = Field(description="Any WHEP player may watch here.")
    events: str = Field(description="Server-sent events.")


class MadeSession(SessionState):
    """A session with the token of its person."""

    token: str = Field(description="Its person's: to watch, ask, interrupt and be heard. Valid for a day.")
    is_new: bool = Field(description="False when this person had one.")


class SessionList(BaseModel):
    """A page of sessions, by id."""

    sessions: list[SessionState]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class History(BaseModel):
    """What was said, oldest first."""

    said: list[Said]


def _describe(at: Context, request: web.Request, session: Session) -> SessionState:
    broadcast = at.hub.broadcasts.find(session.id)
    origin = at.hub.origin_of(session.id)
    base = at.base(request)
    return SessionState(
        id=session.id,
        user=session.user,
        account=session.account,
        avatar=broadcast.avatar if broadcast is not None else None,
        state=SessionStage.LIVE if at.hub.live(session.id) else SessionStage.PREPARING,
        origin=origin.id if origin is not None else None,
        region=origin.report.region if origin is not None else None,
        created_at=session.created_at,
        seen_at=session.seen_at,
        ends_at=session.seen_at + dt.timedelta(seconds=session.ttl_s),
        play=f"{base}/api/broadcasts/{session.id}/play",
        whep=f"{base}/whep/{session.id}",
        events=f"{base}/api/sessions/{session.id}/events",
    )


def _session(at: Context, request: web.Request) -> Session:
    return at.sessions.require(request.match_info["session"])


async def _create(request: web.Request) -> web.Response:
    at = context(request)
    new = await read_model(request, NewSession)
    key = at.caller(request).key
    account = key.id if key is not None else None
    had = at.sessions.of_user(new.user, account) if new.user is not None else None
    session = had if had is not None and at.hub.broadcasts.find(had.id) is not None else None
    is_new = session is None
    if session is None:
        most = (key.sessions if key is not None else None) or at.config.account_sessions
        session = await at.sessions.create(new, account, most)
        try:
            await at.hub.create(
                NewBroadcast(
                    id=session.id,
                    title=f"Session of {new.user}"[:200] if new.user else "Session",
                    avatar=new.avatar,
                    persona=new.persona,
                    open_mic=True,
                    webrtc_only=True,
                )
            )
            await _begun(at, request, session.id)
        except BaseException:
            await asyncio.shield(at.keeper.end(session.id))
            raise
    else:
        await at.sessions.seen(session.id)
    token = at.tokens.issue(Audience.VIEWER, session.id, ttl_s=86_400.0)
    made = MadeSession(**_describe(at, request, session).model_dump(), token=token, is_new=is_new)
    location = f"{at.base(request)}/api/sessions/{session.id}"
    return json(made, status=201, headers={"Location": location})


async def _begun(at: Context, request: web.Request, session: str) -> None:
    """Waits until its avatar is live, at most CONNECT_S. Raises Unavailable when no origin takes it, Unauthorized when the caller's key is
    revoked meanwhile."""
    hub = at.hub
    if hub.origin_of(session) is None:
        raise Unavailable("no origin that can run an avatar is up", code="no_node", retry_after_s=5)
    with hub.feed.reader(session) as changes:
        try:
            async with asyncio.timeout(CONNECT_S):
                while not hub.live(session):
                    at.ask_again(request)
                    if await changes.get() is None:
                        break
        except TimeoutError:
            pass
    origin = hub.origin_of(session)
    if origin is None or (not hub.live(session) and session in origin.report.avatars_refused):
        raise Unavailable(
            "all origins run as many avatars as they carry",
            code="avatars_full",
            hint="come again, end sessions, or add an origin",
            retry_after_s=10,
        )


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, Page)
    found, after = page_of((one for one in at.sessions if at.sees(request, one.id)), page, lambda one: one.id)
    told = SessionList(sessions=[_describe(at, request, one) for one in found], next=after)
    return json_page(request, told, after)


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    session = _session(at, request)
    at.require_watch(request, at.hub.broadcasts.require(session.id))
    return json(_describe(at, request, session))


async def _end(request: web.Request) -> web.Response:
    at = context(request)
    await at.keeper.end(_session(at, request).id)
    return web.Response(status=204)


async def _history(request: web.Request) -> web.Response:
    at = context(request)
    session = _session(at, request)
    at.require_watch(request, at.hub.broadcasts.require(session.id))
    return json(History(said=list(await at.keeper.history(session.id))))


def _as_broadcast(handler: Handler) -> Handler:
    """A handler of the session's broadcast, for whoever knows the session only; it is a sign of life."""

    async def passed(request: web.Request) -> web.StreamResponse:
        at = context(request)
        session = _session(at, request)
        if at.hub.broadcasts.find(session.id) is None:
            raise NotFound(f"the session {session.id!r} is over", code="session_over")
        request.match_info["broadcast"] = session.id
        answer = await handler(request)
        await at.sessions.seen(session.id)
        return answer

    return passed


ALL, ONE = "/api/sessions", "/api/sessions/{session}"
_TALK = ("session_over", "no_node", "origin_unreachable", "talk_limit")

ROUTES = (
    Route(
        "POST", ALL, _create, "Place a session: an avatar for one person, with how to connect", TAG, Access.ADMIN,
        body=NewSession, answer=MadeSession, status=201, once=True,
        problems=("no_node", "avatars_full", "session_limit", "database_unavailable"), scope=Scope.SESSIONS, limit="make",
    ),
    Route("GET", ALL, _list, "List sessions", TAG, Access.ADMIN, answer=SessionList, query=Page, scope=Scope.SESSIONS),
    Route(
        "GET", ONE, _read, "A session and how it is now", TAG, Access.WATCH,
        answer=SessionState, problems=("session_over",), scope=Scope.SESSIONS,
    ),
    Route(
        "DELETE", ONE, _end, "End a session; what was said is deleted", TAG, Access.ADMIN,
        status=204, problems=("session_over",), scope=Scope.SESSIONS, name="sessions_end",
    ),
    Route(
        "GET", f"{ONE}/history", _history, "What was said, as far as it was heard", TAG, Access.WATCH,
        answer=History, problems=("session_over",), scope=Scope.SESSIONS,
    ),
    *(
        Route(
            "POST", f"{ONE}/{verb}", _as_broadcast(handler), summary, TAG, Access.TALK,
            body=body, answer=answer, status=status, problems=_TALK, scope=Scope.SESSIONS,
        )
        for verb, handler, summary, body, answer, status in (
            ("say", avatar.say, "The avatar says these words", avatar.SayRequest, avatar.Taken, 202),
            ("ask", avatar.ask, "The avatar answers, aloud", avatar.Words, avatar.Taken, 202),
            ("interrupt", avatar.interrupt, "The avatar stops talking", None, avatar.Taken, 202),
            ("ears", avatar.grant_ear, "Where the person's microphone goes", avatar.EarRequest, avatar.EarGrant, 200),
        )
    ),
    Route(
        "GET", f"{ONE}/events", _as_broadcast(events.of_broadcast), "What happens to a session (server-sent events)", TAG, Access.WATCH,
        answer="text/event-stream", problems=("session_over",), scope=Scope.SESSIONS,
    ),
)  # fmt: skip
