"""A conversation in virtual time: what is said, what is remembered, what happens when a brain fails or somebody interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import datetime

import pytest

from common.desk import Cue
from common.dialogue import Speaker
from origin import conversation as subject
from origin.booth import Booth
from origin.conversation import Conversation
from origin.dialogue.brain import BrainError, Question
from origin.dialogue.persona import Persona
from origin.dialogue.turns import QueueFull
from origin.hearing.floor import Ask, Floor, Interrupt
from origin.performer import Performer
from origin.speech_buffer import BufferState
from speech.hearing.events import End, Final, SpeechStarted, TurnEnded
from speech.voice import Halt, Speech, VoiceError
from tests.harness.speaking import spoken

WORD_MS = 200
PERSONA = Persona(name="Test", greeting=["Hello you."], fallback=["What?"], apology=["I am sorry."])


class VirtualStage:
    """The stage's face to a conversation, on a performer that ticks as often as the loop comes round: no wall clock."""

    def __init__(self) -> None:
        self.performer = Performer(1)
        self.said: list[str] = []
        self.on_tick: Callable[[int], None] = lambda _frame: None

    async def run(self) -> None:
        while True:
            tick = self.performer.tick()
            self.said += [c.text for c in tick.captions]
            self.on_tick(tick.frame)
            await asyncio.sleep(0)

    @property
    def position_s(self) -> float:
        return self.performer.frame / 25

    @property
    def ahead_s(self) -> float:
        return self.performer.buffer.level / 48_000

    @property
    def quiet(self) -> bool:
        return self.performer.buffer.state is BufferState.IDLE

    def begin(self, epoch: int) -> None:
        self.performer.begin(epoch)

    def push(self, speech: Speech, epoch: int, hold_s: float = 0.0) -> bool:
        return self.performer.push(speech, epoch)

    def end(self, epoch: int) -> None:
        self.performer.end(epoch)

    def interrupt(self, epoch: int) -> str:
        return self.performer.interrupt(epoch)

    def heard(self) -> str:
        return self.performer.buffer.heard()


class WordVoice:
    """200 ms a word."""

    name = "words"

    def synthesise(self, text: str, halt: Halt | None = None) -> Speech:
        if "unspeakable" in text:
            raise VoiceError("cannot say that")
        return spoken(text, WORD_MS * len(text.split()))


class Thinking:
    """A brain that does what a test wants."""

    def __init__(self) -> None:
        self.texts: list[str] = ["I think ", "so. ", "Yes, I do."]
        self.error: Exception | None = None
        self.hangs = False
        self.asked: list[Question] = []

    async def reply(self, question: Question) -> AsyncGenerator[str, None]:
        self.asked.append(question)
        for text in self.texts:
            yield text
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error

    async def close(self) -> None:
        return


@pytest.fixture
def brain() -> Thinking:
    return Thinking()


@pytest.fixture
async def stage() -> AsyncIterator[VirtualStage]:
    virtual = VirtualStage()
    task = asyncio.create_task(virtual.run())
    yield virtual
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def talk(stage: VirtualStage, brain: Thinking) -> AsyncIterator[Conversation]:
    booth = Booth()
    conversation = Conversation(
        "test", stage, WordVoice(), brain, PERSONA, booth, now=lambda: datetime(2026, 1, 1), seed=1
    )
    conversation.start()
    yield conversation
    await conversation.close()
    booth.close()


