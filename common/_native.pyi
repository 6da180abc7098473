"""The Rust part of Avacast as Python sees it: the media core (`Sfu`), the HLS edge and a swarm of viewers for measurements.

Every method returns within milliseconds and lets other threads run meanwhile. All classes may be used from any thread.
"""

from typing import Literal, NotRequired, Self, TypedDict, final, type_check_only

__all__ = [
    "AccessUnit",
    "Answer",
    "BadSdp",
    "Edge",
    "Full",
    "SessionUnknown",
    "Sfu",
    "SfuError",
    "StreamUnknown",
    "Swarm",
    "Tap",
    "kernel_limit",
]

Kind = Literal["video", "audio"]
SendRung = Literal["gso", "sendmmsg", "sendto"]

class SfuError(Exception):
    """A call that the media core refused."""

    code: str
    """Stable name, such as "stream_unknown", "bad_sdp", "no_common_codec", "full", "wrong_state", "down"."""
    status: int
    """The HTTP status that fits."""
    retry_after_s: float | None
    """Seconds after which to try again, where that makes sense."""

class StreamUnknown(SfuError):
    """No such stream is live on this node (404)."""

class SessionUnknown(SfuError):
    """No such session is open on this node (404)."""

class BadSdp(SfuError):
    """The SDP cannot be used (400), or has no codec in common with the stream (422). The message says why."""

class Full(SfuError):
    """The node takes no more subscribers now (503)."""

@final
class Answer:
    """What a session begins with."""

    @property
    def session(self) -> str:
        """Its name: hex, not guessable; who knows it may end it."""
    @property
    def sdp(self) -> str:
        """The SDP answer; for `Sfu.pull` and `Sfu.offer` our offer."""
    @property
    def etag(self) -> str:
        """Names the ICE session (without quotes); changes when ICE restarts. Empty for `Sfu.pull`."""

@final
class AccessUnit:
    """One frame of video or one packet of audio, whole."""

    @property
    def kind(self) -> Kind: ...
    @property
    def layer(self) -> int:
        """Which encoding of the track, as its source numbered them, from 0."""
    @property
    def codec(self) -> Literal["h264", "vp8", "vp9", "av1", "opus"]: ...
    @property
    def time(self) -> int:
        """Capture time in ticks of `clock_rate`, unwrapped, continuous for the life of the stream."""
    @property
    def clock_rate(self) -> int:
        """Ticks per second: 90000 for video, 48000 for Opus."""
    @property
    def ntp_ms(self) -> int:
        """Wall clock of capture, milliseconds since 1970; video and audio of a stream share the line."""
    @property
    def key_frame(self) -> bool: ...
    @property
    def data(self) -> bytes:
        """H.264: Annex-B with 4-byte start codes, parameter sets before each key frame. Others: the bare frame."""
    @property
    def lost_before(self) -> bool:
        """Something between the unit before of this track and layer and this one is missing for good."""

@final
class Tap:
    """Reads a stream as access units. Dropping it closes it."""

    @property
    def fd(self) -> int:
        """An eventfd: readable while `drain()` has something, and once more when the stream has ended."""
    @property
    def closed(self) -> bool:
        """The stream has ended, or `close()` was called: nothing more will come after a last `drain()`."""
    @property
    def dropped(self) -> int:
        """Access units lost because nobody drained (64 MiB are kept); whole groups of pictures go."""
    def drain(self) -> list[AccessUnit]:
        """All access units that are there, in order."""
    def close(self) -> None: ...

