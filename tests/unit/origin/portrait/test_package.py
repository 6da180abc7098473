"""The package of a portrait: what is written is read again, and what is broken is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from avacast.portrait import WRONG, run_from_photo
from origin.avatar.background import Behind, Colour
from origin.avatar.pose import Pose
from origin.faces import Face, Moment
from origin.packages.kinds import Wanted, kind_of, open_package
from origin.packages.package import PackageError, read
from origin.portrait.kept import is_photo, package_of, plain
from origin.portrait.photo import PhotoError
from origin.portrait.portrait import Portrait, open_portrait, write

from .conftest import PHOTO


@pytest.fixture
def folder(tmp_path: Path, portrait: Portrait) -> Path:
    write(portrait, tmp_path / "made", license="public domain", credit="NASA")
    return tmp_path / "made"


def test_a_package_gives_back_its_portrait(folder: Path, portrait: Portrait) -> None:
    package = read(folder)
    again = open_portrait(package)
    assert (package.kind, package.name, package.license, package.credit) == (
        "portrait",
        "astronaut",
        "public domain",
        "NASA",
    )
    assert np.array_equal(again.mesh, portrait.mesh) and np.array_equal(again.irises, portrait.irises)
    assert np.abs(np.asarray(again.picture, float) - np.asarray(portrait.picture, float)).mean() < 3
    assert kind_of(package).facts(package)["picture"] == f"{again.picture.width}x{again.picture.height}"


def test_a_package_opens_as_a_face(folder: Path) -> None:
    face = open_package(folder, Wanted(size=(320, 240)))
    assert isinstance(face, Face) and face.reach.before == face.reach.after == 0 and face.matte is None
    silence = np.zeros(0, np.float32)
    first = face.show(Moment(0, Pose(), silence)).copy()
    assert first.shape == (360, 320)
    face.pass_over(Moment(1, Pose(), silence))
    face.cut()
    face.anew()
    assert np.array_equal(face.show(Moment(2, Pose(), silence)), first)


def test_the_matte_is_kept_to_the_pixel(folder: Path, portrait: Portrait) -> None:
    again = open_portrait(read(folder)).matte
    assert again is not None and portrait.matte is not None
    assert again.size == portrait.picture.size and again.tobytes() == portrait.matte.tobytes()
    face = open_package(folder, Wanted((320, 240), background=Behind.NOTHING))
    face.show(Moment(0, Pose(), np.zeros(0, np.float32)))
    assert face.matte is not None and face.matte.shape == (240, 320)


def test_a_package_without_a_matte_keeps_its_background_and_says_what_to_do(folder: Path) -> None:
    sheet = folder / "avatar.toml"
    sheet.write_text(sheet.read_text().replace('matte = "matte.png"\n', ""))
    assert open_package(folder, Wanted((320, 240))).matte is None
    with pytest.raises(PackageError, match="make its package again from the photo"):
        open_package(folder, Wanted(background=Colour(0, 0, 0)))


def test_a_matte_of_another_size_is_refused(folder: Path) -> None:
    Image.new("L", (100, 100)).save(folder / "matte.png")
    with pytest.raises(PackageError, match=r"matte\.png is 100x100 pixels.*save it in the picture's size"):
        open_package(folder)


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("landmarks.f32", b"\0" * 100, "does not hold 478 points"),
        ("landmarks.f32", b"\0" * 5736, "does not hold 478 points"),
        ("landmarks.f32", np.full(1434, np.nan, "<f4").tobytes(), "does not hold 478 points"),
        ("landmarks.f32", b"\0" * 6000, "6000 bytes"),
        ("picture.webp", b"RIFF", "cannot be read"),
        ("matte.png", b"\x89PNG", "matte.png cannot be read"),
        (
            "avatar.toml",
            b'format = 1\nkind = "portrait"\nname = "x"\nlicense = "x"\n',
            "portrait: field required",
        ),
    ],
)
def test_a_broken_package_is_refused(folder: Path, file: str, data: bytes, says: str) -> None:
    (folder / file).write_bytes(data)
    with pytest.raises(PackageError, match=says):
        open_package(folder)


@pytest.mark.slow
def test_the_command_makes_a_package_or_says_why_not(tmp_path: Path) -> None:
    console = Console(record=True, width=200)
    assert run_from_photo(PHOTO, tmp_path / "a", console, name=None, license="private", credit="") == 0
    assert read(tmp_path / "a").name == "astronaut"
    assert run_from_photo(PHOTO, tmp_path / "a", console, name=None, license="private", credit="") == WRONG
    assert "is there already" in console.export_text()
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    assert run_from_photo(text, tmp_path / "b", console, name=None, license="private", credit="") == WRONG
    assert "text.jpg is no photo" in console.export_text() and not (tmp_path / "b").exists()
    assert plain("IMG#2024*(1)") == "IMG 2024 (1)" and plain("***") == "portrait"


@pytest.mark.slow
def test_a_package_made_on_the_way_is_kept(tmp_path: Path) -> None:
    photo = tmp_path / "me.jpg"
    photo.write_bytes(PHOTO.read_bytes())
    folder = package_of(photo, tmp_path / "cache")
    assert read(folder).name == "me" and open_portrait(read(folder)).mesh.shape == (468, 3)
    made = (folder / "landmarks.f32").stat().st_mtime_ns
    assert package_of(photo, tmp_path / "cache") == folder
    assert (folder / "landmarks.f32").stat().st_mtime_ns == made
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name]
    photo.write_text("another one")
    with pytest.raises(PhotoError, match=r"me\.jpg is no photo"):
        package_of(photo, tmp_path / "cache")
    assert is_photo(Path("A.JPEG")) and is_photo(Path("a.webp")) and not is_photo(Path("ava"))
