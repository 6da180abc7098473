"""A brain without network: the persona's script and a few skills (names, sums, time, counting, spelling, dice).

A question becomes plain lower-case words; skills look first, then the persona's [[talk]] entries in their order, then the
fallbacks. It remembers each visitor's name and does not say the same variant twice in a row. All choice comes from one
seeded generator.
"""

from __future__ import annotations

import random
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Final

from common.dialogue import Speaker
from origin.dialogue import arithmetic
from origin.dialogue.brain import Question
from origin.dialogue.persona import Persona, Talk

_MOST_VISITORS: Final = 256
_EXPANDED: Final = (
    (r"\bwhat's\b|\bwhats\b", "what is"),
    (r"\bwho's\b", "who is"),
    (r"\bhow's\b", "how is"),
    (r"\bwhere's\b", "where is"),
    (r"\bi'm\b|\bim\b", "i am"),
    (r"\byou're\b|\bu r\b", "you are"),
    (r"\bit's\b", "it is"),
    (r"\bcan't\b|\bcannot\b", "can not"),
    (r"\bdon't\b|\bdont\b", "do not"),
    (r"n't\b", " not"),
)
_NOT_NAMES: Final = frozenset(
    "fine good well ok okay great here back not so very happy sad tired bored sorry sure just also still trying looking going "
    "from in at on a an the your human curious impressed confused interested hungry ready done new busy glad afraid".split()
)
_YES: Final = re.compile(r"^(?:yes|yeah|yep|sure|ok|okay|please|of course|go ahead)\b")
_AGAIN: Final = re.compile(
    r"^(?:and )?(?:(?:tell|give|say) me )?(?:another|again|one more|more|next|go on|continue)\b"
)


@dataclass(slots=True)
class Visitor:
    """What is remembered of one visitor."""

    name: str | None = None
    topic: str = ""
    """What "another one" asks for."""
    offered: bool = False
    """Whether the topic was only offered: "yes" takes it."""
    said: dict[str, str] = field(default_factory=dict)
    questions: int = 0


