"""The threads of one device: some draw, others encode and send, for all sessions together.

    Seat.push ──► Batcher ──► drawing thread ──► Batcher (one at a time) ──► encoding thread ──► out
                                    └► Batcher of a shared net ──► its thread ─┘

A face that needs a net which others share says so when it is drawn (shared.Asked); its session's next frame is drawn when the net has
answered. Each net has a queue and threads of its own, so no batch has frames of two of them. A batch that fails is drawn
again one by one; who was in a batch that hung is drawn alone until that has gone well: so the one at fault is found, and the others
lose a frame.

Drawing never waits for an encoder: the picture is handed over, and if the encoders are behind, the oldest is left out. A thread that
is busy with one frame for longer than `SPARE_AFTER_S` gets a substitute, so that a session that hangs takes nobody else's place; after
`STALL_S` that session has failed. Nobody watches over this: each push looks, and any live session pushes 25 times a second.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from common import metrics
from common.log import log
from origin.batch.batcher import WAIT_NS, Batcher, Job
from origin.batch.budget import Budget
from origin.batch.governor import NOTHING, Governor, Measures, Priority, plan
from origin.batch.hall import Hall, Worker
from origin.batch.shared import Asked, SharedNet
from origin.batch.stagger import Stagger
from origin.clock import FRAME_RATE

_log = log("crew")

PERIOD_NS: Final = 1_000_000_000 // FRAME_RATE
SPARE_AFTER_S: Final = 0.25
"""Longer on one frame, and a substitute begins."""
STALL_S: Final = 10.0
"""Longer on one frame, and its session has failed."""
MOST_LOST: Final = 16
"""Threads that may hang before the crew takes no more sessions: they cannot be ended, only left behind."""
MOST_MEMORY_FAULTS: Final = 3
"""Frames in a row that find no memory before the session has failed."""
LATE_NS: Final = PERIOD_NS * 5 // 2
"""A picture that leaves so long after its tick was late: the viewer's buffer hides two frames."""
LEAVE_S: Final = 2.0
_JUDGE_NS: Final = 1_000_000_000
_NICENESS: Final = {"draw": -5, "net": -5, "encode": -7}

_LEVEL = metrics.gauge("avatar_degradation_level", "Steps of quality given up; 0 when nothing is")
_USAGE = metrics.gauge(
    "avatar_device_usage_ratio", "Share of the drawing device that the live avatars ask for, by prediction"
)
_BATCH = metrics.histogram(
    "avatar_batch_frames",
    "Frames taken at once by what draws them",
    (1, 2, 3, 4, 5, 6, 7, 8, 12, 16),
    ("kind",),
)
_STALLS = metrics.counter("avatar_stalls_total", "Threads that were left behind with a session that hung")


class Work(Protocol):
    """What a crew does for a session. `draw` and `send` are each called by one thread at a time, `left_out` and `broke` by any."""

    def draw(self, frame: int, content: Any) -> Any:
        """Draws what was pushed, or hands out the last picture again for None. What it returns goes to `send`, unless it is `Asked`:
        then what its `finish` returns does.
        """
        ...

    def send(self, frame: int, picture: Any, due_ns: int) -> None:
        """Encodes and sends."""
        ...

    def left_out(self, frames: int) -> None:
        """So many frames will not be drawn."""
        ...

    def broke(self, error: BaseException) -> None:
        """The session has failed; nothing more is done for it."""
        ...


@dataclass(slots=True)
class _Member:
    work: Work
    priority: Priority
    measures: Measures = NOTHING
    memory_faults: int = 0
    failed: bool = False
    asked: int = 0
    """Frames to be drawn since the last judgement."""
    rate: float = float(FRAME_RATE)
    """Frames a second it was seen to ask for."""
    draw_s: float = 0.0
    gap_ns: int = PERIOD_NS
    """From its last frame to its next one."""


