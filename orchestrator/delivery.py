"""How a broadcast is delivered: the state machine of its two switches. Pure: the audience and the time in, the next state out.

    stage     relays  HLS     who watches how
    DIRECT    off     off     everybody by WebRTC from the origin
    RELAYED   on      off     everybody by WebRTC, from the nearest relay
    HYBRID    any     on      passive viewers by HLS through the CDN, interactive ones by WebRTC (from relays when those are on)

Theory: each switch is a Schmitt trigger with a minimum dwell. It goes on when its measure is above the threshold, and off when the
measure is below `release` x threshold; after a change it rests for `dwell_s`, so that an audience that swings around the threshold
costs at most one change per dwell. The measures are chosen so that a switch never moves its own: relays go by all WebRTC viewers
(whichever node has them), HLS goes by all viewers of any delivery. Ops may hold a switch on or off; that needs no dwell, and when
they let go the trigger goes on from where it is.

Passive viewers move in batches: `hls_share` is the part of them that is (to be) on HLS. A viewer belongs to the share by a hash of
its id, so every node and the API agree without talking, and a batch is one number. HLS is packaged from `prewarm` x threshold, and
nobody is moved to it before the packager has the stream; moving back to WebRTC needs no such wait, and happens too when the packager
has lost the stream for `lost_s`.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from common.directory import Delivery


class Stage(enum.StrEnum):
    """How a broadcast reaches its viewers now."""

    DIRECT = "direct"
    RELAYED = "relayed"
    HYBRID = "hybrid"


class Force(enum.StrEnum):
    """What ops hold a switch at; AUTO leaves it to the audience."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Reason(enum.StrEnum):
    """Why a switch is as it is."""

    INITIAL = "initial"
    ABOVE_THRESHOLD = "above_threshold"
    BELOW_RELEASE = "below_release"
    FORCED = "forced"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Policy:
    """Thresholds in viewers, times in seconds."""

    relay_above: int = 200
    hls_above: int = 100
    relays_enabled: bool = True
    hls_enabled: bool = True
    scaling_enabled: bool = True
    release: float = 0.8
    """A switch goes off below this part of its threshold."""
    dwell_s: float = 30.0
    package_always: bool = False
    """HLS is packaged whoever watches."""
    prewarm: float = 0.8
    """Else it is packaged from this part of its threshold on."""
    lost_s: float = 5.0
    """A packager without the stream for this long is given up."""
    batch: int = 50
    """Most passive viewers that move at once."""
    batch_s: float = 1.0
    """Mean time between two batches; jittered by half of it either way."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who watches now, each viewer once."""

    interactive: int = 0
    passive_webrtc: int = 0
    hls: int = 0

    @property
    def webrtc(self) -> int:
        return self.interactive + self.passive_webrtc

    @property
    def total(self) -> int:
        return self.webrtc + self.hls


@dataclass(frozen=True, slots=True)
class Switch:
    """One trigger. `since` is when it last changed, in the caller's seconds."""

    on: bool = False
    force: Force = Force.AUTO
    since: float = float("-inf")
    reason: Reason = Reason.INITIAL

    def forced(self, force: Force) -> Switch:
        """Ops take hold of it, or (AUTO) let go: then the dwell does not hold it back."""
        return replace(self, force=force, since=float("-inf") if force is Force.AUTO else self.since)

    def step(self, measure: int, threshold: int, *, enabled: bool, policy: Policy, now: float) -> Switch:
        """The trigger after a look at its measure."""
        wanted, reason = self._wanted(measure, threshold, enabled=enabled, policy=policy)
        if wanted == self.on:
            return (
                replace(self, reason=reason)
                if self.force is not Force.AUTO and reason != self.reason
                else self
            )
        if reason in (Reason.ABOVE_THRESHOLD, Reason.BELOW_RELEASE) and now - self.since < policy.dwell_s:
            return self
        return Switch(wanted, self.force, now, reason)

    def _wanted(self, measure: int, threshold: int, *, enabled: bool, policy: Policy) -> tuple[bool, Reason]:
        if not enabled:
            return False, Reason.DISABLED
        if self.force is not Force.AUTO:
            return self.force is Force.ON, Reason.FORCED
        if not policy.scaling_enabled:
            return False, Reason.DISABLED
        if measure > threshold:
            return True, Reason.ABOVE_THRESHOLD
        # A threshold of 0 means "for everybody": released only when nobody is left.
        if measure < policy.release * threshold or measure == 0:
            return False, Reason.BELOW_RELEASE
        return self.on, self.reason


