"""Configuration: one model a role. Each field has its unit, default and a sentence, and is set by its environment variable
(`AVACAST_` and the name in capitals, or the alias named at the field), or by the command line, which wins."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common.redis_address import RedisAddress

Port = Annotated[int, Field(ge=0, le=65535)]
SendRung = Literal["auto", "gso", "sendmmsg", "sendto"]


def _split(value: object) -> object:
    return [one.strip() for one in value.split(",") if one.strip()] if isinstance(value, str) else value


def _tier(value: float) -> float:
    if value not in (0.2, 0.32, 1.0):
        raise ValueError("a part lasts 0.2, 0.32 or 1.0 seconds")
    return value


def _size(value: str) -> str:
    width, _, height = value.partition("x")
    if not (width.isdecimal() and height.isdecimal() and len(value) < 12):
        raise ValueError(f"a size is WIDTHxHEIGHT, such as 1280x720 or 480x854, not {value!r}")
    w, h = int(width), int(height)
    if w % 2 or h % 2 or w < 160 or h < 120 or -(-w // 16) * -(-h // 16) > 3600:
        raise ValueError(f"{value} cannot be live: even numbers, 160x120 to 1280x720 (or as much upright)")
    return value


def _packagers(value: list[str]) -> list[str]:
    hosts = re.compile(
        r"(?=.{4,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+", re.IGNORECASE
    )
    for one in value:
        if not hosts.fullmatch(one):
            raise ValueError(f"a packager is a public host name such as p1.example.org, not {one!r}")
    if len(value) > 2:
        raise ValueError("CloudFront asks one packager, or two")
    return value


def _weights(value: str) -> str:
    weights(value)
    return value


def weights(value: str) -> tuple[float, float, float, float]:
    """The four weights of placement. Raises ValueError that says how they are written."""
    try:
        first, second, third, fourth = (float(one) for one in value.split(","))
    except ValueError:
        raise ValueError(f"four numbers such as 40,30,20,10, not {value!r}") from None
    found = (first, second, third, fourth)
    if not all(0 <= one < 1e6 for one in found) or not any(found):
        raise ValueError("placement weights are not negative, and one is above 0")
    return found


def _redis(value: str) -> str:
    if value:
        RedisAddress.parse(value)
    return value


CommaList = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""A list of strings, written with commas in the environment."""


Ports = Annotated[list[Port], NoDecode, BeforeValidator(_split), Field(max_length=8)]
"""Ports, written with commas in the environment."""


def _heights(value: list[int]) -> list[int]:
    if len(value) > 3 or any(one % 2 or not 32 <= one <= 2160 for one in value):
        raise ValueError(
            "at most three heights, each an even number of pixels from 32 to 2160, such as 360,180"
        )
    return sorted(set(value), reverse=True)


Heights = Annotated[list[int], NoDecode, BeforeValidator(_split), AfterValidator(_heights)]
"""Heights of pictures, written with commas in the environment."""


def _env(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="AVACAST_",
        extra="ignore",
        validate_by_name=True,
        validate_by_alias=True,
        env_ignore_empty=True,
    )


class Shared(_Settings):
    """What every role has."""

    data: Path = Field(Path(".avacast"), description="Folder for keys, databases, caches and recordings.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe line that is logged."
    )
    cluster_secret: str = Field(
        "",
        description="Seals the keys that sign tokens, and lets nodes register: the same on all of them, 32 characters or more."
        " Made and kept in `data` when empty. Nodes with AVACAST_NODE_KEY need none.",
    )
    hs256: Literal["all", "nodes", "none"] = Field(
        "nodes",
        description="Which tokens that are signed with the cluster's secret (HS256) are believed: all, those of nodes, or none.",
    )

    def secret(self) -> str:
        """The cluster's secret: as configured, else kept in `data` (made on first use, readable by the owner only)."""
        return self.cluster_secret or _kept_secret(self.data / "cluster.secret")


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as file:
            path.chmod(0o600)
            file.write(secrets.token_hex(32) + "\n")
    except FileExistsError:
        pass
    return path.read_text().strip()