@type_check_only
class Event(TypedDict):
    """Something that happened. Which fields are there depends on `type`."""

    type: Literal[
        "session_connected",
        "session_closed",
        "layer_changed",
        "layers_changed",
        "stream_started",
        "stream_ended",
        "stream_silent",
        "stream_resumed",
        "key_frame_wanted",
        "send_rung",
        "channel_opened",
        "channel_closed",
        "message",
    ]
    session: NotRequired[str | None]
    stream: NotRequired[str]
    reason: NotRequired[str]
    """session_closed: closed, peer_closed, consent_expired, never_connected, handshake_failed, stream_ended, shutdown, fault.
    stream_ended: ended, publisher_left, source_lost. send_rung: a sentence. channel_closed: closed_by_peer, too_many_channels,
    message_too_long, too_fast, buffer_full, protocol_error."""
    layer: NotRequired[int | None]
    """layer_changed: the layer that a subscriber's video comes from now; None: its path has room for sound only."""
    send: NotRequired[SendRung]
    """send_rung: the rung used from now on."""
    label: NotRequired[str]
    """channel_opened, channel_closed, message: the data channel's, chosen by the peer (at most 64 bytes)."""
    data: NotRequired[str | bytes]
    """message: text as `str`, binary as `bytes`; at most 16 KiB."""

@type_check_only
class Durations(TypedDict):
    """A distribution since the start; quantiles are exact to 19 %."""

    count: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float

@type_check_only
class LayerStats(TypedDict):
    """One encoding of a track as it comes in."""

    kind: Kind
    layer: int
    packets: int
    bytes: int
    bitrate_bps: int
    key_frames: int
    gop_packets: int
    """Packets from the newest key frame on: what a new viewer starts from."""
    name: str
    """The publisher's name for it (`rid`), its number where it has none."""
    alive: bool
    """Something came within the last 1.5 s."""
    width: int | None
    height: int | None
    """Of the newest key frame (H.264, VP8)."""

@type_check_only
class SourceStats(TypedDict):
    """A WHIP publisher or a pull from an upstream."""

    session: str
    pull: bool
    connected: bool
    packets: int
    bytes: int
    loss: float
    """Of all packets that were due lately, 0..1."""
    nacks_sent: int
    plis_sent: int
    recovered: int
    """Packets of sound that came as a repeat (RED), not by themselves."""
    rtt_ms: float | None

@type_check_only
class StreamStats(TypedDict):
    """A stream. Rates are over the last second or so, counts since its start (those of its subscribers: of the present ones)."""

    injected: bool
    live: bool
    """A source feeds it; false while it waits for one to come back."""
    video: bool
    audio: bool
    silent_ms: float | None
    """Since its newest packet."""
    subscribers: int
    taps: int
    key_frame_requests: int
    layers: list[LayerStats]
    sources: list[SourceStats]
    egress_bps: int
    rtt_ms_p50: float | None
    loss: float
    """Mean over its subscribers' newest reports, 0..1."""
    retransmitted: int
    nacks: int
    nacks_missed: int
    """Packets asked for that the cache no longer had."""
    plis: int
    replays: int
    """Starts and PLI answers out of the cache."""

@type_check_only
class WorkerStats(TypedDict):
    """A core thread, since its start."""

    index: int
    send: SendRung
    subscribers: int
    cpu_ms: float
    turn: Durations
    """From waking to the end of the work."""
    datagrams_in: int
    bytes_in: int
    receive_calls: int
    truncated: int
    receive_errors: int
    unknown: int
    """Datagrams that belong to no session; dropped."""
    handed_over: int
    """Datagrams that came to this worker's socket but belong to another worker."""
    unused: int
    """Sessions whose peer has sent no genuine STUN check yet."""
    datagrams_out: int
    bytes_out: int
    send_calls: int
    trains: list[int]
    """Messages by their number of datagrams: 1, 2, 3-4, 5-8, 9-16, more."""
    dropped: int
    """Datagrams for which the socket buffer had no room."""
    send_errors: int
    tcp: ConnectionStats
    overflows: int
    """Bursts and calls for which the worker's inbox had no room."""
    faults: int
    """Sessions ended by a panic. Anything but 0 is a fault of ours."""

