"""The video of a broadcast: a rendition for each layer that the publisher sends, one of which leads.

The leader decides where segments end, the others follow it, so all have the same numbers and the same discontinuities. When the leader
falls behind the others by more than a part and a half, or has a gap where another has pictures, that other one leads from then on, in the
same segment. A layer that stops has gap parts, and leaves the multivariant playlist after ABSENT_MS while others are there: players that
are in it go to another one, new players do not come. When its pictures come back, so does it."""

from __future__ import annotations

from hls.governor import KeyFrameGovernor
from hls.grid import VIDEO_RATE, Grid
from hls.picture import GRACE_PARTS, Picture
from hls.playlist import Variant
from hls.rendition import Changes, Rendition
from hls.sources import AccessUnit
from hls.sync import TrackClock
from hls.track import Event, SegmentStart

MOST_LAYERS = 8
"""Layers beyond these are passed over."""
ABSENT_MS = 6000
"""Three target durations: what a player that is in a layer has had time to play out."""
_RECENT_MS = 500


class Layers:
    """Renditions `v0`, `v1`, ... by the layers' numbers. `msn` is the number of the first segment. `elder` is a rendition that was there
    before any picture, if one was."""

    def __init__(self, grid: Grid, window_s: float, msn: int, elder: Rendition | None = None) -> None:
        self.governor = KeyFrameGovernor(grid)
        self.changes_of_lead = 0
        self._grid = grid
        self._window_s = window_s
        self._msn = msn
        self._elder = elder
        self._clock = TrackClock(VIDEO_RATE)
        self._pictures: dict[int, Picture] = {}
        self._leader: Picture | None = None
        self._boundary: SegmentStart | None = None
        self._told: list[SegmentStart] = []
        self._decided = 0
        self._grace = round(GRACE_PARTS * grid.part_ticks(VIDEO_RATE))

    @property
    def decided(self) -> int:
        """No boundary that is still to come lies before this time (90 kHz)."""
        return self._decided

    @property
    def renditions(self) -> list[Rendition]:
        """By layer."""
        return [self._pictures[layer].rendition for layer in sorted(self._pictures)]

    @property
    def elder(self) -> Rendition | None:
        """The leader's, whose segments a rendition that begins later shows as gaps."""
        return self._leader.rendition if self._leader else None

    @property
    def independent(self) -> bool:
        """All segments have begun with key frames."""
        return not any(one.segmenter.hard_cuts for one in self._pictures.values())

    def boundaries(self) -> list[SegmentStart]:
        """Segments that have begun since the last call: for sound to follow."""
        told, self._told = self._told, []
        return told

    def push(self, unit: AccessUnit, wall_ms: float, now_ms: float) -> Changes:
        """Takes a picture of any layer that was captured at `wall_ms`."""
        picture = self._pictures.get(unit.layer) or self._add(unit.layer)
        if picture is None:
            return []
        if self._boundary is None and picture is not self._leader and unit.key_frame:
            self._begin_with(picture)
        key, events = picture.push(unit, wall_ms, now_ms)
        changes = self._spread(picture, events)
        if picture is self._leader and picture.last_at is not None:
            self.governor.saw(picture.last_at, key)
        return changes + self._elect()

    def tick(self, now_ms: float) -> Changes:
        """Publishes what sources on time would have brought."""
        changes = self._elect()
        if self._leader:
            changes += self._spread(self._leader, self._leader.tick(now_ms))
        for picture in self._followers():
            changes += self._spread(picture, picture.tick(now_ms))
        return changes

    def end(self) -> Changes:
        """Finishes what is open, the leader first."""
        if self._leader is None:
            return []
        changes = self._spread(self._leader, self._leader.segmenter.end())
        for picture in self._followers():
            changes.append((picture.rendition, picture.segmenter.end()))
        return changes

    def wants_key_frame(self, now_ms: float) -> bool:
        """Whether the publisher should be asked for a key frame of all layers now."""
        if (leader := self._leader) is None:
            return False
        at = 0
        if leader.last_at is not None:
            at = leader.last_at + round((now_ms - leader.last_ms) * VIDEO_RATE / 1000)
        # A layer that sends nothing is not asked: the answer would cost the others a key frame twice a second.
        needed = any(
            one.segmenter.key_frame_needed and now_ms - one.last_ms < _RECENT_MS for one in self._followers()
        )
        return self.governor.wants(now_ms, at, leader.segmenter, needed=needed)

    def variants(self) -> list[Variant]:
        """As the multivariant playlist describes them, the largest first; without those that are absent while others are there."""
        shown = [one for one in self._pictures.values() if one.variant()]
        newest_ms = max((one.last_ms for one in shown), default=0.0)
        present = [one for one in shown if newest_ms - one.last_ms < ABSENT_MS]
        present.sort(key=lambda one: (-one.pixels, one.layer))
        return [variant for one in present if (variant := one.variant())]

    def stats(self) -> dict[str, object]:
        """Counters since the start: of all layers together, and of each by its rendition's name."""
        pictures = [self._pictures[layer] for layer in sorted(self._pictures)]
        return {
            "dropped_pictures": sum(one.segmenter.dropped for one in pictures),
            "hard_cuts": sum(one.segmenter.hard_cuts for one in pictures),
            "gap_parts": sum(one.rendition.gap_parts for one in pictures),
            "broken_units": sum(one.broken_units for one in pictures),
            "key_frame_requests": self.governor.requests,
            "clock_steps": max(0, self._clock.steps),
            "changes_of_lead": self.changes_of_lead,
            "layers": {one.rendition.name: one.stats() for one in pictures},
        }

    def _followers(self) -> list[Picture]:
        return [one for one in self._pictures.values() if one is not self._leader]

    def _add(self, layer: int) -> Picture | None:
        if len(self._pictures) >= MOST_LAYERS:
            return None
        msn = self._msn if self._leader is None else None
        picture = Picture(layer, self._grid, self._window_s, msn, self._clock)
        self._pictures[layer] = picture
        if self._leader is None:
            self._leader = picture
            picture.rendition.elder = self._elder
            return picture
        picture.rendition.elder = self._leader.rendition
        for one in self._pictures.values():
            one.segmenter.share()
        if self._boundary:
            picture.segmenter.follow(self._boundary)
        picture.segmenter.decide(self._decided)
        return picture

    def _begin_with(self, picture: Picture) -> None:
        """The one that leads has not begun, and this one can."""
        if self._leader:
            self._leader.segmenter.yield_lead()
            self._leader.rendition.elder = picture.rendition
        self._leader = picture
        picture.rendition.elder = self._elder
        picture.segmenter.begin_lead(self._msn)

    def _spread(self, picture: Picture, events: list[Event]) -> Changes:
        """What a picture has made of its layer; and, when that one leads, what follows for the others."""
        changes: Changes = [(picture.rendition, events)] if events else []
        if picture is not self._leader:
            if picture.segmenter.wants_discontinuity:
                self._ask_cut()
            return changes
        starts = [
            event
            for event in events
            if isinstance(event, SegmentStart) and (self._boundary is None or event.msn > self._boundary.msn)
        ]
        if starts:
            self._boundary = starts[-1]
            self._told += starts
        self._decided = max(self._decided, picture.segmenter.decided)
        for follower in self._followers():
            for start in starts:
                follower.segmenter.follow(start)
            if more := follower.segmenter.decide(self._decided):
                changes.append((follower.rendition, more))
            if follower.segmenter.wants_discontinuity:
                self._ask_cut()
        return changes

    def _ask_cut(self) -> None:
        if self._leader:
            self._leader.segmenter.cut_next()

    def _elect(self) -> Changes:
        """Another leader, when one that goes on has left this one behind."""
        leader = self._leader
        going = [one for one in self._followers() if one.segmenter.flowing]
        if leader is None or not going:
            return []
        best = max(going, key=lambda one: (one.segmenter.newest or 0, one.pixels))
        behind = (best.segmenter.newest or 0) - leader.segmenter.decided
        if behind <= self._grace and not leader.segmenter.stalled:
            return []
        leader.segmenter.yield_lead()
        self._leader = best
        self.changes_of_lead += 1
        return self._spread(best, best.segmenter.lead(self._decided))
