"""One media core on an event loop: its sessions by name, and its events told to whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from common._native import Sfu, SfuError
from common.config import Media
from common.errors import Problem
from common.log import log
from sfu.addresses import public_addresses

_log = log("sfu")

Event = Mapping[str, Any]
"""What the core tells; `type` says what: see `Sfu.drain_events`, and `Worker.tell`."""
Listener = Callable[[Event], None]


def problem(error: SfuError) -> Problem:
    """A refusal of the core as an answer to the peer."""
    return Problem(
        str(error),
        status=getattr(error, "status", 500),
        code=getattr(error, "code", "internal_error"),
        retry_after_s=getattr(error, "retry_after_s", None),
    )


@dataclass(eq=False)
class Worker:
    """Owns an `Sfu`. Make it with `Worker.open` on the loop that is to hear its events."""

    sfu: Sfu
    _listeners: list[Listener] = field(default_factory=list)
    _closed: bool = False

    @classmethod
    def open(cls, config: Media) -> Worker:
        """Starts a core as configured. Raises Problem when the port is taken, an address is wrong, or a STUN server
        that was named for it does not answer."""
        told = public_addresses(config.public_ip)
        try:
            sfu = Sfu(
                host=config.media_host,
                port=config.media_port,
                workers=config.workers,
                public_addresses=told,
                send=config.send,
                max_subscribers=config.max_subscribers,
                max_unused=config.max_unused,
                playout_delay_ms=config.playout_delay(),
            )
        except SfuError as error:
            raise Problem(
                f"the media core cannot start on port {config.media_port}: {error}",
                code="media_core_failed",
                hint="another program may have the port: choose one with --media-port",
            ) from None
        worker = cls(sfu)
        asyncio.get_running_loop().add_reader(sfu.fd, worker._drain)
        return worker

    @property
    def port(self) -> int:
        """The port of all media, for UDP and TCP."""
        return self.sfu.port

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Has `listener` called with each event, on the loop. Returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def live(self, stream: str) -> bool:
        """True while media of `stream` is here to be forwarded."""
        figures = self.sfu.stats()["streams"].get(stream)
        return figures is not None and figures["live"]

    def tell(self, stream: str, label: str, text: str, *, without: str | None = None) -> None:
        """Says `text` on the data channel `label` of everyone who takes `stream` here, less the session `without`; who listens hears it
        as an event "told"."""
        with contextlib.suppress(SfuError):  # the core is on its way down, or seconds late
            self.sfu.tell(stream, label, text, without=without)
        self._spread({"type": "told", "stream": stream, "label": label, "text": text})

    def _drain(self) -> None:
        for event in self.sfu.drain_events():
            if event["type"] == "send_rung":
                _log.warning("send_rung", reason=event["reason"], send=event["send"])
            self._spread(event)

    def _spread(self, event: Event) -> None:
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception as error:  # one listener's fault is not the others'
                _log.error("listener_failed", event_type=event["type"], exc_info=error)

    async def close(self) -> None:
        """Says goodbye to every peer and stops the core's threads."""
        if not self._closed:
            self._closed = True
            asyncio.get_running_loop().remove_reader(self.sfu.fd)
            await asyncio.to_thread(self.sfu.shutdown)
