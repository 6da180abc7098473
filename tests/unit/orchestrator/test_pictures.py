"""The pictures in docs are what the code draws now, and are sound SVG."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.simulation.pictures import ALL
from orchestrator.simulation.plot import Panel, Series, step_of, svg

PICTURES = Path(__file__).parents[3] / "docs/pictures"


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_the_picture_in_docs_is_the_one_that_the_simulation_draws(name: str) -> None:
    told, drawn = ALL[name]()
    assert told.endswith("\n")
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert (PICTURES / name).read_text() == drawn, (
        "run: python -m orchestrator.simulation --pictures docs/pictures"
    )


@given(st.floats(1e-6, 1e12), st.integers(2, 20))
def test_a_scale_has_as_many_marks_as_asked_at_most(most: float, ticks: int) -> None:
    assert most / step_of(most, ticks) <= ticks


def test_names_are_text_and_never_markup() -> None:
    drawn = svg([Panel("<b>&", [0, 1], [Series("<i>", [1, 2])])])
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    ElementTree.fromstring(drawn)
