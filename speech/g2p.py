"""Grapheme to phoneme: English words to the phonemes that the voices were trained on, without GPL parts.

Lexicon (misaki's gold and silver lists, 183,000 words, Apache-2.0), then inflections of known words, then compounds of two
known words, then letter names for acronyms, then the letter table (letters.py). The alphabet is Kokoro's: IPA with one
letter for each diphthong (A I O W Y = eɪ aɪ oʊ aʊ ɔɪ) and affricate; `ipa()` turns it into the IPA of Piper voices.
"""

from __future__ import annotations

import functools
import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from speech.letters import PRIMARY, SECONDARY, VOWELS, LetterTable
from speech.markup import plain
from speech.normalise import Piece, pieces

PUNCTUATION: Final = frozenset(",.!?;:")


@dataclass(frozen=True, slots=True)
class Token:
    """One word or punctuation mark as spoken: its phonemes, and which Piece (index) it belongs to."""

    text: str
    phonemes: str
    piece: int
    stressed: bool = False
    """Whether the text puts weight on it."""

    @property
    def is_word(self) -> bool:
        return self.phonemes not in PUNCTUATION and bool(self.phonemes)


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a voice speaks: the text as written, its pieces, and the tokens to be spoken."""

    text: str
    pieces: Sequence[Piece]
    tokens: Sequence[Token]


def _packed(name: str) -> str:
    packed = resources.files("speech").joinpath("data", name).read_bytes()
    return lzma.decompress(packed).decode()


@functools.cache
def pronouncer() -> Pronouncer:
    """The English pronouncer of this process; the first call reads the lexicon (0.2 s)."""
    lexicon = dict(line.split("\t", 1) for line in _packed("lexicon.txt.xz").split("\n"))
    letters = dict(line.split("\t") for line in _packed("letters.txt.xz").split("\n"))
    return Pronouncer(lexicon, LetterTable(letters))


class Pronouncer:
    """Text -> Phrase. Thread-safe: it only reads."""

    def __init__(self, lexicon: dict[str, str], letters: LetterTable) -> None:
        self._lexicon = _OWN_WORDS | {k: v for k, v in lexicon.items() if k not in _OWN_WORDS}
        self._letters = letters

    def phrase(self, text: str) -> Phrase:
        """`text` as a phrase. A text without words gives a phrase without tokens."""
        found = pieces(text)
        spoken: list[tuple[str, int]] = []
        for index, piece in enumerate(found):
            for part in re.findall(r"[A-Za-z]+(?:'[A-Za-z]+)*|[,.!?;:]", piece.spoken):
                for word in _camel(part):
                    spoken.append((word, index))
        tokens: list[Token] = []
        for at, (word, index) in enumerate(spoken):
            if word in PUNCTUATION:
                if tokens and tokens[-1].is_word:
                    tokens.append(Token(word, word, index))
                elif tokens and word in ".!?":  # ",." and the like: the stronger mark stays
                    tokens[-1] = Token(word, word, index)
                continue
            before = spoken[at - 1][0] if at else ""
            after = spoken[at + 1][0] if at + 1 < len(spoken) else ""
            phonemes = self._in_context(word, before, after)
            if phonemes:
                weighty = found[index].stressed
                tokens.append(Token(word, weighted(word, phonemes) if weighty else phonemes, index, weighty))
        return Phrase(plain(text), found, tokens)

    def word(self, word: str) -> str:
        """Phonemes of one word alone; "" when there is nothing to say."""
        return self._known(word) or self._unknown(word) or self.letter_names(word)

    def _in_context(self, word: str, before: str, after: str) -> str:
        lower = word.lower()
        next_sound = self.word(after)[:2] if after and after not in PUNCTUATION else ""
        vowel_next = any(c in VOWELS for c in next_sound[:1] if c not in "ˈˌ") or next_sound[:1] in ("ˈ", "ˌ")
        if lower == "the":
            return "ði" if vowel_next else "ðə"
        if lower == "a" and word != "A":
            return "ɐ"
        if word == "A":
            return "ɐ" if after.islower() and not (before.isupper() and len(before) == 1) else "ˈA"
        if lower == "an":
            return "ɐn"
        if lower == "to":
            return "tu" if not next_sound else ("tʊ" if vowel_next else "tə")
        if word == "I":
            return "ˌI"
        if lower == "used" and after.lower() == "to":
            return "jˈust"
        if lower == "read" and before.lower() in (
            "have",
            "has",
            "had",
            "was",
            "were",
            "been",
            "i've",
            "already",
        ):
            return "ɹˈɛd"
        entry = self._lexicon.get(word) or self._lexicon.get(lower)
        if entry and "\t" in entry:
            return _variant(entry, before.lower(), bool(next_sound))
        return self.word(word)

    def _known(self, word: str) -> str:
        entry = self._lexicon.get(word)
        if entry is None and word != word.lower() and not _acronym(word):
            entry = self._lexicon.get(word.lower())
        if entry is None and word == word.lower():
            entry = self._lexicon.get(word.capitalize())
        if entry is None and _acronym(word) and len(word) > 3:
            entry = self._lexicon.get(word.lower())
        return entry.partition("\t")[0] if entry else ""

    def _unknown(self, word: str) -> str:
        if _acronym(word):
            return self.letter_names(word.removesuffix("s")) + ("z" if word.endswith("s") else "")
        lower = word.lower()
        return (
            self._inflected(lower) or self._compound(lower) or self._letters.pronounce(lower.replace("'", ""))
        )

    def letter_names(self, word: str) -> str:
        """The names of the letters, the last one stressed: "RTC"."""
        names = [(self._lexicon.get(c.upper()) or "").partition("\t")[0] for c in word if c.isalpha()]
        names[:-1] = [n.replace(PRIMARY, SECONDARY) for n in names[:-1]]
        return "".join(names)

    def _inflected(self, word: str) -> str:
        if word.endswith(("'s", "s'")):
            stem = self.word(word[:-2] if word.endswith("'s") else word[:-1].removesuffix("s"))
            return _with_s(stem)
        for suffix, build in ((("s",), _with_s), (("ed",), _with_ed), (("ing",), _with_ing)):
            for ending in suffix:
                if not word.endswith(ending) or len(word) < len(ending) + 3 or word.endswith("ss"):
                    continue
                cut = word[: -len(ending)]
                candidates = [cut, cut + "e"]
                if ending == "s" and word.endswith("ies"):
                    candidates = [word[:-3] + "y"]
                elif ending == "s" and word.endswith("es"):
                    candidates = [cut, word[:-2]]
                elif ending == "ed" and word.endswith("ied"):
                    candidates = [word[:-3] + "y"]
                elif ending != "s" and cut[-1] == cut[-2]:
                    candidates = [cut, cut[:-1]]
                for stem in candidates:
                    if known := self._known(stem):
                        return build(known)
        for suffix_text, sound in _SUFFIXES:
            if word.endswith(suffix_text) and len(word) > len(suffix_text) + 2:
                known = self._known(word[: -len(suffix_text)])
                if known:
                    return known + sound
        for prefix, sound in _PREFIXES:
            if word.startswith(prefix) and len(word) > len(prefix) + 3:
                known = self._known(word[len(prefix) :])
                if known:
                    return sound + known
        return ""

    def _compound(self, word: str) -> str:
        cuts = [at for at in range(3, len(word) - 2) if word.isalpha()]
        for at in sorted(cuts, key=lambda a: abs(2 * a - len(word))):
            first, second = self._known(word[:at]), self._known(word[at:])
            if first and second and PRIMARY in first and PRIMARY in second:
                return first + second.replace(PRIMARY, SECONDARY)
        return ""


def weighted(word: str, phonemes: str) -> str:
    """`phonemes` of a word that is stressed in its sentence: in its strong form, and with a main stress."""
    phonemes = _STRONG_FORMS.get(word.lower(), phonemes)
    if PRIMARY in phonemes:
        return phonemes
    if SECONDARY in phonemes:
        return phonemes.replace(SECONDARY, PRIMARY, 1)
    vowel = next((at for at, c in enumerate(phonemes) if c in VOWELS), 0)
    return phonemes[:vowel] + PRIMARY + phonemes[vowel:]


def _acronym(word: str) -> bool:
    return len(word) > 1 and word.removesuffix("s").isupper()


def _camel(word: str) -> list[str]:
    """ "WebRTC" -> Web, RTC; "OpenAI's" -> Open, AI's; "McDonald" and "iPhone" likewise."""
    if "'" in word or word.isupper() or word[1:].islower() or len(word) < 3 or _acronym(word):
        return [word]
    return re.findall(r"[A-Z]+(?![a-z])s?|[A-Z]?[a-z]+|[A-Z]+", word) or [word]


