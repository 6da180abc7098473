"""`avacast render`: what was asked for becomes an order, the film's steps a bar with the time that is left."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from origin.film import Order

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
_FRAME_RATE: Final = 25


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of the command."""

    out: Path
    text: str | None
    text_file: Path | None
    audio: Path | None
    person: str
    voice: str
    size: str
    tier: str
    background: str
    captions: Path | None
    seed: int
    start_s: float
    threads: int
    avatar: str | None = None


class WrongWish(Exception):
    """The options do not fit together; the message says what to give."""


def run_render(wish: Wish, console: Console) -> int:
    """Makes the film. The exit status: 0 made, 1 cannot be made, 2 wrong options, 130 interrupted (parts are kept)."""
    try:
        from origin.faces import FaceError
        from origin.film import FilmError
        from origin.film.making import make, vtt
        from speech.voice import VoiceError
    except ImportError as error:
        console.print(
            f"[red]films need the renderer and a voice ({error}):[/red] pip install 'avacast[origin]'"
        )
        return FAILED
    try:
        with _Bars(console) as bars:
            order = _order(wish, bars)
            made = make(order, wish.out, threads=wish.threads, report=bars.report)
        if wish.captions:
            wish.captions.write_text(vtt(made.captions), encoding="utf-8")
    except WrongWish as error:
        console.print(f"[red]{error}[/red]")
        return WRONG
    except (FilmError, FaceError, VoiceError) as error:
        console.print(f"[red]{error}[/red]")
        return FAILED
    except OSError as error:
        console.print(
            f"[red]{error}[/red]\nThe parts are kept; the same command goes on when that is put right."
        )
        return FAILED
    except KeyboardInterrupt:
        console.print(f"Interrupted. The parts are in {wish.out}.parts; the same command goes on from here.")
        return INTERRUPTED
    kept = made.frames - made.drawn
    before = f", {kept / _FRAME_RATE:.1f} s of it from before" if kept else ""
    console.print(f"{wish.out}: {made.frames / _FRAME_RATE:.1f} s{before}")
    return DONE


def _order(wish: Wish, bars: _Bars) -> Order:
    from origin.avatar.background import parse
    from origin.avatar.person import shipped
    from origin.film import Order, Said, Text, Voiced
    from origin.film.casting import voice_of

    given = [option for option in (wish.text, wish.text_file, wish.audio) if option is not None]
    if len(given) != 1:
        raise WrongWish("say what is spoken, in one way: --text, --text-file or --audio")
    if wish.person not in shipped():
        raise WrongWish(f"no person {wish.person!r} is shipped; there are: {', '.join(shipped())}")
    if wish.tier not in ("light", "full"):
        raise WrongWish(f"--tier is light or full, not {wish.tier!r}")
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", wish.size)
    if found is None:
        raise WrongWish(f"--size is WIDTHxHEIGHT, such as 1280x720, not {wish.size!r}")
    width, height = int(found[1]), int(found[2])
    try:
        background = parse(wish.background)
    except ValueError as error:
        raise WrongWish(f"--background: {error}") from None
    said: Said
    if wish.audio is not None:
        said = Voiced(wish.audio)
    else:
        text = wish.text
        if wish.text_file is not None:
            try:
                text = wish.text_file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise WrongWish(f"{wish.text_file} is no text in UTF-8") from None
        said = Text(text or "", voice_of(wish.person, wish.voice))
    return Order(
        said,
        wish.person,
        width,
        height,
        wish.tier,
        background,
        wish.seed,
        round(wish.start_s * _FRAME_RATE),
        package=None if wish.avatar is None else _package(wish.avatar, bars),
    )


def _package(avatar: str, bars: _Bars) -> Path:
    """The folder of the package that was asked for, by path, by name, or by a photo of which one is made."""
    from origin.packages.library import FOLDER, every, find
    from origin.packages.package import SHEET
    from origin.portrait.kept import is_photo, package_of
    from origin.portrait.photo import PhotoError

    if is_photo(Path(avatar)):
        try:
            return package_of(
                Path(avatar), progress=lambda share: bars.report("Cutting the person out", share, 1.0)
            )
        except PhotoError as error:
            raise WrongWish(f"--avatar: {error}") from None
    own = Path(".avacast") / FOLDER
    folder = Path(avatar) if Path(avatar, SHEET).is_file() else find(avatar, own)
    if folder is None:
        names = ", ".join(name for name, _ in every(own)) or "none"
        raise WrongWish(
            f"--avatar {avatar}: no photo, no folder with {SHEET}, nor a package's name; packages: {names}"
        )
    return folder


class _Bars:
    """One bar a step."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task: tuple[str, TaskID] | None = None

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(self, what: str, done: float, total: float) -> None:
        """A step is so far; a new one takes the place of the last one."""
        if self._task is None or self._task[0] != what:
            if self._task is not None:
                self._progress.remove_task(self._task[1])
            self._task = (what, self._progress.add_task(what, total=total, completed=int(done)))
        self._progress.update(self._task[1], completed=done, total=total)
