"""A package as the face of an avatar: live through the real encoder, in a film, and beside one that is broken."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from avacast.cli import app
from origin.clock import FRAME_SAMPLES, PACKET_SAMPLES
from origin.encoder import I420
from origin.faces import open_package
from origin.film import Order, Text, make
from origin.packages.library import SHIPPED
from origin.stage import Stage
from speech.chunks import chunks
from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from tests.harness import nets
from tests.harness.lone_origin import DEMO, running_origin, until
from tests.integration.test_stage import Kept

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
AVA = SHIPPED / "ava-net"


def darkness(picture: NDArray[np.uint8], box: tuple[int, int, int, int]) -> float:
    """How much of the mouth's middle is dark: lips that are open."""
    x, y, w, h = box
    middle = picture[y + int(0.36 * h) : y + int(0.56 * h), x + w // 3 : x + 2 * w // 3].astype(float)
    return float((middle < 75).mean())


def follows(opened: NDArray[np.float64], pcm: NDArray[np.float32], first: int) -> float:
    """Correlation of a mouth with the loudness of the sound, from frame `first` on; the best within three frames."""
    loud = np.sqrt((pcm[: pcm.size // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES) ** 2).mean(1))
    loud = np.convolve(loud, np.ones(5) / 5, "same")[first : first + len(opened)]
    opened = opened[: len(loud)]
    fits = [np.corrcoef(opened[3:-3], loud[3 + k : len(loud) - 3 + k])[0, 1] for k in range(-3, 4)]
    return float(max(fits))


def test_the_shipped_package_talks_live_and_its_lips_follow_the_voice() -> None:
    kept = Kept()
    face = open_package(AVA)
    stage = Stage("package", face, kept)
    stage.start()
    try:
        voice = Piper()
        stage.begin(1)
        line = "Papa may bake a big apple pie, and Mama saw the boat go past."
        for chunk in chunks(line):
            stage.push(voice.synthesise(chunk), 1)
        stage.end(1)
        kept.wait("end of the line", lambda: stage.quiet, 40.0)
        assert not stage.failed
    finally:
        stage.close()
    decoder = av.CodecContext.create("opus", "r")
    decoder.sample_rate = SAMPLE_RATE  # type: ignore[attr-defined]
    decoder.layout = "mono"  # type: ignore[attr-defined]
    frames = [f for data, _, _ in kept.packets for f in decoder.decode(av.Packet(data))]
    pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in frames])  # type: ignore[union-attr]
    video = av.CodecContext.create("h264", "r")
    pictures = [f for data, _, _, _ in kept.pictures for f in video.decode(av.Packet(data))]
    pictures += video.decode(None)
    assert len(pictures) == len(kept.pictures) > 50
    rows = [[int(v) for v in row.split(",")] for row in (AVA / "boxes.csv").read_text().splitlines()[1:]]
    count = len(rows)
    numbers = [t // 3600 for _, t, _, _ in kept.pictures]
    opened = np.zeros(max(numbers) + 1)
    shown = np.zeros(len(opened), bool)
    for number, picture in zip(numbers, pictures, strict=True):
        at = min(number % (2 * count - 2), 2 * count - 2 - number % (2 * count - 2))
        box = tuple(rows[at])
        opened[number] = darkness(picture.to_ndarray(format="gray"), box)  # type: ignore[union-attr, arg-type]
        shown[number] = True
    opened = np.interp(np.arange(len(opened)), np.nonzero(shown)[0], opened[shown])
    assert opened.max() > 0.15 and np.median(opened[:3]) < 0.1, "it opens, and it was shut"
    fit = follows(opened, pcm, 0)
    chance = [follows(np.roll(opened, k), pcm, 0) for k in range(15, len(opened) - 15, 4)]
    assert fit > 0.3 and fit > np.median(chance) + 0.15, f"{fit:.2f}, by chance {np.median(chance):.2f}"
    assert len(kept.packets) * PACKET_SAMPLES >= len(opened) * FRAME_SAMPLES - 4 * FRAME_SAMPLES


def test_a_net_that_hears_sound_is_filmed_with_it_and_a_part_is_as_the_whole(tmp_path: Path) -> None:
    package = nets.package(tmp_path / "mel", "wav2lip")
    opened: list[float] = []

    def see(_number: int, picture: I420, _matte: object) -> None:
        opened.append(-float(picture[130:170, 140:180].mean()))

    order = Order(
        Text("Papa, mama. We go by boat.", "piper"),
        width=320,
        height=240,
        part_frames=30,
        start_frames=8,
        package=package,
    )
    made = make(order, tmp_path / "a.mp4", on_frame=see)
    assert made.frames == len(opened)
    with av.open(str(tmp_path / "a.mp4")) as film:
        pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in film.decode(audio=0)])
    fit = follows(np.array(opened), pcm, 0)
    assert fit > 0.4, fit

    class Cut(BaseException):
        """As Ctrl-C."""

    def cut(number: int, _picture: I420, _matte: object) -> None:
        if number == 40:
            raise Cut

    with pytest.raises(Cut):
        make(order, tmp_path / "b.mp4", on_frame=cut)
    make(order, tmp_path / "b.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


async def test_a_broken_package_is_told_and_harms_no_other_avatar(tmp_path: Path) -> None:
    own = tmp_path / "avatars"
    good = nets.package(own / "good", "wav2lip")
    shutil.copytree(good, own / "bad")
    (own / "bad" / "net.onnx").write_bytes(b"no net at all" * 100)
    async with running_origin(tmp_path, avatar_size="320x240") as running:
        good_one = DEMO | {"id": "good", "avatar": "good"}
        assert await running.direct(DEMO | {"id": "bad", "avatar": "bad"}, good_one) in (200, 204)

        async def speaks() -> bool:
            return (await running.line("say", "Hello.", "good"))[0] == 202

        await until(speaks, 90.0)

        async def told() -> bool:
            status, answer = await running.line("say", "Hello.", "bad")
            return status == 503 and "no model that can be opened" in str(answer)

        await until(told, 60.0)
        assert running.started.avatars is not None
        assert running.started.avatars.live == ["good"]
        stage = running.started.avatars.avatar("good").stage

        async def drawn() -> bool:
            return stage.frames_sent > 20

        await until(drawn, 60.0)
        assert not stage.failed


def test_check_and_list_tell_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    package = nets.package(tmp_path / "avatars" / "mel", "wav2lip")
    run = CliRunner()
    monkeypatch.chdir(tmp_path)
    package = package.relative_to(tmp_path)  # as people type it
    sound = run.invoke(
        app, ["avatar", "check", str(package), "--size", "320x240", "--preview", str(tmp_path / "p.png")]
    )
    assert sound.exit_code == 0, sound.output
    for words in ("wav2lip", "(6, 96, 96)", "(1, 80, 16)", "ms a frame", "12 frames of 320x240", "CC0-1.0"):
        assert words in sound.output
    assert (tmp_path / "p.png").stat().st_size > 2000
    nets.painter(package / "net.onnx", nets.CONTRACTS["ultralight"], 160)
    broken = run.invoke(app, ["avatar", "check", str(package)])
    assert broken.exit_code == 1
    assert (
        "model.file" in broken.output and "(n, 6, 160, 160)" in broken.output and "export it" in broken.output
    )
    there = run.invoke(app, ["avatar", "list", "--data", str(tmp_path)])
    assert there.exit_code == 0
    for words in ("ava ", "mel", "patch (wav2lip)", "ava-net", "patch (units)"):
        assert words in there.output
    assert run.invoke(app, ["avatar", "check", str(package), "--size", "huge"]).exit_code == 2
    nobody = run.invoke(app, ["render", "-o", str(tmp_path / "x.mp4"), "--text", "a", "--avatar", "nobody"])
    assert nobody.exit_code == 2 and "packages: ava-net" in nobody.output
