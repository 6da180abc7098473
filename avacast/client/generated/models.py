"""What the API answers, and the parts of what it is sent.

Made by `make client` from the OpenAPI document and docs/errors.md: do not edit.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from avacast.client.words import Word


class Actor(Word):
    """Actor."""

    ADMIN = "admin"
    KEY = "key"
    PUBLISHER = "publisher"
    NODE = "node"
    SYSTEM = "system"


class CdnKind(Word):
    """Whose it is."""

    NONE = "none"
    PULL = "pull"
    CLOUDFRONT = "cloudfront"


class CdnPhase(Word):
    """Where the distribution is in its life."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    DEPLOYING = "deploying"
    READY = "ready"
    RETIRING = "retiring"
    RETIRED = "retired"


class Delivery(Word):
    """The way by which media reaches a viewer."""

    WEBRTC = "webrtc"
    HLS = "hls"


class DrainCause(Word):
    """Who wants it."""

    OPERATOR = "operator"
    PROCESS = "process"
    POD = "pod"


class DrainPhase(Word):
    """See the module's text."""

    MOVING = "moving"
    OVERDUE = "overdue"
    EMPTY = "empty"


class EventType(Word):
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
    WEBHOOK_TEST = "webhook.test"


class Force(Word):
    """What ops hold a switch at; AUTO leaves it to the audience."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Happened(Word):
    """What the history tells."""

    BEGUN = "begun"
    PHASE = "phase"
    PAUSED = "paused"
    RESUMED = "resumed"
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    AGAIN = "again"


class Held(Word):
    """What keeps a decision from what the triggers ask for."""

    MOST = "most"
    UP_COOL_DOWN = "up_cool_down"
    DOWN_COOL_DOWN = "down_cool_down"


class JobOutcome(Word):
    """How an origin ends a job that has no film."""

    FAILED = "failed"
    GIVEN_BACK = "given_back"


class JobState(Word):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NodeState(Word):
    """See the module's text."""

    UP = "up"
    SUSPECT = "suspect"
    LAPSED = "lapsed"


class Reason(Word):
    """Why a switch is as it is."""

    INITIAL = "initial"
    ABOVE_THRESHOLD = "above_threshold"
    BELOW_RELEASE = "below_release"
    FORCED = "forced"
    DISABLED = "disabled"


class Role(Word):
    """Role."""

    ORIGIN = "origin"
    RELAY = "relay"
    PACKAGER = "packager"


class RolloutState(Word):
    """See the module's text."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    ROLLED_BACK = "rolled_back"


class Scope(Word):
    """What a key lets its holder do."""

    READ = "read"
    SPEAK = "speak"
    BROADCASTS = "broadcasts"
    SESSIONS = "sessions"
    JOBS = "jobs"
    NODE = "node"
    ADMIN = "admin"


class SendState(Word):
    """Where a delivery is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class SessionStage(Word):
    """How far a session is."""

    PREPARING = "preparing"
    LIVE = "live"


class Speaker(Word):
    """Who said it; the words of chat models."""

    USER = "user"
    ASSISTANT = "assistant"


class Stage(Word):
    """How a broadcast reaches its viewers now."""

    DIRECT = "direct"
    RELAYED = "relayed"
    HYBRID = "hybrid"


class Trigger(Word):
    """What asked for so many nodes."""

    PLACES = "places"
    FORECAST = "forecast"
    CPU = "cpu"
    GPU_MEMORY = "gpu_memory"
    MEMORY = "memory"
    LEAST = "least"


class ViewerRole(Word):
    """Does the viewer only watch (it may be moved to HLS), or take part (it stays on WebRTC)?"""

    PASSIVE = "passive"
    INTERACTIVE = "interactive"


class WhyNot(Word):
    """Why a node cannot be chosen, in the order in which they are told."""

    WRONG_ROLE = "wrong_role"
    DOES_NOT_HAVE_THE_STREAM = "does_not_have_the_stream"
    EXCLUDED_BY_REQUEST = "excluded_by_request"
    OTHER_VERSION = "other_version"
    UNHEALTHY = "unhealthy"
    DRAINING = "draining"
    FULL = "full"
    REGION_FULL = "region_full"


class Analytics(BaseModel):
    """Who watched a broadcast, how long, from where, how well. Percentiles are right within 4 %."""

    broadcast: str
    since: dt.datetime
    until: dt.datetime
    step_s: int
    live_s: float
    peak: int
    peak_at: dt.datetime | None
    """The step with the most viewers at once."""
    joins: int
    returns: int
    """Viewers that went on after they were taken for gone."""
    leaves: int
    watch: WatchTime
    quality: Quality
    deliveries: list[Share]
    regions: list[Share]
    countries: list[Share]
    devices: list[Share]
    still_there: list[StillThere]
    points: list[AnalyticsPoint]


