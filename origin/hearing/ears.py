"""The microphones of this origin's viewers: a WHIP endpoint whose streams are private, and what comes of what is said.

`POST ears/{broadcast}` takes an offer with one Opus m-line and an ear token (of the broadcast and one viewer). Its stream has a name that
is no broadcast's (common/ids.py): no WHEP can ask for it, no report lists it, nobody packages it. What was understood is told to the
speaker alone, on the data channel `ears` of the same session. One whose avatar goes on at another origin is told `moved`: it asks for its
ear again, and ends this one when it has the other. What it says here meanwhile becomes a question there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
from aiohttp import web

from common import metrics
from common._native import SessionUnknown, SfuError
from common.auth import Audience, Tokens, bearer, ear_subject
from common.config import OriginConfig
from common.directory import Directory
from common.errors import BadRequest, NotFound, Problem, TooMany, Unavailable
from common.ids import private_stream
from common.log import log
from origin.avatar import Presence
from origin.avatars import Avatars
from origin.hearing.ear import Ear
from origin.hearing.floor import Ask, Floor, Interrupt
from sfu.session import (
    add_endpoint,
    created,
    newest_etag,
    patch,
    read_sdp,
    refused,
    session_of,
    stream_of,
)
from sfu.worker import Event as CoreEvent
from sfu.worker import Worker
from speech.hearing import events as heard
from speech.hearing.endpoint import Endpointing
from speech.hearing.events import RATE
from speech.hearing.hearing import Hearing
from speech.hearing.vad import Silero
from speech.hearing.whisper import Recogniser, Whisper
from speech.voice import VoiceError

_log = log("ears")

CHANNEL: Final = "ears"
"""Label of the data channel on which a speaker is told what was understood."""
_VIDEO: Final = re.compile(r"^m=(?!audio |application )", re.MULTILINE)
_AUDIO: Final = re.compile(r"^m=audio ", re.MULTILINE)

_EARS = metrics.gauge("hearing_ears", "Viewers' microphones that are listened to")
_TURNS = metrics.counter("hearing_turns_total", "Turns of viewers by what became of them", ("outcome",))
_ANSWER = metrics.histogram(
    "hearing_answer_seconds",
    "From a viewer's last voiced sound to the avatar's voice, where it answers at once",
    (0.3, 0.5, 0.7, 0.9, 1.2, 1.6, 2.0, 3.0, 5.0),
)


class Ice(Protocol):
    """Tells the ICE servers of this node."""

    def links(self) -> tuple[str, ...]: ...


@dataclass(eq=False)
class _Session:
    """One viewer's microphone."""

    session: str
    etag: str
    broadcast: str
    viewer: str
    ear: Ear
    moved: bool = False
    """It was told to open its microphone at another origin."""


@dataclass(slots=True)
class _Room:
    """A broadcast with ears."""

    floor: Floor = field(default_factory=Floor)
    asked_s: float | None = None
    """When the speech ended whose answer is awaited."""


class Models:
    """What all ears share: loaded when the first is wanted, kept. In the threads of the ears."""

    def __init__(self, compute_type: str) -> None:
        self._compute_type = compute_type
        self._recogniser: Recogniser | None = None
        self._silero: Silero | None = None

    def recogniser(self) -> Recogniser:
        """The recogniser; 1-2 s the first time. Raises VoiceError."""
        if self._recogniser is None:
            self._recogniser = Whisper(self._compute_type)
        return self._recogniser

    def silero(self) -> Silero:
        """The voice detector; 0.1 s the first time. Raises VoiceError."""
        if self._silero is None:
            self._silero = Silero()
        return self._silero


