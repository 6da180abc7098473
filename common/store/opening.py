"""From an address to a store: `file:///folder`, or `s3://bucket/prefix?endpoint=https://...&region=...`."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from common.errors import Problem
from common.store.folder import Folder
from common.store.store import BadName, Store, checked

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_HINT = "a store is file:///folder or s3://bucket/prefix?endpoint=https://host&region=name"


def open_store(address: str) -> Store:
    """The store at an address. Raises Problem for an address that is none."""
    try:
        url = urlsplit(address)
        options = {
            name: values[-1] for name, values in parse_qs(url.query, strict_parsing=bool(url.query)).items()
        }
    except ValueError as error:
        raise _bad(address, str(error)) from None
    if url.scheme == "file":
        if url.netloc not in ("", "localhost") or not url.path.startswith("/") or options:
            raise _bad(address, "a folder is named by its whole path, with three slashes")
        return Folder(Path(unquote(url.path)))
    if url.scheme == "s3":
        return _bucket(address, url, options)
    raise _bad(address, f"there are no stores of the kind {url.scheme or address[:20]!r}")


def _bucket(address: str, url: SplitResult, options: dict[str, str]) -> Store:
    prefix = url.path.strip("/")
    if "@" in url.netloc or not _BUCKET.fullmatch(url.netloc):
        raise _bad(
            address,
            "the name of a bucket has 3 to 63 of a-z 0-9 . -; credentials are not part of the address",
        )
    if prefix:
        try:
            checked(prefix)
        except BadName as error:
            raise _bad(address, str(error)) from None
    endpoint, region = options.pop("endpoint", None), options.pop("region", None)
    if options:
        raise _bad(address, f"it knows endpoint and region, not {', '.join(options)[:80]}")
    if endpoint is not None and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/?", endpoint):
        raise _bad(address, "an endpoint is https://host or https://host:port")
    from botocore.exceptions import BotoCoreError

    from common.store.s3 import S3  # 0.3 s, and 20 MB, for who has a bucket only

    try:
        return S3(url.netloc, prefix, endpoint=endpoint, region=region)
    except (BotoCoreError, ValueError) as error:
        raise _bad(address, str(error)) from None


def _bad(address: str, why: str) -> Problem:
    # Neither query nor user: who mistakes where credentials belong must not find them in a log.
    shown = address.partition("?")[0]
    if "@" in shown:
        shown = f"{shown.partition('://')[0]}://...@{shown.rpartition('@')[2]}"
    return Problem(f"the store {shown!r} cannot be used: {why}", code="store_invalid", hint=_HINT)
