"""The picture: what a viewer would notice if it broke."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from origin.avatar import Animator, Pose, VisemeMark
from origin.avatar.articulation import REST, SHAPES
from origin.avatar.buckets import FADE_FRAMES, BucketChoice
from origin.avatar.camera import portrait_camera
from origin.avatar.faceunits import weights
from origin.avatar.full import FullTier
from origin.avatar.fullpicture import to_rgb
from origin.avatar.person import PersonError, load, shipped
from origin.avatar.renderer import Renderer
from origin.avatar.scene import layer_file

WIDTH, HEIGHT = 854, 480


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    renderer = Renderer(load("ava"), WIDTH, HEIGHT)
    renderer.warm()
    return renderer


def drawn(renderer: Renderer, pose: Pose) -> NDArray[np.float32]:
    """RGB of a pose that follows from nothing."""
    renderer.cut()
    return to_rgb(renderer.render(pose)).astype(np.float32)


def region(renderer: Renderer, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
    """A part of the head box, given in parts of its size."""
    b = renderer.head_box
    rows = slice(b.y + int(b.height * y0), b.y + int(b.height * y1))
    return rows, slice(b.x + int(b.width * x0), b.x + int(b.width * x1))


def mouth(renderer: Renderer) -> tuple[slice, slice]:
    return region(renderer, 0.38, 0.55, 0.62, 0.72)


def eyes(renderer: Renderer) -> tuple[slice, slice]:
    return region(renderer, 0.31, 0.36, 0.69, 0.45)


def dark(picture: NDArray[np.float32], part: tuple[slice, slice], level: float = 60) -> int:
    return int((picture[part].mean(2) < level).sum())


@pytest.mark.slow
def test_picture_is_i420_of_the_size_asked_for(renderer: Renderer) -> None:
    picture = renderer.render(Pose())
    assert picture.shape == (HEIGHT * 3 // 2, WIDTH)
    assert picture.dtype == np.uint8
    assert picture[:HEIGHT].min() >= 16 and picture[:HEIGHT].max() <= 235


def test_mouth_is_dark_inside_for_aa_and_shut_for_pp(renderer: Renderer) -> None:
    shut, open_ = drawn(renderer, Pose(SHAPES["PP"])), drawn(renderer, Pose(SHAPES["aa"]))
    part = mouth(renderer)
    assert dark(open_, part) > dark(shut, part) + 60
    rest = drawn(renderer, Pose(REST))
    assert dark(shut, part) <= dark(rest, part) + 15


def test_teeth_show_in_a_smile(renderer: Renderer) -> None:
    smile = drawn(
        renderer, Pose(weights(mouthSmile=0.7, mouthUpperUp=0.45, mouthLowerDown=0.2, jawOpen=0.08))
    )
    rest = drawn(renderer, Pose(REST))

    def pale(picture: NDArray[np.float32]) -> int:
        p = picture[mouth(renderer)]
        return int(((p.min(2) > 110) & (p.max(2) - p.min(2) < 45)).sum())

    assert pale(smile) > pale(rest) + 40


def test_a_blink_covers_the_iris(renderer: Renderer) -> None:
    open_, closed = drawn(renderer, Pose(REST)), drawn(renderer, Pose(weights(eyeBlink=1.0)))
    part = eyes(renderer)
    # skin is redder than green; iris, sclera and pupil are not
    grey = [int((p[part][..., 0] - p[part][..., 1] < 14).sum()) for p in (open_, closed)]
    assert grey[0] > 250
    assert grey[1] < grey[0] * 0.35


def test_eyes_have_a_catch_light(renderer: Renderer) -> None:
    picture = drawn(renderer, Pose(REST))
    left, right = region(renderer, 0.31, 0.36, 0.5, 0.45), region(renderer, 0.5, 0.36, 0.69, 0.45)
    assert picture[left].min(2).max() > 200
    assert picture[right].min(2).max() > 200


def test_same_poses_give_the_same_bytes() -> None:
    animator = Animator(2)
    poses = [animator.pose(1920 * k) for k in range(6)]
    runs = []
    for _ in range(2):
        renderer = Renderer(load("ava"), WIDTH, HEIGHT)
        runs.append([renderer.render(pose).copy() for pose in poses])
    assert all(np.array_equal(a, b) for a, b in zip(*runs, strict=True))


def test_two_threads_draw_what_one_draws(renderer: Renderer) -> None:
    pair = Renderer(load("ava"), WIDTH, HEIGHT, threads=2)
    pose = Pose(SHAPES["E"], (0.1, 0.02, 0.0))
    renderer.cut()
    assert np.array_equal(renderer.render(pose), pair.render(pose))


def test_only_the_head_box_changes(renderer: Renderer) -> None:
    a = renderer.render(Pose(REST)).copy()
    b = renderer.render(Pose(SHAPES["aa"], (0.3, 0.1, 0.05)))
    box = renderer.head_box
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[box.y : box.y + box.height, box.x : box.x + box.width] = False
    assert np.array_equal(a[:HEIGHT][outside], b[:HEIGHT][outside])


def test_what_the_head_leaves_returns_to_the_set(renderer: Renderer) -> None:
    first = drawn(renderer, Pose(REST))
    for yaw in (0.35, -0.35, 0.2, 0.0):
        last = drawn(renderer, Pose(REST, (yaw, 0.0, 0.0)))
    assert np.abs(first - last).max() == 0


@pytest.mark.parametrize(
    "pose",
    [
        Pose(np.full(52, np.nan, np.float32), (math.nan, math.inf, 1e9), (math.nan, 5.0), math.nan),
        Pose(np.full(52, 1e9, np.float32), (-1e9, 3.0, -3.0), (-9.0, 9.0), 9.0),
        Pose(np.full(52, -5.0, np.float32)),
        Pose(np.ones(52, np.float32), (0.4, 0.2, 0.2)),
    ],
)
def test_a_hostile_pose_draws_a_picture_and_harms_nothing(renderer: Renderer, pose: Pose) -> None:
    before = drawn(renderer, Pose(REST))
    renderer.render(pose)
    assert np.array_equal(drawn(renderer, Pose(REST)), before)


@pytest.mark.parametrize("size", [(853, 480), (100, 100), (4000, 480), (0, 0)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot draw"):
        Renderer(load("ava"), *size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped() if name != "ava"])
def test_everybody_speaks_blinks_and_turns(name: str) -> None:
    person = load(name)
    renderer = Renderer(person, WIDTH, HEIGHT)
    rest = drawn(renderer, Pose(REST))
    box = renderer.head_box
    assert box.y + box.height < HEIGHT and box.width < WIDTH, "the head is whole"
    camera = portrait_camera(person.traits.eye_left[1], WIDTH, HEIGHT)
    (left, y, _), (right, _, _) = camera.project(np.array([person.traits.eye_left, person.traits.eye_right]))
    columns = slice(int(min(left, right)) - 25, int(max(left, right)) + 25)
    above, below = (slice(int(y) - 20, int(y) + 25), columns), (slice(int(y) + 60, int(y) + 150), columns)

    def moved(pose: Pose, part: tuple[slice, slice]) -> float:
        return float(np.abs(drawn(renderer, pose)[part] - rest[part]).mean())

    assert moved(Pose(SHAPES["aa"]), below) > 3 * moved(Pose(SHAPES["aa"]), above)
    blink = Pose(weights(eyeBlink=1.0))
    assert moved(blink, above) > 3 * moved(blink, below)
    assert moved(Pose(REST, (0.3, 0.0, 0.0)), above) > 8
    assert dark(drawn(renderer, Pose(SHAPES["aa"])), below) > dark(rest, below) + 40


@pytest.mark.parametrize("name", ["nobody", "../ava", ""])
def test_unknown_people_are_refused(name: str) -> None:
    with pytest.raises(PersonError, match="ava"):
        load(name)


def head_change(renderer: Renderer, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    box = renderer.head_box
    part = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    return float(np.abs(a[part].astype(int) - b[part].astype(int)).mean())


@pytest.mark.slow
def test_hair_does_not_pop_where_the_head_passes_from_bucket_to_bucket(renderer: Renderer) -> None:
    renderer.cut()
    pictures = [renderer.render(Pose(REST, (0.002 * k, 0.0, 0.0))).copy() for k in range(120)]
    steps = [head_change(renderer, a, b) for a, b in itertools.pairwise(pictures)]
    ordinary = float(np.median(steps))
    assert max(steps) < 2.2 * ordinary


def test_bucket_choice_waits_then_fades_then_settles() -> None:
    yaws, pitches = np.array([-0.1, 0.0, 0.1], np.float32), np.array([-0.1, 0.0, 0.1], np.float32)
    choice = BucketChoice()
    choice.follow(0.0, 0.0, yaws, pitches)
    assert (choice.shown, choice.mix) == (4, 0.0)
    choice.follow(0.055, 0.0, yaws, pitches)
    assert choice.coming < 0, "just beyond the middle is not far enough"
    choice.follow(0.07, 0.0, yaws, pitches)
    assert choice.coming == 7 and choice.mix > 0
    for _ in range(FADE_FRAMES):
        choice.follow(0.07, 0.0, yaws, pitches)
    assert (choice.shown, choice.coming, choice.mix) == (7, -1, 0.0)
    choice.follow(-0.1, 0.0, yaws, pitches)
    assert (choice.shown, choice.mix) == (1, 0.0), "a jump is not faded"


@pytest.mark.slow
def test_light_tier_looks_like_the_full_tier(renderer: Renderer) -> None:
    full = FullTier(load("ava"), WIDTH, HEIGHT, 2)
    box = renderer.head_box
    part = np.s_[box.y : box.y + box.height, box.x : box.x + box.width]
    for pose, floor in ((Pose(REST), 29.0), (Pose(SHAPES["aa"], (0.05, 0.02, 0.0)), 28.0)):
        light = drawn(renderer, pose)[part]
        whole = full.picture(pose)[part] * 255
        psnr = 10 * np.log10(255**2 / np.mean((light - whole) ** 2))
        assert psnr > floor


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_another_size_is_baked_on_first_start_and_a_broken_cache_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = layer_file(load("ava"), 320, 180)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a file")
    told: list[str] = []
    renderer = Renderer(load("ava"), 320, 180)
    renderer.warm(lambda step, done: told.append(step))
    assert "Baking hair" in told
    assert renderer.render(Pose(REST)).shape == (270, 320)
    assert kept.stat().st_size > 100_000


def test_speech_moves_the_mouth_region(renderer: Renderer) -> None:
    animator = Animator(7)
    animator.speak([VisemeMark(0, 9600, "aa"), VisemeMark(9600, 13000, "PP")], 48_000)
    part = mouth(renderer)
    silent = drawn(renderer, animator.pose(24_000))
    vowel = drawn(renderer, animator.pose(48_000 + 4_800))
    assert dark(vowel, part) > dark(silent, part) + 40
