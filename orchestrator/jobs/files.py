"""The store of uploads and films, from the event loop: its calls block, so threads make them; what it cannot do is a problem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from common.errors import NotFound, Unavailable
from common.store.store import NotStored, Store, StoreError

_PRIVATE = "private, no-store"


class StoreDown(Unavailable):
    """The store of uploads and films does not do it now."""

    code = "store_unavailable"


def _down(error: StoreError) -> StoreDown:
    return StoreDown(f"uploads and films cannot be reached: {error}", retry_after_s=5)


async def kept(store: Store, name: str, file: Path, content_type: str) -> None:
    """Puts a file into the store. Raises StoreDown."""
    try:
        await asyncio.to_thread(store.put, name, file, content_type=content_type, cache_control=_PRIVATE)
    except StoreError as error:
        raise _down(error) from None


async def deleted(store: Store, names: Sequence[str]) -> None:
    """Takes names away. Raises StoreDown."""
    if not names:
        return
    try:
        await asyncio.to_thread(store.delete, names)
    except StoreError as error:
        raise _down(error) from None


async def size_of(store: Store, name: str) -> int:
    """Bytes under a name. Raises NotFound, StoreDown."""
    try:
        return await asyncio.to_thread(store.size, name)
    except NotStored:
        raise NotFound(f"{name.rpartition('/')[2]} is not there any more", code="file_gone") from None
    except StoreError as error:
        raise _down(error) from None


async def pieces(store: Store, name: str, start: int, end: int) -> AsyncIterator[bytes]:
    """The bytes [start, end) under a name. Raises NotFound, StoreDown."""
    try:
        found = await asyncio.to_thread(store.read, name, start, end)
        while piece := await asyncio.to_thread(next, found, b""):
            yield piece
    except NotStored:
        raise NotFound(f"{name.rpartition('/')[2]} is not there any more", code="file_gone") from None
    except StoreError as error:
        raise _down(error) from None


async def link(store: Store, name: str, seconds: int) -> str | None:
    """A URL of the store's own. Raises StoreDown."""
    try:
        return await asyncio.to_thread(store.link, name, seconds)
    except StoreError as error:
        raise _down(error) from None