class ScriptedBrain:
    """Answers by the persona's script."""

    def __init__(self, persona: Persona, seed: int | None = None) -> None:
        self._persona = persona
        self._random = random.Random(seed)
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()
        self._talk = [(talk, [re.compile(p) for p in talk.when]) for talk in persona.talk]

    async def reply(self, question: Question) -> AsyncGenerator[str, None]:
        """The answer, sentence by sentence."""
        for sentence in re.findall(r".+?(?:[.!?]+(?=\s|$)|$)\s*", self.answer(question), re.DOTALL):
            yield sentence

    async def close(self) -> None:
        """Nothing to close."""

    def answer(self, question: Question) -> str:
        """The answer as one text."""
        visitor = self._visitor(question.asker)
        if not visitor.questions:  # a dialogue that began elsewhere goes on here
            for one in question.history:
                if one.speaker is Speaker.VISITOR and one.asker == question.asker:
                    visitor.name = _name_told(plain(one.text), one.text) or visitor.name
        visitor.questions += 1
        text = plain(question.text)
        for skill in _SKILLS:
            if said := skill(self, text, question, visitor):
                return said
        if visitor.topic and (_AGAIN.search(text) or (visitor.offered and _YES.search(text))):
            for talk, _ in self._talk:
                if talk.topic == visitor.topic:
                    return self._told(talk, question, visitor)
        for talk, patterns in self._talk:
            if any(p.search(text) for p in patterns):
                return self._told(talk, question, visitor)
        return self._filled(self._pick("fallback", self._persona.fallback, visitor), question, visitor)

    def _visitor(self, asker: str | None) -> Visitor:
        key = asker or ""
        visitor = self._visitors.setdefault(key, Visitor())
        self._visitors.move_to_end(key)
        if len(self._visitors) > _MOST_VISITORS:
            self._visitors.popitem(last=False)
        return visitor

    def _told(self, talk: Talk, question: Question, visitor: Visitor) -> str:
        visitor.topic, visitor.offered = talk.offers or talk.topic, bool(talk.offers)
        return self._filled(self._pick(talk.when[0], talk.say, visitor), question, visitor)

    def _pick(self, key: str, variants: list[str], visitor: Visitor) -> str:
        """One of `variants`, not the one of the last time."""
        fresh = [v for v in variants if v != visitor.said.get(key)] or variants
        choice = self._random.choice(fresh)
        visitor.said[key] = choice
        return choice

    def _filled(self, text: str, question: Question, visitor: Visitor) -> str:
        at = question.at
        for mark, value in {
            "{me}": self._persona.name,
            "{, visitor}": f", {visitor.name}" if visitor.name else "",
            "{time}": spoken_time(at.hour, at.minute),
            "{day}": f"{at:%A}",
            "{date}": f"{at:%A, %B} {at.day}, {at.year}",
        }.items():
            text = text.replace(mark, value)
        return text

    def pick(self, *variants: str) -> str:
        """One of `variants`, for skills."""
        return self._random.choice(variants)

    def number(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, for skills."""
        return self._random.randint(low, high)


def plain(text: str) -> str:
    """`text` in lower case with its short forms written out and without marks that no skill needs."""
    text = text.lower().replace("’", "'").strip()
    for pattern, full in _EXPANDED:
        text = re.sub(pattern, full, text)
    return re.sub(r"\s+", " ", re.sub(r"[^\w\s'+*/^().,%√×÷-]", " ", text)).strip(" .,")


def spoken_time(hour: int, minute: int) -> str:
    """ "3:05 PM", which the normaliser reads well."""
    return f"{(hour - 1) % 12 + 1}:{minute:02d} {'AM' if hour < 12 else 'PM'}"


Skill = Callable[[ScriptedBrain, str, Question, Visitor], str | None]


def _say(brain: ScriptedBrain, _text: str, question: Question, _visitor: Visitor) -> str | None:
    found = re.match(
        r"\s*(?:please )?(?:can you |could you )?(?:say|repeat after me|read aloud|read out)\s*[:,]?\s+(.{2,400})",
        question.text,
        re.IGNORECASE | re.DOTALL,
    )
    if not found or re.match(r"(?:something|anything|it again|that again|more)\b", found[1], re.IGNORECASE):
        return None
    return found[1].strip(" \"'“”")


def _name_told(text: str, written_text: str) -> str | None:
    """The name by which somebody calls themselves; `text` is the plain form of `written_text`."""
    found = re.search(r"\b(?:my name is|call me|i am called|i am) ([a-z][\w'-]{1,30})\b", text)
    if not found or found[1] in _NOT_NAMES or (found[0].startswith("i am ") and len(text.split()) > 6):
        return None
    written = re.search(rf"\b{re.escape(found[1])}\b", written_text, re.IGNORECASE)
    name = written.group() if written else found[1]
    if found[0].startswith("i am ") and not name[0].isupper():
        return None
    return name[0].upper() + name[1:]


def _own_name(brain: ScriptedBrain, text: str, question: Question, visitor: Visitor) -> str | None:
    name = _name_told(text, question.text)
    if name is None:
        return None
    visitor.name = name
    return brain.pick(
        f"Nice to meet you, {visitor.name}! What would you like to know?",
        f"{visitor.name}, what a lovely name. I will remember it. What shall we talk about?",
        f"Hello, {visitor.name}! I am glad that you are here.",
    )


def _visitor_name(brain: ScriptedBrain, text: str, _question: Question, visitor: Visitor) -> str | None:
    if not re.search(r"\b(?:what is my name|who am i|(?:do you )?(?:know|remember) my name)\b", text):
        return None
    if visitor.name:
        return brain.pick(f"You are {visitor.name}. I did not forget!", f"Your name is {visitor.name}.")
    return "You have not told me yet. What is your name?"


def _sum(brain: ScriptedBrain, text: str, _question: Question, _visitor: Visitor) -> str | None:
    if not re.search(r"\d|\b(?:plus|minus|times|divided|squared|root|percent)\b", text):
        return None
    value = arithmetic.answer(text)
    if value is None:
        if re.search(r"divided by (?:0|zero)\b|/ ?0\b", text):
            return "Dividing by zero? Even my circuits decline politely."
        return None
    result = arithmetic.told(value)
    return brain.pick(f"That makes {result}.", f"It is {result}.", f"Easy: {result}.")


def _count(_brain: ScriptedBrain, text: str, _question: Question, _visitor: Visitor) -> str | None:
    found = re.search(r"\bcount (?:up )?(?:from (\d+) )?to (\d+|ten|five|twenty)\b", text)
    if not found:
        return None
    last = {"five": 5, "ten": 10, "twenty": 20}.get(found[2]) or int(found[2][:6])
    first = int(found[1][:6]) if found[1] else 1
    if last - first > 30 or last < first:
        return "That would take a while. Let us stay below thirty numbers."
    return ", ".join(str(n) for n in range(first, last + 1)) + ". Done!"


def _spell(_brain: ScriptedBrain, text: str, _question: Question, _visitor: Visitor) -> str | None:
    found = re.search(r"\bspell (?:the word )?([a-z]{2,20})\b", text)
    return f"{found[1].capitalize()}: {', '.join(found[1].upper())}." if found else None


def _chance(brain: ScriptedBrain, text: str, _question: Question, _visitor: Visitor) -> str | None:
    if re.search(r"\b(?:flip|toss) (?:a |the )?coin\b|\bheads or tails\b", text):
        return brain.pick(
            "Heads it is.",
            "It is tails.",
            "Heads! Shall we go for best of three?",
            "Tails. Better luck next time.",
        )
    if re.search(r"\broll (?:a |the |some )?(?:die|dice)\b", text):
        return f"I rolled a {brain.number(1, 6)}."
    if found := re.search(r"\bnumber (?:between|from) (\d{1,6}) (?:and|to) (\d{1,6})\b", text):
        low, high = sorted((int(found[1]), int(found[2])))
        return f"I choose {brain.number(low, high)}."
    return None


_SKILLS: Final[tuple[Skill, ...]] = (_say, _own_name, _visitor_name, _count, _spell, _chance, _sum)
