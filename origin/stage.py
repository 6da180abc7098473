"""One avatar live: a performer on the wall clock, drawn, encoded and handed to the SFU core.

Two threads. The *pacer* keeps time: at each tick it takes 40 ms of sound and the pose from the performer, sends the sound
(two packets, 20 ms apart) and hands the pose on. The *painter* draws, encodes and sends the picture. When the painter is
late the newest pose wins and older ones are left out: the picture shows a frame longer, the sound and the clock go on.
Nobody watching for 30 s: five pictures a second, which keeps the packet cache of the core warm at a fifth of the cost;
the first viewer who comes brings back full rate.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from common import metrics
from common.log import log
from origin.avatar import Pose, Presence
from origin.clock import FRAME_RATE, FRAME_SAMPLES, PACKET_SAMPLES, Clock, video_rtp_time
from origin.encoder import I420, AudioEncoder, VideoEncoder, VideoSettings
from origin.performer import Caption, Performer, Tick
from speech.marks import SAMPLE_RATE
from speech.voice import Speech

_log = log("stage")

QUEUE_FRAMES: Final = 2
"""Poses that wait for the painter; above it the oldest is left out."""
REST_AFTER_S: Final = 30.0
REST_EVERY: Final = 5
"""At rest one frame in five is drawn."""
_PACER_NICENESS: Final = -10
_PAINTER_NICENESS: Final = -5

_FRAMES = metrics.counter("avatar_frames_total", "Frames by what became of them", ("outcome",))
_SECONDS = metrics.histogram(
    "frame_processing_latency_seconds",
    "From the tick of a frame to its packets: waiting, drawing, encoding",
    (0.005, 0.010, 0.015, 0.020, 0.030, 0.040, 0.060, 0.080, 0.120, 0.200, 0.400),
)
_UNDERRUNS = metrics.counter(
    "audio_buffer_underruns_total", "Times that speech was not there when it was due"
)
_TO_PACKET = metrics.histogram(
    "speech_to_packet_seconds",
    "From PCM of a line's first speech to the packets that show it",
    (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0),
)
_STREAMS = metrics.gauge("concurrent_streams_total", "Avatars that are live")


class Renderer(Protocol):
    """Draws a pose as I420 (height * 3 // 2, width); the array is valid until the next call."""

    def render(self, pose: Pose) -> I420: ...


class Output(Protocol):
    """Where a stage's media goes. Called from the stage's threads; must return quickly."""

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None: ...

    def audio(self, packet: bytes, rtp_time: int) -> None: ...


class Stage:
    """A live avatar. `start` and `close` from one thread; the rest from any.

    `on_caption` is called in the pacer's thread when a clause begins to be heard.
    """

    def __init__(
        self,
        name: str,
        renderer: Renderer,
        output: Output,
        *,
        seed: int = 1,
        video: VideoSettings | None = None,
        on_caption: Callable[[Caption], None] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name = name
        self._renderer = renderer
        self._output = output
        self._video_settings = video or VideoSettings()
        self._on_caption = on_caption
        self._now_ns = clock_ns
        self._performer = Performer(seed)
        self._lock = threading.Lock()
        self._poses: list[tuple[int, Pose, int]] = []
        self._pose_ready = threading.Condition()
        self._ended = threading.Event()
        self._quiet = threading.Event()
        self._quiet.set()
        self._key_wanted = threading.Event()
        self._watched_at = self._now_ns()
        self._watched = True
        self._pushed: dict[int, int] = {}
        self._shown: list[tuple[int, int]] = []
        self.latencies_s: list[float] = []
        """Speech to packet of the last 256 lines."""
        self.frames_sent = 0
        self.frames_left_out = 0
        self._judged = (0, 0)
        self._threads = [
            threading.Thread(target=self._guarded(self._pace), name=f"pacer-{name}", daemon=True),
            threading.Thread(target=self._guarded(self._paint), name=f"painter-{name}", daemon=True),
        ]

    def start(self) -> None:
        """Begins; the first frame is due at once."""
        _STREAMS.inc()
        self._clock = Clock(self._now_ns())
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends both threads and waits for them (at most a frame)."""
        self._ended.set()
        with self._pose_ready:
            self._pose_ready.notify_all()
        for thread in self._threads:
            thread.join(2.0)
        _STREAMS.dec()

    @property
    def failed(self) -> bool:
        """Whether a thread ended with an error (it is logged)."""
        return self._ended.is_set() is False and not all(t.is_alive() for t in self._threads)

    @property
    def epoch(self) -> int:
        return self._performer.buffer.epoch

    def begin(self, epoch: int) -> None:
        """A line begins."""
        with self._lock:
            self._performer.begin(epoch)
            self._quiet.clear()

    def push(self, speech: Speech, epoch: int, hold_s: float = 0.0) -> bool:
        """More speech of a line; False when the line was interrupted. `hold_s`: the line's first speech waits so long."""
        now = self._now_ns() + round(hold_s * 1e9)
        with self._lock:
            fresh = self._performer.buffer.level == 0
            taken = self._performer.push(speech, epoch, round(hold_s * SAMPLE_RATE))
            if taken and fresh and speech.pcm.size:
                self._pushed[id(speech)] = now
            return taken

    def end(self, epoch: int) -> None:
        """The line is complete."""
        with self._lock:
            self._performer.end(epoch)

    def interrupt(self, epoch: int) -> str:
        """Stops speaking within a tick. Returns what was heard of the line."""
        with self._lock:
            heard = self._performer.interrupt(epoch)
            self._pushed.clear()
            self._quiet.set()
            return heard

    def heard(self) -> str:
        """What of the current line has been heard by now."""
        with self._lock:
            return self._performer.buffer.heard()

    def rest_as(self, presence: Presence) -> None:
        """How the person is while nothing is said."""
        with self._lock:
            self._performer.rest_as(presence)

    @property
    def ahead_s(self) -> float:
        """Seconds of speech that wait to be heard."""
        with self._lock:
            return self._performer.buffer.level / (FRAME_RATE * FRAME_SAMPLES)

    @property
    def underruns(self) -> int:
        return self._performer.buffer.underruns

    @property
    def quiet(self) -> bool:
        """Whether all that was to be said has been heard."""
        return self._quiet.is_set()

    def quality(self) -> float:
        """Percent of the frames that were to be drawn since the last call which were: 100 when the machine keeps up."""
        sent, left_out = self.frames_sent, self.frames_left_out
        due = sent + left_out - sum(self._judged)
        drawn = sent - self._judged[0]
        self._judged = (sent, left_out)
        return 100.0 * drawn / due if due > 0 else 100.0

    def request_key_frame(self) -> None:
        """The next picture is a key frame."""
        self._key_wanted.set()

    def watched(self, by_anyone: bool) -> None:
        """Tells whether somebody watches; called each second or so."""
        self._watched = by_anyone
        if by_anyone:
            self._watched_at = self._now_ns()

    def _guarded(self, work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:
                _log.error("stage:failed", stage=self.name, thread=work.__name__, exc_info=error)

        return run

    def _pace(self) -> None:
        _prefer_this_thread(_PACER_NICENESS)
        audio = AudioEncoder()
        while not self._ended.is_set():
            with self._lock:
                frame = self._performer.frame
            self._sleep_until(self._clock.due_ns(frame * FRAME_SAMPLES))
            if self._ended.is_set():
                return
            with self._lock:
                tick = self._performer.tick()
                self._note(tick)
            start = tick.frame * FRAME_SAMPLES
            self._output.audio(audio.encode(tick.pcm[:PACKET_SAMPLES], start), start)
            if self._drawn(tick):
                self._hand_over(tick)
            for caption in tick.captions:
                if self._on_caption:
                    self._on_caption(caption)
            middle = start + PACKET_SAMPLES
            self._sleep_until(self._clock.due_ns(middle))
            self._output.audio(audio.encode(tick.pcm[PACKET_SAMPLES:], middle), middle)

    def _note(self, tick: Tick) -> None:
        if tick.underrun:
            _UNDERRUNS.inc()
            _log.warning("speech:underrun", stage=self.name)
        for placed in tick.placed:
            pushed = self._pushed.pop(id(placed.speech), None)
            if pushed is not None:
                self._shown.append((placed.at // FRAME_SAMPLES, pushed))
        if self._performer.silent:
            self._quiet.set()

    def _drawn(self, tick: Tick) -> bool:
        idle_ns = self._now_ns() - self._watched_at
        resting = not self._watched and idle_ns > REST_AFTER_S * 1e9 and self._performer.silent
        return not resting or tick.frame % REST_EVERY == 0

    def _hand_over(self, tick: Tick) -> None:
        with self._pose_ready:
            self._poses.append((tick.frame, tick.pose, self._clock.due_ns(tick.frame * FRAME_SAMPLES)))
            while len(self._poses) > QUEUE_FRAMES:
                self._poses.pop(0)
                self.frames_left_out += 1
                _FRAMES.labels("left_out").inc()
            self._pose_ready.notify()

    def _paint(self) -> None:
        _prefer_this_thread(_PAINTER_NICENESS)
        encoder = VideoEncoder(self._video_settings)
        while True:
            with self._pose_ready:
                while not self._poses and not self._ended.is_set():
                    self._pose_ready.wait()
                if self._ended.is_set():
                    return
                frame, pose, due = self._poses.pop(0)
            picture = self._renderer.render(pose)
            wanted = self._key_wanted.is_set()
            self._key_wanted.clear()
            encoded = encoder.encode(picture, frame, key_frame=wanted)
            self._output.video(encoded.data, video_rtp_time(frame), encoded.key_frame)
            self.frames_sent += 1
            _FRAMES.labels("sent").inc()
            self._measure(frame, due)

    def _measure(self, frame: int, due: int) -> None:
        now = self._now_ns()
        _SECONDS.observe((now - due) / 1e9)
        while self._shown and self._shown[0][0] <= frame:
            _, pushed = self._shown.pop(0)
            latency = (now - pushed) / 1e9
            _TO_PACKET.observe(latency)
            self.latencies_s = [*self.latencies_s[-255:], latency]

    def _sleep_until(self, due_ns: int) -> None:
        left = due_ns - self._now_ns()
        if left > 0:
            self._ended.wait(left / 1e9)


def _prefer_this_thread(niceness: int) -> None:
    """Lets the calling thread run before those that can wait (Linux: niceness is per thread; root or CAP_SYS_NICE only)."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
