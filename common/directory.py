"""What orchestrator and nodes tell each other: a node reports itself, and learns which broadcasts concern it."""

from __future__ import annotations

import enum
import zlib
from typing import Annotated

from pydantic import Field

from common.dialogue import MOST_KEPT, Said
from common.message import Message
from common.signing import MOST_KEYS, PublicKey

Count = Annotated[int, Field(ge=0, le=10_000_000)]


AVATAR_LANGUAGE = "en"
"""What all voices speak (speech/g2p.py), as BCP 47 names it."""


TOKEN_HEADER = "Avacast-Node-Token"
"""A node whose token for its peers ends soon says so in a heartbeat; the answer has another one."""


class Role(enum.StrEnum):
    ORIGIN = "origin"
    RELAY = "relay"
    PACKAGER = "packager"


class Delivery(enum.StrEnum):
    """The way by which media reaches a viewer."""

    WEBRTC = "webrtc"
    HLS = "hls"


class DrainOrder(Message):
    """A node is to get empty. Durations go between machines, since their clocks differ."""

    why: str = Field(default="", max_length=200)
    left_s: float = Field(default=60.0, ge=0, le=86_400)
    """Seconds until it is to be empty, when this was told."""
    deadline_ms: int = Field(default=0, ge=0)
    """The same by the orchestrators' clock (Unix ms): another one is another order."""


class OwnDrain(Message):
    """A node gets empty by itself, because its process is to end, or (not `ends`) because its pod's annotations ask for it."""

    why: str = Field(default="", max_length=200)
    left_s: float = Field(default=60.0, ge=0, le=86_400)
    drain_s: float = Field(default=60.0, ge=0, le=86_400)
    """How long it takes in all."""
    ends: bool = True
    """The process ends then, so the drain cannot be taken back."""


class StreamReport(Message):
    """One stream on a node: is media flowing, who watches. Rates in bit/s, times in ms."""

    stream: str = Field(max_length=64)
    live: bool = False
    subscribers_interactive: Count = 0
    subscribers_passive: Count = 0
    downstream_nodes: Count = 0
    ingest_bps: Count = 0
    egress_bps: int = Field(default=0, ge=0)
    rtt_ms_p50: float = 0
    loss_ratio: float = Field(default=0, ge=0, le=1)
    upstream: str | None = None
    linger_s: float | None = None
    resting: bool | None = None
    """Its avatar says nothing and has nothing to say; None: no avatar makes it here."""


class Health(Message):
    """What went well and what did not since the process began: counters that only grow (but `sessions_live`). Rollouts judge versions by
    what they grow by. An origin's requests are lines and starts of avatars; a relay's are joins."""

    requests: int = Field(default=0, ge=0, le=2**53)
    errors: int = Field(default=0, ge=0, le=2**53)
    """Of the requests: those that failed, by our fault."""
    latency_total_ms: float = Field(default=0, ge=0, le=2**53, allow_inf_nan=False)
    """An origin's: from a line's turn to its first sound. A relay's: from an offer to its answer."""
    latency_count: int = Field(default=0, ge=0, le=2**53)
    sessions: int = Field(default=0, ge=0, le=2**53)
    """Avatars that began."""
    sessions_live: Count = 0
    underruns: int = Field(default=0, ge=0, le=2**53)
    """Times that speech was not there when it was due."""
    gpu_memory_errors: int = Field(default=0, ge=0, le=2**53)


