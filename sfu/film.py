"""A film as two aiortc tracks: decoded in a thread at most a second ahead, played on one clock, looped without a seam."""

from __future__ import annotations

import asyncio
import fractions
import threading
import time
from pathlib import Path
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from common.errors import BadRequest

_AHEAD = {"audio": 50, "video": 30}
_AUDIO_RATE = 48_000
_AUDIO_SAMPLES = 960
_MILLISECONDS = fractions.Fraction(1, 1000)


class Film:
    """Reads `path`; `.audio` and `.video` are tracks, None where the film has none. `position_s` is what has played."""

    def __init__(self, path: Path, *, loop: bool = False) -> None:
        try:
            self._container = av.open(str(path))
        except (av.FFmpegError, OSError) as error:
            raise BadRequest(f"{path} cannot be read as a film: {error}", code="film_unreadable") from None
        streams = self._container.streams
        if not streams.video and not streams.audio:
            raise BadRequest(f"{path} has neither picture nor sound", code="film_unreadable")
        self.duration_s = float(self._container.duration / av.time_base) if self._container.duration else None
        self.video = FilmTrack(self, "video") if streams.video else None
        self.audio = FilmTrack(self, "audio") if streams.audio else None
        self.position_s = 0.0
        self.finished = asyncio.Event()
        self._loop_film = loop
        self._events = asyncio.get_running_loop()
        self._quit = threading.Event()
        self._began: float | None = None
        self._thread = threading.Thread(target=self._read, name="film", daemon=True)

    @property
    def tracks(self) -> list[FilmTrack]:
        """The tracks that the film has."""
        return [track for track in (self.video, self.audio) if track is not None]

    def start(self) -> None:
        """Begins to decode; playing begins with the first frame that is asked for."""
        self._thread.start()

    async def close(self) -> None:
        """Stops the reader and the tracks."""
        self._quit.set()
        for track in self.tracks:
            track.stop()
            track.drain()
        if self._thread.ident is not None:  # it was started
            await asyncio.to_thread(self._thread.join)
        self._container.close()

    async def until(self, at_s: float) -> None:
        """Waits until the film's clock shows `at_s`."""
        now = time.monotonic()
        if self._began is None:
            self._began = now - at_s
        wait = self._began + at_s - now
        if wait > 0:
            await asyncio.sleep(wait)
        self.position_s = max(self.position_s, at_s)

    def _read(self) -> None:
        offset_s = 0.0
        try:
            while not self._quit.is_set():
                end_s = self._read_once(offset_s)
                if not self._loop_film or end_s <= offset_s:
                    break
                offset_s = end_s
                self._container.seek(0)
        finally:
            for track in self.tracks:
                self._offer(track, None)

    def _read_once(self, offset_s: float) -> float:
        """Decodes the film once, its first picture at `offset_s`. Returns where its last frame ends."""
        resampler = av.AudioResampler(
            format="s16", layout="stereo", rate=_AUDIO_RATE, frame_size=_AUDIO_SAMPLES
        )
        streams = [track.stream_of(self._container) for track in self.tracks]
        first_s: float | None = None
        end_s = offset_s
        samples = round(offset_s * _AUDIO_RATE)
        for frame in self._container.decode(*streams):
            if self._quit.is_set():
                break
            if frame.time is None:
                continue
            first_s = frame.time if first_s is None else first_s
            at_s = max(offset_s, frame.time - first_s + offset_s)
            if isinstance(frame, av.VideoFrame) and self.video:
                picture = frame.reformat(format="yuv420p")
                picture.pts, picture.time_base = round(at_s * 1000), _MILLISECONDS
                self._offer(self.video, (at_s, picture))
                end_s = max(end_s, at_s + 0.04)
            elif isinstance(frame, av.AudioFrame) and self.audio:
                frame.pts = None
                for piece in resampler.resample(frame):
                    piece.pts, piece.time_base = samples, fractions.Fraction(1, _AUDIO_RATE)
                    self._offer(self.audio, (samples / _AUDIO_RATE, piece))
                    samples += piece.samples
                end_s = max(end_s, samples / _AUDIO_RATE)
        return end_s

    def _offer(self, track: FilmTrack, item: tuple[float, Any] | None) -> None:
        """From the reader's thread: queues an item, waiting while the track is a second ahead."""
        while not self._quit.is_set():
            if track.room.acquire(timeout=0.2):
                self._events.call_soon_threadsafe(track.take, item)
                return


class FilmTrack(MediaStreamTrack):
    """One track of a Film."""

    def __init__(self, film: Film, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._film = film
        self._queue: asyncio.Queue[tuple[float, Any] | None] = asyncio.Queue()
        self.room = threading.Semaphore(_AHEAD[kind])

    def stream_of(self, container: Any) -> Any:
        """The stream of `container` that this track plays."""
        return (container.streams.video if self.kind == "video" else container.streams.audio)[0]

    def take(self, item: tuple[float, Any] | None) -> None:
        """Queues what the reader decoded; None is the end."""
        self._queue.put_nowait(item)

    def drain(self) -> None:
        """Wakes whoever waits for a frame, and the reader."""
        self._queue.put_nowait(None)
        self.room.release()

    async def recv(self) -> Any:
        """The next frame, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        item = await self._queue.get()
        self.room.release()
        if item is None:
            self.stop()
            if all(track.readyState != "live" for track in self._film.tracks):
                self._film.finished.set()
            raise MediaStreamError
        at_s, frame = item
        await self._film.until(at_s)
        return frame
