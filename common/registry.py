"""Live state in Redis: leases of nodes, duties of orchestrators, delivery and origins of broadcasts, viewers that report themselves.

Everything here may be lost and comes back by itself: nodes heartbeat, viewers report, the orchestrator on duty writes what it
decided again. Without a URL the same commands run on an in-process Redis (fakeredis), so there is one code path.

    avacast:{live}:*          nodes and decisions; one slot, so that a script or a transaction may touch several keys
    avacast:{b:<id>}:*        viewers of one broadcast; a slot of its own, so that audiences spread over a cluster

Time is Redis' own (`TIME` inside the scripts): clocks of orchestrators may differ. Epochs fence: who holds an older one than Redis
has seen is refused, however long it slept. They are padded decimal strings, since Lua's numbers end at 2^53.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import fakeredis
from redis.exceptions import RedisError

from common.errors import Conflict, Unavailable
from common.redis_address import RedisAddress
from common.redis_client import CALL_S, RedisClient, close, connect

_T = TypeVar("_T")

_REST_S = 1.0
"""After a failure calls are refused at once for about this long: a dead Redis must not slow every request down."""
_FORGET_MS = 3_600_000
"""Nodes that lapsed longer ago than this are forgotten with their epoch; audiences that nobody has asked for, too."""

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "

_LEASE_NODE = (
    _NOW
    + """
local stored = redis.call('HGET', KEYS[2], ARGV[1])
if stored and stored > ARGV[2] then return stored end
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[5])) do
  redis.call('ZREM', KEYS[1], old) redis.call('HDEL', KEYS[2], old) redis.call('HDEL', KEYS[3], old)
end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return ''
"""
)

_RELEASE_NODE = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1]) redis.call('HDEL', KEYS[3], ARGV[1])
return 1
"""

