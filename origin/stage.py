"""One avatar live: a performer on the wall clock, drawn, encoded and handed to the SFU core.

The stage's own thread, the *pacer*, keeps time: at each tick it takes 40 ms of sound and the pose from the performer, sends the sound
(two packets, 20 ms apart) and hands the pose to the *crew* (origin/batch), which draws, encodes and sends the picture, for all
avatars of the machine. When the crew is late the newest poses win and older ones are left out: the picture shows a frame longer,
the sound and the clock go on.
Nobody watching for 30 s: five pictures a second, of which one is drawn and the others repeat it. That keeps the packet cache of the
core warm at a twelfth of the cost; the first viewer who comes brings back full rate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

import av
import numpy as np

from common import metrics
from common.log import log
from origin.avatar import Pose, Presence
from origin.avatar.stillness import SEEN_PX
from origin.batch import Asked, Crew, Measures, Priority, Seat
from origin.batch.crew import PERIOD_NS, prefer_this_thread
from origin.clock import FRAME_RATE, FRAME_SAMPLES, PACKET_SAMPLES, Clock, video_rtp_time
from origin.encoder import I420, AudioEncoder, VideoEncoder, VideoSettings, picture_of
from origin.faces import Face, Moment, Reach, SharedFace
from origin.gpu_memory import note_gpu_memory
from origin.performer import Caption, Performer, Tick
from origin.speech_buffer import BufferState
from speech.marks import SAMPLE_RATE
from speech.voice import Speech

_log = log("stage")

REST_AFTER_S: Final = 30.0
REST_EVERY: Final = 5
"""At rest one frame in five is sent."""
REST_DRAWN: Final = 25
"""Of those, each that many frames one is drawn anew."""
MOST_HELD: Final = 12
"""Frames that show the same picture in silence before one is drawn, however little moves."""
_PACER_NICENESS: Final = -10

_FRAMES = metrics.counter("avatar_frames_total", "Frames by what became of them", ("outcome",))
_SECONDS = metrics.histogram(
    "frame_processing_latency_seconds",
    "From the tick of a frame to its packets: waiting, drawing, encoding",
    (0.005, 0.010, 0.015, 0.020, 0.030, 0.040, 0.060, 0.080, 0.120, 0.200, 0.400),
)
UNDERRUNS = metrics.counter("audio_buffer_underruns_total", "Times that speech was not there when it was due")
_TO_PACKET = metrics.histogram(
    "speech_to_packet_seconds",
    "From PCM of a line's first speech to the packets that show it",
    (0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0),
)
_STREAMS = metrics.gauge("concurrent_streams_total", "Avatars that are live")


class Renderer(Protocol):
    """Draws a pose as I420 (height * 3 // 2, width); the array is valid until the next call."""

    def render(self, pose: Pose) -> I420: ...


@runtime_checkable
class Steady(Protocol):
    """A renderer that knows how far its pictures move."""

    def travel_px(self, one: Pose, other: Pose) -> float: ...


class Output(Protocol):
    """Where a stage's media goes. Called from the stage's threads; must return quickly."""

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None: ...

    def audio(self, packet: bytes, rtp_time: int) -> None: ...


def drawn(face: Renderer | Face, content: Pose | Moment | None) -> I420:
    """A picture of what the stage hands to its face; of somebody at rest when that is nothing."""
    if isinstance(face, Face):
        return face.show(content if isinstance(content, Moment) else at_rest(face.reach))
    return face.render(content if isinstance(content, Pose) else Pose())


def at_rest(reach: Reach) -> Moment:
    """The first moment, in silence."""
    return Moment(0, Pose(), np.zeros(reach.before + reach.after, np.float32))


class Stage:
    """A live avatar. `start` and `close` from one thread; the rest from any.

    `crew` draws it; one of its own when None. `on_caption` is called in the pacer's thread when a clause begins to be heard, with the
    instant of the monotonic clock (ns) at which it does.
    """

    def __init__(
        self,
        name: str,
        renderer: Renderer | Face,
        output: Output,
        *,
        seed: int = 1,
        video: VideoSettings | None = None,
        crew: Crew | None = None,
        on_caption: Callable[[Caption, int], None] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.name = name
        self._renderer = renderer
        self._output = output
        self._video_settings = video or VideoSettings()
        self._on_caption = on_caption
        self._now_ns = clock_ns
        self._hears = renderer.reach if isinstance(renderer, Face) else None
        self._shared = renderer if isinstance(renderer, SharedFace) and renderer.net.most > 1 else None
        self._steady = renderer if isinstance(renderer, Steady) else None
        self._drawn: tuple[int, Pose] | None = None
        """The last frame that was to be drawn, and its pose; None when it was left out."""
        self._performer = Performer(seed, reach=self._hears)
        self._lock = threading.Lock()
        self._crew = crew or Crew(1, encoders=1, clock_ns=clock_ns)
        self._owns_crew = crew is None
        self._seat: Seat | None = None
        self._encoder: VideoEncoder | None = None
        self._picture: av.VideoFrame | None = None
        """The last that was drawn."""
        self._thrifty = False
        self._measures = Measures()
        self._broken = False
        self._ended = threading.Event()
        self._quiet = threading.Event()
        self._quiet.set()
        self._key_wanted = threading.Event()
        self._watched_at = self._now_ns()
        self._watched = True
        self._viewers = 0
        self._pushed: dict[int, int] = {}
        self._shown: list[tuple[int, int]] = []
        self.latencies_s: list[float] = []
        """Speech to packet of the last 256 lines."""
        self.frames_sent = 0
        self.frames_left_out = 0
        self._judged = (0, 0)
        self._pacer = threading.Thread(target=self._guarded, name=f"pacer-{name}", daemon=True)

    def start(self) -> None:
        """Begins; the first frame is due within 40 ms, when the crew has time for it."""
        _STREAMS.inc()
        self._seat = self._crew.join(self, self._shared.net if self._shared else None)
        self._pacer.start()

    def close(self) -> None:
        """Ends it and waits for what is being drawn (at most a frame)."""
        self._ended.set()
        self._pacer.join(2.0)
        if self._seat is not None:
            self._seat.leave()
        if self._owns_crew:
            self._crew.close()
        _STREAMS.dec()

    @property
    def failed(self) -> bool:
        """Whether pacing, drawing or encoding ended with an error (it is logged)."""
        return not self._ended.is_set() and (self._broken or not self._pacer.is_alive())

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
        if self._seat is not None:
            self._seat.supersede(epoch)
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
    def position_s(self) -> float:
        """Seconds on its own clock: what has been heard and seen since it began."""
        return self._performer.frame / FRAME_RATE

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

    def watched(self, by_anyone: bool, viewers: int = 0) -> None:
        """Tells whether somebody watches, and how many; called each second or so."""
        self._watched, self._viewers = by_anyone, viewers
        if by_anyone:
            self._watched_at = self._now_ns()

    # What the crew calls (batch.Work).

    def draw(self, frame: int, content: Pose | Moment | None) -> av.VideoFrame | Asked:
        """Draws a pose, or a package's moment; None: the last picture again."""
        if content is None and self._picture is not None:
            return self._picture
        if self._shared is None or not isinstance(content, Moment):
            return self._kept(drawn(self._renderer, content))
        found = self._shared.ask(content)
        if isinstance(found, Asked):
            return Asked(found.net, found.content, lambda answer: self._kept(found.finish(answer)))
        return self._kept(found)

    def _kept(self, picture: I420) -> av.VideoFrame:
        self._picture = picture_of(picture)
        return self._picture

    def send(self, frame: int, picture: av.VideoFrame, due_ns: int) -> None:
        """Encodes a picture and hands it to the output."""
        if self._ended.is_set():
            return
        thrifty = self._measures.thrifty
        if self._encoder is None or (thrifty != self._thrifty and self._encoder.key_due(frame)):
            settings = self._video_settings
            self._encoder, self._thrifty = VideoEncoder(settings.thrifty() if thrifty else settings), thrifty
        wanted = self._key_wanted.is_set()
        self._key_wanted.clear()
        encoded = self._encoder.encode(picture, frame, key_frame=wanted)
        self._output.video(encoded.data, video_rtp_time(frame), encoded.key_frame)
        self.frames_sent += 1
        _FRAMES.labels("sent").inc()
        self._measure(frame, due_ns)

    def left_out(self, frames: int) -> None:
        """So many frames will not be drawn: they were late, or of a line that was interrupted."""
        self._drawn = None
        self.frames_left_out += frames
        _FRAMES.labels("left_out").inc(frames)

    def broke(self, error: BaseException) -> None:
        """Drawing or encoding failed for good."""
        self._broken = True
        note_gpu_memory(error)
        _log.error("stage:failed", stage=self.name, exc_info=error)

    def _guarded(self) -> None:
        try:
            assert self._seat is not None, "start() took it"
            self._pace(self._seat)
        except Exception as error:
            self.broke(error)

    def _pace(self, seat: Seat) -> None:
        prefer_this_thread(_PACER_NICENESS)
        audio = AudioEncoder()
        now = self._now_ns()  # when all is ready: what comes first says when the line of times began
        clock = Clock(now + (seat.phase_ns - now) % PERIOD_NS)
        while not self._ended.is_set():
            with self._lock:
                frame = self._performer.frame
            self._sleep_until(clock.due_ns(frame * FRAME_SAMPLES))
            if self._ended.is_set():
                return
            with self._lock:
                every, anew = self._rhythm(seat)
                sent, drawn = frame % every == 0, frame % anew == 0
                tick = self._performer.tick(seen=drawn)
                self._note(tick)
                epoch = self._performer.buffer.epoch
            start = tick.frame * FRAME_SAMPLES
            self._output.audio(audio.encode(tick.pcm[:PACKET_SAMPLES], start), start)
            if sent:
                due = clock.due_ns(start)
                held = drawn and self._holds(tick)
                content = self._content(tick) if drawn and not held else None
                seat.push(frame, content, due, epoch=epoch, every=every, held=held)
            for caption in tick.captions:
                if self._on_caption:
                    self._on_caption(caption, clock.due_ns(caption.start))
            middle = start + PACKET_SAMPLES
            self._sleep_until(clock.due_ns(middle))
            self._output.audio(audio.encode(tick.pcm[PACKET_SAMPLES:], middle), middle)

    def _content(self, tick: Tick) -> Pose | Moment:
        """What the face needs of a tick."""
        return tick.pose if self._hears is None else Moment(tick.frame, tick.pose, tick.sound)

    def _holds(self, tick: Tick) -> bool:
        """Whether nobody could tell the tick's picture from the last one: in silence heads drift by hundredths of a pixel."""
        last = self._drawn
        if self._steady is not None and last is not None and tick.state is BufferState.IDLE:
            frame, pose = last
            if tick.frame - frame <= MOST_HELD and self._steady.travel_px(pose, tick.pose) < SEEN_PX:
                return True
        self._drawn = (tick.frame, tick.pose)
        return False

    def _rhythm(self, seat: Seat) -> tuple[int, int]:
        """One frame in how many is sent, and one in how many is drawn anew."""
        measures = self._measures = seat.measures
        silent = self._performer.silent and self._performer.buffer.level == 0
        seat.prefer(Priority(not silent, self._viewers))
        idle_ns = self._now_ns() - self._watched_at
        alone = not self._watched and (measures.rest or idle_ns > REST_AFTER_S * 1e9)
        return (REST_EVERY, REST_DRAWN) if alone and silent else (measures.every, measures.every)

    def _note(self, tick: Tick) -> None:
        if tick.underrun:
            UNDERRUNS.inc()
            _log.warning("speech:underrun", stage=self.name)
        for placed in tick.placed:
            pushed = self._pushed.pop(id(placed.speech), None)
            if pushed is not None:
                self._shown.append((placed.at // FRAME_SAMPLES, pushed))
        if self._performer.silent:
            self._quiet.set()

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
