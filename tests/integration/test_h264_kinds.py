"""What encoders send as H.264: profiles, parameter sets that change with the size, B-frames. pion brings it, libavcodec watches."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness.h264_film import FPS, PROFILE_IDC, Profile, encode, nal_units
from tests.harness.live_source import read_clock
from tests.harness.media_server import MediaServer, media_server
from tests.harness.peers import Viewer
from tests.harness.pion import needs_pion, pion
from tests.integration.test_sfu_tap import collect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), needs_pion]
PROFILES: list[Profile] = ["baseline", "constrained baseline", "main", "high"]
B_SLICES = {1, 6}
"""slice_type of B-frames (ITU-T H.264, table 7-6)."""


@contextlib.asynccontextmanager
async def published(film: bytes, folder: Path) -> AsyncIterator[MediaServer]:
    """A server to which pion publishes the film again and again."""
    path = folder / "film.h264"
    path.write_bytes(film)
    async with (
        media_server() as server,
        pion("publish", "-url", server.whip("film"), "-device", "lo", "-video", str(path), "-fps", str(FPS)),
    ):
        await server.until_live("film")
        yield server


def numbers(pictures: list[Any]) -> list[int]:
    """What the pictures show."""
    read = [read_clock(picture.to_ndarray(format="gray")) for picture in pictures]
    assert None not in read, "a picture is damaged"
    return [one for one in read if one is not None]


def parameter_set(data: bytes) -> bytes:
    """The first sequence parameter set of an access unit."""
    return next(unit for unit in nal_units(data) if unit[0] & 31 == 7)


def slice_type(data: bytes) -> int:
    """slice_type of an access unit's slice, which begins with first_mb_in_slice = 0: one bit."""
    head = next(unit for unit in nal_units(data) if unit[0] & 31 in (1, 5))
    bits = f"{int.from_bytes(head[1:5], 'big'):032b}"[1:]
    zeros = bits.index("1")
    return int(bits[: 2 * zeros + 1], 2) - 1


@pytest.mark.parametrize("profile", PROFILES)
async def test_each_profile_goes_through_as_it_is(profile: Profile, tmp_path: Path) -> None:
    film = encode(profile)
    async with published(film, tmp_path) as server, aiohttp.ClientSession() as http:
        tap = server.worker.sfu.tap("film")
        async with Viewer(http, server.whep("film"), audio=False) as viewer:
            shown = numbers(await viewer.frames("video", 30, 60))
        units = await collect(tap, FPS + 1, 60)
    assert units[0].key_frame
    assert parameter_set(units[0].data) == parameter_set(film), "byte for byte"
    assert parameter_set(film)[1] == PROFILE_IDC[profile]
    assert all((after - before) % (2 * FPS) == 1 for before, after in itertools.pairwise(shown))


async def test_the_size_changes_in_the_middle_with_its_parameter_sets(tmp_path: Path) -> None:
    wide, small = (640, 360), (512, 288)
    film = encode("high", size=wide) + encode("main", first=2 * FPS, size=small)
    async with published(film, tmp_path) as server, aiohttp.ClientSession() as http:
        tap = server.worker.sfu.tap("film")
        async with Viewer(http, server.whep("film"), audio=False) as viewer:
            pictures = await viewer.frames("video", 4 * FPS + 10, 90)
            units = await collect(tap, 3 * FPS, 60)
            async with Viewer(http, server.whep("film"), audio=False) as late:
                (first,) = await late.frames("video", 1, 60)
        faults = server.stats()["workers"][0]["faults"]
    for picture, number in zip([*pictures, first], numbers([*pictures, first]), strict=True):
        assert (picture.width, picture.height) == (wide if number < 2 * FPS else small)
    assert {(picture.width, picture.height) for picture in pictures} == {wide, small}
    sets = {parameter_set(unit.data) for unit in units if unit.key_frame}
    assert sets == {unit for unit in nal_units(film) if unit[0] & 31 == 7}
    assert faults == 0


async def test_b_frames_are_passed_on_in_decoding_order_and_a_player_that_reorders_shows_them_right(
    tmp_path: Path,
) -> None:
    film = encode("main", b_frames=2)
    async with published(film, tmp_path) as server, aiohttp.ClientSession() as http:
        tap = server.worker.sfu.tap("film")
        async with Viewer(http, server.whep("film"), audio=False) as viewer:
            shown = numbers(await viewer.frames("video", 30, 60))
        units = await collect(tap, FPS + 1, 60)
    assert any(slice_type(unit.data) in B_SLICES for unit in units)
    times = [unit.time for unit in units]
    assert times == sorted(set(times)), "as they are decoded; nothing is held back to be reordered"
    assert not any(unit.lost_before for unit in units)
    assert all((after - before) % (2 * FPS) == 1 for before, after in itertools.pairwise(shown))