class Media(_Settings):
    """The media core of a node."""

    media_host: str = Field(
        "::",
        description="Address on which media is received; `::` is every address, IPv6 and IPv4, of this machine.",
    )
    media_port: Port = Field(7900, description="UDP and TCP port for all media; 0 takes a free one.")
    workers: int = Field(
        0,
        ge=0,
        le=256,
        validation_alias=_env("AVACAST_WORKERS", "SFU_WORKERS", "MEDIASOUP_NUM_WORKERS", "workers"),
        description="Core threads of the SFU; 0 is one for every two CPU cores.",
    )
    public_ip: CommaList = Field(
        default_factory=list,
        description="Addresses that viewers reach this node at, or `stun:HOST:PORT` to learn them at the start;"
        " the machine's own when empty.",
    )
    send: SendRung = Field(
        "auto", description="How packets leave: the best rung that the kernel takes, or the one named."
    )
    max_subscribers: int = Field(
        10_000, ge=1, description="Most subscribers at once; above it a join is answered 503."
    )
    max_unused: int = Field(
        2_000,
        ge=1,
        description="Most sessions at once that were answered and whose peer has not come; above it the oldest makes room"
        " after two seconds, or a join is answered 503.",
    )
    playout_delay_ms: str = Field(
        "",
        pattern=r"^(\d{1,5}-\d{1,5})?$",
        description="`MIN-MAX` in ms, such as `0-200`: how long WebRTC players may hold pictures back;"
        " empty leaves it to them, which is right unless you know your viewers' network.",
    )

    def playout_delay(self) -> tuple[int, int] | None:
        """Least and most of it in ms; None when it is left to the players."""
        least, _, most = self.playout_delay_ms.partition("-")
        return (int(least), int(most)) if most else None


class IceSettings(_Settings):
    """STUN and TURN servers that peers are told of."""

    ice_servers: CommaList = Field(
        default_factory=list,
        description="STUN and TURN servers that viewers and publishers are told of, such as"
        " `turn:turn.example.org:3478?transport=udp`; they need none to reach a node with a public address.",
    )
    turn_secret: str = Field(
        "",
        description="The TURN servers' shared secret (coturn: `static-auth-secret`); makes credentials that expire.",
    )
    turn_ttl_s: float = Field(
        43_200.0, ge=60, description="Seconds that TURN credentials hold; a session ends no earlier."
    )


class Node(Shared, IceSettings):
    """What every node (origin, relay, packager) has."""

    node_key: str = Field(
        "",
        pattern=r"^(avk_[0-9a-f]{8}_[A-Za-z0-9_-]{43})?$",
        description="An API key with the scope `node`, by which this node registers in the place of the cluster's secret.",
    )
    node_id: str = Field("", description="Name of this node; made from role and machine when empty.")
    region: str = Field(
        "local",
        validation_alias=_env("AVACAST_REGION", "REGION", "region"),
        description="Region, such as eu-west-1.",
    )
    zone: str = Field("", description="Zone inside the region.")
    url: str = Field(
        "", description="HTTP base URL that others reach this node at; http://127.0.0.1:PORT when empty."
    )
    orchestrators: CommaList = Field(
        default_factory=lambda: ["http://127.0.0.1:8080"],
        description="Base URLs of the orchestrators; all are tried.",
    )
    capacity: int = Field(1000, ge=1, description="Most viewers that placement gives to this node.")
    heartbeat_s: float = Field(2.5, gt=0, description="Seconds between heartbeats.")
    drain_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="Seconds that SIGTERM gives a node to get empty: what is there moves to others; 0 ends it at once.",
    )
    pod_annotations: Path | None = Field(
        None,
        description="File with the annotations of this node's pod (a downward API volume, docs/nodes.md): the node drains while one of"
        " them is `drain=true`; none when empty.",
    )
    version: str = Field(
        "",
        max_length=64,
        description="Version that this node says it is, for rollouts (docs/rollout.md); the program's own when empty.",
    )
    http_host: str = Field("0.0.0.0", description="Address of the HTTP listener.")

    def node_secret(self) -> str:
        """The cluster's secret; empty for a node that has a key, and was given no secret."""
        return self.cluster_secret if self.node_key else self.secret()


