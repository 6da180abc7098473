"""A route and what the OpenAPI document says of it; and what every handler is handed: the Context."""

from __future__ import annotations

import enum
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from common.auth import Audience, Tokens, bearer, require_admin
from common.config import OrchestratorConfig
from common.errors import BadRequest, Forbidden, Problem, Unauthorized
from common.store.store import Store
from common.urls import for_viewer, host_name, is_local
from orchestrator.analytics.recorder import Recorder
from orchestrator.audit import Audit
from orchestrator.broadcasts import Broadcast
from orchestrator.cost.costs import Costs
from orchestrator.geo import Address, Geo, Network, Place, client_address
from orchestrator.hub import Hub
from orchestrator.jobs.links import Links
from orchestrator.jobs.queue import Jobs
from orchestrator.jobs.uploads import Uploads
from orchestrator.keeper import Keeper
from orchestrator.keys import Key, Keys, Scope
from orchestrator.limits import Limits
from orchestrator.outreach import Outreach
from orchestrator.rollout.service import Deploying
from orchestrator.scaling.autoscaler import Autoscaler
from orchestrator.sessions import Sessions
from orchestrator.signing import Signing
from orchestrator.webhooks.service import Webhooks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SDP = "application/sdp"
_Model = TypeVar("_Model", bound=BaseModel)


class Access(enum.StrEnum):
    """Who may call a route."""

    OPEN = "open"
    WATCH = "watch"
    """Whoever may watch the broadcast: anybody when it is public, else a viewer or publisher token of it, or the admin token."""
    TALK = "talk"
    """Whoever may talk to its avatar: as WATCH when it has an open mic, else its publisher token or the admin token."""
    PUBLISHER = "publisher"
    """Its publisher token; the node asks for the same."""
    ADMIN = "admin"
    """The admin token, or an API key with the route's scope (which opens WATCH, TALK and PUBLISHER too)."""
    LINK = "link"
    """Whoever has a link that was signed for it, else as ADMIN; the handler asks."""
    NODE = "node"
    """A node's token, or an API key with the scope `node`."""


_SCOPES = {
    Access.OPEN: Scope.READ,
    Access.WATCH: Scope.READ,
    Access.TALK: Scope.SPEAK,
    Access.PUBLISHER: Scope.BROADCASTS,
    Access.NODE: Scope.NODE,
}
"""What a route asks of an API key when it does not say so itself; of those that are not here, ADMIN."""


class Query(BaseModel):
    """Parameters in the query of a URL; unknown ones are ignored."""

    model_config = ConfigDict(extra="ignore")


