"""What an upload is, by its first bytes: names and headers say what they like. What is none of these is not kept."""

from __future__ import annotations

from common.errors import BadRequest
from common.jobs import UploadKind

HEAD_BYTES = 64
"""So many bytes are enough."""
IMAGES = ("jpg", "png", "webp")
SOUNDS = ("wav", "mp3", "m4a", "flac", "ogg", "webm", "aac")


def kind_of(head: bytes) -> tuple[UploadKind, str]:
    """Kind and format of a file that begins so. Raises BadRequest (415)."""
    image = _image(head)
    if image is not None:
        return UploadKind.IMAGE, image
    sound = _sound(head)
    if sound is not None:
        return UploadKind.AUDIO, sound
    raise BadRequest(
        "the upload is neither a photo nor a recording that can be used",
        status=415,
        code="upload_kind",
        hint=f"photos: {', '.join(IMAGES)}; recordings: {', '.join(SOUNDS)}",
    )


def _image(head: bytes) -> str | None:
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _sound(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    for begins, name in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1aE\xdf\xa3", "webm"), (b"ID3", "mp3")):
        if head.startswith(begins):
            return name
    if head[4:8] == b"ftyp":
        return "m4a"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # a frame of MPEG sound
        return "aac" if head[1] & 0x06 == 0 else "mp3"
    return None
