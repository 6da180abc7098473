"""Delivery directives: blocking reloads, what is refused, delta updates (RFC 8216bis 6.2.5), and whether news come in time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from hls.check.history import History, Reload, RenditionHistory
from hls.check.listing import Listing
from hls.check.recording import Probe
from hls.check.rule import Finding, Severity, Verdicts, answered, rule

_PLAYERS_WAIT_S = 10.0
"""hls.js gives a playlist up after so long without a byte."""


def _blocking(history: History) -> Iterator[tuple[RenditionHistory, Reload]]:
    """Reloads with directives to a server that takes them, before the end of the list."""
    for one in history.seen():
        for reload in one.reloads:
            if (
                reload.reply.directives.msn is not None
                and reload.listing.blocking
                and not reload.listing.ended
            ):
                yield one, reload


@rule(Severity.MUST, 4, "8216bis 6.2.5.2")
def blocking_reload_holds_what_was_asked(history: History) -> Verdicts:
    """A reload with _HLS_msn and _HLS_part is answered when that part is in the list, and not before."""
    for one, reload in _blocking(history):
        asked = reload.reply.directives
        if asked.msn is not None and asked.part is not None:
            bad = not reload.listing.holds(asked.msn, asked.part)
            seen = f"asked for {asked.msn}.{asked.part}, the list ends with {reload.listing.newest}"
            yield Finding(seen, reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 4, "8216bis 6.2.5.2; Safari takes its first part (OvenMediaEngine 2207)")
def blocking_reload_by_number_alone(history: History) -> Verdicts:
    """A reload with _HLS_msn alone is answered when that segment, or at least its first part, is in the list."""
    for one, reload in _blocking(history):
        asked = reload.reply.directives
        if asked.msn is not None and asked.part is None:
            bad = not reload.listing.holds(asked.msn, None)
            seen = f"asked for {asked.msn}, the list ends with {reload.listing.newest}"
            yield Finding(seen, reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 5, "8216bis 6.2.5.2")
def part_without_msn_is_refused(history: History) -> Verdicts:
    """_HLS_part without _HLS_msn is answered 400."""
    return answered(history, Probe.PART_WITHOUT_MSN, 400)


@rule(Severity.MUST, 5, "8216bis 6.2.5.2")
def old_number_is_answered(history: History) -> Verdicts:
    """A reload for a segment that has left the list is answered with the list, at once."""
    return answered(history, Probe.MSN_LONG_GONE, 200)


@rule(Severity.MUST, 5, "8216bis 6.2.5.2")
def directives_are_ignored_after_the_end(history: History) -> Verdicts:
    """A list with EXT-X-ENDLIST is given whatever the directives ask for."""
    return answered(history, Probe.AFTER_THE_END, 200)


@rule(Severity.SHOULD, 6, "8216bis 6.2.5.2")
def far_ahead_number_is_refused(history: History) -> Verdicts:
    """A reload for more than two segments ahead is answered 400, not held."""
    return answered(history, Probe.MSN_FAR_AHEAD, 400)


@rule(Severity.SHOULD, 6, "8216bis 6.2.5.2")
def far_ahead_part_is_refused(history: History) -> Verdicts:
    """A reload for a part beyond the advance part limit is answered 400, not held."""
    return answered(history, Probe.PART_FAR_AHEAD, 400)


@rule(Severity.MUST, 4, "8216bis 6.2.1, 6.2.5.2")
def reloads_are_answered(history: History) -> Verdicts:
    """Every reload of a media playlist that a player makes is answered 200."""
    for one in history.renditions.values():
        for _ in one.reloads:
            yield None
        for reply in one.refused:
            if 300 <= reply.status < 400:
                continue  # nothing-redirects tells of it
            yield Finding(reply.error or f"status {reply.status}", reply.where, one.name)


@rule(Severity.SHOULD, 7, "8216bis 6.2.5.2; hls.js gives up after 10 s")
def nothing_is_held_for_long(history: History) -> Verdicts:
    """A reload is held for three target durations at most, then 503; and never for 10 s."""
    for one in history.seen():
        target = one.reloads[0].listing.target_duration or _PLAYERS_WAIT_S
        for reply in (*(reload.reply for reload in one.reloads), *one.refused):
            if reply.directives.msn is not None:
                held_s = reply.arrived_s - reply.asked_s
                bad = held_s > min(3 * target, _PLAYERS_WAIT_S) + history.slack_s
                yield Finding(f"held for {held_s:.1f} s", reply.where, one.name) if bad else None


@rule(Severity.MUST, 3, "8216bis 6.2.1")
def parts_come_in_time(history: History) -> Verdicts:
    """A part is added within a PART-TARGET of the part before; media that is missing is a GAP part."""
    for one in history.seen():
        target = one.part_target
        blocking = [r for r in one.reloads if r.reply.directives.part is not None and not r.listing.ended]
        if target is None:
            continue
        for before, after in itertools.pairwise(blocking):
            if after.listing.newest <= before.listing.newest:
                continue
            # A reload that was asked for late says only how long it was held from then on.
            waited_s = after.reply.arrived_s - max(before.reply.arrived_s, after.reply.asked_s)
            bad = waited_s > target + history.slack_s
            seen = f"{after.listing.newest} came {waited_s:.2f} s after {before.listing.newest}"
            yield Finding(seen, after.reply.where, one.name) if bad else None


@rule(Severity.MUST, 3, "8216bis 6.2.1")
def segments_come_in_time(history: History) -> Verdicts:
    """A segment is added within one and a half target durations of the one before."""
    for one in history.seen():
        target = one.reloads[0].listing.target_duration
        if target is None or one.reloads[0].listing.ended:
            continue
        finished, known_s = -1, 0.0
        for reload in one.full:
            newest = max((s.msn for s in (reload.full or reload.listing).segments if s.uri), default=-1)
            if newest <= finished:
                continue
            if finished >= 0:
                late_s = reload.reply.arrived_s - known_s
                # Who may not block looks only now and then: at most a target duration later.
                pause_s = 0.0 if reload.reply.directives.msn is not None else target
                bad = late_s > 1.5 * target * (newest - finished) + pause_s + history.slack_s
                yield (
                    Finding(f"{newest} came after {late_s:.1f} s", reload.reply.where, one.name)
                    if bad
                    else None
                )
            finished, known_s = newest, reload.reply.arrived_s


@rule(Severity.MUST, 8, "8216bis 4.4.3.8")
def skip_boundary_is_six_targets(history: History) -> Verdicts:
    """CAN-SKIP-UNTIL, where it is given, is at least six target durations."""
    for one in history.seen():
        for reload in one.reloads:
            target = reload.listing.target_duration
            if "CAN-SKIP-UNTIL" in reload.listing.control and target:
                until_s = reload.listing.control_s("CAN-SKIP-UNTIL")
                bad = until_s is None or until_s < 6 * target
                seen = f"CAN-SKIP-UNTIL {until_s} s, the target duration is {target} s"
                yield Finding(seen, reload.reply.where, one.name) if bad else None


def _deltas(history: History) -> Iterator[tuple[RenditionHistory, Reload]]:
    for one in history.seen():
        for reload in one.reloads:
            if reload.listing.skipped:
                yield one, reload


@rule(Severity.MUST, 8, "8216bis 6.2.5.1")
def skip_only_where_asked(history: History) -> Verdicts:
    """EXT-X-SKIP comes only to who asked with _HLS_skip, and CAN-SKIP-UNTIL offers it."""
    for one, reload in _deltas(history):
        asked, offered = reload.reply.directives.skip, "CAN-SKIP-UNTIL" in reload.listing.control
        bad = not (asked and offered)
        yield Finding(f"asked: {asked}, offered: {offered}", reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 8, "8216bis 6.2.5.1")
def skip_keeps_the_boundary(history: History) -> Verdicts:
    """A delta update skips only segments that end before the skip boundary."""
    for one, reload in _deltas(history):
        until_s = reload.listing.control_s("CAN-SKIP-UNTIL")
        if until_s is None:
            continue
        # All that is kept must reach back to the boundary: else a segment inside of it was skipped.
        bad = reload.listing.duration < until_s - 0.001
        seen = f"{reload.listing.duration:.2f} s are kept, CAN-SKIP-UNTIL is {until_s} s"
        yield Finding(seen, reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 8, "8216bis 6.2.5.1")
def delta_and_list_before_make_the_list(history: History) -> Verdicts:
    """A delta update, laid over the list before, is the list that a full reload gives."""
    for one in history.seen():
        whole = [reload.listing for reload in one.reloads if not reload.listing.skipped]
        for reload in one.reloads:
            if not reload.listing.skipped:
                continue
            if reload.full is None:
                told = f"skips {reload.listing.skipped} segments that the list before does not have"
                yield Finding(told, reload.reply.where, one.name)
                continue
            for listing in whole:
                if listing.next == reload.full.next and listing.ended == reload.full.ended:
                    difference = _difference(reload.full, listing)
                    yield Finding(difference, reload.reply.where, one.name) if difference else None
                    break


def _difference(delta: Listing, whole: Listing) -> str:
    """What of two lists that should be the same is not."""
    if delta.media_sequence != whole.media_sequence:
        return f"begins at {delta.media_sequence}, the full list at {whole.media_sequence}"
    for ours, theirs in zip(delta.segments, whole.segments, strict=False):
        # Parts of what was skipped are those of the list before.
        skipped = ours.msn < whole.segments[-1].msn and not theirs.parts
        if (replace(ours, parts=()) if skipped else ours) != theirs:
            return f"segment {theirs.msn} is another in the full list"
    return "" if len(delta.segments) == len(whole.segments) else "the full list has another length"
