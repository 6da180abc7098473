"""What happens in a film, without a clock: speech from a text or from a recording, and the ticks in which it is performed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np

from origin.clock import FRAME_RATE
from origin.film.parts import FilmError
from origin.performer import Performer, Tick
from origin.speech_buffer import BufferState
from speech.chunks import MOST_WORDS, chunks
from speech.lips import Lips
from speech.marks import SAMPLE_RATE, VISEMES, VisemeMark
from speech.voice import Pcm, Speech, Voice, WordMark

TAIL_FRAMES: Final = FRAME_RATE // 2
"""Rest at the end."""
_AHEAD: Final = 30 * SAMPLE_RATE
"""Speech that is in the buffer before it is performed; of a long film no more than this is in memory."""
_PIECE: Final = 10 * SAMPLE_RATE
_FORMATS: Final = "wav,w64,aiff,caf,mp3,aac,flac,ogg,amr,mov,matroska,avi,flv,mpegts"
"""What FFmpeg may take a recording for: not for a list, which would have it open other files and addresses."""
MOST_S: Final = 4 * 3600
"""Longest recording, seconds."""
MOST_CHARACTERS: Final = 400_000
"""Longest text: eight hours of speech."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text for a voice (`voices.load` says which there are)."""

    text: str
    voice: str

    def chunks(self) -> list[str]:
        """The text in what is spoken at once. Raises FilmError when there is nothing to say, or too much."""
        if len(self.text) > MOST_CHARACTERS:
            raise FilmError(
                f"the text has {len(self.text)} characters, a film takes {MOST_CHARACTERS}: make several films"
            )
        found = chunks(self.text, MOST_WORDS)
        if not found:
            raise FilmError("there is nothing to say: the text is empty")
        return found


@dataclass(frozen=True, slots=True)
class Voiced:
    """A recording of somebody's speech, any file that FFmpeg can read."""

    path: Path


Said = Text | Voiced


def spoken(chunks: Iterable[str], voice: Voice) -> Iterator[Speech]:
    """The chunks, spoken."""
    for chunk in chunks:
        yield voice.synthesise(chunk)


def heard(path: Path) -> Iterator[Speech]:
    """A recording in pieces of ten seconds, with the mouth shapes that are heard in it. Raises FilmError."""
    lips = Lips()
    waiting: Pcm = np.zeros(0, np.float32)
    marks: list[VisemeMark] = []
    at = 0
    for pcm in itertools.chain(_decoded(path), [None]):
        marks += lips.push(pcm) if pcm is not None else lips.flush()
        if pcm is not None:
            waiting = np.concatenate([waiting, pcm])
        # marks come a little after their sound
        while waiting.size and (pcm is None or (waiting.size >= _PIECE and lips.position >= at + _PIECE)):
            piece, waiting = waiting[:_PIECE], waiting[_PIECE:]
            end = at + piece.size
            mine = [
                VisemeMark(max(m.start, at) - at, min(m.end, end) - at, m.viseme, m.weight)
                for m in marks
                if m.start < end and m.end > at
            ]
            marks = [m for m in marks if m.end > end]
            yield Speech("", piece, mine, [])
            at = end
    if not at:
        raise FilmError(f"{path} holds no sound: give a recording of speech")


def _decoded(path: Path) -> Iterator[Pcm]:
    """Mono at 48 kHz."""
    total = 0
    try:
        with av.open(str(path), options={"format_whitelist": _FORMATS}) as file:
            if not file.streams.audio:
                raise FilmError(f"{path} has no sound: give a recording of speech, such as a .wav or .mp3")
            resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
            for frame in itertools.chain(file.decode(audio=0), [None]):
                for part in resampler.resample(frame):
                    pcm = np.nan_to_num(part.to_ndarray().reshape(-1).astype(np.float32)).clip(-1, 1)
                    total += pcm.size
                    if total > MOST_S * SAMPLE_RATE:
                        raise FilmError(f"{path} is longer than {MOST_S // 3600} hours: cut it into parts")
                    yield pcm
    except av.FFmpegError as error:
        raise FilmError(
            f"cannot read {path}: {error.strerror}; give a recording that FFmpeg can read"
        ) from error
    except OSError as error:
        raise FilmError(f"cannot read {path}: {error.strerror}") from error


def perform(pieces: Iterable[Speech], *, seed: int = 1, start_frames: int = TAIL_FRAMES) -> Iterator[Tick]:
    """The ticks of speech, from `start_frames` of rest to half a second of rest."""
    performer = Performer(seed)
    for _ in range(start_frames):
        yield performer.tick()
    waiting = iter(pieces)
    ended = False
    performer.begin(1)
    rest = 0
    while rest < TAIL_FRAMES:
        while not ended and performer.buffer.level < _AHEAD:
            piece = next(waiting, None)
            if piece is None:
                performer.end(1)
                ended = True
            else:
                performer.push(piece, 1)
        tick = performer.tick()
        rest = rest + 1 if tick.state is BufferState.IDLE else 0
        yield tick


def save(speech: Speech, path: Path) -> None:
    """Keeps a piece of speech as .npz."""
    with path.open("wb") as file:
        np.savez(
            file,
            text=np.array(speech.text),
            pcm=speech.pcm,
            marks=np.array(
                [(m.start, m.end, VISEMES.index(m.viseme)) for m in speech.marks], np.int64
            ).reshape(-1, 3),
            weights=np.array([m.weight for m in speech.marks], np.float64),
            words=np.array([w.text for w in speech.words], np.str_),
            spans=np.array([(w.start, w.end) for w in speech.words], np.int64).reshape(-1, 2),
            stress=np.array(speech.stress, np.int64),
            weight=np.array(speech.weight, np.int64),
        )


def load(path: Path) -> Speech:
    """A piece that `save` kept."""
    with np.load(path) as z:
        marks = zip(z["marks"].tolist(), z["weights"].tolist(), strict=True)
        words = zip(z["words"].tolist(), z["spans"].tolist(), strict=True)
        return Speech(
            text=str(z["text"]),
            pcm=z["pcm"],
            marks=[VisemeMark(start, end, VISEMES[kind], weight) for (start, end, kind), weight in marks],
            words=[WordMark(text, start, end) for text, (start, end) in words],
            stress=z["stress"].tolist(),
            weight=z["weight"].tolist(),
        )
