"""Films: whole, repeatable to the byte, going on where they were interrupted, transparent, and spoken by others."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from avacast.cli import app
from origin.avatar.background import Behind, Matte
from origin.clock import FRAME_RATE, FRAME_SAMPLES
from origin.encoder import I420
from origin.film import FilmError, Made, Order, Text, Voiced, make
from origin.film.parts import Parts
from speech.inference import seed
from speech.lips import Lips
from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from speech.voice import Speech

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ORDER = Order(Text("Papa, mama.", "piper"), part_frames=20, start_frames=5)


class Cut(BaseException):
    """As Ctrl-C."""


def cut_at(frame: int) -> Callable[[int, I420, Matte | None], None]:
    def seen(number: int, _picture: I420, _matte: Matte | None) -> None:
        if number == frame:
            raise Cut

    return seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, bytes]:
    out = tmp_path_factory.mktemp("film") / "whole.mp4"
    made = make(ORDER, out)
    assert not out.with_name("whole.mp4.parts").exists(), "nothing is left beside a film that is whole"
    return made, out.read_bytes()


def test_the_same_order_gives_the_same_bytes_with_more_threads_too(
    whole: tuple[Made, bytes], tmp_path: Path
) -> None:
    make(ORDER, tmp_path / "again.mp4", threads=2)
    assert (tmp_path / "again.mp4").read_bytes() == whole[1]


_ENCODED = """
import sys
from pathlib import Path
import numpy as np
from origin.film.containers import PictureWriter, container_for
out = Path(sys.argv[1])
writer = PictureWriter(container_for(out, alpha=False), out, 854, 480)
rows = np.indices((720, 854)).sum(0)
for number in range(12):
    writer.write((rows * 3 + (rows // 7 + number) ** 2 % 90).astype(np.uint8), None)
writer.close()
"""


def test_a_film_does_not_depend_on_what_was_in_memory_before(tmp_path: Path) -> None:
    """glibc fills fresh memory with what MALLOC_PERTURB_ says, as a process that did other work before finds it filled."""
    films = []
    for number, filled in enumerate(("0", "1", "3")):
        out = tmp_path / f"{number}.mp4"
        subprocess.run(
            [sys.executable, "-c", _ENCODED, str(out)],
            env={**os.environ, "MALLOC_PERTURB_": filled},
            check=True,
            timeout=60,
        )
        films.append(out.read_bytes())
    assert len(films[0]) > 3000 and films[0] == films[1] == films[2]


def test_an_interrupted_film_goes_on_and_is_the_same_to_the_byte(
    whole: tuple[Made, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "film.mp4"
    for frame in (27, 31):
        with pytest.raises(Cut):
            make(ORDER, out, on_frame=cut_at(frame))
        assert not out.exists()
    parts = sorted(p.name for p in (tmp_path / "film.mp4.parts").glob("pictures-*"))
    assert parts == ["pictures-0000000.mkv"]
    with pytest.raises(Cut):
        make(ORDER, out, on_frame=cut_at(45))
    (tmp_path / "film.mp4.parts" / "pictures-0000000.mkv").write_bytes(b"broken by a crash")
    journal = tmp_path / "film.mp4.parts" / "journal.jsonl"
    journal.write_text(journal.read_text() + '{"part": "pictures-00000')
    made = make(ORDER, out)
    assert made.frames == whole[0].frames
    assert made.drawn == made.frames - 20, "the broken part is drawn again, the whole one is not"
    assert out.read_bytes() == whole[1]
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_one_process_makes_a_film_and_parts_of_another_one_are_not_used(tmp_path: Path) -> None:
    with (
        Parts(tmp_path / "a.mp4.parts", {"size": 1}),
        pytest.raises(FilmError, match="another process is making this film"),
    ):
        Parts(tmp_path / "a.mp4.parts", {"size": 1})
    with Parts(tmp_path / "a.mp4.parts", {"size": 1}) as parts:
        parts.keep("speech-1", lambda path: path.write_text("said"))
    journal = (tmp_path / "a.mp4.parts" / "journal.jsonl").read_text().splitlines()
    assert [next(iter(json.loads(line))) for line in journal] == ["recipe", "part"]
    with Parts(tmp_path / "a.mp4.parts", {"size": 1}) as parts:
        assert parts.path("speech-1") and not parts.begun_anew
    own = tmp_path / "a.mp4.parts" / "notes.txt"
    own.write_text("not ours to remove")
    with Parts(tmp_path / "a.mp4.parts", {"size": 2}) as parts:
        assert parts.path("speech-1") is None and parts.begun_anew
        parts.remove()
    assert [p.name for p in own.parent.iterdir()] == ["notes.txt"]


def test_a_film_plays_and_its_captions_are_in_time(whole: tuple[Made, bytes], tmp_path: Path) -> None:
    made, data = whole
    out = tmp_path / "film.mp4"
    out.write_bytes(data)
    with av.open(str(out)) as film:
        pictures = list(film.decode(video=0))
        assert [round(p.time * FRAME_RATE) for p in pictures if p.time is not None] == list(
            range(made.frames)
        )
        assert (pictures[0].width, pictures[0].height) == (854, 480)
    with av.open(str(out)) as film:
        pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in film.decode(audio=0)])
    assert abs(pcm.size - made.frames * FRAME_SAMPLES) < 3 * 1024
    assert [c.text for c in made.captions] == ["Papa, mama."]
    caption = made.captions[0]
    assert np.abs(pcm[: caption.start]).max() < 0.02 < np.abs(pcm[caption.start : caption.end]).max()


def alpha_of(out: Path) -> list[np.ndarray]:
    """The pictures of a film with alpha, as RGBA."""
    decoder = av.CodecContext.create("libvpx-vp9", "r") if out.suffix == ".webm" else None
    with av.open(str(out)) as film:
        frames = (
            [f for p in film.demux(video=0) for f in decoder.decode(p)]  # type: ignore[attr-defined]
            if decoder
            else list(film.decode(video=0))
        )
        return [f.reformat(format="rgba").to_ndarray() for f in frames]


@pytest.mark.parametrize("name", ["cut.webm", "cut.mov"])
def test_a_transparent_film_holds_the_matte(name: str, tmp_path: Path) -> None:
    drawn: list[Matte] = []

    def keep(_number: int, _picture: I420, matte: Matte | None) -> None:
        assert matte is not None
        drawn.append(matte.copy())

    order = Order(Text("Hi.", "piper"), background=Behind.NOTHING, start_frames=0)
    make(order, tmp_path / name, on_frame=keep)
    pictures = alpha_of(tmp_path / name)
    assert len(pictures) == len(drawn)
    for picture, matte in list(zip(pictures, drawn, strict=True))[::8]:
        difference = np.abs(picture[..., 3].astype(int) - matte)
        assert difference.mean() < 1.0 and (difference > 40).mean() < 0.002
        assert not picture[:240, :200, 3].max() > 8


@pytest.fixture(scope="module")
def speech() -> Speech:
    seed(3)
    return Piper().synthesise("My mother bought a blue boat, and we saw five big fish by the old house.")


@pytest.fixture(scope="module")
def recording(speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As somebody else would send it: another rate, compressed."""
    out = tmp_path_factory.mktemp("voice") / "voice.mp3"
    with av.open(str(out), "w") as file:
        stream = file.add_stream("mp3", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech.pcm.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for part in [*av.AudioResampler("fltp", "mono", 44_100).resample(frame), None]:
            file.mux(stream.encode(part))  # type: ignore[attr-defined]
    return out


def test_lips_hear_what_is_said_however_it_comes(speech: Speech) -> None:
    whole = Lips()
    marks = whole.push(speech.pcm) + whole.flush()
    piecewise, pieces, told = Lips(), [], 0
    for at in range(0, speech.pcm.size, 700):
        pieces += piecewise.push(speech.pcm[at : at + 700])
        assert not pieces or pieces[-1].end == piecewise.position
        told = max(told, at + 700 - piecewise.position)
    pieces += piecewise.flush()
    assert pieces == marks
    assert told < 0.5 * SAMPLE_RATE, "marks come soon after their sound"
    assert marks[0].start == 0 and marks[-1].end == speech.pcm.size
    assert all(a.end == b.start for a, b in itertools.pairwise(marks))


@pytest.mark.parametrize("level", [1.0, 0.05])
def test_lips_are_right_in_most_of_a_sentence_that_they_never_heard(speech: Speech, level: float) -> None:
    lips = Lips()
    marks = lips.push(speech.pcm * np.float32(level)) + lips.flush()
    at = range(0, speech.pcm.size, 480)
    names = [
        [next((m.viseme for m in found if m.start <= t < m.end), "sil") for t in at]
        for found in (marks, speech.marks)
    ]
    right = np.mean([a == b for a, b in zip(*names, strict=True)])
    assert right > 0.42, f"{right:.0%} of frames; naming all alike would be right in 17 %"
    closures = [m for m in speech.marks if m.viseme == "PP"]
    met = sum(
        any(f.viseme in ("PP", "sil") and f.start < m.end + 1440 and f.end > m.start - 1440 for f in marks)
        for m in closures
    )
    assert met >= 0.6 * len(closures), f"lips close at {met} of {len(closures)}"


def test_a_recording_moves_the_mouth_with_its_sound(recording: Path, tmp_path: Path) -> None:
    opened: list[float] = []

    def see(_number: int, picture: I420, _matte: Matte | None) -> None:
        opened.append(-float(picture[225:305, 380:470].mean()))

    made = make(Order(Voiced(recording), start_frames=10), tmp_path / "told.mp4", on_frame=see)
    assert made.frames == len(opened) and not made.captions
    with av.open(str(tmp_path / "told.mp4")) as film:
        pcm = np.concatenate([f.to_ndarray().reshape(-1) for f in film.decode(audio=0)])
    frames = np.sqrt((pcm[: made.frames * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES) ** 2).mean(1))
    smooth = np.convolve(frames, [0.25, 0.5, 0.25], "same")
    fit = [np.corrcoef(opened[3:-3], smooth[3 + k : len(smooth) - 3 + k])[0, 1] for k in range(-3, 4)]
    assert max(fit) > 0.5 and abs(int(np.argmax(fit)) - 3) <= 1, fit


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["-o", "x.mp4"], 2, "--text, --text-file or --audio"),
        (["-o", "x.mp4", "--text", "a", "--audio", "voice.mp3"], 2, "in one way"),
        (["-o", "x.mp4", "--text", "a", "--person", "nobody"], 2, "there are: ava"),
        (["-o", "x.mp4", "--text", "a", "--size", "big"], 2, "1280x720"),
        (["-o", "x.mp4", "--text", "a", "--background", "green"], 2, "#RRGGBB"),
        (["-o", "x.avi", "--text", "a"], 1, ".webm"),
        (["-o", "x.mp4", "--text", "a", "--background", "transparent"], 1, ".webm"),
        (["-o", "x.mp4", "--text", "   ", "--voice", "piper"], 1, "nothing to say"),
        (["-o", "x.mp4", "--text", "a", "--voice", "nobody"], 1, "no voice 'nobody'"),
        (["-o", "x.mp4", "--audio", "silent.txt"], 1, "cannot read"),
    ],
)
def test_what_cannot_be_filmed_is_told_with_what_to_do(
    options: list[str], status: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("voice.mp3", "silent.txt"):
        Path(name).write_bytes(b"not a sound at all")
    ended = CliRunner().invoke(app, ["render", *options])
    assert (ended.exit_code, told in ended.output) == (status, True), ended.output
    assert not Path("x.mp4").exists()
