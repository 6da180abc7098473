"""What orchestrator and nodes tell each other: a node reports itself, and learns which broadcasts concern it."""

from __future__ import annotations

import enum
import zlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from common.dialogue import MOST_KEPT, Said

Count = Annotated[int, Field(ge=0, le=10_000_000)]


AVATAR_LANGUAGE = "en"
"""What all voices speak (speech/g2p.py), as BCP 47 names it."""


class Role(enum.StrEnum):
    ORIGIN = "origin"
    RELAY = "relay"
    PACKAGER = "packager"


class Delivery(enum.StrEnum):
    """The way by which media reaches a viewer."""

    WEBRTC = "webrtc"
    HLS = "hls"


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")


class StreamReport(_Message):
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


class NodeReport(_Message):
    """Registration and heartbeat of a node. `url` is its HTTP base; `epoch` grows with each start of the process."""

    id: str = Field(min_length=1, max_length=64)
    role: Role
    region: str = Field(default="local", max_length=64)
    zone: str = Field(default="", max_length=64)
    url: str = Field(max_length=512)
    epoch: int = Field(ge=0)
    version: str = Field(default="", max_length=64)
    draining: bool = False
    capacity: Count = 1000
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
    streams: list[StreamReport] = Field(default_factory=list, max_length=10_000)
    stats: dict[str, object] = Field(default_factory=dict)


class Broadcast(_Message):
    """What a node must know of one live broadcast."""

    id: str
    public: bool = False
    avatar: str | None = None
    persona: str | None = None
    dialogue: list[Said] = Field(default_factory=list, max_length=MOST_KEPT)
    """What was said with its avatar before this origin runs it; not told when it is live."""
    moderated: bool = False
    """Questions to its avatar wait until a host approves them."""
    speech: str | None = None
    """Language (BCP 47) of the avatar that speaks in it, wherever that runs: it has captions. None where a person publishes."""
    upstreams: list[str] = Field(default_factory=list)
    """WHEP URLs that this node may pull from, best first; empty on the broadcast's origin."""
    package: bool = False
    """This node (a packager) makes HLS of it."""
    twinned: bool = False
    """Two packagers are to make HLS of it, so that one can die."""
    twin: str | None = None
    """HTTP base of the other one; None while there is none. The two agree on who leads."""
    first: bool = True
    """Of two packagers that begin at once, this node leads."""
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


class Directory(_Message):
    """All broadcasts that concern a node. `version` never decreases for one orchestrator cluster."""

    version: int = 0
    broadcasts: dict[str, Broadcast] = Field(default_factory=dict)
    draining: bool = False
    """The orchestrator wants this node to drain."""


class Line(_Message):
    """A line for an avatar: to say (as it is), or to ask (the persona answers)."""

    broadcast: str = Field(max_length=64)
    text: str = Field(min_length=1, max_length=2000)
    asker: str | None = Field(default=None, max_length=64)
    now: bool = False
    """Said at once: it ends the line that is being spoken, and what waits comes after it."""