class OriginConfig(Node, Media):
    """The origin: avatars, ingest and the SFU that everything else pulls from."""

    http_port: Port = Field(8081, description="HTTP port: WHIP, WHEP, health.")
    avatar: bool = Field(True, description="Render avatars on this node.")
    avatar_threads: int = Field(1, ge=1, le=2, description="Render threads an avatar.")
    avatars: int = Field(
        0, ge=0, description="Most avatars that this node runs; 0: as many as it was measured to carry."
    )
    avatar_size: Annotated[str, AfterValidator(_size)] = Field(
        "854x480",
        description="Size of the avatars' pictures; one that is not shipped is baked on first start.",
    )
    tier: Literal["light", "full"] = Field(
        "light", description="The renderer's tier: light for CPUs, full for GPUs."
    )
    voice: str = Field(
        "auto", description="Voice of the avatars: kokoro, piper, or auto (by measured speed)."
    )
    jobs: int = Field(
        1,
        ge=0,
        le=16,
        description="Films of jobs that this node makes at the same time, with what its avatars leave of the machine; 0 for none.",
    )
    ears: int = Field(
        4,
        ge=0,
        le=64,
        description="Most viewers whose microphones a broadcast's avatar listens to; 0 for none.",
    )
    ears_voiced_ms: int = Field(
        200, ge=64, le=2000, description="Milliseconds of voice that interrupt the avatar; less is a cough."
    )
    ears_compute: Literal["int8", "int8_float32", "float32"] = Field(
        "int8", description="Numbers with which the recogniser computes."
    )
    llm_url: str = Field(
        "",
        description="Base URL of an OpenAI-compatible chat endpoint; the scripted persona answers when empty.",
    )
    llm_key: str = Field(
        "",
        validation_alias=_env("AVACAST_LLM_KEY", "MISTRAL_API_KEY", "OPENAI_API_KEY", "llm_key"),
        description="Its key.",
    )
    llm_model: str = Field("", description="Its model's name.")


class RelayConfig(Node, Media):
    """A relay: pulls a stream on demand and fans it out."""

    http_port: Port = Field(8082, description="HTTP port: WHEP, health.")
    upstream: str = Field(
        "",
        validation_alias=_env("AVACAST_UPSTREAM", "UPSTREAM", "upstream"),
        description="Base URL of a fixed upstream node; what the orchestrator's directory names when empty.",
    )
    linger_s: float = Field(30.0, ge=0, description="Seconds that a pull outlives its last viewer.")


