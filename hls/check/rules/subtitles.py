"""Renditions of subtitles: whether their WebVTT can be read, is on the clock of the pictures, and keeps step with them."""

from __future__ import annotations

from collections.abc import Iterator

from hls.check.history import History, RenditionHistory, Written
from hls.check.listing import ListedSegment
from hls.check.rule import Finding, Severity, Verdicts, rule
from hls.check.subtitles import CLOCK_S, ReadCue

_STEP_S = 0.1
"""How far a segment of subtitles may lie from that of the pictures with its number."""
_CLOCK_S = 0.1


def _renditions(history: History) -> list[RenditionHistory]:
    return [one for one in history.seen() if one.group.get("TYPE") == "SUBTITLES"]


def _wholes(one: RenditionHistory) -> Iterator[tuple[ListedSegment, Written]]:
    """Segments that were fetched and read."""
    for segment, _ in one.listed():
        if segment.uri and not segment.gap and segment.piece in one.written:
            yield segment, one.written[segment.piece]


def _leader(history: History) -> RenditionHistory | None:
    """What subtitles belong to: the first variant that was seen."""
    return next((one for one in history.seen() if one.streams), None)


@rule(Severity.MUST, 25, "8216bis 3.1.4; W3C WebVTT 4, 6")
def subtitles_are_readable(history: History) -> Verdicts:
    """Parts and segments of subtitles are WebVTT, with a header of their own or in EXT-X-MAP."""
    for one in _renditions(history):
        for _ in one.written:
            yield None
        for reply, problem in one.unreadable_text:
            yield Finding(problem, reply.where, one.name)


@rule(Severity.SHOULD, 25, "8216bis 3.1.4")
def subtitles_have_a_timestamp_map(history: History) -> Verdicts:
    """WebVTT headers have X-TIMESTAMP-MAP, lest the cues be counted from 0."""
    for one in _renditions(history):
        for segment, written in _wholes(one):
            told = f"segment {segment.msn} has none"
            yield None if written.map else Finding(told, written.reply.where, one.name)


def _apart(cue: ReadCue, written: Written, media_s: float) -> float:
    """Seconds from a time of the media to the begin of a cue, on the clock of 33 bits."""
    assert written.map is not None
    ahead = written.map.mpeg_s + cue.start - written.map.local_s - media_s
    return (ahead + CLOCK_S / 2) % CLOCK_S - CLOCK_S / 2


@rule(Severity.MUST, 25, "8216bis 3.1.4")
def cues_lie_in_their_segments(history: History) -> Verdicts:
    """Each cue is shown at some time of the segment in which it is, on the clock of the media."""
    zero = history.media_clock()
    for one in _renditions(history):
        for segment, written in _wholes(one):
            if written.map is None or zero is None or segment.date is None:
                continue
            for cue in written.cues:
                start = _apart(cue, written, segment.date - zero)
                bad = start + cue.end - cue.start < -_CLOCK_S or start > segment.length + _CLOCK_S
                told = f"{cue.text[:40]!r} begins {start:+.3f} s from the begin of segment {segment.msn}"
                yield Finding(told, written.reply.where, one.name) if bad else None


@rule(Severity.MUST, 25, "8216bis 3.1.4")
def cues_that_go_on_are_repeated(history: History) -> Verdicts:
    """A cue that is shown beyond the end of its segment is in the next one too."""
    zero = history.media_clock()
    for one in _renditions(history):
        wholes = {segment.msn: (segment, written) for segment, written in _wholes(one)}
        for msn, (segment, written) in wholes.items():
            following = wholes.get(msn + 1)
            if following is None or written.map is None or zero is None or segment.date is None:
                continue
            if following[0].discontinuity:
                continue
            there = {(cue.start, cue.end, cue.text) for cue in following[1].cues}
            for cue in written.cues:
                end = _apart(cue, written, segment.date - zero) + cue.end - cue.start
                if end > segment.length + _CLOCK_S:
                    told = f"{cue.text[:40]!r} goes on after segment {msn}, and is not in the next one"
                    gone = (cue.start, cue.end, cue.text) not in there
                    yield Finding(told, written.reply.where, one.name) if gone else None


@rule(Severity.MUST, 25, "8216bis 6.2.4")
def subtitles_keep_step(history: History) -> Verdicts:
    """Segments of subtitles have the numbers, dates and durations of those of the pictures."""
    leader = _leader(history)
    for one in _renditions(history):
        for segment, where in one.listed():
            other = leader.segments.get(segment.msn) if leader else None
            if other is None or other.date is None or segment.date is None:
                continue
            apart = abs(other.date - segment.date)
            if other.duration is not None and segment.duration is not None:
                apart = max(apart, abs(other.duration - segment.duration))
            told = f"segment {segment.msn} is {apart:.3f} s from that of {leader.name if leader else ''}"
            yield Finding(told, where, one.name) if apart > _STEP_S else None


@rule(Severity.SHOULD, 25, "8216bis 4.4.6.1; Apple authoring 4.5")
def subtitles_say_their_language(history: History) -> Verdicts:
    """Every EXT-X-MEDIA of type SUBTITLES has LANGUAGE and URI, and a variant names its group."""
    index = history.index
    for media in index.media if index else []:
        if media.get("TYPE") == "SUBTITLES" and index is not None:
            named = any(stream.values.get("SUBTITLES") == media.get("GROUP-ID") for stream in index.streams)
            missing = [name for name in ("LANGUAGE", "URI") if not media.get(name)]
            missing += [] if named else ["a variant"]
            told = f"{media.get('NAME')!r} lacks {', '.join(missing)}"
            yield Finding(told, history.indexes[-1][0].where) if missing else None
