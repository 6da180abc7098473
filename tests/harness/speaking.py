"""Speech of known length and content, for tests in virtual time."""

from __future__ import annotations

import numpy as np

from speech.marks import VisemeMark
from speech.voice import MILLISECOND, Speech, WordMark


def spoken(text: str, ms: int, level: float = 0.5) -> Speech:
    """`text` as a constant level of `ms`, its words of equal length, the mouth open throughout."""
    size = ms * MILLISECOND
    words = text.split()
    each = size // max(1, len(words))
    return Speech(
        text,
        np.full(size, level, np.float32),
        [VisemeMark(0, size, "aa")],
        [WordMark(w, i * each, (i + 1) * each) for i, w in enumerate(words)],
    )
