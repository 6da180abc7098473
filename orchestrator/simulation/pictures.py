"""The pictures of docs/orchestrator.md: what a simulation says in words, and drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator.simulation.audiences import TRACES, Stage, carry
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


ALL: Mapping[str, Callable[[], tuple[str, str]]] = {"delivery.svg": delivery}
"""File in docs/pictures -> what makes it."""
