"""One avatar's conversation: takes turns, thinks, and speaks clause by clause, always a little ahead of what is heard.

    say/ask ─► Turns ─► Brain ─► Chunker ─► Voice (own thread) ─► Stage

One task does it all, one turn at a time. While a clause is heard the next ones are made, at most AHEAD_S ahead: an
interruption throws little away. A line begins as soon as the voice can keep up with its listener (speech/pace.py). A brain
that fails or hangs gets a spoken apology; a voice that fails or hangs is logged and the clause left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, Protocol

from common import metrics
from common.desk import Carried, Cue, Desk, LineState
from common.ids import new_id
from common.log import log
from common.tasks import end_tasks
from origin.booth import Booth
from origin.dialogue.brain import Brain, BrainError, Question
from origin.dialogue.persona import Persona
from origin.dialogue.script import Script
from origin.dialogue.turns import Kind, Place, Turn, Turns
from speech.chunks import Chunker, chunks
from speech.pace import Pace
from speech.voice import Halt, Speech, Voice, VoiceError

_log = log("conversation")

AHEAD_S: Final = 8.0
"""Seconds of speech made ahead of what is heard."""
THINKING_S: Final = 8.0
"""A brain that is silent for longer gets an apology."""
_NEAR_S: Final = 5.0
"""A line of a script that is due within this time is not parted from its viewers: they take so long to move."""
_POLL_S: Final = 0.02
"""How often progress on the sample clock is looked at: half a frame."""

TEXT_TO_SPEECH: Final = metrics.histogram(
    "speech_first_clause_seconds",
    "From a line's turn to its first clause as PCM",
    (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0),
)
LINES: Final = metrics.counter("avatar_lines_total", "Lines of avatars by kind and end", ("kind", "end"))
TROUBLES: Final = metrics.counter(
    "avatar_line_troubles_total", "Lines that brain or voice failed, in all or in part", ("who",)
)


class Speaking(Protocol):
    """The part of a Stage that a conversation needs."""

    @property
    def position_s(self) -> float: ...

    @property
    def ahead_s(self) -> float: ...

    @property
    def quiet(self) -> bool: ...

    def begin(self, epoch: int) -> None: ...

    def push(self, speech: Speech, epoch: int, hold_s: float = 0.0) -> bool: ...

    def end(self, epoch: int) -> None: ...

    def interrupt(self, epoch: int) -> str: ...

    def heard(self) -> str: ...


class _Clauses:
    """The clauses of one line: those that wait to be made, while more may come."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._complete = False
        self._changed = asyncio.Event()

    @property
    def waiting(self) -> list[str]:
        return list(self._waiting)

    def add(self, clauses: Iterable[str]) -> None:
        self._waiting.extend(clauses)
        self._changed.set()

    def complete(self) -> None:
        """No more will come."""
        self._complete = True
        self._changed.set()

    async def take(self) -> str | None:
        """The next clause; None after the last."""
        while not self._waiting:
            if self._complete:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()


