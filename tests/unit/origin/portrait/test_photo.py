"""What becomes of photos: landmarks where a person would put them, and a sentence for each photo that cannot be used."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from origin.avatar.faceunits import weights
from origin.avatar.full import FullTier
from origin.avatar.fullpicture import to_i420, to_rgb
from origin.avatar.person import load
from origin.avatar.pose import Pose
from origin.portrait.landmarks import EYE_POINTS, faces, locate, triangles
from origin.portrait.photo import MOST_BYTES, PhotoError, examined, read
from origin.portrait.portrait import Portrait

from .conftest import PHOTO


def person(pose: Pose, name: str = "ben") -> Image.Image:
    """A picture of one of our own people: a face whose pose is known."""
    return Image.fromarray(to_rgb(to_i420(FullTier(load(name), 640, 480, 1).picture(pose))))


def refusal(picture: Image.Image) -> str:
    with pytest.raises(PhotoError) as refused:
        examined(picture, "photo.jpg", "x")
    return str(refused.value)


def test_landmarks_lie_on_eyes_mouth_and_chin(photo: Image.Image) -> None:
    # marked by hand in the photo
    marks = locate(photo, faces(photo)[0])
    for point, place in {
        33: (193, 101),
        263: (259, 104),
        13: (222, 141),
        14: (223, 149),
        152: (224, 178),
    }.items():
        assert np.hypot(*(marks.mesh[point, :2] - place)) < 6, (point, marks.mesh[point])
    for iris, place in zip(marks.irises, ((203, 101), (246, 103)), strict=True):
        assert np.hypot(*(iris[0] - place)) < 3
    assert marks.presence > 0.9


@pytest.mark.slow
def test_depth_tells_how_far_a_head_is_turned() -> None:
    for yaw in (0.0, 0.2):
        picture = person(Pose(head=(yaw, 0.0, 0.0)))
        mesh = locate(picture, faces(picture)[0]).mesh
        across = mesh[454] - mesh[234]
        assert np.arctan2(across[2], np.hypot(across[0], across[1])) == pytest.approx(yaw, abs=0.08)


def test_the_mesh_covers_the_face_once() -> None:
    corners = triangles()
    assert corners.shape == (852, 3) and set(corners.ravel().tolist()) == set(range(468))
    _, count = np.unique(
        np.sort(np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [0, 2]]]), 1),
        axis=0,
        return_counts=True,
    )
    assert count.max() == 2  # no edge belongs to three triangles
    assert (count == 1).sum() == 36 + 20 + 2 * 16  # the outline, the mouth, the eyes
    assert all(len(set(side)) == 71 for side in EYE_POINTS) and not set(EYE_POINTS[0]) & set(EYE_POINTS[1])


def test_a_photo_that_lies_on_its_side_is_turned_as_its_exif_says(tmp_path: Path, photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    photo.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif)
    upright = read(tmp_path / "turned.jpg")
    assert np.abs(np.asarray(upright, float) - np.asarray(photo, float)).mean() < 4


@pytest.mark.slow
def test_what_is_between_the_lips_of_a_shut_mouth_belongs_to_neither(portrait: Portrait) -> None:
    shut = examined(person(Pose()), "ben.png", "ben")
    for point in (81, 13, 311):
        x, y = shut.mesh[point, :2]
        column = np.asarray(shut.picture.convert("L"), float)[
            int(y) - 6 : int(y) + 7, int(x) - 1 : int(x) + 2
        ].mean(1)
        assert abs(int(column.argmin()) - 6) <= 3  # the dark line
    assert portrait.mesh[14, 1] - portrait.mesh[13, 1] > 5  # this one shows her teeth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pose", "says"),
    [
        (Pose(weights(eyeBlink=1.0)), "an eye in photo.jpg is closed: give a photo with both eyes open"),
        (
            Pose(weights(jawOpen=0.9)),
            "the mouth in photo.jpg is wide open: give a photo with the lips closed",
        ),
    ],
)
def test_an_expression_that_hides_what_is_needed_is_refused(pose: Pose, says: str) -> None:
    assert says in refusal(person(pose))


@pytest.mark.slow
def test_a_face_that_looks_away_is_refused() -> None:
    assert "turned to the side by" in refusal(person(Pose(head=(0.4, 0.0, 0.0))).rotate(0))
    assert "tilted by" in refusal(person(Pose()).rotate(35, fillcolor=(90, 90, 90)))


def test_photos_without_a_usable_face_say_what_to_do(photo: Image.Image) -> None:
    assert "no face was found in photo.jpg: give a photo of one person from the front" in refusal(
        Image.new("RGB", (640, 480), (120, 110, 100))
    )
    two = Image.new("RGB", (1024, 512))
    two.paste(photo, (0, 0))
    two.paste(photo, (512, 0))
    assert "shows 2 faces: crop it to one person" in refusal(two)
    assert "too small" in refusal(photo.resize((200, 200)))
    assert "cut off by the edge" in refusal(photo.crop((0, 0, 512, 165)))


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims a size."""

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", zlib.compress(b"\0" * 64))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is no photo that can be read: save it as .jpg, .png or .webp"),
        (b"GIF89a" + bytes(64), "is no photo that can be read"),
        (png(12_000, 12_000), "has more than 64 million pixels: save it smaller"),
        (png(60_000, 60_000), "has more than 64 million pixels"),
        (png(100, 3000), "is 100x3000 pixels, a side needs 160 at least"),
        (png(400, 400), "is broken"),
    ],
)
def test_a_file_that_is_no_photo_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=r"photo\.png") as refused:
        read(path)
    assert says in str(refused.value)


def test_a_broken_photo_never_raises_anything_else(tmp_path: Path) -> None:
    whole = bytearray(PHOTO.read_bytes())
    noise = np.random.default_rng(7)
    path = tmp_path / "photo.jpg"
    for _ in range(40):
        broken = whole.copy()
        for at in noise.integers(0, len(whole), 30):
            broken[at] = int(noise.integers(0, 256))
        path.write_bytes(bytes(broken[: int(noise.integers(1, len(whole)))]))
        try:
            read(path)
        except PhotoError as refused:
            assert "photo.jpg" in str(refused)


def test_large_files_and_folders_are_not_read(tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for path, says in (
        (large, "at most 40 are read"),
        (tmp_path, "is no file"),
        (tmp_path / "none.jpg", "cannot read"),
    ):
        with pytest.raises(PhotoError, match=says):
            read(path)


def test_transparent_parts_become_grey(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (200, 200), (255, 0, 0, 0)).save(buffer, "PNG")
    (tmp_path / "clear.png").write_bytes(buffer.getvalue())
    assert read(tmp_path / "clear.png").getpixel((5, 5)) == (128, 128, 128)
