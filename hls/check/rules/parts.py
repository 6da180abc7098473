"""Durations and distances that a playlist promises: part and segment targets, hold-backs, and what each part's line says."""

from __future__ import annotations

from collections.abc import Iterator

from hls.check.history import History, Reload, RenditionHistory
from hls.check.rule import Finding, Severity, Verdicts, rule

_ROUNDING_S = 0.0005
"""Durations are decimals of five digits or fewer; half a millisecond is rounding."""
_LEAST_SHARE = 0.85


def _reloads(history: History, *, low_latency: bool = False) -> Iterator[tuple[RenditionHistory, Reload]]:
    for one in history.seen():
        for reload in one.reloads:
            if reload.listing.low_latency or not low_latency:
                yield one, reload


@rule(Severity.MUST, 18, "8216bis 4.1, 4.2, 4.4.1, 4.4.3.1")
def readable(history: History) -> Verdicts:
    """Playlists begin with #EXTM3U, name their target duration, and every tag is well-formed."""
    for reply, problem in history.unreadable:
        yield Finding(problem, reply.where)
    for reply, index in history.indexes:
        yield Finding("; ".join(index.problems), reply.where) if index.problems else None
    for one in history.renditions.values():
        for reply, problem in one.unreadable:
            yield Finding(problem, reply.where, one.name)
    for one, reload in _reloads(history):
        problems = reload.listing.problems
        if reload.listing.target_duration is None:
            problems = [*problems, "no EXT-X-TARGETDURATION"]
        yield Finding("; ".join(problems), reload.reply.where, one.name) if problems else None


@rule(Severity.MUST, 1, "8216bis 4.4.3.7")
def part_target_declared(history: History) -> Verdicts:
    """A playlist with parts has EXT-X-PART-INF with a PART-TARGET."""
    for one, reload in _reloads(history, low_latency=True):
        bad = not reload.listing.part_target
        yield Finding("parts, but no PART-TARGET", reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 1, "8216bis 4.4.3.7")
def part_within_target(history: History) -> Verdicts:
    """No part lasts longer than PART-TARGET."""
    for one in history.seen():
        target = one.part_target
        if target is None:
            continue
        for _, _, part, where in one.parts():
            bad = part.duration > target + _ROUNDING_S
            seen = f"{part.uri.rsplit('/', 1)[-1]} lasts {part.duration:.5f} s, PART-TARGET is {target:.5f} s"
            yield Finding(seen, where, one.name) if bad else None


@rule(Severity.MUST, 1, "8216bis 4.4.4.9")
def part_not_short(history: History) -> Verdicts:
    """A part lasts at least 85 % of PART-TARGET, unless it is independent, a gap, before a gap, or the last of its segment."""
    for one in history.seen():
        target = one.part_target
        if target is None:
            continue
        for segment, index, part, where in one.parts():
            following = segment.parts[index + 1] if index + 1 < len(segment.parts) else None
            if following is None or following.gap or part.gap or part.independent:
                continue
            bad = part.duration < _LEAST_SHARE * target - _ROUNDING_S
            seen = (
                f"{part.uri.rsplit('/', 1)[-1]} lasts {part.duration:.5f} s, 85 % of PART-TARGET are "
                f"{_LEAST_SHARE * target:.5f} s"
            )
            yield Finding(seen, where, one.name) if bad else None


@rule(Severity.MUST, 1, "8216bis 4.4.3.7; Apple players close the stream (-12642)")
def part_target_constant(history: History) -> Verdicts:
    """PART-TARGET and the server control stay the same over all reloads."""
    for one in history.seen():
        live = [reload for reload in one.reloads if reload.listing.low_latency]
        for reload in live[1:]:
            first = live[0].listing
            was = (first.part_target, first.control)
            now = (reload.listing.part_target, reload.listing.control)
            yield Finding(f"{was} became {now}", reload.reply.where, one.name) if was != now else None


@rule(Severity.MUST, 18, "8216bis 6.2.1")
def target_duration_constant(history: History) -> Verdicts:
    """EXT-X-TARGETDURATION stays the same over all reloads."""
    for one in history.seen():
        first = one.reloads[0].listing.target_duration
        for reload in one.reloads[1:]:
            now = reload.listing.target_duration
            yield Finding(f"{first} s became {now} s", reload.reply.where, one.name) if now != first else None


@rule(Severity.MUST, 18, "8216bis 4.4.3.1")
def segment_within_target(history: History) -> Verdicts:
    """EXTINF, rounded to the nearest second, is at most EXT-X-TARGETDURATION."""
    for one in history.seen():
        target = one.reloads[0].listing.target_duration
        if target is None:
            continue
        for segment, where in one.listed():
            if segment.duration is not None:
                bad = int(segment.duration + 0.5) > target
                seen = (
                    f"segment {segment.msn} lasts {segment.duration:.5f} s, the target duration is {target} s"
                )
                yield Finding(seen, where, one.name) if bad else None


