"""A recording put in order: for each rendition its reloads one after another, the segments that they told of, and the media."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from hls.check.fragments import BadMedia, Run, TrackInit, is_fragment, read_init, read_runs
from hls.check.listing import ListedPart, ListedSegment, Listing, NotAPlaylist, read_listing
from hls.check.multivariant import Index, Stream, is_index, read_index
from hls.check.recording import Kind, Probe, Recording, Reply
from hls.check.subtitles import BadSubtitles, ReadCue, TimestampMap, is_subtitles, read_cues, read_header


@dataclass(frozen=True, slots=True)
class Reload:
    """A media playlist as it came (`listing`), and as it is meant, delta updates filled in (`full`; None when what they skip is
    not known)."""

    reply: Reply
    listing: Listing
    full: Listing | None


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part or segment that was fetched and could be read."""

    reply: Reply
    runs: tuple[Run, ...]
    tracks: dict[int, TrackInit]

    def of(self, handler: str) -> list[Run]:
        """Runs of the tracks of a kind, "vide" or "soun"."""
        return [run for run in self.runs if self.tracks[run.track].handler == handler]

    def seconds(self, run: Run) -> float:
        return (run.end - run.start) / self.tracks[run.track].rate

    @property
    def longest(self) -> float:
        """Seconds of the track that is the longest, all its runs together."""
        sums: dict[int, float] = {}
        for run in self.runs:
            sums[run.track] = sums.get(run.track, 0.0) + self.seconds(run)
        return max(sums.values())

    @property
    def frame(self) -> float:
        """Seconds of the longest sample."""
        return max(max(run.durations) / self.tracks[run.track].rate for run in self.runs)

    @property
    def leader(self) -> list[Run]:
        """The runs of the video, or of the sound where there is none."""
        return self.of("vide") or self.of("soun") or list(self.runs)


@dataclass(frozen=True, slots=True)
class Written:
    """A part or segment of subtitles that was fetched and could be read."""

    reply: Reply
    map: TimestampMap | None
    cues: tuple[ReadCue, ...]


@dataclass(slots=True)
class RenditionHistory:
    """`segments`: the most complete form in which each was listed, by number; `seen_in`: the reload that showed it first."""

    url: str
    name: str
    reloads: list[Reload] = field(default_factory=list)
    unreadable: list[tuple[Reply, str]] = field(default_factory=list)
    refused: list[Reply] = field(default_factory=list)
    segments: dict[int, ListedSegment] = field(default_factory=dict)
    seen_in: dict[int, Reply] = field(default_factory=dict)
    media: dict[str, Reply] = field(default_factory=dict)
    inits: dict[str, Reply] = field(default_factory=dict)
    probes: dict[Probe, Reply] = field(default_factory=dict)
    fragments: dict[str, Fragment] = field(default_factory=dict)
    unreadable_media: list[tuple[Reply, str]] = field(default_factory=list)
    written: dict[str, Written] = field(default_factory=dict)
    unreadable_text: list[tuple[Reply, str]] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    """The EXT-X-STREAM-INF that name it, if any."""
    group: dict[str, str] = field(default_factory=dict)
    """Its EXT-X-MEDIA, if any."""

    @property
    def last(self) -> Listing | None:
        """The newest listing."""
        return self.reloads[-1].listing if self.reloads else None

    @property
    def low_latency(self) -> bool:
        return any(one.listing.low_latency for one in self.reloads)

    @property
    def part_target(self) -> float | None:
        """Seconds, as it was first declared."""
        return next((one.listing.part_target for one in self.reloads if one.listing.part_target), None)

    @property
    def full(self) -> list[Reload]:
        """The reloads whose whole list is known."""
        return [one for one in self.reloads if one.full is not None]

    def listed(self) -> Iterator[tuple[ListedSegment, str]]:
        """Every segment once, with where it was seen."""
        for msn in sorted(self.segments):
            yield self.segments[msn], self.seen_in[msn].where

    def parts(self) -> Iterator[tuple[ListedSegment, int, ListedPart, str]]:
        """Every part once, with its segment, index, and where it was seen."""
        for segment, where in self.listed():
            for index, part in enumerate(segment.parts):
                yield segment, index, part, where

    def successive(self, *, of_a_kind: bool = False) -> Iterator[tuple[Reload, Reload]]:
        """Pairs of reloads of which the second was asked for when the first had come. `of_a_kind`: both with directives, or both
        without, because a cache may hold the ones longer than the others."""
        groups: list[list[Reload]] = [self.full]
        if of_a_kind:
            groups = [
                [one for one in self.full if (one.reply.directives.msn is None) is plain]
                for plain in (True, False)
            ]
        for group in groups:
            for before, after in itertools.pairwise(group):
                if after.reply.asked_s >= before.reply.arrived_s:
                    yield before, after

    def take(self, reload: Reload) -> None:
        """Adds a reload."""
        self.reloads.append(reload)
        for segment in (reload.full or reload.listing).segments:
            known = self.segments.get(segment.msn)
            if known is None:
                self.segments[segment.msn] = segment
                self.seen_in[segment.msn] = reload.reply
                continue
            parts = max(known.parts, segment.parts, key=len)
            better = segment if segment.uri and not known.uri else known
            self.segments[segment.msn] = replace(better, parts=parts)


