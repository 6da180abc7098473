"""Renderer and animator: CPU milliseconds a frame of a talking, swaying, blinking person.

    python bench/avatar_render.py [--frames 200] [--full-frames 3]

CPU time of the drawing thread, so that other work on the machine disturbs little; the least of five runs is printed beside the median.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from origin.avatar import Animator, Pose, Presence, VisemeMark
from origin.avatar.full import FullTier
from origin.avatar.light import STEPS, LightTier
from origin.avatar.person import load
from origin.avatar.renderer import Renderer

FRAME = 1920
BUDGET_MS = 40.0
RUNS = 5


def talk(frames: int) -> list[Pose]:
    """Poses of someone who talks without a pause."""
    animator = Animator(5)
    sounds = ["PP", "aa", "SS", "E", "nn", "O", "FF", "I", "DD", "aa", "kk", "U", "CH", "RR"]
    marks = [VisemeMark(k * 4000, (k + 1) * 4000, sounds[k % len(sounds)]) for k in range(frames // 2 + 1)]
    animator.state(Presence.SPEAKING, 0)
    animator.speak(marks, 0, [k * 26_000 for k in range(frames // 13)])
    return [animator.pose(FRAME * k).clamped() for k in range(frames)]


def timed(renderer: Renderer, poses: list[Pose]) -> list[float]:
    """CPU milliseconds of each frame."""
    spent = []
    for pose in poses:
        start = time.process_time()
        renderer.render(pose)
        spent.append((time.process_time() - start) * 1000)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--full-frames", type=int, default=3)
    arguments = parser.parse_args()
    avatar = load("ava")
    poses = talk(arguments.frames)

    animator = Animator(5)
    start = time.process_time()
    for k in range(arguments.frames):
        animator.pose(FRAME * k)
    pose_us = (time.process_time() - start) / arguments.frames * 1e6
    print(
        f"avatar animator: {pose_us:.0f} us a pose (vs frame budget {BUDGET_MS:.0f} ms: {pose_us / BUDGET_MS / 10:.2f} %)"
    )

    full = FullTier(avatar, 854, 480, 1, shadow_taps=12)
    full.picture(poses[0])
    spent = []
    for pose in poses[: arguments.full_frames]:
        start = time.process_time()
        full.picture(pose)
        spent.append((time.process_time() - start) * 1000)
    whole = statistics.median(spent)
    print(
        f"avatar full tier, 1 sample: {whole:.0f} ms a frame (vs frame budget {BUDGET_MS:.0f} ms: {whole / BUDGET_MS:.2f})"
    )

    renderer = Renderer(avatar)
    start = time.perf_counter()
    renderer.warm()
    print(f"avatar warm start: {time.perf_counter() - start:.2f} s (vs cold kernels, compiled once: several)")
    runs = [timed(renderer, poses) for _ in range(RUNS)]
    medians = [statistics.median(run) for run in runs]
    best, typical = min(medians), statistics.median(medians)
    worst = float(np.percentile(np.concatenate(runs), 95))
    print(
        f"avatar light tier: {best:.1f} ms a frame, least of {RUNS} runs (vs full at 1 sample: {whole / best:.1f} x)"
    )
    print(
        f"avatar light tier: {typical:.1f} ms median, {worst:.1f} ms p95 (vs budget: {typical / BUDGET_MS:.2f})"
    )
    tier = LightTier(avatar, 854, 480)
    tier.warm(lambda step, done: None)
    parts: dict[str, list[float]] = {step: [] for step in STEPS}
    for pose in poses:
        for step in STEPS:
            start = time.thread_time()
            tier.step(step, pose)
            parts[step].append((time.thread_time() - start) * 1000)
    for step, values in parts.items():
        cost = statistics.median(values)
        print(f"avatar light tier, {step}: {cost:.2f} ms (vs frame: {cost / typical * 100:.0f} %)")


if __name__ == "__main__":
    main()
