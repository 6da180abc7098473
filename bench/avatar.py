"""How many avatars this machine carries: `make bench-avatar ARGS="--sessions 4 --seconds 20"`, `--most` searches the limit; with
`--face ava-net`, what it is worth that sessions of a package share its net, and that the net draws them in batches.

Real stages in one process: performer, renderer, x264, Opus, into an output that notes when each packet comes. Their speech is made
beforehand and pushed clause by clause as fast as a voice with `VOICE_RATIO` seconds of work per second of speech would, so that the
figures are the stages' own. First each part alone in one thread, then all together, talking; then as many that rest.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from origin.avatar import Animator, Presence
from origin.batch import Crew
from origin.batch.crew import LATE_NS
from origin.batch.shared import Sizes
from origin.clock import FRAME_RATE, FRAME_SAMPLES, PACKET_SAMPLES
from origin.encoder import AudioEncoder, VideoEncoder
from origin.faces import Face, open_package, open_renderer
from origin.neural.patch import PatchFace
from origin.packages import library
from origin.stage import Renderer, Stage
from speech.chunks import chunks
from speech.piper import Piper
from speech.voice import Speech

CORES: Final = os.cpu_count() or 1
LIMIT_MS: Final = 300.0
MOST_UNDERRUNS: Final = 3.0
LEAST_SENT: Final = 0.95
"""Part of the frames that must be sent for a number of sessions to count as carried: late ones are left out, not queued."""
VOICE_RATIO: Final = 0.3
FRAME_MS: Final = 1000 / FRAME_RATE
SETTLE_S: Final = 1.0
LINES: Final = (
    "Hello! I'm Ava, nice to meet you.",
    "You type, I think of an answer, and a voice turns it into sound.",
    "Good question. The relay hands a copy to each viewer near it, and nobody waits for anybody else.",
    "Once upon a time, there was a little packet who was afraid of getting lost.",
)


@dataclass
class Arrivals:
    """An output that notes when the sound and the picture of each frame came."""

    sound: dict[int, float] = field(default_factory=dict)
    picture: dict[int, float] = field(default_factory=dict)
    video_bytes: int = 0

    def video(self, access_unit: bytes, rtp_time: int, key_frame: bool) -> None:
        self.picture[rtp_time // 3600] = time.perf_counter()
        self.video_bytes += len(access_unit)

    def audio(self, packet: bytes, rtp_time: int) -> None:
        if rtp_time % FRAME_SAMPLES == 0:
            self.sound[rtp_time // FRAME_SAMPLES] = time.perf_counter()

    def behind_ms(self) -> list[float]:
        """How long after its sound each picture came."""
        return [(at - self.sound[k]) * 1000 for k, at in self.picture.items() if k in self.sound]


class Talk:
    """Pushes lines into a stage: talks a share `duty` of the time. `poll` does what is due and says when the next thing is."""

    def __init__(self, stage: Stage, lines: Sequence[Sequence[Speech]], duty: float, begin_s: float) -> None:
        self._stage, self._lines, self._duty = stage, itertools.cycle(lines), duty
        self._epoch, self._clauses, self.due_s = 0, iter(()), begin_s
        self._spoken_s, self._began_s = 0.0, begin_s

    def poll(self, now_s: float) -> None:
        clause: Speech | None = next(self._clauses, None)
        if clause is None:
            self._stage.end(self._epoch)
            line = next(self._lines)
            self._epoch += 1
            self._stage.begin(self._epoch)
            self._clauses = iter(line)
            clause = next(self._clauses)
            self._spoken_s, self._began_s = 0.0, now_s
        self._stage.push(clause, self._epoch)
        self._spoken_s += clause.duration_s
        made_s = now_s + VOICE_RATIO * clause.duration_s
        left = self._clauses.__length_hint__()  # type: ignore[attr-defined]
        self.due_s = made_s if left else max(made_s, self._began_s + self._spoken_s / self._duty + 0.3)
        if not left:
            self._stage.end(self._epoch)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run measured. Times in ms; CPU in cores; memory in MB."""

    sessions: int
    to_packet: list[float]
    behind: list[float]
    sent: int
    left_out: int
    underruns: int
    cores: float
    memory_mb: float
    kbps: float
    took_s: float
    level: int
    cost_ms: float

    @property
    def whole(self) -> float:
        """Part of the frames that were sent."""
        return self.sent / max(1, self.sent + self.left_out)

    @property
    def carried(self) -> bool:
        """Whether the machine carries so many: p95, underruns and frames within the goals."""
        late = bool(self.to_packet) and percentile(self.to_packet, 95) >= LIMIT_MS
        return not late and self.underruns / self.sessions < MOST_UNDERRUNS and self.whole >= LEAST_SENT


