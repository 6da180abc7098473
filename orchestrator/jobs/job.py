"""What a job is: as it is asked for, and as it is told."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from orchestrator.broadcasts import AvatarName

MOST_CHARACTERS = 20_000
"""Of a text: some twenty minutes of speech."""
PORTRAIT_SIZE, PERSON_SIZE = "512x512", "854x480"
_LEAST_SIDE, _MOST_SIDE = 64, 1920
_MOST_PIXELS = 1920 * 1080

_AVATAR = "ava"

UploadId = Annotated[str, Field(pattern=r"^up_[A-Za-z0-9]{16}$")]


def _size(text: str) -> str:
    width, height = map(int, text.split("x"))
    if not all(_LEAST_SIDE <= side <= _MOST_SIDE and side % 2 == 0 for side in (width, height)):
        raise ValueError(f"sides are even, of {_LEAST_SIDE} to {_MOST_SIDE} pixels")
    if width * height > _MOST_PIXELS:
        raise ValueError("no more than 1920x1080 pixels")
    return text


class JobState(enum.StrEnum):
    """How far a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Nothing more comes of it, unless somebody asks for it again."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


OPEN = (JobState.WAITING.value, JobState.RUNNING.value)
"""States of jobs that are not over, as SQL has them."""


class NewJob(BaseModel):
    """A film to be made: of an avatar or an image, from a text or a recording."""

    model_config = ConfigDict(extra="forbid")

    avatar: AvatarName | None = Field(
        None, description="A person or a package of the origins; `ava` when there is no image either."
    )
    image: UploadId | None = Field(None, description="An uploaded photo of one person, which then speaks.")
    text: str | None = Field(None, min_length=1, max_length=MOST_CHARACTERS, description="What is said.")
    audio: UploadId | None = Field(None, description="An uploaded recording of speech, in the place of text.")
    voice: str = Field(
        "auto",
        pattern=r"^(auto|kokoro|piper)(:[a-z0-9_-]{1,64})?$",
        description="Voice of a text: auto is the avatar's own.",
    )
    size: Annotated[str, Field(pattern=r"^[0-9]{2,4}x[0-9]{2,4}$"), AfterValidator(_size)] | None = Field(
        None,
        description=f"WIDTHxHEIGHT; {PORTRAIT_SIZE} of an image and {PERSON_SIZE} of an avatar when null.",
    )
    background: str = Field(
        "keep",
        pattern=r"^(keep|#[0-9a-fA-F]{6})$",
        description="What is behind the person: what its avatar or image has (keep), or a colour such as #00ff00.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.text is None) == (self.audio is None):
            raise ValueError("give one of text and audio")
        if self.avatar is not None and self.image is not None:
            raise ValueError("give avatar or image, not both")
        if self.text is not None and not self.text.strip():
            raise ValueError("text: there is nothing to say")
        return self

    @property
    def face(self) -> str | None:
        """The avatar that speaks; None: the image does."""
        return None if self.image is not None else self.avatar or _AVATAR

    @property
    def film_size(self) -> str:
        """WIDTHxHEIGHT of the film."""
        return self.size or (PORTRAIT_SIZE if self.image is not None else PERSON_SIZE)


class Job(BaseModel):
    """A job and how far it is."""

    id: str
    account: str | None = Field(description="The API key that made it; null: an operator did.")
    state: JobState
    avatar: str | None
    image: str | None
    text: str | None
    audio: str | None
    voice: str
    size: str
    background: str
    created_at: dt.datetime
    begun_at: dt.datetime | None
    ended_at: dt.datetime | None
    ahead: int | None = Field(
        None, description="Jobs that were there before it and wait too; null when it does not wait."
    )
    node: str | None = Field(description="The origin that makes it, or made it.")
    step: str = Field(description="What is being done, for people.")
    share: float = Field(description="How much of that is done, 0..1.")
    attempts: int = Field(description="How often an origin began it.")
    error: str | None = Field(description="Why there is no film.")
    size_bytes: int | None = Field(description="Of the film.")
    result: str | None = Field(
        None,
        description="The film (MP4): a link that needs no token and is valid for 24 hours. Ask again for a new one.",
    )
    result_until: dt.datetime | None = Field(None, description="The film is deleted then.")


class Upload(BaseModel):
    """A file that was uploaded."""

    id: str
    kind: str = Field(description="image or audio.")
    format: str = Field(description="What it was found to be, such as jpg or wav.")
    size_bytes: int
    created_at: dt.datetime
    expires_at: dt.datetime = Field(description="It is deleted then, unless a job waits for it.")