@type_check_only
class ConnectionStats(TypedDict):
    """TCP connections (ICE-TCP) of a core thread, since its start; `open` is now."""

    open: int
    frames_in: int
    frames_out: int
    bytes_out: int
    dropped: int
    """Frames for a connection that was full or gone."""
    full: int
    """How often a connection was full, and its subscriber held."""

@type_check_only
class GateStats(TypedDict):
    """TCP connections of the whole core before a worker gets them, since its start; `waiting` and `open` are now."""

    accepted: int
    refused: int
    """No place for one more, of that address or at all."""
    dismissed: int
    """Sent away: silent, no STUN check, or for nobody here."""
    waiting: int
    open: int

@type_check_only
class DataStats(TypedDict):
    """Data channels of a session. Dropped: messages from the peer above the rate, messages to it that found no room, datagrams
    above the rate. Closed by us: too many, a message too long, too many a second, no room, not by the protocol."""

    channels: int
    opened: int
    received: int
    received_bytes: int
    sent: int
    sent_bytes: int
    dropped_fast: int
    dropped_full: int
    dropped_datagrams: int
    closed_many: int
    closed_long: int
    closed_fast: int
    closed_full: int
    closed_protocol: int

@type_check_only
class SessionStats(TypedDict):
    """A subscriber, both tracks together."""

    session: str
    stream: str
    age_ms: float
    connected: bool
    remote: str | None
    protocol: Literal["udp", "tcp"] | None
    packets: int
    bytes: int
    bitrate_bps: int
    remb_bps: int | None
    layer: int | None
    rtt_ms: float | None
    loss: float
    packets_lost: int
    jitter_ms: float
    retransmitted: int
    nacks: int
    nacks_missed: int
    plis: int
    replays: int
    rejected: int
    """Datagrams that were no good: unparsable, forged, replayed."""
    connect_ms: float | None
    first_frame_ms: float | None
    """From the answer to the first whole key frame sent."""
    data: DataStats

@type_check_only
class Stats(TypedDict):
    """One snapshot, at most 200 ms old."""

    subscribers: int
    max_subscribers: int
    joins: int
    messages_dropped: int
    """Messages on data channels that nobody took from `drain_events` in time."""
    forward: Durations
    """From a burst's arrival to the end of the system call that sent the last of it, per subscriber: the latency that we add."""
    sound: Durations
    """The same for the sound of bursts whose pictures took longer: it goes first where the audience is large."""
    first_frame: Durations
    connect: Durations
    tcp: GateStats
    workers: list[WorkerStats]
    streams: dict[str, StreamStats]
    pending: dict[str, list[SourceStats]]
    """Publishers and pulls whose stream has not begun, by stream."""
    sessions: list[SessionStats]
    """Only when asked for."""

