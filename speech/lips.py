"""Mouth shapes heard in anybody's speech: sound -> visemes, a little behind the sound. For recordings, and for live voices of others.

Each 10 ms: the power of 26 mel bands of a 25 ms window, less the mean of the speech so far (microphone, room and voice
colour fall out), with 60 ms before and behind it, through a small net (three layers, 50 kB, numpy) that `python -m
speech.data.train_lips` trained on our own voices, whose phoneme times are exact. docs/speech.md has its accuracy. Streaming and
exact: however the sound is cut into pushes, the marks are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from speech.marks import SAMPLE_RATE, VISEMES, VisemeMark
from speech.voice import MILLISECOND, Pcm

Floats = NDArray[np.float32]

HOP: Final = 10 * MILLISECOND
WINDOW: Final = 25 * MILLISECOND
_TRANSFORM: Final = 2048
BANDS: Final = 26
_LOW_HZ, _HIGH_HZ = 80.0, 7600.0
CONTEXT: Final = (-6, -4, -2, 0, 2, 4, 6)
"""Frames that the net sees around the one that it names."""
_REACH: Final = CONTEXT[-1]
FEATURES: Final = (BANDS + 1) * len(CONTEXT)
_FLOOR: Final = np.float32(1e-9)
_MEAN_FRAMES: Final = 300.0
"""Memory of the mean: 3 s of speech."""
_SPEECH_DB: Final = 30.0
"""Frames less than this below the loudest count as speech for the mean."""
_FADE_DB: Final = 0.01
"""The loudest level is forgotten by this each frame, 1 dB a second."""
_SHORTEST: Final = 3
"""Frames below which a shape is noise and joins the one before (30 ms)."""
_LONGEST: Final = 30
"""A held shape is told in parts, so that a live mouth need not wait for its end."""
_OPEN: Final = frozenset({"aa", "E", "I", "O", "U"})
_SILENT: Final = VISEMES.index("sil")


@dataclass(frozen=True, slots=True)
class Net:
    """Weights (inputs, outputs) and biases of each layer; between them max(x, 0)."""

    layers: tuple[tuple[Floats, Floats], ...]

    def scores(self, features: Floats) -> Floats:
        """Log-odds of each viseme (n, 15) for features (n, FEATURES)."""
        x = features
        for index, (weight, bias) in enumerate(self.layers):
            # row by row: the sums must not depend on how many rows come at once
            x = (
                np.stack([row @ weight for row in x]) + bias
                if len(x)
                else np.zeros((0, bias.size), np.float32)
            )
            if index + 1 < len(self.layers):
                x = np.maximum(x, 0)
        return np.asarray(x, np.float32)


@cache
def shipped() -> Net:
    """The trained net."""
    with resources.files("speech").joinpath("data", "lips.npz").open("rb") as file, np.load(file) as z:
        count = len(z.files) // 2
        return Net(
            tuple((z[f"w{k}"].astype(np.float32), z[f"b{k}"].astype(np.float32)) for k in range(count))
        )


@cache
def _filters() -> Floats:
    """Mel bands (bins, BANDS), triangles of area one."""
    mel = np.linspace(_mel(_LOW_HZ), _mel(_HIGH_HZ), BANDS + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.arange(_TRANSFORM // 2 + 1) * (SAMPLE_RATE / _TRANSFORM)
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    shape = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(shape / shape.sum(0), np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


_WINDOW_SHAPE: Final = np.hanning(WINDOW).astype(np.float32)


@dataclass(slots=True)
class Listener:
    """Sound to features, one frame each 10 ms, streaming. `level` in dB, of the same frames."""

    _waiting: Pcm = field(default_factory=lambda: np.zeros(WINDOW // 2, np.float32))
    _mean: Floats = field(default_factory=lambda: np.zeros(BANDS, np.float32))
    _seen: float = 0.0
    _peak: float = -80.0
    peak_db: float = -80.0

    def push(self, pcm: Pcm) -> tuple[Floats, Floats]:
        """More sound: normalised bands (n, BANDS + 1) and level below the loudest (n,) in dB of the frames that are complete."""
        self._waiting = np.concatenate([self._waiting, pcm.astype(np.float32)])
        count = max(0, (self._waiting.size - WINDOW) // HOP + 1)
        if not count:
            return np.zeros((0, BANDS + 1), np.float32), np.zeros(0, np.float32)
        at = np.arange(count)[:, None] * HOP + np.arange(WINDOW)
        rows = self._waiting[at] * _WINDOW_SHAPE
        self._waiting = self._waiting[count * HOP :]
        out = np.zeros((count, BANDS + 1), np.float32)
        below = np.zeros(count, np.float32)
        bank = _filters()
        for k, row in enumerate(rows):
            power = np.square(np.abs(np.fft.rfft(row, _TRANSFORM))).astype(np.float32)
            bands = np.log(power @ bank + _FLOOR)
            level = 10 * float(np.log10(power.mean() + _FLOOR))
            self._peak = max(level, self._peak - _FADE_DB)
            below[k] = level - self._peak
            if level > self._peak - _SPEECH_DB and level > -60:
                self._seen = min(self._seen + 1, _MEAN_FRAMES)
                self._mean += (bands - self._mean) / np.float32(self._seen)
            out[k, :BANDS] = np.clip((bands - self._mean) * np.float32(0.4), -4, 4)
            out[k, BANDS] = max(below[k] / 15, -4.0)
        return out, below


class Lips:
    """Speech of anybody to viseme marks. Times are samples at 48 kHz from the first one pushed."""

    def __init__(self, net: Net | None = None) -> None:
        self._net = net or shipped()
        self._listener = Listener()
        self._frames: Floats = np.zeros((0, BANDS + 1), np.float32)
        self._below: list[float] = []
        self._scores: list[Floats] = []
        self._run: list[int] = []
        self._start = 0
        """Frame at which the open run begins."""
        self._pushed = 0

    @property
    def position(self) -> int:
        """Up to here marks are told: some 100 ms behind the sound, up to 400 in a shape that is held."""
        return self._start * HOP

    def push(self, pcm: Pcm) -> list[VisemeMark]:
        """More sound (mono, 48 kHz, -1 to 1): the marks that are certain now, in order, each where the last one ends."""
        self._pushed += int(pcm.size)
        frames, below = self._listener.push(pcm)
        self._below += below.tolist()
        if not self._scores and not self._frames.size and len(frames):
            frames = np.concatenate([np.repeat(frames[:1], _REACH, 0), frames])
        self._frames = np.concatenate([self._frames, frames])
        return self._listen()

    def flush(self) -> list[VisemeMark]:
        """The sound has ended: the rest."""
        total = self._pushed
        marks = self.push(np.zeros(WINDOW + (_REACH + 2) * HOP, np.float32))
        if self._run:
            marks += self._told(len(self._run))
        kept = [m for m in marks if m.start < total]
        return [VisemeMark(m.start, min(m.end, total), m.viseme, m.weight) for m in kept]

    def _listen(self) -> list[VisemeMark]:
        ready = len(self._frames) - 2 * _REACH
        if ready <= 0:
            return []
        rows = np.concatenate([self._frames[_REACH + o : _REACH + o + ready] for o in CONTEXT], 1)
        self._frames = self._frames[ready:]
        marks: list[VisemeMark] = []
        for score in self._net.scores(rows):
            self._scores.append(score)
            if len(self._scores) < 3:
                if len(self._scores) == 1:
                    continue
                self._scores.insert(0, self._scores[0])
            # a frame is named with both neighbours: single wrong ones vanish
            marks += self._take(int(np.argmax(self._scores[0] + 2 * self._scores[1] + self._scores[2])))
            del self._scores[0]
        return marks

    def _take(self, viseme: int) -> list[VisemeMark]:
        """One more frame; what is before it may be certain now."""
        run = self._run
        run.append(viseme)
        current = 1
        while current < len(run) and run[-current - 1] == viseme:
            current += 1
        before = len(run) - current
        if before and current >= _SHORTEST:
            return self._told(before)
        if before == 0 and current >= _LONGEST:
            return self._told(current)
        return []

    def _told(self, count: int) -> list[VisemeMark]:
        """The first `count` frames of the run as one mark: the shape that most of them have."""
        frames, self._run = self._run[:count], self._run[count:]
        start, self._start = self._start, self._start + count
        kind = int(np.bincount(frames).argmax())
        name = VISEMES[kind]
        weight = 1.0
        if name in _OPEN:
            loudest = max(self._below[:count])
            weight = round(0.5 + 0.5 * float(np.clip(1 + loudest / 18, 0, 1)), 3)
        del self._below[:count]
        return [VisemeMark(start * HOP, (start + count) * HOP, name, weight)]
