"""Bookings as the registry's script keeps them, in virtual time. A test holds the two to each other."""

from __future__ import annotations

from collections.abc import Sequence

from common.registry import Reservation


class Bookings:
    """Node -> viewer -> when its booking ends, in the caller's seconds."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, float]] = {}

    def reserve(self, viewer: str, rooms: Sequence[tuple[str, int]], ttl_s: float, now: float) -> Reservation:
        """A place at the first node that has one; as `Registry.reserve`."""
        at: int | None = None
        counts: list[int] = []
        for index, (node, room) in enumerate(rooms):
            booked = {
                one: until
                for one, until in self._nodes.get(node, {}).items()
                if until > now and one != viewer
            }
            if at is None and len(booked) < room:
                at = index
                booked[viewer] = now + ttl_s
            self._nodes[node] = booked
            counts.append(len(booked))
        return Reservation(at, tuple(counts))
