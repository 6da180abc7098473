"""Phonemes -> mouth shapes, on the times that the voice model itself gave.

A diphthong is two shapes; silence longer than 60 ms rests the mouth; the weight of a vowel follows how loud it is, so that a murmur
opens the mouth less than a shout. Coarticulation is the animator's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from speech.marks import VisemeMark
from speech.voice import MILLISECOND, Pcm, PhonemeMark

_ONE: Final = {
    **dict.fromkeys("pbm", "PP"),
    **dict.fromkeys("fv", "FF"),
    **dict.fromkeys("θð", "TH"),
    **dict.fromkeys("tdɾ", "DD"),
    **dict.fromkeys("nl", "nn"),
    **dict.fromkeys("kɡgŋʔ", "kk"),
    **dict.fromkeys("ʃʒʧʤ", "CH"),
    **dict.fromkeys("sz", "SS"),
    **dict.fromkeys("ɹr", "RR"),
    **dict.fromkeys("ɑæʌɐah", "aa"),
    **dict.fromkeys("ɛəᵊɜe", "E"),
    **dict.fromkeys("ɪiᵻj", "I"),
    **dict.fromkeys("ɔo", "O"),
    **dict.fromkeys("ʊuw", "U"),
}
_TWO: Final = {
    "A": ("E", "I", 0.6),
    "I": ("aa", "I", 0.6),
    "O": ("O", "U", 0.6),
    "W": ("aa", "U", 0.55),
    "Y": ("O", "I", 0.55),
    "Q": ("O", "U", 0.5),
}
"""First shape, second shape, share of the first."""
_OPEN: Final = frozenset({"aa", "E", "I", "O", "U"})
_FAINT: Final = {"ə": 0.6, "ᵊ": 0.5, "h": 0.4, "j": 0.7, "ᵻ": 0.7, "ɪ": 0.85}
_SILENCE: Final = 60 * MILLISECOND


def viseme_marks(phonemes: Sequence[PhonemeMark], pcm: Pcm) -> list[VisemeMark]:
    """Marks for `phonemes` (in order, not overlapping), contiguous where they are."""
    loudness = _Loudness(pcm)
    marks: list[VisemeMark] = []
    for p in phonemes:
        if p.end <= p.start:
            continue
        if p.token < 0:
            if p.end - p.start >= _SILENCE:
                marks.append(VisemeMark(p.start, p.end, "sil"))
            elif marks and marks[-1].end == p.start:
                last = marks[-1]
                marks[-1] = VisemeMark(last.start, p.end, last.viseme, last.weight)
            continue
        if p.phoneme in _TWO:
            first, second, share = _TWO[p.phoneme]
            middle = p.start + round((p.end - p.start) * share)
            weight = loudness.weight(p.start, p.end)
            marks.append(VisemeMark(p.start, middle, first, weight))
            marks.append(VisemeMark(middle, p.end, second, weight))
        elif p.phoneme in _ONE:
            viseme = _ONE[p.phoneme]
            weight = loudness.weight(p.start, p.end) if viseme in _OPEN else 1.0
            marks.append(VisemeMark(p.start, p.end, viseme, round(weight * _FAINT.get(p.phoneme, 1.0), 3)))
    return marks


class _Loudness:
    """How loud a span is against the loud parts of the same speech."""

    def __init__(self, pcm: Pcm) -> None:
        self._energy = np.concatenate(([0.0], np.cumsum(np.square(pcm, dtype=np.float64))))
        step = 20 * MILLISECOND
        frames = np.diff(self._energy[::step]) / step
        self._loud = float(np.sqrt(np.percentile(frames, 90))) if frames.size else 0.0

    def weight(self, start: int, end: int) -> float:
        """0.5 (faint) to 1.0 (as loud as the loudest tenth)."""
        size = self._energy.size - 1
        start, end = min(start, size), min(end, size)
        if end <= start or self._loud <= 0:
            return 0.75
        rms = float(np.sqrt((self._energy[end] - self._energy[start]) / (end - start)))
        return round(0.5 + 0.5 * min(1.0, rms / self._loud), 3)