@final
class Sfu:
    """One media core: worker threads and one port, for UDP and TCP."""

    def __new__(
        cls,
        *,
        host: str = "0.0.0.0",
        port: int = 0,
        workers: int = 0,
        public_addresses: list[str] = ...,
        send: Literal["auto", "gso", "sendmmsg", "sendto"] = "auto",
        max_subscribers: int = 10_000,
        max_unused: int = 2_000,
        playout_delay_ms: tuple[int, int] | None = None,
    ) -> Self:
        """Binds `port` for UDP and TCP (0: the kernel chooses) on `host` and starts `workers` threads (0: one for every two cores).

        `public_addresses` are told to peers instead of the interfaces' own. `send` is the highest rung of the send ladder.
        `playout_delay_ms` is the least and most that players may hold pictures back (0 to 40,950); None leaves it to them.
        Raises SfuError "system" when the port is taken, ValueError for an argument that means nothing.
        """
    @property
    def port(self) -> int:
        """The bound port."""
    @property
    def fd(self) -> int:
        """An eventfd: readable while `drain_events()` has something."""
    @property
    def subscribers(self) -> int:
        """Subscribers now."""
    def publish(self, stream: str, offer: str) -> Answer:
        """WHIP: answers a publisher's offer. The stream begins with its first media (event "stream_started"); a source before
        it is replaced at that moment, and its viewers see no more than a key frame. Raises BadSdp."""
    def subscribe(self, stream: str, offer: str, *, layers_all: bool = False) -> Answer:
        """WHEP: answers a viewer's offer; `layers_all` gives each of its video m-lines one layer (nodes). Raises StreamUnknown,
        BadSdp, Full."""
    def offer(self, stream: str) -> Answer:
        """WHEP's counter-offer: `sdp` is our offer of the stream to one viewer; what that answers goes to `accept` within 30 s, else
        the session ends ("never_connected"). Raises StreamUnknown, Full, BadSdp when the stream has no media yet."""
    def pull(self, stream: str, *, labels: list[str] = ...) -> Answer:
        """WHEP as a client: `sdp` is our offer for an upstream; what that answers goes to `accept`. With `labels` it offers data
        channels too and opens those, if the upstream takes them."""
    def accept(self, session: str, answer: str) -> None:
        """The answer to `pull` or `offer`. Raises SessionUnknown, BadSdp."""
    def trickle(self, session: str, fragment: str) -> tuple[str, str] | None:
        """The body of a PATCH (application/trickle-ice-sdpfrag). None: candidates taken (204). A pair: ICE restarted, our
        fragment and the new ETag (200). Raises SessionUnknown, BadSdp."""
    def choose(self, session: str, layer: int | None) -> None:
        """What a viewer wants of the video: at most this layer, or (None) the best that fits. Raises SessionUnknown."""
    def close(self, session: str) -> bool:
        """Ends a session; False when there is none of that name."""
    def open(self, stream: str, *, video: bool, audio: bool) -> None:
        """Begins a stream that `inject` feeds: H.264 (constrained baseline to 3.1) and Opus."""
    def inject(self, stream: str, kind: Kind, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
        """Feeds an open stream: "video" is an access unit in Annex-B form with parameter sets before each key frame, `rtp_time` in
        90 kHz ticks; "audio" an Opus packet, 48 kHz ticks. Both count from one zero and wrap at 32 bits. Does not wait; does
        nothing for a stream that is not open."""
    def end(self, stream: str) -> None:
        """Ends a stream with all its sessions. Raises StreamUnknown."""
    def tap(self, stream: str) -> Tap:
        """Reads a stream as access units, from its newest key frame on. Raises StreamUnknown."""
    def tell(self, stream: str, label: str, data: str | bytes, *, without: str | None = None) -> None:
        """Says `data` on the data channel `label` of everyone who takes the stream here, less the session `without`; a `str` goes
        as text. Does not wait. Who has opened no such channel hears nothing; who takes in less than is said loses messages
        (unordered or partially reliable) or the channel (event "channel_closed")."""
    def tell_session(self, session: str, label: str, data: str | bytes) -> None:
        """As `tell`, to one session of any kind: a viewer, a publisher, a pull. Raises SessionUnknown for a name that is none."""
    def request_key_frame(self, stream: str) -> None:
        """Asks the source for a key frame in every layer; requests closer than 500 ms are one."""
    def stats(self, *, sessions: bool = False) -> Stats:
        """One snapshot, with each subscriber by itself when `sessions`."""
    def drain_events(self) -> list[Event]:
        """What happened since the last call, oldest first (16,384 are kept)."""
    def shutdown(self) -> None:
        """Says goodbye to all peers and ends the threads. Later calls raise SfuError "down"."""

# --- the HLS edge (crates/edge) ---------------------------------------------------------------------

@type_check_only
class EdgeStats(TypedDict):
    """Counts since the start; `connections` and `waiters` are now."""

    connections: int
    refused_connections: int
    waiters: int
    index: int
    playlists: int
    blocked: int
    """Reloads and hinted parts that had to wait."""
    media: int
    not_found: int
    bad_requests: int
    denied: int
    """Requests for private broadcasts without a good path token."""
    unavailable: int
    bytes: int
    """Body bytes of the replies."""

@final
class Edge:
    """HTTP server of everything below `/hls/`, on threads of its own: HTTP/1.1 and HTTP/2, with TLS given a certificate.

    `put` is called once per part and rendition; requests are answered from what was put, and reloads for parts that are still to
    come wait for it, without Python."""

    def __new__(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        threads: int = 0,
        certificate: str | None = None,
        private_key: str | None = None,
        path_key: bytes | None = None,
        max_connections: int = 50_000,
        max_waiters: int = 50_000,
    ) -> Self:
        """Binds and serves. `threads` 0 is one a core, at most four; `certificate` and `private_key` are PEM files, `path_key` signs the
        path tokens of private broadcasts. Raises OSError when the port is taken, ValueError for a bad host or certificate."""
    @property
    def port(self) -> int:
        """The bound port."""
    def guard(self, stream: str, private: bool) -> None:
        """Says whether a stream is private, open or not: then only requests with a path token for it are answered."""
    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None:
        """Opens a stream, in place of one of that name: requests for its index wait from now on."""
    def put_index(self, stream: str, documents: list[tuple[str, bytes]]) -> None:
        """Puts documents of the whole stream (`/hls/{stream}/{name}`), all at once. Raises KeyError when the stream is not open."""
    def put(
        self,
        stream: str,
        rendition: str,
        *,
        msn: int,
        part: int,
        live: bytes,
        delta: bytes | None = None,
        plain: bytes | None = None,
        media: list[tuple[str, bytes]] = ...,
        joined: list[tuple[str, list[str]]] = ...,
        dropped: list[str] = ...,
        hint: str | None = None,
        ended: bool = False,
    ) -> None:
        """Puts the next state of a rendition and releases who waits for it. (`msn`, `part`) is its newest part; `live`, `delta`, `plain`
        are its playlists (`plain` None: as before); `media` is new, `joined` are segments as rows of parts that were put, `dropped`
        names are served no longer, a request for `hint` waits. Raises KeyError for an unknown stream or part."""
    def close(self, stream: str) -> bool:
        """Removes a stream; who waits is answered 404. False when there is none."""
    def stats(self) -> EdgeStats:
        """One snapshot over all threads."""
    def stop(self) -> None:
        """Closes every connection and ends the threads."""

@type_check_only
class ViewerReport(TypedDict):
    """The books of one viewer of a `Swarm`, since the start or the last `restart()`."""

    id: int
    connected: bool
    failed: bool
    packets: int
    missing: int
    """Packets that never came, by the gaps in the sequence numbers."""
    bytes: int
    first_key_frame_ns: int | None
    """When the first key frame was whole, on `CLOCK_MONOTONIC`."""

@final
class Swarm:
    """WHEP viewers by the hundred in one thread, for measurements: they open every packet and decode none. HTTP is the caller's."""

    def __new__(cls) -> Self: ...
    def offer(self) -> tuple[int, str]:
        """A new viewer: its number and its SDP offer."""
    def accept(self, viewer: int, answer: str) -> None:
        """The server's answer to a viewer's offer. Raises ValueError when it cannot be used."""
    def remove(self, viewer: int) -> None:
        """Ends a viewer."""
    def restart(self) -> None:
        """Starts all counts anew; connections stay."""
    def reports(self) -> list[ViewerReport]: ...
    def latencies_ms(self) -> list[tuple[float, int]]:
        """Latencies of stamped packets over all viewers: (milliseconds, count), ascending."""

def kernel_limit(*, gso: bool, viewers: int, seconds: float, live: bool = False) -> float:
    """Datagrams per CPU-second that the kernel alone allows to `viewers` addresses: one call each, or trains; as fast as they go, or
    at the tempo of a live stream, whose readers sleep between two pictures."""
