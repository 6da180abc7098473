"""The cheapest machines for a forecast of avatars, exactly: an integer programme, solved by HiGHS (branch and bound to a gap of zero).

    least    sum over hours t and kinds k of  hour_k n[k,t]  +  hour_k start_s_k / 3600  s[k,t]
    so that  sum_k streams_k n[k,t] >= demand_t                       every hour has its places
             s[k,t] >= n[k,t] - n[k,t-1],  n[k,-1] = 0                what is more than the hour before must start, and is paid meanwhile
             sum over spot kinds of streams_k n[k,t] <= share x demand_t        spot machines may be taken away at any time
             0 <= n[k,t] <= most_k,  n whole

A kind is a type of machine at its list price or at its spot price; both together are at most `most`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import highspy

from orchestrator.cost.prices import Machine

MOST_HOURS = 48
MOST_STREAMS = 100_000
_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Part:
    """Machines of one kind in one hour; `hour` is the price of one."""

    type: str
    spot: bool
    count: int
    streams: int
    hour: float


@dataclass(frozen=True, slots=True)
class Mix:
    """Machines hour by hour. `exact`: nothing is cheaper; else at most `gap` (a ratio) could be."""

    hours: tuple[tuple[Part, ...], ...]
    cost: float
    starts_cost: float
    exact: bool
    gap: float

    @property
    def stream_hour(self) -> float:
        """Cost of a stream for an hour, by the places that are paid for."""
        places = sum(part.count * part.streams for parts in self.hours for part in parts)
        return self.cost / places if places else 0.0


class NoMix(ValueError):
    """No machines carry the demand, or the solver could not tell in time; the text says which."""


def cheapest(
    machines: Sequence[Machine],
    demand: Sequence[int],
    *,
    spot: Mapping[str, float] | None = None,
    spot_share: float = 0.0,
) -> Mix:
    """The cheapest mix for `demand` streams hour by hour. `spot`: type -> price an hour. Raises NoMix. Blocks for up to 10 s."""
    _check(machines, demand, spot_share)
    spot = spot if spot and spot_share > 0 else {}
    kinds = [(one, False, one.hour) for one in machines]
    kinds += [(one, True, spot[one.type]) for one in machines if one.type in spot]
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    for name, value in (
        ("mip_rel_gap", 0.0),
        ("mip_abs_gap", 1e-7),
        ("time_limit", _LIMIT_S),
        ("threads", 1),
    ):
        solver.setOptionValue(name, value)
    counts: list[list[highspy.highs_var]] = []
    starts: list[list[highspy.highs_var]] = []
    for need in demand:
        counts.append(
            [
                solver.addIntegral(0, min(one.most, -(-need // one.streams)), obj=hour)
                for one, _, hour in kinds
            ]
        )
        starts.append(
            [solver.addVariable(0, one.most, obj=hour * one.start_s / 3600) for one, _, hour in kinds]
        )
    for at, need in enumerate(demand):
        here = list(zip(kinds, counts[at], strict=True))
        places = highspy.Highs.qsum([one.streams * count for (one, _, _), count in here])
        solver.addConstr(places >= need)
        for index, (count, start) in enumerate(zip(counts[at], starts[at], strict=True)):
            before = counts[at - 1][index] if at else 0
            solver.addConstr(start >= count - before)
        if spot:
            on_spot = [one.streams * count for (one, is_spot, _), count in here if is_spot]
            solver.addConstr(highspy.Highs.qsum(on_spot) <= spot_share * need)
            for machine in machines:
                of_type = [count for (one, _, _), count in here if one is machine]
                solver.addConstr(highspy.Highs.qsum(of_type) <= machine.most)
    solver.minimize()
    status = solver.getModelStatus()
    info = solver.getInfo()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    if status == highspy.HighsModelStatus.kInfeasible or not found:
        raise NoMix(
            f"all machines together do not carry {max(demand)} streams: raise `most` in the prices"
            if status == highspy.HighsModelStatus.kInfeasible
            else f"no mix was found within {_LIMIT_S:g} s: ask for fewer hours"
        )
    return _mix(
        solver, kinds, counts, exact=status == highspy.HighsModelStatus.kOptimal, gap=float(info.mip_gap)
    )


def _mix(
    solver: highspy.Highs,
    kinds: Sequence[tuple[Machine, bool, float]],
    counts: Sequence[Sequence[highspy.highs_var]],
    *,
    exact: bool,
    gap: float,
) -> Mix:
    """Whole numbers from the solver's, and the cost from these: what is told adds up."""
    whole = [[round(solver.val(count)) for count in row] for row in counts]
    hours = tuple(
        tuple(
            Part(one.type, is_spot, count, one.streams, hour)
            for (one, is_spot, hour), count in zip(kinds, row, strict=True)
            if count
        )
        for row in whole
    )
    running = sum(part.count * part.hour for parts in hours for part in parts)
    starting = 0.0
    for index, (one, _, hour) in enumerate(kinds):
        before = 0
        for row in whole:
            starting += max(0, row[index] - before) * hour * one.start_s / 3600
            before = row[index]
    return Mix(hours, running + starting, starting, exact, 0.0 if exact else max(0.0, gap))


def _check(machines: Sequence[Machine], demand: Sequence[int], spot_share: float) -> None:
    if not demand or len(demand) > MOST_HOURS:
        raise NoMix(f"a forecast has 1 to {MOST_HOURS} hours")
    if not all(0 <= one <= MOST_STREAMS for one in demand):
        raise NoMix(f"a forecast asks for 0 to {MOST_STREAMS:,} streams an hour")
    if not 0.0 <= spot_share <= 1.0:
        raise NoMix("the share of spot machines is 0 to 1")
    if not machines:
        raise NoMix("there is no machine in the prices")
