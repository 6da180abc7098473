"""Sums in plain words: "what is twelve times 7", "20 % of 150", "square root of 2". No eval; a small recursive reader, bounded."""

from __future__ import annotations

import math
import re
from typing import Final

_SMALL: Final = {
    w: n
    for n, w in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split()
    )
} | {w: 20 + 10 * n for n, w in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())}
_PHRASES: Final = (
    (r"\bto the power of\b|\braised to\b|\*\*", "^"),
    (r"\bsquare root of\b|\bsqrt\b|√", " r "),
    (r"\bsquared\b", "^2"),
    (r"\bcubed\b", "^3"),
    (r"\b(?:percent|per cent) of\b|%\s*of\b", " p "),
    (r"\bplus\b|\band\b", "+"),
    (r"\bminus\b|−", "-"),
    (r"\btimes\b|\bmultiplied by\b|×|\bx\b", "*"),
    (r"\bdivided by\b|\bover\b|÷", "/"),
)
_TOKEN: Final = re.compile(r"\d+(?:\.\d+)?|[-+*/^()rp]")
_LIMIT: Final = 1e15


def answer(text: str) -> float | None:
    """The value of the sum in `text`, None when there is none (or it is undefined, or beyond 10^15)."""
    text = _numbers(text.lower().replace(",", ""))
    for pattern, sign in _PHRASES:
        text = re.sub(pattern, sign, text)
    found = re.search(r"[-(r\d][-+*/^()rp\d.\s]*[\d)]", text)
    if not found or len(found.group()) > 120:
        return None
    tokens = _TOKEN.findall(found.group())
    if not any(t in "+-*/^rp" for t in tokens) or sum(t[0].isdigit() for t in tokens) < (
        1 if "r" in tokens else 2
    ):
        return None
    try:
        reader = _Reader(tokens)
        value = reader.sum()
        return value if reader.done and math.isfinite(value) and abs(value) < _LIMIT else None
    except (ValueError, ZeroDivisionError, OverflowError, IndexError):
        return None


def told(value: float) -> str:
    """The value as one would say it: at most three decimals, no needless ones."""
    rounded = round(value, 3)
    return (
        str(int(rounded))
        if rounded == int(rounded)
        else f"{rounded:g}"
        if abs(rounded) < 1e6
        else f"{rounded:.0f}"
    )


def _numbers(text: str) -> str:
    """Number words as digits: "twenty-one" -> "21"."""
    tens = "|".join(w for w, n in _SMALL.items() if n >= 20)
    ones = "|".join(w for w, n in _SMALL.items() if 0 < n < 10)
    text = re.sub(rf"\b({tens})[ -]({ones})\b", lambda m: str(_SMALL[m[1]] + _SMALL[m[2]]), text)
    text = re.sub(rf"\b({'|'.join(_SMALL)})\b", lambda m: str(_SMALL[m[1]]), text)
    text = re.sub(r"\b(\d+) hundred\b", lambda m: str(int(m[1]) * 100), text)
    return re.sub(r"\b(\d+) thousand\b", lambda m: str(int(m[1]) * 1000), text)


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._tokens)

    def _take(self, signs: str) -> str:
        if not self.done and self._tokens[self._at] in signs:
            self._at += 1
            return self._tokens[self._at - 1]
        return ""

    def sum(self) -> float:
        value = self._product()
        while sign := self._take("+-"):
            value += self._product() if sign == "+" else -self._product()
        return value

    def _product(self) -> float:
        value = self._power()
        while sign := self._take("*/p"):
            other = self._power()
            value = value * other if sign == "*" else value / other if sign == "/" else value * other / 100
        return value

    def _power(self) -> float:
        value = self._value()
        if self._take("^"):
            exponent = self._power()
            if abs(exponent) > 60:
                raise OverflowError("an exponent beyond 60")
            power = value**exponent
            if isinstance(power, complex):
                raise ValueError("not a real number")
            return float(power)
        return value

    def _value(self) -> float:
        self._depth += 1
        if self._depth > 60:
            raise ValueError("too deep")
        if self._take("-"):
            return -self._power()
        if self._take("r"):
            return math.sqrt(self._value())
        if self._take("("):
            value = self.sum()
            if not self._take(")"):
                raise ValueError("a parenthesis is not closed")
            return value
        value = float(self._tokens[self._at])
        self._at += 1
        return value
