"""The 52 ARKit face units: their names, their order in a weight vector, and weight vectors by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

FACE_UNITS: Final[tuple[str, ...]] = (
    "eyeBlinkLeft",
    "eyeLookDownLeft",
    "eyeLookInLeft",
    "eyeLookOutLeft",
    "eyeLookUpLeft",
    "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight",
    "eyeLookDownRight",
    "eyeLookInRight",
    "eyeLookOutRight",
    "eyeLookUpRight",
    "eyeSquintRight",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawRight",
    "jawOpen",
    "mouthClose",
    "mouthFunnel",
    "mouthPucker",
    "mouthLeft",
    "mouthRight",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)
"""Apple's order; index into every weight vector of this package."""

UNIT_COUNT: Final = len(FACE_UNITS)
UNIT: Final[Mapping[str, int]] = {name: index for index, name in enumerate(FACE_UNITS)}

Weights = NDArray[np.float32]
"""Shape (52,), each 0-1."""


def weights(**units: float) -> Weights:
    """A weight vector from unit names; a name without Left or Right sets both sides.

    Raises KeyError for a name that is no face unit.
    """
    vector = np.zeros(UNIT_COUNT, np.float32)
    for name, value in units.items():
        if name in UNIT:
            vector[UNIT[name]] = value
        else:
            vector[UNIT[f"{name}Left"]] = value
            vector[UNIT[f"{name}Right"]] = value
    return vector