class Conversation:
    """Runs on one event loop. In the `booth` the voices of this process take turns."""

    def __init__(
        self,
        name: str,
        stage: Speaking,
        voice: Voice,
        brain: Brain,
        persona: Persona,
        booth: Booth,
        *,
        now: Callable[[], datetime] = datetime.now,
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.turns = Turns()
        self._stage = stage
        self._voice = voice
        self._brain = brain
        self._persona = persona
        self._booth = booth
        self._now = now
        self._random = random.Random(seed)
        self._greeting = self._random.choice(persona.greeting) if persona.greeting else ""
        self._wanted = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._halt = Halt()
        self._pace = Pace()
        self._resting = asyncio.Event()
        self._resting.set()
        self._floor = asyncio.Event()
        self._floor.set()
        self._here = asyncio.Event()
        self._here.set()
        self._taken: deque[str] = deque(maxlen=8)
        self._task: asyncio.Task[None] | None = None
        self._speaking: Turn | None = None
        self._script: Script | None = None
        self._prompter: asyncio.Task[None] | None = None
        self.moderated = False
        """Whether questions wait until a host approves them."""
        self.first_clause_s: list[float] = []
        """Text to first PCM of the last 256 lines."""

    def start(self) -> None:
        """Begins to take turns."""
        self._task = asyncio.create_task(self._run(), name=f"conversation-{self.name}")

    async def close(self) -> None:
        """Stops at once."""
        self.interrupt()
        await end_tasks(self._task, self._prompter)
        await self._brain.close()

    def say(self, text: str, *, now: bool = False) -> Turn:
        """Queues `text` to be spoken as it is; `now`: at once, instead of what is being spoken, and before what waits. Raises QueueFull."""
        if now:
            self._stop(self.turns.cut())
        return self._added(self.turns.add(Kind.SAY, text, place=Place.FIRST if now else Place.LAST))

    def ask(self, text: str, asker: str | None = None) -> Turn | None:
        """Queues a question to be answered; None when it waits for the host. Raises QueueFull."""
        if self.moderated:
            self.turns.hold(text, asker)
            return None
        return self._added(self.turns.add(Kind.ASK, text, asker))

    def approve(self, number: int) -> Turn:
        """A question that waited for the host is answered in its turn. Raises LineUnknown, QueueFull."""
        return self._added(self.turns.approve(number))

    def play(self, cues: Sequence[Cue]) -> None:
        """Begins a script, instead of the one that is being played. Its lines come at their times, or as soon as the line before them
        has ended; questions are answered between them."""
        self._play(Script(cues, self._stage.position_s))

    def _play(self, script: Script) -> None:
        self.end_script()
        self._script = script
        self._prompter = asyncio.create_task(self._prompt(script), name=f"script-{self.name}")

    def end_script(self) -> None:
        """No more lines of the script come; the one that is being spoken is spoken to its end."""
        self._script = None
        if self._prompter is not None:
            self._prompter.cancel()

    def give_away(self) -> Carried:
        """Another origin's avatar goes on: all that waits here is its own, and what comes here from now on waits for the next call. What is
        being said is said to its end."""
        self._here.clear()
        waiting, held = self.turns.give_away()
        told = Carried(
            id=new_id("carried"),
            broadcast=self.name,
            waiting=[_state(turn) for turn in waiting],
            held=[_state(turn) for turn in held],
        )
        if self.scripted and self._script is not None:
            state = self._script.state(self._stage.position_s)
            script = {"cues": self._script.cues, "begun": state.begun, "position_s": state.position_s}
            told = told.model_copy(update=script)
        self.end_script()
        return told

    def take_over(self, carried: Carried) -> None:
        """Takes what waited at another origin; once, however often it comes."""
        if carried.id in self._taken:
            return
        waiting, held = ([_turn(one) for one in lines] for lines in (carried.waiting, carried.held))
        self.turns.take_over(waiting, held, late=bool(self._taken))
        self._taken.append(carried.id)
        if carried.cues and not self.scripted:
            self._play(Script(carried.cues, self._stage.position_s - carried.position_s, carried.begun))
        if self.turns.waiting:
            self._resting.clear()
            self._wanted.set()

    def stay(self) -> None:
        """Nobody else goes on: what waits here is said here."""
        self._here.set()

    @property
    def desk(self) -> Desk:
        """What a host sees."""
        return Desk(
            moderated=self.moderated,
            speaking=_state(self._speaking) if self._speaking else None,
            waiting=[_state(turn) for turn in self.turns.queue],
            held=[_state(turn) for turn in self.turns.held],
            script=self._script.state(self._stage.position_s) if self._script else None,
        )

    def greet(self) -> None:
        """Says the persona's greeting, if it has one."""
        if self._greeting:
            self.say(self._greeting)

    async def rehearse(self) -> None:
        """Has the voice speak the greeting beforehand, so that the first visitor need not wait for it."""
        await self._prepare(self._greeting)

    def interrupt(self, by: str | None = None) -> str:
        """Stops speaking within a tick and forgets what waits; `by` a visitor, other visitors' lines wait on. Returns what was heard
        of the line that was being spoken."""
        return self._stop(self.turns.interrupt(by))

    def _stop(self, epoch: int) -> str:
        """Ends what is being spoken, for a new epoch."""
        heard = self._stage.interrupt(epoch)
        self._halt.now()
        self.turns.heard(heard)
        self._interrupted.set()
        return heard

    def listen(self, listening: bool) -> None:
        """While it listens it begins no line: somebody is speaking to it."""
        if listening:
            self._floor.clear()
        else:
            self._floor.set()

    @property
    def resting(self) -> bool:
        """Whether nothing is being said, thought of, or waits, and no line of a script is about to begin."""
        if not self._here.is_set():
            return self._speaking is None
        soon = self._script is not None and self._script.next_in_s(self._stage.position_s) < _NEAR_S
        return self._resting.is_set() and not soon

    @property
    def scripted(self) -> bool:
        """Whether a script is being played."""
        return self._script is not None and not self._script.over

    async def rest(self) -> None:
        """Waits until all that was queued has been heard."""
        await self._resting.wait()

    def _added(self, turn: Turn) -> Turn:
        self._resting.clear()
        self._wanted.set()
        return turn

    async def _run(self) -> None:
        while True:
            if not self.turns.waiting:
                self._resting.set()
                self._wanted.clear()
                await self._wanted.wait()
            await self._floor.wait()
            await self._here.wait()
            turn = self.turns.take()
            if turn is None:
                continue
            self._interrupted.clear()
            self._speaking = turn
            if turn.due_s is not None and self._script is not None:
                self._script.behind_s = max(0.0, self._stage.position_s - turn.due_s)
            try:
                end = await self._perform(turn)
            except Exception as error:
                end = "failed"
                _log.error("line:failed", avatar=self.name, kind=turn.kind, exc_info=error)
                self._stage.end(turn.epoch)
            self._speaking = None
            LINES.labels(turn.kind.value, end).inc()

    async def _prompt(self, script: Script) -> None:
        """Gives the lines of a script their turns, and has the voice make them beforehand."""
        preparing: asyncio.Task[None] | None = None
        try:
            while not script.over:
                now_s = self._stage.position_s
                for cue, due_s in script.due(now_s):
                    self._added(self.turns.cue(cue.text, due_s))
                if (preparing is None or preparing.done()) and (coming := script.to_prepare(now_s)):
                    preparing = asyncio.create_task(self._prepare(coming.text), name=f"prepare-{self.name}")
                await asyncio.sleep(_POLL_S)
        finally:
            if preparing is not None:
                preparing.cancel()

    async def _prepare(self, text: str) -> None:
        """Has the voice speak `text` beforehand: voices remember what they said last."""
        for chunk in chunks(text):
            with contextlib.suppress(VoiceError):  # then it is not said later either, and that is logged
                await self._booth.spoken(self._voice, chunk, Halt())

    async def _perform(self, turn: Turn) -> str:
        """Speaks one line to its end or its interruption."""
        self._stage.begin(turn.epoch)
        clauses = _Clauses()
        thought = asyncio.create_task(self._think(turn, clauses), name=f"line {turn.number} of {self.name}")
        try:
            end = await self._voiced(turn, clauses)
            if end == "spoken":
                await thought
            return end
        finally:
            await end_tasks(thought)

    async def _voiced(self, turn: Turn, clauses: _Clauses) -> str:
        """Makes and pushes clauses as they come, and waits until they have been heard."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        first = True
        while (clause := await clauses.take()) is not None:
            if self.turns.stale(turn):
                return "interrupted"
            asked = loop.time()
            try:
                speech = await self._spoken(clause)
            except VoiceError as error:
                if self.turns.stale(turn):
                    return "interrupted"
                TROUBLES.labels("voice").inc()
                _log.warning("voice:refused", avatar=self.name, reason=str(error))
                continue
            self._pace.made(speech.duration_s, loop.time() - asked)
            hold_s = self._pace.head_start_s(speech.duration_s, clauses.waiting) if first else 0.0
            if not self._stage.push(speech, turn.epoch, hold_s):
                return "interrupted"
            if first and speech.pcm.size:
                first = False
                took = loop.time() - started + hold_s
                TEXT_TO_SPEECH.observe(took)
                self.first_clause_s = [*self.first_clause_s[-255:], took]
            await self._until(lambda: self._stage.ahead_s < AHEAD_S)
        self._stage.end(turn.epoch)
        await self._until(lambda: self._stage.quiet)
        if self.turns.stale(turn):
            return "interrupted"
        self.turns.heard(self._stage.heard())
        return "spoken"

    async def _spoken(self, clause: str) -> Speech:
        """`clause` by the voice; an interruption ends it half way."""
        self._halt = Halt()
        return await self._booth.spoken(self._voice, clause, self._halt)

    async def _think(self, turn: Turn, clauses: _Clauses) -> None:
        """Puts the clauses of a line together as its text comes."""
        chunker = Chunker()
        try:
            async with contextlib.aclosing(self._texts(turn)) as texts:
                async for text in texts:
                    clauses.add(chunker.push(text))
            clauses.add(chunker.flush())
        finally:
            clauses.complete()

    async def _texts(self, turn: Turn) -> AsyncGenerator[str, None]:
        """The text of a line as it comes; an apology at the place where the brain failed."""
        if turn.kind is Kind.SAY:
            yield turn.text
            return
        question = Question(turn.text, self._now(), turn.asker, tuple(self.turns.history))
        self.turns.asked(turn)
        try:
            async with contextlib.aclosing(self._brain.reply(question)) as answer:
                while not self.turns.stale(turn):
                    async with asyncio.timeout(THINKING_S):
                        text = await anext(answer, None)
                    if text is None:
                        return
                    yield text
        except (BrainError, TimeoutError) as error:
            TROUBLES.labels("brain").inc()
            _log.warning("brain:failed", avatar=self.name, reason=str(error) or "no answer in time")
            yield " " + self._random.choice(self._persona.apology)

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Waits for the stage, or for an interruption. The stage lives on the sample clock, in threads: it is looked at."""
        while not reached() and not self._interrupted.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._interrupted.wait()


def _turn(line: LineState) -> Turn:
    return Turn(line.number, Kind(line.kind), line.text, 0, line.asker)


def _state(turn: Turn) -> LineState:
    return LineState(number=turn.number, kind=turn.kind.value, text=turn.text, asker=turn.asker)
