"""GStreamer's viewer and publisher (tests/interop/gstreamer) for tests: run by the system's Python, which has GStreamer's bindings."""

from __future__ import annotations

import contextlib
import datetime
import functools
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.harness.peer_process import PeerProcess, peer_process

PYTHON = "/usr/bin/python3"
PROGRAM = Path(__file__).parents[1] / "interop/gstreamer/peer.py"
ELEMENTS = (
    "webrtcbin",
    "nicesrc",
    "dtlsdec",
    "srtpdec",
    "sctpdec",
    "x264enc",
    "avdec_h264",
    "vp8enc",
    "opusenc",
)
_CHECK = f"""
import gi
for name in ("Gst", "GstSdp", "GstWebRTC"):
    gi.require_version(name, "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC
Gst.init(None)
print(" ".join(name for name in {ELEMENTS!r} if not Gst.ElementFactory.find(name)))
"""


@functools.cache
def missing() -> str | None:
    """Why GStreamer cannot be used here, None if it can."""
    try:
        found = subprocess.run([PYTHON, "-c", _CHECK], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no GStreamer: {error}"
    if found.returncode:
        return "GStreamer's Python bindings are not installed: infra/setup/tools.sh test"
    if absent := found.stdout.strip():
        return f"GStreamer lacks {absent}: infra/setup/tools.sh test"
    return None


needs_gstreamer = pytest.mark.skipif(missing() is not None, reason=missing() or "")


def certificate(folder: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> Path:
    """A file with a certificate for a key, and the key."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    path = folder / "peer.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextlib.asynccontextmanager
async def gstreamer(
    what: str, url: str, *options: str, before: tuple[str, ...] = ()
) -> AsyncIterator[PeerProcess]:
    """Runs it: `what` is publish or watch; `before` is a command that runs it."""
    async with peer_process(*before, PYTHON, str(PROGRAM), what, "--url", url, *options) as running:
        yield running
