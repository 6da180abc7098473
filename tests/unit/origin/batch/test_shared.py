"""Sessions that share a net are drawn together, get what is theirs, and do not notice each other's faults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from origin.batch import Asked, Crew
from origin.batch.crew import PERIOD_NS, Seat
from origin.batch.shared import LONGEST_S, Sizes
from origin.batch.stagger import Stagger

pytestmark = [pytest.mark.timeout(120)]
LIMIT_S = 60.0


@dataclass(eq=False)
class Painter:
    """A net whose answers tell who asked for what; `gate` is passed before each batch."""

    name: str
    most: int = 8
    lanes: int = 1
    gate: Callable[[Sequence[Any]], None] = lambda _asked: None
    batches: list[list[Any]] = field(default_factory=list)

    def draw(self, asked: Sequence[Any]) -> list[Any]:
        self.batches.append(list(asked))
        self.gate(asked)
        return [(self.name, *each) for each in asked]


@dataclass(eq=False)
class Session:
    """Asks its net for each frame, and keeps what it gets."""

    name: str
    net: Painter
    sent: list[tuple[int, Any]] = field(default_factory=list)
    lost: int = 0
    error: BaseException | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)
    seat: Seat | None = None
    frame: int = 0

    def draw(self, frame: int, content: Any) -> Any:
        return Asked(self.net, (self.name, content), lambda answer: (answer, self.name))

    def send(self, frame: int, picture: Any, due_ns: int) -> None:
        with self.changed:
            self.sent.append((frame, picture))
            self.changed.notify_all()

    def left_out(self, frames: int) -> None:
        with self.changed:
            self.lost += frames
            self.changed.notify_all()

    def broke(self, error: BaseException) -> None:
        with self.changed:
            self.error = error
            self.changed.notify_all()

    def push(self, crew: Crew) -> None:
        self.seat = self.seat or crew.join(self, self.net)
        self.seat.push(self.frame, self.frame, self.frame * PERIOD_NS)
        self.frame += 1

    def settled(self) -> bool:
        return self.error is not None or len(self.sent) + self.lost >= self.frame

    def wait(self, reached: Callable[[], bool], timeout_s: float = LIMIT_S) -> bool:
        with self.changed:
            return self.changed.wait_for(reached, timeout_s)

    def own(self) -> None:
        """All that it was sent is its own, in order."""
        assert [frame for frame, _ in self.sent] == sorted({frame for frame, _ in self.sent})
        for frame, picture in self.sent:
            assert picture == ((self.net.name, self.name, frame), self.name)


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew(2, encoders=1, spare_after_s=0.2, stall_s=0.6)
    yield made
    made.close()


def play(crew: Crew, sessions: Sequence[Session], frames: int) -> None:
    """All push a frame, then wait until it has become something."""
    for _ in range(frames):
        for session in sessions:
            session.push(crew)
        for session in sessions:
            assert session.wait(session.settled), session.name


def test_many_sessions_of_two_nets_never_mix(crew: Crew) -> None:
    nets = [Painter("one"), Painter("two")]
    sessions = [Session(f"{net.name}-{k}", net) for k in range(8) for net in nets]
    play(crew, sessions, 20)
    for session in sessions:
        session.own()
        assert len(session.sent) + session.lost == 20 and session.error is None
    for net in nets:
        assert all(name.startswith(net.name) for batch in net.batches for name, _ in batch)
        assert all(len({name for name, _ in batch}) == len(batch) <= 8 for batch in net.batches)
        assert max(map(len, net.batches)) > 1, "they were drawn together"


def test_a_batch_that_fails_costs_only_the_one_at_fault(crew: Crew) -> None:
    def throw(asked: Sequence[Any]) -> None:
        if ("bad", 3) in asked:
            raise ValueError("no such mouth")

    net = Painter("net", gate=throw)
    sessions = [Session(name, net) for name in ("a", "b", "bad", "c")]
    play(crew, sessions, 8)
    bad = sessions[2]
    assert str(bad.error) == "no such mouth" and [frame for frame, _ in bad.sent] == [0, 1, 2]
    for session in sessions:
        session.own()
        assert session is bad or (len(session.sent) + session.lost == 8 and session.error is None)


@pytest.mark.slow
def test_one_that_makes_a_batch_hang_is_found_and_the_others_go_on(crew: Crew) -> None:
    release = threading.Event()

    def hang(asked: Sequence[Any]) -> None:
        if any(name == "bad" and frame >= 3 for name, frame in asked):
            release.wait(LIMIT_S)

    net = Painter("net", gate=hang)
    good, bad = [Session(name, net) for name in "abc"], Session("bad", net)
    try:
        play(crew, [*good, bad], 3)
        while bad.error is None:  # each push looks after those that hang, as any live session's does
            for session in [*good, bad]:
                session.push(crew)
            bad.wait(lambda: bad.error is not None, 0.02)
        assert isinstance(bad.error, TimeoutError)
        before = [len(session.sent) for session in good]
        play(crew, good, 10)
        for session, count in zip(good, before, strict=True):
            session.own()
            assert session.error is None and len(session.sent) > count
    finally:
        release.set()


def test_without_memory_batches_become_smaller_and_nobody_fails(crew: Crew) -> None:
    def full(asked: Sequence[Any]) -> None:
        if len(asked) > 2:
            raise RuntimeError("CUDA out of memory")

    net = Painter("net", gate=full)
    sessions = [Session(f"s{k}", net) for k in range(8)]
    play(crew, sessions, 12)
    for session in sessions:
        session.own()
        assert session.error is None


def test_a_net_that_answers_too_little_is_nobody_elses_picture(crew: Crew) -> None:
    @dataclass(eq=False)
    class Short(Painter):
        def draw(self, asked: Sequence[Any]) -> list[Any]:
            return super().draw(asked)[: 1 if len(asked) > 1 else None]

    sessions = [Session(f"s{k}", Short("short")) for k in range(1)]
    sessions += [Session(f"s{k}", sessions[0].net) for k in range(1, 5)]
    play(crew, sessions, 6)
    for session in sessions:
        session.own()
        assert session.error is None


def test_who_leaves_takes_the_nets_threads_along(crew: Crew) -> None:
    net = Painter("net")
    sessions = [Session(f"s{k}", net) for k in range(3)]
    play(crew, sessions, 2)
    workers = [worker.thread for hall in crew._nets.values() for worker in hall.workers]
    for session in sessions:
        assert session.seat is not None
        session.seat.leave()
    assert not crew._nets
    for thread in workers:
        assert thread is not None
        thread.join(LIMIT_S)
        assert not thread.is_alive()


def test_interrupted_frames_do_not_keep_a_session(crew: Crew) -> None:
    net = Painter("net")
    one, other = Session("one", net), Session("other", net)
    play(crew, [one, other], 1)
    assert one.seat is not None
    one.seat.supersede(1)
    one.seat.push(1, 1, PERIOD_NS, epoch=1)
    assert one.wait(lambda: (1, (("net", "one", 1), "one")) in one.sent)


def test_sizes_are_those_that_were_measured_to_pay() -> None:
    small = Sizes({1: 0.005, 2: 0.0099, 4: 0.0198, 8: 0.0397})
    assert small.most == 1 and small.parts(3) == [1, 1, 1], "a batch that gains nothing is none"
    gpu = Sizes({1: 0.002, 2: 0.0021, 4: 0.0023, 8: 0.003})
    assert gpu.most == 8 and gpu.parts(7) == [8] and gpu.parts(3) == [4] and gpu.parts(11) == [8, 4]
    assert gpu.cost_s == pytest.approx(0.003 / 8)
    slow = Sizes({1: 0.009, 2: 0.012, 4: 0.024})
    assert slow.most == 2, "four would take longer than half a frame"
    fixed = Sizes({4: 0.004})
    assert fixed.most == 4 and fixed.parts(1) == [4] and fixed.parts(6) == [4, 4]
    alone = Sizes({1: 0.002, 2: 0.0019})
    assert alone.parts(1) == [1], "one alone is always drawn in the same size"
    assert Sizes({1: 10 * LONGEST_S}).most == 1
    for costs in ({}, {0: 1.0}, {1: 0.0}):
        with pytest.raises(ValueError, match="cannot be"):
            Sizes(costs)


@pytest.mark.parametrize("costs", [{1: 1e-3}, {1: 1e-3, 2: 1.2e-3, 4: 2e-3, 8: 5e-3}, {3: 1e-3}])
def test_the_parts_of_any_number_hold_it(costs: dict[int, float]) -> None:
    sizes = Sizes(costs)
    for frames in range(1, 40):
        parts = sizes.parts(frames)
        assert sum(parts) >= frames and sum(parts[:-1]) < frames and set(parts) <= set(costs)


def test_those_who_share_a_net_tick_together() -> None:
    stagger, net = Stagger(40, 1), object()
    assert stagger.admit(1, net, 3) == stagger.admit(2, net, 3) == 0
    assert stagger.admit(3) == 20, "who does not share it has a time of its own"
    assert stagger.admit(4, net, 3) == 0 and stagger.admit(5, net, 3) == 10
    stagger.remove(2)
    assert stagger.admit(6, net, 3) == 0
