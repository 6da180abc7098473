"""The multivariant playlist: what each variant must say, audio groups, and whether BANDWIDTH is true."""

from __future__ import annotations

from urllib.parse import urlsplit

from hls.check.history import History, RenditionHistory
from hls.check.multivariant import Index
from hls.check.rule import Finding, Severity, Verdicts, rule

_PEAK_SHARE = 1.25
"""Apple authoring 1.29: the peak of a live stream within 125 % of BANDWIDTH."""


def _index(history: History) -> tuple[Index, str] | None:
    """The newest multivariant playlist and where it was seen."""
    return (history.indexes[-1][1], history.indexes[-1][0].where) if history.indexes else None


@rule(Severity.MUST, 16, "8216bis 4.4.6.2")
def variants_have_bandwidth(history: History) -> Verdicts:
    """Every EXT-X-STREAM-INF has BANDWIDTH."""
    found = _index(history)
    for stream in found[0].streams if found else []:
        told = f"{stream.uri} has BANDWIDTH {stream.values.get('BANDWIDTH')!r}"
        yield None if stream.number("BANDWIDTH") else Finding(told, found[1] if found else "")


@rule(Severity.SHOULD, 16, "Apple authoring 9 says MUST; AVPlayer drops variants without")
def variants_say_what_they_are(history: History) -> Verdicts:
    """Every variant has CODECS and AVERAGE-BANDWIDTH; with video, RESOLUTION and FRAME-RATE too."""
    found = _index(history)
    for stream in found[0].streams if found else []:
        needed = ["CODECS", "AVERAGE-BANDWIDTH"] + ["RESOLUTION", "FRAME-RATE"] * stream.has_video
        missing = [name for name in needed if name not in stream.values]
        told = f"{stream.uri} lacks {', '.join(missing)}"
        yield Finding(told, found[1] if found else "") if missing else None


def _peak_bps(one: RenditionHistory) -> float:
    """Of a whole segment, among those that were fetched."""
    rates = [0.0]
    for segment, _ in one.listed():
        whole = one.media.get(segment.piece) if segment.uri and not segment.gap else None
        if whole is not None and whole.ok and segment.duration:
            rates.append(len(whole.body) * 8 / segment.duration)
    return max(rates)


@rule(Severity.SHOULD, 16, "8216bis 4.4.6.2; Apple authoring 1.29")
def bandwidth_is_true(history: History) -> Verdicts:
    """The peak bit rate of a variant with its sound is at most 125 % of BANDWIDTH."""
    found = _index(history)
    if found is None:
        return
    index, where = found
    by_url = {one.url: one for one in history.seen()}
    for stream in index.streams:
        # It is measured, so it may follow the stream: the highest that was said counts.
        named = [s for _, i in history.indexes for s in i.streams if s.uri == stream.uri]
        one, said = by_url.get(stream.uri), max((s.number("BANDWIDTH") or 0.0 for s in named), default=0.0)
        if one is None or not said:
            continue
        group = stream.values.get("AUDIO")
        sounds = [
            by_url[m["URI"]] for m in index.media if m.get("GROUP-ID") == group and m.get("URI") in by_url
        ]
        peak = _peak_bps(one) + max((_peak_bps(sound) for sound in sounds if group), default=0.0)
        if peak:
            told = f"BANDWIDTH {said:.0f}, the peak is {peak:.0f} bit/s"
            yield Finding(told, where, one.name) if peak > _PEAK_SHARE * said else None


@rule(Severity.MUST, 17, "8216bis 4.4.6.2")
def audio_groups_exist(history: History) -> Verdicts:
    """Every AUDIO, VIDEO and SUBTITLES group that a variant names has an EXT-X-MEDIA."""
    found = _index(history)
    for stream in found[0].streams if found else []:
        for kind in ("AUDIO", "VIDEO", "SUBTITLES"):
            if kind in stream.values and found:
                known = {m.get("GROUP-ID") for m in found[0].media if m.get("TYPE") == kind}
                told = f"{stream.uri} names the {kind} group {stream.values[kind]!r}, which there is not"
                yield Finding(told, found[1]) if stream.values[kind] not in known else None


@rule(Severity.MUST, 17, "8216bis 4.4.6.1, 4.4.6.1.1")
def group_members_are_well_formed(history: History) -> Verdicts:
    """Every EXT-X-MEDIA has TYPE, GROUP-ID and NAME; a name comes once in its group, and one member at most is the default."""
    found = _index(history)
    seen: set[tuple[str, str]] = set()
    defaults: set[tuple[str, str]] = set()
    for media in found[0].media if found else []:
        missing = [name for name in ("TYPE", "GROUP-ID", "NAME") if not media.get(name)]
        problem = f"lacks {', '.join(missing)}" if missing else ""
        group = (media.get("TYPE", ""), media.get("GROUP-ID", ""))
        member = ("/".join(group), media.get("NAME", ""))
        if member in seen:
            problem = "has a name that its group has already"
        seen.add(member)
        if media.get("DEFAULT") == "YES":
            if group in defaults:
                problem = "is a second default of its group"
            defaults.add(group)
        told = f"EXT-X-MEDIA {media.get('NAME')!r} of {media.get('GROUP-ID')!r} {problem}"
        yield Finding(told, found[1] if found else "") if problem else None


@rule(Severity.SHOULD, 17, "Apple authoring 8.10")
def audio_says_its_language(history: History) -> Verdicts:
    """Every EXT-X-MEDIA of type AUDIO has LANGUAGE."""
    found = _index(history)
    for media in found[0].media if found else []:
        if media.get("TYPE") == "AUDIO":
            told = f"{media.get('NAME')!r} of {media.get('GROUP-ID')!r}"
            yield None if media.get("LANGUAGE") else Finding(told, found[1] if found else "")


@rule(Severity.SHOULD, 17, "Apple authoring 2.3 says MUST")
def stereo_aac_is_there(history: History) -> Verdicts:
    """If there is sound at all, a variant has it as AAC."""
    found = _index(history)
    codecs = [
        one.split(".")[0].lower() for stream in (found[0].streams if found else []) for one in stream.codecs
    ]
    sounds = {"mp4a", "opus", "ac-3", "ec-3", "flac"} & set(codecs)
    if found and sounds:
        yield Finding(f"only {sorted(sounds)}", found[1]) if "mp4a" not in sounds else None


@rule(Severity.SHOULD, 23, "8216bis B.1")
def renditions_are_on_one_host(history: History) -> Verdicts:
    """All media playlists are on one host, so that one connection carries them."""
    found = _index(history)
    if found and found[0].renditions:
        hosts = sorted({urlsplit(url).netloc for url in found[0].renditions})
        yield Finding(f"hosts {hosts}", found[1]) if len(hosts) > 1 else None
