"""With whose voice a person of a film speaks."""

from __future__ import annotations

from origin.avatar.person import shipped
from origin.dialogue.persona import load
from speech import kokoro

AUTO = "auto"


def voice_of(person: str | None, asked: str) -> str:
    """The person's own voice for `auto`, where the model that has it is here; else what is asked for."""
    if asked == AUTO and kokoro.installed() and person in shipped():
        return f"kokoro:{load(person).voice}"
    return asked
