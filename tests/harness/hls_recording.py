"""A recording of our own packager in virtual time: what a low-latency player would have been told by an edge with the edge's headers."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

from hls.check.listing import read_listing
from hls.check.recording import Directives, Kind, Probe, Recording, Reply, with_directives
from tests.harness.shelf import Live, Shown
from tests.harness.simulcast import Simulcast

BASE = "https://packager.example/hls/demo/"
_DELTA_EVERY = 4
_PLAIN_EVERY = 7

_COMMON = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "Age, Date, Content-Length, ETag, Retry-After",
}
_PLAYLIST = {
    **_COMMON,
    "content-type": "application/vnd.apple.mpegurl",
    "content-encoding": "gzip",
    "vary": "Accept-Encoding",
}
_MEDIA = {**_COMMON, "content-type": "video/mp4", "cache-control": "max-age=86400, immutable"}
_TEXT = {**_MEDIA, "content-type": "text/vtt; charset=utf-8"}
_ERROR = {**_COMMON, "content-type": "application/problem+json", "cache-control": "max-age=1"}


def began_ms(live: Live | Simulcast) -> float:
    """When the recording begins: just before the first playlist."""
    return live.shelf.shown[0].at_ms - 100


class _Player:
    """Follows one rendition through its snapshots."""

    def __init__(self, live: Live | Simulcast, rendition: str) -> None:
        self.shelf = live.shelf
        self.start_ms = began_ms(live)
        self.rendition = rendition
        self.url = f"{BASE}{rendition}/index.m3u8"
        self.fetched: set[str] = set()

    def replies(self) -> Iterator[Reply]:
        shown = {one.at_ms: one for one in self.shelf.of(self.rendition)}
        asked_s: float | None = None
        directives = Directives()
        for count, one in enumerate(shown.values()):
            now_s = (one.at_ms - self.start_ms) / 1000 + 0.004
            if asked_s is None:
                asked_s = now_s - 0.001
            if one.delta and count % _DELTA_EVERY == 0:
                skip = Directives(directives.msn, directives.part, skip=True)
                yield self.playlist(skip, one.delta, asked_s, now_s)
            if count % _PLAIN_EVERY == 0:
                yield self.playlist(Directives(), one.live, now_s - 0.001, now_s)
            yield self.playlist(directives, one.live, asked_s, now_s)
            if directives.part == 0:
                yield self.playlist(Directives(directives.msn), one.live, asked_s, now_s)
            yield from self.media(one, now_s)
            if count == 3:
                yield from self.probes(one, now_s)
            msn, part = read_listing(one.live, self.url).next
            directives, asked_s = Directives(msn, part), now_s
            if one.ended:
                yield self.probe(Probe.AFTER_THE_END, Directives(msn + 9, 0), 200, now_s, one.live)

    def playlist(self, directives: Directives, text: str, asked_s: float, now_s: float) -> Reply:
        lifetime = "max-age=12" if directives.part is not None else "max-age=1"
        return Reply(
            Kind.PLAYLIST,
            with_directives(self.url, directives),
            asked_s,
            now_s,
            200,
            self.url,
            {**_PLAYLIST, "cache-control": lifetime},
            text.encode(),
            first_byte_s=now_s,
        )

    def media(self, one: Shown, now_s: float) -> Iterator[Reply]:
        listing = read_listing(one.live, self.url)
        for segment in listing.segments:
            if segment.init:
                yield from self.fetch(Kind.INIT, segment.init, now_s)
            for index, part in enumerate(segment.parts):
                if not part.gap:
                    yield from self.fetch(Kind.HINT if index % 2 else Kind.PART, part.uri, now_s)
            if segment.uri and not segment.gap:
                yield from self.fetch(Kind.SEGMENT, segment.uri, now_s)

    def fetch(self, kind: Kind, url: str, now_s: float) -> Iterator[Reply]:
        if url not in self.fetched:
            self.fetched.add(url)
            body = self.shelf.ever[self.rendition, url.rsplit("/", 1)[1]]
            headers = _TEXT if url.endswith(".vtt") else _MEDIA
            yield Reply(
                kind, url, now_s, now_s + 0.002, 200, self.url, headers, body, first_byte_s=now_s + 0.001
            )

    def probes(self, one: Shown, now_s: float) -> Iterator[Reply]:
        yield self.probe(Probe.PART_WITHOUT_MSN, Directives(None, 1), 400, now_s)
        yield self.probe(Probe.MSN_FAR_AHEAD, Directives(one.msn + 5, 0), 400, now_s)
        yield self.probe(Probe.PART_FAR_AHEAD, Directives(one.msn, 500), 400, now_s)
        yield self.probe(Probe.MSN_LONG_GONE, Directives(1, 0), 200, now_s, one.live)
        yield Reply(
            Kind.PROBE,
            urljoin(self.url, "unknown.m4s"),
            now_s,
            now_s + 0.001,
            404,
            self.url,
            _ERROR,
            b"{}",
            Probe.UNKNOWN_MEDIA,
        )

    def probe(self, probe: Probe, asked: Directives, status: int, now_s: float, text: str = "{}") -> Reply:
        headers = _ERROR if status >= 400 else {**_PLAYLIST, "cache-control": "max-age=1"}
        url = with_directives(self.url, asked)
        return Reply(
            Kind.PROBE, url, now_s, now_s + 0.001, status, self.url, headers, text.encode(), probe=probe
        )


def _key_frames(live: Live | Simulcast, name: str) -> Iterator[Reply]:
    """An I-frame playlist as it is at the end, and its segments."""
    url, text = f"{BASE}{name}", live.shelf.indexes[name]
    now_s = (live.now_ms - began_ms(live)) / 1000
    headers = {**_PLAYLIST, "cache-control": "max-age=1"}
    yield Reply(Kind.PLAYLIST, url, now_s, now_s + 0.01, 200, url, headers, text.encode())
    pieces = {segment.init: Kind.INIT for segment in read_listing(text, url).segments if segment.init}
    pieces |= {segment.uri: Kind.SEGMENT for segment in read_listing(text, url).segments if segment.uri}
    for piece, kind in pieces.items():
        rendition, media = piece.removeprefix(BASE).split("/")
        if body := live.shelf.ever.get((rendition, media)):
            yield Reply(kind, piece, now_s, now_s + 0.02, 200, url, _MEDIA, body)


def recorded(live: Live | Simulcast) -> Recording:
    """What a player of all renditions of `live` has kept up to now."""
    shelf = live.shelf
    renditions = list(dict.fromkeys(one.rendition for one in shelf.shown))
    headers = {**_PLAYLIST, "cache-control": "max-age=1"}
    began = began_ms(live)
    replies = [
        Reply(Kind.MULTIVARIANT, f"{BASE}index.m3u8", at_s, at_s + 0.01, 200, "", headers, text.encode())
        for at_s, text in (((at_ms - began) / 1000, text) for at_ms, text in shelf.index_log)
    ]
    for name in renditions:
        replies += _Player(live, name).replies()
    for name in sorted(name for name in shelf.indexes if name.startswith("iframes-")):
        replies += _key_frames(live, name)
    replies.sort(key=lambda one: one.arrived_s)
    seconds = (live.now_ms - began) / 1000
    return Recording(f"{BASE}index.m3u8", replies, seconds, http2=True)
