"""Storms of joins in virtual time: nobody is sent where there is no room, and a dead node's viewers watch again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.simulation.storm import Simulation, Storm

SMALL = Storm(nodes=80, joins=4000, storm_s=15, calm_s=15, failures=6, stay_s=1000)


@pytest.mark.slow
def test_in_a_storm_everybody_is_placed_and_the_viewers_of_dead_nodes_watch_again() -> None:
    found = Simulation(SMALL).run()
    assert (found.refused, found.over_capacity, found.over_booked) == (0, 0, 0)
    assert found.failures == 6
    assert found.back == found.fell > 0
    assert max(found.back_s) < 10  # 2 s of silence, and at most a few doors that are shut
    assert found.watching > 0.95 * SMALL.joins


def test_with_too_few_places_nobody_is_sent_to_a_full_node_and_the_rest_is_refused() -> None:
    scarce = replace(SMALL, nodes=20, joins=2500, capacity=(100, 100), failures=0, stay_s=1e9)
    found = Simulation(scarce).run()
    assert found.over_booked == 0
    assert found.over_capacity == 0
    assert found.watching == 2000
    assert found.fullest == 1.0
    assert found.refused > 0


@pytest.mark.slow
def test_two_choices_spread_a_storm() -> None:
    storm = replace(SMALL, joins=3000, storm_s=5, calm_s=3, failures=0)
    herd = Simulation(storm).run().herd
    assert herd < Simulation(replace(storm, two_choices=False)).run().herd