@dataclass(slots=True)
class History:
    """The whole recording. `indexes`: the multivariant playlists, as they came."""

    recording: Recording
    indexes: list[tuple[Reply, Index]] = field(default_factory=list)
    unreadable: list[tuple[Reply, str]] = field(default_factory=list)
    renditions: dict[str, RenditionHistory] = field(default_factory=dict)
    key_frames: dict[str, RenditionHistory] = field(default_factory=dict)
    """I-frame playlists, which are no renditions: other rules hold for them."""

    @property
    def slack_s(self) -> float:
        return self.recording.slack_s

    @property
    def index(self) -> Index | None:
        """The newest multivariant playlist."""
        return self.indexes[-1][1] if self.indexes else None

    def seen(self) -> list[RenditionHistory]:
        """Those of which a playlist came."""
        return [one for one in self.renditions.values() if one.reloads]

    def media_clock(self) -> float | None:
        """Date of the media time 0, seconds since 1970, in the first rendition that tells."""
        for one in self.seen():
            for segment, _ in one.listed():
                fragment = one.fragments.get(segment.piece)
                if fragment is not None and segment.date is not None and not segment.discontinuity:
                    run = fragment.leader[0]
                    return segment.date - run.start / fragment.tracks[run.track].rate
        return None

    def target_duration(self) -> int | None:
        """Of the first rendition that names it."""
        known = (one.reloads[0].listing.target_duration for one in self.seen())
        return next((one for one in known if one), None)


def short_names(urls: list[str]) -> dict[str, str]:
    """A name for each address: its last folder where that tells them apart, else its path."""
    folders = {url: urlsplit(url).path.rsplit("/", 2)[-2:][0] for url in urls}
    if len(set(folders.values())) == len(urls):
        return {url: folder or url for url, folder in folders.items()}
    return {url: urlsplit(url).path for url in urls}


def history_of(recording: Recording) -> History:
    """Sorts a recording's replies into a history. Replies are taken in the order of their arrival."""
    history = History(recording)
    replies = sorted(recording.replies, key=lambda one: one.arrived_s)
    for reply in replies:
        if reply.kind is Kind.MULTIVARIANT and reply.ok:
            try:
                if is_index(reply.text):
                    history.indexes.append((reply, read_index(reply.text, reply.base or reply.url)))
            except NotAPlaylist as error:
                history.unreadable.append((reply, str(error)))
    urls = list(dict.fromkeys(one.rendition for one in replies if one.rendition))
    names = short_names(urls)
    history.renditions = {url: RenditionHistory(url, names[url]) for url in urls}
    for reply in replies:
        if reply.rendition:
            _sort_in(history.renditions[reply.rendition], reply)
    for _, index in history.indexes:
        for one in history.renditions.values():
            one.streams = [stream for stream in index.streams if stream.uri == one.url] or one.streams
            one.group = next((media for media in index.media if media.get("URI") == one.url), one.group)
    alone = {stream.uri for _, index in history.indexes for stream in index.key_frames}
    for one in history.renditions.values():
        if one.group.get("TYPE") == "SUBTITLES":
            _read_text(one)
        else:
            _read_media(one)
    history.key_frames = {url: one for url, one in history.renditions.items() if url in alone}
    history.renditions = {url: one for url, one in history.renditions.items() if url not in alone}
    return history


def _sort_in(one: RenditionHistory, reply: Reply) -> None:
    match reply.kind:
        case Kind.PROBE if reply.probe is not None:
            one.probes[reply.probe] = reply
        case Kind.INIT:
            one.inits[reply.piece] = reply
        case Kind.PART | Kind.SEGMENT | Kind.HINT:
            known = one.media.get(reply.piece)
            if known is None or not known.ok:
                one.media[reply.piece] = reply
        case Kind.PLAYLIST if reply.ok:
            try:
                listing = read_listing(reply.text, reply.base or reply.url)
            except NotAPlaylist as error:
                one.unreadable.append((reply, str(error)))
                return
            before = one.full[-1].full if listing.skipped and one.full else None
            full = listing.over(before) if before else (None if listing.skipped else listing)
            one.take(Reload(reply, listing, full))
        case Kind.PLAYLIST:
            one.refused.append(reply)
        case _:
            pass


def _pieces(segment: ListedSegment) -> list[str]:
    """What there is to fetch of it."""
    pieces = [part.piece for part in segment.parts if not part.gap]
    if segment.uri and not segment.gap:
        pieces.append(segment.piece)
    return pieces


def _read_text(one: RenditionHistory) -> None:
    for segment, _ in one.listed():
        init = one.inits.get(segment.init or "")
        for piece in _pieces(segment):
            found = one.media.get(piece)
            if found is None or not found.ok or segment.encrypted or is_fragment(found.body):
                continue
            header = found.body if init is None else init.body
            if init is not None and is_subtitles(found.body):
                one.unreadable_text.append((found, "a header of its own, and one in EXT-X-MAP"))
                continue
            try:
                one.written[piece] = Written(found, read_header(header), tuple(read_cues(found.body)))
            except BadSubtitles as error:
                one.unreadable_text.append((found, str(error)))


def _read_media(one: RenditionHistory) -> None:
    tracks: dict[str, dict[int, TrackInit]] = {}
    for piece, reply in one.inits.items():
        if reply.ok:
            try:
                tracks[piece] = read_init(reply.body)
            except BadMedia as error:
                one.unreadable_media.append((reply, str(error)))
    for segment, _ in one.listed():
        known = tracks.get(segment.init or "")
        if known is None or segment.encrypted:
            continue
        for piece in _pieces(segment):
            found = one.media.get(piece)
            if found is None or not found.ok or not is_fragment(found.body):
                continue
            try:
                one.fragments[piece] = Fragment(found, tuple(read_runs(found.body, known)), known)
            except BadMedia as error:
                one.unreadable_media.append((found, str(error)))
