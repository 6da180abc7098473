"""Keys that sign tokens (Ed25519, RFC 8037): orchestrators have both halves, everybody else the public ones.

A private key is sealed with the cluster's secret before it is stored, so that who reads the database cannot sign. A key's id is its
thumbprint (RFC 7638): two that differ cannot have one id.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field

_NONCE_BYTES = 12
MOST_KEYS = 32
"""Public keys that anybody has to know at once."""


class PublicKey(BaseModel):
    """A JSON Web Key that verifies tokens."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    use: Literal["sig"] = "sig"
    alg: Literal["EdDSA"] = "EdDSA"
    kid: str = Field(min_length=1, max_length=64)
    x: str = Field(pattern="^[A-Za-z0-9_-]{43}$", description="The key, 32 bytes in base64url.")

    def key(self) -> Ed25519PublicKey:
        """The key itself."""
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(self.x + "="))


@dataclass(frozen=True)
class SigningKey:
    """A key that signs."""

    private: Ed25519PrivateKey
    public: PublicKey

    @classmethod
    def make(cls) -> SigningKey:
        """A new one."""
        return cls.of(Ed25519PrivateKey.generate())

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> SigningKey:
        """The pair of a private key."""
        x = _text(private.public_key().public_bytes_raw())
        members = {"crv": "Ed25519", "kty": "OKP", "x": x}
        thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode())
        return cls(private, PublicKey(kid=_text(thumbprint.digest()), x=x))

    def seal(self, secret: str) -> str:
        """The private half, encrypted with the cluster's secret."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = _box(secret).encrypt(nonce, self.private.private_bytes_raw(), self.public.kid.encode())
        return _text(nonce + box)

    @classmethod
    def unseal(cls, sealed: str, kid: str, secret: str) -> SigningKey | None:
        """What `seal` made; None when it was made with another secret, or is another key's."""
        try:
            whole = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            nonce, box = whole[:_NONCE_BYTES], whole[_NONCE_BYTES:]
            raw = _box(secret).decrypt(nonce, box, kid.encode())
            found = cls.of(Ed25519PrivateKey.from_private_bytes(raw))
        except (InvalidTag, ValueError):
            return None
        return found if found.public.kid == kid else None


def _box(secret: str) -> AESGCM:
    key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"avacast signing keys")
    return AESGCM(key.derive(secret.encode()))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
