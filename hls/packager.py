"""One broadcast: access units in, snapshots for the edge out. Time is an argument; the edge is the only thing it touches.

A tick every few hundredths of a second keeps the clock going when the source does not: gap parts for video, silence for sound."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from common.log import log
from hls import captions
from hls.abreast import Abreast
from hls.captions import Caption, Captions
from hls.grid import AUDIO_RATE, VIDEO_RATE, Grid, first_msn, ticks
from hls.layers import Layers
from hls.playlist import DateRange, key_frames_name, multivariant
from hls.playlist.profile import session_data
from hls.rendition import LEADING_GAPS, Changes, Rendition
from hls.shelf import Shelf
from hls.sound import Sound
from hls.sources import AccessUnit
from hls.sync import WallClock
from hls.track import Event, SegmentStart

_log = log("hls.packager")

_VIDEO_WAIT_MS = 1500
"""A stream with sound and no picture for this long begins as an audio broadcast; pictures that come later lead it from then on."""
_AUDIO_WAIT_MS = 1000
"""A stream with pictures and no sound for this long begins as a video broadcast; sound that comes later joins it."""
_PACKAGED = ("h264", "opus")


class Shape(enum.Enum):
    """What a broadcast consists of. GATHERING until that is known -> VIDEO (with or without sound) or AUDIO; AUDIO -> VIDEO when pictures
    come; all -> ENDED."""

    GATHERING = enum.auto()
    VIDEO = enum.auto()
    AUDIO = enum.auto()
    ENDED = enum.auto()


class Packager:
    """Packages the stream `stream`. `ask_key_frame` is called when the publisher should send one. Nothing here blocks for more than
    the milliseconds that encoding 20 ms of sound takes."""

    def __init__(
        self,
        stream: str,
        grid: Grid,
        window_s: float,
        shelf: Shelf,
        ask_key_frame: Callable[[], None],
        now_ms: float,
        msn: int | None = None,
        language: str | None = None,
        *,
        opus: bool = False,
    ) -> None:
        """`msn`: number of the first segment, after the gap segments that lead in; counted from the clock when None. `language` of the
        captions that are to come; when None, a rendition of them begins with the first. `opus`: sound is there as Opus too."""
        self.stream = stream
        self.shape = Shape.GATHERING
        self._grid = grid
        self._window_s = window_s
        self._shelf = shelf
        self._ask_key_frame = ask_key_frame
        self._first_ms: float | None = None
        self._wall = WallClock()
        self._seen: set[str] = set()
        self._waiting: list[tuple[float, AccessUnit]] = []
        self._indexes: dict[str, str] = {}
        self._unsupported: set[str] = set()
        self._mode: str | None = None
        # The gap segments that lead in are numbered too.
        self._msn = first_msn(round(now_ms)) + LEADING_GAPS if msn is None else msn
        self._layers: Layers | None = None
        self._sound: Sound | None = None
        self._abreast = Abreast()
        self._opus = opus
        self._captions = Captions(grid, window_s, language) if language else None
        self._session = session_data(grid)
        shelf.open(stream, part_target_ms=grid.part_ms, target_duration_s=grid.target_duration_s)

    @property
    def live(self) -> bool:
        """Something is in the playlists."""
        return bool(self._indexes)

    def push(self, unit: AccessUnit, now_ms: float) -> None:
        """Takes an access unit that arrived at `now_ms`."""
        if self.shape is Shape.ENDED or not self._supported(unit):
            return
        if self._first_ms is None:
            self._first_ms = now_ms
            # The tap begins with a key frame: without one, a stream with pictures would look like one without.
            self._ask_key_frame()
        self._seen.add(unit.kind)
        if self.shape is Shape.GATHERING:
            self._waiting.append((now_ms, unit))
            self._decide(now_ms)
        else:
            self._take(unit, now_ms)

    def tick(self, now_ms: float) -> None:
        """Keeps the timeline going and asks for key frames. Call it every 20 to 40 ms."""
        if self.shape is Shape.ENDED:
            return
        if self.shape is Shape.GATHERING:
            self._decide(now_ms)
            return
        if self._layers:
            self._govern(self._layers, now_ms)
            self._show_video(self._layers, self._layers.tick(now_ms), now_ms)
        if self._sound:
            self._show_sound(self._sound, self._sound.tick(now_ms), now_ms)

    def caption(self, said: Caption, now_ms: float) -> None:
        """Takes what begins to be heard, and arrived at `now_ms`."""
        if self.shape is Shape.ENDED:
            return
        cue = captions.placed(said, self._wall.shift_ms, now_ms)
        if cue is None:
            return
        if self._captions is None:
            language = said.language or captions.UNKNOWN_LANGUAGE
            self._captions = Captions(self._grid, self._window_s, language)
            _log.info("captions_joined", stream=self.stream, language=language)
        self._captions.say(cue)

    def set_mode(self, mode: str, now_ms: float) -> None:
        """Tells viewers how to watch from now on, when that changes: a date range of class "avacast.mode" with X-MODE."""
        before, self._mode = self._mode, mode
        if before in (None, mode):
            return
        for rendition in self._renditions():
            start = ticks(now_ms, rendition.rate)
            rendition.announce(DateRange(f"mode-{round(now_ms)}", "avacast.mode", start, (("MODE", mode),)))

    def end(self) -> None:
        """Finishes the playlists with EXT-X-ENDLIST. They stay on the shelf until `discard`."""
        if self._layers:
            self._show_video(self._layers, self._layers.end(), math.inf)
        if self._sound:
            self._show_sound(self._sound, self._sound.end(), math.inf)
        if self._captions:
            until, rate = self._led_until
            self._show([(self._captions.rendition, self._captions.end(until, rate))])
        for rendition in self._renditions():
            self._put(rendition, [], ended=True)
        self._show_index()
        self.shape = Shape.ENDED

    def discard(self) -> None:
        """Takes the stream from the shelf."""
        self._shelf.close(self.stream)

    def stats(self) -> dict[str, object]:
        """Counters and rates of this broadcast."""
        return {
            "shape": self.shape.name.lower(),
            "video": self._layers.stats() if self._layers else None,
            "sound": self._sound.stats() if self._sound else None,
            "late_captions": self._captions.late if self._captions else 0,
            "bandwidth_bps": {rendition.name: rendition.bandwidth_bps for rendition in self._renditions()},
        }

    def _supported(self, unit: AccessUnit) -> bool:
        if unit.codec in _PACKAGED:
            return True
        if unit.codec not in self._unsupported:
            self._unsupported.add(unit.codec)
            _log.warning("codec_not_packaged", stream=self.stream, codec=unit.codec, packaged=_PACKAGED)
        return False

    def _decide(self, now_ms: float) -> None:
        """Which kind of broadcast this is; then what has been waiting goes through."""
        waited_ms = now_ms - self._first_ms if self._first_ms is not None else 0
        if "video" in self._seen and ("audio" in self._seen or waited_ms > _AUDIO_WAIT_MS):
            self.shape = Shape.VIDEO
            self._layers = Layers(self._grid, self._window_s, self._msn)
        elif "audio" in self._seen and waited_ms > _VIDEO_WAIT_MS:
            self.shape = Shape.AUDIO
        else:
            return
        if "audio" in self._seen:
            self._begin_sound(self._msn if self.shape is Shape.AUDIO else None)
        _log.info("packaging", stream=self.stream, shape=self.shape.name.lower(), part_ms=self._grid.part_ms)
        waiting, self._waiting = self._waiting, []
        for arrived_ms, unit in waiting:
            self._take(unit, arrived_ms)

    def _take(self, unit: AccessUnit, now_ms: float) -> None:
        media_ms = unit.time * 1000 / unit.clock_rate
        wall_ms = self._wall.of((unit.kind, unit.layer), unit.ntp_ms, media_ms, now_ms)
        if unit.kind == "audio":
            sound = self._sound or self._begin_sound(None)
            self._show_sound(sound, sound.push(unit, wall_ms, now_ms), now_ms)
            return
        if self._layers is None:
            assert self._sound is not None, "a broadcast without pictures has sound"
            elder = next(iter(self._sound.renditions.values()))
            self._layers = Layers(self._grid, self._window_s, self._sound.yield_lead(), elder)
            self.shape = Shape.VIDEO
            _log.info("pictures_joined", stream=self.stream)
        self._show_video(self._layers, self._layers.push(unit, wall_ms, now_ms), now_ms)
        self._govern(self._layers, now_ms)

    def _begin_sound(self, lead_msn: int | None) -> Sound:
        elder = self._layers.elder if self._layers else None
        self._sound = Sound(self._grid, self._window_s, lead_msn, elder, opus=self._opus)
        return self._sound

    def _govern(self, layers: Layers, now_ms: float) -> None:
        if layers.wants_key_frame(now_ms):
            self._ask_key_frame()

    def _show_video(self, layers: Layers, changes: Changes, now_ms: float) -> None:
        boundaries = layers.boundaries()
        self._show_abreast(changes, now_ms)
        if self._sound:
            self._show(self._sound.follow(boundaries, layers.decided))
        if self._captions:
            events = self._captions.follow(boundaries, layers.decided, layers.elder)
            self._show_abreast([(self._captions.rendition, events)] if events else [], now_ms)

    def _show_sound(self, sound: Sound, changes: Changes, now_ms: float) -> None:
        self._show(changes)
        if self._layers is not None:
            self._show_abreast([], now_ms)
            return
        if self._captions is None:
            return
        rendition, events = changes[0] if changes else (None, [])
        boundaries = [event for event in events if isinstance(event, SegmentStart)]
        events = self._captions.follow(boundaries, sound.cursor, rendition, AUDIO_RATE)
        self._show([(self._captions.rendition, events)])

    def _show_abreast(self, changes: Changes, now_ms: float) -> None:
        """Takes `changes` of pictures, and shows those for which there is sound."""
        self._abreast.push(changes, now_ms)
        self._show(self._abreast.due(self._sound.cursor if self._sound else 0, now_ms))

    @property
    def _led_until(self) -> tuple[int, int]:
        """Where the leader is, and the rate of its clock."""
        if self._layers:
            return self._layers.decided, VIDEO_RATE
        return (self._sound.cursor if self._sound else 0), AUDIO_RATE

    def _show(self, changes: Changes) -> None:
        for rendition, events in changes:
            self._put(rendition, events)
        if any(events for _, events in changes):
            self._show_index()

    def _renditions(self) -> list[Rendition]:
        """Those that have media."""
        found = self._layers.renditions if self._layers else []
        if self._sound:
            found += self._sound.renditions.values()
        if self._captions:
            found = [*found, self._captions.rendition]
        return [one for one in found if one.newest is not None]

    def _put(self, rendition: Rendition, events: list[Event], *, ended: bool = False) -> None:
        if not (events or ended):
            return
        reports = [one.report for one in self._renditions() if one is not rendition and one.report]
        snapshot = rendition.snapshot(events, reports, ended=ended)
        if snapshot is not None:
            self._shelf.put(self.stream, snapshot)

    def _show_index(self) -> None:
        """The multivariant playlists, once every rendition has its first part, and whenever they change."""
        videos = self._layers.variants() if self._layers else []
        audios = self._sound.described() if self._sound else []
        if (self._layers and not videos) or (self._sound and len(audios) < len(self._sound.renditions)):
            return
        subtitles = self._captions.described() if self._captions else None
        if self._captions and not subtitles and not self._indexes:
            return
        independent = self._layers is None or self._layers.independent
        texts = {
            name: multivariant(
                videos,
                audios,
                name,
                independent=independent,
                subtitles=subtitles,
                session=self._session,
            )
            for name in ("index.m3u8", "plain.m3u8")
        }
        for rendition in self._layers.renditions if self._layers else []:
            if text := rendition.playlist.key_frames(rendition.name):
                texts[key_frames_name(rendition.name)] = text
        changed = [(name, text.encode()) for name, text in texts.items() if text != self._indexes.get(name)]
        if changed:
            self._indexes = texts
            self._shelf.put_index(self.stream, changed)
