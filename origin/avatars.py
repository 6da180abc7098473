"""The avatars that this origin runs: one stage and one conversation a broadcast, as the Directory says.

Voice and renderer are prepared once, in the background, from the start of the node; a broadcast's avatar begins as soon as
both are there. Avatars are independent: one that fails is started again, and the others do not notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common import metrics
from common.config import OriginConfig
from common.dialogue import Dialogue
from common.directory import Broadcast, Directory
from common.errors import NotFound, TooMany, Unavailable
from common.log import log
from common.tasks import end_tasks
from origin.avatar import Pose
from origin.avatar.faceunits import weights
from origin.batch import Crew
from origin.booth import Booth
from origin.conversation import Conversation
from origin.dialogue import openai
from origin.dialogue.brain import Brain
from origin.dialogue.persona import Persona, PersonaError
from origin.dialogue.persona import load as load_persona
from origin.dialogue.persona import shipped as personas
from origin.dialogue.scripted import ScriptedBrain
from origin.dialogue.turns import LineUnknown, QueueFull
from origin.encoder import VideoEncoder, VideoSettings
from origin.faces import DeviceFull, Face, FaceError, Moment, open_face
from origin.gpu_memory import note_gpu_memory
from origin.packages.library import FOLDER as PACKAGES
from origin.performer import Caption
from origin.stage import Output, Renderer, Stage, drawn
from speech.voice import Voice, VoiceError
from speech.voices import Voices

_log = log("avatars")

_QUALITY = metrics.gauge(
    "video_quality_score", "Share of an avatar's frames that left in time, percent", ("broadcast",)
)

STARTS = metrics.counter("avatar_starts_total", "Starts of avatars by what became of them", ("outcome",))
"""begun, failed, or broke: it began, and ended by a fault."""

Report = Callable[[str], None]
_TICK_S = 1.0
_RETRY_S = 10.0
"""An avatar that could not be started is tried again after this."""
_TRIAL_FRAMES = 4
"""Frames drawn and encoded when a renderer is ready, to know what one costs here."""


class AvatarsFull(Unavailable):
    """This node carries no more avatars."""

    code = "avatars_full"


_GREET_AGAIN_S = 60.0
"""The first visitor after a time alone is greeted; one who only reloads the page is not."""


class Outlet(Protocol):
    """What an avatar needs of the media core."""

    def open(self, broadcast: str) -> Output:
        """Opens the broadcast's stream for video and audio."""
        ...

    def end(self, broadcast: str) -> None:
        """Ends it."""
        ...

    def subscribers(self, broadcast: str) -> int:
        """How many take the stream from this node."""
        ...


@dataclass(slots=True)
class Avatar:
    """One that is live."""

    broadcast: Broadcast
    stage: Stage
    conversation: Conversation
    watched: bool = False
    greeted_at: float = float("-inf")


