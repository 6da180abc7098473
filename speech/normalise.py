"""Written English -> spoken English: numbers, dates, times, money, units, abbreviations, addresses of the web.

`pieces("It costs $5.20.")` keeps what was written beside what is said, so that captions show "$5.20" at the
time at which "five dollars and twenty cents" is heard. One scan from left to right over one table of rules, the first rule
that matches at a place wins; no rule looks at what another one made. Never raises: what nobody knows how to say is left out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from speech import markup, numbers
from speech.short_forms import ABBREVIATIONS, MONEY, SCALE, SYMBOLS, UNITS

MAX_CHARS: Final = 4_000
"""Longer texts are cut here: a line for an avatar is at most 2,000 characters, a reply is chunked before it gets here."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`written` as in the text (no blanks around it), `spoken` in words and punctuation. Either may be empty."""

    written: str
    spoken: str
    stressed: bool = False
    """Whether the text puts weight on it (markup.py)."""


Say = Callable[["re.Match[str]"], str]


_MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)
_MONTH: Final = "|".join(f"{m[:3]}(?:{m[3:]})?" if m != "May" else "May" for m in _MONTHS) + "|Sept"
_WEEKDAYS: Final = {d[:3]: d for d in "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()}
_NUM: Final = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"


def _web(match: re.Match[str]) -> str:
    text = match.group()
    tail = re.search(r"[.,!?;:)]+$", text)
    end = tail.group() if tail else ""
    body = text[: len(text) - len(end)]
    body = (
        re.sub(r"^(?:https?://)?(?:www\.)?", "", body, flags=re.IGNORECASE)
        .rstrip("/")
        .split("?")[0]
        .split("#")[0]
    )
    words: list[str] = []
    for part in re.findall(r"[A-Za-z]+|\d+|[@./_:-]", body)[:40]:
        named = {"@": "at", ".": "dot", "/": "slash", "-": "dash", "_": "underscore", ":": "port"}.get(part)
        if named:
            words.append(named)
        elif part.isdecimal():
            words.append(numbers.digits(part) if len(part) > 4 or part[0] == "0" else numbers.number(part))
        else:
            words.append(" ".join(part.upper()) if len(part) < 3 and part.lower() not in _SHORT else part)
    return " ".join(words) + end[:1]


_SHORT: Final = frozenset("a an as at be by do go he hi if in is it me my no of on or so to up us we".split())


def _money(match: re.Match[str]) -> str:
    symbol = match["symbol"] or match["code"]
    amount, scale = match["amount1"] or match["amount2"], match["scale"] or ""
    big, small = MONEY[symbol]
    if scale:
        return f"{numbers.number(amount)} {SCALE.get(scale, scale)} {numbers.plural('2', big)}"
    whole, _, cents = amount.replace(",", "").partition(".")
    if len(cents) == 2 and small:
        said = f"{numbers.number(whole)} {numbers.plural(whole, big)}" if int(whole or 0) else ""
        if int(cents):
            said += (
                " and " if said else ""
            ) + f"{numbers.cardinal(int(cents))} {numbers.plural(str(int(cents)), small)}"
        return said or f"zero {numbers.plural('0', big)}"
    return f"{numbers.number(amount)} {numbers.plural(amount, big)}"


def _clock(match: re.Match[str]) -> str:
    hour, minute, half = int(match["hour"]), match["minute"], match["half"]
    said = numbers.cardinal(hour)
    if minute and int(minute):
        said += (" oh " if int(minute) < 10 else " ") + numbers.cardinal(int(minute))
    elif not half:
        said += " hundred" if hour > 12 else (" o'clock" if hour else " hundred")
    if match["second"]:
        said += f" and {numbers.cardinal(int(match['second']))} seconds"
    if half:
        said += " A M" if half[0] in "aA" else " P M"
    return said


def _ymd(match: re.Match[str]) -> str:
    return _date(int(match["y"]), int(match["mo"]), int(match["d"]), match.group())


def _mdy(match: re.Match[str]) -> str:
    month, day = int(match["a"]), int(match["b"])
    if month > 12:
        month, day = day, month
    return _date(int(match["year"]), month, day, match.group())


def _date(year: int, month: int, day: int, written: str) -> str:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return numbers.digits(written)
    return f"{_MONTHS[month - 1]} {numbers.ordinal(day)}, {numbers.year(year)}"


def _month_day(match: re.Match[str]) -> str:
    month = next(m for m in _MONTHS if m.startswith(match["month"][:3]))
    said = f"{month} {numbers.ordinal(int(match['day']))}"
    return said + (f", {numbers.year(int(match['of']))}" if match["of"] else "")


def _day_month(match: re.Match[str]) -> str:
    month = next(m for m in _MONTHS if m.startswith(match["month2"][:3]))
    said = f"{numbers.ordinal(int(match['day2']))} of {month}"
    return said + (f" {numbers.year(int(match['of2']))}" if match["of2"] else "")


def _unit(match: re.Match[str]) -> str:
    count, unit = match["count"], UNITS[match["unit"]]
    return f"{numbers.number(count)} {numbers.plural(count, unit)}"


def _fraction(match: re.Match[str]) -> str:
    top, bottom = int(match["top"]), int(match["bottom"])
    if (top, bottom) == (1, 2):
        return "one half"
    name = {2: "half", 4: "quarter"}.get(bottom) or numbers.ordinal(bottom)
    return f"{numbers.cardinal(top)} {name}{'s' if top > 1 else ''}"


def _decade(match: re.Match[str]) -> str:
    said = (
        numbers.year(int(match["decade"]))
        if len(match["decade"]) == 4
        else numbers.cardinal(int(match["decade"]))
    )
    return said[:-1] + "ies" if said.endswith("y") else said + "s"


def _plain_number(match: re.Match[str]) -> str:
    text = match.group()
    if re.fullmatch(r"1[1-9]\d\d|20\d\d", text):
        return numbers.year(int(text))
    return numbers.number(text)


def _abbreviation(match: re.Match[str]) -> str:
    text = match.group()
    said = ABBREVIATIONS[text.lower()]
    at_the_end = not match.string[match.end() :].strip()
    return said + ("." if at_the_end and text.endswith(".") else "")


def _any(words: Iterable[str]) -> str:
    """A pattern for one of `words`, the longest first."""
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_RULES: Final[list[tuple[str, Say]]] = [
    (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", _web),
    (r"(?:https?://|www\.)\S+", _web),
    (
        r"\b(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|ai|tv|edu|gov|eu|de|ch|fr|uk|app|live)\b(?:[/:][^\s,;!?]*)?",
        _web,
    ),
    (
        rf"(?P<symbol>[$€£¥])\s?(?P<amount1>{_NUM})(?:\s?(?P<scale>thousand|million|billion|trillion|bn|[kKmMB])\b)?"
        rf"|(?P<amount2>{_NUM})\s?(?P<code>[$€£¥]|(?:USD|EUR|GBP|CHF|JPY)\b)",
        _money,
    ),
    (r"\b(?P<y>\d{4})-(?P<mo>\d\d)-(?P<d>\d\d)\b", _ymd),
    (r"\b(?P<a>\d{1,2})/(?P<b>\d{1,2})/(?P<year>\d{4})\b", _mdy),
    (
        r"\b(?P<hour>[01]?\d|2[0-3])(?::(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?)?\s?(?P<half>[aApP]\.?[mM]\b\.?)"
        r"|\b(?P<hour_>[01]?\d|2[0-3]):(?P<minute_>[0-5]\d)(?::(?P<second_>[0-5]\d))?\b",
        lambda m: _clock(m if m["hour"] else _renamed(m)),
    ),
    (
        rf"\b(?P<month>{_MONTH})\.?\s(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s(?P<of>\d{{4}})\b)?",
        _month_day,
    ),
    (
        rf"\b(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<month2>{_MONTH})\b\.?(?:\s(?P<of2>\d{{4}})\b)?",
        _day_month,
    ),
    (r"'?\b(?P<decade>[12]\d\d0|[2-9]0)s\b", _decade),
    (
        r"\b(?P<w>\d{2,5})\s?[x×]\s?(?P<h>\d{2,5})\b",
        lambda m: f"{numbers.number(m['w'])} by {numbers.number(m['h'])}",
    ),
    (
        rf"(?P<count>(?<![\w.])[-−]?(?:{_NUM}))\s?(?P<unit>{_any(UNITS)})(?![\w/])",
        _unit,
    ),
    (r"\b(?P<nth>\d+)(?:st|nd|rd|th)\b", lambda m: numbers.ordinal(int(m["nth"][:18]))),
    (r"\b\d+(?:\.\d+){2,}\b", lambda m: " point ".join(numbers.number(n) for n in m.group().split("."))),
    (r"\b(?P<top>\d{1,2})/(?P<bottom>[2-9]|1\d|100)\b", _fraction),
    (r"(?:\+\d{1,3}[ -]?)?(?:\(?\d{3}\)?[ -])?\d{3}-\d{4}\b", lambda m: numbers.digits(m.group())),
    (
        rf"(?<![\w.])(?P<from>{_NUM})(?:[-–]| [-–] )(?P<to>{_NUM})(?![\w-])",
        lambda m: f"{_spoken_number(m['from'])} to {_spoken_number(m['to'])}",
    ),
    (rf"(?<![\w.])[-−]?(?:{_NUM})", _plain_number),
    (r"(?<=[a-z]\s)St\.", lambda m: "street"),
    (
        r"(?<![\w.])(?i:" + _any(ABBREVIATIONS) + r")(?!\w)",
        _abbreviation,
    ),
    (r"\b[CF]#(?!\w)", lambda m: f"{m.group()[0]} sharp"),
    (r"\b(?:[A-Z]\.){2,}", lambda m: " ".join(m.group().replace(".", ""))),
    (
        r"\b(?:" + "|".join(d for d in _WEEKDAYS if d not in ("Sun", "Sat")) + r")\b\.?(?=\s|,|$)",
        lambda m: _WEEKDAYS[m.group()[:3]],
    ),
    (r"\[(?P<label>[^\]\n]{1,200})\]\([^)\s]*\)", lambda m: _words(m["label"])),
    (r"\.{3,}", lambda m: "..."),
    (r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-z]+)*", lambda m: _words(m.group())),
    (r"\S", lambda m: SYMBOLS.get(m.group(), "")),
]


def _renamed(match: re.Match[str]) -> re.Match[str]:
    """A match of the 24-hour alternative under the names of the 12-hour one."""
    found = re.match(r"(?P<hour>\d+):(?P<minute>\d+)(?::(?P<second>\d+))?(?P<half>x)?", match.group())
    assert found is not None, "the alternative that matched has an hour and minutes"
    return found


def _spoken_number(text: str) -> str:
    found = re.fullmatch(rf"(?:{_NUM})", text)
    return _plain_number(found) if found else numbers.digits(text)


def _words(text: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return plain.replace("’", "'")


def _compiled() -> list[tuple[re.Pattern[str], Say]]:
    return [(re.compile(pattern), say) for pattern, say in _RULES]


_COMPILED: Final = _compiled()
_STRESS: Final = (markup.STRESS_BEGIN, markup.STRESS_END)
_MARKUP: Final = re.compile(r"\*\*|__|```\w*|`|^#{1,6}\s|^\s*[-*•]\s+|^>\s", re.MULTILINE)


def pieces(text: str) -> list[Piece]:
    """The words of `text` (at most MAX_CHARS of it) as written and as spoken, in order; markdown's marks are left out."""
    text = _MARKUP.sub("", markup.stressed(text[:MAX_CHARS])).replace("\u00a0", " ")
    found: list[Piece] = []
    at = 0
    stressed = False
    while at < len(text):
        if text[at] in _STRESS:
            stressed = text[at] == markup.STRESS_BEGIN
            at += 1
            continue
        if text[at].isspace():
            at += 1
            continue
        for pattern, say in _COMPILED:
            match = pattern.match(text, at)
            if match and match.end() > at:
                written = match.group().strip()
                if markup.STRESS_END in written:  # an address takes all that is not blank
                    match = pattern.match(text[: text.index(markup.STRESS_END, at)], at) or match
                    written = match.group().strip()
                found.append(Piece(written, say(match).strip(), stressed))
                at = match.end()
                break
        else:
            at += 1
    return found


def spoken(text: str) -> str:
    """`text` as it is said: for logs and tests."""
    said = " ".join(p.spoken for p in pieces(text) if p.spoken)
    return re.sub(r"\s+([.,!?;:])", r"\1", said)
