"""A portrait where avatars are: in a film made by the command, and live before a viewer."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray
from typer.testing import CliRunner

from avacast.cli import app
from origin.avatar.background import Behind, Matte
from origin.encoder import I420
from origin.film import Order, Text, make
from origin.portrait.photo import portrait_of
from origin.portrait.portrait import write
from tests.harness.lone_origin import DEMO, running_origin, until
from tests.harness.peers import Viewer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PHOTO = Path(__file__).parents[1] / "data" / "portrait" / "astronaut.jpg"
MOUTH = (slice(250, 330), slice(370, 480))
"""Where hers is at 854x480."""


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]


def test_a_film_of_a_photo_moves_the_lips_and_leaves_the_room_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wp.init()  # its compiled kernels stay where they are
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "film.mp4"
    said = ["--text", "Papa, mama.", "--voice", "piper", "--start-silence", "0.2", "-o", str(out)]
    done = CliRunner().invoke(app, ["render", "--avatar", str(PHOTO), *said])
    assert done.exit_code == 0, done.output
    seen = pictures(out)
    assert 25 <= len(seen) < 100
    change = np.abs(np.diff(np.stack(seen).astype(int), axis=0)).max(0)
    assert change[MOUTH].max() > 80
    assert np.percentile(change[:, :120], 99) < 12  # only the encoder's noise


def test_a_transparent_film_of_a_portrait_holds_its_matte(tmp_path: Path) -> None:
    write(portrait_of(PHOTO, "eileen"), tmp_path / "eileen")
    drawn: list[Matte] = []

    def keep(_number: int, _picture: I420, matte: Matte | None) -> None:
        assert matte is not None
        drawn.append(matte.copy())

    said = Text("Hi.", "piper")
    order = Order(said, background=Behind.NOTHING, start_frames=0, package=tmp_path / "eileen")
    make(order, tmp_path / "cut.mov", on_frame=keep)
    with av.open(str(tmp_path / "cut.mov")) as film:
        seen = [frame.reformat(format="rgba").to_ndarray() for frame in film.decode(video=0)]
    assert len(seen) == len(drawn) > 10
    for picture, matte in list(zip(seen, drawn, strict=True))[::8]:
        assert np.array_equal(picture[..., 3], matte)  # this film is lossless
        assert matte[MOUTH].min() == 255 and matte[:, 780:].max() == 0
        assert 0.2 < (matte > 128).mean() < 0.7


def test_a_photo_that_cannot_be_used_is_told_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "me.png").write_text("no photo")
    said = ["--text", "a", "--voice", "piper", "-o", str(tmp_path / "x.mp4")]
    done = CliRunner().invoke(app, ["render", "--avatar", str(tmp_path / "me.png"), *said])
    assert done.exit_code == 2 and "me.png is no photo that can be read" in " ".join(done.output.split())


async def test_a_portrait_speaks_to_a_viewer(tmp_path: Path) -> None:
    write(portrait_of(PHOTO, "eileen"), tmp_path / "avatars" / "eileen")
    async with running_origin(tmp_path) as running:
        assert await running.direct(DEMO | {"avatar": "eileen", "persona": None}) == 204

        async def takes_lines() -> bool:
            return (await running.line("interrupt", "-"))[0] == 202

        await until(takes_lines, 90)
        async with Viewer(running.http, f"{running.base}/whep/demo") as viewer:
            seen: list[NDArray[np.uint8]] = []
            assert (await running.line("say", "Papa and mama are far away, and so am I."))[0] == 202
            spread = 0.0
            while spread < 8.0:  # the mouth opens and closes, or the test's time is over
                frame = await viewer.track("video").recv()
                seen.append(frame.to_ndarray(format="gray"))
                spread = float(np.ptp([picture[MOUTH].mean() for picture in seen]))
            assert seen[0].shape == (480, 854)
            room = np.abs(seen[-1][:, :120].astype(int) - seen[0][:, :120])
            assert np.percentile(room, 95) < 16