class Avatars:
    """Applies directories. All methods on one event loop."""

    def __init__(
        self,
        config: OriginConfig,
        outlet: Outlet,
        *,
        on_caption: Callable[[str, Caption, int], None] = lambda _broadcast, _caption, _due_ns: None,
        report: Report = lambda _line: None,
    ) -> None:
        self._config = config
        self._outlet = outlet
        self._on_caption = on_caption
        self._report = report
        self._avatars: dict[str, Avatar] = {}
        self._wanted: dict[str, Broadcast] = {}
        self._changed = asyncio.Event()
        cores = len(os.sched_getaffinity(0))
        self.crew = Crew(max(1, cores // config.avatar_threads), most=config.avatars)
        width, height = (int(part) for part in config.avatar_size.split("x"))
        self._video = VideoSettings.of_size(width, height)
        self._voices = Voices(config.voice)
        self._voice: Voice | None = None
        self._first_renderer: tuple[str, Renderer | Face] | None = None
        self._booth = Booth()
        self._costs_s: dict[str, float] = {}
        """Package -> CPU seconds that a frame of it took here, drawn and encoded: nets cost from one frame of Ava to a hundred."""
        self._face_thread = ThreadPoolExecutor(1, "face")
        self._tasks: list[asyncio.Task[None]] = []
        self._problems: dict[str, str] = {}
        """Broadcast -> why its avatar cannot run."""
        self._refused: dict[str, str] = {}
        """Broadcast -> why this node does not carry its avatar."""

    def start(self) -> None:
        """Begins to prepare, and to follow what is applied."""
        self._tasks = [
            asyncio.create_task(self._follow(), name="avatars"),
            asyncio.create_task(self._watch(), name="avatars watched"),
        ]

    async def close(self) -> None:
        """Ends all avatars."""
        await end_tasks(*self._tasks)
        for broadcast in list(self._avatars):
            await self._end(broadcast)
        self.crew.close()
        self._booth.close()
        self._face_thread.shutdown(wait=False, cancel_futures=True)

    def apply(self, directory: Directory) -> None:
        """The broadcasts that concern this node now."""
        self._wanted = {b.id: b for b in directory.broadcasts.values() if b.avatar and not b.upstreams}
        for broadcast, avatar in self._avatars.items():
            if broadcast in self._wanted:
                avatar.broadcast = self._wanted[broadcast]
                avatar.conversation.moderated = avatar.broadcast.moderated
                if not avatar.broadcast.released:
                    avatar.conversation.stay()
                if avatar.broadcast.dialogue:
                    avatar.conversation.turns.recall(avatar.broadcast.dialogue)
        self._changed.set()

    @property
    def live(self) -> list[str]:
        """The broadcasts whose avatar is live."""
        return list(self._avatars)

    @property
    def room(self) -> int | None:
        """How many more avatars this node carries; None until a renderer has been measured."""
        return None if self.crew.budget.cost_s is None else self.crew.room()

    @property
    def refused(self) -> list[str]:
        """The broadcasts whose avatar this node was to run and does not carry."""
        return list(self._refused)

    @property
    def voice_name(self) -> str:
        """The voice that speaks, empty while it is being loaded."""
        return self._voice.name if self._voice else ""

    def avatar(self, broadcast: str) -> Avatar:
        """The live avatar of a broadcast. Raises NotFound, or Unavailable while it is being prepared."""
        found = self._avatars.get(broadcast)
        if found is not None:
            return found
        if broadcast in self._wanted:
            if broadcast in self._refused:
                raise AvatarsFull(self._refused[broadcast], retry_after_s=_RETRY_S)
            if broadcast in self._problems:
                raise Unavailable(self._problems[broadcast], code="avatar_failed", retry_after_s=_RETRY_S)
            raise Unavailable(
                f"the avatar of {broadcast!r} is being prepared", code="avatar_preparing", retry_after_s=1
            )
        raise NotFound(f"no avatar runs here for the broadcast {broadcast!r}", code="avatar_unknown")

    def say(self, broadcast: str, text: str, *, now: bool = False) -> int:
        """Queues a line (`now`: it is said at once); the number of lines that wait. Raises NotFound, Unavailable, TooMany."""
        conversation = self.avatar(broadcast).conversation
        with _queue_limit():
            conversation.say(text, now=now)
        return conversation.turns.waiting

    def ask(self, broadcast: str, text: str, asker: str | None) -> int | None:
        """Queues a question; None when it waits for the host. Otherwise as `say`."""
        conversation = self.avatar(broadcast).conversation
        with _queue_limit():
            taken = conversation.ask(text, asker)
        return conversation.turns.waiting if taken else None

    def approve(self, broadcast: str, number: int) -> None:
        """A question that waits for the host gets its turn. Raises NotFound, Unavailable, TooMany."""
        with _queue_limit():
            self.avatar(broadcast).conversation.approve(number)

    def drop(self, broadcast: str, number: int) -> None:
        """Takes out a line or a question that waits. Raises NotFound, Unavailable."""
        with _queue_limit():
            self.avatar(broadcast).conversation.turns.drop(number)

    def dialogues(self, known: Mapping[str, int]) -> dict[str, Dialogue]:
        """What was said in these broadcasts, where its count is another one than is known."""
        found = ((name, self._avatars.get(name), count) for name, count in known.items())
        told = (
            (name, one.conversation.turns.dialogue, count) for name, one, count in found if one is not None
        )
        return {name: dialogue for name, dialogue, count in told if dialogue.count != count}

    def resting(self, broadcast: str) -> bool | None:
        """Whether an avatar is silent, and no line waits or is about to begin; None when none runs here."""
        found = self._avatars.get(broadcast)
        return None if found is None else found.conversation.resting

    def interrupt(self, broadcast: str) -> str:
        """Silences the avatar; what was heard of its line. Raises NotFound, Unavailable."""
        return self.avatar(broadcast).conversation.interrupt()

    async def _follow(self) -> None:
        """Starts and ends avatars until they are those that are wanted."""
        await self._prepare()
        while True:
            self._changed.clear()
            for broadcast in [b for b in self._avatars if b not in self._wanted]:
                await self._end(broadcast)
            for broadcast in [b for b in self._wanted if b not in self._avatars]:
                await self._try(broadcast)
            for reasons in (self._problems, self._refused):
                for gone in reasons.keys() - self._wanted.keys():
                    del reasons[gone]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S if self._problems or self._refused else None):
                    await self._changed.wait()

    async def _try(self, broadcast: str) -> None:
        """Begins an avatar; what is in the way is logged, told to who asks, and tried again."""
        try:
            await self._begin(self._wanted[broadcast])
            STARTS.labels("begun").inc()
            self._problems.pop(broadcast, None)
            self._refused.pop(broadcast, None)
        except AvatarsFull as full:
            if broadcast not in self._refused:
                _log.warning("avatar:refused", broadcast=broadcast, reason=str(full))
            self._refused[broadcast] = str(full)
        except (FaceError, PersonaError, VoiceError) as error:
            self._failed(broadcast, str(error), error)
            _log.error("avatar:cannot_start", broadcast=broadcast, reason=str(error))
        except Exception as error:  # one avatar's fault is not the others'
            self._failed(broadcast, f"the avatar failed to start: {error}", error)
            _log.error("avatar:cannot_start", broadcast=broadcast, exc_info=error)

    def _failed(self, broadcast: str, why: str, error: Exception) -> None:
        if broadcast not in self._problems:  # each try of the same is not one more
            STARTS.labels("failed").inc()
        note_gpu_memory(error)
        self._problems[broadcast] = why

    async def _prepare(self) -> None:
        """Loads the voice and warms the renderer, side by side."""
        loop = asyncio.get_running_loop()
        voice = asyncio.ensure_future(self._booth.run(self._voices.voice))
        face = loop.run_in_executor(self._face_thread, self._renderer, "ava")
        for work in (voice, face):
            try:
                await work
            except (VoiceError, FaceError) as error:  # told again, with its broadcast, when one is to begin
                _log.error("avatar:cannot_prepare", reason=str(error))
        if voice.exception() is None:
            self._voice = voice.result()
            self._report(f"voice {self._voice.name}")
        if face.exception() is None:
            self._first_renderer = ("ava", face.result())
            self._report("renderer ready")

    def _renderer(self, face: str) -> Renderer | Face:
        renderer = open_face(
            face,
            tier=self._config.tier,
            threads=self._config.avatar_threads,
            size=(self._video.width, self._video.height),
            packages=self._config.data / PACKAGES,
            progress=lambda what, share: self._report(f"{what} {share:.0%}"),
        )
        if self.crew.budget.cost_s is None or isinstance(renderer, Face):
            cost_s = trial(renderer, self._video)
            if isinstance(renderer, Face):
                self._costs_s[face] = cost_s
            if self.crew.budget.cost_s is None:
                self.crew.budget.measured(cost_s)
        return renderer

    def _admit(self, broadcast: str, face: str) -> None:
        """Raises AvatarsFull when this node does not carry one more, by what its face is predicted to cost."""
        cost_s = self._costs_s.get(face)
        if self.crew.room(cost_s) > 0:
            return
        live, cost_ms = len(self._avatars), (cost_s or self.crew.budget.cost_s or 0.0) * 1000
        why = (
            f"{self._config.avatars} are allowed"
            if self._config.avatars and live >= self._config.avatars
            else f"a frame takes {cost_ms:.1f} ms on {self.crew.budget.lanes} threads"
        )
        raise AvatarsFull(
            f"this node runs {live} avatars and carries no more ({why}), so not that of {broadcast!r}",
            hint="add an origin, end a broadcast, or raise AVACAST_AVATARS where it is set",
        )

    async def _begin(self, broadcast: Broadcast) -> None:
        loop = asyncio.get_running_loop()
        named = broadcast.persona or (broadcast.avatar if broadcast.avatar in personas() else None)
        persona = load_persona(named, self._config.data / "personas")
        face = broadcast.avatar or persona.face
        self._admit(broadcast.id, face)
        voice = await self._booth.run(lambda: self._voices.voice(persona.voice))
        self._voice = self._voice or voice
        if self._first_renderer is not None and self._first_renderer[0] == face:
            renderer, self._first_renderer = self._first_renderer[1], None
        else:
            try:
                renderer = await loop.run_in_executor(self._face_thread, self._renderer, face)
            except DeviceFull as full:
                raise AvatarsFull(f"{full}, so not for {broadcast.id!r}", hint="add an origin") from full
            self._admit(broadcast.id, face)
        name = broadcast.id
        output = self._outlet.open(name)
        stage = Stage(
            name,
            renderer,
            output,
            seed=zlib.crc32(name.encode()),
            crew=self.crew,
            video=self._video,
            on_caption=lambda caption, due_ns: self._on_caption(name, caption, due_ns),
        )
        conversation = Conversation(name, stage, voice, self._brain(persona), persona, self._booth)
        conversation.moderated = broadcast.moderated
        conversation.turns.recall(broadcast.dialogue)
        stage.start()
        conversation.start()
        greeted_at = time.monotonic() if broadcast.dialogue else float("-inf")
        self._avatars[name] = Avatar(broadcast, stage, conversation, greeted_at=greeted_at)
        self._tasks.append(asyncio.create_task(conversation.rehearse(), name=f"rehearsal {name}"))
        _log.info("avatar:live", broadcast=name, persona=persona.name, voice=voice.name)

    def _brain(self, persona: Persona) -> Brain:
        endpoint = openai.endpoint(self._config.llm_url, self._config.llm_key, self._config.llm_model)
        return openai.OpenAiBrain(endpoint, persona) if endpoint else ScriptedBrain(persona)

    async def _end(self, broadcast: str) -> None:
        avatar = self._avatars.pop(broadcast, None)
        if avatar is None:
            return
        await avatar.conversation.close()
        await asyncio.get_running_loop().run_in_executor(None, avatar.stage.close)
        self._outlet.end(broadcast)
        _QUALITY.remove(broadcast)
        _log.info("avatar:ended", broadcast=broadcast)

    async def _watch(self) -> None:
        """Each second: who is watched, who must be started again, who may greet its first viewer."""
        while True:
            await asyncio.sleep(_TICK_S)
            for name, avatar in list(self._avatars.items()):
                if avatar.stage.failed:
                    STARTS.labels("broke").inc()
                    _log.error("avatar:restarted", broadcast=name)
                    await self._end(name)
                    self._changed.set()
                    continue
                _QUALITY.labels(name).set(avatar.stage.quality())
                viewers = self._outlet.subscribers(name) + avatar.broadcast.viewers
                avatar.stage.watched(viewers > 0, viewers)
                arrived, avatar.watched = bool(viewers) and not avatar.watched, viewers > 0
                if arrived and time.monotonic() - avatar.greeted_at > _GREET_AGAIN_S and avatar.stage.quiet:
                    avatar.greeted_at = time.monotonic()
                    avatar.conversation.greet()


def trial(renderer: Renderer | Face, video: VideoSettings) -> float:
    """CPU seconds that a frame takes here, drawn and encoded, in the calling thread."""
    encoder = VideoEncoder(video)
    began_s = time.thread_time()
    for frame in range(_TRIAL_FRAMES):
        encoder.encode(drawn(renderer, _spoken(renderer, frame)), frame)
    return (time.thread_time() - began_s) / _TRIAL_FRAMES


def _spoken(face: Renderer | Face, frame: int) -> Pose | Moment:
    """A moment at which somebody speaks."""
    pose = Pose(weights(jawOpen=0.3))
    if not isinstance(face, Face):
        return pose
    size = face.reach.before + face.reach.after
    return Moment(frame, pose, np.random.default_rng(frame).standard_normal(size).astype(np.float32) * 0.1)


@contextlib.contextmanager
def _queue_limit() -> Iterator[None]:
    """A full queue, or a line that is not there, as the answer that a caller sees."""
    try:
        yield
    except LineUnknown as unknown:
        raise NotFound(str(unknown), code="line_unknown") from unknown
    except QueueFull as full:
        raise TooMany(str(full), code="avatar_busy", retry_after_s=5) from full
