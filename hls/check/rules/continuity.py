"""What must stay the same, and what must go on, from one reload to the next and over all renditions."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hls.check.history import History, RenditionHistory
from hls.check.listing import ListedSegment, Listing
from hls.check.rule import Finding, Severity, Verdicts, rule

_DATES_S = 0.05
"""About a picture: how far dates may be from what the durations say."""
_SAME_MOMENT_S = 0.5


@rule(Severity.MUST, 13, "8216bis 4.4.3.2, 6.2.2")
def numbers_never_go_back(history: History) -> Verdicts:
    """The media sequence and the part that comes next never go back, also over a restart."""
    for one in history.seen():
        for before, after in one.successive(of_a_kind=True):
            was = (before.listing.media_sequence, before.listing.next)
            now = (after.listing.media_sequence, after.listing.next)
            bad = now[0] < was[0] or now[1] < was[1]
            yield Finding(f"{was} became {now}", after.reply.where, one.name) if bad else None


def _changed(known: ListedSegment, now: ListedSegment) -> str:
    if known.uri and now.uri:
        for what in ("uri", "duration", "gap", "discontinuity", "byte_range"):
            if getattr(known, what) != getattr(now, what):
                return f"{what} {getattr(known, what)} became {getattr(now, what)}"
    if known.init and now.init and known.init != now.init:
        return f"init section {known.init} became {now.init}"
    if known.date and now.date and known.date != now.date:
        return f"date {known.date:.3f} became {now.date:.3f}"
    if now.parts:
        for was, part in zip(known.parts, now.parts, strict=False):
            if was.text != part.text:
                return f"part {was.text} became {part.text}"
    return ""


@rule(Severity.MUST, 20, "8216bis 6.2.1")
def what_was_listed_stays(history: History) -> Verdicts:
    """A segment or part that was listed never changes: address, duration, tags."""
    for one in history.seen():
        known: dict[int, ListedSegment] = {}
        for reload in one.full:
            for segment in (reload.full or reload.listing).segments:
                before = known.get(segment.msn)
                if before is not None:
                    change = _changed(before, segment)
                    told = f"segment {segment.msn}: {change}"
                    yield Finding(told, reload.reply.where, one.name) if change else None
                if before is None or segment.uri or len(segment.parts) > len(before.parts):
                    parts = segment.parts or (before.parts if before else ())
                    known[segment.msn] = replace(segment, parts=parts)


@rule(Severity.MUST, 20, "8216bis 4.4.4.9, 4.4.4.1")
def names_are_used_once(history: History) -> Verdicts:
    """No address stands for two segments or two parts."""
    for one in history.seen():
        users: dict[str, str] = {}
        for segment, where in one.listed():
            pieces = [(part.piece, f"part {segment.msn}.{n}") for n, part in enumerate(segment.parts)]
            if segment.uri:
                pieces.append((segment.piece, f"segment {segment.msn}"))
            for piece, user in pieces:
                other = users.setdefault(piece, user)
                yield Finding(f"{piece} is {other} and {user}", where, one.name) if other != user else None


@rule(Severity.MUST, 20, "8216bis 6.2.2")
def window_of_three_targets(history: History) -> Verdicts:
    """No segment leaves a list that would then be shorter than three target durations."""
    for one in history.seen():
        for before, after in one.successive(of_a_kind=True):
            listing = after.full or after.listing
            if listing.target_duration and listing.media_sequence > before.listing.media_sequence:
                least_s = 3 * listing.target_duration
                bad = listing.duration < least_s - 0.001
                told = f"{listing.duration:.2f} s are listed, three target durations are {least_s} s"
                yield Finding(told, after.reply.where, one.name) if bad else None


@rule(Severity.SHOULD, 20, "Apple authoring 8.11")
def window_of_six_segments(history: History) -> Verdicts:
    """A live list that has run for long holds at least six segments."""
    for one in history.seen():
        live = [reload for reload in one.full if not reload.listing.ended]
        # Until a segment has left, the list is still growing.
        if live and live[0].listing.media_sequence != live[-1].listing.media_sequence:
            count = len((live[-1].full or live[-1].listing).segments)
            yield Finding(f"{count} segments", live[-1].reply.where, one.name) if count < 6 else None


@rule(Severity.MUST, 13, "8216bis 4.4.3.3, 6.2.2")
def discontinuities_keep_their_numbers(history: History) -> Verdicts:
    """EXT-X-DISCONTINUITY-SEQUENCE counts the discontinuities that have left, so that each segment keeps its number."""
    for one in history.seen():
        known: dict[int, int] = {}
        for reload in one.full:
            for segment, number in (reload.full or reload.listing).numbered_discontinuities():
                was = known.setdefault(segment.msn, number)
                told = f"segment {segment.msn} had discontinuity number {was}, now {number}"
                yield Finding(told, reload.reply.where, one.name) if was != number else None


def _breaks(one: RenditionHistory) -> list[tuple[int, float]]:
    """(MSN, date) of each discontinuity."""
    return [(s.msn, s.date) for s, _ in one.listed() if s.discontinuity and s.date is not None]


def _span(one: RenditionHistory) -> tuple[float, float] | None:
    dated = [(s.date, s.length) for s, _ in one.listed() if s.date is not None]
    return (dated[0][0] or 0.0, (dated[-1][0] or 0.0)) if dated else None


@rule(Severity.MUST, 13, "8216bis 6.2.4; Apple authoring 8.15")
def discontinuities_in_all_renditions(history: History) -> Verdicts:
    """A discontinuity comes at the same moment in all renditions."""
    for one, other in itertools.permutations(history.seen(), 2):
        span = _span(other)
        if span is None:
            continue
        moments = [date for _, date in _breaks(other)]
        for msn, date in _breaks(one):
            if span[0] + _SAME_MOMENT_S < date < span[1] - _SAME_MOMENT_S:
                bad = not any(abs(date - moment) < _SAME_MOMENT_S for moment in moments)
                told = f"{one.name} has a discontinuity at {msn}, {other.name} has none then"
                yield Finding(told, one.seen_in[msn].where, other.name) if bad else None


@rule(Severity.SHOULD, 13, "8216bis 4.4.3.3; Apple authoring 8.17")
def discontinuity_sequence_is_there(history: History) -> Verdicts:
    """A live list that ever has a discontinuity has EXT-X-DISCONTINUITY-SEQUENCE."""
    for one in history.seen():
        if _breaks(one):
            for reload in one.reloads:
                bad = not reload.listing.has_discontinuity_sequence
                yield Finding("the tag is missing", reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 12, "8216bis B.1; Apple authoring 8.4")
def dates_are_there(history: History) -> Verdicts:
    """A low-latency list has EXT-X-PROGRAM-DATE-TIME."""
    for one in history.seen():
        for reload in one.full:
            if reload.listing.low_latency and reload.listing.segments:
                bad = all(segment.date is None for segment in reload.listing.segments)
                yield Finding("no date", reload.reply.where, one.name) if bad else None


@rule(Severity.SHOULD, 12, "8216bis 4.4.4.6, 6.2.1")
def dates_follow_durations(history: History) -> Verdicts:
    """Between discontinuities, dates are as far apart as the durations say, to a picture."""
    for one in history.seen():
        for (before, _), (after, where) in itertools.pairwise(one.listed()):
            if before.date is None or after.date is None or before.duration is None:
                continue
            if after.discontinuity or after.msn != before.msn + 1:
                continue
            off_s = after.date - before.date - before.duration
            told = f"segment {after.msn} is dated {off_s:+.3f} s from where {before.msn} ended"
            yield Finding(told, where, one.name) if abs(off_s) > _DATES_S else None


@rule(Severity.MUST, 24, "8216bis 4.4.3.5, 6.2.2")
def live_lists_have_no_type(history: History) -> Verdicts:
    """A list from which segments leave has no EXT-X-PLAYLIST-TYPE."""
    for one in history.seen():
        if one.reloads[0].listing.media_sequence == one.reloads[-1].listing.media_sequence:
            continue
        for reload in one.reloads:
            kind = reload.listing.playlist_type
            yield Finding(f"EXT-X-PLAYLIST-TYPE:{kind}", reload.reply.where, one.name) if kind else None


@rule(Severity.MUST, 24, "8216bis 4.4.3.4, 6.2.1")
def nothing_comes_after_the_end(history: History) -> Verdicts:
    """After EXT-X-ENDLIST a list stays as it is."""
    for one in history.seen():
        ended: Listing | None = None
        for reload in one.full:
            listing = reload.full or reload.listing
            if ended is not None:
                bad = not listing.ended or listing.newest != ended.newest
                yield Finding("the list goes on", reload.reply.where, one.name) if bad else None
            elif listing.ended:
                ended = listing


_VERSIONS = {"EXT-X-SKIP": 9, "EXT-X-MAP": 6, "EXT-X-BYTERANGE": 4, "EXT-X-KEY": 2}


def _needed(listing: Listing) -> int:
    needs = [version for tag, version in _VERSIONS.items() if tag in listing.tags]
    fractions = any(segment.duration and segment.duration % 1 for segment in listing.segments)
    return max([3 if fractions else 1, *needs])


@rule(Severity.MUST, 19, "8216bis 8")
def version_is_enough(history: History) -> Verdicts:
    """EXT-X-VERSION is at least what the tags need: 6 for EXT-X-MAP, 9 for EXT-X-SKIP."""
    for one in history.seen():
        for reload in one.reloads:
            version, needed = reload.listing.version or 1, _needed(reload.listing)
            told = f"version {version}, the tags need {needed}"
            yield Finding(told, reload.reply.where, one.name) if version < needed else None


@rule(Severity.SHOULD, 19, "8216bis 8")
def version_is_not_above_need(history: History) -> Verdicts:
    """EXT-X-VERSION is no higher than 6, or 9 in delta updates, so that old players may play."""
    for one in history.seen():
        for reload in one.reloads:
            version, needed = reload.listing.version or 1, max(6, _needed(reload.listing))
            told = f"version {version}, {needed} would do"
            yield Finding(told, reload.reply.where, one.name) if version > needed else None
