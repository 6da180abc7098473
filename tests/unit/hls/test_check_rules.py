"""Each rule of the validator, by its name: it finds what is planted for it in a recording of our own packager, and nothing in the
recording as it is."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hls.check import RULES, Kind, Probe, Recording, Reply, check
from hls.check import history as history_module
from hls.check.fragments import read_init
from hls.check.history import history_of
from hls.check.listing import read_listing
from hls.check.rule import examine
from hls.grid import ERA_MS, tier
from tests.harness.hls_recording import recorded
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live

START_MS = float(ERA_MS + 30_000_000_000)
Plant = Callable[[list[Reply]], list[Reply]]


@pytest.fixture(scope="module")
def clean() -> Iterator[Recording]:
    """26 s of a broadcast whose picture changes its size, in which something is said, whose window is short, and which ends."""
    with pytest.MonkeyPatch.context() as patch:
        # The same texts are read once for each rule.
        patch.setattr(history_module, "read_listing", functools.cache(read_listing))
        patch.setattr(history_module, "read_init", functools.cache(read_init))
        live = Live(LiveSource(START_MS, width=512, height=64), tier(0.32), window_s=16, language="en")
        live.run(5.76)
        live.source = LiveSource(live.now_ms, width=320, height=176)
        for words in range(5):
            live.run(4)
            live.say(f"Sentence {words} goes on into the next segment.", 2.4)
        live.packager.end()
        yield recorded(live)


def is_list(reply: Reply, rendition: str = "v0") -> bool:
    return reply.kind is Kind.PLAYLIST and reply.rendition.endswith(f"/{rendition}/index.m3u8")


def edit(
    pattern: str,
    text: str,
    *,
    rendition: str = "v0",
    after: float = 0.0,
    where: Callable[[Reply], bool] = lambda _: True,
    only: int | None = None,
    count: int = 0,
) -> Plant:
    """Replaces in the lists of a rendition that came after a share of the time, or in one of them, by its number."""

    def plant(replies: list[Reply]) -> list[Reply]:
        begin_s = after * replies[-1].arrived_s
        changed, edits, seen = [], 0, -1
        for reply in replies:
            seen += is_list(reply, rendition)
            fits = only in (None, seen) and reply.arrived_s >= begin_s and where(reply)
            if is_list(reply, rendition) and fits:
                new, times = re.subn(pattern, text, reply.text, count=count, flags=re.MULTILINE)
                edits += times
                reply = replace(reply, body=new.encode())
            changed.append(reply)
        assert edits, f"{pattern} is in no list"
        return changed

    return plant


def edit_key_frames(pattern: str, text: str) -> Plant:
    def plant(replies: list[Reply]) -> list[Reply]:
        return [
            replace(one, body=re.sub(pattern, text, one.text).encode()) if "iframes-" in one.url else one
            for one in replies
        ]

    return plant


def edit_index(pattern: str, text: str, count: int = 0, *, missing: bool = False) -> Plant:
    """`missing`: the first of them may not have it yet."""

    def plant(replies: list[Reply]) -> list[Reply]:
        changed = []
        for reply in replies:
            if reply.kind is Kind.MULTIVARIANT:
                new, times = re.subn(pattern, text, reply.text, count=count)
                assert times or missing
                reply = replace(reply, body=new.encode())
            changed.append(reply)
        return changed

    return plant


def change(kind: Kind, **values: object) -> Plant:
    """Changes the replies of a kind; `headers` are added to those that are there, None takes one away."""

    def plant(replies: list[Reply]) -> list[Reply]:
        return [_changed(reply, values) if reply.kind is kind else reply for reply in replies]

    return plant


def _changed(reply: Reply, values: dict[str, object]) -> Reply:
    values = dict(values)
    if "headers" in values:
        new = values["headers"]
        assert isinstance(new, dict)
        values["headers"] = {k: v for k, v in {**reply.headers, **new}.items() if v is not None}
    return replace(reply, **values)  # type: ignore[arg-type]


def probe(which: Probe, status: int) -> Plant:
    def plant(replies: list[Reply]) -> list[Reply]:
        return [replace(one, status=status) if one.probe is which else one for one in replies]

    return plant


def media(pattern: str, make: Callable[[bytes], bytes]) -> Plant:
    """Changes the bytes of the first video media whose name fits."""

    def plant(replies: list[Reply]) -> list[Reply]:
        for index, reply in enumerate(replies):
            if reply.kind in (Kind.PART, Kind.HINT, Kind.SEGMENT, Kind.INIT) and re.search(
                pattern, reply.url
            ):
                changed = make(reply.body)
                assert changed != reply.body
                return [*replies[:index], replace(reply, body=changed), *replies[index + 1 :]]
        raise AssertionError(f"no media {pattern}")

    return plant


def later_tfdt(data: bytes) -> bytes:
    at = data.index(b"tfdt") + 8
    time = int.from_bytes(data[at : at + 8], "big") + 9000
    return data[:at] + time.to_bytes(8, "big") + data[at + 8 :]


def no_sync(data: bytes) -> bytes:
    return data.replace((0x02000000).to_bytes(4, "big"), (0x01010000).to_bytes(4, "big"))


def all_sync(data: bytes) -> bytes:
    return data.replace((0x01010000).to_bytes(4, "big"), (0x02000000).to_bytes(4, "big"))


def late(by_s: float) -> Plant:
    """All that comes after the middle comes later, while players wait for it."""

    def plant(replies: list[Reply]) -> list[Reply]:
        middle_s = replies[-1].arrived_s / 2
        first = next(r.arrived_s for r in replies if is_list(r) and r.arrived_s > middle_s)
        return [
            replace(
                reply,
                arrived_s=reply.arrived_s + by_s * (reply.arrived_s >= first),
                asked_s=reply.asked_s + by_s * (reply.asked_s >= first),
                first_byte_s=reply.first_byte_s + by_s * (reply.arrived_s >= first),
            )
            for reply in replies
        ]

    return plant


def stale_delta(replies: list[Reply]) -> list[Reply]:
    """The first list with many segments becomes a delta that skips one more than its boundary allows."""
    changed, done = [], False
    for reply in replies:
        found = re.search(r"SKIPPED-SEGMENTS=(\d+)", reply.text) if is_list(reply) else None
        if found and not done:
            done = True
            skipped = int(found[1]) + 2
            # Takes two more segments away, with the parts of the second if there are any.
            text = re.sub(r"SKIPPED-SEGMENTS=\d+", f"SKIPPED-SEGMENTS={skipped}", reply.text)
            text = re.sub(
                r"(?:#EXT-X-PROGRAM-DATE-TIME[^\n]*\n#EXTINF[^\n]*\n[^#\n]+\n){2}", "", text, count=1
            )
            reply = replace(reply, body=text.encode())
        changed.append(reply)
    assert done
    return changed


def without_rendition_before(replies: list[Reply]) -> list[Reply]:
    """The list goes back: an old reply comes again at the end."""
    lists = [one for one in replies if is_list(one) and one.directives.part is not None]
    last_s = replies[-1].arrived_s
    return [*replies, replace(lists[5], asked_s=last_s + 1, arrived_s=last_s + 1.1)]


def asked_alone(reply: Reply) -> bool:
    return reply.directives.msn is not None and reply.directives.part is None


def short_window(replies: list[Reply]) -> list[Reply]:
    """Lists of the open segment alone."""
    changed = []
    for reply in replies:
        if is_list(reply) and reply.arrived_s > 10:
            newest = read_listing(reply.text, reply.url).newest[0]
            head, _, _ = reply.text.partition("#EXT-X-MEDIA-SEQUENCE")
            tail = reply.text[reply.text.rindex("#EXT-X-PROGRAM-DATE-TIME") :]
            text = f"{head}#EXT-X-MEDIA-SEQUENCE:{newest}\n{tail}"
            reply = replace(reply, body=text.encode())
        changed.append(reply)
    return changed


def ahead(replies: list[Reply]) -> list[Reply]:
    """v0 reports sound far ahead of where it is."""
    return edit(r"(a128/index.m3u8\",LAST-MSN=)\d+", r"\g<1>99999999", only=20)(replies)


def one_more_request(kind: Kind, name: str, **values: object) -> Plant:
    def plant(replies: list[Reply]) -> list[Reply]:
        like = next(one for one in replies if one.kind is kind)
        return [*replies, replace(like, url=like.url.rsplit("/", 1)[0] + name, **values)]  # type: ignore[arg-type]

    return plant


def hold(replies: list[Reply]) -> list[Reply]:
    """One reload is held for seven seconds, three target durations and more."""
    index = next(i for i, one in enumerate(replies) if is_list(one) and one.directives.part and i > 200)
    return [
        *replies[:index],
        replace(replies[index], asked_s=replies[index].arrived_s - 7),
        *replies[index + 1 :],
    ]


def a_second_discontinuity_in_sound(replies: list[Reply]) -> list[Reply]:
    lists = [one for one in replies if is_list(one, "a128")]
    msn = read_listing(lists[-1].text, lists[-1].url).segments[-4].msn
    pattern = rf"(#EXT-X-PROGRAM-DATE-TIME[^\n]*\n(?:#EXT-X-PART:[^\n]*\n)*#EXTINF[^\n]*\n{msn}\.m4s)"
    return edit(pattern, r"#EXT-X-DISCONTINUITY\n\1", rendition="a128")(replies)


def a_cue_is_said_once(replies: list[Reply]) -> list[Reply]:
    """What goes on is taken out of the next segment."""
    whole = [one for one in replies if re.search(r"captions/\d+\.vtt$", one.url) and b"-->" in one.body]
    assert re.search(rb"^c\d+$", whole[1].body, re.MULTILINE)
    return [replace(one, body=b"NOTE\n\n") if one is whole[1] else one for one in replies]


FIRST_EXTINF = r"#EXTINF:[\d.]+,"

PLANTED: dict[str, Plant] = {
    # parts
    "readable": edit(r'URI="(\d+)\.1\.m4s"', r"URI=\1.1.m4s ,,", only=12),
    "part-target-declared": edit(r"^#EXT-X-PART-INF.*\n", ""),
    "part-within-target": edit(r"^#EXT-X-PART:DURATION=0\.32000", "#EXT-X-PART:DURATION=0.33000"),
    "part-not-short": edit(r'DURATION=0\.32000,(URI="\d+\.2\.)', r"DURATION=0.25000,\1"),
    "part-target-constant": edit(r"PART-TARGET=0\.32000", "PART-TARGET=0.33", after=0.5),
    "target-duration-constant": edit(r"TARGETDURATION:2", "TARGETDURATION:3", after=0.5),
    "segment-within-target": edit(FIRST_EXTINF, "#EXTINF:2.50000,"),
    "part-hold-back": edit(r"PART-HOLD-BACK=0\.960", "PART-HOLD-BACK=0.600"),
    "part-hold-back-of-three": edit(r"PART-HOLD-BACK=0\.960", "PART-HOLD-BACK=0.900"),
    "hold-back": edit(r",HOLD-BACK=6\.000", ",HOLD-BACK=5.000"),
    "control-equal-in-renditions": edit(r"PART-HOLD-BACK=0\.960", "PART-HOLD-BACK=1.200", rendition="a64"),
    "targets-equal-in-renditions": edit(r"TARGETDURATION:2", "TARGETDURATION:3", rendition="a64"),
    "parts-make-their-segment": edit(r'DURATION=0\.32000,(URI="\d+\.3\.)', r"DURATION=0.30000,\1"),
    "tags-precede-parts": edit(
        r"(#EXT-X-PROGRAM-DATE-TIME[^\n]*\n)(#EXT-X-PART:[^\n]*\n)(?=#EXT-X-PART)", r"\2\1"
    ),
    "parts-near-the-end-only": edit(
        FIRST_EXTINF, '#EXT-X-PART:DURATION=1.92,URI="old.m4s"\n' + "#EXTINF:1.92,", after=0.6, count=1
    ),
    # blocking
    "blocking-reload-holds-what-was-asked": edit(
        r"^#EXT-X-PART:[^\n]*\n(?=#EXT-X-PRELOAD)", "", where=lambda one: one.directives.part is not None
    ),
    "blocking-reload-by-number-alone": edit(
        r"^#EXT-X-PROGRAM-DATE-TIME[^\n]*\n#EXT-X-PART:[^\n]*\n(?=#EXT-X-PRELOAD)", "", where=asked_alone
    ),
    "part-without-msn-is-refused": probe(Probe.PART_WITHOUT_MSN, 200),
    "old-number-is-answered": probe(Probe.MSN_LONG_GONE, 400),
    "directives-are-ignored-after-the-end": probe(Probe.AFTER_THE_END, 503),
    "far-ahead-number-is-refused": probe(Probe.MSN_FAR_AHEAD, 0),
    "far-ahead-part-is-refused": probe(Probe.PART_FAR_AHEAD, 503),
    "reloads-are-answered": one_more_request(Kind.PLAYLIST, "/index.m3u8?_HLS_msn=60000007", status=404),
    "nothing-is-held-for-long": hold,
    "parts-come-in-time": late(0.7),
    "segments-come-in-time": late(4.0),
    "skip-boundary-is-six-targets": edit(r"CAN-SKIP-UNTIL=12\.000", "CAN-SKIP-UNTIL=10.000"),
    "skip-only-where-asked": edit(r",CAN-SKIP-UNTIL=12\.000", ""),
    "skip-keeps-the-boundary": stale_delta,
    "delta-and-list-before-make-the-list": edit(
        r"(#EXT-X-SKIP:[^\n]*\n(?:[^\n]*\n)*?#EXTINF:)1\.92000", r"\g<1>1.91000", count=1
    ),
    # continuity
    "numbers-never-go-back": without_rendition_before,
    "what-was-listed-stays": edit(FIRST_EXTINF, "#EXTINF:1.80000,", after=0.7, count=1),
    "names-are-used-once": edit(r'URI="(\d+)\.3\.m4s"', r'URI="\1.2.m4s"'),
    "window-of-three-targets": short_window,
    "window-of-six-segments": edit(
        r"^#EXTINF:[^\n]*\n(?:#EXT-X-GAP\n)?\d+\.m4s\n(?=(?:[^\n]*\n)*?#EXTINF)", "", after=0.0
    ),
    "discontinuities-keep-their-numbers": edit(
        r"DISCONTINUITY-SEQUENCE:0", "DISCONTINUITY-SEQUENCE:1", after=0.5
    ),
    "discontinuities-in-all-renditions": a_second_discontinuity_in_sound,
    "discontinuity-sequence-is-there": edit(r"^#EXT-X-DISCONTINUITY-SEQUENCE.*\n", ""),
    "dates-are-there": edit(r"^#EXT-X-PROGRAM-DATE-TIME.*\n", ""),
    "dates-follow-durations": edit(r"(PROGRAM-DATE-TIME:[^.\n]*\.)\d{3}", r"\g<1>500", after=0.4),
    "live-lists-have-no-type": edit(r"^#EXT-X-PART-INF", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-PART-INF"),
    "nothing-comes-after-the-end": edit(r"\Z", "#EXT-X-ENDLIST\n", where=lambda one: 12 < one.arrived_s < 13),
    "version-is-enough": edit(r"VERSION:[69]", "VERSION:5"),
    "version-is-not-above-need": edit(r"VERSION:[69]", "VERSION:10"),
    # hints and reports
    "one-hint-of-a-type": edit(r"^(#EXT-X-PRELOAD-HINT.*\n)", r"\1\1", only=11),
    "no-hint-after-the-end": edit(
        r"^#EXT-X-ENDLIST", '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x.m4s"\n#EXT-X-ENDLIST'
    ),
    "hints-come-true": edit(r'(PRELOAD-HINT:TYPE=PART,URI=")\d+', r"\g<1>5", only=12),
    "hinted-parts-are-given": change(Kind.HINT, status=404),
    "parts-come-at-once": change(Kind.PART, first_byte_s=-1.0),
    "unknown-media-is-not-found": probe(Probe.UNKNOWN_MEDIA, 200),
    "reports-of-all-renditions": edit(r"^#EXT-X-RENDITION-REPORT.*a64.*\n", "", only=20),
    "reports-are-true": ahead,
    # media
    "what-is-listed-is-there": change(Kind.SEGMENT, status=404),
    "fragments-have-an-init-section": edit(r"^#EXT-X-MAP:.*\n", ""),
    "boxes-are-readable": media(r"v0/\d+\.2\.m4s", lambda data: data[:60]),
    "segment-is-its-parts": media(r"v0/\d+\.m4s", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "times-join": media(r"v0/60000006\.m4s", later_tfdt),
    "durations-are-true": edit(r"^#EXT-X-PART:DURATION=0\.32000", "#EXT-X-PART:DURATION=0.20000"),
    "independent-parts-have-key-frames": media(r"v0/\d+\.0\.m4s", no_sync),
    "key-frames-are-marked": media(r"v0/\d+\.1\.m4s", all_sync),
    "independent-segments-begin-with-key-frames": media(r"v0/\d+\.m4s", no_sync),
    "another-init-section-is-a-discontinuity": edit(r"^#EXT-X-DISCONTINUITY\n", ""),
    "parameter-sets-are-in-the-init-section": media(r"v0/init", lambda data: data.replace(b"avc1", b"avc3")),
    "dates-are-of-one-clock": edit(r"(PROGRAM-DATE-TIME:\d+-\d+-)\d+", r"\g<1>28", rendition="a128"),
    "what-variants-say-is-so": edit_index(r"FRAME-RATE=25\.000", "FRAME-RATE=50.000"),
    # variants
    "variants-have-bandwidth": edit_index(r"INF:BANDWIDTH=\d+,", "INF:", count=1),
    "variants-say-what-they-are": edit_index(r",FRAME-RATE=[\d.]+", ""),
    "bandwidth-is-true": edit_index(r"INF:BANDWIDTH=\d+", "INF:BANDWIDTH=90000"),
    "audio-groups-exist": edit_index(r'AUDIO="aac-64"', 'AUDIO="opus"'),
    "group-members-are-well-formed": edit_index(r'GROUP-ID="aac-64"', 'GROUP-ID="aac-128"'),
    "audio-says-its-language": edit_index(r',LANGUAGE="und"', "", count=1),
    "stereo-aac-is-there": edit_index(r"mp4a\.40\.2", "opus"),
    "renditions-are-on-one-host": edit_index(r'URI="a64', 'URI="https://elsewhere.example/a64'),
    # subtitles
    "subtitles-are-readable": media(r"captions/\d+\.vtt", lambda data: data + b"words without a time\n\n"),
    "subtitles-have-a-timestamp-map": media(
        r"captions/init", lambda data: re.sub(rb"X-TIMESTAMP-MAP.*\n", b"", data)
    ),
    "cues-lie-in-their-segments": media(
        r"captions/init", lambda data: data.replace(b"MPEGTS:0", b"MPEGTS:900000")
    ),
    "cues-that-go-on-are-repeated": a_cue_is_said_once,
    "subtitles-keep-step": edit(FIRST_EXTINF, "#EXTINF:1.50000,", rendition="captions"),
    "subtitles-say-their-language": edit_index(r',SUBTITLES="captions"', ""),
    # I-frames
    "key-frame-lists-say-so": edit_key_frames(r"#EXT-X-I-FRAMES-ONLY\n", ""),
    "key-frames-are-there": media(r"v0/\d+\.i\.m4s", lambda data: data[:40]),
    "key-frames-stand-alone": media(r"v0/\d+\.i\.m4s", no_sync),
    "key-frames-are-of-one-clock": media(r"v0/\d+\.i\.m4s", later_tfdt),
    "key-frame-lists-are-described": edit_index(
        r"(I-FRAME-STREAM-INF:BANDWIDTH=)\d+", r"\g<1>9000", missing=True
    ),
    # delivery
    "nothing-redirects": one_more_request(Kind.SEGMENT, "/moved.m4s", status=302, headers={"location": "x"}),
    "playlists-are-gzipped": change(Kind.PLAYLIST, headers={"content-encoding": None}),
    "equal-states-are-equal-texts": edit(
        r"^#EXT-X-PART-INF", "#EXT-X-START\n#EXT-X-PART-INF", where=lambda one: one.directives.msn is None
    ),
    "types-are-right": change(Kind.PLAYLIST, headers={"content-type": "text/plain"}),
    "browsers-may-read": change(Kind.PLAYLIST, headers={"access-control-expose-headers": "Date"}),
    "replies-are-for-everybody": change(Kind.SEGMENT, headers={"set-cookie": "viewer=7"}),
    "blocking-replies-are-cached-for-long": change(Kind.PLAYLIST, headers={"cache-control": "no-cache"}),
    "plain-replies-are-cached-for-moments": change(Kind.PLAYLIST, headers={"cache-control": "max-age=12"}),
    "media-is-cached-for-long": change(Kind.PART, headers={"cache-control": "max-age=2"}),
    "errors-are-cached-for-moments": change(Kind.PROBE, headers={"cache-control": "max-age=600"}),
}


@pytest.fixture(scope="module")
def outcomes(clean: Recording) -> dict[str, tuple[int, int, str]]:
    """Of each rule over the recording as it is: examined, broken, the first finding."""
    return {one.rule.name: (one.examined, one.broken, str(one.findings[:1])) for one in check(clean)}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RULES))
def test_rule(name: str, clean: Recording, outcomes: dict[str, tuple[int, int, str]]) -> None:
    examined, broken, first = outcomes[name]
    assert examined, "the recording has something for it to look at"
    assert not broken, first
    if name == "http-2-is-spoken":
        planted = replace(clean, http2=False)
    else:
        planted = replace(clean, replies=PLANTED[name](list(clean.replies)))
    found = examine(RULES[name], history_of(planted))
    assert found.broken, f"{RULES[name].sentence} It was broken, and nothing was found."
    assert found.findings[0].seen and found.findings[0].where


def test_nothing_is_planted_for_rules_that_there_are_not() -> None:
    assert PLANTED.keys() | {"http-2-is-spoken"} == RULES.keys()


def test_the_table_of_rules_names_each_rule_in_its_row_and_only_tests_that_there_are() -> None:
    root = Path(__file__).parents[3]
    rows: dict[str, str] = {}
    for line in (root / "docs/hls.md").read_text().splitlines():
        found = re.fullmatch(r"\| (\d+|-) \| .* \| (`.*`) \| (`.*`) \|", line)
        if found:
            rows[found[1]] = found[2]
            named = re.findall(r"`(test_\w+)`", found[3])
            assert named
            for name in named:
                assert f"def {name}(" in _tests(root), name
    assert {row: set(re.findall(r"`([a-z0-9-]+)`", rules)) for row, rules in rows.items()} == {
        str(row or "-"): {one.name for one in RULES.values() if one.row == row} for row in range(27)
    }


@functools.cache
def _tests(root: Path) -> str:
    files = [*(root / "tests/unit/hls").glob("test_*.py"), *(root / "tests/integration").glob("test_*.py")]
    return "".join(path.read_text() for path in files)
