"""One broadcast: access units in, snapshots for the edge out. Time is an argument; the edge is the only thing it touches.

A tick every few hundredths of a second keeps the clock going when the source does not: gap parts for video, silence for audio."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from common.log import log
from hls import fmp4, h264
from hls.aac import CODEC as AAC
from hls.aac import Transcoder
from hls.governor import KeyFrameGovernor
from hls.grid import AUDIO_RATE, VIDEO_RATE, Grid, first_msn, ticks, unix_ms
from hls.playlist import AudioRendition, DateRange, Variant, multivariant
from hls.rendition import Rendition, Snapshot
from hls.segmenter import AudioSegmenter, Event, SegmentStart, VideoSegmenter
from hls.sync import TrackClock, WallClock

_log = log("hls.packager")

BITRATES_BPS = (128_000, 64_000)
_VIDEO_WAIT_MS = 1500
"""A stream with sound and no picture for this long is an audio broadcast."""
_AUDIO_WAIT_MS = 1000
"""A stream with pictures and no sound for this long is a video broadcast; sound that comes later joins it."""
_GRACE_PARTS = 1.5
"""A source may be this many parts late before gap parts take its place. Players hold back three."""
_SILENCE_AFTER_MS = 160
"""Sound that is this late, against what is usual for the stream, becomes silence."""
_DELAY_DECAY = 0.999
_MOST_DELAY_MS = 1500
_LAYER_SILENT_MS = 2000
_LEVEL_STEP = 1.2
"""Another layer of the video must have this many times the pixels to be taken instead."""


class AccessUnit(Protocol):
    """One coded picture (Annex-B H.264) or one Opus packet, as `Tap.drain()` gives it. `time` in ticks of `clock_rate`,
    `ntp_ms` is the wall clock of its capture."""

    @property
    def kind(self) -> str: ...
    @property
    def layer(self) -> int: ...
    @property
    def codec(self) -> str: ...
    @property
    def time(self) -> int: ...
    @property
    def clock_rate(self) -> int: ...
    @property
    def ntp_ms(self) -> float: ...
    @property
    def key_frame(self) -> bool: ...
    @property
    def data(self) -> bytes: ...
    @property
    def lost_before(self) -> bool: ...


class Shelf(Protocol):
    """Where snapshots go: `common._native.Edge`."""

    def open(self, stream: str, *, part_target_ms: int, target_duration_s: int) -> None: ...

    def put_index(self, stream: str, name: str, body: bytes) -> None: ...

    def put(
        self,
        stream: str,
        rendition: str,
        *,
        msn: int,
        part: int,
        live: bytes,
        delta: bytes | None = None,
        plain: bytes | None = None,
        media: list[tuple[str, bytes]] = ...,
        joined: list[tuple[str, list[str]]] = ...,
        dropped: list[str] = ...,
        hint: str | None = None,
        ended: bool = False,
    ) -> None: ...

    def close(self, stream: str) -> bool: ...


class Shape(enum.Enum):
    """What a broadcast consists of: GATHERING until it is known, then VIDEO (with or without sound) or AUDIO."""

    GATHERING = enum.auto()
    VIDEO = enum.auto()
    AUDIO = enum.auto()


@dataclass(slots=True)
class _Delay:
    """How late units arrive against their capture time: the recent maximum, slowly forgotten."""

    value_ms: float = 0.0

    def saw(self, late_ms: float) -> None:
        self.value_ms = max(late_ms, self.value_ms * _DELAY_DECAY)

    @property
    def bounded_ms(self) -> float:
        return min(self.value_ms, _MOST_DELAY_MS)


@dataclass(slots=True)
class _Sound:
    """The audio of a broadcast: one transcoder, a rendition for each bitrate."""

    transcoder: Transcoder
    clock: TrackClock = field(default_factory=lambda: TrackClock(AUDIO_RATE))
    segmenters: dict[int, AudioSegmenter] = field(default_factory=dict)
    renditions: dict[int, Rendition] = field(default_factory=dict)
    delay: _Delay = field(default_factory=_Delay)
    origin: int = 0


@dataclass(slots=True)
class _Picture:
    """The video of a broadcast: the layer that is packaged."""

    segmenter: VideoSegmenter
    governor: KeyFrameGovernor
    rendition: Rendition
    clock: TrackClock = field(default_factory=lambda: TrackClock(VIDEO_RATE))
    delay: _Delay = field(default_factory=_Delay)
    layer: int | None = None
    sps: bytes = b""
    pps: bytes = b""
    sets: h264.ParameterSets | None = None
    last_ms: float = 0.0
    last_at: int | None = None


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
    ) -> None:
        self.stream = stream
        self.shape = Shape.GATHERING
        self.broken_units = 0
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
        self._modes = 0
        msn = first_msn(round(now_ms)) + 3
        self._msn = msn
        self._picture = _Picture(
            VideoSegmenter(grid, msn), KeyFrameGovernor(grid), Rendition("v0", grid, VIDEO_RATE, window_s)
        )
        self._sound: _Sound | None = None
        shelf.open(stream, part_target_ms=grid.part_ms, target_duration_s=grid.target_duration_s)

    @property
    def live(self) -> bool:
        """Something is in the playlists."""
        return bool(self._indexes)

    def push(self, unit: AccessUnit, now_ms: float) -> None:
        """Takes an access unit that arrived at `now_ms`."""
        if self._first_ms is None:
            self._first_ms = now_ms
        if not self._supported(unit):
            return
        self._seen.add(unit.kind)
        if self.shape is Shape.GATHERING:
            self._waiting.append((now_ms, unit))
            self._decide(now_ms)
        elif unit.kind == "audio":
            self._push_audio(unit, now_ms)
        elif self.shape is Shape.VIDEO:
            self._push_video(unit, now_ms)

    def tick(self, now_ms: float) -> None:
        """Keeps the timeline going and asks for key frames. Call it every 20 to 40 ms."""
        if self.shape is Shape.GATHERING:
            self._decide(now_ms)
            return
        if self.shape is Shape.VIDEO:
            picture = self._picture
            self._govern(now_ms)
            grace_ms = picture.delay.bounded_ms + _GRACE_PARTS * self._grid.part_ms
            if picture.segmenter.segment_start is not None or picture.rendition.newest is not None:
                self._show_video(picture.segmenter.overdue(ticks(now_ms - grace_ms, VIDEO_RATE)))
        if self._sound and self._sound.transcoder.cursor is not None:
            late_ms = self._sound.delay.bounded_ms + _SILENCE_AFTER_MS
            self._show_audio(self._sound.transcoder.fill(ticks(now_ms - late_ms, AUDIO_RATE)))

    def set_mode(self, mode: str, now_ms: float) -> None:
        """Tells viewers how to watch from now on: a date range of class "avacast.mode" with X-MODE."""
        if mode == self._mode:
            return
        first, self._mode = self._mode is None, mode
        if first:
            return
        self._modes += 1
        for rendition in self._renditions():
            start = ticks(now_ms, rendition.rate)
            identity = f"mode-{round(now_ms)}-{self._modes}"
            rendition.announce(DateRange(identity, "avacast.mode", start, (("MODE", mode),)))

    def end(self) -> None:
        """Finishes the playlists with EXT-X-ENDLIST. They stay on the shelf until `discard`."""
        if self._indexes:
            if self.shape is Shape.VIDEO:
                self._show_video(self._picture.segmenter.end())
            if self._sound:
                for bitrate, segmenter in self._sound.segmenters.items():
                    segmenter.decide(2**62)
                    self._put(self._sound.renditions[bitrate], segmenter.end())
            for rendition in self._renditions():
                self._put(rendition, [], ended=True)
        self.shape = Shape.GATHERING
        self._indexes.clear()

    def discard(self) -> None:
        """Takes the stream from the shelf."""
        self._shelf.close(self.stream)

    def stats(self) -> dict[str, object]:
        """Counters and rates of this broadcast."""
        segmenter = self._picture.segmenter
        sound = self._sound
        return {
            "shape": self.shape.name.lower(),
            "dropped_pictures": segmenter.dropped,
            "hard_cuts": segmenter.hard_cuts,
            "gap_parts": self._picture.rendition.gap_parts,
            "key_frame_requests": self._picture.governor.requests,
            "clock_steps": max(0, self._picture.clock.steps),
            "silence_s": round(sound.transcoder.silence_samples / AUDIO_RATE, 3) if sound else 0.0,
            "broken_units": self.broken_units + (sound.transcoder.broken_packets if sound else 0),
            "delay_ms": round(self._picture.delay.value_ms, 1),
            "bandwidth_bps": {rendition.name: rendition.bandwidth_bps for rendition in self._renditions()},
        }

    def _supported(self, unit: AccessUnit) -> bool:
        if unit.codec in ("h264", "opus"):
            return True
        if unit.codec not in self._unsupported:
            self._unsupported.add(unit.codec)
            _log.warning("codec_not_packaged", stream=self.stream, codec=unit.codec, packaged="h264, opus")
        return False

    def _decide(self, now_ms: float) -> None:
        """Which kind of broadcast this is; then what has been waiting goes through."""
        if self._first_ms is None:
            return
        waited_ms = now_ms - self._first_ms
        both = {"video", "audio"} <= self._seen
        if both or ("video" in self._seen and waited_ms > _AUDIO_WAIT_MS):
            self.shape = Shape.VIDEO
        elif "audio" in self._seen and waited_ms > _VIDEO_WAIT_MS:
            self.shape = Shape.AUDIO
        else:
            return
        if "audio" in self._seen:
            self._add_sound()
        waiting, self._waiting = self._waiting, []
        for arrived_ms, unit in waiting:
            if unit.kind == "audio":
                self._push_audio(unit, arrived_ms)
            elif self.shape is Shape.VIDEO:
                self._push_video(unit, arrived_ms)
        _log.info("packaging", stream=self.stream, shape=self.shape.name.lower(), part_ms=self._grid.part_ms)

    def _add_sound(self) -> None:
        transcoder = Transcoder(BITRATES_BPS)
        self._sound = sound = _Sound(transcoder)
        leads = self.shape is Shape.AUDIO
        for bitrate in BITRATES_BPS:
            rendition = Rendition(f"a{bitrate // 1000}", self._grid, AUDIO_RATE, self._window_s)
            rendition.set_init(fmp4.audio_init("aac", transcoder.config(bitrate), 2, bitrate))
            sound.renditions[bitrate] = rendition
            sound.segmenters[bitrate] = AudioSegmenter(self._grid, self._msn if leads else None)

    def _renditions(self) -> list[Rendition]:
        """Those that have media."""
        all_of_them = [self._picture.rendition, *(self._sound.renditions.values() if self._sound else ())]
        return [one for one in all_of_them if one.newest is not None]

    def _push_audio(self, unit: AccessUnit, now_ms: float) -> None:
        if self._sound is None:
            self._add_sound()
        sound = self._sound
        assert sound is not None
        wall_ms = self._wall.corrected(unit.ntp_ms, now_ms)
        at = sound.clock.map(unit.time, wall_ms)
        sound.delay.saw(now_ms - unix_ms(at, AUDIO_RATE))
        self._show_audio(sound.transcoder.push(bytes(unit.data), at))

    def _push_video(self, unit: AccessUnit, now_ms: float) -> None:
        picture = self._picture
        try:
            sample = h264.picture(bytes(unit.data))
            if sample is None or not self._takes_layer(unit, sample, now_ms):
                return
            new_init = self._read_sets(sample)
        except h264.BadBitstream:
            self.broken_units += 1
            return
        wall_ms = self._wall.corrected(unit.ntp_ms, now_ms)
        at = picture.clock.map(unit.time, wall_ms)
        picture.delay.saw(now_ms - unix_ms(at, VIDEO_RATE))
        picture.last_ms, picture.last_at = now_ms, at
        picture.governor.saw(at, sample.key)
        if picture.sets is None:
            return
        self._show_video(
            picture.segmenter.push(
                at, sample.data, sample.key, lost_before=unit.lost_before, new_init=new_init
            )
        )
        self._govern(now_ms)

    def _takes_layer(self, unit: AccessUnit, sample: h264.Picture, now_ms: float) -> bool:
        """One layer is packaged: the one with the largest picture. It changes at a key frame, when a larger one comes or this one
        has fallen silent."""
        picture = self._picture
        if unit.layer == picture.layer:
            return True
        if not sample.key or sample.sps is None or sample.pps is None:
            return False
        if picture.layer is not None and picture.sets is not None:
            other = h264.parameter_sets(sample.sps, sample.pps)
            larger = other.width * other.height > _LEVEL_STEP * picture.sets.width * picture.sets.height
            if not larger and now_ms - picture.last_ms < _LAYER_SILENT_MS:
                return False
        picture.layer = unit.layer
        picture.clock = TrackClock(VIDEO_RATE)
        return True

    def _read_sets(self, sample: h264.Picture) -> bool:
        """Notes parameter sets; true when they differ from those before. Repeats are the rule and change nothing."""
        picture = self._picture
        sps, pps = sample.sps or picture.sps, sample.pps or picture.pps
        if not sample.key or (sps, pps) == (picture.sps, picture.pps) or not (sps and pps):
            return False
        first = picture.sets is None
        picture.sets = h264.parameter_sets(sps, pps)
        picture.sps, picture.pps = sps, pps
        picture.rendition.set_init(fmp4.video_init(picture.sets))
        return not first

    def _govern(self, now_ms: float) -> None:
        picture = self._picture
        if picture.last_at is None:
            if picture.governor.wants(now_ms, 0, picture.segmenter):
                self._ask_key_frame()
            return
        at = picture.last_at + ticks(now_ms, VIDEO_RATE) - ticks(picture.last_ms, VIDEO_RATE)
        if picture.governor.wants(now_ms, at, picture.segmenter):
            self._ask_key_frame()

    def _show_video(self, events: list[Event]) -> None:
        picture = self._picture
        sound = self._sound
        self._put(picture.rendition, events)
        if sound:
            for event in events:
                if isinstance(event, SegmentStart):
                    for segmenter in sound.segmenters.values():
                        segmenter.follow(event)
            for bitrate, segmenter in sound.segmenters.items():
                self._put(sound.renditions[bitrate], segmenter.decide(picture.segmenter.decided))
        if events:
            self._show_index()

    def _show_audio(self, frames: dict[int, list[tuple[int, bytes]]]) -> None:
        sound = self._sound
        assert sound is not None
        shown = False
        for bitrate, row in frames.items():
            segmenter = sound.segmenters[bitrate]
            events = [event for start, data in row for event in segmenter.push(start, data)]
            self._put(sound.renditions[bitrate], events)
            shown = shown or bool(events)
        if shown:
            self._show_index()

    def _put(self, rendition: Rendition, events: list[Event], *, ended: bool = False) -> None:
        if not (events or ended):
            return
        reports = [one.report for one in self._renditions() if one is not rendition and one.report]
        snapshot = rendition.snapshot(events, reports, ended=ended)
        if snapshot:
            self._shelve(snapshot)

    def _shelve(self, one: Snapshot) -> None:
        self._shelf.put(
            self.stream,
            one.rendition,
            msn=one.msn,
            part=one.part,
            live=one.live,
            delta=one.delta,
            plain=one.plain,
            media=one.media,
            joined=one.joined,
            dropped=one.dropped,
            hint=one.hint,
            ended=one.ended,
        )

    def _show_index(self) -> None:
        """The multivariant playlists, once every rendition has its first part, and whenever they change."""
        picture, sound = self._picture, self._sound
        videos: list[Variant] = []
        if self.shape is Shape.VIDEO:
            if picture.rendition.newest is None or picture.sets is None:
                return
            interval = picture.segmenter.interval or VIDEO_RATE // 25
            videos.append(
                Variant(
                    picture.rendition.name,
                    picture.sets.codec,
                    picture.rendition.bandwidth_bps,
                    picture.rendition.average_bps,
                    picture.sets.width,
                    picture.sets.height,
                    round(VIDEO_RATE / interval, 1),
                )
            )
        audios: list[AudioRendition] = []
        for bitrate, rendition in (sound.renditions if sound else {}).items():
            if rendition.newest is None:
                return
            # What the encoder may take, not what it took in a quiet moment.
            bandwidth = max(round(bitrate * 1.1), rendition.bandwidth_bps)
            name = f"Stereo {bitrate // 1000} kbit/s"
            audios.append(
                AudioRendition(rendition.name, f"aac-{bitrate // 1000}", name, AAC, bandwidth, bitrate)
            )
        independent = picture.segmenter.hard_cuts == 0
        for name in ("index.m3u8", "plain.m3u8"):
            text = multivariant(videos, audios, name, independent=independent)
            if self._indexes.get(name) != text:
                self._indexes[name] = text
                self._shelf.put_index(self.stream, name, text.encode())
