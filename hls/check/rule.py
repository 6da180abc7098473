"""What a rule is: a small function over the history of a recording, with a name, a severity and its source."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from hls.check.history import History
from hls.check.recording import Probe

_MOST_FINDINGS = 50
"""Kept of one rule; beyond them only the count goes on."""


class Severity(enum.Enum):
    """MUST: players may stop. SHOULD: they play, but worse, or a cache works worse."""

    MUST = "MUST"
    SHOULD = "SHOULD"


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation: what was seen, where, in which rendition (empty: the broadcast as a whole)."""

    seen: str
    where: str
    rendition: str = ""


Verdicts = Iterable[Finding | None]
"""One for each case that a rule looked at, None where it holds."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`row`: of the requirement table in docs/hls.md, 0 for the cache lifetimes beneath it."""

    name: str
    severity: Severity
    source: str
    row: int
    examine: Callable[[History], Verdicts]

    @property
    def sentence(self) -> str:
        """What it demands."""
        return (self.examine.__doc__ or "").strip()


@dataclass(slots=True)
class Outcome:
    """What a rule saw: the number of cases that it examined, of those that broke it, and the first of these."""

    rule: Rule
    examined: int = 0
    broken: int = 0
    findings: list[Finding] = field(default_factory=list)


RULES: dict[str, Rule] = {}
"""All rules by name, in the order of their files."""


def rule(
    severity: Severity, row: int, source: str
) -> Callable[[Callable[[History], Verdicts]], Callable[[History], Verdicts]]:
    """Registers a function as a rule, named after it. Its docstring is what it demands."""

    def register(examine: Callable[[History], Verdicts]) -> Callable[[History], Verdicts]:
        name = examine.__name__.replace("_", "-")
        assert name not in RULES and examine.__doc__
        RULES[name] = Rule(name, severity, source, row, examine)
        return examine

    return register


def answered(history: History, probe: Probe, status: int) -> Verdicts:
    """Whether every rendition answers a probe with this status."""
    for one in history.renditions.values():
        if (reply := one.probes.get(probe)) is not None:
            bad = reply.status != status
            yield Finding(f"status {reply.status}", reply.where, one.name) if bad else None


def examine(one: Rule, history: History) -> Outcome:
    """Lets a rule look at a history."""
    outcome = Outcome(one)
    for verdict in one.examine(history):
        outcome.examined += 1
        if verdict is not None:
            outcome.broken += 1
            if len(outcome.findings) < _MOST_FINDINGS:
                outcome.findings.append(verdict)
    return outcome
