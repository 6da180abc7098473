"""When in the frame's 40 ms each session ticks: groups of one batch's size share an instant, and the groups are spread evenly.

Sessions of a group come together, so their batch is full without waiting; groups come one after the other, so batches do not queue.
A session keeps its phase for life (its clock is never set again), so a new group goes into the middle of the widest gap. Those who
share a net are groups of their own, of that net's size. Sans-IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class _Group:
    kind: object
    size: int
    members: set[int] = field(default_factory=set)


class Stagger:
    """Phases in a period, both in ns."""

    def __init__(self, period_ns: int, group: int) -> None:
        self._period_ns, self._group = period_ns, group
        self._groups: dict[int, _Group] = {}

    def admit(self, session: int, kind: object = None, size: int | None = None) -> int:
        """The phase of a new session: that of the fullest group of its kind that has room, or of a new group of `size`."""
        open_groups = [
            phase
            for phase, group in self._groups.items()
            if group.kind == kind and len(group.members) < group.size
        ]
        if open_groups:
            phase = max(open_groups, key=lambda p: (len(self._groups[p].members), -p))
        else:
            phase = self._middle_of_widest_gap()
        self._groups.setdefault(phase, _Group(kind, size or self._group)).members.add(session)
        return phase

    def remove(self, session: int) -> None:
        """A session has ended."""
        for phase, group in list(self._groups.items()):
            group.members.discard(session)
            if not group.members:
                del self._groups[phase]

    @property
    def phases(self) -> dict[int, frozenset[int]]:
        """The groups by phase."""
        return {phase: frozenset(group.members) for phase, group in sorted(self._groups.items())}

    def _middle_of_widest_gap(self) -> int:
        taken = sorted(self._groups)
        if not taken:
            return 0
        following = [*taken[1:], taken[0] + self._period_ns]
        gap, start = max((b - a, -a) for a, b in zip(taken, following, strict=True))
        return (-start + gap // 2) % self._period_ns
