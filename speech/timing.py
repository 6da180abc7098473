"""From a model's own durations to Speech: the marks of what was heard, the silences around it cut to size.

The models give one duration for each of their symbols; the phoneme is the unit that matters here. Stress marks and length
marks join the phoneme that they belong to, blanks the one before, pauses become silence. Kokoro puts about 350 ms
of silence before the first phoneme and as much after the last: of it only what a listener expects between clauses is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from speech.g2p import PUNCTUATION, Phrase
from speech.letters import PRIMARY, SECONDARY
from speech.visemes import viseme_marks
from speech.voice import MILLISECOND, Pcm, PhonemeMark, Speech, WordMark

LEAD: Final = 30 * MILLISECOND
"""Silence kept before the first phoneme: enough for a soft onset."""
_PAUSE: Final = {".": 320, "!": 320, "?": 340, ":": 240, ";": 220, ",": 150}
"""Silence kept after the last phoneme, ms, by the punctuation that ends the text."""
_NO_PAUSE: Final = 40
_CLOSING: Final = frozenset({".", ",", "!", "?", ";", ":", "…", "...", ")", "]", "”"})
_FALL: Final = 0.06
"""Part of the loudest sample below which the last phoneme before a pause has died away."""
_SHORTEST: Final = 30 * MILLISECOND
_KNEE: Final = 0.75
"""Level above which peaks are bent."""
_STRESSED_GAIN: Final = 10 ** (3.5 / 20)
_EASE: Final = 8 * MILLISECOND
"""Half the time in which a word that is stressed becomes louder."""
_FADE: Final = 4 * MILLISECOND
_FAINT: Final = 0.02
"""Part of the loudest sample below which a sample counts as silence (-34 dB)."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """One input symbol of a voice model: the phoneme that it is (or is part of), and its token (-1: none)."""

    phoneme: str
    token: int
    length: float
    """Duration in samples at 48 kHz."""


def speech(
    phrase: Phrase, pcm: Pcm, symbols: Sequence[Symbol], *, early_ms: float = 0.0, gain: float = 1.0
) -> Speech:
    """`pcm` (48 kHz) that a model made from `symbols`, trimmed, with its marks.

    `early_ms`: how much earlier a phoneme is heard than the durations say; `gain`: what brings the voice to -18 LUFS.
    Both are measured, see the voices.
    """
    phonemes = _phonemes(symbols, -early_ms * MILLISECOND)
    spoken = [p for p in phonemes if p.token >= 0]
    if not spoken or not pcm.size:
        return Speech(phrase.text, np.zeros(0, np.float32), [], [])
    start, end = _cut(pcm, spoken[0].start, spoken[-1].end, _pause(phrase))
    pcm = np.pad(pcm[start:end], (0, max(0, end - pcm.size)))
    pcm = _levelled(pcm * _weights(phrase, spoken, start, pcm.size), gain)
    phonemes = _ended(
        [
            PhonemeMark(p.phoneme, max(0, p.start - start), min(pcm.size, p.end - start), p.token, p.stressed)
            for p in phonemes
            if p.end > start and p.start < end
        ],
        pcm,
    )
    return Speech(
        text=phrase.text,
        pcm=pcm,
        marks=viseme_marks(phonemes, pcm),
        words=_words(phrase, phonemes),
        stress=[p.start for p in phonemes if p.stressed],
        phonemes=phonemes,
        weight=[p.start for p in phonemes if p.stressed and p.token >= 0 and phrase.tokens[p.token].stressed],
    )


def _weights(phrase: Phrase, spoken: Sequence[PhonemeMark], start: int, size: int) -> Pcm:
    """The gain of each of `size` samples: stressed words are louder. The spans of `spoken` begin at `start`."""
    gain = np.ones(size, np.float32)
    for p in spoken:
        if phrase.tokens[p.token].stressed:
            gain[max(0, p.start - start) : max(0, p.end - start)] = _STRESSED_GAIN
    if (gain > 1).any():
        gain = np.convolve(
            np.pad(gain, _EASE, mode="edge"), np.full(2 * _EASE + 1, 1 / (2 * _EASE + 1)), "valid"
        )
    return gain.astype(np.float32)


def _phonemes(symbols: Sequence[Symbol], at: float = 0.0) -> list[PhonemeMark]:
    out: list[PhonemeMark] = []
    pending: float | None = None
    stressed = False
    for s in symbols:
        start, at = at, at + s.length
        if s.phoneme in (PRIMARY, SECONDARY):
            pending = start if pending is None else pending
            stressed = s.phoneme == PRIMARY
            continue
        if pending is not None:
            start, pending = pending, None
        if s.phoneme == "" and out:  # a blank, a length mark: part of what was before
            last = out[-1]
            out[-1] = PhonemeMark(last.phoneme, last.start, round(at), last.token, last.stressed)
            continue
        silent = s.phoneme in PUNCTUATION or s.phoneme == ""
        out.append(
            PhonemeMark(
                "" if silent else s.phoneme, round(start), round(at), -1 if silent else s.token, stressed
            )
        )
        stressed = False
    return out


def _ended(phonemes: list[PhonemeMark], pcm: Pcm) -> list[PhonemeMark]:
    """A phoneme before a pause ends where its sound does: the models count part of the pause to it."""
    loud = _FALL * float(np.abs(pcm).max()) if pcm.size else 0.0
    for at, p in enumerate(phonemes):
        following = phonemes[at + 1] if at + 1 < len(phonemes) else None
        if p.token < 0 or (following and following.token >= 0):
            continue
        heard = np.flatnonzero(np.abs(pcm[p.start : p.end]) > loud)
        end = min(p.end, p.start + max(int(heard[-1]) if heard.size else 0, _SHORTEST))
        phonemes[at] = PhonemeMark(p.phoneme, p.start, end, p.token, p.stressed)
        if following:
            phonemes[at + 1] = PhonemeMark(following.phoneme, end, following.end, -1)
    return phonemes


def _pause(phrase: Phrase) -> int:
    last = phrase.tokens[-1].phonemes if phrase.tokens else ""
    return _PAUSE.get(last, _NO_PAUSE) * MILLISECOND


def _cut(pcm: Pcm, first: int, last: int, pause: int) -> tuple[int, int]:
    """Where to cut: LEAD before the first sound, `pause` after the last one (which may be beyond the end)."""
    loud = np.flatnonzero(np.abs(pcm) > _FAINT * float(np.abs(pcm).max()))
    if not loud.size:
        return max(0, first - LEAD), last + pause
    onset = min(first, int(loud[0])) if int(loud[0]) > first - 120 * MILLISECOND else first
    offset = max(min(last, int(loud[-1])), int(loud[-1]))
    return max(0, onset - LEAD), offset + pause


def _levelled(pcm: Pcm, gain: float) -> Pcm:
    """`pcm` louder by `gain`, its peaks bent below full scale, its ends faded."""
    pcm = pcm * np.float32(gain)
    over = np.abs(pcm) > _KNEE
    room = 1.0 - _KNEE
    pcm[over] = np.sign(pcm[over]) * (_KNEE + room * np.tanh((np.abs(pcm[over]) - _KNEE) / room))
    n = min(_FADE, pcm.size // 2)
    ramp = np.linspace(0, 1, n, dtype=np.float32)
    pcm[:n] *= ramp
    pcm[pcm.size - n :] *= ramp[::-1]
    return pcm


def _words(phrase: Phrase, phonemes: Sequence[PhonemeMark]) -> list[WordMark]:
    spans: dict[int, tuple[int, int]] = {}
    for p in phonemes:
        if p.token < 0:
            continue
        piece = phrase.tokens[p.token].piece
        start, end = spans.get(piece, (p.start, p.end))
        spans[piece] = (min(start, p.start), max(end, p.end))
    return [WordMark(_written(phrase, i), *spans[i]) for i in sorted(spans)]


def _written(phrase: Phrase, piece: int) -> str:
    """A word as written, with the marks that close it: captions read "Hello," and not "Hello ,"."""
    text = phrase.pieces[piece].written
    for following in phrase.pieces[piece + 1 :]:
        if following.written not in _CLOSING:
            break
        text += following.written
    return text
