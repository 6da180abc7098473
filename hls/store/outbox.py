"""What is to be put into the store, and when it is tried: in the order in which it came, a few at a time. After a failure one at a time,
ever more seldom, until one succeeds. No I/O and no clock."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass

from common.store.store import Body, Stream

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Item:
    """One object."""

    name: str
    body: Body
    content_type: str
    cache_control: str


class Outbox:
    """The queue. `parallel` items at most are on their way at once. Of two with one name the later one counts."""

    def __init__(self, parallel: int, seed: int | None = None) -> None:
        self.failures = 0
        """Attempts in a row that have failed."""
        self._parallel = parallel
        self._random = random.Random(seed)
        self._waiting: OrderedDict[str, Item] = OrderedDict()
        self._going: dict[str, Item] = {}
        self._not_before = float("-inf")

    def __len__(self) -> int:
        return len(self._waiting) + len(self._going)

    def add(self, item: Item) -> None:
        """Adds an item, in place of one with its name that waits."""
        self._waiting[item.name] = item

    def cancel(self, name: str) -> None:
        """Takes an item out, unless it is on its way."""
        self._waiting.pop(name, None)

    def cancel_below(self, prefix: str) -> None:
        """Takes all items out whose names begin with `prefix`, unless they are on their way."""
        for name in [one for one in self._waiting if one.startswith(prefix)]:
            del self._waiting[name]

    def take(self, now: float) -> Item | None:
        """The next item to put now; None when nothing is due. `now` in seconds of any clock."""
        if now < self._not_before or len(self._going) >= (1 if self.failures else self._parallel):
            return None
        for name, item in self._waiting.items():
            if name not in self._going:
                del self._waiting[name]
                self._going[name] = item
                return item
        return None

    def due_in(self, now: float) -> float | None:
        """Seconds until something may be due; None: only a change makes it so."""
        if not self._waiting or len(self._going) >= (1 if self.failures else self._parallel):
            return None
        return max(0.0, self._not_before - now)

    def done(self, item: Item) -> None:
        """The store has it."""
        self._going.pop(item.name, None)
        self.failures = 0
        self._not_before = float("-inf")

    def failed(self, item: Item, now: float) -> float:
        """It did not succeed: it comes first again, or last when it is made on the way, because then the fault may be its own. Returns for
        how many seconds nothing is tried."""
        self._going.pop(item.name, None)
        if item.name not in self._waiting:
            self._waiting[item.name] = item
            self._waiting.move_to_end(item.name, last=isinstance(item.body, Stream))
        self.failures += 1
        longest: float = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self.failures - 1, 16))
        # "Equal jitter": never at once again, and many packagers never at the same time.
        wait = longest / 2 + self._random.uniform(0, longest / 2)
        self._not_before = max(self._not_before, now + wait)
        return wait
