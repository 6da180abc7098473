"""A Problem as the command line tells it."""

from __future__ import annotations

from common.errors import Problem


def told(problem: Problem) -> str:
    """What is wrong in red, and below it what to do, where that is known."""
    return f"[red]{problem.detail}[/red]" + (f"\n{problem.hint}" if problem.hint else "")
