"""I-frame playlists: whether each segment is one key frame that shows by itself, at the time that the list says."""

from __future__ import annotations

from collections.abc import Iterator

from hls.check.history import Fragment, History, RenditionHistory
from hls.check.listing import ListedSegment
from hls.check.recording import Kind
from hls.check.rule import Finding, Severity, Verdicts, rule

_PEAK_SHARE = 1.25
_SAME_CLOCK_S = 0.06


def _listed(history: History) -> Iterator[tuple[RenditionHistory, ListedSegment]]:
    for one in history.key_frames.values():
        for segment, _ in one.listed():
            if segment.uri and not segment.gap:
                yield one, segment


def _fetched(history: History) -> Iterator[tuple[RenditionHistory, ListedSegment, Fragment]]:
    for one, segment in _listed(history):
        if segment.piece in one.fragments:
            yield one, segment, one.fragments[segment.piece]


@rule(Severity.MUST, 26, "8216bis 4.4.3.6, 8")
def key_frame_lists_say_so(history: History) -> Verdicts:
    """The playlist of an EXT-X-I-FRAME-STREAM-INF has EXT-X-I-FRAMES-ONLY and no parts."""
    for one in history.key_frames.values():
        for reload in one.reloads:
            missing = "EXT-X-I-FRAMES-ONLY" not in reload.listing.tags
            told = "no EXT-X-I-FRAMES-ONLY" if missing else "parts"
            yield (
                Finding(told, reload.reply.where, one.name) if missing or reload.listing.low_latency else None
            )


@rule(Severity.MUST, 26, "8216bis 4.4.3.6, 6.2.1")
def key_frames_are_there(history: History) -> Verdicts:
    """Every I-frame that is listed can be fetched and read."""
    for one, segment in _listed(history):
        reply = one.media.get(segment.piece)
        if reply is not None and reply.kind is not Kind.HINT:
            unread = next((why for bad, why in one.unreadable_media if bad is reply), "")
            told = reply.error or unread or f"status {reply.status}"
            yield None if reply.ok and not unread else Finding(told, reply.where, one.name)


@rule(Severity.MUST, 26, "8216bis 4.4.3.6: each segment is a single I-frame")
def key_frames_stand_alone(history: History) -> Verdicts:
    """Each segment of an I-frame playlist begins with a sync sample; one that is no byte range holds nothing else."""
    for one, segment, fragment in _fetched(history):
        runs = fragment.leader
        samples = sum(len(run.syncs) for run in runs)
        bad = not runs[0].syncs[0] or (samples > 1 and not segment.byte_range)
        told = f"{samples} samples, the first {'a' if runs[0].syncs[0] else 'no'} sync sample"
        yield Finding(told, fragment.reply.where, one.name) if bad else None


@rule(Severity.MUST, 26, "8216bis 6.2.4")
def key_frames_are_of_one_clock(history: History) -> Verdicts:
    """An I-frame has the date that its time has in the variants."""
    zero = history.media_clock()
    for one, segment, fragment in _fetched(history):
        if segment.date is not None and zero is not None:
            run = fragment.leader[0]
            apart_s = segment.date - run.start / fragment.tracks[run.track].rate - zero
            told = f"segment {segment.msn} is dated {apart_s:+.3f} s from the variants"
            yield Finding(told, fragment.reply.where, one.name) if abs(apart_s) > _SAME_CLOCK_S else None


@rule(Severity.SHOULD, 26, "8216bis 4.4.6.3; Apple authoring 6, 9")
def key_frame_lists_are_described(history: History) -> Verdicts:
    """Every EXT-X-I-FRAME-STREAM-INF has BANDWIDTH, CODECS and RESOLUTION, and its peak is at most 125 % of BANDWIDTH."""
    index = history.index
    for stream in index.key_frames if index else []:
        where = history.indexes[-1][0].where
        missing = [name for name in ("BANDWIDTH", "CODECS", "RESOLUTION") if name not in stream.values]
        told = f"{stream.uri} lacks {', '.join(missing)}"
        one, said = history.key_frames.get(stream.uri), stream.number("BANDWIDTH") or 0.0
        rates = [
            len(fragment.reply.body) * 8 / segment.duration
            for owner, segment, fragment in _fetched(history)
            if owner is one and segment.duration
        ]
        if not missing and rates and max(rates) > _PEAK_SHARE * said:
            told, missing = f"BANDWIDTH {said:.0f}, the peak is {max(rates):.0f} bit/s", ["truth"]
        yield Finding(told, where) if missing else None
