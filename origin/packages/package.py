"""Reads an avatar package: a folder with `avatar.toml` and the files that it names. A package is hostile until it is read.

Nothing here opens a model, a picture or a film; it says which files there are, that they lie in the folder, how large they are, and
what the sheet says. A kind (kinds.py) turns its own tables into a pydantic model of its own by `sheet`, and opens its files by `file`.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

SHEET: Final = "avatar.toml"
FORMAT: Final = 1
MOST_SHEET_BYTES: Final = 64 << 10
MOST_BYTES: Final = 4 << 30
"""All files of a package; the largest net that is known (MuseTalk's, 32 bits) has 3.4 GB."""
MOST_FILES: Final = 4096
_NAME: Final = re.compile(r"[\w .,:()'+&-]{1,64}")
_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_HEAD: Final = ("format", "kind", "name", "license", "credit", "about")

Sheet = TypeVar("Sheet", bound=BaseModel)


class Strict(BaseModel):
    """The base of a kind's tables: what is not known is wrong, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: where (`model.file`), what, and what to do."""

    where: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else "")


class PackageError(ValueError):
    """A package that cannot be used, with each thing that is wrong with it."""

    def __init__(self, folder: Path, faults: Iterable[Fault]) -> None:
        self.folder, self.faults = folder, tuple(faults)
        super().__init__(f"the package {folder.name}: " + "; ".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose sheet is sound. `tables`: what is left of the sheet for its kind."""

    folder: Path
    kind: str
    name: str
    license: str
    credit: str
    about: str
    tables: Mapping[str, Any] = field(default_factory=dict)

    def sheet(self, model: type[Sheet]) -> Sheet:
        """The kind's tables as `model`. Raises PackageError that names each value that is wrong."""
        try:
            return model.model_validate(dict(self.tables))
        except ValidationError as error:
            faults = [
                Fault(
                    ".".join(str(part) for part in one["loc"]) or SHEET,
                    _told(one["msg"]),
                    "remove it, or see docs/packages.md for the right name"
                    if one["type"] == "extra_forbidden"
                    else "",
                )
                for one in error.errors()[:32]
            ]
            raise PackageError(self.folder, faults) from None

    def refuse(self, where: str, what: str, remedy: str = "") -> PackageError:
        """The error to raise for one fault."""
        return PackageError(self.folder, [Fault(where, what, remedy)])

    def file(
        self, where: str, name: str, *, suffixes: tuple[str, ...], most_bytes: int, sha256: str | None = None
    ) -> Path:
        """A file of the package that the sheet names at `where`: a plain file inside the folder, neither empty nor too large.

        Raises PackageError.
        """
        parts = name.split("/")
        if len(parts) > 4 or not all(_PART.fullmatch(part) for part in parts):
            raise self.refuse(
                where, f"{name[:80]!r} is no file name", "name a file in the package, as models/net.onnx"
            )
        if not name.lower().endswith(suffixes):
            raise self.refuse(where, f"{name} is not one of {', '.join(suffixes)}", "convert it")
        path = self.folder
        for part in parts:
            path = path / part
            if path.is_symlink():
                raise self.refuse(where, f"{name} is a link", "put the file itself into the package")
        try:
            info = path.stat()
        except OSError as error:
            raise self.refuse(where, f"{name} cannot be read ({error.strerror})", "add the file") from None
        if not stat.S_ISREG(info.st_mode):
            raise self.refuse(where, f"{name} is no plain file")
        if not 0 < info.st_size <= most_bytes:
            raise self.refuse(where, f"{name} has {info.st_size} bytes; 1 to {most_bytes} are allowed")
        if sha256 is not None and digest(path) != sha256:
            raise self.refuse(
                where, f"{name} is not the file whose sha256 the sheet gives", "copy the package again"
            )
        return path


def read(folder: Path) -> Package:
    """The package in `folder`. Raises PackageError."""

    def refuse(what: str, remedy: str = "", where: str = SHEET) -> PackageError:
        return PackageError(folder, [Fault(where, what, remedy)])

    sheet = folder / SHEET
    if not folder.is_dir():
        raise refuse("there is no such folder", "give the folder that holds avatar.toml", str(folder))
    try:
        if sheet.is_symlink() or not sheet.is_file():
            raise refuse("there is none", "give the folder that holds it; docs/packages.md has examples")
        if sheet.stat().st_size > MOST_SHEET_BYTES:
            raise refuse(f"it is larger than {MOST_SHEET_BYTES} bytes")
        text = sheet.read_text(encoding="utf-8")
        _bound(folder)
    except UnicodeDecodeError:
        raise refuse("it is no text in UTF-8") from None
    except OSError as error:
        raise refuse(f"it cannot be read ({error.strerror})") from None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise refuse(f"it is no TOML: {_told(str(error))}") from None
    faults = list(_head_faults(values))
    if faults:
        raise PackageError(folder, faults)
    return Package(
        folder,
        values["kind"],
        values["name"],
        values["license"],
        values.get("credit", ""),
        values.get("about", ""),
        {key: value for key, value in values.items() if key not in _HEAD},
    )


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def is_hash(text: str) -> bool:
    """Whether it can be a SHA-256 in hexadecimal."""
    return _HASH.fullmatch(text) is not None


def _head_faults(values: Mapping[str, Any]) -> Iterable[Fault]:
    if values.get("format") != FORMAT or isinstance(values.get("format"), bool):
        yield Fault("format", f"it is {values.get('format')!r:.40}", f"write format = {FORMAT}")
    for key in ("kind", "name", "license"):
        value = values.get(key)
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            yield Fault(key, f"it is {value!r:.80}", f'write {key} = "..." with 1 to 64 plain characters')
    for key in ("credit", "about"):
        value = values.get(key, "")
        if not isinstance(value, str) or len(value) > 2000:
            yield Fault(key, "it is no text of at most 2000 characters")


def _bound(folder: Path) -> None:
    """Raises PackageError when the folder holds too much."""
    count = total = 0
    for root, _, files in os.walk(folder, followlinks=False):
        for name in files:
            count += 1
            total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118
            if count > MOST_FILES or total > MOST_BYTES:
                what = f"it holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GB"
                raise PackageError(
                    folder, [Fault(str(folder), what, "leave out what the sheet does not name")]
                )


def _told(message: str) -> str:
    """A library's message in one short line."""
    line = " ".join(message.split()).removeprefix("Value error, ")
    return line[:1].lower() + line[1:200]