async def reached(condition: Callable[[], bool]) -> None:
    """Lets the stage's time go on until `condition` holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the stage has no event for it
            await asyncio.sleep(0)


def remembered(talk: Conversation) -> list[tuple[Speaker, str]]:
    return [(m.speaker, m.text) for m in talk.turns.history]


async def test_lines_are_spoken_in_order_and_remembered(talk: Conversation, stage: VirtualStage) -> None:
    talk.say("One two.")
    talk.say("Three.")
    await talk.rest()
    assert stage.said == ["One two.", "Three."]
    assert remembered(talk) == [(Speaker.AVATAR, "One two."), (Speaker.AVATAR, "Three.")]


async def test_an_answer_is_spoken_while_it_is_thought(
    talk: Conversation, stage: VirtualStage, brain: Thinking
) -> None:
    talk.ask("Do you think?", "anna")
    await talk.rest()
    assert stage.said == ["I think so.", "Yes, I do."]
    assert remembered(talk) == [
        (Speaker.VISITOR, "Do you think?"),
        (Speaker.AVATAR, "I think so. Yes, I do."),
    ]
    talk.ask("Really?", "anna")
    await talk.rest()
    assert [m.text for m in brain.asked[1].history] == ["Do you think?", "I think so. Yes, I do."]


async def test_a_brain_that_fails_gets_an_apology(
    talk: Conversation, stage: VirtualStage, brain: Thinking
) -> None:
    brain.texts, brain.error = [], BrainError("out of order")
    talk.ask("Hello?")
    await talk.rest()
    assert stage.said == ["I am sorry."]


async def test_a_brain_that_hangs_gets_an_apology(
    talk: Conversation, stage: VirtualStage, brain: Thinking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "THINKING_S", 0.05)
    brain.texts, brain.hangs = ["Well. "], True
    talk.ask("Hello?")
    await talk.rest()
    assert stage.said == ["Well.", "I am sorry."]


async def test_an_interruption_drops_all_and_keeps_what_was_heard(
    talk: Conversation, stage: VirtualStage
) -> None:
    cut = asyncio.Event()
    stage.on_tick = lambda _frame: cut.set() if stage.heard() else None
    talk.say("One two three four five six seven.")
    talk.say("Never heard.")
    await cut.wait()
    stage.on_tick = lambda _frame: None
    heard = talk.interrupt()
    await talk.rest()
    assert heard and "seven" not in heard
    assert remembered(talk) == [(Speaker.AVATAR, heard)]
    talk.say("Back.")
    await talk.rest()
    assert stage.said[-1] == "Back." and "Never heard." not in stage.said


async def test_twenty_interruptions_in_a_row_and_it_still_speaks(
    talk: Conversation, stage: VirtualStage
) -> None:
    for _ in range(20):
        talk.ask("What now?")
        await asyncio.sleep(0.002)
        talk.interrupt()
    talk.say("Still here.")
    await talk.rest()
    assert stage.said[-1] == "Still here."


async def test_twenty_voices_in_a_row_interrupt_and_each_is_answered(
    talk: Conversation, stage: VirtualStage, brain: Thinking
) -> None:
    """As a viewer's ear does it: a voice stops the answer within 100 ms of the sample clock, and its question is asked at its end."""
    floor = Floor()

    async def until(reached: Callable[[], bool]) -> None:
        while not reached():  # noqa: ASYNC110
            await asyncio.sleep(0)

    brain.texts = ["This answer is very long. " * 10]
    talk.ask("Question 0?", "anna")
    for turn in range(1, 21):
        await until(lambda: "very" in stage.heard())
        assert floor.handle("anna", SpeechStarted(turn, 0.0), turn, not talk.resting) == [Interrupt("anna")]
        talk.listen(floor.taken)
        talk.interrupt("anna")
        sounds: list[float] = []
        for _ in range(2):
            sounds.append(float(abs(stage.performer.tick().pcm).max()))
        assert sounds[1] == 0.0, "silent in the second frame: within 80 ms"
        await until(lambda: talk.resting)
        floor.handle("anna", TurnEnded(turn, 1.0, 1.4, End.SILENCE), turn + 0.4, False)
        talk.listen(floor.taken)
        (asked,) = floor.handle("anna", Final(turn, f"Question {turn}?", (), 0.0, 1.0), turn + 0.4, False)
        assert isinstance(asked, Ask)
        talk.ask(asked.text, asked.asker)
    await talk.rest()
    assert [q.text for q in brain.asked] == [f"Question {n}?" for n in range(21)]
    answers = [text for speaker, text in remembered(talk) if speaker is Speaker.AVATAR]
    assert len(answers) == 21
    assert all(answer.startswith("This answer is very") for answer in answers)
    assert all(len(answer) < len(brain.texts[0]) / 4 for answer in answers[:-1]), "only what was heard"
    assert answers[-1] == brain.texts[0].strip()


