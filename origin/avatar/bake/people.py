"""The people who are baked: shape, skin, hair, clothes, set and light of each, chosen by eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from origin.avatar.bake.clothes import ShirtCut
from origin.avatar.bake.hair import Bob
from origin.avatar.bake.mesh import Recipe
from origin.avatar.bake.skin import SkinPaint
from origin.avatar.person import LightRig

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class SetChoice:
    """A crop of a panorama; see backdrop.from_panorama."""

    panorama: str
    corner: tuple[float, float]
    span: float
    gain: float
    tint: Colour


@dataclass(frozen=True, slots=True)
class PersonRecipe:
    """Everything that a bake needs to know of one person."""

    shape: Recipe
    skin: SkinPaint
    hair: Bob
    hair_colours: tuple[Colour, Colour]
    iris_colours: tuple[Colour, Colour]  # outer, inner
    shirt: ShirtCut
    shirt_colour: Colour
    backdrop: SetChoice
    lights: LightRig


DAYLIGHT: Final = LightRig(
    key_dir=(-0.75, 0.62, 0.85),
    key=(2.0, 1.86, 1.68),
    fill_dir=(0.8, 0.1, 0.75),
    fill=(0.20, 0.225, 0.28),
    rim_left_dir=(-0.85, 0.45, -0.65),
    rim_left=(0.9, 1.0, 1.2),
    rim_right_dir=(0.9, 0.35, -0.55),
    rim_right=(1.1, 0.95, 0.75),
    ambient=((0.28, 0.275, 0.27), (0.10, 0.11, 0.12), (0.08, 0.08, 0.08), (-0.03, -0.03, -0.03)),
    exposure=0.585,
)

AVA: Final = PersonRecipe(
    shape=Recipe(
        macros={
            "caucasian-female-young": 0.62,
            "asian-female-young": 0.23,
            "african-female-young": 0.15,
            "universal-female-young-averagemuscle-averageweight": 1.0,
            "proportions/female-young-averagemuscle-averageweight-idealproportions": 0.7,
        },
        details={
            "eyes/l-eye-scale-incr": 0.12,
            "eyes/r-eye-scale-incr": 0.12,
            "head/head-oval": 0.2,
            "head/head-scale-horiz-decr": 0.35,
            "nose/nose-scale-horiz-decr": 0.35,
            "nose/nose-point-width-decr": 0.3,
            "mouth/mouth-upperlip-volume-incr": 0.4,
            "mouth/mouth-lowerlip-volume-incr": 0.35,
            "cheek/l-cheek-bones-incr": 0.35,
            "cheek/r-cheek-bones-incr": 0.35,
            "chin/chin-width-decr": 0.15,
        },
    ),
    skin=SkinPaint(
        tone=(0.55, 0.35, 0.255),
        lips=(0.46, 0.155, 0.145),
        brow_colour=(0.07, 0.04, 0.025),
        root_colour=(0.020, 0.011, 0.007),
        lip_strength=0.80,
        freckles=0.25,
        liner=0.55,
        blush=0.72,
        moles=3,
        roughness=0.47,
        brow={"thick": 0.056, "k": 0.85, "y": 0.175},
    ),
    hair=Bob(),
    hair_colours=((0.070, 0.038, 0.022), (0.135, 0.076, 0.044)),
    iris_colours=((0.075, 0.085, 0.055), (0.15, 0.11, 0.055)),
    shirt=ShirtCut(),
    shirt_colour=(0.045, 0.085, 0.13),
    backdrop=SetChoice("lobby", (0.53, 0.27), 0.30, 0.60, (0.80, 0.95, 1.20)),
    lights=DAYLIGHT,
)

RECIPES: Final = {"ava": AVA}
