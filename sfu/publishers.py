"""Publishers of a node whose broadcasts another origin is to take over: they are asked to send there too, and let go when nobody takes
their streams from here any more.

    (none) ──directory: `moving`──► ASKED ──`released`, then gone from the directory──► its session is ended
      ▲                              │
      └──── neither: told to stay ───┘

A publisher hears it on the data channel `events`, as `{"event": "move", "data": {"whip": URL}}`, or with `null` that it stays. One
that has no such channel stays until this process ends, and is sent to the other origin when it comes again.
"""

from __future__ import annotations

from common.directory import Broadcast, Directory
from common.log import log
from common.urls import entrance
from sfu.channels import Channels
from sfu.link import Link
from sfu.whip import Publication, Whip

_log = log("publishers")


class Publishers:
    """Those who send by WHIP to this node."""

    def __init__(self, link: Link, whip: Whip, channels: Channels) -> None:
        self._link = link
        self._whip = whip
        self._channels = channels
        self._asked: dict[str, str] = {}
        """Sessions that were asked to move, and where to."""
        channels.greet = self._greet
        link.listen(self._follow)

    def _follow(self, directory: Directory) -> None:
        here = {one.session: one for one in self._whip}
        self._asked = {session: whip for session, whip in self._asked.items() if session in here}
        for session, publication in here.items():
            broadcast = directory.broadcasts.get(publication.stream)
            if broadcast is not None and broadcast.moving:
                self._ask(publication, broadcast)
            elif session in self._asked and broadcast is None:
                _log.info("publisher_moved", stream=publication.stream)
                self._whip.leave(session)
            elif session in self._asked and broadcast is not None and not broadcast.released:
                del self._asked[session]
                self._channels.tell_publisher(session, "move", {"whip": None})

    def _greet(self, session: str) -> None:
        """It has opened `events`, and may have been asked before it could hear."""
        if session in self._asked:
            self._channels.tell_publisher(session, "move", {"whip": self._asked[session]})

    def _ask(self, publication: Publication, broadcast: Broadcast) -> None:
        if publication.session in self._asked or not broadcast.play_url:
            return
        whip = f"{entrance(broadcast.play_url, publication.host)}/whip/{publication.stream}"
        self._asked[publication.session] = whip
        _log.info("publisher_asked_to_move", stream=publication.stream)
        self._channels.tell_publisher(publication.session, "move", {"whip": whip})
