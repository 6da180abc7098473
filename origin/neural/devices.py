"""Which device draws for a session: what each one's sessions take of it, by prediction. A CPU is shared with all else that this node
does, so what fits on it is the crew's business (origin/batch/budget.py); a GPU takes so many sessions as it has time for. Sans-IO.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from origin.batch.budget import FULL


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """A session's part of a device."""

    device: str
    share: float


class Devices:
    """The loads of this machine's devices. Thread-safe."""

    def __init__(self) -> None:
        self._held: dict[str, set[Hold]] = {}
        self._lock = threading.RLock()

    def load(self, device: str) -> float:
        """Part of the device that its sessions take when all speak."""
        with self._lock:
            held = self._held.get(device, set()).copy()  # faces that are collected meanwhile take theirs out
            return sum(hold.share for hold in held)

    def choose(self, names: Sequence[str], open_at: Mapping[str, float]) -> str:
        """For one more session of a package that is open on some devices (with the share that a session takes there): the one of those
        with the most room, as batches fill there, else the least loaded of all.
        """
        with self._lock:
            fitting = [name for name in names if name in open_at and self._fits(name, open_at[name])]
            return min(fitting or names, key=self.load)

    def hold(self, device: str, share: float) -> Hold | None:
        """Takes a part of a device; None when it has no such part left. The first session always fits."""
        with self._lock:
            if not self._fits(device, share):
                return None
            hold = Hold(device, share)
            self._held.setdefault(device, set()).add(hold)
            return hold

    def release(self, hold: Hold) -> None:
        """A session ended."""
        with self._lock:
            self._held.get(hold.device, set()).discard(hold)

    def _fits(self, device: str, share: float) -> bool:
        return device == "cpu" or not self._held.get(device) or self.load(device) + share <= FULL


DEVICES: Final = Devices()
"""This machine's, for all packages of the process."""
