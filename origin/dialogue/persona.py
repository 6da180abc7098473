"""Personas: who an avatar is, as a TOML file. Shipped ones lie in personas/, an operator's own in DATA/personas/.

name = "Ava"            voice = "af_heart"      face = "ava"
greeting = ["Hello! ..."]      style = "..."      facts = ["..."]     (the last two go to a language model)
[[talk]]                       # what the scripted brain says when a pattern is found in a question
when = ["tell me a joke", "make me laugh"]
say = ["...", "..."]
after = "joke"                 # "another one", "more" comes back here

like = "ava" takes what a persona does not say itself from another one, and that one's [[talk]] after its own.
"""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

DEFAULT: Final = "ava"
_MOST_LIKE: Final = 4
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
Text = Annotated[str, Field(min_length=1, max_length=2_000)]


class PersonaError(Exception):
    """A persona file is not there or not right; the message says which and what to do."""


class Talk(BaseModel):
    """Patterns (regular expressions, searched in the plain lower-case question) and what is said then, one of `say`."""

    model_config = ConfigDict(extra="forbid")
    when: list[str] = Field(min_length=1)
    say: list[Text] = Field(min_length=1)
    topic: str = ""
    offers: str = ""

    @field_validator("when")
    @classmethod
    def _compile(cls, patterns: list[str]) -> list[str]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        return patterns


class Persona(BaseModel):
    """Who an avatar is."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=64)
    like: str = Field("", description="Persona from which the rest is taken.")
    voice: str = Field("af_heart", description="Kokoro voice.")
    face: str = Field("ava", description="Shipped person that is drawn.")
    greeting: list[Text] = Field(default_factory=list, description="Said to the first visitor, one of them.")
    style: str = Field("", max_length=4_000, description="How it talks; for a language model.")
    facts: list[Text] = Field(
        default_factory=list, description="What it knows of itself; for a language model."
    )
    fallback: list[Text] = Field(min_length=1, description="Said when nothing else fits.")
    apology: list[Text] = Field(min_length=1, description="Said when the language model does not answer.")
    talk: list[Talk] = Field(default_factory=list)

    def system_prompt(self) -> str:
        """The persona as instructions for a language model whose answer will be spoken."""
        known = "\n".join(f"- {fact}" for fact in self.facts)
        return (
            f"You are {self.name}, an avatar who talks live to visitors; what you write is spoken aloud. {self.style}\n"
            "Answer in one to three short sentences of plain speech: no markdown, lists, emoji or stage directions.\n"
            f"What you know about yourself:\n{known}"
        )


def load(name: str | None, folder: Path | None = None) -> Persona:
    """The persona `name` (None: the shipped default) from `folder` or among the shipped ones. Raises PersonaError."""
    told = _told(name or DEFAULT, folder)
    try:
        return Persona.model_validate(told)
    except ValidationError as error:
        raise PersonaError(f"the persona {name!r} is not right: {error}") from error


def shipped() -> list[str]:
    """Names of the shipped personas."""
    folder = resources.files("origin.dialogue").joinpath("personas")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def _told(name: str, folder: Path | None, depth: int = 0) -> dict[str, Any]:
    """What a persona's file says, and the ones that it is like."""
    if not _NAME.fullmatch(name):
        raise PersonaError(f"{name!r} is no persona's name: small letters, digits, - and _")
    own = folder / f"{name}.toml" if folder else None
    try:
        if own is not None and own.is_file():
            text = own.read_text("utf-8")
        else:
            text = resources.files("origin.dialogue").joinpath("personas", f"{name}.toml").read_text("utf-8")
    except FileNotFoundError:
        where = f" or {own}" if own else ""
        raise PersonaError(f"no persona {name!r} among the shipped ones{where}") from None
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PersonaError(f"the persona {name!r} is not right: {error}") from error
    like = told.get("like")
    if not isinstance(like, str) or not like:
        return told
    if depth == _MOST_LIKE:
        raise PersonaError(
            f"the persona {name!r} is like one that is like one ...: {_MOST_LIKE} steps at most"
        )
    other = _told(like, folder, depth + 1)
    own, others = told.get("talk", []), other.get("talk", [])
    if isinstance(own, list) and isinstance(others, list):
        told["talk"] = own + others
    return other | told
