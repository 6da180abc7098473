"""The voices of one instance: one model in memory, and every voice that it can sound like."""

from __future__ import annotations

import threading

from speech import kokoro
from speech.voice import Voice
from speech.voices import Cached, load
from speech_service.endings import Broken


class Speakers:
    """Loads the model of `spec` (as `speech.voices.load` takes it) and says one short clause, so that the first client does not wait.

    Takes 1-4 s. Raises VoiceError when there is no such voice.
    """

    def __init__(self, spec: str) -> None:
        first = load(spec)
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