class AnalyticsPoint(BaseModel):
    """One step. Viewers are means over it, null where nobody looked."""

    at: dt.datetime
    """Its begin."""
    viewers: float | None
    peak: int
    webrtc: float | None
    hls: float | None
    interactive: float | None
    joins: int
    leaves: int
    watch_s: float
    """Seconds that players say were watched."""
    stalls: int
    latency_ms: float | None
    """Median of what players reported."""
    loss_ratio: float | None
    """Of packets by WebRTC, mean over viewers."""
    ingest_bps: float | None
    egress_bps: float | None
    """Of all nodes together."""
    regions: dict[str, float]
    """Region of the serving node, or cdn -> viewers."""
    devices: dict[str, float]
    """Kind of device -> viewers whose players report."""


class AuditList(BaseModel):
    """A page of the audit log, newest first."""

    entries: list[Entry]
    next: str | None
    """`after` of the next page, null on the last."""


class BillView(BaseModel):
    """What a broadcast costs, by its parts."""

    listeners: int
    webrtc: int
    hls: int
    avatar: float
    compute: float
    """Relays."""
    egress: float
    """Traffic to viewers by WebRTC."""
    cdn: float
    """Traffic and requests of viewers by HLS."""
    total: float
    listener: float
    """total / listeners"""


class Broadcast(BaseModel):
    """What a node must know of one live broadcast."""

    id: str
    public: bool = False
    avatar: str | None = None
    persona: str | None = None
    dialogue: list[Said] = Field(default_factory=list)
    released: bool = False
    moving: bool = False
    moderated: bool = False
    speech: str | None = None
    upstreams: list[str] = Field(default_factory=list)
    package: bool = False
    twin: str | None = None
    first: bool = True
    mode: Delivery = Delivery("webrtc")
    hls_share: float = 0
    hls_url: str | None = None
    play_url: str | None = None
    viewers: int = 0


class BroadcastFacts(BaseModel):
    """Of broadcast.*."""

    broadcast: str
    title: str
    public: bool
    avatar: str | None
    created_at: dt.datetime
    origin: str | None = None
    """The node on which it is live."""
    region: str | None = None


class BroadcastList(BaseModel):
    """A page of broadcasts, by id."""

    broadcasts: list[BroadcastState]
    next: str | None
    """`after` of the next page, null on the last."""


class BroadcastState(BaseModel):
    """A broadcast and how it is now."""

    id: str
    title: str
    public: bool
    avatar: str | None
    persona: str | None
    """Told to operators only."""
    open_mic: bool
    moderated: bool
    webrtc_only: bool
    created_at: dt.datetime
    live: bool
    """Media is flowing on its origin."""
    stage: Stage
    mode: str
    """How a passive viewer that comes now watches: webrtc or hls."""
    viewers: int
    origin: str | None
    """The node that runs it."""
    whip: str
    """Publish here."""
    whep: str
    """Any WHEP player may watch here; it is redirected to the best node."""
    play: str
    """Our player asks here how to watch."""
    hls: str | None
    """The multivariant playlist, null while it is not packaged."""


class BroadcastStats(BaseModel):
    """Who watches a broadcast, from where, how well."""

    broadcast: str
    live: bool
    stage: Stage
    listeners: Listeners
    regions: dict[str, int]
    """Region of the serving node -> viewers by WebRTC."""
    reported: Reported
    """What players said in the last 30 s."""
    nodes: list[NodeStream]
    counted: bool
    """False while Redis is away: HLS viewers are as last counted."""


class CdnFacts(BaseModel):
    """Of cdn.*: passive viewers go to HLS, or back to WebRTC."""

    broadcast: str
    reason: str
    """above_threshold, below_release, forced, disabled or initial."""
    viewers: int


class CdnState(BaseModel):
    """The CDN."""

    kind: CdnKind
    url: str | None
    """Base URL of HLS; null: viewers reach the packagers, or stay on WebRTC."""
    ready: bool
    """Viewers may be sent to HLS."""
    phase: CdnPhase | None
    """Of a CloudFront distribution."""
    distribution: str | None
    """Its id."""
    wanted: bool
    """An audience needs it, or is about to."""
    trouble: str | None
    """Why CloudFront did not do what it was asked for last."""
    retry_s: float
    """Seconds until it is asked again, after a failure."""


class ChoiceView(BaseModel):
    """A node that can take the viewer."""

    node: str
    region: str
    score: float
    parts: Parts
    affinity: bool
    """The node that it had: goes before any score."""
    priority: float
    """Of its region; multiplies the score."""
    rtt_ms: float | None
    """The round trip that nearness goes by; null: it goes by distance."""
    filled: float
    """Part of its places that are taken, with those on the way."""
    storm: bool
    """So many are on the way that two near the best are drawn."""


