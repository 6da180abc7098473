"""What a triangle is made of; the shading kernels branch on these numbers."""

from __future__ import annotations

from enum import IntEnum


class Material(IntEnum):
    SKIN = 0
    EYE = 1
    TEETH = 2
    MOUTH = 3  # gums and tongue
    LASH = 4
    CLOTH = 5
    HAIR = 6
    NECK = 7  # skin outside the head's UV island; its shadow map is a cylinder (light tier only)
