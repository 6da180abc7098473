"""A real viewer (pion) behind real loss, jitter, outage and narrow links: how long the picture stands still, and that the sound goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.harness.link import GOOD, Conditions, Link, link, needs_link
from tests.harness.media_server import media_server
from tests.harness.peer_process import PeerProcess
from tests.harness.pion import film, needs_pion, pion

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    needs_pion,
    needs_link,
]

PICTURE_MS, SOUND_MS = 40, 20


@pytest.fixture(scope="module")
def film_options(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return film(tmp_path_factory.mktemp("film"))


@contextlib.asynccontextmanager
async def watching(
    film_options: list[str], conditions: Conditions = GOOD, *, mtu: int = 1500
) -> AsyncIterator[tuple[Link, PeerProcess]]:
    """A publisher here, a viewer behind the link who has seen the first key frame."""
    with link(conditions, mtu=mtu) as way:
        async with media_server(
            http_host=way.outer, media_host="0.0.0.0", public_ip=["127.0.0.1", way.outer]
        ) as server:
            async with pion("publish", "-url", server.whip("film"), "-device", "lo", *film_options):
                await server.until_live("film")
                async with pion("watch", "-url", server.whep("film"), before=way.before) as viewer:
                    await viewer.event("first_key_frame", timeout_s=30)
                    yield way, viewer


@dataclass(frozen=True)
class Phase:
    """What a viewer saw between two reports, in media time: a busy machine is slower, but loses nothing by it."""

    video_ms: float
    audio_ms: float
    pictures: int
    audio_packets: int
    repaired: int
    lost: int
    longest_gap_ms: float
    """Most media between two pictures that could be shown; 0: each followed the one before."""

    @property
    def shown(self) -> float:
        """Share of the pictures."""
        return self.pictures * PICTURE_MS / self.video_ms

    @property
    def heard(self) -> float:
        """Share of the sound."""
        return self.audio_packets * SOUND_MS / self.audio_ms


async def report(viewer: PeerProcess) -> dict[str, Any]:
    """Its next one."""
    count = len(viewer.said("second"))
    await viewer.until(lambda: len(viewer.said("second")) > count, "a report", 30)
    return viewer.said("second")[count]


async def phase(viewer: PeerProcess, media_s: float, *, of: str = "video") -> Phase:
    """Waits until so much media has come, from now on."""
    before = await report(viewer)
    name = f"{of}_media_ms"

    def after() -> list[dict[str, Any]]:
        return [line for line in viewer.said("second") if line[name] >= before[name] + media_s * 1000]

    await viewer.until(lambda: bool(after()), f"{media_s} s of {of}", 20 + media_s * 6)
    last = after()[0]
    gaps = [
        gap["missing_ms"]
        for gap in viewer.said("gap")
        if gap["kind"] == "video" and before["video_media_ms"] < gap["at_ms"] <= last["video_media_ms"]
    ]
    return Phase(
        *(
            last[key] - before[key]
            for key in ("video_media_ms", "audio_media_ms", "pictures", "audio_packets", "repaired", "lost")
        ),
        max(gaps, default=0.0),
    )


async def test_loss_of_1_5_10_and_20_percent_is_repaired(film_options: list[str]) -> None:
    async with watching(film_options) as (way, viewer):
        for loss in (0.01, 0.05, 0.10, 0.20):
            way.set(replace(GOOD, loss=loss))
            seen = await phase(viewer, 4)
            assert seen.shown > {0.01: 0.85, 0.05: 0.75, 0.10: 0.5, 0.20: 0.1}[loss], (loss, seen)
            assert seen.longest_gap_ms < 6000, (loss, seen)
            assert seen.heard > (1 - loss) * 0.85, (loss, seen)
            if loss > 0.01:
                assert seen.repaired > 0, (loss, seen)


async def test_reordered_and_doubled_packets_and_jitter_cost_no_picture(film_options: list[str]) -> None:
    async with watching(film_options) as (way, viewer):
        way.set(replace(GOOD, delay_ms=30, jitter_ms=20, duplicate=0.1))
        reordered = await phase(viewer, 4)
        way.set(replace(GOOD, delay_ms=120, jitter_ms=100))
        shaken = await phase(viewer, 4)
    assert reordered.shown > 0.9, reordered
    assert reordered.heard > 0.95, reordered
    assert shaken.shown > 0.7, shaken
    assert shaken.heard > 0.9, shaken


async def test_after_an_outage_of_two_seconds_sound_and_picture_are_back(film_options: list[str]) -> None:
    async with watching(film_options) as (way, viewer):
        await report(viewer)
        way.set(replace(GOOD, broken=True))
        await asyncio.sleep(2)  # the outage itself
        way.set(GOOD)
        outage = await phase(viewer, 4)
        again = await phase(viewer, 2)
        last = await viewer.end()
    assert "closed" not in last
    gaps = {
        kind: [gap["missing_ms"] for gap in viewer.said("gap") if gap["kind"] == kind]
        for kind in ("video", "audio")
    }
    assert 500 < max(gaps["audio"]) < 2000 + 1500, "sound goes on where it is"
    assert max(gaps["video"], default=0) < 2000 + 3000, (
        "pictures are back with the next key frame, or all repaired"
    )
    assert again.shown > 0.9, (outage, again)
    assert again.heard > 0.9, (outage, again)


async def test_a_narrow_link_leaves_the_sound_and_the_picture_comes_back(film_options: list[str]) -> None:
    wide = replace(GOOD, rate_bps=2_000_000)
    async with watching(film_options, wide) as (way, viewer):
        before = await phase(viewer, 2)
        way.set(replace(wide, rate_bps=300_000))
        # Eight seconds are enough to find out that no picture fits, and to give what there is to the sound.
        found_out = await phase(viewer, 8, of="audio")
        narrow = await phase(viewer, 5, of="audio")
        way.set(wide)
        again = await phase(viewer, 3)
        after = await phase(viewer, 2)
    assert before.shown > 0.9, before
    assert narrow.heard > 0.5, (found_out, narrow)  # a try whether the picture fits again may fall into it
    assert after.shown > 0.9, (again, after)
    assert after.heard > 0.9, (again, after)


async def test_an_mtu_of_1200_loses_nothing(film_options: list[str]) -> None:
    async with watching(film_options, mtu=1200) as (_, viewer):
        seen = await phase(viewer, 3)
    assert (seen.lost, seen.longest_gap_ms) == (0, 0), seen
    assert seen.heard > 0.9, seen
