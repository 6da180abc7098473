"""From the spool into the store: segments as they come, playlists now and then, and what a recording that has ended is finished with.

segments ─► playlists, film, poster ─► storyboard ─► entry "finished" ─► nothing of it is kept here"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from common.log import log
from common.store.store import BRIEF, FINAL, IMMUTABLE, Store, Stream, content_type
from hls.store.catalogue import FILM, entry_of
from hls.store.film import Film
from hls.store.gallery import POSTER, Gallery, tiles_of
from hls.store.ongoing import Ongoing
from hls.store.outbox import Item
from hls.store.recording import KEY_FRAMES, Recording, State
from hls.store.spool import Spool
from hls.store.uploader import Uploader

_log = log("hls.recorder")

_STORED_EVERY_S: Final = 30.0
"""So often the playlists of a running broadcast are renewed in the store."""


class _Step(enum.Enum):
    """How far a recording is on its way into the store."""

    SEGMENTS = enum.auto()
    LISTS = enum.auto()
    """All segments are there; playlists, film and poster are on their way."""
    STORYBOARD = enum.auto()
    """So are they, and the storyboard, which came of making the poster, is on its way."""
    ENTRY = enum.auto()
    """So is what says that it is whole."""


@dataclass(slots=True)
class _Way:
    step: _Step = _Step.SEGMENTS
    stored_at: float = float("-inf")
    left: dict[str, Item] = field(default_factory=dict)
    """What this step still puts."""
    film: Film | None = None
    gallery: Gallery | None = None


class Publisher:
    """Used under the recorder's lock. `read` gives a file of a recording by its path and name, to any thread; `sent` hears of each
    item that the store has, from threads of the uploader. `film`: each recording is kept as one MP4 too. Film and pictures are made on the
    uploader's threads, one thread each."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        read: Callable[[str, str], bytes],
        sent: Callable[[Item], None],
        *,
        film: bool,
        clock: Callable[[], float],
        parallel: int,
    ) -> None:
        self._spool = spool
        self._read = read
        self._film = film
        self._clock = clock
        self._ways: dict[str, _Way] = {}
        self._uploader = Uploader(store, sent, parallel=parallel, clock=clock)

    @property
    def waiting(self) -> int:
        """Objects that are not in the store yet."""
        return self._uploader.waiting

    def close(self, wait_s: float) -> None:
        """Begins nothing more; waits at most `wait_s` for what is on its way."""
        self._uploader.close(wait_s)

    def send(self, recording: Recording, name: str) -> None:
        """A file of the recording is in the spool: puts it."""
        path = f"{recording.path}/{name}"
        rendition = name.partition("/")[0]
        self._uploader.add(Item(path, self._spool.path(path), content_type(name, rendition), IMMUTABLE))

    def cancel(self, path: str) -> None:
        """Does not put this file of a recording."""
        self._uploader.cancel(path)

    def sent(self, one: Ongoing, item: Item) -> None:
        """The store has an item of a recording."""
        name = item.name.removeprefix(f"{one.recording.path}/")
        if name in one.recording.files:
            one.note({"op": "sent", "name": name})
        way = self._way(one)
        if way.left.get(item.name) is item:
            del way.left[item.name]
            if not way.left:
                self._next_step(one, way)

    def look(self, one: Ongoing, paused: str | None) -> None:
        """Puts what is due: playlists of one that runs; of one that has ended, once all its segments are there, the rest."""
        recording, way, now = one.recording, self._way(one), self._clock()
        if recording.state is State.LIVE:
            if one.changed and now >= way.stored_at + _STORED_EVERY_S:
                way.stored_at, one.changed = now, False
                for item in [*_playlists(recording, BRIEF), _entry(recording, paused)]:
                    self._uploader.add(item)
        elif recording.state is State.ENDED and not recording.unsent and way.step is _Step.SEGMENTS:
            items = [*_playlists(recording, FINAL), _entry(recording, paused)]
            way.film = self._film_of(recording)
            if way.film:
                name = f"{recording.path}/{FILM}"
                items.append(Item(name, Stream(way.film.chunks), content_type(FILM), IMMUTABLE))
            tiles = tiles_of(recording.scenes())
            if tiles:
                way.gallery = Gallery(tiles, partial(self._read, recording.path))
                items.append(_picture(recording, POSTER, Stream(way.gallery.poster)))
            self._put(way, _Step.LISTS, items)

    def forget(self, one: Ongoing) -> None:
        """Puts nothing more of a recording."""
        self._uploader.cancel_below(f"{one.recording.path}/")
        self._uploader.cancel(one.recording.catalogue_name)
        self._ways.pop(one.recording.path, None)

    def _way(self, one: Ongoing) -> _Way:
        return self._ways.setdefault(one.recording.path, _Way())

    def _put(self, way: _Way, step: _Step, items: Iterable[Item]) -> None:
        way.step, way.left = step, {item.name: item for item in items}
        for item in way.left.values():
            self._uploader.add(item)

    def _next_step(self, one: Ongoing, way: _Way) -> None:
        """All that this step puts is there. The entry that says so comes last; then this machine keeps nothing of the recording."""
        recording = one.recording
        if way.step is _Step.ENTRY:
            one.note({"op": "done"})
            _log.info("recording_stored", broadcast=recording.broadcast, recording=recording.id)
            return
        if way.step is _Step.LISTS and way.film:
            one.note({"op": "film", "size": way.film.size_bytes})
        pictures = way.gallery.rest if way.gallery else {}
        if way.step is _Step.LISTS and pictures:
            items = [_picture(recording, name, body) for name, body in pictures.items()]
            self._put(way, _Step.STORYBOARD, items)
            return
        if pictures:
            one.note({"op": "pictures"})
        self._put(way, _Step.ENTRY, [_entry(recording, None, State.DONE)])

    def _film_of(self, recording: Recording) -> Film | None:
        video, sound = recording.pieces("v"), recording.pieces("a")
        if not self._film or not (video or sound):
            return None
        return Film(video, sound, partial(self._read, recording.path))


def _playlists(recording: Recording, lifetime: str) -> list[Item]:
    texts = {"index.m3u8": recording.multivariant()}
    for name in recording.tracks:
        texts[f"{name}/index.m3u8"] = recording.stored(name)
        keys = recording.key_frames(name)
        if keys:
            texts[f"{name}/{KEY_FRAMES}"] = keys
    kind = content_type("index.m3u8")
    return [Item(f"{recording.path}/{name}", text.encode(), kind, lifetime) for name, text in texts.items()]


def _picture(recording: Recording, name: str, body: bytes | Stream) -> Item:
    return Item(f"{recording.path}/{name}", body, content_type(name), FINAL)


def _entry(recording: Recording, paused: str | None, state: State | None = None) -> Item:
    entry = entry_of(recording, paused)
    view = entry.view if state is None else entry.view.model_copy(update={"state": state, "progress": 1.0})
    return Item(entry.name, view.model_dump_json().encode(), "application/json", "no-store")