class HlsConfig(Node, Media):
    """The packager: HLS of live broadcasts."""

    http_port: Port = Field(8083, description="HTTP port of the control side: health, metrics, directory.")
    hls_host: str = Field("0.0.0.0", description="Address of the HLS listener.")
    hls_port: Port = Field(8088, description="Port of the HLS listener: playlists, parts, segments.")
    part_s: Annotated[float, AfterValidator(_tier)] = Field(
        0.32, description="Duration of a part in seconds: the latency tier."
    )
    window_s: float = Field(60.0, ge=6, le=3600, description="Seconds of media in the live playlists.")
    ladder: Heights = Field(
        default_factory=list,
        description="Heights in pixels, such as `360,180`, of smaller pictures that are encoded here when a publisher sends one size"
        " only; none when empty. Each broadcast takes a good part of a core.",
    )
    store: str = Field(
        "",
        description="Where broadcasts are recorded: `file:///folder`, or `s3://bucket/prefix?endpoint=https://host&region=name` with the"
        " credentials where AWS tools look for them. Nothing is recorded when empty.",
    )
    spool_mb: int = Field(
        4096,
        ge=64,
        description="Most MB of recordings on this machine's disk: what is not in the store yet, and what the list that goes back needs.",
    )
    mp4: bool = Field(
        True,
        description="Keep each recording as one MP4 too, of its best pictures and sound, to be downloaded.",
    )
    dvr_s: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="Seconds that viewers can go back in a running broadcast, such as 7200; 0 for none.",
    )
    recordings_private: bool = Field(
        False,
        description="All recordings need a viewer's token, not those of private broadcasts only; also those that were made before.",
    )
    hls_opus: bool = Field(
        False, description="Sound is there as Opus too, as it comes, for players that can (not Safari's own)."
    )
    path_key: str = Field(
        "",
        pattern="^([0-9a-f]{64})?$",
        description="What `avacast path-key` prints at the orchestrator: a packager without the cluster's secret needs it.",
    )
    tls_cert: Path | None = Field(None, description="Certificate chain (PEM) for HTTPS on the HLS port.")
    tls_key: Path | None = Field(None, description="Its private key (PEM).")


class SpeechInstance(_Settings):
    """What both speech services have: one instance of several behind a front end."""

    http_host: str = Field(
        "127.0.0.1", description="Address of the HTTP listener; the front end is on the same machine."
    )
    speech_connections: int = Field(
        50, ge=1, le=10_000, description="Most connections of an instance; one more is answered 503."
    )
    speech_threads: int = Field(
        0, ge=0, le=256, description="Threads for voices or the recogniser; 0 is half of the cores."
    )
    speech_idle_s: float = Field(
        120.0,
        gt=0,
        description="Seconds without a message, and with nothing to say, after which a connection is closed.",
    )
    speech_stall_s: float = Field(
        20.0, gt=0, description="Seconds after which a client that does not read is closed."
    )


class TtsConfig(SpeechInstance):
    """An instance of text to speech."""

    http_port: Port = Field(8002, description="HTTP port: the stream, health, metrics.")
    voice: str = Field(
        "auto",
        description="Model of the voices: kokoro, piper, the path of a Piper voice (.onnx), or auto: kokoro where its first sound"
        " comes within 0.5 s, else piper.",
    )


class AsrConfig(SpeechInstance):
    """An instance of speech to text."""

    http_port: Port = Field(8001, description="HTTP port: the stream, health, metrics.")
    compute_type: str = Field(
        "int8",
        description="Arithmetic of the recogniser, as CTranslate2 names it: int8 or float32 on CPUs, int8_float16 or float16 on GPUs.",
    )
    asr_device: Literal["cpu", "cuda", "auto"] = Field("cpu", description="Where the recogniser computes.")
    asr_model: Path | None = Field(
        None, description="Folder of a Whisper model in CTranslate2's format; the shipped one when empty."
    )


class SpeechClusterConfig(_Settings):
    """Several instances of the speech services on one machine behind nginx: `avacast speech up`."""

    data: Path = Field(Path(".avacast"), description="Folder for logs and nginx's files, below `speech`.")
    asr_instances: int = Field(2, ge=0, le=6, description="Instances of speech to text.")
    tts_instances: int = Field(2, ge=0, le=6, description="Instances of text to speech.")
    front_host: str = Field(
        "127.0.0.1",
        description="Address that the front ends listen on; 0.0.0.0 for every one of this machine.",
    )
    asr_port: Port = Field(
        8000, description="Port of the front end of speech to text; its instances have 8001, 8011, ..."
    )
    tts_port: Port = Field(
        8003, description="Port of the front end of text to speech; its instances have 8002, 8012, ..."
    )
    cluster_port: Port = Field(
        8004, description="Port of the cluster's own health and metrics, on this machine only."
    )
    sticky: bool = Field(
        False,
        description="Send each client address to one instance, instead of to the one with the fewest connections.",
    )


