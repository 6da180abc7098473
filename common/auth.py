"""Who may do what: bearer tokens of operators, JWTs of viewers, publishers and nodes.

A JWT is signed with the cluster's secret (HS256), lives for a bounded time and names one audience:
`viewer` (sub = broadcast it may watch), `publisher` (sub = broadcast it may publish), `node` (sub = node id), `ear` (sub = broadcast
and viewer who may speak to its avatar, `broadcast/viewer`).

HLS of a private broadcast is watched by a path token, `/hls/t/{token}/{broadcast}/...`, which every player passes on by itself.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import time
from dataclasses import dataclass

import jwt

from common.errors import Forbidden, Unauthorized

_ALGORITHM = "HS256"


class Audience(enum.StrEnum):
    VIEWER = "viewer"
    PUBLISHER = "publisher"
    NODE = "node"
    EAR = "ear"


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
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized(
            "the Authorization header is not a bearer token", hint="send 'Authorization: Bearer <token>'"
        )
    return token


class Tokens:
    """Issues and verifies the JWTs of one cluster."""

    def __init__(self, secret: str) -> None:
        if len(secret) < 32:
            raise ValueError(
                "AVACAST_CLUSTER_SECRET has fewer than 32 characters; make one with: openssl rand -hex 32"
            )
        self._secret = secret

    def issue(self, audience: Audience, subject: str, *, ttl_s: float, now: float | None = None) -> str:
        """A token for `subject`, valid for `ttl_s` seconds."""
        issued = time.time() if now is None else now
        return jwt.encode(
            {"aud": audience.value, "sub": subject, "iat": int(issued), "exp": int(issued + ttl_s)},
            self._secret,
            algorithm=_ALGORITHM,
        )

    def verify(self, token: str | None, audience: Audience, subject: str | None = None) -> Claims:
        """The claims of a valid token. Raises Unauthorized (none, broken, expired) or Forbidden (made for something else)."""
        if not token:
            raise Unauthorized(
                f"a {audience.value} token is needed", hint="send 'Authorization: Bearer <token>'"
            )
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=audience.value,
                options={"require": ["exp", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthorized(
                "the token has expired", code="token_expired", hint="ask for a new one"
            ) from None
        except jwt.InvalidAudienceError:
            raise Forbidden(f"this is not a {audience.value} token", code="wrong_token") from None
        except jwt.PyJWTError:
            raise Unauthorized("the token is not valid", code="token_invalid") from None
        if subject is not None and claims["sub"] != subject:
            raise Forbidden(f"the token is not for {subject!r}", code="wrong_token")
        return Claims(audience, str(claims["sub"]), float(claims["exp"]))


class PathTokens:
    """Makes the path tokens of one cluster: `{expires}.{tag}`, seconds since the epoch and half of HMAC-SHA256 over
    `{broadcast}.{expires}` in hex. They are made once an hour for all viewers, and live for six to seven.

    `key` comes from the cluster's secret but does not tell it, so a CDN may have it. crates/edge/src/gate.rs checks them."""

    STEP_S = 3600
    STEPS = 7

    def __init__(self, secret: str) -> None:
        self.key = hmac.new(secret.encode(), b"avacast path tokens", hashlib.sha256).hexdigest()

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
        raise Unauthorized("the admin token is needed", hint="send 'Authorization: Bearer <admin token>'")
    if not hmac.compare_digest(token.encode(), admin_token.encode()):
        raise Forbidden("this is not the admin token", code="wrong_token")
