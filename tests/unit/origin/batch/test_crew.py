"""One session's fault is nobody else's: live stages on one crew, with quick renderers and real encoders."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from origin.avatar import Pose
from origin.batch import Crew
from origin.batch.crew import MOST_MEMORY_FAULTS
from origin.encoder import I420, VideoSettings
from origin.stage import MOST_HELD, Stage

SMALL = VideoSettings(width=160, height=120)
LIMIT_S = 60.0


@dataclass
class Kept:
    """An output that keeps the times of what comes."""

    pictures: list[int] = field(default_factory=list)
    packets: list[int] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
        with self.changed:
            self.pictures.append(rtp_time // 3600)
            self.changed.notify_all()

    def audio(self, packet: bytes, rtp_time: int) -> None:
        with self.changed:
            self.packets.append(rtp_time)
            self.changed.notify_all()

    def wait(self, what: str, reached: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(reached, LIMIT_S), f"no {what} within {LIMIT_S} s"

    def more(self, pictures: int) -> None:
        wanted = len(self.pictures) + pictures
        self.wait(f"{pictures} pictures more", lambda: len(self.pictures) >= wanted)


class Quick:
    """A renderer that draws one grey picture, after `fault` had its say."""

    def __init__(self, fault: Callable[[int], None] = lambda _frame: None) -> None:
        self._picture = np.full((180, 160), 128, np.uint8)
        self._fault = fault
        self.drawn = 0

    def render(self, pose: Pose) -> I420:
        self.drawn += 1
        self._fault(self.drawn)
        return self._picture


def unharmed(good: Kept) -> None:
    """Its sound has each packet, its pictures come once and in order."""
    good.more(25)
    with good.changed:
        assert good.packets == [960 * k for k in range(len(good.packets))]
        assert good.pictures == sorted(set(good.pictures))


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew(1, encoders=1, spare_after_s=0.05, stall_s=3.0)
    yield made
    made.close()


@pytest.fixture
def opened(crew: Crew) -> Iterator[Callable[..., tuple[Stage, Kept]]]:
    stages: list[Stage] = []

    def open_stage(renderer: Quick, output: Kept | None = None) -> tuple[Stage, Kept]:
        kept = output or Kept()
        stage = Stage(f"s{len(stages)}", renderer, kept, video=SMALL, crew=crew)
        stages.append(stage)
        stage.start()
        return stage, kept

    yield open_stage
    for stage in stages:
        stage.close()


@pytest.mark.slow
def test_one_whose_renderer_throws_fails_alone(crew: Crew, opened: Any) -> None:
    def throw(frame: int) -> None:
        if frame == 5:
            raise ValueError("no such face")

    good, seen = opened(Quick())
    bad, of_bad = opened(Quick(throw))
    of_bad.wait("failure", lambda: bad.failed)
    unharmed(seen)
    assert not good.failed and len(of_bad.pictures) <= 4


@pytest.mark.slow
def test_one_whose_renderer_hangs_takes_nobodys_place_and_fails_in_time(crew: Crew, opened: Any) -> None:
    release, hanging = threading.Event(), threading.Event()

    def hang(frame: int) -> None:
        if frame == 3:
            hanging.set()
            release.wait(LIMIT_S)

    good, seen = opened(Quick())
    bad, of_bad = opened(Quick(hang))
    assert hanging.wait(LIMIT_S)
    try:
        seen.more(50)  # the only drawing thread hangs: these come from its substitute
        of_bad.wait("failure", lambda: bad.failed)
        unharmed(seen)
        assert not good.failed
    finally:
        release.set()


@pytest.mark.slow
def test_one_whose_output_hangs_does_not_keep_the_encoders(crew: Crew, opened: Any) -> None:
    release, hanging = threading.Event(), threading.Event()

    class Stuck(Kept):
        def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
            hanging.set()
            release.wait(LIMIT_S)

    _, seen = opened(Quick())
    opened(Quick(), Stuck())
    assert hanging.wait(LIMIT_S)
    try:
        unharmed(seen)
    finally:
        release.set()


@pytest.mark.slow
def test_a_flood_of_one_is_left_out_and_the_others_are_served(crew: Crew, opened: Any) -> None:
    @dataclass
    class Flood:
        sent: int = 0
        lost: int = 0
        done: threading.Condition = field(default_factory=threading.Condition)

        def draw(self, frame: int, content: Any) -> Any:
            return content

        def send(self, frame: int, picture: Any, due_ns: int) -> None:
            with self.done:
                self.sent += 1
                self.done.notify_all()

        def left_out(self, frames: int) -> None:
            with self.done:
                self.lost += frames
                self.done.notify_all()

        def broke(self, error: BaseException) -> None:
            raise AssertionError from error

    _, seen = opened(Quick())
    flood = Flood()
    seat = crew.join(flood)
    for frame in range(5_000):
        seat.push(frame, "picture", 0)
    unharmed(seen)
    with flood.done:
        assert flood.done.wait_for(lambda: flood.sent + flood.lost == 5_000, LIMIT_S)
    seat.leave()


@pytest.mark.slow
def test_no_memory_leaves_a_frame_out_and_lowers_what_the_device_takes(crew: Crew, opened: Any) -> None:
    def once(frame: int) -> None:
        if frame == 4:
            raise RuntimeError("Warp error: out of memory allocating 12 bytes")

    def always(frame: int) -> None:
        raise MemoryError

    good, seen = opened(Quick(once))
    seen.more(10)
    assert not good.failed and good.frames_left_out >= 1
    assert crew.room() == 0, "one session was too many, so there is no room for a second"
    bad, of_bad = opened(renderer := Quick(always))
    of_bad.wait("failure", lambda: bad.failed)
    assert renderer.drawn >= MOST_MEMORY_FAULTS
    unharmed(seen)


def test_an_interruption_drops_what_waits_of_the_line(crew: Crew) -> None:
    drawing, release, sent = threading.Event(), threading.Event(), threading.Event()
    drawn: list[int] = []

    class Line:
        def draw(self, frame: int, content: Any) -> Any:
            drawn.append(frame)
            drawing.set()
            release.wait(LIMIT_S)
            return content

        def send(self, frame: int, picture: Any, due_ns: int) -> None:
            if frame == 3:
                sent.set()

        def left_out(self, frames: int) -> None:
            return

        def broke(self, error: BaseException) -> None:
            raise AssertionError from error

    seat = crew.join(Line())
    seat.push(0, "old", 0, epoch=1)
    assert drawing.wait(LIMIT_S)
    seat.push(1, "old", 0, epoch=1)
    seat.supersede(2)
    seat.push(2, "old", 0, epoch=1)
    seat.push(3, "new", 0, epoch=2)
    release.set()
    assert sent.wait(LIMIT_S)
    assert drawn == [0, 3]
    seat.leave()


@pytest.mark.slow
def test_200_sessions_opened_and_closed_leave_nothing(crew: Crew) -> None:
    before: int | None = None
    alive: list[weakref.ref[Stage]] = []
    for _ in range(25):
        stages = [
            Stage(f"s{k}", Quick(), kept, video=SMALL, crew=crew)
            for k, kept in enumerate(Kept() for _ in range(8))
        ]
        for stage in stages:
            stage.start()
        for stage in stages:
            kept = stage._output
            assert isinstance(kept, Kept)
            kept.wait("picture", lambda kept=kept: bool(kept.pictures))  # type: ignore[misc]
        for stage in stages:
            stage.close()
        alive += [weakref.ref(stage) for stage in stages]
        del stages, stage
        before = before or threading.active_count()
    assert crew.sessions == 0
    gc.collect()
    assert len(alive) == 200
    assert sum(ref() is not None for ref in alive) <= 2, (
        "the last jobs of the threads may still be in their hands"
    )
    assert threading.active_count() <= before + 2


@pytest.mark.slow
def test_what_does_not_move_is_drawn_seldom_and_sent_always(opened: Any) -> None:
    class Steady(Quick):
        moved_px = 0.0

        def travel_px(self, one: Pose, other: Pose) -> float:
            return self.moved_px

    still, moving = Steady(), Steady()
    moving.moved_px = 1.0
    _, seen = opened(still)
    _, other = opened(moving)
    seen.more(60)
    other.more(10)
    assert seen.pictures[:40] == list(range(seen.pictures[0], seen.pictures[0] + 40))
    assert still.drawn <= 3 + len(seen.pictures) // MOST_HELD
    assert moving.drawn >= len(other.pictures) - 1
