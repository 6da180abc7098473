"""A recording as packagers list it, orchestrators pass it on, and pages show it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

CATALOGUE = "catalogue/"


class RecordingView(BaseModel):
    """One recording of a broadcast. Paths are below the packager's, or the CDN's, base URL."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(max_length=64)
    broadcast: str = Field(max_length=128)
    started: str = Field(description="When its first picture was taken, ISO 8601.", max_length=40)
    state: str = Field(description="recording, finishing or finished.", max_length=16)
    progress: float = Field(1.0, ge=0, le=1, description="Part of its bytes that is in the store.")
    duration_s: float = Field(ge=0)
    size_bytes: int = Field(ge=0, description="Of all renditions.")
    lost_segments: int = Field(
        0, ge=0, description="Segments that were broadcast and could not be kept; they are gaps."
    )
    paused: str | None = Field(None, description="Why nothing is recorded at the moment.", max_length=200)
    renditions: list[str] = Field(default_factory=list, max_length=64)
    private: bool = Field(
        False,
        description="Whoever watches it needs a token; the paths here have one that is good for six to seven hours.",
    )
    play: str = Field(description="Path of its multivariant playlist.", max_length=400)
    film: str | None = Field(None, description="Path of the MP4, once there is one.", max_length=400)
    film_bytes: int = Field(0, ge=0)
    poster: str | None = Field(None, description="Path of a JPEG that stands for it.", max_length=400)
    storyboard: str | None = Field(
        None,
        description="Path of a WebVTT file: which part of which JPEG beside it belongs to which time.",
        max_length=400,
    )


def place_of(one: RecordingView) -> str:
    """Where a recording is in the list of all: the names sort the newest first."""
    return place(one.broadcast, one.id, datetime.fromisoformat(one.started).timestamp())


def place(broadcast: str, id: str, started_s: float) -> str:
    """The name of the object that lists a recording; `started_s` since 1970."""
    return f"{CATALOGUE}{9_999_999_999 - int(started_s):010d}.{broadcast}.{id}.json"


def second_of(place: str) -> str:
    """A place without the names in it: before all of its second."""
    return place.partition(".")[0] + "."


class RecordingList(BaseModel):
    """Recordings, the newest first; `next` is where the next page begins."""

    recordings: list[RecordingView] = Field(max_length=1000)
    next: str | None = None
