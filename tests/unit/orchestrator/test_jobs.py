"""What a job may be made of, what an upload is, and how long a link holds."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from common.errors import BadRequest, Forbidden
from common.jobs import UploadKind
from orchestrator.jobs.formats import HEAD_BYTES, kind_of
from orchestrator.jobs.job import MOST_CHARACTERS, NewJob
from orchestrator.jobs.links import VALID_S, Links

UP = "up_0123456789abcdef"


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({}, "one of text and audio"),
        ({"text": "a", "audio": UP}, "one of text and audio"),
        ({"text": " \n"}, "nothing to say"),
        ({"text": "a" * (MOST_CHARACTERS + 1)}, "at most"),
        ({"text": "a", "avatar": "ava", "image": UP}, "not both"),
        ({"text": "a", "avatar": "../ava"}, "pattern"),
        ({"text": "a", "image": "../../etc/passwd"}, "pattern"),
        ({"text": "a", "size": "0x0"}, "pattern"),
        ({"text": "a", "size": "513x512"}, "even"),
        ({"text": "a", "size": "1920x1920"}, "1920x1080"),
        ({"text": "a", "size": "9998x20"}, "even, of"),
        ({"text": "a", "voice": "kokoro:../x"}, "pattern"),
        ({"text": "a", "background": "transparent"}, "pattern"),
        ({"text": "a", "threads": 64}, "not permitted"),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_the_reason(wish: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        NewJob.model_validate(wish)


@pytest.mark.parametrize(
    ("head", "kind", "format"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", UploadKind.IMAGE, "jpg"),
        (b"\x89PNG\r\n\x1a\n", UploadKind.IMAGE, "png"),
        (b"RIFF\1\2\3\4WEBPVP8 ", UploadKind.IMAGE, "webp"),
        (b"RIFF\1\2\3\4WAVEfmt ", UploadKind.AUDIO, "wav"),
        (b"RF64\xff\xff\xff\xffWAVE", UploadKind.AUDIO, "wav"),
        (b"ID3\4\0\0", UploadKind.AUDIO, "mp3"),
        (b"\xff\xfb\x90\0", UploadKind.AUDIO, "mp3"),
        (b"\xff\xf1P\x80", UploadKind.AUDIO, "aac"),
        (b"\0\0\0\x20ftypM4A ", UploadKind.AUDIO, "m4a"),
        (b"fLaC\0", UploadKind.AUDIO, "flac"),
        (b"OggS\0", UploadKind.AUDIO, "ogg"),
        (b"\x1aE\xdf\xa3", UploadKind.AUDIO, "webm"),
    ],
)
def test_an_upload_is_what_its_first_bytes_say(head: bytes, kind: UploadKind, format: str) -> None:
    assert kind_of(head) == (kind, format)
    assert kind_of(head.ljust(HEAD_BYTES, b"\0")) == (kind, format)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"GIF89a",
        b"%PDF",
        b"#EXTM3U",
        b"ffconcat version 1.0",
        b"RIFF",
        b"RIFF\0\0\0\0AVI ",
        b"MZ",
    ],
)
def test_an_upload_that_is_nothing_of_use_is_refused(head: bytes) -> None:
    with pytest.raises(BadRequest) as refused:
        kind_of(head)
    assert (refused.value.status, refused.value.code) == (415, "upload_kind")


def test_a_link_holds_for_its_film_and_its_time_only() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    ours, theirs = Links("one secret"), Links("another secret")
    until, signature = (part.partition("=")[2] for part in ours.query("job_a", now).split("&"))
    ours.check("job_a", until, signature, now + dt.timedelta(seconds=VALID_S))
    for links, job, ends, at in (
        (ours, "job_b", until, now),
        (theirs, "job_a", until, now),
        (ours, "job_a", str(int(until) + 1), now),
        (ours, "job_a", until, now + dt.timedelta(seconds=VALID_S + 1)),
        (ours, "job_a", "-1", now),
        (ours, "job_a", "٣", now),
        (ours, "job_a", "9" * 40, now),
    ):
        with pytest.raises(Forbidden):
            links.check(job, ends, signature, at)