async def test_nothing_new_is_begun_while_somebody_speaks(talk: Conversation, stage: VirtualStage) -> None:
    talk.listen(True)
    talk.say("One two.")
    for _ in range(200):
        await asyncio.sleep(0)
    assert stage.said == [] and not talk.resting
    talk.listen(False)
    await talk.rest()
    assert stage.said == ["One two."]


async def test_who_interrupts_takes_back_only_what_it_asked_itself(
    talk: Conversation, brain: Thinking
) -> None:
    talk.listen(True)
    talk.ask("Mine?", "anna")
    talk.ask("His?", "ben")
    talk.say("The host's.")
    talk.interrupt("anna")
    talk.listen(False)
    await talk.rest()
    assert [q.text for q in brain.asked] == ["His?"]
    assert remembered(talk)[-1] == (Speaker.AVATAR, "The host's.")


async def test_a_clause_that_cannot_be_spoken_is_left_out(talk: Conversation, stage: VirtualStage) -> None:
    talk.say("First part. The unspeakable part. Last part.")
    await talk.rest()
    assert stage.said == ["First part.", "Last part."]


async def test_the_queue_of_lines_is_bounded(talk: Conversation) -> None:
    with pytest.raises(QueueFull):
        for _ in range(40):
            talk.say("More.")


async def test_the_greeting_is_rehearsed_and_said(talk: Conversation, stage: VirtualStage) -> None:
    await talk.rehearse()
    assert stage.said == []
    talk.greet()
    await talk.rest()
    assert stage.said == ["Hello you."]


async def test_a_long_answer_is_made_only_a_little_ahead(talk: Conversation, stage: VirtualStage) -> None:
    most = 0.0

    def look(_frame: int) -> None:
        nonlocal most
        most = max(most, stage.ahead_s)

    stage.on_tick = look
    talk.say(" ".join(f"This is sentence number {n}." for n in range(60)))
    await talk.rest()
    assert subject.AHEAD_S * 0.5 < most < subject.AHEAD_S + 8


async def test_a_line_said_now_takes_the_place_of_the_one_that_is_spoken(
    talk: Conversation, stage: VirtualStage
) -> None:
    talk.say("This is a long line that nobody will hear to its end, because something happens.")
    talk.say("Later.")
    await reached(lambda: bool(stage.heard()))
    talk.say("Fire!", now=True)
    await talk.rest()
    assert stage.said[1:] == ["Fire!", "Later."]
    assert remembered(talk)[1:] == [(Speaker.AVATAR, "Fire!"), (Speaker.AVATAR, "Later.")]
    assert (
        remembered(talk)[0][1]
        != "This is a long line that nobody will hear to its end, because something happens."
    )


async def test_a_moderated_question_is_answered_when_the_host_approves_it(
    talk: Conversation, stage: VirtualStage, brain: Thinking
) -> None:
    talk.moderated = True
    assert talk.ask("Who are you?", "v1") is None and talk.ask("Nonsense?", "v2") is None
    talk.say("Hello.")
    await talk.rest()
    assert stage.said == ["Hello."] and not brain.asked
    first, second = talk.desk.held
    assert (first.text, first.asker, first.kind) == ("Who are you?", "v1", "ask")
    talk.turns.drop(second.number)
    talk.approve(first.number)
    await talk.rest()
    assert [q.text for q in brain.asked] == ["Who are you?"] and talk.desk.held == []