def _variant(entry: str, before: str, more: bool) -> str:
    default, *others = entry.split("\t")
    by_part = dict(o.split("=", 1) for o in others)
    if not more and "-" in by_part:
        return by_part["-"]
    if before in _BEFORE_VERB and "v" in by_part:
        return by_part["v"]
    if before in _BEFORE_NOUN and "n" in by_part:
        return by_part["n"]
    return default


def _with_s(stem: str) -> str:
    if not stem:
        return ""
    if stem[-1] in "ptkfθ":
        return stem + "s"
    return stem + ("ᵻz" if stem[-1] in "szʃʒʧʤ" else "z")


def _with_ed(stem: str) -> str:
    if stem[-1] in "pkfθʃsʧ":
        return stem + "t"
    if stem[-1] == "t" and len(stem) > 1 and stem[-2] in VOWELS | {"ɹ"}:
        return stem[:-1] + "ɾᵻd"
    return stem + ("ᵻd" if stem[-1] in "td" else "d")


def _with_ing(stem: str) -> str:
    if stem[-1] == "t" and len(stem) > 1 and stem[-2] in VOWELS | {"ɹ"}:
        stem = stem[:-1] + "ɾ"
    return stem + "ɪŋ"


_BEFORE_VERB: Final = frozenset(
    "to will would can could should may might must shall i you we they don't didn't doesn't won't can't let's please not".split()
)
_BEFORE_NOUN: Final = frozenset(
    "the a an this that my your his her its our their no some any each every".split()
)
_SUFFIXES: Final = (
    ("ly", "li"),
    ("less", "ləs"),
    ("ness", "nəs"),
    ("ment", "mənt"),
    ("ful", "fəl"),
    ("able", "əbᵊl"),
    ("er", "əɹ"),
    ("y", "i"),
    ("ish", "ɪʃ"),
)
_PREFIXES: Final = (
    ("un", "ʌn"),
    ("re", "ɹi"),
    ("pre", "pɹi"),
    ("non", "nɑn"),
    ("over", "ˌOvəɹ"),
    ("under", "ˌʌndəɹ"),
    ("multi", "mˌʌlti"),
    ("micro", "mˌIkɹO"),
    ("inter", "ˌɪntəɹ"),
    ("super", "sˌupəɹ"),
    ("auto", "ˌɔɾO"),
)
_STRONG_FORMS: Final = {
    "the": "ðˈi",
    "a": "ˈA",
    "an": "ˈæn",
    "to": "tˈu",
    "and": "ˈænd",
    "of": "ˈʌv",
    "can": "kˈæn",
    "for": "fˈɔɹ",
    "from": "fɹˈʌm",
    "at": "ˈæt",
    "as": "ˈæz",
    "but": "bˈʌt",
    "than": "ðˈæn",
    "that": "ðˈæt",
    "was": "wˈʌz",
    "were": "wˈɜɹ",
    "you": "jˈu",
    "your": "jˈɔɹ",
    "us": "ˈʌs",
    "them": "ðˈɛm",
}
"""Little words have a weak form, which nobody stresses."""
_OWN_WORDS: Final = {
    "avacast": "ˈɑvəkˌæst",
    "ava": "ˈAvə",
    "kokoro": "kəkˈɔɹO",
    "kubernetes": "kˌubəɹnˈɛɾiz",
    "whip": "wˈɪp",
    "whep": "wˈɛp",
    "webrtc": "wˈɛbˌɑɹtˌisˈi",
    "sfu": "ˌɛsˌɛfjˈu",
    "ok": "ˌOkˈA",
    "linux": "lˈɪnəks",
    "wifi": "wˈIfˌI",
    "wow": "wˈW",
    "hmm": "həm",
    "uh": "ʌ",
    "um": "ʌm",
}
"""Words of our trade, and what the lexicon says in a way that nobody else does."""