class Ears:
    """The handlers and the sessions. All on one loop; add the routes with `add_to`."""

    def __init__(
        self,
        config: OriginConfig,
        worker: Worker,
        avatars: Avatars,
        tokens: Tokens,
        ice: Ice,
        *,
        draining: Callable[[], bool] = lambda: False,
        models: Models | None = None,
    ) -> None:
        self._most = config.ears
        self._settings = Endpointing(min_voiced_ms=config.ears_voiced_ms)
        self._worker = worker
        self._avatars = avatars
        self._tokens = tokens
        self._ice = ice
        self._draining = draining
        self._models = models or Models(config.ears_compute)
        self._sessions: dict[str, _Session] = {}
        self._rooms: dict[str, _Room] = {}
        self._sound_thread = ThreadPoolExecutor(1, "ears")
        self._recogniser_thread = ThreadPoolExecutor(1, "recogniser")
        self._closing: set[asyncio.Task[None]] = set()
        self._warmed = False
        worker.listen(self._told)

    def add_to(self, app: web.Application) -> None:
        """Adds the routes to an application."""
        add_endpoint(app.router, "ears", self._open, self._patch, self._end)

    async def close(self) -> None:
        """Ends all ears."""
        for session in list(self._sessions):
            self._drop(session)
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._sound_thread.shutdown(wait=False, cancel_futures=True)
        self._recogniser_thread.shutdown(wait=False, cancel_futures=True)

    def apply(self, directory: Directory) -> None:
        """Sends the speakers of avatars that another origin has taken over there."""
        for one in self._sessions.values():
            found = directory.broadcasts.get(one.broadcast)
            released = found is not None and found.released
            if released and not one.moved:
                self._say_fields(one.session, {"event": "moved"})
            one.moved = released

    def avatar_says(self, broadcast: str, text: str, seconds: float) -> None:
        """A clause of the avatar that begins to be heard now, and lasts so long."""
        room = self._rooms.get(broadcast)
        if room is None:
            return
        now_s = time.monotonic()
        room.floor.avatar_says(text, now_s + seconds)
        if room.asked_s is not None:
            _ANSWER.observe(now_s - room.asked_s)
            _log.info("ears:answered", broadcast=broadcast, after_s=round(now_s - room.asked_s, 3))
            room.asked_s = None

    # --- sessions -------------------------------------------------------------------------------------

    async def _open(self, request: web.Request) -> web.Response:
        broadcast = stream_of(request)
        claims = self._tokens.verify(bearer(request.headers.get("Authorization")), Audience.EAR)
        viewer = ear_subject(claims, broadcast)
        offer = await read_sdp(request)
        if _VIDEO.search(offer) or len(_AUDIO.findall(offer)) != 1:
            raise BadRequest(
                "an ear takes one microphone and nothing else", code="bad_sdp", hint="offer one audio track"
            )
        if not self._most:
            raise NotFound("avatars of this node hear nobody", code="no_ears", hint="type instead")
        if self._draining():
            raise Unavailable("this node is being emptied", code="node_draining", retry_after_s=1)
        loop = asyncio.get_running_loop()
        try:
            silero = await loop.run_in_executor(self._sound_thread, self._models.silero)
        except VoiceError as error:
            raise NotFound(f"this node cannot hear: {error}", code="no_ears", hint="type instead") from error
        if not self._warmed:
            self._warmed = True
            loop.run_in_executor(self._recogniser_thread, self._warm)
        self._avatars.avatar(broadcast)
        mine = [one for one in self._sessions.values() if one.broadcast == broadcast]
        replaced = next((one for one in mine if one.viewer == viewer), None)
        if replaced is None and len(mine) >= self._most:
            raise TooMany(
                f"{self._most} viewers speak to {broadcast!r} already",
                code="ears_full",
                hint="type instead, or come again later",
                retry_after_s=10,
            )
        if replaced is not None:
            self._drop(replaced.session)
        stream = private_stream()
        try:
            answer = self._worker.sfu.publish(stream, offer)
        except SfuError as error:
            raise refused(error) from None
        session = answer.session
        self._rooms.setdefault(broadcast, _Room())
        ear = Ear(
            stream,
            self._worker,
            Hearing(silero.detector(), self._settings),
            self._models.recogniser,
            self._sound_thread,
            self._recogniser_thread,
            lambda event: self._heard(session, event),
        )
        self._sessions[session] = _Session(session, answer.etag, broadcast, viewer, ear)
        _EARS.inc()
        return created(request, answer, self._ice.links())

    def _warm(self) -> None:
        with contextlib.suppress(Exception):  # told where somebody is waiting for it: at the first reading
            self._models.recogniser().transcribe(np.zeros(RATE, np.float32))

    def _session(self, request: web.Request) -> _Session:
        one = self._sessions.get(session_of(request))
        if one is None or one.broadcast != stream_of(request):
            raise NotFound("there is no such ear on this node", code="session_unknown", hint="open it again")
        return one

    async def _patch(self, request: web.Request) -> web.Response:
        one = self._session(request)
        response = await patch(request, self._worker, one.session, one.etag)
        one.etag = newest_etag(response, one.etag)
        return response

    async def _end(self, request: web.Request) -> web.Response:
        self._drop(self._session(request).session)
        return web.Response(status=200)

    def _drop(self, session: str) -> None:
        """Ends an ear; its thread may still be at work for a moment."""
        one = self._sessions.pop(session, None)
        if one is None:
            return
        _EARS.dec()
        with contextlib.suppress(SessionUnknown, SfuError):
            self._worker.sfu.close(session)
        room = self._rooms[one.broadcast]
        room.floor.leave(one.viewer)
        self._listen(one.broadcast, room)
        if not any(other.broadcast == one.broadcast for other in self._sessions.values()):
            del self._rooms[one.broadcast]
        task = asyncio.create_task(one.ear.close(), name=f"end of {one.ear.stream}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _told(self, event: CoreEvent) -> None:
        """What the core tells: an ear's media begins, its session is over, a broadcast has ended."""
        kind = event["type"]
        if kind == "session_closed":
            self._drop(event["session"])
        elif kind == "stream_started":
            for one in self._sessions.values():
                if one.ear.stream == event["stream"]:
                    one.ear.start()
        elif kind == "stream_ended":
            for one in list(self._sessions.values()):
                if one.broadcast == event["stream"]:
                    self._drop(one.session)

    # --- what is heard --------------------------------------------------------------------------------

    def _heard(self, session: str, event: heard.Event) -> None:
        one = self._sessions.get(session)
        if one is None:
            return
        room = self._rooms[one.broadcast]
        self._say(session, event)
        try:
            avatar = self._avatars.avatar(one.broadcast)
        except Problem:  # it has just ended: its ears end with it
            return
        talking = not avatar.conversation.resting
        actions = room.floor.handle(one.viewer, event, time.monotonic(), talking)
        self._listen(one.broadcast, room)
        for action in actions:
            match action:
                case Interrupt() if avatar.conversation.moderated:
                    pass  # the host decides when a question is heard
                case Interrupt(by):
                    room.asked_s = None
                    avatar.conversation.interrupt(by)
                case Ask(asker, text, voiced_until_s):
                    self._ask(one, room, asker, text, voiced_until_s)
        if isinstance(event, heard.Final | heard.Unclear):
            asked = any(isinstance(action, Ask) for action in actions)
            unclear = isinstance(event, heard.Unclear)
            _TURNS.labels("unclear" if unclear else "asked" if asked else "echo").inc()

    def _ask(self, one: _Session, room: _Room, asker: str, text: str, voiced_until_s: float) -> None:
        at_once = self._avatars.avatar(one.broadcast).conversation.resting and not room.floor.taken
        try:
            waiting = self._avatars.ask(one.broadcast, text, asker)
        except Problem as full:
            self._say_fields(one.session, {"event": "refused", "code": full.code, "text": str(full)})
            return
        if waiting is None:
            self._say_fields(one.session, {"event": "held", "text": "your question waits for the host"})
            return
        room.asked_s = voiced_until_s if at_once else None

    def _listen(self, broadcast: str, room: _Room) -> None:
        """The avatar listens while somebody has the floor."""
        with contextlib.suppress(Problem):
            avatar = self._avatars.avatar(broadcast)
            listening = room.floor.taken and not avatar.conversation.moderated
            avatar.conversation.listen(listening)
            avatar.stage.rest_as(Presence.LISTENING if listening else Presence.IDLE)

    def _say(self, session: str, event: heard.Event) -> None:
        told: dict[str, Any] = {"turn": event.turn}
        match event:
            case heard.SpeechStarted():
                told["event"] = "started"
            case heard.Partial(text=text, stable=stable):
                told |= {"event": "partial", "text": text, "stable": stable}
            case heard.TurnEnded(end=end):
                told |= {"event": "ended", "end": end.value}
            case heard.Final(text=text):
                told |= {"event": "final", "text": text}
            case heard.Unclear(reason=reason):
                told |= {"event": "unclear", "reason": reason}
        self._say_fields(session, told)

    def _say_fields(self, session: str, fields: dict[str, Any]) -> None:
        with contextlib.suppress(SfuError):  # the session is over, or has no such channel
            self._worker.sfu.tell_session(session, CHANNEL, json.dumps(fields, separators=(",", ":")))
