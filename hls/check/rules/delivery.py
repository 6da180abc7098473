"""How replies travel: redirects, compression, types, CORS, HTTP/2, and how long caches may keep them (RFC 8216bis appendix B.1)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from hls.check.history import History
from hls.check.recording import Kind, Reply
from hls.check.rule import Finding, Severity, Verdicts, rule

_PLAYLIST_TYPES = ("application/vnd.apple.mpegurl", "audio/mpegurl")
_PLAYLISTS = (Kind.MULTIVARIANT, Kind.PLAYLIST)
_MEDIA = (Kind.INIT, Kind.PART, Kind.HINT, Kind.SEGMENT)
_SMALL_BYTES = 200
"""Servers need not compress what is smaller."""


def _replies(history: History, *kinds: Kind) -> Iterator[tuple[Reply, str]]:
    """The answered requests of these kinds, with the name of their rendition."""
    for reply in history.recording.replies:
        if reply.status and reply.kind in kinds:
            one = history.renditions.get(reply.rendition)
            yield reply, one.name if one else ""


def lifetime_s(reply: Reply) -> int | None:
    """Seconds that a shared cache may keep it; 0 when it may not, None when nothing is said."""
    text = reply.headers.get("cache-control", "").lower()
    words = {word.strip().partition("=")[0]: word.strip().partition("=")[2] for word in text.split(",")}
    if words.keys() & {"no-store", "no-cache", "private"}:
        return 0
    for name in ("s-maxage", "max-age"):
        if re.fullmatch(r"\d{1,10}", words.get(name, "")):
            return int(words[name])
    return None


def _kept(reply: Reply, name: str, *, least_s: float = 0, most_s: float = math.inf) -> Finding | None:
    """Whether a shared cache is told to keep it within these bounds."""
    told = lifetime_s(reply)
    good = told is not None and least_s <= told <= most_s
    return (
        None if good else Finding(f"Cache-Control: {reply.headers.get('cache-control')}", reply.where, name)
    )


@rule(Severity.MUST, 22, "Apple authoring 8.18")
def nothing_redirects(history: History) -> Verdicts:
    """Media playlists and media are given where they were asked for, without a redirect."""
    for reply, name in _replies(history, Kind.PLAYLIST, *_MEDIA):
        told = f"status {reply.status} to {reply.headers.get('location')!r}"
        yield Finding(told, reply.where, name) if reply.status in (301, 302, 303, 307, 308) else None


@rule(Severity.MUST, 21, "Apple authoring 10.1")
def playlists_are_gzipped(history: History) -> Verdicts:
    """Playlists come as gzip to who accepts it."""
    for reply, name in _replies(history, *_PLAYLISTS):
        if reply.ok and reply.takes_gzip and len(reply.body) > _SMALL_BYTES:
            encoding = reply.headers.get("content-encoding", "none")
            bad = encoding not in ("gzip", "br", "zstd")
            yield Finding(f"encoding {encoding}", reply.where, name) if bad else None


@rule(Severity.MUST, 21, "8216bis 6.2.5.2: the reply depends on the list's state alone")
def equal_states_are_equal_texts(history: History) -> Verdicts:
    """Two full lists that end with the same part are the same text, compressed or not, but for rendition reports."""
    for one in history.seen():
        known: dict[tuple[tuple[int, int], int, bool], str] = {}
        for reload in one.reloads:
            if reload.listing.skipped or not reload.listing.segments:
                continue
            finished = reload.listing.segments[-1].uri is not None
            state = (reload.listing.newest, reload.listing.media_sequence, finished or reload.listing.ended)
            # Reports tell of the others, and hints and date ranges may come between two parts.
            volatile = ("#EXT-X-RENDITION-REPORT", "#EXT-X-PRELOAD-HINT", "#EXT-X-DATERANGE")
            text = "\n".join(line for line in reload.reply.text.splitlines() if not line.startswith(volatile))
            was = known.setdefault(state, text)
            told = f"another text of the list up to {reload.listing.newest}"
            yield Finding(told, reload.reply.where, one.name) if was != text else None


@rule(Severity.MUST, 23, "8216bis 4")
def types_are_right(history: History) -> Verdicts:
    """Playlists are application/vnd.apple.mpegurl (or audio/mpegurl), fragments video/mp4 or audio/mp4."""
    for reply, name in _replies(history, *_PLAYLISTS, *_MEDIA):
        kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not reply.ok:
            continue
        if reply.kind in _PLAYLISTS:
            bad = kind not in _PLAYLIST_TYPES
        else:
            bad = reply.body[4:8] in (b"moof", b"styp", b"ftyp") and not kind.endswith(
                ("/mp4", "/iso.segment")
            )
        yield Finding(f"type {kind!r}", reply.where, name) if bad else None


@rule(Severity.SHOULD, 23, "8216bis B.1 (-50120)")
def http_2_is_spoken(history: History) -> Verdicts:
    """The server speaks HTTP/2."""
    if history.recording.http2 is not None and any(one.low_latency for one in history.seen()):
        yield None if history.recording.http2 else Finding("only HTTP/1.1", history.recording.url)


@rule(Severity.SHOULD, 23, "Fetch standard; hls.js reads Age for its tune-in")
def browsers_may_read(history: History) -> Verdicts:
    """Replies have Access-Control-Allow-Origin, and playlists expose Age and Date."""
    for reply, name in _replies(history, *_PLAYLISTS, *_MEDIA):
        exposed = reply.headers.get("access-control-expose-headers", "").lower()
        missing = [] if "access-control-allow-origin" in reply.headers else ["Access-Control-Allow-Origin"]
        if reply.kind is Kind.PLAYLIST and "*" not in exposed:
            words = [word.strip() for word in exposed.split(",")]
            missing += [f"exposed {one}" for one in ("Age", "Date") if one.lower() not in words]
        yield Finding(f"no {', '.join(missing)}", reply.where, name) if missing else None


@rule(Severity.SHOULD, 0, "8216bis B.1: caches need one reply for all viewers")
def replies_are_for_everybody(history: History) -> Verdicts:
    """Replies set no cookie and do not vary with the viewer."""
    for reply, name in _replies(history, *_PLAYLISTS, *_MEDIA):
        vary = {word.strip().lower() for word in reply.headers.get("vary", "").split(",") if word.strip()}
        told = [f"Vary: {word}" for word in sorted(vary - {"accept-encoding", "origin"})]
        told += ["Set-Cookie"] if "set-cookie" in reply.headers else []
        yield Finding(", ".join(told), reply.where, name) if told else None


@rule(Severity.SHOULD, 0, "8216bis B.1")
def blocking_replies_are_cached_for_long(history: History) -> Verdicts:
    """A blocking reload for a part may be cached, for six target durations at most."""
    target = history.target_duration()
    for one in history.seen():
        for reload in one.reloads:
            asked = reload.reply.directives
            if target and asked.part is not None and reload.listing.blocking and not reload.listing.ended:
                yield _kept(reload.reply, one.name, least_s=1, most_s=6 * target)


@rule(Severity.SHOULD, 0, "8216bis B.1")
def plain_replies_are_cached_for_moments(history: History) -> Verdicts:
    """A playlist without directives may be cached for half a target duration at most."""
    target = history.target_duration()
    for reply, name in _replies(history, *_PLAYLISTS):
        ended = "#EXT-X-ENDLIST" in reply.text or "#EXT-X-PLAYLIST-TYPE:VOD" in reply.text
        if target and reply.ok and reply.directives.msn is None and not ended:
            yield _kept(reply, name, most_s=math.ceil(target / 2))


@rule(Severity.SHOULD, 0, "8216bis B.1")
def media_is_cached_for_long(history: History) -> Verdicts:
    """Media may be cached for at least six target durations."""
    target = history.target_duration()
    for reply, name in _replies(history, *_MEDIA):
        if target and reply.ok:
            yield _kept(reply, name, least_s=6 * target)


@rule(Severity.SHOULD, 0, "8216bis B.1")
def errors_are_cached_for_moments(history: History) -> Verdicts:
    """An error says how long it may be cached: a target duration at most, four for a blocking reload."""
    target = history.target_duration() or 6
    for reply, name in _replies(history, *_PLAYLISTS, *_MEDIA, Kind.PROBE):
        if reply.status >= 400:
            yield _kept(reply, name, most_s=4 * target if reply.directives.msn is not None else target)
