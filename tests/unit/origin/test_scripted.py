"""The scripted persona answers without a network, and not with nonsense."""

from __future__ import annotations

import itertools
import tomllib
from datetime import datetime
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.dialogue import Said, Speaker
from origin.avatar.person import shipped
from origin.dialogue import arithmetic
from origin.dialogue.brain import Question
from origin.dialogue.persona import Persona, PersonaError, load
from origin.dialogue.scripted import ScriptedBrain

AT = datetime(2026, 11, 21, 15, 5)
AVA = load("ava")


@pytest.fixture
def brain() -> ScriptedBrain:
    return ScriptedBrain(AVA, seed=1)


def ask(brain: ScriptedBrain, text: str, asker: str | None = None) -> str:
    return brain.answer(Question(text, AT, asker))


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("What is 12 times 7?", "84"),
        ("what's 20% of 150", "30"),
        ("square root of 144", "12"),
        ("two plus two?", "4"),
        ("What time is it?", "3:05 PM"),
        ("what day is it today?", "Saturday"),
        ("What's your name?", "Ava"),
        ("count to three hundred", ""),
        ("count to 5", "1, 2, 3, 4, 5"),
        ("spell cat", "C, A, T"),
        ("say hello to everybody in Berlin", "hello to everybody in Berlin"),
        ("divide: 5 divided by 0", "zero"),
        ("How do viewers far away see you?", "relay"),
    ],
)
def test_answers_what_it_can(brain: ScriptedBrain, question: str, words: str) -> None:
    assert words in ask(brain, question)


def test_remembers_each_visitors_name(brain: ScriptedBrain) -> None:
    ask(brain, "My name is Anna", "v1")
    ask(brain, "I'm Tom", "v2")
    assert "Anna" in ask(brain, "What's my name?", "v1")
    assert "Tom" in ask(brain, "what is my name", "v2")
    assert "not told me" in ask(brain, "what is my name", "v3")


def test_another_one_is_another_joke(brain: ScriptedBrain) -> None:
    jokes = next(t for t in AVA.talk if t.topic == "joke").say
    first, second = ask(brain, "Tell me a joke"), ask(brain, "another one")
    assert first != second and {first, second} <= set(jokes)


def test_yes_takes_what_was_offered(brain: ScriptedBrain) -> None:
    jokes = next(t for t in AVA.talk if t.topic == "joke").say
    ask(brain, "I feel sad today")
    assert ask(brain, "yes please") in jokes


def test_an_unknown_question_gets_changing_fallbacks(brain: ScriptedBrain) -> None:
    answers = [ask(brain, "What is the capital of France?") for _ in range(6)]
    assert set(answers) <= set(AVA.fallback) and all(a != b for a, b in itertools.pairwise(answers))


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_question_gets_an_answer(text: str) -> None:
    answer = ScriptedBrain(AVA, seed=1).answer(Question(text, AT))
    assert answer.strip() and "{" not in answer.replace(text, "")


async def test_the_answer_streams_by_sentences(brain: ScriptedBrain) -> None:
    parts = [part async for part in brain.reply(Question("What can you do?", AT))]
    assert len(parts) > 1 and "".join(parts).strip().endswith(".")


@settings(deadline=None)
@given(st.text(alphabet="0123456789+-*/^(). rpx", max_size=80))
def test_sums_of_garbage_are_none_or_a_number(text: str) -> None:
    value = arithmetic.answer(text)
    assert value is None or isinstance(value, (int, float))


def test_a_huge_power_is_declined() -> None:
    assert arithmetic.answer("9^9^9^9") is None


def test_every_variant_of_the_shipped_persona_can_be_reached() -> None:
    text = resources.files("origin.dialogue").joinpath("personas", "ava.toml").read_text("utf-8")
    offers = {t.get("offers") for t in tomllib.loads(text)["talk"]} - {None}
    assert offers <= {t.topic for t in AVA.talk}


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_person_introduces_itself_and_knows_what_ava_knows(name: str) -> None:
    persona = load(name)
    assert persona.face == name
    assert all(persona.name in text for text in persona.greeting)
    brain = ScriptedBrain(persona, seed=1)
    assert persona.name in ask(brain, "Who are you?")
    jokes = next(talk for talk in persona.talk if talk.topic == "joke")
    assert ask(brain, "tell me a joke") in jokes.say


def test_personas_that_are_like_each_other_are_a_clear_error(tmp_path: Path) -> None:
    for name, like in (("hen", "egg"), ("egg", "hen")):
        (tmp_path / f"{name}.toml").write_text(f'name = "{name}"\nlike = "{like}"\n')
    with pytest.raises(PersonaError, match="steps at most"):
        load("hen", tmp_path)


def test_a_broken_persona_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(
        'name = "Odd"\nfallback = ["x"]\napology = ["y"]\n[[talk]]\nwhen = ["("]\nsay = ["z"]\n'
    )
    with pytest.raises(PersonaError, match="no regular expression"):
        load("odd", tmp_path)
    with pytest.raises(PersonaError, match="no persona"):
        load("nobody", tmp_path)
    with pytest.raises(PersonaError, match="no persona's name"):
        load("../../etc/passwd")


def test_an_operators_persona_comes_first(tmp_path: Path) -> None:
    (tmp_path / "ava.toml").write_text('name = "Mine"\nfallback = ["x"]\napology = ["y"]\n')
    assert load("ava", tmp_path) == Persona(name="Mine", fallback=["x"], apology=["y"])


@pytest.mark.parametrize("farewell", ["See you!", "ok, see you later", "bye", "Good night, Ava"])
def test_takes_a_farewell_for_one_and_nothing_else(brain: ScriptedBrain, farewell: str) -> None:
    said = ("Goodbye", "See you soon", "Take care")
    assert ask(brain, farewell).startswith(said)
    assert not ask(brain, "Can they see you from Japan?").startswith(said)


def test_a_dialogue_that_began_elsewhere_is_remembered() -> None:
    def said(text: str, asker: str) -> Said:
        return Said(speaker=Speaker.VISITOR, text=text, asker=asker)

    history = (said("Hello, my name is Zoe.", "v1"), said("I am Max", "v2"))
    for asker, name in (("v1", "Zoe"), ("v2", "Max"), ("v3", "not told")):
        question = Question("What is my name?", datetime(2026, 1, 1), asker, history)
        assert name in ScriptedBrain(load("ava"), seed=1).answer(question)
