"""The batcher in virtual time: who is drawn when, whatever sessions come, go, interrupt and overload."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.batch.batcher import DEPTH, Batcher, Job
from origin.batch.stagger import Stagger

MS = 1_000_000
PERIOD = 40 * MS


@dataclass
class Device:
    """A modelled device with one lane: a batch takes `batch_ns`, whatever is in it."""

    batcher: Batcher[None]
    batch_ns: int
    drawn: list[tuple[int, Job[None]]] = field(default_factory=list)
    """When each job was done."""
    batches: list[int] = field(default_factory=list)
    left_out: list[Job[None]] = field(default_factory=list)

    def run(self, phases: dict[int, int], until_ns: int) -> None:
        """Sessions tick at their phases until then."""
        ticks = [(phase, session, 0) for session, phase in phases.items()]
        heapq.heapify(ticks)
        now, free, working = 0, 0, list[Job[None]]()
        while now < until_ns:
            while ticks and ticks[0][0] <= now:
                due, session, frame = heapq.heappop(ticks)
                self.left_out += self.batcher.push(Job(session, 0, frame, due, None), due + PERIOD)
                heapq.heappush(ticks, (due + PERIOD, session, frame + 1))
            if working and free <= now:
                for job in working:
                    self.batcher.done(job.session)
                    self.drawn.append((now, job))
                working = []
            if not working:
                working = self.batcher.poll(now)
                if working:
                    self.batches.append(len(working))
                    free = now + self.batch_ns
            upcoming = [ticks[0][0], free if working else self.batcher.next_ns() or ticks[0][0]]
            now = max(now + 1, min(upcoming))

    def latencies_ms(self) -> list[float]:
        return [(at - job.due_ns) / MS for at, job in self.drawn]


def staggered(sessions: int, group: int) -> dict[int, int]:
    stagger = Stagger(PERIOD, group)
    return {session: stagger.admit(session) for session in range(sessions)}


def test_72_sessions_on_a_device_with_3_ms_a_batch_are_all_drawn_in_time() -> None:
    device = Device(Batcher(8), 3 * MS)
    for session in range(72):
        device.batcher.admit(session)
    device.run(staggered(72, 8), 10_000 * MS)
    assert not device.left_out
    assert len(device.drawn) >= 72 * 249
    assert max(device.latencies_ms()) <= 8 + 2 * 3, "at most the wait for a batch, and one batch before"
    assert min(device.batches) == 8, "groups tick together, so that every batch is full without waiting"


def test_sessions_that_are_not_staggered_still_hold_300_ms() -> None:
    device = Device(Batcher(8), 3 * MS)
    for session in range(72):
        device.batcher.admit(session)
    device.run(dict.fromkeys(range(72), 0), 4_000 * MS)
    assert not device.left_out
    assert max(device.latencies_ms()) <= 9 * 3


@pytest.mark.parametrize("sessions", [2, 5, 11, 72])
def test_under_overload_nobody_starves(sessions: int) -> None:
    """A device that draws half of what is asked: all sessions get theirs, a few frames apart at most."""
    batches = -(-sessions // 8)
    device = Device(Batcher(8), 2 * PERIOD // batches)
    for session in range(sessions):
        device.batcher.admit(session)
    device.run(staggered(sessions, 8), 8_000 * MS)
    when = defaultdict(list)
    for at, job in device.drawn:
        when[job.session].append(at)
    assert set(when) == set(range(sessions))
    gaps = [b - a for times in when.values() for a, b in itertools.pairwise(times)]
    assert max(gaps) <= 6 * PERIOD
    counts = [len(times) for times in when.values()]
    assert min(counts) >= 0.6 * sum(counts) / sessions


@given(
    st.lists(st.integers(0, 39), min_size=1, max_size=30),
    st.integers(1, 8),
    st.integers(0, 30),
    st.integers(1, 60),
)
def test_frames_are_drawn_once_in_order_and_in_bounded_batches(
    phases: list[int], target: int, wait_ms: int, batch_ms: int
) -> None:
    device = Device(Batcher(target, wait_ms * MS), batch_ms * MS)
    for session in range(len(phases)):
        device.batcher.admit(session)
    device.run({session: phase * MS for session, phase in enumerate(phases)}, 1_000 * MS)
    assert all(1 <= size <= target for size in device.batches)
    by_session = defaultdict(list)
    for _, job in device.drawn:
        by_session[job.session].append(job.frame)
    for frames in by_session.values():
        assert frames == sorted(set(frames))
    done = {(job.session, job.frame) for _, job in device.drawn}
    assert not done & {(job.session, job.frame) for job in device.left_out}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 100)), min_size=1, max_size=60), st.integers(1, 8)
)
def test_a_batch_holds_those_who_have_waited_longest(pushes: list[tuple[int, int]], target: int) -> None:
    batcher: Batcher[None] = Batcher(target, 0, depth=1)
    for session in range(6):
        batcher.admit(session)
    first_due: dict[int, int] = {}
    for now, (session, _) in enumerate(sorted(pushes, key=lambda p: p[1])):
        batcher.push(Job(session, 0, now, now, None))
        first_due.setdefault(session, now)
    batch = batcher.poll(1_000)
    order = sorted(first_due, key=lambda session: first_due[session])
    assert [job.session for job in batch] == order[:target]


@given(st.lists(st.tuples(st.sampled_from("push interrupt poll".split()), st.integers(0, 3)), max_size=80))
def test_no_frame_of_an_epoch_that_is_over_is_drawn(steps: list[tuple[str, int]]) -> None:
    batcher: Batcher[None] = Batcher(2, 0)
    for session in range(4):
        batcher.admit(session)
    epochs = [0] * 4
    pushed = drawn = left = 0
    for now, (step, session) in enumerate(steps):
        if step == "push":
            pushed += 1
            left += len(batcher.push(Job(session, epochs[session], now, now, None)))
            stale = Job(session, epochs[session] - 1, now, now, None)
            assert not epochs[session] or batcher.push(stale) == [stale], (
                "one that comes too late is left out"
            )
        elif step == "interrupt":
            epochs[session] += 1
            left += len(batcher.supersede(session, epochs[session]))
        else:
            batch = batcher.poll(now)
            drawn += len(batch)
            assert all(job.epoch == epochs[job.session] for job in batch)
            for job in batch:
                batcher.done(job.session)
    while batch := batcher.poll(1_000):
        drawn += len(batch)
        for job in batch:
            batcher.done(job.session)
    assert pushed == drawn + left, "what is pushed is drawn or told as left out"


def test_a_batch_waits_for_who_is_due_soon_and_no_longer_than_it_may() -> None:
    batcher: Batcher[None] = Batcher(3, 8 * MS)
    for session in range(3):
        batcher.admit(session)
    for session, due in ((0, 0), (1, 5), (2, 30)):
        batcher.push(Job(session, 0, 0, (due - 40) * MS, None), due * MS)
        assert batcher.poll(due * MS - 1)
        batcher.done(session)
    batcher.push(Job(0, 0, 1, 0, None), PERIOD)
    assert batcher.poll(0) == [] and batcher.next_ns() == 8 * MS, "session 1 comes in 5 ms"
    batcher.push(Job(1, 0, 1, 5 * MS, None), 45 * MS)
    assert [job.session for job in batcher.poll(5 * MS)] == [0, 1], (
        "nobody else comes in time, so they do not wait"
    )


def test_a_session_is_in_one_batch_at_a_time_and_its_oldest_frames_give_way() -> None:
    batcher: Batcher[None] = Batcher(1, 0)
    batcher.admit(1)
    batcher.push(Job(1, 0, 0, 0, None))
    assert [job.frame for job in batcher.poll(0)] == [0]
    left_out = [job.frame for k in range(1, 6) for job in batcher.push(Job(1, 0, k, k, None))]
    assert left_out == list(range(1, 6 - DEPTH))
    assert batcher.poll(10) == []
    batcher.done(1)
    assert [job.frame for job in batcher.poll(10)] == [4]


def test_a_device_without_memory_draws_smaller_batches() -> None:
    batcher: Batcher[None] = Batcher(8)
    targets = [(batcher.lower(), batcher.target)[1] for _ in range(5)]
    assert targets == [4, 2, 1, 1, 1]


@given(st.integers(1, 100), st.integers(1, 8))
def test_staggering_is_even(sessions: int, group: int) -> None:
    stagger = Stagger(PERIOD, group)
    for session in range(sessions):
        assert 0 <= stagger.admit(session) < PERIOD
    groups = stagger.phases
    assert sorted(s for members in groups.values() for s in members) == list(range(sessions))
    assert all(len(members) <= group for members in groups.values())
    assert len(groups) == -(-sessions // group), "no group begins before the others are full"
    phases = list(groups)
    gaps = [b - a for a, b in itertools.pairwise([*phases, phases[0] + PERIOD])]
    assert max(gaps) <= 2 * min(gaps) + len(gaps)


@given(st.lists(st.integers(0, 30), max_size=120))
def test_phases_stay_and_holes_are_filled(toggles: list[int]) -> None:
    stagger, here = Stagger(PERIOD, 4), dict[int, int]()
    for session in toggles:
        if session in here:
            stagger.remove(session)
            del here[session]
        else:
            here[session] = stagger.admit(session)
        seen = {s: phase for phase, members in stagger.phases.items() for s in members}
        assert seen == here
