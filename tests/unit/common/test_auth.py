"""Tokens open what they were made for, for as long as they were made for, and nothing else."""

import time

import jwt
import pytest

from common.auth import Audience, Tokens, bearer, require_admin
from common.errors import Forbidden, Unauthorized

SECRET = "0123456789abcdef0123456789abcdef"


def test_a_viewer_token_opens_its_broadcast() -> None:
    tokens = Tokens(SECRET)
    token = tokens.issue(Audience.VIEWER, "demo", ttl_s=60)
    assert tokens.verify(token, Audience.VIEWER, "demo").subject == "demo"


def test_a_token_for_another_broadcast_is_refused() -> None:
    tokens = Tokens(SECRET)
    with pytest.raises(Forbidden):
        tokens.verify(tokens.issue(Audience.VIEWER, "demo", ttl_s=60), Audience.VIEWER, "other")


def test_a_viewer_token_does_not_publish() -> None:
    tokens = Tokens(SECRET)
    with pytest.raises(Forbidden):
        tokens.verify(tokens.issue(Audience.VIEWER, "demo", ttl_s=60), Audience.PUBLISHER, "demo")


def test_an_expired_token_says_so() -> None:
    tokens = Tokens(SECRET)
    old = tokens.issue(Audience.NODE, "relay-1", ttl_s=10, now=time.time() - 60)
    with pytest.raises(Unauthorized) as caught:
        tokens.verify(old, Audience.NODE)
    assert caught.value.code == "token_expired"


@pytest.mark.parametrize("token", ["", "x", "a.b.c", None])
def test_garbage_is_no_token(token: str | None) -> None:
    with pytest.raises(Unauthorized):
        Tokens(SECRET).verify(token, Audience.VIEWER)


def test_an_unsigned_token_is_refused() -> None:
    forged = jwt.encode({"aud": "viewer", "sub": "demo", "exp": time.time() + 60}, "", algorithm="none")
    with pytest.raises(Unauthorized):
        Tokens(SECRET).verify(forged, Audience.VIEWER)


def test_another_cluster_s_token_is_refused() -> None:
    theirs = Tokens(SECRET[::-1]).issue(Audience.VIEWER, "demo", ttl_s=60)
    with pytest.raises(Unauthorized):
        Tokens(SECRET).verify(theirs, Audience.VIEWER)


def test_a_short_secret_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="32 characters"):
        Tokens("short")


def test_only_bearer_is_spoken() -> None:
    assert bearer(None) is None
    assert bearer("Bearer abc") == "abc"
    for other in ("Basic abc", "Bearer", "Bearer é", "Bearer \udcff", ""):
        with pytest.raises(Unauthorized):
            bearer(other)


def test_the_admin_token_is_the_only_one_that_passes() -> None:
    require_admin("Bearer secret", "secret")
    with pytest.raises(Unauthorized):
        require_admin(None, "secret")
    with pytest.raises(Forbidden):
        require_admin("Bearer wrong", "secret")
