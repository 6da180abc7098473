"""The matte: near a known truth in pictures made for it, and the layers that it gives are the photo again."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.background import Behind
from origin.avatar.fullpicture import to_rgb
from origin.avatar.person import load
from origin.avatar.pose import Pose
from origin.avatar.renderer import Renderer
from origin.portrait.layers import apart
from origin.portrait.matte import connected, enlarged, matte_of, means, solve
from origin.portrait.photo import examined
from origin.portrait.portrait import Portrait

Floats = NDArray[np.float32]


def strands(height: int = 120, width: int = 160) -> tuple[Floats, Floats, Floats, Floats]:
    """A dark disc with thin hairs before a room that goes from light blue to yellow: photo, coverage, and both layers."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    noise = np.random.default_rng(3)
    away = np.hypot(x - width / 2, y - height / 2)
    cover = np.clip(34 - away, 0, 1)
    for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):
        along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
        across = np.abs((y - height / 2) * np.cos(angle) - (x - width / 2) * np.sin(angle))
        hair = np.clip(1.1 - across, 0, 1) * ((along > 30) & (along < 41)) * 0.8
        cover = np.maximum(cover, hair)
    person = np.array([0.25, 0.13, 0.08], np.float32) + 0.04 * noise.random((height, width, 1), np.float32)
    room = np.dstack([0.5 + 0.4 * x / width, 0.7 + 0.1 * y / height, 0.9 - 0.5 * x / width])
    photo = person * cover[..., None] + room * (1 - cover[..., None])
    return tuple(
        np.asarray(v, np.float32) for v in (photo, cover, np.broadcast_to(person, photo.shape), room)
    )  # type: ignore[return-value]


def test_hairs_are_found_in_the_band_by_their_colours() -> None:
    photo, cover, _, _ = strands()
    y, x = np.mgrid[:120, :160]
    away = np.hypot(x - 80, y - 60)
    guess = (away < 34).astype(np.float32)  # as a net that sees no hair
    band = (away > 28) & (away < 45)
    found = solve(photo, guess, band)
    assert np.abs(found - cover).mean() < 0.012
    assert np.abs(found - cover)[band].mean() < 0.35 * np.abs(guess - cover)[band].mean()
    assert np.array_equal(found[~band], guess[~band])
    assert np.array_equal(solve(photo, guess, band), found)
    large = Image.fromarray((photo * 255).astype(np.uint8)).resize((320, 240), Image.Resampling.BICUBIC)
    wide = np.asarray(Image.fromarray(cover).resize((320, 240), Image.Resampling.BILINEAR))
    assert np.abs(enlarged(found, photo, large) - wide).mean() < 0.02


def test_layers_are_the_photo_again_and_nothing_shines_through() -> None:
    photo, cover, person, room = strands()
    layers = apart(photo, cover)
    own, behind = layers.person(photo, cover), layers.room(photo)
    again = own * cover[..., None] + behind * (1 - cover[..., None])
    assert np.abs(again - photo).mean() < 0.01
    edge = (cover > 0.3) & (cover < 1)
    assert np.abs(own - person)[edge].mean() < 0.35 * np.abs(photo - person)[edge].mean()
    assert np.abs(behind - room)[cover == 0].mean() < 0.02
    assert np.abs(behind - room)[cover > 0].mean() < 0.15


def test_what_hangs_together_with_the_face_is_kept_and_holes_are_filled() -> None:
    guess = np.zeros((120, 160), np.float32)
    guess[20:120, 40:100] = 1.0
    guess[60:70, 60:70] = 0.0  # a dark badge
    guess[10:40, 130:150] = 1.0  # somebody else
    kept = connected(guess, np.array([70.0, 40.0]))
    assert kept[65, 65] == 1.0 and kept[25, 140] == 0.0
    assert np.array_equal(kept[:, :100] > 0.5, (guess[:, :100] > 0.5) | (kept[:, :100] == 1.0))


def test_means_are_those_of_squares() -> None:
    values = np.random.default_rng(1).random((9, 11)).astype(np.float32)
    assert means(values, 1)[4, 5] == pytest.approx(values[3:6, 4:7].mean(), rel=1e-5)
    assert means(values, 1)[0, 0] == pytest.approx(np.pad(values, 1, mode="edge")[:3, :3].mean(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ava", "ben"])
def test_the_matte_of_a_drawn_person_is_near_the_true_one(name: str) -> None:
    size = (640, 480)
    picture = Image.fromarray(to_rgb(Renderer(load(name), *size, tier="full").render(Pose())))
    alone = Renderer(load(name), *size, tier="full", background=Behind.NOTHING)
    alone.render(Pose())
    truth = alone.matte
    assert truth is not None
    found = examined(picture, name, name).matte
    assert found is not None and found.size == size
    assert np.abs(np.asarray(found, float) - truth).mean() / 255 < 0.012


def test_the_person_in_a_photo_is_told_from_a_busy_room(portrait: Portrait) -> None:
    assert portrait.matte is not None
    matte = np.asarray(portrait.matte)
    at = {"nose": (222, 127), "hair": (225, 35), "suit": (190, 330)}
    assert all(matte[y, x] > 250 for x, y in at.values()), at
    away = {"flag": (30, 60), "shuttle": (420, 130), "wall": (330, 60)}
    assert all(matte[y, x] < 5 for x, y in away.values()), away


def test_where_no_person_is_found_there_is_no_matte(portrait: Portrait) -> None:
    grey = Image.new("RGB", portrait.picture.size, (120, 118, 116))
    assert matte_of(grey, portrait.mesh) is None
