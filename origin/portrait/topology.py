"""What the numbers of the face mesh's 468 points mean: lips, eyes, the outline."""

from __future__ import annotations

from typing import Final

OUTLINE: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Round the face, clockwise in the picture from the middle of the forehead."""

UPPER_ROWS: Final = (
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)
"""The upper lip from its outer to its inner edge, each row from the picture's left corner to the right one."""
LOWER_ROWS: Final = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
)
"""The lower lip, likewise."""
UPPER_LIP: Final = frozenset(p for row in UPPER_ROWS for p in row[1:-1])
LOWER_LIP: Final = frozenset(p for row in LOWER_ROWS for p in row[1:-1])
MOUTH_CORNERS: Final = (78, 308)

UPPER_LIDS: Final = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133),
    (362, 398, 384, 385, 386, 387, 388, 466, 263),
)
LOWER_LIDS: Final = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133),
    (362, 382, 381, 380, 374, 373, 390, 249, 263),
)
"""Edges of the lids from left to right in the picture; the eye at the picture's left first."""
UPPER_CREASES: Final = (
    (130, 247, 30, 29, 27, 28, 56, 190, 243),
    (463, 414, 286, 258, 257, 259, 260, 467, 359),
)
"""One ring outside of the upper lid's edge."""
BROWS: Final = ((70, 63, 105, 66, 107), (336, 296, 334, 293, 300))
"""Upper edges of the brows, from left to right."""
NOSE_TIP: Final = 1
CHIN: Final = 152
FOREHEAD: Final = 10
"""The mesh ends there, in the middle at the top."""
