"""Marks in a text that is spoken: pauses and stressed words, as SSML or as people write them to each other.

    It is <emphasis>not</emphasis> late.   It is *not* late.        the word is stressed, louder, and seen to be
    Ready? <break time="800ms"/> Go!                                silence, on top of what the punctuation gives
    Call <say-as interpret-as="digits">4711</say-as>.               digit by digit; `characters`: letter by letter
    <sub alias="World Wide Web Consortium">W3C</sub>                the alias is said

The elements are those of SSML 1.1 (W3C, 2010). Others are left out and what they hold is said; a `<` that begins none is text. Nothing
here raises, whatever comes: a language model may write it. `Markup` reads the text while it is being written and gives it in short
marks, `*word*` and `<800ms>`, which the chunker does not cut apart; `parts` and the pronouncer take those.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Final

from speech.voice import Speech, joined, silence

MOST_PAUSE_MS: Final = 10_000
"""A longer pause is as long as this."""
MOST_PAUSES_MS: Final = 30_000
"""All pauses of a text together; what is beyond is left out."""
_OPEN: Final = re.compile(r"(?:<\d{0,9}m?s?|</?(?:[a-zA-Z][^<>]{0,200})?|&(?:#?[a-zA-Z0-9]{0,8}))\Z")
"""What may become a tag or an entity when more text comes."""
_ELEMENT: Final = re.compile(r"<(emphasis|say-as|sub)\b")
_BEGUN: Final = re.compile(r"[^\s<>]{0,80}\Z")
"""A word that may go on."""
_LONGEST: Final = 400
"""Characters of an element that are waited for."""
_ENTITY: Final = re.compile(r"&(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_MOST_NESTED: Final = 16
_STRENGTHS: Final = {"none": 0, "x-weak": 100, "weak": 250, "medium": 500, "strong": 800, "x-strong": 1_200}
_TAG: Final = re.compile(r"<(/?)([a-zA-Z][\w:-]*)((?:\s[^<>]*)?)/?>|<(\d{1,9})ms>")
_ATTRIBUTE: Final = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_TIME: Final = re.compile(r"\s*\+?(\d{1,9}(?:\.\d{1,9})?|\.\d{1,9})(ms|s)\s*")
_WORD: Final = re.compile(r"[^\s*]+")
_PAUSE: Final = re.compile(r"<(\d{1,9})ms>")
_STARRED: Final = re.compile(r"(?<![\w*])(\*{1,2})(?=[^\s*])([^*\n]*[^\s*])\1(?![\w*])")
STRESS_BEGIN: Final = "\ue000"
STRESS_END: Final = "\ue001"
"""Around stressed words, for who reads the text character by character: private code points, which nobody types."""


class Markup:
    """Reads one text. `push` what comes, `flush` at its end; both return what is certain, in short marks."""

    def __init__(self) -> None:
        self._held = ""
        self._emphases: list[bool] = []
        self._spelled: str | None = None
        self._aliased = False
        self._pauses_ms = 0

    @property
    def held(self) -> int:
        """Characters that what comes may change: the beginning of a tag, or of a stressed word."""
        return len(self._held)

    def push(self, text: str) -> str:
        """More text."""
        text = self._held + text
        whole = _certain(text)
        # A stressed word is one word, however it comes.
        if any(self._emphases) or _ELEMENT.search(text, 0, whole):
            begun = _BEGUN.search(text, 0, whole)
            whole = begun.start() if begun else whole
        self._held = text[whole:]
        return self._read(text[:whole])

    def flush(self) -> str:
        """The text is complete, or what there is of it is to be spoken now."""
        rest, self._held = self._held, ""
        return self._read(rest)

    def _read(self, text: str) -> str:
        out: list[str] = []
        at = 0
        for tag in _TAG.finditer(text):
            out.append(self._said(text[at : tag.start()]))
            out.append(self._marked(tag))
            at = tag.end()
        out.append(self._said(text[at:]))
        return "".join(out)

    def _said(self, text: str) -> str:
        if self._aliased:
            return ""
        text = _unescaped(text)
        if self._spelled is not None:
            text = " ".join(_spelled(text, self._spelled))
        return _WORD.sub(_starred, text) if any(self._emphases) else text

    def _marked(self, tag: re.Match[str]) -> str:
        """What a tag adds to the text, and what it changes for what follows."""
        if tag[4]:
            return self._pause(int(tag[4]))
        name, closes, alone = tag[2].lower(), bool(tag[1]), tag[0].endswith("/>")
        told = {m[1].lower(): _unescaped(m[2] or m[3] or "") for m in _ATTRIBUTE.finditer(tag[3] or "")}
        match name:
            case "break" if not closes:
                return self._pause(_length_ms(told))
            case "emphasis" if closes:
                del self._emphases[-1:]
            case "emphasis" if not alone and len(self._emphases) < _MOST_NESTED:
                self._emphases.append(told.get("level") not in ("none", "reduced"))
            case "say-as" if not alone:
                self._spelled = None if closes else told.get("interpret-as", "")
            case "sub" if not alone:
                self._aliased = not closes and bool(told.get("alias"))
                return told["alias"] if self._aliased else ""
            case "p" | "s" if closes:
                return "\n"
        return ""

    def _pause(self, ms: int) -> str:
        ms = min(ms, MOST_PAUSE_MS, MOST_PAUSES_MS - self._pauses_ms)
        if ms <= 0:
            return ""
        self._pauses_ms += ms
        return f" <{ms}ms> "


def _certain(text: str) -> int:
    """How much of `text` is not changed by what comes: neither an unfinished tag nor an element that is not closed."""
    opened = _OPEN.search(text)
    whole = opened.start() if opened else len(text)
    for element in _ELEMENT.finditer(text, 0, whole):
        if len(text) - element.start() < _LONGEST and not _closed(text[element.start() : whole], element[1]):
            return element.start()
    return whole


def _closed(text: str, name: str) -> bool:
    """Whether the element of this name that `text` begins with ends in it, and not only one within it."""
    depth = 0
    for tag in _TAG.finditer(text):
        if tag[2] == name:
            depth += -1 if tag[1] else 0 if tag[0].endswith("/>") else 1
            if depth <= 0:
                return True
    return False


def _unescaped(text: str) -> str:
    """Entities of XML as their characters; what else begins with & stays as it is."""
    return _ENTITY.sub(lambda m: html.unescape(m[0]), text)


def _starred(word: re.Match[str]) -> str:
    """One word in stars, its closing marks outside."""
    bare = word[0].rstrip(".,!?;:…)\"'”’")
    return f"*{bare}*{word[0][len(bare) :]}" if bare else word[0]


def _length_ms(told: dict[str, str]) -> int:
    time = _TIME.fullmatch(told.get("time", ""))
    if time:
        return round(float(time[1]) * (1 if time[2] == "ms" else 1000))
    return _STRENGTHS.get(told.get("strength", "medium"), _STRENGTHS["medium"])


def _spelled(text: str, how: str) -> list[str]:
    """The words of `text` as `interpret-as` wants them."""
    if how in ("characters", "spell-out", "verbatim"):
        return [c.upper() for c in text if not c.isspace()]
    if how in ("digits", "telephone"):
        return re.findall(r"\d|[^\d\s]+", text)
    return [text]


def stressed(text: str) -> str:
    """`text` with STRESS_BEGIN and STRESS_END in the place of stars around words: *one*, **several words**."""
    text = text.replace(STRESS_BEGIN, "").replace(STRESS_END, "")
    return _STARRED.sub(lambda m: f"{STRESS_BEGIN}{m[2]}{STRESS_END}", text)


def plain(text: str) -> str:
    """`text` as it is read: without pauses and stars."""
    return re.sub(r"[ \t]+", " ", _STARRED.sub(r"\2", _PAUSE.sub(" ", text))).strip()


def parts(text: str) -> list[str | int]:
    """`text` in what is spoken at once (str) and the pauses between (ms)."""
    out: list[str | int] = []
    for at, part in enumerate(_PAUSE.split(text)):
        if at % 2:
            out.append(min(int(part), MOST_PAUSE_MS))
        elif part.strip():
            out.append(part.strip())
    return out


def spoken(text: str, speak: Callable[[str], Speech]) -> Speech:
    """`text` with its pauses; `speak` makes what is between them."""
    found = parts(text)
    if not any(isinstance(part, int) for part in found):
        return speak(text)
    return joined([silence(part) if isinstance(part, int) else speak(part) for part in found])
