"""A script with times: each line once, at its time, and prepared while the voice is free."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from common.desk import Cue, Cues
from origin.dialogue.script import CLEAR_S, PREPARE_S, Script


def script(*at_s: float, began_s: float = 100.0) -> Script:
    return Script([Cue(at_s=at, text=f"line at {at:g}") for at in at_s], began_s)


def test_lines_come_once_at_their_times() -> None:
    played = script(0, 5, 5, 9)
    given = {
        tenth / 10: [cue.text for cue, _ in played.due(100 + tenth / 10)]
        for tenth in range(100)
        if not played.over
    }
    assert {at: lines for at, lines in given.items() if lines} == {
        0: ["line at 0"],
        5: ["line at 5", "line at 5"],
        9: ["line at 9"],
    }
    assert played.over and played.state(110).next_at_s is None


def test_a_stage_that_was_late_gets_all_that_is_due_with_their_true_times() -> None:
    assert [due for _, due in script(0, 2, 50).due(103)] == [100, 102]


def test_each_line_is_prepared_once_and_not_just_before_another_begins() -> None:
    played = script(20, 24, 60)
    assert played.to_prepare(100) is None, "too early"
    first = played.to_prepare(120 - PREPARE_S)
    assert first is not None and first.at_s == 20
    second = played.to_prepare(112)
    assert second is not None and second.at_s == 24
    assert played.to_prepare(113) is None

    tight = script(20, 21)
    assert tight.to_prepare(120 - CLEAR_S) is not None
    assert tight.to_prepare(120 - CLEAR_S + 0.1) is None, "the voice is kept free for the line at 20"
    assert tight.due(120)
    after = tight.to_prepare(120.1)
    assert after is not None and after.at_s == 21


def test_what_began_without_preparation_is_not_prepared_later() -> None:
    played = script(1, 2, 100)
    played.due(103)
    assert played.to_prepare(103) is None
    state = played.state(103)
    assert (state.cues, state.begun, state.position_s, state.next_at_s) == (3, 2, 3, 100)


@pytest.mark.parametrize(
    "cues",
    [
        [],
        [{"at_s": 2, "text": "b"}, {"at_s": 1, "text": "a"}],
        [{"at_s": -1, "text": "a"}],
        [{"at_s": float("nan"), "text": "a"}],
        [{"at_s": 1, "text": ""}],
        [{"at_s": 1, "text": "x" * 2001}],
        [{"at_s": 1, "text": "a"}] * 501,
    ],
)
def test_a_script_that_cannot_be_played_is_refused(cues: list[dict[str, object]]) -> None:
    with pytest.raises(ValidationError):
        Cues.model_validate({"cues": cues})
