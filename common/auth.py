"""Who may do what: bearer tokens of operators, JWTs of viewers, publishers and nodes.

A JWT lives for a bounded time and names one audience: `viewer` (sub = broadcast it may watch), `publisher` (sub = broadcast it may
publish), `ear` (sub = broadcast and viewer who may speak to its avatar, `broadcast/viewer`), `peer` (sub = node that may pull from
others), `node` (sub = node with the cluster's secret that registers and pulls), `order` (sub = node to which an orchestrator speaks).

Orchestrators sign with Ed25519 keys that rotate (common/signing.py, `kid` in the header); whoever verifies needs the public ones. Who
has the cluster's secret can sign with that too (HS256): nodes so register, and `HS256` says for what else it is believed.

HLS of a private broadcast is watched by a path token, `/hls/t/{token}/{broadcast}/...`, which every player passes on by itself.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import Forbidden, Unauthorized
from common.signing import PublicKey, SigningKey

MOST_TOKEN_S = 90 * 86_400
"""No token lives longer."""


class Audience(enum.StrEnum):
    VIEWER = "viewer"
    PUBLISHER = "publisher"
    NODE = "node"
    ORDER = "order"
    PEER = "peer"
    EAR = "ear"


class Believed(enum.StrEnum):
    """For what the cluster's secret (HS256) is believed."""

    ALL = "all"
    NODES = "nodes"
    """Tokens of nodes only."""
    NONE = "none"


@dataclass(frozen=True)
class Claims:
    """What a verified token says. `expires_at` in seconds since the epoch."""

    audience: Audience
    subject: str
    expires_at: float


def ear_subject(claims: Claims, broadcast: str) -> str:
    """The viewer that an ear token of `broadcast` is for. Raises Forbidden for another broadcast's."""
    named, _, viewer = claims.subject.partition("/")
    if named != broadcast or not viewer:
        raise Forbidden(f"the token is not for {broadcast!r}", code="wrong_token")
    return viewer


def bearer(authorization: str | None) -> str | None:
    """The token of an `Authorization: Bearer ...` header, None when there is no header. Raises Unauthorized on another scheme."""
    if authorization is None:
        return None
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or not token.isascii():
        raise Unauthorized(
            "the Authorization header is not a bearer token", hint="send 'Authorization: Bearer <token>'"
        )
    return token


