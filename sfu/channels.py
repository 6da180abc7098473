"""Data channels of a node's sessions: the same words as the server-sent events, and chat (docs/data.md).

A peer opens the channels that it wants by their labels. `events` and `captions` carry what `Viewers` tells; `chat` goes both ways.
A node's pull opens `captions` and `chat` at its upstream, so both travel the tree of nodes beside the media:

    caption: publisher or avatar ─► origin ─► relay ─► relay ─► viewers          (down)
    chat:    viewer ─► its node ─► everyone there, every node below, the node above ─► ... (all but where it came from)
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from common._native import SfuError
from common.log import log
from common.metrics import counter
from sfu.chat import NODE_RATE, VIEWER_RATE, ChatRefused, Line, Pace, passed_on, written
from sfu.upstream import Puller
from sfu.viewers import CAPTIONS, CHAT, EVENTS, LABELS, ViewerRole, Viewers, words
from sfu.whip import Whip
from sfu.worker import Event, Worker

_log = log("channels")

PULLED = (CAPTIONS, CHAT)
"""Channels that a node opens at its upstream."""
MAX_CAPTION = 2000
"""Characters of a caption that comes from another machine."""
_DAYS_MS = 10**15
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")

_LINES = counter("chat_lines_total", "Chat lines that were passed on or refused", ("outcome",))


class Channels:
    """Joins the core's data channels with who watches, publishes and pulls here. Make one for each core that serves viewers."""

    def __init__(
        self, worker: Worker, viewers: Viewers, *, puller: Puller | None = None, whip: Whip | None = None
    ) -> None:
        self._worker = worker
        self._viewers = viewers
        self._puller = puller
        self._whip = whip
        self._publishers: dict[str, str] = {}
        """Publishers that listen to the chat: session and stream."""
        self._paces: dict[str, Pace] = {}
        self.greet: Callable[[str], None] = lambda _session: None
        """Called with a publisher's session that has opened `events`."""
        viewers.spread = self._spread
        worker.listen(self._heard)

    # --- out ------------------------------------------------------------------------------------------

    def _spread(self, stream: str, label: str, text: str, without: str | None) -> None:
        self._worker.tell(stream, label, text, without=without)

    def _say(self, session: str, label: str, text: str) -> None:
        with contextlib.suppress(SfuError):
            self._worker.sfu.tell_session(session, label, text)

    def tell_publisher(self, session: str, name: str, data: Mapping[str, Any]) -> None:
        """Tells a publisher an event, if it has opened the channel for it."""
        self._say(session, LABELS[name], words(name, data))

    # --- in -------------------------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        kind = event["type"]
        if kind == "message":
            self._message(event["session"], event["stream"], event["label"], event["data"])
        elif kind == "channel_opened":
            self._opened(event["session"], event["stream"], event["label"])
        elif kind == "channel_closed":
            self._closed(event["session"], event["label"])
            if event["reason"] != "closed_by_peer":
                _log.info(
                    "channel_closed", stream=event["stream"], label=event["label"], reason=event["reason"]
                )
        elif kind == "session_closed":
            self._publishers.pop(event["session"], None)
            self._paces.pop(event["session"], None)

    def _opened(self, session: str, stream: str, label: str) -> None:
        viewer = self._viewers.find(session)
        if viewer is not None:
            viewer.channels[label] = partial(self._say, session, label)
            if label == EVENTS:
                for name, data in self._viewers.kept(viewer):
                    viewer.channels[label](words(name, data))
        elif label == CHAT and self._publishes(session):
            self._publishers[session] = stream
        elif label == EVENTS and self._publishes(session):
            self.greet(session)

    def _closed(self, session: str, label: str) -> None:
        viewer = self._viewers.find(session)
        if viewer is not None:
            viewer.channels.pop(label, None)
        elif label == CHAT:
            self._publishers.pop(session, None)

    def _message(self, session: str, stream: str, label: str, message: str | bytes) -> None:
        if label == CAPTIONS and (self._pulls(session, stream) or self._publishes(session)):
            caption = caption_of(message)
            if caption is not None:
                self._viewers.tell(stream, "caption", caption)
        elif label == CHAT:
            self._chat(session, stream, message)

    # --- chat -----------------------------------------------------------------------------------------

    def _chat(self, session: str, stream: str, message: str | bytes) -> None:
        viewer = self._viewers.find(session)
        try:
            if self._pulls(session, stream):
                line = passed_on(message)
            elif viewer is not None and viewer.role is ViewerRole.NODE and viewer.trusted:
                self._pace(session, NODE_RATE).take(time.monotonic())
                line = passed_on(message)
            elif viewer is not None or self._publishes(session):
                self._pace(session, VIEWER_RATE).take(time.monotonic())
                line = written(message, session, time.time_ns() // 1_000_000)
            else:
                return  # of another node that shares this core
        except ChatRefused as refused:
            _LINES.labels(refused.code).inc()
            self._say(session, CHAT, json.dumps(refused.answer(), separators=(",", ":")))
            return
        _LINES.labels("passed_on").inc()
        self._pass_on(session, stream, line, by_node=viewer is not None and viewer.role is ViewerRole.NODE)

    def _pass_on(self, session: str, stream: str, line: Line, *, by_node: bool) -> None:
        """To everyone here, who wrote it included (it says that the line was taken); to nodes but the one that it came from."""
        data = line.data()
        self._viewers.tell(stream, "chat", data, without=session if by_node else None)
        text = words("chat", data)
        for publisher, of in list(self._publishers.items()):
            if of == stream:
                self._say(publisher, CHAT, text)
        pull = self._puller.find(stream) if self._puller else None
        if pull is not None and pull.session and pull.session != session:
            self._say(pull.session, CHAT, text)

    def _pace(self, session: str, rate: tuple[float, float]) -> Pace:
        pace = self._paces.get(session)
        if pace is None:
            pace = self._paces[session] = Pace(rate, time.monotonic())
        return pace

    def _pulls(self, session: str, stream: str) -> bool:
        pull = self._puller.find(stream) if self._puller else None
        return pull is not None and pull.session == session

    def _publishes(self, session: str) -> bool:
        return self._whip is not None and self._whip.find(session) is not None


def caption_of(message: str | bytes) -> Mapping[str, Any] | None:
    """A caption that another machine sends, as it is passed on; None when it is none. Times are of the sender's own clock; a language is
    a tag of BCP 47."""
    try:
        fields = json.loads(message)
        text, start_ms, end_ms = fields["text"], fields["start_ms"], fields["end_ms"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    if not isinstance(text, str) or type(start_ms) is not int or type(end_ms) is not int:
        return None
    if not 0 <= start_ms <= end_ms < _DAYS_MS:
        return None
    caption: dict[str, Any] = {"text": text[:MAX_CAPTION], "start_ms": start_ms, "end_ms": end_ms}
    language = fields.get("language")
    if isinstance(language, str) and _LANGUAGE.fullmatch(language):
        caption["language"] = language
    return caption
