"""Numbers as English words: cardinals, ordinals, years, decimals, digits. Pure functions of strings and ints."""

from __future__ import annotations

from typing import Final

_ONES: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS: Final = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES: Final = (
    (10**15, "quadrillion"),
    (10**12, "trillion"),
    (10**9, "billion"),
    (10**6, "million"),
    (10**3, "thousand"),
)
_ORDINALS: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_LIMIT: Final = 10**18
"""From here on a number is read digit by digit: nobody follows "nonillion"."""


def cardinal(number: int) -> str:
    """`1234` -> "one thousand two hundred thirty-four"; beyond 10^18 digit by digit."""
    if number < 0:
        return "minus " + cardinal(-number)
    if number >= _LIMIT:
        return digits(str(number))
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"-{_ONES[ones]}" if ones else "")
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return f"{_ONES[hundreds]} hundred" + (f" {cardinal(rest)}" if rest else "")
    for scale, name in _SCALES:
        if number >= scale:
            count, rest = divmod(number, scale)
            return f"{cardinal(count)} {name}" + (f" {cardinal(rest)}" if rest else "")
    raise AssertionError("every number from 1000 has a scale")


def ordinal(number: int) -> str:
    """`21` -> "twenty-first"."""
    words = cardinal(number)
    at = max(words.rfind(" "), words.rfind("-")) + 1
    head, last = words[:at], words[at:]
    if last in _ORDINALS:
        return head + _ORDINALS[last]
    return head + (last[:-1] + "ieth" if last.endswith("y") else last + "th")


def year(number: int) -> str:
    """`1984` -> "nineteen eighty-four", `2005` -> "two thousand five", `2026` -> "twenty twenty-six"."""
    high, low = divmod(number, 100)
    if not 1000 <= number <= 9999 or 2000 <= number <= 2009 or (low == 0 and high % 10 == 0):
        return cardinal(number)
    if low == 0:
        return f"{cardinal(high)} hundred"
    return f"{cardinal(high)} {'oh ' if low < 10 else ''}{cardinal(low)}"


def digits(text: str) -> str:
    """Each digit of `text` as a word, anything else left out."""
    return " ".join(_ONES[int(c)] for c in text if c.isdecimal() and c.isascii())


def number(text: str) -> str:
    """A written number ("1,234.50", "-3", "007") as words; commas group, leading zeros are read out."""
    text = text.replace(",", "").replace("−", "-")
    if text.startswith("-"):
        return "minus " + number(text[1:])
    whole, _, fraction = text.partition(".")
    if len(whole) > 1 and whole.startswith("0"):
        words = digits(whole)
    else:
        words = cardinal(int(whole[:400])) if whole else "zero"
    return f"{words} point {digits(fraction)}" if fraction else words


def plural(count: str, unit: str) -> str:
    """`unit` in the number that `count` (as written) asks for."""
    if count.replace(",", "") in ("1", "-1") or unit.endswith(("hertz", "frames per second")):
        return unit
    if unit in _IRREGULAR:
        return _IRREGULAR[unit]
    head, per, rest = unit.partition(" per ")
    return head + "s" + per + rest


_IRREGULAR: Final = {
    "foot": "feet",
    "percent": "percent",
    "degree Celsius": "degrees Celsius",
    "degree Fahrenheit": "degrees Fahrenheit",
    "penny": "pence",
    "yen": "yen",
    "by": "by",
}
