"""How an unknown word sounds: letters to phonemes by the longest context that was seen in the lexicon.

The table (data/letters.txt.xz, trained by data/bake.py) maps a letter with its neighbours to the phonemes that it stands for,
most specific context first: letter, then one right, one left, two right, two left and so on. Only contexts that
change what a shorter one says are in it. Word in, phonemes of the lexicon's alphabet out, with exactly one primary stress.
"""

from __future__ import annotations

from typing import Final

ORDER: Final = (0, 1, -1, 2, -2, 3, -3, 4, -4)
"""Offsets of the letters of a context, the telling ones first."""
VOWELS: Final = frozenset("AIOQWYaeiuæɑɒɔəɛɜɪʊʌᵻᵊ")
PRIMARY: Final = "ˈ"
SECONDARY: Final = "ˌ"


def contexts(word: str, at: int) -> list[str]:
    """Contexts of the letter `word[at]` (lower case, "#" beyond the ends), shortest first."""
    letters = [word[at + o] if 0 <= at + o < len(word) else "#" for o in ORDER]
    return ["".join(letters[: n + 1]) for n in range(len(ORDER))]


class LetterTable:
    """Contexts -> phonemes."""

    def __init__(self, entries: dict[str, str]) -> None:
        self._entries = entries

    def pronounce(self, word: str) -> str:
        """Phonemes of `word` (letters a-z; others are silent)."""
        word = word.lower()
        sounds: list[str] = []
        for at in range(len(word)):
            sound = ""
            for context in contexts(word, at):
                sound = self._entries.get(context, sound)
            sounds.append(sound)
        return with_one_stress("".join(sounds))


def with_one_stress(phonemes: str) -> str:
    """`phonemes` with one primary stress: the first one told, or else on the first full vowel."""
    first = phonemes.find(PRIMARY)
    if first >= 0:
        head, tail = phonemes[: first + 1], phonemes[first + 1 :]
        return head + tail.replace(PRIMARY, SECONDARY)
    full = [i for i, c in enumerate(phonemes) if c in VOWELS and c not in "əᵊᵻ"]
    any_vowel = full or [i for i, c in enumerate(phonemes) if c in VOWELS]
    if not any_vowel:
        return phonemes
    at = any_vowel[0]
    before = phonemes[:at].removesuffix(SECONDARY)
    return before + PRIMARY + phonemes[at:]