class NodeReport(Message):
    """Registration and heartbeat of a node. `url` is its HTTP base; `epoch` grows with each start of the process."""

    id: str = Field(min_length=1, max_length=64)
    role: Role
    region: str = Field(default="local", max_length=64)
    zone: str = Field(default="", max_length=64)
    url: str = Field(max_length=512)
    epoch: int = Field(ge=0)
    version: str = Field(default="", max_length=64)
    draining: bool = False
    leaving: OwnDrain | None = None
    """It drains by itself: ops cannot take that back."""
    capacity: Count = 1000
    busiest_ratio: float = Field(default=0, ge=0)
    """Of its core, what the busiest media worker used since the report before."""
    refused: Count = 0
    """Joins that found no place on it since its start."""
    cpu_ratio: float = Field(default=0, ge=0)
    memory_bytes: int = Field(default=0, ge=0)
    memory_ratio: float = Field(default=0, ge=0, le=1)
    """Of the machine: what is not free, of all."""
    gpu_memory_ratio: float | None = Field(default=None, ge=0, le=1)
    """Of the GPU that draws; None: it has none."""
    workers: Count = 0
    avatar: bool = False
    avatars_free: Count | None = None
    """How many more avatars the node carries, by what it measured; None: it does not know yet."""
    avatars_refused: list[str] = Field(default_factory=list, max_length=10_000)
    """Broadcasts whose avatar it was to run and does not carry."""
    packages: list[str] = Field(default_factory=list, max_length=10_000)
    """Broadcasts that it makes HLS of, or reads along, whether or not media comes now."""
    health: Health | None = None
    """None: it does not count."""
    streams: list[StreamReport] = Field(default_factory=list, max_length=10_000)
    stats: dict[str, object] = Field(default_factory=dict)


class Broadcast(Message):
    """What a node must know of one live broadcast."""

    id: str
    public: bool = False
    avatar: str | None = None
    persona: str | None = None
    dialogue: list[Said] = Field(default_factory=list, max_length=MOST_KEPT)
    """What was said with its avatar before this origin runs it; when it is live here, told only while another hands it over."""
    released: bool = False
    """Another origin has taken it over: who watches here is to join there, and then it ends here. To a packager: its twin is to make the
    playlists, so it gives them up as soon as that reads along."""
    moving: bool = False
    """Another origin waits for its publisher: who publishes here is asked to come there too."""
    moderated: bool = False
    """Questions to its avatar wait until a host approves them."""
    speech: str | None = None
    """Language (BCP 47) of the avatar that speaks in it, wherever that runs: it has captions. None where a person publishes."""
    upstreams: list[str] = Field(default_factory=list)
    """WHEP URLs that this node may pull from, best first; empty on the broadcast's origin."""
    package: bool = False
    """This node (a packager) makes HLS of it."""
    twin: str | None = None
    """HTTP base of another packager that makes HLS of it; None while there is none. The two agree on who leads."""
    first: bool = True
    """This node begins the playlists when its twin has none."""
    mode: Delivery = Delivery.WEBRTC
    """How passive viewers watch now, or are on their way to."""
    hls_share: float = Field(default=0, ge=0, le=1)
    """Part of the passive viewers that is sent to HLS; they move in batches, `mode_for` says who is in it."""
    hls_url: str | None = None
    play_url: str | None = None
    viewers: Count = 0

    def mode_for(self, viewer: str) -> Delivery:
        """How this passive viewer watches: a stable hash puts it in or out of the share, so all nodes agree."""
        return in_hls_share(viewer, self.hls_share)


def in_hls_share(viewer: str, share: float) -> Delivery:
    """HLS for the viewers in the share (0..1), WebRTC for the others. A growing share only ever adds viewers."""
    return Delivery.HLS if zlib.crc32(viewer.encode()) < share * 2**32 else Delivery.WEBRTC


class Directory(Message):
    """All broadcasts that concern a node. `version` never decreases for one orchestrator cluster."""

    version: int = 0
    broadcasts: dict[str, Broadcast] = Field(default_factory=dict)
    draining: bool = False
    """The orchestrator wants this node to drain."""
    drain: DrainOrder | None = None
    """Why, and until when."""
    keys: list[PublicKey] = Field(default_factory=list, max_length=MOST_KEYS)
    """Keys that verify tokens."""


class Line(Message):
    """A line for an avatar: to say (as it is), or to ask (the persona answers)."""

    broadcast: str = Field(max_length=64)
    text: str = Field(min_length=1, max_length=2000)
    asker: str | None = Field(default=None, max_length=64)
    now: bool = False
    """Said at once: it ends the line that is being spoken, and what waits comes after it."""