class Cost(BaseModel):
    """Costs in `currency`, by list prices of `date`."""

    date: dt.date
    currency: str
    region: str
    sources: list[str]
    mix: MixView
    spot: dict[str, float]
    """Spot prices an hour; empty when they are not read."""
    spot_trouble: str | None
    session: float
    """One viewer with an avatar of its own for `minutes`."""
    user_month: float
    """A concurrent user for a month who talks for an hour a day."""
    user_month_target: float
    videos: float
    """1,000 films of `seconds`, drawn in real time, kept for a month, sent once."""
    broadcasts: list[BillView]
    curve: list[BillView]
    """For a plot: from no listener to the most that was asked for."""


class CreatedBroadcast(BaseModel):
    """A new broadcast, with the token to publish to it."""

    id: str
    title: str
    public: bool
    avatar: str | None
    persona: str | None
    """Told to operators only."""
    open_mic: bool
    moderated: bool
    webrtc_only: bool
    created_at: dt.datetime
    live: bool
    """Media is flowing on its origin."""
    stage: Stage
    mode: str
    """How a passive viewer that comes now watches: webrtc or hls."""
    viewers: int
    origin: str | None
    """The node that runs it."""
    whip: str
    """Publish here."""
    whep: str
    """Any WHEP player may watch here; it is redirected to the best node."""
    play: str
    """Our player asks here how to watch."""
    hls: str | None
    """The multivariant playlist, null while it is not packaged."""
    token: str
    """Publisher token; valid for 30 days."""


class Cue(BaseModel):
    """A line of a script."""

    at_s: float
    """Seconds from the script's start."""
    text: str
    """What is said; may hold pauses and stressed words."""


class DeliveryList(BaseModel):
    """A page of deliveries, the newest first."""

    deliveries: list[WebhookDelivery]
    next: str | None
    """`after` of the next page, null on the last."""


class DeliveryState(BaseModel):
    """How a broadcast is delivered."""

    broadcast: str
    stage: Stage
    mode: str
    """How a passive viewer that comes now watches."""
    hls_share: float
    """Part of the passive viewers that has moved to HLS, 0..1."""
    hls_ready: bool
    """The packager has the stream; nobody is moved before."""
    hls: str | None
    cdn: SwitchState
    relays: SwitchState


class Desk(BaseModel):
    """What a host sees."""

    moderated: bool
    """Questions wait here until they are approved."""
    speaking: LineState | None = None
    waiting: list[LineState]
    """Next first."""
    held: list[LineState]
    """Questions that wait for the host, oldest first."""
    script: ScriptState | None = None


class Directory(BaseModel):
    """All broadcasts that concern a node. `version` never decreases for one orchestrator cluster."""

    version: int = 0
    broadcasts: dict[str, Broadcast] = Field(default_factory=dict)
    draining: bool = False
    drain: DrainOrder | None = None
    keys: list[PublicKey] = Field(default_factory=list)


class DrainOrder(BaseModel):
    """A node is to get empty. Durations go between machines, since their clocks differ."""

    why: str = ""
    left_s: float = 60.0
    deadline_ms: int = 0


class DrainView(BaseModel):
    """A drain and how far it is."""

    cause: DrainCause
    """operator; process: it ends (SIGTERM), and cannot be taken back; pod: annotated `drain=true`, until that is taken away."""
    why: str
    phase: DrainPhase
    since: dt.datetime
    deadline: dt.datetime
    left_s: float
    """Seconds until the deadline."""
    viewers: int
    """Viewers by WebRTC that are still there."""
    nodes: int
    """Relays and packagers that still pull from it."""
    streams: int
    """Avatars and publishers that no other node has taken over yet."""


class EarGrant(BaseModel):
    """Where the avatar's ear is."""

    whip: str
    """POST an offer with one audio track here; a data channel `ears` tells what is understood."""
    token: str
    """Send it with the offer."""
    viewer: str
    expires_s: int
    """Seconds for which the token opens ears."""


class Endpoint(BaseModel):
    """An endpoint and how it does."""

    id: str
    url: str
    description: str
    events: list[EventType]
    """Empty: all."""
    created_at: dt.datetime
    enabled: bool
    disabled_reason: str | None
    failing_since: dt.datetime | None
    """Nothing was taken since; null: the last one was."""
    waiting: int
    """Deliveries that are on their way."""


