"""The pieces of a bake that need no package: cutting, subdividing, packing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from origin.avatar import layers as layerstore
from origin.avatar.bake.clothes.cloth import border_edges, clip, strip, thickened
from origin.avatar.bake.noise import fractal_noise
from origin.avatar.bake.people import RECIPES
from origin.avatar.bake.subdivision import LoopStep
from origin.avatar.bake.teeth import UPPER, affine_fit, arch
from origin.avatar.person import PEOPLE, PersonError, load, read, shipped, write
from origin.avatar.scene import layer_file

SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = np.array([[0, 1, 2], [0, 2, 3]])


def area(points: np.ndarray, triangles: np.ndarray) -> float:
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_cutting_keeps_exactly_the_positive_part() -> None:
    points, triangles = clip(SQUARE, FACES, 0.3 - SQUARE[:, 0])
    assert area(points, triangles) == pytest.approx(0.3)
    assert points[:, 0].max() == pytest.approx(0.3)


def test_thickened_cloth_is_closed() -> None:
    _, triangles = thickened(SQUARE, FACES, 0.1)
    assert len(border_edges(triangles)) == 0


def test_loop_step_keeps_a_plane_flat_and_splits_in_four() -> None:
    step = LoopStep(np.stack([FACES, FACES], 2), len(SQUARE))
    fine = step.points(SQUARE)
    assert len(step.triangles) == 4 * len(FACES)
    assert np.abs(fine[:, 2]).max() == 0
    assert fine.max() <= 1 + 1e-9


def test_noise_is_the_same_everywhere_and_within_bounds() -> None:
    points = np.random.default_rng(1).uniform(-9, 9, (500, 3))
    noise = fractal_noise(points, 3, 5)
    assert np.array_equal(noise, fractal_noise(points, 3, 5))
    assert noise.min() >= 0 and noise.max() <= 1


def test_teeth_are_few_triangles_and_symmetric() -> None:
    made = arch(UPPER, np.zeros(3), 0.27, 0.43, 0.1, True)
    assert 400 < len(made.triangles) < 1200
    teeth = made.points[~made.gum.astype(bool)]
    assert teeth[:, 0].min() == pytest.approx(-teeth[:, 0].max(), abs=0.01)
    assert teeth[:, 1].max() > 0.05


def test_affine_fit_reproduces_a_rigid_move() -> None:
    rest = np.random.default_rng(2).normal(size=(40, 3))
    moved = rest @ np.array([[0.9, 0.1, 0], [-0.1, 0.9, 0], [0, 0, 1]]).T + [0, -0.3, 0.1]
    found = affine_fit(rest, moved - rest, rest[:5])
    assert np.allclose(found, (moved - rest)[:5])


@pytest.mark.slow
def test_packing_a_person_loses_less_than_a_tenth_of_a_pixel(tmp_path: Path) -> None:
    ava = load("ava")
    write(ava, tmp_path / "ava")
    again = read(tmp_path / "ava")
    assert np.abs(again.geometry.rest - ava.geometry.rest).max() < 1e-3 * 0.7
    assert np.array_equal(again.geometry.triangles, ava.geometry.triangles)
    assert np.abs(again.units.offset - ava.units.offset).max() < 1e-3
    assert again.traits == ava.traits


def test_a_broken_person_is_refused_with_its_folder_named(tmp_path: Path) -> None:
    (tmp_path / "person.json").write_text("{}")
    with pytest.raises(PersonError, match=str(tmp_path)):
        read(tmp_path)


def test_broken_layers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "layers.npz"
    path.write_bytes(b"not a file of arrays")
    with pytest.raises(PersonError, match="layers"):
        layerstore.load(path)


@pytest.mark.parametrize("name", shipped())
def test_shipped_person_is_small_and_has_its_notice(name: str) -> None:
    folder = PEOPLE / name
    size = sum(p.stat().st_size for p in folder.rglob("*"))
    assert size < 4_000_000
    assert "CC0" in (folder / "NOTICE.md").read_text()
    assert layer_file(load(name), 854, 480).parent == folder


def test_who_can_be_baked_is_shipped_and_has_a_picture_on_the_pages() -> None:
    pictures = Path(__file__).parents[4] / "web/people"
    assert sorted(RECIPES) == shipped() == sorted(p.stem for p in pictures.glob("*.jpg"))


def test_a_closed_strip_has_two_borders_and_no_seam() -> None:
    angle = np.linspace(0, 2 * np.pi, 9)[:-1]
    ring = np.stack([np.cos(angle), np.zeros(8), np.sin(angle)], 1)
    grid = np.stack([ring, ring + np.array([0.0, 1.0, 0.0])], 1)
    points, triangles = strip(grid, closed=True)
    assert len(points) == 16 and len(triangles) == 16
    assert len(border_edges(triangles)) == 16, "eight above and eight below"
    _, open_ = strip(grid)
    assert len(open_) == 14, "nothing between the last column and the first"
