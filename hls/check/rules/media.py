"""The media itself: whether it is there, and whether its boxes say what the playlists say. What is encrypted or no fragmented MP4 is
passed over."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hls.check.fragments import Run
from hls.check.history import Fragment, History, RenditionHistory
from hls.check.recording import Kind
from hls.check.rule import Finding, Severity, Verdicts, rule

_HOLE_S = 0.001
_SAME_CLOCK_S = 0.06
"""How far apart two renditions may put the same moment: a picture and a frame of sound."""
_FRAME_RATE_SHARE = 0.1


@rule(Severity.MUST, 20, "8216bis 6.2.1, 6.2.2; missing media is a GAP (4.4.4.7)")
def what_is_listed_is_there(history: History) -> Verdicts:
    """Every part and segment that is listed, and not marked as a gap, can be fetched."""
    for one in history.seen():
        for segment, _ in one.listed():
            pieces = [part.piece for part in segment.parts if not part.gap]
            if segment.uri and not segment.gap:
                pieces.append(segment.piece)
            for piece in pieces:
                reply = one.media.get(piece)
                # A hint may fail, and the part be there when it is asked for.
                if reply is not None and (reply.ok or reply.kind is not Kind.HINT):
                    told = reply.error or f"status {reply.status}"
                    yield None if reply.ok else Finding(told, reply.where, one.name)


@rule(Severity.MUST, 14, "8216bis 3.1.2; Apple authoring 8.20")
def fragments_have_an_init_section(history: History) -> Verdicts:
    """Fragmented MP4 has an EXT-X-MAP, which can be fetched and read."""
    for one in history.seen():
        for segment, where in one.listed():
            if segment.init is None:
                found = [one.media[p.piece] for p in segment.parts if p.piece in one.media]
                bad = any(reply.body[4:8] in (b"moof", b"styp") for reply in found if reply.ok)
                yield Finding(f"segment {segment.msn} has no EXT-X-MAP", where, one.name) if bad else None
        for reply in one.inits.values():
            yield (
                None if reply.ok else Finding(reply.error or f"status {reply.status}", reply.where, one.name)
            )


@rule(Severity.MUST, 9, "ISO/IEC 14496-12; Apple authoring 7.3")
def boxes_are_readable(history: History) -> Verdicts:
    """Init sections have a moov with tracks; parts and segments have moof boxes with tfdt and samples of these tracks."""
    for one in history.seen():
        for _ in one.fragments:
            yield None
        for reply, problem in one.unreadable_media:
            yield Finding(problem, reply.where, one.name)


@rule(Severity.MUST, 9, "8216bis 4.4.4.9")
def segment_is_its_parts(history: History) -> Verdicts:
    """The bytes of a segment are those of its parts, one after another."""
    for one in history.seen():
        for segment, _ in one.listed():
            whole = one.media.get(segment.piece) if segment.uri and not segment.gap else None
            pieces = [one.media.get(part.piece) for part in segment.parts if not part.gap]
            if whole is None or not whole.ok or not pieces or any(p is None or not p.ok for p in pieces):
                continue
            bad = b"".join(p.body for p in pieces if p is not None) != whole.body
            told = f"{len(whole.body)} bytes, the parts have {sum(len(p.body) for p in pieces if p)} bytes"
            yield Finding(told + " that differ", whole.where, one.name) if bad else None


def _walk(one: RenditionHistory) -> Iterator[tuple[Fragment | None, bool]]:
    """The fragments in order, by parts where they were fetched, else by segments; None for what is missing or a gap. The second: a
    discontinuity comes before it."""
    for segment, _ in one.listed():
        parts = [None if part.gap else one.fragments.get(part.piece) for part in segment.parts]
        whole = one.fragments.get(segment.piece) if segment.uri else None
        pieces = [whole] if whole is not None else parts or [None]
        for index, piece in enumerate(pieces):
            yield piece, segment.discontinuity and index == 0


@rule(Severity.MUST, 9, "Apple authoring 7.3")
def times_join(history: History) -> Verdicts:
    """Each part begins (tfdt) where the one before ended, unless a gap or a discontinuity lies between."""
    for one in history.seen():
        ends: dict[int, float] = {}
        for fragment, broken in _walk(one):
            if fragment is None or broken:
                ends = {}
            if fragment is None:
                continue
            for run in fragment.runs:
                rate = fragment.tracks[run.track].rate
                if run.track in ends:
                    hole_s = run.start / rate - ends[run.track]
                    told = f"{hole_s:+.4f} s from the end of the one before"
                    yield Finding(told, fragment.reply.where, one.name) if abs(hole_s) > _HOLE_S else None
                ends[run.track] = run.end / rate


@rule(Severity.MUST, 18, "8216bis 4.4.4.1, 4.4.4.9; Apple authoring 8.1")
def durations_are_true(history: History) -> Verdicts:
    """The samples of a part or segment last as long as DURATION or EXTINF says, to a sample."""
    for one in history.seen():
        for segment, _ in one.listed():
            said = [(part.piece, part.duration) for part in segment.parts]
            if segment.duration is not None and not any(part.gap for part in segment.parts):
                said.append((segment.piece, segment.duration))
            for piece, duration in said:
                fragment = one.fragments.get(piece)
                if fragment is not None:
                    bad = abs(fragment.longest - duration) > fragment.frame + _HOLE_S
                    told = f"its samples last {fragment.longest:.4f} s, the list says {duration:.4f} s"
                    yield Finding(told, fragment.reply.where, one.name) if bad else None


def _has_key(runs: list[Run]) -> bool:
    return any(any(run.syncs) for run in runs)


@rule(Severity.MUST, 9, "8216bis 4.4.4.9")
def independent_parts_have_key_frames(history: History) -> Verdicts:
    """A part with INDEPENDENT=YES holds a sync sample."""
    for one in history.seen():
        for _, _, part, _ in one.parts():
            fragment = one.fragments.get(part.piece)
            if fragment is not None and part.independent:
                bad = not _has_key(fragment.leader)
                yield Finding("no sync sample", fragment.reply.where, one.name) if bad else None


@rule(Severity.SHOULD, 9, "8216bis 4.4.4.9; Apple's validator asks for it")
def key_frames_are_marked(history: History) -> Verdicts:
    """A part of video that holds a sync sample has INDEPENDENT=YES."""
    for one in history.seen():
        for _, _, part, _ in one.parts():
            fragment = one.fragments.get(part.piece)
            if fragment is not None and _has_key(fragment.of("vide")):
                bad = not part.independent
                yield (
                    Finding("a sync sample, but no INDEPENDENT=YES", fragment.reply.where, one.name)
                    if bad
                    else None
                )


@rule(Severity.MUST, 15, "8216bis 4.4.2.1; Apple authoring 7.4")
def independent_segments_begin_with_key_frames(history: History) -> Verdicts:
    """Where EXT-X-INDEPENDENT-SEGMENTS is said, each segment of video begins with a sync sample."""
    everywhere = history.index is not None and history.index.independent_segments
    for one in history.seen():
        if not (everywhere or any(reload.listing.independent_segments for reload in one.reloads)):
            continue
        for segment, _ in one.listed():
            first = segment.parts[0].piece if segment.parts and not segment.parts[0].gap else segment.piece
            fragment = one.fragments.get(segment.piece) or one.fragments.get(first)
            runs = fragment.of("vide") if fragment else []
            if fragment is not None and runs and not any(part.gap for part in segment.parts):
                bad = not runs[0].syncs[0]
                told = f"segment {segment.msn} begins with another picture"
                yield Finding(told, fragment.reply.where, one.name) if bad else None


@rule(Severity.MUST, 14, "8216bis 4.4.4.3, 6.2.1")
def another_init_section_is_a_discontinuity(history: History) -> Verdicts:
    """A segment of media with another EXT-X-MAP than the one before has EXT-X-DISCONTINUITY, unless a gap lies between."""
    for one in history.seen():
        for (before, _), (after, where) in itertools.pairwise(one.listed()):
            if before.init and after.init and not before.gap and not after.gap:
                bad = before.init != after.init and not after.discontinuity
                yield Finding(f"segment {after.msn} has another one", where, one.name) if bad else None


@rule(Severity.SHOULD, 14, "Apple authoring 1.10")
def parameter_sets_are_in_the_init_section(history: History) -> Verdicts:
    """H.264 is avc1 (and HEVC hvc1): parameter sets in the init section, not in the samples."""
    for one in history.seen():
        for fragment in _one_of_each_init(one):
            for track in fragment.tracks.values():
                if track.handler == "vide":
                    bad = track.entry in ("avc3", "hev1")
                    yield (
                        Finding(f"sample entry {track.entry}", fragment.reply.where, one.name)
                        if bad
                        else None
                    )


def _one_of_each_init(one: RenditionHistory) -> list[Fragment]:
    known: dict[int, Fragment] = {}
    for fragment in one.fragments.values():
        known.setdefault(id(fragment.tracks), fragment)
    return list(known.values())


@rule(Severity.MUST, 12, "8216bis 6.2.4")
def dates_are_of_one_clock(history: History) -> Verdicts:
    """The same media time has the same date in all renditions."""
    offsets: dict[str, tuple[float, Fragment]] = {}
    for one in history.seen():
        for segment, _ in one.listed():
            first = segment.parts[0].piece if segment.parts else ""
            fragment = one.fragments.get(segment.piece) or one.fragments.get(first)
            if fragment is not None and segment.date is not None and not segment.discontinuity:
                run = fragment.runs[0]
                offsets[one.name] = segment.date - run.start / fragment.tracks[run.track].rate, fragment
                break
    for (name, (offset, _)), (other, (another, fragment)) in itertools.pairwise(offsets.items()):
        apart_s = another - offset
        told = f"{other} dates its media {apart_s:+.3f} s from {name}"
        yield Finding(told, fragment.reply.where, other) if abs(apart_s) > _SAME_CLOCK_S else None


@rule(Severity.SHOULD, 16, "8216bis 4.4.6.2; Apple authoring 9")
def what_variants_say_is_so(history: History) -> Verdicts:
    """CODECS, RESOLUTION and FRAME-RATE of a variant are those of its media."""
    for one in history.seen():
        for stream in one.streams[:1]:
            for fragment in _one_of_each_init(one)[-1:]:
                told = _contradiction(one, fragment, stream.codecs, stream.values.get("RESOLUTION", ""))
                rates, said = _frame_rates(one), stream.number("FRAME-RATE")
                # It is the highest that occurs, so the mean must not be above, and something must be as fast.
                if (
                    rates
                    and said
                    and not (1 - _FRAME_RATE_SHARE) * rates[0] < said < (1 + _FRAME_RATE_SHARE) * rates[1] + 1
                ):
                    told = f"FRAME-RATE {said}, the pictures come {rates[0]:.2f} times a second"
                yield Finding(told, fragment.reply.where, one.name) if told else None


def _contradiction(one: RenditionHistory, fragment: Fragment, codecs: list[str], resolution: str) -> str:
    for track in fragment.tracks.values():
        if codecs and not any(said.lower().startswith(track.codec.lower()) for said in codecs):
            return f"CODECS {codecs}, the media is {track.codec}"
        size = f"{track.width}x{track.height}"
        if track.handler == "vide" and resolution and size != resolution:
            return f"RESOLUTION {resolution}, the pictures are {size}"
    return ""


def _frame_rates(one: RenditionHistory) -> tuple[float, float] | None:
    """Pictures a second over all that was fetched, and in the piece where they came fastest."""
    pictures, seconds, fastest = 0, 0.0, 0.0
    for fragment, _ in _walk(one):
        for run in fragment.of("vide") if fragment else []:
            assert fragment is not None
            pictures += len(run.durations)
            seconds += fragment.seconds(run)
            fastest = max(fastest, fragment.tracks[run.track].rate / min(run.durations))
    return (pictures / seconds, fastest) if seconds > 1 else None
