"""`avacast store init`: makes a store ready for recordings, and says what it found."""

from __future__ import annotations

from uuid import uuid4

from rich.console import Console

from common.errors import Problem
from common.store.folder import Folder
from common.store.opening import open_store
from common.store.store import Store, StoreError, whole


def init(address: str, cold_days: int, cold_class: str, *, versions: bool, console: Console) -> int:
    """Tries the store, then gives a bucket its rules. The exit status; again is harmless. Raises Problem for a bad address."""
    if not address:
        raise Problem(
            "no store is named",
            code="store_invalid",
            hint="--store, or AVACAST_STORE: file:///folder or s3://bucket/prefix",
        )
    store = open_store(address)
    try:
        _try(store)
        console.print("[green]✓[/green] objects can be put, listed, read and deleted")
        if isinstance(store, Folder):
            console.print("  a folder has no rules: old recordings stay until they are deleted")
            return 0
        _prepare_bucket(store, cold_days, cold_class, versions, console)
    except StoreError as error:
        console.print(f"[red]✗[/red] {error}")
        return 1
    return 0


def _try(store: Store) -> None:
    name, data = f"probe/{uuid4().hex}", b"avacast store init"
    store.put(name, data, content_type="text/plain", cache_control="no-store")
    try:
        if whole(store, name, 100) != data or [one.name for one in store.names(name)] != [name]:
            raise StoreError("what was put is not what is there: is this a cache?")
    finally:
        store.delete([name])


def _prepare_bucket(store: Store, cold_days: int, cold_class: str, versions: bool, console: Console) -> None:
    from common.store.s3 import S3
    from hls.store.lifecycle import READABLE, keep_versions, write

    assert isinstance(store, S3)
    changed = write(store, cold_days, cold_class)
    console.print(
        f"[green]✓[/green] recordings go to {cold_class} after {cold_days} days, uploads that nobody completed and old versions go"
        + ("" if changed else "; so it was")
    )
    if cold_class not in READABLE:
        console.print(
            f"[yellow]![/yellow] what is in {cold_class} must be restored before it can be played; GLACIER_IR can be played at once"
        )
    if versions:
        changed = keep_versions(store)
        console.print(
            "[green]✓[/green] what is deleted or overwritten is kept for 30 days"
            + ("" if changed else "; so it was")
        )
