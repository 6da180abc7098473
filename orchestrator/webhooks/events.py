"""What webhooks tell: the kinds of events and what each says. The shape is stable: fields are added, never changed or taken away."""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from dataclasses import dataclass

from pydantic import BaseModel, Field

from common.directory import Role
from common.ids import new_id


class EventType(enum.StrEnum):
    """The kinds of events."""

    BROADCAST_CREATED = "broadcast.created"
    BROADCAST_LIVE = "broadcast.live"
    BROADCAST_SILENT = "broadcast.silent"
    BROADCAST_ENDED = "broadcast.ended"
    CDN_ACTIVATED = "cdn.activated"
    CDN_DEACTIVATED = "cdn.deactivated"
    SESSION_STARTED = "session.started"
    SESSION_MOVED = "session.moved"
    SESSION_ENDED = "session.ended"
    NODE_JOINED = "node.joined"
    NODE_DRAINING = "node.draining"
    NODE_RESUMED = "node.resumed"
    NODE_LOST = "node.lost"
    RECORDING_READY = "recording.ready"
    JOB_DONE = "job.done"
    JOB_FAILED = "job.failed"
    ROLLOUT_BEGUN = "rollout.begun"
    ROLLOUT_WIDENED = "rollout.widened"
    ROLLOUT_PAUSED = "rollout.paused"
    ROLLOUT_RESUMED = "rollout.resumed"
    ROLLOUT_ROLLED_BACK = "rollout.rolled_back"
    ROLLOUT_FINISHED = "rollout.finished"
    TEST = "webhook.test"


class BroadcastFacts(BaseModel):
    """Of broadcast.*."""

    broadcast: str
    title: str
    public: bool
    avatar: str | None
    created_at: dt.datetime
    origin: str | None = Field(None, description="The node on which it is live.")
    region: str | None = None


class CdnFacts(BaseModel):
    """Of cdn.*: passive viewers go to HLS, or back to WebRTC."""

    broadcast: str
    reason: str = Field(description="above_threshold, below_release, forced, disabled or initial.")
    viewers: int


class SessionFacts(BaseModel):
    """Of session.*. `origin_before` is where it was before it moved."""

    session: str
    user: str | None
    created_at: dt.datetime
    origin: str | None = None
    region: str | None = None
    origin_before: str | None = None


class NodeFacts(BaseModel):
    """Of node.*. A node that drained before it was lost has ended as it should."""

    node: str
    role: Role
    region: str
    draining: bool


class RecordingFacts(BaseModel):
    """Of recording.ready. `play` and `film` are null for a private recording: GET /api/recordings has paths with a token."""

    recording: str
    broadcast: str
    started: dt.datetime
    duration_s: float
    size_bytes: int
    lost_segments: int
    private: bool
    play: str | None
    film: str | None


class JobFacts(BaseModel):
    """Of job.*. GET /api/jobs/{job} has the link to the film: links are not sent, since they need no token."""

    job: str
    account: str | None = Field(description="The API key that made it; null: an operator did.")
    created_at: dt.datetime
    node: str | None = Field(description="The origin that made it.")
    size_bytes: int | None
    error: str | None


class RolloutFacts(BaseModel):
    """Of rollout.*: a pool gets a new version. One that begins again has the same id and the next `attempt`."""

    rollout: str
    role: Role
    stable: str
    candidate: str
    attempt: int
    percent: int = Field(description="Of the users that get `candidate` from now on.")
    reason: str = Field(description="What an operator said, or which limit was broken; else empty.")


class TestFacts(BaseModel):
    """Of webhook.test, which an operator asked for."""

    __test__ = False  # no class of tests

    webhook: str


Facts = (
    BroadcastFacts
    | CdnFacts
    | SessionFacts
    | NodeFacts
    | RecordingFacts
    | JobFacts
    | RolloutFacts
    | TestFacts
)


class WebhookEvent(BaseModel):
    """The body of a webhook. `id` is the header webhook-id too: the same in each try, so that it can be taken once."""

    id: str
    type: EventType
    timestamp: dt.datetime = Field(description="When it happened.")
    data: Facts


FACTS: dict[EventType, type[BaseModel]] = {
    **dict.fromkeys(
        (
            EventType.BROADCAST_CREATED,
            EventType.BROADCAST_LIVE,
            EventType.BROADCAST_SILENT,
            EventType.BROADCAST_ENDED,
        ),
        BroadcastFacts,
    ),
    **dict.fromkeys((EventType.CDN_ACTIVATED, EventType.CDN_DEACTIVATED), CdnFacts),
    **dict.fromkeys(
        (EventType.SESSION_STARTED, EventType.SESSION_MOVED, EventType.SESSION_ENDED), SessionFacts
    ),
    **dict.fromkeys(
        (EventType.NODE_JOINED, EventType.NODE_DRAINING, EventType.NODE_RESUMED, EventType.NODE_LOST),
        NodeFacts,
    ),
    EventType.RECORDING_READY: RecordingFacts,
    **dict.fromkeys((EventType.JOB_DONE, EventType.JOB_FAILED), JobFacts),
    **dict.fromkeys(
        (
            EventType.ROLLOUT_BEGUN,
            EventType.ROLLOUT_WIDENED,
            EventType.ROLLOUT_PAUSED,
            EventType.ROLLOUT_RESUMED,
            EventType.ROLLOUT_ROLLED_BACK,
            EventType.ROLLOUT_FINISHED,
        ),
        RolloutFacts,
    ),
    EventType.TEST: TestFacts,
}
"""What the `data` of each kind is."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened. One with a `key` is told once, whoever notices it how often."""

    type: EventType
    data: Facts
    at: dt.datetime
    key: str | None = None

    @property
    def id(self) -> str:
        """Its name in the header webhook-id: another one at each look, unless it has a key."""
        if self.key is None:
            return new_id("evt")
        return "evt_" + hashlib.sha256(f"{self.type}\n{self.key}".encode()).hexdigest()[:24]
