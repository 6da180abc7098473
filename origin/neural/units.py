"""The face units that move a mouth: what nets of the contract `units` are driven by."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.faceunits import FACE_UNITS

MOUTH_UNITS: Final[tuple[str, ...]] = tuple(
    name for name in FACE_UNITS if name.startswith(("jaw", "mouth", "cheek", "tongue"))
)
"""31 of the 52 ARKit units, in their order."""
MOUTH_INDEX: Final[NDArray[np.intp]] = np.array([FACE_UNITS.index(name) for name in MOUTH_UNITS], np.intp)