def percentile(values: Sequence[float], part: float) -> float:
    return float(np.percentile(values, part)) if values else float("nan")


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def line(name: str, value: float, unit: str, versus: str, ratio: float) -> None:
    print(f"{name}: {value:.3g} {unit} (vs {versus}: {ratio:.2f})", flush=True)


def speak() -> list[list[Speech]]:
    """Each line as its clauses."""
    voice = Piper()
    return [[voice.synthesise(clause) for clause in chunks(text)] for text in LINES]


def parts(renderer: Renderer, lines: Sequence[Sequence[Speech]]) -> float:
    """CPU ms of each part of a frame, alone in this thread; their sum."""
    speech = lines[1][0]
    animator = Animator(5)
    animator.state(Presence.SPEAKING, 0)
    animator.speak(speech.marks, 0, speech.stress)
    video, audio = VideoEncoder(), AudioEncoder()
    frames = min(100, speech.pcm.size // FRAME_SAMPLES)
    spent: dict[str, list[float]] = {"pose": [], "draw": [], "encode": [], "Opus": []}

    def timed(name: str, work: Callable[[], object]) -> object:
        start = time.thread_time()
        result = work()
        spent[name].append((time.thread_time() - start) * 1000)
        return result

    for k in range(frames):
        at = k * FRAME_SAMPLES
        pose = timed("pose", lambda at=at: animator.pose(at + FRAME_SAMPLES // 2))  # type: ignore[misc]
        picture = timed("draw", lambda pose=pose: renderer.render(pose))  # type: ignore[misc]
        timed("encode", lambda picture=picture, k=k: video.encode(picture, k))  # type: ignore[misc]
        pcm = speech.pcm[at : at + FRAME_SAMPLES]
        timed(
            "Opus",
            lambda pcm=pcm, at=at: (  # type: ignore[misc]
                audio.encode(pcm[:PACKET_SAMPLES], at),
                audio.encode(pcm[PACKET_SAMPLES:], at + PACKET_SAMPLES),
            ),
        )
    whole = sum(statistics.mean(v) for v in spent.values())
    for name, values in spent.items():
        cost = statistics.mean(values)
        line(f"a frame alone, {name}", cost, "ms", "its 40 ms", cost / FRAME_MS)
    line("a frame alone, all", whole, "ms", "its 40 ms", whole / FRAME_MS)
    return whole


class House:
    """So many stages, opened once and used for the runs. Renderers are kept, as they take seconds to make."""

    def __init__(self, opened: Callable[[], Renderer | Face]) -> None:
        self._opened = opened
        self.renderers: list[Renderer | Face] = []

    def renderer(self, index: int) -> Renderer | Face:
        while len(self.renderers) <= index:
            self.renderers.append(self._opened())
        return self.renderers[index]

    def run(
        self, sessions: int, seconds: float, lines: Sequence[Sequence[Speech]], duty: float, *, watched: bool
    ) -> Figures:
        """`sessions` stages for `seconds`; `duty` 0: all of them rest."""
        before_mb = resident_mb()
        outputs = [Arrivals() for _ in range(sessions)]
        clock = _Ahead(0 if watched else 3600)
        crew = Crew(clock_ns=clock.now_ns)
        stages = [
            Stage(f"bench-{k}", self.renderer(k), outputs[k], seed=k + 1, crew=crew, clock_ns=clock.now_ns)
            for k in range(sessions)
        ]
        for stage in stages:
            stage.watched(watched)
        clock.leap()
        for stage in stages:
            stage.start()
        time.sleep(SETTLE_S)
        sent, left_out = sum(s.frames_sent for s in stages), sum(s.frames_left_out for s in stages)
        video = sum(o.video_bytes for o in outputs)
        cpu, began = time.process_time(), time.perf_counter()
        if duty:
            self._drive(stages, lines, duty, seconds)
        else:
            time.sleep(seconds)
        took = time.perf_counter() - began
        cores = (time.process_time() - cpu) / took
        memory = (resident_mb() - before_mb) / sessions
        level = crew.level
        for stage in stages:
            stage.close()
        crew.close()
        return Figures(
            sessions=sessions,
            to_packet=[ms * 1000 for s in stages for ms in s.latencies_s],
            behind=[b for o in outputs for b in o.behind_ms()],
            sent=sum(s.frames_sent for s in stages) - sent,
            left_out=sum(s.frames_left_out for s in stages) - left_out,
            underruns=sum(s.underruns for s in stages),
            cores=cores,
            memory_mb=memory,
            kbps=(sum(o.video_bytes for o in outputs) - video) * 8 / took / sessions / 1000,
            took_s=took,
            level=level,
            cost_ms=(crew.budget.cost_s or 0.0) * 1000,
        )

    def _drive(
        self, stages: Sequence[Stage], lines: Sequence[Sequence[Speech]], duty: float, seconds: float
    ) -> None:
        now = time.perf_counter()
        longest = max(sum(c.duration_s for c in one) for one in lines)
        talks = [
            Talk(
                s,
                [*lines[k % len(lines) :], *lines[: k % len(lines)]],
                duty,
                now + longest * k / len(stages) / 4,
            )
            for k, s in enumerate(stages)
        ]
        due = [(t.due_s, k) for k, t in enumerate(talks)]
        heapq.heapify(due)
        while due[0][0] < now + seconds:
            at, k = heapq.heappop(due)
            time.sleep(max(0.0, at - time.perf_counter()))
            talks[k].poll(time.perf_counter())
            heapq.heappush(due, (talks[k].due_s, k))
        time.sleep(max(0.0, now + seconds - time.perf_counter()))


class _Ahead:
    """The monotonic clock, which leaps `seconds` once: what takes a while of nobody watching has happened then."""

    def __init__(self, seconds: int) -> None:
        self._leap, self._offset = seconds, 0

    def leap(self) -> None:
        self._offset = self._leap * 10**9

    def now_ns(self) -> int:
        return time.monotonic_ns() + self._offset


def tell(figures: Figures, what: str, alone_ms: float) -> None:
    """Prints a run."""
    n, f = figures.sessions, figures
    due = FRAME_RATE * f.took_s * n
    if f.to_packet:
        for part in (50, 95, 99):
            value = percentile(f.to_packet, part)
            line(
                f"{what}: speech to packet p{part} of {len(f.to_packet)}",
                value,
                "ms",
                "300 ms",
                value / LIMIT_MS,
            )
        line(f"{what}: underruns a session", f.underruns / n, "", "3", f.underruns / n / MOST_UNDERRUNS)
    line(
        f"{what}: frames sent",
        f.sent / f.took_s / n,
        "1/s",
        f"25; {f.left_out} left out of {due:.0f}",
        f.sent / due,
    )
    line(
        f"{what}: picture after its sound p50",
        percentile(f.behind, 50),
        "ms",
        "a frame",
        percentile(f.behind, 50) / 40,
    )
    line(f"{what}: the same, p95", percentile(f.behind, 95), "ms", "a frame", percentile(f.behind, 95) / 40)
    line(f"{what}: occupancy of all cores", f.cores / CORES * 100, "%", "all", f.cores / CORES)
    line(f"{what}: CPU a session", f.cores / n, "cores", "one core", f.cores / n)
    if f.sent:
        each = f.cores * f.took_s * 1000 / f.sent
        line(f"{what}: CPU a frame sent", each, "ms", "parts alone", each / alone_ms)
    line(f"{what}: a frame by the crew's budget", f.cost_ms, "ms", "its 40 ms", f.cost_ms / FRAME_MS)
    line(f"{what}: steps of quality given up at the end", f.level, "", "none", f.level)
    line(f"{what}: video a session", f.kbps, "kbit/s", "1200 kbit/s", f.kbps / 1200)
    line(f"{what}: memory a session", f.memory_mb, "MB", "100 MB", f.memory_mb / 100)


def most(house: House, lines: Sequence[Sequence[Speech]], duty: float, seconds: float) -> int:
    """The most sessions that are carried: doubled until they are not, then halved in between."""
    good, bad = 0, 0
    tried = CORES
    while tried != good:
        figures = house.run(tried, seconds, lines, duty, watched=True)
        verdict = "carried" if figures.carried else "too many"
        print(
            f"  {tried} sessions: p95 {percentile(figures.to_packet, 95):.0f} ms, {figures.underruns} underruns,"
            f" {figures.whole:.0%} of frames, {figures.cores:.2f} cores: {verdict}",
            flush=True,
        )
        good, bad = (tried, bad) if figures.carried else (good, tried)
        tried = (good + bad) // 2 if bad else good * 2
    return good


def shared(face: str, seconds: float, duty: float) -> None:
    """A package's sessions: in batches against one by one (the same stages, in turn, twice), and one net for all against one each."""
    folder = library.find(face, None)
    if folder is None:
        raise SystemExit(f"there is no package {face!r} here: avacast avatar list")
    shared_mb = _memory(folder, 4, own=False)
    own_mb = _memory(folder, 4, own=True)
    line(
        "memory of each of 4 sessions that share a net",
        shared_mb,
        "MB",
        f"own nets, {own_mb:.0f} MB",
        shared_mb / own_mb,
    )
    house = House(lambda: open_package(folder))
    first = house.renderer(0)
    if not isinstance(first, PatchFace):
        raise SystemExit(f"{face} has no net that sessions share")
    artist = first.net
    measured = artist.sizes
    told = f"{measured.cost_s * 1000:.1f} ms a frame in a batch of {measured.most}"
    print(
        f"  measured when it was opened: {told}, by itself {'in batches' if measured.most > 1 else 'one by one'}"
    )
    wished: Mapping[str, Sizes] = {
        "one by one": Sizes({artist.models.batch or 1: 1.0}),
        "in batches": measured if measured.most > 1 else _always(artist.models.batch),
    }
    lines = speak()
    house.run(1, 1.0, lines, duty, watched=True)
    for sessions in (1, 4, 8):
        found: dict[str, list[Figures]] = {name: [] for name in wished}
        for name in (*wished, *reversed(wished)):
            artist.sizes = wished[name]
            found[name].append(house.run(sessions, seconds, lines, duty, watched=True))
        _compare(f"{sessions} of {face}", found["in batches"], found["one by one"])
    artist.sizes = measured


def _always(fixed: int | None) -> Sizes:
    """Sizes as if batches cost next to nothing more, so that they are drawn wherever they can be."""
    return Sizes({fixed: 1e-3} if fixed else {size: 1e-3 + size * 1e-5 for size in (1, 2, 4, 8)})


def _compare(what: str, batched: Sequence[Figures], single: Sequence[Figures]) -> None:
    def told(name: str, unit: str, figure: Callable[[Sequence[Figures]], float]) -> None:
        ours, theirs = figure(batched), figure(single)
        line(
            f"{what}, in batches: {name}",
            ours,
            unit,
            f"one by one, {theirs:.3g}",
            ours / theirs if theirs else 1.0,
        )

    told(
        "frames a CPU second",
        "1/s",
        lambda runs: sum(r.sent for r in runs) / sum(r.cores * r.took_s for r in runs),
    )
    told(
        "picture after its sound p95", "ms", lambda runs: percentile([b for r in runs for b in r.behind], 95)
    )
    told(
        "frames late or left out",
        "%",
        lambda runs: 100 * sum(map(_missed, runs)) / max(1, sum(r.sent + r.left_out for r in runs)),
    )


def _missed(run: Figures) -> int:
    return run.left_out + sum(ms * 1e6 > LATE_NS for ms in run.behind)


def _memory(folder: Path, sessions: int, *, own: bool) -> float:
    """MB that each of so many faces takes; `own`: each has a copy of the package, and so a net and a loop of its own."""
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / str(k) for k in range(sessions)] if own else [folder] * sessions
        for copy in folders if own else ():
            shutil.copytree(folder, copy)
        gc.collect()
        before_mb = resident_mb()
        faces = [open_package(one) for one in folders]
        taken_mb = (resident_mb() - before_mb) / len(faces)
        faces.clear()
        gc.collect()
        return taken_mb


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=2 * CORES, help="default: two a core")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--duty", type=float, default=0.8, help="share of the time in which each talks")
    parser.add_argument("--person", default="ava")
    parser.add_argument(
        "--face", help="a package: its net shared and in batches against alone, 1, 4 and 8 sessions"
    )
    parser.add_argument("--tier", choices=("light", "full"), default="light")
    parser.add_argument(
        "--most", action="store_true", help="search the most sessions that this machine carries"
    )
    options = parser.parse_args()
    if options.sessions < 1 or options.seconds <= 0 or not 0 < options.duty <= 1:
        parser.error("--sessions from 1, --seconds above 0, --duty above 0 to 1")
    if options.face:
        shared(options.face, options.seconds, options.duty)
        return
    house = House(lambda: open_renderer(options.person, tier=options.tier))
    lines = speak()
    first = house.renderer(0)
    assert not isinstance(first, Face), "a shipped person is drawn by a renderer"
    alone_ms = parts(first, lines)
    for k in range(options.sessions):
        house.renderer(k)
    n = options.sessions
    tell(house.run(n, options.seconds, lines, options.duty, watched=True), f"{n} talking", alone_ms)
    tell(house.run(n, options.seconds / 2, lines, 0, watched=True), f"{n} idle, watched", alone_ms)
    tell(house.run(n, options.seconds / 2, lines, 0, watched=False), f"{n} idle, nobody watches", alone_ms)
    if options.most:
        found = most(house, lines, options.duty, options.seconds)
        line("most talking sessions", found, "", f"2 a core, {CORES} cores", found / CORES / 2)


if __name__ == "__main__":
    main()
