"""The list of recordings, the newest first: an object of the store for each, whose names are in that order."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ValidationError

from common.recordings import CATALOGUE, RecordingView, place
from common.store.store import NotStored, Store, is_word, whole
from hls.store.gallery import POSTER, STORYBOARD
from hls.store.recording import Recording, State, is_private, started_of

PREFIX = CATALOGUE
FILM = "recording.mp4"
_MOST_ENTRY_BYTES = 64 << 10
_NAME = re.compile(r"catalogue/\d{10}\.[A-Za-z0-9._-]+\.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """A recording and the name of its entry, by which the list is sorted."""

    name: str
    view: RecordingView


def entry_of(recording: Recording, paused: str | None = None) -> Entry:
    """The entry of a recording as it is now."""
    sent = sum(file.size_bytes for file in recording.files.values() if file.sent)
    total = sum(file.size_bytes for file in recording.files.values())
    base = f"/{recording.path}"
    view = RecordingView(
        id=recording.id,
        broadcast=recording.broadcast,
        started=recording.started,
        state=recording.state.value,
        progress=1.0 if recording.state is State.DONE else round(sent / total, 3) if total else 0.0,
        duration_s=round(recording.duration_s, 3),
        size_bytes=recording.size_bytes,
        lost_segments=recording.lost,
        paused=paused if recording.state is State.LIVE else None,
        renditions=sorted(recording.tracks),
        private=is_private(recording.id),
        play=f"{base}/index.m3u8",
        film=f"{base}/{FILM}" if recording.film_bytes else None,
        film_bytes=recording.film_bytes,
        poster=f"{base}/{POSTER}" if recording.pictured else None,
        storyboard=f"{base}/{STORYBOARD}" if recording.pictured else None,
    )
    return Entry(recording.catalogue_name, view)


def listed(store: Store, after: str, limit: int) -> list[Entry]:
    """The entries that a store has after the name `after`. One that cannot be read is left out. Raises StoreError."""
    found = []
    for one in store.names(PREFIX, after, limit):
        if not _NAME.fullmatch(one.name):
            continue
        try:
            view = RecordingView.model_validate_json(whole(store, one.name, _MOST_ENTRY_BYTES))
        except (ValidationError, NotStored):
            continue
        found.append(Entry(one.name, view))
    return found


def stored_entry(store: Store, name: str) -> RecordingView | None:
    """The entry of one recording in a store; None when there is none that can be read. Raises StoreError."""
    try:
        return RecordingView.model_validate_json(whole(store, name, _MOST_ENTRY_BYTES))
    except (ValidationError, NotStored):
        return None


def name_of(broadcast: str, id: str) -> str:
    """The name of a recording's entry. Raises ValueError for what cannot be a recording's id."""
    if not (is_word(broadcast) and is_word(id)):
        raise ValueError(f"{id!r} is no recording's id")
    return place(broadcast, id, started_of(id))
