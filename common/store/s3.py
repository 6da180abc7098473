"""A bucket as a store: Amazon's, or of anything that speaks its protocol."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.store.store import LIST_LIMIT, Body, NotStored, Store, Stored, StoreError, Stream, checked

_PIECE_BYTES = 1 << 20
_PART_BYTES = 16 << 20
"""Of an object that is made while it is put: at most 10,000 of them are 160 GB. So much memory it takes."""
_CONNECT_S = 5.0
_ANSWER_S = 20.0
_ABSENT = {"NoSuchKey", "404", "NotFound"}


class S3(Store):
    """The objects of `bucket` below `prefix` ("" or a name). Credentials come from where AWS tools look for them: environment, files, the
    machine's role. What fails is not tried again here, but by who put it."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str | None = None,
        region: str | None = None,
        answer_s: float = _ANSWER_S,
    ) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        settings = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=answer_s,
            max_pool_connections=32,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path" if endpoint else "auto"},
            # We send the MD5 of each object, which every server checks; not all know the checksums that are newer.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=region or ("us-east-1" if endpoint else None),
            config=settings,
        )

    def put(self, name: str, body: Body, *, content_type: str, cache_control: str) -> None:
        told = {"ContentType": content_type, "CacheControl": cache_control}
        key = self._key(name)
        with _told(name):
            if isinstance(body, Path) and body.stat().st_size > _PART_BYTES:
                body = Stream(functools.partial(_read, body))
            if isinstance(body, Stream):
                self._put_parts(key, body, told)
                return
            data = body.read_bytes() if isinstance(body, Path) else body
            self.client.put_object(Bucket=self.bucket, Key=key, Body=data, ContentMD5=_md5(data), **told)

    def _put_parts(self, key: str, body: Stream, told: dict[str, str]) -> None:
        upload = {"Bucket": self.bucket, "Key": key}
        upload["UploadId"] = self.client.create_multipart_upload(**upload, **told)["UploadId"]
        try:
            parts: list[dict[str, Any]] = []
            for number, data in enumerate(_parts(body.chunks()), 1):
                answer = self.client.upload_part(
                    **upload, PartNumber=number, Body=data, ContentMD5=_md5(data)
                )
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        except BaseException:
            # Parts that nobody completes are paid for. What this misses goes by the bucket's rules (lifecycle.py).
            with contextlib.suppress(BotoCoreError, ClientError):
                self.client.abort_multipart_upload(**upload)
            raise

    def size(self, name: str) -> int:
        with _told(name):
            return int(self.client.head_object(Bucket=self.bucket, Key=self._key(name))["ContentLength"])

    def read(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        asked = (
            {} if start == 0 and end is None else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        )
        if end is not None and end <= start:
            return iter(())
        with _told(name):
            body = self.client.get_object(Bucket=self.bucket, Key=self._key(name), **asked)["Body"]
        return _pieces(name, body)

    def link(self, name: str, seconds: int) -> str | None:
        asked = {"Bucket": self.bucket, "Key": self._key(name)}
        with _told(name):
            return str(self.client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds))

    def names(self, prefix: str, after: str = "", limit: int = LIST_LIMIT) -> list[Stored]:
        found: list[Stored] = []
        with _told(prefix):
            while len(found) < limit:
                asked = {"StartAfter": self.prefix + after} if after else {}
                wanted = min(LIST_LIMIT, limit - len(found))
                answer = self.client.list_objects_v2(
                    Bucket=self.bucket, Prefix=self.prefix + prefix, MaxKeys=wanted, **asked
                )
                rows = [
                    Stored(one["Key"].removeprefix(self.prefix), int(one["Size"]))
                    for one in answer.get("Contents", ())
                ]
                found += rows
                if not answer.get("IsTruncated") or not rows:
                    break
                after = rows[-1].name
        return found

    def delete(self, names: Sequence[str]) -> None:
        keys = [{"Key": self._key(name)} for name in names]
        for begin in range(0, len(keys), LIST_LIMIT):
            wanted = {"Objects": keys[begin : begin + LIST_LIMIT], "Quiet": True}
            with _told("objects"):
                answer = self.client.delete_objects(Bucket=self.bucket, Delete=wanted)
            for one in answer.get("Errors", ()):
                raise StoreError(f"{one.get('Key')} cannot be deleted: {one.get('Code')}")

    def _key(self, name: str) -> str:
        return self.prefix + checked(name)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """What the SDK raises, as ours. No headers and no addresses: they may hold credentials."""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        code = str(said.get("Code", "?"))
        if code in _ABSENT:
            raise NotStored(name) from None
        raise StoreError(f"{name}: the store says {code}: {str(said.get('Message', ''))[:200]}") from None
    except BotoCoreError as error:
        raise StoreError(f"{name}: the store does not answer: {type(error).__name__}") from None


def _pieces(name: str, body: Any) -> Iterator[bytes]:
    with contextlib.closing(body):
        while True:
            with _told(name):
                piece = body.read(_PIECE_BYTES)
            if not piece:
                return
            yield piece


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _parts(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of equal size; one that may be empty when there are none."""
    held = bytearray()
    first = True
    for chunk in chunks:
        held += chunk
        while len(held) >= _PART_BYTES:
            yield bytes(held[:_PART_BYTES])
            del held[:_PART_BYTES]
            first = False
    if held or first:
        yield bytes(held)


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
