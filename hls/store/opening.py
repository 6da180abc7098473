"""From an address to a store: `file:///folder`, or `s3://bucket/prefix?endpoint=https://...&region=...`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from common.errors import Problem
from hls.store.folder import Folder
from hls.store.store import Store

_HINT = "AVACAST_STORE is file:///folder or s3://bucket/prefix?endpoint=https://host&region=name"


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
    raise _bad(address, f"there are no stores of the kind {url.scheme or address[:20]!r}")


def _bad(address: str, why: str) -> Problem:
    # Not the query: who mistakes where credentials belong must not find them in a log.
    return Problem(
        f"the store {address.partition('?')[0]!r} cannot be used: {why}", code="store_invalid", hint=_HINT
    )
