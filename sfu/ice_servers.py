"""STUN and TURN servers that peers are told of, as Link headers of WHIP and WHEP answers (RFC 9725 4.6).

A TURN server that shares a secret with us (coturn's `use-auth-secret`, draft-uberti-behave-turn-rest) needs no list of users: the
username says until when it holds, and the password is its HMAC-SHA1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.config import IceSettings
from common.errors import Problem

_URL = re.compile(
    r"(stuns?|turns?):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(\?transport=(udp|tcp))?"
)


@dataclass(frozen=True)
class IceServers:
    """What is told: URLs as in RFC 7064 and RFC 7065; `secret` and `ttl_s` are for those of TURN."""

    urls: Sequence[str] = ()
    secret: str = ""
    ttl_s: float = 43_200.0
    now: Callable[[], float] = time.time

    @classmethod
    def configured(cls, config: IceSettings) -> IceServers:
        """As configured. Raises Problem `bad_ice_server` for what is no such URL, or TURN without its secret."""
        for url in config.ice_servers:
            if not _URL.fullmatch(url):
                raise Problem(
                    f"AVACAST_ICE_SERVERS: {url!r} is no URL of a STUN or TURN server",
                    code="bad_ice_server",
                    hint="for example stun:stun.example.org:3478 or turns:turn.example.org:443?transport=tcp",
                )
            if url.startswith("turn") and not config.turn_secret:
                raise Problem(
                    f"AVACAST_ICE_SERVERS names {url}, but there is no AVACAST_TURN_SECRET",
                    code="bad_ice_server",
                    hint="give it the server's static-auth-secret; see docs/networks.md",
                )
        return cls(tuple(config.ice_servers), config.turn_secret, config.turn_ttl_s)

    def links(self) -> tuple[str, ...]:
        """One Link header a server. TURN credentials are fresh: who has them may relay until they expire."""
        username, credential = (
            self.credentials() if any(url.startswith("turn") for url in self.urls) else ("", "")
        )
        secured = f'; username="{username}"; credential="{credential}"; credential-type="password"'
        return tuple(
            f'<{url}>; rel="ice-server"' + (secured if url.startswith("turn") else "") for url in self.urls
        )

    def credentials(self) -> tuple[str, str]:
        """A username that holds for `ttl_s` from now on, and its password."""
        username = f"{int(self.now() + self.ttl_s)}:{secrets.token_hex(4)}"
        digest = hmac.new(self.secret.encode(), username.encode(), hashlib.sha1).digest()
        return username, base64.b64encode(digest).decode()
