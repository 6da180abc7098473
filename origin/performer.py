"""One avatar's performance, sans-IO: speech goes in, each tick of 40 ms gives the sound and the pose that belong together.

The same performer runs live (stage.py) and into a file (film.py): its only time is the sample counter. A tick is frame k:
1920 samples and the pose at the middle of them. Lips and sound share the marks of the speech as it was placed, so nothing
can shift them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from origin.avatar import Animator, Pose, Presence
from origin.clock import FRAME_SAMPLES
from origin.faces import Reach
from origin.speech_buffer import BufferSettings, BufferState, Placed, SpeechBuffer
from speech.voice import Pcm, Speech


@dataclass(frozen=True, slots=True)
class Caption:
    """A clause that begins to be heard: from `start` to `end` on the sample counter."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Frame `frame`: `pcm` (1920 samples), the pose that is seen with it, and what began."""

    frame: int
    pcm: Pcm
    pose: Pose
    state: BufferState
    placed: list[Placed] = field(default_factory=list)
    captions: list[Caption] = field(default_factory=list)
    underrun: bool = False
    sound: Pcm = field(default_factory=lambda: np.zeros(0, np.float32))
    """What the face hears: the sound of its reach."""


_BUSY = (Presence.SPEAKING, Presence.THINKING)


class Performer:
    """Speech in, ticks out. Not thread-safe; times are samples. `reach`: the sound that the face hears round each frame."""

    def __init__(self, seed: int, settings: BufferSettings | None = None, reach: Reach | None = None) -> None:
        self._reach = reach or Reach()
        self._past: Pcm = np.zeros(self._reach.before, np.float32)
        self.animator = Animator(seed)
        self.buffer = SpeechBuffer(settings)
        self._resting = Presence.IDLE
        self._captions: list[Caption] = []
        self._pose = self.animator.pose(FRAME_SAMPLES // 2)

    @property
    def frame(self) -> int:
        """The next frame."""
        return self.buffer.position // FRAME_SAMPLES

    @property
    def silent(self) -> bool:
        """Whether nothing is being said or waits to be."""
        return self.buffer.state is BufferState.IDLE

    def begin(self, epoch: int) -> None:
        """A line begins: the person thinks until its speech comes."""
        self.buffer.begin(epoch)
        if self.buffer.level == 0:
            self._present(Presence.THINKING)

    def push(self, speech: Speech, epoch: int, hold: int = 0) -> bool:
        """More speech of the line; False when it was interrupted meanwhile. `hold` as in SpeechBuffer.push."""
        return self.buffer.push(speech, epoch, hold)

    def end(self, epoch: int) -> None:
        """The line is complete."""
        self.buffer.end(epoch)

    def interrupt(self, epoch: int) -> str:
        """Stops speaking at once. Returns what was heard of the line."""
        heard = self.buffer.cut(epoch)
        self._captions.clear()
        self.animator.cut(self.buffer.position)
        self._present(self._resting)
        return heard

    def rest_as(self, presence: Presence) -> None:
        """How the person is when nothing is said: idle, or listening."""
        if presence is not self._resting:
            self._resting = presence
            if self.silent:
                self._present(presence)

    def tick(self, *, seen: bool = True) -> Tick:
        """The next frame. Its pose is that of the last one that was `seen` if this one is not."""
        frame, start = self.frame, self.buffer.position
        block = self.buffer.read(FRAME_SAMPLES)
        for p in block.placed:
            self.animator.speak(p.speech.marks, p.at, p.speech.stress, p.speech.weight)
            if p.speech.words:
                self._captions.append(Caption(p.speech.text, p.at, p.end))
        if block.placed and self.animator.presence is not Presence.SPEAKING:
            self.animator.state(Presence.SPEAKING, start)
        elif block.state is BufferState.IDLE and self.animator.presence in _BUSY:
            self.animator.state(self._resting, start)
        begun = [c for c in self._captions if c.start < self.buffer.position]
        self._captions = [c for c in self._captions if c.start >= self.buffer.position]
        if seen:
            self._pose = self.animator.pose(start + FRAME_SAMPLES // 2)
        return Tick(
            frame=frame,
            pcm=block.pcm,
            pose=self._pose,
            state=block.state,
            placed=block.placed,
            captions=begun,
            underrun=block.underrun,
            sound=self._sound(block.pcm),
        )

    def _sound(self, pcm: Pcm) -> Pcm:
        """The sound of the reach of the frame that is heard as `pcm`: what comes is known as far as it has its place."""
        before, after = self._reach.before, self._reach.after
        if not before and not after:
            return self._past
        known = np.concatenate([self._past, pcm, self.buffer.peek(max(0, after - FRAME_SAMPLES))])
        self._past = known[FRAME_SAMPLES : FRAME_SAMPLES + before]
        return known[: before + after]

    def _present(self, presence: Presence) -> None:
        if self.animator.presence is not presence:
            self.animator.state(presence, self.buffer.position)