@dataclass(frozen=True)
class Route:
    """One operation. `answer` is a model (JSON), a media type, or None (no body)."""

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    access: Access = Access.OPEN
    body: type[BaseModel] | None = None
    raw: tuple[str, ...] = ()
    """Media types of a body that is no JSON: handlers read it as it comes."""
    answer: type[BaseModel] | str | None = None
    status: int = 200
    also: tuple[int, ...] = ()
    """Statuses of other answers that are no errors."""
    query: type[Query] | None = None
    once: bool = False
    """It takes an Idempotency-Key (idempotency.py)."""
    scope: Scope | None = None
    """What it asks of an API key; by its access when None."""
    limit: str | None = None
    """A limit of API keys beside `request` (limits.py)."""
    problems: tuple[str, ...] = ()
    """Codes of the errors beyond those that every route may give."""
    name: str = ""
    """Its operationId, `group_verb`, where that of method and path (openapi.py) would read badly."""

    @property
    def needs(self) -> Scope:
        """The scope that opens it to an API key."""
        return self.scope or _SCOPES.get(self.access, Scope.ADMIN)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: an operator (`root`), an API key, or neither. `needs` is what the route asks of a key."""

    root: bool = False
    key: Key | None = None
    needs: Scope = Scope.ADMIN

    def operates(self) -> bool:
        """May do here what operators may? False for who has no key. Raises Forbidden for a key without the scope."""
        if self.key is None:
            return self.root
        if self.key.may(self.needs):
            return True
        raise Forbidden(
            f"the API key {self.key.id} ({self.key.name}) lacks the scope {self.needs.value!r}",
            code="scope_missing",
            hint=f"make a key with it, or ask for one; this one has: {', '.join(self.key.scopes)}",
            members={"scope": self.needs.value},
        )


CALLER = web.RequestKey("caller", Caller)
"""Set by the gate (gate.py) before a handler runs."""
_NOBODY = Caller()


@dataclass(frozen=True)
class Context:
    """What handlers work with."""

    config: OrchestratorConfig
    hub: Hub
    tokens: Tokens
    admin_token: str
    geo: Geo
    outreach: Outreach
    limits: Limits
    audit: Audit
    scaler: Autoscaler
    sessions: Sessions
    keeper: Keeper
    keys: Keys
    signing: Signing
    costs: Costs
    webhooks: Webhooks
    recorder: Recorder
    rollouts: Deploying
    jobs: Jobs
    uploads: Uploads
    links: Links
    films: Store
    """Where uploads and films are kept."""
    trusted: tuple[Network, ...]

    def address(self, request: web.Request) -> Address | None:
        """The client's address."""
        return client_address(request.remote, request.headers, self.trusted)

    def place(self, request: web.Request) -> Place | None:
        """Where the client is."""
        return self.geo.place(self.address(request))

    def base(self, request: web.Request) -> str:
        """The URL that this client reaches the orchestrator at, without a slash at its end."""
        if self.config.public_url:
            return self.config.public_url.rstrip("/")
        host = request.headers.get("Host")
        if host_name(host) is None:
            host = f"127.0.0.1:{self.config.http_port}"
        return f"{self._scheme(request)}://{host}"

    def reach(self, request: web.Request, url: str) -> str:
        """A URL of ours as this client reaches it: through the orchestrator's own name when it is served by this listener."""
        if is_local(url) and urlsplit(url).port == self.config.http_port:
            return self.base(request) + urlsplit(url).path
        return for_viewer(url, request.headers.get("Host"))

    def _scheme(self, request: web.Request) -> str:
        told = request.headers.get("X-Forwarded-Proto", "")
        peer = client_address(request.remote, {}, ())
        trusted = peer is not None and any(
            peer.version == one.version and peer in one for one in self.trusted
        )
        return "https" if trusted and told == "https" else request.scheme

    def broadcast(self, request: web.Request) -> Broadcast:
        """The broadcast that the path names. Raises NotFound."""
        return self.hub.broadcasts.require(request.match_info["broadcast"])

    def caller(self, request: web.Request) -> Caller:
        """Who sent it, as the gate found out."""
        caller: Caller = request.get(CALLER, _NOBODY)
        return caller

    def ask_again(self, request: web.Request) -> None:
        """Finds out anew what the caller's API key may, for what goes on after its request was let in. Raises Unauthorized."""
        caller = self.caller(request)
        if caller.key is not None:
            token = bearer(request.headers.get("Authorization"))
            request[CALLER] = replace(caller, key=self.keys.valid(token or ""))

    def sees(self, request: web.Request, name: str) -> bool:
        """Whether a broadcast or session may be told to the caller at all: a key may be limited to some, and to those that it made."""
        key = self.caller(request).key
        if key is None or key.covers(name):
            return True
        session = self.sessions.find(name)
        return session is not None and session.account == key.id

    def require_seen(self, request: web.Request, name: str) -> None:
        """Raises Forbidden for a key that is limited to others, whether this one exists or not."""
        key = self.caller(request).key
        if key is None or key.only is None or self.sees(request, name):
            return
        raise Forbidden(
            f"the API key {key.id} ({key.name}) is limited to {', '.join(key.only)}: {name[:64]!r} is not among them",
            code="key_limited",
            hint="choose a name that it covers, or ask for a key that covers this one",
            members={"only": list(key.only)},
        )

    def require_admin(self, request: web.Request) -> None:
        """Raises Unauthorized or Forbidden unless the caller is an operator, or has a key with the route's scope."""
        if not self.caller(request).operates():
            require_admin(request.headers.get("Authorization"), self.admin_token)

    def is_admin(self, request: web.Request) -> bool:
        """Is the caller an operator, or has it a key with the route's scope?"""
        try:
            return self.caller(request).operates()
        except Problem:
            return False

    def require_publisher(self, request: web.Request, broadcast: Broadcast) -> None:
        """Raises Unauthorized or Forbidden unless the caller may publish to it."""
        if not self.caller(request).operates():
            self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.PUBLISHER, broadcast.id)

    def require_node(self, request: web.Request) -> str | None:
        """The node that calls; None for a key, which may speak for any. Raises Unauthorized or Forbidden for others."""
        caller = self.caller(request)
        if caller.key is not None and caller.operates():
            return None
        return self.tokens.verify(bearer(request.headers.get("Authorization")), Audience.NODE).subject

    def require_watch(self, request: web.Request, broadcast: Broadcast) -> float:
        """Raises Unauthorized or Forbidden unless the caller may watch it; says when its token ends (seconds since the epoch), infinity
        where it needs none."""
        if broadcast.public or self.caller(request).operates():
            return math.inf
        token = bearer(request.headers.get("Authorization"))
        if token is None:
            raise Unauthorized(
                f"the broadcast {broadcast.id!r} is private",
                hint="send 'Authorization: Bearer <viewer token>'",
            )
        claims = self.tokens.verify(token, Audience.VIEWER, also=Audience.PUBLISHER)
        if claims.subject != broadcast.id:
            raise Forbidden(f"the token is not for {broadcast.id!r}", code="wrong_token")
        return claims.expires_at

    def require_talk(self, request: web.Request, broadcast: Broadcast) -> bool:
        """Raises unless the caller may talk to its avatar; True when only the open mic lets it (then the limit holds)."""
        if broadcast.open_mic and not request.headers.get("Authorization"):
            self.require_watch(request, broadcast)
            return True
        try:
            self.require_publisher(request, broadcast)
        except Problem:
            if not broadcast.open_mic:
                raise
            self.require_watch(request, broadcast)
            return True
        return False


def require_speaks(node: str | None, named: str) -> None:
    """Raises Forbidden when a node (None: whoever may speak for any) names another one in what it says."""
    if node not in (None, named):
        raise Forbidden(f"the token is for node {node!r}, not for {named!r}", code="wrong_token")


CONTEXT = web.AppKey("context", Context)


def context(request: web.Request) -> Context:
    """The context of the application that serves this request."""
    return request.config_dict[CONTEXT]


def read_query(request: web.Request, model: type[_Model]) -> _Model:
    """The query as `model`. Raises BadRequest (422) with the parameters named."""
    try:
        return model.model_validate({name: request.query.getall(name)[-1] for name in request.query})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in problems[:8])
        raise BadRequest(told, status=422, code="invalid_query") from None


def json(model: BaseModel, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A model as the answer; never kept by caches, since all of it changes."""
    return web.Response(
        status=status,
        body=model.model_dump_json().encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
