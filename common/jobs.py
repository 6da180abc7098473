"""Jobs: films of an avatar that speaks, made while nobody waits for them. What orchestrators and origins say to each other about one.

An origin that has room asks for a job, holds it by a lease that each word of progress renews, and hands in the film, or says why
there is none. `attempt` is the fence: who lost a job to another speaks of an attempt that is over, and is told to stop.
"""

from __future__ import annotations

import enum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LEASE_S = 30.0
PROGRESS_S = 3.0
"""An origin tells how far a job is so often."""
MOST_FILM_BYTES = 4 << 30
MOST_WHY = 500

Attempt = Annotated[int, Field(ge=1, le=2**31 - 1)]


class UploadKind(enum.StrEnum):
    """What an upload is for."""

    IMAGE = "image"
    AUDIO = "audio"


class JobOrder(BaseModel):
    """What a film is made of: a face by name or (None) by its image, and words, or (None) a recording of speech."""

    model_config = ConfigDict(frozen=True)

    avatar: str | None
    text: str | None
    voice: str
    width: int
    height: int
    background: str
    image: str | None = None
    """The ending of the image's name, such as `jpg`."""
    audio: str | None = None


class TakenJob(BaseModel):
    """A job that an origin has from now on."""

    id: str
    attempt: Attempt
    order: JobOrder


class JobWish(BaseModel):
    """An origin has room."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(min_length=1, max_length=64)


class JobChance(BaseModel):
    """What there is for it."""

    job: TakenJob | None


class JobProgress(BaseModel):
    """How far a job is."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(min_length=1, max_length=64)
    attempt: Attempt
    step: str = Field(max_length=64)
    share: float = Field(ge=0, le=1, allow_inf_nan=False, description="Of the step.")


class JobGoing(BaseModel):
    """Whether the origin is to go on."""

    go_on: bool


class JobOutcome(enum.StrEnum):
    """How an origin ends a job that has no film."""

    FAILED = "failed"
    """Another origin would fail too."""
    GIVEN_BACK = "given_back"
    """This origin ends."""


class JobEnd(BaseModel):
    """An origin ends a job without a film."""

    model_config = ConfigDict(extra="forbid")

    node: str = Field(min_length=1, max_length=64)
    attempt: Attempt
    outcome: JobOutcome
    why: str = Field("", max_length=MOST_WHY)
