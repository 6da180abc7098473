"""When in the frame's 40 ms each session ticks: groups of one batch's size share an instant, and the groups are spread evenly.

Sessions of a group come together, so their batch is full without waiting; groups come one after the other, so batches do not queue.
A session keeps its phase for life (its clock is never set again), so a new group goes into the middle of the widest gap. Sans-IO.
"""

from __future__ import annotations


class Stagger:
    """Phases in a period, both in ns."""

    def __init__(self, period_ns: int, group: int) -> None:
        self._period_ns, self._group = period_ns, group
        self._groups: dict[int, set[int]] = {}

    def admit(self, session: int) -> int:
        """The phase of a new session: that of the fullest group that has room, or of a new group."""
        open_groups = [phase for phase, members in self._groups.items() if len(members) < self._group]
        if open_groups:
            phase = max(open_groups, key=lambda p: (len(self._groups[p]), -p))
        else:
            phase = self._middle_of_widest_gap()
        self._groups.setdefault(phase, set()).add(session)
        return phase

    def remove(self, session: int) -> None:
        """A session has ended."""
        for phase, members in list(self._groups.items()):
            members.discard(session)
            if not members:
                del self._groups[phase]

    @property
    def phases(self) -> dict[int, frozenset[int]]:
        """The groups by phase."""
        return {phase: frozenset(members) for phase, members in sorted(self._groups.items())}

    def _middle_of_widest_gap(self) -> int:
        taken = sorted(self._groups)
        if not taken:
            return 0
        following = [*taken[1:], taken[0] + self._period_ns]
        gap, start = max((b - a, -a) for a, b in zip(taken, following, strict=True))
        return (-start + gap // 2) % self._period_ns