@rule(Severity.MUST, 2, "8216bis 4.4.3.8")
def part_hold_back(history: History) -> Verdicts:
    """A playlist with parts has a PART-HOLD-BACK of at least twice PART-TARGET."""
    for one, reload in _reloads(history, low_latency=True):
        distance, target = reload.listing.control_s("PART-HOLD-BACK"), reload.listing.part_target or 0.0
        bad = distance is None or distance < 2 * target - _ROUNDING_S
        yield (
            Finding(f"{distance} s, PART-TARGET is {target} s", reload.reply.where, one.name) if bad else None
        )


@rule(Severity.SHOULD, 2, "8216bis 4.4.3.8; Apple authoring 14.3 says MUST (-50102)")
def part_hold_back_of_three(history: History) -> Verdicts:
    """PART-HOLD-BACK is at least three times PART-TARGET."""
    for one, reload in _reloads(history, low_latency=True):
        distance, target = (
            reload.listing.control_s("PART-HOLD-BACK") or 0.0,
            reload.listing.part_target or 0.0,
        )
        bad = distance < 3 * target - _ROUNDING_S
        yield (
            Finding(f"{distance} s, PART-TARGET is {target} s", reload.reply.where, one.name) if bad else None
        )


@rule(Severity.MUST, 2, "8216bis 4.4.3.8")
def hold_back(history: History) -> Verdicts:
    """HOLD-BACK, where it is given, is at least three target durations."""
    for one, reload in _reloads(history):
        distance, target = reload.listing.control_s("HOLD-BACK"), reload.listing.target_duration
        if "HOLD-BACK" in reload.listing.control and target:
            bad = distance is None or distance < 3 * target - _ROUNDING_S
            seen = f"HOLD-BACK {distance} s, the target duration is {target} s"
            yield Finding(seen, reload.reply.where, one.name) if bad else None


@rule(Severity.MUST, 2, "8216bis 6.2.4")
def control_equal_in_renditions(history: History) -> Verdicts:
    """All renditions have the same EXT-X-SERVER-CONTROL."""
    seen = history.seen()
    for one in seen[1:]:
        was, now = seen[0].reloads[0].listing.control, one.reloads[0].listing.control
        where = one.reloads[0].reply.where
        yield Finding(f"{seen[0].name} has {was}, {one.name} {now}", where, one.name) if was != now else None


@rule(Severity.MUST, 17, "8216bis 6.2.4")
def targets_equal_in_renditions(history: History) -> Verdicts:
    """All renditions have the same EXT-X-TARGETDURATION and the same PART-TARGET."""
    seen = history.seen()
    for one in seen[1:]:
        first, other = seen[0].reloads[0], one.reloads[0]
        was = (first.listing.target_duration, first.listing.part_target)
        now = (other.listing.target_duration, other.listing.part_target)
        told = f"{seen[0].name} has {was}, {one.name} {now}"
        yield Finding(told, other.reply.where, one.name) if was != now else None


@rule(Severity.MUST, 9, "8216bis 4.4.4.9")
def parts_make_their_segment(history: History) -> Verdicts:
    """The durations of the parts of a finished segment sum to its EXTINF."""
    for one in history.seen():
        for segment, where in one.listed():
            if segment.duration is None or not segment.parts:
                continue
            sum_s = sum(part.duration for part in segment.parts)
            bad = abs(sum_s - segment.duration) > _ROUNDING_S * (1 + len(segment.parts))
            seen = f"segment {segment.msn}: EXTINF {segment.duration:.5f} s, its parts {sum_s:.5f} s"
            yield Finding(seen, where, one.name) if bad else None


@rule(Severity.MUST, 9, "8216bis 4.4.4.9")
def tags_precede_parts(history: History) -> Verdicts:
    """EXT-X-DISCONTINUITY, -MAP, -PROGRAM-DATE-TIME and -KEY of a segment precede its first part."""
    for one in history.seen():
        for segment, where in one.listed():
            if segment.parts:
                told = f"segment {segment.msn}: {', '.join(segment.late_tags)} after a part"
                yield Finding(told, where, one.name) if segment.late_tags else None


@rule(Severity.SHOULD, 9, "8216bis 6.2.2")
def parts_near_the_end_only(history: History) -> Verdicts:
    """Parts are listed for the last three target durations, not for older segments."""
    for one, reload in _reloads(history, low_latency=True):
        full, target = reload.full, reload.listing.target_duration
        if full is None or target is None:
            continue
        age, old = 0.0, None
        for segment in reversed(full.segments):
            # By its end, with a target duration of grace: a server may take them out when the next segment begins.
            if age > 4 * target and segment.parts:
                old = segment.msn
            age += segment.length
        told = f"parts of segment {old} are listed, more than three target durations before the end"
        yield Finding(told, reload.reply.where, one.name) if old is not None else None
