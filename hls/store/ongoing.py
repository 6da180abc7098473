"""A recording that is not whole in the store yet: what has happened to it so far, and its journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from common.log import log
from hls.store.journal import Journal, JournalFull, Op, line_of
from hls.store.recording import Recording, State

_log = log("hls.recorder")


@dataclass(slots=True)
class Ongoing:
    """`note` is the only way in, so that journal and recording never differ."""

    recording: Recording
    journal: Journal
    dirty: bool = True
    """Its journal has lines that must not be lost."""
    changed: bool = True
    """Its playlists are others than those in the store."""
    expired: dict[str, float] = field(default_factory=dict)
    """Seconds of each rendition that nobody will ask for again."""
    told: Callable[[bytes], None] | None = None
    """Hears each line of the journal."""
    ended_at: float | None = None
    """When it ended, by the recorder's clock."""
    waits_until: float | None = None
    """An earlier process was recording it: by then its broadcast must be here again, or it has ended."""

    def note(self, op: Op) -> None:
        """Something has happened to it."""
        live = self.recording.state is State.LIVE
        self.recording.apply(op)
        if self.told and live:
            self.told(line_of(op))
        self.changed = True
        self.dirty = self.dirty or op["op"] != "sent"
        try:
            self.journal.note(op)
        except JournalFull as error:
            _log.error("journal_full", recording=self.recording.id, reason=str(error))

    def flush(self) -> None:
        """What was noted is on the disk when this returns. Raises OSError; then it is kept for the next time."""
        self.journal.flush(sync=self.dirty)
        self.dirty = False
