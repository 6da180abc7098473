"""The packages that a node has: those that are shipped, and those in `avatars/` of its data folder. A package's name is its folder's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from origin.packages.package import SHEET, Package, PackageError, read

SHIPPED: Final = Path(__file__).parent / "shipped"
FOLDER: Final = "avatars"
"""In the data folder."""
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
"""As a broadcast may say it: no path can be a name."""


def find(name: str, own: Path | None = None) -> Path | None:
    """The folder of the package `name`, the node's own before a shipped one; None when there is none."""
    if not _NAME.fullmatch(name):
        return None
    for place in (own, SHIPPED):
        if place is not None and (place / name / SHEET).is_file():
            return place / name
    return None


def every(own: Path | None = None) -> Iterator[tuple[str, Package | PackageError]]:
    """All packages by name, or what is wrong with their sheets."""
    names = {
        folder.name
        for place in (own, SHIPPED)
        if place is not None and place.is_dir()
        for folder in place.iterdir()
        if _NAME.fullmatch(folder.name)
    }
    for name in sorted(names):
        folder = find(name, own)
        if folder is None:
            continue
        try:
            yield name, read(folder)
        except PackageError as error:
            yield name, error