class Entry(BaseModel):
    """One thing that somebody did, or was refused."""

    id: int
    at: dt.datetime
    actor: Actor
    key_id: str
    """The prefix of the API key that did it; empty when none did."""
    key_name: str
    """Its name at that time."""
    address: str
    """Where it came from; empty when unknown."""
    method: str
    path: str
    status: int
    """How it was answered."""
    made: str
    """The path of what it made; empty when it made nothing."""


class Health(BaseModel):
    """What went well and what did not since the process began: counters that only grow (but `sessions_live`). Rollouts judge
    versions by
    what they grow by. An origin's requests are lines and starts of avatars; a relay's are joins.
    """

    requests: int = 0
    errors: int = 0
    latency_total_ms: float = 0
    latency_count: int = 0
    sessions: int = 0
    sessions_live: int = 0
    underruns: int = 0
    gpu_memory_errors: int = 0


class History(BaseModel):
    """What was said, oldest first."""

    said: list[Said]


class Job(BaseModel):
    """A job and how far it is."""

    id: str
    account: str | None
    """The API key that made it; null: an operator did."""
    state: JobState
    avatar: str | None
    image: str | None
    text: str | None
    audio: str | None
    voice: str
    size: str
    background: str
    created_at: dt.datetime
    begun_at: dt.datetime | None
    ended_at: dt.datetime | None
    ahead: int | None = None
    """Jobs that were there before it and wait too; null when it does not wait."""
    node: str | None
    """The origin that makes it, or made it."""
    step: str
    """What is being done, for people."""
    share: float
    """How much of that is done, 0..1."""
    attempts: int
    """How often an origin began it."""
    error: str | None
    """Why there is no film."""
    size_bytes: int | None
    """Of the film."""
    result: str | None = None
    """The film (MP4): a link that needs no token and is valid for 24 hours. Ask again for a new one."""
    result_until: dt.datetime | None = None
    """The film is deleted then."""


class JobChance(BaseModel):
    """What there is for it."""

    job: TakenJob | None


class JobFacts(BaseModel):
    """Of job.*. GET /api/jobs/{job} has the link to the film: links are not sent, since they need no token."""

    job: str
    account: str | None
    """The API key that made it; null: an operator did."""
    created_at: dt.datetime
    node: str | None
    """The origin that made it."""
    size_bytes: int | None
    error: str | None


class JobGoing(BaseModel):
    """Whether the origin is to go on."""

    go_on: bool


