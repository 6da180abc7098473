"""Signing keys: what they sign is verified with the public half alone, and nothing else passes for it."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.auth import Audience, Believed, Tokens
from common.errors import Forbidden, Problem, Unauthorized
from common.signing import SigningKey

SECRET = "0123456789abcdef0123456789abcdef"


def signer(key: SigningKey) -> Tokens:
    tokens = Tokens(SECRET)
    tokens.sign_with(key)
    return tokens


def verifier(*keys: SigningKey, hs256: Believed = Believed.ALL, secret: str = "") -> Tokens:
    tokens = Tokens(secret, hs256)
    tokens.learn(one.public for one in keys)
    return tokens


def code(tokens: Tokens, token: str, audience: Audience = Audience.VIEWER) -> str:
    with pytest.raises(Problem) as refused:
        tokens.verify(token, audience)
    return refused.value.code


def test_the_thumbprint_is_that_of_the_rfc() -> None:
    """RFC 8037, appendix A: the key, its public half and its thumbprint."""
    secret = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = SigningKey.of(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.public.x == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.public.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_public_half_is_enough_to_verify() -> None:
    key = SigningKey.make()
    token = signer(key).issue(Audience.VIEWER, "demo", ttl_s=60)
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "kid": key.public.kid, "typ": "JWT"}
    assert verifier(key).verify(token, Audience.VIEWER, "demo").subject == "demo"


def test_a_key_that_nobody_told_of_is_refused() -> None:
    key, other = SigningKey.make(), SigningKey.make()
    token = signer(key).issue(Audience.VIEWER, "demo", ttl_s=60)
    for tokens in (verifier(), verifier(other), verifier(secret=SECRET)):
        assert code(tokens, token) == "token_invalid"


def test_the_key_before_is_believed_until_it_is_forgotten() -> None:
    old, new = SigningKey.make(), SigningKey.make()
    token = signer(old).issue(Audience.VIEWER, "demo", ttl_s=60)
    tokens = verifier(old, new)
    assert tokens.verify(token, Audience.VIEWER).subject == "demo"
    assert tokens.learn([new.public]) and not tokens.learn([new.public])
    assert code(tokens, token) == "token_invalid"


def test_forgeries_are_refused() -> None:
    key = SigningKey.make()
    claims = {"aud": "viewer", "sub": "demo", "exp": int(time.time() + 60)}
    header = {"kid": key.public.kid}
    public = key.public.key().public_bytes_raw()
    good = signer(key).issue(Audience.VIEWER, "demo", ttl_s=60)
    head, body, signature = good.split(".")
    changed = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "other"}).encode()).rstrip(b"=").decode()
    forged = [
        jwt.encode(claims, SigningKey.make().private, algorithm="EdDSA", headers=header),
        jwt.encode(
            claims, public, algorithm="HS256", headers=header
        ),  # the public key as if it were a secret
        jwt.encode(claims, "", algorithm="none", headers=header),
        jwt.encode(claims, key.private, algorithm="EdDSA"),
        jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": "x" * 64}),
        f"{head}.{changed}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
    ]
    for token in forged:
        assert code(verifier(key, secret=SECRET), token) == "token_invalid", token
    audiences = jwt.encode({**claims, "aud": ["viewer", "x"]}, key.private, algorithm="EdDSA", headers=header)
    assert code(verifier(key), audiences) == "wrong_token"


def test_the_secret_is_believed_for_what_the_setting_says() -> None:
    viewer = Tokens(SECRET).issue(Audience.VIEWER, "demo", ttl_s=60)
    node = Tokens(SECRET).issue(Audience.NODE, "relay-1", ttl_s=60)
    order = Tokens(SECRET).issue(Audience.ORDER, "relay-1", ttl_s=60)
    for hs256, passes in (
        (Believed.ALL, (True, True)),
        (Believed.NODES, (False, True)),
        (Believed.NONE, (False, False)),
    ):
        tokens = verifier(hs256=hs256, secret=SECRET)
        for token, audience, expected in (
            (viewer, Audience.VIEWER, passes[0]),
            (order, Audience.ORDER, passes[0]),
            (node, Audience.NODE, passes[1]),
        ):
            if expected:
                assert tokens.verify(token, audience).audience is audience
            else:
                assert code(tokens, token, audience) == "token_invalid"


def test_a_node_without_the_secret_takes_nothing_that_is_signed_with_an_empty_one() -> None:
    claims = {"aud": "node", "sub": "x", "exp": int(time.time() + 60)}
    empty = jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), "x" * 32, algorithm="HS256")
    assert code(verifier(), empty, Audience.NODE) == "token_invalid"


def test_a_token_of_either_kind_opens_what_both_may() -> None:
    key = SigningKey.make()
    tokens = verifier(key)
    peer = signer(key).issue(Audience.PEER, "relay-1", ttl_s=60)
    assert tokens.verify(peer, Audience.VIEWER, "demo", also=Audience.PEER).audience is Audience.PEER
    with pytest.raises(Forbidden):
        tokens.verify(peer, Audience.VIEWER, "demo")
    with pytest.raises(Forbidden):
        tokens.verify(peer, Audience.NODE)
    other = signer(key).issue(Audience.VIEWER, "other", ttl_s=60)
    with pytest.raises(Forbidden):
        tokens.verify(other, Audience.VIEWER, "demo", also=Audience.PEER)


def test_a_sealed_key_opens_with_its_secret_only() -> None:
    key = SigningKey.make()
    sealed = key.seal(SECRET)
    opened = SigningKey.unseal(sealed, key.public.kid, SECRET)
    assert opened is not None and opened.public == key.public
    raw = base64.urlsafe_b64encode(key.private.private_bytes_raw()).rstrip(b"=").decode()
    assert raw not in sealed and key.seal(SECRET) != sealed
    assert SigningKey.unseal(sealed, key.public.kid, SECRET[::-1]) is None
    assert SigningKey.unseal(sealed, SigningKey.make().public.kid, SECRET) is None
    for broken in ("", "A", "é", sealed[:-1], "A" * 200):
        assert SigningKey.unseal(broken, key.public.kid, SECRET) is None


def test_a_token_of_a_clock_that_is_ahead_holds() -> None:
    key = SigningKey.make()
    token = signer(key).issue(Audience.VIEWER, "demo", ttl_s=60, now=time.time() + 30)
    assert verifier(key).verify(token, Audience.VIEWER, "demo").subject == "demo"


def test_garbage_keeps_being_garbage() -> None:
    key = SigningKey.make()
    for token in ("", "x", "a.b.c", "." * 9, "e30.e30.e30", "é.é.é"):
        with pytest.raises(Unauthorized):
            verifier(key, secret=SECRET).verify(token, Audience.VIEWER)
