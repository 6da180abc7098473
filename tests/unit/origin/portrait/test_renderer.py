"""The portrait in pictures: the photo itself at rest, a mouth that follows the visemes, eyes that close, nothing that tears."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from origin.avatar.articulation import SHAPES
from origin.avatar.background import Behind, Colour
from origin.avatar.faceunits import weights
from origin.avatar.fullpicture import to_rgb
from origin.avatar.pose import Pose
from origin.portrait import topology as top
from origin.portrait.landmarks import faces, locate
from origin.portrait.photo import examined
from origin.portrait.portrait import Portrait
from origin.portrait.renderer import PortraitError, PortraitRenderer

STILL = Pose()
TURNS = [
    Pose(head=(y, p, r))
    for y, p, r in ((0.4, 0, 0), (-0.4, 0, 0), (0, 0.2, 0), (0, -0.2, 0), (0.3, 0.1, 0.2))
]


def luma(renderer: PortraitRenderer, pose: Pose) -> NDArray[np.float64]:
    return np.asarray(renderer.render(pose)[: renderer.height], np.float64)


def opening(renderer: PortraitRenderer, pose: Pose) -> tuple[float, float]:
    """Height and width of what is drawn between the lips, in interocular distances: pixels that the inside of the mouth changes."""
    scene = renderer._ready()
    renderer.render(pose)
    points = renderer._points_view
    upper, lower = points[list(top.UPPER_ROWS[3])], points[list(top.LOWER_ROWS[3])]
    gap = np.maximum(lower[:, 1] - upper[:, 1], 0)
    wide = points[308, 0] - points[78, 0]
    return float(gap.max() / scene.mesh.apart), float(wide / scene.mesh.apart)


@pytest.mark.slow
def test_open_vowels_open_the_mouth_and_closures_shut_it(renderer: PortraitRenderer) -> None:
    seen = {name: opening(renderer, Pose(shape)) for name, shape in SHAPES.items()}
    tall = {name: size[0] for name, size in seen.items()}
    assert tall["aa"] > tall["E"] > tall["I"] > tall["PP"] and tall["aa"] > 0.2
    assert tall["PP"] < 0.03 and tall["sil"] < 0.03
    assert seen["U"][1] < seen["O"][1] < seen["I"][1]  # rounded lips are narrow


def test_a_landmark_net_sees_the_same_mouth_in_the_pictures(renderer: PortraitRenderer) -> None:
    """Measured in what was drawn, by a net that knows nothing of how."""

    def seen(name: str) -> float:
        picture = Image.fromarray(to_rgb(renderer.render(Pose(SHAPES[name]))))
        mesh = locate(picture, faces(picture)[0]).mesh
        return float((mesh[14, 1] - mesh[13, 1]) / (mesh[263, 0] - mesh[33, 0]))

    shapes = ("PP", "I", "aa")
    shut, slight, wide = (seen(name) for name in shapes)
    assert shut + 0.015 < slight and slight + 0.015 < wide


def test_an_open_mouth_shows_teeth_and_dark(renderer: PortraitRenderer) -> None:
    scene = renderer._ready()
    picture = luma(renderer, Pose(SHAPES["aa"]))
    (x0, y0), (x1, y1) = renderer._points_view[13], renderer._points_view[14]
    inside = picture[round(y0) + 1 : round(y1), round((x0 + x1) / 2) - 3 : round((x0 + x1) / 2) + 4].mean(1)
    assert inside.max() > 110 and inside.min() < 60  # teeth above, and behind them it is dark
    assert len(inside) > 0.2 * scene.mesh.apart


def test_a_blink_hides_the_eye_and_only_it(renderer: PortraitRenderer) -> None:
    scene = renderer._ready()
    opened, shut = luma(renderer, STILL).copy(), luma(renderer, Pose(weights(eyeBlink=1.0)))
    for eye in scene.eyes:
        s, t, _ = eye.iris
        x, y = np.round((eye.origin + s * eye.axes[0] + t * eye.axes[1]) / 2).astype(int)
        reach = int(scene.mesh.apart * 0.06)
        assert opened[y - reach : y + reach, x - reach : x + reach].min() < 60  # a pupil
        skin = shut[y - reach : y + 1, x - reach : x + reach]
        assert skin.min() > 60 and skin.std() < 0.6 * opened[y - reach : y + 1, x - reach : x + reach].std()
    eyes_y = float(np.mean([eye.origin[1] / 2 for eye in scene.eyes]))
    far = np.abs(np.arange(renderer.height) - eyes_y) > 0.45 * scene.mesh.apart
    assert np.array_equal(opened[far], shut[far])


def test_half_a_blink_is_between(renderer: PortraitRenderer) -> None:
    pictures = [luma(renderer, Pose(weights(eyeBlink=b))).copy() for b in (0.0, 0.5, 1.0)]
    change = [np.abs(a - b).sum() for a, b in pairwise(pictures)]
    assert 0.2 < change[0] / change[1] < 5


def test_the_iris_goes_where_the_person_looks(renderer: PortraitRenderer) -> None:
    scene = renderer._ready()

    def dark(gaze: tuple[float, float]) -> float:
        """Where the middle of the dark is in the eye at the left, in pixels."""
        picture = luma(renderer, Pose(gaze=gaze))
        eye = scene.eyes[0]
        (x0, y), (x1, _) = eye.origin / 2, (eye.origin + eye.axes[0]) / 2
        row = picture[int(y) - 3 : int(y) + 4, int(x0) + 3 : int(x1) - 3].mean(0)
        weight = np.clip(90 - row, 0, None)
        return float((weight * np.arange(len(row))).sum() / weight.sum())

    assert dark((-0.25, 0.0)) + 1 < dark((0.0, 0.0)) < dark((0.25, 0.0)) - 1


def test_a_turn_moves_the_nose_more_than_the_ears(renderer: PortraitRenderer) -> None:
    renderer.render(STILL)
    rest = renderer._points_view.copy()
    renderer.render(Pose(head=(0.15, 0.0, 0.0)))
    moved = renderer._points_view[:, 0] - rest[:, 0]
    assert moved[top.NOSE_TIP] > 3 * max(abs(moved[234]), abs(moved[454])) > 0
    assert moved[top.NOSE_TIP] > 5


POSES = [STILL, *TURNS, *(Pose(SHAPES[name], (0.2, 0.1, 0.1), breath=1.0) for name in ("aa", "O"))]


def sources(renderer: PortraitRenderer) -> NDArray[np.float64]:
    """Where in the photo, in pixels of the picture, each pixel of the box comes from."""
    return np.asarray(renderer._kept[3].numpy() / 2, np.float64)


def assert_whole(source: NDArray[np.float64]) -> None:
    """What neighbouring pixels show lies close together in the photo, but where lids or lips part or a cheek covers an ear."""
    for axis in (0, 1):
        step = np.linalg.norm(np.diff(source, axis=axis), axis=2)
        assert np.median(step) == pytest.approx(1.0, abs=0.1)
        assert (step > 4).mean() < 0.002


@pytest.mark.slow
@pytest.mark.parametrize("pose", POSES)
def test_nothing_tears(fixed: PortraitRenderer, pose: Pose) -> None:
    scene = fixed._ready()
    box = scene.box
    outside = scene.plate[: fixed.height].copy()
    picture = fixed.render(pose)[: fixed.height]
    outside[box.y : box.y + box.height, box.x : box.x + box.width] = 0
    drawn = picture.copy()
    drawn[box.y : box.y + box.height, box.x : box.x + box.width] = 0
    assert np.array_equal(drawn, outside)  # beyond the box there is the photo, untouched
    source = sources(fixed)
    assert_whole(source)
    # the sides of the box do not move
    y, x = np.mgrid[box.y : box.y + box.height, box.x : box.x + box.width] + 0.5
    away = np.abs(source - np.stack([x, y], 2)).max(2)
    assert away[:, [0, -1]].max() < 0.1


@pytest.mark.parametrize("pose", POSES)
def test_nothing_tears_where_the_person_is_cut_out(renderer: PortraitRenderer, pose: Pose) -> None:
    scene = renderer._ready()
    box = scene.box
    room = scene.back[: renderer.height].copy()
    picture = renderer.render(pose)[: renderer.height].copy()
    room[box.y : box.y + box.height, box.x : box.x + box.width] = 0
    picture[box.y : box.y + box.height, box.x : box.x + box.width] = 0
    assert np.array_equal(picture, room)
    source = sources(renderer)
    assert_whole(source)
    # a body that the picture's lower edge cuts off keeps to it
    if box.y + box.height == renderer.height:
        away = np.abs(source[-1, :, 1] - (renderer.height - 0.5))
        assert away.max() < 1.0
    # and all of the person is within what is drawn
    transparent = scene.texture >> 24
    seen = source_cover(transparent, source)
    rows, columns = np.nonzero(seen > 8)
    spans = scene.spans[rows // 2]
    assert (columns // 2 >= spans[:, 0]).all() and (columns // 2 < spans[:, 1]).all()


def source_cover(cover: NDArray[np.uint32], source: NDArray[np.float64]) -> NDArray[np.uint32]:
    """The coverage at places of the photo, in pixels of the picture."""
    x = np.clip((source[..., 0] * 2).astype(int), 0, cover.shape[1] - 1)
    y = np.clip((source[..., 1] * 2).astype(int), 0, cover.shape[0] - 1)
    return np.asarray(cover[y, x])


def test_a_breath_lifts_the_shoulders_before_a_room_that_stays(renderer: PortraitRenderer) -> None:
    scene = renderer._ready()
    box, cover = scene.box, scene.texture >> 24
    out = renderer.render(Pose(breath=0.0))[: renderer.height].copy()
    at_rest = sources(renderer)
    full = renderer.render(Pose(breath=1.0))[: renderer.height].copy()
    risen = sources(renderer)[..., 1] - at_rest[..., 1]
    shoulder = int(scene.mesh.rest[top.CHIN, 1] + 0.2 * scene.mesh.tall) - box.y
    body = source_cover(cover, at_rest)[shoulder] == 255
    assert 0.01 < np.median(risen[shoulder, body]) / scene.mesh.tall < 0.03
    # where nobody is, not one pixel changes
    nobody = np.ones(out.shape, bool)
    inside = (source_cover(cover, at_rest) == 0) & (source_cover(cover, sources(renderer)) == 0)
    nobody[box.y : box.y + box.height, box.x : box.x + box.width] = inside
    near = np.pad(~nobody, 1, mode="edge")
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            nobody &= ~near[dy : dy + out.shape[0], dx : dx + out.shape[1]]
    assert nobody.mean() > 0.3 and np.array_equal(out[nobody], full[nobody])
    assert (np.abs(out.astype(int) - full) > 8).mean() > 0.005


def test_a_head_that_tilts_takes_the_shoulders_along_a_little(renderer: PortraitRenderer) -> None:
    scene = renderer._ready()
    renderer.render(STILL)
    rest = renderer._points_view.copy()
    renderer.render(Pose(head=(0.0, 0.0, -0.15)))
    moved = renderer._points_view[:, 0] - rest[:, 0]
    grid = np.arange(len(rest)) >= scene.mesh.rings_end
    shoulder = (
        np.abs(rest[:, 1] - scene.mesh.rest[top.CHIN, 1] - 0.1 * scene.mesh.tall) < 0.1 * scene.mesh.tall
    )
    middle = np.abs(rest[:, 0] - scene.mesh.middle[0]) < 0.8 * scene.mesh.tall
    lean = moved[grid & shoulder & middle]
    assert (lean > 0).all() and lean.max() < 0.1 * moved[top.FOREHEAD]
    floor = grid & (rest[:, 1] >= renderer.height)
    assert np.abs(moved[floor]).max() < 1e-3


@pytest.mark.slow
def test_before_another_colour_or_nothing_the_person_is_the_same(portrait: Portrait) -> None:
    pose = Pose(SHAPES["aa"], (0.15, 0.05, 0.1), breath=0.7)
    nothing = PortraitRenderer(portrait, background=Behind.NOTHING)
    red = PortraitRenderer(portrait, background=Colour(200, 30, 30))
    over_black, over_red = nothing.render(pose)[:480].astype(float), red.render(pose)[:480].astype(float)
    matte = nothing.matte
    kept = None if matte is None else matte.copy()
    assert matte is not None and red.matte is None and matte.shape == (480, 854)
    share = matte / 255
    assert 0.2 < share.mean() < 0.7 and (share == 0).any() and (share == 1).any()
    assert np.abs(over_black - over_red)[matte == 255].max() <= 1
    assert (over_black[matte == 0] == 16).all() and np.ptp(over_red[matte == 0]) == 0
    behind = over_red[0, 0]
    mixed = over_black + (1 - share) * (behind - 16)
    assert np.abs(mixed - over_red).max() <= 2
    for turn in TURNS:
        nothing.render(turn)
    nothing.render(pose)
    assert np.array_equal(nothing.matte, kept)


def test_a_small_step_of_the_pose_is_a_small_step_of_the_picture(renderer: PortraitRenderer) -> None:
    before = luma(renderer, STILL).copy()
    after = luma(renderer, Pose(weights(jawOpen=0.01), (0.002, 0.001, 0.001), (0.002, 0.0), 0.02))
    assert np.abs(after - before).mean() < 1.0 and (np.abs(after - before) > 40).mean() < 1e-3


@pytest.mark.slow
def test_pictures_depend_on_the_pose_alone(renderer: PortraitRenderer, portrait: Portrait) -> None:
    other = PortraitRenderer(portrait)
    pose = Pose(SHAPES["E"], (0.1, 0.05, -0.05), (0.1, 0.1), 0.5)
    first = renderer.render(pose).copy()
    for turn in TURNS:
        renderer.render(turn)
    assert np.array_equal(renderer.render(pose), first)
    assert np.array_equal(other.render(pose), first)


def test_at_rest_it_is_the_photo(renderer: PortraitRenderer) -> None:
    scene = renderer._ready()
    picture = luma(renderer, STILL)
    plate = scene.plate[: renderer.height].astype(float)
    # all but mouth and chin, as this photo's smile is closed
    above = int(renderer._points_view[top.NOSE_TIP][1] - 0.3 * scene.mesh.tall)
    assert np.abs(picture[:above] - plate[:above]).mean() < 2.0


@pytest.mark.slow
@pytest.mark.parametrize("size", [(854, 480), (1280, 720), (480, 854), (160, 120)])
def test_any_size_shows_the_whole_face(portrait: Portrait, size: tuple[int, int]) -> None:
    renderer = PortraitRenderer(portrait, *size)
    picture = renderer.render(STILL)
    assert picture.shape == (size[1] * 3 // 2, size[0])
    face = renderer._ready().mesh.rest[:468, :2]
    assert (face > 0).all() and (face < np.array(size)).all()
    share = renderer._ready().mesh.tall / size[1]
    assert 0.25 < share < 0.62


def test_what_cannot_be_drawn_is_refused(portrait: Portrait) -> None:
    with pytest.raises(PortraitError, match="sizes are even"):
        PortraitRenderer(portrait, 853, 480)
    for background in (Behind.NOTHING, Colour(0, 0, 0)):
        with pytest.raises(PortraitError, match=r"has no matte.*make its package again from the photo"):
            PortraitRenderer(replace(portrait, matte=None), background=background)


@pytest.mark.slow
def test_a_narrow_photo_goes_on_to_the_sides_as_its_edges_are(photo: Image.Image) -> None:
    narrow = examined(photo.crop((110, 0, 350, 330)), "narrow.jpg", "narrow")
    renderer = PortraitRenderer(narrow, 854, 480)
    view, plate = renderer._ready().view, renderer._ready().plate[:480].astype(float)
    left, right = round(-view.left / view.step), round((240 - view.left) / view.step)
    assert left > 60 and right < 800  # there is something to fill
    steps = np.abs(np.diff(plate, axis=1)).mean(0)
    assert steps[left - 5 : left + 6].max() < 4 and steps[right - 5 : right + 6].max() < 4  # no edge
    assert steps[: left - 10].max() < 1  # nothing that could be taken for something