_IPA: Final = {
    "A": "eɪ",
    "I": "aɪ",
    "O": "oʊ",
    "W": "aʊ",
    "Y": "ɔɪ",
    "ʤ": "dʒ",
    "ʧ": "tʃ",
    "ᵊ": "ə",
    "ɑ": "ɑː",
    "ɔ": "ɔː",
    "u": "uː",
}


def ipa(phonemes: str) -> list[tuple[str, int]]:
    """Phonemes as the IPA of Piper voices: (symbol, index of the phoneme that it comes from), one character each."""
    out: list[tuple[str, int]] = []
    stressed = False
    for at, c in enumerate(phonemes):
        following = phonemes[at + 1 : at + 2]
        if c in "ˈˌ":
            stressed = True
        if c == "ɹ" and at and phonemes[at - 1] in "ɜə" and following not in VOWELS | {"ˈ", "ˌ"}:
            continue  # the rhotic vowel before holds it
        if c == "ɜ" and following == "ɹ":
            symbols = "ɜː"
        elif c == "ə" and following == "ɹ" and phonemes[at + 2 : at + 3] not in VOWELS | {"ˈ", "ˌ"}:
            symbols = "ɚ"
        elif c == "i":
            symbols = "iː" if stressed else "i"
        else:
            symbols = _IPA.get(c, c)
        out.extend((s, at) for s in symbols)
        if c in VOWELS:
            stressed = False
    return out
