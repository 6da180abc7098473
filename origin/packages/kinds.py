"""What each kind of package is opened with. A kind is a module with a constant `KIND`; it is imported when a package asks for it.

A new kind is one line in `MODULES`, and one module that makes a `Kind`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from origin.avatar.background import Background, Behind
from origin.faces import Face, Progress
from origin.packages.package import Fault, Package, PackageError, read

MODULES: Final[Mapping[str, str]] = {"patch": "origin.neural.patch", "portrait": "origin.portrait.kind"}
"""Kind -> the module whose KIND opens it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a face is to be drawn: size in pixels (even), threads, what is behind the person."""

    size: tuple[int, int] = (854, 480)
    threads: int = 1
    background: Background = Behind.SET
    progress: Progress = field(default=lambda _what, _share: None)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `open` makes a face that is warm; `facts` says what `avacast avatar check` shows of a package (name -> value),
    without opening nets where it can. Both raise PackageError.
    """

    name: str
    about: str
    open: Callable[[Package, Wanted], Face]
    facts: Callable[[Package], Mapping[str, str]]


def kind_of(package: Package) -> Kind:
    """The kind of a package. Raises PackageError when there is none of that name, or when what it needs is not installed."""
    module = MODULES.get(package.kind)
    if module is None:
        raise package.refuse(
            "kind", f"there is no kind {package.kind!r}", f"kinds: {', '.join(sorted(MODULES))}"
        )
    try:
        kind: Kind = importlib.import_module(module).KIND
    except ImportError as error:
        raise package.refuse(
            "kind", f"{package.kind} cannot be loaded here ({error})", "pip install 'avacast[origin,neural]'"
        ) from error
    return kind


def open_package(folder: Path, wanted: Wanted | None = None) -> Face:
    """The face of the package in `folder`, warm. Raises PackageError."""
    package = read(folder)
    try:
        return kind_of(package).open(package, wanted or Wanted())
    except PackageError:
        raise
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise PackageError(folder, [Fault(package.kind, f"cannot be opened: {error}"[:400])]) from error
