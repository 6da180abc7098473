"""`avacast avatar`: the packages that there are, whether one is sound, and one from a photo."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from avacast.options import Data, console
from common.log import configure

if TYPE_CHECKING:
    from origin.faces import Face
    from origin.packages.package import Package

avatar_app = typer.Typer(
    no_args_is_help=True,
    help="Avatar packages: faces made elsewhere, in a folder with an avatar.toml (docs/packages.md).\n\n"
    "Put one into [bold]avatars/NAME[/bold] of an origin's data folder, and a broadcast whose avatar is NAME has it; "
    "or film it: avacast render --avatar FOLDER.",
)

SOUND, UNSOUND = 0, 1
_FRAME_MS: Final = 40.0
_TIMED: Final = 50


@avatar_app.command("list")
def listed(data: Data = Path(".avacast")) -> None:
    """List the faces that this machine has: shipped people, and packages."""
    from origin.avatar.person import shipped
    from origin.packages.library import FOLDER, every
    from origin.packages.package import PackageError

    table = Table("name", "kind", "what it is", "license", box=None, header_style="bold")
    for person in shipped():
        table.add_row(person, "person", "shipped, drawn from poses", "CC0 and Apache-2.0")
    for name, found in every(data / FOLDER):
        if isinstance(found, PackageError):
            table.add_row(name, "[red]broken[/red]", str(found.faults[0]), "")
        else:
            kind = found.kind + (f" ({found.tables['contract']})" if "contract" in found.tables else "")
            table.add_row(name, kind, found.name, found.license)
    console.print(table)


@avatar_app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that holds avatar.toml.")],
    preview: Annotated[
        Path | None,
        typer.Option(help="Draw it: .png, a sheet of mouths; .mp4, some seconds of speech."),
    ] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the stream to draw for.")] = "854x480",
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Run the package's torch model, which is a program. Only if you know who made it."
        ),
    ] = False,
) -> None:
    """Check a package: each thing that is wrong and what to do, shapes against its contract, and how fast it draws here.

    Exit status 0: sound; 1: something is wrong; 2: wrong options.
    """
    configure("warning")
    raise typer.Exit(run_check(folder, preview, size, trust, console))


@avatar_app.command("from-photo")
def avatar_from_photo(
    photo: Annotated[Path, typer.Argument(help="One person from the front, .jpg, .png or .webp.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to make.")],
    name: Annotated[str | None, typer.Option(help="The avatar's name; the file's when not given.")] = None,
    license: Annotated[str, typer.Option(help="What the photo may be used for, in a word.")] = "private",
    credit: Annotated[str, typer.Option(help="Who is to be named for the photo.")] = "",
) -> None:
    """Make an avatar from one photo: it blinks, looks about, turns its head a little and speaks."""
    configure("warning")
    from avacast.portrait import run_from_photo

    raise typer.Exit(run_from_photo(photo, out, console, name=name, license=license, credit=credit))


def run_check(folder: Path, preview: Path | None, size: str, trust: bool, console: Console) -> int:
    """Checks a package. The exit status."""
    width, _, height = size.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) % 2 == 0 and int(height) % 2 == 0):
        raise typer.BadParameter(f"--size is WIDTHxHEIGHT in even numbers, such as 854x480, not {size!r}")
    if preview is not None and preview.suffix not in (".png", ".mp4"):
        raise typer.BadParameter(f"--preview is a .png or an .mp4, not {preview.name}")
    from origin.neural.nets import NetError
    from origin.packages.kinds import Wanted, kind_of
    from origin.packages.package import PackageError, read

    try:
        package = read(folder)
        kind = kind_of(package)
        if trust:
            _trust(package)
        console.print(f"[bold]{package.name}[/bold]: {kind.about}")
        console.print(f"  license   {package.license}" + (f"; {package.credit}" if package.credit else ""))
        for name, found in kind.facts(package).items():
            console.print(f"  {name:<9} {found}", highlight=False)
        face = kind.open(package, Wanted((int(width), int(height))))
        _speed(face, console)
        if preview is not None:
            _preview(face, folder, preview, (int(width), int(height)), console)
    except NetError as error:
        console.print(f"[red]{folder}: the net failed while it drew: {error}[/red]")
        return UNSOUND
    except PackageError as error:
        console.print(f"[red]{folder}: {len(error.faults)} wrong[/red]")
        for fault in error.faults:
            console.print(f"  [bold]{fault.where}[/bold]: {fault.what}", highlight=False)
            if fault.remedy:
                console.print(f"    -> {fault.remedy}", highlight=False)
        return UNSOUND
    console.print("[green]sound[/green]")
    return SOUND


def _trust(package: Package) -> None:
    """Names the hash of the package's torch models to this process."""
    from origin.neural.nets import TRUSTED
    from origin.packages.package import digest

    found = [
        digest(one) for one in package.folder.rglob("*") if one.suffix in (".pt", ".pt2") and one.is_file()
    ]
    os.environ[TRUSTED] = ",".join([*filter(None, [os.environ.get(TRUSTED, "")]), *found])


def _speed(face: Face, console: Console) -> None:
    from origin.packages.preview import spoken

    moments = spoken(face, _TIMED)
    for moment in moments[:5]:
        face.show(moment)
    wall, cpu = time.perf_counter(), time.thread_time()
    for moment in moments[5:]:
        face.show(moment)
    wall_ms, cpu_ms = (
        1000 * (now - then) / (_TIMED - 5)
        for now, then in ((time.perf_counter(), wall), (time.thread_time(), cpu))
    )
    note = (
        f"[green]{_FRAME_MS / max(cpu_ms, 0.01):.0f} faces a core, without encoding[/green]"
        if wall_ms < _FRAME_MS * 0.9
        else "[red]too slow for 25 pictures a second here[/red]"
    )
    console.print(
        f"  speed     {wall_ms:.1f} ms a frame ({cpu_ms:.1f} ms of one core): {note}", highlight=False
    )


def _preview(face: Face, folder: Path, out: Path, size: tuple[int, int], console: Console) -> None:
    from origin.packages import preview

    if out.suffix == ".png":
        preview.sheet(face, out)
    else:
        from origin.film import FilmError, Order, Text, make
        from speech.voice import VoiceError

        said = Text(
            "Good morning. This is how I look when I speak: my lips close for b, m and p, and open for a.",
            "auto",
        )
        try:
            make(
                Order(said, width=size[0], height=size[1], package=folder),
                out,
                renderer=face,
                report=lambda _what, _done, _total: None,
            )
        except (FilmError, VoiceError) as error:
            console.print(f"  [yellow]no preview: {error}[/yellow]")
            return
    console.print(f"  preview   {out}", highlight=False)