@dataclass(frozen=True, slots=True)
class State:
    """Delivery of one broadcast."""

    relays: Switch = Switch()
    hls: Switch = Switch()
    hls_share: float = 0.0
    """Part of the passive viewers that is sent to HLS, 0..1."""
    next_batch: float = float("-inf")
    ready_at: float = float("-inf")
    """When the packager was last seen to have the stream."""
    package: bool = False
    """A packager should make HLS of it."""

    @property
    def stage(self) -> Stage:
        if self.hls.on:
            return Stage.HYBRID
        return Stage.RELAYED if self.relays.on else Stage.DIRECT

    @property
    def mode(self) -> Delivery:
        """How a passive viewer that comes now watches."""
        return Delivery.HLS if self.hls_share > 0 and self.hls.on else Delivery.WEBRTC

    @property
    def told(self) -> tuple[object, ...]:
        """What nodes are told of it: when this changes they must hear at once."""
        return self.stage, self.mode, self.hls_share, self.package, self.hls.on, self.relays.on

    def force_hls(self, force: Force) -> State:
        """Ops hold HLS on or off, or let go of it; takes effect with the next `step`."""
        return replace(self, hls=self.hls.forced(force), next_batch=float("-inf"))

    def force_relays(self, force: Force) -> State:
        """Ops hold the relays on or off, or let go of them; takes effect with the next `step`."""
        return replace(self, relays=self.relays.forced(force))


def step(
    state: State,
    policy: Policy,
    audience: Audience,
    now: float,
    *,
    hls_ready: bool,
    jitter: Callable[[], float],
) -> State:
    """The state after a look at the audience. `hls_ready`: the packager has the stream; `jitter` gives 0..1."""
    relays = state.relays.step(
        audience.webrtc, policy.relay_above, enabled=policy.relays_enabled, policy=policy, now=now
    )
    hls = state.hls.step(audience.total, policy.hls_above, enabled=policy.hls_enabled, policy=policy, now=now)
    package = hls.on or state.hls_share > 0 or _prewarm(state, policy, audience)
    ready_at = now if hls_ready else state.ready_at
    share, next_batch = state.hls_share, state.next_batch
    target = 1.0 if hls.on and now - ready_at < policy.lost_s else 0.0
    if share != target and now >= next_batch and (hls_ready or target == 0.0):
        passive = audience.passive_webrtc + audience.hls
        stride = 1.0 if passive <= policy.batch else policy.batch / passive
        share = min(target, share + stride) if target > share else max(target, share - stride)
        next_batch = now + policy.batch_s * (0.5 + jitter())
    return State(relays, hls, share, next_batch, ready_at, package)


def _prewarm(state: State, policy: Policy, audience: Audience) -> bool:
    """Packaging starts a little below the threshold and, once on, ends below the release of that."""
    if not policy.hls_enabled:
        return False
    if policy.package_always:
        return True
    if not policy.scaling_enabled or state.hls.force is Force.OFF:
        return False
    start = policy.prewarm * policy.hls_above
    return audience.total >= max(1.0, start if not state.package else policy.release * start)


def needs_cdn(state: State, policy: Policy, audience: Audience) -> bool:
    """Is HLS used for its audience, or about to be? A CDN that takes minutes to make is begun in time."""
    return (
        state.hls.on
        or state.hls_share > 0
        or _prewarm(state, replace(policy, package_always=False), audience)
    )


def encode(state: State) -> str:
    """The state as a document for the registry; moments of "never" are left out."""
    return json.dumps(
        {
            "relays": _encode_switch(state.relays),
            "hls": _encode_switch(state.hls),
            "hls_share": round(state.hls_share, 6),
            "package": state.package,
        },
        separators=(",", ":"),
    )


def decode(document: str, now: float) -> State:
    """The state from a document, as if HLS was ready a moment ago. Raises ValueError when it is none of ours."""
    try:
        facts = json.loads(document)
        return State(
            _decode_switch(facts["relays"]),
            _decode_switch(facts["hls"]),
            float(facts["hls_share"]),
            ready_at=now,
            package=bool(facts["package"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a delivery state: {error!r}") from error


def _encode_switch(switch: Switch) -> dict[str, object]:
    facts: dict[str, object] = {"on": switch.on, "force": switch.force, "reason": switch.reason}
    return facts if switch.since == float("-inf") else {**facts, "since": round(switch.since, 3)}


def _decode_switch(facts: dict[str, Any]) -> Switch:
    since = float(facts.get("since", float("-inf")))
    return Switch(bool(facts["on"]), Force(facts["force"]), since, Reason(facts["reason"]))
