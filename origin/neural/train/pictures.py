"""The pictures that a net learns from: a loop of the person at rest, and the same moments with mouths that speak.

All by the full tier at 2x2 samples. A pair is (frame of the loop, mouth units) -> what is in that frame's box; the loop's frame itself is
what the net sees at run time. Lines that are held out are whole lines, spoken by the light voice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.animator import Animator, Presence
from origin.avatar.articulation import REST, SHAPES
from origin.avatar.faceunits import UNIT
from origin.avatar.full import FullTier
from origin.avatar.person import load
from origin.avatar.pose import Pose
from origin.clock import FRAME_SAMPLES
from origin.neural.units import MOUTH_INDEX
from speech.voice import Voice

SIDE: Final = 128
"""Pixels of the box, at 854x480: from under the nose to below an open jaw."""
ABOVE: Final = 52
"""Of them above the lips' middle."""
WIDTH: Final = 854
HEIGHT: Final = 480

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Report = Callable[[str, int, int], None]

LEARNT: Final = (
    "Good morning, and welcome. We have much to show you, so let us begin with the very first thing that people ask.",
    "Every avatar in this house speaks with its own voice, thinks before it answers, and moves its mouth as people do.",
    "Five brown foxes jumped over the big wooden fence, while both of my brothers watched from the old blue boat.",
    "Whoever chose this shape of bowl should show us how to put the soup, the bread and the judge's thumb into it.",
    "My mother makes wonderful apple pie; perhaps you would have a piece, or a small cup of tea with milk?",
    "The weather will be cloudy at noon, with a chance of rain over the hills, and a fresh wind from the north-west.",
    "You can ask me about the price, the people, the place, or anything else that you have been wondering about.",
    "She sells sea shells by the shore, he thought; these things are thin, those clothes are thick, and both feel smooth.",
)
HELD_OUT: Final = (
    "Peter and Emma bought five fresh fish by the old harbour, before the evening boat came home.",
    "What a beautiful view! I could watch those waves for hours, thinking of nothing much at all.",
)


@dataclass(frozen=True, slots=True)
class Loop:
    """n moments at rest: poses, display colours of the whole picture (n, HEIGHT, WIDTH, 3), boxes (n, 4) x y w h, all even."""

    poses: tuple[Pose, ...]
    pictures: Bytes
    boxes: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pairs:
    """m examples: `frame` (m,) of the loop, `units` (m, 31), `target` (m, SIDE, SIDE, 3) RGB."""

    frame: NDArray[np.int32]
    units: Floats
    target: Bytes


def resting(frames: int, seed: int) -> tuple[Pose, ...]:
    """Poses of somebody who is about to speak: alive, but the mouth rests."""
    animator = Animator(seed)
    animator.state(Presence.SPEAKING, 0)
    first = 50 * FRAME_SAMPLES
    return tuple(animator.pose(first + k * FRAME_SAMPLES + FRAME_SAMPLES // 2) for k in range(frames))


def boxes(person: str, poses: Sequence[Pose]) -> NDArray[np.int32]:
    """Where the mouth is in each pose."""
    avatar = load(person)
    full = FullTier(avatar, WIDTH, HEIGHT, 1, region=(0, 0, 16, 16))
    vertex = np.repeat(np.arange(len(avatar.units.start) - 1), np.diff(avatar.units.start))
    reach = np.linalg.norm(avatar.units.offset, axis=1) * (avatar.units.unit == UNIT["mouthPucker"])
    lips = np.unique(vertex[reach > 0.6 * reach.max()])
    found = []
    for pose in poses:
        full.pose(pose)
        x, y = full.positions()[2][lips, :2].mean(0)
        found.append((round((x - SIDE / 2) / 2) * 2, round((y - ABOVE) / 2) * 2, SIDE, SIDE))
    return np.array(found, np.int32)


def loop(person: str, frames: int, report: Report, seed: int = 7) -> Loop:
    """The loop of a person."""
    poses = resting(frames, seed)
    full = FullTier(load(person), WIDTH, HEIGHT, 2)
    pictures = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    for k, pose in enumerate(poses):
        pictures[k] = shown(full.picture(pose))
        report("Drawing the loop", k + 1, frames)
    return Loop(poses, pictures, boxes(person, poses))


def shown(colours: Floats) -> Bytes:
    """Display colours 0-1 as bytes."""
    return np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def speaking(lines: Sequence[str], seed: int, voice: Voice) -> Floats:
    """Mouth units (m, 31) of the frames in which these lines are spoken."""
    rows = []
    for line in lines:
        speech = voice.synthesise(line)
        animator = Animator(seed)
        animator.state(Presence.SPEAKING, -48_000)
        animator.speak(speech.marks, 0)
        for at in range(FRAME_SAMPLES // 2, speech.pcm.size, FRAME_SAMPLES):
            rows.append(animator.pose(at).weights[MOUTH_INDEX])
    return np.array(rows, np.float32)


def varied(spoken: Floats, count: int, chance: np.random.Generator) -> Floats:
    """`count` mouths: most as they are in speech, some between two of them, some single shapes, stronger or weaker."""
    shapes = np.array([shape[MOUTH_INDEX] for shape in SHAPES.values()], np.float32)
    rest = REST[MOUTH_INDEX]
    out = np.zeros((count, spoken.shape[1]), np.float32)
    for k in range(count):
        kind = chance.random()
        if kind < 0.6:
            units = spoken[chance.integers(len(spoken))]
        elif kind < 0.8:
            share = chance.random()
            one, other = spoken[chance.integers(len(spoken), size=2)]
            units = rest + (share * one + (1 - share) * other - rest) * chance.uniform(0.8, 1.25)
        else:
            units = rest + (shapes[chance.integers(len(shapes))] - rest) * chance.uniform(0.3, 1.1)
        out[k] = np.clip(units, 0, 1)
    return out


def pairs(person: str, at: Loop, frame: NDArray[np.int32], units: Floats, report: Report) -> Pairs:
    """Draws what is in the box when `frame` of the loop has the mouth `units`."""
    low, high = at.boxes[:, :2].min(0), (at.boxes[:, :2] + at.boxes[:, 2:]).max(0)
    region = (int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    full = FullTier(load(person), WIDTH, HEIGHT, 2, region=region)
    target = np.zeros((len(frame), SIDE, SIDE, 3), np.uint8)
    for k, (number, row) in enumerate(zip(frame, units, strict=True)):
        pose = at.poses[number]
        weights = pose.weights.copy()
        weights[MOUTH_INDEX] = row
        x, y = at.boxes[number, :2] - low
        target[k] = shown(full.picture(replace(pose, weights=weights)))[y : y + SIDE, x : x + SIDE]
        report("Drawing mouths", k + 1, len(frame))
    return Pairs(frame, units, target)
