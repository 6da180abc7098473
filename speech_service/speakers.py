"""The voices of one instance: one model in memory, and every voice that it can sound like.

`auto` takes Kokoro only where a first clause of it is made within FIRST_AUDIO_S: programs wait for the first sound, and nothing is rendered
meanwhile that would hide it. Elsewhere it takes the light voice; docs/decisions.md has the figures.
"""

from __future__ import annotations

import threading
from typing import Final

from speech import kokoro, piper
from speech.speed import fast_enough, speed
from speech.voice import Voice
from speech.voices import Cached, load
from speech_service.endings import Broken

FIRST_AUDIO_S: Final = 0.5
_FIRST_CLAUSE_S: Final = 2.0
"""Speech of a first clause: up to eight words."""


class Speakers:
    """Loads the model of `spec` (auto, or as `speech.voices.load` takes it) and says one short clause: the first client does not wait.

    Takes 1-6 s. Raises VoiceError when there is no such voice.
    """

    def __init__(self, spec: str) -> None:
        first = _loaded(spec)
        first.synthesise("Ready.")
        self._lock = threading.Lock()
        self._voices: dict[str, Voice] = {first.name: first}
        self._model = first.inner
        names = [first.name]
        if isinstance(self._model, kokoro.Kokoro):
            names += [name for one in kokoro.VOICES if (name := f"kokoro:{one}") != first.name]
        self.names = tuple(names)
        """The first is the one for clients that name none."""

    @property
    def compute_type(self) -> str:
        """Arithmetic of the model's weights."""
        return "int8" if isinstance(self._model, kokoro.Kokoro) else "float32"

    def find(self, name: str) -> Voice:
        """The voice of this name (or its part after the colon). Raises Broken when the instance has none such."""
        known = next((one for one in self.names if name in (one, one.partition(":")[2])), None)
        if not name:
            known = self.names[0]
        if known is None:
            raise Broken(
                f"there is no voice {name!r} here",
                code="voice_unknown",
                hint=f"this service has {', '.join(self.names)}",
            )
        with self._lock:
            if known not in self._voices:
                assert isinstance(self._model, kokoro.Kokoro), "other models have one voice"
                self._voices[known] = Cached(self._model.sounding(known.partition(":")[2]))
            return self._voices[known]


def _loaded(spec: str) -> Cached:
    """The model of `spec`; for auto the one that is fast enough here."""
    first = load(spec)
    if spec != "auto" or not isinstance(first.inner, kokoro.Kokoro) or not piper.installed():
        return first
    quick = fast_enough(kokoro.MODEL, FIRST_AUDIO_S / _FIRST_CLAUSE_S, lambda: speed(first.inner))
    return first if quick else load("piper")
