"""The people who are baked: shape, skin, hair, clothes, set and light of each, chosen by eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from origin.avatar.bake.backdrop import Backdrop, Evening, PanoramaCrop, Studio
from origin.avatar.bake.clothes import Colour, Jacket, Outfit, Shirt, Sweater
from origin.avatar.bake.hair import Bob, Bun, Combed, Curls, HairStyle
from origin.avatar.bake.mesh import Recipe
from origin.avatar.bake.skin import SkinPaint
from origin.avatar.person import LightRig

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


@dataclass(frozen=True, slots=True)
class PersonRecipe:
    """Everything that a bake needs to know of one person."""

    shape: Recipe
    skin: SkinPaint
    hair: HairStyle
    hair_colours: tuple[Colour, Colour]
    iris_colours: tuple[Colour, Colour]  # outer, inner
    outfit: Outfit
    backdrop: Backdrop
    lights: LightRig = DAYLIGHT


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
        brow={"thick": 0.060, "k": 0.85, "y": 0.175, "x1": 0.51},
    ),
    hair=Bob(),
    hair_colours=((0.070, 0.038, 0.022), (0.135, 0.076, 0.044)),
    iris_colours=((0.075, 0.085, 0.055), (0.15, 0.11, 0.055)),
    outfit=Shirt((0.045, 0.085, 0.13)),
    backdrop=PanoramaCrop("lobby", (0.53, 0.27), 0.30, 0.60, (0.80, 0.95, 1.20)),
)

MEI: Final = PersonRecipe(
    shape=Recipe(
        macros={
            "asian-female-young": 0.80,
            "african-female-young": 0.20,
            "universal-female-young-averagemuscle-averageweight": 1.0,
            "proportions/female-young-averagemuscle-averageweight-idealproportions": 0.6,
        },
        details={
            "eyes/l-eye-scale-incr": 0.15,
            "eyes/r-eye-scale-incr": 0.15,
            "mouth/mouth-upperlip-volume-incr": 0.3,
            "head/head-scale-horiz-decr": 0.3,
            "chin/chin-width-decr": 0.2,
        },
    ),
    skin=SkinPaint(
        tone=(0.50, 0.315, 0.205),
        lips=(0.42, 0.12, 0.11),
        brow_colour=(0.03, 0.02, 0.016),
        root_colour=(0.022, 0.016, 0.013),
        lip_strength=0.75,
        liner=0.6,
        blush=0.5,
        moles=1,
        roughness=0.46,
        undercoat=1.0,
        undercoat_reach=0.04,
        brow={"thick": 0.066, "k": 0.85, "x1": 0.49, "arch": 0.035},
    ),
    hair=Bun(),
    hair_colours=((0.022, 0.015, 0.012), (0.045, 0.030, 0.022)),
    iris_colours=((0.035, 0.018, 0.010), (0.09, 0.045, 0.02)),
    outfit=Sweater((0.27, 0.10, 0.06)),
    backdrop=Studio(),
)

BEN: Final = PersonRecipe(
    shape=Recipe(
        macros={
            "african-male-young": 0.75,
            "caucasian-male-young": 0.25,
            "universal-male-young-averagemuscle-averageweight": 1.0,
        },
    ),
    skin=SkinPaint(
        tone=(0.235, 0.118, 0.070),
        red=(1.10, 0.84, 0.80),
        lips=(0.215, 0.085, 0.072),
        brow_colour=(0.010, 0.007, 0.006),
        root_colour=(0.014, 0.010, 0.008),
        lip_strength=0.7,
        blush=0.5,
        roughness=0.50,
        mottle=0.26,
        undercoat_reach=0.05,
        stubble=0.45,
        stubble_colour=(0.020, 0.013, 0.010),
        brow={"thick": 0.096, "y": 0.165, "x1": 0.52},
    ),
    hair=Curls(),
    hair_colours=((0.016, 0.012, 0.010), (0.035, 0.025, 0.020)),
    iris_colours=((0.045, 0.022, 0.010), (0.10, 0.05, 0.02)),
    outfit=Jacket((0.022, 0.028, 0.045), Sweater((0.50, 0.50, 0.50), ease=0.035, band=0.07)),
    backdrop=Evening(),
)

OMAR: Final = PersonRecipe(
    shape=Recipe(
        macros={
            "asian-male-old": 0.35,
            "caucasian-male-old": 0.40,
            "asian-male-young": 0.10,
            "caucasian-male-young": 0.15,
            "universal-male-old-averagemuscle-averageweight": 0.75,
            "universal-male-young-averagemuscle-averageweight": 0.25,
        },
        details={
            "head/head-rectangular": 0.3,
            "nose/nose-scale-depth-incr": 0.25,
            "head/head-age-incr": 0.35,
            "forehead/forehead-temple-decr": 0.2,
        },
    ),
    skin=SkinPaint(
        tone=(0.50, 0.315, 0.225),
        lips=(0.38, 0.165, 0.145),
        brow_colour=(0.10, 0.09, 0.08),
        root_colour=(0.23, 0.21, 0.19),
        lip_strength=0.55,
        lip_gloss=0.12,
        blush=0.5,
        under_eyes=0.8,
        roughness=0.50,
        mottle=0.24,
        freckles=0.3,
        moles=6,
        undercoat=0.6,
        stubble=0.5,
        stubble_colour=(0.26, 0.25, 0.24),
        age=0.9,
        brow={"thick": 0.100, "y": 0.165, "strokes": 330.0, "x1": 0.52, "k": 0.75},
    ),
    hair=Combed(),
    hair_colours=((0.26, 0.25, 0.24), (0.55, 0.54, 0.52)),
    iris_colours=((0.06, 0.09, 0.12), (0.16, 0.18, 0.16)),
    outfit=Shirt((0.22, 0.28, 0.38)),
    backdrop=PanoramaCrop("apartment", (0.44, 0.27), 0.40, 0.55, (0.92, 0.98, 1.05), discs=0),
)

LUMA: Final = PersonRecipe(
    shape=Recipe(
        macros={
            "caucasian-female-young": 0.45,
            "asian-female-young": 0.55,
            "universal-female-young-averagemuscle-averageweight": 1.0,
            "proportions/female-young-averagemuscle-averageweight-idealproportions": 1.0,
        },
        details={
            "eyes/l-eye-scale-incr": 1.25,
            "eyes/r-eye-scale-incr": 1.25,
            "eyes/l-eye-trans-out": 0.35,
            "eyes/r-eye-trans-out": 0.35,
            "head/head-age-decr": 0.9,
            "head/head-triangular": 0.35,
            "head/head-scale-horiz-incr": 0.25,
            "nose/nose-scale-vert-decr": 0.55,
            "nose/nose-scale-horiz-decr": 0.75,
            "nose/nose-volume-decr": 0.6,
            "nose/nose-point-up": 0.6,
            "mouth/mouth-scale-horiz-decr": 0.35,
            "chin/chin-width-decr": 0.5,
            "neck/neck-scale-horiz-decr": 0.6,
            "neck/neck-scale-depth-decr": 0.4,
        },
    ),
    skin=SkinPaint(
        tone=(0.36, 0.33, 0.56),
        red=(1.35, 0.72, 0.92),
        dark=(0.86, 0.84, 0.95),
        lips=(0.42, 0.10, 0.26),
        brow_colour=(0.10, 0.16, 0.30),
        root_colour=(0.10, 0.20, 0.34),
        lip_strength=0.75,
        lip_gloss=0.5,
        liner=0.75,
        blush=0.75,
        under_eyes=0.1,
        moles=0,
        roughness=0.44,
        mottle=0.0,
        grain=0.15,
        relief=0.25,
        brow={"thick": 0.046, "y": 0.27, "x0": 0.17, "x1": 0.52, "arch": 0.06, "k": 0.95},
    ),
    hair=Bob(end=-0.92, curl=0.42),
    hair_colours=((0.05, 0.16, 0.30), (0.16, 0.36, 0.52)),
    iris_colours=((0.16, 0.055, 0.012), (0.55, 0.26, 0.05)),
    outfit=Sweater((0.030, 0.055, 0.11)),
    backdrop=Studio((0.10, 0.05, 0.09), (0.34, 0.17, 0.22)),
)

RECIPES: Final = {"ava": AVA, "ben": BEN, "luma": LUMA, "mei": MEI, "omar": OMAR}
