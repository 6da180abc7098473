"""One film, in a process of its own: what a stranger uploaded is read there, and its memory is gone with it.

    python -m origin.jobs.studio FOLDER --avatars DIR

FOLDER holds `order.json`, and `image.*` and `audio.*` where the order names them; `film.mp4` comes into it. Each line of the output is
JSON: `{"step": ..., "share": ...}`, and at the end `{"failed": ...}` when there is no film. It runs when nothing else wants to, and
ends with whoever holds its input open.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from common.jobs import MOST_WHY, JobOrder

ORDER, FILM = "order.json", "film.mp4"
_SAY_S: Final = 0.5


class OrderError(Exception):
    """The order cannot be carried out; the message says why."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--avatars", type=Path, required=True, help="the node's own avatar packages")
    asked = parser.parse_args()
    _yield_to_others()
    threading.Thread(target=_end_with_input, name="parent", daemon=True).start()
    order = JobOrder.model_validate_json((asked.folder / ORDER).read_bytes())
    try:
        film(order, asked.folder, asked.avatars)
    except Exception as error:
        why = str(error) if _is_told(error) else f"{type(error).__name__}: {error}"
        _say({"failed": why.replace(f"{asked.folder}{os.sep}", "")[:MOST_WHY]})
        sys.exit(1)


def film(order: JobOrder, folder: Path, own: Path) -> None:
    """Makes `film.mp4` of an order. Raises OrderError, PhotoError, PackageError, FilmError, FaceError, VoiceError."""
    from origin.avatar.background import parse
    from origin.avatar.person import shipped
    from origin.film import Order, Said, Text, Voiced
    from origin.film.casting import voice_of
    from origin.film.making import make

    told = _Teller()
    package = None
    if order.image is not None:
        from origin.portrait.kept import package_of

        package = package_of(
            folder / f"image.{order.image}",
            folder / "portraits",
            lambda share: told("cutting the person out", share, 1),
        )
    elif order.avatar is None:
        raise OrderError("the image of this order is gone")
    elif order.avatar not in shipped():
        package = _package(order.avatar, own)
    said: Said
    if order.audio is not None:
        said = Voiced(folder / f"audio.{order.audio}")
    elif order.text is not None:
        said = Text(order.text, voice_of(order.avatar, order.voice))
    else:
        raise OrderError("the recording of this order is gone")
    wanted = Order(
        said,
        person=order.avatar if order.avatar is not None and package is None else "ava",
        width=order.width,
        height=order.height,
        background=parse(order.background),
        package=package,
    )
    make(wanted, folder / FILM, report=told)


def _package(avatar: str, own: Path) -> Path:
    from origin.avatar.person import shipped
    from origin.packages.library import every, find

    found = find(avatar, own)
    if found is None:
        names = ", ".join([*shipped(), *(name for name, _ in every(own))])
        raise OrderError(f"there is no avatar {avatar!r} at this origin; there are: {names}")
    return found


def _is_told(error: Exception) -> bool:
    """Whether the message is for whoever ordered."""
    from origin.faces import FaceError
    from origin.film import FilmError
    from origin.packages.package import PackageError
    from origin.portrait.photo import PhotoError
    from speech.voice import VoiceError

    return isinstance(error, OrderError | FilmError | FaceError | PackageError | PhotoError | VoiceError)


class _Teller:
    """Says how far it is, twice a second and at each new step."""

    def __init__(self) -> None:
        self._step, self._said_at = "", float("-inf")

    def __call__(self, step: str, done: float, total: float) -> None:
        now = time.monotonic()
        if step == self._step and now - self._said_at < _SAY_S:
            return
        self._step, self._said_at = step, now
        _say({"step": step, "share": round(min(1.0, max(0.0, done / total if total else 0.0)), 4)})


def _say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)


def _end_with_input() -> None:
    """The node that began this is gone, whatever ended it: nobody wants the film."""
    while os.read(0, 1024):
        pass
    os._exit(2)


def _yield_to_others() -> None:
    """This process runs when no live avatar wants the core."""
    os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    main()
