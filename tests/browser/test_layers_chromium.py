"""Chromium sends several sizes, Chromium watches: another layer is another size, by request and by what the path carries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.chromium import Tab, chromium, story
from tests.harness.media_server import MediaServer, media_server
from tests.harness.narrow import narrow_path

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

TWO: list[dict[str, Any]] = [
    {"rid": "h", "maxBitrate": 900_000},
    {"rid": "l", "scaleResolutionDownBy": 2, "maxBitrate": 150_000},
]
THREE: list[dict[str, Any]] = [
    {"rid": "h", "maxBitrate": 900_000},
    {"rid": "m", "scaleResolutionDownBy": 2, "maxBitrate": 400_000},
    {"rid": "l", "scaleResolutionDownBy": 4, "maxBitrate": 120_000},
]


async def all_layers(server: MediaServer, count: int) -> None:
    """Waits until so many layers have each had a key frame."""
    await server.until(
        lambda stats: (
            (live := stats["streams"].get("live")) is not None
            and sum(
                one["kind"] == "video" and one["alive"] and one["key_frames"] > 0 for one in live["layers"]
            )
            == count
        ),
        f"{count} layers",
        40.0,
    )


async def seen(viewer: Tab, height: int) -> None:
    """Waits until the picture has this height, and goes on."""
    await viewer.until(f"rtc.views[0].video.videoHeight === {height}", 40)
    frames = await viewer.page.evaluate("rtc.views[0].frames")
    await viewer.until(f"rtc.views[0].frames > {frames + 10}")


@pytest.mark.parametrize(
    ("codec", "encodings", "size"), [("VP8", TWO, (640, 360)), ("H264", THREE, (960, 544))]
)
@story
async def test_a_viewer_asks_for_layers_and_sees_their_sizes(
    codec: str, encodings: list[dict[str, Any]], size: tuple[int, int]
) -> None:
    async with media_server() as server, chromium(f"{server.url}/", 2) as (publisher, viewer):
        width, height = size
        await publisher.publish(
            server.whip("live"), codec=codec, encodings=encodings, width=width, height=height, audio=False
        )
        await all_layers(server, len(encodings))
        await viewer.watch(server.whep("live"))
        await seen(viewer, height)
        joined = await viewer.call(
            "incoming", 0
        )  # of the GOP that a join begins with, pictures that are past are not shown
        assert await viewer.call("codecOf", 0) == f"video/{codec}"
        heights = {one["rid"]: height // one.get("scaleResolutionDownBy", 1) for one in encodings}
        for rid in [*reversed(heights), "l"]:
            assert await viewer.call("choose", 0, rid) == 200
            await seen(viewer, heights[rid])
        figures = await viewer.call("incoming", 0)
        dropped, decoded = (figures[key] - joined[key] for key in ("framesDropped", "framesDecoded"))
        assert dropped <= decoded / 10, figures


@story
async def test_a_path_that_narrows_takes_the_lower_layer() -> None:
    async with (
        media_server() as server,
        narrow_path(server.worker.port) as path,
        chromium(f"{server.url}/", 2) as (publisher, viewer),
    ):
        await publisher.publish(server.whip("live"), codec="VP8", encodings=TWO, noise=True, audio=False)
        await all_layers(server, 2)
        await viewer.watch(server.whep("live"), port=path.port)
        await seen(viewer, 360)
        path.down.bps = 350_000
        await seen(viewer, 180)
        assert path.down.dropped > 0