class JobList(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[Job]
    next: str | None
    """`after` of the next page, null on the last."""


class JobOrder(BaseModel):
    """What a film is made of: a face by name or (None) by its image, and words, or (None) a recording of speech."""

    avatar: str | None
    text: str | None
    voice: str
    width: int
    height: int
    background: str
    image: str | None = None
    audio: str | None = None


class Key(BaseModel):
    """A key as kept: never its secret."""

    id: str
    """Its prefix: what its secret begins with."""
    name: str
    scopes: list[Scope]
    only: list[str] | None = None
    """Names, or their beginnings with *, of the broadcasts that it is limited to."""
    created_at: dt.datetime
    expires_at: dt.datetime | None
    used_at: dt.datetime | None
    """Its last request, to half a minute."""
    rotated_at: dt.datetime | None
    old_until: dt.datetime | None
    """Until then the secret before this one is taken too."""
    old_used_at: dt.datetime | None
    """The last request with that one since."""
    requests_per_minute: int | None
    makes_per_minute: int | None
    sessions: int | None


class KeyList(BaseModel):
    """A page of keys, by prefix."""

    keys: list[Key]
    next: str | None
    """`after` of the next page, null on the last."""


class KeySet(BaseModel):
    """A JSON Web Key Set (RFC 7517), the newest key first."""

    keys: list[PublicKey]


class LineState(BaseModel):
    """One line."""

    number: int
    kind: str
    """say: spoken as it is; ask: a question, which is answered."""
    text: str
    asker: str | None = None
    """The viewer who asked."""


class Listeners(BaseModel):
    """Viewers now, each once."""

    total: int
    webrtc: int
    hls: int
    interactive: int
    passive: int


class MadeKey(BaseModel):
    """A key with its secret."""

    id: str
    """Its prefix: what its secret begins with."""
    name: str
    scopes: list[Scope]
    only: list[str] | None = None
    """Names, or their beginnings with *, of the broadcasts that it is limited to."""
    created_at: dt.datetime
    expires_at: dt.datetime | None
    used_at: dt.datetime | None
    """Its last request, to half a minute."""
    rotated_at: dt.datetime | None
    old_until: dt.datetime | None
    """Until then the secret before this one is taken too."""
    old_used_at: dt.datetime | None
    """The last request with that one since."""
    requests_per_minute: int | None
    makes_per_minute: int | None
    sessions: int | None
    secret: str
    """Send it as `Authorization: Bearer ...`. It is not kept, and never told again."""


class MadeSession(BaseModel):
    """A session with the token of its person."""

    id: str
    """The id of its broadcast too."""
    user: str | None
    account: str | None
    """The API key that made it; null: an operator did."""
    avatar: str | None
    state: SessionStage
    origin: str | None
    """The node that runs it."""
    region: str | None
    created_at: dt.datetime
    seen_at: dt.datetime
    """The last sign of its person, to half a minute."""
    ends_at: dt.datetime
    """It is over then, if nobody comes before."""
    play: str
    """Our player asks here how to watch."""
    whep: str
    """Any WHEP player may watch here."""
    events: str
    """Server-sent events."""
    token: str
    """Its person's: to watch, ask, interrupt and be heard. Valid for a day."""
    is_new: bool
    """False when this person had one."""


class MadeWebhook(BaseModel):
    """A webhook with its secret, which is shown only now."""

    id: str
    url: str
    description: str
    events: list[EventType]
    """Empty: all."""
    created_at: dt.datetime
    enabled: bool
    disabled_reason: str | None
    failing_since: dt.datetime | None
    """Nothing was taken since; null: the last one was."""
    waiting: int
    """Deliveries that are on their way."""
    secret: str
    """Verify signatures with it: docs/webhooks.md."""


class MixView(BaseModel):
    """The cheapest machines, hour by hour."""

    demand: list[int]
    hours: list[list[PartView]]
    cost: float
    """Of all hours, with the time in which machines start."""
    starts_cost: float
    exact: bool
    """Nothing is cheaper. False: at most `gap` could be, the solver ran out of time."""
    gap: float
    stream_hour: float
    """Cost of an avatar for an hour: `cost` by what is demanded."""
    place_hour: float
    """Cost of a place for an hour: `cost` by what is paid for."""


class NodeFacts(BaseModel):
    """Of node.*. A node that drained before it was lost has ended as it should."""

    node: str
    role: Role
    region: str
    draining: bool


class NodeList(BaseModel):
    """A page of nodes, by id."""

    nodes: list[NodeView]
    next: str | None
    """`after` of the next page, null on the last."""


class NodeSfu(BaseModel):
    """The SFU of one node, as it reported last."""

    id: str
    role: Role
    region: str
    place: list[Any] | None
    """Latitude and longitude of its region; null: it is neither a known cloud's nor told as two numbers."""
    workers: int
    transports: int
    """Viewers and nodes that it serves."""
    streams: int
    egress_bps: int
    cpu_ratio: float
    age_s: float
    """Seconds since its last heartbeat."""
    stats: dict[str, Any]
    """Its own figures, as its /api/sfu/stats has them; `pulls` for operators."""


class NodeStream(BaseModel):
    """A broadcast on one node."""

    node: str
    role: Role
    region: str
    viewers: int
    stream: StreamReport


class NodeView(BaseModel):
    """A node as operators see it."""

    id: str
    role: Role
    state: NodeState
    draining: bool
    drain: DrainView | None
    """Why, until when, and what is left; null: it does not drain."""
    region: str
    zone: str
    url: str
    version: str
    epoch: int
    viewers: int
    capacity: int
    """Viewers that it is given: what it says, corrected by what is measured."""
    said_capacity: int
    """What it says."""
    workers: int
    avatar: bool
    cpu_ratio: float
    memory_bytes: int
    performance: float
    """How its viewers fared lately, 0..1."""
    streams: list[str]
    heartbeat_age_s: float
    lease_s: float
    """Seconds until its lease ends; negative: it lapsed."""


class OwnDrain(BaseModel):
    """A node gets empty by itself, because its process is to end, or (not `ends`) because its pod's annotations ask for it."""

    why: str = ""
    left_s: float = 60.0
    drain_s: float = 60.0
    ends: bool = True


class PartView(BaseModel):
    """Machines of one kind."""

    type: str
    spot: bool
    count: int
    streams: int
    """Avatars that one carries."""
    hour: float
    """Price of one for an hour."""


class Parts(BaseModel):
    """The four parts of a score, each in 0..1."""

    nearness: float
    load: float
    performance: float
    capacity: float


class Percentiles(BaseModel):
    """Of a set of measurements, null when there is none."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    count: int = 0


class PlacementList(BaseModel):
    """What is tried, in this order."""

    country: str | None
    placements: list[PlacementView]


class PlacementView(BaseModel):
    """Nodes of one kind: those that can take the viewer, best first, and why the others cannot."""

    ranked: list[ChoiceView]
    rejected: dict[str, WhyNot]
    usable: int
    """Nodes that can take the viewer; `ranked` has the best of them."""
    refused: int
    """Nodes that cannot; `rejected` has the first of them, by id."""
    version: str | None
    """Only nodes of this version, by a rollout; the next ones are tried when none of it can. Null: any."""


class Play(BaseModel):
    """How to watch now."""

    mode: Delivery
    whep: str | None
    """POST the offer here; null when no node takes viewers by WebRTC."""
    hls: str | None
    """The multivariant playlist; null while there is none."""
    token: str | None
    """Viewer token of a private broadcast, for the node."""
    node: str | None
    region: str | None
    viewer: str
    """Send it with the offer, and report under it."""
    broadcast: str
    role: ViewerRole
    stage: Stage
    live: bool
    """Media is flowing."""
    report: str
    """POST a report here every 10 s."""
    probes: list[Probe] = Field(default_factory=list)
    """Nodes in several regions; measure them when there is time, and send `rtt` with the next question."""


class PoolView(BaseModel):
    """A pool: what it has, what it should have, and why."""

    role: Role
    region: str
    wanted: int
    """Nodes that it should have. KEDA: valueLocation `wanted`, targetValue 1."""
    nodes: int
    """Nodes that take work."""
    draining: int
    least: int
    most: int
    trigger: Trigger
    """What asks for most nodes."""
    asked: dict[str, int]
    """Trigger -> nodes that it asks for."""
    held: Held | None
    """What keeps `wanted` from what is asked for."""
    used: int
    """Viewers; of packagers, and of origins with avatars: broadcasts."""
    places: int
    filled: float
    """used / places"""
    expected: int
    """`used` as expected in five minutes."""
    cpu_ratio: float
    memory_ratio: float
    gpu_memory_ratio: float | None
    """Null: no node has a GPU."""
    changed_s: float
    """Seconds since `wanted` changed."""
    group: str | None
    """Its Auto Scaling group."""
    told: int | None
    """What the group was last told by this orchestrator."""
    trouble: str | None
    """Why the group could not be told."""


class Probe(BaseModel):
    """A node whose round trip a player may measure, for the next time that it asks."""

    node: str
    url: str
    """GET it twice; the second time without a new connection is the round trip."""


class PublicKey(BaseModel):
    """A JSON Web Key that verifies tokens."""

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str
    x: str
    """The key, 32 bytes in base64url."""


class Publish(BaseModel):
    """Where to publish now."""

    whip: str
    """POST the offer here, with the publisher's token."""
    node: str
    region: str


class Quality(BaseModel):
    """How well it was seen, as players and nodes report it."""

    startup_ms: Spread
    """From the wish to watch to the first picture."""
    latency_ms: dict[str, Spread]
    """Delivery -> from capture to picture."""
    stalls: int
    stalls_per_hour: float | None
    """For each hour that was watched."""
    loss_ratio: float | None
    """Of packets by WebRTC, mean over viewers."""
    bitrate_bps: float | None
    """Mean of what players received."""


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


class RecordingPage(BaseModel):
    """Recordings of all packagers, the newest first, each once; `play` and `film` are whole URLs."""

    recordings: list[RecordingView]
    next: str | None = None
    unreachable: list[str] = Field(default_factory=list)
    """Packagers that did not answer: theirs may be missing."""


class RecordingView(BaseModel):
    """One recording of a broadcast. Paths are below the packager's, or the CDN's, base URL."""

    id: str
    broadcast: str
    started: str
    """When its first picture was taken, ISO 8601."""
    state: str
    """recording, finishing or finished."""
    progress: float = 1.0
    """Part of its bytes that is in the store."""
    duration_s: float
    size_bytes: int
    """Of all renditions."""
    lost_segments: int = 0
    """Segments that were broadcast and could not be kept; they are gaps."""
    paused: str | None = None
    """Why nothing is recorded at the moment."""
    renditions: list[str] = Field(default_factory=list)
    private: bool = False
    """Whoever watches it needs a token; the paths here have one that is good for six to seven hours."""
    play: str
    """Path of its multivariant playlist."""
    film: str | None = None
    """Path of the MP4, once there is one."""
    film_bytes: int = 0
    poster: str | None = None
    """Path of a JPEG that stands for it."""
    storyboard: str | None = None
    """Path of a WebVTT file: which part of which JPEG beside it belongs to which time."""


class RenewedSecret(BaseModel):
    """A new secret, which is shown only now. The one before signs too for a day."""

    secret: str


class Reported(BaseModel):
    """What players said of one broadcast, over those whose last report still stands."""

    regions: dict[str, int] = Field(default_factory=dict)
    """Region of the node that serves -> viewers."""
    countries: dict[str, int] = Field(default_factory=dict)
    """ISO 3166-1 code -> viewers."""
    latency_ms: dict[str, Percentiles] = Field(default_factory=dict)
    """Delivery -> latency."""
    freezes: int = 0


class RolloutDetail(BaseModel):
    """With its history."""

    id: str
    role: Role
    stable: str
    candidate: str
    state: RolloutState
    current: bool
    """Its pool goes by it; false: by a later one."""
    reason: str
    """Why it is as it is, where that needs a word."""
    attempt: int
    percent: int
    """Of the users that get the new version."""
    phase: int
    """Of `phases`, from 0."""
    phases: list[RolloutPhase]
    phase_left_s: float | None
    """Seconds that the phase has left; null: it has no end now."""
    seen: int
    """Requests of the new version in this phase."""
    limits: RolloutLimits
    move_sessions: bool
    created_at: dt.datetime
    versions: list[VersionView]
    """The stable one, the new one, then others that nodes report."""
    history: list[RolloutEvent]
    """Oldest first."""


class RolloutEvent(BaseModel):
    """One thing that happened to a rollout."""

    at: dt.datetime
    happened: Happened
    by: str
    """operator, or system: by the rules."""
    attempt: int
    percent: int
    """Of the users, from then on."""
    reason: str
    figures: dict[str, VersionFigures]
    """By version, at that time."""


class RolloutFacts(BaseModel):
    """Of rollout.*: a pool gets a new version. One that begins again has the same id and the next `attempt`."""

    rollout: str
    role: Role
    stable: str
    candidate: str
    attempt: int
    percent: int
    """Of the users that get `candidate` from now on."""
    reason: str
    """What an operator said, or which limit was broken; else empty."""


class RolloutLimits(BaseModel):
    """What takes a version back. Defaults are requirement P7's."""

    error_ratio: float = 0.01
    """Errors of all requests."""
    latency_growth: float = 0.5
    """Mean latency above the stable version's."""
    underruns_a_session: float = 10
    gpu_memory_errors: int = 1
    """So many are too many."""
    least_requests: int = 200
    """Fewer say nothing, neither for nor against a version."""
    least_sessions: int = 10
    window_s: float = 1800.0
    """What is judged happened within so long."""


class RolloutList(BaseModel):
    """A page of rollouts, newest first."""

    rollouts: list[RolloutView]
    next: str | None
    """`after` of the next page, null on the last."""


class RolloutPhase(BaseModel):
    """So many percent of the users, for so long."""

    percent: int
    """Of the users."""
    days: float = 0
    """How long; the last phase has no end, 0 there."""


class RolloutView(BaseModel):
    """A rollout and how it goes."""

    id: str
    role: Role
    stable: str
    candidate: str
    state: RolloutState
    current: bool
    """Its pool goes by it; false: by a later one."""
    reason: str
    """Why it is as it is, where that needs a word."""
    attempt: int
    percent: int
    """Of the users that get the new version."""
    phase: int
    """Of `phases`, from 0."""
    phases: list[RolloutPhase]
    phase_left_s: float | None
    """Seconds that the phase has left; null: it has no end now."""
    seen: int
    """Requests of the new version in this phase."""
    limits: RolloutLimits
    move_sessions: bool
    created_at: dt.datetime
    versions: list[VersionView]
    """The stable one, the new one, then others that nodes report."""


class Said(BaseModel):
    """One thing said. An avatar's is what was heard of it, not what it wanted to say."""

    speaker: Speaker
    text: str
    asker: str | None = None


class Scaling(BaseModel):
    """A page of pools, by role and region."""

    dry_run: bool
    """No group is told anything (AVACAST_SCALING_APPLY is off)."""
    pools: list[PoolView]
    next: str | None
    """`after` of the next page, null on the last."""


class ScriptState(BaseModel):
    """How far a script is."""

    cues: int
    """Its lines."""
    begun: int
    """Those that have begun or wait for the line before them to end."""
    position_s: float
    """Seconds since its start."""
    next_at_s: float | None
    """When the next line is due; null after the last."""
    behind_s: float
    """How late the latest line began: lines before it were longer."""


class SessionFacts(BaseModel):
    """Of session.*. `origin_before` is where it was before it moved."""

    session: str
    user: str | None
    created_at: dt.datetime
    origin: str | None = None
    region: str | None = None
    origin_before: str | None = None


class SessionList(BaseModel):
    """A page of sessions, by id."""

    sessions: list[SessionState]
    next: str | None
    """`after` of the next page, null on the last."""


class SessionState(BaseModel):
    """A session and how it is now."""

    id: str
    """The id of its broadcast too."""
    user: str | None
    account: str | None
    """The API key that made it; null: an operator did."""
    avatar: str | None
    state: SessionStage
    origin: str | None
    """The node that runs it."""
    region: str | None
    created_at: dt.datetime
    seen_at: dt.datetime
    """The last sign of its person, to half a minute."""
    ends_at: dt.datetime
    """It is over then, if nobody comes before."""
    play: str
    """Our player asks here how to watch."""
    whep: str
    """Any WHEP player may watch here."""
    events: str
    """Server-sent events."""


class SfuStats(BaseModel):
    """All SFUs; `nodes` is a page of them, by id, the sums are of all."""

    workers: int
    transports: int
    viewers: int
    egress_bps: int
    origins: int
    relays: int
    packagers: int
    nodes: list[NodeSfu]
    next: str | None
    """`after` of the next page, null on the last."""


class Share(BaseModel):
    """A part of what was watched."""

    name: str
    watch_s: float
    share: float
    """0..1"""


class Spread(BaseModel):
    """Of a set of measurements, null when there is none."""

    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    count: int


class StillThere(BaseModel):
    """Which part of all who came is still there."""

    after_s: float
    share: float
    """0..1"""


class StreamReport(BaseModel):
    """One stream on a node: is media flowing, who watches. Rates in bit/s, times in ms."""

    stream: str
    live: bool = False
    subscribers_interactive: int = 0
    subscribers_passive: int = 0
    downstream_nodes: int = 0
    ingest_bps: int = 0
    egress_bps: int = 0
    rtt_ms_p50: float = 0
    loss_ratio: float = 0
    upstream: str | None = None
    linger_s: float | None = None
    resting: bool | None = None


class SwitchState(BaseModel):
    """One switch and why it is so."""

    on: bool
    force: Force
    """What ops hold it at; auto: the audience decides."""
    reason: Reason


class Taken(BaseModel):
    """The origin has taken it; what else it says is passed on."""

    model_config = ConfigDict(extra="allow")

    broadcast: str
    origin: str


class TakenJob(BaseModel):
    """A job that an origin has from now on."""

    id: str
    attempt: int
    order: JobOrder


class TestFacts(BaseModel):
    """Of webhook.test, which an operator asked for."""

    webhook: str


class Token(BaseModel):
    """A token for one broadcast."""

    token: str
    audience: str
    broadcast: str
    expires_at: dt.datetime


class Upload(BaseModel):
    """A file that was uploaded."""

    id: str
    kind: str
    """image or audio."""
    format: str
    """What it was found to be, such as jpg or wav."""
    size_bytes: int
    created_at: dt.datetime
    expires_at: dt.datetime
    """It is deleted then, unless a job waits for it."""


class VersionFigures(BaseModel):
    """What one version did within the window."""

    nodes: int = 0
    """That report now."""
    requests: int = 0
    errors: int = 0
    latency_total_ms: float = 0.0
    latency_count: int = 0
    sessions: int = 0
    """That began within the window, or ran when it began."""
    underruns: int = 0
    gpu_memory_errors: int = 0


class VersionView(BaseModel):
    """What a version of the pool does, over the window of the limits. Null: nothing was measured."""

    version: str
    share: float
    """Of the users, 0..1, that get it."""
    nodes: int
    """That report this version now."""
    viewers: int
    """By WebRTC, on those."""
    streams: int
    """Live on those."""
    requests: int
    error_ratio: float | None
    latency_ms: float | None
    underruns_a_session: float | None
    gpu_memory_errors: int
    sessions: int


class WatchTime(BaseModel):
    """How long was watched. `total_s` of all; the rest of those who have left."""

    total_s: float
    mean_s: float | None
    p25_s: float | None
    p50_s: float | None
    p75_s: float | None
    p90_s: float | None


class WebhookDelivery(BaseModel):
    """A delivery as the API tells it."""

    id: int
    event: str
    """The event's id, which is the header webhook-id."""
    type: EventType
    at: dt.datetime
    """When it happened."""
    state: SendState
    attempts: int
    next_at: dt.datetime | None
    """When it is tried next, null when it is not."""
    last_at: dt.datetime | None
    last_status: int | None
    """How the endpoint answered last; null when no answer came."""
    last_error: str | None
    body: WebhookEvent
    """What is sent."""


class WebhookEvent(BaseModel):
    """The body of a webhook. `id` is the header webhook-id too: the same in each try, so that it can be taken once."""

    id: str
    type: EventType
    timestamp: dt.datetime
    """When it happened."""
    data: (
        BroadcastFacts
        | CdnFacts
        | SessionFacts
        | NodeFacts
        | RecordingFacts
        | JobFacts
        | RolloutFacts
        | TestFacts
    )


class WebhookList(BaseModel):
    """A page of webhooks, by id."""

    webhooks: list[Endpoint]
    next: str | None
    """`after` of the next page, null on the last."""
