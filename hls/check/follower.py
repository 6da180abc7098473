"""What a player of one rendition asks for next: a low-latency one where the server blocks reloads, else one of plain lists. Pure: asks
out, replies in. It asks a little more than a player would, to see more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

from hls.check.listing import ListedSegment, Listing, NotAPlaylist, read_listing
from hls.check.recording import Directives, Kind, Probe, Reply, with_directives

_DELTA_EVERY = 5
_PLAIN_EVERY = 7
_NUMBER_ALONE_EVERY = 9
_HINT_EVERY = 2
_NEWEST_SEGMENTS = 2
"""Of the first list only its newest segments are fetched: not hours of what came before."""
_LEAST_PAUSE_S = 0.2
_MOST_PAUSE_S = 30.0
_FAR_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to make."""

    kind: Kind
    url: str
    rendition: str
    byte_range: str = ""
    probe: Probe | None = None
    takes_gzip: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """One reload: wait for `pause_s`, then ask `reloads` at once, and `besides` without waiting for their answers."""

    pause_s: float
    reloads: tuple[Ask, ...]
    besides: tuple[Ask, ...] = ()


class Follower:
    """Follows the media playlist at `url`. `over`: there is nothing more to ask."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.over = False
        self._list: Listing | None = None
        self._turns = 0
        self._advanced = True
        self._from_msn: int | None = None
        self._asked: set[str] = set()
        self._base = url

    def turn(self) -> Turn:
        """The next reload."""
        self._turns += 1
        known = self._list
        advanced, self._advanced = self._advanced, False
        if known is None:
            return Turn(0.0 if self._turns == 1 else 1.0, (self._reload(Directives()),))
        if known.ended:
            return self._goodbye(known)
        if self._turns == 2:
            # Nothing is waited for, so nothing need be new.
            self._advanced = True
            identity = Ask(Kind.PLAYLIST, self.url, self.url, takes_gzip=False)
            return Turn(0.0, (self._reload(Directives()), identity), tuple(self._probes(known)))
        if not known.blocking:
            target = float(known.target_duration or 2)
            # "MUST wait for at least one target duration, or half of it when the list had not changed" (6.3.4).
            pause_s = target if advanced else target / 2
            return Turn(min(max(pause_s, _LEAST_PAUSE_S), _MOST_PAUSE_S), (self._reload(Directives()),))
        # A server that answers at once although nothing is new must not be asked in a tight loop.
        return Turn(0.0 if advanced else _LEAST_PAUSE_S, *self._blocking(known))

    def take(self, reply: Reply) -> list[Ask]:
        """A reload of the newest turn was answered: what there is to fetch now."""
        if not reply.ok:
            return []
        try:
            listing = read_listing(reply.text, reply.base or reply.url)
        except NotAPlaylist:
            return []
        self._base = reply.base or reply.url
        known = self._list
        self._advanced |= known is None or listing.next > known.next
        if known is None or listing.next >= known.next:
            self._list = listing
        if self._from_msn is None:
            self._from_msn = max(0, listing.newest[0] - _NEWEST_SEGMENTS)
        return [
            ask
            for segment in listing.segments
            if segment.msn >= self._from_msn
            for ask in self._media(segment)
        ]

    def _reload(self, directives: Directives) -> Ask:
        return Ask(Kind.PLAYLIST, with_directives(self.url, directives), self.url)

    def _blocking(self, known: Listing) -> tuple[tuple[Ask, ...], tuple[Ask, ...]]:
        msn, part = known.next
        parts = known.part_target is not None
        if self._turns % _NUMBER_ALONE_EVERY == 0 or not parts:
            return (self._reload(Directives(msn)),), ()
        reloads = [self._reload(Directives(msn, part))]
        if self._turns % _DELTA_EVERY == 0 and "CAN-SKIP-UNTIL" in known.control:
            reloads.append(self._reload(Directives(msn, part, skip=True)))
        besides: list[Ask] = []
        if self._turns % _PLAIN_EVERY == 0:
            besides.append(self._reload(Directives()))
        if self._turns % _HINT_EVERY == 0:
            besides += [
                ask
                for kind, uri in known.hints[:2]
                for ask in self._once(Kind.HINT if kind == "PART" else Kind.INIT, uri, "")
            ]
        return tuple(reloads), tuple(besides)

    def _probes(self, known: Listing) -> Iterator[Ask]:
        if known.low_latency:
            unknown = urljoin(self._base, "avacast-check-unknown.m4s")
            yield Ask(Kind.PROBE, unknown, self.url, probe=Probe.UNKNOWN_MEDIA)
        if not known.blocking:
            return
        msn = known.newest[0]
        asked = {
            Probe.PART_WITHOUT_MSN: Directives(None, 0),
            Probe.MSN_FAR_AHEAD: Directives(msn + 10, 0),
            Probe.MSN_LONG_GONE: Directives(max(0, known.media_sequence - 1), 0),
        }
        if known.part_target is not None:
            asked[Probe.PART_FAR_AHEAD] = Directives(msn + 1, _FAR_PARTS)
        for probe, directives in asked.items():
            yield Ask(Kind.PROBE, with_directives(self.url, directives), self.url, probe=probe)

    def _goodbye(self, known: Listing) -> Turn:
        """Once more after the end, with directives and without."""
        self.over = True
        besides: tuple[Ask, ...] = ()
        if known.blocking:
            url = with_directives(self.url, Directives(known.newest[0] + 1, 0))
            besides = (Ask(Kind.PROBE, url, self.url, probe=Probe.AFTER_THE_END),)
        return Turn(0.0, (self._reload(Directives()),), besides)

    def _media(self, segment: ListedSegment) -> Iterator[Ask]:
        if segment.init:
            uri, _, byte_range = segment.init.partition("#")
            yield from self._once(Kind.INIT, uri, byte_range)
        for part in segment.parts:
            if not part.gap:
                yield from self._once(Kind.PART, part.uri, part.byte_range)
        if segment.uri and not segment.gap:
            yield from self._once(Kind.SEGMENT, segment.uri, segment.byte_range)

    def _once(self, kind: Kind, uri: str, byte_range: str) -> Iterator[Ask]:
        ask = Ask(kind, uri, self.url, byte_range)
        name = f"{uri}#{byte_range}"
        if name not in self._asked:
            self._asked.add(name)
            yield ask

    def failed(self, ask: Ask) -> None:
        """A hinted part did not come: should it be listed, it is asked for again."""
        self._asked.discard(f"{ask.url}#{ask.byte_range}")
