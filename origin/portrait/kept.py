"""Packages of photos that were made on the way, such as by `avacast render --avatar photo.jpg`, kept so that the next time is quick.

A package is named by its photo's contents and by the nets that looked at it: a film that goes on after an interruption finds the
same one.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Final

from common.cache import cache_folder
from origin.packages.package import SHEET
from origin.portrait.landmarks import MODELS
from origin.portrait.matte import Progress
from origin.portrait.photo import FORMATS, PhotoError, portrait_of
from origin.portrait.portrait import write

REVISION: Final = 2
"""Of what is made of a photo; another one makes all packages anew."""
SUFFIXES: Final = frozenset(f".{kind.lower()}" for kind in (*FORMATS, "JPG"))


def is_photo(path: Path) -> bool:
    """Whether a name is that of a photo."""
    return path.suffix.lower() in SUFFIXES


def package_of(photo: Path, cache: Path | None = None, progress: Progress = lambda _share: None) -> Path:
    """The folder of the photo's package. Raises PhotoError, OSError."""
    cache = cache or cache_folder("portraits")
    digest = hashlib.sha256(f"{REVISION}".encode())
    for net in sorted(MODELS.glob("*.onnx")):
        digest.update(str(net.stat().st_size).encode())
    try:
        with photo.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    except OSError as error:
        raise PhotoError(f"cannot read {photo}: {error.strerror}") from None
    folder = cache / digest.hexdigest()[:32]
    if (folder / SHEET).is_file():
        return folder
    portrait = portrait_of(photo, plain(photo.stem), progress)
    cache.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix="making-", dir=cache))
    try:
        write(portrait, making)
        try:
            making.rename(folder)
        except OSError:
            if not (folder / SHEET).is_file():  # else another process has just made it
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder


def plain(stem: str) -> str:
    """A file's name as the name of an avatar."""
    return re.sub(r"[^\w .()'+&-]+", " ", stem).strip()[:64] or "portrait"
