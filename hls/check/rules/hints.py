"""What a playlist tells of things to come and of its neighbours: preload hints and rendition reports."""

from __future__ import annotations

from collections import Counter

from hls.check.history import History, RenditionHistory
from hls.check.recording import Kind, Probe
from hls.check.rule import Finding, Severity, Verdicts, answered, rule


@rule(Severity.MUST, 10, "8216bis 4.4.5.3")
def one_hint_of_a_type(history: History) -> Verdicts:
    """There is at most one EXT-X-PRELOAD-HINT of each TYPE."""
    for one in history.seen():
        for reload in one.reloads:
            twice = [
                kind for kind, count in Counter(kind for kind, _ in reload.listing.hints).items() if count > 1
            ]
            yield Finding(f"several of TYPE {twice}", reload.reply.where, one.name) if twice else None


@rule(Severity.MUST, 10, "8216bis 4.4.5.3, 6.2.2")
def no_hint_after_the_end(history: History) -> Verdicts:
    """A list with EXT-X-ENDLIST hints at nothing."""
    for one in history.seen():
        for reload in one.reloads:
            if reload.listing.ended:
                told = f"hints at {reload.listing.hints}"
                yield Finding(told, reload.reply.where, one.name) if reload.listing.hints else None


@rule(Severity.SHOULD, 10, "8216bis 4.4.5.3, 6.2.2")
def hints_come_true(history: History) -> Verdicts:
    """A part that was hinted at is listed by the time that the next segment is complete."""
    for one in history.seen():
        listed = {part.uri for _, _, part, _ in one.parts()}
        inits = {segment.init for segment, _ in one.listed()}
        newest = max(one.segments, default=0)
        for reload in one.reloads:
            for kind, uri in reload.listing.hints:
                # What was hinted at last may come after the recording, and parts of old segments are no longer listed.
                recent = reload.listing.newest[0] >= newest - 1
                if recent or reload.reply is one.reloads[0].reply:
                    continue
                bad = uri not in (inits if kind == "MAP" else listed)
                yield Finding(f"{uri} never came", reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 10, "8216bis 6.2.6")
def hinted_parts_are_given(history: History) -> Verdicts:
    """A request for a hinted part is held and answered with it when it comes."""
    for one in history.renditions.values():
        listed = {part.uri for _, _, part, _ in one.parts() if not part.gap}
        for reply in history.recording.replies:
            if reply.kind is Kind.HINT and reply.rendition == one.url and reply.url in listed:
                told = reply.error or f"status {reply.status}, and later the part was listed"
                yield Finding(told, reply.where, one.name) if not reply.ok else None


@rule(Severity.SHOULD, 10, "8216bis 6.2.6; a trickled part looks like a slow network")
def parts_come_at_once(history: History) -> Verdicts:
    """No byte of a part is sent before all of it is there: it does not trickle."""
    for one in history.seen():
        target = one.part_target
        if target is None:
            continue
        for reply in one.media.values():
            if reply.kind in (Kind.PART, Kind.HINT) and reply.ok:
                took_s = reply.arrived_s - reply.first_byte_s
                bad = took_s > target / 2 + history.slack_s
                yield Finding(f"its bytes came over {took_s:.2f} s", reply.where, one.name) if bad else None


@rule(Severity.SHOULD, 10, "8216bis 6.2.6")
def unknown_media_is_not_found(history: History) -> Verdicts:
    """A part that nobody hinted at is 404, at once."""
    return answered(history, Probe.UNKNOWN_MEDIA, 404)


@rule(Severity.MUST, 11, "8216bis B.1 (-50125)")
def reports_of_all_renditions(history: History) -> Verdicts:
    """A low-latency list has an EXT-X-RENDITION-REPORT for every other rendition."""
    begins = {one.url: one.reloads[0].reply.arrived_s for one in history.seen() if one.low_latency}
    for one in history.seen():
        first = one.reloads[0].listing.next
        for reload in one.reloads:
            # As it was first seen, a list may be older than the other renditions.
            if not reload.listing.low_latency or reload.listing.ended or reload.listing.next == first:
                continue
            others = {url for url, at_s in begins.items() if at_s <= reload.reply.asked_s and url != one.url}
            missing = sorted(others - {report.uri for report in reload.listing.reports})
            names = ", ".join(history.renditions[url].name for url in missing)
            yield Finding(f"no report of {names}", reload.reply.where, one.name) if missing else None


def _part_ends(one: RenditionHistory) -> dict[tuple[int, int], float]:
    """The date at which each part ends."""
    ends: dict[tuple[int, int], float] = {}
    for segment, _ in one.listed():
        at = segment.date
        for index, part in enumerate(segment.parts if at is not None else ()):
            at = (at or 0.0) + part.duration
            ends[segment.msn, index] = at
    return ends


@rule(Severity.MUST, 11, "8216bis 4.4.5.4")
def reports_are_true(history: History) -> Verdicts:
    """LAST-MSN and LAST-PART of a report are where the other rendition stands: it has that part, and ends a target duration before this
    list at most."""
    others = {one.url: one for one in history.seen()}
    ends = {one.url: _part_ends(one) for one in history.seen()}
    for one in history.seen():
        target = float(one.reloads[0].listing.target_duration or 0)
        for reload in one.full if target else ():
            own = reload.listing
            for report in own.reports if own.segments and not own.ended else ():
                other = others.get(report.uri)
                if other is None:
                    continue
                msn, part = own.newest
                told = (
                    msn if report.msn is None else report.msn,
                    part if report.part is None else report.part,
                )
                problem = ""
                if not _comes(
                    other, told, reload.reply.arrived_s + history.slack_s + (own.part_target or target)
                ):
                    problem = "and that is not there some time later"
                end = ends[report.uri].get(told)
                own_end = ends[one.url].get(own.newest)
                if end is not None and own_end is not None and own_end - end > target:
                    problem = f"{own_end - end:.2f} s before the end of this list"
                seen = f"{report.uri} reported at {told}, {problem}"
                yield Finding(seen, reload.reply.where, one.name) if problem else None


def _comes(other: RenditionHistory, told: tuple[int, int], until_s: float) -> bool:
    """Whether it has a part by then. Who asks through caches, or late, may be shown older lists for a while; and unless somebody asked
    after that time, nothing is known against it."""
    asked_later = False
    for reload in other.reloads:
        if reload.listing.holds(*told):
            return True
        asked_later |= reload.reply.asked_s >= until_s
    return not asked_later