# A duty: who holds it keeps it, else whoever comes first gets it with a new epoch, never below the floor (a Redis that was
# restarted empty would else start at 1 again and let an old holder through).
_TAKE_DUTY = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return {owner, ''} end
local epoch = redis.call('GET', KEYS[2])
if not owner or not epoch then
  local _next = epoch and string.format('%020d', tonumber(epoch) + 1) or ARGV[3]
  if _next < ARGV[3] then _next = ARGV[3] end
  epoch = _next
  redis.call('SET', KEYS[2], epoch)
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {ARGV[1], epoch}
"""

_RELEASE_DUTY = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

_PUT_FENCED = """
local fence = redis.call('GET', KEYS[2])
if fence and fence > ARGV[1] then return fence end
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i]) else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
return ''
"""

_BUMP = """
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
local wanted = math.max(current + 1, tonumber(ARGV[1]))
redis.call('SET', KEYS[1], string.format('%.0f', wanted))
return string.format('%.0f', wanted)
"""

# What a viewer that fell silent leaves behind: its last document, and how long it watched until its last word.
_TAKE = """
local function take(i, silent, most, ttl, out)
  local found = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', silent, 'WITHSCORES', 'LIMIT', 0, most)
  for n = 1, #found, 2 do
    local began = redis.call('HGET', KEYS[4], found[n])
    out[#out + 1] = redis.call('HGET', KEYS[3], found[n]) or ''
    out[#out + 1] = began and math.floor(found[n + 1] - ttl - began) or 0
    redis.call('ZREM', KEYS[i], found[n]) redis.call('HDEL', KEYS[3], found[n]) redis.call('HDEL', KEYS[4], found[n])
  end
end
"""

# Each report sweeps a few of those that fell silent, so that a broadcast's keys stay as large as its audience.
_REPORT_VIEWER = (
    _TAKE
    + _NOW
    + """
local gone = {}
for i = 1, 2 do take(i, now, 20, ARGV[3], gone) end
local before = redis.call('HGET', KEYS[3], ARGV[1]) or ''
local until_ = redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('ZSCORE', KEYS[2], ARGV[1]) or now + ARGV[3]
redis.call('HSETNX', KEYS[4], ARGV[1], string.format('%.0f', now - ARGV[5]))
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
return {before, math.floor(now + ARGV[3] - until_), unpack(gone)}
"""
)

_TAKE_VIEWERS = (
    _TAKE
    + _NOW
    + """
local gone = {}
for i = 1, 2 do take(i, ARGV[1] == 'all' and '+inf' or now, 500, ARGV[2], gone) end
return gone
"""
)


# Places at nodes: the first of KEYS that has room is booked. A booking counts until it ends (by then the node's report shows the
# viewer, or it never came); whoever asks again gives up the place that it had at these nodes. The last of KEYS, when it is one more, lists
# the bookings of an address, oldest first: beyond its most the oldest end. What has ended by itself is older than what has not.
_RESERVE = (
    _NOW
    + """
local taken, counts, nodes = 0, {}, #ARGV - 3
local own = KEYS[nodes + 1]
for i = 1, nodes do
  local key = KEYS[i]
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  redis.call('ZREM', key, ARGV[1])
  if own then redis.call('LREM', own, 0, key .. ' ' .. ARGV[1]) end
  if taken == 0 and redis.call('ZCARD', key) < tonumber(ARGV[3 + i]) then
    redis.call('ZADD', key, now + ARGV[2], ARGV[1])
    redis.call('PEXPIRE', key, ARGV[2])
    taken = i
  end
end
if own and taken > 0 then
  redis.call('RPUSH', own, KEYS[taken] .. ' ' .. ARGV[1])
  redis.call('PEXPIRE', own, ARGV[2])
  while redis.call('LLEN', own) > tonumber(ARGV[3]) do
    local key, viewer = string.match(redis.call('LPOP', own), '^(.*) (%S+)$')
    redis.call('ZREM', key, viewer)
  end
end
for i = 1, nodes do counts[i] = redis.call('ZCARD', KEYS[i]) end
return {taken, unpack(counts)}
"""
)


# All that orchestrators share, of one moment: Redis' time, its memory's name, the version, the leases, then the hashes.
_SNAPSHOT = (
    _NOW
    + """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local found = {now, redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]) or '0', redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')}
for i = 4, #KEYS do found[i + 1] = redis.call('HGETALL', KEYS[i]) end
return found
"""
)

_CLOCK = _NOW + "return now"

_HASHES = ("epochs", "nodes", "drains", "deliveries", "origins", "orders", "handovers")


class RegistryDown(Unavailable):
    """Redis does not answer; callers go on with what they know."""

    code = "registry_unavailable"


class StaleEpoch(Conflict):
    """Somebody with a newer epoch has taken the place of the caller."""

    code = "stale_epoch"


@dataclass(frozen=True, slots=True)
class NodeLease:
    """A node as the registry has it. `remaining_ms` is negative once the lease has lapsed."""

    id: str
    epoch: int
    document: str
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class Duty:
    """A background duty that this process holds until `until` (its monotonic seconds); `epoch` fences its writes."""

    name: str
    owner: str
    epoch: int
    until: float


@dataclass(frozen=True, slots=True)
class Reservation:
    """Of the nodes that were asked for, which one has a place now (None: none had room), and the bookings that stand at each."""

    at: int | None
    booked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What orchestrators share, read at once. Documents are as they were put; `version` was read before the rest.

    `memory` names the memory of this Redis: another one than before means that it has forgotten everything.
    """

    version: int
    memory: str = ""
    nodes: tuple[NodeLease, ...] = ()
    drains: Mapping[str, str] = field(default_factory=dict)
    deliveries: Mapping[str, str] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    orders: Mapping[str, str] = field(default_factory=dict)
    handovers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gone:
    """A viewer that has fallen silent: what it reported last, and for how long it had watched then."""

    document: str
    watched_s: float


@dataclass(frozen=True, slots=True)
class Word:
    """What was known when a viewer reported: its report before (None: there is none), how long ago that was, and who has gone."""

    before: str | None
    elapsed_s: float
    gone: list[Gone]


def _gone(flat: list[Any]) -> list[Gone]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return [Gone(_text(document), max(0.0, int(watched) / 1000)) for document, watched in pairs]


def _padded(epoch: int) -> str:
    return f"{epoch:020d}"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _pairs(flat: Sequence[Any]) -> dict[str, str]:
    """Name, value, name, value, as scripts tell a hash."""
    return {_text(name): _text(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _texts(mapping: Mapping[Any, Any]) -> dict[str, str]:
    return {_text(key): _text(value) for key, value in mapping.items()}


class Registry:
    """The registry of one process. Every call raises RegistryDown when Redis does not answer."""

    def __init__(
        self,
        client: RedisClient,
        *,
        namespace: str = "avacast",
        embedded: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._clock = clock
        self.namespace = namespace
        self.embedded = embedded
        """In this process: it cannot be down, and nobody shares it."""
        self._rest_until = 0.0
        self.up = True
        self._lease_node = client.register_script(_LEASE_NODE)
        self._release_node = client.register_script(_RELEASE_NODE)
        self._take_duty = client.register_script(_TAKE_DUTY)
        self._release_duty = client.register_script(_RELEASE_DUTY)
        self._put_fenced = client.register_script(_PUT_FENCED)
        self._bump = client.register_script(_BUMP)
        self._report_viewer = client.register_script(_REPORT_VIEWER)
        self._take_viewers = client.register_script(_TAKE_VIEWERS)
        self._reserve = client.register_script(_RESERVE)
        self._snapshot = client.register_script(_SNAPSHOT)
        self._clock_of_redis = client.register_script(_CLOCK)

    @classmethod
    def connect(cls, url: str = "", *, namespace: str = "avacast") -> Registry:
        """A registry on the Redis at `url` (redis_address.py), in-process when empty. Connects on first use. Raises ValueError when
        that is no address of a Redis."""
        if not url:
            return cls(fakeredis.FakeAsyncRedis(), namespace=namespace, embedded=True)
        return cls(connect(RedisAddress.parse(url)), namespace=namespace)

    async def close(self) -> None:
        """Closes the connections."""
        await close(self._client)

    # nodes ------------------------------------------------------------------------------------------------------------

    async def lease_node(self, node: str, epoch: int, document: str, *, ttl_ms: int) -> None:
        """Takes or renews the lease of a node. Raises StaleEpoch when a later start of that node has reported."""
        keys = [self._live("leases"), self._live("epochs"), self._live("nodes")]
        newer = await self._call(self._lease_node(keys, [node, _padded(epoch), document, ttl_ms, _FORGET_MS]))
        if newer:
            raise StaleEpoch(
                f"node {node!r} was started again (epoch {int(newer)}, this is {epoch})",
                code="node_replaced",
                hint="two processes use the same node id; give each its own AVACAST_NODE_ID",
            )

    async def release_node(self, node: str, epoch: int) -> None:
        """Ends the lease, if no later start of the node holds it."""
        keys = [self._live("leases"), self._live("epochs"), self._live("nodes")]
        await self._call(self._release_node(keys, [node, _padded(epoch)]))

    async def reserve(
        self, viewer: str, rooms: Iterable[tuple[str, int]], *, ttl_ms: int, address: str = "", most: int = 1
    ) -> Reservation:
        """Books a place at the first node that has one, atomically over all orchestrators. `rooms`: node, and its places beyond the
        viewers that it reported; at most 8. Of an `address` there are at most `most` (1 or more) bookings: the oldest make room."""
        asked = list(rooms)[:8]
        keys = [self._live(f"booked:{node}") for node, _ in asked]
        if address:
            keys.append(self._live(f"bookings:{address}"))
        taken, *booked = await self._call(
            self._reserve(keys, [viewer, ttl_ms, max(1, most), *(max(0, room) for _, room in asked)])
        )
        return Reservation(int(taken) - 1 if int(taken) else None, tuple(int(one) for one in booked))

    async def put_drain(self, node: str, document: str | None) -> None:
        """Notes that a node is to drain (a document that says why and until when), or no longer (None)."""
        key = self._live("drains")
        if document is None:
            await self._call(self._client.hdel(key, node))
        else:
            await self._call(self._client.hset(key, node, document))

    # answers ----------------------------------------------------------------------------------------------------------

    async def remember(self, name: str, document: str, *, ttl_ms: int) -> str | None:
        """Keeps a document under a name that has none, and tells the one that it has otherwise."""
        key = self._live(f"answer:{name}")
        for _ in range(2):  # what is there may lapse between the two
            if await self._call(self._client.set(key, document, nx=True, px=ttl_ms)):
                return None
            held = await self._call(self._client.get(key))
            if held is not None:
                return _text(held)
        return None

    async def keep(self, name: str, document: str | None, *, ttl_ms: int) -> None:
        """Keeps a document in the place of the one that was there; None: nothing."""
        key = self._live(f"answer:{name}")
        if document is None:
            await self._call(self._client.delete(key))
        else:
            await self._call(self._client.set(key, document, px=ttl_ms))

    # decisions --------------------------------------------------------------------------------------------------------

    async def take_duty(self, name: str, owner: str, *, ttl_ms: int) -> Duty | None:
        """The duty, taken or kept on, None while another has it."""
        asked = self._clock()
        keys = [self._live(f"duty:{name}"), self._live(f"fence:{name}")]
        floor = _padded(int(time.time() * 1000))
        holder, epoch = await self._call(self._take_duty(keys, [owner, ttl_ms, floor]))
        if _text(holder) != owner:
            return None
        return Duty(name, owner, int(epoch), asked + ttl_ms / 1000)

    async def release_duty(self, duty: Duty) -> None:
        """Lets the duty go, so that another need not wait for its end."""
        await self._call(self._release_duty([self._live(f"duty:{duty.name}")], [duty.owner]))

    async def put_decisions(self, duty: Duty, kind: str, documents: Mapping[str, str | None]) -> None:
        """Writes decisions of a duty (`kind` deliveries, origins or handovers; None removes). Raises StaleEpoch when it has passed on."""
        if not documents:
            return
        pairs = [text for key, value in documents.items() for text in (key, value or "")]
        keys = [self._live(kind), self._live(f"fence:{duty.name}")]
        newer = await self._call(self._put_fenced(keys, [_padded(duty.epoch), *pairs]))
        if newer:
            raise StaleEpoch(f"duty {duty.name!r} has passed to another orchestrator")

    async def put_order(self, broadcast: str, document: str | None) -> None:
        """Notes what ops ordered for a broadcast, for whoever is on duty."""
        key = self._live("orders")
        if document is None:
            await self._call(self._client.hdel(key, broadcast))
        else:
            await self._call(self._client.hset(key, broadcast, document))

    async def bump_version(self) -> int:
        """A new version of what nodes must know: grows always, also over a Redis that was restarted empty."""
        return int(await self._call(self._bump([self._live("version")], [int(time.time() * 1000)])))

    async def snapshot(self) -> Snapshot:
        """All that orchestrators share, in one round trip."""
        keys = [self._live(name) for name in ("memory", "version", "leases", *_HASHES)]
        now_ms, memory, version, leases, *hashes = await self._call(
            self._snapshot(keys, [secrets.token_hex(8)])
        )
        epochs, nodes, drains, deliveries, origins, orders, handovers = map(_pairs, hashes)
        found = tuple(
            NodeLease(node, int(epochs.get(node, "0")), nodes[node], int(float(deadline)) - int(now_ms))
            for node, deadline in _pairs(leases).items()
            if node in nodes
        )
        return Snapshot(
            int(version or 0), _text(memory), found, drains, deliveries, origins, orders, handovers
        )

    # viewers ----------------------------------------------------------------------------------------------------------

    async def report_viewer(
        self, broadcast: str, viewer: str, *, hls: bool, document: str, ttl_ms: int, watched_ms: int = 0
    ) -> Word:
        """A viewer says how it watches, and (at its first word) for how long it has; it is forgotten `ttl_ms` after its last word.
        Viewers that have fallen silent may come out with it, each once in all."""
        own, other = ("hls", "webrtc") if hls else ("webrtc", "hls")
        keys = self._audience(broadcast, own, other)
        before, elapsed_ms, *gone = await self._call(
            self._report_viewer(keys, [viewer, document, ttl_ms, _FORGET_MS, watched_ms])
        )
        return Word(_text(before) or None, int(elapsed_ms) / 1000, _gone(gone))

    async def take_silent(self, broadcast: str, *, ttl_ms: int, everybody: bool = False) -> list[Gone]:
        """Viewers that have fallen silent since they were last asked for, or `everybody`; each comes out once. At most 1,000: ask
        again until there are none."""
        keys = self._audience(broadcast, "hls", "webrtc")
        arguments = ["all" if everybody else "silent", ttl_ms]
        return _gone(await self._call(self._take_viewers(keys, arguments)))

    async def watching(self, broadcast: str) -> list[float]:
        """For how many seconds each viewer has watched, of those that report."""
        now_ms = await self._now_ms()
        begun = await self._call(self._client.hvals(self._of(broadcast, "begun")))
        return [max(0.0, (now_ms - int(one)) / 1000) for one in begun]

    async def count_viewers(self, broadcasts: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Broadcast -> viewers that reported HLS, WebRTC."""
        names = list(broadcasts)
        if not names:
            return {}
        now_ms = await self._now_ms()
        pipe = self._client.pipeline(transaction=False)
        for name in names:
            pipe.zcount(self._of(name, "hls"), f"({now_ms}", "+inf")
            pipe.zcount(self._of(name, "webrtc"), f"({now_ms}", "+inf")
        counts = [int(count) for count in await self._call(pipe.execute())]
        return {name: (counts[2 * at], counts[2 * at + 1]) for at, name in enumerate(names)}

    async def viewers(self, broadcast: str) -> dict[str, str]:
        """Viewer -> what it reported last, of those that have not fallen silent."""
        now_ms = await self._now_ms()
        pipe = self._client.pipeline(transaction=False)
        pipe.zrangebyscore(self._of(broadcast, "hls"), f"({now_ms}", "+inf")
        pipe.zrangebyscore(self._of(broadcast, "webrtc"), f"({now_ms}", "+inf")
        pipe.hgetall(self._of(broadcast, "viewers"))
        hls, webrtc, documents = await self._call(pipe.execute())
        kept = {_text(viewer) for viewer in (*hls, *webrtc)}
        return {viewer: text for viewer, text in _texts(documents).items() if viewer in kept}

    async def forget_broadcast(self, broadcast: str) -> None:
        """Removes the viewers and the order of a broadcast that is over."""
        await self._call(self._client.delete(*self._audience(broadcast, "hls", "webrtc")))
        await self.put_order(broadcast, None)

    # ------------------------------------------------------------------------------------------------------------------

    async def _now_ms(self) -> int:
        """By Redis' clock; in a cluster by that of one of its nodes, which differ by milliseconds where leases last seconds."""
        return int(await self._call(self._clock_of_redis([self._live("version")])))

    def _live(self, name: str) -> str:
        return f"{self.namespace}:{{live}}:{name}"

    def _audience(self, broadcast: str, first: str, second: str) -> list[str]:
        return [self._of(broadcast, name) for name in (first, second, "viewers", "begun")]

    def _of(self, broadcast: str, name: str) -> str:
        return f"{self.namespace}:{{b:{broadcast}}}:{name}"

    async def _call(self, call: Awaitable[_T]) -> _T:
        if self._clock() < self._rest_until:
            if asyncio.iscoroutine(call):
                call.close()
            raise RegistryDown("Redis does not answer", retry_after_s=_REST_S)
        try:
            async with asyncio.timeout(2 * CALL_S):
                reply = await call
        except (RedisError, OSError, TimeoutError) as error:
            self.up = False
            self._rest_until = self._clock() + _REST_S * (0.5 + random.random())
            raise RegistryDown(f"Redis does not answer: {error}", retry_after_s=_REST_S) from error
        self.up = True
        return reply
