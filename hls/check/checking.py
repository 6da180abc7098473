"""All rules over a recording."""

from __future__ import annotations

from hls.check import rules
from hls.check.history import history_of
from hls.check.recording import Recording
from hls.check.rule import RULES, Outcome, examine

assert rules.__all__, "importing the rules registers them"


def check(recording: Recording) -> list[Outcome]:
    """What every rule says of a recording, in the order of the rules."""
    history = history_of(recording)
    return [examine(one, history) for one in RULES.values()]
