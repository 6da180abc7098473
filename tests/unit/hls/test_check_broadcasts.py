"""Our packager's output in every tier and shape breaks no rule; hostile playlists and media break no reader; the follower asks as a
low-latency player does."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from hls.check import Kind, Outcome, Probe, Recording, Reply, check
from hls.check.follower import Ask, Follower
from hls.check.fragments import BadMedia, TrackInit, read_init, read_runs
from hls.check.listing import NotAPlaylist, read_listing
from hls.check.multivariant import read_index
from hls.check.recording import Directives
from hls.check.report import as_json, show, violated
from hls.grid import ERA_MS, tier
from tests.harness.hls_recording import recorded
from tests.harness.live_source import LiveSource
from tests.harness.shelf import Live

START_MS = float(ERA_MS + 30_000_000_000)
URL = "https://packager.example/hls/demo/v0/index.m3u8"


def broken(recording: Recording) -> dict[str, str]:
    return {one.rule.name: str(one.findings[0]) for one in check(recording) if one.broken}


@pytest.mark.slow
@pytest.mark.parametrize("part_s", [0.2, 1.0])
def test_nothing_is_found_in_the_other_tiers(part_s: float) -> None:
    live = Live(LiveSource(START_MS, width=512, height=64), tier(part_s))
    live.run(9)
    assert not broken(recorded(live))


@pytest.mark.slow
@pytest.mark.parametrize("fps", [10, 15, 50])
def test_nothing_is_found_at_other_frame_rates(fps: int) -> None:
    live = Live(LiveSource(START_MS, width=128, height=32, fps=fps), tier(0.32))
    live.run(7)
    assert not broken(recorded(live))


@pytest.mark.slow
def test_nothing_is_found_in_a_broadcast_of_sound_alone() -> None:
    live = Live(LiveSource(START_MS, video=False), tier(0.32))
    live.run(9)
    assert not broken(recorded(live))


@pytest.mark.slow
def test_nothing_is_found_where_the_publisher_sends_no_key_frames() -> None:
    live = Live(LiveSource(START_MS, width=128, height=64, fps=30), tier(0.32))
    live.deaf = True
    live.run(9)
    assert not broken(recorded(live))


@pytest.mark.slow
def test_a_stall_breaks_only_what_a_stall_must() -> None:
    live = Live(LiveSource(START_MS, width=128, height=64), tier(0.32))
    live.run(5)
    live.stall(5)
    live.run(5)
    recording = recorded(live)
    # The first gap part comes when the source is one and a half parts late; what was hinted at never came.
    assert broken(recording).keys() <= {"parts-come-in-time", "hints-come-true"}
    recording.slack_s = 0.64
    assert broken(recording).keys() <= {"hints-come-true"}


PLAYLIST = f"""#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.96,CAN-SKIP-UNTIL=12
#EXT-X-PART-INF:PART-TARGET=0.32
#EXT-X-MEDIA-SEQUENCE:100
{"".join(f"#EXTINF:2.0,{chr(10)}{100 + n}.m4s{chr(10)}" for n in range(9))}#EXT-X-PART:DURATION=0.32,URI="109.0.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="109.1.m4s"
"""


def answered(ask: Ask, text: str, status: int = 200) -> Reply:
    return Reply(ask.kind, ask.url, 0.0, 0.1, status, URL, {}, text.encode())


def test_the_follower_blocks_takes_hints_and_asks_for_deltas() -> None:
    follower = Follower(URL)
    first = follower.turn()
    media = follower.take(answered(first.reloads[0], PLAYLIST))
    names = [ask.url.rsplit("/", 1)[1] for ask in media]
    assert names == ["107.m4s", "108.m4s", "109.0.m4s"], "the newest only"
    second = follower.turn()
    assert {ask.probe for ask in second.besides} == set(Probe) - {Probe.AFTER_THE_END}
    assert [ask.takes_gzip for ask in second.reloads] == [True, False]
    asked: list[Directives] = []
    hints: list[str] = []
    text = PLAYLIST
    for part in range(1, 10):
        turn = follower.turn()
        assert turn.pause_s == 0, "the server holds the reload"
        asked += [answered(ask, "").directives for ask in turn.reloads]
        hints += [ask.url for ask in turn.besides if ask.kind is Kind.HINT]
        line = f'#EXT-X-PART:DURATION=0.32,URI="109.{part}.m4s"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI="109.{part + 1}.m4s"\n'
        text = text[: text.index("#EXT-X-PRELOAD-HINT")] + line
        fetched = [one for ask in turn.reloads for one in follower.take(answered(ask, text))]
        assert len(fetched) == (not any(url.endswith(f"/109.{part}.m4s") for url in hints)), "each part once"
    assert Directives(109, 1) in asked and Directives(109, 3, skip=True) in asked
    assert Directives(109) in asked, "now and then the number alone"
    assert hints


def test_the_follower_of_a_plain_list_polls_and_ends_with_it() -> None:
    plain = "\n".join(line for line in PLAYLIST.splitlines() if "PART" not in line) + "\n"
    follower = Follower(URL)
    follower.take(answered(follower.turn().reloads[0], plain))
    follower.turn()
    assert follower.turn().pause_s == 2.0
    assert follower.turn().pause_s == 1.0, "half of it when nothing was new"
    follower.take(answered(Ask(Kind.PLAYLIST, URL, URL), plain + "#EXT-X-ENDLIST\n"))
    assert not follower.over
    follower.turn()
    assert follower.over


def test_a_server_that_does_not_block_is_not_asked_in_a_tight_loop() -> None:
    follower = Follower(URL)
    follower.take(answered(follower.turn().reloads[0], PLAYLIST))
    for _ in range(2):
        follower.take(answered(follower.turn().reloads[0], PLAYLIST))
    assert follower.turn().pause_s > 0


def test_ranges_without_an_offset_go_on_where_the_one_before_ended() -> None:
    listing = read_listing(
        '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART:DURATION=1,URI="a.mp4",BYTERANGE="10@5"\n'
        '#EXT-X-PART:DURATION=1,URI="a.mp4",BYTERANGE="20"\n#EXTINF:2,\n#EXT-X-BYTERANGE:30@5\na.mp4\n',
        URL,
    )
    (segment,) = listing.segments
    assert [part.byte_range for part in segment.parts] == ["10@5", "20@15"]
    assert segment.byte_range == "30@5"
    assert not listing.problems


_tags = st.sampled_from(
    [
        "#EXTM3U",
        "#EXT-X-TARGETDURATION:",
        "#EXT-X-MEDIA-SEQUENCE:",
        "#EXTINF:",
        "#EXT-X-PART:",
        "#EXT-X-MAP:",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=",
        "#EXT-X-PROGRAM-DATE-TIME:",
        "#EXT-X-BYTERANGE:",
        "#EXT-X-STREAM-INF:",
        'URI="x",DURATION=',
        "9" * 30,
        "-1",
        "1@2",
        "\n",
        "a.m4s\n",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_tags | st.text(max_size=12), max_size=30).map("".join))
def test_no_playlist_breaks_the_readers(text: str) -> None:
    for whole in (text, "#EXTM3U\n" + text):
        for read in (read_listing, read_index):
            try:
                read(whole, URL)
            except NotAPlaylist:
                assert not whole.startswith("#EXTM3U\n")


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2_000), st.integers(0, 255), st.integers(0, 2_000))
def test_no_media_breaks_the_readers(at: int, value: int, end: int) -> None:
    init, part = _media()
    for whole in (init, part):
        changed = bytearray(whole)
        changed[at % len(whole)] = value
        data = bytes(changed[: end if end < len(whole) else None])
        with contextlib.suppress(BadMedia):
            assert read_init(data)
        with contextlib.suppress(BadMedia):
            assert read_runs(data, {1: TrackInit(90_000, "vide", "avc1", "avc1")})


_MADE: list[bytes] = []


def _media() -> tuple[bytes, bytes]:
    if not _MADE:
        live = Live(LiveSource(START_MS, width=128, height=32), tier(0.32))
        live.run(1)
        media = live.shelf.media
        init = next(data for (_, name), data in media.items() if name.startswith("init"))
        part = next(
            data for (rendition, name), data in media.items() if rendition == "v0" and ".0.m4s" in name
        )
        assert read_runs(part, read_init(init))
        _MADE.extend((init, part[: part.index(b"mdat") + 40]))
    return _MADE[0], _MADE[1]


def test_the_report_says_what_was_seen_where_and_why() -> None:
    live = Live(LiveSource(START_MS, video=False), tier(0.32))
    live.run(2)
    recording = recorded(live)
    recording.replies = [
        Reply(**{name: getattr(one, name) for name in Reply.__slots__} | {"status": 302})
        if one.kind is Kind.SEGMENT
        else one
        for one in recording.replies
    ]
    recording.notes.append("something [odd]")
    outcomes: list[Outcome] = check(recording)
    console = Console(record=True, width=200, file=None, quiet=False)
    with console.capture() as printed:
        show(console, recording, outcomes)
    text = printed.get()
    for word in (
        "nothing-redirects",
        "seen status 302",
        "/a128/",
        "Apple authoring 8.18",
        "something [odd]",
        "a64",
    ):
        assert word in text
    assert violated(outcomes)
    assert json.loads(json.dumps(as_json(recording, outcomes)))["violated"] is True
