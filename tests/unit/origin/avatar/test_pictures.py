"""What the renderer draws: as it did before, at every size, with every background, whatever was drawn before."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from origin.avatar.articulation import REST
from origin.avatar.background import Behind, Colour, parse, unmultiplied
from origin.avatar.camera import portrait_camera
from origin.avatar.full import fitted
from origin.avatar.fullpicture import to_rgb
from origin.avatar.person import load, shipped
from origin.avatar.pose import Pose
from origin.avatar.renderer import Renderer, Tier
from origin.avatar.sheet import EXPRESSIONS
from tests.harness.golden import FOLDER, SEEN, pictures, psnr

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize("seen", SEEN, ids=lambda s: f"{s[0]}-{s[1]}")
def test_pictures_are_those_of_the_references(seen: tuple[str, Tier, int, int]) -> None:
    for name, rgb in pictures(*seen).items():
        with Image.open(FOLDER / f"{name}.webp") as kept:
            likeness = psnr(rgb, np.asarray(kept.convert("RGB")))
        assert likeness > 40, f"{name} is {likeness:.1f} dB from its reference"


def test_a_reference_differs_from_another_pose() -> None:
    with Image.open(FOLDER / "ava-light-aa.webp") as aa, Image.open(FOLDER / "ava-light-smile.webp") as smile:
        assert psnr(np.asarray(aa.convert("RGB")), np.asarray(smile.convert("RGB"))) < 35


@pytest.mark.parametrize("person", shipped())
@pytest.mark.parametrize("size", [(854, 480), (1280, 720), (480, 854), (640, 640), (720, 1280), (320, 180)])
def test_head_hair_and_shoulders_fit_every_picture(person: str, size: tuple[int, int]) -> None:
    width, height = size
    avatar = load(person)
    camera = portrait_camera(avatar.traits.eye_left[1], width, height)
    hair = camera.project(avatar.hair.points.reshape(-1, 3).astype(float))
    assert hair[:, 0].min() > 0.02 * width and hair[:, 0].max() < 0.98 * width
    assert 0.005 * height < hair[:, 1].min() < 0.22 * height
    eyes = camera.project(np.array([avatar.traits.eye_left, avatar.traits.eye_right], float))
    assert 0.25 * height < eyes[:, 1].mean() < 0.45 * height
    body = camera.project(avatar.geometry.rest.astype(float))
    middle = np.abs(body[:, 0] - width / 2) < 0.3 * width
    assert body[middle, 1].max() > height, "clothes go on below the picture"


def test_a_set_is_cropped_and_not_squeezed() -> None:
    disc = np.hypot(*(np.mgrid[0:480, 0:854] - np.array([240, 427])[:, None, None])) < 100
    picture = np.repeat(disc[..., None], 3, 2).astype(np.float32)
    for width, height in ((480, 854), (1280, 720), (320, 320)):
        seen = fitted(picture, width, height)[..., 0] > 0.5
        assert seen.shape == (height, width)
        high, wide = seen.any(1).sum(), seen.any(0).sum()
        assert abs(high - wide) <= 2 and high > 100
    assert fitted(picture, 854, 480) is picture


def test_two_threads_draw_what_one_does() -> None:
    one, two = (Renderer(load("ava"), threads=n) for n in (1, 2))
    for name in ("neutral", "smile", "turn left"):
        assert np.array_equal(one.render(EXPRESSIONS[name]), two.render(EXPRESSIONS[name]))


def test_a_picture_drawn_anew_does_not_depend_on_those_before() -> None:
    """Resting after other poses, and after nothing: the same, once what hair showed is told."""
    poses = [Pose(REST, (0.3 * k / 11, 0.0, 0.0), breath=k / 11) for k in range(12)]
    busy, late = (Renderer(load("ava"), background=Behind.NOTHING) for _ in range(2))
    for pose in poses:
        busy.render(pose)
        late.pass_over(pose)
    for renderer in (busy, late):
        renderer.anew()
    for pose in poses[::-1]:
        assert np.array_equal(busy.render(pose), late.render(pose))
        assert np.array_equal(busy.matte, late.matte)  # type: ignore[arg-type]


@pytest.mark.parametrize(("tier", "size"), [("light", (854, 480)), ("full", (320, 180))])
def test_a_matte_is_empty_beside_the_person_full_on_it_and_soft_at_hair(
    tier: Tier, size: tuple[int, int]
) -> None:
    width, height = size
    renderer = Renderer(load("ava"), width, height, tier, background=Behind.NOTHING)
    picture = renderer.render(EXPRESSIONS["soft smile"])
    matte = renderer.matte
    assert matte is not None
    assert not matte[: height // 2, : width // 4].any() and not matte[: height // 20].any()
    assert (matte[height // 4 : height // 2, width * 47 // 100 : width * 53 // 100] == 255).all()
    assert (matte[-1, width * 3 // 8 : width * 5 // 8] == 255).all()
    edge = matte[height // 8 : height // 2, width // 4 : width * 3 // 4]
    assert 0.003 < ((edge > 20) & (edge < 235)).mean() < 0.2
    beside = picture[:height][matte == 0]
    assert (beside > 18).mean() < 0.005 and beside.max() < 60, "nothing is drawn where nothing is"


def test_over_its_own_set_the_cut_out_person_is_the_ordinary_picture() -> None:
    plain = Renderer(load("ava"))
    cut = Renderer(load("ava"), background=Behind.NOTHING)
    green = Renderer(load("ava"), background=Colour(20, 200, 60))
    pose = EXPRESSIONS["neutral"]
    whole, over_black, matte = to_rgb(plain.render(pose)).astype(float), cut.render(pose), cut.matte
    assert matte is not None
    alone = to_rgb(unmultiplied(over_black, matte))
    inside = matte == 255
    assert np.abs(alone.astype(float) - whole)[inside].mean() < 1.0
    share = matte[..., None] / 255
    composed = alone * share + np.array([20, 200, 60]) * (1 - share)
    over_green = to_rgb(green.render(pose)).astype(float)
    assert psnr(composed.round().astype(np.uint8), over_green.astype(np.uint8)) > 34
    corner = over_green[10, 10]
    assert np.abs(corner - [20, 200, 60]).max() <= 4


@pytest.mark.parametrize("text", ["", "green", "#12345", "#12345g", "#1234567", "TRANSPARENT"])
def test_a_background_that_is_none_is_refused_with_what_to_say(text: str) -> None:
    with pytest.raises(ValueError, match="keep, transparent, or a colour"):
        parse(text)
    assert parse("#14C83c") == Colour(20, 200, 60)
