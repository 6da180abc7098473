"""What a session asks of a net that it shares with others, and in which sizes so many frames are drawn. Sans-IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from origin.batch.batcher import BATCH

LONGEST_S: Final = 0.020
"""Half a frame: a batch that takes longer makes those who are in it late."""
_DOUBT: Final = 1.2
"""So much dearer a larger size is taken to be than it was measured: who shares a batch waits for the others, and measurements differ."""


class SharedNet(Protocol):
    """Draws for several sessions at once. Who asks the very same object may share a batch; `draw` from any thread."""

    @property
    def most(self) -> int:
        """Frames of a batch; 1 where a batch is no quicker than one by one."""
        ...

    @property
    def lanes(self) -> int:
        """Batches that it draws at the same time."""
        ...

    def draw(self, asked: Sequence[Any]) -> Any:
        """A sequence of answers, one to each, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """What `net` is to draw before a picture is done; `finish` makes the picture of the answer, in any thread, before the session
    draws its next one.
    """

    net: SharedNet
    content: Any
    finish: Callable[[Any], Any]


class Sizes:
    """The sizes that a device draws in, by what a batch of each was measured to cost (size -> seconds)."""

    def __init__(self, costs: Mapping[int, float]) -> None:
        if not costs or min(costs) < 1 or min(costs.values()) <= 0:
            raise ValueError(f"batches that cost {dict(costs)} cannot be")
        least = min(costs)
        doubted = {size: cost * (_DOUBT if size > least else 1.0) for size, cost in costs.items()}
        self._parts: list[tuple[int, ...]] = [(), (least,)]
        """How n frames are drawn. One alone always in the same size, so that films are the same whatever was measured."""
        whole = [0.0, doubted[least]]
        for n in range(2, max(BATCH, *costs) + 1):
            cost, size = min((doubted[size] + whole[max(0, n - size)], -size) for size in costs)
            whole.append(cost)
            self._parts.append((-size, *self._parts[max(0, n + size)]))
        fitting = [n for n in range(1, len(whole)) if n == 1 or whole[n] <= LONGEST_S]
        self.most = min(fitting, key=lambda n: (whole[n] / n, n))
        self.cost_s = sum(costs[size] for size in self._parts[self.most]) / self.most
        """Of a frame, in a batch of `most`."""

    def parts(self, frames: int) -> list[int]:
        """The batches in which so many frames are drawn; the last may have places that nobody takes."""
        largest = len(self._parts) - 1
        found: list[int] = []
        while frames > largest:
            found.append(self._parts[largest][0])
            frames -= found[-1]
        return found + list(self._parts[frames])