class OrchestratorConfig(Shared):
    """The orchestrator: who may, where to, WebRTC or HLS."""

    http_host: str = Field("0.0.0.0", description="Address of the HTTP listener.")
    http_port: Port = Field(8080, description="HTTP port: API, pages, console.")
    further_ports: Ports = Field(
        default_factory=list,
        description="HTTP ports at which the same is served too, such as 8005, with its `/docs`; at most 8.",
    )
    public_url: str = Field(
        "", description="URL that viewers reach the orchestrator at; taken from each request when empty."
    )
    admin_token: str = Field(
        "",
        validation_alias=_env("AVACAST_ADMIN_TOKEN", "ADMIN_TOKEN", "admin_token"),
        description="The operators' bearer token; made and kept in `data` when empty.",
    )
    redis_url: Annotated[str, AfterValidator(_redis)] = Field(
        "",
        validation_alias=_env("AVACAST_REDIS_URL", "REDIS_URL", "redis_url"),
        description="Redis for live state; in-process when empty. Also `redis+sentinel://host,host/service` and"
        " `redis+cluster://host,host`.",
    )
    database_url: str = Field(
        "",
        validation_alias=_env("AVACAST_DATABASE_URL", "DATABASE_URL", "database_url"),
        description="SQL for durable state, such as postgresql://...; SQLite in `data` when empty.",
    )
    geoip_db: Path | None = Field(
        None, description="MaxMind-format file that maps addresses to countries or cities."
    )
    trusted_proxies: CommaList = Field(
        default_factory=list, description="Networks whose X-Forwarded-For is believed."
    )
    hls_url: str = Field(
        "", description="Base URL of the packagers' HLS listener; http://HOST:8088 of the request when empty."
    )
    hls_port: Port = Field(8088, description="Port of the HLS listener when `hls_url` is empty.")
    cdn_url: str = Field(
        "",
        validation_alias=_env("AVACAST_CDN_URL", "CDN_URL", "cdn_url"),
        description="Base URL of a pull CDN before the HLS listener.",
    )
    cloudfront: Annotated[CommaList, AfterValidator(_packagers)] = Field(
        default_factory=list,
        description="Host names by which CloudFront reaches one or two packagers: it is then made when needed (boto3, docs/cdn.md).",
    )
    cloudfront_name: str = Field(
        "avacast",
        pattern="^[A-Za-z0-9-]{1,40}$",
        description="Name of the distribution, and its tag `avacast:cluster`: one of this name is used again.",
    )
    cloudfront_control_port: Port = Field(8080, description="HTTP port of those packagers, for recordings.")
    cloudfront_shield: str = Field(
        "eu-central-1", description="AWS region nearest to the packagers, through which all edges ask."
    )
    cloudfront_idle_s: float = Field(
        3600.0, ge=60, description="Seconds that a distribution is kept after it was last needed."
    )
    hls_packagers: int = Field(
        1,
        ge=1,
        le=2,
        description="Packagers of a broadcast: with 2, the second has every byte of the first and goes on when that dies (docs/cdn.md).",
    )
    enable_relays: bool = Field(
        True,
        validation_alias=_env("AVACAST_ENABLE_RELAYS", "ENABLE_RELAYS", "enable_relays"),
        description="Send viewers to relays above the threshold.",
    )
    hls_enabled: bool = Field(
        True,
        validation_alias=_env("AVACAST_HLS_ENABLED", "HLS_ENABLED", "hls_enabled"),
        description="Package live broadcasts as HLS.",
    )
    hls_packaging: Literal["always", "auto"] = Field(
        "always",
        description="Package every live broadcast, or (auto) from 80 % of the switch threshold on.",
    )
    scaling_enabled: bool = Field(
        True,
        validation_alias=_env("AVACAST_SCALING_ENABLED", "SCALING_ENABLED", "scaling_enabled"),
        description="Switch delivery by the thresholds; off: all viewers stay direct.",
    )
    relay_activation_threshold: int = Field(
        200,
        ge=0,
        validation_alias=_env(
            "AVACAST_RELAY_ACTIVATION_THRESHOLD", "RELAY_ACTIVATION_THRESHOLD", "relay_activation_threshold"
        ),
        description="Viewers of a broadcast above which relays are used.",
    )
    cdn_switch_threshold: int = Field(
        100,
        ge=0,
        validation_alias=_env("AVACAST_CDN_SWITCH_THRESHOLD", "CDN_SWITCH_THRESHOLD", "cdn_switch_threshold"),
        description="Viewers of a broadcast above which passive ones go to HLS.",
    )

    dwell_s: float = Field(
        30.0, ge=0, description="Seconds that a switch of delivery rests after it has changed."
    )
    placement_weights: Annotated[str, AfterValidator(_weights)] = Field(
        "40,30,20,10",
        description="Weights of nearness, load, performance and free capacity when a node is chosen.",
    )
    regions: CommaList = Field(
        default_factory=list,
        description="Priority (0 to 1, multiplies scores) and most viewers of regions, such as eu-west-1=1/5000,us-east-1=0.5.",
    )
    scaling_pools: CommaList = Field(
        default_factory=list,
        description="Fewest and most nodes of pools and their Auto Scaling groups, such as relay/eu-west-1=1-15@relays; others: 1-20.",
    )
    prices: Path | None = Field(
        None,
        description="File of prices for /api/cost, as orchestrator/data/prices.toml, which stands when empty.",
    )
    spot_region: str = Field(
        "", description="AWS region whose spot prices /api/cost reads (boto3); none when empty."
    )
    scaling_apply: bool = Field(
        False, description="Tell the Auto Scaling groups what is wanted (boto3); off: only who asks is told."
    )
    signing: Literal["eddsa", "hs256"] = Field(
        "eddsa",
        description="How tokens are signed: by Ed25519 keys that rotate, or (hs256) with the cluster's secret.",
    )
    signing_days: float = Field(
        30.0,
        ge=3,
        le=3650,
        description="Days after which another key signs; the one before is believed for 90 more.",
    )
    audit_days: int = Field(
        90, ge=1, le=3650, description="Days that the audit log keeps what operators did."
    )
    analytics_days: int = Field(
        400,
        ge=1,
        le=3650,
        description="Days that analytics of broadcasts are kept: by the minute two, then by the hour.",
    )
    webhook_private: bool = Field(
        False, description="Webhooks may go to private and loopback addresses too: for receivers beside it."
    )
    webhook_days: int = Field(
        14, ge=2, le=365, description="Days that webhooks' deliveries are kept, to be seen and sent again."
    )
    talk_limit: str = Field(
        "30/minute",
        description="Lines that one address may send to an avatar of a broadcast with an open mic.",
    )
    report_limit: str = Field(
        "1200/minute", description="Reports of players that one address may send (many share an address)."
    )
    request_limit: str = Field("1200/minute", description="Requests that one API key may send.")
    make_limit: str = Field(
        "10/minute", description="Broadcasts, sessions and jobs that one API key may make, together."
    )
    account_sessions: int = Field(
        50, ge=0, description="Sessions that one API key may have at the same time; 0: as many as it likes."
    )

    account_jobs: int = Field(
        50, ge=0, description="Jobs that one API key may have that are not over; 0: as many as it likes."
    )
    account_upload_mb: int = Field(
        2000, ge=0, description="MB of uploads that one API key may have; 0: as many as it likes."
    )
    jobs_store: str = Field(
        "",
        description="Where uploads and films of jobs are kept, as `store` of packagers; `jobs` in `data` when empty. Several orchestrators"
        " share one.",
    )
    job_days: float = Field(
        30.0, ge=1, le=3650, description="Days that jobs which are over and their films are kept."
    )

    def admin(self) -> str:
        """The operators' token: as configured, else kept in `data`."""
        return self.admin_token or _kept_secret(self.data / "admin.token")