class Tokens:
    """Issues and verifies JWTs: with a signing key once `sign_with` was told one, else with the cluster's secret."""

    def __init__(self, secret: str, hs256: Believed = Believed.ALL) -> None:
        """`secret` is empty at nodes that have none. Raises ValueError for a short one."""
        if secret and len(secret) < 32:
            raise ValueError(
                "AVACAST_CLUSTER_SECRET has fewer than 32 characters; make one with: openssl rand -hex 32"
            )
        self._secret = secret
        self._hs256 = hs256
        self._signing: SigningKey | None = None
        self._public: dict[str, Ed25519PublicKey] = {}

    def sign_with(self, key: SigningKey | None) -> None:
        """Signs with this from now on; None: with the secret."""
        self._signing = key

    def learn(self, keys: Iterable[PublicKey]) -> bool:
        """Believes these keys, and no others, from now on; True when they are others than before."""
        told = list(keys)
        changed = {one.kid for one in told} != self._public.keys()
        if changed:
            self._public = {one.kid: one.key() for one in told}
        return changed

    @property
    def can_issue(self) -> bool:
        """Whether there is something to sign with."""
        return self._signing is not None or bool(self._secret)

    @property
    def signs_by_key(self) -> bool:
        """Whether what is issued can be verified without the secret."""
        return self._signing is not None

    def issue(self, audience: Audience, subject: str, *, ttl_s: float, now: float | None = None) -> str:
        """A token for `subject`, valid for `ttl_s` seconds."""
        issued = time.time() if now is None else now
        claims = {"aud": audience.value, "sub": subject, "iat": int(issued), "exp": int(issued + ttl_s)}
        if self._signing is not None:
            kid = self._signing.public.kid
            return jwt.encode(claims, self._signing.private, algorithm="EdDSA", headers={"kid": kid})
        assert self._secret, "who has neither key nor secret asks an orchestrator for its tokens"
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def verify(
        self,
        token: str | None,
        audience: Audience,
        subject: str | None = None,
        *,
        also: Audience | None = None,
    ) -> Claims:
        """The claims of a valid token for `audience`, or of any subject for `also`. Raises Unauthorized (none, broken, expired) or
        Forbidden (made for something else)."""
        if not token:
            raise Unauthorized(
                f"a {audience.value} token is needed", hint="send 'Authorization: Bearer <token>'"
            )
        taken = [audience] if also is None else [audience, also]
        try:
            claims = self._claims(token, [one.value for one in taken])
        except jwt.ExpiredSignatureError:
            raise Unauthorized(
                "the token has expired", code="token_expired", hint="ask for a new one"
            ) from None
        except jwt.InvalidAudienceError:
            raise Forbidden(f"this is not a {audience.value} token", code="wrong_token") from None
        except jwt.PyJWTError:
            raise Unauthorized("the token is not valid", code="token_invalid") from None
        found = next((one for one in taken if one.value == claims["aud"]), None)
        if found is None:  # a list of audiences, which we never issue
            raise Forbidden(f"this is not a {audience.value} token", code="wrong_token")
        if subject is not None and found is audience and claims["sub"] != subject:
            raise Forbidden(f"the token is not for {subject!r}", code="wrong_token")
        return Claims(found, str(claims["sub"]), float(claims["exp"]))

    def _claims(self, token: str, audiences: list[str]) -> dict[str, Any]:
        """What a token says. Its header chooses the key, and each key has one algorithm. Raises jwt.PyJWTError."""
        header = jwt.get_unverified_header(token)
        key: str | Ed25519PublicKey | None
        if header.get("alg") == "EdDSA":
            kid = header.get("kid")
            key, algorithm = self._public.get(kid) if isinstance(kid, str) else None, "EdDSA"
        else:
            key, algorithm = self._secret if self._hs256 is not Believed.NONE else "", "HS256"
        if not key:
            raise jwt.InvalidKeyError("nobody has told us of this key")
        # Whose clock is seconds ahead may issue for us: `iat` decides nothing.
        options: Any = {"require": ["exp", "sub", "aud"], "verify_iat": False}
        claims = jwt.decode(token, key, algorithms=[algorithm], audience=audiences, options=options)
        if algorithm == "HS256" and self._hs256 is Believed.NODES and claims["aud"] != Audience.NODE.value:
            raise jwt.InvalidSignatureError("the cluster's secret is believed of nodes only")
        return dict(claims)


class PathTokens:
    """Makes the path tokens of one cluster: `{expires}.{tag}`, seconds since the epoch and half of HMAC-SHA256 over
    `{broadcast}.{expires}` in hex. They are made once an hour for all viewers, and live for six to seven.

    `key` comes from the cluster's secret but does not tell it, so a CDN may have it. crates/edge/src/gate.rs checks them."""

    STEP_S = 3600
    STEPS = 7

    def __init__(self, secret: str, *, key: str = "") -> None:
        """Of the cluster's secret, or by the `key` alone."""
        self.key = key or hmac.new(secret.encode(), b"avacast path tokens", hashlib.sha256).hexdigest()

    def issue(self, broadcast: str, *, now: float | None = None) -> str:
        """The token of a broadcast as of `now` (seconds since the epoch)."""
        step = int(time.time() if now is None else now) // self.STEP_S
        return self.until(broadcast, (step + self.STEPS) * self.STEP_S)

    def until(self, broadcast: str, expires: int) -> str:
        """A token that expires at a time, in seconds since the epoch."""
        tag = hmac.new(self.key.encode(), f"{broadcast}.{expires}".encode(), hashlib.sha256)
        return f"{expires}.{tag.hexdigest()[:32]}"

    def holds(self, broadcast: str, token: str, *, now: float | None = None) -> bool:
        """Whether this is a token of the broadcast that has not expired."""
        expires = token.partition(".")[0]
        if (
            not expires.isdecimal()
            or len(expires) > 12
            or int(expires) <= (time.time() if now is None else now)
        ):
            return False
        return hmac.compare_digest(self.until(broadcast, int(expires)).encode(), token.encode())


def require_admin(authorization: str | None, admin_token: str) -> None:
    """Passes for the operators' token only. Raises Unauthorized (none) or Forbidden (another one)."""
    token = bearer(authorization)
    if token is None:
        raise Unauthorized(
            "the admin token or an API key is needed", hint="send 'Authorization: Bearer <token>'"
        )
    if not hmac.compare_digest(token.encode(), admin_token.encode()):
        raise Forbidden("this is neither the admin token nor an API key", code="wrong_token")
