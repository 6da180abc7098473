"""`avacast avatar from-photo`: one photo becomes an avatar package, or a sentence about what is wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

DONE, FAILED, WRONG = 0, 1, 2


def run_from_photo(
    photo: Path, out: Path, console: Console, *, name: str | None, license: str, credit: str
) -> int:
    """Makes the package. The exit status: 0 made, 1 it cannot be made here, 2 the photo or the options are wrong."""
    try:
        from origin.packages.package import PackageError, read
        from origin.portrait.kept import plain
        from origin.portrait.photo import PhotoError, portrait_of
        from origin.portrait.portrait import open_portrait, write
    except ImportError as error:
        console.print(f"[red]portraits need the renderer ({error}):[/red] pip install 'avacast[origin]'")
        return FAILED
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        console.print(f"[red]{out} is there already:[/red] name a folder that is not", soft_wrap=True)
        return WRONG
    fresh = not out.exists()
    try:
        with Progress(console=console, transient=True) as bar:
            task = bar.add_task("Cutting the person out", total=1.0)
            portrait = portrait_of(photo, name or plain(photo.stem), lambda k: bar.update(task, completed=k))
        write(portrait, out, license=license, credit=credit)
        package = read(out)
        open_portrait(package)
    except (PhotoError, PackageError) as error:
        console.print(f"[red]{error}[/red]", soft_wrap=True)
        if fresh and out.exists():
            shutil.rmtree(out)
        return WRONG
    except OSError as error:
        console.print(f"[red]{out} cannot be written: {error.strerror}[/red]", soft_wrap=True)
        return FAILED
    if portrait.matte is None:
        console.print(
            "The person was not told from what is behind: this portrait keeps the background of its photo.",
            soft_wrap=True,
        )
    console.print(
        f"{out}: {package.name}. See it speak: avacast render --avatar {out} --text Hello -o hello.mp4",
        soft_wrap=True,
    )
    return DONE
