"""Places that are booked at nodes, as the registry's script keeps them (common/registry.py), in this process: what an orchestrator goes
by while the registry is away, and what simulations run on. A test holds the two to each other. Pure: takes the time in seconds.

All bookings last equally long, so each table is in the order in which its entries end. What has ended is dropped from the front
by whoever books next: there are never more than the places of the nodes, and the addresses of one booking's life.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.registry import Reservation


@dataclass(slots=True)
class _Own:
    """The bookings of an address, oldest first, and when its newest ends."""

    places: OrderedDict[tuple[str, str], None] = field(default_factory=OrderedDict)
    until: float = 0.0


class Bookings:
    """Bookings of `ttl_s` seconds each."""

    def __init__(self, ttl_s: float) -> None:
        self._ttl_s = ttl_s
        self._nodes: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        """Node -> viewer -> when its booking ends; the node that was booked last comes last."""
        self._addresses: OrderedDict[str, _Own] = OrderedDict()

    def __len__(self) -> int:
        """Entries that are held, of bookings that ended just now too."""
        owned = sum(len(one.places) for one in self._addresses.values())
        return owned + sum(len(booked) for booked in self._nodes.values())

    def reserve(
        self, viewer: str, rooms: Sequence[tuple[str, int]], now: float, address: str = "", most: int = 1
    ) -> Reservation:
        """A place at the first node that has one; as `Registry.reserve`."""
        self._forget(now)
        at: int | None = None
        own, booked = self._addresses.get(address, _Own()), list[OrderedDict[str, float]]()
        for index, (node, room) in enumerate(rooms):
            here = self._nodes.get(node, OrderedDict[str, float]())
            while here and next(iter(here.values())) <= now:
                here.popitem(last=False)
            here.pop(viewer, None)
            own.places.pop((node, viewer), None)
            if at is None and len(here) < room:
                at, here[viewer] = index, now + self._ttl_s
                self._nodes[node] = here
                self._nodes.move_to_end(node)
            booked.append(here)
        if address and at is not None:
            self._own(address, own, (rooms[at][0], viewer), now, max(1, most))
        return Reservation(at, tuple(map(len, booked)))

    def _own(self, address: str, own: _Own, place: tuple[str, str], now: float, most: int) -> None:
        own.places[place], own.until = None, now + self._ttl_s
        self._addresses[address] = own
        self._addresses.move_to_end(address)
        while len(own.places) > most:
            (node, oldest), _ = own.places.popitem(last=False)
            self._nodes.get(node, OrderedDict[str, float]()).pop(oldest, None)

    def _forget(self, now: float) -> None:
        """Drops nodes and addresses whose newest booking has ended."""
        while self._nodes:
            booked = next(iter(self._nodes.values()))
            if booked and next(reversed(booked.values())) > now:
                break
            self._nodes.popitem(last=False)
        while self._addresses and next(iter(self._addresses.values())).until <= now:
            self._addresses.popitem(last=False)
