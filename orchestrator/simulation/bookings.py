"""Bookings as the registry's script keeps them, in virtual time. A test holds the two to each other."""

from __future__ import annotations

from collections.abc import Sequence

from common.registry import Reservation


class Bookings:
    """Node -> viewer -> when its booking ends, in the caller's seconds; address -> its bookings, oldest first."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, float]] = {}
        self._addresses: dict[str, list[tuple[str, str]]] = {}

    def reserve(
        self,
        viewer: str,
        rooms: Sequence[tuple[str, int]],
        ttl_s: float,
        now: float,
        address: str = "",
        most: int = 1,
    ) -> Reservation:
        """A place at the first node that has one; as `Registry.reserve`."""
        at: int | None = None
        own = self._addresses.setdefault(address, [])
        for index, (node, room) in enumerate(rooms):
            booked = {
                one: until
                for one, until in self._nodes.get(node, {}).items()
                if until > now and one != viewer
            }
            own[:] = [one for one in own if one != (node, viewer)]
            if at is None and len(booked) < room:
                at = index
                booked[viewer] = now + ttl_s
            self._nodes[node] = booked
        if address and at is not None:
            own.append((rooms[at][0], viewer))
            while len(own) > most:
                node, oldest = own.pop(0)
                self._nodes[node].pop(oldest, None)
        return Reservation(at, tuple(len(self._nodes[node]) for node, _ in rooms))
