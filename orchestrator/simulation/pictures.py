"""The pictures of docs/orchestrator.md and docs/rollout.md: what a simulation says in words, and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.simulation import rollout as rollouts
from orchestrator.simulation.audiences import TRACES, Stage, carry
from orchestrator.simulation.demand import Day, compare
from orchestrator.simulation.plot import Panel, Series, svg


def delivery() -> tuple[str, str]:
    """Viewers by delivery over the audiences of the page."""
    panels, told = [], ["delivery: audiences and how they were carried\n"]
    for name, trace in TRACES.items():
        found = carry(trace, Stage())
        samples = found.samples
        hls, relays = (len(found.switches[switch]) for switch in ("hls", "relays"))
        told.append(
            f"  {name}: {max(one.total for one in samples)} viewers at most, {sum(one.moved for one in samples)} moved, "
            f"HLS switched {hls}x, relays {relays}x, {sum(one.refused for one in samples)} refused\n"
        )
        panels.append(
            Panel(
                name,
                [one.at_s for one in samples],
                [
                    Series("origin", [one.origin for one in samples], area=True),
                    Series("relays", [one.relay for one in samples], area=True),
                    Series("HLS", [one.hls for one in samples], area=True),
                    Series("threshold of HLS", [Stage().policy.hls_above] * len(samples), dashed=True),
                ],
            )
        )
    return "".join(told), svg(panels)


def scaling() -> tuple[str, str]:
    """A day of demand and the nodes that it was given."""
    day = Day()
    found = compare(day)
    told = [f"scaling: a day of demand, {day.places_a_node} viewers a node\n"]
    for name, one in found.items():
        told.append(
            f"  {name}: {one.node_hours:.0f} node-hours ({one.node_hours / one.peak_hours:.0%} of a pool for the peak), "
            f"{one.short_minutes:g} minutes short, {one.refused_share:.3%} of viewer-minutes without a place, {one.changes} changes\n"
        )
    moments = found["with forecast"].moments
    at = [one.at_s for one in moments]
    panels = [
        Panel(
            "viewers and places",
            at,
            [
                Series("viewers", [one.viewers for one in moments], area=True),
                Series("places", [one.nodes * day.places_a_node for one in moments]),
                Series("expected in 5 min", [one.expected for one in moments], dashed=True),
            ],
            hours=True,
        ),
        Panel(
            "nodes",
            at,
            [
                Series("working", [one.nodes for one in moments], area=True),
                Series("wanted", [one.wanted for one in moments]),
                Series(
                    "wanted without forecast", [one.wanted for one in found["without"].moments], dashed=True
                ),
            ],
            hours=True,
        ),
    ]
    return "".join(told), svg(panels)


def rollout() -> tuple[str, str]:
    """Rollouts of fifteen days, and what takes them back."""
    panels, told = [], ["rollout: users of a pool with a new version\n"]
    for name, played in rollouts.faults().items():
        events = "; ".join(
            f"day {day:.2f} {happened}" + (f" ({why})" if why else "") for day, happened, why in played.events
        )
        told.append(f"  {name}: {played.state}, {played.moved} sessions moved; {events}\n")
        at = [one.at_s for one in played.moments]
        users = rollouts.Course().users
        panels.append(
            Panel(
                name,
                at,
                [
                    Series("% of sessions", [100 * one.on_new / users for one in played.moments], area=True),
                    Series("% of users", [one.percent for one in played.moments]),
                ],
                hours=True,
            )
        )
    return "".join(told), svg(panels)


ALL: Mapping[str, Callable[[], tuple[str, str]]] = {
    "delivery.svg": delivery,
    "scaling.svg": scaling,
    "rollout.svg": rollout,
}
"""File in docs/pictures -> what makes it."""
