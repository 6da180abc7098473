"""What a check found, for a person (grouped by rendition) and for a program (JSON)."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from hls.check.recording import Kind, Recording
from hls.check.rule import Finding, Outcome, Severity

_SHOWN = 3
"""Findings that are shown of one rule and rendition."""
_BROADCAST = "broadcast"


def violated(outcomes: list[Outcome], *, strict: bool = False) -> bool:
    """Whether a MUST is broken; with `strict` a SHOULD counts too."""
    return any(one.broken and (strict or one.rule.severity is Severity.MUST) for one in outcomes)


def counts(recording: Recording) -> dict[str, int]:
    """Replies of each kind, and bytes."""
    found = {kind.value: 0 for kind in Kind}
    for reply in recording.replies:
        found[reply.kind.value] += 1
    return {**found, "bytes": sum(len(reply.body) for reply in recording.replies)}


def as_json(recording: Recording, outcomes: list[Outcome], *, strict: bool = False) -> dict[str, Any]:
    """The whole result. `violated` is what the exit status says."""
    return {
        "url": recording.url,
        "seconds": round(recording.seconds, 3),
        "violated": violated(outcomes, strict=strict),
        "replies": counts(recording),
        "notes": recording.notes,
        "rules": [
            {
                "rule": one.rule.name,
                "severity": one.rule.severity.value,
                "demands": one.rule.sentence,
                "source": one.rule.source,
                "row": one.rule.row,
                "examined": one.examined,
                "broken": one.broken,
                "findings": [
                    {"rendition": found.rendition, "seen": found.seen, "where": found.where}
                    for found in one.findings
                ],
            }
            for one in outcomes
        ],
    }


def show(console: Console, recording: Recording, outcomes: list[Outcome]) -> None:
    """Prints the report."""
    total = counts(recording)
    media = sum(total[kind.value] for kind in (Kind.INIT, Kind.PART, Kind.HINT, Kind.SEGMENT))
    console.print(
        f"[bold]{escape(recording.url)}[/bold]: {recording.seconds:.0f} s, {total[Kind.PLAYLIST.value]} reloads, "
        f"{media} pieces of media, {total['bytes'] / 1e6:.1f} MB"
    )
    for note in recording.notes:
        console.print(f"  [yellow]note[/yellow] {escape(note)}")
    grouped: dict[str, list[tuple[Outcome, list[Finding]]]] = {}
    for one in outcomes:
        for name in dict.fromkeys(found.rendition for found in one.findings):
            rows = [found for found in one.findings if found.rendition == name]
            grouped.setdefault(name or _BROADCAST, []).append((one, rows))
    for name in sorted(grouped):
        console.print(f"\n[bold]{escape(name)}[/bold]")
        for one, rows in sorted(grouped[name], key=lambda row: row[0].rule.severity is not Severity.MUST):
            _show_rule(console, one, rows)
    _summary(console, outcomes)


def _show_rule(console: Console, one: Outcome, rows: list[Finding]) -> None:
    colour = "red" if one.rule.severity is Severity.MUST else "yellow"
    times = f"{len(rows)} times" if len(rows) > 1 else "once"
    console.print(f"  [{colour}]{one.rule.severity.value}[/{colour}] [bold]{one.rule.name}[/bold], {times}")
    console.print(f"    {escape(one.rule.sentence)} [dim]{escape(one.rule.source)}[/dim]")
    for found in rows[:_SHOWN]:
        console.print(f"    seen {escape(found.seen)}\n      [dim]in {escape(found.where)}[/dim]")
    if len(rows) > _SHOWN:
        console.print(f"    and {len(rows) - _SHOWN} more")


def _summary(console: Console, outcomes: list[Outcome]) -> None:
    held = sum(1 for one in outcomes if one.examined and not one.broken)
    must = sum(1 for one in outcomes if one.broken and one.rule.severity is Severity.MUST)
    should = sum(1 for one in outcomes if one.broken and one.rule.severity is Severity.SHOULD)
    idle = [one.rule.name for one in outcomes if not one.examined]
    colour = "red" if must else "yellow" if should else "green"
    console.print(
        f"\n[{colour}]{held} rules hold, {must} MUST and {should} SHOULD are broken[/{colour}], "
        f"{len(idle)} had nothing to look at" + (f": [dim]{', '.join(idle)}[/dim]" if idle else "")
    )