class Seat:
    """A session's place in a crew. Thread-safe."""

    def __init__(self, crew: Crew, session: int, phase_ns: int) -> None:
        self._crew, self._session = crew, session
        self.phase_ns = phase_ns
        """When in each 40 ms the session is to tick."""

    @property
    def measures(self) -> Measures:
        """What the session is to do without."""
        return self._crew.measures(self._session)

    def push(
        self, frame: int, content: Any, due_ns: int, *, epoch: int = 0, every: int = 1, held: bool = False
    ) -> None:
        """A frame to be drawn (`content` None: the last picture again); the next one comes `every` frames later. `held`: it would be
        drawn if it were not like the last one, so its time stays reserved.
        """
        self._crew.push(Job(self._session, epoch, frame, due_ns, content), due_ns + every * PERIOD_NS, held)

    def supersede(self, epoch: int) -> None:
        """What waits of an epoch before `epoch` is not drawn any more."""
        self._crew.supersede(self._session, epoch)

    def prefer(self, priority: Priority) -> None:
        """How important the session is now."""
        self._crew.prefer(self._session, priority)

    def leave(self) -> None:
        """The session has ended."""
        self._crew.leave(self._session)


class Crew:
    """The threads of one device. `close` when all sessions have left.

    `lanes`: frames drawn at once, a thread each; a device that draws batches has one and a `target` above 1.
    """

    def __init__(
        self,
        lanes: int | None = None,
        *,
        encoders: int | None = None,
        target: int = 1,
        wait_ns: int = WAIT_NS,
        most: int = 0,
        spare_after_s: float = SPARE_AFTER_S,
        stall_s: float = STALL_S,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        lanes = lanes or cores
        self.budget = Budget(lanes, FRAME_RATE, most)
        self._governor = Governor()
        self._stagger = Stagger(PERIOD_NS, target)
        self._now_ns = clock_ns
        self._spare_ns, self._stall_ns = round(spare_after_s * 1e9), round(stall_s * 1e9)
        self._members: dict[int, _Member] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._freed = threading.Condition(self._lock)
        self._ended = False
        self._slow: list[Worker] = []
        """Threads that have a substitute and are still at their frame."""
        self._frames = self._late = 0
        self._judged_ns = clock_ns()
        self._spent_s = time.thread_time if target == 1 else time.perf_counter
        self._draw = Hall("draw", lanes, Batcher(target, wait_ns if target > 1 else 0), self._lock)
        self._encode = Hall("encode", encoders or max(1, cores // 2), Batcher(1, 0), self._lock)
        self._nets: dict[SharedNet, Hall] = {}
        self._wait_ns = wait_ns

    @property
    def _halls(self) -> list[Hall]:
        return [self._draw, self._encode, *self._nets.values()]

    @property
    def _workers(self) -> list[Worker]:
        return [*self._slow, *(worker for hall in self._halls for worker in hall.workers)]

    def join(self, work: Work, net: SharedNet | None = None) -> Seat:
        """A session begins; `net` is the one that it will share. It is not refused here: ask `room` first."""
        with self._lock:
            if not self._members:
                self._governor = Governor()
            session = next(self._numbers)
            self._members[session] = _Member(work, Priority(False, 0))
            for hall in (self._draw, self._encode):
                self._admit(hall, session)
            if net is None or net.most == 1:
                return Seat(self, session, self._stagger.admit(session))
            return Seat(self, session, self._stagger.admit(session, net, net.most))

    def leave(self, session: int) -> None:
        """Ends a session, and waits for the threads that work for it (a frame; `LEAVE_S` when they hang)."""
        with self._lock:
            if self._members.pop(session, None) is not None:
                self.budget.session_ended()
            self._drop(session)
            self._freed.wait_for(lambda: session not in {w.session for w in self._workers}, LEAVE_S)

    def close(self) -> None:
        """Ends the threads, and waits for those that do not hang."""
        with self._lock:
            self._ended = True
            threads = [worker.thread for worker in self._workers if worker not in self._slow]
            for hall in self._halls:
                hall.changed.notify_all()
        for thread in threads:
            if thread is not None:
                thread.join(2.0)

    @property
    def level(self) -> int:
        """Steps of quality that are given up."""
        return self._governor.level

    @property
    def sessions(self) -> int:
        return len(self._members)

    def room(self, cost_s: float | None = None) -> int:
        """How many more sessions the device carries when all are at full rate, whatever they are at now; `cost_s` is what a frame of
        theirs is predicted to cost, None what is usual here.
        """
        with self._lock:
            lost = sum(worker.given_up for worker in self._slow)
            if lost >= MOST_LOST:
                return 0
            rate = sum(m.rate * m.measures.every for m in self._members.values())
            return self.budget.room(len(self._members), rate, cost_s)

    def measures(self, session: int) -> Measures:
        """What a session is to do without."""
        member = self._members.get(session)
        return member.measures if member else NOTHING

    def prefer(self, session: int, priority: Priority) -> None:
        """How important a session is now."""
        member = self._members.get(session)
        if member is not None:
            member.priority = priority

    def push(self, job: Job[Any], next_ns: int, held: bool = False) -> None:
        """A frame to be drawn."""
        with self._lock:
            member = self._members.get(job.session)
            if member is None or member.failed:
                return
            member.asked += held or job.content is not None
            member.gap_ns = next_ns - job.due_ns
            self._leave_out(job.session, self._draw.batcher.push(job, next_ns))
            self._mind()
            self._judge()
            self._draw.changed.notify()

    def supersede(self, session: int, epoch: int) -> None:
        """What waits of an epoch before `epoch` is dropped."""
        with self._lock:
            for hall in self._halls:
                stale = hall.batcher.supersede(session, epoch)
                self._leave_out(session, stale, late=False)
                if stale and hall.net is not None:
                    self._free(hall, session)

    # Under the lock from here to `_serve`.

    def _admit(self, hall: Hall, session: int) -> None:
        hall.admit(session)
        while len(hall.workers) < min(hall.threads, len(hall.users)):
            self._begin(hall)

    def _free(self, hall: Hall, session: int) -> None:
        """The session's frame is done in this hall: the next one may begin."""
        hall.batcher.done(session)
        if hall.net is not None:
            self._draw.batcher.done(session)
            self._draw.changed.notify()
        if hall.batcher.next_ns() is not None:
            hall.changed.notify()
        self._freed.notify_all()

    def _begin(self, hall: Hall) -> None:
        worker = Worker()
        hall.workers.append(worker)
        worker.thread = threading.Thread(
            target=self._serve, args=(hall, worker), name=f"{hall.kind}-{len(hall.workers)}", daemon=True
        )
        worker.thread.start()

    def _drop(self, session: int) -> None:
        for hall in self._halls:
            hall.remove(session)
        for net, hall in list(self._nets.items()):
            if not hall.users:
                hall.ended = True
                hall.changed.notify_all()
                del self._nets[net]
        self._stagger.remove(session)

    def _leave_out(self, session: int, jobs: Sequence[Job[Any]], *, late: bool = True) -> None:
        member = self._members.get(session)
        if jobs and member is not None and not member.failed:
            member.work.left_out(len(jobs))
            if late:
                self._frames += len(jobs)
                self._late += len(jobs)

    def _mind(self) -> None:
        """Substitutes for threads that are at one frame for long; what hangs has failed."""
        now = self._now_ns()
        for hall in self._halls:
            for worker in list(hall.workers):
                if worker.since_ns is None or now - worker.since_ns < self._spare_ns:
                    continue
                worker.substituted = True
                hall.workers.remove(worker)
                self._slow.append(worker)
                hall.suspect(worker.together)
                while worker.batch:  # who shares a batch with one that hangs loses this frame, no more
                    job = worker.batch.popleft()
                    self._free(hall, job.session)
                    self._leave_out(job.session, [job])
                self._begin(hall)
        for worker in self._slow:
            if (
                worker.since_ns is not None
                and now - worker.since_ns >= self._stall_ns
                and not worker.given_up
            ):
                worker.given_up = True
                _STALLS.inc()
                if worker.session is not None:
                    self._fail(
                        worker.session, TimeoutError(f"a frame took more than {self._stall_ns / 1e9:g} s")
                    )

    def _fail(self, session: int, error: BaseException) -> None:
        self._drop(session)
        member = self._members.get(session)
        if member is not None and not member.failed:
            member.failed = True
            member.work.broke(error)

    def _judge(self) -> None:
        """Once a second: how busy the device is, and what is given up."""
        now = self._now_ns()
        passed = now - self._judged_ns
        if passed < _JUDGE_NS:
            return
        self._judged_ns = now
        for member in self._members.values():
            member.rate, member.asked = member.asked * 1e9 / passed, 0
        rate = sum(member.rate for member in self._members.values())
        _USAGE.set(self.budget.usage(rate))
        priorities = {session: member.priority for session, member in self._members.items()}
        level = self._governor.level
        below = plan(max(level - 1, 0), priorities)
        given_up = sum(
            FRAME_RATE / below[session].every - FRAME_RATE / member.measures.every
            for session, member in self._members.items()
        )
        usage = self.budget.usage(rate + max(0.0, given_up))
        reached = self._governor.judge(self._frames, self._late, usage, len(priorities))
        self._frames = self._late = 0
        if reached != level:
            _log.info("avatars:degraded" if reached > level else "avatars:recovered", level=reached)
        _LEVEL.set(reached)
        measures = plan(reached, priorities)
        for session, member in self._members.items():
            member.measures = measures[session]

    def _take(self, hall: Hall, worker: Worker) -> list[Job[Any]]:
        """The next batch; empty when the thread is to end. Waits."""
        while not (self._ended or hall.ended or worker.substituted):
            now = self._now_ns()
            batch = hall.batcher.poll(now)
            if batch:
                return batch
            due = hall.batcher.next_ns()
            hall.changed.wait(None if due is None else max(0.0005, (due - now) / 1e9))
        return []

    def _serve(self, hall: Hall, worker: Worker) -> None:
        prefer_this_thread(_NICENESS[hall.kind])
        while True:
            with self._lock:
                batch = self._take(hall, worker)
            if not batch:
                return
            if hall is not self._encode:
                _BATCH.labels(hall.kind).observe(len(batch))
            worker.batch.extend(batch)
            if hall.net is None:
                self._one_by_one(hall, worker)
            else:
                self._together(hall, hall.net, worker)
            with self._lock:
                worker.since_ns = None
                if worker.substituted:
                    self._slow.remove(worker)
                    return

    def _one_by_one(self, hall: Hall, worker: Worker) -> None:
        """The frames of a batch, one after the other."""
        while True:
            with self._lock:
                if not worker.batch:
                    return
                job = worker.batch.popleft()
                member = self._members.get(job.session)
                worker.session, worker.since_ns = job.session, self._now_ns()
            goes_on = member is not None and not member.failed and self._do(hall, job, member)
            with self._lock:
                worker.session = None
                if not goes_on:
                    self._free(hall, job.session)
                self._freed.notify_all()

    def _together(self, hall: Hall, net: SharedNet, worker: Worker) -> None:
        """The frames of a batch, at once; a batch that fails is drawn one by one, as only one of it may be at fault."""
        parts = deque(hall.parts(tuple(worker.batch)))
        while parts:
            part = parts.popleft()
            with self._lock:
                if worker.substituted:
                    return
                worker.since_ns = self._now_ns()
                if len(part) == 1:
                    worker.session = part[0].session
                    worker.owes(part[0])
                else:
                    worker.together = part
            began_s = self._spent_s()
            fault: Exception | None = None
            answers: Sequence[Any] = ()
            try:
                answers = net.draw([job.content.content for job in part])
                if len(answers) != len(part):
                    raise ValueError(f"a net drew {len(answers)} frames of {len(part)}")
            except Exception as error:
                fault = error
            share_s = (self._spent_s() - began_s) / len(part)
            with self._lock:
                worker.together = ()
                if fault is not None and len(part) > 1 and is_out_of_memory(fault):
                    hall.batcher.lower()
            if fault is not None and len(part) > 1:
                parts.extendleft([[job] for job in reversed(part)])
                continue
            for place, job in enumerate(part):
                answer = None if fault is not None else answers[place]
                self._finish(hall, worker, job, len(part) == 1, answer, fault, share_s)

    def _finish(
        self,
        hall: Hall,
        worker: Worker,
        job: Job[Asked],
        alone: bool,
        answer: Any,
        fault: Exception | None,
        share_s: float,
    ) -> None:
        """What a net drew for one session, made a picture in the calling thread."""
        with self._lock:
            if not alone and not worker.owes(job):
                return  # it hung, and the session went on without
            member = self._members.get(job.session)
            worker.session, worker.since_ns = job.session, self._now_ns()
        if member is not None and not member.failed:
            if fault is not None:
                self._fault(hall, job.session, member, fault)
            else:
                began_s = self._spent_s()
                try:
                    picture = job.content.finish(answer)
                except Exception as error:
                    self._fault(hall, job.session, member, error)
                else:
                    member.draw_s += share_s + self._spent_s() - began_s
                    self._hand_over(job, member, picture)
        with self._lock:
            worker.session = None
            if fault is None:
                hall.clear(job.session)
            self._free(hall, job.session)

    def _do(self, hall: Hall, job: Job[Any], member: _Member) -> bool:
        """One frame of one session, in the calling thread; its faults stay its own. True when a net goes on with it."""
        began_s = self._spent_s()
        picture: Any = None
        try:
            if hall is self._draw:
                picture = member.work.draw(job.frame, job.content)
            else:
                member.work.send(job.frame, job.content, job.due_ns)
        except Exception as error:
            self._fault(hall, job.session, member, error)
            return False
        spent_s = self._spent_s() - began_s
        if hall is self._encode:
            with self._lock:
                if member.draw_s:
                    self.budget.measured(member.draw_s + spent_s)
                self._frames += 1
                self._late += self._now_ns() - job.due_ns > LATE_NS
            return False
        member.draw_s = spent_s if job.content is not None else 0.0
        if isinstance(picture, Asked):
            self._ask(job, member, picture)
            return True
        self._hand_over(job, member, picture)
        return False

    def _ask(self, job: Job[Any], member: _Member, asked: Asked) -> None:
        """A frame goes to the net that it needs."""
        with self._lock:
            if job.session not in self._draw.users:
                return
            hall = self._nets.get(asked.net)
            if hall is None:
                threads = min(asked.net.lanes, self._draw.threads)
                batcher = Batcher[Any](asked.net.most, self._wait_ns)
                hall = self._nets[asked.net] = Hall("net", threads, batcher, self._lock, asked.net)
            if job.session not in hall.users:
                self._admit(hall, job.session)
            handed = Job(job.session, job.epoch, job.frame, job.due_ns, asked)
            for stale in hall.batcher.push(handed, job.due_ns + member.gap_ns):
                self._leave_out(job.session, [stale], late=False)
                self._free(hall, job.session)
            hall.changed.notify()

    def _hand_over(self, job: Job[Any], member: _Member, picture: Any) -> None:
        """A picture that is drawn goes to the encoders."""
        with self._lock:
            member.memory_faults = 0
            handed = Job(job.session, job.epoch, job.frame, job.due_ns, picture)
            self._leave_out(job.session, self._encode.batcher.push(handed))
            self._encode.changed.notify()

    def _fault(self, hall: Hall, session: int, member: _Member, error: Exception) -> None:
        """No memory: the device takes less, the frame is left out. Else the session has failed."""
        with self._lock:
            if is_out_of_memory(error):
                member.memory_faults += 1
                hall.batcher.lower()
                self.budget.out_of_memory(len(self._members))
                if member.memory_faults < MOST_MEMORY_FAULTS:
                    member.work.left_out(1)
                    return
            self._fail(session, error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device had no memory left: Python's own error, or Warp's and CUDA's RuntimeError that says so."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )


def prefer_this_thread(niceness: int) -> None:
    """Lets the calling thread run before those that can wait (Linux: niceness is per thread; root or CAP_SYS_NICE only)."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
