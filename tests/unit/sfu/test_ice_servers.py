"""What peers are told of STUN and TURN servers."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from common.config import IceSettings
from common.errors import Problem
from sfu.ice_servers import IceServers


def test_turn_credentials_are_those_that_coturn_makes_of_the_same_secret() -> None:
    # echo -n "$USERNAME" | openssl dgst -binary -sha1 -hmac north | openssl base64
    servers = IceServers(("turn:turn.example.org:3478",), "north", 3600, now=lambda: 1_000_000.0)
    username, credential = servers.credentials()
    assert username.split(":")[0] == "1003600"
    assert credential == base64.b64encode(hmac.digest(b"north", username.encode(), hashlib.sha1)).decode()
    assert servers.credentials()[0] != username, "no two peers share a name"


def test_links_are_those_of_rfc_9725() -> None:
    servers = IceServers(("stun:stun.example.org", "turns:turn.example.org:443?transport=tcp"), "north", 3600)
    stun, turn = servers.links()
    assert stun == '<stun:stun.example.org>; rel="ice-server"'
    head, username, credential, kind = turn.split("; ")[0], *turn.split("; ")[2:]
    assert head == "<turns:turn.example.org:443?transport=tcp>"
    assert username.startswith('username="') and credential.startswith('credential="')
    assert kind == 'credential-type="password"'
    assert IceServers().links() == ()


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://example.org", "s"),
        ("stun:", "s"),
        ('stun:a>; rel="x"', "s"),
        ("turn:a?transport=sctp", "s"),
        ("turn:turn.example.org", ""),
    ],
)
def test_what_no_browser_could_use_is_refused_at_the_start(url: str, secret: str) -> None:
    with pytest.raises(Problem) as told:
        IceServers.configured(IceSettings(ice_servers=[url], turn_secret=secret))
    assert told.value.code == "bad_ice_server"
    assert url in told.value.detail


def test_the_environment_names_them_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AVACAST_ICE_SERVERS", "stun:a.example, turn:b.example:3478?transport=udp,turn:[2001:db8::1]:3478"
    )
    monkeypatch.setenv("AVACAST_TURN_SECRET", "north")
    assert len(IceServers.configured(IceSettings()).links()) == 3