@pytest.mark.slow
async def test_a_script_is_played_at_its_times_with_questions_between(
    talk: Conversation, stage: VirtualStage, brain: Thinking
) -> None:
    brain.texts = ["Because."]
    begun: dict[str, float] = {}
    started_s = stage.position_s

    def note(_frame: int) -> None:
        for text in stage.said:
            begun.setdefault(text, stage.position_s - started_s)

    stage.on_tick = note
    talk.play([Cue(at_s=10, text="First."), Cue(at_s=600, text="Second.")])
    talk.ask("Why?")
    await reached(lambda: "Second." in stage.said)
    assert stage.said == ["Because.", "First.", "Second."]
    assert begun["First."] >= 10 and begun["Second."] >= 600
    desk = talk.desk
    assert desk.script is not None and (desk.script.begun, desk.script.next_at_s) == (2, None)


@pytest.mark.slow
async def test_a_script_that_is_ended_says_no_more(talk: Conversation, stage: VirtualStage) -> None:
    talk.play([Cue(at_s=0, text="First."), Cue(at_s=700, text="Never.")])
    await reached(lambda: "First." in stage.said)
    talk.end_script()
    over_s = stage.position_s + 800
    await reached(lambda: stage.position_s > over_s)
    assert stage.said == ["First."] and talk.desk.script is None


@pytest.fixture
async def other(brain: Thinking) -> AsyncIterator[Conversation]:
    """An avatar of the same broadcast at another origin."""
    stage, booth = VirtualStage(), Booth()
    running = asyncio.create_task(stage.run())
    conversation = Conversation("test", stage, WordVoice(), brain, PERSONA, booth, seed=2)
    conversation.start()
    yield conversation
    await conversation.close()
    booth.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.slow
async def test_what_waits_goes_on_at_another_origin_and_nothing_is_said_twice(
    talk: Conversation, stage: VirtualStage, other: Conversation, brain: Thinking
) -> None:
    brain.texts = ["Because."]
    talk.play([Cue(at_s=0, text="First."), Cue(at_s=30, text="Second."), Cue(at_s=60, text="Third.")])
    await reached(lambda: "First." in stage.said)
    await talk.rest()
    talk.moderated = other.moderated = True
    talk.ask("May I?", "v1")
    talk.say("It waits.")
    carried = talk.give_away()
    assert talk.resting, "its viewers may go"
    other.take_over(carried)
    other.take_over(carried)
    assert [one.text for one in other.desk.held] == ["May I?"]
    assert other.desk.held[0].number == carried.held[0].number
    script = other.desk.script
    assert script is not None and (script.cues, script.begun, script.next_at_s) == (3, 1, 30)
    assert abs(script.position_s - carried.position_s) < 1

    talk.moderated = False
    talk.ask("Asked where it was", "v2")
    late = talk.give_away()
    assert [one.text for one in late.waiting] == ["Asked where it was"] and not late.cues
    other.take_over(late)
    said = other._stage.said  # type: ignore[attr-defined]
    await reached(lambda: "Third." in said)
    assert said == ["It waits.", "Because.", "Second.", "Third."]
    assert stage.said == ["First."] and talk.desk.script is None and talk.give_away().nothing


async def test_a_line_that_is_being_said_is_said_to_its_end_where_it_began(
    talk: Conversation, stage: VirtualStage
) -> None:
    talk.say("A long line. It has two sentences.")
    await reached(lambda: bool(stage.said))
    talk.say("The next.")
    assert [one.text for one in talk.give_away().waiting] == ["The next."]
    assert not talk.resting
    await reached(lambda: talk.resting)
    assert "".join(stage.said).endswith("two sentences.")


async def test_an_avatar_that_stays_after_all_says_what_waits(
    talk: Conversation, stage: VirtualStage
) -> None:
    talk.give_away()
    talk.say("I stay.")
    talk.stay()
    await talk.rest()
    assert stage.said == ["I stay."]


async def test_a_script_rests_between_its_lines_but_not_just_before_one(
    talk: Conversation, stage: VirtualStage
) -> None:
    began_s = stage.position_s
    talk.play([Cue(at_s=8, text="First."), Cue(at_s=900, text="Last.")])
    await reached(lambda: stage.position_s > began_s + 5)
    assert not talk.resting
    await reached(lambda: "First." in stage.said)
    await reached(lambda: talk.resting)
